//! Faults that the simulator plants in the library, to see that its checks catch them.
//!
//! Each is asked for at the one line that it breaks. Without the feature `sim` the answer is a
//! constant `false` and the question costs nothing; with it, only a thread on which
//! [`planted`] runs ever hears `true`, so no engine of a node can.

#[cfg(feature = "sim")]
use std::cell::Cell;

macro_rules! plants {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A fault that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Plant {
            $($(#[$doc])* $name,)*
        }

        impl Plant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// A stable name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

plants! {
    /// A durable commit does not wait for the disk.
    SkipSync = "skip_sync",
    /// A full disk is taken for a commit that went well.
    SwallowDiskFull = "swallow_disk_full",
    /// What is to leave leaves before the commit that makes it true.
    SendBeforeCommit = "send_before_commit",
    /// A change that is here already is appended once more.
    DropDedupe = "drop_dedupe",
    /// A change is appended although its parents are not here.
    IgnoreParents = "ignore_parents",
    /// Nothing that waited for a change follows it.
    ForgetWaiting = "forget_waiting",
    /// A change counts as verified whatever its checksum says.
    AcceptBadHash = "accept_bad_hash",
    /// A record's old element stays in the sum when it changes.
    KeepOldElement = "keep_old_element",
    /// Sums over ranges stay as they were when an element changes.
    KeepOldNode = "keep_old_node",
    /// A transaction that fails half way keeps its first half.
    KeepHalfTransaction = "keep_half_transaction",
    /// A view counts as current when any projection of it is done.
    ClearStaleBlindly = "clear_stale_blindly",
    /// A late projection of an old state overwrites a newer view.
    LetViewsGoBack = "let_views_go_back",
    /// Deletions that come from peers are not shown.
    ForgetTombstone = "forget_tombstone",
    /// What came from a peer is sent back to it.
    EchoToSender = "echo_to_sender",
    /// The peer is told that it has all before the backlog was sent.
    AnnounceBacklog = "announce_backlog",
    /// A silent link is never given up.
    TrustSilence = "trust_silence",
    /// Dialling ends after a few failures.
    StopRetrying = "stop_retrying",
    /// No credit is granted beyond the first.
    GrantNoCredit = "grant_no_credit",
    /// Differing roots are taken for equal.
    TrustRoots = "trust_roots",
    /// A restored backup goes on under the id of the store it was taken from.
    KeepStoreId = "keep_store_id",
    /// Bytes are handed to a link however much waits there.
    UnboundOutbox = "unbound_outbox",
    /// A narrow subscription is sent everything.
    IgnoreSubscription = "ignore_subscription",
    /// Folding takes one change too many out of the log.
    FoldTooMuch = "fold_too_much",
    /// Numbers of the log whose changes were folded are given again.
    ReuseNumbers = "reuse_numbers",
    /// What a peer lacks of a folded record is sent without the snapshot.
    WithholdSnapshot = "withhold_snapshot",
    /// Folded changes keep their positions, whatever order their document has them in.
    KeepOldOrder = "keep_old_order",
    /// Whoever it is is taken to have all that was folded.
    TrustStem = "trust_stem",
    /// Of imported changes the last one is left out.
    CutImport = "cut_import",
    /// What came on a link while a graph was made for it is forgotten.
    DropParked = "drop_parked",
    /// Conflict policies are passed over.
    BlindPolicies = "blind_policies",
    /// The quarantine does not name what breaks its contract.
    ForgetBreach = "forget_breach",
    /// What broke its contract stays named when it is mended.
    KeepBreach = "keep_breach",
    /// A chunk of an attachment is taken whatever the manifest says of it.
    TakeFalseChunk = "take_false_chunk",
    /// It is not noted which chunks of an attachment are here.
    ForgetChunk = "forget_chunk",
    /// What a lost link was to bring of attachments is asked of nobody else.
    KeepSource = "keep_source",
    /// Who asked in vain for an attachment is not told when it comes.
    WithholdArrival = "withhold_arrival",
    /// Attachments are removed whether something refers to them or not.
    CollectNamed = "collect_named",
    /// What somebody shows goes back to where it came from.
    EchoPresence = "echo_presence",
    /// What others show never expires.
    KeepPresence = "keep_presence",
    /// What others show need not be signed by them.
    BelievePresence = "believe_presence",
    /// Something is decided by an order that differs from run to run.
    HashOrder = "hash_order",
}

#[cfg(feature = "sim")]
thread_local! {
    static PLANTED: Cell<Option<Plant>> = const { Cell::new(None) };
}

/// Whether this fault is planted on this thread.
#[cfg(feature = "sim")]
pub(crate) fn is_planted(plant: Plant) -> bool {
    PLANTED.get() == Some(plant)
}

/// Whether this fault is planted on this thread.
#[cfg(not(feature = "sim"))]
pub(crate) const fn is_planted(_: Plant) -> bool {
    false
}

/// Runs `work` with a fault planted, or none, on this thread.
#[cfg(feature = "sim")]
pub fn planted<T>(plant: Option<Plant>, work: impl FnOnce() -> T) -> T {
    /// Pulls the plant out also when `work` panics.
    struct Restore(Option<Plant>);
    impl Drop for Restore {
        fn drop(&mut self) {
            PLANTED.set(self.0);
        }
    }
    let _restore = Restore(PLANTED.replace(plant));
    work()
}

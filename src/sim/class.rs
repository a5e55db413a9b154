//! Classes of events: a run counts how often each was reached, and a campaign that never reached
//! one has not tested what it says.

use std::collections::BTreeMap;

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A class of events.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Class {
            $($(#[$doc])* $name,)*
        }

        impl Class {
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

classes! {
    /// A local write was acknowledged as durable.
    AckedWrite = "acked_write",
    /// A local write failed, so that nobody may count on it.
    FailedWrite = "failed_write",
    /// Several records changed in one transaction.
    Transaction = "transaction",
    /// A transaction failed as a whole.
    TransactionRefused = "transaction_refused",
    /// Writers shared a commit.
    GroupCommit = "group_commit",
    /// A record was deleted.
    Deleted = "deleted",
    /// A deletion was taken back.
    Restored = "restored",
    /// A record was deleted on one host and edited on another, neither knowing of the other.
    DeletedWhileEdited = "deleted_while_edited",
    /// Branches of a record were merged.
    Merged = "merged",
    /// A caller was told that others hold what it wrote.
    Delivered = "delivered",
    /// Links broke at some byte.
    Severed = "severed",
    /// Links broke while changes were being sent, and the rest followed later.
    ResumedMidTransfer = "resumed_mid_transfer",
    /// Only one end of a link heard that it was over.
    HalfOpen = "half_open",
    /// A silent link was given up.
    IdleTimeout = "idle_timeout",
    /// Nothing got through in one direction.
    Blocked = "blocked",
    /// A way was slow.
    Slowed = "slowed",
    /// A host was offline.
    Isolated = "isolated",
    /// A peer was dialled again.
    Redialled = "redialled",
    /// So many dials had failed that the breaker opened, and after its time it let one through.
    BreakerTried = "breaker_tried",
    /// A change came that was there already.
    Duplicate = "duplicate",
    /// A walk over range summaries took place.
    Walked = "walked",
    /// A walk left older differences for the next one.
    LeftForLater = "left_for_later",
    /// A record was asked for.
    Asked = "asked",
    /// A backlog was pushed in bulk.
    BulkPushed = "bulk_pushed",
    /// An edit was pushed as it happened.
    LivePushed = "live_pushed",
    /// A clock was set.
    ClockSet = "clock_set",
    /// A process was killed.
    Killed = "killed",
    /// The power went between two writes.
    PowerCut = "power_cut",
    /// The power went with bytes written and not synced.
    PowerCutUnsynced = "power_cut_unsynced",
    /// The power went in recovery from the last time.
    PowerCutInRecovery = "power_cut_in_recovery",
    /// A write failed because a disk was full.
    DiskFull = "disk_full",
    /// A read of a disk failed.
    ReadFailed = "read_failed",
    /// A backup was restored.
    BackupRestored = "backup_restored",
    /// A host lost its store.
    Wiped = "wiped",
    /// A host was gone for ever.
    Buried = "buried",
    /// A subscription got narrower.
    Narrowed = "narrowed",
    /// A subscription got wider.
    Widened = "widened",
    /// A stranger attacked.
    Attacked = "attacked",
    /// A session ended because its peer broke a rule.
    Violation = "violation",
    /// A change went into quarantine because it was refused.
    Refused = "refused",
    /// A change waited for its parents.
    Waited = "waited",
    /// A policy said what a view shows of several values.
    Decided = "decided",
    /// An edit was refused because of its contract.
    EditRefused = "edit_refused",
    /// What came from elsewhere broke a contract.
    Breached = "breached",
    /// What waited in quarantine followed its parents.
    Released = "released",
    /// A snapshot was made of a record.
    Folded = "folded",
    /// Changes came in as a saved document.
    Imported = "imported",
    /// A record was folded because someone asked for compaction.
    Compacted = "compacted",
    /// A record reached another host as its snapshot.
    SnapshotSent = "snapshot_sent",
    /// A change met what was folded long ago: the whole graph was made again in the engine's turn.
    Unfolded = "unfolded",
    /// A change from a peer did: a worker made the graph.
    UnfoldedApart = "unfolded_apart",
    /// An attachment was put.
    BlobPut = "blob_put",
    /// An attachment came from others as a whole.
    BlobFetched = "blob_fetched",
    /// An attachment came from who had not had it when asked first.
    BlobRelayed = "blob_relayed",
    /// An attachment of which some had come was asked for again, but for that.
    BlobResumed = "blob_resumed",
    /// What a stranger sent as a part of an attachment was refused.
    FalseBlobRefused = "false_blob_refused",
    /// An attachment that nothing referred to was removed.
    BlobCollected = "blob_collected",
    /// A host saw what another one shows.
    PresenceShown = "presence_shown",
    /// It had heard that from somebody in between.
    PresenceRelayed = "presence_relayed",
    /// What somebody showed was gone because its time was over.
    PresenceExpired = "presence_expired",
    /// It was gone because it was taken back, or the last way to its author was lost.
    PresenceGone = "presence_gone",
    /// What a stranger showed in another's name was refused.
    ForgedPresenceRefused = "forged_presence_refused",
    /// A store grew past 100 MB.
    LargeStore = "large_store",
}

/// How often each class was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classes(BTreeMap<Class, u64>);

impl Classes {
    /// Counts one event.
    pub(super) fn reach(&mut self, class: Class) {
        self.add(class, 1);
    }

    pub(super) fn add(&mut self, class: Class, count: u64) {
        if count > 0 {
            *self.0.entry(class).or_default() += count;
        }
    }

    /// Adds what another run has counted.
    pub fn merge(&mut self, other: &Self) {
        for (class, count) in &other.0 {
            self.add(*class, *count);
        }
    }

    /// How often a class was reached.
    pub fn count(&self, class: Class) -> u64 {
        self.0.get(&class).copied().unwrap_or(0)
    }

    /// Each class with its count, those never reached included.
    pub fn iter(&self) -> impl Iterator<Item = (Class, u64)> + '_ {
        Class::ALL.iter().map(|it| (*it, self.count(*it)))
    }

    /// Classes that were never reached.
    pub fn missing(&self) -> Vec<Class> {
        let all = self.iter().filter(|(_, count)| *count == 0);
        all.map(|(class, _)| class).collect()
    }
}

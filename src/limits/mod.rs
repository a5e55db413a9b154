//! Every bound of the library in one place, with its unit and its reason.
//!
//! Peers choose our inputs, so nothing here may be raised by what a peer says. Relations between
//! the bounds are asserted at compile time at the end of the file.

mod blobs;
mod contracts;
mod presence;
mod queries;
mod repo;

use std::time::Duration;

pub use blobs::*;
pub use contracts::*;
pub use presence::*;
pub use queries::*;
pub use repo::*;

/// Longest collection name, in bytes. Names travel in frames and stand in error messages.
pub const COLLECTION_NAME_BYTES_MAX: usize = 64;

/// Most spaces and collections of one store. Their names are held in memory.
pub const COLLECTIONS_MAX: u32 = 65_536;

/// Longest actor id accepted in a change, in bytes. Automerge libraries use 16.
pub const ACTOR_BYTES_MAX: usize = 64;

/// Most parents of one change. An edit joins all heads of its record, and Automerge names its
/// author's last change besides, even where that is an ancestor of a head.
pub const CHANGE_DEPS_MAX: usize = HEADS_MAX + 1;

/// Furthest time of a change from 1970, either way, in seconds. Automerge stores differences of
/// times and panics, or wraps, where one does not fit 64 bits.
pub const CHANGE_TIME_SECONDS_MAX: u64 = 1 << 60;

/// Longest message of a change, in bytes.
pub const CHANGE_MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// Fewest hex digits that may stand for a change's hash: of 10,000 changes some two begin alike in six
/// with a chance of one in two, of 1,000 with one in thirty.
pub const VERSION_DIGITS_MIN: usize = 6;

/// Most changes of a history that are given at once. With the longest messages they take 4 MB.
pub const HISTORY_PAGE_MAX: usize = 1_000;

/// Largest change as it travels and is stored (possibly deflated), in bytes.
pub const CHANGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Largest change after inflating, in bytes. Automerge needs about three times this to parse it.
pub const CHANGE_INFLATED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Most operation numbers that a change may leave out after those of its ancestors. Edits of the
/// past leave out as many as others have made meanwhile; each costs a saved document memory when it
/// is loaded, about a hundred bytes.
pub const CHANGE_GAP_MAX: u64 = 1 << 16;

/// Most operations of one change. One operation is a few hundred bytes once it is materialised.
pub const CHANGE_OPS_MAX: u64 = 1 << 20;

/// Most actors that one change may name besides its own: authors of what it overwrites.
pub const CHANGE_ACTORS_MAX: usize = 16_384;

/// Most columns of one change. Automerge writes up to 15; the rest is room for later versions.
pub const CHANGE_COLUMNS_MAX: usize = 64;

/// Most heads of one record: concurrent branches that nobody has merged yet.
pub const HEADS_MAX: usize = 1_024;

/// Largest saved Automerge document that may be imported, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Largest saved Automerge document after inflating, in bytes. Loading takes a few times that.
pub const DOCUMENT_INFLATED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Most files, or other pieces, in which one saved document may come. A program that writes one for each
/// edit and joins them once they weigh as much as the document before has 100,000 of a text of 10 MB.
pub const DOCUMENT_PIECES_MAX: usize = 1 << 18;

/// Most actors of a saved document.
pub const DOCUMENT_ACTORS_MAX: usize = 65_536;

/// Most changes of a saved document; a text of 105,000 characters typed one by one has 260,000.
pub const DOCUMENT_CHANGES_MAX: u64 = 1 << 22;

/// Most operations of a saved document; the same text has 182,000.
pub const DOCUMENT_OPS_MAX: u64 = 1 << 24;

/// Largest snapshot of a record, in bytes: it travels in a frame like a change. A record that would
/// make a larger one stays loose.
pub const SNAPSHOT_BYTES_MAX: usize = CHANGE_BYTES_MAX;

/// Largest snapshot after inflating, in bytes, like that of a change.
pub const SNAPSHOT_INFLATED_BYTES_MAX: usize = CHANGE_INFLATED_BYTES_MAX;

/// Most changes in a snapshot. Taken apart, each takes about 1.4 KB until it is stored.
pub const SNAPSHOT_CHANGES_MAX: u64 = 1 << 19;

/// Changes in the snapshots of a frame after which it is closed and sent; one larger snapshot may
/// exceed it.
pub const SNAPSHOT_CHANGES_TARGET: u64 = 1 << 16;

/// Most operations in a snapshot.
pub const SNAPSHOT_OPS_MAX: u64 = 1 << 21;

/// Changes of one record that the engine takes at a time where a snapshot brings more.
pub const CHANGES_PER_STEP: usize = 4_096;

/// Bytes of loose changes below which a record is not folded by itself.
pub const FOLD_BYTES_MIN: u64 = 1_024;

/// Time between two looks at which records are to be folded.
pub const FOLD_EVERY: Duration = Duration::from_secs(1);

/// Share of a record's changes, one in so many, that has to be loose before it is folded while others
/// write: folding takes time in proportion to all of them.
pub const FOLD_SHARE: u32 = 4;

/// Share of the loose changes, one in so many, that stays loose while others write: someone may build on
/// what came before them.
pub const FOLD_LEAVES: usize = 8;

/// Time without a change anywhere after which records are folded of which less is loose.
pub const FOLD_QUIET: Duration = Duration::from_secs(10);

/// Time until the next ones are looked at, where there were more than are folded at once.
pub const FOLD_PAUSE: Duration = Duration::from_millis(100);

/// Records that are being folded at once.
pub const FOLDS_MAX: usize = 64;

/// Time that the log is kept for a peer that does not come back, by default. After that what it lacks
/// is found by a walk, and records that were folded meanwhile reach it as snapshots.
pub const HORIZON: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Largest string, text or byte value of one field at capture, in bytes.
pub const FIELD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest name of a mark on a text, in bytes.
pub const MARK_NAME_BYTES_MAX: usize = 64;

/// Largest value of a mark on a text, in bytes: a link or a comment's id, no document.
pub const MARK_VALUE_BYTES_MAX: usize = 1_024;

/// Deepest nesting of maps and lists inside one record.
pub const VALUE_DEPTH_MAX: usize = 64;

/// Most writes of one local transaction.
pub const TRANSACTION_WRITES_MAX: usize = 10_000;

/// Largest frame on the wire after decompression, in bytes. One change of the largest size fits.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Size at which a frame with changes is closed and sent, in bytes; one larger change may exceed it.
pub const FRAME_BYTES_TARGET: usize = 256 * 1024;

/// Frames below this size are not worth compressing, in bytes.
pub const COMPRESS_BYTES_MIN: usize = 512;

/// Level of zstd for frames. Higher ones save under 4 % more and take up to six times as long;
/// `docs/protocol.md` has the measurements.
pub const COMPRESS_LEVEL: i32 = 1;

/// Largest frame accepted before the peer has proved its identity, in bytes.
pub const HANDSHAKE_FRAME_BYTES_MAX: usize = 4 * 1024;

/// Least that a peer may declare as the largest frame it accepts, in bytes. Frames with changes are
/// filled to [`FRAME_BYTES_TARGET`], and a peer that takes less can't follow.
pub const PEER_FRAME_BYTES_MIN: u32 = 256 * 1024;

/// Longest name of a program in a handshake, in bytes.
pub const AGENT_BYTES_MAX: usize = 64;

/// Most fields that a later version may add to one message.
pub const EXTENSIONS_MAX: usize = 16;

/// Largest field that a later version may add to a message, in bytes.
pub const EXTENSION_BYTES_MAX: usize = 4 * 1024;

/// Most record groups in one frame with changes.
pub const GROUPS_PER_FRAME_MAX: usize = 16_384;

/// Most changes of one record group in one frame.
pub const CHANGES_PER_GROUP_MAX: usize = 16_384;

/// Most changes in one frame. Tiny changes take more memory decoded than they take on the wire. A frame
/// that is filled to [`FRAME_BYTES_TARGET`] has a quarter of that.
pub const CHANGES_PER_FRAME_MAX: usize = 16_384;

/// Most ranges in one walk message.
pub const WALK_RANGES_MAX: usize = 4_096;

/// Most (record, heads) items in one walk message.
pub const WALK_ITEMS_MAX: usize = 8_192;

/// A range with at most this many records is listed, a larger one is split.
pub const WALK_LEAF_ITEMS: usize = 16;

/// Into how many parts a differing range is split.
pub const WALK_FANOUT: usize = 16;

/// Ranges in a walk reply after which no more are split than [`WALK_SPLITS_MIN`].
pub const WALK_REPLY_RANGES: usize = 2_048;

/// Ranges that every walk reply may split, however large it is.
pub const WALK_SPLITS_MIN: usize = 8;

/// Most walk messages of one walk. A million differing records need a few hundred.
pub const WALK_ROUNDS_MAX: u32 = 16_384;

/// Most records that one request for changes may name: all that one walk message can list.
pub const WANT_RECORDS_MAX: usize = 8_192;

/// Most hashes that a request for one record may name.
pub const WANT_HASHES_MAX: usize = 2_048;

/// Records after which a frame with changes is closed, however small they are.
pub const GROUPS_PER_FRAME_FILL: usize = 4_096;

/// What a record group adds to a frame beside its changes, about, in bytes.
pub const GROUP_OVERHEAD_BYTES: usize = 32;

/// Records of a range that are taken on at a time.
pub const RANGE_RECORDS: usize = 256;

/// A record up to this size is pushed to a peer that may have it; a larger one is offered first.
/// An offer and its answer take about as many bytes.
pub const PUSH_UNASKED_BYTES: u64 = 512;

/// Records asked for and not yet answered, above which a session takes on no more.
pub const OPEN_WANTS_MAX: usize = 4_096;

/// Records whose waiting changes are asked for at a time.
pub const ASK_RECORDS_MAX: usize = 1_024;

/// Answers and acknowledgements that wait on one link whose peer does not read, above which its next
/// message is a violation.
pub const ANSWERS_MAX: usize = 16_384;

/// Most spaces that one session may open.
pub const SPACES_PER_SESSION_MAX: usize = 256;

/// Most collections that one subscription may name.
pub const COLLECTIONS_PER_OPEN_MAX: usize = 256;

/// Longest text of an error or goodbye on the wire, in bytes.
pub const REASON_BYTES_MAX: usize = 1_024;

/// Work items (ranges and records still to be pushed) that a session queues before it stops
/// answering walk messages.
pub const PUSH_QUEUE_MAX: usize = 16_384;

/// Hashes that the requests of a peer may name together while they wait for their answers, of changes
/// that are here. 16 MiB; an honest peer names a few dozen of each record.
pub const PUSH_HASHES_MAX: usize = 1 << 19;

/// Live credit a receiver grants at the start, in bytes of frame.
pub const CREDIT_LIVE_BYTES: u64 = 4 * 1024 * 1024;

/// Bulk credit a receiver grants at the start, in bytes of frame.
pub const CREDIT_BULK_BYTES: u64 = 4 * 1024 * 1024;

/// Largest credit a sender will remember, in bytes; a peer that grants without end gains nothing.
pub const CREDIT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Bytes handed to one link and not yet written, above which the engine emits no more for it.
pub const LINK_OUTBOX_BYTES_MAX: usize = 1024 * 1024;

/// Frames queued between a link and the engine, per direction.
pub const LINK_QUEUE_FRAMES: usize = 64;

/// Frames of all links that were read and not yet handled by the engine, in bytes as they are once
/// decompressed: a few of the largest. A link waits for room before it decompresses one.
pub const INBOUND_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Events queued for the engine.
pub const ENGINE_INBOX_EVENTS: usize = 1_024;

/// Events that one engine turn takes before it commits.
pub const TURN_EVENTS_MAX: usize = 512;

/// Bytes of changes that one engine turn takes before it commits.
pub const TURN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Frames that one engine turn emits before it looks at its inbox again.
pub const TURN_FRAMES_MAX: usize = 64;

/// Entries kept in quarantine. A peer that fills it is refused, nothing else is.
pub const QUARANTINE_ENTRIES_MAX: u64 = 100_000;

/// Entries in quarantine above which no more records are named for breaking their contract, so that there
/// is room for changes. All records of a collection may break a new contract.
pub const QUARANTINE_BREACHES_MAX: u64 = QUARANTINE_ENTRIES_MAX / 2;

/// Bytes kept in quarantine.
pub const QUARANTINE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Graph index entries in one stored block: 2 to 3 KB, below one page of redb.
pub const GRAPH_BLOCK_CHANGES: u32 = 64;

/// The graph keeps the hashes of the last folded changes whose positions are multiples of this, of its
/// square, and so on.
pub const STEM_SPACING: u32 = 8;

/// Writers of a record whose last folded changes are named to peers.
pub const STEM_WRITERS_SAMPLED: usize = 64;

/// Weight of the graph cache, in index entries (about 120 bytes each).
pub const GRAPH_CACHE_CHANGES: usize = 1 << 18;

/// Operations of folded changes that the gate remembers, about 32 bytes each; those of the record
/// that was looked at last are always kept.
pub const PACKED_CACHE: usize = 1 << 19;

/// Operations of ancestors that the gate remembers, to look up what changes refer to.
pub const OPERATIONS_CACHE: usize = 1 << 16;

/// Weight of the document cache, in bytes of stored changes.
pub const DOCUMENT_CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// Longest backlog that is pushed from a cursor; a longer one walks the tree.
pub const BACKLOG_PUSH_MAX: u64 = 1 << 20;

/// Events a watcher may leave unread before it gets a lag signal.
pub const WATCH_QUEUE_EVENTS: usize = 1_024;

/// Watchers of one node.
pub const WATCHERS_MAX: usize = 10_000;

/// Callers that wait for deliveries at once.
pub const DELIVERY_WAITERS_MAX: usize = 65_536;

/// Links that a node holds at once.
pub const LINKS_MAX: usize = 4_096;

/// Frames handed to one link and not yet written: what fits of the smallest into
/// [`LINK_OUTBOX_BYTES_MAX`], and one turn more.
pub const LINK_OUTBOX_FRAMES_MAX: usize = LINK_OUTBOX_BYTES_MAX / 10 + TURN_FRAMES_MAX;

/// Records handed out at a time to have their view brought up to date.
pub const PROJECTIONS_MAX: usize = 256;

/// Snapshots of the store that are kept for the next reads while nothing is committed.
pub const IDLE_SNAPSHOTS_MAX: usize = 8;

/// Views that are brought up to date at the same time.
pub const PROJECTORS: usize = 2;

/// Time a peer has from opening a link to proving its identity.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence after which a ping is sent.
pub const PING_AFTER: Duration = Duration::from_secs(15);

/// Silence after which a link is given up. Three pings have gone unanswered by then.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// Time a change waits for its parents before they are asked for. They usually follow by
/// themselves.
pub const ASK_AFTER: Duration = Duration::from_secs(1);

/// Time between two comparisons of roots on a link on which something happens.
pub const ROOT_EVERY: Duration = Duration::from_secs(30);

/// A live change from elsewhere up to this size is passed on; a larger one is offered, and sent to
/// who asks for it, in bytes. An offer and its answer take about 200 bytes, and a round trip.
pub const RELAY_UNASKED_BYTES: usize = 16 * 1024;

/// Time that a change from elsewhere is held back where the peer brings such changes, too: longer
/// than two ways through a network, short for a person who waits for it because a way broke.
pub const RELAY_HOLD: Duration = Duration::from_millis(500);

/// Changes that have to cross on a link before one side holds back.
pub const RELAY_CROSSED_MIN: u32 = 2;

/// The same where holding back was in vain again and again.
pub const RELAY_CROSSED_MAX: u32 = 1 << 16;

/// Changes held back on a link at once; one more, and all of them are sent. About 60 bytes each.
pub const RELAY_HELD_MAX: usize = 1_024;

/// Changes that a peer brought of which a link remembers which: those that it may yet look at in
/// the log, in a turn or two. About 100 bytes each, on links on which changes cross.
pub const RELAY_BROUGHT_MAX: usize = 1_024;

/// Pause after a walk that a differing root started; doubles up to 256 times.
pub const REPAIR_PAUSE: Duration = Duration::from_secs(5);

/// Time without an answer after which a link that owes one is given up.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Time a shutdown waits for peers to acknowledge what was sent.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time that moved cursors wait for a commit to go along with.
pub const FLUSH_AFTER: Duration = Duration::from_millis(200);

/// Least time between two updates of the gauges that show how a replica stands.
pub const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Time without a write after which the store is settled: made fast to open should the process be
/// killed.
pub const SETTLE_AFTER: Duration = Duration::from_secs(1);

/// Time after which a write under relaxed durability is synced, and with it may be sent.
pub const SYNC_AFTER: Duration = Duration::from_millis(20);

/// Bytes of views and cursors that are committed without waiting for the disk, before a commit of them
/// waits: a view of 300 bytes makes a page of 4 KiB and more to be written.
pub const DERIVED_BYTES_MAX: usize = 1024 * 1024;

/// First delay before redialling; doubles up to [`BACKOFF_MAX`], drawn with full jitter.
pub const BACKOFF_BASE: Duration = Duration::from_millis(250);

/// Longest delay before redialling while the breaker is closed.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Consecutive failures after which a peer's breaker opens.
pub const BREAKER_FAILURES: u32 = 8;

/// Time an open breaker waits before it lets one attempt through.
pub const BREAKER_COOLDOWN: Duration = Duration::from_secs(60);

/// A session that ends sooner than this counts as a failure to reach the peer, so that one which
/// accepts and then hangs up is not redialled in a circle.
pub const SESSION_STABLE_AFTER: Duration = Duration::from_secs(5);

/// Time one attempt to reach a peer may take.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Memory that the redb store keeps of its file, in bytes. The hot pages of a million records fit.
pub const STORE_CACHE_BYTES: usize = 64 * 1024 * 1024;
/// Largest frame that a transport carries, in bytes: the largest of the protocol with its header.
pub const TRANSPORT_FRAME_BYTES_MAX: usize = FRAME_BYTES_MAX + 64;

/// Bytes that a transport reads from a peer before it has proved its identity; the rest waits.
/// An HTTP request of the largest size (64 KiB), the greeting, its proof, and the first requests
/// behind them fit.
pub const STRANGER_BYTES_MAX: u64 = 128 * 1024;

/// HTTP upgrades that one listener has under way; one more makes it give up the oldest.
pub const UPGRADES_MAX: usize = 256;

/// Pause of a listener after the system refused it a new link, for instance for want of file
/// descriptors: short for a person, long for a busy loop.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const _: () = {
    assert!(
        STRANGER_BYTES_MAX > 64 * 1024 + 2 * HANDSHAKE_FRAME_BYTES_MAX as u64,
        "the handshake fits in what a stranger may send"
    );
    assert!(
        CHANGE_BYTES_MAX < FRAME_BYTES_MAX,
        "the largest change fits in a frame"
    );
    assert!(FRAME_BYTES_TARGET < FRAME_BYTES_MAX);
    assert!(
        FIELD_BYTES_MAX < CHANGE_BYTES_MAX,
        "the largest field fits in a change"
    );
    assert!(
        CREDIT_BULK_BYTES > FRAME_BYTES_TARGET as u64,
        "credit lets a frame through"
    );
    assert!(GROUPS_PER_FRAME_FILL < GROUPS_PER_FRAME_MAX && RANGE_RECORDS < GROUPS_PER_FRAME_MAX);
    // What one walk message lists and what is still open fits into the peer's queue.
    assert!(WALK_ITEMS_MAX + OPEN_WANTS_MAX <= PUSH_QUEUE_MAX);
    assert!(CREDIT_LIVE_BYTES <= CREDIT_BYTES_MAX);
    assert!(
        FRAME_BYTES_MAX < INBOUND_BYTES_MAX,
        "there is room for the largest frame"
    );
    assert!(WANT_HASHES_MAX * 2 < PUSH_HASHES_MAX);
    assert!(CHANGES_PER_GROUP_MAX <= CHANGES_PER_FRAME_MAX);
    assert!(PEER_FRAME_BYTES_MIN as usize >= FRAME_BYTES_TARGET);
    assert!(WALK_ITEMS_MAX <= WANT_RECORDS_MAX);
    assert!(HEADS_MAX <= WANT_HASHES_MAX, "all heads fit in a request");
    // What is split beyond the budget is gone through first, at most 16 levels deep.
    assert!(WALK_REPLY_RANGES + WALK_SPLITS_MIN * WALK_FANOUT * 16 <= WALK_RANGES_MAX);
    assert!(WALK_FANOUT <= WALK_RANGES_MAX && WALK_LEAF_ITEMS <= WALK_ITEMS_MAX);
    assert!(
        PING_AFTER.as_secs() * 2 < IDLE_TIMEOUT.as_secs(),
        "two pings before giving up"
    );
};

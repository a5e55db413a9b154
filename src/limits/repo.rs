//! Bounds of the automerge-repo protocol: what JavaScript clients and samod may send and make a hub do.

use std::time::Duration;

/// Largest message of an automerge-repo client, in bytes, either way. The clients have no batching: a
/// document travels in one message. Theirs is 100 MiB (the JavaScript server's) or 64 MiB (samod's).
pub const REPO_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Changes that one message to a client carries, in bytes; the rest follows once they have arrived.
pub const REPO_CHANGES_BYTES: usize = 8 * 1024 * 1024;

/// Longest peer, session or storage id, in bytes. Those in use are UUIDs and host names.
pub const REPO_ID_BYTES_MAX: usize = 256;

/// Most storage ids in one message, and most that one client subscribes to.
pub const REPO_STORAGES_MAX: usize = 1_024;

/// Most hashes in one list of a sync message.
pub const REPO_HASHES_MAX: usize = 65_536;

/// Most summaries ("have") in one sync message. One is used.
pub const REPO_SUMMARIES_MAX: usize = 16;

/// Most chunks in one sync message: each is a change or a whole document.
pub const REPO_CHUNKS_MAX: usize = 1 << 20;

/// Most bits per entry of a Bloom filter. The libraries use 10.
pub const REPO_BLOOM_BITS_MAX: u64 = 64;

/// Most probes of a Bloom filter per entry. The libraries use 7.
pub const REPO_BLOOM_PROBES_MAX: u64 = 32;

/// Most clients that are linked at once.
pub const REPO_CLIENTS_MAX: usize = 4_096;

/// Most documents that one client speaks of on one link. Each takes some 500 bytes.
pub const REPO_DOCUMENTS_MAX: usize = 262_144;

/// Messages of one document of a client that wait while changes before them are written.
pub const REPO_WAITING_MAX: usize = 1_024;

/// Messages and bytes on their way to a client after which no more are made for it, until it has read
/// some.
pub const REPO_OUTBOX_MESSAGES: usize = 1_024;

/// The same in bytes.
pub const REPO_OUTBOX_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of clients' messages that were read and not yet handled, in all.
pub const REPO_INBOUND_BYTES: usize = 128 * 1024 * 1024;

/// Time in which a client has to send its first message.
pub const REPO_JOIN_WITHIN: Duration = Duration::from_secs(20);

/// Time that a client waits before it hears that a document is not here: what another has made a moment ago is
/// on its way.
pub const REPO_APPEARS_WITHIN: Duration = Duration::from_secs(1);

/// The same where somebody has said that he has the document.
pub const REPO_ARRIVES_WITHIN: Duration = Duration::from_secs(20);

/// Most documents that clients wait for at once. Who asked for one more than that hears nothing until it
/// appears.
pub const REPO_WANTED_MAX: usize = 65_536;

/// Time between two pings to a client.
pub const REPO_PING_EVERY: Duration = Duration::from_secs(15);

/// Time after which a client that gave no sign of life, not even to pings, is given up.
pub const REPO_SILENT_FOR: Duration = Duration::from_secs(50);

/// Ephemeral messages of one client that are passed on at once after a pause.
pub const REPO_EPHEMERAL_BURST: u32 = 500;

/// Ephemeral messages of one client that are passed on in a second: a cursor moves at most 60 times.
/// Others are dropped and counted.
pub const REPO_EPHEMERAL_RATE: u32 = 200;

/// Largest payload of an ephemeral message, in bytes. Larger ones are dropped and counted.
pub const REPO_EPHEMERAL_BYTES_MAX: usize = 64 * 1024;

/// Sessions of which the last ephemeral message's number is remembered, so that none goes round.
pub const REPO_SESSIONS_MAX: usize = 16_384;

/// Pairs of storage and document of which heads are remembered for who subscribes.
pub const REPO_GOSSIP_MAX: usize = 65_536;

/// Change graphs of documents that are kept at hand, in changes of all together; a change takes some
/// 150 bytes.
pub const REPO_GRAPH_CHANGES: usize = 1_000_000;

const _: () = {
    assert!(REPO_APPEARS_WITHIN.as_secs() < REPO_ARRIVES_WITHIN.as_secs());
    assert!(REPO_CHANGES_BYTES < REPO_MESSAGE_BYTES_MAX);
    assert!(REPO_CHANGES_BYTES <= REPO_OUTBOX_BYTES);
    assert!(REPO_MESSAGE_BYTES_MAX <= REPO_INBOUND_BYTES);
    assert!(REPO_PING_EVERY.as_secs() * 3 < REPO_SILENT_FOR.as_secs());
    assert!(
        super::SNAPSHOT_BYTES_MAX + super::CHANGE_BYTES_MAX < REPO_MESSAGE_BYTES_MAX,
        "a document that was folded travels in one piece"
    );
};

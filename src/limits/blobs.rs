//! How large attachments may be, and how many of them may be under way.

use std::time::Duration;

/// Bytes of a blob that are stored, sent and checked at a time. With its hash and its key a chunk is
/// just below 128 KiB: redb keeps a value in a page of a power of two, and one of 128 KiB would take
/// 256.
pub const BLOB_CHUNK_BYTES: usize = 127 * 1024;

/// Most chunks of one blob: their hashes, 32 bytes each, fit in the smallest frame that a peer may
/// insist on.
pub const BLOB_CHUNKS_MAX: usize = 8_064;

/// Largest blob, in bytes: 1,000 MiB and a little.
pub const BLOB_BYTES_MAX: u64 = (BLOB_CHUNKS_MAX * BLOB_CHUNK_BYTES) as u64;

/// Largest blob that a node puts or fetches unless it is told otherwise, in bytes.
pub const BLOB_BYTES_DEFAULT: u64 = 256 * 1024 * 1024;

/// Blobs that are being put at the same time. Each has up to [`BLOB_PUT_CHUNKS`] chunks in memory.
pub const BLOB_PUTS_MAX: usize = 64;

/// Chunks that are put with one commit: a megabyte.
pub const BLOB_PUT_CHUNKS: usize = 8;

/// Blobs that a store wants and has not got yet. Their ids are held in memory.
pub const BLOB_FETCHES_MAX: usize = 16_384;

/// Those of them that a rule has made wanted: whoever writes records can name what nobody has, and the
/// application's own wishes must find room.
pub const BLOB_FETCHES_BY_RULE_MAX: usize = BLOB_FETCHES_MAX / 2;

/// Blobs that are fetched over one link at the same time.
pub const BLOB_SEEKS_MAX: usize = 4;

/// Chunks that are asked of one peer and have not come: two megabytes, half the bulk credit.
pub const BLOB_WINDOW_CHUNKS: usize = 16;

/// Chunks that a peer may have asked for and not been sent yet, over one link.
pub const BLOB_ASKED_CHUNKS_MAX: usize = 256;

/// Ranges of chunks that one request may name.
pub const BLOB_RANGES_MAX: usize = 64;

/// Blobs that a peer has begun to fetch over one link and not said that it is done with.
pub const BLOBS_SERVED_MAX: usize = 256;

/// Blobs that a peer was told are not here, of which it is told when they come, over one link. Of
/// more than that it has to ask again.
pub const BLOBS_MISSED_MAX: usize = 4_096;

/// Blobs that are looked through at a time for what a link may bring.
pub const BLOB_LOOK_MAX: usize = 256;

/// Manifests that are held in memory while chunks of their blobs come: 258 KB at the most, each.
pub const BLOB_MANIFESTS_HELD: usize = 8;

/// Time that a blob is kept to which nothing refers, by default: it is put before the record that
/// names it is written.
pub const BLOB_GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// Time between two looks at which blobs nothing refers to.
pub const BLOB_COLLECT_EVERY: Duration = Duration::from_secs(60 * 60);

/// Blobs that are looked at before other work goes on.
pub const BLOB_COLLECT_ROWS: usize = 1_024;

/// Chunks of removed blobs that go with one commit.
pub const BLOB_SWEEP_CHUNKS: usize = 64;

/// Time between two such commits.
pub const BLOB_SWEEP_PAUSE: Duration = Duration::from_millis(50);

/// Longest name of an attachment, in bytes, as file systems have it.
pub const ATTACHMENT_NAME_BYTES_MAX: usize = 255;

/// Longest media type of an attachment, in bytes, as in RFC 6838.
pub const MEDIA_TYPE_BYTES_MAX: usize = 127;

const _: () = {
    assert!(
        BLOB_CHUNK_BYTES + 32 + 12 + 12 <= 128 * 1024,
        "a chunk, its hash and its key fit in a page of 128 KiB"
    );
    assert!(
        BLOB_CHUNKS_MAX * 32 + 128 <= super::PEER_FRAME_BYTES_MIN as usize,
        "a manifest fits in the smallest frame"
    );
    assert!(BLOB_BYTES_DEFAULT <= BLOB_BYTES_MAX);
    assert!(BLOB_WINDOW_CHUNKS <= BLOB_ASKED_CHUNKS_MAX && BLOB_SEEKS_MAX <= BLOBS_SERVED_MAX);
    assert!(
        (BLOB_WINDOW_CHUNKS * BLOB_CHUNK_BYTES) as u64 <= super::CREDIT_BULK_BYTES / 2,
        "other bulk has credit, too"
    );
};

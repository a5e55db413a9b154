//! Frames of attachments: their bytes, and what is no such frame.

use bytes::Bytes;

use super::blob::{BlobChunk, BlobManifest, BlobState, BlobWant, Standing};
use super::{Message, decode, encode};
use crate::blob::Manifest;
use crate::codec::Writer;
use crate::id::{BlobId, CorrelationId, SpaceId};
use crate::limits;

const SPACE: SpaceId = SpaceId::from_bytes([0x5a; 16]);
const BLOB: BlobId = BlobId::from_bytes([0xb1; 32]);

fn want(chunks: &[(u32, u32)]) -> Message {
    Message::BlobWant(BlobWant {
        space: SPACE,
        blob: BLOB,
        chunks: chunks.to_vec(),
    })
}

fn state(standing: Standing) -> Message {
    Message::BlobState(BlobState {
        space: SPACE,
        blob: BLOB,
        standing,
    })
}

fn vectors() -> Vec<(Message, &'static str)> {
    let manifest = BlobManifest {
        space: SPACE,
        blob: BLOB,
        manifest: Manifest::new(130_049, vec![[0xc1; 32], [0xc2; 32]]).unwrap(),
    };
    let chunk = BlobChunk {
        space: SPACE,
        blob: BLOB,
        index: 1,
        bytes: Bytes::from_static(b"!"),
    };
    vec![
        (
            want(&[]),
            "900011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5ab1b1b1b1b1b1b1b1b1b1b1b1b1b1\
             b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b100",
        ),
        (
            want(&[(0, 2), (200, 1)]),
            "900011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5ab1b1b1b1b1b1b1b1b1b1b1b1b1b1\
             b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1020002c60101",
        ),
        (
            Message::BlobManifest(manifest),
            "910011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5ab1b1b1b1b1b1b1b1b1b1b1b1b1b1\
             b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b181f807c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1\
             c1c1c1c1c1c1c1c1c1c1c1c1c1c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2\
             c2c2c2c2c2",
        ),
        (
            Message::BlobChunk(chunk),
            "920011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5ab1b1b1b1b1b1b1b1b1b1b1b1b1b1\
             b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1010121",
        ),
        (
            state(Standing::Absent),
            "930011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5ab1b1b1b1b1b1b1b1b1b1b1b1b1b1\
             b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b100",
        ),
        (
            state(Standing::Held),
            "930011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5ab1b1b1b1b1b1b1b1b1b1b1b1b1b1\
             b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b101",
        ),
        (
            state(Standing::Unwanted),
            "930011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5ab1b1b1b1b1b1b1b1b1b1b1b1b1b1\
             b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b102",
        ),
    ]
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

#[test]
fn every_message_about_attachments_has_the_bytes_of_the_specification() {
    let correlation = CorrelationId(0x1122_3344_5566_7788);
    let spec: String = include_str!("../../docs/protocol.md")
        .split_whitespace()
        .collect();
    let mut wrong = Vec::new();
    for (message, vector) in vectors() {
        let bytes = encode(correlation, &message);
        if hex(&bytes) != vector {
            wrong.push(hex(&bytes));
            continue;
        }
        let frame = decode(&bytes.into(), limits::FRAME_BYTES_MAX).unwrap();
        assert_eq!(frame.message, message);
        assert!(spec.contains(vector), "docs/protocol.md lacks {vector}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_no_message_about_attachments_is_malformed() {
    let frame = |kind: u8, body: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::new();
        writer.u8(kind).u8(0).u64(1);
        writer.raw(SPACE.as_bytes()).raw(BLOB.as_bytes());
        body(&mut writer);
        writer.finish()
    };
    let max = u64::try_from(limits::BLOB_CHUNKS_MAX).unwrap();
    let broken: Vec<(&str, Vec<u8>)> = vec![
        (
            "an empty range",
            frame(0x90, &|it| {
                it.count(1).varint(0).varint(0);
            }),
        ),
        (
            "ranges that touch",
            frame(0x90, &|it| {
                it.count(2).varint(0).varint(1).varint(0).varint(1);
            }),
        ),
        (
            "a range beyond the largest blob",
            frame(0x90, &|it| {
                it.count(1).varint(max).varint(1);
            }),
        ),
        (
            "too many ranges",
            frame(0x90, &|it| {
                it.count(limits::BLOB_RANGES_MAX + 1);
            }),
        ),
        (
            "a size without hashes",
            frame(0x91, &|it| {
                it.varint(limits::BLOB_BYTES_MAX);
            }),
        ),
        (
            "a chunk of nothing",
            frame(0x92, &|it| {
                it.varint(0).bytes(b"");
            }),
        ),
        (
            "a chunk beyond its size",
            frame(0x92, &|it| {
                it.varint(0).bytes(&vec![0; limits::BLOB_CHUNK_BYTES + 1]);
            }),
        ),
        (
            "a chunk beyond the largest blob",
            frame(0x92, &|it| {
                it.varint(max).bytes(b"x");
            }),
        ),
        (
            "an unknown standing",
            frame(0x93, &|it| {
                it.u8(3);
            }),
        ),
    ];
    for (what, frame) in broken {
        assert!(
            decode(&frame.into(), limits::FRAME_BYTES_MAX).is_err(),
            "{what}"
        );
    }
}

#[test]
fn a_chunk_shares_the_memory_of_its_frame() {
    let bytes = Bytes::from(vec![7; 1_000]);
    let chunk = BlobChunk {
        space: SPACE,
        blob: BLOB,
        index: 3,
        bytes: bytes.clone(),
    };
    let frame = Bytes::from(encode(CorrelationId(1), &Message::BlobChunk(chunk)));
    let decoded = decode(&frame, limits::FRAME_BYTES_MAX).unwrap();
    let Message::BlobChunk(chunk) = decoded.message else {
        panic!("not a chunk");
    };
    assert_eq!(chunk.bytes, bytes);
    assert!(frame.as_ptr_range().contains(&chunk.bytes.as_ptr()));
}

//! Changes without what the one before tells: what goes in comes out.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{ChangeGroup, Changes, Class, Message, decode, encode};
use crate::codec::Writer;
use crate::id::{CorrelationId, Lsn, RecordId, SpaceId};
use crate::limits;

/// A chunk as Automerge writes one change.
pub(super) fn chunk(
    parents: &[[u8; 32]],
    actor: &[u8],
    (seq, start_op): (u64, u64),
    rest: &[u8],
) -> Bytes {
    let mut body = Writer::new();
    body.count(parents.len());
    for parent in parents {
        body.raw(parent);
    }
    body.bytes(actor).varint(seq).varint(start_op).raw(rest);
    let body = body.finish();
    let mut hashed = Writer::new();
    hashed.u8(1).bytes(&body);
    let hashed = hashed.finish();
    let hash = Sha256::digest(&hashed);
    let mut chunk = Writer::new();
    chunk
        .raw(&[0x85, 0x6f, 0x4a, 0x83])
        .raw(&hash[..4])
        .raw(&hashed);
    chunk.finish().into()
}

pub(super) fn hash_of(chunk: &Bytes) -> [u8; 32] {
    Sha256::digest(&chunk[8..]).into()
}

fn with_changes(changes: Vec<Bytes>) -> Message {
    Message::Changes(Changes {
        space: SpaceId::from_bytes([1; 16]),
        class: Class::Bulk,
        upto: Lsn(0),
        groups: vec![ChangeGroup {
            collection: "notes".parse().unwrap(),
            record: RecordId::from_bytes([2; 16]),
            correlation: CorrelationId(0),
            done: false,
            changes,
        }],
    })
}

#[test]
fn a_run_of_typing_travels_without_parents_and_author() {
    let mut changes = vec![chunk(&[[9; 32]], &[7; 16], (5, 50), b"a keystroke")];
    for number in 1..50 {
        let parent = hash_of(changes.last().unwrap());
        let place = (5 + number, 50 + number);
        changes.push(chunk(&[parent], &[7; 16], place, b"a keystroke"));
    }
    let plain: usize = changes.iter().map(Bytes::len).sum();
    let message = with_changes(changes);
    let frame = encode(CorrelationId(1), &message);
    assert!(frame.len() * 3 < plain, "{} of {plain}", frame.len());
    let read = decode(&frame.into(), limits::FRAME_BYTES_MAX).unwrap();
    assert_eq!(read.message, message);
}

#[test]
fn whatever_does_not_follow_from_the_change_before_is_written_out() {
    let first = chunk(&[], &[7; 16], (1, 1), b"first");
    let parent = hash_of(&first);
    let mut harmed = chunk(&[parent], &[7; 16], (2, 2), b"harmed").to_vec();
    harmed[5] ^= 1;
    let mut deflated = chunk(&[parent], &[7; 16], (2, 2), b"deflated").to_vec();
    deflated[8] = 2;
    let after = chunk(
        &[[3; 32], parent],
        &[8; 16],
        (1, 90),
        b"of another, joining",
    );
    let back = chunk(&[parent], &[8; 16], (9, 4), b"numbers that go back");
    let all = [
        first,
        after,
        back,
        harmed.into(),
        deflated.into(),
        b"no change".as_slice().into(),
    ];
    for start in 0..all.len() {
        let mut changes = all[start..].to_vec();
        changes.extend_from_slice(&all[..start]);
        let message = with_changes(changes);
        let frame = encode(CorrelationId(1), &message);
        let read = decode(&frame.into(), limits::FRAME_BYTES_MAX).unwrap();
        assert_eq!(read.message, message);
    }
}

//! What passes for a change, and above all what does not.

use std::io::Write as _;

use automerge::transaction::{CommitOptions, Transactable as _};
use automerge::{ActorId as AmActor, Automerge, ROOT};
use bytes::Bytes;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::{CHANGE, Change, ChangeFault, DEFLATED_CHANGE, MAGIC};
use crate::codec::Writer;
use crate::limits;

/// A chunk of any type around any body, with a checksum that fits.
fn chunk(kind: u8, hashed: &[u8], body: &[u8]) -> Bytes {
    let mut content = Writer::new();
    content.u8(CHANGE).bytes(hashed);
    let hash = Sha256::digest(content.finish());
    let mut writer = Writer::new();
    writer.raw(&MAGIC).raw(&hash[..4]).u8(kind).bytes(body);
    writer.finish().into()
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Three changes by two actors; the last one joins two branches and has a message.
fn history() -> Vec<automerge::Change> {
    let mut left = Automerge::new().with_actor(AmActor::from([1_u8; 16]));
    let mut tx = left.transaction();
    tx.put(ROOT, "title", "first").unwrap();
    tx.put(ROOT, "done", false).unwrap();
    tx.commit();
    let mut right = left.fork().with_actor(AmActor::from([2_u8; 16]));
    let mut tx = right.transaction();
    tx.put(ROOT, "done", true).unwrap();
    tx.commit();
    let mut tx = left.transaction();
    tx.put(ROOT, "title", "second").unwrap();
    tx.commit();
    left.merge(&mut right).unwrap();
    let mut tx = left.transaction();
    tx.delete(ROOT, "title").unwrap();
    tx.put(ROOT, "time", -1).unwrap();
    tx.commit_with(CommitOptions::default().with_time(-77).with_message("why"));
    left.get_changes(&[])
}

fn raw(change: &automerge::Change) -> Bytes {
    Bytes::copy_from_slice(change.raw_bytes())
}

/// The body of a raw change: what follows the chunk's length.
fn body(bytes: &[u8]) -> Vec<u8> {
    let mut reader = crate::codec::Reader::new(&bytes[9..]);
    reader.bytes(usize::MAX, "body").unwrap().to_vec()
}

#[test]
fn the_header_says_what_automerge_says() {
    for theirs in history() {
        let ours = Change::verify(raw(&theirs)).unwrap();
        assert_eq!(ours.hash().as_bytes(), &theirs.hash().0);
        let deps: Vec<_> = theirs.deps().iter().map(|it| it.0).collect();
        assert_eq!(
            ours.deps()
                .iter()
                .map(|it| *it.as_bytes())
                .collect::<Vec<_>>(),
            deps
        );
        assert_eq!(ours.actor().as_bytes(), theirs.actor_id().to_bytes());
        assert_eq!(ours.seq(), theirs.seq());
        assert_eq!(ours.start_op(), theirs.start_op().get());
        assert_eq!(ours.op_count(), u64::try_from(theirs.len()).unwrap());
        assert_eq!(ours.max_op(), theirs.max_op());
        assert_eq!(ours.time(), theirs.timestamp());
        assert_eq!(ours.message(), theirs.message());
        assert_eq!(ours.bytes(), theirs.raw_bytes());
    }
    assert_eq!(history().last().unwrap().deps().len(), 2);
}

#[test]
fn a_deflated_change_has_the_hash_of_its_raw_form_and_keeps_its_bytes() {
    let theirs = history().remove(0);
    let plain = Change::verify(raw(&theirs)).unwrap();
    let deflated = chunk(
        DEFLATED_CHANGE,
        &body(plain.bytes()),
        &deflate(&body(plain.bytes())),
    );
    let change = Change::verify(deflated.clone()).unwrap();
    assert_eq!(change.hash(), plain.hash());
    assert_eq!(change.bytes(), &deflated);
    assert_eq!(change.op_count(), plain.op_count());
}

/// The hashes of the changes that flipping a bit of this one makes.
fn survivors(bytes: &[u8]) -> Vec<crate::id::ChangeHash> {
    let broken = (0..bytes.len() * 8).map(|bit| {
        let mut broken = bytes.to_vec();
        broken[bit / 8] ^= 1 << (bit % 8);
        broken
    });
    broken
        .filter_map(|it| Change::verify(it.into()).ok())
        .map(|it| it.hash())
        .collect()
}

#[test]
fn a_flipped_bit_anywhere_is_a_fault() {
    for theirs in history() {
        let plain = raw(&theirs);
        let deflated = chunk(DEFLATED_CHANGE, &body(&plain), &deflate(&body(&plain)));
        let hash = Change::verify(plain.clone()).unwrap().hash();
        assert_eq!(survivors(&plain), []);
        // Padding bits of a deflate stream mean nothing, so such a change is the same.
        assert!(survivors(&deflated).iter().all(|it| *it == hash));
    }
}

#[test]
fn a_change_cut_off_or_followed_by_more_is_a_fault() {
    let plain = raw(&history().remove(2));
    let deflated = chunk(DEFLATED_CHANGE, &body(&plain), &deflate(&body(&plain)));
    for bytes in [plain, deflated] {
        for length in 0..bytes.len() {
            assert!(Change::verify(bytes.slice(..length)).is_err(), "{length}");
        }
        let more = [bytes.as_ref(), &[0]].concat();
        assert!(matches!(
            Change::verify(more.into()),
            Err(ChangeFault::Malformed(_))
        ));
    }
}

#[test]
fn what_follows_a_compressed_stream_is_a_fault() {
    let plain = body(&raw(&history().remove(0)));
    let stream = [deflate(&plain), vec![0]].concat();
    let fault = Change::verify(chunk(DEFLATED_CHANGE, &plain, &stream)).unwrap_err();
    assert_eq!(fault.name(), "deflate");
}

#[test]
fn other_chunks_are_not_changes() {
    let mut doc = Automerge::new();
    let mut tx = doc.transaction();
    tx.put(ROOT, "a", 1).unwrap();
    tx.commit();
    let fault = Change::verify(doc.save().into()).unwrap_err();
    assert_eq!(fault, ChangeFault::ChunkType { found: 0 });
    let fault = Change::verify(Bytes::from_static(b"{\"json\": true}")).unwrap_err();
    assert_eq!(fault.name(), "magic");
    assert!(Change::verify(Bytes::new()).is_err());
}

#[test]
fn a_deflate_bomb_is_refused_at_the_limit() {
    let bomb = deflate(&vec![0; limits::CHANGE_INFLATED_BYTES_MAX + 1]);
    assert!(bomb.len() < limits::CHANGE_INFLATED_BYTES_MAX / 500);
    let fault = Change::verify(chunk(DEFLATED_CHANGE, &[], &bomb)).unwrap_err();
    let max = limits::CHANGE_INFLATED_BYTES_MAX;
    assert_eq!(fault, ChangeFault::InflatedTooLarge { max });
}

/// A change body with these columns (name and data), well formed up to there.
fn with_columns(columns: &[(u64, &[u8])]) -> Bytes {
    let mut writer = Writer::new();
    writer
        .count(0)
        .bytes(&[7; 16])
        .varint(1)
        .varint(1)
        .u8(0)
        .count(0)
        .count(0);
    writer.count(columns.len());
    for (name, data) in columns {
        writer.varint(*name).count(data.len());
    }
    for (_, data) in columns {
        writer.raw(data);
    }
    let body = writer.finish();
    chunk(CHANGE, &body, &body)
}

#[test]
fn a_run_of_more_operations_than_allowed_is_refused_without_expanding_it() {
    // One run of 2^62 actions, then of as many predecessors for one operation.
    let run = [
        0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0xc0, 0x00, 1,
    ];
    let fault = Change::verify(with_columns(&[(66, &run)])).unwrap_err();
    let max = limits::CHANGE_OPS_MAX;
    let (what, count) = ("operations", 1 << 62);
    assert_eq!(fault, ChangeFault::TooMany { what, count, max });
    let many = [1, 0x80, 0x80, 0x80, 0x80, 0x10];
    let fault = Change::verify(with_columns(&[(66, &[1, 1]), (112, &many)])).unwrap_err();
    let (what, count) = ("predecessors", 1 << 32);
    assert_eq!(fault, ChangeFault::TooMany { what, count, max });
    let literal = [0x80, 0x80, 0x80, 0x80, 0x80, 0x40];
    let fault = Change::verify(with_columns(&[(66, &literal)])).unwrap_err();
    assert_eq!(fault.name(), "malformed");
}

#[test]
fn columns_out_of_order_or_deflated_are_refused() {
    for columns in [
        [(66, &[1, 1][..]), (66, &[][..])],
        [(66, &[1, 1]), (53, &[])],
        [(66, &[1, 1]), (74, &[])],
    ] {
        assert_eq!(
            Change::verify(with_columns(&columns)).unwrap_err().name(),
            "columns"
        );
    }
}

/// A change body that ends after its header, with these numbers.
fn with_header(deps: &[[u8; 32]], seq: u64, start_op: u64) -> Bytes {
    let mut writer = Writer::new();
    writer.count(deps.len());
    for dep in deps {
        writer.raw(dep);
    }
    writer
        .bytes(&[7; 16])
        .varint(seq)
        .varint(start_op)
        .u8(0)
        .count(0)
        .count(0)
        .count(0);
    let body = writer.finish();
    chunk(CHANGE, &body, &body)
}

#[test]
fn numbers_and_parents_out_of_range_are_refused() {
    assert!(Change::verify(with_header(&[[1; 32], [2; 32]], 1, 1)).is_ok());
    let name = |bytes| Change::verify(bytes).unwrap_err().name();
    assert_eq!(name(with_header(&[], 0, 1)), "sequence");
    assert_eq!(name(with_header(&[], 1 << 40, 1)), "sequence");
    assert_eq!(name(with_header(&[], 1, 0)), "operation_numbers");
    assert_eq!(name(with_header(&[], 1, 1 << 40)), "operation_numbers");
    assert_eq!(name(with_header(&[[2; 32], [1; 32]], 1, 1)), "parent_order");
    assert_eq!(name(with_header(&[[2; 32], [2; 32]], 1, 1)), "parent_order");
    let many: Vec<_> = (0..=limits::CHANGE_DEPS_MAX)
        .map(|it| {
            let mut dep = [0; 32];
            dep[..8].copy_from_slice(&u64::try_from(it).unwrap().to_be_bytes());
            dep
        })
        .collect();
    assert_eq!(name(with_header(&many, 1, 1)), "malformed");
}

#[test]
fn times_whose_differences_overflow_are_refused() {
    for seconds in [i64::MIN, i64::MAX, (1 << 60) + 1] {
        let mut doc = Automerge::new();
        let mut tx = doc.transaction();
        tx.put(ROOT, "a", 1).unwrap();
        tx.commit_with(CommitOptions::default().with_time(seconds));
        let change = doc.get_last_local_change().unwrap();
        let fault = Change::verify(raw(&change)).unwrap_err();
        assert_eq!(fault, ChangeFault::Time { seconds });
    }
}

#[test]
fn every_fault_has_a_name_of_its_own_code() {
    let fault = ChangeFault::ChunkType { found: 3 };
    assert_eq!(ChangeFault::name_of(fault.code()), Some(fault.name()));
    assert_eq!(fault.name(), "chunk_type");
    let last = ChangeFault::Time { seconds: 0 };
    assert_eq!(last.name(), "time");
    assert_eq!(ChangeFault::name_of(last.code() + 1), None);
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes: Vec<u8>, kind in 0_u8..4) {
        drop(Change::verify(bytes.clone().into()));
        drop(Change::verify(chunk(kind, &bytes, &bytes)));
    }

    #[test]
    fn times_of_either_sign_agree_with_automerge(seconds in -(1_i64 << 60)..=1 << 60) {
        let mut doc = Automerge::new();
        let mut tx = doc.transaction();
        tx.put(ROOT, "a", 1).unwrap();
        tx.commit_with(CommitOptions::default().with_time(seconds));
        let change = doc.get_last_local_change().unwrap();
        prop_assert_eq!(Change::verify(raw(&change)).unwrap().time(), seconds);
    }
}

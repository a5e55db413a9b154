//! Documents against bytes that someone made up.

use std::io::Write as _;

use automerge::transaction::Transactable as _;
use bytes::Bytes;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::change::{ChangeFault, MAGIC};
use super::tests::{actor, change, document, fork, path};
use super::{Change, Document, DocumentFault, Value};
use crate::codec::Writer;
use crate::limits;

#[test]
fn a_document_nested_beyond_the_limit_is_a_fault_and_not_a_stack_overflow() {
    let mut foreign = automerge::Automerge::new();
    let mut tx = foreign.transaction();
    let mut obj = automerge::ROOT;
    for _ in 0..20_000 {
        obj = tx.put_object(&obj, "x", automerge::ObjType::Map).unwrap();
    }
    tx.commit();
    let mut change = foreign.get_last_local_change().unwrap();
    let change = Change::verify(Bytes::copy_from_slice(&change.bytes())).unwrap();
    let mut doc = Document::new(&actor(1));
    doc.apply(&[change]).unwrap();
    let max = limits::VALUE_DEPTH_MAX;
    assert_eq!(doc.value().unwrap_err(), DocumentFault::TooDeep { max });
    assert!(doc.save().is_ok());
}

/// The change with some bytes of its body replaced and its checksum made right again.
fn forge(change: &Change, edits: &[(prop::sample::Index, u8)]) -> Option<Bytes> {
    let parsed = automerge::Change::try_from(change.bytes().as_ref()).unwrap();
    let mut bytes = parsed.raw_bytes().to_vec();
    for (at, value) in edits {
        let at = 12 + at.index(bytes.len() - 12);
        bytes[at] = *value;
    }
    let hash = Sha256::digest(&bytes[8..]);
    bytes[4..8].copy_from_slice(&hash[..4]);
    (bytes != parsed.raw_bytes()).then(|| bytes.into())
}

fn lively_history() -> Vec<Change> {
    let start = serde_json::json!({
        "text": {"$text": "hello"}, "n": {"$counter": 1}, "l": [1, 2, {"a": 1}], "m": {"x": 1},
    });
    let (mut a, first) = document(&start);
    let mut b = fork(2, std::slice::from_ref(&first));
    let left = change(&mut a, |edit| {
        edit.splice_text(&path(&["text"]), 5, 0, " world")?;
        edit.increment(&path(&["n"]), 2)?;
        edit.remove(&path(&["l", "0"]))
    });
    let right = change(&mut b, |edit| {
        edit.set(&path(&["l", "2", "a"]), &Value::from("b"))?;
        edit.set(&path(&["m", "y"]), &Value::Float(1.5))?;
        edit.splice_text(&path(&["text"]), 0, 2, "")
    });
    a.apply(std::slice::from_ref(&right)).unwrap();
    let joined = change(&mut a, |edit| edit.set(&path(&["m"]), &Value::Null));
    vec![first, left, right, joined]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_forged_change_is_refused_or_applied_and_never_breaks_the_document(
        which in 0_usize..4,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let history = lively_history();
        let mut doc = fork(9, &history[..which]);
        let before = (doc.heads(), doc.value().unwrap());
        let Some(forged) = forge(&history[which], &edits) else { return Ok(()) };
        let Ok(forged) = Change::verify(forged) else { return Ok(()) };
        if doc.apply(std::slice::from_ref(&forged)).is_ok() {
            prop_assert!(doc.has(&forged.hash()));
        } else if doc.is_spoiled() {
            prop_assert_eq!(doc.value(), Err(DocumentFault::Spoiled));
            doc = fork(9, &history[..which]);
            prop_assert_eq!((doc.heads(), doc.value().unwrap()), before);
        } else {
            prop_assert_eq!((doc.heads(), doc.value().unwrap()), before);
        }
        drop((doc.value(), doc.save()));
    }
}

/// A saved document whose only data is the action column of its operations.
fn saved_with_actions(name: u64, data: &[u8]) -> Vec<u8> {
    let mut body = Writer::new();
    body.count(0).count(0).count(0).count(1);
    body.varint(name).count(data.len()).raw(data);
    let body = body.finish();
    let mut hashed = Writer::new();
    hashed.u8(0).bytes(&body);
    let hash = Sha256::digest(hashed.finish());
    let mut saved = Writer::new();
    saved.raw(&MAGIC).raw(&hash[..4]).u8(0).bytes(&body);
    saved.finish()
}

#[test]
fn a_saved_document_that_inflates_or_expands_without_end_is_refused() {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..=limits::DOCUMENT_INFLATED_BYTES_MAX >> 20 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = saved_with_actions(0x4a, &encoder.finish().unwrap());
    let max = limits::DOCUMENT_INFLATED_BYTES_MAX;
    let fault = Document::open_saved(&actor(1), &bomb).unwrap_err();
    assert_eq!(fault, ChangeFault::InflatedTooLarge { max }.into());
    let run = saved_with_actions(0x42, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 1]);
    let fault = Document::open_saved(&actor(1), &run).unwrap_err();
    assert_eq!(fault.name(), "too_many");
}

#[test]
fn a_saved_document_cut_off_anywhere_is_refused() {
    let (doc, _) = document(&serde_json::json!({"a": 1, "t": {"$text": "x".repeat(400)}}));
    let saved = doc.save().unwrap();
    for length in 0..saved.len() {
        assert!(
            Document::open_saved(&actor(1), &saved[..length]).is_err(),
            "{length}"
        );
    }
    assert!(Document::open_saved(&actor(1), b"not a document at all").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_forged_saved_document_is_refused_or_opens_whole(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut saved = fork(9, &lively_history()).save().unwrap();
        for (at, value) in edits {
            let at = 12 + at.index(saved.len() - 12);
            saved[at] = value;
        }
        let hash = Sha256::digest(&saved[8..]);
        saved[4..8].copy_from_slice(&hash[..4]);
        if let Ok((opened, changes)) = Document::open_saved(&actor(1), &saved) {
            let again = fork(2, &changes);
            prop_assert_eq!(again.heads(), opened.heads());
        }
    }
}

#[test]
fn a_snapshot_beyond_its_limits_is_refused_before_it_is_loaded() {
    let (doc, _) = document(&serde_json::json!({"a": 1}));
    let saved = Bytes::from(doc.save().unwrap());
    assert_eq!(super::check_snapshot(&saved), Ok(1));
    assert_eq!(super::inspect_snapshot(saved.clone()).unwrap().len(), 1);
    // A run of operations, more than may be; each on its own is well formed.
    let ops = i64::try_from(limits::SNAPSHOT_OPS_MAX + 1).unwrap();
    let mut run = Vec::new();
    let mut left = ops;
    while left >= 64 {
        run.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
        left >>= 7;
    }
    run.extend([u8::try_from(left).unwrap(), 1]);
    let many = Bytes::from(saved_with_actions(0x42, &run));
    assert_eq!(super::check_snapshot(&many).unwrap_err().name(), "too_many");
    let refused = super::inspect_snapshot(many).unwrap_err();
    assert!(refused.detail.contains("operations"), "{}", refused.detail);
    // What is a document by its type alone, or is followed by more, is none.
    let mut longer = saved.to_vec();
    longer.push(0);
    for bytes in [&saved[..20], &longer, &[0; 9][..]] {
        assert!(super::inspect_snapshot(Bytes::copy_from_slice(bytes)).is_err());
    }
}

#[test]
fn a_snapshot_whose_heads_are_not_those_of_its_changes_is_refused() {
    let saved = fork(9, &lively_history()).save().unwrap();
    let heads = fork(9, &lively_history()).heads();
    let head = heads.as_slice()[0];
    let at = saved.windows(32).position(|it| it == head.as_bytes());
    let mut forged = saved;
    forged[at.expect("its heads are in it")] ^= 1;
    let hash = Sha256::digest(&forged[8..]);
    forged[4..8].copy_from_slice(&hash[..4]);
    let refused = super::inspect_snapshot(forged.into()).unwrap_err();
    assert!(refused.detail.contains("heads"), "{}", refused.detail);
}

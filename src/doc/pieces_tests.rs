//! Documents in pieces: any order, anything twice, and some of it bad.

use proptest::prelude::*;
use serde_json::json;

use super::change::ChangeFault;
use super::tests::{actor, change, document, fork, path};
use super::{Change, Document, DocumentFault, Pieces, Value};
use crate::id::ChangeHash;

/// Two writers, apart and together again; parents first.
fn history() -> Vec<Change> {
    let (mut a, first) = document(&json!({"n": 0, "text": {"$text": "one"}}));
    let mut b = fork(2, std::slice::from_ref(&first));
    let set = |document: &mut Document, n: i64| {
        change(document, |it| it.set(&path(&["n"]), &Value::Int(n)))
    };
    let mut changes = vec![first];
    for n in 1..4 {
        changes.push(set(&mut a, n));
        changes.push(set(&mut b, 10 * n));
    }
    a.apply(&changes).unwrap();
    changes.push(set(&mut a, 99));
    changes
}

fn saved(changes: &[Change]) -> Vec<u8> {
    fork(9, changes).save().unwrap()
}

fn hashes(changes: &[Change]) -> Vec<ChangeHash> {
    let mut hashes: Vec<_> = changes.iter().map(Change::hash).collect();
    hashes.sort();
    hashes
}

#[track_caller]
fn assert_parents_first(changes: &[Change]) {
    for (at, change) in changes.iter().enumerate() {
        let later = &changes[at..];
        let is_later = |parent: &ChangeHash| later.iter().any(|it| it.hash() == *parent);
        assert!(!change.deps().iter().any(is_later), "{at}");
    }
}

proptest! {
    #[test]
    fn pieces_in_any_order_give_each_change_once_and_parents_first(
        order in Just((0..8).collect::<Vec<usize>>()).prop_shuffle(),
        cuts in proptest::collection::vec(0..8_usize, 0..4),
        snapshots in proptest::collection::vec(1..=8_usize, 0..3),
    ) {
        let changes = history();
        let mut stream: Vec<Vec<u8>> = snapshots.iter().map(|it| saved(&changes[..*it])).collect();
        stream.extend(order.iter().map(|it| changes[*it].bytes().to_vec()));
        let mut gathered = Pieces::default();
        // Where it is cut into pieces does not matter, as long as chunks stay whole.
        let mut piece = Vec::new();
        for (at, chunk) in stream.iter().enumerate() {
            piece.extend_from_slice(chunk);
            if cuts.contains(&at) {
                gathered.add(&std::mem::take(&mut piece)).unwrap();
            }
        }
        if !piece.is_empty() {
            gathered.add(&piece).unwrap();
        }
        let ordered = gathered.into_changes();
        prop_assert_eq!(hashes(&ordered), hashes(&changes));
        assert_parents_first(&ordered);
        prop_assert_eq!(fork(3, &ordered).heads(), fork(3, &changes).heads());
    }

    #[test]
    fn what_is_cut_off_anywhere_gives_what_is_whole_before_it(at: prop::sample::Index) {
        let changes = history();
        let whole: Vec<&[u8]> = changes.iter().map(|it| it.bytes().as_ref()).collect();
        let bytes = whole.concat();
        let at = at.index(bytes.len());
        let ends = whole.iter().scan(0, |end, it| { *end += it.len(); Some(*end) });
        let complete = ends.filter(|it| *it <= at).count();
        let is_between = whole[..complete].concat().len() == at && at > 0;
        let mut gathered = Pieces::default();
        let result = gathered.add(&bytes[..at]);
        prop_assert_eq!(result.is_ok(), is_between);
        prop_assert!(result.err().is_none_or(|it| it.is_end_missing()));
        prop_assert_eq!(hashes(&gathered.into_changes()), hashes(&changes[..complete]));
    }

    #[test]
    fn a_flipped_bit_is_seen_and_makes_no_other_change(at: prop::sample::Index, bit in 0..8_u8) {
        let changes = history();
        let loose = changes[4..].iter().flat_map(|it| it.bytes().to_vec());
        let mut bytes: Vec<u8> = saved(&changes[..4]).into_iter().chain(loose).collect();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let mut gathered = Pieces::default();
        prop_assert!(gathered.add(&bytes).is_err());
        let known = hashes(&changes);
        prop_assert!(hashes(&gathered.into_changes()).iter().all(|it| known.contains(it)));
    }
}

#[test]
fn a_bad_chunk_keeps_nobody_from_those_around_it() {
    let changes = history();
    let mut bad = changes[1].bytes().to_vec();
    *bad.last_mut().unwrap() ^= 1;
    let bytes = [changes[0].bytes(), bad.as_slice(), changes[2].bytes()].concat();
    let mut gathered = Pieces::default();
    let fault = gathered.add(&bytes).unwrap_err();
    let is_checksum = matches!(fault, DocumentFault::Change(ChangeFault::Checksum { .. }));
    assert!(is_checksum && !fault.is_end_missing(), "{fault}");
    let expected = [changes[0].clone(), changes[2].clone()];
    assert_eq!(hashes(&gathered.into_changes()), hashes(&expected));
}

#[test]
fn a_damaged_document_gives_nothing_and_the_changes_after_it_all_the_same() {
    let changes = history();
    let mut bytes = saved(&changes[..4]);
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    bytes.extend_from_slice(changes[4].bytes());
    let mut gathered = Pieces::default();
    assert!(gathered.add(&bytes).is_err());
    assert_eq!(hashes(&gathered.into_changes()), hashes(&changes[4..5]));
}

#[test]
fn pieces_together_have_the_bounds_of_one_document() {
    use crate::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_OPS_MAX};
    let changes = history();
    let mut gathered = Pieces::default();
    let max = DOCUMENT_BYTES_MAX;
    let bytes = max + 1;
    let fault = gathered.add(&vec![0; bytes]).unwrap_err();
    assert_eq!(fault, DocumentFault::TooLarge { bytes, max });
    gathered.operations = 2 * DOCUMENT_OPS_MAX;
    let fault = gathered.add(changes[0].bytes()).unwrap_err();
    let is_over = matches!(
        fault,
        DocumentFault::Change(ChangeFault::TooMany {
            what: "operations",
            ..
        })
    );
    assert!(is_over, "{fault}");
    assert!(gathered.into_changes().is_empty());
}

#[test]
fn an_actor_in_two_pieces_is_the_same() {
    let changes = history();
    let (early, late) = (saved(&changes[..3]), saved(&changes));
    let mut gathered = Pieces::default();
    gathered.add(&late).unwrap();
    gathered.add(&early).unwrap();
    let ordered = gathered.into_changes();
    let again = Document::load(&actor(5), ordered.iter().map(|it| it.bytes().as_ref()));
    assert_eq!(again.unwrap().changes(), 8);
}

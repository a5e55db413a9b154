//! What peers send: in any order, any number of times, and wrong.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::doc::inspect;
use crate::id::{ChangeHash, Lsn};
use crate::limits;
use crate::reconcile::Inventory as _;
use crate::replica::Reason;

#[test]
fn a_change_delivered_a_thousand_times_has_one_effect() {
    let (store, mut replica) = replica();
    let key = key("notes");
    let change = Writer::stranger(1, &key).set("n", 1);
    let first = deliver(&mut replica, &key, vec![Ok(change.clone()); 500]);
    assert_eq!(first.first(), Some(&Admission::Applied(Lsn(1))));
    for _ in 0..500 {
        let again = deliver(&mut replica, &key, vec![Ok(change.clone())]);
        assert_eq!(again, [Admission::Duplicate]);
    }
    assert!(first.iter().skip(1).all(|it| *it == Admission::Duplicate));
    assert_eq!(replica.lsn(key.space).unwrap(), Lsn(1));
    assert_eq!(replica.quarantine_size().entries, 0);
    assert_eq!(stored(&store, &key).changes(), 1);
}

#[test]
fn changes_out_of_order_wait_and_release_themselves() {
    let (store, mut replica) = replica();
    let key = key("notes");
    let mut writer = Writer::stranger(1, &key);
    let mut changes = writer.history(5);
    let first = changes.remove(0);
    for change in changes.iter().rev() {
        let missing = change.deps().to_vec();
        let held = deliver(&mut replica, &key, vec![Ok(change.clone())]);
        assert_eq!(held, [Admission::Held(Reason::Waiting { missing })]);
    }
    assert!(replica.heads(&key).unwrap().unwrap_or_default().is_empty());
    // They wait across a restart, too.
    let mut replica = reopen(&store);
    assert_eq!(replica.quarantine_size().entries, 4);
    let applied = deliver(&mut replica, &key, vec![Ok(first)]);
    assert_eq!(applied, [Admission::Applied(Lsn(1))]);
    assert_eq!(
        replica.quarantine_size(),
        crate::replica::QuarantineSize::default()
    );
    assert_eq!(replica.lsn(key.space).unwrap(), Lsn(5));
    assert_eq!(stored(&store, &key).document.heads(), writer.0.heads());
}

#[test]
fn a_change_whose_parents_never_come_stays_with_its_reason_and_disturbs_nothing() {
    let (store, mut replica) = replica();
    let key = key("notes");
    let orphan = Writer::stranger(1, &key).history(2).remove(1);
    deliver(&mut replica, &key, vec![Ok(orphan.clone())]);
    let other = Writer::stranger(2, &key).set("m", 1);
    let applied = deliver(&mut replica, &key, vec![Ok(other.clone())]);
    assert_eq!(applied, [Admission::Applied(Lsn(1))]);
    let again = deliver(&mut replica, &key, vec![Ok(orphan.clone())]);
    assert_eq!(again, [Admission::Duplicate]);
    let replica = reopen(&store);
    let entries = replica.quarantined(10).unwrap();
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    assert_eq!((&entry.key, entry.hash), (&key, orphan.hash()));
    let missing = orphan.deps().to_vec();
    assert_eq!(entry.reason, Reason::Waiting { missing });
    assert_eq!(entry.size_bytes, orphan.bytes().len());
    assert_eq!(stored(&store, &key).heads.as_slice(), [other.hash()]);
}

#[test]
fn a_change_with_any_byte_flipped_is_kept_apart_as_malformed() {
    let (store, mut replica) = replica();
    let key = key("notes");
    let good = Writer::stranger(1, &key).set("n", 1);
    for at in 0..good.bytes().len() {
        let mut bytes = good.bytes().to_vec();
        bytes[at] ^= 0x40;
        let flipped = inspect(Bytes::from(bytes));
        let admissions = deliver(&mut replica, &key, vec![flipped]);
        let is_malformed = matches!(
            admissions.as_slice(),
            [Admission::Held(Reason::Malformed(_))]
        );
        assert!(is_malformed, "byte {at}: {admissions:?}");
    }
    assert_eq!(stored(&store, &key).changes(), 0);
    let applied = deliver(&mut replica, &key, vec![Ok(good.clone())]);
    assert_eq!(applied, [Admission::Applied(Lsn(1))]);
    let kept = u64::try_from(good.bytes().len()).unwrap();
    assert_eq!(replica.quarantine_size().entries, kept);
}

#[test]
fn a_branch_too_many_is_kept_apart() {
    let (_, mut replica) = replica();
    let key = key("notes");
    let branches = (0..=limits::HEADS_MAX).map(|number| {
        let actor = ActorId::from_bytes(format!("branch {number}").into_bytes());
        Ok(Writer(Document::new(&actor)).set("n", 1))
    });
    let admissions = deliver(&mut replica, &key, branches.collect());
    let (last, others) = admissions.split_last().unwrap();
    assert_eq!(*last, Admission::Held(Reason::TooManyHeads));
    assert!(others.iter().all(|it| matches!(it, Admission::Applied(_))));
}

#[test]
fn a_merge_that_automerge_refuses_spoils_the_loaded_document_and_not_the_record() {
    let (store, mut replica) = replica();
    let key = key("notes");
    let changes = Writer::stranger(1, &key).history(2);
    deliver(&mut replica, &key, changes.into_iter().map(Ok).collect());
    // A document of the same writer that went another way: nobody else holds it.
    let mut strayed = Loaded::new(&ActorId::of(StoreId::from_bytes([1; 16]), &key));
    let meta = EditMeta::default();
    let path = [PathStep::from("n")];
    let edit = strayed
        .document
        .edit::<_, Error>(meta, |edit| edit.set(&path, &Value::Int(9)));
    edit.unwrap();
    let snapshot = store.snapshot().unwrap();
    let error = strayed
        .refresh(&Rows::new(snapshot.as_ref()), &key)
        .unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::Poisoned, "{error}");
    assert!(strayed.document.is_spoiled());
    assert_eq!(stored(&store, &key).changes(), 2);
}

/// Two writers who join each other's branches now and then.
fn tangle() -> (Vec<Change>, ChangeHash) {
    let key = key("notes");
    let mut a = Writer::stranger(1, &key);
    let mut b = Writer::stranger(2, &key);
    let mut changes = vec![a.set("start", 0)];
    b.0.apply(&changes).unwrap();
    for round in 0..3 {
        let (left, right) = (a.set("a", round), b.set("b", round));
        a.0.apply(std::slice::from_ref(&right)).unwrap();
        let joined = a.set("joined", round);
        b.0.apply(&[left.clone(), joined.clone()]).unwrap();
        changes.extend([left, right, joined]);
    }
    let end = changes.last().unwrap().hash();
    (changes, end)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_order_and_any_cut_of_a_history_ends_at_its_heads(
        order in Just((0..10_usize).collect::<Vec<_>>()).prop_shuffle(),
        again in 0..10_usize,
        size in 1..5_usize,
    ) {
        let (changes, end) = tangle();
        let (store, mut replica) = replica();
        let key = key("notes");
        let order: Vec<_> = order.into_iter().chain([again]).collect();
        for part in order.chunks(size) {
            let part = part.iter().map(|at| Ok(changes[*at].clone()));
            deliver(&mut replica, &key, part.collect());
        }
        let heads = replica.heads(&key).unwrap().unwrap();
        prop_assert_eq!(heads.as_slice(), [end]);
        prop_assert_eq!(replica.quarantine_size().entries, 0);
        prop_assert_eq!(replica.lsn(key.space).unwrap(), Lsn(10));
        // The log has parents before children, or the document could not be loaded from it.
        let loaded = stored(&store, &key).document.heads();
        prop_assert_eq!(loaded.as_slice(), [end]);
    }
}

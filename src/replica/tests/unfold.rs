//! Where changes belong that meet folded ones: with the stem of the graph, or with all of it.

use std::slice;

use super::super::{Rows, Unfolded, unfold};
use super::fold::{EVERYTHING, complaints, fold_all, make, take_in, value, written};
use super::*;
use crate::id::Lsn;

/// The graph of a record, as memory has it.
pub(super) fn is_unfolded(replica: &Replica, key: &RecordKey) -> bool {
    let slot = replica.catalog.slot(key).unwrap();
    replica.graphs.get(slot).is_some_and(|it| it.is_whole())
}

#[test]
fn people_who_take_turns_go_on_after_folding_without_the_whole_graph() {
    let (store, mut replica) = replica();
    let key = key("note");
    let mut people = [7, 8].map(|it| Writer::stranger(it, &key));
    for turn in 0..20 {
        let change = people[turn % 2].set("count", i64::try_from(turn).unwrap());
        people[1 - turn % 2]
            .0
            .apply(slice::from_ref(&change))
            .unwrap();
        take_in(&mut replica, &key, &[change]);
    }
    fold_all(&mut replica, &key);
    let mut replica = reopen(&store);
    // It names the last change of its own writer, too, after which somebody else's was folded.
    let change = people[0].set("count", 20);
    assert_eq!(change.deps().len(), 2);
    let fates = take_in(&mut replica, &key, &[change]);
    assert!(matches!(fates[..], [Admission::Applied(_)]), "{fates:?}");
    assert!(!is_unfolded(&replica, &key));
    assert_eq!(complaints(&replica, &key), [""; 0]);
}

#[test]
fn a_branch_off_a_folded_change_is_placed_and_folded_where_it_belongs() {
    let (store, mut replica) = replica();
    let key = key("note");
    let (mut writer, changes) = written(&mut replica, &key, 12);
    fold_all(&mut replica, &key);
    let mut replica = reopen(&store);
    let mut other = Writer::stranger(8, &key);
    other.0.apply(&changes[..4]).unwrap();
    let branch = other.history(70);
    let fates = take_in(&mut replica, &key, &branch);
    assert!(fates.iter().all(|it| matches!(it, Admission::Applied(_))));
    assert!(is_unfolded(&replica, &key));
    assert_eq!(complaints(&replica, &key), [""; 0]);
    // Of two branches some of each is folded, in whatever order, and the rest after it.
    let own: Vec<_> = (0..70).map(|it| writer.set("more", it)).collect();
    take_in(&mut replica, &key, &own);
    let mut join = Writer::stranger(9, &key);
    join.0
        .apply(&[&changes[..], &branch, &own].concat())
        .unwrap();
    take_in(&mut replica, &key, &[join.set("count", 5)]);
    for upto in [100, 152, 153] {
        let folding = make(&replica, &key, Lsn(upto));
        replica.fold(&key, folding, EVERYTHING).unwrap();
        replica.commit(Durability::Immediate).unwrap();
        assert_eq!(complaints(&replica, &key), [""; 0], "up to {upto}");
        replica = reopen(&store);
    }
    assert_eq!(value(&replica, &key), join.0.value().unwrap());
}

fn made_apart(replica: &Replica, key: &RecordKey) -> Unfolded {
    let snapshot = replica.store().snapshot().unwrap();
    let unfolded = unfold(&Rows::new(snapshot.as_ref()), key).unwrap();
    unfolded.expect("it was folded")
}

fn must_unfold(replica: &Replica, key: &RecordKey, changes: &[Change]) -> bool {
    let received: Vec<_> = changes.iter().cloned().map(Ok).collect();
    replica.must_unfold(key, &received).unwrap()
}

#[test]
fn only_what_meets_folded_changes_takes_the_whole_graph() {
    let (store, mut replica) = replica();
    let key = key("note");
    let (mut writer, changes) = written(&mut replica, &key, 12);
    let mut twin = Writer::stranger(7, &key);
    twin.0.apply(&changes[..11]).unwrap();
    let mut other = Writer::stranger(8, &key);
    other.0.apply(&changes[..4]).unwrap();
    let next: Vec<_> = (0..3).map(|it| writer.set("count", 20 + it)).collect();
    let whole = |replica: &Replica, changes: &[Change]| must_unfold(replica, &key, changes);
    let branch = other.history(3);
    assert!(!whole(&replica, &branch), "nothing is folded yet");
    fold_all(&mut replica, &key);
    let mut replica = reopen(&store);
    assert!(!whole(&replica, &next), "they follow all that is here");
    assert!(!whole(&replica, &next[1..]), "they wait for one before");
    assert!(!whole(&replica, &changes[11..]), "it is the last one");
    assert!(whole(&replica, &changes[4..6]), "they may be folded");
    assert!(
        whole(&replica, &branch[..1]),
        "it may not follow the folded"
    );
    assert!(whole(&replica, &[&next[..], &branch].concat()));
    assert!(whole(&replica, &[twin.set("count", -1)]), "a twin");

    let unfolded = made_apart(&replica, &key);
    take_in(&mut replica, &key, &next);
    replica.keep_unfolded(&key, unfolded).unwrap();
    assert!(is_unfolded(&replica, &key), "with what came since");
    assert!(!whole(&replica, &branch));
    let fates = take_in(&mut replica, &key, &branch);
    assert!(fates.iter().all(|it| matches!(it, Admission::Applied(_))));
    assert_eq!(complaints(&replica, &key), [""; 0]);
}

#[test]
fn a_graph_that_was_made_before_more_was_folded_is_not_taken() {
    let (_, mut replica) = replica();
    let key = key("note");
    let (mut writer, changes) = written(&mut replica, &key, 12);
    fold_all(&mut replica, &key);
    let unfolded = made_apart(&replica, &key);
    let more: Vec<_> = (0..20).map(|it| writer.set("count", 20 + it)).collect();
    take_in(&mut replica, &key, &more);
    assert_eq!(fold_all(&mut replica, &key), 20);
    replica.keep_unfolded(&key, unfolded).unwrap();
    assert!(!is_unfolded(&replica, &key));
    assert!(must_unfold(&replica, &key, &changes[..1]));
}

#[test]
fn beside_a_branch_off_folded_changes_people_go_on_without_the_whole_graph() {
    let (store, mut replica) = replica();
    let key = key("note");
    let (mut writer, changes) = written(&mut replica, &key, 12);
    fold_all(&mut replica, &key);
    let mut other = Writer::stranger(8, &key);
    other.0.apply(&changes[..4]).unwrap();
    take_in(&mut replica, &key, &[other.set("count", -1)]);
    let mut replica = reopen(&store);
    // One does not see the branch, and follows all that is folded; the branch does not.
    let next = [writer.set("count", 20)];
    assert!(!must_unfold(&replica, &key, &next));
    let fates = take_in(&mut replica, &key, &next);
    assert!(matches!(fates[..], [Admission::Applied(_)]), "{fates:?}");
    let branch = [other.set("count", -2)];
    assert!(must_unfold(&replica, &key, &branch));
    let fates = take_in(&mut replica, &key, &branch);
    assert!(matches!(fates[..], [Admission::Applied(_)]), "{fates:?}");
    assert_eq!(complaints(&replica, &key), [""; 0]);
}

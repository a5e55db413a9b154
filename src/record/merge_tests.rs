//! Typed records edited on two replicas at once.

use std::collections::BTreeSet;

use autosurgeon::Reconcile;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::tests::{Step, Task, actor, any_text, change, created, fork, meta, task};
use super::{Counter, Set, Text, create, delete, is_deleted, read, restore, update};
use crate::doc::Document;

/// The task on both sides after two concurrent updates.
fn merge(left: impl FnOnce(&mut Task), right: impl FnOnce(&mut Task)) -> Task {
    let (mut a, first) = created(&task());
    let mut b = fork(2, &[first]);
    let (left, right) = (change(&mut a, left), change(&mut b, right));
    a.apply(&[right]).unwrap();
    b.apply(&[left]).unwrap();
    assert_eq!(a.heads(), b.heads());
    assert_eq!(a.value().unwrap(), b.value().unwrap());
    read(&a.value().unwrap()).unwrap()
}

#[test]
fn concurrent_updates_of_different_fields_are_both_kept() {
    let merged = merge(
        |it| it.title = "a".to_owned(),
        |it| it.place.street = "b".to_owned(),
    );
    assert_eq!(
        (merged.title.as_str(), merged.place.street.as_str()),
        ("a", "b")
    );
}

#[test]
fn concurrent_increments_add_up() {
    let merged = merge(|it| it.votes.increment(5), |it| it.votes = Counter::new(3));
    assert_eq!(merged.votes.value(), 8);
}

#[test]
fn concurrent_text_edits_merge_character_by_character() {
    let merged = merge(
        |it| it.notes.splice(4, 5, "schnelle 🦊"),
        |it| it.notes.push_str(" jumps — 東京"),
    );
    assert_eq!(merged.notes.as_str(), "the schnelle 🦊 fox jumps — 東京");
}

#[test]
fn concurrent_set_edits_merge_element_by_element() {
    let merged = merge(
        |it| {
            it.labels.remove(&"a".to_owned());
            it.labels.insert("left".to_owned());
        },
        |it| {
            it.labels.insert("right".to_owned());
        },
    );
    let labels: Vec<_> = merged.labels.iter().map(String::as_str).collect();
    assert_eq!(labels, ["b", "left", "right"]);
}

#[test]
fn an_element_added_on_both_sides_is_there_once() {
    let merged = merge(
        |it| {
            it.numbers.insert(7);
        },
        |it| {
            it.numbers.insert(7);
        },
    );
    assert_eq!(
        merged.numbers.iter().copied().collect::<Vec<_>>(),
        [-1, 2, 7]
    );
}

#[test]
fn elements_of_a_list_are_matched_by_their_key() {
    let merged = merge(
        |it| {
            it.steps.remove(0);
            it.steps[1].text = "three".to_owned();
        },
        |it| {
            it.steps[1].done = true;
            let step = Step {
                id: 4,
                ..Step::default()
            };
            it.steps.insert(0, step);
        },
    );
    let steps: Vec<_> = merged
        .steps
        .iter()
        .map(|it| (it.id, it.done, it.text.as_str()))
        .collect();
    assert_eq!(
        steps,
        [(4, false, ""), (2, true, "step 2"), (3, false, "three")]
    );
}

#[test]
fn concurrent_map_edits_merge_entry_by_entry() {
    let merged = merge(
        |it| {
            it.prices.remove("milk");
        },
        |it| {
            it.prices.insert("jam".to_owned(), 4);
        },
    );
    let keys: Vec<_> = merged.prices.keys().map(String::as_str).collect();
    assert_eq!(keys, ["jam", "tea"]);
}

#[test]
fn an_edit_concurrent_with_a_deletion_is_there_after_restoring() {
    let (mut a, first) = created(&task());
    let mut b = fork(2, &[first]);
    let deletion = delete(&mut a, meta()).unwrap().unwrap();
    let edit = change(&mut b, |it| it.title = "edited".to_owned());
    a.apply(&[edit]).unwrap();
    b.apply(&[deletion]).unwrap();
    assert_eq!(a.value().unwrap(), b.value().unwrap());
    assert!(is_deleted(&a.value().unwrap()));
    restore(&mut b, meta()).unwrap();
    assert_eq!(read::<Task>(&b.value().unwrap()).unwrap().title, "edited");
}

#[test]
fn a_record_created_on_both_sides_is_one_record_on_which_they_agree() {
    let mut sides = [1, 2].map(|number| {
        let title = format!("from {number}");
        let mut doc = Document::new(&actor(number));
        let change = create(&mut doc, meta(), &Task { title, ..task() }).unwrap();
        (doc, change)
    });
    let changes = [sides[0].1.clone(), sides[1].1.clone()];
    for (doc, _) in &mut sides {
        doc.apply(&changes).unwrap();
    }
    let [(a, _), (b, _)] = sides;
    assert_eq!(a.heads(), b.heads());
    assert_eq!(a.value().unwrap(), b.value().unwrap());
    let title = read::<Task>(&a.value().unwrap()).unwrap().title;
    assert!(["from 1", "from 2"].contains(&title.as_str()));
}

#[test]
fn one_restore_takes_back_concurrent_deletions() {
    let (mut a, first) = created(&task());
    let mut b = fork(2, &[first]);
    let ours = delete(&mut a, meta()).unwrap().unwrap();
    let theirs = delete(&mut b, meta()).unwrap().unwrap();
    a.apply(&[theirs]).unwrap();
    b.apply(&[ours]).unwrap();
    restore(&mut a, meta()).unwrap();
    assert!(!is_deleted(&a.value().unwrap()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn replicas_agree_on_a_text_whatever_was_done_to_it(
        start in any_text(), left in any_text(), right in any_text(),
    ) {
        let (mut a, first) = created(&Task { notes: Text::from(start), ..task() });
        let mut b = fork(2, &[first]);
        let set = |text: String| move |it: &mut Task| it.notes = Text::from(text);
        let ((), left) = update(&mut a, meta(), set(left)).unwrap();
        let ((), right) = update(&mut b, meta(), set(right)).unwrap();
        a.apply(&right.into_iter().collect::<Vec<_>>()).unwrap();
        b.apply(&left.into_iter().collect::<Vec<_>>()).unwrap();
        prop_assert_eq!(a.value().unwrap(), b.value().unwrap());
    }

    #[test]
    fn sets_merge_to_the_union_of_additions_without_the_removals(
        start: BTreeSet<u8>,
        added: BTreeSet<u8>,
        removed: BTreeSet<u8>,
    ) {
        #[derive(Clone, Debug, Reconcile, Serialize, Deserialize)]
        struct Bag { items: Set<u8>, touched: u64 }
        let (mut a, first) = created(&Bag { items: start.iter().copied().collect(), touched: 0 });
        let mut b = fork(2, &[first]);
        let ((), left) = update(&mut a, meta(), |bag: &mut Bag| {
            bag.touched = 1;
            for item in &added { bag.items.insert(*item); }
        }).unwrap();
        let ((), right) = update(&mut b, meta(), |bag: &mut Bag| {
            bag.touched = 2;
            for item in &removed { bag.items.remove(item); }
        }).unwrap();
        a.apply(&[right.unwrap()]).unwrap();
        b.apply(&[left.unwrap()]).unwrap();
        let bag: Bag = read(&a.value().unwrap()).unwrap();
        prop_assert_eq!(&bag.items, &read::<Bag>(&b.value().unwrap()).unwrap().items);
        let new: Vec<_> = added.difference(&start).copied().collect();
        let expected: Set<u8> = start.difference(&removed).copied().chain(new).collect();
        prop_assert_eq!(bag.items, expected);
    }
}

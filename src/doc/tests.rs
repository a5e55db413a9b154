//! Documents: edits, merges, and what happens when bytes are not what they should be.

use std::collections::BTreeMap;

use automerge::ReadDoc as _;
use proptest::prelude::*;

use super::value::tests::any_value;
use super::{Change, Document, DocumentFault, Edit, EditMeta, PathStep, Value};
use crate::error::{Error, ErrorKind};
use crate::id::ActorId;
use crate::limits;
use crate::time::WallTime;

pub(super) fn actor(number: u8) -> ActorId {
    ActorId::from_bytes(vec![number; 16])
}

pub(super) fn meta() -> EditMeta {
    EditMeta::at(WallTime::from_millis(1_700_000_000_123))
}

pub(super) fn map(json: &serde_json::Value) -> BTreeMap<String, Value> {
    Value::from_json(json).unwrap().as_map().unwrap().clone()
}

pub(super) fn path(steps: &[&str]) -> Vec<PathStep> {
    let step = |it: &&str| {
        it.parse::<usize>()
            .map_or_else(|_| PathStep::from(*it), PathStep::from)
    };
    steps.iter().map(step).collect()
}

/// As a function, because the method is not general enough over the edit's lifetime.
fn take_back(edit: &mut Edit<'_>) -> Result<(), Error> {
    edit.restore()
}

/// One edit that must make a change.
pub(super) fn change(
    doc: &mut Document,
    work: impl FnOnce(&mut Edit<'_>) -> Result<(), Error>,
) -> Change {
    doc.edit(meta(), work)
        .unwrap()
        .1
        .expect("the edit writes something")
}

pub(super) fn document(json: &serde_json::Value) -> (Document, Change) {
    let mut doc = Document::new(&actor(1));
    let first = change(&mut doc, |edit| edit.put_map(&map(json)));
    (doc, first)
}

pub(super) fn fork(number: u8, changes: &[Change]) -> Document {
    Document::load(&actor(number), changes.iter().map(|it| it.bytes().as_ref())).unwrap()
}

/// Two documents with the same start, edited apart, then each given the other's change.
fn merge(
    start: &serde_json::Value,
    left: impl FnOnce(&mut Edit<'_>) -> Result<(), Error>,
    right: impl FnOnce(&mut Edit<'_>) -> Result<(), Error>,
) -> Value {
    let (mut a, first) = document(start);
    let mut b = fork(2, &[first]);
    let (left, right) = (change(&mut a, left), change(&mut b, right));
    a.apply(&[right]).unwrap();
    b.apply(&[left]).unwrap();
    assert_eq!(a.heads(), b.heads());
    assert_eq!(a.value().unwrap(), b.value().unwrap());
    a.value().unwrap()
}

fn json(text: &serde_json::Value) -> Value {
    Value::from_json(text).unwrap()
}

#[test]
fn an_edit_makes_one_change_with_time_message_and_parents() {
    let (mut doc, first) = document(&serde_json::json!({"a": 1}));
    let meta = EditMeta {
        message: Some("why".to_owned()),
        ..meta()
    };
    let set = |edit: &mut Edit<'_>| edit.set(&path(&["a"]), &Value::Int(2));
    let ((), second) = doc.edit::<_, Error>(meta, set).unwrap();
    let second = second.unwrap();
    assert_eq!(
        (second.time(), second.message()),
        (1_700_000_000, Some("why"))
    );
    assert_eq!(second.deps(), [first.hash()]);
    assert_eq!(
        (second.seq(), second.op_count(), second.start_op()),
        (2, 1, 2)
    );
    assert_eq!(doc.heads().as_slice(), [second.hash()]);
    assert!(doc.has(&first.hash()) && doc.has(&second.hash()));
    assert!(!fork(2, &[first]).has(&second.hash()));
}

#[test]
fn the_same_edit_of_the_same_document_is_the_same_change() {
    let start = serde_json::json!({"m": {"a": 1, "b": 2, "c": 3, "d": 4}, "l": [1, {"x": 1}]});
    let edited = serde_json::json!({"m": {"c": 3}, "z": {"p": 1, "q": 2, "r": [1, 2]}});
    let run = || {
        let (mut doc, first) = document(&start);
        let second = change(&mut doc, |edit| edit.put_map(&map(&edited)));
        (first.hash(), second.hash())
    };
    let once = run();
    assert!((0..20).all(|_| run() == once));
}

#[test]
fn writing_what_is_there_writes_nothing() {
    let start = serde_json::json!({
        "text": {"$text": "abc"}, "counter": {"$counter": 5}, "list": [1, {"a": [true]}],
        "time": {"$time": 5}, "bytes": {"$bytes": "AQI="}, "nan": {"$float": "NaN"}, "none": null,
    });
    let (mut doc, _) = document(&start);
    let heads = doc.heads();
    let plain = doc.value().unwrap().to_json();
    for again in [start, plain] {
        let ((), change) = doc
            .edit::<_, Error>(meta(), |edit| edit.put_map(&map(&again)))
            .unwrap();
        assert_eq!(change, None);
    }
    assert_eq!(doc.heads(), heads);
}

#[test]
fn a_record_that_was_emptied_can_be_filled_again() {
    let (mut doc, _) = document(&serde_json::json!({"a": 1, "m": {"x": 1}}));
    change(&mut doc, |edit| edit.put_map(&BTreeMap::new()));
    assert_eq!(doc.value().unwrap(), Value::Map(BTreeMap::new()));
    let filled = serde_json::json!({"a": 2, "m": {"y": 1}});
    change(&mut doc, |edit| edit.put_map(&map(&filled)));
    assert_eq!(doc.value().unwrap(), json(&filled));
}

#[test]
fn one_changed_field_costs_one_operation_and_about_a_hundred_bytes() {
    let start = serde_json::json!({
        "id": 1, "kind": "task", "title": "t".repeat(40), "notes": {"$text": "n".repeat(130)},
        "assignee": "somebody", "done": false, "priority": 3, "tags": ["a", "b", "c"],
    });
    let (mut doc, _) = document(&start);
    let done = change(&mut doc, |edit| {
        edit.set(&path(&["done"]), &Value::Bool(true))
    });
    assert_eq!(done.op_count(), 1);
    assert!(done.bytes().len() <= 110, "{}", done.bytes().len());
    let mut whole = map(&start);
    whole.insert(
        "tags".to_owned(),
        json(&serde_json::json!(["a", "x", "b", "c"])),
    );
    whole.insert("done".to_owned(), Value::Bool(true));
    let tags = change(&mut doc, |edit| edit.put_map(&whole));
    assert_eq!(tags.op_count(), 1);
    let text = format!("{}!{}", "n".repeat(60), "n".repeat(70));
    whole.insert("notes".to_owned(), Value::Str(text));
    let notes = change(&mut doc, |edit| edit.put_map(&whole));
    assert_eq!(notes.op_count(), 1);
}

#[test]
fn concurrent_edits_of_a_text_both_take_effect_at_the_right_characters() {
    let start = serde_json::json!({"text": {"$text": "grüße 👨‍👩‍👧 an 東京"}});
    let set =
        |text: &'static str| move |edit: &mut Edit<'_>| edit.set(&path(&["text"]), &text.into());
    let merged = merge(
        &start,
        set("Grüße 👨‍👩‍👧 an 東京"),
        set("grüße 👨‍👩‍👧 an alle in 東京🎉"),
    );
    assert_eq!(
        merged.get(&path(&["text"])),
        Some(&Value::Text("Grüße 👨‍👩‍👧 an alle in 東京🎉".to_owned()))
    );
}

#[test]
fn a_splice_counts_unicode_scalar_values() {
    let (mut doc, _) = document(&serde_json::json!({"text": {"$text": "añ🎉b"}}));
    change(&mut doc, |edit| {
        edit.splice_text(&path(&["text"]), 2, 1, "👍🏽")
    });
    let text = doc.value().unwrap();
    assert_eq!(text.get(&path(&["text"])).unwrap().as_str(), Some("añ👍🏽b"));
    let beyond = doc.edit::<_, Error>(meta(), |edit| edit.splice_text(&path(&["text"]), 4, 2, ""));
    assert_eq!(beyond.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn concurrent_increments_add_up_however_they_are_written() {
    let start = serde_json::json!({"n": {"$counter": 10}});
    let merged = merge(
        &start,
        |edit| edit.increment(&path(&["n"]), 5),
        |edit| edit.set(&path(&["n"]), &Value::Int(7)),
    );
    assert_eq!(merged.get(&path(&["n"])), Some(&Value::Counter(12)));
}

#[test]
fn concurrent_edits_of_a_list_touch_only_what_they_change() {
    let start = serde_json::json!({"l": [{"id": 1, "v": 1}, {"id": 2, "v": 2}, {"id": 3, "v": 3}]});
    let left = json(
        &serde_json::json!([{"id": 0, "v": 0}, {"id": 1, "v": 1}, {"id": 2, "v": 2}, {"id": 3, "v": 3}]),
    );
    let right =
        json(&serde_json::json!([{"id": 1, "v": 1}, {"id": 2, "v": 20}, {"id": 3, "v": 3}]));
    let merged = merge(
        &start,
        move |edit| edit.set(&path(&["l"]), &left),
        move |edit| edit.set(&path(&["l"]), &right),
    );
    let expected = serde_json::json!([{"id": 0, "v": 0}, {"id": 1, "v": 1}, {"id": 2, "v": 20}, {"id": 3, "v": 3}]);
    assert_eq!(merged.get(&path(&["l"])), Some(&json(&expected)));
}

#[test]
fn a_deletion_and_a_concurrent_edit_are_both_kept() {
    let (mut a, first) = document(&serde_json::json!({"a": 1}));
    let mut b = fork(2, &[first]);
    let deletion = change(&mut a, |edit| edit.mark_deleted(WallTime::from_millis(42)));
    let edit = change(&mut b, |edit| edit.set(&path(&["a"]), &Value::Int(2)));
    a.apply(&[edit]).unwrap();
    b.apply(&[deletion]).unwrap();
    let expected = BTreeMap::from([
        ("$deleted".to_owned(), Value::Timestamp(42)),
        ("a".to_owned(), Value::Int(2)),
    ]);
    assert_eq!(a.value().unwrap(), Value::Map(expected.clone()));
    assert_eq!(b.value().unwrap(), Value::Map(expected));
    // A second deletion writes nothing, and putting the whole record does not undo it.
    let again = |edit: &mut Edit<'_>| edit.mark_deleted(WallTime::from_millis(43));
    assert_eq!(a.edit::<_, Error>(meta(), again).unwrap().1, None);
    change(&mut a, |edit| {
        edit.put_map(&map(&serde_json::json!({"b": 3})))
    });
    assert!(a.value().unwrap().get(&path(&["$deleted"])).is_some());
    change(&mut a, take_back);
    assert_eq!(a.value().unwrap(), json(&serde_json::json!({"b": 3})));
    assert_eq!(a.edit::<_, Error>(meta(), take_back).unwrap().1, None);
}

#[test]
fn reserved_keys_can_not_be_written_as_fields() {
    let (mut doc, _) = document(&serde_json::json!({"a": {"b": 1}}));
    let key = path(&["$deleted"]);
    let whole = BTreeMap::from([("$deleted".to_owned(), Value::Int(1))]);
    for error in [
        doc.edit::<_, Error>(meta(), |edit| edit.set(&key, &Value::Int(1)))
            .unwrap_err(),
        doc.edit::<_, Error>(meta(), |edit| edit.remove(&key))
            .unwrap_err(),
        doc.edit::<_, Error>(meta(), |edit| edit.put_map(&whole))
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    change(&mut doc, |edit| {
        edit.set(&path(&["a", "$deleted"]), &Value::Int(1))
    });
}

#[test]
fn an_edit_that_fails_leaves_the_document_as_it_was() {
    let (mut doc, _) = document(&serde_json::json!({"a": 1, "l": [1]}));
    let before = (doc.heads(), doc.value().unwrap());
    let long = Value::Str("x".repeat(limits::FIELD_BYTES_MAX + 1));
    let deep = (0..limits::VALUE_DEPTH_MAX).fold(Value::Null, |it, _| Value::List(vec![it]));
    let inside = Value::List(vec![Value::Map(BTreeMap::from([(
        "long".to_owned(),
        long,
    )]))]);
    for (target, value, kind, place) in [
        ("l", &inside, ErrorKind::TooLarge, "l[0].long"),
        ("deep", &deep, ErrorKind::TooLarge, "deep[0][0]"),
    ] {
        let error = doc
            .edit::<(), Error>(meta(), |edit| {
                edit.set(&path(&["a"]), &Value::Int(2))?;
                edit.set(&path(&[target]), value)
            })
            .unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().starts_with(place), "{error}");
    }
    let error = doc
        .edit::<(), Error>(meta(), |edit| {
            edit.set(&path(&["a"]), &Value::Int(2))?;
            edit.set(&path(&["no", "such"]), &Value::Null)
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!((doc.heads(), doc.value().unwrap()), before);
    // And it can go on.
    let next = change(&mut doc, |edit| edit.set(&path(&["a"]), &Value::Int(3)));
    assert_eq!(next.seq(), 2);
}

#[test]
fn an_edit_that_panics_is_an_error_and_the_document_is_given_up() {
    let (mut doc, _) = document(&serde_json::json!({"a": 1}));
    let error = doc
        .edit::<(), Error>(meta(), |edit| {
            edit.set(&path(&["a"]), &Value::Int(2))?;
            panic!("in the middle of an edit")
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned);
    assert_eq!(doc.value(), Err(DocumentFault::Spoiled));
}

#[test]
fn a_change_over_the_limit_is_refused_and_the_document_given_up() {
    let (mut doc, _) = document(&serde_json::json!({"a": 1}));
    // Bytes that don't compress, in more fields than one change can hold.
    let mut entropy = crate::entropy::Entropy::from_number(1);
    let mut noise = || {
        Value::Bytes(
            (0..limits::FIELD_BYTES_MAX / 1024)
                .flat_map(|_| entropy.bytes::<1024>())
                .collect(),
        )
    };
    let error = doc
        .edit::<(), Error>(meta(), |edit| {
            edit.set(&path(&["b"]), &noise())?;
            edit.set(&path(&["c"]), &noise())?;
            edit.set(&path(&["d"]), &noise())
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    // Nothing can be built on a change that was never captured.
    assert_eq!(doc.value(), Err(DocumentFault::Spoiled));
    assert!(doc.edit::<_, Error>(meta(), take_back).is_err());
}

#[test]
fn a_message_over_the_limit_is_refused_before_the_edit() {
    let (mut doc, _) = document(&serde_json::json!({"a": 1}));
    let before = doc.heads();
    let message = Some("m".repeat(limits::CHANGE_MESSAGE_BYTES_MAX + 1));
    let long = EditMeta { message, ..meta() };
    let error = doc.edit::<_, Error>(long, take_back).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(doc.heads(), before);
}

#[test]
fn a_saved_document_opens_with_the_same_heads_and_all_its_changes() {
    let (mut doc, first) =
        document(&serde_json::json!({"a": 1, "text": {"$text": "x".repeat(500)}}));
    let second = change(&mut doc, |edit| edit.set(&path(&["a"]), &Value::Int(2)));
    let saved = doc.save().unwrap();
    let (opened, changes) = Document::open_saved(&actor(3), &saved).unwrap();
    assert_eq!(opened.heads(), doc.heads());
    assert_eq!(changes, [first.clone(), second.clone()]);
    let third = change(&mut doc, |edit| edit.set(&path(&["a"]), &Value::Int(3)));
    let chunks = [saved.as_slice(), third.bytes()];
    let loaded = Document::load(&actor(4), chunks).unwrap();
    assert_eq!(loaded.heads(), doc.heads());
    assert_eq!(loaded.value().unwrap(), doc.value().unwrap());
}

#[test]
fn a_change_without_its_parents_is_not_applied() {
    let (mut doc, first) = document(&serde_json::json!({"a": 1}));
    let second = change(&mut doc, |edit| edit.set(&path(&["a"]), &Value::Int(2)));
    let third = change(&mut doc, |edit| edit.set(&path(&["a"]), &Value::Int(3)));
    let mut other = fork(2, std::slice::from_ref(&first));
    let fault = other.apply(std::slice::from_ref(&third)).unwrap_err();
    assert_eq!(fault, DocumentFault::MissingParents { missing: 1 });
    assert!(!other.is_spoiled());
    assert_eq!(other.heads().as_slice(), [first.hash()]);
    // In any order, and any number of times.
    other
        .apply(&[third.clone(), second.clone(), third, second])
        .unwrap();
    assert_eq!(other.heads(), doc.heads());
}

#[test]
fn a_second_change_with_the_same_number_is_refused_and_spoils_the_document() {
    let (mut a, first) = document(&serde_json::json!({"a": 1}));
    let mut twin = fork(1, std::slice::from_ref(&first));
    let ours = change(&mut a, |edit| edit.set(&path(&["a"]), &Value::Int(2)));
    let theirs = change(&mut twin, |edit| edit.set(&path(&["a"]), &Value::Int(3)));
    let fault = a.apply(&[theirs]).unwrap_err();
    assert!(matches!(fault, DocumentFault::Refused { .. }), "{fault}");
    // It may be half of something, so it gives nothing; loaded again it is what it was.
    assert!(a.is_spoiled());
    assert_eq!(a.value(), Err(DocumentFault::Spoiled));
    assert_eq!(a.apply(&[]), Err(DocumentFault::Spoiled));
    let again = fork(1, &[first, ours.clone()]);
    assert_eq!(again.heads().as_slice(), [ours.hash()]);
    assert_eq!(again.value().unwrap(), json(&serde_json::json!({"a": 2})));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_put_is_what_is_read(
        old in prop::collection::btree_map("[a-c]", any_value(), 1..4),
        new in prop::collection::btree_map("[a-c]", any_value(), 1..4),
    ) {
        let mut doc = Document::new(&actor(1));
        let ((), first) = doc.edit::<_, Error>(meta(), |edit| edit.put_map(&old)).unwrap();
        prop_assert_eq!(doc.value().unwrap(), Value::Map(old));
        let ((), second) = doc.edit::<_, Error>(meta(), |edit| edit.put_map(&new)).unwrap();
        prop_assert_eq!(blurred(&doc.value().unwrap()), blurred(&Value::Map(new.clone())));
        let ((), third) = doc.edit::<_, Error>(meta(), |edit| edit.put_map(&new)).unwrap();
        prop_assert_eq!(third, None);
        let changes: Vec<_> = first.into_iter().chain(second).collect();
        prop_assert_eq!(fork(2, &changes).value().unwrap(), doc.value().unwrap());
    }
}

/// Values that a put takes for the same where the other is there: whole numbers of any kind,
/// strings and texts.
fn blurred(value: &Value) -> Value {
    match value {
        Value::Text(text) => Value::Str(text.clone()),
        Value::Counter(number) | Value::Timestamp(number) => Value::Int(*number),
        Value::Uint(number) => i64::try_from(*number).map_or(Value::Uint(*number), Value::Int),
        Value::List(list) => Value::List(list.iter().map(blurred).collect()),
        Value::Map(map) => Value::Map(map.iter().map(|(k, v)| (k.clone(), blurred(v))).collect()),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Str(_)
        | Value::Bytes(_)
        | Value::Unknown { .. } => value.clone(),
    }
}

#[test]
fn texts_of_all_documents_count_the_same_unit() {
    let (doc, _) = document(&serde_json::json!({"text": {"$text": "👍🏽ä"}}));
    let saved = doc.save().unwrap();
    let loaded = Document::load(&actor(2), [saved.as_slice()]).unwrap();
    for doc in [doc, loaded] {
        let (_, text) = doc.inner().get(automerge::ROOT, "text").unwrap().unwrap();
        assert_eq!(doc.inner().length(text), 3);
    }
}

#[test]
fn a_document_weighs_more_the_more_is_in_it() {
    let (mut doc, _) = document(&serde_json::json!({"a": 1}));
    let light = doc.size_hint();
    let long = Value::Str("x".repeat(100));
    change(&mut doc, |edit| edit.set(&path(&["a"]), &long));
    assert!(doc.size_hint() > light);
    let empty = Document::new(&actor(1));
    assert_eq!(empty.value().unwrap(), Value::Map(BTreeMap::new()));
    let saved = empty.save().unwrap();
    assert!(
        Document::load(&actor(1), [saved.as_slice()])
            .unwrap()
            .heads()
            .is_empty()
    );
}

#[test]
fn an_edit_joins_as_many_heads_as_a_record_may_have() {
    let (mut doc, first) = document(&serde_json::json!({"a": 0}));
    let branches: Vec<_> = (0..limits::HEADS_MAX)
        .map(|number| {
            let actor = ActorId::from_bytes(format!("branch {number}").into_bytes());
            let mut branch = Document::load(&actor, [first.bytes().as_ref()]).unwrap();
            let key = format!("k{number}");
            change(&mut branch, |edit| edit.set(&path(&[&key]), &Value::Null))
        })
        .collect();
    doc.apply(&branches).unwrap();
    assert_eq!(doc.heads().as_slice().len(), limits::HEADS_MAX);
    let joined = change(&mut doc, |edit| edit.set(&path(&["a"]), &Value::Int(1)));
    // Its author's own last change is named too.
    assert_eq!(joined.deps().len(), limits::CHANGE_DEPS_MAX);
    assert_eq!(doc.heads().as_slice(), [joined.hash()]);
}

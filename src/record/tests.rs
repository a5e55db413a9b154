//! Typed records on one replica.

use std::collections::BTreeMap;

use autosurgeon::{Hydrate, Reconcile};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Bytes, Counter, Record, Set, Text, Timestamp, create, delete, edit_json, is_deleted, put_json,
    read, restore, update,
};
use crate::doc::{Change, Document, EditMeta, Value};
use crate::error::ErrorKind;
use crate::id::ActorId;
use crate::limits;
use crate::time::WallTime;

#[derive(Clone, Debug, Default, PartialEq, Reconcile, Hydrate, Serialize, Deserialize)]
pub(super) enum Status {
    #[default]
    Open,
    Assigned(String),
    Closed {
        by: String,
        rating: u64,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Reconcile, Hydrate, Serialize, Deserialize)]
pub(super) struct Step {
    #[key]
    pub(super) id: u64,
    pub(super) text: String,
    pub(super) done: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Reconcile, Hydrate, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) street: String,
    number: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Reconcile, Hydrate, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) title: String,
    pub(super) count: u64,
    pub(super) delta: i64,
    pub(super) ratio: f64,
    pub(super) done: bool,
    pub(super) notes: Text,
    pub(super) votes: Counter,
    pub(super) at: Timestamp,
    pub(super) raw: Bytes,
    pub(super) labels: Set<String>,
    pub(super) numbers: Set<i64>,
    pub(super) maybe: Option<String>,
    pub(super) place: Place,
    pub(super) status: Status,
    pub(super) steps: Vec<Step>,
    pub(super) plain: Vec<String>,
    pub(super) prices: BTreeMap<String, u64>,
    pub(super) nested: Option<Place>,
}

pub(super) fn task() -> Task {
    let step = |id: u64| Step {
        id,
        text: format!("step {id}"),
        done: false,
    };
    Task {
        title: "buy".to_owned(),
        count: u64::MAX,
        delta: -7,
        ratio: 0.25,
        notes: Text::from("the quick fox"),
        votes: Counter::new(10),
        at: Timestamp::from_millis(-5),
        raw: Bytes(vec![0, 255]),
        labels: ["a", "b"].map(str::to_owned).into_iter().collect(),
        numbers: [-1, 2].into_iter().collect(),
        status: Status::Assigned("me".to_owned()),
        steps: vec![step(1), step(2), step(3)],
        plain: vec!["x".to_owned(), "y".to_owned()],
        prices: BTreeMap::from([("milk".to_owned(), 3), ("tea".to_owned(), 5)]),
        ..Task::default()
    }
}

pub(super) fn actor(number: u8) -> ActorId {
    ActorId::from_bytes(vec![number; 16])
}

pub(super) fn meta() -> EditMeta {
    EditMeta::at(WallTime::from_millis(1_700_000_000_000))
}

pub(super) fn created<T: Record>(value: &T) -> (Document, Change) {
    let mut doc = Document::new(&actor(1));
    let change = create(&mut doc, meta(), value).unwrap();
    (doc, change)
}

pub(super) fn fork(number: u8, changes: &[Change]) -> Document {
    Document::load(&actor(number), changes.iter().map(|it| it.bytes().as_ref())).unwrap()
}

pub(super) fn change(doc: &mut Document, work: impl FnOnce(&mut Task)) -> Change {
    update(doc, meta(), work)
        .unwrap()
        .1
        .expect("the update writes something")
}

#[test]
fn every_kind_of_field_reads_back_as_written() {
    for status in [
        Status::Open,
        Status::Assigned("ä".to_owned()),
        Status::Closed {
            by: "me".to_owned(),
            rating: 5,
        },
    ] {
        let task = Task {
            status,
            nested: Some(Place::default()),
            maybe: Some("x".to_owned()),
            ..task()
        };
        let (doc, _) = created(&task);
        let value = doc.value().unwrap();
        assert_eq!(read::<Task>(&value).unwrap(), task);
        // And through the bytes that a view stores.
        let value = Value::from_bytes(&value.to_bytes()).unwrap();
        assert_eq!(read::<Task>(&value).unwrap(), task);
        // Autosurgeon's own reader agrees.
        assert_eq!(doc.hydrated::<Task>(), task);
    }
}

#[test]
fn fields_are_stored_as_the_kinds_that_merge() {
    let (doc, _) = created(&task());
    let value = doc.value().unwrap();
    let field = |name: &str| value.get(&[name.into()]).unwrap().class();
    assert_eq!(field("notes"), "a text");
    assert_eq!(field("title"), "a string");
    assert_eq!(field("votes"), "a counter");
    assert_eq!(field("at"), "a timestamp");
    assert_eq!(field("raw"), "bytes");
    assert_eq!(field("count"), "an unsigned integer");
    let labels = value.get(&["labels".into()]).unwrap().to_json();
    assert_eq!(labels, json!({"a": true, "b": true}));
}

#[test]
fn an_update_without_a_difference_writes_nothing() {
    let (mut doc, _) = created(&task());
    let heads = doc.heads();
    let same = task();
    let (answer, change) = update(&mut doc, meta(), |it: &mut Task| {
        *it = same;
        42
    })
    .unwrap();
    assert_eq!((answer, change), (42, None));
    assert_eq!(doc.heads(), heads);
}

#[test]
fn each_changed_field_is_one_operation() {
    type Case = (&'static str, fn(&mut Task));
    let cases: [Case; 15] = [
        ("string", |it| it.title = "sell".to_owned()),
        ("unsigned", |it| it.count = 1),
        ("float", |it| it.ratio = 0.5),
        ("text", |it| it.notes.splice(9, 1, "")),
        ("text assigned", |it| {
            it.notes = Text::from("the quick fox!");
        }),
        ("counter", |it| it.votes.increment(2)),
        ("timestamp", |it| it.at = Timestamp::from_millis(6)),
        ("bytes", |it| it.raw = Bytes(vec![1])),
        ("set add", |it| {
            it.labels.insert("c".to_owned());
        }),
        ("set remove", |it| {
            it.numbers.remove(&-1);
        }),
        ("option", |it| it.maybe = Some("x".to_owned())),
        ("nested", |it| it.place.number = 3),
        ("element", |it| it.steps[1].done = true),
        ("map entry", |it| {
            it.prices.remove("tea");
        }),
        ("list", |it| {
            it.steps.remove(0);
        }),
    ];
    for (what, edit) in cases {
        let (mut doc, _) = created(&task());
        let change = change(&mut doc, edit);
        assert_eq!(change.op_count(), 1, "{what}");
        assert!(
            change.bytes().len() < 140,
            "{what}: {}",
            change.bytes().len()
        );
        let mut expected = task();
        edit(&mut expected);
        assert_eq!(
            read::<Task>(&doc.value().unwrap()).unwrap(),
            expected,
            "{what}"
        );
    }
}

#[test]
fn an_update_is_the_same_change_each_time_it_runs() {
    #[derive(Clone, Debug, Reconcile, Serialize, Deserialize)]
    struct Bag {
        prices: BTreeMap<String, u64>,
        labels: Set<u64>,
    }
    let run = || {
        let prices = (0..30).map(|it| (format!("k{it}"), it)).collect();
        let (mut doc, first) = created(&Bag {
            prices,
            labels: (0..30).collect(),
        });
        let ((), second) = update(&mut doc, meta(), |it: &mut Bag| {
            it.prices.retain(|_, price| *price % 3 == 0);
            it.labels = (20..40).collect();
        })
        .unwrap();
        (first.hash(), second.unwrap().hash())
    };
    let once = run();
    assert!((0..10).all(|_| run() == once));
}

#[test]
fn fields_that_the_type_does_not_have_survive_an_update() {
    #[derive(Clone, Debug, Reconcile, Serialize, Deserialize)]
    struct Older {
        title: String,
        place: OlderPlace,
    }
    #[derive(Clone, Debug, Reconcile, Serialize, Deserialize)]
    struct OlderPlace {
        street: String,
    }
    let (mut doc, _) = created(&task());
    update(&mut doc, meta(), |it: &mut Older| {
        it.title = "new".to_owned();
        it.place.street = "new".to_owned();
    })
    .unwrap();
    let place = Place {
        street: "new".to_owned(),
        ..task().place
    };
    let expected = Task {
        title: "new".to_owned(),
        place,
        ..task()
    };
    assert_eq!(read::<Task>(&doc.value().unwrap()).unwrap(), expected);
}

#[test]
fn an_enum_can_change_its_variant_and_back() {
    let (mut doc, _) = created(&task());
    let closed = |rating| Status::Closed {
        by: "x".to_owned(),
        rating,
    };
    let assigned = |to: &str| Status::Assigned(to.to_owned());
    for status in [
        closed(1),
        closed(2),
        Status::Open,
        assigned("a"),
        assigned("b"),
        closed(2),
        assigned("b"),
        Status::Open,
    ] {
        change(&mut doc, |it| it.status = status.clone());
        let read: Task = read(&doc.value().unwrap()).unwrap();
        assert_eq!(read, Task { status, ..task() });
    }
}

#[test]
fn options_hold_every_kind_and_nothing() {
    #[derive(Clone, Debug, Default, PartialEq, Reconcile, Serialize, Deserialize)]
    struct Maybe {
        id: u64,
        text: Option<Text>,
        count: Option<Counter>,
        set: Option<Set<bool>>,
        list: Option<Vec<Text>>,
        map: Option<BTreeMap<String, Counter>>,
    }
    let full = Maybe {
        id: 1,
        text: Some(Text::from("ä")),
        count: Some(Counter::new(3)),
        set: Some([true].into_iter().collect()),
        list: Some(vec![Text::from("x"), Text::from("y")]),
        map: Some(BTreeMap::from([("k".to_owned(), Counter::new(1))])),
    };
    let none = Maybe {
        id: 1,
        ..Maybe::default()
    };
    let (mut doc, _) = created(&none);
    for state in [&full, &none, &full] {
        update(&mut doc, meta(), |it: &mut Maybe| it.clone_from(state)).unwrap();
        assert_eq!(&read::<Maybe>(&doc.value().unwrap()).unwrap(), state);
    }
    let ((), edit) = update(&mut doc, meta(), |it: &mut Maybe| {
        it.list.as_mut().unwrap()[1].push_str("!");
        it.map.as_mut().unwrap().get_mut("k").unwrap().increment(1);
    })
    .unwrap();
    assert_eq!(edit.unwrap().op_count(), 2);
    // Absent and null are both none.
    let absent = Value::from_json(&json!({"id": 1})).unwrap();
    assert_eq!(read::<Maybe>(&absent).unwrap(), none);
}

#[test]
fn a_record_of_another_shape_is_a_wrong_type_that_names_the_field() {
    let mut doc = Document::new(&actor(1));
    put_json(
        &mut doc,
        meta(),
        &json!({"street": "x", "number": "secret"}),
    )
    .unwrap();
    let heads = doc.heads();
    let error = update(&mut doc, meta(), |_: &mut Place| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    assert!(error.to_string().starts_with("number: "), "{error}");
    assert!(!error.to_string().contains("secret"));
    assert_eq!(doc.heads(), heads);
}

#[test]
fn a_field_over_its_limit_is_named_and_the_record_stays() {
    let (mut doc, _) = created(&task());
    let before = doc.value().unwrap();
    let error = update(&mut doc, meta(), |it: &mut Task| {
        it.title = "changed".to_owned();
        it.place.street = "x".repeat(limits::FIELD_BYTES_MAX + 1);
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().starts_with("place.street: "), "{error}");
    let error = update(&mut doc, meta(), |it: &mut Task| {
        it.notes.push_str(&"x".repeat(limits::FIELD_BYTES_MAX));
    })
    .unwrap_err();
    assert!(error.to_string().starts_with("notes: "), "{error}");
    assert_eq!(doc.value().unwrap(), before);
}

#[test]
fn a_deleted_record_is_not_found_until_it_is_restored() {
    let (mut doc, _) = created(&task());
    assert!(delete(&mut doc, meta()).unwrap().is_some());
    assert!(is_deleted(&doc.value().unwrap()));
    assert_eq!(delete(&mut doc, meta()).unwrap(), None);
    let not_found = [
        update(&mut doc, meta(), |_: &mut Task| ()).unwrap_err(),
        edit_json(&mut doc, meta(), &json!({"title": "x"})).unwrap_err(),
        put_json(&mut doc, meta(), &json!({"title": "x"})).unwrap_err(),
    ];
    assert!(not_found.iter().all(|it| it.kind() == ErrorKind::NotFound));
    let error = create(&mut doc, meta(), &task()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    // What it was can still be read, and comes back whole.
    assert_eq!(read::<Task>(&doc.value().unwrap()).unwrap(), task());
    assert!(restore(&mut doc, meta()).unwrap().is_some());
    assert_eq!(restore(&mut doc, meta()).unwrap(), None);
    assert_eq!(read::<Task>(&doc.value().unwrap()).unwrap(), task());
    change(&mut doc, |it| it.done = true);
}

#[test]
fn nothing_can_be_done_to_a_record_that_does_not_exist() {
    let mut doc = Document::new(&actor(1));
    let not_found = [
        update(&mut doc, meta(), |_: &mut Task| ()).unwrap_err(),
        delete(&mut doc, meta()).unwrap_err(),
        restore(&mut doc, meta()).unwrap_err(),
        edit_json(&mut doc, meta(), &json!({"a": 1})).unwrap_err(),
    ];
    assert!(not_found.iter().all(|it| it.kind() == ErrorKind::NotFound));
    assert!(doc.heads().is_empty());
}

#[test]
fn a_merge_patch_changes_only_what_it_names() {
    let mut doc = Document::new(&actor(1));
    let start = json!({"a": 1, "m": {"x": 1, "y": 2}, "t": {"$text": "abc"}, "n": {"$counter": 1}});
    put_json(&mut doc, meta(), &start).unwrap();
    let patch = json!({"a": null, "gone": null, "m": {"x": null, "z": {"p": 1, "q": null}}, "t": "abcd", "n": 4});
    let change = edit_json(&mut doc, meta(), &patch).unwrap().unwrap();
    // Remove a, remove m.x, make m.z and m.z.p, splice one character, increment once.
    assert_eq!(change.op_count(), 6);
    let value = doc.value().unwrap();
    assert_eq!(
        value.to_json(),
        json!({"m": {"y": 2, "z": {"p": 1}}, "t": "abcd", "n": 4})
    );
    assert_eq!(
        value.get(&["t".into()]),
        Some(&Value::Text("abcd".to_owned()))
    );
    assert_eq!(value.get(&["n".into()]), Some(&Value::Counter(4)));
    assert_eq!(
        edit_json(&mut doc, meta(), &json!({"gone": null, "n": 4})).unwrap(),
        None
    );
    let error = edit_json(&mut doc, meta(), &json!(["no", "object"])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = edit_json(&mut doc, meta(), &json!({"$deleted": null})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn json_written_by_a_typed_program_can_be_put_back_without_a_change() {
    let (mut doc, _) = created(&task());
    let json = doc.value().unwrap().to_json();
    assert_eq!(put_json(&mut doc, meta(), &json).unwrap(), None);
    assert_eq!(read::<Task>(&doc.value().unwrap()).unwrap(), task());
    let tool = json!({"count": 5, "labels": {"a": null, "z": true}});
    edit_json(&mut doc, meta(), &tool).unwrap().unwrap();
    let task: Task = read(&doc.value().unwrap()).unwrap();
    assert_eq!(task.count, 5);
    assert_eq!(
        task.labels.iter().map(String::as_str).collect::<Vec<_>>(),
        ["b", "z"]
    );
}

#[test]
fn a_set_reads_from_a_list_too() {
    let set: Set<i64> = serde_json::from_value(json!([3, 1, 3])).unwrap();
    assert_eq!(set.iter().copied().collect::<Vec<_>>(), [1, 3]);
    assert!(serde_json::from_value::<Set<i64>>(json!({"01": true})).is_err());
    let bytes: Bytes = serde_json::from_value(json!([1, 2])).unwrap();
    assert_eq!(bytes, Bytes(vec![1, 2]));
}

pub(super) fn any_text() -> impl Strategy<Value = String> {
    "[ab \u{e4}\u{301}\u{1f600}\u{200d}\u{6771}]{0,12}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_text_reads_as_it_was_left_by_any_splices(
        start in any_text(),
        splices in prop::collection::vec((0_usize..14, 0_usize..5, any_text()), 0..4),
    ) {
        let notes = Text::from(start);
        let (mut doc, _) = created(&Task { notes, ..task() });
        let (expected, _) = update(&mut doc, meta(), |it: &mut Task| {
            for (position, delete, insert) in &splices {
                it.notes.splice(*position, *delete, insert);
            }
            it.notes.clone()
        }).unwrap();
        let task: Task = read(&doc.value().unwrap()).unwrap();
        prop_assert_eq!(task.notes, expected);
    }
}

//! The policies' algebra, what each shows, and that what breaks a law is caught.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::check::Law;
use super::*;
use crate::doc::{Document, EditMeta, HybridTime, Lens as _, NO_LENS, PathStep};
use crate::id::ActorId;
use crate::time::WallTime;

fn json(text: &str) -> Value {
    Value::from_json(&serde_json::from_str(text).unwrap()).unwrap()
}

/// Candidates with these values, written one second after the other.
fn written(values: &[&str]) -> Vec<Candidate> {
    let candidate = |(at, value): (usize, &&str)| Candidate {
        value: json(value),
        author: ActorId::from_bytes(vec![u8::try_from(9 - at).unwrap(); 16]),
        time: HybridTime {
            seconds: i64::try_from(at).unwrap(),
            counter: 1,
        },
        change: ChangeHash::from_bytes([u8::try_from(at).unwrap(); 32]),
    };
    values.iter().enumerate().map(candidate).collect()
}

fn shown(policy: &str, values: &[&str]) -> Value {
    let decided = Policies::default().decide(&policy.parse().unwrap(), &written(values));
    decided.unwrap().value
}

const BUILT_IN: [Policy; 9] = [
    Policy::Automerge,
    Policy::LastWriter,
    Policy::FirstWriter,
    Policy::Max,
    Policy::Min,
    Policy::Union,
    Policy::Sum,
    Policy::Text,
    Policy::KeepBoth,
];

#[test]
fn each_policy_shows_what_its_docs_say() {
    let cases = [
        // Of equal operation numbers the largest author's, which is the first writer's here.
        ("automerge", vec!["1", "2"], "1"),
        ("last-writer", vec!["5", "1", "3"], "3"),
        ("first-writer", vec!["5", "1", "3"], "5"),
        ("max", vec!["5", "7.5", "3"], "7.5"),
        ("max", vec!["5", "\"a\""], "\"a\""),
        ("min", vec!["5", "-1", "3"], "-1"),
        ("union", vec!["[3, 1]", "[2, 1]", "7"], "[1, 2, 3, 7]"),
        (
            "union",
            vec![r#"{"a": 1, "b": 1}"#, r#"{"b": 2}"#],
            r#"{"a": 1, "b": 2}"#,
        ),
        ("sum", vec!["5", "-1", "\"a\""], "4"),
        ("sum", vec!["1", "0.5"], "1.5"),
        (
            "sum",
            vec!["9223372036854775807", "1"],
            "9223372036854775807",
        ),
        (
            "sum",
            vec![r#"{"$counter": 2}"#, r#"{"$counter": 3}"#],
            r#"{"$counter": 5}"#,
        ),
        ("sum", vec!["\"a\"", "\"b\""], "\"b\""),
        ("text", vec!["\"a\"", "\"b\""], "\"b\""),
        ("keep-both", vec!["2", "1", "1"], "[2, 1, 1]"),
    ];
    for (policy, values, expected) in cases {
        assert_eq!(
            shown(policy, &values),
            json(expected),
            "{policy} of {values:?}"
        );
    }
}

#[test]
fn every_built_in_policy_keeps_the_laws() {
    for (seed, policy) in (0..).zip(BUILT_IN) {
        let checked = check_policy(&Policies::default(), &policy, 2_000, seed);
        assert_eq!(checked, Ok(()), "{policy}");
        assert_eq!(policy.to_string().parse::<Policy>().unwrap(), policy);
    }
}

/// A policy that breaks a law.
#[derive(Debug)]
struct Broken(Law, AtomicU32);

impl CustomPolicy for Broken {
    fn resolve(&self, candidates: &[Candidate]) -> Outcome {
        let calls = self.1.fetch_add(1, Ordering::Relaxed);
        let count = i64::try_from(candidates.len()).unwrap();
        let first = candidates.first().unwrap();
        let (value, decisive) = match self.0 {
            Law::Total => (first.value.clone(), Vec::new()),
            Law::Deterministic => (Value::Int(calls.into()), vec![first.change]),
            // The number of candidates does not follow from one of them.
            Law::Associative => (Value::Int(count), vec![first.change]),
            // Whoever calls a policy sorts candidates and takes each once, so neither can be broken.
            Law::Commutative | Law::Idempotent => unreachable!(),
        };
        Outcome { value, decisive }
    }
}

#[test]
fn a_policy_that_breaks_a_law_is_caught_and_named() {
    for law in [Law::Total, Law::Deterministic, Law::Associative] {
        let mut policies = Policies::default();
        let policy = Policy::custom("broken", 1).unwrap();
        policies.define(policy.clone(), Arc::new(Broken(law, AtomicU32::new(0))));
        let violation = check_policy(&policies, &policy, 100, 1).unwrap_err();
        assert_eq!(violation.law, law);
        assert!(!violation.candidates.is_empty());
    }
}

#[derive(Debug)]
struct Panics;

impl CustomPolicy for Panics {
    fn resolve(&self, _: &[Candidate]) -> Outcome {
        panic!("no outcome")
    }
}

#[test]
fn what_panics_or_is_not_defined_is_an_error_and_not_a_crash() {
    let mut policies = Policies::default();
    let policy = Policy::custom("panics", 1).unwrap();
    let unknown = policies.decide(&policy, &written(&["1", "2"])).unwrap_err();
    assert!(
        unknown.contains("does not define custom:panics@1"),
        "{unknown}"
    );
    policies.define(policy.clone(), Arc::new(Panics));
    let panicked = policies.decide(&policy, &written(&["1", "2"])).unwrap_err();
    assert!(panicked.contains("no outcome"), "{panicked}");
    let violation = check_policy(&policies, &policy, 10, 1).unwrap_err();
    assert_eq!(violation.law, Law::Total);
}

#[test]
fn names_of_policies_are_checked() {
    for wrong in [
        "",
        "Max",
        "custom:",
        "custom:a",
        "custom:a@0",
        "custom:A@1",
        "custom:a@x",
    ] {
        let error = wrong.parse::<Policy>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong}");
    }
    assert!(Policy::custom(&"a".repeat(65), 1).is_err());
}

/// A document of two writers who wrote these values at the same place at the same time.
fn contested(left: &str, right: &str) -> Document {
    let mut one = Document::new(&ActorId::from_bytes(vec![1; 16]));
    write(&mut one, 10, r#"{"n": 0, "in": {"x": 0}, "l": [1, 2]}"#);
    let changes = one.clone();
    let mut two = Document::new(&ActorId::from_bytes(vec![2; 16]));
    merge(&mut two, &changes);
    // The second writer's clock is behind.
    write(&mut one, 30, left);
    write(&mut two, 20, right);
    merge(&mut one, &two);
    one
}

fn write(document: &mut Document, second: u64, value: &str) {
    let meta = EditMeta::at(WallTime::from_millis(second * 1_000));
    let edited = document.edit::<_, Error>(meta, |edit| edit.set(&[], &json(value)));
    edited.unwrap();
}

fn merge(into: &mut Document, from: &Document) {
    let nobody = ActorId::from_bytes(vec![7; 16]);
    let (_, changes) = Document::open_saved(&nobody, &from.save().unwrap()).unwrap();
    into.apply(&changes).unwrap();
}

fn path(steps: &[&str]) -> Vec<PathStep> {
    steps.iter().map(|it| PathStep::from(*it)).collect()
}

fn policies(fields: &[(&[&str], Policy)]) -> Policies {
    let mut policies = Policies::default();
    for (field, policy) in fields {
        policies.set(path(field), policy.clone());
    }
    policies
}

fn seen(document: &Document, policies: &Policies) -> Document {
    let mut document = document.clone();
    document.look_through(Some(Arc::new(policies.clone())));
    document
}

#[test]
fn a_document_is_shown_by_the_policies_of_its_fields() {
    let document = contested(
        r#"{"n": 5, "in": {"x": 1}, "l": [1, 2]}"#,
        r#"{"n": 7, "in": {"x": 2}, "l": [1, 2, 3]}"#,
    );
    let plain = document.shown(None).unwrap();
    // The larger author's, as operations have equal numbers.
    assert_eq!(
        plain.value,
        json(r#"{"n": 7, "in": {"x": 2}, "l": [1, 2, 3]}"#)
    );
    assert_eq!(plain.by, NO_LENS);
    let shown = policies(&[
        (&["n"], Policy::LastWriter),
        (&["in", "x"], Policy::KeepBoth),
    ]);
    let value = seen(&document, &shown).shown(None).unwrap();
    assert_eq!(
        value.value,
        json(r#"{"n": 5, "in": {"x": [2, 1]}, "l": [1, 2, 3]}"#)
    );
    assert_eq!(value.by, shown.tag());
    // Where nobody disagrees, and where there is nothing, policies do nothing.
    let idle = policies(&[
        (&["l"], Policy::KeepBoth),
        (&["gone"], Policy::Max),
        (&["n", "y"], Policy::Max),
    ]);
    assert_eq!(seen(&document, &idle).value().unwrap(), plain.value);
    let mut agreed = Document::new(&ActorId::from_bytes(vec![1; 16]));
    write(&mut agreed, 10, r#"{"n": 5}"#);
    assert_eq!(seen(&agreed, &shown).shown(None).unwrap().by, 0);
}

#[test]
fn the_past_is_shown_by_them_too() {
    let mut document = contested(r#"{"n": 5}"#, r#"{"n": 7}"#);
    let heads = document.heads();
    write(&mut document, 40, r#"{"n": 6}"#);
    let document = seen(&document, &policies(&[(&["n"], Policy::FirstWriter)]));
    assert_eq!(document.value().unwrap(), json(r#"{"n": 6}"#));
    assert_eq!(document.value_at(&heads).unwrap(), json(r#"{"n": 7}"#));
}

#[test]
fn an_edit_of_what_is_shown_writes_what_was_edited_and_nothing_else() {
    let counters = |at: i64| format!(r#"{{"c": {{"$counter": {at}}}, "n": {at}, "t": "{at}"}}"#);
    let document = contested(&counters(3), &counters(4));
    let sums = policies(&[
        (&["c"], Policy::Sum),
        (&["n"], Policy::Sum),
        (&["t"], Policy::Min),
    ]);
    let mut document = seen(&document, &sums);
    assert_eq!(
        document.value().unwrap(),
        json(r#"{"c": {"$counter": 7}, "n": 7, "t": "3"}"#)
    );
    let edit = |document: &mut Document, value: &str| {
        let work = |edit: &mut crate::doc::Edit<'_>| edit.set(&[], &json(value));
        document
            .edit::<_, Error>(EditMeta::at(WallTime::from_millis(50_000)), work)
            .unwrap()
            .1
    };
    // What was read is written: nothing differs.
    assert!(edit(&mut document, r#"{"c": {"$counter": 7}, "n": 7, "t": "3"}"#).is_none());
    // Another field: the sums stay as they are shown, and are not added to themselves.
    assert!(
        edit(
            &mut document,
            r#"{"c": {"$counter": 7}, "n": 7, "t": "3", "x": 1}"#
        )
        .is_some()
    );
    assert_eq!(
        document.value().unwrap(),
        json(r#"{"c": {"$counter": 7}, "n": 7, "t": "3", "x": 1}"#)
    );
    assert_eq!(document.conflicts().unwrap().len(), 3);
    // What is written takes the place of all that stood there, also where it is one more.
    edit(
        &mut document,
        r#"{"c": {"$counter": 8}, "n": 9, "t": "3", "x": 1}"#,
    );
    assert_eq!(
        document.value().unwrap(),
        json(r#"{"c": {"$counter": 8}, "n": 9, "t": "3", "x": 1}"#)
    );
    assert_eq!(document.conflicts().unwrap().len(), 1);
    // A deletion is an edit like any other.
    let meta = EditMeta::at(WallTime::from_millis(60_000));
    document
        .edit::<_, Error>(meta.clone(), |edit| edit.mark_deleted(meta.time))
        .unwrap();
    assert!(document.is_deleted().unwrap());
    assert_eq!(document.conflicts().unwrap().len(), 1);
}

/// Edits what is seen, and gives what is seen then.
fn edited(
    document: &mut Document,
    work: impl FnOnce(&mut crate::doc::Edit<'_>) -> Result<(), Error>,
) -> Value {
    let meta = EditMeta::at(WallTime::from_millis(50_000));
    document.edit::<_, Error>(meta, work).unwrap();
    document.value().unwrap()
}

#[test]
fn what_is_written_over_a_conflict_is_what_is_seen_then() {
    let texts = |text: &str| format!(r#"{{"t": {{"$text": "{text}"}}, "n": {}}}"#, text.len());
    let document = contested(&texts("first"), &texts("second"));
    let document = seen(
        &document,
        &policies(&[(&["t"], Policy::LastWriter), (&["n"], Policy::Min)]),
    );
    let at_first = r#"{"t": {"$text": "first"}, "n": 5}"#;
    assert_eq!(document.value().unwrap(), json(at_first));
    // Into the text that is shown, which is not the one that Automerge shows.
    let mut one = document.clone();
    let value = edited(&mut one, |edit| {
        edit.splice_text(&path(&["t"]), 5, 0, " and last")
    });
    let expected = r#"{"t": {"$text": "first and last"}, "n": 5}"#;
    assert_eq!(value, json(expected));
    // The value that lost, which is the one that Automerge shows.
    let mut one = document.clone();
    let value = edited(&mut one, |edit| edit.set(&path(&["n"]), &Value::Int(6)));
    assert_eq!(value, json(r#"{"t": {"$text": "first"}, "n": 6}"#));
    assert_eq!(one.conflicts().unwrap().len(), 1);
}

#[test]
fn what_is_inside_a_place_is_shown_by_the_policy_of_that_alone() {
    let inside = |at: i64| format!(r#"{{"in": {{"$counter": {at}}}}}"#);
    let mut outer = contested(&inside(1), &inside(2));
    // Two more write in the map that Automerge shows.
    write(&mut outer, 40, r#"{"in": {"x": 0}}"#);
    let mut other = Document::new(&ActorId::from_bytes(vec![3; 16]));
    merge(&mut other, &outer);
    write(&mut outer, 50, r#"{"in": [1]}"#);
    write(&mut outer, 51, r#"{"in": {"x": 1}}"#);
    write(&mut other, 60, r#"{"in": [2]}"#);
    write(&mut other, 61, r#"{"in": {"x": 2}}"#);
    merge(&mut outer, &other);
    let mut third = Document::new(&ActorId::from_bytes(vec![4; 16]));
    merge(&mut third, &outer);
    let x = |document: &mut Document, at: i64| {
        edited(document, |edit| {
            edit.set(&path(&["in", "x"]), &Value::Int(at))
        })
    };
    x(&mut outer, 3);
    x(&mut third, 4);
    merge(&mut outer, &third);
    assert_eq!(outer.conflicts().unwrap().len(), 2);
    let both = policies(&[(&["in"], Policy::KeepBoth), (&["in", "x"], Policy::Sum)]);
    let mut shown = seen(&outer, &both);
    let Some(Value::List(list)) = shown.value().unwrap().get(&path(&["in"])).cloned() else {
        panic!("both");
    };
    assert_eq!(list.len(), 2);
    let value = edited(&mut shown, |edit| edit.set(&path(&["n"]), &Value::Int(1)));
    assert_eq!(value.get(&path(&["in"])), Some(&Value::List(list)));
    // By the one that loses in Automerge: what is in the other is not shown in it.
    let first = policies(&[(&["in"], Policy::FirstWriter), (&["in", "x"], Policy::Sum)]);
    let value = seen(&outer, &first).value().unwrap();
    assert_eq!(value.get(&path(&["in", "x"])), Some(&Value::Int(1)));
}

#[test]
fn what_would_be_nested_too_deep_is_left_as_automerge_shows_it() {
    let deep = |at: i64| {
        let (open, close) = ("[".repeat(63), "]".repeat(63));
        format!(r#"{{"d": {open}{at}{close}}}"#)
    };
    let document = contested(&deep(1), &deep(2));
    assert_eq!(document.conflicts().unwrap().len(), 1);
    let plain = document.value().unwrap();
    let mut document = seen(&document, &policies(&[(&["d"], Policy::KeepBoth)]));
    assert_eq!(document.value().unwrap(), plain);
    assert!(Value::from_bytes(&plain.to_bytes()).is_ok());
    let value = edited(&mut document, |edit| {
        edit.set(&path(&["n"]), &Value::Int(9))
    });
    assert_eq!(value.get(&path(&["n"])), Some(&Value::Int(9)));
}

#[test]
fn a_sum_that_is_no_number_has_the_same_bits_everywhere() {
    let mut ends = written(&["0", "0"]);
    for (candidate, end) in ends.iter_mut().zip([f64::INFINITY, f64::NEG_INFINITY]) {
        candidate.value = Value::Float(end);
    }
    let sum = Policies::default().decide(&Policy::Sum, &ends).unwrap();
    assert_eq!(sum.value, Value::Float(f64::NAN));
}

#[test]
fn time_follows_what_was_seen_but_no_clock_that_is_far_ahead() {
    let seconds = |ahead: u64| {
        let mut document = Document::new(&ActorId::from_bytes(vec![1; 16]));
        write(&mut document, 1_000 + ahead, r#"{"n": 1}"#);
        write(&mut document, 1_000, r#"{"n": 2}"#);
        let nobody = ActorId::from_bytes(vec![7; 16]);
        let changes = Document::open_saved(&nobody, &document.save().unwrap())
            .unwrap()
            .1;
        changes.last().unwrap().time()
    };
    assert_eq!(seconds(300), 1_300);
    assert_eq!(seconds(301), 1_000);
}

#[test]
fn conflicts_are_listed_and_explained() {
    let document = contested(
        r#"{"n": 5, "in": {"x": 1}, "l": [7, 2]}"#,
        r#"{"n": 7, "in": {"x": 0}, "l": [8, 2]}"#,
    );
    let conflicts = document.conflicts().unwrap();
    let paths: Vec<_> = conflicts.iter().map(|it| it.path.clone()).collect();
    assert_eq!(
        paths,
        [vec![PathStep::from("l"), PathStep::from(0)], path(&["n"])]
    );
    for conflict in &conflicts {
        assert_eq!(conflict.candidates.len(), 2);
    }
    let policies = policies(&[(&["n"], Policy::Max)]);
    let explained = policies.explain(&document, &path(&["n"])).unwrap().unwrap();
    // The other writer's operation has the larger number.
    assert_eq!(explained.outcome.value, Value::Int(7));
    let seconds: Vec<_> = explained
        .candidates
        .iter()
        .map(|it| it.time.seconds)
        .collect();
    assert_eq!(seconds, [20, 30]);
    assert_eq!(explained.outcome.decisive, [explained.candidates[0].change]);
    assert!(
        explained
            .reason
            .contains("the largest is shown, where Automerge would show another")
    );
    assert_eq!(
        policies.explain(&document, &path(&["in", "x"])).unwrap(),
        None
    );
}

#[test]
fn the_tag_names_the_policies() {
    let max = policies(&[(&["n"], Policy::Max)]);
    assert_eq!(Policies::default().tag(), NO_LENS);
    assert_eq!(policies(&[(&["n"], Policy::Automerge)]).tag(), NO_LENS);
    assert_eq!(max.tag(), policies(&[(&["n"], Policy::Max)]).tag());
    assert_ne!(max.tag(), policies(&[(&["n"], Policy::Min)]).tag());
    assert_ne!(max.tag(), policies(&[(&["m"], Policy::Max)]).tag());
}

//! What a query finds.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::filter::{Comparison, Literal, Term};
use super::super::order::append;
use super::super::{Query, Selection};
use super::{any_query, collection, id, json, record};
use crate::doc::{DELETED_KEY, Value};
use crate::id::RecordId;

fn column(query: &Query, index: usize, value: &Value) -> Vec<u8> {
    let column = &query.order[index];
    let mut key = Vec::new();
    append(&mut key, column.field.find(value), column.is_descending);
    key
}

/// The result in the plain way: filter all, sort all, cut.
fn plainly(query: &Query, records: &BTreeMap<RecordId, Value>) -> Vec<RecordId> {
    let mut found: Vec<_> = records
        .iter()
        .filter(|(_, value)| query.filter.as_ref().is_none_or(|it| holds(&it.0, value)))
        .collect();
    found.sort_by(|(a, v), (b, w)| {
        let columns = 0..query.order.len();
        let mut columns = columns.map(|it| column(query, it, v).cmp(&column(query, it, w)));
        columns
            .find(|it| it.is_ne())
            .unwrap_or(Ordering::Equal)
            .then(a.cmp(b))
    });
    let limit = query
        .limit
        .map_or(usize::MAX, |it| usize::try_from(it).unwrap());
    found.into_iter().map(|(id, _)| *id).take(limit).collect()
}

/// Whether a filter applies, by the rules of its documentation one by one.
fn holds(term: &Term, value: &Value) -> bool {
    let same_kind = |a: &Value, b: &Literal| {
        std::mem::discriminant(&kind(a)) == std::mem::discriminant(&kind(&b.0))
    };
    let order = |a: &Value, b: &Literal| {
        let key = |it| {
            let mut key = Vec::new();
            append(&mut key, Some(it), false);
            key
        };
        same_kind(a, b).then(|| key(a).cmp(&key(&b.0)))
    };
    let equal = |a: &Value, b: &Literal| order(a, b) == Some(Ordering::Equal);
    match term {
        Term::All(terms) => !terms.iter().any(|it| !holds(it, value)),
        Term::Either(terms) => !terms.iter().all(|it| !holds(it, value)),
        Term::Not(term) => !holds(term, value),
        Term::Compare(field, comparison, literal) => {
            let order = field.find(value).and_then(|it| order(it, literal));
            let (less, equal, greater) = (
                order == Some(Ordering::Less),
                order == Some(Ordering::Equal),
                order == Some(Ordering::Greater),
            );
            match comparison {
                Comparison::Equal => equal,
                Comparison::NotEqual => order.is_none() || less || greater,
                Comparison::Less => less,
                Comparison::LessOrEqual => less || equal,
                Comparison::Greater => greater,
                Comparison::GreaterOrEqual => greater || equal,
            }
        }
        Term::In(field, literals) => match field.find(value) {
            Some(found) => literals.iter().any(|it| equal(found, it)),
            None => false,
        },
        Term::Contains(field, literal) => match (field.find(value), &literal.0) {
            (Some(Value::Str(text) | Value::Text(text)), Value::Str(part)) => text.contains(part),
            (Some(Value::List(list)), _) => list.iter().any(|it| equal(it, literal)),
            (Some(Value::Map(map)), Value::Str(key)) => map.contains_key(key),
            (Some(Value::Map(map)), Value::Int(key)) => map.contains_key(&format!("{key}")),
            (Some(Value::Map(map)), Value::Uint(key)) => map.contains_key(&format!("{key}")),
            (Some(Value::Map(map)), Value::Bool(key)) => map.contains_key(&format!("{key}")),
            _ => false,
        },
        Term::StartsWith(field, start) => match field.find(value) {
            Some(Value::Str(text) | Value::Text(text)) => text.starts_with(start),
            _ => false,
        },
        Term::Exists(field) => field.find(value).is_some(),
        Term::IsNull(field) => matches!(field.find(value), None | Some(Value::Null)),
        Term::Element(field, term) => match field.find(value) {
            Some(Value::List(list)) => list.iter().any(|it| holds(term, it)),
            Some(Value::Map(map)) => map.values().any(|it| holds(term, it)),
            _ => false,
        },
    }
}

/// One value of the same kind, as kinds of numbers and of texts are one.
fn kind(value: &Value) -> Value {
    match value {
        Value::Uint(_) | Value::Float(_) | Value::Counter(_) => Value::Int(0),
        Value::Text(_) => Value::Str(String::new()),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Str(_)
        | Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Unknown { .. } => value.clone(),
    }
}

/// What a selection finds, and whether it says that there is more.
fn select(query: &Query, records: &BTreeMap<RecordId, Value>) -> (Vec<RecordId>, bool) {
    let mut selection = Selection::new(query.clone());
    for (id, value) in records {
        selection.offer(*id, value.clone());
    }
    let (found, is_more) = selection.finish();
    (found.into_iter().map(|it| it.record).collect(), is_more)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_query_finds_what_filtering_sorting_and_cutting_finds(
        query in any_query(), records in collection(),
    ) {
        let (found, is_more) = select(&query, &records);
        prop_assert_eq!(&found, &plainly(&query, &records));
        let all = plainly(&Query { limit: None, ..query }, &records);
        prop_assert_eq!(is_more, all.len() > found.len());
    }

    #[test]
    fn pages_joined_are_the_whole(query in any_query(), records in collection(), size in 1_u64..5) {
        let whole = plainly(&Query { limit: None, ..query.clone() }, &records);
        let mut query = query.limit(size);
        let mut joined: Vec<RecordId> = Vec::new();
        loop {
            let (page, is_more) = select(&query, &records);
            joined.extend(&page);
            if !is_more {
                break;
            }
            let last = page.last().unwrap();
            let cursor = query.cursor(&query.position(*last, &records[last]));
            query = query.after(cursor.to_string().parse().unwrap());
        }
        prop_assert_eq!(joined, whole);
    }

    #[test]
    fn a_cursor_goes_on_at_its_place_if_its_record_is_gone(
        query in any_query(), records in collection(), at: prop::sample::Index, other in record(),
    ) {
        let query = Query { limit: None, ..query };
        let (found, _) = select(&query, &records);
        if found.is_empty() {
            return Ok(());
        }
        let at = at.index(found.len());
        let place = query.position(found[at], &records[&found[at]]);
        let next = query.clone().after(query.cursor(&place));
        let mut fewer = records.clone();
        fewer.remove(&found[at]);
        prop_assert_eq!(select(&next, &fewer).0, &found[at + 1..]);
        // One that comes before the place meanwhile does not come again, one behind it comes.
        fewer.insert(id(200), other.clone());
        let is_behind = query.position(id(200), &other) > place && query.matches(&other);
        prop_assert_eq!(select(&next, &fewer).0.contains(&id(200)), is_behind);
    }
}

fn finds(query: &str, value: &str) -> bool {
    let query: Query = query.parse().unwrap_or_else(|error| panic!("{error}"));
    query.matches(&json(value))
}

#[test]
fn a_missing_field_or_another_kind_makes_comparisons_false_and_unequal_true() {
    for value in [
        "{}",
        r#"{"a": "5"}"#,
        r#"{"a": null}"#,
        r#"{"a": [5]}"#,
        r#"{"a": {"$time": 5}}"#,
    ] {
        for comparison in ["a = 5", "a < 5", "a <= 5", "a > 5", "a >= 5", "a in (5)"] {
            assert!(!finds(comparison, value), "{comparison} of {value}");
            assert!(
                finds(&format!("not {comparison}"), value),
                "{comparison} of {value}"
            );
        }
        assert!(finds("a != 5", value), "{value}");
    }
    assert!(finds("a = null", r#"{"a": null}"#) && !finds("a = null", "{}"));
    assert!(finds("a is null", r#"{"a": null}"#) && finds("a is null", "{}"));
    assert!(finds("a exists", r#"{"a": null}"#) && !finds("a exists", "{}"));
    assert!(!finds("a is null", r#"{"a": 0}"#) && finds("a is not null", r#"{"a": 0}"#));
}

#[test]
fn kinds_of_numbers_and_texts_are_one() {
    for value in [r#"{"a": 2}"#, r#"{"a": 2.0}"#, r#"{"a": {"$counter": 2}}"#] {
        assert!(
            finds(
                "a = 2 and a = 2.0 and a < 3 and a > 1.5 and a in (1, 2)",
                value
            ),
            "{value}"
        );
    }
    assert!(finds(
        "a > 9007199254740992.0",
        r#"{"a": 9007199254740993}"#
    ));
    assert!(finds("a = \"x\"", r#"{"a": {"$text": "x"}}"#));
    assert!(finds(
        "a > 2026-12-01",
        r#"{"a": {"$time": "2026-12-01T00:00:00.001Z"}}"#
    ));
    assert!(
        !finds("a > 2026-12-01", r#"{"a": "2026-12-02"}"#),
        "a text is no time"
    );
}

#[test]
fn texts_lists_sets_and_maps_are_looked_into() {
    let value = r#"{"title": "Water the plants", "labels": ["home", "green"],
        "set": {"a": true, "7": true}, "place": {"city": "Wien", "at": [1, 2]},
        "steps": [{"text": "can", "done": true}, {"text": "fern", "done": false}]}"#;
    for query in [
        "title contains \"the\" and title starts with \"Water\"",
        "labels contains \"home\" and not labels contains \"hom\"",
        "set contains \"a\" and set contains 7 and not set contains \"b\"",
        "place.city = \"Wien\" and place.at contains 2 and not place.at contains 3",
        "any steps (text = \"fern\" and done = false)",
        "not any steps (text = \"can\" and done = false)",
        "any labels (it starts with \"gr\") and any place (it contains 1)",
        "not any title (it exists) and it exists",
        "title.x is null and not title starts with \"water\"",
    ] {
        assert!(finds(query, value), "{query}");
    }
}

#[test]
fn a_deleted_record_is_never_found() {
    let value = super::map([("a", Value::Int(1)), (DELETED_KEY, Value::Timestamp(1))]);
    assert!(!Query::all().matches(&value));
}

#[test]
fn a_selection_holds_one_more_than_its_limit() {
    let query = Query::all().order_by(super::super::field("n")).limit(3);
    let mut selection = Selection::new(query);
    for n in 0..200_u8 {
        // In an order in which good ones come late.
        let value = json(&format!("{{\"n\": {}}}", n.wrapping_mul(73)));
        selection.offer(id(n), value);
        assert!(selection.len() <= 4, "{n}");
    }
    assert_eq!(selection.finish().0.len(), 3);
}

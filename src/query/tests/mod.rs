//! Queries: text, order, evaluation, pages, live results.

mod evaluation;
mod live;
mod ordering;
mod text;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::filter::{Comparison, Field, Filter, Literal, Term};
use super::{OrderBy, Query};
use crate::doc::Value;
use crate::id::RecordId;
use crate::record::Timestamp;

/// Numbers around which kinds and roundings differ.
fn number() -> impl Strategy<Value = Value> {
    let near = prop_oneof![
        Just(0.0),
        Just(2.0_f64.powi(53)),
        Just(2.0_f64.powi(63)),
        Just(2.0_f64.powi(64)),
        Just(f64::MAX),
        Just(f64::INFINITY),
        Just(f64::NAN),
        Just(0.5),
        any::<f64>(),
    ];
    let float = (near, any::<bool>(), -1_i8..=1).prop_map(|(it, is_negative, step)| {
        let it = if is_negative { -it } else { it };
        match step {
            -1 => it.next_down(),
            0 => it,
            _ => it.next_up(),
        }
    });
    let base = prop_oneof![Just(0_i64), Just(1 << 53), Just(i64::MAX), any::<i64>()];
    let int = (base, -2_i64..=2, any::<bool>()).prop_map(|(it, step, is_negative)| {
        let it = it.saturating_add(step);
        if is_negative { -it.max(-i64::MAX) } else { it }
    });
    let uint = prop_oneof![
        Just(1_u64 << 63),
        Just(u64::MAX - 2),
        0_u64..3,
        any::<u64>()
    ];
    prop_oneof![
        float.prop_map(Value::Float),
        int.clone().prop_map(Value::Int),
        int.prop_map(Value::Counter),
        (uint, 0_u64..3).prop_map(|(it, step)| Value::Uint(it.saturating_add(step))),
    ]
}

/// Values of few different contents, so that they meet.
fn value() -> impl Strategy<Value = Value> {
    let text = || "[ab\\x00\u{e4}\u{1f600}]{0,3}";
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number(),
        (-3_i64..3).prop_map(Value::Int),
        (-3_i64..3).prop_map(Value::Timestamp),
        text().prop_map(Value::Str),
        text().prop_map(Value::Text),
        prop::collection::vec(prop_oneof![Just(0_u8), Just(255), any::<u8>()], 0..4)
            .prop_map(Value::Bytes),
        (10_u8..12, prop::collection::vec(0_u8..2, 0..3))
            .prop_map(|(type_code, bytes)| Value::Unknown { type_code, bytes }),
    ];
    scalar.prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map(text(), inner, 0..4).prop_map(Value::Map),
        ]
    })
}

/// Records with fields `a`, `b` and `c`, some missing, `c` often nested.
fn record() -> impl Strategy<Value = Value> {
    let small = prop_oneof![
        3 => (0_i64..4).prop_map(Value::Int),
        1 => Just(Value::Null),
        1 => "[ab]{0,2}".prop_map(Value::Str),
        2 => value(),
    ];
    let nested = prop::collection::btree_map("[ab]", small.clone(), 0..3).prop_map(Value::Map);
    let listed = prop::collection::vec(small.clone(), 0..3).prop_map(Value::List);
    let inner = prop_oneof![nested, listed];
    (
        prop::option::of(small.clone()),
        prop::option::of(small),
        prop::option::of(inner),
    )
        .prop_map(|(a, b, c)| {
            let fields = [("a", a), ("b", b), ("c", c)];
            let fields = fields.into_iter().filter_map(|(key, it)| Some((key, it?)));
            map(fields)
        })
}

fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let entries = entries.into_iter();
    Value::Map(
        entries
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

fn json(text: &str) -> Value {
    Value::from_json(&serde_json::from_str(text).unwrap()).unwrap()
}

/// A collection by ids that are small numbers.
fn collection() -> impl Strategy<Value = BTreeMap<RecordId, Value>> {
    prop::collection::btree_map((0_u8..24).prop_map(id), record(), 0..16)
}

fn id(number: u8) -> RecordId {
    RecordId::from_bytes([number; 16])
}

fn any_field() -> impl Strategy<Value = Field> {
    prop_oneof![
        4 => "[abc]".prop_map(|it| Field::of([it.as_str()])),
        2 => ("[abc]", "[ab]").prop_map(|(a, b)| Field::of([a.as_str(), b.as_str()])),
        1 => Just(super::it()),
        1 => prop::collection::vec("[a-c`. äA-Z_]{0,6}|order|It|desc", 1..4)
            .prop_map(|it| Field::of(it.iter().map(String::as_str))),
    ]
}

fn any_literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::NULL),
        any::<bool>().prop_map(Literal::from),
        (0_i64..4).prop_map(Literal::from),
        any::<i64>().prop_map(Literal::from),
        any::<u64>().prop_map(Literal::from),
        any::<u64>().prop_map(|it| Literal::from(f64::from_bits(it))),
        Just(Literal::from(f64::NEG_INFINITY)),
        "[ab]{0,2}".prop_map(Literal::from),
        any::<String>().prop_map(Literal::from),
        any::<i64>().prop_map(|it| Literal::from(Timestamp::from_millis(it))),
        (-100_000_000_000_000_i64..300_000_000_000_000)
            .prop_map(|it| Literal::from(Timestamp::from_millis(it))),
        (-3_i64..3).prop_map(|it| Literal::from(Timestamp::from_millis(it))),
    ]
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let comparison = prop_oneof![
        Just(Comparison::Equal),
        Just(Comparison::NotEqual),
        Just(Comparison::Less),
        Just(Comparison::LessOrEqual),
        Just(Comparison::Greater),
        Just(Comparison::GreaterOrEqual),
    ];
    let leaf = prop_oneof![
        4 => (any_field(), comparison, any_literal()).prop_map(|(a, b, c)| Term::Compare(a, b, c)),
        1 => (any_field(), prop::collection::vec(any_literal(), 0..4))
            .prop_map(|(a, b)| Term::In(a, b)),
        1 => (any_field(), any_literal()).prop_map(|(a, b)| Term::Contains(a, b)),
        1 => (any_field(), any::<String>()).prop_map(|(a, b)| Term::StartsWith(a, b)),
        1 => any_field().prop_map(Term::Exists),
        1 => any_field().prop_map(Term::IsNull),
    ];
    leaf.prop_map(Filter).prop_recursive(5, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.or(b)),
            inner.clone().prop_map(Filter::not),
            (any_field(), inner).prop_map(|(a, b)| a.any(b)),
        ]
    })
}

fn any_order() -> impl Strategy<Value = Vec<OrderBy>> {
    let column = (any_field(), any::<bool>()).prop_map(|(field, is_descending)| OrderBy {
        field,
        is_descending,
    });
    prop::collection::vec(column, 0..4)
}

fn any_query() -> impl Strategy<Value = Query> {
    let limit = prop_oneof![
        (1_u64..8).boxed(),
        any::<u64>().prop_map(|it| it.max(1)).boxed()
    ];
    let filter = prop::option::weighted(0.8, any_filter());
    (filter, any_order(), prop::option::of(limit)).prop_map(|(filter, order, limit)| Query {
        filter,
        order,
        after: None,
        limit,
    })
}

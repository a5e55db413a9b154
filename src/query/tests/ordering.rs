//! The order over values, and what compares equal.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::super::order::append;
use super::{map, number, value};
use crate::doc::Value;
use crate::limits;

fn key(value: &Value, is_descending: bool) -> Vec<u8> {
    let mut key = Vec::new();
    append(&mut key, Some(value), is_descending);
    key
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn keys_compare_as_values_do(a in value(), b in value()) {
        prop_assert_eq!(key(&a, false).cmp(&key(&b, false)), a.order(&b));
        prop_assert_eq!(key(&a, true).cmp(&key(&b, true)), b.order(&a));
    }

    #[test]
    fn numbers_compare_by_value_whatever_their_kind(a in number(), b in number()) {
        prop_assert_eq!(key(&a, false).cmp(&key(&b, false)), a.order(&b));
    }

    #[test]
    fn columns_compare_one_after_the_other(
        a in (value(), value()), b in (value(), value()), down: (bool, bool),
    ) {
        let both = |it: &(Value, Value)| {
            let mut key = key(&it.0, down.0);
            append(&mut key, Some(&it.1), down.1);
            key
        };
        let turned = |order: Ordering, down| if down { order.reverse() } else { order };
        let first = turned(a.0.order(&b.0), down.0);
        let order = first.then_with(|| turned(a.1.order(&b.1), down.1));
        prop_assert_eq!(both(&a).cmp(&both(&b)), order);
    }

    #[test]
    fn long_values_are_cut_and_keep_their_order(
        start in "[ab\\x00]{0,2}", a in value(), b in value(), more: (bool, bool), down: bool,
    ) {
        let long = |it: Value, more| {
            let filler = "x".repeat(limits::ORDER_KEY_BYTES_MAX - 8);
            let tail = if more { "y".repeat(20) } else { String::new() };
            Value::List(vec![Value::Str(format!("{start}{filler}")), it, Value::Str(tail)])
        };
        let (a, b) = (long(a, more.0), long(b, more.1));
        let order = key(&a, false).cmp(&key(&b, false));
        prop_assert!(key(&a, down).len() <= limits::ORDER_KEY_BYTES_MAX);
        prop_assert!(order.is_eq() || order == a.order(&b), "equal at most");
        // A second column decides where the first was cut.
        let both = |it: &Value, second| {
            let mut key = key(it, down);
            append(&mut key, Some(&Value::Int(second)), false);
            key
        };
        let expected = if down { order.reverse() } else { order };
        prop_assert_eq!(both(&a, 1).cmp(&both(&b, 2)), expected.then(Ordering::Less));
    }
}

#[test]
fn kinds_come_in_their_order() {
    let values = [
        Value::Null,
        Value::Bool(false),
        Value::Bool(true),
        Value::Float(f64::NEG_INFINITY),
        Value::Int(-1),
        Value::Float(-0.5),
        Value::Counter(0),
        Value::Int(i64::MAX - 1),
        Value::Counter(i64::MAX),
        Value::Float(2.0_f64.powi(63)),
        Value::Uint((1 << 63) + 1),
        Value::Float(f64::INFINITY),
        Value::Float(f64::NAN),
        Value::Timestamp(-1),
        Value::Timestamp(0),
        Value::from(""),
        Value::from("a"),
        Value::from("a\0"),
        Value::Text("aa".to_owned()),
        Value::Bytes(vec![]),
        Value::Bytes(vec![0]),
        Value::Bytes(vec![0, 0]),
        Value::List(vec![]),
        Value::List(vec![Value::Null]),
        Value::List(vec![Value::Null, Value::Null]),
        Value::List(vec![Value::Int(0)]),
        map([]),
        map([("a", Value::Null)]),
        map([("a", Value::Null), ("b", Value::Null)]),
        map([("a", Value::Int(0))]),
        Value::Unknown {
            type_code: 12,
            bytes: vec![],
        },
    ];
    let keys: Vec<_> = values.iter().map(|it| key(it, false)).collect();
    for (index, pair) in keys.windows(2).enumerate() {
        assert!(
            pair[0] < pair[1],
            "{:?} {:?}",
            values[index],
            values[index + 1]
        );
    }
    assert_eq!(key(&Value::Float(-0.0), false), key(&Value::Int(0), false));
    let mut missing = Vec::new();
    append(&mut missing, None, false);
    assert_eq!(missing, key(&Value::Null, false));
}

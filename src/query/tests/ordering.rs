//! The order over values, and what compares equal.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::super::order::{append, compare};
use super::{map, number, value};
use crate::doc::Value;
use crate::limits;

fn key(value: &Value, is_descending: bool) -> Vec<u8> {
    let mut key = Vec::new();
    append(&mut key, Some(value), is_descending);
    key
}

/// The order as the table in `order` has it, told in another way.
fn plainly(a: &Value, b: &Value) -> Ordering {
    let by_kind = rank(a).cmp(&rank(b));
    by_kind.then_with(|| match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Str(a) | Value::Text(a), Value::Str(b) | Value::Text(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::List(a), Value::List(b)) => {
            let pairs = a.iter().zip(b).map(|(a, b)| plainly(a, b));
            let first = pairs.into_iter().find(|it| it.is_ne());
            first.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Map(a), Value::Map(b)) => {
            let pairs = a.iter().zip(b);
            let mut pairs = pairs.map(|((k, v), (l, w))| k.cmp(l).then_with(|| plainly(v, w)));
            let first = pairs.find(|it| it.is_ne());
            first.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (
            Value::Unknown { type_code, bytes },
            Value::Unknown {
                type_code: other_code,
                bytes: other_bytes,
            },
        ) => (type_code, bytes).cmp(&(other_code, other_bytes)),
        (a, b) => numbers(a, b),
    })
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(_) | Value::Uint(_) | Value::Float(_) | Value::Counter(_) => 2,
        Value::Timestamp(_) => 3,
        Value::Str(_) | Value::Text(_) => 4,
        Value::Bytes(_) => 5,
        Value::List(_) => 6,
        Value::Map(_) => 7,
        Value::Unknown { .. } => 8,
    }
}

/// By value, as whole numbers where both are near ones.
#[expect(
    clippy::cast_possible_truncation,
    reason = "floats in the range of i128"
)]
fn numbers(a: &Value, b: &Value) -> Ordering {
    let whole = |it: &Value| match it {
        Value::Int(it) | Value::Counter(it) => Some(i128::from(*it)),
        Value::Uint(it) => Some(i128::from(*it)),
        Value::Null
        | Value::Bool(_)
        | Value::Float(_)
        | Value::Str(_)
        | Value::Text(_)
        | Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Unknown { .. } => None,
    };
    let against = |float: f64, whole: i128| {
        if float.is_nan() || float > 2.0_f64.powi(70) {
            return Ordering::Greater;
        }
        if float < -2.0_f64.powi(70) {
            return Ordering::Less;
        }
        let floor = float.floor();
        (floor as i128).cmp(&whole).then_with(|| {
            if float > floor {
                Ordering::Greater
            } else {
                Ordering::Equal
            }
        })
    };
    match (whole(a), whole(b), a, b) {
        (Some(a), Some(b), ..) => a.cmp(&b),
        (None, Some(b), Value::Float(a), _) => against(*a, b),
        (Some(a), None, _, Value::Float(b)) => against(*b, a).reverse(),
        (_, _, Value::Float(a), Value::Float(b)) => match (a.is_nan(), b.is_nan()) {
            (false, false) => a.partial_cmp(b).unwrap(),
            (a, b) => a.cmp(&b),
        },
        _ => Ordering::Equal,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn keys_compare_as_values_do(a in value(), b in value()) {
        prop_assert_eq!(key(&a, false).cmp(&key(&b, false)), plainly(&a, &b));
        prop_assert_eq!(key(&a, true).cmp(&key(&b, true)), plainly(&b, &a));
    }

    #[test]
    fn numbers_compare_by_value_whatever_their_kind(a in number(), b in number()) {
        prop_assert_eq!(key(&a, false).cmp(&key(&b, false)), numbers(&a, &b));
        prop_assert_eq!(compare(&a, &b), Some(numbers(&a, &b)));
    }

    #[test]
    fn what_compares_compares_as_it_is_ordered(a in value(), b in value()) {
        if let Some(order) = compare(&a, &b) {
            prop_assert_eq!(key(&a, false).cmp(&key(&b, false)), order);
            prop_assert_eq!(rank(&a), rank(&b));
        } else {
            prop_assert!(rank(&a) != rank(&b) || rank(&a) >= 5);
        }
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
        let first = turned(plainly(&a.0, &b.0), down.0);
        let order = first.then_with(|| turned(plainly(&a.1, &b.1), down.1));
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
        prop_assert!(order.is_eq() || order == plainly(&a, &b), "equal at most");
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

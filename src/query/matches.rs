//! Whether a filter applies to a value.

use std::cmp::Ordering;

use super::filter::{Comparison, Field, Literal, Term};
use crate::doc::Value;

impl Term {
    /// A missing field, or one of another kind, makes every comparison false but `!=`.
    pub(super) fn matches(&self, value: &Value) -> bool {
        match self {
            Self::All(terms) => terms.iter().all(|it| it.matches(value)),
            Self::Either(terms) => terms.iter().any(|it| it.matches(value)),
            Self::Not(term) => !term.matches(value),
            Self::Compare(field, comparison, literal) => {
                compares(field.find(value), *comparison, literal)
            }
            Self::In(field, literals) => field
                .find(value)
                .is_some_and(|it| literals.iter().any(|literal| equals(it, literal))),
            Self::Contains(field, literal) => {
                field.find(value).is_some_and(|it| contains(it, literal))
            }
            Self::StartsWith(field, start) => {
                text(field, value).is_some_and(|it| it.starts_with(start))
            }
            Self::Exists(field) => field.find(value).is_some(),
            Self::IsNull(field) => matches!(field.find(value), None | Some(Value::Null)),
            Self::Element(field, term) => field.find(value).is_some_and(|it| any_element(it, term)),
        }
    }
}

fn text<'a>(field: &Field, value: &'a Value) -> Option<&'a str> {
    field.find(value)?.as_str()
}

/// How two values of the same kind compare; `None` if their kinds differ.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    a.is_kind_of(b).then(|| a.order(b))
}

fn equals(value: &Value, literal: &Literal) -> bool {
    compare(value, &literal.0) == Some(Ordering::Equal)
}

fn compares(value: Option<&Value>, comparison: Comparison, literal: &Literal) -> bool {
    let order = value.and_then(|it| compare(it, &literal.0));
    match comparison {
        Comparison::Equal => order.is_some_and(Ordering::is_eq),
        Comparison::NotEqual => !order.is_some_and(Ordering::is_eq),
        Comparison::Less => order.is_some_and(Ordering::is_lt),
        Comparison::LessOrEqual => order.is_some_and(Ordering::is_le),
        Comparison::Greater => order.is_some_and(Ordering::is_gt),
        Comparison::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
    }
}

fn contains(value: &Value, literal: &Literal) -> bool {
    match value {
        Value::Str(text) | Value::Text(text) => {
            literal.0.as_str().is_some_and(|it| text.contains(it))
        }
        Value::List(list) => list.iter().any(|it| equals(it, literal)),
        Value::Map(map) => set_key(literal).is_some_and(|it| map.contains_key(&it)),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Float(_)
        | Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::Counter(_)
        | Value::Unknown { .. } => false,
    }
}

/// The key of a set's element, as [`SetItem::to_key`](crate::record::SetItem::to_key) makes it.
fn set_key(literal: &Literal) -> Option<String> {
    match &literal.0 {
        Value::Str(text) | Value::Text(text) => Some(text.clone()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Int(number) => Some(number.to_string()),
        Value::Uint(number) => Some(number.to_string()),
        Value::Null
        | Value::Float(_)
        | Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::Counter(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Unknown { .. } => None,
    }
}

fn any_element(value: &Value, term: &Term) -> bool {
    match value {
        Value::List(list) => list.iter().any(|it| term.matches(it)),
        Value::Map(map) => map.values().any(|it| term.matches(it)),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Float(_)
        | Value::Str(_)
        | Value::Text(_)
        | Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::Counter(_)
        | Value::Unknown { .. } => false,
    }
}

//! Edits of single fields, one for every type that a field can have.

use super::step::FieldEdit;
use crate::doc::{Edit, PathStep, Value};
use crate::error::Result;

pub(super) fn field(name: &str) -> Vec<PathStep> {
    vec![PathStep::from(name)]
}

pub(super) fn change_field(edit: &mut Edit<'_>, what: &FieldEdit) -> Result<()> {
    match what {
        FieldEdit::Scalar(number) => {
            let name = ["a", "b", "c"].get(usize::try_from(number % 3).unwrap_or(0));
            edit.set(&field(name.copied().unwrap_or("a")), &scalar(*number))
        }
        FieldEdit::Type { at, delete, text } => {
            let body = field("body");
            let Some(Value::Text(now)) = edit.get(&body)? else {
                return edit.set(&body, &Value::Text(text.clone()));
            };
            let length = u64::try_from(now.chars().count()).unwrap_or(0);
            let at = at % (length + 1);
            let delete = (*delete).min(length - at);
            let place = |it| usize::try_from(it).unwrap_or(0);
            edit.splice_text(&body, place(at), place(delete), text)
        }
        FieldEdit::Increment(by) => match edit.get(&field("count"))? {
            Some(Value::Counter(_)) => edit.increment(&field("count"), *by),
            _ => edit.set(&field("count"), &Value::Counter(*by)),
        },
        FieldEdit::Insert { at, value } => {
            let list = field("list");
            let Some(Value::List(mut items)) = edit.get(&list)? else {
                return edit.set(&list, &Value::List(vec![Value::Int(*value)]));
            };
            let at = usize::try_from(*at).unwrap_or(0) % (items.len() + 1);
            items.insert(at, Value::Int(*value));
            edit.set(&list, &Value::List(items))
        }
        FieldEdit::Remove(at) => match edit.get(&field("list"))? {
            Some(Value::List(items)) if !items.is_empty() => {
                let at = usize::try_from(*at).unwrap_or(0) % items.len();
                edit.remove(&["list".into(), at.into()])
            }
            _ => Ok(()),
        },
        FieldEdit::Nest { key, value } => {
            let map = field("map");
            if !matches!(edit.get(&map)?, Some(Value::Map(_))) {
                edit.set(&map, &Value::Map(std::collections::BTreeMap::new()))?;
            }
            let name = format!("k{key}");
            edit.set(&["map".into(), name.as_str().into()], &Value::Int(*value))
        }
        FieldEdit::Unnest(key) => match edit.get(&field("map"))? {
            Some(Value::Map(_)) => {
                let name = format!("k{key}");
                edit.remove(&["map".into(), name.as_str().into()])
            }
            _ => Ok(()),
        },
    }
}

/// A scalar of each kind by turns.
fn scalar(number: u64) -> Value {
    let small = i64::try_from(number >> 40).unwrap_or(0);
    match number / 3 % 8 {
        0 => Value::Null,
        1 => Value::Bool(number & 1024 == 0),
        2 => Value::Int(-small),
        3 => Value::Uint(number),
        4 => Value::Str(format!("s{small}")),
        5 => Value::Bytes(number.to_be_bytes().to_vec()),
        6 => Value::Timestamp(small),
        _ => Value::Float(f64::from(u32::try_from(number >> 36).unwrap_or(0)) / 8.0),
    }
}

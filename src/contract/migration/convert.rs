//! Values of one kind as values of another.

use crate::contract::Kind;
use crate::doc::Value;

/// `value` as one of `kind`, if it can be that without losing anything.
pub(super) fn convert(value: &Value, kind: Kind) -> Option<Value> {
    match kind {
        Kind::Bool => bool(value).map(Value::Bool),
        Kind::Integer => whole(value).map(Value::Int),
        Kind::Number => match value {
            Value::Float(_) => Some(value.clone()),
            Value::Str(text) => match whole(value) {
                Some(number) => Some(Value::Int(number)),
                None => text.parse().ok().map(Value::Float),
            },
            _ => whole(value).map(Value::Int),
        },
        Kind::String => text(value).map(Value::Str),
        Kind::Text => text(value).map(Value::Text),
        Kind::Timestamp => whole(value).map(Value::Timestamp),
        Kind::Counter => whole(value).map(Value::Counter),
        Kind::Bytes => match value {
            Value::Bytes(_) => Some(value.clone()),
            Value::Str(text) => Some(Value::Bytes(text.clone().into_bytes())),
            _ => None,
        },
        Kind::List | Kind::Set | Kind::Map | Kind::Any => None,
    }
}

fn bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(yes) => Some(*yes),
        Value::Str(text) => text.parse().ok(),
        _ => match whole(value)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) | Value::Timestamp(number) | Value::Counter(number) => Some(*number),
        Value::Uint(number) => i64::try_from(*number).ok(),
        // As its digits say it, so that nothing is rounded.
        Value::Float(number) => number.to_string().parse().ok(),
        Value::Str(text) => text.trim().parse().ok(),
        Value::Bool(yes) => Some((*yes).into()),
        Value::Null
        | Value::Text(_)
        | Value::Bytes(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Unknown { .. } => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(text.clone()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Int(number) | Value::Timestamp(number) | Value::Counter(number) => {
            Some(number.to_string())
        }
        Value::Uint(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::Null | Value::Text(_) | Value::List(_) | Value::Map(_) | Value::Unknown { .. } => {
            None
        }
    }
}

/// Whether a value of this kind is replaced as a whole: nobody can be writing into it.
pub(in crate::contract) const fn is_whole(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Bool | Kind::Integer | Kind::Number | Kind::String | Kind::Bytes | Kind::Timestamp
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_converts_loses_nothing_and_the_rest_does_not_convert() {
        let float = |it| Value::Float(it);
        assert_eq!(
            convert(&"1999".into(), Kind::Integer),
            Some(Value::Int(1999))
        );
        assert_eq!(convert(&float(2.0), Kind::Integer), Some(Value::Int(2)));
        assert_eq!(convert(&float(2.5), Kind::Integer), None);
        assert_eq!(convert(&float(1e300), Kind::Integer), None);
        assert_eq!(convert(&Value::Uint(u64::MAX), Kind::Integer), None);
        assert_eq!(convert(&"2.5".into(), Kind::Number), Some(float(2.5)));
        assert_eq!(convert(&"true".into(), Kind::Bool), Some(Value::Bool(true)));
        assert_eq!(convert(&Value::Int(2), Kind::Bool), None);
        assert_eq!(convert(&Value::Bytes(vec![0xff]), Kind::String), None);
        let text = Value::Text("milk".to_owned());
        assert_eq!(convert(&"milk".into(), Kind::Text), Some(text.clone()));
        assert_eq!(convert(&text, Kind::String), None);
    }
}

//! Values of one kind as values of another.

use crate::contract::Kind;
use crate::doc::Value;

/// `value` as one of `kind`, if it can be that without losing anything.
pub(super) fn convert(value: &Value, kind: Kind) -> Option<Value> {
    match kind {
        Kind::Bool => bool(value).map(Value::Bool),
        Kind::Integer => whole(value).map(Value::Int),
        Kind::Number => number(value),
        Kind::String => text(value).map(Value::Str),
        Kind::Text => text(value).map(Value::Text),
        Kind::Timestamp => whole(value).map(Value::Timestamp),
        Kind::Counter => whole(value).map(Value::Counter),
        Kind::Bytes => bytes(value).map(Value::Bytes),
        Kind::List | Kind::Set | Kind::Map | Kind::Any => None,
    }
}

fn bool(value: &Value) -> Option<bool> {
    if let Value::Str(text) = value {
        return text.parse().ok();
    }
    match whole(value)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn number(value: &Value) -> Option<Value> {
    if let Value::Float(_) = value {
        return Some(value.clone());
    }
    let number = whole(value).map(Value::Int);
    number.or_else(|| value.as_str()?.trim().parse().ok().map(Value::Float))
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    if let Value::Bytes(bytes) = value {
        return Some(bytes.clone());
    }
    value.as_str().map(|it| it.as_bytes().to_vec())
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

//! JSON from anyone, as records and as patches of records.

use serde_json::Value as Json;

use crate::doc::{Change, Document, EditMeta, Value};
use crate::id::ActorId;
use crate::limits;
use crate::record::{edit_json, put_json};
use crate::time::WallTime;

/// Lines of one input.
const LINES_MAX: usize = 16;

/// Lines of JSON. Each is written to a record: a line that starts with `~` as a patch, any other as
/// all of it.
///
/// # Panics
/// Where a value does not come back from JSON, from text or from bytes as it was; where it is nested
/// deeper than is allowed; where writing what is there already writes something; and where a refused
/// line changes the record.
pub fn json(data: &[u8]) {
    let mut document = Document::new(&ActorId::from_bytes(vec![1; 16]));
    for line in data.split(|byte| *byte == b'\n').take(LINES_MAX) {
        let (is_patch, text) = match line.strip_prefix(b"~") {
            Some(text) => (true, text),
            None => (false, line),
        };
        let Ok(json) = serde_json::from_slice::<Json>(text) else {
            continue;
        };
        round_trips(&json);
        write(&mut document, is_patch, &json);
    }
    if !document.heads().is_empty() {
        let saved = document.save().expect("an honest document saves");
        let nobody = ActorId::from_bytes(vec![2; 16]);
        let (opened, _) = Document::open_saved(&nobody, &saved).expect("and opens");
        assert_eq!(
            opened.value(),
            document.value(),
            "a record is its changes alone"
        );
    }
}

fn round_trips(json: &Json) {
    let Ok(value) = Value::from_json(json) else {
        return;
    };
    assert!(
        depth(&value) <= limits::VALUE_DEPTH_MAX,
        "no deeper than allowed"
    );
    let bytes = value.to_bytes();
    let decoded = Value::from_bytes(&bytes).expect("a value has bytes");
    assert_eq!(decoded, value, "bytes keep a value");
    let shown = value.to_json();
    let again = Value::from_json(&shown).expect("what is shown can be read");
    let plain = plain(&value);
    assert_eq!(
        again, plain,
        "JSON keeps a value but for texts and counters"
    );
    let text = shown.to_string();
    let parsed: Json = serde_json::from_str(&text).expect("JSON is written right");
    let parsed = Value::from_json(&parsed).expect("and read again");
    assert_eq!(parsed, plain, "so does its text");
}

/// The value as JSON shows it: texts are strings, counters numbers.
fn plain(value: &Value) -> Value {
    match value {
        Value::Text(text) => Value::Str(text.clone()),
        Value::Counter(number) => Value::Int(*number),
        Value::List(list) => Value::List(list.iter().map(plain).collect()),
        Value::Map(map) => {
            let entries = map.iter().map(|(key, value)| (key.clone(), plain(value)));
            Value::Map(entries.collect())
        }
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Float(_)
        | Value::Str(_)
        | Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::Unknown { .. } => value.clone(),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::List(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Map(map) => 1 + map.values().map(depth).max().unwrap_or(0),
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
        | Value::Unknown { .. } => 0,
    }
}

fn write(document: &mut Document, is_patch: bool, json: &Json) {
    let before = (document.heads(), document.value());
    let meta = EditMeta::at(WallTime::from_millis(1_700_000_000_000));
    let put = if is_patch { edit_json } else { put_json };
    let Ok(change) = put(document, meta.clone(), json) else {
        assert!(!document.is_spoiled(), "a refused line spoils nothing");
        assert_eq!(
            (document.heads(), document.value()),
            before,
            "a refused line changes nothing"
        );
        return;
    };
    if let Some(change) = change {
        let verified = Change::verify(change.bytes().clone());
        assert_eq!(verified.as_ref(), Ok(&change), "others take the change");
    }
    let value = document.value().expect("what was written can be read");
    if !is_patch {
        let given = Value::from_json(json).expect("it was taken");
        assert_eq!(
            plain(&given),
            plain(&as_given(&given, &value)),
            "a record is what was put"
        );
    }
    let again = put(document, meta.clone(), json).expect("it was taken before");
    assert_eq!(again, None, "what is equal is not written");
    let shown = value.to_json();
    if !is_patch && Value::from_json(&shown).is_ok_and(|it| it.as_map().is_some()) {
        let again = put_json(document, meta, &shown).expect("what is shown can be put");
        assert_eq!(again, None, "what is shown is what is there");
    }
}

/// What is in the record, with numbers of the kind that was given: a whole number put over another
/// keeps the kind that is there, and zero its sign.
#[expect(
    clippy::float_cmp,
    reason = "zero equals zero, and nothing else but itself"
)]
fn as_given(given: &Value, found: &Value) -> Value {
    match (given, found) {
        (Value::Float(given), Value::Float(found)) if given == found => Value::Float(*given),
        (Value::Int(given), Value::Uint(found)) if u64::try_from(*given) == Ok(*found) => {
            Value::Int(*given)
        }
        (Value::Uint(given), Value::Int(found) | Value::Counter(found))
            if u64::try_from(*found) == Ok(*given) =>
        {
            Value::Uint(*given)
        }
        (Value::List(given), Value::List(found)) if given.len() == found.len() => {
            let pairs = given.iter().zip(found);
            Value::List(pairs.map(|(given, found)| as_given(given, found)).collect())
        }
        (Value::Map(given), Value::Map(found)) => {
            let entries = found.iter().map(|(key, found)| {
                let value = given.get(key).map(|given| as_given(given, found));
                (key.clone(), value.unwrap_or_else(|| found.clone()))
            });
            Value::Map(entries.collect())
        }
        _ => found.clone(),
    }
}

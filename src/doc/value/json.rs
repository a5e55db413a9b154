//! Values as JSON and back, for tools, dynamic applications, import and export.
//!
//! Plain JSON means what it says: numbers without a fraction become [`Value::Int`] (or `Uint`
//! above its range), strings become [`Value::Str`]. A map with one of these keys and no other
//! names a kind that JSON lacks:
//!
//! | JSON | kind |
//! | --- | --- |
//! | `{"$text": "characters"}` | text that merges |
//! | `{"$counter": 5}` | counter |
//! | `{"$time": "2026-11-22T10:00:00.000Z"}`, or milliseconds as a number | timestamp |
//! | `{"$bytes": "aGVsbG8="}` | bytes, in base64 (RFC 4648, with padding) |
//! | `{"$blob": {"id": "…", "size": 7, "type": "text/plain", "name": "a.txt"}}`; type and name may be missing | a reference to an attachment |
//! | `{"$float": "NaN"}`, `"Infinity"`, `"-Infinity"` | a float that JSON can't write |
//! | `{"$unknown": [12, "aGVsbG8="]}` | a scalar of an unknown type |
//! | `{"$map": {}}` | a map whose only key starts with `$` |
//!
//! Written as JSON, texts become plain strings and counters plain numbers: whoever writes them back
//! into the same field edits the text and increments the counter.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value as Json};

use super::{PathStep, Value, show_path};
use crate::blob::Attachment;
use crate::error::{Error, ErrorKind};
use crate::limits;

impl Value {
    /// The value as JSON.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(yes) => Json::Bool(*yes),
            Self::Int(number) | Self::Counter(number) => Json::from(*number),
            Self::Uint(number) => Json::from(*number),
            Self::Float(number) => float_to_json(*number),
            Self::Str(text) => Attachment::read(text)
                .map_or_else(|| Json::from(text.as_str()), |it| attachment_to_json(&it)),
            Self::Text(text) => Json::from(text.as_str()),
            Self::Bytes(bytes) => kind("$bytes", Json::from(base64(bytes))),
            Self::Timestamp(millis) => kind("$time", time_to_json(*millis)),
            Self::List(list) => list.iter().map(Self::to_json).collect(),
            Self::Map(map) => {
                let json =
                    Json::Object(map.iter().map(|(k, v)| (k.clone(), v.to_json())).collect());
                let mistakable = map.len() == 1 && map.keys().any(|key| key.starts_with('$'));
                if mistakable { kind("$map", json) } else { json }
            }
            Self::Unknown { type_code, bytes } => {
                let parts = vec![Json::from(*type_code), Json::from(base64(bytes))];
                kind("$unknown", Json::Array(parts))
            }
        }
    }

    /// The value as JSON that names the kinds of texts and counters, and has a map where `like`, from
    /// which the value was made, has none: it reads back as the same value.
    pub fn to_kinds(&self, like: &Json) -> Json {
        match self {
            Self::Text(text) => kind("$text", Json::from(text.as_str())),
            Self::Counter(number) => kind("$counter", Json::from(*number)),
            Self::List(list) => {
                let of = |at: usize| like.get(at).unwrap_or(&Json::Null);
                let items = list.iter().enumerate();
                items.map(|(at, it)| it.to_kinds(of(at))).collect()
            }
            Self::Map(map) => {
                let of = |key: &str| like.get(key).unwrap_or(&Json::Null);
                let entries = map.iter().map(|(k, v)| (k.clone(), v.to_kinds(of(k))));
                let json = Json::Object(entries.collect());
                let is_alike = like.as_object().is_some_and(|it| !names_a_kind(it));
                if is_alike { json } else { kind("$map", json) }
            }
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Uint(_)
            | Self::Float(_)
            | Self::Str(_)
            | Self::Bytes(_)
            | Self::Timestamp(_)
            | Self::Unknown { .. } => self.to_json(),
        }
    }

    /// The value that `json` stands for.
    ///
    /// # Errors
    /// `InvalidInput` for a kind it does not know or content that does not fit it, `TooLarge` when
    /// nested deeper than [`limits::VALUE_DEPTH_MAX`]. The message names the place.
    pub fn from_json(json: &Json) -> Result<Self, Error> {
        from_json(json, &mut Vec::new())
    }
}

fn kind(name: &str, content: Json) -> Json {
    Json::Object(Map::from_iter([(name.to_owned(), content)]))
}

/// Whether an object stands for a value of a kind that JSON lacks.
pub(crate) fn names_a_kind(object: &Map<String, Json>) -> bool {
    object.len() == 1 && object.keys().any(|key| key.starts_with('$'))
}

fn float_to_json(number: f64) -> Json {
    let name = match Number::from_f64(number) {
        Some(number) => return Json::Number(number),
        None if number.is_nan() => "NaN",
        None if number > 0.0 => "Infinity",
        None => "-Infinity",
    };
    kind("$float", Json::from(name))
}

/// RFC 3339 where it can say the time exactly, milliseconds otherwise.
fn time_to_json(millis: i64) -> Json {
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(stamp) => Json::from(format!("{stamp:.3}")),
        Err(_out_of_range) => Json::from(millis),
    }
}

fn from_json(json: &Json, path: &mut Vec<PathStep>) -> Result<Value, Error> {
    if path.len() > limits::VALUE_DEPTH_MAX {
        let max = limits::VALUE_DEPTH_MAX;
        let message = format!("{} is nested deeper than {max}", show_path(path));
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(yes) => Value::Bool(*yes),
        Json::Number(number) => number_from_json(number),
        Json::String(text) => Value::Str(text.clone()),
        Json::Array(list) => {
            let mut values = Vec::with_capacity(list.len());
            for (index, json) in list.iter().enumerate() {
                path.push(PathStep::Index(index));
                values.push(from_json(json, path)?);
                path.pop();
            }
            Value::List(values)
        }
        Json::Object(map) => match map.iter().next() {
            Some((name, content)) if map.len() == 1 && name.starts_with('$') => {
                kind_from_json(name, content, path)?
            }
            _ => map_from_json(map, path)?,
        },
    })
}

fn map_from_json(map: &Map<String, Json>, path: &mut Vec<PathStep>) -> Result<Value, Error> {
    let mut values = BTreeMap::new();
    for (key, json) in map {
        path.push(PathStep::from(key.as_str()));
        values.insert(key.clone(), from_json(json, path)?);
        path.pop();
    }
    Ok(Value::Map(values))
}

fn number_from_json(number: &Number) -> Value {
    let int = number.as_i64().map(Value::Int);
    let uint = || number.as_u64().map(Value::Uint);
    int.or_else(uint)
        .unwrap_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)))
}

fn kind_from_json(name: &str, content: &Json, path: &mut Vec<PathStep>) -> Result<Value, Error> {
    let value = match name {
        "$text" => content.as_str().map(|text| Value::Text(text.to_owned())),
        "$counter" => content.as_i64().map(Value::Counter),
        "$bytes" => content.as_str().and_then(unbase64).map(Value::Bytes),
        "$time" => time_from_json(content).map(Value::Timestamp),
        "$float" => content.as_str().and_then(|name| match name {
            "NaN" => Some(Value::Float(f64::NAN)),
            "Infinity" => Some(Value::Float(f64::INFINITY)),
            "-Infinity" => Some(Value::Float(f64::NEG_INFINITY)),
            _ => None,
        }),
        "$blob" => attachment_from_json(content).map(|it| Value::Str(it.to_string())),
        "$unknown" => unknown_from_json(content),
        "$map" => match content {
            Json::Object(map) => Some(map_from_json(map, path)?),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => None,
        },
        _ => None,
    };
    value.ok_or_else(|| {
        let place = show_path(path);
        let message =
            format!("{place}: the content of '{name}' does not fit, or there is no such kind");
        Error::new(ErrorKind::InvalidInput, message)
    })
}

fn time_from_json(content: &Json) -> Option<i64> {
    let text = || content.as_str()?.parse::<jiff::Timestamp>().ok();
    content
        .as_i64()
        .or_else(|| text().map(jiff::Timestamp::as_millisecond))
}

fn attachment_to_json(attachment: &Attachment) -> Json {
    let mut content = Map::new();
    content.insert("id".to_owned(), Json::from(attachment.id().to_string()));
    content.insert("size".to_owned(), Json::from(attachment.size()));
    let said = [
        ("type", attachment.media_type()),
        ("name", attachment.name()),
    ];
    for (key, text) in said {
        content.extend(text.map(|it| (key.to_owned(), Json::from(it))));
    }
    kind("$blob", Json::Object(content))
}

fn attachment_from_json(content: &Json) -> Option<Attachment> {
    let content = content.as_object()?;
    let known = ["id", "size", "type", "name"];
    if !content.keys().all(|it| known.contains(&it.as_str())) {
        return None;
    }
    let id = content.get("id")?.as_str()?.parse().ok()?;
    let mut attachment = Attachment::new(id, content.get("size")?.as_u64()?);
    if let Some(media_type) = content.get("type") {
        attachment = attachment.with_type(media_type.as_str()?).ok()?;
    }
    if let Some(name) = content.get("name") {
        attachment = attachment.with_name(name.as_str()?).ok()?;
    }
    Some(attachment)
}

fn unknown_from_json(content: &Json) -> Option<Value> {
    let [type_code, bytes] = content.as_array()?.as_slice() else {
        return None;
    };
    Some(Value::Unknown {
        type_code: u8::try_from(type_code.as_u64()?).ok()?,
        bytes: unbase64(bytes.as_str()?)?,
    })
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or(0);
            let digit = ALPHABET.get(index).copied().unwrap_or(b'A');
            text.push(if place <= group.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.as_bytes().chunks(4) {
        let padding = group.iter().rev().take_while(|byte| **byte == b'=').count();
        let mut bits = 0_u32;
        for byte in group.iter().take(4 - padding.min(4)) {
            let index = ALPHABET.iter().position(|it| it == byte)?;
            bits = bits << 6 | u32::try_from(index).ok()?;
        }
        let [_, a, b, c] = (bits << (6 * padding.min(4))).to_be_bytes();
        bytes.extend([a, b, c].into_iter().take(3_usize.checked_sub(padding)?));
    }
    // One value, one text: wrong lengths, stray bits and inner padding fail here.
    (base64(&bytes) == text).then_some(bytes)
}

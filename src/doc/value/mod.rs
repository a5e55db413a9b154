//! The value of a record, or of a part of it, apart from any document.

mod bytes;
pub mod diff;
pub mod json;
pub mod key;
pub mod order;
pub mod read;

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

use crate::error::{Error, ErrorKind};

pub use diff::Patch;
pub use read::ReadError;

/// One step of a path into a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathStep {
    /// The entry of a map.
    Key(String),
    /// The element of a list.
    Index(usize),
}

impl From<&str> for PathStep {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for PathStep {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A path as text: `address.lines[2]`, or `the record` for the empty path.
pub fn show_path(path: &[PathStep]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            PathStep::Key(key) if text.is_empty() => text.push_str(key),
            PathStep::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            PathStep::Index(index) => {
                text.push('[');
                text.push_str(&index.to_string());
                text.push(']');
            }
        }
    }
    if text.is_empty() {
        text.push_str("the record");
    }
    text
}

/// Reads a path as [`show_path`] writes it. Keys with dots or brackets can't be written so.
///
/// ```
/// use syncline::doc::value::{parse_path, show_path};
/// assert_eq!(show_path(&parse_path("address.lines[2]")?), "address.lines[2]");
/// assert!(parse_path("address..city").is_err());
/// # Ok::<_, syncline::Error>(())
/// ```
///
/// # Errors
/// `InvalidInput` if a key is missing, or what is in brackets is no position.
pub fn parse_path(text: &str) -> Result<Vec<PathStep>, Error> {
    let wrong = || {
        let message = format!("'{text}' names no field; write it as in address.lines[2]");
        Error::new(ErrorKind::InvalidInput, message)
    };
    let mut path = Vec::new();
    for part in text.split('.') {
        let mut parts = part.split('[');
        let key = parts
            .next()
            .filter(|it| !it.is_empty() && !it.contains(']'));
        path.push(PathStep::from(key.ok_or_else(wrong)?));
        for index in parts {
            let index = index
                .strip_suffix(']')
                .and_then(|it| it.parse::<usize>().ok());
            path.push(PathStep::from(index.ok_or_else(wrong)?));
        }
    }
    Ok(path)
}

/// What a document holds at one place.
///
/// Numbers compare by kind and bits: `Int(1)` is not `Uint(1)`, and a NaN equals itself, so that
/// equal values have equal bytes.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// Yes or no.
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// A number that is never negative.
    Uint(u64),
    /// A floating-point number.
    Float(f64),
    /// A string that is replaced as a whole.
    Str(String),
    /// A text in which concurrent edits merge character by character.
    Text(String),
    /// Bytes, replaced as a whole.
    Bytes(Vec<u8>),
    /// Milliseconds since the Unix epoch.
    Timestamp(i64),
    /// A number to which concurrent increments add up.
    Counter(i64),
    /// A list.
    List(Vec<Self>),
    /// A map, or a struct.
    Map(BTreeMap<String, Self>),
    /// A scalar of a type that this version does not know.
    Unknown {
        /// Automerge's code of the type.
        type_code: u8,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

impl Value {
    /// What kind of value it is, for messages that must not show the value itself.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Uint(_) => "an unsigned integer",
            Self::Float(_) => "a float",
            Self::Str(_) => "a string",
            Self::Text(_) => "a text",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "a timestamp",
            Self::Counter(_) => "a counter",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Unknown { .. } => "a value of an unknown type",
        }
    }

    /// The entries, if it is a map.
    pub const fn as_map(&self) -> Option<&BTreeMap<String, Self>> {
        if let Self::Map(map) = self {
            return Some(map);
        }
        None
    }

    /// The characters, if it is a string or a text.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Str(text) | Self::Text(text) = self {
            return Some(text);
        }
        None
    }

    /// What is at `path`, if anything.
    pub fn get(&self, path: &[PathStep]) -> Option<&Self> {
        let Some((step, rest)) = path.split_first() else {
            return Some(self);
        };
        let inner = match (step, self) {
            (PathStep::Key(key), Self::Map(map)) => map.get(key)?,
            (PathStep::Index(index), Self::List(list)) => list.get(*index)?,
            _ => return None,
        };
        inner.get(rest)
    }

    /// What is inside at the end of these keys of maps.
    pub fn at(&self, keys: &[String]) -> Option<&Self> {
        keys.iter()
            .try_fold(self, |value, key| value.as_map()?.get(key))
    }

    /// As [`Value::get`], to be changed.
    pub fn get_mut(&mut self, path: &[PathStep]) -> Option<&mut Self> {
        let Some((step, rest)) = path.split_first() else {
            return Some(self);
        };
        let inner = match (step, self) {
            (PathStep::Key(key), Self::Map(map)) => map.get_mut(key)?,
            (PathStep::Index(index), Self::List(list)) => list.get_mut(*index)?,
            _ => return None,
        };
        inner.get_mut(rest)
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Uint(a), Self::Uint(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Int(a), Self::Int(b))
            | (Self::Timestamp(a), Self::Timestamp(b))
            | (Self::Counter(a), Self::Counter(b)) => a == b,
            (Self::Str(a), Self::Str(b)) | (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            (
                Self::Unknown { type_code, bytes },
                Self::Unknown {
                    type_code: other_code,
                    bytes: other_bytes,
                },
            ) => type_code == other_code && bytes == other_bytes,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl Serialize for Value {
    /// As the plain data it stands for; texts become strings, counters and timestamps numbers.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(yes) => serializer.serialize_bool(*yes),
            Self::Int(number) | Self::Timestamp(number) | Self::Counter(number) => {
                serializer.serialize_i64(*number)
            }
            Self::Uint(number) => serializer.serialize_u64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Str(text) | Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) | Self::Unknown { bytes, .. } => serializer.serialize_bytes(bytes),
            Self::List(list) => {
                let mut seq = serializer.serialize_seq(Some(list.len()))?;
                list.iter().try_for_each(|it| seq.serialize_element(it))?;
                seq.end()
            }
            Self::Map(map) => {
                let mut entries = serializer.serialize_map(Some(map.len()))?;
                map.iter()
                    .try_for_each(|(key, it)| entries.serialize_entry(key, it))?;
                entries.end()
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

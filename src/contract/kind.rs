//! Kinds of fields.

use std::fmt;
use std::str::FromStr;

use super::place;
use crate::doc::Value;
use crate::error::{Error, ErrorKind, Result};

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Yes or no.
    Bool,
    /// A whole number.
    Integer,
    /// A whole or floating-point number.
    Number,
    /// A string that is replaced as a whole.
    String,
    /// A text that merges character by character.
    Text,
    /// Bytes.
    Bytes,
    /// A point in time.
    Timestamp,
    /// A number to which increments add up.
    Counter,
    /// A list.
    List,
    /// A set: a map from each element's text to `true`.
    Set,
    /// A map or a struct.
    Map,
    /// Anything.
    Any,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::Bool,
        Self::Integer,
        Self::Number,
        Self::String,
        Self::Text,
        Self::Bytes,
        Self::Timestamp,
        Self::Counter,
        Self::List,
        Self::Set,
        Self::Map,
        Self::Any,
    ];

    /// Its name, stable across versions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Counter => "counter",
            Self::List => "list",
            Self::Set => "set",
            Self::Map => "map",
            Self::Any => "any",
        }
    }

    /// Whether `value` is of this kind.
    pub fn fits(self, value: &Value) -> bool {
        match self {
            Self::Bool => matches!(value, Value::Bool(_)),
            Self::Integer => matches!(value, Value::Int(_) | Value::Uint(_)),
            Self::Number => matches!(value, Value::Int(_) | Value::Uint(_) | Value::Float(_)),
            Self::String => matches!(value, Value::Str(_)),
            Self::Text => matches!(value, Value::Text(_)),
            Self::Bytes => matches!(value, Value::Bytes(_)),
            Self::Timestamp => matches!(value, Value::Timestamp(_)),
            Self::Counter => matches!(value, Value::Counter(_)),
            Self::List => matches!(value, Value::List(_)),
            Self::Set => value
                .as_map()
                .is_some_and(|map| map.values().all(|it| matches!(it, Value::Bool(true)))),
            Self::Map => matches!(value, Value::Map(_)),
            Self::Any => true,
        }
    }

    /// How a path goes on to an element.
    pub(super) const fn step_to_element(self) -> &'static str {
        if matches!(self, Self::Map) {
            ".*"
        } else {
            "[]"
        }
    }

    pub(super) const fn has_range(self) -> bool {
        matches!(
            self,
            Self::Integer | Self::Number | Self::Counter | Self::Timestamp
        )
    }

    pub(super) const fn has_length(self) -> bool {
        matches!(
            self,
            Self::String | Self::Text | Self::Bytes | Self::List | Self::Set | Self::Map
        )
    }

    pub(super) const fn has_pattern(self) -> bool {
        matches!(self, Self::String | Self::Text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|it| it.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            let message = format!(
                "there is no kind '{}'; there are {names}",
                place::shorten(text)
            );
            Error::new(ErrorKind::InvalidInput, message)
        })
    }
}

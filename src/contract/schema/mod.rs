//! Contracts as JSON Schema (2020-12) and back.
//!
//! A schema describes records as they are in JSON: texts are strings, counters whole numbers, sets
//! objects of `true`, bytes and timestamps objects with a `$bytes` or `$time`. Rules that JSON Schema has
//! words for are said in them; all others stand under keys that start with `x-syncline-`, which other
//! programs pass over. An optional field may be null, and its type says so.

mod export;
mod import;

use super::Kind;

/// What the keys of rules start with that JSON Schema has no words for.
const OWN: &str = "x-syncline-";

/// The dialect that is written.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// All types but null: what a required field of any kind may be.
const ANY_TYPES: [&str; 5] = ["array", "boolean", "number", "object", "string"];

/// The words for the least and the greatest length of a kind.
const fn length_words(kind: Kind) -> Option<(&'static str, &'static str)> {
    match kind {
        Kind::String | Kind::Text => Some(("minLength", "maxLength")),
        Kind::List => Some(("minItems", "maxItems")),
        Kind::Map | Kind::Set => Some(("minProperties", "maxProperties")),
        Kind::Bool
        | Kind::Integer
        | Kind::Number
        | Kind::Bytes
        | Kind::Timestamp
        | Kind::Counter
        | Kind::Any => None,
    }
}

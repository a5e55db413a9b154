//! Typed records: plain Rust structs over documents.
//!
//! A record type derives serde's two traits and autosurgeon's `Reconcile`:
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use syncline::autosurgeon::Reconcile;
//! use syncline::record::{Counter, Set, Text};
//!
//! #[derive(Clone, Debug, Reconcile, Serialize, Deserialize)]
//! struct Task {
//!     title: String,           // replaced as a whole
//!     notes: Text,             // merges character by character
//!     votes: Counter,          // concurrent increments add up
//!     labels: Set<String>,     // concurrent additions and removals merge
//!     steps: Vec<Step>,        // elements are matched by their key
//! }
//!
//! #[derive(Clone, Debug, Reconcile, Serialize, Deserialize)]
//! struct Step {
//!     #[key]
//!     id: u64,
//!     text: String,
//! }
//! # fn is_record<T: syncline::record::Record>() {}
//! # is_record::<Task>();
//! ```
//!
//! The derive macro names the crates `autosurgeon` and `automerge` from the root, so a crate that
//! uses it depends on both, at the versions of [`crate::autosurgeon`].
//!
//! `Reconcile` writes, serde reads. Where one of them renames a field or variant, the other must
//! too: `#[serde(rename = "x")]` goes with `#[autosurgeon(rename = "x")]`. Struct variants, newtype
//! variants and unit variants of enums fit as they are. An `Option` that is absent reads as `None`;
//! other fields that older writers don't know need `#[serde(default)]`.
//!
//! Fields that fit: `bool`, whole numbers up to 64 bits, `f32`, `f64`, `String`, `Option`, `Vec`,
//! `BTreeMap` with string keys, nested structs and enums, and the types of this module. A `Vec`
//! merges element by element if they have a `#[key]` or are strings or numbers, by position otherwise. A
//! `HashMap` is written in its random order, so that the same edit makes another change each time;
//! a `BTreeMap` is not. There is no `char`: use a `String`.

mod attachment;
pub mod fields;
pub mod set;
pub mod typed;
mod version;

use autosurgeon::Reconcile;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::blob::Attachment;
pub use fields::{Bytes, Counter, Text, Timestamp};
pub use set::{Set, SetItem};
pub use typed::{
    check_present, create, delete, edit_json, is_deleted, put_json, read, read_value, restore,
    update,
};
pub use version::restore_version;

/// A type that a record can be read as and written from. Implemented by itself for every type
/// with the traits it asks for.
pub trait Record: Reconcile + Serialize + DeserializeOwned {}

impl<T: Reconcile + Serialize + DeserializeOwned> Record for T {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/records.md")]
mod guide {}

#[cfg(test)]
mod merge_tests;
#[cfg(test)]
mod tests;

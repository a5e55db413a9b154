//! What can be done to a record, as functions over its document.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::Record;
use crate::doc::value::json::names_a_kind;
use crate::doc::{Change, DELETED_KEY, Document, Edit, EditMeta, PathStep, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::limits;

/// Writes `value` into a document that has no record yet.
///
/// # Errors
/// `AlreadyExists` if the document is not empty (deleted records exist too), `InvalidInput` if
/// `value` is not a struct or map, `TooLarge` if a field is.
pub fn create<T: Record>(doc: &mut Document, meta: EditMeta, value: &T) -> Result<Change> {
    if !doc.heads().is_empty() {
        let message = "the record exists already; update or restore it";
        return Err(Error::new(ErrorKind::AlreadyExists, message));
    }
    let ((), change) = doc.edit(meta, |edit| edit.reconcile(value))?;
    change.ok_or_else(empty)
}

/// Reads the record, lets `work` change it, and writes what is different. Fields that `T` does not
/// have stay as they are; where nothing is different, nothing is written.
///
/// # Errors
/// `NotFound` if there is no record or it is deleted, `WrongType` if it can't be read as a `T`,
/// `TooLarge` if a field gets too large. The document is then as it was before.
pub fn update<T: Record, R>(
    doc: &mut Document,
    meta: EditMeta,
    work: impl FnOnce(&mut T) -> R,
) -> Result<(R, Option<Change>)> {
    let mut value: T = read(&present(doc)?)?;
    let result = work(&mut value);
    let ((), change) = doc.edit(meta, |edit| edit.reconcile(&value))?;
    Ok((result, change))
}

/// Deletes the record: it is marked, its fields stay. None if it is deleted already.
///
/// # Errors
/// `NotFound` if there is no record.
pub fn delete(doc: &mut Document, meta: EditMeta) -> Result<Option<Change>> {
    exists(doc)?;
    let time = meta.time;
    let ((), change) = doc.edit(meta, |edit| edit.mark_deleted(time))?;
    Ok(change)
}

/// Takes a deletion back. None if the record is not deleted.
///
/// # Errors
/// `NotFound` if there is no record.
pub fn restore(doc: &mut Document, meta: EditMeta) -> Result<Option<Change>> {
    exists(doc)?;
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method alone is not general enough over the edit's lifetime"
    )]
    let ((), change) = doc.edit(meta, |edit| edit.restore())?;
    Ok(change)
}

/// Reads a record's value, taken from a view, as a `T`.
///
/// # Errors
/// `WrongType`, naming the field, if it does not have that shape.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T> {
    read_value(value)
        .read()
        .map_err(|error| Error::new(ErrorKind::WrongType, error.to_string()).with_source(error))
}

/// The record's own fields: its value without the reserved keys.
pub fn read_value(value: &Value) -> Cow<'_, Value> {
    match value.as_map() {
        Some(map) if map.contains_key(DELETED_KEY) => {
            let mut map = map.clone();
            map.remove(DELETED_KEY);
            Cow::Owned(Value::Map(map))
        }
        _ => Cow::Borrowed(value),
    }
}

/// Whether the record with this value is deleted.
pub fn is_deleted(value: &Value) -> bool {
    value
        .as_map()
        .is_some_and(|it| it.contains_key(DELETED_KEY))
}

/// Replaces the record by a JSON object, or creates it. Fields that the object lacks go; what is
/// equal is not written. [`crate::doc::value::json`] says how kinds are written in JSON.
///
/// # Errors
/// `InvalidInput` if `json` is no object or does not fit, `NotFound` if the record is deleted,
/// `TooLarge` if a field is.
pub fn put_json(doc: &mut Document, meta: EditMeta, json: &Json) -> Result<Option<Change>> {
    let Value::Map(map) = Value::from_json(json)? else {
        return Err(not_an_object());
    };
    let new = doc.heads().is_empty();
    if !new {
        present(doc)?;
    }
    let ((), change) = doc.edit(meta, |edit| edit.put_map(&map))?;
    if new && change.is_none() {
        return Err(empty());
    }
    Ok(change)
}

/// Applies a JSON merge patch (RFC 7396) to the record: objects merge, `null` removes, everything
/// else replaces. None if it changes nothing.
///
/// # Errors
/// `InvalidInput` if `patch` is no object or does not fit, `NotFound` if there is no record or it
/// is deleted, `TooLarge` if a field is.
pub fn edit_json(doc: &mut Document, meta: EditMeta, patch: &Json) -> Result<Option<Change>> {
    let Json::Object(patch) = patch else {
        return Err(not_an_object());
    };
    present(doc)?;
    let ((), change) = doc.edit(meta, |edit| merge(edit, &mut Vec::new(), patch))?;
    Ok(change)
}

fn merge(edit: &mut Edit<'_>, path: &mut Vec<PathStep>, patch: &Map<String, Json>) -> Result<()> {
    if path.len() >= limits::VALUE_DEPTH_MAX {
        let message = format!("nested deeper than {}", limits::VALUE_DEPTH_MAX);
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    for (key, json) in patch {
        path.push(PathStep::from(key.as_str()));
        let inner = json.as_object().filter(|it| !names_a_kind(it));
        match inner {
            _ if json.is_null() => edit.remove(path)?,
            Some(inner) if matches!(edit.get(path)?, Some(Value::Map(_))) => {
                merge(edit, path, inner)?;
            }
            _ => edit.set(path, &Value::from_json(&without_nulls(json))?)?,
        }
        path.pop();
    }
    Ok(())
}

/// An object that a patch puts where none was loses its removals.
fn without_nulls(json: &Json) -> Json {
    match json {
        Json::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            Json::Object(
                kept.map(|(key, value)| (key.clone(), without_nulls(value)))
                    .collect(),
            )
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            json.clone()
        }
    }
}

fn exists(doc: &Document) -> Result<()> {
    if doc.heads().is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "there is no such record"));
    }
    Ok(())
}

/// That there is a record to edit.
///
/// # Errors
/// `NotFound` if there is none or it is deleted.
pub fn check_present(doc: &Document) -> Result<()> {
    exists(doc)?;
    if doc.is_deleted()? {
        return Err(deleted());
    }
    Ok(())
}

/// The value of a record that exists and is not deleted.
fn present(doc: &Document) -> Result<Value> {
    exists(doc)?;
    let value = doc.value()?;
    if is_deleted(&value) {
        return Err(deleted());
    }
    Ok(value)
}

fn deleted() -> Error {
    let message = "the record is deleted; restore it first";
    Error::new(ErrorKind::NotFound, message)
}

fn empty() -> Error {
    let message = "a record needs at least one field";
    Error::new(ErrorKind::InvalidInput, message)
}

fn not_an_object() -> Error {
    let message = "a record is a JSON object";
    Error::new(ErrorKind::InvalidInput, message)
}

//! Writes values into a document with as few operations as it can.

use std::collections::BTreeMap;

use automerge::transaction::{Transactable as _, Transaction};
use automerge::{AutomergeError, ObjId, ObjType, Prop, ReadDoc as _, ScalarValue, TextEncoding};

use super::lcs::{Gap, gaps};
use super::materialise;
use super::value::{PathStep, Value, show_path};
use crate::error::{Error, ErrorKind};
use crate::limits;

/// A transaction, and where in the record it is writing.
pub(super) struct Writer<'d> {
    pub(super) tx: Transaction<'d>,
    pub(super) path: Vec<PathStep>,
    /// What went wrong where it could not be returned.
    pub(super) failure: Option<Error>,
}

impl Writer<'_> {
    /// Runs `work` one step deeper.
    pub(super) fn at<R, E>(
        &mut self,
        step: PathStep,
        work: impl FnOnce(&mut Self) -> Result<R, E>,
    ) -> Result<R, E> {
        self.path.push(step);
        let result = work(self);
        self.path.pop();
        result
    }

    /// Makes `prop` of `obj` equal to `value`.
    pub(super) fn put(&mut self, obj: &ObjId, prop: Prop, value: &Value) -> Result<(), Error> {
        let found = self
            .tx
            .get(obj, prop.clone())
            .map_err(|it| self.refused(it))?;
        let found = found.map(|(found, id)| (found.into_owned(), id));
        match (found, value) {
            (Some((automerge::Value::Object(kind), id)), _) => match (kind, value) {
                (ObjType::Map | ObjType::Table, Value::Map(map)) => self.put_map(&id, map),
                (ObjType::List, Value::List(list)) => self.put_list(&id, list),
                (ObjType::Text, Value::Text(text) | Value::Str(text)) => self.put_text(&id, text),
                _ => self.create(obj, prop, value),
            },
            (Some((automerge::Value::Scalar(scalar), _)), _) => {
                self.replace_scalar(obj, prop, &materialise::owned_scalar(&scalar), value)
            }
            (None, _) => self.create(obj, prop, value),
        }
    }

    fn replace_scalar(
        &mut self,
        obj: &ObjId,
        prop: Prop,
        old: &Value,
        new: &Value,
    ) -> Result<(), Error> {
        if let (Value::Counter(old), Some(new)) = (old, whole_number(new)) {
            // A difference that does not fit is no increment that anyone meant.
            match new.checked_sub(*old) {
                Some(0) => return Ok(()),
                Some(by) => {
                    return self
                        .tx
                        .increment(obj, prop, by)
                        .map_err(|it| self.refused(it));
                }
                None => {}
            }
        }
        let new = of_same_kind(old, new);
        if new == *old {
            return Ok(());
        }
        self.create(obj, prop, &new)
    }

    /// Makes the map `obj` equal to `map`: entries it lacks go, the others are put.
    pub(super) fn put_map(
        &mut self,
        obj: &ObjId,
        map: &BTreeMap<String, Value>,
    ) -> Result<(), Error> {
        self.check_depth()?;
        let surplus = self.tx.keys(obj).filter(|key| !map.contains_key(key));
        for key in surplus.collect::<Vec<_>>() {
            self.tx.delete(obj, key).map_err(|it| self.refused(it))?;
        }
        for (key, value) in map {
            let step = PathStep::from(key.as_str());
            self.at(step, |it| it.put(obj, Prop::from(key), value))?;
        }
        Ok(())
    }

    /// Makes the list `obj` equal to `list`. Elements that stay are not touched; in a place that
    /// differs, old and new elements pair up in order and are edited in place.
    fn put_list(&mut self, obj: &ObjId, list: &[Value]) -> Result<(), Error> {
        self.check_depth()?;
        let found = automerge::Value::Object(ObjType::List);
        let old = materialise::value(&self.tx, &found, obj)?;
        let Value::List(old) = old else {
            return Ok(());
        };
        // From the back, so that positions further in front stay as they are.
        for Gap { old, new } in gaps(&old, list).into_iter().rev() {
            let paired = old.len().min(new.len());
            let (from, values) = (old.start, list.get(new).unwrap_or_default());
            for (at, value) in values.iter().enumerate().skip(paired) {
                let step = PathStep::Index(from + at);
                // Insertions go where the pairs end, whether or not old elements follow.
                self.at(step, |it| it.insert(obj, from + at, value))?;
            }
            for _ in paired..old.len() {
                let surplus = from + paired;
                self.tx
                    .delete(obj, surplus)
                    .map_err(|it| self.refused(it))?;
            }
            for (at, value) in values.iter().enumerate().take(paired) {
                let step = PathStep::Index(from + at);
                self.at(step, |it| it.put(obj, Prop::from(from + at), value))?;
            }
        }
        Ok(())
    }

    /// Makes the text `obj` read `text`, by splices.
    pub(super) fn put_text(&mut self, obj: &ObjId, text: &str) -> Result<(), Error> {
        let old = self.tx.text(obj).map_err(|it| self.refused(it))?;
        if old == text {
            return Ok(());
        }
        self.check_size(text.len())?;
        let old: Vec<char> = old.chars().collect();
        let new: Vec<char> = text.chars().collect();
        for Gap { old, new: range } in gaps(&old, &new).into_iter().rev() {
            let inserted: String = new.get(range).unwrap_or_default().iter().collect();
            let deleted = isize::try_from(old.len()).unwrap_or(isize::MAX);
            let spliced = self.tx.splice_text(obj, old.start, deleted, &inserted);
            spliced.map_err(|it| self.refused(it))?;
        }
        Ok(())
    }

    /// Writes `value` to `prop` of `obj`, whatever is there.
    pub(super) fn create(&mut self, obj: &ObjId, prop: Prop, value: &Value) -> Result<(), Error> {
        self.check(value)?;
        let written = match to_automerge(value) {
            automerge::hydrate::Value::Scalar(scalar) => self.tx.put(obj, prop, scalar),
            object @ (automerge::hydrate::Value::Map(_)
            | automerge::hydrate::Value::List(_)
            | automerge::hydrate::Value::Text(_)) => self
                .tx
                .batch_create_object(obj, prop, &object, false)
                .map(drop),
        };
        written.map_err(|it| self.refused(it))
    }

    /// Inserts `value` into the list `obj` before the element at `index`.
    pub(super) fn insert(&mut self, obj: &ObjId, index: usize, value: &Value) -> Result<(), Error> {
        self.check(value)?;
        let written = match to_automerge(value) {
            automerge::hydrate::Value::Scalar(scalar) => self.tx.insert(obj, index, scalar),
            object @ (automerge::hydrate::Value::Map(_)
            | automerge::hydrate::Value::List(_)
            | automerge::hydrate::Value::Text(_)) => self
                .tx
                .batch_create_object(obj, index, &object, true)
                .map(drop),
        };
        written.map_err(|it| self.refused(it))
    }

    /// Checks that a value to be written here is within the limits.
    pub(super) fn check(&mut self, value: &Value) -> Result<(), Error> {
        match value {
            Value::Str(text) | Value::Text(text) => self.check_size(text.len()),
            Value::Bytes(bytes) | Value::Unknown { bytes, .. } => self.check_size(bytes.len()),
            Value::List(list) => {
                self.check_depth()?;
                let mut elements = list.iter().enumerate();
                elements.try_for_each(|(at, value)| self.at(at.into(), |it| it.check(value)))
            }
            Value::Map(map) => {
                self.check_depth()?;
                let mut entries = map.iter();
                entries.try_for_each(|(key, value)| {
                    self.at(PathStep::from(key.as_str()), |it| it.check(value))
                })
            }
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Float(_)
            | Value::Timestamp(_)
            | Value::Counter(_) => Ok(()),
        }
    }

    pub(super) fn check_size(&self, bytes: usize) -> Result<(), Error> {
        let max = limits::FIELD_BYTES_MAX;
        if bytes <= max {
            return Ok(());
        }
        let message = format!("{bytes} bytes are over the limit of {max} for one field");
        Err(self.error(ErrorKind::TooLarge, message))
    }

    /// Checks that a list or map may be here.
    pub(super) fn check_depth(&self) -> Result<(), Error> {
        let max = limits::VALUE_DEPTH_MAX;
        if self.path.len() < max {
            return Ok(());
        }
        let message = format!("lists and maps may be nested {max} deep, the record included");
        Err(self.error(ErrorKind::TooLarge, message))
    }

    /// An error at the place that is being written.
    pub(super) fn error(&self, kind: ErrorKind, message: impl std::fmt::Display) -> Error {
        Error::new(kind, message.to_string()).context(show_path(&self.path))
    }

    pub(super) fn refused(&self, error: AutomergeError) -> Error {
        self.error(ErrorKind::InvalidInput, &error)
            .with_source(error)
    }
}

/// The number that a counter would be set to.
fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Counter(number) | Value::Int(number) => Some(*number),
        Value::Uint(number) => i64::try_from(*number).ok(),
        Value::Null
        | Value::Bool(_)
        | Value::Float(_)
        | Value::Str(_)
        | Value::Text(_)
        | Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Unknown { .. } => None,
    }
}

/// `new`, as the kind of whole number that `old` is where it fits: writers in other languages
/// don't tell them apart.
fn of_same_kind(old: &Value, new: &Value) -> Value {
    let same = match (old, new) {
        (Value::Int(_), Value::Uint(number)) => i64::try_from(*number).ok().map(Value::Int),
        (Value::Uint(_), Value::Int(number)) => u64::try_from(*number).ok().map(Value::Uint),
        (Value::Timestamp(_), Value::Int(millis)) => Some(Value::Timestamp(*millis)),
        (Value::Timestamp(_), Value::Uint(millis)) => {
            i64::try_from(*millis).ok().map(Value::Timestamp)
        }
        _ => None,
    };
    same.unwrap_or_else(|| new.clone())
}

/// The value in the form from which Automerge makes whole objects at once, in key order.
pub(super) fn to_automerge(value: &Value) -> automerge::hydrate::Value {
    use automerge::hydrate;
    let scalar = match value {
        Value::List(list) => {
            let list: Vec<_> = list.iter().map(to_automerge).collect();
            return hydrate::Value::List(list.into());
        }
        Value::Map(map) => return hydrate::Value::Map(map_to_automerge(map)),
        Value::Text(text) => {
            let text = hydrate::Text::new(TextEncoding::UnicodeCodePoint, text);
            return hydrate::Value::Text(text);
        }
        Value::Null => ScalarValue::Null,
        Value::Bool(yes) => ScalarValue::Boolean(*yes),
        Value::Int(number) => ScalarValue::Int(*number),
        Value::Uint(number) => ScalarValue::Uint(*number),
        Value::Float(number) => ScalarValue::F64(*number),
        Value::Str(text) => ScalarValue::Str(text.as_str().into()),
        Value::Bytes(bytes) => ScalarValue::Bytes(bytes.clone()),
        Value::Timestamp(millis) => ScalarValue::Timestamp(*millis),
        Value::Counter(number) => ScalarValue::counter(*number),
        Value::Unknown { type_code, bytes } => ScalarValue::Unknown {
            type_code: *type_code,
            bytes: bytes.clone(),
        },
    };
    hydrate::Value::Scalar(scalar)
}

#[expect(
    clippy::disallowed_types,
    reason = "Automerge takes no other map; it sorts the keys before it writes them"
)]
pub(super) fn map_to_automerge(map: &BTreeMap<String, Value>) -> automerge::hydrate::Map {
    let entries = map
        .iter()
        .map(|(key, value)| (key.as_str(), to_automerge(value)));
    automerge::hydrate::Map::from(entries.collect::<std::collections::HashMap<_, _>>())
}

//! What can be done to a document inside one edit.

use std::collections::BTreeMap;
use std::fmt;

use automerge::transaction::{Transactable as _, Transaction};
use automerge::{ObjId, ObjType, Prop, ROOT, ReadDoc as _};
use autosurgeon::Reconcile;

use super::materialise;
use super::reconcile;
use super::value::{PathStep, Value, show_path};
use super::write::{Writer, map_to_automerge};
use crate::error::{Error, ErrorKind};
use crate::limits;
use crate::time::WallTime;

/// Root key whose presence says that the record is deleted; its value is when.
pub const DELETED_KEY: &str = "$deleted";

/// Writes to a document; everything in one edit becomes one change, or nothing at all.
///
/// Writes are minimal: what is equal already is not written, and values are changed in place where
/// their kind allows it. A string put over a text is spliced into it, a number put over a counter
/// increments it, whole numbers keep the kind that is there, and zero its sign, lists change only where
/// they differ.
///
/// Positions in texts count Unicode scalar values (Rust's `char`), from 0.
pub struct Edit<'d> {
    writer: Writer<'d>,
}

impl<'d> Edit<'d> {
    pub(super) const fn new(tx: Transaction<'d>) -> Self {
        Self {
            writer: Writer {
                tx,
                path: Vec::new(),
                failure: None,
            },
        }
    }

    pub(super) const fn writer(&mut self) -> &mut Writer<'d> {
        &mut self.writer
    }

    pub(super) fn into_transaction(self) -> Transaction<'d> {
        self.writer.tx
    }

    /// What is at `path` now, if anything.
    ///
    /// # Errors
    /// When it is nested too deep to be read.
    pub fn get(&self, path: &[PathStep]) -> Result<Option<Value>, Error> {
        let Some(place) = self.find(path)? else {
            return Ok(None);
        };
        Ok(Some(materialise::value(
            &self.writer.tx,
            &place.0,
            &place.1,
        )?))
    }

    /// Makes what is at `path` equal to `value`. Position one past the end of a list appends; the
    /// empty path is [`Edit::put_map`].
    ///
    /// # Errors
    /// `InvalidInput` if `path` leads nowhere or is reserved, `TooLarge` if `value` is.
    pub fn set(&mut self, path: &[PathStep], value: &Value) -> Result<(), Error> {
        let Some((last, parents)) = path.split_last() else {
            if let Value::Map(map) = value {
                return self.put_map(map);
            }
            let message = format!("a record is a map, not {}", value.class());
            return Err(Error::new(ErrorKind::InvalidInput, message));
        };
        not_reserved(path.first())?;
        let (kind, obj) = self.object(parents)?;
        self.writer.path = path.to_vec();
        let result = match (last, kind) {
            (PathStep::Key(key), ObjType::Map | ObjType::Table) => {
                self.writer.put(&obj, Prop::from(key), value)
            }
            (PathStep::Index(index), ObjType::List) if *index == self.writer.tx.length(&obj) => {
                self.writer.insert(&obj, *index, value)
            }
            (PathStep::Index(index), ObjType::List) => {
                self.writer.put(&obj, Prop::from(*index), value)
            }
            _ => Err(nowhere(path)),
        };
        self.writer.path.clear();
        result
    }

    /// Makes the whole record equal to `map`: fields it does not have go. Whether the record is
    /// deleted stays as it is.
    ///
    /// # Errors
    /// `InvalidInput` for a reserved key, `TooLarge` for a value over its limit.
    pub fn put_map(&mut self, map: &BTreeMap<String, Value>) -> Result<(), Error> {
        map.keys()
            .try_for_each(|key| not_reserved(Some(&PathStep::from(key.as_str()))))?;
        if self.writer.tx.base_heads().is_empty() && self.writer.tx.pending_ops() == 0 {
            // The usual way to a new record; ten times as fast as key by key. It must be new: over a
            // map that was emptied it writes what nobody sees.
            map.iter().try_for_each(|(key, value)| {
                let step = PathStep::from(key.as_str());
                self.writer.at(step, |it| it.check(value))
            })?;
            let created = self
                .writer
                .tx
                .init_root_from_hydrate(&map_to_automerge(map));
            return created.map_err(|it| self.writer.refused(it));
        }
        match self.get(&[PathStep::from(DELETED_KEY)])? {
            None => self.writer.put_map(&ROOT, map),
            Some(deleted) => {
                let mut map = map.clone();
                map.insert(DELETED_KEY.to_owned(), deleted);
                self.writer.put_map(&ROOT, &map)
            }
        }
    }

    /// Writes `value` at `path` over what is there, also if that is equal.
    pub(super) fn replace(&mut self, path: &[PathStep], value: &Value) -> Result<(), Error> {
        not_reserved(path.first())?;
        let Some((last, parents)) = path.split_last() else {
            return Err(nowhere(path));
        };
        let (_, obj) = self.object(parents)?;
        self.writer.path = path.to_vec();
        let written = self.writer.create(&obj, prop(last), value);
        self.writer.path.clear();
        written
    }

    /// Makes everything equal to `map`, reserved keys too.
    pub(super) fn become_map(&mut self, map: &BTreeMap<String, Value>) -> Result<(), Error> {
        self.writer.put_map(&ROOT, map)
    }

    /// Makes the fields of `value` what they are, and leaves alone fields that its type does not
    /// have.
    ///
    /// # Errors
    /// `InvalidInput` if `value` is not a struct or map, `TooLarge` for a field over its limit.
    pub fn reconcile<T: Reconcile>(&mut self, value: &T) -> Result<(), Error> {
        reconcile::root(&mut self.writer, value)
    }

    /// Removes what is at `path`; nothing happens if there is nothing.
    ///
    /// # Errors
    /// `InvalidInput` for the empty path, or a reserved one.
    pub fn remove(&mut self, path: &[PathStep]) -> Result<(), Error> {
        let Some((last, parents)) = path.split_last() else {
            let message = "a record can be deleted, but not removed from itself";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        };
        not_reserved(path.first())?;
        if self.find(path)?.is_none() {
            return Ok(());
        }
        let (_, obj) = self.object(parents)?;
        self.delete(&obj, prop(last))
    }

    /// In the text at `path`, replaces `delete` characters from `position` on by `insert`.
    ///
    /// # Errors
    /// `InvalidInput` if there is no text, or it is too short; `TooLarge` if it gets too long.
    pub fn splice_text(
        &mut self,
        path: &[PathStep],
        position: usize,
        delete: usize,
        insert: &str,
    ) -> Result<(), Error> {
        let (kind, obj) = self.object(path)?;
        let length = self.writer.tx.length(&obj);
        let end = position.saturating_add(delete);
        if kind != ObjType::Text || end > length {
            let place = show_path(path);
            let message = format!("{place}: there is no text with {end} characters");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        // A character has four bytes at most; only near the limit is the text worth counting.
        if length.saturating_mul(4).saturating_add(insert.len()) > limits::FIELD_BYTES_MAX {
            let text = self.writer.tx.text(&obj);
            let text = text.map_err(|it| self.writer.refused(it))?;
            self.writer.check_size(text.len() + insert.len())?;
        }
        let delete = isize::try_from(delete).unwrap_or(isize::MAX);
        let spliced = self.writer.tx.splice_text(obj, position, delete, insert);
        spliced.map_err(|it| self.writer.refused(it))
    }

    /// Adds `by` to the counter at `path`; concurrent increments add up.
    ///
    /// # Errors
    /// `InvalidInput` if there is no counter, or the sum does not fit 64 bits.
    pub fn increment(&mut self, path: &[PathStep], by: i64) -> Result<(), Error> {
        let sum = match self.get(path)? {
            Some(Value::Counter(number)) => number.checked_add(by),
            _ => None,
        };
        let Some(sum) = sum else {
            let message = format!("{}: there is no counter to add {by} to", show_path(path));
            return Err(Error::new(ErrorKind::InvalidInput, message));
        };
        self.set(path, &Value::Counter(sum))
    }

    /// Marks the record as deleted at `time`; its fields stay. Nothing happens if it is already.
    ///
    /// # Errors
    /// When Automerge refuses.
    pub fn mark_deleted(&mut self, time: WallTime) -> Result<(), Error> {
        if self.find(&[PathStep::from(DELETED_KEY)])?.is_some() {
            return Ok(());
        }
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.writer
            .put(&ROOT, Prop::from(DELETED_KEY), &Value::Timestamp(millis))
    }

    /// Takes the deletion back. Nothing happens if the record is not deleted.
    ///
    /// # Errors
    /// When Automerge refuses.
    pub fn restore(&mut self) -> Result<(), Error> {
        if self.find(&[PathStep::from(DELETED_KEY)])?.is_none() {
            return Ok(());
        }
        self.delete(&ROOT, Prop::from(DELETED_KEY))
    }

    fn delete(&mut self, obj: &ObjId, prop: Prop) -> Result<(), Error> {
        let deleted = self.writer.tx.delete(obj, prop);
        deleted.map_err(|it| self.writer.refused(it))
    }

    fn find(&self, path: &[PathStep]) -> Result<Option<(automerge::Value<'_>, ObjId)>, Error> {
        let mut place = (automerge::Value::Object(ObjType::Map), ROOT);
        for step in path {
            let automerge::Value::Object(kind) = place.0 else {
                return Ok(None);
            };
            let fits = match step {
                PathStep::Key(_) => matches!(kind, ObjType::Map | ObjType::Table),
                PathStep::Index(_) => kind == ObjType::List,
            };
            let found = if fits {
                let found = self.writer.tx.get(&place.1, prop(step));
                found.map_err(|it| self.writer.refused(it))?
            } else {
                None
            };
            let Some(found) = found else {
                return Ok(None);
            };
            place = found;
        }
        Ok(Some(place))
    }

    fn object(&self, path: &[PathStep]) -> Result<(ObjType, ObjId), Error> {
        match self.find(path)? {
            Some((automerge::Value::Object(kind), id)) => Ok((kind, id)),
            _ => Err(nowhere(path)),
        }
    }
}

impl fmt::Debug for Edit<'_> {
    /// Shows nothing of the content, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations = self.writer.tx.pending_ops();
        f.debug_struct("Edit")
            .field("operations", &operations)
            .finish_non_exhaustive()
    }
}

fn prop(step: &PathStep) -> Prop {
    match step {
        PathStep::Key(key) => Prop::from(key),
        PathStep::Index(index) => Prop::from(*index),
    }
}

fn nowhere(path: &[PathStep]) -> Error {
    let message = format!("{}: there is no such place", show_path(path));
    Error::new(ErrorKind::InvalidInput, message)
}

/// Fields of a record must not pass for what the library keeps in it.
pub(super) fn not_reserved(step: Option<&PathStep>) -> Result<(), Error> {
    match step {
        Some(PathStep::Key(key)) if key == DELETED_KEY => {
            let message = format!("'{key}' is reserved; use delete and restore");
            Err(Error::new(ErrorKind::InvalidInput, message))
        }
        _ => Ok(()),
    }
}

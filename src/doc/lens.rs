//! A document seen through conflict policies: what is read shows them, and an edit of what is shown does
//! not write back what nobody changed.

use std::fmt;

use automerge::ROOT;

use super::document::{Document, EditMeta};
use super::edit::Edit;
use super::fault::DocumentFault;
use super::value::{PathStep, Value};
use super::{Change, materialise};
use crate::error::Error;
use crate::id::Heads;
use crate::limits;

/// How places are shown at which several values stand.
///
/// It must be a function of the document at `heads` alone: all replicas have to show the same.
pub trait Lens: Send + Sync + fmt::Debug {
    /// The places of the document, as it was at `heads` (now, without), at which several values stand
    /// and the lens knows what to show, with that.
    ///
    /// # Errors
    /// When Automerge fails.
    fn contested(
        &self,
        document: &Document,
        heads: Option<&Heads>,
    ) -> Result<Vec<(Vec<PathStep>, Value)>, DocumentFault>;

    /// Names what the lens does; not 0.
    fn tag(&self) -> u64;
}

/// The value of a document, and by what it is shown so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The value.
    pub value: Value,
    /// The tag of the lens, 1 without one; 0 where nothing is contested, so that any lens shows it so.
    pub by: u64,
}

/// The tag of what is seen without a lens.
pub const NO_LENS: u64 = 1;

impl Document {
    /// The document's value as it is seen, reserved keys included.
    ///
    /// # Errors
    /// As [`Document::value`].
    pub fn shown(&self, heads: Option<&Heads>) -> Result<Shown, DocumentFault> {
        self.guarded("read the document", || {
            let hashes = heads.map(super::conflicts::hashes);
            let (mut value, is_contested) =
                materialise::map(&self.inner, &ROOT, hashes.as_deref())?;
            let by = match &self.lens {
                _ if !is_contested => 0,
                None => NO_LENS,
                Some(lens) => {
                    show(&self.places(lens.as_ref(), heads)?, &mut value);
                    lens.tag()
                }
            };
            Ok(Shown { value, by })
        })
    }

    /// Edits what is seen: where a lens shows something else than Automerge does.
    ///
    /// The edit is made on a draft that holds what is shown. What does not differ then from what was
    /// shown is not written: a sum that is shown is not added once more. What differs takes the place of
    /// all that stood there: written into one of the values, it would not be seen where another is shown.
    pub(super) fn edit_shown<R, E: From<Error>>(
        &mut self,
        seen: &Seen,
        meta: EditMeta,
        work: impl FnOnce(&mut Edit<'_>) -> Result<R, E>,
    ) -> Result<(R, Option<Change>), E> {
        let mut draft = self.clone();
        draft.lens = None;
        let mut places = Vec::new();
        draft.commit(EditMeta::at(meta.time), false, |edit| {
            // What is too large to be written is edited as Automerge shows it.
            let writable = |(path, shown): &&(Vec<_>, _)| edit.replace(path, shown).is_ok();
            places.extend(seen.places.iter().filter(writable));
            Ok::<_, Error>(())
        })?;
        let (result, _) = draft.commit(meta.clone(), false, work)?;
        let mut after = draft.value().map_err(Error::from)?;
        let mut anew = Vec::new();
        for (path, shown) in places {
            if let (Some(raw), Some(place)) = (seen.raw.get(path), after.get_mut(path)) {
                if shown.order(place).is_eq() {
                    place.clone_from(raw);
                } else {
                    anew.push((path, place.clone()));
                }
            }
        }
        let Value::Map(after) = after else {
            return Err(Error::from(DocumentFault::Spoiled).into());
        };
        let ((), change) = self.commit(meta, false, |edit| {
            let mut anew = anew.iter();
            anew.try_for_each(|(path, value)| edit.replace(path, value))?;
            edit.become_map(&after).map_err(E::from)
        })?;
        Ok((result, change))
    }

    /// Writes `value` at `path` anew, so that nothing is left of what stood there before; for one of several
    /// values at least, whatever a lens shows.
    ///
    /// # Errors
    /// As [`Edit::set`], where `path` leads nowhere too.
    pub fn replace(
        &mut self,
        meta: EditMeta,
        path: &[PathStep],
        value: &Value,
    ) -> Result<((), Option<Change>), Error> {
        self.commit(meta, false, |edit| edit.replace(path, value))
    }

    /// What a lens shows otherwise than Automerge does, if it does.
    pub(super) fn seen(&self) -> Result<Option<Seen>, DocumentFault> {
        let Some(lens) = &self.lens else {
            return Ok(None);
        };
        self.guarded("read the document", || {
            let places = self.places(lens.as_ref(), None)?;
            if places.is_empty() {
                return Ok(None);
            }
            let (raw, _) = materialise::map(&self.inner, &ROOT, None)?;
            Ok(Some(Seen { places, raw }))
        })
    }

    /// The places that a lens knows what to show at. What is inside of one of them is shown by it alone,
    /// and what would be nested too deep is left as Automerge shows it.
    fn places(&self, lens: &dyn Lens, heads: Option<&Heads>) -> Result<Vec<Place>, DocumentFault> {
        let mut contested = lens.contested(self, heads)?;
        contested.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut places: Vec<Place> = Vec::new();
        for (path, value) in contested {
            let is_inside = places.last().is_some_and(|(it, _)| path.starts_with(it));
            let room = limits::VALUE_DEPTH_MAX.checked_sub(path.len());
            if !is_inside && room.is_some_and(|it| fits(&value, it)) {
                places.push((path, value));
            }
        }
        Ok(places)
    }
}

/// Where a lens shows something else than Automerge does: the places with what is shown, and all that
/// Automerge shows.
pub(super) struct Seen {
    places: Vec<Place>,
    raw: Value,
}

/// A place, and what is shown there.
type Place = (Vec<PathStep>, Value);

/// Whether a value is nested no deeper than this.
fn fits(value: &Value, depth: usize) -> bool {
    let inside = |it: &Value| depth.checked_sub(1).is_some_and(|depth| fits(it, depth));
    match value {
        Value::List(list) => depth > 0 && list.iter().all(inside),
        Value::Map(map) => depth > 0 && map.values().all(inside),
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
        | Value::Unknown { .. } => true,
    }
}

fn show(places: &[Place], value: &mut Value) {
    for (path, shown) in places {
        if let Some(place) = value.get_mut(path) {
            place.clone_from(shown);
        }
    }
}

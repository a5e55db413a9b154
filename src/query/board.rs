//! The result of a live query while records change: a board of places.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::tree::Tree;
use super::{Position, Query, Selected, Selection};
use crate::doc::Value;
use crate::error::{Error, ErrorKind, Result};
use crate::id::RecordId;
use crate::limits;
use crate::record;

/// A record in the result of a live query. Cheap to clone.
#[derive(Clone)]
pub struct LiveRecord {
    /// Which it is.
    pub id: RecordId,
    value: Arc<Value>,
}

impl LiveRecord {
    /// The record as it is at this point of the stream.
    ///
    /// # Errors
    /// `WrongType` if it does not have the shape of `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        record::read(&self.value)
    }

    /// The same as JSON, see [`crate::doc::value::json`].
    pub fn json(&self) -> Json {
        record::read_value(&self.value).to_json()
    }
}

impl PartialEq for LiveRecord {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.value == other.value
    }
}

impl Eq for LiveRecord {}

impl fmt::Debug for LiveRecord {
    /// Shows nothing of the content, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveRecord")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// How the result of a live query changed. Positions count from 0 and hold once all events before
/// are applied, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveEvent {
    /// A record came in at `at`; it and those behind it move up by one.
    Added {
        /// Where it stands.
        at: usize,
        /// The record.
        record: LiveRecord,
    },
    /// The record at `at` has another value and stays where it is.
    Changed {
        /// Where it stands.
        at: usize,
        /// The record.
        record: LiveRecord,
    },
    /// The record at `from` is gone: it was deleted, the filter does not apply any more, or others
    /// came before it and the limit leaves it out.
    Removed {
        /// Where it stood.
        from: usize,
        /// Which it was.
        id: RecordId,
    },
    /// The record at `from` has another value, with which it stands at `to`: taken out first, then
    /// put in.
    Moved {
        /// Where it stood.
        from: usize,
        /// Where it stands, counted without it.
        to: usize,
        /// The record.
        record: LiveRecord,
    },
}

impl LiveEvent {
    /// Changes a list of the result as the event says; `false`, and nothing changed, if the position
    /// is not in the list, which then is of another result.
    pub fn apply(&self, list: &mut Vec<LiveRecord>) -> bool {
        match self {
            Self::Added { at, record } if *at <= list.len() => list.insert(*at, record.clone()),
            Self::Changed { at, record } => match list.get_mut(*at) {
                Some(place) => place.clone_from(record),
                None => return false,
            },
            Self::Removed { from, .. } if *from < list.len() => drop(list.remove(*from)),
            Self::Moved { from, to, record } if *from < list.len() && *to < list.len() => {
                list.remove(*from);
                list.insert(*to, record.clone());
            }
            Self::Added { .. } | Self::Removed { .. } | Self::Moved { .. } => return false,
        }
        true
    }
}

/// The result of a query, kept while records change, in time that depends on the number of records in
/// it only, logarithmically.
///
/// With a limit it also holds some that would come into the result next. Where too many were lost it
/// has to be given a new [`Selection`]; [`Board::is_short`] says so.
#[derive(Debug)]
pub struct Board {
    query: Query,
    /// How many records beyond the limit it holds once it has read the collection.
    margin: usize,
    places: BTreeMap<RecordId, Position>,
    records: Tree<Position, LiveRecord>,
    /// All that the query asks for is here up to this place; all there is without it.
    known_to: Option<Position>,
}

impl Board {
    /// An empty board, to be given a [`Board::selection`] first.
    ///
    /// # Errors
    /// Those of [`Query::check`], and `TooLarge` if the limit is over
    /// [`limits::LIVE_RECORDS_MAX`].
    pub fn new(query: Query) -> Result<Self> {
        query.check()?;
        if query
            .limit_records()
            .is_some_and(|it| it > limits::LIVE_RECORDS_MAX)
        {
            return Err(too_many());
        }
        let limit = query.limit_records().unwrap_or(0);
        Ok(Self {
            query,
            margin: limit.max(limits::LIVE_MARGIN),
            places: BTreeMap::new(),
            records: Tree::default(),
            known_to: None,
        })
    }

    /// The same board with another margin.
    #[cfg(test)]
    pub(super) fn with_margin(self, margin: usize) -> Self {
        Self { margin, ..self }
    }

    /// How many records it holds, those beyond the limit included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// How many records the result has at most.
    fn limit(&self) -> usize {
        self.query.limit_records().unwrap_or(usize::MAX)
    }

    /// How many records it holds once it has read the collection.
    fn wanted(&self) -> usize {
        let limit = self.query.limit_records();
        limit.map_or(limits::LIVE_RECORDS_MAX, |it| {
            it.saturating_add(self.margin)
        })
    }

    /// What is to be offered all records of the collection, and then taken in by [`Board::reset`].
    pub fn selection(&self) -> Selection {
        Selection::keeping(self.query.clone(), self.wanted())
    }

    /// The records of the result in their order.
    pub fn result(&self) -> Vec<LiveRecord> {
        let indices = 0..self.records.len().min(self.limit());
        let record = |index| self.records.at(index).map(|(_, record)| record.clone());
        indices.filter_map(record).collect()
    }

    /// Whether so many records left that one may be missing: a new selection is needed.
    pub fn is_short(&self) -> bool {
        self.known_to.is_some() && self.records.len() < self.limit()
    }

    /// Takes in all there is, and says how it differs from what was here.
    ///
    /// # Errors
    /// `TooLarge` if there is no limit and more than [`limits::LIVE_RECORDS_MAX`] records.
    pub fn reset(&mut self, selection: Selection, events: &mut VecDeque<LiveEvent>) -> Result<()> {
        let (selected, is_more) = selection.finish();
        if is_more && self.query.limit_records().is_none() {
            return Err(too_many());
        }
        let known_to = selected.last().map(|it| it.position.clone());
        let there: BTreeSet<_> = selected.iter().map(|it| it.record).collect();
        // What is gone goes last: until then the result is never short.
        self.known_to = None;
        for Selected {
            position,
            record,
            value,
        } in selected
        {
            let record = LiveRecord {
                id: record,
                value: Arc::new(value),
            };
            self.place(record.id, Some((position, record)), events);
        }
        let here = self.places.keys().copied();
        let gone: Vec<_> = here.filter(|it| !there.contains(it)).collect();
        for record in gone {
            self.place(record, None, events);
        }
        self.known_to = known_to.filter(|_| is_more);
        Ok(())
    }

    /// Takes in the value that a record has now, and says what that changes in the result.
    ///
    /// # Errors
    /// `TooLarge` if there is no limit and more than [`limits::LIVE_RECORDS_MAX`] records.
    pub fn set(
        &mut self,
        id: RecordId,
        value: &Value,
        events: &mut VecDeque<LiveEvent>,
    ) -> Result<()> {
        let position = self.query.place(id, value);
        let known = position.filter(|it| self.known_to.as_ref().is_none_or(|end| it <= end));
        let placed = known.map(|position| {
            let value = Arc::new(record::read_value(value).into_owned());
            (position, LiveRecord { id, value })
        });
        self.place(id, placed, events);
        if self.query.limit_records().is_some() {
            self.trim();
        } else if self.records.len() > limits::LIVE_RECORDS_MAX {
            return Err(too_many());
        }
        Ok(())
    }

    fn place(
        &mut self,
        id: RecordId,
        placed: Option<(Position, LiveRecord)>,
        events: &mut VecDeque<LiveEvent>,
    ) {
        let old = self.places.get(&id).cloned();
        let was = old.as_ref().and_then(|it| self.records.get(it));
        if let (Some(old), Some(was), Some((position, record))) = (&old, was, &placed)
            && old == position
            && was == record
        {
            return;
        }
        let limit = self.limit();
        let was_full = self.records.len() >= limit;
        let from = old.map(|it| {
            self.places.remove(&id);
            let from = self.records.rank(&it);
            self.records.remove(&it);
            from
        });
        let to = placed.map(|(position, record)| {
            self.places.insert(id, position.clone());
            let to = self.records.rank(&position);
            self.records.insert(position, record.clone());
            (to, record)
        });
        let shown = |it: &usize| *it < limit;
        match (from.filter(shown), to.filter(|(to, _)| shown(to))) {
            (Some(from), Some((to, record))) if from == to => {
                events.push_back(LiveEvent::Changed { at: to, record });
            }
            (Some(from), Some((to, record))) => {
                events.push_back(LiveEvent::Moved { from, to, record });
            }
            (Some(from), None) => {
                events.push_back(LiveEvent::Removed { from, id });
                self.pull_up(limit, events);
            }
            (None, Some((at, record))) => {
                if was_full {
                    self.push_out(limit, events);
                }
                events.push_back(LiveEvent::Added { at, record });
            }
            (None, None) => {}
        }
    }

    /// After one left: the first behind the limit comes in.
    fn pull_up(&self, limit: usize, events: &mut VecDeque<LiveEvent>) {
        let at = limit.saturating_sub(1);
        if let Some((_, record)) = self.records.at(at) {
            let record = record.clone();
            events.push_back(LiveEvent::Added { at, record });
        }
    }

    /// Before one comes, which is on the board already: the last goes behind the limit.
    fn push_out(&self, limit: usize, events: &mut VecDeque<LiveEvent>) {
        if let Some((_, last)) = self.records.at(limit) {
            let from = limit.saturating_sub(1);
            events.push_back(LiveEvent::Removed { from, id: last.id });
        }
    }

    /// Lets go of the last of those beyond the limit when they have become many.
    fn trim(&mut self) {
        let wanted = self.wanted();
        if self.records.len() <= wanted.saturating_add(self.margin) {
            return;
        }
        while self.records.len() > wanted {
            let Some((_, last)) = self.records.pop_last() else {
                return;
            };
            self.places.remove(&last.id);
        }
        let last = self.records.len().checked_sub(1);
        let last = last.and_then(|it| self.records.at(it));
        self.known_to = last.map(|(position, _)| position.clone());
    }
}

fn too_many() -> Error {
    let max = limits::LIVE_RECORDS_MAX;
    let message = format!("a live query holds {max} records at most; give it a smaller limit");
    Error::new(ErrorKind::TooLarge, message)
}

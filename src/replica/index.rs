//! Secondary indexes: keys in the order of some fields of a collection's views, kept with the views.
//!
//! A definition is a few columns. It is told by the application ([`Replica::set_indexes`]) and stands in
//! the store with how far its index is; [`Replica::work_on_indexes`] builds and removes in small steps.
//! From the moment that it is told, whatever writes a view writes the entries, too.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::Replica;
use super::index_entry::{APART, IndexColumn};
use super::keys::{self, Number, Slot};
use super::read::{Rows, damaged};
use super::rows::ViewRow;
use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::error::Result;
use crate::id::{CollectionId, RecordId, RecordKey, SpaceId};
use crate::limits;
use crate::store::{KeyRange, Order, Snapshot, Table, prefix_end};

/// How far an index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Views behind this record are not in it yet.
    Building(Option<RecordId>),
    Complete,
    /// Nobody wants it any more. Its entries are not kept up.
    Removing,
}

/// An index of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its number among those of the collection.
    number: u32,
    columns: Vec<IndexColumn>,
    state: State,
}

/// The indexes of all collections that have some.
pub(super) type Indexes = BTreeMap<(SpaceId, CollectionId), Vec<Index>>;

impl Index {
    /// What it is sorted by.
    pub fn columns(&self) -> &[IndexColumn] {
        &self.columns
    }

    /// Whether all views are in it.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    fn is_removed(&self) -> bool {
        self.state == State::Removing
    }

    /// What all of its keys begin with.
    pub(super) fn prefix(&self, collection: Number) -> Vec<u8> {
        let mut writer = Writer::with_capacity(64);
        writer.u32(collection.0).u32(self.number);
        writer.finish()
    }

    fn encode(&self, writer: &mut Writer) {
        writer.u32(self.number);
        match self.state {
            State::Building(None) => writer.u8(0),
            State::Building(Some(record)) => writer.u8(1).raw(record.as_bytes()),
            State::Complete => writer.u8(2),
            State::Removing => writer.u8(3),
        };
        writer.count(self.columns.len());
        for column in &self.columns {
            column.encode(writer);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let number = reader.u32("index number")?;
        let state = match reader.u8("index state")? {
            0 => State::Building(None),
            1 => State::Building(Some(RecordId::from_bytes(reader.array("record id")?))),
            2 => State::Complete,
            3 => State::Removing,
            unknown => return Err(reader.error("index state", Problem::Unexpected(unknown.into()))),
        };
        let count = reader.count(limits::INDEX_FIELDS_MAX, "index columns")?;
        let columns = (0..count).map(|_| IndexColumn::decode(reader));
        Ok(Self {
            number,
            columns: columns.collect::<Result<_, Malformed>>()?,
            state,
        })
    }
}

fn decode_all(row: &[u8]) -> Result<Vec<Index>, Malformed> {
    let mut reader = Reader::new(row);
    let mut indexes = Vec::new();
    while reader.remaining() > 0 {
        indexes.push(Index::decode(&mut reader)?);
    }
    Ok(indexes)
}

/// The indexes that a store has.
pub(super) fn load(snapshot: &dyn Snapshot) -> Result<Indexes> {
    let mut all = Indexes::new();
    let mut fault = None;
    let mut read = |key: &[u8], row: &[u8]| -> Result<(), Malformed> {
        let (space, name) = keys::read_indexes(key)?;
        if let Ok(collection) = name.parse() {
            all.insert((space, collection), decode_all(row)?);
        }
        Ok(())
    };
    let rows = Rows::new(snapshot);
    rows.prefix(Table::Index, &u32::MAX.to_be_bytes(), &mut |key, row| {
        fault = read(key, row).err();
        match fault {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    })?;
    fault.map_or(Ok(all), |it| Err(damaged(Table::Index, &it)))
}

impl Replica {
    /// Says which indexes a collection is to have. New ones are built, and others removed, by
    /// [`Replica::work_on_indexes`]. Durable with the next commit.
    ///
    /// # Errors
    /// When an earlier write failed.
    pub fn set_indexes(
        &mut self,
        of: &(SpaceId, CollectionId),
        wanted: &[Vec<IndexColumn>],
    ) -> Result<()> {
        self.check_writable()?;
        let mut indexes = self.indexes.get(of).cloned().unwrap_or_default();
        let before = indexes.clone();
        for index in &mut indexes {
            if !wanted.contains(&index.columns) {
                index.state = State::Removing;
            }
        }
        for columns in wanted {
            let is_it = |it: &Index| it.columns == *columns && !it.is_removed();
            let fits = (1..=limits::INDEX_FIELDS_MAX).contains(&columns.len());
            if !fits || indexes.iter().any(is_it) {
                continue;
            }
            let last = indexes.iter().map(|it| it.number).max();
            indexes.push(Index {
                number: last.map_or(0, |it| it.saturating_add(1)),
                columns: columns.clone(),
                state: State::Building(None),
            });
        }
        if indexes != before {
            self.put_indexes(of, indexes);
        }
        Ok(())
    }

    /// Goes one bounded step on with what is to be built or removed; says whether there was anything.
    ///
    /// # Errors
    /// When the store can't be read, or an earlier write failed.
    pub fn work_on_indexes(&mut self) -> Result<bool> {
        self.check_writable()?;
        let open = self.indexes.iter().find_map(|(of, indexes)| {
            let at = indexes.iter().position(|it| !it.is_complete())?;
            Some((of.clone(), at))
        });
        let Some((of, at)) = open else {
            return Ok(false);
        };
        let mut indexes = self.indexes.get(&of).cloned().unwrap_or_default();
        let number = self.catalog.number(of.0, Some(&of.1));
        if let Some(index) = indexes.get_mut(at) {
            let is_gone = match (index.state, number) {
                (State::Building(after), Some(number)) => {
                    index.state = self.build(index, number, after)?;
                    false
                }
                (State::Building(_) | State::Complete, _) => {
                    index.state = State::Complete;
                    false
                }
                (State::Removing, Some(number)) => self.clear(index, number)?,
                (State::Removing, None) => true,
            };
            if is_gone {
                indexes.remove(at);
            }
        }
        self.put_indexes(&of, indexes);
        Ok(true)
    }

    fn build(&mut self, index: &Index, number: Number, after: Option<RecordId>) -> Result<State> {
        let (views, is_end) = self.rows().some_views(number, after)?;
        let last = views.last().map(|it| it.0.record);
        for (slot, view) in views {
            for (key, row) in index.entries(slot, &view) {
                self.batch.put(Table::Index, key, row);
            }
        }
        Ok(if is_end {
            State::Complete
        } else {
            State::Building(last.or(after))
        })
    }

    /// Removes some entries; says whether none is left.
    fn clear(&mut self, index: &Index, number: Number) -> Result<bool> {
        let mut found = Vec::new();
        let rows = self.rows();
        rows.prefix(Table::Index, &index.prefix(number), &mut |key, _| {
            found.push(key.to_vec());
            if found.len() < limits::INDEX_STEP_RECORDS {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        let is_empty = found.len() < limits::INDEX_STEP_RECORDS;
        for key in found {
            self.batch.remove(Table::Index, key);
        }
        Ok(is_empty)
    }

    fn put_indexes(&mut self, of: &(SpaceId, CollectionId), indexes: Vec<Index>) {
        let key = keys::indexes(of.0, &of.1);
        if indexes.is_empty() {
            self.batch.remove(Table::Index, key);
            self.indexes.remove(of);
            return;
        }
        let mut writer = Writer::new();
        for index in &indexes {
            index.encode(&mut writer);
        }
        self.batch.put(Table::Index, key, writer.finish());
        self.indexes.insert(of.clone(), indexes);
    }

    /// Moves the entries of a view that is written.
    pub(super) fn index_view(
        &mut self,
        slot: Slot,
        key: &RecordKey,
        (before, after): (Option<&ViewRow>, &ViewRow),
    ) {
        if self.indexes.is_empty() {
            return;
        }
        let Some(indexes) = self.indexes.get(&(key.space, key.collection.clone())) else {
            return;
        };
        for index in indexes.iter().filter(|it| !it.is_removed()) {
            let old = before.map_or_else(Vec::new, |it| index.entries(slot, it));
            let new = index.entries(slot, after);
            for entry in old.iter().filter(|it| !new.contains(it)) {
                self.batch.remove(Table::Index, entry.0.clone());
            }
            for (key, row) in new.into_iter().filter(|it| !old.contains(it)) {
                self.batch.put(Table::Index, key, row);
            }
        }
    }
}

impl Rows<'_> {
    /// The indexes of a collection, incomplete ones too.
    ///
    /// # Errors
    /// When the store can't be read, or the row is damaged.
    pub fn indexes(&self, space: SpaceId, collection: &CollectionId) -> Result<Vec<Index>> {
        let key = keys::indexes(space, collection);
        let row = self.row(Table::Index, &key, decode_all)?;
        Ok(row.unwrap_or_default())
    }

    /// The next entries of an index whose columns are in a range, `limit` at most, each by its record and
    /// columns.
    ///
    /// # Errors
    /// When the store can't be read, or an entry is damaged.
    pub fn index_entries(
        &self,
        (collection, index): (Number, &Index),
        columns: KeyRange<'_>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(RecordId, Vec<u8>)>> {
        let prefix = index.prefix(collection);
        let start = [&prefix, columns.start.max(&[APART + 1])].concat();
        let end = columns.end.map(|it| [&prefix, it].concat());
        let end = end.or_else(|| prefix_end(&prefix));
        let range = KeyRange {
            start: &start,
            end: end.as_deref(),
        };
        if limit == 0 || range.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let mut is_damaged = false;
        self.scan(Table::Index, range, order, &mut |key, _| {
            let columns = key.get(prefix.len()..).unwrap_or_default();
            let record = columns.last_chunk().map(|it| RecordId::from_bytes(*it));
            is_damaged |= record.is_none();
            found.extend(record.map(|it| (it, columns.to_vec())));
            if is_damaged || found.len() >= limit {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        if is_damaged {
            return Err(damaged(Table::Index, &"an entry names no record"));
        }
        Ok(found)
    }

    /// The records of an index that it does not tell of for whom shows conflicts otherwise: each with what
    /// its view shows them by, 0 if it tells of it to nobody.
    ///
    /// # Errors
    /// When the store can't be read, or an entry is damaged.
    pub fn index_apart(&self, collection: Number, index: &Index) -> Result<Vec<(RecordId, u64)>> {
        let mut prefix = index.prefix(collection);
        prefix.push(APART);
        let mut found = Vec::new();
        let mut fault = None;
        self.prefix(Table::Index, &prefix, &mut |key, row| {
            let mut reader = Reader::new(key.get(prefix.len()..).unwrap_or_default());
            let entry = reader
                .array("record id")
                .and_then(|id| Ok((id, Reader::new(row).varint("shown by")?)));
            match entry {
                Ok((id, by)) => found.push((RecordId::from_bytes(id), by)),
                Err(error) => fault = Some(error),
            }
            match fault {
                None => ControlFlow::Continue(()),
                Some(_) => ControlFlow::Break(()),
            }
        })?;
        fault.map_or(Ok(found), |it| Err(damaged(Table::Index, &it)))
    }

    /// The views after a record, as many as one step takes, and whether these are the last.
    fn some_views(
        &self,
        collection: Number,
        after: Option<RecordId>,
    ) -> Result<(Vec<(Slot, ViewRow)>, bool)> {
        let mut start = collection.0.to_be_bytes().to_vec();
        if let Some(record) = after {
            start.extend(record.as_bytes());
            start.push(0);
        }
        let end = prefix_end(&collection.0.to_be_bytes());
        let range = KeyRange {
            start: &start,
            end: end.as_deref(),
        };
        let (mut views, mut bytes, mut fault) = (Vec::new(), 0_usize, None);
        let mut is_end = true;
        self.scan(Table::Views, range, Order::Ascending, &mut |key, row| {
            if views.len() >= limits::INDEX_STEP_RECORDS || bytes >= limits::INDEX_STEP_BYTES {
                is_end = false;
                return ControlFlow::Break(());
            }
            let slot = Slot::read(&mut Reader::new(key));
            match slot.and_then(|slot| Ok((slot, ViewRow::decode(row)?))) {
                Ok(view) => views.push(view),
                Err(error) => {
                    fault = Some(error);
                    return ControlFlow::Break(());
                }
            }
            bytes = bytes.saturating_add(row.len());
            ControlFlow::Continue(())
        })?;
        fault.map_or(Ok((views, is_end)), |it| Err(damaged(Table::Views, &it)))
    }
}

//! Typed reads of the tables: through a snapshot alone, or with a batch laid over it.

use std::ops::ControlFlow;

use super::catalog::Catalog;
use super::graph::{Graph, Node, block_of, first_of, read_nodes};
use super::keys::{self, Number, Slot};
use super::quarantine::QuarantineRow;
use super::rows::{self, Header, LogRow, SnapshotRow, StaleRow, ViewRow};
use super::stem::Stem;
use crate::codec::Malformed;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ChangeHash, CollectionId, Lsn, RecordId, RecordKey, SpaceId};
use crate::ledger::{self, Cursor};
use crate::plant::{self, Plant};
use crate::reconcile::{RangeKey, Span, Total};
use crate::store::{Batch, KeyRange, Order, Snapshot, StoreError, Table, Visit, Write, prefix_end};

/// What elements of a collection are shown to, until it breaks.
pub(super) type Show<'a> = dyn FnMut(RangeKey, &[u8]) -> Result<ControlFlow<()>, Malformed> + 'a;

/// The tables as one writer or reader sees them.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    snapshot: &'a dyn Snapshot,
    batch: Option<&'a Batch>,
}

impl<'a> Rows<'a> {
    /// What is committed.
    pub fn new(snapshot: &'a dyn Snapshot) -> Self {
        Self {
            snapshot,
            batch: None,
        }
    }

    /// What will be committed once `batch` is.
    pub(super) fn with(snapshot: &'a dyn Snapshot, batch: &'a Batch) -> Self {
        Self {
            snapshot,
            batch: Some(batch),
        }
    }

    pub(super) const fn snapshot(&self) -> &'a dyn Snapshot {
        self.snapshot
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.batch.and_then(|it| it.get(table, key)) {
            Some(Write::Put(value)) => Ok(Some(value.to_vec())),
            Some(Write::Remove) => Ok(None),
            None => self.snapshot.get(table, key),
        }
    }

    pub(super) fn row<T>(
        &self,
        table: Table,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Option<T>> {
        let Some(row) = self.get(table, key)? else {
            return Ok(None);
        };
        decode(&row)
            .map(Some)
            .map_err(|error| damaged(table, &error))
    }

    /// Shows the rows of a range until `visit` breaks.
    pub(super) fn scan(
        &self,
        table: Table,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let Some(batch) = self.batch else {
            return self.snapshot.scan(table, range, order, visit);
        };
        let mut writes: Vec<_> = batch.range(table, range.start, range.end).collect();
        if order == Order::Ascending {
            writes.reverse();
        }
        // `writes` is a stack now: the next one in scan order is last.
        let mut broken = false;
        self.snapshot.scan(table, range, order, &mut |key, value| {
            while let Some((at, write)) = writes.last().copied() {
                let before = if order == Order::Ascending {
                    at < key
                } else {
                    at > key
                };
                if !before && at != key {
                    break;
                }
                writes.pop();
                let flow = match write {
                    Write::Put(value) => visit(at, value),
                    Write::Remove => ControlFlow::Continue(()),
                };
                broken |= flow.is_break();
                if flow.is_break() || at == key {
                    return flow;
                }
            }
            let flow = visit(key, value);
            broken |= flow.is_break();
            flow
        })?;
        while let (false, Some((at, write))) = (broken, writes.pop()) {
            if let Write::Put(value) = write {
                broken = visit(at, value).is_break();
            }
        }
        Ok(())
    }

    /// Shows the elements of a span of a collection, until `visit` breaks.
    pub(super) fn elements(
        &self,
        number: Number,
        span: Span,
        order: Order,
        visit: &mut Show<'_>,
    ) -> Result<()> {
        let (start, end) = keys::elements(number, span);
        let range = KeyRange {
            start: &start,
            end: end.as_deref(),
        };
        let mut fault = None;
        self.scan(Table::Elements, range, order, &mut |key, row| {
            let shown = keys::read_element(key).and_then(|(_, key)| visit(key, row));
            shown.unwrap_or_else(|error| {
                fault = Some(error);
                ControlFlow::Break(())
            })
        })?;
        fault.map_or(Ok(()), |it| Err(damaged(Table::Elements, &it)))
    }

    /// Shows the rows whose key starts with `prefix`, in order.
    pub(super) fn prefix(&self, table: Table, prefix: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        let end = prefix_end(prefix);
        let range = KeyRange {
            start: prefix,
            end: end.as_deref(),
        };
        Ok(self.scan(table, range, Order::Ascending, visit)?)
    }

    /// The local number of a collection, or of a space; `None` if nothing of it is here.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn number(
        &self,
        space: SpaceId,
        collection: Option<&CollectionId>,
    ) -> Result<Option<Number>> {
        let key = keys::collection(space, collection);
        self.row(Table::Collections, &key, |row| {
            let mut reader = crate::codec::Reader::new(row);
            Ok(Number(reader.u32("collection number")?))
        })
    }

    /// Where a record stands; `None` if nothing of its collection is here.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn slot(&self, key: &RecordKey) -> Result<Option<Slot>> {
        let number = self.number(key.space, Some(&key.collection))?;
        Ok(number.map(|collection| Slot {
            collection,
            record: key.record,
        }))
    }

    /// What is known of a record without its history.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn header(&self, slot: Slot) -> Result<Option<Header>> {
        self.row(Table::Records, &slot.key(), Header::decode)
    }

    /// A record's materialised value.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn view(&self, slot: Slot) -> Result<Option<ViewRow>> {
        self.row(Table::Views, &slot.key(), ViewRow::decode)
    }

    /// Shows the views of a collection in order of record ids, until `visit` breaks.
    ///
    /// # Errors
    /// When the store can't be read, or a row is damaged.
    pub fn views(
        &self,
        collection: Number,
        visit: &mut dyn FnMut(RecordId, ViewRow) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut fault = None;
        self.prefix(Table::Views, &keys::total(collection), &mut |key, row| {
            let mut reader = crate::codec::Reader::new(key);
            let view = Slot::read(&mut reader).and_then(|slot| Ok((slot, ViewRow::decode(row)?)));
            match view {
                Ok((slot, view)) => visit(slot.record, view),
                Err(error) => {
                    fault = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        fault.map_or(Ok(()), |it| Err(damaged(Table::Views, &it)))
    }

    /// The records of a collection whose view shows a conflict, `limit` at most.
    ///
    /// # Errors
    /// When the store can't be read, or a row is damaged.
    pub fn contested(&self, collection: Number, limit: usize) -> Result<Vec<RecordId>> {
        let mut contested = Vec::new();
        if limit == 0 {
            return Ok(contested);
        }
        self.views(collection, &mut |record, view| {
            if view.shown_by != 0 && !rows::is_tombstone(&view.value) {
                contested.push(record);
            }
            if contested.len() < limit {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        Ok(contested)
    }

    /// The records of a collection that are named in the quarantine as a whole: their documents can't be
    /// loaded, or break their contract.
    ///
    /// # Errors
    /// When the store can't be read, or a row is damaged.
    pub fn quarantined_records(&self, collection: Number) -> Result<Vec<RecordId>> {
        let mut records = Vec::new();
        let mut fault = None;
        self.prefix(
            Table::Quarantine,
            &keys::total(collection),
            &mut |key, _| {
                let mut reader = crate::codec::Reader::new(key);
                match Slot::read(&mut reader) {
                    Ok(slot) if *key == slot.change(&super::capture::NO_CHANGE) => {
                        records.push(slot.record);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        fault = Some(error);
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            },
        )?;
        fault.map_or(Ok(records), |it| Err(damaged(Table::Quarantine, &it)))
    }

    /// How many views of a collection show a record that is not deleted. Of the records in
    /// [`Rows::stale_records`] the view may be missing or behind.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn shown_records(&self, collection: Number) -> Result<u64> {
        let read = |row: &[u8]| crate::codec::Reader::new(row).varint("shown records");
        let row = self.row(Table::Views, &keys::shown(collection), read)?;
        Ok(row.unwrap_or(0))
    }

    /// The spaces of which anything is here.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn spaces(&self) -> Result<Vec<SpaceId>> {
        Ok(Catalog::load(self.snapshot)?.spaces())
    }

    /// The collections of a space of which anything is here, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn collections(&self, space: SpaceId) -> Result<Vec<CollectionId>> {
        Ok(Catalog::load(self.snapshot)?.collections(space))
    }

    /// The records of a collection whose view is missing or behind, in order.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn stale_records(&self, collection: Number) -> Result<Vec<RecordId>> {
        let mut records = Vec::new();
        self.prefix(Table::Stale, &keys::total(collection), &mut |key, _| {
            let mut reader = crate::codec::Reader::new(key);
            records.extend(Slot::read(&mut reader).ok().map(|it| it.record));
            ControlFlow::Continue(())
        })?;
        Ok(records)
    }

    pub(super) fn stale(&self, slot: Slot) -> Result<Option<StaleRow>> {
        self.row(Table::Stale, &slot.key(), StaleRow::decode)
    }

    pub(super) fn total(&self, collection: Number) -> Result<Total> {
        let total = self.row(Table::Tree, &keys::total(collection), rows::decode_total)?;
        Ok(total.unwrap_or_default())
    }

    pub(super) fn log_row(&self, space: Number, lsn: Lsn) -> Result<Option<LogRow>> {
        self.row(Table::Log, &keys::log(space, lsn), LogRow::decode)
    }

    /// A record's document up to some change, if its changes were folded.
    pub(super) fn snapshot_of(&self, slot: Slot) -> Result<Option<SnapshotRow>> {
        self.row(Table::Snapshots, &slot.key(), SnapshotRow::decode)
    }

    /// The last number up to which changes were taken out of a space's log; all after it are there.
    pub(super) fn horizon(&self, space: Number) -> Result<Lsn> {
        let read = |row: &[u8]| crate::codec::Reader::new(row).u64("horizon").map(Lsn);
        let row = self.row(Table::Meta, &keys::horizon(space), read)?;
        Ok(row.unwrap_or_default())
    }

    /// The newest number of a space's log, whether its change is still there or was folded.
    pub(super) fn last_lsn(&self, space: Number) -> Result<Lsn> {
        let prefix = space.0.to_be_bytes();
        let end = prefix_end(&prefix);
        let range = KeyRange {
            start: &prefix,
            end: end.as_deref(),
        };
        let mut last = Lsn(0);
        self.scan(Table::Log, range, Order::Descending, &mut |key, _| {
            let mut reader = crate::codec::Reader::new(key);
            let read = reader.u32("space").and_then(|_| reader.u64("lsn"));
            last = Lsn(read.unwrap_or(0));
            ControlFlow::Break(())
        })?;
        if plant::is_planted(Plant::ReuseNumbers) {
            return Ok(last);
        }
        Ok(last.max(self.horizon(space)?))
    }

    pub(super) fn cursor(
        &self,
        store: crate::id::StoreId,
        space: SpaceId,
    ) -> Result<Option<Cursor>> {
        self.row(
            Table::Cursors,
            &ledger::cursor_key(store, space),
            Cursor::decode,
        )
    }

    pub(super) fn quarantined(
        &self,
        slot: Slot,
        hash: &ChangeHash,
    ) -> Result<Option<QuarantineRow>> {
        self.row(Table::Quarantine, &slot.change(hash), QuarantineRow::decode)
    }

    pub(super) fn block(&self, slot: Slot, block: u32) -> Result<Vec<u8>> {
        Ok(self
            .get(Table::Graph, &slot.block(block))?
            .unwrap_or_default())
    }

    /// What the graph keeps of a record's folded changes.
    pub(super) fn stem(&self, slot: Slot, header: &Header) -> Result<Stem> {
        if header.stem() == 0 {
            return Ok(Stem::default());
        }
        let stem = self.row(Table::Graph, &slot.key(), Stem::decode)?;
        let is_right = |it: &Stem| it.folded == header.stem();
        let missing = || damaged(Table::Graph, &"what stands for folded changes is missing");
        stem.filter(is_right).ok_or_else(missing)
    }

    /// The record's changes from position `from` on, in the order in which they were applied. Those
    /// that a stem stands for can't be had.
    ///
    /// # Errors
    /// When the store can't be read, or the graph does not agree with the header.
    pub fn nodes(&self, slot: Slot, from: u32, header: &Header) -> Result<Vec<Node>> {
        let first = block_of(from);
        let start = |block| first_of(block).max(header.stem());
        let mut nodes = Vec::new();
        for block in first..=block_of(header.changes.saturating_sub(1)) {
            let read = read_nodes(&self.block(slot, block)?, start(block));
            nodes.extend(read.map_err(|error| damaged(Table::Graph, &error))?);
        }
        let skipped = from.saturating_sub(start(first));
        let nodes: Vec<_> = nodes.into_iter().skip(index(skipped)).collect();
        if nodes.len() != index(header.changes.saturating_sub(from)) {
            let found = format!("{} changes after {from} of {}", nodes.len(), header.changes);
            return Err(damaged(Table::Graph, &found));
        }
        Ok(nodes)
    }

    /// The record's change at a position that no stem stands for; none if it has not so many.
    pub(super) fn node_at(
        &self,
        slot: Slot,
        position: u32,
        header: &Header,
    ) -> Result<Option<Node>> {
        let block = block_of(position);
        let first = first_of(block).max(header.stem());
        let nodes = read_nodes(&self.block(slot, block)?, first);
        let nodes = nodes.map_err(|error| damaged(Table::Graph, &error))?;
        Ok(nodes.into_iter().nth(index(position.saturating_sub(first))))
    }

    /// The record's change graph, after the stem that stands for what was folded.
    ///
    /// # Errors
    /// When the store can't be read, or the graph does not agree with the header.
    pub fn graph(&self, slot: Slot, header: &Header) -> Result<Graph> {
        let mut graph = Graph::after(self.stem(slot, header)?);
        self.nodes(slot, header.stem(), header)?
            .into_iter()
            .for_each(|it| graph.push(it));
        Ok(graph)
    }
}

fn index(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// A row that does not read as it was written.
pub(super) fn damaged(table: Table, detail: &dyn std::fmt::Display) -> Error {
    let message = format!(
        "table {} of the store is damaged: {detail}; restore a backup, or sync into a new file",
        table.name()
    );
    Error::new(ErrorKind::StoreCorrupt, message)
}

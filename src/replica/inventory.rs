//! The replica as reconciliation and sessions read it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use super::graph::Graph;
use super::keys::{self, Number, Slot};
use super::read::{Rows, damaged};
use super::rows::{Header, LogRow};
use super::{Replica, rows};
use crate::blob::{Manifest, Missing};
use crate::codec::{Malformed, Reader};
use crate::error::Result;
use crate::id::{BlobId, ChangeHash, CollectionId, Heads, Lsn, RecordKey, SpaceId};
use crate::reconcile::{
    Inventory, LogEntry, Piece, RangeKey, Snapshot, Span, Total, Upper, WalkItem,
};
use crate::store::{KeyRange, Order, Table, Write, prefix_end};

impl Replica {
    pub(super) fn slot_and_header(&self, key: &RecordKey) -> Result<Option<(Slot, Header)>> {
        let Some(slot) = self.catalog.slot(key) else {
            return Ok(None);
        };
        Ok(self.rows().header(slot)?.map(|header| (slot, header)))
    }

    pub(super) fn graph(&self, slot: Slot, header: &Header) -> Result<Arc<Graph>> {
        if let Some(graph) = self.graphs.get(slot) {
            return Ok(graph);
        }
        let graph = Arc::new(self.rows().graph(slot, header)?);
        self.graphs.put(slot, Arc::clone(&graph));
        Ok(graph)
    }

    /// Whether a change of a record is here. Of a folded one nothing tells but its snapshot, which is
    /// taken apart for it.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn holds(&self, key: &RecordKey, hash: &ChangeHash) -> Result<bool> {
        let Some((slot, header)) = self.slot_and_header(key)? else {
            return Ok(false);
        };
        let graph = self.graph(slot, &header)?;
        if graph.holds(hash) || graph.is_whole() {
            return Ok(graph.holds(hash));
        }
        Ok(self.rows().whole_graph(slot, &header)?.holds(hash))
    }

    /// What the batch adds to the elements of a span and takes away from them.
    fn pending(&self, number: Number, span: Span) -> Result<Total> {
        let (start, end) = keys::elements(number, span);
        let mut total = Total::default();
        let element = |row: &[u8]| {
            rows::decode_element(row).map_err(|error| damaged(Table::Elements, &error))
        };
        for (key, write) in self.batch.range(Table::Elements, &start, end.as_deref()) {
            if let Some(old) = self.snapshot.get(Table::Elements, key)? {
                total.subtract(&element(&old)?);
            }
            if let Write::Put(new) = write {
                total.add(&element(new)?);
            }
        }
        Ok(total)
    }

    fn with_pending(
        &self,
        number: Number,
        span: Span,
        mut parts: Vec<(Upper, Total)>,
    ) -> Result<Vec<(Upper, Total)>> {
        let mut lower = span.lower;
        for (upper, total) in &mut parts {
            let upper = *upper;
            total.merge(&self.pending(number, Span { lower, upper })?);
            if let Upper::Key(key) = upper {
                lower = key;
            }
        }
        Ok(parts)
    }

    /// What is committed, which the sums over elements speak of.
    fn committed(&self) -> Rows<'_> {
        Rows::new(self.snapshot.as_ref())
    }
}

impl Inventory for Replica {
    fn collections(&self, space: SpaceId) -> Result<Vec<CollectionId>> {
        Ok(self.catalog.collections(space))
    }

    fn total(&self, space: SpaceId, collection: &CollectionId, span: Span) -> Result<Total> {
        let Some(number) = self.catalog.number(space, Some(collection)) else {
            return Ok(Total::default());
        };
        let mut total = self.committed().within(number, span)?;
        total.merge(&self.pending(number, span)?);
        Ok(total)
    }

    fn items(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        span: Span,
        limit: usize,
    ) -> Result<Vec<WalkItem>> {
        let Some(number) = self.catalog.number(space, Some(collection)) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        let visit = &mut |key: RangeKey, _: &[u8]| {
            if found.len() >= limit {
                return Ok(ControlFlow::Break(()));
            }
            found.push(key);
            Ok(ControlFlow::Continue(()))
        };
        self.rows()
            .elements(number, span, Order::Descending, visit)?;
        let item = |key: RangeKey| {
            let name = RecordKey {
                space,
                collection: collection.clone(),
                record: key.record,
            };
            let heads = self.heads(&name)?.unwrap_or_default();
            Ok(WalkItem {
                time: key.time,
                record: key.record,
                heads,
            })
        };
        found.into_iter().map(item).collect()
    }

    fn parts(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        span: Span,
        limit: usize,
    ) -> Result<Vec<(Upper, Total)>> {
        let Some(number) = self.catalog.number(space, Some(collection)) else {
            return Ok(vec![(span.upper, Total::default())]);
        };
        let parts = self.committed().parts(number, span, limit)?;
        self.with_pending(number, span, parts)
    }

    fn newest(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        span: Span,
        leaf: usize,
    ) -> Result<Vec<(Upper, Total)>> {
        let Some(number) = self.catalog.number(space, Some(collection)) else {
            return Ok(vec![(span.upper, Total::default())]);
        };
        let parts = self.committed().newest(number, span, leaf)?;
        self.with_pending(number, span, parts)
    }

    fn heads(&self, key: &RecordKey) -> Result<Option<Heads>> {
        Ok(self
            .slot_and_header(key)?
            .map(|(_, header)| header.hashes()))
    }

    fn unknown(&self, key: &RecordKey, hashes: &[ChangeHash]) -> Result<Vec<ChangeHash>> {
        let Some((slot, header)) = self.slot_and_header(key)? else {
            return Ok(hashes.to_vec());
        };
        let is_head = |hash: &ChangeHash| header.heads.iter().any(|it| it.hash == *hash);
        if hashes.iter().all(is_head) {
            return Ok(Vec::new());
        }
        let graph = self.graph(slot, &header)?;
        Ok(hashes
            .iter()
            .filter(|it| !graph.holds(it))
            .copied()
            .collect())
    }

    fn samples(&self, key: &RecordKey) -> Result<Vec<ChangeHash>> {
        let Some((slot, header)) = self.slot_and_header(key)? else {
            return Ok(Vec::new());
        };
        let mut samples: Vec<_> = header.heads.iter().map(|it| it.hash).collect();
        if usize::try_from(header.changes).is_ok_and(|it| it > samples.len()) {
            let older = self.graph(slot, &header)?.samples();
            let older = older.into_iter().filter(|it| !samples.contains(it));
            let older: Vec<_> = older.collect();
            samples.extend(older);
        }
        Ok(samples)
    }

    fn lacking(&self, key: &RecordKey, known: &[ChangeHash]) -> Result<Vec<Piece>> {
        let Some((slot, header)) = self.slot_and_header(key)? else {
            return Ok(Vec::new());
        };
        if header.heads.iter().all(|it| known.contains(&it.hash)) {
            return Ok(Vec::new());
        }
        if header.changes == 1 {
            return Ok(vec![Piece {
                position: 0,
                lsn: header.lsn,
            }]);
        }
        Ok(self.graph(slot, &header)?.lacking(known))
    }

    fn blob_manifest(&self, space: SpaceId, blob: BlobId) -> Result<Option<Manifest>> {
        self.rows().blob_manifest(space, blob)
    }

    fn blob_chunk(&self, space: SpaceId, blob: BlobId, index: u32) -> Result<Option<Bytes>> {
        self.rows().blob_chunk(space, blob, index)
    }

    fn blob_missing(
        &self,
        space: SpaceId,
        blob: BlobId,
        asked: (&BTreeSet<u32>, usize),
    ) -> Result<Missing> {
        self.rows().blob_missing(space, blob, asked)
    }

    fn weight(&self, key: &RecordKey) -> Result<u64> {
        Ok(self
            .slot_and_header(key)?
            .map_or(0, |(_, header)| header.weight()))
    }

    fn snapshot(&self, key: &RecordKey) -> Result<Option<Snapshot>> {
        let Some(slot) = self.catalog.slot(key) else {
            return Ok(None);
        };
        let row = self.rows().snapshot_of(slot)?;
        Ok(row.map(|it| Snapshot {
            changes: it.changes,
            document: it.document,
        }))
    }

    fn horizon(&self, space: SpaceId) -> Result<Lsn> {
        match self.catalog.number(space, None) {
            Some(number) => self.rows().horizon(number),
            None => Ok(Lsn(0)),
        }
    }

    fn lsn(&self, space: SpaceId) -> Result<Lsn> {
        if let Some(lsn) = self.lsns.borrow().get(&space) {
            return Ok(*lsn);
        }
        let lsn = match self.catalog.number(space, None) {
            Some(number) => self.rows().last_lsn(number)?,
            None => Lsn(0),
        };
        self.lsns.borrow_mut().insert(space, lsn);
        Ok(lsn)
    }

    fn entry(&self, space: SpaceId, lsn: Lsn) -> Result<Option<LogEntry>> {
        let Some(number) = self.catalog.number(space, None) else {
            return Ok(None);
        };
        let row = self.rows().log_row(number, lsn)?;
        Ok(row.and_then(|row| {
            let key = self.catalog.key(row.slot)?;
            Some(row.entry(lsn, key))
        }))
    }

    fn log(
        &self,
        space: SpaceId,
        after: Lsn,
        visit: &mut dyn FnMut(LogEntry) -> ControlFlow<()>,
    ) -> Result<()> {
        let Some(number) = self.catalog.number(space, None) else {
            return Ok(());
        };
        let start = keys::log(number, Lsn(after.0.saturating_add(1)));
        let end = prefix_end(&number.0.to_be_bytes());
        let range = KeyRange {
            start: &start,
            end: end.as_deref(),
        };
        let mut fault = None;
        self.rows().scan(
            Table::Log,
            range,
            Order::Ascending,
            &mut |key, row| match read_entry(key, row) {
                Ok((lsn, row)) => match self.catalog.key(row.slot) {
                    Some(key) => visit(row.entry(lsn, key)),
                    None => ControlFlow::Continue(()),
                },
                Err(error) => {
                    fault = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        fault.map_or(Ok(()), |it| Err(damaged(Table::Log, &it)))
    }
}

fn read_entry(key: &[u8], row: &[u8]) -> Result<(Lsn, LogRow), Malformed> {
    let mut reader = Reader::new(key);
    reader.u32("space number")?;
    let lsn = Lsn(reader.u64("lsn")?);
    Ok((lsn, LogRow::decode(row)?))
}

//! The replica as reconciliation and sessions read it.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::graph::Graph;
use super::keys::{self, Slot};
use super::read::damaged;
use super::rows::{Header, LogRow};
use super::{Replica, rows};
use crate::codec::{Malformed, Reader};
use crate::error::Result;
use crate::id::{ChangeHash, CollectionId, Heads, Lsn, RecordKey, SpaceId};
use crate::reconcile::{Inventory, LogEntry, Piece, RangeKey, Span, Total, Upper, WalkItem};
use crate::store::{KeyRange, Order, Table, prefix_end};

/// What elements of a collection are shown to, until it breaks.
type Visit<'a> = dyn FnMut(RangeKey, &[u8]) -> Result<ControlFlow<()>, Malformed> + 'a;

impl Replica {
    fn slot_and_header(&self, key: &RecordKey) -> Result<Option<(Slot, Header)>> {
        let Some(slot) = self.catalog.slot(key) else {
            return Ok(None);
        };
        Ok(self.rows().header(slot)?.map(|header| (slot, header)))
    }

    fn graph(&self, slot: Slot, header: &Header) -> Result<Arc<Graph>> {
        if let Some(graph) = self.graphs.get(slot) {
            return Ok(graph);
        }
        let graph = Arc::new(self.rows().graph(slot, header)?);
        self.graphs.put(slot, Arc::clone(&graph));
        Ok(graph)
    }

    /// Shows the elements of a span in the given order until `visit` breaks.
    fn elements(
        &self,
        (space, collection): (SpaceId, &CollectionId),
        span: Span,
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let Some(number) = self.catalog.number(space, Some(collection)) else {
            return Ok(());
        };
        let start = keys::element(number, span.lower);
        let end = match span.upper {
            Upper::Key(upper) => Some(keys::element(number, upper)),
            Upper::End => prefix_end(&number.0.to_be_bytes()),
        };
        let range = KeyRange {
            start: &start,
            end: end.as_deref(),
        };
        let mut fault = None;
        self.rows()
            .scan(Table::Elements, range, order, &mut |key, row| {
                let shown = keys::read_element(key).and_then(|key| visit(key, row));
                shown.unwrap_or_else(|error| {
                    fault = Some(error);
                    ControlFlow::Break(())
                })
            })?;
        fault.map_or(Ok(()), |it| Err(damaged(Table::Elements, &it)))
    }
}

impl Inventory for Replica {
    fn collections(&self, space: SpaceId) -> Result<Vec<CollectionId>> {
        Ok(self.catalog.collections(space))
    }

    fn total(&self, space: SpaceId, collection: &CollectionId, span: Span) -> Result<Total> {
        if span == Span::ALL {
            let number = self.catalog.number(space, Some(collection));
            return number.map_or(Ok(Total::default()), |it| self.rows().total(it));
        }
        let mut total = Total::default();
        self.elements(
            (space, collection),
            span,
            Order::Ascending,
            &mut |_, row| {
                total.add(&rows::decode_element(row)?);
                Ok(ControlFlow::Continue(()))
            },
        )?;
        Ok(total)
    }

    fn items(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        span: Span,
        limit: usize,
    ) -> Result<Vec<WalkItem>> {
        let mut found = Vec::new();
        self.elements(
            (space, collection),
            span,
            Order::Descending,
            &mut |key, _| {
                if found.len() >= limit {
                    return Ok(ControlFlow::Break(()));
                }
                found.push(key);
                Ok(ControlFlow::Continue(()))
            },
        )?;
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

    fn cuts(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        span: Span,
        parts: usize,
    ) -> Result<Vec<RangeKey>> {
        let count = self.total(space, collection, span)?.count;
        let parts = u64::try_from(parts).unwrap_or(u64::MAX).max(1);
        let (mut cuts, mut seen, mut before) = (Vec::new(), 0, None);
        self.elements(
            (space, collection),
            span,
            Order::Ascending,
            &mut |key, _| {
                let next = u64::try_from(cuts.len())
                    .unwrap_or(u64::MAX)
                    .saturating_add(1);
                if seen == count.saturating_mul(next) / parts && next < parts {
                    cuts.extend(before.map(|it| shortest_between(it, key)));
                }
                seen += 1;
                before = Some(key);
                Ok(ControlFlow::Continue(()))
            },
        )?;
        Ok(cuts)
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
            .filter(|it| graph.position(it).is_none())
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

    fn weight(&self, key: &RecordKey) -> Result<u64> {
        Ok(self
            .slot_and_header(key)?
            .map_or(0, |(_, header)| header.bytes))
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

/// A key above `low` and not above `high` that ends in as many zeros as possible, which makes it
/// short on the wire.
fn shortest_between(low: RangeKey, high: RangeKey) -> RangeKey {
    if low.time < high.time {
        return RangeKey {
            time: high.time,
            ..RangeKey::START
        };
    }
    let mut record = [0; 16];
    for ((out, from), below) in record
        .iter_mut()
        .zip(high.record.as_bytes())
        .zip(low.record.as_bytes())
    {
        *out = *from;
        if from != below {
            break;
        }
    }
    RangeKey {
        time: high.time,
        record: crate::id::RecordId::from_bytes(record),
    }
}

//! Where a verified change belongs in its record, and appending it there.

use std::sync::Arc;

use super::graph::{Graph, Node, block_of};
use super::keys::{self, Slot};
use super::quarantine::Reason;
use super::rows::{Head, Header, LogRow, StaleRow, encode_total};
use super::{Committed, Replica};
use crate::doc::Change;
use crate::error::Result;
use crate::id::{ChangeHash, CorrelationId, Lsn, RecordKey, StoreId};
use crate::limits;
use crate::reconcile::{Element, Inventory};
use crate::store::Table;

/// Where a change came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub origin: StoreId,
    pub correlation: CorrelationId,
}

/// Where a change belongs.
#[derive(Debug)]
pub(super) enum Place {
    /// At the end, after these parents.
    Next(Vec<u32>),
    /// It is here already.
    Known,
    /// It can't be applied.
    Held(Reason),
}

/// A record while changes are appended to it.
#[derive(Debug)]
pub(super) struct OpenRecord {
    pub key: RecordKey,
    pub slot: Slot,
    pub header: Header,
    /// The header as it was, if the record was there.
    before: Option<Header>,
    /// The graph block that is being appended to.
    tail: Option<(u32, crate::codec::Writer)>,
    appended: u32,
    last: Option<Source>,
}

impl Replica {
    pub(super) fn open_record(&mut self, key: &RecordKey) -> Result<OpenRecord> {
        self.catalog.intern(key.space, None, &mut self.batch)?;
        let collection = self
            .catalog
            .intern(key.space, Some(&key.collection), &mut self.batch)?;
        let slot = Slot {
            collection,
            record: key.record,
        };
        let before = self.rows().header(slot)?;
        let header = before.clone().unwrap_or_default();
        let key = key.clone();
        Ok(OpenRecord {
            key,
            slot,
            header,
            before,
            tail: None,
            appended: 0,
            last: None,
        })
    }

    /// Where `change` belongs in the record.
    pub(super) fn place(&mut self, record: &mut OpenRecord, change: &Change) -> Result<Place> {
        let header = &record.header;
        if header.heads.iter().any(|it| it.hash == change.hash()) {
            return Ok(Place::Known);
        }
        let last_seq = header
            .actors
            .iter()
            .find(|(actor, _)| actor == change.actor());
        let expected = last_seq.map_or(0, |(_, seq)| *seq).saturating_add(1);
        if change.seq() == expected {
            // Most changes follow heads: nothing but the header is needed then.
            let heads: Option<Vec<&Head>> = change
                .deps()
                .iter()
                .map(|dep| header.heads.iter().find(|head| head.hash == *dep))
                .collect();
            if let Some(heads) = heads {
                let max_op = heads.iter().map(|it| it.max_op).max().unwrap_or(0);
                let parents = heads.iter().map(|it| it.position).collect();
                return Ok(check_order(&record.header, change, parents, max_op));
            }
        }
        self.place_by_graph(record, change, expected)
    }

    fn place_by_graph(
        &mut self,
        record: &mut OpenRecord,
        change: &Change,
        expected: u64,
    ) -> Result<Place> {
        let graph = self.graph_of(record)?;
        if graph.position(&change.hash()).is_some() {
            return Ok(Place::Known);
        }
        let is_missing = |dep: &&ChangeHash| graph.position(dep).is_none();
        let missing: Vec<_> = change.deps().iter().filter(is_missing).copied().collect();
        if !missing.is_empty() {
            return Ok(Place::Held(Reason::Waiting { missing }));
        }
        if change.seq() < expected {
            return Ok(Place::Held(Reason::Equivocation));
        }
        if change.seq() > expected {
            return Ok(Place::Held(Reason::SequenceGap));
        }
        let parents: Vec<u32> = change
            .deps()
            .iter()
            .filter_map(|dep| graph.position(dep))
            .collect();
        let nodes = parents.iter().filter_map(|it| graph.node(*it));
        let max_op = nodes.map(|it| it.max_op).max().unwrap_or(0);
        Ok(check_order(&record.header, change, parents, max_op))
    }

    fn graph_of(&mut self, record: &mut OpenRecord) -> Result<Arc<Graph>> {
        if let Some(graph) = self.graphs.get(record.slot) {
            return Ok(graph);
        }
        // What was appended since the record was opened has to be readable, too.
        self.write_tail(record);
        let graph = Arc::new(self.rows().graph(record.slot, &record.header)?);
        self.graphs.put(record.slot, Arc::clone(&graph));
        Ok(graph)
    }

    /// Appends `change` to the record, the graph and the log.
    pub(super) fn append(
        &mut self,
        record: &mut OpenRecord,
        change: &Change,
        mut parents: Vec<u32>,
        source: Source,
    ) -> Result<Lsn> {
        parents.sort_unstable();
        let lsn = self.next_lsn(&record.key)?;
        let actor = record.note_actor(change);
        let node = Node {
            hash: change.hash(),
            parents,
            actor,
            seq: change.seq(),
            max_op: change.max_op(),
            size: u32::try_from(change.bytes().len()).unwrap_or(u32::MAX),
            lsn,
        };
        let space = self
            .catalog
            .intern(record.key.space, None, &mut self.batch)?;
        let row = LogRow {
            slot: record.slot,
            origin: source.origin,
            correlation: source.correlation,
            actor: change.actor().clone(),
            bytes: change.bytes().clone(),
        };
        self.batch
            .put(Table::Log, keys::log(space, lsn), row.encode());
        self.append_node(record, &node)?;
        record.advance(change, lsn);
        record.appended += 1;
        record.last = Some(source);
        Ok(lsn)
    }

    fn append_node(&mut self, record: &mut OpenRecord, node: &Node) -> Result<()> {
        let position = record.header.changes;
        let block = block_of(position);
        if record.tail.as_ref().is_some_and(|(open, _)| *open != block) {
            self.write_tail(record);
        }
        if record.tail.is_none() {
            let mut writer = crate::codec::Writer::new();
            writer.raw(&self.rows().block(record.slot, block)?);
            record.tail = Some((block, writer));
        }
        if let Some((_, writer)) = &mut record.tail {
            node.encode(writer, position);
        }
        self.graphs.push(record.slot, node.clone());
        Ok(())
    }

    fn write_tail(&mut self, record: &mut OpenRecord) {
        if let Some((block, writer)) = record.tail.take() {
            self.batch
                .put(Table::Graph, record.slot.block(block), writer.finish());
        }
    }

    /// Writes what was appended: header, element, total, and that the view is behind.
    pub(super) fn close_record(&mut self, mut record: OpenRecord) -> Result<()> {
        self.write_tail(&mut record);
        let Some(source) = record.last.filter(|_| record.appended > 0) else {
            return Ok(());
        };
        let OpenRecord {
            key,
            slot,
            header,
            before,
            appended,
            ..
        } = record;
        self.batch.put(Table::Records, slot.key(), header.encode());
        let mut total = self.rows().total(slot.collection)?;
        if let Some(before) = before {
            let element = Element::of(&key.collection, key.record, &before.hashes());
            total.subtract(&element);
            let place = keys::element(slot.collection, before.element_key(key.record));
            self.batch.remove(Table::Elements, place);
        }
        let element = Element::of(&key.collection, key.record, &header.hashes());
        total.add(&element);
        let place = keys::element(slot.collection, header.element_key(key.record));
        self.batch
            .put(Table::Elements, place, element.as_bytes().to_vec());
        self.batch.put(
            Table::Tree,
            keys::total(slot.collection),
            encode_total(&total),
        );
        let Source {
            origin,
            correlation,
        } = source;
        self.batch.put(
            Table::Stale,
            slot.key(),
            StaleRow {
                origin,
                correlation,
            }
            .encode(),
        );
        self.pending.stale.push(key.clone());
        self.pending.committed.push(Committed {
            key,
            heads: header.hashes(),
            origin,
            correlation,
            lsn: header.lsn,
            changes: appended,
        });
        Ok(())
    }

    fn next_lsn(&self, key: &RecordKey) -> Result<Lsn> {
        let next = Lsn(self.lsn(key.space)?.0.saturating_add(1));
        self.lsns.borrow_mut().insert(key.space, next);
        Ok(next)
    }
}

impl OpenRecord {
    /// Notes the change's writer and number; gives the writer's index.
    fn note_actor(&mut self, change: &Change) -> u32 {
        let actors = &mut self.header.actors;
        let known = actors.iter().position(|(it, _)| it == change.actor());
        let index = known.unwrap_or(actors.len());
        if let Some((_, seq)) = actors.get_mut(index) {
            *seq = change.seq();
        } else {
            actors.push((change.actor().clone(), change.seq()));
        }
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// Moves the heads on to `change`.
    fn advance(&mut self, change: &Change, lsn: Lsn) {
        let header = &mut self.header;
        header
            .heads
            .retain(|head| !change.deps().contains(&head.hash));
        let head = Head {
            hash: change.hash(),
            position: header.changes,
            time: u64::try_from(change.time()).unwrap_or(0),
            max_op: change.max_op(),
        };
        header.heads.push(head);
        header.heads.sort_unstable_by_key(|it| it.hash);
        header.changes = header.changes.saturating_add(1);
        header.bytes += u64::try_from(change.bytes().len()).unwrap_or(0);
        header.lsn = lsn;
    }
}

fn check_order(header: &Header, change: &Change, parents: Vec<u32>, max_op: u64) -> Place {
    if change.start_op() <= max_op {
        return Place::Held(Reason::OperationOrder);
    }
    let replaced = header
        .heads
        .iter()
        .filter(|it| change.deps().contains(&it.hash))
        .count();
    if header.heads.len() - replaced >= limits::HEADS_MAX {
        return Place::Held(Reason::TooManyHeads);
    }
    Place::Next(parents)
}

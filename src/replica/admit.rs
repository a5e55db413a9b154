//! Where a verified change belongs in its record, and appending it there.

use std::sync::Arc;

use super::ancestry::Ancestors;
use super::fit;
use super::graph::{Graph, Node, block_of};
use super::keys::{self, Slot};
use super::quarantine::Reason;
use super::rows::{Head, Header, LogRow, StaleRow};
use super::{Committed, Replica};
use crate::doc::Change;
use crate::error::Result;
use crate::id::{ActorId, ChangeHash, CorrelationId, Lsn, RecordKey, StoreId};
use crate::limits;
use crate::plant::{self, Plant};
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

    /// Where `change` belongs in the record. What it says depends on the change and its ancestors
    /// alone, but for what is known already and for [`Reason::TooManyHeads`].
    pub(super) fn place(&mut self, record: &mut OpenRecord, change: &Change) -> Result<Place> {
        let header = &record.header;
        if header.heads.iter().any(|it| it.hash == change.hash()) {
            return Ok(Place::Known);
        }
        match after_all_heads(header, change) {
            // Most changes follow all that is here and refer to it, or to nothing at all.
            Some((parents, max_op)) if !change.operations().refer_outside() => {
                self.judge(record, change, (parents, max_op), None)
            }
            _ => self.place_by_graph(record, change),
        }
    }

    fn place_by_graph(&mut self, record: &mut OpenRecord, change: &Change) -> Result<Place> {
        let graph = self.graph_of(record)?;
        if let Some(place) = self.place_in(&graph, record, change)? {
            return Ok(place);
        }
        let graph = self.whole_graph_of(record)?;
        let place = self.place_in(&graph, record, change)?;
        // With the whole graph there is an answer.
        Ok(place.unwrap_or(Place::Held(Reason::SequenceGap)))
    }

    /// Where the change belongs by a graph; none where that takes the whole one.
    fn place_in(
        &self,
        graph: &Graph,
        record: &OpenRecord,
        change: &Change,
    ) -> Result<Option<Place>> {
        if graph.holds(&change.hash()) {
            return Ok(Some(Place::Known));
        }
        let actor = record.actor(change.actor());
        let is_missing = |dep: &&ChangeHash| graph.position(dep).is_none();
        let missing: Vec<_> = change.deps().iter().filter(is_missing).copied().collect();
        let number = |last: &dyn Fn(u32) -> u64| actor.map_or(0, last);
        // Who has lost the number before surely has lost a parent.
        let is_ahead = change.seq() > number(&|it| record.last_seq(it)).saturating_add(1);
        let may_be_folded = change.seq() <= number(&|it| graph.stem.last_seq(it));
        let is_unsure = may_be_folded || !(missing.is_empty() || is_ahead);
        if is_unsure && !graph.is_whole() {
            return Ok(None);
        }
        if !missing.is_empty() && !plant::is_planted(Plant::IgnoreParents) {
            return Ok(Some(Place::Held(Reason::Waiting { missing })));
        }
        let parents: Vec<u32> = change
            .deps()
            .iter()
            .filter_map(|dep| graph.position(dep))
            .collect();
        let Some(ancestors) = fit::ancestors(graph, record, &parents) else {
            return Ok(None);
        };
        let last = actor.map_or(0, |it| ancestors.last_seq(it));
        if change.seq() != last.saturating_add(1) {
            return Ok(Some(Place::Held(Reason::SequenceGap)));
        }
        let max_op = parents.iter().filter_map(|it| graph.max_op(*it)).max();
        let precedes = (parents, max_op.unwrap_or(0));
        self.judge(record, change, precedes, Some(&ancestors))
            .map(Some)
    }

    /// Whether the change fits what precedes it.
    fn judge(
        &self,
        record: &OpenRecord,
        change: &Change,
        (parents, max_op): (Vec<u32>, u64),
        ancestors: Option<&Ancestors<'_>>,
    ) -> Result<Place> {
        if change.start_op() <= max_op {
            return Ok(Place::Held(Reason::OperationOrder));
        }
        if let Some(reason) = self.misfit(record, change, max_op, ancestors)? {
            return Ok(Place::Held(reason));
        }
        let heads = &record.header.heads;
        let replaced = heads.iter().filter(|it| change.deps().contains(&it.hash));
        if heads.len() - replaced.count() >= limits::HEADS_MAX {
            return Ok(Place::Held(Reason::TooManyHeads));
        }
        Ok(Place::Next(parents))
    }

    /// Whether a change, once appended, would be refused for its writer's sake, or make another one
    /// be. The changes of this store never are, unless somebody forges them.
    pub(super) fn would_be_refused(
        &self,
        record: &OpenRecord,
        change: &Change,
        parents: &[u32],
    ) -> bool {
        let actors = record.header.actors.iter();
        let mut own = actors.filter(|(it, _)| it == change.actor());
        let is_twin = own.any(|(_, last)| change.seq() <= *last);
        let refused = |graph: Arc<Graph>| parents.iter().any(|it| graph.refused().contains(it));
        is_twin || (record.header.refused > 0 && self.graphs.get(record.slot).is_some_and(refused))
    }

    pub(super) fn graph_of(&mut self, record: &mut OpenRecord) -> Result<Arc<Graph>> {
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
        // Twins, and what follows them, can't be told without the graph.
        let last = record.actor(change.actor()).map(|it| record.last_seq(it));
        let is_contested = record.header.refused > 0 || last.is_some_and(|it| change.seq() <= it);
        if is_contested {
            self.whole_graph_of(record)?;
        }
        let lsn = self.next_lsn(&record.key)?;
        let actor = record.note_actor(change);
        let node = Node {
            hash: change.hash(),
            parents,
            actor,
            seq: change.seq(),
            max_op: change.max_op(),
            ops: u32::try_from(change.op_count()).unwrap_or(u32::MAX),
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
        self.note_named(record, change)?;
        let position = record.header.changes;
        self.append_node(record, &node)?;
        self.operations
            .put(record.slot, position, change.operations());
        record.advance(change, lsn);
        if is_contested {
            self.note_refused(record, source)?;
        }
        record.appended += 1;
        record.last = Some(source);
        Ok(lsn)
    }

    /// Brings the header up to which changes are refused now, and reports those that newly are.
    fn note_refused(&mut self, record: &mut OpenRecord, source: Source) -> Result<()> {
        let graph = self.whole_graph_of(record)?;
        if record.header.refused == 0 && record.header.folded > 0 {
            self.store_whole_graph(record)?;
        }
        record.header.refused = u32::try_from(graph.refused().len()).unwrap_or(u32::MAX);
        record.header.admitted = graph.admitted_heads().as_slice().to_vec();
        for position in graph.refused() {
            let Some(node) = graph.node(*position) else {
                continue;
            };
            let reason = if graph.is_lesser_twin(*position) {
                Reason::Equivocation
            } else {
                Reason::FollowsRefused
            };
            self.report_refused(record, node.hash, reason, source)?;
        }
        Ok(())
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

    pub(super) fn write_tail(&mut self, record: &mut OpenRecord) {
        if let Some((block, writer)) = record.tail.take() {
            self.batch
                .put(Table::Graph, record.slot.block(block), writer.finish());
        }
    }

    /// Writes what was appended: header, element, and that the view is behind. The sums over the
    /// element follow with the commit.
    pub(super) fn close_record(&mut self, mut record: OpenRecord) {
        self.write_tail(&mut record);
        let Some(source) = record.last.filter(|_| record.appended > 0) else {
            return;
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
        if header.is_due() && !before.as_ref().is_some_and(Header::is_due) {
            self.batch.put(Table::Due, slot.key(), Vec::new());
            self.pending.due = true;
        }
        if let Some(before) = before {
            let place = keys::element(slot.collection, before.element_key(key.record));
            self.batch.remove(Table::Elements, place);
        }
        let element = Element::of(&key.collection, key.record, &header.hashes());
        let place = keys::element(slot.collection, header.element_key(key.record));
        self.batch
            .put(Table::Elements, place, element.as_bytes().to_vec());
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
    }

    fn next_lsn(&self, key: &RecordKey) -> Result<Lsn> {
        let next = Lsn(self.lsn(key.space)?.0.saturating_add(1));
        self.lsns.borrow_mut().insert(key.space, next);
        Ok(next)
    }
}

impl OpenRecord {
    /// The index of a writer, if it has written here.
    fn actor(&self, actor: &ActorId) -> Option<u32> {
        let index = self.header.actors.iter().position(|(it, _)| it == actor);
        index.and_then(|it| u32::try_from(it).ok())
    }

    /// The largest number that a writer has given.
    fn last_seq(&self, actor: u32) -> u64 {
        let at = usize::try_from(actor).unwrap_or(usize::MAX);
        self.header.actors.get(at).map_or(0, |(_, seq)| *seq)
    }

    /// Notes the change's writer and number; gives the writer's index.
    fn note_actor(&mut self, change: &Change) -> u32 {
        let actors = &mut self.header.actors;
        let known = actors.iter().position(|(it, _)| it == change.actor());
        let index = known.unwrap_or(actors.len());
        if let Some((_, seq)) = actors.get_mut(index) {
            *seq = change.seq().max(*seq);
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

/// The parents of a change that follows everything here, and the largest operation number up to
/// there; none for other changes, and where the order of numbers is in question.
pub(super) fn after_all_heads(header: &Header, change: &Change) -> Option<(Vec<u32>, u64)> {
    let actors = header.actors.iter();
    let last = actors.filter(|(actor, _)| actor == change.actor());
    let expected = last.map(|(_, seq)| *seq).next().unwrap_or(0) + 1;
    let follows = change.deps().len() == header.heads.len() && change.seq() == expected;
    if !follows || header.refused > 0 {
        return None;
    }
    let parent = |dep: &ChangeHash| header.heads.iter().find(|head| head.hash == *dep);
    let heads: Vec<&Head> = change.deps().iter().map(parent).collect::<Option<_>>()?;
    let max_op = heads.iter().map(|it| it.max_op).max().unwrap_or(0);
    Some((heads.iter().map(|it| it.position).collect(), max_op))
}

//! The whole graph of a record whose changes were folded, made again from its snapshot: for the few
//! questions that the stem has no answer to. What peers send is looked at before it is taken in, so that
//! a worker makes the graph; for the rest it is made where it is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::Replica;
use super::admit::{OpenRecord, after_all_heads};
use super::graph::{Graph, Node, blocks};
use super::keys::Slot;
use super::read::{Rows, damaged};
use super::rows::Header;
use crate::doc::{self, Change, Outline, Received, inspect_snapshot};
use crate::error::Result;
use crate::id::{ActorId, ChangeHash, Lsn, RecordKey};
use crate::store::Table;

/// The whole graph of a record as it was in a snapshot of the store.
#[derive(Debug)]
pub struct Unfolded {
    /// How many of its changes were folded then.
    folded: u32,
    graph: Graph,
}

/// Makes the whole graph of a record again; none if it is whole as it is stored. Costs in proportion to
/// the record.
///
/// # Errors
/// When the store can't be read.
pub fn unfold(rows: &Rows<'_>, key: &RecordKey) -> Result<Option<Unfolded>> {
    let Some(slot) = rows.slot(key)? else {
        return Ok(None);
    };
    let header = rows.header(slot)?.filter(|it| it.stem() > 0);
    let Some(header) = header else {
        return Ok(None);
    };
    let graph = rows.whole_graph(slot, &header)?;
    let folded = header.stem();
    Ok(Some(Unfolded { folded, graph }))
}

impl Rows<'_> {
    /// The folded changes of a record, each checked, in the order in which they were applied. Takes its
    /// snapshot apart, and costs in proportion to it.
    pub(super) fn folded_changes(&self, slot: Slot) -> Result<Vec<Change>> {
        let changes = inspect_snapshot(self.folded_document(slot)?);
        changes.map_err(|refused| damaged(Table::Snapshots, &refused.detail))
    }

    fn folded_document(&self, slot: Slot) -> Result<Bytes> {
        let missing = || damaged(Table::Snapshots, &"a snapshot is missing");
        Ok(self.snapshot_of(slot)?.ok_or_else(missing)?.document)
    }

    /// The record's change graph with all changes in it.
    pub(super) fn whole_graph(&self, slot: Slot, header: &Header) -> Result<Graph> {
        if header.stem() == 0 {
            return self.graph(slot, header);
        }
        let mut graph = Graph::default();
        let actors = header.actors.iter().map(|it| &it.0).zip(0..).collect();
        let outline = doc::outline(&self.folded_document(slot)?);
        for change in outline.map_err(|fault| damaged(Table::Snapshots, &fault))? {
            let node = node(&change, &actors, &graph);
            let wrong = || damaged(Table::Snapshots, &"a snapshot has other changes");
            graph.push(node.ok_or_else(wrong)?);
        }
        for node in self.nodes(slot, header.stem(), header)? {
            graph.push(node);
        }
        if graph.len() != header.changes {
            return Err(damaged(Table::Snapshots, &"a snapshot lacks changes"));
        }
        Ok(graph)
    }
}

/// A folded change as a node, after those in `graph`. It has no place in the log any more, and no size
/// of its own.
fn node(change: &Outline, actors: &BTreeMap<&ActorId, u32>, graph: &Graph) -> Option<Node> {
    let position = |it: &ChangeHash| graph.position(it);
    let mut parents: Vec<u32> = change.deps.iter().map(position).collect::<Option<_>>()?;
    parents.sort_unstable();
    let ops = change
        .max_op
        .saturating_add(1)
        .saturating_sub(change.start_op);
    Some(Node {
        hash: change.hash,
        parents,
        actor: *actors.get(&change.actor)?,
        seq: change.seq,
        max_op: change.max_op,
        ops: u32::try_from(ops).unwrap_or(u32::MAX),
        size: 0,
        lsn: Lsn::default(),
    })
}

impl Replica {
    /// Whether it takes the whole graph of a record to tell where these changes belong, and that is not
    /// at hand.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn must_unfold(&self, key: &RecordKey, changes: &[Received]) -> Result<bool> {
        let Some((slot, header)) = self.slot_and_header(key)? else {
            return Ok(false);
        };
        if header.stem() == 0 {
            return Ok(false);
        }
        if is_run(&header, changes) {
            return Ok(false);
        }
        let graph = self.graph(slot, &header)?;
        let mut earlier = BTreeSet::new();
        let mut leaves_open = |change: &Change| {
            let open = graph.leaves_open(&header, change, &earlier);
            earlier.insert(change.hash());
            open
        };
        Ok(!graph.is_whole() && changes.iter().flatten().any(&mut leaves_open))
    }

    /// Keeps the graph that a worker made, if it is still the record's.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn keep_unfolded(&self, key: &RecordKey, unfolded: Unfolded) -> Result<()> {
        let Some((slot, header)) = self.slot_and_header(key)? else {
            return Ok(());
        };
        let Unfolded { folded, mut graph } = unfolded;
        // Folding gives changes other positions; without it they are only appended.
        if header.stem() == folded {
            for node in self.rows().nodes(slot, graph.len(), &header)? {
                graph.push(node);
            }
            self.graphs.put(slot, Arc::new(graph));
        }
        Ok(())
    }

    /// The graph of a record with all its changes.
    pub(super) fn whole_graph_of(&mut self, record: &mut OpenRecord) -> Result<Arc<Graph>> {
        let graph = self.graph_of(record)?;
        if graph.is_whole() {
            return Ok(graph);
        }
        self.write_tail(record);
        let graph = Arc::new(self.rows().whole_graph(record.slot, &record.header)?);
        self.graphs.put(record.slot, Arc::clone(&graph));
        Ok(graph)
    }

    /// Writes every change of a record to its graph again: in a dispute all of them count.
    pub(super) fn store_whole_graph(&mut self, record: &mut OpenRecord) -> Result<()> {
        let graph = self.whole_graph_of(record)?;
        self.write_tail(record);
        self.batch.remove(Table::Graph, record.slot.key());
        for (block, row) in blocks(&graph.nodes, 0) {
            self.batch.put(Table::Graph, record.slot.block(block), row);
        }
        Ok(())
    }
}

/// Whether the changes follow all that is here, each the one before it, and refer to nothing else: where
/// they belong can be told without a graph.
fn is_run(header: &Header, changes: &[Received]) -> bool {
    let mut previous: Option<&Change> = None;
    changes.iter().flatten().all(|change| {
        let follows = match previous {
            None => after_all_heads(header, change).is_some(),
            Some(last) => {
                change.deps() == [last.hash()]
                    && change.actor() == last.actor()
                    && change.seq() == last.seq().saturating_add(1)
            }
        };
        previous = Some(change);
        follows && !change.operations().refer_outside()
    })
}

impl Graph {
    /// Whether it takes the whole graph to tell where a change belongs that comes after these `earlier`
    /// ones. Where it errs the whole graph is made for nothing, or on the way of replication.
    fn leaves_open(
        &self,
        header: &Header,
        change: &Change,
        earlier: &BTreeSet<ChangeHash>,
    ) -> bool {
        let is_here = |it: &ChangeHash| earlier.contains(it) || self.holds(it);
        if is_here(&change.hash()) {
            return false;
        }
        let mut writers = header.actors.iter();
        let last = writers.find(|(it, _)| it == change.actor());
        let last = last.map_or(0, |(_, seq)| *seq);
        // It was folded, or it is a twin.
        if change.seq() <= last {
            return true;
        }
        let deps = change.deps();
        let parents: Vec<u32> = deps.iter().filter_map(|it| self.position(it)).collect();
        let comes = deps.iter().any(|it| earlier.contains(it));
        let lacks = |it: &ChangeHash| self.position(it).is_none() && !earlier.contains(it);
        if deps.iter().any(lacks) {
            // Who has lost the number before surely has lost a parent.
            return change.seq() == last.saturating_add(1);
        }
        let heads = header.heads.iter().map(|it| it.position);
        !comes && self.ancestors(heads, &parents).is_none()
    }
}

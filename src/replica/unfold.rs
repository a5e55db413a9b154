//! The whole graph of a record whose changes were folded, made again from its snapshot: for the few
//! questions that the stem has no answer to.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::Replica;
use super::admit::OpenRecord;
use super::graph::{Graph, Node, blocks};
use super::keys::Slot;
use super::read::{Rows, damaged};
use super::rows::Header;
use crate::doc::{self, Change, Outline, inspect_snapshot};
use crate::error::Result;
use crate::id::{ActorId, ChangeHash, Lsn};
use crate::store::Table;

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

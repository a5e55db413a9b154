//! The whole change graph of a record, for peers that speak of single changes by their hashes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;

use super::graph::Graph;
use super::keys::Slot;
use super::read::{Rows, damaged};
use super::rows::Header;
use crate::error::Result;
use crate::id::{ChangeHash, SpaceId};
use crate::store::Table;

/// All changes of a record, the folded ones, too, as of some snapshot.
#[derive(Clone, Debug)]
pub struct WholeGraph {
    graph: Graph,
    /// How many were folded: folding gives changes other positions.
    stem: u32,
}

impl WholeGraph {
    /// A graph in which nothing is folded.
    #[cfg(test)]
    pub(super) const fn of(graph: Graph) -> Self {
        Self { graph, stem: 0 }
    }

    /// Number of changes.
    pub fn len(&self) -> u32 {
        self.graph.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.graph.is_empty()
    }

    /// Whether a change is in it.
    pub fn holds(&self, hash: &ChangeHash) -> bool {
        self.graph.position(hash).is_some()
    }

    /// The changes up to `heads` that are neither among `known` nor behind them, parents first, with
    /// their positions. Costs in proportion to what is found, and to what lies beside it.
    pub fn since(&self, heads: &[ChangeHash], known: &[ChangeHash]) -> Vec<(u32, ChangeHash)> {
        // By position, of which a child has the higher one: whether it is known.
        let mut open: BTreeMap<u32, bool> = BTreeMap::new();
        let position = |it: &ChangeHash| self.graph.position(it);
        open.extend(heads.iter().filter_map(position).map(|it| (it, false)));
        open.extend(known.iter().filter_map(position).map(|it| (it, true)));
        let mut left = open.values().filter(|it| !**it).count();
        let mut found = Vec::new();
        while left > 0 {
            let Some((position, is_known)) = open.pop_last() else {
                break;
            };
            let Some(node) = self.graph.node(position) else {
                break;
            };
            if !is_known {
                left -= 1;
                found.push((position, node.hash));
            }
            for parent in &node.parents {
                let entry = open.entry(*parent);
                let is_new = matches!(entry, Entry::Vacant(_));
                let reached = entry.or_insert(is_known);
                if is_new {
                    left += usize::from(!is_known);
                } else if is_known && !*reached {
                    *reached = true;
                    left -= 1;
                }
            }
        }
        found.reverse();
        found
    }
}

impl Rows<'_> {
    /// The whole graph of a record; `before` is one that was read earlier, to which is added what has come
    /// since. Without one, or if more was folded since, it costs in proportion to the record.
    ///
    /// # Errors
    /// When the store can't be read, or the graph does not agree with the header.
    pub fn whole(
        &self,
        slot: Slot,
        header: &Header,
        before: Option<WholeGraph>,
    ) -> Result<WholeGraph> {
        let stem = header.stem();
        let fits = |it: &WholeGraph| it.stem == stem && it.len() <= header.changes;
        let Some(mut whole) = before.filter(fits) else {
            let graph = self.whole_graph(slot, header)?;
            return Ok(WholeGraph { graph, stem });
        };
        if whole.len() < header.changes {
            for node in self.nodes(slot, whole.len(), header)? {
                whole.graph.push(node);
            }
        }
        Ok(whole)
    }

    /// The bytes of a change at a position of a graph; none if it is folded.
    ///
    /// # Errors
    /// When the store can't be read, or the log lacks the change.
    pub fn unfolded_change(
        &self,
        space: SpaceId,
        whole: &WholeGraph,
        position: u32,
    ) -> Result<Option<Bytes>> {
        if position < whole.stem {
            return Ok(None);
        }
        let missing = || damaged(Table::Log, &"a change is missing");
        let node = whole.graph.node(position).ok_or_else(missing)?;
        let number = self.number(space, None)?.ok_or_else(missing)?;
        let row = self.log_row(number, node.lsn)?;
        match row {
            Some(row) => Ok(Some(row.bytes)),
            // In a dispute the graph has all changes, while those that were folded have left the log.
            None => Ok(None),
        }
    }

    /// The document that holds the folded changes of a record; none if there is none.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn folded(&self, slot: Slot) -> Result<Option<Bytes>> {
        Ok(self.snapshot_of(slot)?.map(|it| it.document))
    }

    /// The folded changes of a record one by one. Takes its snapshot apart, and costs in proportion to it.
    ///
    /// # Errors
    /// When the store can't be read, or there is no snapshot.
    pub fn folded_one_by_one(&self, slot: Slot) -> Result<BTreeMap<ChangeHash, Bytes>> {
        let changes = self.folded_changes(slot)?;
        let named = changes
            .into_iter()
            .map(|it| (it.hash(), it.bytes().clone()));
        Ok(named.collect())
    }
}

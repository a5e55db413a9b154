//! The change graphs used last, so that a record that is written to is not read again each time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::graph::{Graph, Node};
use super::keys::Slot;
use crate::limits;

/// Graphs used last, up to [`limits::GRAPH_CACHE_CHANGES`] in all. Only the engine's thread
/// touches it.
#[derive(Debug, Default)]
pub(super) struct GraphCache(RefCell<Cached>);

#[derive(Debug, Default)]
struct Cached {
    graphs: BTreeMap<Slot, (u64, Arc<Graph>)>,
    by_use: BTreeMap<u64, Slot>,
    uses: u64,
    weight: usize,
}

impl GraphCache {
    pub(super) fn get(&self, slot: Slot) -> Option<Arc<Graph>> {
        let mut cached = self.0.borrow_mut();
        let (_, graph) = cached.graphs.get(&slot)?;
        let graph = Arc::clone(graph);
        cached.touch(slot);
        Some(graph)
    }

    pub(super) fn put(&self, slot: Slot, graph: Arc<Graph>) {
        let mut cached = self.0.borrow_mut();
        cached.remove(slot);
        cached.weight += weight(&graph);
        cached.graphs.insert(slot, (0, graph));
        cached.touch(slot);
        while cached.weight > limits::GRAPH_CACHE_CHANGES && cached.graphs.len() > 1 {
            let Some((_, oldest)) = cached.by_use.pop_first() else {
                break;
            };
            cached.remove(oldest);
        }
    }

    /// Appends to a cached graph what was appended to the stored one.
    pub(super) fn push(&self, slot: Slot, node: Node) {
        let mut cached = self.0.borrow_mut();
        if let Some((_, graph)) = cached.graphs.get_mut(&slot) {
            Arc::make_mut(graph).push(node);
            cached.weight += 1;
        }
    }

    /// Forgets the graph of a record of which more is folded.
    pub(super) fn forget(&self, slot: Slot) {
        self.0.borrow_mut().remove(slot);
    }

    /// Forgets everything: a batch was given up, and graphs may be ahead of the store.
    pub(super) fn clear(&self) {
        *self.0.borrow_mut() = Cached::default();
    }
}

impl Cached {
    fn touch(&mut self, slot: Slot) {
        self.uses += 1;
        if let Some((used, _)) = self.graphs.get_mut(&slot) {
            self.by_use.remove(used);
            *used = self.uses;
            self.by_use.insert(self.uses, slot);
        }
    }

    fn remove(&mut self, slot: Slot) {
        if let Some((used, graph)) = self.graphs.remove(&slot) {
            self.by_use.remove(&used);
            self.weight -= weight(&graph);
        }
    }
}

/// Small records cost their map entries, too.
fn weight(graph: &Graph) -> usize {
    graph.nodes.len() + 4
}

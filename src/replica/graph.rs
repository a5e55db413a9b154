//! The change graph of one record without its document: who follows whom, and where the bytes are.
//!
//! Changes stand in the order in which this replica applied them, so parents come first. They are
//! stored in blocks of [`limits::GRAPH_BLOCK_CHANGES`], appended to and never rewritten in the
//! middle.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::keys::Slot;
use super::rows::position;
use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::id::{ChangeHash, Lsn};
use crate::limits;
use crate::reconcile::Piece;

/// One change in the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The change.
    pub hash: ChangeHash,
    /// Positions of its parents, ascending.
    pub parents: Vec<u32>,
    /// Index of its writer among the record's actors.
    pub actor: u32,
    /// Its number among its writer's changes.
    pub seq: u64,
    /// Largest operation counter up to and with it.
    pub max_op: u64,
    /// Bytes of the change.
    pub size: u32,
    /// Where the bytes are.
    pub lsn: Lsn,
}

/// A run of typing by one writer: the parent is the change before, the writer the same.
const LINEAR: u8 = 1;

impl Node {
    /// Appends the node at `position`, given the one before it.
    pub(super) fn encode(&self, writer: &mut Writer, position: u32) {
        let linear = self.parents.as_slice() == [position.wrapping_sub(1)];
        writer
            .u8(if linear { LINEAR } else { 0 })
            .raw(self.hash.as_bytes());
        if !linear {
            writer.count(self.parents.len());
            for parent in &self.parents {
                writer.varint(position.saturating_sub(*parent).into());
            }
        }
        writer
            .varint(self.actor.into())
            .varint(self.seq)
            .varint(self.max_op);
        writer.varint(self.size.into()).varint(self.lsn.0);
    }

    fn decode(reader: &mut Reader<'_>, at: u32) -> Result<Self, Malformed> {
        let flags = reader.u8("node flags")?;
        let hash = ChangeHash::from_bytes(reader.array("change hash")?);
        let parents = if flags == LINEAR {
            vec![at.wrapping_sub(1)]
        } else {
            let count = reader.count(limits::CHANGE_DEPS_MAX, "parents")?;
            let parent = |reader: &mut Reader<'_>| {
                let back = position(reader)?;
                let wrong = reader.error("parent", Problem::Unexpected(back.into()));
                at.checked_sub(back).filter(|it| *it < at).ok_or(wrong)
            };
            (0..count)
                .map(|_| parent(reader))
                .collect::<Result<_, _>>()?
        };
        let actor = position(reader)?;
        let seq = reader.varint("seq")?;
        let max_op = reader.varint("largest operation")?;
        let size = position(reader)?;
        let lsn = Lsn(reader.varint("lsn")?);
        Ok(Self {
            hash,
            parents,
            actor,
            seq,
            max_op,
            size,
            lsn,
        })
    }
}

const BLOCK: u32 = limits::GRAPH_BLOCK_CHANGES;

/// The block that holds `position`.
pub(super) const fn block_of(position: u32) -> u32 {
    position / BLOCK
}

/// The first position of a block.
pub(super) const fn first_of(block: u32) -> u32 {
    block.saturating_mul(BLOCK)
}

/// The nodes of one stored block, of which the first has position `first`.
pub(super) fn read_nodes(block: &[u8], first: u32) -> Result<Vec<Node>, Malformed> {
    let mut reader = Reader::new(block);
    let mut nodes = Vec::new();
    for position in first.. {
        if reader.remaining() == 0 {
            break;
        }
        nodes.push(Node::decode(&mut reader, position)?);
    }
    Ok(nodes)
}

/// All changes of one record, indexed.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    by_hash: BTreeMap<ChangeHash, u32>,
}

impl Graph {
    /// Appends a node.
    pub(super) fn push(&mut self, node: Node) {
        self.by_hash.insert(node.hash, self.len());
        self.nodes.push(node);
    }

    /// Number of changes.
    pub fn len(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is no change.
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The position of a change.
    pub fn position(&self, hash: &ChangeHash) -> Option<u32> {
        self.by_hash.get(hash).copied()
    }

    /// The change at a position.
    pub fn node(&self, position: u32) -> Option<&Node> {
        self.nodes.get(usize::try_from(position).ok()?)
    }

    /// Hashes at exponentially growing distance from the end, the first change included.
    pub fn samples(&self) -> Vec<ChangeHash> {
        let last = self.len().saturating_sub(1);
        let steps = (0..u32::BITS)
            .map(|power| 1_u32 << power)
            .take_while(|back| *back < last);
        let positions = steps.map(|back| last - back).chain([0]);
        positions
            .filter_map(|it| self.node(it))
            .map(|it| it.hash)
            .collect()
    }

    /// The changes that are neither among `known` nor ancestors of one, parents first.
    pub fn lacking(&self, known: &[ChangeHash]) -> Vec<Piece> {
        let mut has = vec![false; self.nodes.len()];
        for position in known.iter().filter_map(|it| self.position(it)) {
            if let Some(flag) = usize::try_from(position)
                .ok()
                .and_then(|it| has.get_mut(it))
            {
                *flag = true;
            }
        }
        // Parents stand before their children, so one pass from the end reaches all ancestors.
        for at in (0..self.nodes.len()).rev() {
            if has.get(at) != Some(&true) {
                continue;
            }
            for parent in self
                .nodes
                .get(at)
                .map_or(&[][..], |it| it.parents.as_slice())
            {
                let parent = usize::try_from(*parent).ok();
                if let Some(flag) = parent.and_then(|it| has.get_mut(it)) {
                    *flag = true;
                }
            }
        }
        let rows = (0..).zip(&self.nodes).zip(has);
        rows.filter(|(_, has)| !has)
            .map(|((position, node), _)| Piece {
                position,
                lsn: node.lsn,
            })
            .collect()
    }
}

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

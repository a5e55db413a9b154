//! The change graph of one record without its document: who follows whom, and where the bytes are.
//!
//! Changes stand in the order in which this replica applied them, so parents come first. They are
//! stored in blocks of [`limits::GRAPH_BLOCK_CHANGES`], appended to and never rewritten in the
//! middle. Of folded ones a [`Stem`] is left.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::position;
use super::stem::Stem;
use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::id::{ChangeHash, Lsn};
use crate::limits;
use crate::plant::{self, Plant};
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
    /// How many operations it has; the first is numbered `max_op - ops + 1`.
    pub ops: u32,
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
        writer
            .varint(self.ops.into())
            .varint(self.size.into())
            .varint(self.lsn.0);
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
        let ops = position(reader)?;
        let size = position(reader)?;
        let lsn = Lsn(reader.varint("lsn")?);
        Ok(Self {
            hash,
            parents,
            actor,
            seq,
            max_op,
            ops,
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

/// The stored blocks of nodes of which the first has position `first`.
pub(super) fn blocks(nodes: &[Node], first: u32) -> BTreeMap<u32, Vec<u8>> {
    let mut blocks: BTreeMap<u32, Writer> = BTreeMap::new();
    for (position, node) in (first..).zip(nodes) {
        let block = blocks.entry(block_of(position)).or_default();
        node.encode(block, position);
    }
    let rows = blocks.into_iter();
    rows.map(|(block, row)| (block, row.finish())).collect()
}

/// The changes of one record, indexed: all of them, or those after a stem.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(super) stem: Stem,
    /// Those at the positions after the stem.
    pub(super) nodes: Vec<Node>,
    by_hash: BTreeMap<ChangeHash, u32>,
    /// The changes of each writer, in the order in which they were applied.
    pub(super) by_actor: BTreeMap<u32, Vec<u32>>,
    /// Writers that gave a number twice.
    pub(super) forked: BTreeSet<u32>,
    /// Changes that are left out of the document, see [`Graph::refused`].
    pub(super) refused: BTreeSet<u32>,
}

impl Graph {
    /// One without any change after these.
    pub(super) fn after(stem: Stem) -> Self {
        let last = stem.last();
        let by_hash = last.map(|it| (it.hash, it.position)).collect();
        Self {
            stem,
            by_hash,
            ..Self::default()
        }
    }

    /// Whether every change is in it, the folded ones, too.
    pub const fn is_whole(&self) -> bool {
        self.stem.folded == 0
    }

    /// Appends a node.
    pub(super) fn push(&mut self, node: Node) {
        let position = self.len();
        self.by_hash.insert(node.hash, position);
        let own = self.by_actor.entry(node.actor).or_default();
        let last = own.last().copied();
        own.push(position);
        let (actor, seq) = (node.actor, node.seq);
        let follows_refused = node.parents.iter().any(|it| self.refused.contains(it));
        self.nodes.push(node);
        if follows_refused {
            self.refused.insert(position);
        }
        // Numbers grow along the way, unless their writer has given one twice.
        let is_next = !self.forked.contains(&actor)
            && last.is_none_or(|it| self.node(it).is_some_and(|it| it.seq < seq));
        if !is_next {
            self.judge_twins(actor, seq);
        }
    }

    /// Number of changes.
    pub fn len(&self) -> u32 {
        let after = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.stem.folded.saturating_add(after)
    }

    /// Whether there is no change.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position of a change after the stem, or of a writer's last one in it.
    pub fn position(&self, hash: &ChangeHash) -> Option<u32> {
        self.by_hash.get(hash).copied()
    }

    /// Whether a change is here. Without the whole graph it may be even if this is not so.
    pub fn holds(&self, hash: &ChangeHash) -> bool {
        self.by_hash.contains_key(hash) || self.stem.has_sample(hash)
    }

    /// The change at a position after the stem.
    pub fn node(&self, position: u32) -> Option<&Node> {
        let after = position.checked_sub(self.stem.folded)?;
        self.nodes.get(usize::try_from(after).ok()?)
    }

    /// The largest operation number up to and with a change that [`Graph::position`] knows.
    pub(super) fn max_op(&self, position: u32) -> Option<u64> {
        let node = self.node(position).map(|it| it.max_op);
        node.or_else(|| self.stem.max_op(position))
    }

    /// Hashes at exponentially growing distance from the end, the first change included where the
    /// graph is whole.
    pub fn samples(&self) -> Vec<ChangeHash> {
        let last = self.len().saturating_sub(1);
        let steps = (0..u32::BITS)
            .map(|power| 1_u32 << power)
            .take_while(|back| *back < last);
        let positions = steps.map(|back| last - back).chain([0]);
        let after = positions.filter_map(|it| self.node(it)).map(|it| it.hash);
        after.chain(self.stem.samples()).collect()
    }

    /// The changes that are neither among `known` nor ancestors of one, parents first. Where any
    /// folded one is, it stands for all of them: they are sent as one.
    pub fn lacking(&self, known: &[ChangeHash]) -> Vec<Piece> {
        let mut has = vec![false; self.nodes.len()];
        let mut ends: BTreeSet<u32> = self.stem.ends().collect();
        let mut note = |position: u32, has: &mut Vec<bool>| {
            ends.remove(&position);
            let after = position.checked_sub(self.stem.folded).map(usize::try_from);
            if let Some(Ok(at)) = after
                && let Some(flag) = has.get_mut(at)
            {
                *flag = true;
            }
        };
        let known = known.iter().filter_map(|it| self.position(it));
        known.for_each(|it| note(it, &mut has));
        // Parents stand before their children, so one pass from the end reaches all ancestors.
        for (at, node) in self.nodes.iter().enumerate().rev() {
            if has.get(at) == Some(&true) {
                node.parents.iter().for_each(|it| note(*it, &mut has));
            }
        }
        let folded = Piece {
            position: 0,
            lsn: Lsn(0),
        };
        let rows = (self.stem.folded..).zip(&self.nodes).zip(has);
        let after = rows.filter(|(_, has)| !has);
        let after = after.map(|((position, node), _)| Piece {
            position,
            lsn: node.lsn,
        });
        // Who has all ends has all that was folded.
        let lacks = !ends.is_empty() && !plant::is_planted(Plant::TrustStem);
        let stem = lacks.then_some(folded);
        stem.into_iter().chain(after).collect()
    }
}

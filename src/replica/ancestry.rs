//! What follows from the change graph alone, whatever came first: which changes precede another, and
//! which of a writer's twins counts.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Graph, Node};
use crate::id::Heads;

impl Graph {
    /// Of several changes of one writer with one number the one with the smallest hash counts, and
    /// the others and all that follows them are left out: a rule that no order of arrival changes.
    pub(super) fn judge_twins(&mut self, actor: u32, seq: u64) {
        let own = self.by_actor.get(&actor).map_or(&[][..], Vec::as_slice);
        let hash = |it: &u32| self.node(*it).map(|it| it.hash);
        let is_twin = |it: &&u32| self.node(**it).is_some_and(|it| it.seq == seq);
        let twins: Vec<_> = own.iter().filter(is_twin).copied().collect();
        let winner = twins.iter().copied().min_by_key(hash);
        let losers: Vec<_> = twins.into_iter().filter(|it| Some(*it) != winner).collect();
        let Some(first) = losers.first().copied() else {
            return;
        };
        self.forked.insert(actor);
        self.refused.extend(losers);
        // Parents stand before their children, so one pass reaches all descendants.
        for position in first..self.len() {
            let parents = self
                .node(position)
                .map_or(&[][..], |it| it.parents.as_slice());
            if parents.iter().any(|it| self.refused.contains(it)) {
                self.refused.insert(position);
            }
        }
    }

    /// Positions of the changes that are here and relayed and yet no part of the document: those
    /// whose writer gave their number to another change with a smaller hash, and what follows them.
    pub const fn refused(&self) -> &BTreeSet<u32> {
        &self.refused
    }

    /// Whether a change has a twin with a smaller hash, as opposed to following one that has.
    pub(super) fn is_lesser_twin(&self, position: u32) -> bool {
        let Some(node) = self.node(position) else {
            return false;
        };
        let own = self
            .by_actor
            .get(&node.actor)
            .map_or(&[][..], Vec::as_slice);
        let mut others = own.iter().filter_map(|it| self.node(*it));
        others.any(|it| it.seq == node.seq && it.hash < node.hash)
    }

    /// The heads of the document: the newest changes that are not refused.
    pub fn admitted_heads(&self) -> Heads {
        let mut heads = BTreeSet::new();
        for (position, node) in (0..).zip(&self.nodes) {
            if !self.refused.contains(&position) {
                for parent in &node.parents {
                    heads.remove(parent);
                }
                heads.insert(position);
            }
        }
        let hash = |it| self.node(it).map(|it| it.hash);
        heads.into_iter().filter_map(hash).collect()
    }

    /// What precedes a change with these parents, given the record's heads. None where it may not
    /// follow all folded changes: that takes the whole graph. It follows them if it follows those of
    /// them that no other one follows.
    pub(super) fn ancestors(
        &self,
        heads: impl Iterator<Item = u32>,
        parents: &[u32],
    ) -> Option<Ancestors<'_>> {
        // From each position on the frontier: whether it is an ancestor. What is left when all are
        // need not be looked at.
        let mut frontier: BTreeMap<u32, bool> = heads.map(|it| (it, false)).collect();
        frontier.extend(parents.iter().map(|it| (*it, true)));
        let mut others = frontier.values().filter(|it| !**it).count();
        let mut outside = BTreeSet::new();
        while others > 0
            && let Some((position, is_ancestor)) = frontier.pop_last()
        {
            if position < self.stem.folded {
                // All after the stem were looked at before: what is left is folded.
                frontier.insert(position, is_ancestor);
                let is_followed = |it: u32| frontier.get(&it) == Some(&true);
                if !self.stem.ends().all(is_followed) {
                    return None;
                }
                break;
            }
            if !is_ancestor {
                others -= 1;
                outside.insert(position);
            }
            for parent in self
                .node(position)
                .map_or(&[][..], |it| it.parents.as_slice())
            {
                match frontier.entry(*parent) {
                    Entry::Vacant(entry) => {
                        others += usize::from(!is_ancestor);
                        entry.insert(is_ancestor);
                    }
                    Entry::Occupied(mut entry) if is_ancestor && !entry.get() => {
                        others -= 1;
                        entry.insert(true);
                    }
                    Entry::Occupied(_) => {}
                }
            }
        }
        Some(Ancestors {
            graph: self,
            outside,
        })
    }
}

/// Where an operation of an ancestor is.
#[derive(Debug)]
pub(super) enum Made<'a> {
    /// In the change at this position.
    In(u32, &'a Node),
    /// If anywhere, in a folded change, all of which are ancestors.
    Folded,
}

/// The changes that precede a change: all but those outside.
#[derive(Debug)]
pub(super) struct Ancestors<'a> {
    graph: &'a Graph,
    outside: BTreeSet<u32>,
}

impl<'a> Ancestors<'a> {
    fn node(&self, position: u32) -> Option<&'a Node> {
        let is_inside = !self.outside.contains(&position);
        self.graph.node(position).filter(|_| is_inside)
    }

    fn own(&self, actor: u32) -> &'a [u32] {
        let own = self.graph.by_actor.get(&actor);
        own.map_or(&[][..], Vec::as_slice)
    }

    /// The largest number that a writer has given among them; 0 if it wrote none.
    pub(super) fn last_seq(&self, actor: u32) -> u64 {
        let mut inside = self.own(actor).iter().rev().filter_map(|it| self.node(*it));
        if self.graph.forked.contains(&actor) {
            return inside.map(|it| it.seq).max().unwrap_or(0);
        }
        // Numbers grow along the way.
        inside
            .next()
            .map_or_else(|| self.graph.stem.last_seq(actor), |it| it.seq)
    }

    /// Where a writer made an operation; of several, in the change with the smallest hash.
    pub(super) fn operation(&self, actor: u32, counter: u64) -> Option<Made<'a>> {
        let own = self.own(actor);
        if self.graph.forked.contains(&actor) {
            let all = own.iter().filter_map(|it| Some((*it, self.node(*it)?)));
            let having = all.filter(|(_, it)| it.has(counter));
            let first = having.min_by_key(|(_, it)| it.hash);
            return first.map(|(position, it)| Made::In(position, it));
        }
        let is_before = |it: &u32| self.graph.node(*it).is_some_and(|it| it.max_op < counter);
        let at = own.partition_point(is_before);
        let position = own.get(at).copied();
        let having = position.filter(|it| self.graph.node(*it).is_some_and(|it| it.has(counter)));
        match having {
            Some(position) => Some(Made::In(position, self.node(position)?)),
            None => (!self.graph.is_whole()).then_some(Made::Folded),
        }
    }
}

impl Node {
    /// Whether one of its operations has this number.
    const fn has(&self, counter: u64) -> bool {
        counter <= self.max_op && counter + self.ops as u64 > self.max_op
    }
}

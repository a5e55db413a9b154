//! The changes of a document and how they follow each other.

use std::collections::BTreeSet;

use automerge::{Automerge, ChangeMetadata};

use super::{Revision, RevisionKind, mark};
use crate::id::{ActorId, ChangeHash, Heads};
use crate::time::WallTime;

/// The place of a change in the graph.
pub(super) type Place = usize;

/// All changes at some heads and before.
pub(super) struct Graph<'d> {
    own: &'d automerge::ActorId,
    changes: Vec<ChangeMetadata<'d>>,
    /// Where each is, by hash.
    places: Vec<(ChangeHash, Place)>,
}

impl<'d> Graph<'d> {
    pub(super) fn of(document: &'d Automerge, heads: &Heads) -> Self {
        let mut graph = Self {
            own: document.get_actor(),
            changes: document.get_changes_meta(&[]),
            places: Vec::new(),
        };
        graph.sort();
        let all: Heads = document.get_heads().iter().map(own_hash).collect();
        if all != *heads {
            let kept = graph.ancestors(heads);
            let mut place = 0;
            graph.changes.retain(|_| {
                place += 1;
                kept.contains(&(place - 1))
            });
            graph.sort();
        }
        graph
    }

    fn sort(&mut self) {
        let hashes = self.changes.iter().map(|it| own_hash(&it.hash));
        self.places = hashes.zip(0..).collect();
        self.places.sort_unstable();
    }

    /// The changes at `heads` and before; what is not here has none.
    pub(super) fn ancestors(&self, heads: &Heads) -> BTreeSet<Place> {
        let mut found = BTreeSet::new();
        let mut open: Vec<_> = heads
            .as_slice()
            .iter()
            .filter_map(|it| self.place(it))
            .collect();
        while let Some(place) = open.pop() {
            if found.insert(place) {
                open.extend(self.parents(place));
            }
        }
        found
    }

    pub(super) fn place(&self, hash: &ChangeHash) -> Option<Place> {
        let at = self.places.binary_search_by_key(hash, |it| it.0).ok()?;
        self.places.get(at).map(|it| it.1)
    }

    pub(super) fn hash(&self, place: Place) -> Option<ChangeHash> {
        self.changes.get(place).map(|it| own_hash(&it.hash))
    }

    pub(super) fn time(&self, place: Place) -> i64 {
        self.changes.get(place).map_or(0, |it| it.timestamp)
    }

    pub(super) fn parents(&self, place: Place) -> impl Iterator<Item = Place> + '_ {
        let change = self.changes.get(place);
        let parents = change.into_iter().flat_map(|it| &it.deps);
        parents.filter_map(|it| self.place(&own_hash(it)))
    }

    /// The changes whose hash begins with these lower-case hex digits, in order of their hashes.
    pub(super) fn beginning_with<'a>(
        &'a self,
        digits: &'a str,
    ) -> impl Iterator<Item = ChangeHash> + 'a {
        let start = self.places.partition_point(|it| {
            let hash = it.0.to_string();
            hash.as_str() < digits
        });
        let rest = self.places.get(start..).unwrap_or_default().iter();
        rest.map(|it| it.0)
            .take_while(move |it| it.to_string().starts_with(digits))
    }

    /// All changes, each after those that were built on it.
    pub(super) fn newest_first(&self) -> Vec<Place> {
        let mut children = vec![0_u32; self.changes.len()];
        for place in 0..self.changes.len() {
            for parent in self.parents(place) {
                if let Some(count) = children.get_mut(parent) {
                    *count += 1;
                }
            }
        }
        let rank = |place: Place| (self.time(place), self.hash(place), place);
        let childless = children.iter().zip(0..).filter(|it| *it.0 == 0);
        let mut ready: BTreeSet<_> = childless.map(|it| rank(it.1)).collect();
        let mut order = Vec::with_capacity(self.changes.len());
        while let Some((.., place)) = ready.pop_last() {
            order.push(place);
            for parent in self.parents(place) {
                let Some(count) = children.get_mut(parent) else {
                    continue;
                };
                *count -= 1;
                if *count == 0 {
                    ready.insert(rank(parent));
                }
            }
        }
        order
    }

    pub(super) fn revision(&self, place: Place) -> Option<Revision> {
        let change = self.changes.get(place)?;
        let (kind, reason) = mark::read(change.message.as_deref());
        Some(Revision {
            hash: own_hash(&change.hash),
            author: ActorId::from_bytes(change.actor.to_bytes().to_vec()),
            is_own: *change.actor == *self.own,
            time: WallTime::from_unix_seconds(change.timestamp),
            kind,
            reason: reason.map(str::to_owned),
            parents: change.deps.iter().map(own_hash).collect(),
            operations: (change.max_op + 1).saturating_sub(change.start_op),
        })
    }

    /// The changes that this store made, in their order, each with what it was made as.
    pub(super) fn own(&self) -> Vec<(ChangeHash, RevisionKind)> {
        let own = self.changes.iter().filter(|it| *it.actor == *self.own);
        let mut own: Vec<_> = own.collect();
        own.sort_by_key(|it| it.seq);
        let kind = |it: &&ChangeMetadata<'_>| mark::read(it.message.as_deref()).0;
        own.iter()
            .map(|it| (own_hash(&it.hash), kind(it)))
            .collect()
    }
}

fn own_hash(hash: &automerge::ChangeHash) -> ChangeHash {
    ChangeHash::from_bytes(hash.0)
}

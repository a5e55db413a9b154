//! What the graph keeps of folded changes: where later ones join on, and a few hashes by which a peer
//! finds what both have. All else about them is in the snapshot.

use std::collections::BTreeMap;

use super::graph::Node;
use super::rows::position;
use crate::codec::{Malformed, Reader, Writer};
use crate::id::ChangeHash;
use crate::limits;

/// The folded changes of one record: those at the positions below a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stem {
    /// How many they are.
    pub(super) folded: u32,
    /// The last one of each writer, by its index among the record's.
    last: Vec<Option<Last>>,
    /// Some of them at growing distance from the last one, newest first.
    samples: Vec<(u32, ChangeHash)>,
}

/// The last folded change of a writer, which Automerge names among the parents of that writer's next
/// one, even where it is an ancestor of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Last {
    /// The change.
    pub(super) hash: ChangeHash,
    /// Its position among the record's changes.
    pub(super) position: u32,
    /// Its number among its writer's changes.
    pub(super) seq: u64,
    /// Largest operation number up to and with it.
    pub(super) max_op: u64,
    /// Whether no folded change follows it. A writer's next change follows its last one, so that all
    /// such ends are among these.
    is_end: bool,
}

impl Stem {
    pub(super) fn last(&self) -> impl Iterator<Item = &Last> {
        self.last.iter().flatten()
    }

    /// Positions of those that no folded change follows.
    pub(super) fn ends(&self) -> impl Iterator<Item = u32> + '_ {
        self.last().filter(|it| it.is_end).map(|it| it.position)
    }

    /// The largest operation number up to and with a writer's last change.
    pub(super) fn max_op(&self, position: u32) -> Option<u64> {
        let mut last = self.last().filter(|it| it.position == position);
        last.next().map(|it| it.max_op)
    }

    /// Hashes of some that a peer may know: of the last one of each writer, if they are few, and of
    /// older ones.
    pub(super) fn samples(&self) -> impl Iterator<Item = ChangeHash> + '_ {
        let last = self.last().map(|it| it.hash);
        last.take(limits::STEM_WRITERS_SAMPLED)
            .chain(self.samples.iter().map(|it| it.1))
    }

    pub(super) fn has_sample(&self, hash: &ChangeHash) -> bool {
        self.samples.iter().any(|it| it.1 == *hash)
    }

    /// The last number that a writer gave; 0 if it wrote none of them.
    pub(super) fn last_seq(&self, actor: u32) -> u64 {
        let last = self.last.get(index(actor)).copied().flatten();
        last.map_or(0, |it| it.seq)
    }

    /// Takes in the changes that come next.
    pub(super) fn extend(&mut self, nodes: &[Node]) {
        let mut newer = Vec::new();
        let known = self.last.iter().enumerate();
        let known = known.filter_map(|(at, last)| Some((last.as_ref()?.position, at)));
        let mut writers: BTreeMap<u32, usize> = known.collect();
        for (position, node) in (self.folded..).zip(nodes) {
            for at in node.parents.iter().filter_map(|it| writers.get(it)) {
                if let Some(Some(last)) = self.last.get_mut(*at) {
                    last.is_end = false;
                }
            }
            let at = index(node.actor);
            if self.last.len() <= at {
                self.last.resize(at.saturating_add(1), None);
            }
            if let Some(last) = self.last.get_mut(at) {
                writers.insert(position, at);
                writers.remove(&last.map_or(u32::MAX, |it| it.position));
                *last = Some(Last {
                    hash: node.hash,
                    position,
                    seq: node.seq,
                    max_op: node.max_op,
                    is_end: true,
                });
            }
            newer.push((position, node.hash));
        }
        let added = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        self.folded = self.folded.saturating_add(added);
        self.thin(newer);
    }

    /// What stands for these changes.
    pub(super) fn of(nodes: &[Node]) -> Self {
        let mut stem = Self::default();
        stem.extend(nodes);
        stem
    }

    /// Keeps of the positions that are multiples of a step the last one, for steps that grow by a
    /// factor: so it does not matter how many changes come in at a time.
    fn thin(&mut self, newer: Vec<(u32, ChangeHash)>) {
        let older = std::mem::take(&mut self.samples);
        let mut step = limits::STEM_SPACING;
        for (position, hash) in newer.into_iter().rev().chain(older) {
            // The first change is no help: what follows it is everything.
            if position > 0 && position.is_multiple_of(step) {
                self.samples.push((position, hash));
                while position.is_multiple_of(step) {
                    step = step.saturating_mul(limits::STEM_SPACING);
                }
            }
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.varint(self.folded.into()).count(self.last.len());
        for last in &self.last {
            let Some(last) = last else {
                writer.u8(NONE);
                continue;
            };
            writer.u8(if last.is_end { END } else { FOLLOWED });
            writer.raw(last.hash.as_bytes());
            writer.varint(last.position.into());
            writer.varint(last.seq).varint(last.max_op);
        }
        writer.count(self.samples.len());
        for (position, hash) in &self.samples {
            writer.raw(hash.as_bytes()).varint((*position).into());
        }
        writer.finish()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(row);
        let mut stem = Self {
            folded: position(&mut reader)?,
            ..Self::default()
        };
        for _ in 0..reader.count(row.len(), "writers")? {
            let is_end = match reader.u8("kind of last change")? {
                NONE => {
                    stem.last.push(None);
                    continue;
                }
                kind => kind == END,
            };
            stem.last.push(Some(Last {
                hash: ChangeHash::from_bytes(reader.array("last change")?),
                position: position(&mut reader)?,
                seq: reader.varint("seq")?,
                max_op: reader.varint("largest operation")?,
                is_end,
            }));
        }
        for _ in 0..reader.count(row.len(), "samples")? {
            let hash = ChangeHash::from_bytes(reader.array("sample")?);
            stem.samples.push((position(&mut reader)?, hash));
        }
        reader.finish("stem")?;
        Ok(stem)
    }
}

/// A writer of whom nothing was folded.
const NONE: u8 = 0;
/// A last change that another folded one follows.
const FOLLOWED: u8 = 1;
/// A last change that none of them follows.
const END: u8 = 2;

fn index(actor: u32) -> usize {
    usize::try_from(actor).unwrap_or(usize::MAX)
}

//! What a hub and one client know of each other's copy of one document, and what to say next.
//!
//! The protocol is Automerge's (<https://arxiv.org/abs/2012.00472>); what is said is decided from the
//! change graph, without the document. Two things differ from Automerge's own half, and clients can't
//! tell:
//!
//! - Changes are sent once all heads of the client are known here. It lacks exactly what is not behind
//!   them then, so its Bloom filter is never asked. Until then it is asked for what is missing here.
//! - A message that would say the same again after nothing has happened is not sent. Automerge goes on
//!   for as long as the other side does, which is for ever where a change can't be taken in.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Bloom, Flags, Have, SyncMessage};
use crate::error::Result;
use crate::id::ChangeHash;
use crate::limits;

/// A change in a document's graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its place in the order in which this replica applied them: parents come first.
    pub position: u32,
    /// Its name.
    pub hash: ChangeHash,
}

/// A document's changes, read as far as somebody asks.
pub trait Lineage {
    /// The heads, sorted; none if nothing of the document is here.
    fn heads(&self) -> &[ChangeHash];

    /// Whether a change is here.
    ///
    /// # Errors
    /// When the store can't be read; so for all of them.
    fn holds(&mut self, hash: &ChangeHash) -> Result<bool>;

    /// The changes that are neither among `known` nor behind them, parents first.
    ///
    /// # Errors
    /// When the store can't be read.
    fn since(&mut self, known: &[ChangeHash]) -> Result<Vec<Link>>;

    /// The bytes of the first of these changes, as many as fit into `bytes_max` and one at least, and how
    /// many that were. With `documents`, a document may stand in place of all changes that it holds.
    ///
    /// # Errors
    /// When the store can't be read.
    fn chunks(
        &mut self,
        wanted: &[Link],
        bytes_max: usize,
        documents: bool,
    ) -> Result<(Vec<Bytes>, usize)>;
}

/// One document and one client.
#[derive(Clone, Debug, Default)]
pub struct SyncState {
    /// Heads of what both have.
    shared: Vec<ChangeHash>,
    last_sent: Vec<ChangeHash>,
    their_heads: Option<Vec<ChangeHash>>,
    /// Sent, and not known to have arrived.
    sent: BTreeSet<ChangeHash>,
    in_flight: bool,
    /// What they can do, as they said; who says so reads version 2.
    flags: Option<Flags>,
    /// What was needed, by which heads of theirs, when it was said last.
    said: Option<(Vec<ChangeHash>, Vec<ChangeHash>)>,
    /// Changes of theirs that wait here for others.
    waiting: BTreeMap<ChangeHash, Vec<ChangeHash>>,
    /// Changes of theirs that can't be taken in.
    refused: BTreeSet<ChangeHash>,
}

impl SyncState {
    /// Whether the client has said that it has something of the document, and that may yet be taken in.
    pub fn is_supplied(&self) -> bool {
        let heads = self.their_heads.iter().flatten();
        heads.copied().any(|it| !self.refused.contains(&it))
    }

    /// Their heads, as they said last.
    pub fn their_heads(&self) -> Option<&[ChangeHash]> {
        self.their_heads.as_deref()
    }

    /// A change of theirs waits for others.
    pub fn waits(&mut self, change: ChangeHash, missing: Vec<ChangeHash>) {
        if self.waiting.len() < limits::REPO_HASHES_MAX {
            self.waiting.insert(change, missing);
        }
    }

    /// A change of theirs can't be taken in: it is not asked for again.
    pub fn refuses(&mut self, change: ChangeHash) {
        if self.refused.len() < limits::REPO_HASHES_MAX {
            self.refused.insert(change);
        }
    }

    /// Bytes came that were to lead to these heads of theirs, and can't be read: they are not asked for
    /// again, unless they are here by another way.
    pub fn gives_up(&mut self, heads: &[ChangeHash]) {
        for head in heads {
            if !self.waiting.contains_key(head) {
                self.refuses(*head);
            }
        }
    }

    /// Takes in what a message says. The changes that it `brought`, if any, have been taken in already.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn receive(
        &mut self,
        message: &SyncMessage,
        brought: bool,
        document: &mut dyn Lineage,
    ) -> Result<()> {
        self.in_flight = false;
        if let Some(flags) = message.flags {
            self.flags = Some(flags);
            if flags.reset {
                self.sent.clear();
            }
        }
        let theirs = &message.heads;
        let is_level = theirs == document.heads();
        // Who brings changes wants to hear that they have arrived.
        if !brought && is_level {
            self.last_sent.clone_from(theirs);
        }
        let mut known = Vec::new();
        for head in theirs {
            if document.holds(head)? {
                known.push(*head);
            }
        }
        if known.len() == theirs.len() {
            self.shared.clone_from(theirs);
            self.waiting.clear();
        } else {
            self.shared.extend(known);
            self.shared.sort_unstable();
            self.shared.dedup();
        }
        if theirs.is_empty() {
            // They have lost what they had, or never had any.
            self.last_sent.clear();
            self.sent.clear();
        } else if is_level {
            self.sent.clear();
        } else if !self.sent.is_empty() {
            let lacking = document.since(&self.shared)?;
            let lacking: BTreeSet<_> = lacking.iter().map(|it| it.hash).collect();
            self.sent.retain(|it| lacking.contains(it));
        }
        self.their_heads = Some(theirs.clone());
        Ok(())
    }

    /// What to say now, if anything.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn generate(&mut self, document: &mut dyn Lineage) -> Result<Option<SyncMessage>> {
        let heads = document.heads().to_vec();
        let need = self.need(document)?;
        let (chunks, sent, is_all) = self.changes(document, need.is_empty())?;
        let theirs = self.their_heads.clone().unwrap_or_default();
        if self.last_sent == heads
            && chunks.is_empty()
            && let Some((said, by)) = &self.said
        {
            let is_level = self.their_heads.as_ref() == Some(&heads);
            let is_said = (said, by) == (&need, &theirs);
            if is_level || is_said || self.in_flight {
                return Ok(None);
            }
        }
        let have = if is_all {
            // Once this has arrived they have all that is here.
            vec![Have {
                last_sync: heads.clone(),
                bloom: Bloom::default(),
            }]
        } else if need.iter().all(|it| theirs.contains(it)) {
            vec![self.summary(document)?]
        } else {
            // Automerge asks for what is missing in between before it says what it has.
            Vec::new()
        };
        self.in_flight = true;
        self.last_sent.clone_from(&heads);
        self.sent.extend(sent);
        self.said = Some((need.clone(), theirs));
        Ok(Some(self.message(heads, need, have, chunks)))
    }

    fn message(
        &self,
        heads: Vec<ChangeHash>,
        need: Vec<ChangeHash>,
        have: Vec<Have>,
        chunks: Vec<Bytes>,
    ) -> SyncMessage {
        let is_version_2 = self.flags.is_some();
        let chunks = match chunks.as_slice() {
            [] | [_] => chunks,
            many if is_version_2 => vec![Bytes::from(many.concat())],
            _ => chunks,
        };
        SyncMessage {
            heads,
            need,
            have,
            chunks,
            flags: Some(Flags::default()),
            is_version_2,
        }
    }

    /// What is missing here to reach their heads.
    fn need(&self, document: &mut dyn Lineage) -> Result<Vec<ChangeHash>> {
        let mut open: Vec<_> = self.their_heads.iter().flatten().copied().collect();
        let mut seen = BTreeSet::new();
        let mut need = BTreeSet::new();
        while let Some(hash) = open.pop() {
            if !seen.insert(hash) || self.refused.contains(&hash) || document.holds(&hash)? {
                continue;
            }
            match self.waiting.get(&hash) {
                Some(missing) => open.extend(missing),
                None => {
                    need.insert(hash);
                }
            }
        }
        Ok(need.into_iter().collect())
    }

    /// The changes to send, their names, and whether the client has everything once they have arrived.
    fn changes(
        &self,
        document: &mut dyn Lineage,
        is_known: bool,
    ) -> Result<(Vec<Bytes>, Vec<ChangeHash>, bool)> {
        let Some(theirs) = &self.their_heads else {
            return Ok((Vec::new(), Vec::new(), false));
        };
        if theirs == document.heads() {
            return Ok((Vec::new(), Vec::new(), true));
        }
        if self.flags.is_some_and(|it| it.read_only) || !is_known {
            return Ok((Vec::new(), Vec::new(), false));
        }
        let mut wanted = document.since(&self.shared)?;
        wanted.retain(|it| !self.sent.contains(&it.hash));
        if wanted.is_empty() {
            return Ok((Vec::new(), Vec::new(), true));
        }
        let max = limits::REPO_CHANGES_BYTES;
        let (chunks, count) = document.chunks(&wanted, max, self.flags.is_some())?;
        let is_all = count >= wanted.len();
        let sent = wanted.iter().take(count).map(|it| it.hash).collect();
        Ok((chunks, sent, is_all))
    }

    fn summary(&self, document: &mut dyn Lineage) -> Result<Have> {
        let since = document.since(&self.shared)?;
        Ok(Have {
            last_sync: self.shared.clone(),
            bloom: Bloom::of(since.iter().map(|it| &it.hash)),
        })
    }
}

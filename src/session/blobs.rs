//! Attachments on one link: which are asked of the peer, and what it has asked for.
//!
//! Whoever wants a blob asks: for its manifest first, then for chunks, a window of them at a time. What
//! has come is in the store, so that after a lost link only the rest is asked for. Chunks go after all
//! changes, within the credit of bulk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::inbound::BlobPart;
use super::space::SpaceLink;
use super::{BlobNews, Credit, Gate, Output, Phase, Session, Verdict, fault};
use crate::blob::Missing;
use crate::error::{ErrorKind, Result};
use crate::id::{BlobId, SpaceId};
use crate::limits;
use crate::plant::{self, Plant};
use crate::reconcile::Inventory;
use crate::time::Instant;
use crate::wire::{
    BlobChunk, BlobManifest, BlobState, BlobWant, Class, ErrorCode, Features, Message, Standing,
    encode,
};

/// Names a blob of a space.
pub type BlobName = (SpaceId, BlobId);

/// The attachments of one link.
#[derive(Debug)]
pub(super) struct Blobs {
    /// Those that the peer is to send.
    seeks: BTreeMap<BlobName, Seek>,
    /// Those that it said it does not have.
    absent: BTreeSet<BlobName>,
    /// What it has asked for: chunks, or the manifest.
    asked: VecDeque<(BlobName, Option<u32>)>,
    /// Those that it fetches, until it says that it has them or wants them no more.
    served: BTreeSet<BlobName>,
    /// Those that it was told are not here.
    missed: BTreeSet<BlobName>,
    /// What is to be told.
    states: VecDeque<(BlobName, Standing)>,
    /// When something last came that may have held up what was asked for.
    heard: Instant,
}

/// A blob that the peer is to send.
#[derive(Debug, Default)]
struct Seek {
    manifest_asked: bool,
    /// Chunks that were asked for and have not come.
    asked: BTreeSet<u32>,
    /// It is not wanted any more; what was asked for may still come.
    is_over: bool,
}

impl Seek {
    fn open(&self) -> usize {
        self.asked.len() + usize::from(self.manifest_asked)
    }
}

impl Blobs {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            seeks: BTreeMap::new(),
            absent: BTreeSet::new(),
            asked: VecDeque::new(),
            served: BTreeSet::new(),
            missed: BTreeSet::new(),
            states: VecDeque::new(),
            heard: now,
        }
    }

    /// Something came that may stand before what was asked for.
    pub(super) const fn hear(&mut self, now: Instant) {
        self.heard = now;
    }

    fn open(&self) -> usize {
        self.seeks.values().map(Seek::open).sum()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        (self.open() > 0).then(|| self.heard + limits::STALL_TIMEOUT)
    }

    pub(super) fn wake(&self, now: Instant) -> Verdict {
        if self.poll_timeout().is_some_and(|at| now >= at) {
            return fault(ErrorCode::Stalled, "no part of an attachment came");
        }
        Ok(())
    }

    /// Nothing more of a blob is sent to the peer.
    fn stop_serving(&mut self, name: BlobName) {
        self.asked.retain(|(it, _)| *it != name);
        self.served.remove(&name);
    }

    fn seeks_wanted(&self) -> usize {
        self.seeks.values().filter(|it| !it.is_over).count()
    }
}

impl Session {
    fn speaks_of_blobs(&self) -> bool {
        match &self.phase {
            Phase::Talking(peer) => peer.features.has(Features::BLOBS),
            Phase::Handshake(_) | Phase::Ended(_) => false,
        }
    }

    /// Whether it can fetch one more blob.
    pub fn has_blob_room(&self) -> bool {
        self.speaks_of_blobs() && self.blobs.seeks_wanted() < limits::BLOB_SEEKS_MAX
    }

    /// Number of spaces whose blobs can be fetched.
    pub fn blob_spaces(&self) -> usize {
        self.spaces.values().filter(|it| it.is_active()).count()
    }

    /// Whether the peer may have a blob: it opened the space, and has not said otherwise.
    pub fn may_have_blob(&self, name: BlobName) -> bool {
        let is_open = self.spaces.get(&name.0).is_some_and(SpaceLink::is_active);
        is_open && !self.blobs.absent.contains(&name)
    }

    /// Fetches a blob from the peer, from what is here of it on.
    pub fn seek_blob(&mut self, now: Instant, name: BlobName) {
        if self.blobs.open() == 0 {
            self.blobs.heard = now;
        }
        self.blobs.seeks.entry(name).or_default().is_over = false;
    }

    /// Stops fetching a blob, and tells the peer how it stands here now.
    pub fn leave_blob(&mut self, name: BlobName, standing: Standing) {
        let Some(seek) = self.blobs.seeks.get_mut(&name) else {
            return;
        };
        if !seek.is_over {
            self.blobs.states.push_back((name, standing));
        }
        seek.is_over = true;
        if seek.open() == 0 {
            self.blobs.seeks.remove(&name);
        }
    }

    /// Whether the peer was told that a blob is not here, and nothing else since.
    pub fn has_missed_blob(&self, name: BlobName) -> bool {
        self.blobs.missed.contains(&name)
    }

    /// A blob is here now: the peer is told if it has asked for it.
    pub fn announce_blob(&mut self, name: BlobName) {
        if self.blobs.missed.remove(&name) && !plant::is_planted(Plant::WithholdArrival) {
            self.blobs.states.push_back((name, Standing::Held));
        }
    }

    /// Number of blobs that the peer fetches.
    pub fn blobs_leaving(&self) -> usize {
        self.blobs.served.len()
    }

    /// Asks for what is to be fetched; then tells how blobs stand. In this order, and before anything is
    /// acknowledged, so that the peer does not take us to be done in between.
    pub(super) fn ask_for_blobs(&mut self, inventory: &dyn Inventory) -> Result<()> {
        let mut room = limits::BLOB_WINDOW_CHUNKS.saturating_sub(self.blobs.open());
        let mut wants = Vec::new();
        for ((space, blob), seek) in &mut self.blobs.seeks {
            let waits = seek.is_over || seek.manifest_asked;
            let is_busy = !seek.asked.is_empty() && room < limits::BLOB_WINDOW_CHUNKS / 4;
            if waits || is_busy || room == 0 {
                continue;
            }
            let chunks = match inventory.blob_missing(*space, *blob, (&seek.asked, room))? {
                Missing::Manifest => {
                    seek.manifest_asked = true;
                    room -= 1;
                    Vec::new()
                }
                Missing::Chunks(chunks) if chunks.is_empty() => continue,
                Missing::Chunks(chunks) => {
                    room = room.saturating_sub(chunks.len());
                    seek.asked.extend(&chunks);
                    ranges(&chunks)
                }
            };
            wants.push(BlobWant {
                space: *space,
                blob: *blob,
                chunks,
            });
        }
        for want in wants {
            self.send(&Message::BlobWant(want));
        }
        for ((space, blob), standing) in std::mem::take(&mut self.blobs.states) {
            self.send(&Message::BlobState(BlobState {
                space,
                blob,
                standing,
            }));
        }
        Ok(())
    }

    /// Sends a part of a blob that the peer has asked for; says whether it did.
    pub(super) fn serve_blob(&mut self, inventory: &dyn Inventory) -> Result<bool> {
        if !self.credit.allows(Class::Bulk) {
            return Ok(false);
        }
        let Some((name, index)) = self.blobs.asked.pop_front() else {
            return Ok(false);
        };
        let (space, blob) = name;
        let read = match index {
            None => inventory.blob_manifest(space, blob).map(|found| {
                found.map(|manifest| {
                    Message::BlobManifest(BlobManifest {
                        space,
                        blob,
                        manifest,
                    })
                })
            }),
            Some(index) => inventory.blob_chunk(space, blob, index).map(|found| {
                found.map(|bytes| {
                    Message::BlobChunk(BlobChunk {
                        space,
                        blob,
                        index,
                        bytes,
                    })
                })
            }),
        };
        let message = match read {
            // What is damaged here must not look like a lie there.
            Err(error) if error.kind() == ErrorKind::StoreCorrupt => {
                tracing::error!(%blob, %error, "an attachment can't be sent");
                None
            }
            read => read?,
        };
        if let Some(message) = message {
            let frame = encode(self.config.correlation, &message);
            self.credit
                .sent(Class::Bulk, Credit::blob_cost(frame.len()));
            self.queue.push_back(Output::Send(frame));
            return Ok(true);
        }
        self.lacks_blob(name);
        Ok(true)
    }

    fn lacks_blob(&mut self, name: BlobName) {
        self.blobs.stop_serving(name);
        if self.blobs.missed.len() < limits::BLOBS_MISSED_MAX {
            self.blobs.missed.insert(name);
        }
        let (space, blob) = name;
        self.send(&Message::BlobState(BlobState {
            space,
            blob,
            standing: Standing::Absent,
        }));
        self.queue.push_back(Output::Blob(name, BlobNews::Missed));
    }

    /// The peer asks for a part of a blob.
    pub(super) fn blob_wanted(&mut self, want: &BlobWant) -> Verdict {
        if !self.speaks_of_blobs() {
            return Ok(());
        }
        self.active(want.space)?;
        let name = (want.space, want.blob);
        let parts = want.chunk_count().max(1);
        if self.blobs.asked.len() + parts > limits::BLOB_ASKED_CHUNKS_MAX {
            let text = "asked for too much of attachments at once";
            return fault(ErrorCode::OverLimit, text);
        }
        self.blobs.served.insert(name);
        if self.blobs.served.len() > limits::BLOBS_SERVED_MAX {
            let text = "fetches too many attachments at once";
            return fault(ErrorCode::OverLimit, text);
        }
        if want.chunks.is_empty() {
            self.blobs.asked.push_back((name, None));
        }
        for (first, count) in &want.chunks {
            let chunks = *first..first.saturating_add(*count);
            let parts = chunks.map(|index| (name, Some(index)));
            self.blobs.asked.extend(parts);
        }
        Ok(())
    }

    /// The peer says how it stands with a blob.
    pub(super) fn blob_state(&mut self, now: Instant, state: BlobState) -> Verdict {
        if !self.speaks_of_blobs() {
            return Ok(());
        }
        self.active(state.space)?;
        self.blobs.hear(now);
        let name = (state.space, state.blob);
        match state.standing {
            Standing::Absent => {
                let seek = self.blobs.seeks.remove(&name);
                if seek.is_some_and(|it| !it.is_over) {
                    self.blobs.absent.insert(name);
                    self.queue.push_back(Output::Blob(name, BlobNews::Absent));
                }
            }
            Standing::Held => {
                self.blobs.stop_serving(name);
                if self.blobs.absent.remove(&name) {
                    self.queue.push_back(Output::Blob(name, BlobNews::Offered));
                }
            }
            Standing::Unwanted => self.blobs.stop_serving(name),
        }
        Ok(())
    }

    /// A part of a blob came. The outer error is the store's, the inner one the peer's fault.
    pub(super) fn blob_came(
        &mut self,
        now: Instant,
        name: BlobName,
        (part, cost): (BlobPart, u64),
        gate: &mut dyn Gate,
    ) -> Result<Verdict> {
        if !self.speaks_of_blobs() {
            return Ok(Ok(()));
        }
        if !self.credit.received(Class::Bulk, cost) {
            let text = "sent a part of an attachment without credit";
            return Ok(fault(ErrorCode::OverCredit, text));
        }
        if let Err(fault) = self.active(name.0) {
            return Ok(Err(fault));
        }
        self.blobs.hear(now);
        let seek = self.blobs.seeks.get_mut(&name);
        let is_asked = seek.is_some_and(|seek| match &part {
            BlobPart::Manifest(_) => std::mem::take(&mut seek.manifest_asked),
            BlobPart::Chunk(index, _) => seek.asked.remove(index),
        });
        if !is_asked {
            let text = "sent a part of an attachment that was not asked for";
            return Ok(fault(ErrorCode::FalseBlob, text));
        }
        let is_over = |it: &Seek| it.is_over && it.open() == 0;
        if self.blobs.seeks.get(&name).is_some_and(is_over) {
            self.blobs.seeks.remove(&name);
        }
        let is_true = match part {
            BlobPart::Manifest(manifest) if manifest.id() == name.1 => {
                if !gate.take_manifest(name, &manifest)? {
                    self.leave_blob(name, Standing::Unwanted);
                    let news = BlobNews::TooLarge(manifest.size());
                    self.queue.push_back(Output::Blob(name, news));
                }
                true
            }
            BlobPart::Manifest(_) => false,
            BlobPart::Chunk(index, chunk) => gate.take_chunk(name, index, &chunk)?,
        };
        if is_true {
            return Ok(Ok(()));
        }
        let text = format!("sent what is no part of attachment {}", name.1);
        Ok(fault(ErrorCode::FalseBlob, text))
    }
}

/// Chunks as ranges of those that follow each other.
fn ranges(chunks: &BTreeSet<u32>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for index in chunks {
        match ranges.last_mut() {
            Some((first, count)) if first.saturating_add(*count) == *index => *count += 1,
            _ => ranges.push((*index, 1)),
        }
    }
    ranges
}

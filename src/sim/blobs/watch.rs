//! What must hold of attachments while a run goes on: nothing false is ever there, nothing that is
//! referred to is lost, and what came once need not come again.

use std::collections::{BTreeMap, BTreeSet};

use super::steps::GRACE;
use crate::blob::{Manifest, Stock};
use crate::engine::Ticket;
use crate::id::{BlobId, ChangeHash, RecordKey};
use crate::limits;
use crate::replica::{KnownBlob, Rows};
use crate::sim::class::{Class, Classes};
use crate::sim::fact::{BlobWord, Fact, Heard, What};
use crate::sim::host::Host;
use crate::sim::oracle::{Oracle, Verdict};
use crate::sim::stranger;
use crate::sim::world::World;
use crate::time::{Instant, WallTime};
use crate::wire::Standing;

/// A host, and a blob there.
pub(super) type Place = (usize, BlobId);

/// What is known of attachments so far.
#[derive(Debug, Default)]
pub(in crate::sim) struct Watched {
    /// The bytes that names stand for.
    pub(super) contents: BTreeMap<BlobId, Vec<u8>>,
    /// Changes that name one.
    pub(super) names: Vec<(RecordKey, ChangeHash, BlobId)>,
    /// What is there as a whole, and durable.
    whole: BTreeMap<Place, Whole>,
    /// How much was there; looked through again where it has changed.
    stocks: BTreeMap<Place, Stock>,
    waits: BTreeMap<(usize, Ticket), BlobId>,
    /// Of these some chunks came.
    coming: BTreeSet<Place>,
    /// Who told whom that it does not have it.
    absent: BTreeSet<(usize, Place)>,
    /// Where people put it themselves, or said that they don't want it.
    pub(super) meddled: BTreeSet<Place>,
    /// Hosts whose clocks were set: ages mean nothing there.
    clocks: BTreeSet<usize>,
    /// Who last heard a part of one, from whom, and when.
    part: Option<(usize, usize, Instant)>,
}

/// A blob that is there as a whole.
#[derive(Clone, Copy, Debug)]
struct Whole {
    /// Whether a change there had named it.
    is_named: bool,
    /// When it was put, or began to come, by the host's clock.
    since: WallTime,
}

impl Watched {
    pub(super) fn knows(&mut self, blob: BlobId, bytes: Vec<u8>) {
        self.contents.entry(blob).or_insert(bytes);
    }

    pub(super) fn names(&mut self, named: (RecordKey, ChangeHash, BlobId)) {
        self.names.push(named);
    }

    pub(super) fn waits(&mut self, at: Option<(usize, Ticket)>, blob: BlobId) {
        self.waits.extend(at.map(|at| (at, blob)));
    }

    pub(super) fn meddle(&mut self, place: Place) {
        self.meddled.insert(place);
    }

    /// Somebody who put it was told that it is durable.
    pub(super) fn acknowledged(&mut self, place: Place, since: WallTime) {
        let is_named = self.whole.get(&place).is_some_and(|it| it.is_named);
        self.whole.insert(place, Whole { is_named, since });
    }

    /// A host is told to remove it.
    pub(super) fn removed(&mut self, place: Place) {
        self.whole.remove(&place);
    }

    pub(in crate::sim) fn clock_was_set(&mut self, host: usize) {
        self.clocks.insert(host);
    }

    /// A host's store is gone, or set back.
    pub(in crate::sim) fn ends_life(&mut self, host: usize) {
        self.whole.retain(|at, _| at.0 != host);
        self.stocks.retain(|at, _| at.0 != host);
        self.coming.retain(|at| at.0 != host);
    }
}

impl Oracle {
    /// Takes in what happened, as far as it is about attachments.
    pub(in crate::sim) fn observe_blobs(
        &mut self,
        world: &World,
        fact: &Fact,
        classes: &mut Classes,
    ) -> Verdict {
        let host = fact.host;
        match &fact.what {
            What::Heard { from, heard } => {
                self.blobs.part = None;
                let Heard::Blob(blob, word) = heard else {
                    return Ok(());
                };
                self.heard_of_blob((*from, host), (*blob, *word), (fact.at, classes))
            }
            What::Closed => self.closed(fact, classes),
            What::Blob(ticket, Ok(_)) => match self.blobs.waits.remove(&(host, *ticket)) {
                Some(blob) => self.has_what_came(world, (host, blob)),
                None => Ok(()),
            },
            // What was not on disk may be gone.
            What::Crashed { .. } if self.relaxed => {
                self.blobs.ends_life(host);
                Ok(())
            }
            What::Started => {
                self.blobs.stocks.retain(|at, _| at.0 != host);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn heard_of_blob(
        &mut self,
        (from, to): (usize, usize),
        (blob, word): (BlobId, BlobWord),
        (at, classes): (Instant, &mut Classes),
    ) -> Verdict {
        let here = (to, blob);
        match word {
            BlobWord::Wanted(chunks) => {
                if chunks > 0 && self.blobs.coming.contains(&(from, blob)) {
                    classes.reach(Class::BlobResumed);
                }
            }
            BlobWord::Manifest => self.blobs.part = Some((to, from, at)),
            BlobWord::Chunk { known: true, index } => {
                self.blobs.part = Some((to, from, at));
                // Whoever wants it no more, or puts it, may want it again from somebody else.
                if from < stranger::FIRST && !self.blobs.meddled.contains(&here) {
                    let text = format!("host {to} hears chunk {index} of {blob} again");
                    return self.fail("what has come is not sent again", text);
                }
            }
            BlobWord::Chunk { known: false, .. } => {
                self.blobs.part = Some((to, from, at));
                self.blobs.coming.insert(here);
                if self.blobs.absent.remove(&(from, here)) {
                    classes.reach(Class::BlobRelayed);
                }
            }
            BlobWord::State(Standing::Absent) => {
                self.blobs.absent.insert((from, here));
            }
            BlobWord::State(Standing::Held | Standing::Unwanted) => {}
        }
        Ok(())
    }

    /// A host hung up on who had just sent it a part of an attachment.
    fn closed(&mut self, fact: &Fact, classes: &mut Classes) -> Verdict {
        let Some((host, from, at)) = self.blobs.part.take() else {
            return Ok(());
        };
        if host != fact.host || at != fact.at || self.troubled.contains(&host) {
            return Ok(());
        }
        if from < stranger::FIRST {
            let text = format!("host {host} hangs up on what {from} sent of an attachment");
            return self.fail("honest attachments are taken", text);
        }
        classes.reach(Class::FalseBlobRefused);
        Ok(())
    }

    /// Who waited for an attachment and was told that it came has it.
    fn has_what_came(&self, world: &World, (host, blob): Place) -> Verdict {
        if self.troubled.contains(&host) || !world.host(host).is_ok_and(Host::is_up) {
            return Ok(());
        }
        let bytes = self.read(world.read_blob(host, blob))?;
        if bytes.as_ref() == self.blobs.contents.get(&blob) {
            return Ok(());
        }
        let text = format!("host {host} was told that {blob} came");
        self.fail("who waits for an attachment has it", text)
    }

    /// Looks at what a host has of attachments.
    pub(in crate::sim) fn look_at_blobs(
        &mut self,
        world: &World,
        host: usize,
        classes: &mut Classes,
    ) -> Verdict {
        let is_up = world.host(host).is_ok_and(Host::is_up);
        if !is_up || self.troubled.contains(&host) {
            return Ok(());
        }
        let snapshot = world.store(host).and_then(|it| Ok(it.snapshot()?));
        let snapshot = self.read(snapshot)?;
        let rows = Rows::new(snapshot.as_ref());
        let known = self.read(rows.blobs(World::space(), None, usize::MAX))?;
        self.nothing_is_lost(world, host, &known)?;
        for it in known {
            let place = (host, it.id);
            if self.blobs.stocks.insert(place, it.stock) != Some(it.stock) {
                self.is_true(&rows, host, &it)?;
            }
            if !it.stock.is_complete() {
                continue;
            }
            if self.blobs.coming.remove(&place) {
                classes.reach(Class::BlobFetched);
            }
            let whole = Whole {
                is_named: it.is_named,
                since: it.since,
            };
            self.blobs.whole.insert(place, whole);
        }
        Ok(())
    }

    /// What was there as a whole is there, unless nothing had named it for so long.
    fn nothing_is_lost(&mut self, world: &World, host: usize, known: &[KnownBlob]) -> Verdict {
        let whole = known.iter().filter(|it| it.stock.is_complete());
        let whole: BTreeSet<_> = whole.map(|it| it.id).collect();
        let now = world.now_of(host).wall.as_millis();
        let grace = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
        let before = self.blobs.whole.iter();
        let lost = before.filter(|((at, blob), _)| *at == host && !whole.contains(blob));
        for ((_, blob), it) in lost {
            let is_old = now.saturating_sub(it.since.as_millis()) >= grace;
            let may_be_collected = !it.is_named && (is_old || self.blobs.clocks.contains(&host));
            if !may_be_collected {
                let text = format!("host {host} lost {blob}, which it had as a whole");
                return self.fail("attachments are kept", text);
            }
        }
        self.blobs
            .whole
            .retain(|(at, blob), _| *at != host || whole.contains(blob));
        Ok(())
    }

    /// What there is of a blob is what its name says.
    fn is_true(&self, rows: &Rows<'_>, host: usize, it: &KnownBlob) -> Verdict {
        let content = self.blobs.contents.get(&it.id);
        let mut chunks = content.map(|it| it.chunks(limits::BLOB_CHUNK_BYTES));
        let mut bytes = Vec::new();
        for index in 0..it.stock.chunks {
            let expected = chunks.as_mut().and_then(Iterator::next);
            let chunk = self.read(rows.blob_chunk(World::space(), it.id, index))?;
            let Some(chunk) = chunk else {
                continue;
            };
            if content.is_some() && expected != Some(chunk.as_ref()) {
                let text = format!("chunk {index} of {} on host {host} is another", it.id);
                return self.fail("attachments are what their names say", text);
            }
            bytes.extend_from_slice(&chunk);
        }
        let is_right = || Manifest::of(&bytes).is_some_and(|made| made.id() == it.id);
        if it.stock.is_complete() && !is_right() {
            let text = format!("{} on host {host} is made of other bytes", it.id);
            return self.fail("attachments are what their names say", text);
        }
        Ok(())
    }
}

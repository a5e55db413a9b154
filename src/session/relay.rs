//! Changes from elsewhere on a link over which the peer brings them, too: in a mesh every peer has
//! them from their author, and all of them would tell each other.
//!
//! Where changes have crossed, one side goes on sending them at once and the other, that with the
//! larger store id, holds them for a moment and forgets those that the peer brings meanwhile. What
//! the peer did not bring in time is sent: a way that breaks costs this moment, not a change.
//!
//! Large ones are offered on every link, and sent to who asks for them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::id::{Lsn, RecordKey, StoreId};
use crate::limits;
use crate::reconcile::LogEntry;
use crate::time::Instant;

/// Names the bytes of a change.
type Digest = [u8; 32];

/// A change that waits for the peer to bring it.
#[derive(Debug)]
struct Held {
    key: RecordKey,
    lsn: Lsn,
    digest: Digest,
    /// When it is sent after all; `None` once that has come.
    until: Option<Instant>,
}

/// A record that was offered.
#[derive(Clone, Copy, Debug)]
struct Offer {
    /// The first change that was.
    first: Lsn,
    /// More has come to it since.
    again: bool,
}

/// What is held back on one link in one space.
#[derive(Debug)]
pub(super) struct Relay {
    /// Whether this side is the one that waits where changes cross.
    yields: bool,
    /// Changes that crossed since one last waited in vain.
    crossed: u32,
    /// How many have to, before this side waits. Where waiting was in vain it is not tried soon.
    crossed_min: u32,
    held: VecDeque<Held>,
    /// Records that were offered, until the peer has them.
    offered: BTreeMap<RecordKey, Offer>,
    /// What the peer brought last, in order, and again to be looked up.
    brought: VecDeque<Digest>,
    known: BTreeSet<Digest>,
}

impl Relay {
    pub(super) fn new(own: StoreId, peer: StoreId) -> Self {
        Self {
            yields: own > peer,
            crossed: 0,
            crossed_min: limits::RELAY_CROSSED_MIN,
            held: VecDeque::new(),
            offered: BTreeMap::new(),
            brought: VecDeque::new(),
            known: BTreeSet::new(),
        }
    }

    /// Whether this side is told what the peer brings.
    pub(super) const fn listens(&self) -> bool {
        self.yields
    }

    /// Whether changes from elsewhere wait here.
    pub(super) const fn waits(&self) -> bool {
        self.yields && self.crossed >= self.crossed_min
    }

    /// The peer brought a change. It need not be sent to it.
    pub(super) fn brought(&mut self, change: &[u8], was_here: bool) {
        if was_here {
            self.crossed = self.crossed.saturating_add(1);
        }
        if !self.waits() && self.held.is_empty() {
            return;
        }
        let digest = digest(change);
        self.held.retain(|it| it.digest != digest);
        if self.known.insert(digest) {
            self.brought.push_back(digest);
        }
        while self.brought.len() > limits::RELAY_BROUGHT_MAX
            && let Some(oldest) = self.brought.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Holds a change back, unless the peer has brought it already.
    pub(super) fn hold(&mut self, now: Instant, entry: &LogEntry) {
        let digest = digest(&entry.bytes);
        if self.known.contains(&digest) {
            return;
        }
        self.held.push_back(Held {
            key: entry.key.clone(),
            lsn: entry.lsn,
            digest,
            until: Some(now + limits::RELAY_HOLD),
        });
        if self.held.len() > limits::RELAY_HELD_MAX {
            self.give_up(|_| true);
        }
    }

    /// Whether changes of the same record are held back. Then they need not wait longer, and this
    /// one follows them.
    pub(super) fn follows(&mut self, entry: &LogEntry) -> bool {
        let same = self.held.iter_mut().filter(|it| it.key == entry.key);
        let before = same.map(|it| it.until = None).count();
        if before > 0 {
            self.held.push_back(Held {
                key: entry.key.clone(),
                lsn: entry.lsn,
                digest: digest(&entry.bytes),
                until: None,
            });
        }
        before > 0
    }

    pub(super) fn wake(&mut self, now: Instant) {
        self.give_up(|until| now >= until);
    }

    /// Waits no longer for those whose time is one of these.
    fn give_up(&mut self, is_over: impl Fn(Instant) -> bool) {
        let over = self.held.iter_mut();
        let over = over.filter(|it| it.until.is_some_and(&is_over));
        let mut count = 0;
        for held in over {
            held.until = None;
            count += 1;
        }
        if count > 0 {
            self.crossed = 0;
            let next = self.crossed_min.saturating_mul(2);
            self.crossed_min = next.min(limits::RELAY_CROSSED_MAX);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.held.iter().find_map(|it| it.until)
    }

    /// The next change that was waited for in vain.
    pub(super) fn next_due(&mut self) -> Option<Lsn> {
        let at = self.held.iter().position(|it| it.until.is_none())?;
        self.held.remove(at).map(|it| it.lsn)
    }

    /// A change of the record is to be offered in place of being sent.
    pub(super) fn offer(&mut self, key: RecordKey, lsn: Lsn) {
        let again = false;
        self.offered
            .entry(key)
            .or_insert(Offer { first: lsn, again });
    }

    /// Whether the record is under offer: what follows must not overtake it.
    pub(super) fn is_offered(&self, key: &RecordKey) -> bool {
        self.offered.contains_key(key)
    }

    /// More has come to a record after it was offered.
    pub(super) fn offer_again(&mut self, key: &RecordKey) {
        if let Some(offer) = self.offered.get_mut(key) {
            offer.again = true;
        }
    }

    /// The peer has what was offered of a record; says whether it is to be offered again.
    pub(super) fn accepted(&mut self, key: &RecordKey) -> bool {
        match self.offered.get_mut(key) {
            Some(offer) if offer.again => {
                offer.again = false;
                true
            }
            _ => {
                self.offered.remove(key);
                false
            }
        }
    }

    /// Whether nothing is held back or offered.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.offered.is_empty()
    }

    /// The end of what was sent of a log that was looked at up to `live`.
    pub(super) fn sent_up_to(&self, live: Lsn) -> Lsn {
        let held = self.held.iter().map(|it| it.lsn);
        let first = held.chain(self.offered.values().map(|it| it.first)).min();
        first.map_or(live, |it| Lsn(it.0.saturating_sub(1)))
    }
}

fn digest(change: &[u8]) -> Digest {
    *blake3::hash(change).as_bytes()
}

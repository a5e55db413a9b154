//! Presence on one link: what waits to be said, how fast it may be, and what was heard.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::{Output, Peer, Session, Verdict, fault};
use crate::id::SpaceId;
use crate::limits;
use crate::time::Instant;
use crate::wire::{ErrorCode, Features, Message, Note, Place, Presence, Spot, Stamp, Word, encode};

/// What a link is to say of a presence.
#[derive(Clone, Debug)]
pub enum Telling {
    /// There is no way to its author any more.
    Lost,
    /// What the author says.
    Said {
        /// Links that it has crossed so far.
        hops: u8,
        /// Until when it holds.
        until: Instant,
        /// What.
        note: Arc<Note>,
    },
}

/// Presence on one link.
#[derive(Debug)]
pub(super) struct Presences {
    /// What is to be said, the newest of each.
    pending: BTreeMap<Spot, Telling>,
    /// The same in the order in which they came up.
    order: VecDeque<Spot>,
    sending: Bucket,
    /// When the next word may be said, if none may be yet.
    due: Option<Instant>,
    taking: Bucket,
    /// Messages dropped since the peer last kept to its rate.
    excess: u32,
    heard: Vec<Presence>,
    opened: Vec<SpaceId>,
    dropped: u64,
}

impl Presences {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            pending: BTreeMap::new(),
            order: VecDeque::new(),
            sending: Bucket::full(limits::PRESENCE_SENT_BURST, limits::PRESENCE_SENT_RATE, now),
            due: None,
            taking: Bucket::full(
                limits::PRESENCE_TAKEN_BURST,
                limits::PRESENCE_TAKEN_RATE,
                now,
            ),
            excess: 0,
            heard: Vec::new(),
            opened: Vec::new(),
            dropped: 0,
        }
    }

    /// When something that waits for its time may be said. What waits for room on the link is said when
    /// there is some, without being woken.
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Its time has come, or not.
    pub(super) fn wake(&mut self, now: Instant) {
        self.due = self.due.filter(|at| now < *at);
    }

    /// Counts a message that came; says whether it is to be looked at.
    fn admits(&mut self, now: Instant) -> Verdict<bool> {
        if self.taking.take(now) {
            self.excess = 0;
            return Ok(true);
        }
        self.dropped += 1;
        self.excess += 1;
        if self.excess > limits::PRESENCE_EXCESS_MAX {
            return fault(ErrorCode::OverLimit, "said presences without end");
        }
        Ok(false)
    }
}

impl Session {
    /// Whether presence goes both ways over this link.
    fn hears_presence(&self) -> Option<Peer> {
        match self.phase {
            super::Phase::Talking(peer) if peer.features.has(Features::PRESENCE) => Some(peer),
            super::Phase::Talking(_) | super::Phase::Handshake(_) | super::Phase::Ended(_) => None,
        }
    }

    /// Whether the peer is to hear of a presence: it may read the space, has opened it and wants the
    /// collection, and is not the author.
    fn is_for(&self, peer: Peer, spot: &Spot) -> bool {
        let space = spot.slot.space;
        let link = self.spaces.get(&space).filter(|it| it.is_active());
        let wants = link.is_some_and(|link| match &spot.slot.place {
            Place::Space => true,
            Place::Record(collection, _) => link.covers(collection),
        });
        wants && spot.author != peer.replica && self.refusal(peer, space).is_none()
    }

    /// Queues what is to be told of a presence, in place of what was before and is not sent yet.
    /// Says whether the peer is to hear of it: what has crossed as many links as it may goes no further.
    pub fn tell(&mut self, spot: &Spot, telling: Telling) -> bool {
        let Some(peer) = self.hears_presence() else {
            return false;
        };
        let far = limits::PRESENCE_HOPS_MAX;
        let is_too_far = matches!(telling, Telling::Said { hops, .. } if hops >= far);
        if is_too_far || !self.is_for(peer, spot) {
            return false;
        }
        let queue = &mut self.presences;
        if !queue.pending.contains_key(spot) {
            if queue.pending.len() >= limits::PRESENCES_PENDING_MAX {
                queue.dropped += 1;
                return false;
            }
            queue.order.push_back(spot.clone());
        }
        queue.pending.insert(spot.clone(), telling);
        true
    }

    /// The peer has said the same: it need not hear it.
    pub fn untell(&mut self, spot: &Spot, stamp: Stamp) {
        let queue = &mut self.presences;
        let is_known = |it: &Telling| match it {
            Telling::Said { note, .. } => note.stamp <= stamp,
            Telling::Lost => false,
        };
        if queue.pending.get(spot).is_some_and(is_known) {
            queue.pending.remove(spot);
            queue.order.retain(|it| it != spot);
        }
    }

    /// What the peer has said of presences since this was last asked for.
    pub fn take_heard(&mut self) -> Vec<Presence> {
        std::mem::take(&mut self.presences.heard)
    }

    /// Spaces whose presences the peer is to hear of from now on.
    pub fn take_opened(&mut self) -> Vec<SpaceId> {
        std::mem::take(&mut self.presences.opened)
    }

    /// How many presence messages were dropped since this was last asked for: they came too fast, or
    /// too many wait.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.presences.dropped)
    }

    /// A space became active.
    pub(super) fn note_opened(&mut self, space: SpaceId) {
        if self.hears_presence().is_some() {
            self.presences.opened.push(space);
        }
    }

    /// The peer says something of a presence.
    pub(super) fn presence(
        &mut self,
        now: Instant,
        presence: Presence,
        is_genuine: bool,
    ) -> Verdict {
        let Some(peer) = self.hears_presence() else {
            return fault(ErrorCode::OutOfOrder, "presence was not agreed on");
        };
        if !self.presences.admits(now)? {
            return Ok(());
        }
        if !is_genuine {
            let text = "a presence is not signed by its author";
            return fault(ErrorCode::Forged, text);
        }
        let spot = &presence.spot;
        let link = self.active(spot.slot.space)?;
        if let Place::Record(collection, _) = &spot.slot.place
            && !link.covers(collection)
        {
            let text = format!("collection {collection} is not subscribed to");
            return fault(ErrorCode::WrongSpace, text);
        }
        let is_own = matches!(presence.word, Word::Said { hops: 0, .. });
        if is_own && spot.author != peer.replica {
            let text = "a presence of somebody else was said as the peer's own";
            return fault(ErrorCode::Forged, text);
        }
        if self.refusal(peer, presence.spot.slot.space).is_none() {
            self.presences.heard.push(presence);
        }
        Ok(())
    }

    /// Queues the next presence to say, if one may be said now; says whether there was one.
    pub(super) fn say_presence(&mut self, now: Instant) -> bool {
        self.presences.due = None;
        while let Some(spot) = self.presences.order.front() {
            if !self.presences.sending.is_ready(now) {
                self.presences.due = Some(self.presences.sending.ready_at());
                return false;
            }
            let spot = spot.clone();
            self.presences.order.pop_front();
            let Some(telling) = self.presences.pending.remove(&spot) else {
                continue;
            };
            let Some(word) = word(now, telling) else {
                continue;
            };
            self.presences.sending.take(now);
            let message = Message::Presence(Presence { spot, word });
            let frame = encode(self.config.correlation, &message);
            self.queue.push_back(Output::Send(frame));
            return true;
        }
        false
    }
}

/// What to say now; nothing if it holds no longer.
fn word(now: Instant, telling: Telling) -> Option<Word> {
    let Telling::Said { hops, until, note } = telling else {
        return Some(Word::Lost);
    };
    let left = u32::try_from(until.since(now).as_millis()).unwrap_or(u32::MAX);
    let left_millis = left.min(note.ttl_millis);
    (note.is_gone() || left_millis > 0).then_some(Word::Said {
        hops,
        left_millis,
        note,
    })
}

/// A token bucket that counts in microseconds: a message costs the time in which one more is allowed.
#[derive(Debug)]
struct Bucket {
    /// When it would be full again.
    full_at: Instant,
    each: Duration,
    burst: u32,
}

impl Bucket {
    const fn full(burst: u32, per_second: u32, now: Instant) -> Self {
        let each = Duration::from_micros(1_000_000 / per_second as u64);
        Self {
            full_at: now,
            each,
            burst,
        }
    }

    /// When a message may pass.
    fn ready_at(&self) -> Instant {
        let ahead = self.each * self.burst.saturating_sub(1);
        let micros = u64::try_from(ahead.as_micros()).unwrap_or(u64::MAX);
        Instant::from_micros(self.full_at.as_micros().saturating_sub(micros))
    }

    fn is_ready(&self, now: Instant) -> bool {
        now >= self.ready_at()
    }

    /// Lets a message pass, if one may.
    fn take(&mut self, now: Instant) -> bool {
        let may = self.is_ready(now);
        if may {
            self.full_at = self.full_at.max(now) + self.each;
        }
        may
    }
}

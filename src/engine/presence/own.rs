//! What this node shows of itself: said at once, at most so often, and again before it expires.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::access::Identity;
use crate::id::{ReplicaId, SpaceId};
use crate::limits;
use crate::session::Telling;
use crate::time::{Instant, Now};
use crate::wire::{Note, Slot, Spot, Stamp};

/// Our own presences.
#[derive(Debug)]
pub(in crate::engine) struct Own {
    author: ReplicaId,
    stamp: Stamp,
    slots: BTreeMap<Slot, Showing>,
}

#[derive(Debug)]
struct Showing {
    /// What is to be shown, and for how long; `None` if nothing any more.
    wanted: Option<(Bytes, Duration)>,
    /// What was said last, and until when it holds.
    said: Option<(Arc<Note>, Instant)>,
    /// When the next word is due; `None` if there is none.
    due: Option<Instant>,
    /// No word before that.
    not_before: Instant,
}

impl Own {
    pub(in crate::engine) const fn new(author: ReplicaId) -> Self {
        Self {
            author,
            stamp: Stamp {
                session: 0,
                number: 0,
            },
            slots: BTreeMap::new(),
        }
    }

    /// Shows something, or nothing any more.
    pub(super) fn set(&mut self, now: Now, slot: Slot, wanted: Option<(Bytes, Duration)>) {
        if self.stamp.session == 0 {
            // After what an earlier life has said.
            self.stamp.session = now.wall.as_millis().max(1);
        }
        let is_new = !self.slots.contains_key(&slot);
        if is_new && (wanted.is_none() || self.slots.len() >= limits::PRESENCES_OWN_MAX) {
            return;
        }
        let showing = self.slots.entry(slot).or_insert(Showing {
            wanted: None,
            said: None,
            due: None,
            not_before: now.instant,
        });
        if showing.wanted != wanted {
            showing.wanted = wanted;
            showing.due = Some(showing.not_before.max(now.instant));
        }
    }

    /// Takes everything back, without waiting.
    pub(super) fn clear(&mut self, now: Now) {
        for showing in self.slots.values_mut() {
            showing.wanted = None;
            showing.due = Some(now.instant);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.slots.values().filter_map(|it| it.due).min()
    }

    /// The next word that is due, signed.
    pub(super) fn due(&mut self, now: Now, identity: &Identity) -> Option<(Spot, Telling)> {
        loop {
            let mut due = self.slots.iter();
            let slot = due.find(|(_, it)| it.due.is_some_and(|at| at <= now.instant))?;
            let slot = slot.0.clone();
            if let Some(said) = self.say(now.instant, &slot, identity) {
                return Some(said);
            }
        }
    }

    fn say(&mut self, now: Instant, slot: &Slot, identity: &Identity) -> Option<(Spot, Telling)> {
        let showing = self.slots.get_mut(slot)?;
        let Some((payload, ttl)) = showing.wanted.clone() else {
            let was_said = showing.said.take();
            // It stays until it may be shown again, so that taking back is no way around the pace.
            showing.due = (now < showing.not_before).then_some(showing.not_before);
            if showing.due.is_none() && was_said.is_none() {
                self.slots.remove(slot);
                return None;
            }
            was_said?;
            showing.not_before = now + limits::PRESENCE_EVERY;
            showing.due = Some(showing.not_before);
            return Some(self.sign(now, slot, (Bytes::new(), Duration::ZERO), identity));
        };
        showing.due = Some(now + ttl / limits::PRESENCE_REPEATS);
        showing.not_before = now + limits::PRESENCE_EVERY;
        let (spot, telling) = self.sign(now, slot, (payload, ttl), identity);
        if let (Telling::Said { note, until, .. }, Some(showing)) =
            (&telling, self.slots.get_mut(slot))
        {
            showing.said = Some((Arc::clone(note), *until));
        }
        Some((spot, telling))
    }

    fn sign(
        &mut self,
        now: Instant,
        slot: &Slot,
        (payload, ttl): (Bytes, Duration),
        identity: &Identity,
    ) -> (Spot, Telling) {
        self.stamp.number += 1;
        let spot = Spot {
            slot: slot.clone(),
            author: self.author,
        };
        let mut note = Note {
            stamp: self.stamp,
            ttl_millis: u32::try_from(ttl.as_millis()).unwrap_or(u32::MAX),
            payload,
            signature: [0; 64],
        };
        note.signature = identity.sign_presence(&note.signed_bytes(&spot));
        let telling = Telling::Said {
            hops: 0,
            until: now + ttl,
            note: Arc::new(note),
        };
        (spot, telling)
    }

    /// What is shown in a space, for a link that has just opened it.
    pub(super) fn known(&self, now: Instant, space: SpaceId) -> Vec<(Spot, Telling)> {
        let in_space = self.slots.iter().filter(|it| it.0.space == space);
        let said = in_space.filter_map(|(slot, showing)| {
            showing.wanted.as_ref()?;
            let (note, until) = showing.said.as_ref()?;
            let spot = Spot {
                slot: slot.clone(),
                author: self.author,
            };
            let telling = Telling::Said {
                hops: 0,
                until: *until,
                note: Arc::clone(note),
            };
            (*until > now).then_some((spot, telling))
        });
        said.collect()
    }
}

//! Presence: what this node shows, and what it knows of others. Kept in memory only; nothing of it
//! reaches the replica.
//!
//! What an author says goes on to every link but the one it came by, once. Where it came by several
//! ways that are equally short, all of them count: if one is lost the presence stays, and if the last
//! is lost it is gone at once, and the others are told. A way over somebody who may depend on us is
//! longer than ours and never counts, so that two nodes can't keep a ghost alive between them.

mod board;
mod own;

use std::time::Duration;

use bytes::Bytes;

pub(super) use board::Board;
pub(super) use own::Own;

use super::turn::as_f64;
use super::{Effect, Engine, LinkId};
use crate::id::SpaceId;
use crate::plant::{self, Plant};
use crate::session::Telling;
use crate::telemetry::names;
use crate::time::{Instant, Now};
use crate::wire::{Presence, Slot, Spot, Stamp, Word};
use board::Outcome;

/// What became of somebody's presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Who, and where.
    pub spot: Spot,
    /// What it shows; `None` once it is gone.
    pub payload: Option<Bytes>,
}

impl Engine {
    /// The application shows something for so long, or takes back what it has shown.
    pub(super) fn show(&mut self, now: Now, slot: Slot, shown: Option<(Bytes, Duration)>) {
        if self.stopping.is_none() {
            self.own_presences.set(now, slot, shown);
        }
    }

    /// Says what is due of our own presences, and lets others' expire.
    pub(super) fn tend_presences(&mut self, now: Now) {
        if self.stopped {
            return;
        }
        while let Some((spot, telling)) = self.own_presences.due(now, &self.identity) {
            self.tell_all(&spot, &telling, None);
        }
        let expired = self.board.expire(now.instant);
        for spot in expired {
            // It expires everywhere at about the same time, by what its author has said.
            self.shown(spot, None);
        }
    }

    /// Takes back all that is shown: the node is stopping.
    pub(super) fn take_back_presences(&mut self, now: Now) {
        self.own_presences.clear(now);
        self.tend_presences(now);
    }

    /// When the next presence of ours is due, or the next of others expires.
    pub(super) fn presence_timeout(&self) -> Option<Instant> {
        let due = [self.own_presences.poll_timeout(), self.board.poll_timeout()];
        due.into_iter().flatten().min()
    }

    /// Takes over what a session has heard of presences, and what it is to tell in return.
    pub(super) fn listen(&mut self, now: Now, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let opened = link.session.take_opened();
        let heard = link.session.take_heard();
        let dropped = link.session.take_dropped();
        if dropped > 0 {
            metrics::counter!(names::PRESENCE_DROPPED).increment(dropped);
        }
        for space in opened {
            self.greet(now, id, space);
        }
        for presence in heard {
            metrics::counter!(names::PRESENCE_HEARD).increment(1);
            self.hear_presence(now, id, presence);
        }
    }

    /// A link has just opened a space: it is told who is there.
    fn greet(&mut self, now: Now, id: LinkId, space: SpaceId) {
        let known = self.board.known(space, id);
        let own = self.own_presences.known(now.instant, space);
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        for (spot, telling) in own.into_iter().chain(known) {
            link.session.tell(&spot, telling);
        }
        self.runnable.insert(id);
    }

    fn hear_presence(&mut self, now: Now, id: LinkId, presence: Presence) {
        let Presence { spot, word } = presence;
        if spot.author == self.identity.replica_id() {
            // Our own, which has come round.
            return;
        }
        let outcome = match word {
            Word::Lost => self.board.lose(&spot, id),
            Word::Said {
                hops,
                left_millis,
                note,
            } => {
                let until = now.instant + Duration::from_millis(left_millis.into());
                let told = Telling::Said {
                    // This link is one more.
                    hops: hops.saturating_add(1),
                    until,
                    note: std::sync::Arc::clone(&note),
                };
                let outcome = self.board.hear(&spot, id, &told);
                if outcome == Outcome::Known {
                    self.untell(id, &spot, note.stamp);
                }
                outcome
            }
        };
        self.follow(id, spot, outcome);
    }

    /// Does what follows from what the board has found.
    fn follow(&mut self, from: LinkId, spot: Spot, outcome: Outcome) {
        match outcome {
            Outcome::Known => {}
            Outcome::Full => metrics::counter!(names::PRESENCE_DROPPED).increment(1),
            Outcome::News(telling, payload) => {
                self.tell_all(&spot, &telling, Some(from));
                self.shown(spot, Some(payload));
            }
            Outcome::Newer(telling) => self.tell_all(&spot, &telling, Some(from)),
            Outcome::Gone(telling) => {
                self.tell_all(&spot, &telling, Some(from));
                self.shown(spot, None);
            }
            Outcome::Elsewhere(telling) => {
                if let Some(link) = self.links.get_mut(&from)
                    && link.session.tell(&spot, telling)
                {
                    self.runnable.insert(from);
                }
            }
        }
    }

    /// A link is gone, and with it the ways over it.
    pub(super) fn presence_lost(&mut self, id: LinkId) {
        for spot in self.board.forget(id) {
            self.tell_all(&spot, &Telling::Lost, Some(id));
            self.shown(spot, None);
        }
    }

    fn shown(&mut self, spot: Spot, payload: Option<Bytes>) {
        metrics::gauge!(names::PRESENCES).set(as_f64(self.board.len()));
        self.ready
            .push_back(Effect::Presence(Shown { spot, payload }));
    }

    fn untell(&mut self, id: LinkId, spot: &Spot, stamp: Stamp) {
        if let Some(link) = self.links.get_mut(&id) {
            link.session.untell(spot, stamp);
        }
    }

    fn tell_all(&mut self, spot: &Spot, telling: &Telling, except: Option<LinkId>) {
        for (id, link) in &mut self.links {
            let echoes = plant::is_planted(Plant::EchoPresence);
            if (Some(*id) != except || echoes) && link.session.tell(spot, telling.clone()) {
                self.runnable.insert(*id);
            }
        }
    }
}

//! When a presence is heard: once its host takes it up, and not when it comes.
//!
//! What comes on a link from a frame on that waits for a record's graph waits, too. The checks once took
//! a presence among it for heard when it came, and had not thought of this: until then the host does not
//! know it, and may tell it to whoever sent it; and what else the host hears of that spot meanwhile, such as
//! that there is no way any more, comes before it and not after.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::{LinkId, Shown};
use crate::sim::fact::{Heard, What};
use crate::sim::host::Host;
use crate::sim::network::End;
use crate::sim::world::World;
use crate::wire::{Presence, Word};

/// A presence, and which host has said it by which link.
type Said = (usize, LinkId, Presence);

/// What has come to hosts and is not heard yet.
#[derive(Debug, Default)]
pub(in crate::sim) struct Held {
    /// The frames that wait at an end of a link, in order, and which of them say a presence.
    waiting: BTreeMap<End, VecDeque<Option<Said>>>,
    /// What a host has just taken up, in order, and not yet shown the consequences of.
    taken: VecDeque<Said>,
}

impl World {
    /// A frame has come that waits.
    pub(in crate::sim) fn hold(&mut self, from: usize, (host, link): End, heard: Option<Presence>) {
        let waiting = self.held.waiting.entry((host, link)).or_default();
        waiting.push_back(heard.map(|it| (from, link, it)));
    }

    /// Finds what a host has taken up of what waited there.
    pub(in crate::sim) fn take_up(&mut self, host: usize) {
        let engine = self.hosts.get(host).and_then(Host::engine);
        let Held { waiting, taken } = &mut self.held;
        for ((_, link), frames) in waiting.iter_mut().filter(|it| it.0.0 == host) {
            let left = engine.map_or(0, |it| it.parked(*link));
            let gone = frames.drain(..frames.len().saturating_sub(left));
            // Nobody takes up what came on a link that is lost.
            let is_heard = engine.is_some_and(|it| it.has_link(*link));
            taken.extend(gone.flatten().filter(|_| is_heard));
        }
        waiting.retain(|_, it| !it.is_empty());
    }

    /// A host is told something of a presence: the first of what it has taken up that says so is heard,
    /// and what came before that.
    pub(in crate::sim) fn hear_cause(&mut self, host: usize, shown: &Shown) {
        let cause = self.held.taken.iter().position(|it| says(&it.2, shown));
        self.hear_taken(host, cause.map_or(0, |it| it + 1));
    }

    /// The rest of what a host has taken up is heard: it has shown all consequences.
    pub(in crate::sim) fn hear_rest(&mut self, host: usize) {
        self.hear_taken(host, self.held.taken.len());
    }

    fn hear_taken(&mut self, host: usize, count: usize) {
        let heard: Vec<_> = self.held.taken.drain(..count).collect();
        for (from, link, presence) in heard {
            let heard = Heard::Presence(link, presence);
            self.note(host, What::Heard { from, heard });
        }
    }
}

/// Whether a presence says what somebody is told of it.
fn says(Presence { spot, word }: &Presence, shown: &Shown) -> bool {
    let payload = match word {
        Word::Said { note, .. } if !note.is_gone() => Some(&note.payload),
        Word::Said { .. } | Word::Lost => None,
    };
    *spot == shown.spot && payload == shown.payload.as_ref()
}

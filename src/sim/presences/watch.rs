//! What must hold of presence: seen is what its author says, for as long as that holds and once, and
//! each link carries it once and not back.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::engine::{LinkId, Shown};
use crate::id::ReplicaId;
use crate::sim::class::{Class, Classes};
use crate::sim::fact::{Fact, Heard, What};
use crate::sim::host::Host;
use crate::sim::oracle::{Oracle, Verdict};
use crate::sim::stranger;
use crate::sim::world::World;
use crate::time::Instant;
use crate::wire::{Note, Presence, Slot, Spot, Stamp, Word};

/// What a connection carried: from whom to whom, and which note.
type Carried = (usize, usize, u64, Spot, Stamp);

/// What is known of presence so far.
#[derive(Debug, Default)]
pub(in crate::sim) struct Watched {
    /// What authors have said, in order.
    said: BTreeMap<Spot, Vec<Bytes>>,
    count: u64,
    /// What hosts see.
    shown: BTreeMap<(usize, Spot), Bytes>,
    /// What hosts have heard of it in this life.
    heard: BTreeMap<(usize, Spot), Known>,
    /// How often each connection has carried a note.
    carried: BTreeMap<Carried, u32>,
    /// How often a host may have forgotten what it knew of a spot in this life, and told it again since.
    forgotten: BTreeMap<(usize, Spot), u32>,
    /// The host that last heard something of a stranger, and when.
    forged: Option<(usize, Instant)>,
}

/// The newest note of a spot that a host has heard.
#[derive(Clone, Copy, Debug)]
struct Known {
    stamp: Stamp,
    /// Until when it holds.
    until: Instant,
    /// Over which connection it came first.
    by: u64,
    /// Whether it came from somebody else than its author.
    is_relayed: bool,
    /// Whether it takes back what was shown before.
    is_gone: bool,
}

impl Watched {
    /// Somebody says something new; gives what.
    pub(super) fn says(&mut self, author: ReplicaId, slot: &Slot) -> Bytes {
        self.count += 1;
        let payload = Bytes::from(format!("word {}", self.count));
        let slot = slot.clone();
        let said = self.said.entry(Spot { slot, author }).or_default();
        said.push(payload.clone());
        payload
    }

    /// What a host knew of a spot may come again, and be told by it again.
    fn forget(&mut self, host: usize, spot: &Spot) {
        let place = (host, spot.clone());
        // What was taken back is remembered.
        if self.heard.get(&place).is_some_and(|it| !it.is_gone) {
            self.heard.remove(&place);
        }
        *self.forgotten.entry(place).or_default() += 1;
    }

    /// A host starts anew.
    fn restart(&mut self, host: usize) {
        self.shown.retain(|at, _| at.0 != host);
        self.heard.retain(|at, _| at.0 != host);
        self.carried.retain(|it, _| it.0 != host && it.1 != host);
        self.forgotten.retain(|at, _| at.0 != host);
    }
}

/// The connection that two ends belong to: they are numbered one after the other.
const fn connection(link: LinkId) -> u64 {
    link.0.div_ceil(2)
}

impl Oracle {
    /// Takes in what happened, as far as it is about presence.
    pub(in crate::sim) fn observe_presence(
        &mut self,
        world: &World,
        fact: &Fact,
        classes: &mut Classes,
    ) -> Verdict {
        match &fact.what {
            What::Heard { from, heard } => {
                self.presences.forged = None;
                let Heard::Presence(link, presence) = heard else {
                    return Ok(());
                };
                if *from >= stranger::FIRST {
                    self.presences.forged = Some((fact.host, fact.at));
                    return Ok(());
                }
                self.hears_of(world, (*from, fact.host), (*link, fact.at), presence)
            }
            What::Present(shown) => self.is_shown(world, fact, shown, classes),
            What::Closed => {
                if self.presences.forged.take() == Some((fact.host, fact.at)) {
                    classes.reach(Class::ForgedPresenceRefused);
                }
                Ok(())
            }
            What::Started | What::Crashed { .. } => {
                self.presences.restart(fact.host);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn hears_of(
        &mut self,
        world: &World,
        (from, to): (usize, usize),
        (link, at): (LinkId, Instant),
        presence: &Presence,
    ) -> Verdict {
        let Presence { spot, word } = presence;
        let Word::Said {
            hops,
            left_millis,
            note,
        } = word
        else {
            self.presences.forget(from, spot);
            self.presences.forget(to, spot);
            return Ok(());
        };
        let own = world.host(to).ok().and_then(Host::replica_id);
        if own == Some(spot.author) {
            let text = format!("host {from} tells {to} what that has said itself");
            return self.fail("presence is not sent back", text);
        }
        let by = connection(link);
        self.is_carried_once((from, to), by, (spot, note))?;
        let place = (to, spot.clone());
        let left = std::time::Duration::from_millis((*left_millis).into());
        let new = Known {
            stamp: note.stamp,
            until: at + left,
            by,
            is_relayed: *hops > 0,
            is_gone: note.is_gone(),
        };
        let is_shown = self.presences.shown.contains_key(&place);
        match self.presences.heard.get_mut(&place) {
            // Of two ways the longer one may have been heard of.
            Some(known) if known.stamp == note.stamp => known.until = known.until.max(new.until),
            Some(known) if known.stamp > note.stamp && is_shown => {}
            Some(_) | None => {
                self.presences.heard.insert(place, new);
            }
        }
        Ok(())
    }

    /// No connection carries a note twice, or back to where it came from first.
    fn is_carried_once(
        &mut self,
        (from, to): (usize, usize),
        by: u64,
        (spot, note): (&Spot, &Note),
    ) -> Verdict {
        let place = (from, spot.clone());
        let forgotten = self.presences.forgotten.get(&place).copied();
        let carried = (from, to, by, spot.clone(), note.stamp);
        let times = self.presences.carried.entry(carried).or_default();
        *times += 1;
        if *times > 1 + forgotten.unwrap_or(0) {
            let text = format!("host {from} tells {to} twice of {}", spot.author.short());
            return self.fail("a link carries a presence once", text);
        }
        let first = self.presences.heard.get(&place);
        // What was sent before it was forgotten may arrive after it was heard again.
        let first = first.filter(|_| forgotten.is_none());
        if first.is_some_and(|it| it.stamp == note.stamp && it.by == by) {
            let text = format!("host {from} had it from {to}: {}", spot.author.short());
            return self.fail("presence is not sent back", text);
        }
        Ok(())
    }

    /// An application is told what somebody shows, or that it is gone.
    fn is_shown(
        &mut self,
        world: &World,
        fact: &Fact,
        shown: &Shown,
        classes: &mut Classes,
    ) -> Verdict {
        let Shown { spot, payload } = shown;
        let host = fact.host;
        let place = (host, spot.clone());
        let known = self.presences.heard.get(&place).copied();
        let Some(payload) = payload else {
            let was_due = known.is_some_and(|it| it.until <= fact.at);
            classes.reach(if was_due {
                Class::PresenceExpired
            } else {
                Class::PresenceGone
            });
            self.presences.forget(host, spot);
            return match self.presences.shown.remove(&place) {
                Some(_) => Ok(()),
                None => self.fail("only who was there is gone", format!("on host {host}")),
            };
        };
        let mut authors = (0..world.len()).filter_map(|it| world.host(it).ok()?.replica_id());
        if !authors.any(|it| it == spot.author) {
            // A stranger, who may say what it likes of itself.
            self.presences.shown.insert(place, payload.clone());
            return Ok(());
        }
        let Some(number) = self.number_of(spot, payload) else {
            let text = format!("host {host} sees what {} never said", spot.author.short());
            return self.fail("a presence is its author's", text);
        };
        let Some(known) = known.filter(|it| it.until > fact.at) else {
            let text = format!("host {host} sees what it has not heard, or what is over");
            return self.fail("a presence is heard before it is seen", text);
        };
        classes.reach(Class::PresenceShown);
        if known.is_relayed {
            classes.reach(Class::PresenceRelayed);
        }
        let before = self.presences.shown.insert(place, payload.clone());
        if before.is_some_and(|it| self.number_of(spot, &it) >= Some(number)) {
            let text = format!("host {host} is told again of word {number}");
            return self.fail("a presence is told once", text);
        }
        Ok(())
    }

    /// The place of a word among all that its author has said there.
    fn number_of(&self, spot: &Spot, payload: &Bytes) -> Option<usize> {
        let said = self.presences.said.get(spot)?;
        said.iter().position(|it| it == payload)
    }

    /// Nothing is seen on hosts that are up that holds no longer.
    pub(in crate::sim) fn presences_hold(&self, world: &World) -> Verdict {
        let now = world.now().instant;
        for (host, spot) in self.presences.shown.keys() {
            let known = self.presences.heard.get(&(*host, spot.clone()));
            let is_over = known.is_some_and(|it| it.until < now);
            if is_over && world.host(*host).is_ok_and(Host::is_up) {
                let text = format!("host {host} still sees {}", spot.author.short());
                return self.fail("a presence ends", text);
            }
        }
        Ok(())
    }

    /// A host sees nobody: all have taken back what they showed, or are gone.
    pub(super) fn sees_nobody(&self, host: usize) -> Verdict {
        let mut seen = self.presences.shown.keys().filter(|it| it.0 == host);
        match seen.next() {
            None => Ok(()),
            Some((_, spot)) => {
                let text = format!("host {host} still sees {}", spot.author.short());
                self.fail("who is gone is not seen", text)
            }
        }
    }

    /// A host sees the last word of an author.
    pub(super) fn sees(&self, host: usize, author: ReplicaId, slot: &Slot) -> Verdict {
        let slot = slot.clone();
        let spot = Spot { slot, author };
        let last = self.presences.said.get(&spot).and_then(|it| it.last());
        let seen = self.presences.shown.get(&(host, spot));
        if seen == last {
            return Ok(());
        }
        let text = format!(
            "host {host} sees {seen:?} of {}, not {last:?}",
            author.short()
        );
        self.fail("all see who is there", text)
    }
}

//! Presence on simulated hosts, as on a node: shown, taken back, heard of.

mod held;
mod watch;

use std::time::Duration;

use bytes::Bytes;

use super::oracle::Verdict;
use super::perform::key;
use super::run::Run;
use super::scenario::Scenario;
use super::step::Step;
use super::world::World;
use crate::engine::Event;
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ReplicaId, SpaceId};
use crate::wire::{Place, Slot};

pub(super) use held::Held;
pub(super) use watch::Watched;

/// What people show something about in made up runs: the space, and some records.
const SLOTS: u64 = 3;

/// Longest that a presence holds in made up runs; at the end they have all expired before it is settled.
const LASTING_MILLIS_MAX: u64 = 20_000;

/// How many hosts say a last word at the end.
const LAST_WORDS: usize = 3;

/// How long a last word may take to be everywhere.
const LAST_WORD_WITHIN: Duration = Duration::from_secs(5);

impl World {
    /// Has a host show something for so long, or take back what it shows. What others see of it is told
    /// by [`What::Present`](super::What::Present).
    ///
    /// # Errors
    /// While the host is down.
    pub fn show(
        &mut self,
        host: usize,
        slot: Slot,
        shown: Option<(Bytes, Duration)>,
    ) -> Result<()> {
        if !self.host(host)?.is_up() {
            return Err(Error::new(ErrorKind::Closed, "the host is down"));
        }
        self.tell(host, Event::Show(slot, shown));
        Ok(())
    }
}

/// Where somebody is in a space as such.
pub(super) fn slot_in(space: SpaceId) -> Slot {
    Slot { space, ..slot(0) }
}

fn slot(number: u64) -> Slot {
    let place = match usize::try_from(number) {
        Ok(0) | Err(_) => Place::Space,
        Ok(record) => {
            let key = key(record - 1);
            Place::Record(key.collection, key.record)
        }
    };
    #[expect(clippy::expect_used, reason = "the name is a constant")]
    let topic = "cursor".parse().expect("a valid topic");
    Slot {
        space: World::space(),
        place,
        topic,
    }
}

/// Has people show something in between the other steps of a scenario.
pub(super) fn mix(scenario: &mut Scenario, entropy: &mut Entropy) {
    let steps = std::mem::take(&mut scenario.steps);
    let hosts = u64::try_from(scenario.hosts).unwrap_or(1);
    for step in steps {
        scenario.steps.push(step);
        if entropy.below(7) > 0 {
            continue;
        }
        let host = usize::try_from(entropy.below(hosts)).unwrap_or(0);
        let slot = entropy.below(SLOTS);
        scenario.steps.push(match entropy.below(4) {
            0 => Step::TakeBack { host, slot },
            _ => Step::Show {
                host,
                slot,
                millis: 2_000 + entropy.below(LASTING_MILLIS_MAX - 2_000),
            },
        });
    }
}

impl Run<'_> {
    /// Shows what a step says, or takes it back.
    pub(super) fn appear(&mut self, step: &Step) -> Verdict {
        match step {
            Step::Show { host, slot, millis } => {
                self.say(*host, *slot, Duration::from_millis(*millis));
            }
            Step::TakeBack { host, slot: number } => {
                // A host that is down shows nothing.
                drop(self.world.show(*host, slot(*number), None));
            }
            _ => {}
        }
        self.observe()
    }

    fn say(&mut self, host: usize, number: u64, lasting: Duration) {
        let slot = slot(number);
        let Some(author) = self.author(host) else {
            return;
        };
        let payload = self.oracle.presences.says(author, &slot);
        drop(self.world.show(host, slot, Some((payload, lasting))));
    }

    fn author(&self, host: usize) -> Option<ReplicaId> {
        self.world.host(host).ok()?.replica_id()
    }

    /// All take back what they show, so that the network comes to rest.
    pub(super) fn all_take_back(&mut self) -> Verdict {
        for host in 0..self.scenario.hosts {
            for number in 0..SLOTS {
                drop(self.world.show(host, slot(number), None));
            }
        }
        self.observe()
    }

    /// Nobody who is gone is shown, and who shows something now is seen by all.
    pub(super) fn all_see_each_other(&mut self, live: &[usize]) -> Verdict {
        for host in live {
            self.oracle.sees_nobody(*host)?;
        }
        let speakers: Vec<_> = live.iter().copied().take(LAST_WORDS).collect();
        for host in &speakers {
            self.say(*host, 0, Duration::from_secs(30));
        }
        self.advance(LAST_WORD_WITHIN)?;
        for host in &speakers {
            let Some(author) = self.author(*host) else {
                continue;
            };
            for other in live.iter().filter(|it| *it != host) {
                self.oracle.sees(*other, author, &slot(0))?;
            }
        }
        Ok(())
    }
}

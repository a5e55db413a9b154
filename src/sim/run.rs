//! Performing a scenario under the oracle.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::blobs;
use super::class::{Class, Classes};
use super::counters::Counters;
use super::fact::What;
use super::oracle::{Failure, Oracle, Verdict};
use super::perform::COLLECTIONS;
use super::rules;
use super::scenario::Scenario;
use super::storage::Storage;
use super::trace::Trace;
use super::world::World;
use crate::engine::{BlobSettings, Config};
use crate::error::Result;
use crate::peer::BreakerState;
use crate::replica::Reason;
use crate::store::Durability;
use crate::telemetry::names;
use crate::time::Instant;

/// Events at one instant after which a run is taken to hang.
const EVENTS_AT_ONCE_MAX: usize = 100_000;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was run.
    pub scenario: Scenario,
    /// What a check found, if one did.
    pub failure: Option<Failure>,
    /// What was reached.
    pub classes: Classes,
    /// What happened; its lines are empty unless they were asked for.
    pub trace: Trace,
    /// How much virtual time passed.
    pub lasted: Duration,
    /// Frames and bytes that were sent.
    pub traffic: super::Traffic,
}

/// Performs a scenario; with `lines` the trace can be shown afterwards.
///
/// A panic in the library is a failure like any other.
pub fn run(scenario: &Scenario, lines: bool) -> Report {
    let counters = Counters::default();
    let mut trace = Trace::new(lines);
    let mut classes = Classes::default();
    let mut lasted = Duration::ZERO;
    let mut traffic = super::Traffic::default();
    let outcome = metrics::with_local_recorder(&counters, || {
        catch_unwind(AssertUnwindSafe(|| {
            let mut run = match Run::start(scenario, &mut trace, &mut classes) {
                Ok(run) => run,
                Err(error) => return Err(setup(&error)),
            };
            let verdict = run.perform_all();
            lasted = run.world.now().instant.since(Instant::default());
            traffic = *run.world.traffic();
            verdict
        }))
    });
    let mut failure = match outcome {
        Ok(verdict) => verdict.err(),
        Err(payload) => Some(Failure {
            check: "no panic",
            detail: message(payload.as_ref()),
            step: scenario.steps.len(),
        }),
    };
    let loaded = counters.get(names::REPLICATION_MATERIALISED);
    let unfolded = counters.get(names::GRAPHS_UNFOLDED);
    if failure.is_none() && loaded > unfolded {
        failure = Some(Failure {
            check: "replication loads no document",
            detail: format!("{loaded} documents were loaded to unfold {unfolded} graphs"),
            step: scenario.steps.len(),
        });
    }
    classes.add(Class::Unfolded, unfolded);
    let apart = counters.get(names::GRAPHS_UNFOLDED_APART);
    classes.add(Class::UnfoldedApart, apart);
    classes.add(Class::Duplicate, counters.get(names::DUPLICATE_CHANGES));
    classes.add(Class::Redialled, counters.get(names::RECONNECTS));
    classes.add(Class::Violation, counters.get(names::VIOLATIONS));
    classes.add(Class::BlobCollected, counters.get(names::BLOBS_COLLECTED));
    Report {
        scenario: scenario.clone(),
        failure,
        classes,
        trace,
        lasted,
        traffic,
    }
}

fn setup(error: &crate::Error) -> Failure {
    Failure {
        check: "a new cluster starts",
        detail: format!("{error:#}"),
        step: 0,
    }
}

fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

/// A scenario while it runs.
pub(super) struct Run<'a> {
    pub scenario: &'a Scenario,
    pub world: World,
    pub oracle: Oracle,
    pub classes: &'a mut Classes,
    pub trace: &'a mut Trace,
    pub backups: BTreeMap<usize, Vec<u8>>,
    /// Since when a link leads nowhere in silence, or one direction of it.
    pub silent_since: Option<Instant>,
    /// Events since time last moved.
    at_once: usize,
    quarantined: BTreeMap<usize, u64>,
    pub offline: BTreeSet<usize>,
    /// Hosts that lost power and are not back.
    dark: BTreeSet<usize>,
}

impl<'a> Run<'a> {
    fn start(
        scenario: &'a Scenario,
        trace: &'a mut Trace,
        classes: &'a mut Classes,
    ) -> Result<Self> {
        let mut world = World::empty(scenario.seed);
        world.record_facts();
        for host in 0..scenario.hosts {
            let storage = if scenario.disks {
                Storage::disk()
            } else {
                Storage::memory()
            };
            let config = Config {
                projects: host > 0 || !scenario.relay,
                durability: if scenario.relaxed {
                    Durability::Relaxed
                } else {
                    Durability::Immediate
                },
                horizon: Duration::from_millis(scenario.horizon_millis),
                blobs: BlobSettings {
                    rule: blobs::rule(scenario.seed, host),
                    grace: blobs::GRACE,
                    ..BlobSettings::default()
                },
                ..World::config()
            };
            world.add_host(storage, config)?;
            if scenario.ruled {
                world.install(host, rules::program(host, &COLLECTIONS)?)?;
            }
        }
        for (from, to) in scenario.dials() {
            world.connect(from, to);
        }
        let oracle = Oracle::new(scenario.relaxed);
        Ok(Self {
            scenario,
            world,
            oracle,
            classes,
            trace,
            backups: BTreeMap::new(),
            silent_since: None,
            at_once: 0,
            quarantined: BTreeMap::new(),
            offline: BTreeSet::new(),
            dark: BTreeSet::new(),
        })
    }

    fn perform_all(&mut self) -> Verdict {
        self.observe()?;
        for (number, step) in self.scenario.steps.iter().enumerate() {
            self.oracle.step = number;
            self.trace.step(self.world.now().instant, number, step);
            self.perform(step)?;
            self.observe()?;
            self.look_at_blobs()?;
            self.oracle.presences_hold(&self.world)?;
            self.world.forget_outcomes();
        }
        self.oracle.step = self.scenario.steps.len();
        self.finish()
    }

    /// Looks at the attachments of all hosts.
    fn look_at_blobs(&mut self) -> Verdict {
        let hosts = 0..if self.scenario.attaches {
            self.scenario.hosts
        } else {
            0
        };
        for host in hosts {
            self.oracle.look_at_blobs(&self.world, host, self.classes)?;
        }
        Ok(())
    }

    /// Lets virtual time pass.
    pub(super) fn advance(&mut self, span: Duration) -> Verdict {
        let end = self.world.now().instant + span;
        while self.world.next_at().is_some_and(|at| at <= end) && self.step()? {
            self.observe()?;
        }
        self.world.run(end.since(self.world.now().instant));
        self.observe()
    }

    /// Lets time pass until all is at rest; says whether that came about within ten minutes.
    pub(super) fn settle(&mut self) -> std::result::Result<bool, Failure> {
        let end = self.world.now().instant + Duration::from_secs(600);
        while !self.world.is_at_rest() {
            if self.world.now().instant >= end || !self.step()? {
                return Ok(false);
            }
            self.observe()?;
        }
        Ok(true)
    }

    /// Lets the next thing happen; a cluster that is busy for ever at one instant hangs.
    fn step(&mut self) -> std::result::Result<bool, Failure> {
        let before = self.world.now().instant;
        let stepped = self.world.step();
        self.at_once = if self.world.now().instant > before {
            0
        } else {
            self.at_once + 1
        };
        if self.at_once > EVENTS_AT_ONCE_MAX {
            let text = format!("{EVENTS_AT_ONCE_MAX} events at one instant");
            return self.oracle.fail("time moves on", text);
        }
        Ok(stepped)
    }

    /// Shows the oracle what happened since it last looked.
    pub(super) fn observe(&mut self) -> Verdict {
        for fact in self.world.take_facts() {
            self.trace.fact(&fact);
            self.count(fact.host, &fact.what, fact.at);
            self.oracle.observe(&self.world, &fact, self.classes)?;
            self.oracle
                .observe_blobs(&self.world, &fact, self.classes)?;
            self.oracle
                .observe_presence(&self.world, &fact, self.classes)?;
            match &fact.what {
                What::Started => {
                    let before = self.world.before_crash.remove(&fact.host);
                    let before = before.unwrap_or_default();
                    if self.world.host(fact.host).is_ok_and(super::Host::is_up) {
                        self.oracle.back(&self.world, fact.host, &before)?;
                    }
                }
                What::Heard { .. } => self.look_into_quarantine(fact.host)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn count(&mut self, host: usize, what: &What, at: Instant) {
        match what {
            What::Started => {
                self.dark.remove(&host);
            }
            What::Crashed { power: true, .. } if !self.dark.insert(host) => {
                self.classes.reach(Class::PowerCutInRecovery);
            }
            What::Crashed { power: false, .. } => self.classes.reach(Class::Killed),
            What::Crashed {
                unsynced_bytes: 0, ..
            } => self.classes.reach(Class::PowerCut),
            What::Crashed { .. } => self.classes.reach(Class::PowerCutUnsynced),
            What::Dialled { to } if self.tries_breaker(host, *to) => {
                self.classes.reach(Class::BreakerTried);
            }
            What::Closed => {
                let idle = crate::limits::IDLE_TIMEOUT;
                if self.silent_since.is_some_and(|since| at >= since + idle) {
                    self.silent_since = None;
                    self.classes.reach(Class::IdleTimeout);
                }
            }
            _ => {}
        }
    }

    /// Whether a host's breaker towards another was open and lets one attempt through.
    fn tries_breaker(&self, host: usize, to: usize) -> bool {
        let engine = self.world.host(host).ok().and_then(super::Host::engine);
        let peers = engine.map(|it| it.status(self.world.now()).peers);
        let address = super::network::address(to);
        let mut peers = peers.into_iter().flatten();
        peers.any(|it| it.address == address && it.breaker == BreakerState::HalfOpen)
    }

    /// Counts what went into quarantine, by kind. Among honest hosts only waiting is allowed.
    fn look_into_quarantine(&mut self, host: usize) -> Verdict {
        let Some(engine) = self.world.host(host).ok().and_then(super::Host::engine) else {
            return Ok(());
        };
        let entries = engine.replica().quarantine_size().entries;
        let before = self.quarantined.insert(host, entries).unwrap_or(0);
        if entries < before {
            self.classes.reach(Class::Released);
        }
        if entries <= before {
            return Ok(());
        }
        let held = match engine.replica().quarantined(64) {
            Ok(held) => held,
            Err(error) if self.oracle.troubled.contains(&host) => {
                drop(error);
                return Ok(());
            }
            Err(error) => return self.oracle.fail("readable", format!("{error:#}")),
        };
        for entry in held {
            if matches!(entry.reason, Reason::Waiting { .. }) {
                self.classes.reach(Class::Waited);
                continue;
            }
            if matches!(entry.reason, Reason::Breach(_)) && self.scenario.ruled {
                self.classes.reach(Class::Breached);
                continue;
            }
            self.classes.reach(Class::Refused);
            if !self.oracle.strangers {
                let text = format!(
                    "host {host} refuses {}: {}",
                    entry.hash.short(),
                    entry.reason
                );
                return self.oracle.fail("honest changes are admitted", text);
            }
            if matches!(entry.reason, Reason::Poisoned(_)) {
                let text = format!("{} on host {host}: {}", entry.key, entry.reason);
                return self.oracle.fail("no record becomes unloadable", text);
            }
        }
        Ok(())
    }
}

impl Run<'_> {
    /// A host that can work.
    pub(super) fn works(&self, host: usize) -> bool {
        let engine = self.world.host(host).ok().and_then(super::Host::engine);
        engine.is_some_and(|it| !it.replica().has_failed())
    }

    /// Shares a store's handle for reading.
    pub(super) fn store(&self, host: usize) -> Option<Arc<dyn crate::store::Store>> {
        self.world.store(host).ok().map(Arc::clone)
    }
}

//! What must hold while a scenario runs: what was acknowledged, delivered and asked for, by whom.

use std::collections::{BTreeMap, BTreeSet};

use super::blobs::Watched;
use super::class::{Class, Classes};
use super::fact::{Fact, What};
use super::presences;
use super::world::World;
use crate::engine::Ticket;
use crate::error::{ErrorKind, Result};
use crate::id::{ActorId, ChangeHash, Heads, Lsn, RecordKey, StoreId};
use crate::limits;
use crate::reconcile::Inventory as _;
use crate::replica::{Rows, Write};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which check.
    pub check: &'static str,
    /// What it found.
    pub detail: String,
    /// Where the run was: the number of the step, or of steps if all were done.
    pub step: usize,
}

pub(super) type Verdict = std::result::Result<(), Failure>;

/// What an edit does to its record as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Edit,
    Delete,
    Restore,
}

/// What became of a write, as its writer heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing was said: it is there as a whole or not at all.
    Unknown,
    /// It is durable.
    Acked,
    /// It must not be there.
    Refused,
    /// It was durable in stores that are gone.
    Lost,
}

/// A change that a host of the scenario wrote.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub key: RecordKey,
    pub host: usize,
    pub store: StoreId,
    pub kind: Kind,
    pub fate: Fate,
}

/// What is known of a run so far.
#[expect(
    clippy::struct_excessive_bools,
    reason = "what excuses a check, in any combination"
)]
#[derive(Debug, Default)]
pub(super) struct Oracle {
    pub written: BTreeMap<ChangeHash, Written>,
    /// Transactions: the changes of each, which are there together or not at all.
    pub transactions: Vec<(usize, StoreId, Vec<ChangeHash>)>,
    captures: BTreeMap<(usize, Ticket), Vec<ChangeHash>>,
    waits: BTreeMap<(usize, Ticket), (RecordKey, Heads, usize)>,
    /// What was imported, and not yet answered.
    pub imports: BTreeMap<(usize, Ticket), (RecordKey, Vec<ChangeHash>)>,
    /// From whom a host first had a change in this life of its process.
    pub first_from: BTreeMap<(usize, ChangeHash), usize>,
    /// Whom a host just heard of a change for the first time.
    pub just_heard: BTreeSet<(usize, ChangeHash)>,
    /// What a host had heard in earlier lives, or held back: it may have waited in quarantine since,
    /// under the name of who brought it then, or have come in otherwise.
    pub heard_before: BTreeSet<(usize, ChangeHash)>,
    /// Of how many changes the view is that a host last showed of a record.
    shown: BTreeMap<(usize, RecordKey), u32>,
    /// Subscriptions differ or differed: nobody holds everything.
    pub partial: bool,
    /// Stores are gone, or were set back: what they held counts as delivered to them.
    pub lives_ended: bool,
    /// A write counts as done before it is on disk.
    pub relaxed: bool,
    /// Strangers were there: what they wrote is nobody's.
    pub strangers: bool,
    /// Hosts whose disk could not be read once: what they can't do is not held against them.
    pub troubled: BTreeSet<usize>,
    /// What is known of attachments.
    pub blobs: Watched,
    /// What is known of presence.
    pub presences: presences::Watched,
    pub step: usize,
}

impl Oracle {
    pub(super) fn new(relaxed: bool) -> Self {
        Self {
            relaxed,
            ..Self::default()
        }
    }

    pub(super) fn fail<T>(
        &self,
        check: &'static str,
        detail: impl Into<String>,
    ) -> std::result::Result<T, Failure> {
        let (detail, step) = (detail.into(), self.step);
        Err(Failure {
            check,
            detail,
            step,
        })
    }

    /// What a read of a store gave, or that it failed where nothing was wrong with the disk.
    pub(super) fn read<T>(&self, result: Result<T>) -> std::result::Result<T, Failure> {
        result.or_else(|error| self.fail("readable", format!("{error:#}")))
    }

    /// A host was given changes to commit.
    pub(super) fn wrote(
        &mut self,
        (host, store): (usize, StoreId),
        ticket: Ticket,
        writes: &[(Write, Kind)],
    ) {
        let hashes: Vec<_> = writes.iter().map(|(it, _)| it.change.hash()).collect();
        for (write, kind) in writes {
            let written = Written {
                key: write.key.clone(),
                host,
                store,
                kind: *kind,
                fate: Fate::Unknown,
            };
            self.written.entry(write.change.hash()).or_insert(written);
        }
        if hashes.len() > 1 {
            self.transactions.push((host, store, hashes.clone()));
        }
        self.captures.insert((host, ticket), hashes);
    }

    /// Changes are given to a host by hand: from then on they are its own to pass on.
    pub(super) fn brought(&mut self, host: usize, hashes: &[ChangeHash]) {
        self.heard_before
            .extend(hashes.iter().map(|it| (host, *it)));
    }

    pub(super) fn waits(&mut self, host: usize, ticket: Ticket, wait: (RecordKey, Heads, usize)) {
        self.waits.insert((host, ticket), wait);
    }

    /// Takes in what happened.
    pub(super) fn observe(&mut self, world: &World, fact: &Fact, classes: &mut Classes) -> Verdict {
        match &fact.what {
            What::Captured(ticket, result) => {
                self.captured((fact.host, *ticket), *result, classes);
                Ok(())
            }
            What::Imported(ticket, Ok(new)) => {
                classes.add(Class::Imported, *new);
                self.imported(world, (fact.host, *ticket))
            }
            What::Delivered(ticket, Ok(())) => {
                classes.reach(Class::Delivered);
                self.delivered(world, (fact.host, *ticket))
            }
            What::Heard { from, heard } => self.heard(world, (*from, fact.host), heard, classes),
            What::HeldBack => {
                self.held_back();
                Ok(())
            }
            What::Sent { .. } => {
                let found = world.in_flight_max();
                if found >= limits::LINK_OUTBOX_BYTES_MAX {
                    let text = format!("{found} bytes waited on a link when more were sent");
                    return self.fail("memory is bounded", text);
                }
                Ok(())
            }
            What::Folded(_) => {
                classes.reach(Class::Folded);
                Ok(())
            }
            What::Compacted(records) => {
                classes.add(Class::Compacted, *records);
                Ok(())
            }
            What::Unfolded(_) => {
                classes.reach(Class::SnapshotSent);
                Ok(())
            }
            What::Shown(key) => self.view_went_forward(world, fact.host, key),
            What::Started => {
                self.shown.retain(|(host, _), _| *host != fact.host);
                let heard = std::mem::take(&mut self.first_from).into_iter();
                let (before, rest): (BTreeMap<_, _>, _) = heard.partition(|it| it.0.0 == fact.host);
                self.first_from = rest;
                self.heard_before.extend(before.into_keys());
                Ok(())
            }
            What::NotStarted(error) if !self.troubled.contains(&fact.host) => {
                let text = format!("host {} does not start again: {error}", fact.host);
                self.fail("a store opens after any crash", text)
            }
            _ => Ok(()),
        }
    }

    /// A view that changed shows at least as many changes as the one before.
    fn view_went_forward(&mut self, world: &World, host: usize, key: &RecordKey) -> Verdict {
        let Ok(Some(changes)) = view_changes(world, host, key) else {
            return Ok(());
        };
        let before = self.shown.insert((host, key.clone()), changes).unwrap_or(0);
        if changes < before {
            let text = format!("host {host} shows {changes} changes of {key} after {before}");
            return self.fail("views never go back", text);
        }
        Ok(())
    }

    /// What was imported is there.
    fn imported(&mut self, world: &World, at: (usize, Ticket)) -> Verdict {
        let Some((key, hashes)) = self.imports.remove(&at) else {
            return Ok(());
        };
        let hashes = hashes.iter().filter(|_| !self.troubled.contains(&at.0));
        for hash in hashes {
            if !self.read(holds(world, at.0, &key, hash))? {
                let text = format!("host {} lacks {} of {key}", at.0, hash.short());
                return self.fail("imported is present", text);
            }
        }
        Ok(())
    }

    fn captured(
        &mut self,
        at: (usize, Ticket),
        result: std::result::Result<(), ErrorKind>,
        classes: &mut Classes,
    ) {
        let Some(hashes) = self.captures.remove(&at) else {
            return;
        };
        let fate = match result {
            Ok(()) => Fate::Acked,
            Err(ErrorKind::Conflict | ErrorKind::AlreadyExists) => Fate::Refused,
            Err(_) => Fate::Unknown,
        };
        let several = hashes.len() > 1;
        match fate {
            Fate::Acked if several => classes.reach(Class::Transaction),
            Fate::Refused if several => classes.reach(Class::TransactionRefused),
            Fate::Unknown => classes.reach(Class::FailedWrite),
            Fate::Acked | Fate::Refused | Fate::Lost => {}
        }
        if fate == Fate::Acked {
            classes.reach(Class::AckedWrite);
        }
        if result == Err(ErrorKind::DiskFull) {
            classes.reach(Class::DiskFull);
        }
        for hash in hashes {
            if let Some(written) = self.written.get_mut(&hash) {
                written.fate = fate;
            }
        }
    }

    /// A caller was told that so many others hold a record.
    fn delivered(&mut self, world: &World, at: (usize, Ticket)) -> Verdict {
        let Some((key, heads, stores)) = self.waits.remove(&at) else {
            return Ok(());
        };
        // Those that are down can't be asked.
        // Of what a stranger has forged in the name of another host, that host counts as having it.
        let honest = |hash: &&ChangeHash| self.written.contains_key(*hash);
        let honest: Vec<_> = heads.as_slice().iter().filter(honest).collect();
        let holds = |host: &usize| {
            let held = |hash: &&ChangeHash| holds(world, *host, &key, hash).unwrap_or(true);
            *host != at.0 && honest.iter().all(held)
        };
        let held = (0..world.len()).filter(holds).count();
        if held < stores && !self.lives_ended && !self.partial {
            let text = format!(
                "host {} heard that {stores} others hold {}, but {held} do",
                at.0, key.record
            );
            return self.fail("delivered is held", text);
        }
        Ok(())
    }

    /// A host is up again: what it had shown is there, and what others believe it holds, too.
    pub(super) fn back(
        &mut self,
        world: &World,
        host: usize,
        before: &BTreeMap<RecordKey, Heads>,
    ) -> Verdict {
        if self.troubled.contains(&host) {
            return Ok(());
        }
        for (key, heads) in before {
            for hash in heads.as_slice() {
                let there = self.read(holds(world, host, key, hash))?;
                // What was not durable may be gone, unless others have it from here.
                let is_ours = self.written.get(hash).is_some_and(|it| it.host == host);
                let told = is_ours && is_elsewhere(world, host, key, hash);
                let excused = self.relaxed && !told;
                if !there && !excused {
                    let text = format!("host {host} lost {} of {key}", hash.short());
                    return self.fail("durable is kept", text);
                }
            }
        }
        if self.relaxed {
            self.forget_lost(world, None);
        }
        self.ledgers_are_true(world, host)
    }

    /// A host's store is about to be gone or set back: what only it holds is lost.
    pub(super) fn ends_life(&mut self, world: &World, host: usize) {
        self.lives_ended = true;
        self.blobs.ends_life(host);
        self.forget_lost(world, Some(host));
    }

    /// Marks as lost what no store holds any more, that of `leaving` left aside.
    fn forget_lost(&mut self, world: &World, leaving: Option<usize>) {
        let hosts: Vec<_> = (0..world.len())
            .filter(|it| Some(*it) != leaving && !world.is_dead(*it))
            .collect();
        for (hash, written) in &mut self.written {
            let held = |host: &usize| holds(world, *host, &written.key, hash).unwrap_or(false);
            if written.fate == Fate::Acked && !hosts.iter().any(held) {
                written.fate = Fate::Lost;
            }
        }
    }

    /// What others have down as acknowledged by this host is there.
    pub(super) fn ledgers_are_true(&self, world: &World, host: usize) -> Verdict {
        let can_be_asked = |it: &usize| {
            world.host(*it).is_ok_and(super::Host::is_up) && !self.troubled.contains(it)
        };
        if self.partial || !can_be_asked(&host) {
            return Ok(());
        }
        let Ok(target) = world.host(host) else {
            return Ok(());
        };
        let store = target.store_id();
        let others = (0..world.len()).filter(|it| *it != host);
        for other in others.filter(can_be_asked) {
            let Some(engine) = world.host(other).ok().and_then(super::Host::engine) else {
                continue;
            };
            let space = World::space();
            let cursor = self.read(engine.replica().cursor(store, space))?;
            let status = engine.status(world.now());
            let links = status.links.iter();
            let linked = links.filter(|it| it.peer.is_some_and(|(_, it)| it == store));
            let live = linked.flat_map(|it| it.spaces.iter().map(|(it, _)| it.acked));
            let acked = cursor.map(|it| it.acked).into_iter().chain(live).max();
            let acked = acked.unwrap_or(Lsn(0));
            let mut entries = Vec::new();
            let scanned = engine.replica().log(space, Lsn(0), &mut |entry| {
                if entry.lsn > acked {
                    return std::ops::ControlFlow::Break(());
                }
                // What a stranger forged in its name is taken for its own until roots are compared.
                let own = ActorId::of(store, &entry.key) == entry.actor;
                if !(self.strangers && own) {
                    entries.push((entry.key, entry.bytes));
                }
                std::ops::ControlFlow::Continue(())
            });
            self.read(scanned)?;
            for (key, bytes) in entries {
                let Ok(change) = crate::doc::Change::verify(bytes) else {
                    continue;
                };
                if !self.read(holds(world, host, &key, &change.hash()))? {
                    let text = format!(
                        "host {other} believes that {host} holds {} of {}",
                        change.hash().short(),
                        key.record
                    );
                    return self.fail("ledgers are true", text);
                }
            }
        }
        Ok(())
    }
}

/// Whether a host has a change: applied, or in quarantine.
///
/// # Errors
/// While it is down, or its store can't be read.
pub(super) fn holds(
    world: &World,
    host: usize,
    key: &RecordKey,
    hash: &ChangeHash,
) -> Result<bool> {
    let down = || crate::Error::new(ErrorKind::Closed, "the host is down");
    let engine = world.host(host)?.engine().ok_or_else(down)?;
    if engine.replica().holds(key, hash)? {
        return Ok(true);
    }
    let held = engine.replica().quarantined(usize::MAX)?;
    Ok(held.iter().any(|it| it.key == *key && it.hash == *hash))
}

/// Of how many changes a host's view of a record is; none without a view.
fn view_changes(world: &World, host: usize, key: &RecordKey) -> Result<Option<u32>> {
    let snapshot = world.store(host)?.snapshot()?;
    let rows = Rows::new(snapshot.as_ref());
    let Some(slot) = rows.slot(key)? else {
        return Ok(None);
    };
    Ok(rows.view(slot)?.map(|it| it.changes))
}

/// Whether another host has a change.
fn is_elsewhere(world: &World, host: usize, key: &RecordKey, hash: &ChangeHash) -> bool {
    let mut others = (0..world.len()).filter(|it| *it != host);
    others.any(|it| holds(world, it, key, hash).unwrap_or(false))
}

//! What each step of a scenario does to the cluster.

use std::time::Duration;

use super::class::Class;
use super::field::{change_field, field};
use super::hostile;
use super::oracle::{Kind, Verdict};
use super::run::Run;
use super::step::Step;
use super::world::World;
use crate::doc::{Change, Edit, EditMeta, Value};
use crate::engine::Target;
use crate::entropy::Entropy;
use crate::error::{ErrorKind, Result};
use crate::id::{RecordId, RecordKey};
use crate::replica::Write;
use crate::store::CrashDisk;
use crate::wire::Wanted;

/// The collections that records lie in, by turns.
pub(super) const COLLECTIONS: [&str; 2] = ["notes", "tasks"];

/// The record of a number.
pub(super) fn key(record: usize) -> RecordKey {
    let collection = if record.is_multiple_of(2) {
        "notes"
    } else {
        "tasks"
    };
    World::key(collection, RecordId::named(&format!("record {record}")))
}

impl Run<'_> {
    pub(super) fn perform(&mut self, step: &Step) -> Verdict {
        match step {
            Step::Edit { .. }
            | Step::Transaction { .. }
            | Step::Burst { .. }
            | Step::Large { .. }
            | Step::Delete { .. }
            | Step::Restore { .. }
            | Step::Import { .. }
            | Step::Compact { .. }
            | Step::Wait { .. } => self.work(step),
            Step::Attach { .. }
            | Step::Refer { .. }
            | Step::LeavePut { .. }
            | Step::Fetch { .. }
            | Step::Unfetch { .. }
            | Step::Collect { .. } => self.attend_to_blobs(step),
            Step::Show { .. } | Step::TakeBack { .. } => self.appear(step),
            Step::Run { millis } => self.advance(Duration::from_millis(*millis)),
            Step::Sever { .. }
            | Step::HalfOpen { .. }
            | Step::Block { .. }
            | Step::Unblock { .. }
            | Step::Isolate { .. }
            | Step::Join { .. }
            | Step::Slow { .. } => {
                self.trouble_network(step);
                Ok(())
            }
            Step::Kill { .. }
            | Step::CutPower { .. }
            | Step::FillDisk { .. }
            | Step::FreeDisk { .. }
            | Step::FailRead { .. }
            | Step::SetClock { .. } => self.trouble_host(step),
            Step::Backup { .. }
            | Step::RestoreBackup { .. }
            | Step::Wipe { .. }
            | Step::Bury { .. } => self.trouble_store(step),
            Step::Subscribe { host, all } => self.subscribe(*host, *all),
            Step::Attack {
                host,
                other,
                attack,
                seed,
            } => {
                self.oracle.strangers = true;
                self.classes.reach(Class::Attacked);
                let mut entropy = Entropy::from_number(*seed);
                hostile::attack(&mut self.world, (*host, *other), *attack, &mut entropy);
                Ok(())
            }
        }
    }

    fn work(&mut self, step: &Step) -> Verdict {
        match step {
            Step::Edit { host, record, edit } => {
                self.edit(*host, *record, Kind::Edit, |it| change_field(it, edit))
            }
            Step::Large {
                host,
                record,
                bytes,
            } => {
                let mut noise = vec![0; *bytes];
                let seed = u64::try_from(*record).unwrap_or(0) + 1;
                Entropy::from_number(self.scenario.seed ^ seed << 32).fill(&mut noise);
                self.edit(*host, *record, Kind::Edit, |it| {
                    it.set(&field("blob"), &Value::Bytes(noise))
                })
            }
            Step::Delete { host, record } => {
                self.classes.reach(Class::Deleted);
                let now = self.world.now_of(*host).wall;
                self.edit(*host, *record, Kind::Delete, |it| it.mark_deleted(now))
            }
            Step::Restore { host, record } => {
                let restore = |it: &mut Edit<'_>| it.restore();
                self.classes.reach(Class::Restored);
                self.edit(*host, *record, Kind::Restore, restore)
            }
            Step::Transaction {
                host,
                first,
                count,
                conflicts,
            } => self.transaction(*host, (*first, *count), *conflicts),
            Step::Burst { host, count } => self.burst(*host, *count),
            Step::Import {
                host,
                from,
                first,
                count,
            } => self.import((*host, *from), (*first, *count)),
            Step::Compact { host, killed } => {
                self.world.compact(*host);
                self.observe()?;
                if *killed {
                    self.advance(Duration::from_secs(3))?;
                    return self.trouble_host(&Step::Kill { host: *host });
                }
                Ok(())
            }
            Step::Wait {
                host,
                record,
                stores,
            } => self.wait(*host, *record, *stores),
            _ => Ok(()),
        }
    }

    /// Makes a change on a copy of the record's document; none where nothing is to be written or
    /// the host can't.
    pub(super) fn prepare(
        &mut self,
        host: usize,
        record: usize,
        edit: impl FnOnce(&mut Edit<'_>) -> Result<()>,
    ) -> std::result::Result<Option<Write>, super::oracle::Failure> {
        if !self.works(host) {
            return Ok(None);
        }
        let meta = EditMeta::at(self.world.now_of(host).wall);
        let made = match self.world.host(host) {
            Ok(it) => it.prepare_edit(&key(record), meta, edit),
            Err(error) => Err(error),
        };
        match made {
            Ok(write) => Ok(write),
            Err(error) if error.kind() == ErrorKind::Breach && self.scenario.ruled => {
                self.classes.reach(Class::EditRefused);
                Ok(None)
            }
            Err(_unreadable) if self.oracle.troubled.contains(&host) => Ok(None),
            Err(error) => self
                .oracle
                .fail("records can be edited", format!("{error:#}")),
        }
    }

    fn edit(
        &mut self,
        host: usize,
        record: usize,
        kind: Kind,
        edit: impl FnOnce(&mut Edit<'_>) -> Result<()>,
    ) -> Verdict {
        let Some(write) = self.prepare(host, record, edit)? else {
            return Ok(());
        };
        if write.change.deps().len() > 1 {
            self.classes.reach(Class::Merged);
        }
        self.submit(host, &[(write, kind)]);
        self.world.pump(host);
        self.observe()
    }

    pub(super) fn submit(&mut self, host: usize, writes: &[(Write, Kind)]) {
        let store = match self.world.host(host) {
            Ok(it) => it.store_id(),
            Err(_) => return,
        };
        let all = writes.iter().map(|(it, _)| it.clone()).collect();
        if let Ok(ticket) = self.world.submit(host, all) {
            self.oracle.wrote((host, store), ticket, writes);
        }
    }

    fn transaction(
        &mut self,
        host: usize,
        (first, count): (usize, usize),
        conflicts: bool,
    ) -> Verdict {
        let mut writes = Vec::new();
        for at in 0..count {
            let record = (first + at) % self.scenario.records;
            let value = Value::Int(i64::try_from(self.oracle.step).unwrap_or(0));
            let write = self.prepare(host, record, |it| it.set(&field("batch"), &value))?;
            writes.extend(write.map(|it| (it, Kind::Edit)));
        }
        if conflicts {
            // A second change on the state before the first can't follow it. It is another in each step:
            // the same one alone, where rules refuse the first, would be taken in.
            let value = Value::Int(i64::try_from(self.oracle.step).unwrap_or(0));
            let write = self.prepare(host, first % self.scenario.records, |it| {
                it.set(&field("late"), &value)
            })?;
            writes.extend(write.map(|it| (it, Kind::Edit)));
        }
        if writes.is_empty() {
            return Ok(());
        }
        self.submit(host, &writes);
        self.world.pump(host);
        self.observe()
    }

    /// Records of one host come to another as saved documents.
    fn import(&mut self, (host, from): (usize, usize), (first, count): (usize, usize)) -> Verdict {
        // What is not durable where it is taken from may be lost there, and is nowhere else.
        if self.scenario.relaxed || !self.works(host) || !self.works(from) {
            return Ok(());
        }
        for at in 0..count.min(self.scenario.records) {
            let key = key((first + at) % self.scenario.records);
            let exported = self.world.host(from).and_then(|it| it.export(&key));
            let changes = match exported {
                Ok(changes) => changes,
                Err(_unreadable) if self.oracle.troubled.contains(&from) => continue,
                Err(error) => {
                    let text = format!("{error:#}");
                    return self.oracle.fail("records can be exported", text);
                }
            };
            let hashes: Vec<_> = changes.iter().map(Change::hash).collect();
            self.oracle.brought(host, &hashes);
            if let Ok(ticket) = self.world.import(host, &key, changes) {
                self.oracle.imports.insert((host, ticket), (key, hashes));
            }
        }
        self.world.pump(host);
        self.observe()
    }

    /// Several writers come while the host is busy: they share a commit.
    fn burst(&mut self, host: usize, count: usize) -> Verdict {
        let mut writers = 0;
        for record in 0..count.min(self.scenario.records) {
            let value = Value::Int(i64::try_from(self.oracle.step).unwrap_or(0));
            let write = self.prepare(host, record, |it| it.set(&field("burst"), &value))?;
            if let Some(write) = write {
                self.submit(host, &[(write, Kind::Edit)]);
                writers += 1;
            }
        }
        if writers > 1 {
            self.classes.reach(Class::GroupCommit);
        }
        self.world.pump(host);
        self.observe()
    }

    fn wait(&mut self, host: usize, record: usize, stores: usize) -> Verdict {
        let key = key(record);
        let Ok(heads) = self.world.heads(host, &key) else {
            return Ok(());
        };
        if heads.is_empty() {
            return Ok(());
        }
        let stores = stores.min(self.scenario.hosts - 1);
        let ticket = self.world.wait_for(host, &key, Target::Stores(stores));
        if let Ok(ticket) = ticket {
            self.oracle.waits(host, ticket, (key, heads, stores));
        }
        self.observe()
    }

    fn trouble_network(&mut self, step: &Step) {
        match step {
            Step::Sever { host, other } => {
                let sending = self.is_sending(*host);
                if self.world.sever(*host, *other) > 0 {
                    self.classes.reach(Class::Severed);
                    if sending {
                        self.classes.reach(Class::ResumedMidTransfer);
                    }
                }
            }
            Step::HalfOpen { host } if self.world.half_open(*host) > 0 => {
                self.silent_since = Some(self.world.now().instant);
                self.classes.reach(Class::HalfOpen);
            }
            Step::Block { from, to } if from != to => {
                self.world.block(*from, *to, true);
                self.silent_since = Some(self.world.now().instant);
                self.classes.reach(Class::Blocked);
            }
            Step::Unblock { from, to } => self.world.block(*from, *to, false),
            Step::Isolate { host } if !self.world.is_dead(*host) && self.offline.insert(*host) => {
                self.world.isolate(*host, true);
                self.classes.reach(Class::Isolated);
            }
            Step::Join { host } => {
                self.offline.remove(host);
                if !self.world.is_dead(*host) {
                    self.world.isolate(*host, false);
                }
            }
            Step::Slow { one, other, rate } if one != other => {
                self.world.slow(*one, *other, *rate);
                self.classes.reach(Class::Slowed);
            }
            _ => {}
        }
    }

    /// Whether there are changes that a linked peer of the host has not acknowledged.
    fn is_sending(&self, host: usize) -> bool {
        let engine = self.world.host(host).ok().and_then(super::Host::engine);
        engine.is_some_and(|engine| {
            let status = engine.status(self.world.now());
            let mut spaces = status.links.iter().flat_map(|it| &it.spaces);
            spaces.any(|(space, backlog)| space.active && *backlog > 0)
        })
    }

    fn trouble_host(&mut self, step: &Step) -> Verdict {
        match step {
            Step::Kill { host } if self.works(*host) => {
                let restarted = self.world.restart(*host);
                self.revive(restarted, *host)?;
            }
            Step::CutPower { host, after, again } if self.works(*host) && self.scenario.disks => {
                if let Some(again) = again {
                    self.world.cut_power_in_recovery(*host, *again);
                }
                let cut = self.world.cut_power(*host, *after);
                self.oracle.read(cut)?;
            }
            Step::FillDisk { host, spare } => {
                if let Some(disk) = self.disk(*host) {
                    let size = u64::try_from(disk.size_bytes()).unwrap_or(u64::MAX);
                    disk.set_capacity(Some(size.saturating_add(*spare)));
                    // Until it is freed, the store may fail and not open again.
                    self.oracle.troubled.insert(*host);
                }
            }
            Step::FreeDisk { host } => self.mend(*host)?,
            Step::FailRead { host, after } => {
                if let Some(disk) = self.disk(*host) {
                    disk.fail_read_after(*after);
                    self.oracle.troubled.insert(*host);
                    self.classes.reach(Class::ReadFailed);
                }
            }
            Step::SetClock { host, skew_millis } => {
                let set = self.world.set_skew(*host, *skew_millis);
                self.oracle.read(set)?;
                self.oracle.blobs.clock_was_set(*host);
                self.classes.reach(Class::ClockSet);
            }
            _ => {}
        }
        self.observe()
    }

    /// The disk of a host, if it has one. The handle is shared with the store on it.
    fn disk(&self, host: usize) -> Option<CrashDisk> {
        let host = self.world.host(host).ok()?;
        host.storage().as_disk().cloned()
    }

    /// What came of starting a host; one whose disk is in trouble may fail to.
    fn revive(&self, started: Result<()>, host: usize) -> Verdict {
        match started {
            Ok(()) => Ok(()),
            Err(_in_trouble) if self.oracle.troubled.contains(&host) => Ok(()),
            Err(error) => self
                .oracle
                .fail("a store opens after any crash", format!("{error:#}")),
        }
    }

    /// Ends the troubles of a host's disk, and starts it again if it had failed or could not.
    pub(super) fn mend(&mut self, host: usize) -> Verdict {
        let (is_up, failure) = match self.world.host(host) {
            Ok(it) => {
                if let Some(disk) = it.storage().as_disk() {
                    disk.set_capacity(None);
                    disk.fail_read_after(u64::MAX);
                }
                let status = it.engine().map(|it| it.status(self.world.now()));
                (it.is_up(), status.and_then(|it| it.failure))
            }
            Err(_) => return Ok(()),
        };
        if failure.is_some_and(|(kind, _)| kind == ErrorKind::DiskFull) {
            self.classes.reach(Class::DiskFull);
        }
        let was_troubled = self.oracle.troubled.remove(&host);
        if self.world.is_dead(host) || (is_up && !was_troubled && self.works(host)) {
            return Ok(());
        }
        let started = if is_up {
            self.world.restart(host)
        } else {
            self.world.start(host)
        };
        self.revive(started, host)?;
        self.observe()
    }

    fn trouble_store(&mut self, step: &Step) -> Verdict {
        match step {
            Step::Backup { host } => {
                if self.works(*host)
                    && let Ok(Some(image)) = self.world.backup(*host)
                {
                    self.backups.insert(*host, image);
                }
            }
            Step::RestoreBackup { host } => {
                if self.works(*host)
                    && !self.oracle.troubled.contains(host)
                    && let Some(image) = self.backups.remove(host)
                {
                    self.oracle.ends_life(&self.world, *host);
                    self.classes.reach(Class::BackupRestored);
                    let restored = self.world.restore(*host, image);
                    self.revive(restored, *host)?;
                }
            }
            // The first host is where the others meet in the end.
            Step::Wipe { host } if *host > 0 && self.works(*host) => {
                self.oracle.ends_life(&self.world, *host);
                self.classes.reach(Class::Wiped);
                self.oracle.troubled.remove(host);
                self.backups.remove(host);
                let wiped = self.world.wipe(*host);
                self.revive(wiped, *host)?;
            }
            Step::Bury { host } if *host > 0 && self.works(*host) => {
                self.oracle.ends_life(&self.world, *host);
                self.classes.reach(Class::Buried);
                let buried = self.world.bury(*host);
                self.oracle.read(buried)?;
            }
            _ => {}
        }
        self.observe()
    }

    pub(super) fn subscribe(&mut self, host: usize, all: bool) -> Verdict {
        if host == 0 || !self.works(host) {
            return Ok(());
        }
        let wanted = if all {
            self.classes.reach(Class::Widened);
            Wanted::All
        } else {
            self.oracle.partial = true;
            self.classes.reach(Class::Narrowed);
            let name = COLLECTIONS.get(host % 2).copied().unwrap_or_default();
            Wanted::Only(name.parse().into_iter().collect())
        };
        let subscribed = self.world.subscribe(host, wanted);
        self.revive(subscribed, host)?;
        self.observe()
    }
}

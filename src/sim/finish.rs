//! The end of a run: all troubles end, and within minutes everybody must hold the same.

use std::collections::{BTreeMap, BTreeSet};

use super::class::Class;
use super::oracle::{Fate, Kind, Verdict, holds};
use super::rules;
use super::run::Run;
use super::world::World;
use crate::doc::{Change, DELETED_KEY, NO_LENS, Value};
use crate::id::{ActorId, ChangeHash, Heads, RecordKey};
use crate::limits;
use crate::replica::documents::{self, Loaded};
use crate::replica::{Quarantined, Reason, Rows};

/// A store that is large enough to count as such.
const LARGE_BYTES: u64 = 100_000_000;

impl Run<'_> {
    /// Ends all troubles, waits, and compares.
    pub(super) fn finish(&mut self) -> Verdict {
        for host in 0..self.scenario.hosts {
            self.oracle.ledgers_are_true(&self.world, host)?;
        }
        self.world.banish_strangers();
        if self.scenario.appears {
            self.all_take_back()?;
        }
        for host in 0..self.scenario.hosts {
            if !self.world.is_dead(host) {
                self.world.isolate(host, false);
            }
        }
        self.world.heal();
        self.world.keep_power();
        self.observe()?;
        // Those that lost power come back by themselves, and roots are compared where anything
        // stirred.
        self.advance(limits::ROOT_EVERY + std::time::Duration::from_secs(5))?;
        for host in 0..self.scenario.hosts {
            self.mend(host)?;
        }
        if self.oracle.partial {
            for host in 1..self.scenario.hosts {
                self.subscribe(host, true)?;
            }
        }
        for host in 1..self.scenario.hosts {
            if !self.world.is_dead(host) {
                self.world.connect(host, 0);
            }
        }
        self.observe()?;
        if !self.settle()? {
            return self.oracle.fail("all get in step", self.what_is_missing());
        }
        self.compare()?;
        if self.scenario.appears {
            self.all_see_each_other(&self.live())?;
        }
        Ok(())
    }

    /// Why the cluster is not at rest, for people.
    fn what_is_missing(&self) -> String {
        let mut reasons = Vec::new();
        for host in self.live() {
            let Ok(it) = self.world.host(host) else {
                continue;
            };
            let Some(engine) = it.engine() else {
                reasons.push(format!("host {host} is down"));
                continue;
            };
            let status = engine.status(self.world.now());
            for peer in &status.peers {
                reasons.push(format!(
                    "host {host}: {} is {:?}, {:?}",
                    peer.address, peer.state, peer.last_error
                ));
            }
            for link in &status.links {
                for (space, backlog) in &link.spaces {
                    reasons.push(format!(
                        "host {host}: link to {} active {} walking {} backlog {backlog} pending {}",
                        link.address, space.active, space.walking, space.pending_records
                    ));
                }
            }
            if status.views_behind > 0 {
                reasons.push(format!("host {host}: {} views behind", status.views_behind));
            }
        }
        reasons.join("; ")
    }

    fn live(&self) -> Vec<usize> {
        let all = 0..self.scenario.hosts;
        all.filter(|it| !self.world.is_dead(*it)).collect()
    }

    fn compare(&mut self) -> Verdict {
        let live = self.live();
        let mut records: Option<BTreeMap<RecordKey, Heads>> = None;
        for host in &live {
            let found = self
                .world
                .host(*host)
                .and_then(|it| it.records(World::space()));
            let found = self.oracle.read(found)?;
            match &records {
                None => records = Some(found),
                Some(first) if *first == found => {}
                Some(first) => {
                    let differs = first
                        .iter()
                        .find(|(key, heads)| found.get(*key) != Some(*heads))
                        .map(|(key, _)| key.clone());
                    let text = format!("host {host} holds other heads than host 0: {differs:?}");
                    return self.oracle.fail("all hold the same", text);
                }
            }
            self.is_sound(*host)?;
            self.is_quarantine_clean(*host)?;
        }
        if self.scenario.attaches {
            self.attachments_came(&live)?;
        }
        self.what_was_written_is_there(&live)?;
        for key in records.unwrap_or_default().keys() {
            self.views_are_right(key, &live)?;
            self.deleted_stays_deleted(key)?;
        }
        Ok(())
    }

    /// A host's store agrees with itself.
    fn is_sound(&mut self, host: usize) -> Verdict {
        let Some(store) = self.store(host) else {
            return self
                .oracle
                .fail("a host comes back", format!("host {host} is down"));
        };
        let size = self
            .world
            .host(host)
            .map_or(0, |it| it.storage().size_bytes());
        if size > LARGE_BYTES {
            self.classes.reach(Class::LargeStore);
        }
        let snapshot = self.oracle.read(store.snapshot().map_err(Into::into))?;
        let complaints = self
            .oracle
            .read(Rows::new(snapshot.as_ref()).verify(World::space()))?;
        if complaints.is_empty() {
            return Ok(());
        }
        let text = format!("host {host}: {}", complaints.join("; "));
        self.oracle.fail("a store agrees with itself", text)
    }

    fn is_quarantine_clean(&self, host: usize) -> Verdict {
        let engine = self.world.host(host).ok().and_then(super::Host::engine);
        let held = engine.map_or(Ok(Vec::new()), |it| it.replica().quarantined(usize::MAX));
        let held = self.oracle.read(held)?;
        let is_breach = |it: &&Quarantined| matches!(it.reason, Reason::Breach(_));
        let (breaches, rest): (Vec<_>, Vec<_>) = held.iter().partition(is_breach);
        let named = breaches.into_iter().map(|it| &it.key).collect();
        self.breaches_are_named(host, &named)?;
        let entries = rest.len();
        if entries > 0 && !self.oracle.strangers {
            let text = format!("host {host} still holds back {entries} changes");
            return self.oracle.fail("nothing waits for ever", text);
        }
        Ok(())
    }

    /// The quarantine names the records whose views break the contract of the host's program, and no others.
    fn breaches_are_named(&self, host: usize, named: &BTreeSet<&RecordKey>) -> Verdict {
        let Ok(it) = self.world.host(host) else {
            return Ok(());
        };
        for key in self.oracle.read(it.records(World::space()))?.keys() {
            let view = self.oracle.read(it.view(key))?;
            let breaks = view.is_some_and(|view| it.program().breach(key, &view).is_some());
            if breaks != named.contains(key) {
                let text = format!("host {host}: {key} breaks its contract: {breaks}");
                return self.oracle.fail("what breaks a contract is named", text);
            }
        }
        Ok(())
    }

    fn what_was_written_is_there(&self, live: &[usize]) -> Verdict {
        for (hash, written) in &self.oracle.written {
            for host in live {
                let there = holds(&self.world, *host, &written.key, hash);
                let there = self.oracle.read(there)?;
                let name = hash.short();
                match written.fate {
                    Fate::Acked if !there => {
                        let text = format!("host {host} lacks {name} of {}", written.key);
                        return self.oracle.fail("acknowledged is present", text);
                    }
                    Fate::Refused if there => {
                        let text = format!("host {host} has {name} of {}", written.key);
                        return self.oracle.fail("refused is absent", text);
                    }
                    Fate::Acked | Fate::Refused | Fate::Unknown | Fate::Lost => {}
                }
            }
        }
        for (host, store, hashes) in &self.oracle.transactions {
            let same_store = self
                .world
                .host(*host)
                .is_ok_and(|it| it.store_id() == *store);
            if self.world.is_dead(*host) || !same_store {
                continue;
            }
            let there = hashes.iter().filter(|hash| {
                let key = self.oracle.written.get(*hash).map(|it| &it.key);
                key.is_some_and(|it| holds(&self.world, *host, it, hash).unwrap_or(false))
            });
            let there = there.count();
            if there != 0 && there != hashes.len() {
                let text = format!("host {host} has {there} of {} changes", hashes.len());
                return self.oracle.fail("a transaction is whole", text);
            }
        }
        Ok(())
    }

    /// Every view is what the record's changes say, and the same everywhere.
    fn views_are_right(&mut self, key: &RecordKey, live: &[usize]) -> Verdict {
        let mut shown: Option<Value> = None;
        for host in live {
            if *host == 0 && self.scenario.relay {
                continue;
            }
            let (Some(store), Ok(it)) = (self.store(*host), self.world.host(*host)) else {
                continue;
            };
            let snapshot = self.oracle.read(store.snapshot().map_err(Into::into))?;
            let rows = Rows::new(snapshot.as_ref());
            let actor = ActorId::of(it.store_id(), key);
            let mut loaded = self.oracle.read(Loaded::open(&rows, key, &actor))?;
            loaded.document.look_through(it.program().lens(key));
            let expected = loaded.document.shown(None).map_err(Into::into);
            let expected = self.oracle.read(expected)?;
            if expected.by > NO_LENS {
                self.classes.reach(Class::Decided);
            }
            let expected = expected.value;
            let decided = rules::are_decided(&loaded.document, &expected).map_err(Into::into);
            if self.scenario.ruled && !self.oracle.read(decided)? {
                let text = format!("host {host} does not show in {key} what policies say");
                return self.oracle.fail("policies decide", text);
            }
            let saved = loaded.document.save().map_err(Into::into);
            drop(self.oracle.read(saved)?);
            let view = self.oracle.read(self.world.view(*host, key))?;
            if view.as_ref() != Some(&expected) {
                let text = format!("host {host} shows another value of {key} than its heads have");
                return self.oracle.fail("a view is what its heads say", text);
            }
            if shown.as_ref().is_some_and(|it| *it != expected) {
                let text = format!("host {host} shows another value of {key} than others");
                return self.oracle.fail("all show the same", text);
            }
            shown = Some(expected);
        }
        Ok(())
    }

    /// A record is deleted if and only if there is a deletion that no restoration has seen.
    fn deleted_stays_deleted(&mut self, key: &RecordKey) -> Verdict {
        let host = usize::from(self.scenario.relay);
        let Some(store) = self.store(host) else {
            return Ok(());
        };
        let snapshot = self.oracle.read(store.snapshot().map_err(Into::into))?;
        let rows = Rows::new(snapshot.as_ref());
        let bytes = self.oracle.read(documents::changes(&rows, key))?;
        let changes: Vec<_> = bytes
            .into_iter()
            .filter_map(|it| Change::verify(it).ok())
            .collect();
        let written = &self.oracle.written;
        if changes.iter().any(|it| !written.contains_key(&it.hash())) {
            // A stranger's change may do what it likes to the record.
            return Ok(());
        }
        let kind = |hash: &ChangeHash| written.get(hash).map(|it| it.kind);
        let parents: BTreeMap<_, _> = changes.iter().map(|it| (it.hash(), it.deps())).collect();
        let mut undone = BTreeSet::new();
        for restore in changes
            .iter()
            .filter(|it| kind(&it.hash()) == Some(Kind::Restore))
        {
            let mut open = restore.deps().to_vec();
            while let Some(hash) = open.pop() {
                if undone.insert(hash) {
                    open.extend(parents.get(&hash).copied().unwrap_or_default());
                }
            }
        }
        let deletions = changes
            .iter()
            .filter(|it| kind(&it.hash()) == Some(Kind::Delete));
        let expected = deletions.into_iter().any(|it| !undone.contains(&it.hash()));
        let view = self.oracle.read(self.world.view(host, key))?;
        let deleted = view.as_ref().and_then(Value::as_map);
        let deleted = deleted.is_some_and(|it| it.contains_key(DELETED_KEY));
        if expected && changes.len() > 1 && changes.iter().any(|it| it.deps().len() > 1) {
            self.classes.reach(Class::DeletedWhileEdited);
        }
        if deleted != expected {
            let text = format!("{key} is deleted: {deleted}, and should be: {expected}");
            return self.oracle.fail("deleted stays deleted", text);
        }
        Ok(())
    }
}

//! What holds for the records of a collection: the contract that the program declared, and the newest one
//! that the space has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::Notify;

use super::gates::{Gates, Known};
use super::held::{CONTRACTS, contracts, read};
use super::shared::lock;
use super::snapshots::Reading;
use crate::conflict::{CustomPolicy, Policies, Policy};
use crate::contract::{Breach, Contract, IndexKey, Migrations, Rule, Rules, said};
use crate::doc::{Lens, NO_LENS, Value};
use crate::engine::WantedIndexes;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CollectionId, RecordKey, SpaceId};
use crate::limits;
use crate::record;
use crate::replica::{IndexColumn, ShownView};
use crate::store::Snapshot;

/// All contracts that a node knows, and what of the program's own they may name.
#[derive(Debug, Default)]
pub(super) struct Rulings {
    pub(super) rules: Rules,
    pub(super) migrations: Migrations,
    pub(super) policies: BTreeMap<Policy, Arc<dyn CustomPolicy>>,
    all: RwLock<BTreeMap<(SpaceId, CollectionId), Arc<Ruling>>>,
    /// The gates of all spaces, and for whom they are asked.
    pub(super) gates: Gates,
    /// Told when any of them changed.
    changed: Notify,
    /// Collections whose views are being made again, and what is due of them after that.
    due: Mutex<BTreeMap<(SpaceId, CollectionId), Option<bool>>>,
}

/// The contracts of one collection.
#[derive(Clone, Debug, Default)]
pub(super) struct Ruling {
    /// What this program was written for, as far as gates let it count.
    declared: Option<Arc<Contract>>,
    /// The newest that the space has and gates let count.
    held: Option<Arc<Contract>>,
    /// All that the program declared, and the newest of the space with a gate and without.
    pub(super) known: Known,
    /// Those of the newest of both, so that all replicas show the same.
    policies: Arc<Policies>,
    /// Whether they show anything otherwise than Automerge does.
    has_lens: bool,
    /// Whether records are migrated when they are read: the contract says how, and the program knows all
    /// functions that it names.
    evolves: bool,
    /// Names how records are shown; 0 as long as there is nothing of that.
    tag: u64,
    /// What tells it from other rulings; 0 if nothing rules.
    name: u64,
}

impl Ruling {
    /// What records are checked against: what the program was written for, else what the space has.
    pub(super) fn contract(&self) -> Option<&Arc<Contract>> {
        self.declared.as_ref().or(self.held.as_ref())
    }

    /// The newest contract.
    pub(super) fn newest(&self) -> Option<&Arc<Contract>> {
        let all = [self.held.as_ref(), self.declared.as_ref()];
        all.into_iter().flatten().max_by_key(|it| it.version())
    }

    /// The contract by which records are migrated, if they are.
    pub(super) fn evolving(&self) -> Option<&Arc<Contract>> {
        self.contract().filter(|_| self.evolves)
    }

    /// The memory of what others have put into the space.
    fn held_bytes(&self) -> usize {
        self.known.all_held().map(|it| it.size_hint()).sum()
    }

    pub(super) const fn policies(&self) -> &Arc<Policies> {
        &self.policies
    }

    /// That the program may read what the newest contract speaks of.
    pub(super) fn check_readable(&self) -> Result<()> {
        self.check_age("read", Contract::oldest_reader)
    }

    /// That it may write it.
    pub(super) fn check_writable(&self) -> Result<()> {
        self.check_age("write", Contract::oldest_writer)
    }

    fn check_age(&self, doing: &str, oldest: impl Fn(&Contract) -> u32) -> Result<()> {
        match (&self.declared, &self.held) {
            (Some(declared), Some(held)) if declared.version() < oldest(held) => {
                let message = format!(
                    "the space has version {} of the contract of {}, which only programs of version \
                     {} and above may {doing}; this one has version {}: upgrade it",
                    held.version(),
                    held.collection(),
                    oldest(held),
                    declared.version()
                );
                Err(Error::new(ErrorKind::ContractTooNew, message))
            }
            _ => Ok(()),
        }
    }
}

impl Rulings {
    pub(super) fn of(&self, space: SpaceId, collection: &CollectionId) -> Option<Arc<Ruling>> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return None;
        }
        all.get(&(space, collection.clone())).cloned()
    }

    /// The collections of a space whose rulings are such.
    pub(super) fn all_of(
        &self,
        space: SpaceId,
        such: impl Fn(&Ruling) -> bool,
    ) -> Vec<CollectionId> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let of_space = all
            .iter()
            .filter(|((it, _), ruling)| *it == space && such(ruling));
        of_space.map(|((_, name), _)| name.clone()).collect()
    }

    pub(super) fn of_record(&self, key: &RecordKey) -> Option<Arc<Ruling>> {
        self.of(key.space, &key.collection)
    }

    /// How conflicts in a record's document are seen.
    pub(super) fn lens(&self, key: &RecordKey) -> Option<Arc<dyn Lens>> {
        let ruling = self.of_record(key)?;
        let policies = Arc::clone(&ruling.policies);
        ruling.has_lens.then_some(policies)
    }

    /// The name of that lens.
    pub(super) fn tag(&self, key: &RecordKey) -> u64 {
        self.tag_of(key.space, &key.collection)
    }

    pub(super) fn tag_of(&self, space: SpaceId, collection: &CollectionId) -> u64 {
        let ruling = self.of(space, collection);
        ruling.map_or(NO_LENS, |it| it.tag.max(NO_LENS))
    }

    /// What tells the ruling of a collection from others, in this program and the next; 0 without one.
    pub(super) fn name_of(&self, space: SpaceId, collection: &CollectionId) -> u64 {
        self.of(space, collection).map_or(0, |it| it.name)
    }

    /// The collections that have one.
    pub(super) fn collections(&self) -> Vec<(SpaceId, CollectionId)> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.keys().cloned().collect()
    }

    /// The contract, the policies, and which of its rules the program can't check.
    fn name(&self, ruling: &Ruling) -> u64 {
        let Some(contract) = ruling.contract() else {
            return 0;
        };
        let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 ruling");
        hasher.update(&ruling.tag.to_be_bytes());
        for rule in contract.undefined(&self.rules) {
            hasher.update(rule.name().as_bytes()).update(&[0]);
        }
        hasher.update(contract.to_json().to_string().as_bytes());
        let mut name = [0; 8];
        hasher.finalize_xof().fill(&mut name);
        u64::from_be_bytes(name).max(1)
    }

    /// How a record breaks its contract, if it does. Deleted ones break none.
    pub(super) fn breach(&self, key: &RecordKey, value: &Value) -> Option<String> {
        let breaches = self.breaches(key, value);
        (!breaches.is_empty()).then(|| said(&breaches))
    }

    pub(super) fn breaches(&self, key: &RecordKey, value: &Value) -> Vec<Breach> {
        let ruling = self.of_record(key);
        let contract = ruling.as_ref().and_then(|it| it.contract());
        let Some(contract) = contract.filter(|_| !record::is_deleted(value)) else {
            return Vec::new();
        };
        contract.check_own(value, &self.rules)
    }

    /// That the program defines the rules and policies that a contract names.
    ///
    /// # Errors
    /// `InvalidInput` if it does not.
    pub(super) fn check_defined(&self, contract: &Contract) -> Result<()> {
        let unknown = contract.undefined(&self.rules);
        if let Some(Rule::Custom { name, version, .. }) = unknown.first() {
            let message = format!(
                "the contract of {} names rule {name}@{version}, which this program does not define; \
                 say what it means with Builder::rule",
                contract.collection()
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        if let Some(step) = contract.undefined_step(&self.migrations) {
            let message = format!(
                "the contract of {} names migration {step}, which this program does not define; say what \
                 it does with Builder::migration",
                contract.collection()
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let policies = contract.policies();
        if let Some(policy) = policies.custom().find(|it| !self.policies.contains_key(it)) {
            let message = format!(
                "the contract of {} names {policy}, which this program does not define; say what it \
                 does with Builder::policy",
                contract.collection()
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        Ok(())
    }

    /// Takes in what the program declares. Says whether records are shown or checked otherwise from now
    /// on.
    pub(super) fn declare(&self, space: SpaceId, contract: &Arc<Contract>) -> bool {
        self.change(space, contract.collection(), |ruling| {
            ruling.known.declare(contract);
        })
    }

    /// Takes in what the space has. Says the same.
    fn learn(&self, space: SpaceId, contract: Contract) -> bool {
        let collection = contract.collection().clone();
        self.change(space, &collection, |ruling| {
            let held = ruling.known.held(contract.gate().is_some());
            if held.as_ref().map_or(0, |it| it.version()) <= contract.version() {
                *held = Some(Arc::new(contract));
            }
        })
    }

    /// Changes a ruling. What the program itself declares has its place however many others there are.
    pub(super) fn change(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        change: impl FnOnce(&mut Ruling),
    ) -> bool {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let key = (space, collection.clone());
        let known = all.get(&key);
        let mut ruling = known.map(|it| Ruling::clone(it)).unwrap_or_default();
        let before = (ruling.tag, ruling.contract().cloned());
        change(&mut ruling);
        ruling.declared = ruling.known.declared_by(|it| self.counts(space, it));
        ruling.held = ruling.known.held_by(|it| self.counts(space, it));
        let is_foreign = known.is_none() && !ruling.known.is_declared();
        let others = all.iter().filter(|(it, _)| **it != key);
        let bytes: usize = others.map(|(_, it)| it.held_bytes()).sum();
        let is_large = bytes.saturating_add(ruling.held_bytes()) > limits::CONTRACTS_BYTES_MAX;
        if is_large || is_foreign && all.len() >= limits::CONTRACTS_MAX {
            tracing::warn!(%collection, "too many contracts; this one is not looked at");
            return false;
        }
        let mut policies = ruling.newest().map(|it| it.policies()).unwrap_or_default();
        for (name, custom) in &self.policies {
            policies.define(name.clone(), Arc::clone(custom));
        }
        ruling.has_lens = policies.tag() > NO_LENS;
        ruling.evolves = ruling.contract().is_some_and(|it| {
            !it.migrations().is_empty() && it.undefined_step(&self.migrations).is_none()
        });
        ruling.tag = shown_by(policies.tag(), ruling.evolving());
        ruling.policies = Arc::new(policies);
        ruling.name = self.name(&ruling);
        let after = (ruling.tag, ruling.contract().cloned());
        all.insert(key, Arc::new(ruling));
        self.changed.notify_one();
        before != after
    }

    /// Takes in what became known of a record of contracts. Gives the collection whose records are shown
    /// or checked otherwise from now on, and whether its contract is gone ([`Rulings::look_again`]).
    pub(super) fn look_at(&self, view: &ShownView) -> Option<(SpaceId, CollectionId, bool)> {
        if view.key.collection.as_str() != CONTRACTS {
            return None;
        }
        let space = view.key.space;
        let contract = |bytes: &[u8]| read(&view.key, &Value::from_bytes(bytes).ok()?);
        if let Some(contract) = contract(&view.after) {
            let collection = contract.collection().clone();
            let is_other = self.learn(space, contract);
            return is_other.then_some((space, collection, false));
        }
        let gone = view.before.as_deref().and_then(contract)?;
        let collection = gone.collection();
        let ruling = self.of(space, collection)?;
        let mut held = ruling.known.all_held();
        let was_held = held.any(|it| it.version() == gone.version());
        was_held.then(|| (space, collection.clone(), true))
    }

    /// Looks in a store for the newest contract of a collection, after the one that was held is gone.
    pub(super) fn look_again(
        &self,
        store: impl FnOnce() -> Result<Reading>,
        (space, collection): &(SpaceId, CollectionId),
    ) -> Result<()> {
        let space = *space;
        let Some(ruling) = self.of(space, collection) else {
            return Ok(());
        };
        // After that, so that what is learned from now on is another.
        let snapshot = store()?;
        let mut newest = Known::default();
        contracts(snapshot.as_ref(), space, &mut |contract| {
            let held = newest.held(contract.gate().is_some());
            let known = held.as_ref().map_or(0, |it| it.version());
            if contract.collection() == collection && contract.version() > known {
                *held = Some(Arc::new(contract));
            }
        })?;
        self.change(space, collection, |now| {
            // Unless another came meanwhile.
            if now.known.holds_the_same(&ruling.known) {
                now.known.hold_as(newest);
            }
        });
        Ok(())
    }

    /// Waits until a contract came or went since the last call.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The indexes that contracts declare of each collection: of the one that the program was written for,
    /// and the newest that the space has.
    pub(super) fn indexes(&self) -> Vec<WantedIndexes> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = all.iter().map(|(of, ruling)| {
            let contracts = ruling.declared.iter().chain(&ruling.held);
            let indexes = contracts.flat_map(|it| it.indexes().values());
            let columns = indexes.map(|keys| keys.iter().map(column).collect());
            let columns: BTreeSet<Vec<_>> = columns.collect();
            (of.clone(), columns.into_iter().collect())
        });
        wanted.collect()
    }

    /// Notes that views of a collection have to be made again, and whether its contract is gone; says
    /// whether nobody is at it yet, who would come to it by [`Rulings::next_due`].
    pub(super) fn is_due(&self, of: &(SpaceId, CollectionId), is_gone: bool) -> bool {
        let mut due = lock(&self.due);
        match due.get_mut(of) {
            Some(next) => {
                *next = Some(is_gone || *next == Some(true));
                false
            }
            None => due.insert(of.clone(), Some(is_gone)).is_none(),
        }
    }

    /// Whether the contract is gone of a collection whose views are still to be made again; `None` at the
    /// end of it.
    pub(super) fn next_due(&self, of: &(SpaceId, CollectionId)) -> Option<bool> {
        let mut due = lock(&self.due);
        let next = due.get_mut(of).and_then(Option::take);
        if next.is_none() {
            due.remove(of);
        }
        next
    }

    /// Takes in the contracts that a store has of a space.
    pub(super) fn load(&self, snapshot: &dyn Snapshot, space: SpaceId) -> Result<()> {
        self.load_gates(snapshot, space)?;
        contracts(snapshot, space, &mut |contract| {
            self.learn(space, contract);
        })
    }
}

/// Names how records are shown: by which policies, and in the form of which contract.
fn shown_by(policies: u64, evolving: Option<&Arc<Contract>>) -> u64 {
    let Some(contract) = evolving else {
        return policies;
    };
    let half = contract.digest().first_chunk().copied();
    let form = half.map_or(u64::MAX, u64::from_be_bytes);
    (policies ^ form).max(NO_LENS + 1)
}

fn column(key: &IndexKey) -> IndexColumn {
    let (path, elements) = key.parts();
    let keys = |path: &str| {
        let keys = path.split('.').filter(|it| !it.is_empty());
        keys.map(str::to_owned).collect()
    };
    IndexColumn {
        path: keys(path),
        elements: elements.map(keys),
        is_descending: key.descending,
    }
}

//! Gates of a space, and which contracts count by them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use serde_json::{Value as Json, json};

use super::held::first_views;
use super::rulings::Rulings;
use super::{Node, projector};
use crate::contract::{Contract, Gate};
use crate::doc::{PathStep, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CollectionId, RecordId, RecordKey, ReplicaId, SpaceId};
use crate::limits;
use crate::record;
use crate::replica::ShownView;
use crate::store::{Snapshot, Store};

/// The collection of each space in which its gates are, a record for each.
const GATES: &str = "syncline.gates";

/// All gates that a node knows.
#[derive(Debug, Default)]
pub(super) struct Gates {
    all: RwLock<BTreeMap<(SpaceId, String), Gate>>,
    replica: OnceLock<ReplicaId>,
}

/// The contracts of one collection that are known, whether they count or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    declared: Vec<Arc<Contract>>,
    plain: Option<Arc<Contract>>,
    gated: Option<Arc<Contract>>,
}

impl Known {
    /// Takes in what the program declares. Of those without a gate the last one goes.
    pub(super) fn declare(&mut self, contract: &Arc<Contract>) {
        let is_other = |it: &Arc<Contract>| {
            it.version() != contract.version() && (it.gate().is_some() || contract.gate().is_some())
        };
        self.declared.retain(is_other);
        self.declared.push(Arc::clone(contract));
    }

    pub(super) const fn is_declared(&self) -> bool {
        !self.declared.is_empty()
    }

    /// The place of the newest that the space has, with a gate or without.
    pub(super) const fn held(&mut self, is_gated: bool) -> &mut Option<Arc<Contract>> {
        if is_gated {
            &mut self.gated
        } else {
            &mut self.plain
        }
    }

    pub(super) fn all_held(&self) -> impl Iterator<Item = &Arc<Contract>> {
        self.plain.iter().chain(&self.gated)
    }

    pub(super) fn holds_the_same(&self, other: &Self) -> bool {
        let same = |a: &Option<Arc<Contract>>, b: &Option<Arc<Contract>>| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same(&self.plain, &other.plain) && same(&self.gated, &other.gated)
    }

    pub(super) fn hold_as(&mut self, other: Self) {
        (self.plain, self.gated) = (other.plain, other.gated);
    }

    pub(super) fn declared_by(&self, counts: impl Fn(&Contract) -> bool) -> Option<Arc<Contract>> {
        let open = self.declared.iter().filter(|it| counts(it));
        open.max_by_key(|it| it.version()).cloned()
    }

    pub(super) fn held_by(&self, counts: impl Fn(&Contract) -> bool) -> Option<Arc<Contract>> {
        let open = self.all_held().filter(|it| counts(it));
        open.max_by_key(|it| it.version()).cloned()
    }

    fn names(&self, gate: &str) -> bool {
        let mut all = self.declared.iter().chain(self.all_held());
        all.any(|it| it.gate() == Some(gate))
    }
}

impl Gates {
    /// Says for whom it is asked whether a gate is open.
    pub(super) fn ask_for(&self, replica: ReplicaId) {
        self.replica.get_or_init(|| replica);
    }

    fn is_open(&self, space: SpaceId, name: &str) -> bool {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let gate = all.get(&(space, name.to_owned()));
        let mut replica = self.replica.get().into_iter();
        gate.is_some_and(|gate| replica.any(|it| gate.is_open_for(*it)))
    }

    fn set(&self, space: SpaceId, name: &str, gate: Option<Gate>) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let key = (space, name.to_owned());
        match gate {
            Some(_) if all.len() >= limits::GATES_MAX && !all.contains_key(&key) => {
                tracing::warn!(gate = name, "too many gates; this one stays shut");
            }
            Some(gate) => drop(all.insert(key, gate)),
            None => drop(all.remove(&key)),
        }
    }

    fn of(&self, space: SpaceId) -> Vec<Gate> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let of_space = all.iter().filter(|((it, _), _)| *it == space);
        of_space.map(|(_, gate)| gate.clone()).collect()
    }
}

impl Rulings {
    /// Whether a contract counts here.
    pub(super) fn counts(&self, space: SpaceId, contract: &Contract) -> bool {
        contract
            .gate()
            .is_none_or(|it| self.gates.is_open(space, it))
    }

    /// Takes in a gate; gives the collections whose records are shown or checked otherwise from now on.
    fn set_gate(
        &self,
        space: SpaceId,
        name: &str,
        gate: Option<Gate>,
    ) -> Vec<(SpaceId, CollectionId)> {
        self.gates.set(space, name, gate);
        let mut changed = self.all_of(space, |ruling| ruling.known.names(name));
        changed.retain(|collection| self.change(space, collection, |_| ()));
        changed.into_iter().map(|it| (space, it)).collect()
    }

    /// Takes in what became known of a record of gates; gives the same.
    pub(super) fn look_at_gate(&self, view: &ShownView) -> Vec<(SpaceId, CollectionId)> {
        if view.key.collection.as_str() != GATES {
            return Vec::new();
        }
        let read = |bytes: &[u8]| read(&view.key, &Value::from_bytes(bytes).ok()?);
        let gate = read(&view.after);
        let name = gate.as_ref().map(|it| it.name().to_owned());
        let name = name.or_else(|| Some(view.before.as_deref().and_then(read)?.name().to_owned()));
        name.map(|name| self.set_gate(view.key.space, &name, gate))
            .unwrap_or_default()
    }

    /// Takes in what a store has of these spaces.
    pub(super) fn load_all(&self, store: &dyn Store, spaces: &[SpaceId]) -> Result<()> {
        let snapshot = store.snapshot()?;
        let mut spaces = spaces.iter();
        spaces.try_for_each(|space| self.load(snapshot.as_ref(), *space))
    }

    /// Takes in the gates that a store has of a space.
    pub(super) fn load_gates(&self, snapshot: &dyn Snapshot, space: SpaceId) -> Result<()> {
        first_views(
            snapshot,
            (space, GATES),
            limits::GATES_MAX,
            &mut |key, value| {
                if let Some(gate) = read(key, value) {
                    let name = gate.name().to_owned();
                    self.gates.set(space, &name, Some(gate));
                }
            },
        )
    }
}

impl Node {
    /// Puts a gate into the home space, in place of one of that name. It reaches all replicas; contracts
    /// that name it count from then on where it is open. Durable on return.
    ///
    /// # Errors
    /// `TooLarge` for a new gate over [`limits::GATES_MAX`], and those of the store.
    pub async fn set_gate(&self, gate: &Gate) -> Result<bool> {
        let (shared, space) = (&self.0.shared, self.space());
        let known = shared.rulings.gates.of(space);
        let is_new = known.iter().all(|it| it.name() != gate.name());
        if is_new && known.len() >= limits::GATES_MAX {
            let max = limits::GATES_MAX;
            let message = format!("a space has at most {max} gates; remove one from {GATES}");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let (records, id) = (self.records(GATES)?, RecordId::named(gate.name()));
        let put = |transaction: &mut super::Transaction<'_>| {
            let is_there = shared.heads(&records.key(id))?.is_some();
            let is_back = is_there && transaction.restore_json(&records, id)?;
            Ok(transaction.put_json(&records, id, &to_record(gate))? || is_back)
        };
        let is_changed = shared.transaction(put).await?;
        let name = gate.name();
        for of in shared.rulings.set_gate(space, name, Some(gate.clone())) {
            projector::again(shared, of, false);
        }
        Ok(is_changed)
    }

    /// The gates of the home space, by name.
    pub fn gates(&self) -> Vec<Gate> {
        self.0.shared.rulings.gates.of(self.space())
    }

    /// Whether a gate of the home space is open for this replica. One that nobody has put there is shut.
    pub fn is_open(&self, gate: &str) -> bool {
        self.0.shared.rulings.gates.is_open(self.space(), gate)
    }
}

/// A gate as its record holds it.
fn to_record(gate: &Gate) -> Json {
    let replicas = gate.replicas().iter();
    let replicas = replicas.map(|it| (it.to_string(), Json::from(true)));
    json!({
        "name": gate.name(),
        "per_mille": gate.per_mille(),
        "replicas": Json::Object(replicas.collect()),
    })
}

/// The gate in a record. What is none, or in another's place, is left alone: anybody who writes in the
/// space may have put it there.
fn read(key: &RecordKey, value: &Value) -> Option<Gate> {
    if record::is_deleted(value) {
        return None;
    }
    let field = |name: &str| value.get(&[PathStep::from(name)]);
    let name = field("name").and_then(Value::as_str)?;
    let gate = Gate::new(name).ok()?;
    if RecordId::named(name) != key.record {
        tracing::warn!(record = %key, "a gate stands in the place of another; it is left alone");
        return None;
    }
    let per_mille = field("per_mille")?.to_json().as_u64()?;
    let per_mille = u16::try_from(per_mille).ok()?;
    let replicas = field("replicas").and_then(Value::as_map);
    let mut replicas = replicas.into_iter().flat_map(BTreeMap::keys);
    let named = replicas.try_fold(gate.share(per_mille).ok()?, |gate, id| {
        gate.name_replica(id.parse().ok()?).ok()
    });
    if named.is_none() {
        tracing::warn!(record = %key, "what stands there is no gate; it is left alone");
    }
    named
}

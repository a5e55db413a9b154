//! What the program on a simulated host declares: contracts, and rules and conflict policies of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::conflict::{CustomPolicy, Policies, Policy};
use crate::contract::{Contract, CustomRule, Rules, judge_edit, said};
use crate::doc::{Change, Document, Lens, NO_LENS, Value};
use crate::error::Result;
use crate::id::{CollectionId, Heads, RecordKey};
use crate::record;
use crate::replica::View;

/// What the program on a host declares, as a node's builder and [`Node::declare`](crate::Node::declare) would
/// take it.
///
/// Hosts with different ones run different versions of a program. Each goes by its own alone: contracts do
/// not travel among simulated hosts.
#[derive(Clone, Debug, Default)]
pub struct Program {
    contracts: BTreeMap<CollectionId, Contract>,
    rules: Rules,
    policies: BTreeMap<Policy, Arc<dyn CustomPolicy>>,
}

impl Program {
    /// Declares a contract, in place of another of its collection.
    #[must_use]
    pub fn contract(mut self, contract: Contract) -> Self {
        self.contracts
            .insert(contract.collection().clone(), contract);
        self
    }

    /// Says what a rule does that contracts name.
    ///
    /// # Errors
    /// As [`Rules::define`].
    pub fn rule(
        mut self,
        name: &str,
        version: u32,
        rule: impl CustomRule + 'static,
    ) -> Result<Self> {
        self.rules.define(name, version, rule)?;
        Ok(self)
    }

    /// Says what a conflict policy does that contracts name.
    ///
    /// # Errors
    /// As [`Policy::custom`].
    pub fn policy(
        mut self,
        name: &str,
        version: u32,
        policy: impl CustomPolicy + 'static,
    ) -> Result<Self> {
        let name = Policy::custom(name, version)?;
        self.policies.insert(name, Arc::new(policy));
        Ok(self)
    }

    /// Whether it declares anything for a collection.
    pub(super) fn declares(&self, collection: &CollectionId) -> bool {
        self.contracts.contains_key(collection)
    }

    /// How conflicts in a record are seen.
    pub(super) fn lens(&self, key: &RecordKey) -> Option<Arc<dyn Lens>> {
        let mut policies: Policies = self.contracts.get(&key.collection)?.policies();
        for (policy, custom) in &self.policies {
            policies.define(policy.clone(), Arc::clone(custom));
        }
        (policies.tag() > NO_LENS).then(|| -> Arc<dyn Lens> { Arc::new(policies) })
    }

    /// How a record breaks its contract, if it does. Deleted ones break none.
    pub(super) fn breach(&self, key: &RecordKey, value: &Value) -> Option<String> {
        let contract = self.contracts.get(&key.collection)?;
        let contract = (!record::is_deleted(value)).then_some(contract)?;
        let breaches = contract.check_own(value, &self.rules);
        (!breaches.is_empty()).then(|| said(&breaches))
    }

    /// The view of a record after an edit.
    ///
    /// # Errors
    /// `Breach` if the record breaks its contract by it; when the document can't be read.
    pub(super) fn view_after(
        &self,
        key: &RecordKey,
        change: &Change,
        document: &Document,
    ) -> Result<View> {
        let shown = document.shown(None)?;
        let contract = self.contracts.get(&key.collection);
        let contract = contract.filter(|_| !record::is_deleted(&shown.value));
        let breach = match contract {
            None => None,
            Some(contract) => {
                let now = contract.check_own(&shown.value, &self.rules);
                judge_edit(&now, || {
                    let before: Heads = change.deps().iter().copied().collect();
                    let value = document.value_at(&before)?;
                    Ok(contract.check_own(&record::read_value(&value), &self.rules))
                })?
            }
        };
        Ok(View {
            breach,
            ..View::from(shown)
        })
    }
}

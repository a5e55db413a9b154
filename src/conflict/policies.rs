//! The policies of one collection, and how a document's value is shown by them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{CustomPolicy, Outcome, Policy, builtin};
use crate::doc::{Candidate, Document, DocumentFault, Lens, NO_LENS, PathStep, Value, guarded};
use crate::id::Heads;
use crate::plant::{self, Plant};

/// Which policy goes for which field of a collection's records, and the application's own ones.
#[derive(Clone, Default)]
pub struct Policies {
    fields: BTreeMap<Vec<PathStep>, Policy>,
    custom: BTreeMap<Policy, Arc<dyn CustomPolicy>>,
}

/// How a field came to be shown as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The field.
    pub path: Vec<PathStep>,
    /// The values that were written there at the same time, two at least, in the order of their times.
    pub candidates: Vec<Candidate>,
    /// The policy.
    pub policy: Policy,
    /// What is shown, and by which changes.
    pub outcome: Outcome,
    /// Why, for people; without the values.
    pub reason: String,
}

impl Policies {
    /// Makes `policy` the one of the field at `path`, which leads through maps.
    pub fn set(&mut self, path: Vec<PathStep>, policy: Policy) {
        if policy.differs() {
            self.fields.insert(path, policy);
        } else {
            self.fields.remove(&path);
        }
    }

    /// Says what a custom policy does; gives what it was before.
    pub fn define(
        &mut self,
        policy: Policy,
        custom: Arc<dyn CustomPolicy>,
    ) -> Option<Arc<dyn CustomPolicy>> {
        self.custom.insert(policy, custom)
    }

    /// The custom policies that fields have.
    pub fn custom(&self) -> impl Iterator<Item = &Policy> {
        let all = self.fields.values();
        all.filter(|it| matches!(it, Policy::Custom { .. }))
    }

    /// The policy of a field.
    pub fn of(&self, path: &[PathStep]) -> &Policy {
        self.fields.get(path).unwrap_or(&Policy::Automerge)
    }

    /// Names these policies: equal for equal ones, on every replica.
    fn name(&self) -> u64 {
        if self.fields.is_empty() {
            return NO_LENS;
        }
        let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 conflict policies");
        for (path, policy) in &self.fields {
            let has = !matches!(policy, Policy::Custom { .. }) || self.custom.contains_key(policy);
            let line = format!("{path:?}\n{policy}\n{has}\n");
            hasher.update(line.as_bytes());
        }
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        u64::from_be_bytes(bytes).max(NO_LENS + 1)
    }

    /// The outcome for these candidates, in any order.
    ///
    /// # Errors
    /// Why there is none: there are no candidates, the policy is not defined here, or it panicked.
    pub fn decide(&self, policy: &Policy, candidates: &[Candidate]) -> Result<Outcome, String> {
        let candidates = in_order(candidates);
        if candidates.is_empty() {
            return Err("there are no candidates".to_owned());
        }
        if let Some(outcome) = builtin::resolve(policy, &candidates) {
            return Ok(outcome);
        }
        let Some(custom) = self.custom.get(policy) else {
            return Err(format!("this program does not define {policy}"));
        };
        guarded(|| custom.resolve(&candidates)).map_err(|it| format!("{policy} panicked: {it}"))
    }

    /// How a field of `document` came to be shown as it is.
    ///
    /// # Errors
    /// When Automerge fails.
    pub fn explain(
        &self,
        document: &Document,
        path: &[PathStep],
    ) -> Result<Option<Explanation>, DocumentFault> {
        let candidates = in_order(&document.candidates(path, None)?);
        let Some(automerge) = builtin::resolve(&Policy::Automerge, &candidates) else {
            return Ok(None);
        };
        let policy = self.of(path).clone();
        let (outcome, reason) = match self.decide(&policy, &candidates) {
            Ok(outcome) => {
                let reason = reason(&policy, candidates.len(), &outcome, &automerge);
                (outcome, reason)
            }
            Err(why) => (automerge, format!("{why}; Automerge's choice is shown")),
        };
        Ok(Some(Explanation {
            path: path.to_vec(),
            candidates,
            policy,
            outcome,
            reason,
        }))
    }
}

impl Lens for Policies {
    /// Where a policy gives no outcome Automerge's choice stays.
    fn contested(
        &self,
        document: &Document,
        heads: Option<&Heads>,
    ) -> Result<Vec<(Vec<PathStep>, Value)>, DocumentFault> {
        let mut contested = Vec::new();
        if plant::is_planted(Plant::BlindPolicies) {
            return Ok(contested);
        }
        for (path, policy) in &self.fields {
            let candidates = document.candidates(path, heads)?;
            if let Ok(outcome) = self.decide(policy, &candidates) {
                contested.push((path.clone(), outcome.value));
            }
        }
        Ok(contested)
    }

    fn tag(&self) -> u64 {
        self.name()
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.fields).finish()
    }
}

/// As they were written, each once.
fn in_order(candidates: &[Candidate]) -> Vec<Candidate> {
    let mut candidates = candidates.to_vec();
    candidates.sort_by(|a, b| {
        let key = |it: &Candidate| (it.time, it.author.clone(), it.change);
        key(a).cmp(&key(b))
    });
    candidates.dedup_by(|b, a| (a.time, &a.author, a.change) == (b.time, &b.author, b.change));
    candidates
}

fn reason(policy: &Policy, count: usize, outcome: &Outcome, automerge: &Outcome) -> String {
    let which = match policy {
        Policy::Automerge => "the one with the largest operation number is shown",
        Policy::LastWriter | Policy::Text => "the one that was written last is shown",
        Policy::FirstWriter => "the one that was written first is shown",
        Policy::Max => "the largest is shown",
        Policy::Min => "the smallest is shown",
        Policy::Union => "all that is in any of them is shown",
        Policy::Sum => "their sum is shown",
        Policy::KeepBoth => "all of them are shown",
        Policy::Custom { .. } => "what the application's policy made of them is shown",
    };
    let differs = if outcome.value == automerge.value {
        "as Automerge would"
    } else {
        "where Automerge would show another"
    };
    format!("of {count} values written at the same time, {which}, {differs}")
}

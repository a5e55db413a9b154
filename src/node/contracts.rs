//! Contracts of a space, and conflicts in its records: declared, listed, explained, resolved.

use std::sync::Arc;

use serde_json::Value as Json;

use super::held::{self, CONTRACTS};
use super::rulings::Ruling;
use super::shared::Shared;
use super::tasks::run_apart;
use super::{Node, Records, Transaction, projector};
use crate::conflict::{Explanation, Policies};
use crate::contract::Contract;
use crate::doc::{Document, PathStep, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ActorId, CollectionId, Heads, RecordId, RecordKey, SpaceId};
use crate::replica::Rows;
use crate::replica::documents::Loaded;

/// A field in which several values stand, and how it is shown.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FieldConflict {
    /// The record.
    pub record: RecordId,
    /// The record's heads: two looks at the same conflict have equal ones.
    pub heads: Heads,
    /// The candidates, the policy, what is shown and why.
    pub explanation: Explanation,
}

impl Node {
    /// Declares what the records of a collection of the home space hold: from now on this program's
    /// edits are checked by it, what breaks it is named in the quarantine, and conflicts are shown by its
    /// policies. The contract is kept in the space and reaches all of its replicas, also those whose
    /// program declares none.
    ///
    /// Declaring it again changes nothing, so a program does it at each start. Durable on return as
    /// any write.
    ///
    /// # Errors
    /// `InvalidInput` if it names a rule or policy that the program does not define
    /// ([`Builder::rule`](super::Builder::rule), [`Builder::policy`](super::Builder::policy)) or is about the
    /// collection of contracts,
    /// `Conflict` if the space has another contract of this version: raise the version. And those of the store.
    pub async fn declare(&self, contract: &Contract) -> Result<()> {
        self.declare_in(self.space(), contract).await
    }

    /// The same in any space of the node.
    ///
    /// # Errors
    /// As [`Node::declare`].
    pub async fn declare_in(&self, space: SpaceId, contract: &Contract) -> Result<()> {
        let shared = &self.0.shared;
        shared.rulings.check_defined(contract)?;
        self.put_contract(space, contract).await?;
        if shared.rulings.declare(space, &Arc::new(contract.clone())) {
            projector::again(shared, (space, contract.collection().clone()), false);
        }
        Ok(())
    }

    /// Puts a contract into the home space as [`Node::declare`] does, on behalf of the programs that use
    /// the collection: what it names need not be defined in this one, which goes by what the space has.
    /// `false` if it was there already.
    ///
    /// # Errors
    /// `Conflict` if the space has another contract of this version, and those of the store.
    pub async fn publish(&self, contract: &Contract) -> Result<bool> {
        self.put_contract(self.space(), contract).await
    }

    async fn put_contract(&self, space: SpaceId, contract: &Contract) -> Result<bool> {
        if held::rules_itself(contract) {
            let message = format!("{CONTRACTS} holds contracts, and has none itself");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let shared = &self.0.shared;
        let (records, id) = (
            self.records_in(space, CONTRACTS)?,
            held::record_of(contract),
        );
        let held = shared.value(&records.key(id)).await?;
        let held = held.and_then(|it| held::read(&records.key(id), &it));
        if held.as_ref().is_some_and(|it| it != contract) {
            let message = format!(
                "the space has another contract of {} with version {}; raise the version",
                contract.collection(),
                contract.version()
            );
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        if held.is_some() {
            return Ok(false);
        }
        let put = |transaction: &mut Transaction<'_>| {
            // Somebody may have deleted it.
            let is_there = shared.heads(&records.key(id))?.is_some();
            let is_back = is_there && transaction.restore_json(&records, id)?;
            let is_new = transaction.put_json(&records, id, &held::to_record(contract))?;
            Ok(is_back || is_new)
        };
        shared.transaction(put).await
    }

    /// The newest contract of a collection of the home space, if there is one.
    ///
    /// # Errors
    /// `InvalidInput` if `collection` is no collection's name.
    pub fn contract(&self, collection: &str) -> Result<Option<Contract>> {
        let collection: CollectionId = collection.parse()?;
        let ruling = self.0.shared.rulings.of(self.space(), &collection);
        let newest = ruling.as_ref().and_then(|it| it.newest());
        Ok(newest.map(|it| Contract::clone(it)))
    }
}

impl Records {
    /// The conflicts of a record outside of its texts, by path: where several values were written at the
    /// same time, and nothing since.
    ///
    /// Loads the document. At most [`limits::CONFLICTS_LISTED_MAX`] are listed.
    ///
    /// # Errors
    /// `Poisoned` if the document can't be loaded, and those of the store.
    ///
    /// [`limits::CONFLICTS_LISTED_MAX`]: crate::limits::CONFLICTS_LISTED_MAX
    pub async fn conflicts(&self, id: RecordId) -> Result<Vec<FieldConflict>> {
        self.with_document(id, move |document, policies| {
            let heads = document.heads();
            let mut all = Vec::new();
            for conflict in document.conflicts()? {
                let explained = policies.explain(document, &conflict.path)?;
                all.extend(explained.map(|explanation| FieldConflict {
                    record: id,
                    heads: heads.clone(),
                    explanation,
                }));
            }
            Ok(all)
        })
        .await
        .map(Option::unwrap_or_default)
    }

    /// The records with conflicts, in order of their ids, `limit` at most.
    ///
    /// Reads all views of the collection, and loads no document.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn contested(&self, limit: usize) -> Result<Vec<RecordId>> {
        let (shared, space, name) = (Arc::clone(self.shared()), self.space(), self.name().clone());
        run_apart(move || {
            let snapshot = shared.snapshot()?;
            let rows = Rows::new(snapshot.as_ref());
            let Some(number) = rows.number(space, Some(&name))? else {
                return Ok(Vec::new());
            };
            rows.contested(number, limit)
        })
        .await
    }

    /// How a field came to be shown as it is: candidates, policy, outcome and reason. `None` where no
    /// conflict is, or no record.
    ///
    /// # Errors
    /// As [`Records::conflicts`].
    pub async fn explain_field(
        &self,
        id: RecordId,
        path: &[PathStep],
    ) -> Result<Option<Explanation>> {
        let path = path.to_vec();
        let explain =
            move |document: &Document, policies: &Policies| Ok(policies.explain(document, &path)?);
        self.with_document(id, explain).await.map(Option::flatten)
    }

    /// Ends a conflict by an edit: writes `value` at `path`, whatever stands there; `false` if there
    /// is no conflict (any more). The values that lose stay in the record's history.
    ///
    /// # Errors
    /// As [`Records::edit`]; `Breach` if the record's contract does not allow the value.
    pub async fn resolve(&self, id: RecordId, path: &[PathStep], value: &Json) -> Result<bool> {
        let value = Value::from_json(value)?;
        let resolve = |document: &mut Document, meta| {
            crate::record::check_present(document)?;
            if document.candidates(path, None)?.is_empty() {
                return Ok((false, None));
            }
            let ((), change) = document.replace(meta, path, &value)?;
            Ok((change.is_some(), change))
        };
        self.write(id, false, resolve).await
    }

    /// Looks at a record's document as it is stored; `None` if there is no record.
    pub(super) async fn with_document<T: Send + 'static>(
        &self,
        id: RecordId,
        look: impl FnOnce(&Document, &Policies) -> Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let (shared, key) = (Arc::clone(self.shared()), self.key(id));
        run_apart(move || shared.look_at_document(&key, look)).await
    }
}

impl Shared {
    fn look_at_document<T>(
        &self,
        key: &RecordKey,
        look: impl FnOnce(&Document, &Policies) -> Result<T>,
    ) -> Result<Option<T>> {
        if self.heads(key)?.is_none() {
            return Ok(None);
        }
        let snapshot = self.snapshot()?;
        let actor = ActorId::of(self.store_id, key);
        let loaded = Loaded::open(&Rows::new(snapshot.as_ref()), key, &actor)?;
        let ruling = self.rulings.of(key.space, &key.collection);
        let none = Ruling::default();
        let policies = ruling.as_deref().unwrap_or(&none).policies();
        look(&loaded.document, policies).map(Some)
    }
}

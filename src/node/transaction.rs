//! Several records in one atomic, durable local write.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;
use tokio::sync::{mpsc, oneshot};

use super::documents::CheckedOut;
use super::driver::Message;
use super::edit::{Submitted, check_count, is_worth_repeating, silent};
use super::evolve::Way;
use super::shared::{Shared, closed, lock};
use super::snapshots::Reading;
use super::{Collection, Records};
use crate::doc::{Change, Document, Edit, EditMeta, Value};
use crate::engine::Reply;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{RecordId, RecordKey};
use crate::record::{self, Record};
use crate::replica::{Rows, Write};

/// Edits that become durable together, or not at all. What was edited is read back changed.
///
/// The closure that gets it may run more than once, so it should do nothing else.
#[derive(Debug)]
pub struct Transaction<'a> {
    shared: &'a Shared,
    snapshot: Reading,
    meta: EditMeta,
    documents: BTreeMap<RecordKey, CheckedOut<'a>>,
    writes: Vec<Write>,
    /// Something was read that is not committed yet.
    unsure: bool,
    /// Why an edit was refused after it was made: it is in the document.
    refused: Option<(ErrorKind, String)>,
}

impl<'a> Transaction<'a> {
    /// What is changed from now on says why, unless the handle that is used says so itself
    /// ([`Records::because`]).
    pub fn because(&mut self, reason: &str) -> &mut Self {
        self.meta.message = Some(reason.to_owned());
        self
    }

    /// Adds a record under a new id.
    ///
    /// # Errors
    /// As [`Collection::insert`].
    pub fn insert<T: Record>(&mut self, collection: &Collection<T>, value: &T) -> Result<RecordId> {
        let id = self.shared.new_record();
        self.insert_as(collection, id, value)?;
        Ok(id)
    }

    /// Adds a record under this id.
    ///
    /// # Errors
    /// As [`Collection::insert_as`].
    pub fn insert_as<T: Record>(
        &mut self,
        collection: &Collection<T>,
        id: RecordId,
        value: &T,
    ) -> Result<()> {
        self.edit_document((collection.records(), id), true, |document, meta| {
            let change = record::create(document, meta, value)?;
            Ok(((), Some(change)))
        })
    }

    /// Reads a record; `None` if there is none or it is deleted.
    ///
    /// # Errors
    /// As [`Collection::get`].
    pub fn get<T: Record>(
        &mut self,
        collection: &Collection<T>,
        id: RecordId,
    ) -> Result<Option<T>> {
        let key = collection.key(id);
        let value = self.value(&key)?;
        value.map(|it| self.shared.read_as(&key, it)).transpose()
    }

    /// Changes a record.
    ///
    /// # Errors
    /// As [`Collection::update`].
    pub fn update<T: Record, R>(
        &mut self,
        collection: &Collection<T>,
        id: RecordId,
        work: impl FnOnce(&mut T) -> R,
    ) -> Result<R> {
        self.edit_document((collection.records(), id), false, |document, meta| {
            record::update(document, meta, work)
        })
    }

    /// Deletes a record; `false` if it was deleted already.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    pub fn delete<T: Record>(&mut self, collection: &Collection<T>, id: RecordId) -> Result<bool> {
        self.delete_json(collection.records(), id)
    }

    /// Takes a deletion back; `false` if the record is not deleted.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    pub fn restore<T: Record>(&mut self, collection: &Collection<T>, id: RecordId) -> Result<bool> {
        self.restore_json(collection.records(), id)
    }

    /// Reads a record as JSON; `None` if there is none or it is deleted.
    ///
    /// # Errors
    /// As [`Records::get`].
    pub fn get_json(&mut self, records: &Records, id: RecordId) -> Result<Option<Json>> {
        let value = self.value(&records.key(id))?;
        Ok(value.map(|it| record::read_value(&it).to_json()))
    }

    /// Replaces a record by a JSON object, or creates it; `false` if it was equal.
    ///
    /// # Errors
    /// As [`Records::put`].
    pub fn put_json(&mut self, records: &Records, id: RecordId, json: &Json) -> Result<bool> {
        let json = &*self.shared.coerced(&records.key(id), json)?;
        self.edit_document((records, id), false, |document, meta| {
            Ok(changed(record::put_json(document, meta, json)?))
        })
    }

    /// Applies a JSON merge patch (RFC 7396) to a record; `false` if it changed nothing.
    ///
    /// # Errors
    /// As [`Records::patch`].
    pub fn patch_json(&mut self, records: &Records, id: RecordId, patch: &Json) -> Result<bool> {
        let patch = &*self.shared.coerced(&records.key(id), patch)?;
        self.edit_document((records, id), false, |document, meta| {
            Ok(changed(record::edit_json(document, meta, patch)?))
        })
    }

    /// Edits a record field by field.
    ///
    /// # Errors
    /// As [`Records::edit`].
    pub fn edit<R>(
        &mut self,
        records: &Records,
        id: RecordId,
        work: impl FnOnce(&mut Edit<'_>) -> Result<R>,
    ) -> Result<R> {
        self.edit_document((records, id), false, |document, meta| {
            record::check_present(document)?;
            document.edit(meta, work)
        })
    }

    /// Deletes a record of an untyped collection; `false` if it was deleted already.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    pub fn delete_json(&mut self, records: &Records, id: RecordId) -> Result<bool> {
        self.edit_document((records, id), false, |document, meta| {
            Ok(changed(record::delete(document, meta)?))
        })
    }

    /// Takes a deletion of an untyped collection back; `false` if the record is not deleted.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    pub fn restore_json(&mut self, records: &Records, id: RecordId) -> Result<bool> {
        self.edit_document((records, id), false, |document, meta| {
            Ok(changed(record::restore(document, meta)?))
        })
    }

    fn edit_document<R>(
        &mut self,
        (records, id): (&Records, RecordId),
        creates: bool,
        work: impl FnOnce(&mut Document, EditMeta) -> Result<(R, Option<Change>)>,
    ) -> Result<R> {
        check_count(self.writes.len() + 1)?;
        let (key, shared) = (&records.key(id), self.shared);
        let mut meta = self.meta.clone();
        if let Some(reason) = records.reason() {
            meta.message = Some(reason.to_owned());
        }
        let document = self.document(key)?;
        let is_ahead = document.loaded().is_ahead();
        let migrated = document.migrate()?;
        let result = work(&mut document.loaded().document, meta);
        let changes = match migrated {
            // A migration is not written for the sake of nothing.
            Some(migrated) if !matches!(result, Ok((_, Some(_)))) => {
                document.take_back(migrated);
                Vec::new()
            }
            migrated => migrated.map(|it| it.changes).unwrap_or_default(),
        };
        let (result, change) = result?;
        let Some(change) = change else {
            self.unsure |= is_ahead;
            return Ok(result);
        };
        document.changed();
        let document = &document.loaded().document;
        match shared.write(key, change, document, creates) {
            Ok(write) => {
                let migrated = changes.into_iter().map(|it| silent(key, it));
                self.writes.extend(migrated);
                self.writes.push(write);
            }
            Err(error) => {
                self.refused = Some((error.kind(), error.to_string()));
                return Err(error);
            }
        }
        Ok(result)
    }

    fn value(&mut self, key: &RecordKey) -> Result<Option<Value>> {
        let rulings = &self.shared.rulings;
        let document = self.document(key)?;
        let loaded = document.loaded();
        if loaded.document.heads().is_empty() {
            return Ok(None);
        }
        let (mut value, is_ahead) = (loaded.document.value()?, loaded.is_ahead());
        if !rulings.is_migrated(key, &value) {
            let mut draft = loaded.document.clone();
            rulings.migrate(key, &mut draft, Way::Forward)?;
            value = draft.value()?;
        }
        self.unsure |= is_ahead;
        Ok(Some(value).filter(|it| !record::is_deleted(it)))
    }

    /// Writes the migration of a record that is in this document.
    pub(super) fn replace(
        &mut self,
        key: &RecordKey,
        draft: Document,
        changes: Vec<Change>,
    ) -> Result<()> {
        check_count(self.writes.len() + changes.len())?;
        let document = self.document(key)?;
        document.changed();
        document.loaded().document = draft;
        let changes = changes.into_iter().map(|it| silent(key, it));
        self.writes.extend(changes);
        Ok(())
    }

    pub(super) const fn shared(&self) -> &'a Shared {
        self.shared
    }

    pub(super) fn document(&mut self, key: &RecordKey) -> Result<&mut CheckedOut<'a>> {
        let entry = self.documents.entry(key.clone());
        match entry {
            std::collections::btree_map::Entry::Occupied(it) => Ok(it.into_mut()),
            std::collections::btree_map::Entry::Vacant(it) => {
                let mut document = self.shared.documents.check_out(key);
                document.refresh(&Rows::new(self.snapshot.as_ref()))?;
                Ok(it.insert(document))
            }
        }
    }
}

const fn changed(change: Option<Change>) -> (bool, Option<Change>) {
    (change.is_some(), change)
}

impl Shared {
    /// Runs a transaction; returns when it is durable as configured.
    pub(super) async fn transaction<R: Send>(
        self: &Arc<Self>,
        mut work: impl FnMut(&mut Transaction<'_>) -> Result<R> + Send,
    ) -> Result<R> {
        let mut attempt = 0;
        loop {
            let permit = self.inbox.reserve().await.map_err(|_gone| closed())?;
            let (submitted, keys) = self.submit_all(permit, &mut work)?;
            let (result, reply) = match submitted {
                Submitted::Nothing(result) => return Ok(result),
                Submitted::Waiting(result, reply) => (result, reply),
            };
            let keys: Vec<_> = keys.iter().collect();
            let Err(error) = self.captured(&keys, reply).await else {
                return Ok(result);
            };
            attempt += 1;
            if !is_worth_repeating(&error, attempt) {
                return Err(error);
            }
        }
    }

    fn submit_all<R>(
        &self,
        permit: mpsc::Permit<'_, Message>,
        work: &mut impl FnMut(&mut Transaction<'_>) -> Result<R>,
    ) -> Result<(Submitted<R>, Vec<RecordKey>)> {
        let _turn = lock(&self.writer);
        let mut transaction = Transaction {
            shared: self,
            snapshot: self.snapshot()?,
            meta: EditMeta::at(self.now().wall),
            documents: BTreeMap::new(),
            writes: Vec::new(),
            unsure: false,
            refused: None,
        };
        // What is changed and not submitted is not kept, whether `work` fails or panics.
        let result = work(&mut transaction)?;
        if let Some((kind, message)) = transaction.refused {
            return Err(Error::new(kind, message));
        }
        if transaction.writes.is_empty() && !transaction.unsure {
            return Ok((Submitted::Nothing(result), Vec::new()));
        }
        let Transaction {
            mut documents,
            writes,
            ..
        } = transaction;
        let keys = documents.keys().cloned().collect();
        let reply: oneshot::Receiver<Reply> = self.capture(permit, self.correlation(), writes);
        documents.values_mut().for_each(CheckedOut::submitted);
        Ok((Submitted::Waiting(result, reply), keys))
    }
}

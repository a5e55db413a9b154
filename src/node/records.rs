//! The untyped door to a collection: JSON, edits by path, and Automerge documents.

use std::sync::Arc;

use serde_json::Value as Json;

use super::Handle;
use super::pieces::not_importable;
use super::shared::Shared;
use super::tasks::run_apart;
use super::watch::{Filter, Watch};
use crate::doc::{self, Document, Edit};
use crate::error::Result;
use crate::id::{ActorId, CollectionId, Heads, RecordId, RecordKey, SpaceId};
use crate::record;
use crate::replica::Admission;

/// A collection of records of any shape. Cheap to clone.
///
/// [`crate::doc::value::json`] says how kinds that JSON lacks are written. Durability and what
/// reads show are as for [`super::Collection`].
#[derive(Clone, Debug)]
pub struct Records {
    handle: Arc<Handle>,
    space: SpaceId,
    name: CollectionId,
    /// Why what is written by this handle is written.
    reason: Option<Arc<str>>,
}

impl Records {
    pub(super) const fn new(handle: Arc<Handle>, space: SpaceId, name: CollectionId) -> Self {
        Self {
            handle,
            space,
            name,
            reason: None,
        }
    }

    /// The same collection; what is written by the handle that this gives says why. The reason goes
    /// with each change, in clear, and everybody sees it who has the record.
    ///
    /// A reason of more than [`limits::CHANGE_MESSAGE_BYTES_MAX`] bytes makes each write fail with
    /// `TooLarge`, and one that begins like the mark of an undo (`undo:` or `redo:` and a hash) with
    /// `InvalidInput`.
    ///
    /// [`limits::CHANGE_MESSAGE_BYTES_MAX`]: crate::limits::CHANGE_MESSAGE_BYTES_MAX
    #[must_use]
    pub fn because(&self, reason: &str) -> Self {
        let reason = Some(Arc::from(reason));
        Self {
            reason,
            ..self.clone()
        }
    }

    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    pub(super) const fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// The space in which the collection is.
    pub const fn space(&self) -> SpaceId {
        self.space
    }

    /// The collection's name.
    pub const fn name(&self) -> &CollectionId {
        &self.name
    }

    /// A record's full name.
    pub fn key(&self, id: RecordId) -> RecordKey {
        RecordKey {
            space: self.space,
            collection: self.name.clone(),
            record: id,
        }
    }

    /// Adds a record under a new id.
    ///
    /// # Errors
    /// As [`Records::put`].
    pub async fn insert(&self, json: &Json) -> Result<RecordId> {
        let id = self.shared().new_record();
        self.put(id, json).await?;
        Ok(id)
    }

    /// Replaces a record by a JSON object, or creates it; `false` if it was equal. Fields that the
    /// object lacks go, what is equal is not written. Where the collection has a contract, strings become
    /// texts, whole numbers counters and lists sets as it says.
    ///
    /// # Errors
    /// `InvalidInput` if `json` is no object or does not fit, `NotFound` if the record is deleted,
    /// `TooLarge` if a field is over its limit, and those of the store.
    pub async fn put(&self, id: RecordId, json: &Json) -> Result<bool> {
        let json = &*self.shared().coerced(&self.key(id), json)?;
        self.change(id, |document, meta| record::put_json(document, meta, json))
            .await
    }

    /// Applies a JSON merge patch (RFC 7396); `false` if it changed nothing.
    ///
    /// # Errors
    /// `InvalidInput` if `patch` is no object or does not fit, `NotFound` if there is no record or
    /// it is deleted, `TooLarge` if a field gets over its limit, and those of the store.
    pub async fn patch(&self, id: RecordId, patch: &Json) -> Result<bool> {
        let patch = &*self.shared().coerced(&self.key(id), patch)?;
        self.change(id, |document, meta| {
            record::edit_json(document, meta, patch)
        })
        .await
    }

    /// Edits a record by paths: the way to the smallest changes, such as one splice of a text.
    /// `work` may run more than once.
    ///
    /// # Errors
    /// What `work` returns, `NotFound` if there is no record or it is deleted, `TooLarge` if the
    /// change is over its limit, and those of the store.
    pub async fn edit<R: Send>(
        &self,
        id: RecordId,
        mut work: impl FnMut(&mut Edit<'_>) -> Result<R> + Send,
    ) -> Result<R> {
        let edit = |document: &mut Document, meta| {
            record::check_present(document)?;
            document.edit(meta, &mut work)
        };
        self.write(id, false, edit).await
    }

    /// Reads a record; `None` if there is none or it is deleted.
    ///
    /// # Errors
    /// `Poisoned` if its document can't be loaded, and those of the store.
    pub async fn get(&self, id: RecordId) -> Result<Option<Json>> {
        let value = self.shared().value(&self.key(id)).await?;
        Ok(value.map(|it| record::read_value(&it).to_json()))
    }

    /// Deletes a record; `false` if it was deleted already.
    ///
    /// # Errors
    /// `NotFound` if there is none, and those of the store.
    pub async fn delete(&self, id: RecordId) -> Result<bool> {
        self.change(id, record::delete).await
    }

    /// Takes a deletion back; `false` if the record is not deleted.
    ///
    /// # Errors
    /// `NotFound` if there is none, and those of the store.
    pub async fn restore(&self, id: RecordId) -> Result<bool> {
        self.change(id, record::restore).await
    }

    async fn change(
        &self,
        id: RecordId,
        mut work: impl FnMut(&mut Document, doc::EditMeta) -> Result<Option<doc::Change>> + Send,
    ) -> Result<bool> {
        let change = |document: &mut _, meta| {
            let change = work(document, meta)?;
            Ok((change.is_some(), change))
        };
        self.write(id, false, change).await
    }

    /// Writes to a record with the handle's reason; `creates` as for [`Shared::edit`].
    pub(super) async fn write<R: Send>(
        &self,
        id: RecordId,
        creates: bool,
        mut work: impl FnMut(&mut Document, doc::EditMeta) -> Result<(R, Option<doc::Change>)> + Send,
    ) -> Result<R> {
        let key = self.key(id);
        let work = |document: &mut _, mut meta: doc::EditMeta| {
            meta.message = self.reason().map(str::to_owned);
            work(document, meta)
        };
        let written = self.shared().edit(&key, creates, work).await;
        written.map_err(|error| error.context(key))
    }

    /// All records that can be read, in order of their ids, deleted ones left out. Costs in
    /// proportion to the collection.
    ///
    /// # Errors
    /// When the store can't be read. Records that can't be loaded are left out; the quarantine
    /// names them.
    pub async fn list(&self) -> Result<Vec<(RecordId, Json)>> {
        let collect = |all: &mut Vec<_>, id, value: Result<doc::Value>| {
            all.extend(value.ok().map(|it| (id, record::read_value(&it).to_json())));
        };
        let collection = (self.space, self.name.clone());
        self.shared().scan(collection, collect, Vec::new()).await
    }

    /// The number of records, deleted ones left out. Reads one row, and the documents of records
    /// that came a moment ago and have no view yet.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn count(&self) -> Result<u64> {
        self.shared().count(self.space, self.name.clone()).await
    }

    /// A record's newest changes: equal on two replicas if and only if they have the same of it.
    /// Empty if there is no record; a deleted one has heads.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn heads(&self, id: RecordId) -> Result<Heads> {
        let (shared, key) = (Arc::clone(self.shared()), self.key(id));
        run_apart(move || Ok(shared.heads(&key)?.unwrap_or_default())).await
    }

    /// A record as a saved Automerge document, with its whole history; `None` if there is none.
    ///
    /// # Errors
    /// `Poisoned` if it can't be loaded, and those of the store.
    pub async fn document(&self, id: RecordId) -> Result<Option<Vec<u8>>> {
        self.shared().document(&self.key(id)).await
    }

    /// Takes all changes of a saved Automerge document into a record, which need not exist; gives
    /// how many were new. Doing it twice changes nothing.
    ///
    /// # Errors
    /// `InvalidInput` or `TooLarge` if it is no document or over a limit: then nothing is taken in.
    /// Changes that contradict the record go into quarantine and are not counted. And those of the
    /// store.
    pub async fn import(&self, id: RecordId, saved: &[u8]) -> Result<usize> {
        let (saved, key) = (saved.to_vec(), self.key(id));
        let nobody = ActorId::of(self.shared().store_id, &key);
        let open = move || match Document::open_saved(&nobody, &saved) {
            Ok((_, changes)) => Ok(changes),
            Err(fault) => Err(not_importable(fault)),
        };
        let changes = run_apart(open).await?;
        let changes = changes.into_iter().map(Ok).collect();
        let fates = self.shared().take_in(key, changes).await?;
        let applied = |it: &&Admission| matches!(it, Admission::Applied(_));
        Ok(fates.iter().filter(applied).count())
    }

    /// Changes of all records from now on.
    ///
    /// # Errors
    /// `TooLarge` when there are too many watches.
    pub fn watch(&self) -> Result<Watch> {
        self.watch_where(None)
    }

    /// Changes of one record from now on, whether it exists or not.
    ///
    /// # Errors
    /// As [`Records::watch`].
    pub fn watch_record(&self, id: RecordId) -> Result<Watch> {
        self.watch_where(Some(id))
    }

    fn watch_where(&self, record: Option<RecordId>) -> Result<Watch> {
        let collection = Some((self.space, self.name.clone()));
        self.shared().watchers.add(Filter { collection, record })
    }
}

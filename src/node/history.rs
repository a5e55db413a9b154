//! The history of a record: its versions, the values and differences of them, undo and redo.

use std::sync::Arc;

use serde_json::Value as Json;

use super::shared::Shared;
use super::tasks::run_apart;
use super::{Collection, Records};
use crate::doc::{Document, Patch, Revisions, Undone, Value, Version};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ChangeHash, Heads, RecordId, RecordKey};
use crate::limits;
use crate::record::{self, Record};
use crate::replica::Rows;

impl Records {
    /// The changes of a record, of a deleted one too, newest first: at most `limit`, and no more than
    /// [`limits::HISTORY_PAGE_MAX`]. The next part begins where [`Revisions::next`] says. Changes
    /// that come from others between two parts may be in none of them.
    ///
    /// ```
    /// use serde_json::json;
    /// use syncline::Node;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> syncline::Result<()> {
    /// let node = Node::builder().open().await?;
    /// let zones = node.records("zones")?;
    /// let id = zones.insert(&json!({"visits": 1})).await?;
    /// zones.because("went there").patch(id, &json!({"visits": 2})).await?;
    ///
    /// let history = zones.history(id, 10, None).await?;
    /// let [newest, oldest] = history.list.as_slice() else {
    ///     panic!("two changes");
    /// };
    /// assert_eq!(newest.reason.as_deref(), Some("went there"));
    /// assert_eq!(newest.parents, [oldest.hash]);
    /// let then = zones.get_at(id, &oldest.hash.into()).await?;
    /// assert_eq!(then, Some(json!({"visits": 1})));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Loads the document and costs in proportion to the number of changes, whatever the limit.
    ///
    /// # Errors
    /// `NotFound` if there is no record, or `before` is not in its history, `Poisoned` if its document
    /// can't be loaded, and those of the store.
    pub async fn history(
        &self,
        id: RecordId,
        limit: usize,
        before: Option<ChangeHash>,
    ) -> Result<Revisions> {
        let limit = limit.min(limits::HISTORY_PAGE_MAX);
        let history = move |document: &Document, heads: &Heads| -> Result<_> {
            check_any(heads)?;
            document.history(heads, limit, before)
        };
        self.past(id, history).await
    }

    /// A record as it was at a version; `None` if there was none then, or it was deleted.
    ///
    /// # Errors
    /// `NotFound` if the record has no such version, `InvalidInput` if a short hash means several,
    /// `Poisoned` if its document can't be loaded, and those of the store.
    pub async fn get_at(&self, id: RecordId, version: &Version) -> Result<Option<Json>> {
        let value = self.value_at(id, version).await?;
        Ok(value.map(|it| record::read_value(&it).to_json()))
    }

    async fn value_at(&self, id: RecordId, version: &Version) -> Result<Option<Value>> {
        let version = version.clone();
        let value_at = move |document: &Document, heads: &Heads| -> Result<_> {
            if heads.is_empty() {
                return Ok(None);
            }
            let heads = document.version(heads, &version)?;
            if heads.is_empty() {
                return Ok(None);
            }
            let value = document.value_at(&heads)?;
            Ok(Some(value).filter(|it| !record::is_deleted(it)))
        };
        self.past(id, value_at).await
    }

    /// What is different in the version `to` from the version `from`, place by place. A deletion is
    /// the entry [`DELETED_KEY`](crate::doc::DELETED_KEY), which holds its time.
    ///
    /// # Errors
    /// As [`Records::get_at`], and `NotFound` if there is no record.
    pub async fn diff(&self, id: RecordId, from: &Version, to: &Version) -> Result<Vec<Patch>> {
        let (from, to) = (from.clone(), to.clone());
        let diff = move |document: &Document, heads: &Heads| -> Result<_> {
            check_any(heads)?;
            let value_at = |version| -> Result<_> {
                let heads = document.version(heads, version)?;
                Ok(document.value_at(&heads)?)
            };
            Ok(Value::diff(&value_at(&from)?, &value_at(&to)?))
        };
        self.past(id, diff).await
    }

    /// Takes back what the newest change that this store made to a record did, if it is not undone
    /// already; `None` if there is none. What others have changed since stays as it is, and is named
    /// in [`Undone::kept`]. One change at a time: changes can't be grouped.
    ///
    /// The undo of a record's creation deletes it, that of a deletion restores it. An undo is a change
    /// like any other: others see it, and what can be undone and redone is the same after a restart.
    ///
    /// ```
    /// use serde_json::json;
    /// use syncline::Node;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> syncline::Result<()> {
    /// let node = Node::builder().open().await?;
    /// let zones = node.records("zones")?;
    /// let id = zones.insert(&json!({"visits": 1})).await?;
    /// zones.patch(id, &json!({"visits": 2})).await?;
    ///
    /// let undone = zones.undo(id).await?;
    /// assert!(undone.is_some_and(|it| it.kept.is_empty()));
    /// assert_eq!(zones.get(id).await?, Some(json!({"visits": 1})));
    /// zones.redo(id).await?;
    /// assert_eq!(zones.get(id).await?, Some(json!({"visits": 2})));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Costs in proportion to the record and to the number of its changes, while no other local edit
    /// is made.
    ///
    /// # Errors
    /// `NotFound` if there is no record, `TooLarge` if a text would be over its limit with what others
    /// have written in it, or a reason is too long, `Poisoned` if the document can't be loaded, and
    /// those of the store.
    pub async fn undo(&self, id: RecordId) -> Result<Option<Undone>> {
        let undo = |document: &mut Document, meta| {
            check_any(&document.heads())?;
            Ok(document.undo(meta)?.unzip())
        };
        self.write(id, false, undo).await
    }

    /// Takes back the newest undo of this store in a record, unless an edit of its own came after it;
    /// `None` if there is none.
    ///
    /// # Errors
    /// As [`Records::undo`].
    pub async fn redo(&self, id: RecordId) -> Result<Option<Undone>> {
        let redo = |document: &mut Document, meta| {
            check_any(&document.heads())?;
            Ok(document.redo(meta)?.unzip())
        };
        self.write(id, false, redo).await
    }

    /// Makes a record what it was at a version, deleted or not, by a new edit; `false` if it is
    /// already. What is equal is not written, so this takes back what others have written since, too.
    ///
    /// # Errors
    /// `NotFound` if there is no record, no such version, or nothing at that time, and as
    /// [`Records::get_at`].
    pub async fn restore_version(&self, id: RecordId, version: &Version) -> Result<bool> {
        let restore = |document: &mut Document, meta| {
            let change = record::restore_version(document, meta, version)?;
            Ok((change.is_some(), change))
        };
        self.write(id, false, restore).await
    }

    /// Reads a record's document, as it is stored, apart from what must not wait. It is empty if
    /// there is no record.
    pub(super) async fn past<R: Send + 'static>(
        &self,
        id: RecordId,
        read: impl FnOnce(&Document, &Heads) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let (shared, key) = (Arc::clone(self.shared()), self.key(id));
        let read = move || {
            let (document, heads) = shared.past(&key)?;
            read(&document, &heads).map_err(|error| error.context(key))
        };
        run_apart(read).await
    }
}

impl<T: Record> Collection<T> {
    /// The changes of a record, newest first.
    ///
    /// # Errors
    /// As [`Records::history`].
    pub async fn history(
        &self,
        id: RecordId,
        limit: usize,
        before: Option<ChangeHash>,
    ) -> Result<Revisions> {
        self.records().history(id, limit, before).await
    }

    /// A record as it was at a version; `None` if there was none then, or it was deleted.
    ///
    /// # Errors
    /// As [`Records::get_at`], and `WrongType` if it did not have the shape of `T` then.
    pub async fn get_at(&self, id: RecordId, version: &Version) -> Result<Option<T>> {
        let value = self.records().value_at(id, version).await?;
        let read = value.map(|it| record::read(&it)).transpose();
        read.map_err(|error| error.context(self.key(id)))
    }

    /// What is different in the version `to` from the version `from`, place by place.
    ///
    /// # Errors
    /// As [`Records::diff`].
    pub async fn diff(&self, id: RecordId, from: &Version, to: &Version) -> Result<Vec<Patch>> {
        self.records().diff(id, from, to).await
    }

    /// Takes back what the newest change that this store made to a record did; see
    /// [`Records::undo`].
    ///
    /// # Errors
    /// As [`Records::undo`].
    pub async fn undo(&self, id: RecordId) -> Result<Option<Undone>> {
        self.records().undo(id).await
    }

    /// Takes back the newest undo of this store in a record; see [`Records::redo`].
    ///
    /// # Errors
    /// As [`Records::undo`].
    pub async fn redo(&self, id: RecordId) -> Result<Option<Undone>> {
        self.records().redo(id).await
    }

    /// Makes a record what it was at a version by a new edit; see [`Records::restore_version`].
    ///
    /// # Errors
    /// As [`Records::restore_version`].
    pub async fn restore_version(&self, id: RecordId, version: &Version) -> Result<bool> {
        self.records().restore_version(id, version).await
    }
}

impl Shared {
    /// A record's document, to be kept, and the heads that are stored of it.
    fn past(&self, key: &RecordKey) -> Result<(Document, Heads)> {
        let snapshot = self.snapshot()?;
        let mut document = self.documents.check_out(key);
        document.refresh(&Rows::new(snapshot.as_ref()))?;
        // A copy, so that nobody who edits the record waits while its history is read.
        let loaded = document.loaded();
        Ok((loaded.document.clone(), loaded.heads.clone()))
    }
}

fn check_any(heads: &Heads) -> Result<()> {
    if heads.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "there is no such record"));
    }
    Ok(())
}

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/history.md")]
mod guide {}

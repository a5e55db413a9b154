//! The typed door to a collection.

use std::marker::PhantomData;
use std::sync::Arc;

use super::records::Records;
use super::shared::Shared;
use super::watch::Watch;
use crate::error::{Error, Result};
use crate::id::{CollectionId, RecordId, RecordKey, SpaceId};
use crate::record::{self, Record};

/// A collection of records of one type. Cheap to clone.
///
/// Writes return once they are durable as the node is configured; reads show everything that any
/// write has returned for. Nothing here needs the network.
pub struct Collection<T> {
    records: Records,
    of: PhantomData<fn() -> T>,
}

/// All records of a collection that could be read, and those that could not.
#[derive(Debug)]
pub struct Listing<T> {
    /// The records in order of their ids, which is the order in which they were made.
    pub records: Vec<(RecordId, T)>,
    /// Records that do not have the shape of `T`, or whose document can't be loaded, with the
    /// reason. They keep nobody from reading the others.
    pub unreadable: Vec<(RecordId, Error)>,
}

impl<T> IntoIterator for Listing<T> {
    type Item = (RecordId, T);
    type IntoIter = std::vec::IntoIter<(RecordId, T)>;

    /// The records that could be read.
    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

impl<T: Record> Collection<T> {
    pub(super) const fn new(records: Records) -> Self {
        let of = PhantomData;
        Self { records, of }
    }

    /// The same collection; what is written by the handle that this gives says why, as
    /// [`Records::because`] explains.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use syncline::Node;
    /// # use syncline::autosurgeon::Reconcile;
    /// # #[derive(Reconcile, Serialize, Deserialize)]
    /// # struct Task {
    /// #     done: bool,
    /// # }
    /// # #[tokio::main]
    /// # async fn main() -> syncline::Result<()> {
    /// # let node = Node::builder().open().await?;
    /// let tasks = node.collection::<Task>("tasks")?;
    /// let id = tasks.insert(&Task { done: false }).await?;
    /// tasks.because("checked by Ana").update(id, |task| task.done = true).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn because(&self, reason: &str) -> Self {
        Self::new(self.records.because(reason))
    }

    /// The collection's name.
    pub fn name(&self) -> &CollectionId {
        self.records.name()
    }

    /// A record's full name.
    pub fn key(&self, id: RecordId) -> RecordKey {
        self.records.key(id)
    }

    /// Adds a record under a new id.
    ///
    /// # Errors
    /// `InvalidInput` if `value` is not a struct or map, `TooLarge` if a field is over its limit,
    /// and those of the store.
    pub async fn insert(&self, value: &T) -> Result<RecordId>
    where
        T: Sync,
    {
        let id = self.shared().new_record();
        self.insert_as(id, value).await?;
        Ok(id)
    }

    /// Adds a record under this id.
    ///
    /// # Errors
    /// `AlreadyExists`, also for a deleted record, and as [`Collection::insert`].
    pub async fn insert_as(&self, id: RecordId, value: &T) -> Result<()>
    where
        T: Sync,
    {
        let create = |document: &mut _, meta| {
            let change = record::create(document, meta, value)?;
            Ok(((), Some(change)))
        };
        self.records.write(id, true, create).await
    }

    /// Reads a record; `None` if there is none or it is deleted.
    ///
    /// # Errors
    /// `WrongType` if it does not have the shape of `T`, `Breach` if it breaks its contract,
    /// `ContractTooNew` if this program may not read it, `Poisoned` if its document can't be loaded,
    /// and those of the store.
    pub async fn get(&self, id: RecordId) -> Result<Option<T>> {
        let key = self.key(id);
        let Some(value) = self.shared().value(&key).await? else {
            return Ok(None);
        };
        self.shared()
            .read_as(&key, value)
            .map(Some)
            .map_err(|error| error.context(key))
    }

    /// Reads a record, lets `work` change it, and writes what is different: a change of one field
    /// writes that field only, and equal values write nothing. `work` may run more than once.
    ///
    /// # Errors
    /// `NotFound` if there is no record or it is deleted, `WrongType` if it does not have the
    /// shape of `T`, `TooLarge` if a field gets over its limit, and those of the store.
    pub async fn update<R: Send>(
        &self,
        id: RecordId,
        mut work: impl FnMut(&mut T) -> R + Send,
    ) -> Result<R> {
        let update = |document: &mut _, meta| record::update(document, meta, &mut work);
        self.records.write(id, false, update).await
    }

    /// Deletes a record; `false` if it was deleted already. Its history stays, and
    /// [`Collection::restore`] brings it back. An edit elsewhere does not.
    ///
    /// # Errors
    /// `NotFound` if there is none, and those of the store.
    pub async fn delete(&self, id: RecordId) -> Result<bool> {
        self.records.delete(id).await
    }

    /// Takes a deletion back; `false` if the record is not deleted.
    ///
    /// # Errors
    /// `NotFound` if there is none, and those of the store.
    pub async fn restore(&self, id: RecordId) -> Result<bool> {
        self.records.restore(id).await
    }

    /// All records, deleted ones left out. Costs in proportion to the collection.
    ///
    /// # Errors
    /// When the store can't be read. A record that can't be is in [`Listing::unreadable`].
    pub async fn list(&self) -> Result<Listing<T>>
    where
        T: Send + 'static,
    {
        let empty = Listing {
            records: Vec::new(),
            unreadable: Vec::new(),
        };
        let (shared, records) = (Arc::clone(self.shared()), self.records.clone());
        let sort = move |listing: &mut Listing<T>, id, value: Result<_>| match value
            .and_then(|it| shared.read_as(&records.key(id), it))
        {
            Ok(record) => listing.records.push((id, record)),
            Err(error) => listing.unreadable.push((id, error)),
        };
        let collection = (self.space(), self.name().clone());
        self.shared().scan(collection, sort, empty).await
    }

    /// The number of records, deleted ones left out. Reads one row, and the documents of records
    /// that came a moment ago and have no view yet.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn count(&self) -> Result<u64> {
        self.records.count().await
    }

    /// Changes of all records from now on.
    ///
    /// # Errors
    /// `TooLarge` when there are too many watches.
    pub fn watch(&self) -> Result<Watch> {
        self.records.watch()
    }

    /// Changes of one record from now on, whether it exists or not.
    ///
    /// # Errors
    /// As [`Collection::watch`].
    pub fn watch_record(&self, id: RecordId) -> Result<Watch> {
        self.records.watch_record(id)
    }

    /// The same records as JSON.
    pub fn untyped(&self) -> Records {
        self.records.clone()
    }

    pub(super) const fn records(&self) -> &Records {
        &self.records
    }

    const fn space(&self) -> SpaceId {
        self.records.space()
    }

    fn shared(&self) -> &Arc<Shared> {
        self.records.shared()
    }
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        let of = PhantomData;
        let records = self.records.clone();
        Self { records, of }
    }
}

impl<T> std::fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Collection")
            .field(self.records.name())
            .finish()
    }
}

//! Reads: from views where they are up to date, from the document where not.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::shared::Shared;
use super::tasks::run_apart;
use crate::doc::Value;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CollectionId, Heads, RecordId, RecordKey, SpaceId};
use crate::record;
use crate::replica::Rows;

/// How a record's value can be had.
enum Found {
    Nothing,
    Value(Value),
    /// The view is missing or behind.
    Document,
}

impl Shared {
    /// A record's value with all that is committed in it; `None` if there is none or it is deleted.
    pub(super) async fn value(self: &Arc<Self>, key: &RecordKey) -> Result<Option<Value>> {
        let value = match self.find(key)? {
            Found::Nothing => return Ok(None),
            Found::Value(value) => value,
            Found::Document => self.value_of_document(key).await?,
        };
        Ok(Some(value).filter(|it| !record::is_deleted(it)))
    }

    fn find(&self, key: &RecordKey) -> Result<Found> {
        let snapshot = self.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let Some(slot) = rows.slot(key)? else {
            return Ok(Found::Nothing);
        };
        let Some(header) = rows.header(slot)? else {
            return Ok(Found::Nothing);
        };
        match rows.view(slot)? {
            Some(view) if view.is_current(header.changes, self.rulings.tag(key)) => {
                let value = decode(&view.value)?;
                if self.rulings.is_migrated(key, &value) {
                    Ok(Found::Value(value))
                } else {
                    Ok(Found::Document)
                }
            }
            Some(_) | None => Ok(Found::Document),
        }
    }

    async fn value_of_document(self: &Arc<Self>, key: &RecordKey) -> Result<Value> {
        let (shared, key) = (Arc::clone(self), key.clone());
        run_apart(move || {
            let snapshot = shared.snapshot()?;
            let rows = Rows::new(snapshot.as_ref());
            shared.documents.check_out(&key).stored_value(&rows)
        })
        .await
    }

    /// A record's heads, of a deleted one too.
    pub(super) fn heads(&self, key: &RecordKey) -> Result<Option<Heads>> {
        let snapshot = self.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let Some(slot) = rows.slot(key)? else {
            return Ok(None);
        };
        Ok(rows.header(slot)?.map(|it| it.shown()))
    }

    /// All values of a collection in order of their ids, deleted ones left out, handed to `visit`
    /// on a thread of its own. A record whose document can't be loaded comes as its error.
    pub(super) async fn scan<T: Send + 'static>(
        self: &Arc<Self>,
        (space, collection): (SpaceId, CollectionId),
        mut visit: impl FnMut(&mut T, RecordId, Result<Value>) + Send + 'static,
        mut into: T,
    ) -> Result<T> {
        let shared = Arc::clone(self);
        run_apart(move || {
            let mut visit = |id, value: Result<Value>| match value {
                Ok(value) if record::is_deleted(&value) => {}
                value => visit(&mut into, id, value),
            };
            shared.scan_all((space, collection), &mut visit)?;
            Ok(into)
        })
        .await
    }

    /// The number of records of a collection, deleted ones left out: one row, and the documents of
    /// those whose view is missing or behind.
    pub(super) async fn count(
        self: &Arc<Self>,
        space: SpaceId,
        collection: CollectionId,
    ) -> Result<u64> {
        let shared = Arc::clone(self);
        run_apart(move || shared.count_all(space, &collection)).await
    }

    fn count_all(&self, space: SpaceId, collection: &CollectionId) -> Result<u64> {
        let snapshot = self.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let Some(number) = rows.number(space, Some(collection))? else {
            return Ok(0);
        };
        let mut count = rows.shown_records(number)?;
        for record in rows.stale_records(number)? {
            let key = RecordKey {
                space,
                collection: collection.clone(),
                record,
            };
            let Some(slot) = rows.slot(&key)? else {
                continue;
            };
            let is_live = |it: Value| !record::is_deleted(&it);
            let before = rows.view(slot)?.map(|it| decode(&it.value)).transpose()?;
            let now = self.documents.check_out(&key).stored_value(&rows);
            count -= u64::from(before.is_some_and(is_live)).min(count);
            // One that can't be loaded is there all the same.
            count += u64::from(now.map_or(true, is_live));
        }
        Ok(count)
    }

    pub(super) fn scan_all(
        &self,
        (space, collection): (SpaceId, CollectionId),
        visit: &mut dyn FnMut(RecordId, Result<Value>),
    ) -> Result<()> {
        let snapshot = self.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let Some(number) = rows.number(space, Some(&collection))? else {
            return Ok(());
        };
        let tag = self.rulings.tag_of(space, &collection);
        let is_migrated = self.rulings.migrated(space, &collection);
        // Where the view is missing or behind, or shows conflicts by other policies.
        let value = |record| {
            let collection = collection.clone();
            let key = RecordKey {
                space,
                collection,
                record,
            };
            self.documents.check_out(&key).stored_value(&rows)
        };
        let mut stale: BTreeSet<_> = rows.stale_records(number)?.into_iter().collect();
        rows.views(number, &mut |id, view| {
            // Records without a view stand between those that have one.
            while let Some(first) = stale.first().copied().filter(|it| *it < id) {
                stale.remove(&first);
                visit(first, value(first));
            }
            let shown = decode(&view.value);
            let is_stale = stale.remove(&id) || !view.is_current(view.changes, tag);
            let is_old = || shown.as_ref().is_ok_and(|it| !is_migrated(it));
            if is_stale || is_old() {
                visit(id, value(id));
            } else {
                visit(id, shown);
            }
            ControlFlow::Continue(())
        })?;
        for id in stale {
            visit(id, value(id));
        }
        Ok(())
    }

    /// The saved document of a record, of a deleted one too.
    pub(super) async fn document(self: &Arc<Self>, key: &RecordKey) -> Result<Option<Vec<u8>>> {
        if self.heads(key)?.is_none() {
            return Ok(None);
        }
        let (shared, key) = (Arc::clone(self), key.clone());
        run_apart(move || {
            let snapshot = shared.snapshot()?;
            let rows = Rows::new(snapshot.as_ref());
            let actor = crate::id::ActorId::of(shared.store_id, &key);
            let loaded = crate::replica::documents::Loaded::open(&rows, &key, &actor)?;
            loaded.document.save().map(Some).map_err(Error::from)
        })
        .await
    }
}

impl Shared {
    /// A record's value as a `T`, with what its contract fills in, if it keeps that.
    pub(super) fn read_as<T: DeserializeOwned>(
        &self,
        key: &RecordKey,
        mut value: Value,
    ) -> Result<T> {
        let ruling = self.rulings.of(key.space, &key.collection);
        if let Some(ruling) = &ruling {
            ruling.check_readable()?;
            if let Some(breach) = self.rulings.breach(key, &value) {
                let message = format!("the record breaks its contract: {breach}");
                return Err(Error::new(ErrorKind::Breach, message));
            }
            if let Some(contract) = ruling.contract() {
                contract.defaults(&mut value);
            }
        }
        record::read(&value)
    }
}

pub(super) fn decode(value: &[u8]) -> Result<Value> {
    Value::from_bytes(value).map_err(|error| {
        let message = format!("a view is damaged: {error}; restore a backup");
        Error::new(ErrorKind::StoreCorrupt, message)
    })
}

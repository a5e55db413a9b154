//! Reads: from views where they are up to date, from the document where not.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::time::sleep;

use super::documents::LOOK_AGAIN;
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
    /// The view is behind, and nothing local is under way.
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
            Some(view) if view.changes == header.changes => decode(&view.value).map(Found::Value),
            Some(_) | None => Ok(Found::Document),
        }
    }

    async fn value_of_document(self: &Arc<Self>, key: &RecordKey) -> Result<Value> {
        loop {
            let (shared, record) = (Arc::clone(self), key.clone());
            match run_apart(move || shared.committed_value(&record)).await? {
                Some(value) => return Ok(value),
                // The view comes with the commit that is under way.
                None => sleep(LOOK_AGAIN).await,
            }
            if let Found::Value(value) = self.find(key)? {
                return Ok(value);
            }
        }
    }

    fn committed_value(&self, key: &RecordKey) -> Result<Option<Value>> {
        let snapshot = self.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        self.documents.check_out(key).committed_value(&rows)
    }

    /// A record's heads, of a deleted one too.
    pub(super) fn heads(&self, key: &RecordKey) -> Result<Option<Heads>> {
        let snapshot = self.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let Some(slot) = rows.slot(key)? else {
            return Ok(None);
        };
        Ok(rows.header(slot)?.map(|it| it.hashes()))
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

    fn scan_all(
        &self,
        (space, collection): (SpaceId, CollectionId),
        visit: &mut dyn FnMut(RecordId, Result<Value>),
    ) -> Result<()> {
        let snapshot = self.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let Some(number) = rows.number(space, Some(&collection))? else {
            return Ok(());
        };
        let key = |record| RecordKey {
            space,
            collection: collection.clone(),
            record,
        };
        let mut stale: BTreeSet<_> = rows.stale_records(number)?.into_iter().collect();
        rows.views(number, &mut |id, view| {
            // Records without a view stand between those that have one.
            while let Some(first) = stale.first().copied().filter(|it| *it < id) {
                stale.remove(&first);
                visit(first, self.value_behind_view(&rows, &key(first)));
            }
            if stale.remove(&id) {
                visit(id, self.value_behind_view(&rows, &key(id)));
            } else {
                visit(id, decode(&view.value));
            }
            ControlFlow::Continue(())
        })?;
        for id in stale {
            visit(id, self.value_behind_view(&rows, &key(id)));
        }
        Ok(())
    }

    /// A record's value as the snapshot has it, though its view is behind.
    fn value_behind_view(&self, rows: &Rows<'_>, key: &RecordKey) -> Result<Value> {
        let mut document = self.documents.check_out(key);
        if let Some(value) = document.committed_value(rows)? {
            return Ok(value);
        }
        drop(document);
        // Local changes are under way in it: load another one rather than wait.
        let actor = crate::id::ActorId::of(self.store_id, key);
        let loaded = crate::replica::documents::Loaded::open(rows, key, &actor)?;
        loaded.document.value().map_err(Error::from)
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

fn decode(value: &[u8]) -> Result<Value> {
    Value::from_bytes(value).map_err(|error| {
        let message = format!("a view is damaged: {error}; restore a backup");
        Error::new(ErrorKind::StoreCorrupt, message)
    })
}

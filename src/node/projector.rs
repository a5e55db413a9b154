//! Brings views up to their record's heads, off the engine's thread.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;

use super::documents::LOOK_AGAIN;
use super::shared::Shared;
use super::tasks::run_apart;
use crate::engine::Event;
use crate::error::{ErrorKind, Result};
use crate::id::RecordKey;
use crate::limits;
use crate::replica::{Projection, Rows};
use crate::telemetry::names;

/// Starts the projector; it ends with the sender.
pub(super) fn start(shared: &Arc<Shared>) -> mpsc::Sender<RecordKey> {
    // The engine hands out no more at a time.
    let (keys, mut wanted) = mpsc::channel(limits::PROJECTIONS_MAX);
    let tasks = &shared.tasks;
    let shared = Arc::clone(shared);
    let workers = Arc::new(Semaphore::new(limits::PROJECTORS));
    tasks.spawn(async move {
        while let Some(key) = wanted.recv().await {
            let Ok(permit) = Arc::clone(&workers).acquire_owned().await else {
                return;
            };
            let worker = Arc::clone(&shared);
            shared.tasks.spawn(async move {
                project(&worker, key).await;
                drop(permit);
            });
        }
    });
    keys
}

/// Projects one record, once nothing local is under way in its document.
async fn project(shared: &Arc<Shared>, key: RecordKey) {
    let projection = loop {
        let (worker, record) = (Arc::clone(shared), key.clone());
        match run_apart(move || make(&worker, record)).await {
            Ok(Some(projection)) => break projection,
            Ok(None) => sleep(LOOK_AGAIN).await,
            Err(error) => {
                // The store can't be read, or is closed: the view stays behind, as the store says.
                tracing::warn!(record = %key, %error, "could not make a view");
                return;
            }
        }
    };
    drop(shared.tell(Event::Projected(projection)).await);
}

/// The view of a record as the store has it; `None` while local changes are under way.
fn make(shared: &Shared, key: RecordKey) -> Result<Option<Projection>> {
    let span = tracing::debug_span!(names::span::PROJECT, record = %key);
    let _entered = span.entered();
    let snapshot = shared.snapshot()?;
    let rows = Rows::new(snapshot.as_ref());
    let mut document = shared.documents.check_out(&key);
    metrics::counter!(names::DOCUMENTS_LOADED, names::label::CAUSE => "view").increment(1);
    let value = match document.committed_value(&rows) {
        Ok(Some(value)) => Ok(value.to_bytes()),
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::Poisoned => Err(error.to_string()),
        Err(error) => return Err(error),
    };
    let loaded = document.loaded();
    let (mut heads, mut changes) = (loaded.heads.clone(), loaded.changes());
    if value.is_err() {
        // What could not be loaded is what the store has.
        document.discard();
        if let Some(header) = rows
            .slot(&key)?
            .map(|it| rows.header(it))
            .transpose()?
            .flatten()
        {
            (heads, changes) = (header.hashes(), header.changes);
        }
    }
    Ok(Some(Projection {
        key,
        heads,
        changes,
        value,
    }))
}

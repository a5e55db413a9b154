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

/// Records that one worker takes at a time.
const RECORDS: usize = limits::PROJECTIONS_MAX / limits::PROJECTORS / 2;

/// Starts the projector; it ends with the sender.
pub(super) fn start(shared: &Arc<Shared>) -> mpsc::Sender<RecordKey> {
    // The engine hands out no more at a time.
    let (keys, mut wanted) = mpsc::channel(limits::PROJECTIONS_MAX);
    let tasks = &shared.tasks;
    let shared = Arc::clone(shared);
    let workers = Arc::new(Semaphore::new(limits::PROJECTORS));
    tasks.spawn(async move {
        let mut keys = Vec::new();
        while wanted.recv_many(&mut keys, RECORDS).await > 0 {
            let Ok(permit) = Arc::clone(&workers).acquire_owned().await else {
                return;
            };
            let worker = Arc::clone(&shared);
            let keys = std::mem::take(&mut keys);
            shared.tasks.spawn(async move {
                project(&worker, keys).await;
                drop(permit);
            });
        }
    });
    keys
}

/// Projects records, each once nothing local is under way in its document.
async fn project(shared: &Arc<Shared>, mut keys: Vec<RecordKey>) {
    while !keys.is_empty() {
        let worker = Arc::clone(shared);
        let work = move || make_all(&worker, keys);
        let Ok((made, busy)) = run_apart(work).await else {
            return;
        };
        for projection in made {
            if shared.tell(Event::Projected(projection)).await.is_err() {
                return;
            }
        }
        if !busy.is_empty() {
            sleep(LOOK_AGAIN).await;
        }
        keys = busy;
    }
}

/// The views of records as the store has them, and those records in which local changes are under
/// way.
fn make_all(shared: &Shared, keys: Vec<RecordKey>) -> Result<(Vec<Projection>, Vec<RecordKey>)> {
    let snapshot = shared.snapshot()?;
    let rows = Rows::new(snapshot.as_ref());
    let (mut made, mut busy) = (Vec::with_capacity(keys.len()), Vec::new());
    for key in keys {
        match make(shared, &rows, &key) {
            Ok(Some(projection)) => made.push(projection),
            Ok(None) => busy.push(key),
            // The store can't be read: the view stays behind, as the store says.
            Err(error) => tracing::warn!(record = %key, %error, "could not make a view"),
        }
    }
    Ok((made, busy))
}

/// The view of a record; `None` while local changes are under way.
fn make(shared: &Shared, rows: &Rows<'_>, key: &RecordKey) -> Result<Option<Projection>> {
    let span = tracing::debug_span!(names::span::PROJECT, record = %key);
    let _entered = span.entered();
    let mut document = shared.documents.check_out(key);
    metrics::counter!(names::DOCUMENTS_LOADED, names::label::CAUSE => "view").increment(1);
    let value = match document.committed_value(rows) {
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
        let slot = rows.slot(key)?;
        let header = slot.map(|it| rows.header(it)).transpose()?.flatten();
        if let Some(header) = header {
            (heads, changes) = (header.hashes(), header.changes);
        }
    }
    Ok(Some(Projection {
        key: key.clone(),
        heads,
        changes,
        value,
    }))
}

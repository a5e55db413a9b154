//! Makes snapshots of records, off the engine's thread and one at a time: compaction is never in a
//! hurry.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::shared::Shared;
use super::tasks::run_apart;
use crate::engine::Event;
use crate::error::Result;
use crate::id::{Lsn, RecordKey};
use crate::limits;
use crate::replica::{Folding, Rows, Which, fold};
use crate::telemetry::names;

/// A record to be folded, up to where in the log, and why.
pub(super) type Wanted = (RecordKey, Lsn, Which);

/// Records that are folded from one snapshot of the store. Their events share a commit.
const RECORDS: usize = 16;

/// Starts the folder; it ends with the sender.
pub(super) fn start(shared: &Arc<Shared>) -> mpsc::Sender<Wanted> {
    // The engine hands out no more at a time.
    let (keys, mut wanted) = mpsc::channel(limits::FOLDS_MAX);
    let worker = Arc::clone(shared);
    shared.tasks.spawn(async move {
        let mut some = Vec::new();
        while wanted.recv_many(&mut some, RECORDS).await > 0 {
            fold_some(&worker, std::mem::take(&mut some)).await;
        }
    });
    keys
}

async fn fold_some(shared: &Arc<Shared>, wanted: Vec<Wanted>) {
    let worker = Arc::clone(shared);
    let all = wanted.clone();
    let made = run_apart(move || make_all(&worker, &all)).await;
    let made = made.unwrap_or_else(|error| {
        tracing::warn!(%error, "could not fold records");
        let not_yet = |(key, _, _)| Event::Folded(key, Folding::NotYet);
        wanted.into_iter().map(not_yet).collect()
    });
    for event in made {
        if shared.tell(event).await.is_err() {
            return;
        }
    }
}

fn make_all(shared: &Shared, wanted: &[Wanted]) -> Result<Vec<Event>> {
    let snapshot = shared.snapshot()?;
    let rows = Rows::new(snapshot.as_ref());
    let made = wanted.iter().map(|(key, upto, which)| {
        let span = tracing::debug_span!(names::span::FOLD, record = %key);
        let _entered = span.entered();
        let folding = fold::fold(&rows, key, *upto, *which).unwrap_or_else(|error| {
            tracing::warn!(record = %key, %error, "could not fold a record");
            Folding::NotYet
        });
        Event::Folded(key.clone(), folding)
    });
    Ok(made.collect())
}

//! Makes whole graphs of folded records again, off the engine's thread and one at a time: each takes
//! memory in proportion to its record.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::shared::Shared;
use super::tasks::run_apart;
use crate::engine::Event;
use crate::id::RecordKey;
use crate::limits;
use crate::replica::{Rows, unfold};
use crate::telemetry::names;

/// Starts the worker; it ends with the sender.
pub(super) fn start(shared: &Arc<Shared>) -> mpsc::Sender<RecordKey> {
    // A link waits for one record at a time.
    let (keys, mut wanted) = mpsc::channel::<RecordKey>(limits::LINKS_MAX);
    let worker = Arc::clone(shared);
    shared.tasks.spawn(async move {
        while let Some(key) = wanted.recv().await {
            let shared = Arc::clone(&worker);
            let of = key.clone();
            let made = run_apart(move || {
                let span = tracing::debug_span!(names::span::UNFOLD, record = %of);
                let _entered = span.entered();
                let snapshot = shared.snapshot()?;
                unfold(&Rows::new(snapshot.as_ref()), &of)
            });
            let made = made.await.unwrap_or_else(|error| {
                tracing::warn!(record = %key, %error, "could not make a graph");
                None
            });
            if worker.tell(Event::Unfolded(key, made)).await.is_err() {
                return;
            }
        }
    });
    keys
}

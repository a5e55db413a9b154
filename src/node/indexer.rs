//! Has the indexes made that contracts declare: one task, a small step at a time.

use std::sync::Arc;

use super::shared::{Shared, mismatched};
use crate::engine::{Event, Reply, WantedIndexes};
use crate::error::{ErrorKind, Result};

/// Starts the task; it ends with the engine.
pub(super) fn start(shared: &Arc<Shared>) {
    let worker = Arc::clone(shared);
    shared.tasks.spawn(async move {
        let mut is_first = true;
        loop {
            if !std::mem::take(&mut is_first) {
                tokio::select! {
                    () = worker.rulings.changed() => {}
                    () = worker.until_stopped() => return,
                }
            }
            match make(&worker).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Closed => return,
                Err(error) => tracing::warn!(%error, "could not go on with indexes"),
            }
        }
    });
}

/// Tells the engine what contracts declare, and has all of it built.
async fn make(shared: &Shared) -> Result<()> {
    for wanted in shared.rulings.indexes() {
        step(shared, Some(wanted)).await?;
    }
    // Edits and whatever else waits come between the steps.
    while step(shared, None).await? {}
    Ok(())
}

async fn step(shared: &Shared, wanted: Option<WantedIndexes>) -> Result<bool> {
    let step = |ticket| Event::Index { ticket, wanted };
    match shared.ask(step).await? {
        Reply::Indexed(worked) => worked,
        Reply::Blob(_)
        | Reply::Captured(_)
        | Reply::Imported(_)
        | Reply::Delivered(_)
        | Reply::Status(_)
        | Reply::Compacted(_)
        | Reply::Quarantined(_) => Err(mismatched()),
    }
}

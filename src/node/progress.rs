//! How a node gets into step with its peers, as it happens.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Handle;
use crate::engine::{Event, Reply, Status};
use crate::error::Result;
use crate::session::CatchUp;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How far a node is with all linked peers and spaces together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What has come of what the peers had when they were linked; [`CatchUp::left`] says how long the
    /// rest will take.
    pub received: CatchUp,
    /// Changes that peers have not acknowledged yet.
    pub unacknowledged: u64,
    /// Records that are to be sent, or were asked for, beside those.
    pub pending_records: u64,
}

/// Progress as it happens, see [`Node::progress`](super::Node::progress).
#[derive(Debug)]
pub struct ProgressEvents {
    node: Arc<Handle>,
    last: Option<Progress>,
    quiet_looks: u32,
}

impl ProgressEvents {
    pub(super) const fn new(node: Arc<Handle>) -> Self {
        Self {
            node,
            last: None,
            quiet_looks: 0,
        }
    }

    /// The next progress that differs from the last one, at most ten times a second; `None` once the
    /// node is in step with every linked peer, as [`Node::synced`](super::Node::synced) means it.
    ///
    /// # Errors
    /// `Closed` if the node is shut down.
    pub async fn next(&mut self) -> Result<Option<Progress>> {
        loop {
            let Reply::Status(status) = self.node.shared.ask(Event::Status).await? else {
                return Err(super::shared::mismatched());
            };
            let progress = Progress::of(&status);
            if self.last.replace(progress) != Some(progress) && !status.links.is_empty() {
                self.quiet_looks = 0;
                return Ok(Some(progress));
            }
            // What one look finds committed may be asked to be projected only after it.
            self.quiet_looks = if status.is_synced() {
                self.quiet_looks + 1
            } else {
                0
            };
            if self.quiet_looks > 1 {
                return Ok(None);
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

impl Progress {
    fn of(status: &Status) -> Self {
        let mut progress = Self::default();
        let spaces = status.links.iter().flat_map(|it| &it.spaces);
        for (space, backlog) in spaces.filter(|it| it.0.active) {
            progress.received = progress.received.and(space.catch_up);
            progress.unacknowledged = progress.unacknowledged.saturating_add(*backlog);
            let pending = u64::try_from(space.pending_records).unwrap_or(u64::MAX);
            progress.pending_records = progress.pending_records.saturating_add(pending);
        }
        progress
    }
}

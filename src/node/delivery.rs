//! Waiting until others hold a record.

use std::sync::Arc;

use super::Handle;
use super::shared::{Shared, mismatched};
use crate::engine::{Event, Reply, Target, Ticket};
use crate::error::Result;
use crate::id::{RecordKey, ReplicaId};

/// A record whose delivery can be waited for: all that is committed of it when the wait begins.
///
/// Peers acknowledge what is durable with them, and the acknowledgements of those that are away
/// are remembered. A wait has no end of its own while no such peer turns up; put
/// `tokio::time::timeout` around it.
#[derive(Clone, Debug)]
pub struct Delivery {
    handle: Arc<Handle>,
    key: RecordKey,
}

/// A wait that is forgotten by the engine when its caller gives up.
pub(super) struct Asked<'a>(pub &'a Arc<Shared>, pub Option<Ticket>);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.1 {
            let shared = Arc::clone(self.0);
            let forget = async move { shared.tell(Event::Forget(ticket)).await };
            // Once the node is shut down nothing is left to be forgotten.
            self.0.tasks.spawn(async move { drop(forget.await) });
        }
    }
}

impl Delivery {
    pub(super) const fn new(handle: Arc<Handle>, key: RecordKey) -> Self {
        Self { handle, key }
    }

    /// Until this peer holds the record.
    ///
    /// # Errors
    /// `NotFound` if there is no such record, `TooLarge` if too many wait, `Closed` if the node
    /// shuts down first.
    pub async fn to(&self, replica: ReplicaId) -> Result<()> {
        self.wait(Target::Replica(replica)).await
    }

    /// Until any `count` other stores hold the record.
    ///
    /// # Errors
    /// As [`Delivery::to`].
    pub async fn to_stores(&self, count: usize) -> Result<()> {
        self.wait(Target::Stores(count)).await
    }

    async fn wait(&self, target: Target) -> Result<()> {
        let shared = &self.handle.shared;
        let key = self.key.clone();
        let mut asked = Asked(shared, None);
        let ticket = &mut asked.1;
        let question = |given| {
            *ticket = Some(given);
            Event::Await {
                ticket: given,
                key,
                target,
            }
        };
        let reply = shared.ask(question).await?;
        asked.1 = None;
        match reply {
            Reply::Delivered(delivered) => delivered,
            Reply::Captured(_)
            | Reply::Imported(_)
            | Reply::Status(_)
            | Reply::Compacted(_)
            | Reply::Blob(_)
            | Reply::Indexed(_)
            | Reply::Quarantined(_) => Err(mismatched()),
        }
    }
}

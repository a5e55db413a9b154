//! What all handles and tasks of one node share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::documents::Documents;
use super::driver::Message;
use super::presence::Presences;
use super::rulings::Rulings;
use super::snapshots::{Reading, Snapshots};
use super::tasks::Tasks;
use super::watch::Watchers;
use crate::engine::{Event, LinkId, Reply, Ticket};
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CorrelationId, RecordId, ReplicaId, SpaceId, StoreId};
use crate::store::Store;
use crate::time::{Clock, Now, SystemClock};
use crate::transport::Connector;

/// Everything but the engine, which has a thread of its own.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) replica: ReplicaId,
    pub(super) store_id: StoreId,
    pub(super) space: SpaceId,
    pub(super) tasks: Tasks,
    /// Largest attachment that may be put, in bytes.
    pub(super) blob_bytes_max: u64,
    pub(super) connectors: Vec<Arc<dyn Connector>>,
    pub(super) clock: SystemClock,
    pub(super) inbox: mpsc::Sender<Message>,
    /// Room for frames that were read and not yet handled by the engine, in kilobytes.
    pub(super) inbound: Arc<Semaphore>,
    /// Room for changes in snapshots that were read and not yet handled by the engine.
    pub(super) unfolding: Arc<Semaphore>,
    /// Views that may be made at the same time.
    pub(super) projectors: Arc<Semaphore>,
    pub(super) documents: Documents,
    pub(super) rulings: Arc<Rulings>,
    pub(super) watchers: Watchers,
    pub(super) presences: Presences,
    /// Clients of automerge-repo, if any are served.
    #[cfg(feature = "automerge-repo")]
    pub(super) repo: Option<Arc<super::repo::RepoShared>>,
    pub(super) traffic: Counters,
    /// Local edits are made and submitted one after the other, so that the engine gets them in the
    /// order of their sequence numbers.
    pub(super) writer: Mutex<()>,
    /// Whether the engine has stopped.
    pub(super) stopped: watch::Sender<bool>,
    /// None once the engine has stopped.
    pub(super) store: RwLock<Option<Arc<dyn Store>>>,
    pub(super) snapshots: Arc<Snapshots>,
    pub(super) entropy: Mutex<Entropy>,
    /// The last of tickets and links.
    pub(super) numbers: AtomicU64,
}

/// Frames and bytes that went over links.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent_bytes: AtomicU64,
    pub(super) received_bytes: AtomicU64,
    pub(super) sent_frames: AtomicU64,
    pub(super) received_frames: AtomicU64,
}

impl Shared {
    pub(super) fn now(&self) -> Now {
        self.clock.read()
    }

    pub(super) fn new_record(&self) -> RecordId {
        RecordId::new(self.now().wall, &mut lock(&self.entropy))
    }

    pub(super) fn correlation(&self) -> CorrelationId {
        // 0 is none.
        CorrelationId(lock(&self.entropy).number().max(1))
    }

    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn new_link(&self) -> LinkId {
        LinkId(self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// What is committed now.
    pub(super) fn snapshot(&self) -> Result<Reading> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        match store.as_ref() {
            Some(store) => Ok(self.snapshots.read(store.as_ref(), self.tasks.running())?),
            None => Err(closed()),
        }
    }

    /// Lets go of the store: the engine is done with it.
    pub(super) fn close(&self) {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        self.snapshots.renew();
        drop(store.take());
        drop(store);
        self.documents.clear();
        self.watchers.close();
        self.presences.close();
        self.stopped.send_replace(true);
    }

    /// Ends once the engine has stopped.
    pub(super) async fn until_stopped(&self) {
        let mut stopped = self.stopped.subscribe();
        // The sender lives as long as we do.
        drop(stopped.wait_for(|it| *it).await);
    }

    /// Tells the engine something.
    pub(super) async fn tell(&self, event: Event) -> Result<()> {
        let sent = self.inbox.send(Message::Event(event)).await;
        sent.map_err(|_gone| closed())
    }

    /// Asks the engine something.
    pub(super) async fn ask(&self, question: impl FnOnce(Ticket) -> Event) -> Result<Reply> {
        let ticket = self.ticket();
        let (answer, reply) = oneshot::channel();
        let message = Message::Ask(question(ticket), ticket, answer);
        self.inbox.send(message).await.map_err(|_gone| closed())?;
        reply.await.map_err(|_gone| closed())
    }
}

/// A lock whose holder panicked protects data that is whole all the same: nothing here is left
/// half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the node is shut down")
}

/// An answer that does not fit its question: a mistake of this library.
pub(super) fn mismatched() -> Error {
    Error::new(
        ErrorKind::Closed,
        "the engine gave an answer of another kind",
    )
}

//! The shell that applications use: a replica with tasks, sockets and the real clock.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use syncline::Node;
//! use syncline::autosurgeon::Reconcile;
//!
//! #[derive(Debug, Reconcile, Serialize, Deserialize)]
//! struct Task {
//!     title: String,
//!     done: bool,
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), syncline::Error> {
//! let node = Node::builder().open().await?;
//! let tasks = node.collection::<Task>("tasks")?;
//! let id = tasks.insert(&Task { title: "water the plants".into(), done: false }).await?;
//! tasks.update(id, |task| task.done = true).await?;
//! assert!(tasks.get(id).await?.is_some_and(|task| task.done));
//! node.shutdown().await?;
//! # Ok(())
//! # }
//! ```

mod blobs;
mod builder;
mod collection;
mod contracts;
mod delivery;
mod dial;
mod documents;
mod driver;
mod edit;
mod evolve;
mod folder;
mod gates;
mod held;
mod history;
mod indexed;
mod indexer;
mod link;
mod live;
mod migrate;
mod pieces;
mod presence;
mod progress;
mod projector;
mod query;
mod read;
mod records;
#[cfg(feature = "automerge-repo")]
mod repo;
mod rulings;
mod shared;
mod snapshots;
mod tasks;
mod text;
mod transaction;
mod unfolder;
mod watch;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

pub use blobs::{BlobReader, BlobWriter, Blobs, Fetch};
pub use builder::Builder;
pub use collection::{Collection, Listing};
pub use contracts::FieldConflict;
pub use delivery::Delivery;
pub use live::Live;
pub use migrate::{Migrate, Migrated, NotMigrated};
pub use pieces::Imported;
pub use presence::{Presence, PresenceEvent, PresenceWatch, Present};
pub use progress::{Progress, ProgressEvents};
pub use query::{Access, Explain, Page};
pub use records::Records;
pub use transaction::Transaction;
pub use watch::{ChangeKind, Changed, Origin, Watch, WatchEvent};

use crate::engine::{Compacted, Event, Reply, Status};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CollectionId, RecordKey, ReplicaId, SpaceId, StoreId};
use crate::peer::{PeerAddress, PeerEvent};
use crate::record::Record;
use crate::replica::{KnownPeer, Quarantined, Rows};
use crate::transport::Listener;
use shared::{Shared, lock, mismatched};
use tasks::run_apart;
use watch::Filter;

/// Time between two looks at the status while waiting for it to change.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A replica: its records, its peers, its store. Cheap to clone; all clones are the same node.
///
/// When the last clone is dropped the node shuts down in the background, as [`Node::shutdown`]
/// does. Collections hold on to their node too.
#[derive(Clone, Debug)]
pub struct Node(Arc<Handle>);

/// Keeps the engine running as long as anybody holds it.
#[derive(Debug)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
    stop: Arc<Notify>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}

/// What went over the links of a node since it was opened, as it travelled: compressed, without
/// what the transport adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Frames sent.
    pub sent_frames: u64,
    /// Frames received.
    pub received_frames: u64,
}

impl Node {
    /// A node yet to be opened.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Who it is to its peers.
    pub fn replica_id(&self) -> ReplicaId {
        self.0.shared.replica
    }

    /// This life of its store.
    pub fn store_id(&self) -> StoreId {
        self.0.shared.store_id
    }

    /// Its home space.
    pub fn space(&self) -> SpaceId {
        self.0.shared.space
    }

    /// A collection of the home space. It need not exist yet.
    ///
    /// # Errors
    /// `InvalidInput` if `name` is not a collection's name.
    pub fn collection<T: Record>(&self, name: &str) -> Result<Collection<T>> {
        self.records(name).map(Collection::new)
    }

    /// A collection of any space of the node.
    ///
    /// # Errors
    /// As [`Node::collection`].
    pub fn collection_in<T: Record>(&self, space: SpaceId, name: &str) -> Result<Collection<T>> {
        self.records_in(space, name).map(Collection::new)
    }

    /// A collection of the home space as JSON.
    ///
    /// # Errors
    /// As [`Node::collection`].
    pub fn records(&self, name: &str) -> Result<Records> {
        self.records_in(self.space(), name)
    }

    /// A collection of any space as JSON.
    ///
    /// # Errors
    /// As [`Node::collection`].
    pub fn records_in(&self, space: SpaceId, name: &str) -> Result<Records> {
        let name: CollectionId = name.parse()?;
        Ok(Records::new(Arc::clone(&self.0), space, name))
    }

    /// The collections of the home space of which anything is here, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn collections(&self) -> Result<Vec<CollectionId>> {
        let shared = Arc::clone(&self.0.shared);
        run_apart(move || {
            let snapshot = shared.snapshot()?;
            Rows::new(snapshot.as_ref()).collections(shared.space)
        })
        .await
    }

    /// The attachments of the home space.
    pub fn blobs(&self) -> Blobs {
        self.blobs_in(self.space())
    }

    /// The attachments of any space of the node.
    pub fn blobs_in(&self, space: SpaceId) -> Blobs {
        Blobs::new(Arc::clone(&self.0), space)
    }

    /// Changes several records at once: all of it becomes durable, or nothing. `work` may run more
    /// than once. While it runs no other local edit does, so it should be short.
    ///
    /// # Errors
    /// What `work` returns, `Breach` if any of its edits broke a contract, also if `work` went on, `TooLarge`
    /// over [`limits::TRANSACTION_WRITES_MAX`] changes, and those of the store.
    ///
    /// [`limits::TRANSACTION_WRITES_MAX`]: crate::limits::TRANSACTION_WRITES_MAX
    pub async fn transaction<R: Send>(
        &self,
        work: impl FnMut(&mut Transaction<'_>) -> Result<R> + Send,
    ) -> Result<R> {
        self.0.shared.transaction(work).await
    }

    /// Changes of all records from now on.
    ///
    /// # Errors
    /// `TooLarge` when there are too many watches.
    pub fn watch(&self) -> Result<Watch> {
        self.0.shared.watchers.add(Filter::default())
    }

    /// Takes WebSocket links at `host:port`, port 0 for any free one; gives the address to dial.
    ///
    /// # Errors
    /// `InvalidInput` if it is no address, `Transport` if it can't be listened on.
    #[cfg(feature = "websocket")]
    pub async fn listen(&self, address: &str) -> Result<String> {
        use crate::transport::websocket::{WebSocketLimits, WebSocketListener};
        let listener = WebSocketListener::bind(address, WebSocketLimits::default()).await?;
        #[cfg(feature = "automerge-repo")]
        if self.0.shared.repo.is_some() {
            return self.listen_on(Box::new(listener.serving_automerge_repo()));
        }
        self.listen_on(Box::new(listener))
    }

    /// Takes links from this listener until the node shuts down; gives the address to dial.
    ///
    /// # Errors
    /// `Closed` if the node is shut down.
    pub fn listen_on(&self, listener: Box<dyn Listener>) -> Result<String> {
        let shared = &self.0.shared;
        if *shared.stopped.borrow() {
            return Err(shared::closed());
        }
        Ok(dial::listen(shared, listener))
    }

    /// Stays linked with the peer at this address, which is dialled again whenever the link ends.
    /// Returns before it is linked; [`Node::status`] shows how it stands.
    ///
    /// # Errors
    /// `InvalidInput` if no transport can dial such an address, `Closed` if the node is shut down.
    pub async fn connect(&self, address: &str) -> Result<()> {
        self.add_peer(address, None).await
    }

    /// As [`Node::connect`], but only with this replica.
    ///
    /// # Errors
    /// As [`Node::connect`].
    pub async fn connect_to(&self, address: &str, replica: ReplicaId) -> Result<()> {
        self.add_peer(address, Some(replica)).await
    }

    async fn add_peer(&self, address: &str, expects: Option<ReplicaId>) -> Result<()> {
        dial::connector(&self.0.shared, address)?;
        let peer = PeerAddress::from(address);
        self.tell_dialer(PeerEvent::Added { peer, expects }).await
    }

    /// Does not stay linked with the peer at this address any more.
    ///
    /// # Errors
    /// `Closed` if the node is shut down.
    pub async fn disconnect(&self, address: &str) -> Result<()> {
        let peer = PeerAddress::from(address);
        self.tell_dialer(PeerEvent::Removed { peer }).await
    }

    /// Dials the peer at this address now, whatever the backoff or breaker says.
    ///
    /// # Errors
    /// `Closed` if the node is shut down.
    pub async fn retry(&self, address: &str) -> Result<()> {
        let peer = PeerAddress::from(address);
        self.tell_dialer(PeerEvent::Retry { peer }).await
    }

    async fn tell_dialer(&self, event: PeerEvent) -> Result<()> {
        self.0.shared.tell(Event::Peer(event)).await
    }

    /// How the node stands: its spaces, links, peers, quarantine and store.
    ///
    /// # Errors
    /// `Closed` if the node is shut down.
    pub async fn status(&self) -> Result<Status> {
        match self.0.shared.ask(Event::Status).await? {
            Reply::Status(status) => Ok(*status),
            Reply::Captured(_)
            | Reply::Imported(_)
            | Reply::Delivered(_)
            | Reply::Compacted(_)
            | Reply::Blob(_)
            | Reply::Indexed(_)
            | Reply::Quarantined(_) => Err(mismatched()),
        }
    }

    /// Folds the history of all records that more than one loose change was made of since: each
    /// becomes its compressed document, which says what was changed when by whom as before. What peers
    /// of the last [`Builder::horizon`] are still to be sent stays loose. Durable on return.
    ///
    /// This happens by itself to records of which much is loose. Room in the file is used again; to
    /// make the file smaller, see [`RedbStore::compact`](crate::store::RedbStore::compact).
    ///
    /// # Errors
    /// `Closed` if the node is shut down or its store can't be written.
    pub async fn compact(&self) -> Result<Compacted> {
        match self.0.shared.ask(Event::Compact).await? {
            Reply::Compacted(done) => done,
            Reply::Captured(_)
            | Reply::Imported(_)
            | Reply::Delivered(_)
            | Reply::Status(_)
            | Reply::Blob(_)
            | Reply::Indexed(_)
            | Reply::Quarantined(_) => Err(mismatched()),
        }
    }

    /// The first `limit` changes that could not be applied, each with its reason.
    ///
    /// # Errors
    /// `Closed` if the node is shut down, and those of the store.
    pub async fn quarantine(&self, limit: usize) -> Result<Vec<Quarantined>> {
        let question = |ticket| Event::Quarantine { ticket, limit };
        match self.0.shared.ask(question).await? {
            Reply::Quarantined(entries) => entries,
            Reply::Captured(_)
            | Reply::Imported(_)
            | Reply::Compacted(_)
            | Reply::Delivered(_)
            | Reply::Blob(_)
            | Reply::Indexed(_)
            | Reply::Status(_) => Err(mismatched()),
        }
    }

    /// The replicas that were ever linked, and what each has acknowledged of every space: who has
    /// what, whether it is here or not.
    ///
    /// # Errors
    /// `Closed` if the node is shut down, and those of the store.
    pub async fn known_peers(&self) -> Result<Vec<KnownPeer>> {
        let shared = Arc::clone(&self.0.shared);
        run_apart(move || Rows::new(shared.snapshot()?.as_ref()).known_peers()).await
    }

    /// What went over the links since the node was opened.
    pub fn traffic(&self) -> Traffic {
        let counters = &self.0.shared.traffic;
        Traffic {
            sent_bytes: counters.sent_bytes.load(Ordering::Relaxed),
            received_bytes: counters.received_bytes.load(Ordering::Relaxed),
            sent_frames: counters.sent_frames.load(Ordering::Relaxed),
            received_frames: counters.received_frames.load(Ordering::Relaxed),
        }
    }

    /// The delivery of a record to others, to be waited for.
    pub fn delivered(&self, record: &RecordKey) -> Delivery {
        Delivery::new(Arc::clone(&self.0), record.clone())
    }

    /// How far the node is with its peers, as it happens, until it is in step with all of them: what
    /// came, what is expected, how fast, how long it will take.
    pub fn progress(&self) -> ProgressEvents {
        ProgressEvents::new(Arc::clone(&self.0))
    }

    /// Until there is a link, every linked peer has acknowledged all that is here, all that each
    /// of them had when it was linked is here, all views are up to date, and no attachment is on its
    /// way. Spaces that a peer does not share with us do not count; [`Node::status`] shows them as
    /// refused.
    ///
    /// It has no end of its own while that does not come about; put `tokio::time::timeout` around
    /// it.
    ///
    /// # Errors
    /// `Closed` if the node is shut down; why the store can't be written, if so, since nothing that
    /// comes can be kept then.
    pub async fn synced(&self) -> Result<()> {
        let mut looks = 0;
        while looks < 2 {
            let status = self.status().await?;
            // What one look finds committed may be asked to be projected only after it.
            looks = if status.is_synced() { looks + 1 } else { 0 };
            if let Some((kind, why)) = status.failure {
                return Err(Error::new(kind, why));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Sends what is left to whoever is linked, for a bounded time, then closes links, listeners and store.
    /// When it returns, the store's file can be opened again. Handles of the node return `Closed`
    /// errors from then on.
    ///
    /// # Errors
    /// `StoreFailed` if the engine's thread has panicked, which is a mistake of this library.
    pub async fn shutdown(&self) -> Result<()> {
        self.0.stop.notify_one();
        self.0.shared.until_stopped().await;
        let Some(thread) = lock(&self.0.thread).take() else {
            return Ok(());
        };
        let joined = run_apart(move || {
            let message = "the engine's thread has panicked; what was acknowledged is durable";
            thread
                .join()
                .map_err(|_panic| Error::new(ErrorKind::StoreFailed, message))
        });
        joined.await?;
        self.0.shared.tasks.ended().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! subduction: signed, opaque commits, one conversation for each record (its "sedimentree").

mod crowd;
mod keep;
mod link;
mod text;
mod work;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use future_form::Sendable;
use futures::{StreamExt as _, TryStreamExt as _};
use sedimentree_core::blob::Blob;
use sedimentree_core::depth::CountLeadingZeroBytes;
use sedimentree_core::id::SedimentreeId;
use sedimentree_core::loose_commit::id::CommitId;
use subduction_core::handler::sync::SyncHandler;
use subduction_core::peer::id::PeerId;
use subduction_core::policy::open::OpenPolicy;
use subduction_core::storage::memory::MemoryStorage;
use subduction_core::storage::traits::Storage;
use subduction_core::subduction::Subduction;
use subduction_core::subduction::builder::SubductionBuilder;
use subduction_core::timeout::call::CallTimeout;
use subduction_core::transport::message::MessageTransport;
use subduction_crypto::signer::memory::MemorySigner;
use subduction_redb_storage::RedbStorage;
use subduction_websocket::tokio::{TimeoutTokio, TokioSpawn};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Counter;
use crate::measure::Watch;
use crate::workload;

pub(crate) use crowd::pair;
pub(crate) use keep::{edited_files, read_micros, typed_files};
pub(crate) use link::End;
pub(crate) use text::Typists;
pub(crate) use work::{collection, live, sustained};

/// Writes that wait for the disk together, so that its storage can commit them in groups.
const TOGETHER: usize = 512;

/// How often a store that was just closed is tried again.
const REOPENS: usize = 500;

/// After this long, something hangs.
const PATIENCE: Duration = Duration::from_mins(10);

type Link = MessageTransport<link::Counted>;
type Handler<S> = SyncHandler<Sendable, S, Link, OpenPolicy, CountLeadingZeroBytes, TokioSpawn>;
type Core<S> = Subduction<
    'static,
    Sendable,
    S,
    Link,
    Handler<S>,
    OpenPolicy,
    MemorySigner,
    TimeoutTokio,
    TokioSpawn,
    CountLeadingZeroBytes,
>;

/// A storage that a replica can run on.
pub(crate) trait Disk:
    Storage<Sendable, Error: Send + Sync> + Clone + Debug + Send + Sync + 'static
{
}

impl<S> Disk for S where
    S: Storage<Sendable, Error: Send + Sync> + Clone + Debug + Send + Sync + 'static
{
}

/// One replica.
pub(crate) struct Replica<S: Disk> {
    core: Arc<Core<S>>,
    signer: MemorySigner,
    sent: Counter,
    /// Its own tasks end with it.
    _tasks: JoinSet<()>,
}

impl Replica<MemoryStorage> {
    /// A replica without a disk.
    pub(crate) fn in_memory(number: usize) -> Self {
        Self::on(MemoryStorage::new(), number)
    }
}

impl Replica<RedbStorage> {
    /// A replica on its redb storage, each write synced before it returns.
    pub(crate) fn durable(folder: &Path, number: usize) -> anyhow::Result<Self> {
        Ok(Self::on(RedbStorage::new(folder)?, number))
    }

    /// Milliseconds from opening the closed store in this folder until a replica on it tells the
    /// heads of one record.
    pub(crate) async fn open_millis(folder: &Path, record: usize) -> anyhow::Result<f64> {
        let (replica, watch) = Self::reopen(folder).await?;
        ensure!(replica.holds(record).await?, "a record is missing");
        Ok(watch.millis())
    }

    /// A replica on the closed store in this folder, and the time since it was about to be opened.
    async fn reopen(folder: &Path) -> anyhow::Result<(Self, Watch)> {
        let mut failed = None;
        for _ in 0..REOPENS {
            let watch = Watch::start();
            match Self::durable(folder, 1) {
                Ok(replica) => return Ok((replica, watch)),
                // The tasks of the replica before may not have let go of the file yet.
                Err(error) => failed = Some(error),
            }
            sleep(Duration::from_millis(10)).await;
        }
        Err(failed.context("never opened")?)
    }
}

impl<S: Disk> Replica<S> {
    fn on(storage: S, number: usize) -> Self {
        let signer = signer(number);
        let (core, _handler, listener, manager) = SubductionBuilder::new()
            .signer(signer.clone())
            .storage(storage, Arc::new(OpenPolicy))
            .spawner(TokioSpawn)
            .timer(TimeoutTokio)
            .build::<Sendable, Link>();
        let mut tasks = JoinSet::new();
        // Both end when the replica does.
        tasks.spawn(async move { listener.await.unwrap_or_default() });
        tasks.spawn(async move { manager.await.unwrap_or_default() });
        Self {
            core,
            signer,
            sent: Counter::default(),
            _tasks: tasks,
        }
    }

    /// Stores the first change of each of these records.
    pub(crate) async fn fill(&self, records: usize) -> anyhow::Result<()> {
        let writes = futures::stream::iter(0..records).map(|it| self.begin(it));
        writes.buffer_unordered(TOGETHER).try_collect().await
    }

    /// Stores the first change of a record.
    async fn begin(&self, number: usize) -> anyhow::Result<()> {
        let document = workload::document(number)?;
        let stored = self.store(number, BTreeSet::new(), &document).await;
        stored.map(drop)
    }

    async fn store(
        &self,
        number: usize,
        parents: BTreeSet<CommitId>,
        document: &automerge::Automerge,
    ) -> anyhow::Result<CommitId> {
        let (head, blob) = newest(document)?;
        let stored = self
            .core
            .store_commit(tree(number), head, parents, blob)
            .await;
        stored.map_err(|error| anyhow!("{error}"))?;
        Ok(head)
    }

    /// Changes one field of a record; gives the new head.
    async fn edit(&self, number: usize, priority: i64) -> anyhow::Result<CommitId> {
        let (document, parent) = edited(number, priority)?;
        self.store(number, BTreeSet::from([parent]), &document)
            .await
    }

    /// Asks for these records, and for all that comes to them.
    async fn subscribe(&self, source: &Self, records: usize) -> anyhow::Result<()> {
        for number in 0..records {
            self.join(source.core.peer_id(), number).await?;
        }
        Ok(())
    }

    /// Exchanges a record with a linked peer; from then on each gets what comes to the other.
    async fn join(&self, peer: PeerId, number: usize) -> anyhow::Result<()> {
        let asked = self
            .core
            .sync_with_peer(&peer, tree(number), true, CallTimeout::Uncapped);
        let (_, _, failed) = asked.await.map_err(|error| anyhow!("{error}"))?;
        ensure!(failed.is_empty(), "a subscription failed");
        Ok(())
    }

    /// Gives a linked peer all that is here; gives the number of commits that it lacked.
    pub(crate) async fn sync(&self, peer: PeerId) -> anyhow::Result<usize> {
        let syncing = self
            .core
            .full_sync_with_peer(&peer, true, CallTimeout::Uncapped);
        let (_, stats, failed, broken) = syncing.await;
        ensure!(
            failed.is_empty() && broken.is_empty(),
            "some records did not sync"
        );
        Ok(stats.commits_sent)
    }

    /// Dials the replica of this number that listens at this address.
    pub(crate) async fn dial(&self, address: SocketAddr, number: usize) -> anyhow::Result<End> {
        link::dial(self, address, peer_id(number)).await
    }

    /// Takes links until one fails.
    pub(crate) async fn serve(&self, listener: &TcpListener) -> anyhow::Result<()> {
        let mut ends = Vec::new();
        loop {
            ends.push(link::answer(self, listener).await?);
        }
    }

    /// Whether it has anything of a record.
    async fn holds(&self, number: usize) -> anyhow::Result<bool> {
        let heads = self.core.get_heads(tree(number)).await;
        let heads = heads.map_err(|error| anyhow!("{error}"))?;
        Ok(heads.is_some_and(|it| !it.is_empty()))
    }

    /// Waits until this many records are here.
    async fn until_has(&self, records: usize) -> anyhow::Result<()> {
        let wait = async {
            while self.core.sedimentree_ids().await.len() < records {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, wait).await.context("records are missing")
    }

    /// Waits until a record has this head.
    pub(crate) async fn until_at(&self, number: usize, head: CommitId) -> anyhow::Result<()> {
        let wait = async {
            loop {
                let heads = self.core.get_heads(tree(number)).await;
                let heads = heads.map_err(|error| anyhow!("{error}"))?;
                if heads.is_some_and(|it| it.contains(&head)) {
                    return anyhow::Ok(());
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, wait)
            .await
            .context("an edit is missing")?
    }

    /// Waits until a record has this many commits.
    async fn until_counts(&self, number: usize, commits: usize) -> anyhow::Result<()> {
        let counts = async || self.core.get_commits(tree(number)).await.map(|it| it.len());
        let wait = async {
            while counts().await.is_none_or(|it| it < commits) {
                // Each look copies them all, and must not take the time of what it waits for.
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, wait).await.context("edits are missing")
    }
}

/// How others know the replica of this number.
pub(crate) fn peer_id(number: usize) -> PeerId {
    PeerId::from(signer(number).verifying_key())
}

fn signer(number: usize) -> MemorySigner {
    MemorySigner::from_bytes(&name(number))
}

fn tree(number: usize) -> SedimentreeId {
    SedimentreeId::new(name(number))
}

fn name(number: usize) -> [u8; 32] {
    let mut long = [0; 32];
    let short = workload::id(number);
    for (to, from) in long.iter_mut().zip(short.as_bytes().iter().cycle()) {
        *to = *from;
    }
    long
}

fn newest(document: &automerge::Automerge) -> anyhow::Result<(CommitId, Blob)> {
    let change = document.get_last_local_change().context("no change")?;
    let mut change = change.clone();
    let head = CommitId::new(change.hash().0);
    Ok((head, Blob::new(change.bytes().into_owned())))
}

/// The record after its first edit, and the head before it.
fn edited(number: usize, priority: i64) -> anyhow::Result<(automerge::Automerge, CommitId)> {
    use automerge::transaction::Transactable as _;
    let mut document = workload::document(number)?;
    let (parent, _) = newest(&document)?;
    let mut tx = document.transaction();
    tx.put(automerge::ROOT, "priority", priority)?;
    tx.commit();
    Ok((document, parent))
}

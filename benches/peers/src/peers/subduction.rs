//! subduction: signed, opaque commits, one conversation for each record (its "sedimentree").

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::{TokioAdapter, accept_async, client_async};
use future_form::Sendable;
use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _};
use sedimentree_core::blob::Blob;
use sedimentree_core::depth::CountLeadingZeroBytes;
use sedimentree_core::id::SedimentreeId;
use sedimentree_core::loose_commit::id::CommitId;
use subduction_core::handler::sync::SyncHandler;
use subduction_core::handshake::{self, audience::Audience};
use subduction_core::peer::id::PeerId;
use subduction_core::policy::open::OpenPolicy;
use subduction_core::storage::memory::MemoryStorage;
use subduction_core::storage::traits::Storage;
use subduction_core::subduction::Subduction;
use subduction_core::subduction::builder::SubductionBuilder;
use subduction_core::timeout::call::CallTimeout;
use subduction_core::timestamp::TimestampSeconds;
use subduction_core::transport::Transport;
use subduction_core::transport::message::MessageTransport;
use subduction_crypto::nonce::Nonce;
use subduction_crypto::signer::memory::MemorySigner;
use subduction_redb_storage::RedbStorage;
use subduction_websocket::handshake::WebSocketHandshake;
use subduction_websocket::tokio::{TimeoutTokio, TokioSpawn};
use subduction_websocket::websocket::WebSocket;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Counter, Figures, Met};
use crate::measure::{Watch, figure};
use crate::workload::{self, spread};

/// Writes that wait for the disk together, so that its storage can commit them in groups.
const TOGETHER: usize = 512;

/// Records that change between two meetings.
const CHANGED: usize = 10;

/// After this long, something hangs.
const PATIENCE: Duration = Duration::from_mins(10);

type Socket = WebSocket<TokioAdapter<TcpStream>, Sendable>;

/// Its own socket, counting what goes out.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    socket: Socket,
    sent: Counter,
}

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.socket == other.socket
    }
}

impl Transport<Sendable> for Counted {
    type SendError = <Socket as Transport<Sendable>>::SendError;
    type RecvError = <Socket as Transport<Sendable>>::RecvError;
    type DisconnectionError = <Socket as Transport<Sendable>>::DisconnectionError;

    fn send_bytes(&self, bytes: &[u8]) -> BoxFuture<'_, Result<(), Self::SendError>> {
        self.sent.count(bytes.len());
        Transport::<Sendable>::send_bytes(&self.socket, bytes)
    }

    fn recv_bytes(&self) -> BoxFuture<'_, Result<Vec<u8>, Self::RecvError>> {
        Transport::<Sendable>::recv_bytes(&self.socket)
    }

    fn disconnect(&self) -> BoxFuture<'_, Result<(), Self::DisconnectionError>> {
        Transport::<Sendable>::disconnect(&self.socket)
    }
}

type Link = MessageTransport<Counted>;
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
    pub(crate) fn in_memory(number: u8) -> Self {
        Self::on(MemoryStorage::new(), number)
    }
}

impl Replica<RedbStorage> {
    /// A replica on its redb storage, each write synced before it returns.
    pub(crate) fn durable(folder: &Path, number: u8) -> anyhow::Result<Self> {
        Ok(Self::on(RedbStorage::new(folder)?, number))
    }
}

impl<S: Disk> Replica<S> {
    fn on(storage: S, number: u8) -> Self {
        let signer = MemorySigner::from_bytes(&[number; 32]);
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
        let writes = futures::stream::iter(0..records).map(|number| async move {
            let document = workload::document(number)?;
            self.store(number, BTreeSet::new(), &document)
                .await
                .map(drop)
        });
        writes.buffer_unordered(TOGETHER).try_collect().await
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

    /// Asks for record 0, and for all that comes to it.
    async fn subscribe(&self, source: &Self) -> anyhow::Result<()> {
        let peer = source.core.peer_id();
        let asked = self
            .core
            .sync_with_peer(&peer, tree(0), true, CallTimeout::Uncapped);
        let (_, _, failed) = asked.await.map_err(|error| anyhow!("{error}"))?;
        ensure!(failed.is_empty(), "a subscription failed");
        Ok(())
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
}

fn tree(number: usize) -> SedimentreeId {
    let mut id = [0; 32];
    let name = workload::id(number);
    for (to, from) in id.iter_mut().zip(name.as_bytes().iter().cycle()) {
        *to = *from;
    }
    SedimentreeId::new(id)
}

fn newest(document: &automerge::Automerge) -> anyhow::Result<(CommitId, Blob)> {
    let change = document.get_last_local_change().context("no change")?;
    let mut change = change.clone();
    let head = CommitId::new(change.hash().0);
    Ok((head, Blob::new(change.bytes().into_owned())))
}

/// The record after one more edit, and the head before it.
fn edited(number: usize, priority: i64) -> anyhow::Result<(automerge::Automerge, CommitId)> {
    use automerge::transaction::Transactable as _;
    let mut document = workload::document(number)?;
    let (parent, _) = newest(&document)?;
    let mut tx = document.transaction();
    tx.put(automerge::ROOT, "priority", priority)?;
    tx.commit();
    Ok((document, parent))
}

/// The sockets between two replicas; they close when it is dropped.
pub(crate) struct Sockets {
    ends: [Socket; 2],
    _tasks: JoinSet<()>,
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for end in &self.ends {
            end.close_channels();
        }
    }
}

/// Dials `to` from `from`, as its own client and server do.
pub(crate) async fn link<S: Disk>(from: &Replica<S>, to: &Replica<S>) -> anyhow::Result<Sockets> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (accepted, dialled) = tokio::try_join!(
        async {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            anyhow::Ok(accept_async(stream).await?)
        },
        async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (socket, _) = client_async(format!("ws://{address}"), stream).await?;
            anyhow::Ok(socket)
        }
    )?;
    let mut tasks = JoinSet::new();
    let mut answering = JoinSet::new();
    let now = TimestampSeconds::now();
    let target = to.core.peer_id();
    let initiate = handshake::initiate::<Sendable, _, _, _, _>(
        WebSocketHandshake::new(dialled),
        |socket, peer| open(socket.into_inner(), peer, &from.sent, &mut tasks),
        &from.signer,
        Audience::known(target),
        now,
        Nonce::random(),
    );
    let respond = handshake::respond::<Sendable, _, _, _, _>(
        WebSocketHandshake::new(accepted),
        |socket, peer| open(socket.into_inner(), peer, &to.sent, &mut answering),
        &to.signer,
        to.core.nonce_cache(),
        target,
        None,
        now,
        Duration::from_mins(1),
    );
    let (dialled, accepted) = tokio::join!(initiate, respond);
    let (dialled, near) = dialled.map_err(|error| anyhow!("{error}"))?;
    let (accepted, far) = accepted.map_err(|error| anyhow!("{error}"))?;
    let adding = to
        .core
        .add_connection(accepted.map(MessageTransport::new))
        .await;
    adding.map_err(|error| anyhow!("{error}"))?;
    let adding = from
        .core
        .add_connection(dialled.map(MessageTransport::new))
        .await;
    adding.map_err(|error| anyhow!("{error}"))?;
    tasks.spawn(async move { drop(answering.join_all().await) });
    Ok(Sockets {
        ends: [near, far],
        _tasks: tasks,
    })
}

fn open(
    stream: WebSocketStream<TokioAdapter<TcpStream>>,
    peer: PeerId,
    sent: &Counter,
    tasks: &mut JoinSet<()>,
) -> (Counted, Socket) {
    let (socket, sender) = WebSocket::new(stream, peer);
    let listening = socket.clone();
    // Both end with the link.
    tasks.spawn(async move { drop(listening.listen().await) });
    tasks.spawn(async move { drop(sender.await) });
    let counted = Counted {
        socket: socket.clone(),
        sent: sent.clone(),
    };
    (counted, socket)
}

/// Gives `b` all that `a` has, as `a` does when it has dialled.
async fn sync<S: Disk>(a: &Replica<S>, b: &Replica<S>) -> anyhow::Result<()> {
    let peer = b.core.peer_id();
    let (_, _, failed, broken) = a
        .core
        .full_sync_with_peer(&peer, true, CallTimeout::Uncapped)
        .await;
    ensure!(
        failed.is_empty() && broken.is_empty(),
        "some records did not sync"
    );
    Ok(())
}

/// Links, syncs, waits until `b` has what it should, and parts.
async fn meet<S: Disk>(
    a: &Replica<S>,
    b: &Replica<S>,
    arrived: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Met> {
    let seen = || {
        let ((a_bytes, a_frames), (b_bytes, b_frames)) = (a.sent.seen(), b.sent.seen());
        (a_bytes + b_bytes, a_frames + b_frames)
    };
    let (bytes, frames) = seen();
    let watch = Watch::start();
    let sockets = link(a, b).await?;
    sync(a, b).await?;
    arrived.await?;
    let millis = watch.millis();
    // What acknowledges the last record.
    sleep(Duration::from_millis(300)).await;
    let (after_bytes, after_frames) = seen();
    for (replica, peer) in [(a, b), (b, a)] {
        let parting = replica
            .core
            .disconnect_from_peer(&peer.core.peer_id())
            .await;
        parting.map_err(|error| anyhow!("{error}"))?;
    }
    drop(sockets);
    sleep(Duration::from_millis(100)).await;
    Ok(Met {
        millis,
        bytes: after_bytes - bytes,
        messages: after_frames - frames,
    })
}

/// First sync and reconnects of a collection of this size.
pub(crate) async fn collection<S: Disk>(
    a: &Replica<S>,
    b: &Replica<S>,
    records: usize,
) -> anyhow::Result<Figures> {
    a.fill(records).await?;
    let first = meet(a, b, b.until_has(records)).await?;
    for number in 0..records {
        let heads = b.core.get_heads(tree(number)).await;
        let heads = heads.map_err(|error| anyhow!("{error}"))?;
        ensure!(
            heads.is_some_and(|it| !it.is_empty()),
            "a record did not arrive"
        );
    }
    let mut heads = Vec::with_capacity(CHANGED);
    for number in spread(CHANGED, records) {
        heads.push((number, a.edit(number, 11).await?));
    }
    let arrived = async {
        for (number, head) in heads {
            b.until_at(number, head).await?;
        }
        Ok(())
    };
    let changed = meet(a, b, arrived).await?;
    let unchanged = meet(a, b, async { Ok(()) }).await?;
    Ok(Figures {
        records,
        first,
        changed: Some(changed),
        unchanged: Some(unchanged),
    })
}

/// Microseconds of live edits of one record from `a` through `hub` until `b` has each.
pub(crate) async fn live<S: Disk>(
    [a, hub, b]: &[Replica<S>; 3],
    edits: usize,
) -> anyhow::Result<(Vec<f64>, f64)> {
    use automerge::transaction::Transactable as _;
    let mut document = workload::document(0)?;
    let mut parent = a.store(0, BTreeSet::new(), &document).await?;
    let _to_hub = link(a, hub).await?;
    sync(a, hub).await?;
    hub.until_at(0, parent).await?;
    let _from_hub = link(b, hub).await?;
    b.subscribe(hub).await?;
    // A pushes to who subscribed, so the hub has to.
    hub.subscribe(a).await?;
    b.until_at(0, parent).await?;
    let sent = || [a, hub, b].map(|it| it.sent.seen().0).iter().sum::<f64>();
    let before = sent();
    let mut micros = Vec::with_capacity(edits);
    for edit in 0..edits {
        let watch = Watch::start();
        let mut tx = document.transaction();
        tx.put(automerge::ROOT, "priority", i64::try_from(edit + 10)?)?;
        tx.commit();
        let (head, blob) = newest(&document)?;
        let added = a
            .core
            .add_commit(tree(0), head, BTreeSet::from([parent]), blob)
            .await;
        added.map_err(|error| anyhow!("{error}"))?;
        b.until_at(0, head).await?;
        micros.push(watch.micros());
        parent = head;
    }
    Ok((micros, (sent() - before) / figure(edits)))
}

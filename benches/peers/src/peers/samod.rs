//! samod: Automerge documents, one conversation for each, as in automerge-repo.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures::future::{BoxFuture, join_all, ready};
use futures::{SinkExt as _, StreamExt as _};
use samod::storage::TokioFilesystemStorage;
use samod::{
    AcceptorHandle, BackoffConfig, ConnectionId, DialError, Dialer, DialerHandle, DocHandle,
    DocumentId, Repo, Transport, Url,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::{Counter, Figures, Met};
use crate::measure::{Watch, figure};
use crate::workload::{self, spread};

/// Records that change between two meetings.
const CHANGED: usize = 10;

/// After this long, something hangs.
const PATIENCE: Duration = Duration::from_mins(15);

/// Keeps a link until it is dropped.
pub(crate) type Linked = DialerHandle<SocketError>;

/// One repository that takes links, on samod's own file storage.
pub(crate) struct Replica {
    repo: Repo,
    sent: Counter,
    /// Where it takes them.
    pub address: SocketAddr,
    /// Takes links as long as the replica lives.
    _tasks: JoinSet<()>,
}

impl Replica {
    /// A repository in this folder.
    pub(crate) async fn open(folder: &Path) -> anyhow::Result<Self> {
        let storage = TokioFilesystemStorage::new(folder);
        let repo = Repo::build_tokio().with_storage(storage).load().await;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let url = Url::parse(&format!("ws://{address}"))?;
        let acceptor = repo
            .make_acceptor(url)
            .map_err(|error| anyhow!("{error:?}"))?;
        let sent = Counter::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, acceptor, sent.clone()));
        Ok(Self {
            repo,
            sent,
            address,
            _tasks: tasks,
        })
    }

    /// New documents.
    pub(crate) async fn create(&self, records: usize) -> anyhow::Result<Vec<DocHandle>> {
        let mut documents = Vec::with_capacity(records);
        for number in 0..records {
            let document = self.repo.create(workload::document(number)?).await;
            documents.push(document.map_err(|error| anyhow!("{error:?}"))?);
        }
        Ok(documents)
    }

    /// A document that is here, or at whom it is linked with.
    async fn find(&self, document: &DocumentId) -> anyhow::Result<DocHandle> {
        let found = self.repo.find(document.clone()).await;
        let found = found.map_err(|error| anyhow!("{error:?}"))?;
        found.context("a document is not found")
    }

    /// Ends it once all is written.
    pub(crate) async fn stop(self) {
        self.repo.stop().await;
    }

    /// Milliseconds from opening the closed storage in this folder until a repository on it gives
    /// one document.
    pub(crate) async fn open_millis(folder: &Path, document: &DocumentId) -> anyhow::Result<f64> {
        let watch = Watch::start();
        let replica = Self::open(folder).await?;
        drop(replica.find(document).await?);
        let millis = watch.millis();
        replica.stop().await;
        Ok(millis)
    }

    /// Links with the repository at this address and waits until it says that it has these
    /// documents.
    pub(crate) async fn give(
        &self,
        address: SocketAddr,
        documents: &[DocHandle],
    ) -> anyhow::Result<Linked> {
        let (dialler, link) = self.dial(address).await?;
        let all = join_all(documents.iter().map(|it| it.they_have_our_changes(link)));
        timeout(PATIENCE, all)
            .await
            .context("documents are missing")?;
        Ok(dialler)
    }

    /// Dials another; gives the dialler, which keeps the link, and the link's id.
    async fn dial(&self, address: SocketAddr) -> anyhow::Result<(Linked, ConnectionId)> {
        let dialer = Arc::new(Dial {
            address,
            url: Url::parse(&format!("ws://{address}"))?,
            sent: self.sent.clone(),
        });
        let handle = self.repo.dial(BackoffConfig::default(), dialer);
        let handle = handle.map_err(|error| anyhow!("{error:?}"))?;
        handle
            .established()
            .await
            .map_err(|error| anyhow!("{error:?}"))?;
        let link = handle
            .connection_id()
            .context("established without a link")?;
        Ok((handle, link))
    }
}

async fn accept(listener: TcpListener, acceptor: AcceptorHandle, sent: Counter) {
    while let Ok((stream, _)) = listener.accept().await {
        // A link that fails is dialled again.
        let Ok(()) = stream.set_nodelay(true) else {
            continue;
        };
        let Ok(socket) = tokio_tungstenite::accept_async(stream).await else {
            continue;
        };
        drop(acceptor.accept(transport(socket, sent.clone())));
    }
}

struct Dial {
    address: SocketAddr,
    url: Url,
    sent: Counter,
}

impl Dialer for Dial {
    type Error = SocketError;

    fn url(&self) -> Url {
        self.url.clone()
    }

    fn connect(&self) -> BoxFuture<'static, Result<Transport, DialError<Self::Error>>> {
        let (address, sent) = (self.address, self.sent.clone());
        Box::pin(async move {
            let stream = TcpStream::connect(address)
                .await
                .map_err(DialError::transient)?;
            stream.set_nodelay(true).map_err(DialError::transient)?;
            let url = format!("ws://{address}");
            let (socket, _) = tokio_tungstenite::client_async(url, stream)
                .await
                .map_err(DialError::transient)?;
            Ok(transport(socket, sent))
        })
    }
}

/// Whole frames of a socket as samod wants them, counting what goes out.
fn transport(socket: WebSocketStream<TcpStream>, sent: Counter) -> Transport {
    let (sink, stream) = socket.split();
    let stream = stream.filter_map(|message| {
        ready(match message {
            Ok(Message::Binary(bytes)) => Some(Ok(bytes.to_vec())),
            Ok(_control) => None,
            Err(error) => Some(Err(error)),
        })
    });
    let sink = sink.with(move |bytes: Vec<u8>| {
        sent.count(bytes.len());
        ready(Ok::<_, SocketError>(Message::Binary(bytes.into())))
    });
    Transport::new(stream, sink)
}

fn edit(document: &DocHandle, priority: i64) -> anyhow::Result<()> {
    document.with_document(|it| put(it, priority))
}

fn put(document: &mut automerge::Automerge, priority: i64) -> anyhow::Result<()> {
    use automerge::transaction::Transactable as _;
    let mut tx = document.transaction();
    tx.put(automerge::ROOT, "priority", priority)?;
    tx.commit();
    Ok(())
}

/// Links, waits until `b` says of every document that it has all, and parts.
async fn meet(a: &Replica, b: &Replica, documents: &[DocHandle]) -> anyhow::Result<Met> {
    let seen = || {
        let ((a_bytes, a_frames), (b_bytes, b_frames)) = (a.sent.seen(), b.sent.seen());
        (a_bytes + b_bytes, a_frames + b_frames)
    };
    let (bytes, frames) = seen();
    let watch = Watch::start();
    let dialler = a.give(b.address, documents).await?;
    let millis = watch.millis();
    sleep(Duration::from_millis(300)).await;
    let (after_bytes, after_frames) = seen();
    dialler.close();
    sleep(Duration::from_millis(300)).await;
    Ok(Met {
        millis,
        bytes: after_bytes - bytes,
        messages: after_frames - frames,
    })
}

/// First sync and reconnects of a collection of this size.
pub(crate) async fn collection(folder: &Path, records: usize) -> anyhow::Result<Figures> {
    let a = Replica::open(&folder.join("a")).await?;
    let b = Replica::open(&folder.join("b")).await?;
    let documents = a.create(records).await?;
    let first = meet(&a, &b, &documents).await?;
    for number in spread(CHANGED, records) {
        edit(documents.get(number).context("no such record")?, 11)?;
    }
    let changed = meet(&a, &b, &documents).await?;
    let unchanged = meet(&a, &b, &documents).await?;
    for replica in [a, b] {
        replica.stop().await;
    }
    Ok(Figures {
        records,
        first,
        changed: Some(changed),
        unchanged: Some(unchanged),
        many: None,
    })
}

/// Three repositories in a row with the same documents.
struct Trio {
    /// The first, the hub and the last.
    replicas: [Replica; 3],
    /// The documents as the first has them.
    here: Vec<DocHandle>,
    /// The same as the last has them.
    there: Vec<DocHandle>,
    _links: [Linked; 2],
}

impl Trio {
    async fn open(folder: &Path, records: usize) -> anyhow::Result<Self> {
        let a = Replica::open(&folder.join("a")).await?;
        let hub = Replica::open(&folder.join("hub")).await?;
        let b = Replica::open(&folder.join("b")).await?;
        let here = a.create(records).await?;
        let to_hub = a.give(hub.address, &here).await?;
        let (from_hub, _) = b.dial(hub.address).await?;
        let mut there = Vec::with_capacity(records);
        for document in &here {
            there.push(b.find(document.document_id()).await?);
        }
        Ok(Self {
            replicas: [a, hub, b],
            here,
            there,
            _links: [to_hub, from_hub],
        })
    }

    async fn stop(self) {
        for replica in self.replicas {
            replica.stop().await;
        }
    }
}

/// Microseconds of live edits of one record from one repository through a second until a third
/// tells of each; and bytes for each, over both hops.
pub(crate) async fn live(folder: &Path, edits: usize) -> anyhow::Result<(Vec<f64>, f64)> {
    let trio = Trio::open(folder, 1).await?;
    let document = trio.here.first().context("no document")?;
    let found = trio.there.first().context("no document")?;
    let mut changes = Box::pin(found.changes());
    let sent = || trio.replicas.iter().map(|it| it.sent.seen().0).sum::<f64>();
    sleep(Duration::from_millis(300)).await;
    let before = sent();
    let mut micros = Vec::with_capacity(edits);
    for number in 0..edits {
        let watch = Watch::start();
        edit(document, i64::try_from(number + 10)?)?;
        let changed = timeout(Duration::from_secs(30), changes.next()).await;
        changed
            .context("an edit is missing")?
            .context("the document is closed")?;
        micros.push(watch.micros());
    }
    let bytes = (sent() - before) / figure(edits);
    trio.stop().await;
    Ok((micros, bytes))
}

/// Seconds of edits of as many documents as there are writers: until all calls returned on the
/// first repository, and until the last has all.
pub(crate) async fn sustained(
    folder: &Path,
    (writers, edits): (usize, usize),
) -> anyhow::Result<[f64; 2]> {
    let trio = Trio::open(folder, writers).await?;
    let watch = Watch::start();
    let mut tasks = JoinSet::new();
    for document in trio.here.clone() {
        tasks.spawn(async move {
            for number in 0..edits {
                let priority = i64::try_from(number + 10)?;
                let edited = document.with_document_async(move |it| put(it, priority));
                edited.await.map_err(|error| anyhow!("{error:?}"))??;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let written = watch.seconds();
    let heads = |it: &DocHandle| it.with_document(|it| it.get_heads());
    let arrived = async {
        for (here, there) in trio.here.iter().zip(&trio.there) {
            while heads(here) != heads(there) {
                sleep(Duration::from_millis(2)).await;
            }
        }
    };
    timeout(PATIENCE, arrived)
        .await
        .context("edits are missing")?;
    let all = watch.seconds();
    trio.stop().await;
    Ok([written, all])
}

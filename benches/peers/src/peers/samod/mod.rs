//! samod: Automerge documents, one conversation for each, as in automerge-repo.

mod crowd;
mod keep;
mod text;
mod work;

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
    DocumentId, Repo, ShareConfig, Transport, Url,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::Counter;
use crate::measure::Watch;
use crate::workload;

pub(crate) use crowd::pair;
pub(crate) use keep::{edited_files, read_micros, typed_files};
pub(crate) use text::Typists;
pub(crate) use work::{collection, live, sustained};

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
        Self::listen(Repo::build_tokio().with_storage(storage).load().await).await
    }

    /// The same, but it tells of documents only to those who ask for them: as it comes, it gives
    /// each to everybody who is linked.
    pub(crate) async fn open_to_askers(folder: &Path) -> anyhow::Result<Self> {
        let storage = TokioFilesystemStorage::new(folder);
        let sharing = ShareConfig::read_write().with_announce(false);
        let repo = Repo::build_tokio().with_storage(storage);
        Self::listen(repo.with_share_policy(sharing).load().await).await
    }

    async fn listen(repo: Repo) -> anyhow::Result<Self> {
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
        let (dialler, link) = dial(&self.repo, address, &self.sent).await?;
        let all = join_all(documents.iter().map(|it| it.they_have_our_changes(link)));
        timeout(PATIENCE, all)
            .await
            .context("documents are missing")?;
        Ok(dialler)
    }
}

/// Dials the repository at this address; gives the dialler, which keeps the link, and the link's id.
async fn dial(
    repo: &Repo,
    address: SocketAddr,
    sent: &Counter,
) -> anyhow::Result<(Linked, ConnectionId)> {
    let dialer = Arc::new(Dial {
        address,
        url: Url::parse(&format!("ws://{address}"))?,
        sent: sent.clone(),
    });
    let handle = repo.dial(BackoffConfig::default(), dialer);
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

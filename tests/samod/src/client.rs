//! A client as applications have it: samod, over a WebSocket, without a subprotocol.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use automerge::transaction::Transaction;
use automerge::{Automerge, AutomergeError};
use futures::future::{BoxFuture, ready};
use futures::{SinkExt as _, StreamExt as _};
use samod::storage::TokioFilesystemStorage;
use samod::{
    BackoffConfig, DialError, Dialer, DialerHandle, DocHandle, DocumentId, Repo, Transport, Url,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use crate::PATIENCE;

/// A repository, linked with a hub or not.
pub struct Client {
    repo: Repo,
    link: Option<DialerHandle<SocketError>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// One without a disk.
    pub async fn new() -> Self {
        let repo = Repo::build_tokio().load().await;
        Self { repo, link: None }
    }

    /// One that keeps what it has in this folder.
    pub async fn stored(folder: &Path) -> Self {
        let storage = TokioFilesystemStorage::new(folder);
        let repo = Repo::build_tokio().with_storage(storage).load().await;
        Self { repo, link: None }
    }

    /// One without a disk that is linked with the hub at this address.
    ///
    /// # Errors
    /// When the hub does not greet.
    pub async fn linked(hub: SocketAddr) -> anyhow::Result<Self> {
        let mut client = Self::new().await;
        client.link(hub).await?;
        Ok(client)
    }

    /// Links with the hub at this address, and again whenever that is lost.
    ///
    /// # Errors
    /// When the hub does not greet.
    pub async fn link(&mut self, hub: SocketAddr) -> anyhow::Result<()> {
        let url = Url::parse(&format!("ws://{hub}"))?;
        let backoff = BackoffConfig {
            initial_delay: Duration::from_millis(50),
            max_delay: Duration::from_millis(200),
            max_retries: None,
        };
        let link = self.repo.dial(backoff, Arc::new(Dial { hub, url }));
        let link = link.map_err(|error| anyhow!("{error:?}"))?;
        let greeted = timeout(PATIENCE, link.established()).await;
        greeted
            .context("the hub does not greet")?
            .map_err(|error| anyhow!("{error:?}"))?;
        self.link = Some(link);
        Ok(())
    }

    /// Gives the link up.
    pub fn part(&mut self) {
        if let Some(link) = self.link.take() {
            link.close();
        }
    }

    /// A new document with this content.
    ///
    /// # Errors
    /// When the content does not fit.
    pub async fn create(
        &self,
        content: impl FnOnce(&mut Transaction<'_>) -> Result<(), AutomergeError>,
    ) -> anyhow::Result<DocHandle> {
        let mut document = Automerge::new();
        let mut tx = document.transaction();
        content(&mut tx)?;
        tx.commit();
        let created = self.repo.create(document).await;
        created.map_err(|error| anyhow!("{error:?}"))
    }

    /// A document that is here or at the hub; none if it is nowhere.
    ///
    /// # Errors
    /// When nobody says so within [`PATIENCE`].
    pub async fn search(&self, id: &DocumentId) -> anyhow::Result<Option<DocHandle>> {
        let found = timeout(PATIENCE, self.repo.find(id.clone())).await;
        let found = found.with_context(|| format!("nobody answers for {id}"))?;
        found.map_err(|error| anyhow!("{error:?}"))
    }

    /// A document that is here or at the hub.
    ///
    /// # Errors
    /// When it is not found.
    pub async fn find(&self, id: &DocumentId) -> anyhow::Result<DocHandle> {
        let found = self.search(id).await?;
        found.with_context(|| format!("{id} is not found"))
    }

    /// Waits until the hub has said that it has all of a document, over whichever link there is then.
    ///
    /// # Errors
    /// When it does not within [`PATIENCE`].
    pub async fn acknowledged(&self, document: &DocHandle) -> anyhow::Result<()> {
        let link = self.link.as_ref().context("there is no link")?;
        let heard = async {
            loop {
                let a_while = Duration::from_millis(200);
                let Some(id) = link.connection_id() else {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                if timeout(a_while, document.they_have_our_changes(id))
                    .await
                    .is_ok()
                {
                    return;
                }
            }
        };
        let heard = timeout(PATIENCE, heard).await;
        heard.context("the hub does not acknowledge")
    }

    /// Ends it once all is written.
    pub async fn stop(mut self) {
        self.part();
        self.repo.stop().await;
    }
}

/// Writes to a document in one change.
///
/// # Errors
/// When the edit does not fit.
pub fn edit(
    document: &DocHandle,
    work: impl FnOnce(&mut Transaction<'_>) -> Result<(), AutomergeError>,
) -> anyhow::Result<()> {
    document.with_document(|it| {
        let mut tx = it.transaction();
        work(&mut tx)?;
        tx.commit();
        Ok(())
    })
}

struct Dial {
    hub: SocketAddr,
    url: Url,
}

impl Dialer for Dial {
    type Error = SocketError;

    fn url(&self) -> Url {
        self.url.clone()
    }

    fn connect(&self) -> BoxFuture<'static, Result<Transport, DialError<Self::Error>>> {
        let (hub, url) = (self.hub, self.url.to_string());
        Box::pin(async move {
            let stream = TcpStream::connect(hub).await;
            let stream = stream.map_err(DialError::transient)?;
            stream.set_nodelay(true).map_err(DialError::transient)?;
            let socket = tokio_tungstenite::client_async(url, stream).await;
            let (socket, _) = socket.map_err(DialError::transient)?;
            let (sink, stream) = socket.split();
            let stream = stream.filter_map(|message| {
                ready(match message {
                    Ok(Message::Binary(bytes)) => Some(Ok(bytes.to_vec())),
                    Ok(_control) => None,
                    Err(error) => Some(Err(error)),
                })
            });
            let sink = sink
                .with(|bytes: Vec<u8>| ready(Ok::<_, SocketError>(Message::Binary(bytes.into()))));
            Ok(Transport::new(stream, sink))
        })
    }
}

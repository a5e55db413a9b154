//! Where links come from: dials and listeners.

use std::sync::Arc;

use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::link;
use super::shared::Shared;
use crate::engine::Event;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ReplicaId;
use crate::limits;
use crate::peer::{PeerAddress, PeerEvent};
use crate::telemetry::names;
use crate::transport::{Connection, Connector, Listener, Protocol, TransportError};

/// The connector for an address, if it can be dialled at all.
pub(super) fn connector(shared: &Shared, address: &str) -> Result<Arc<dyn Connector>> {
    let found = shared.connectors.iter().find(|it| it.supports(address));
    let connector = found.ok_or_else(|| {
        let message = format!("no transport of this node dials {address:?}; write ws://host:port");
        Error::new(ErrorKind::InvalidInput, message)
    })?;
    connector.check(address)?;
    Ok(Arc::clone(connector))
}

/// Dials a peer in a task of its own, which becomes the link's.
pub(super) fn dial(
    shared: &Arc<Shared>,
    (peer, attempt): (PeerAddress, u64),
    expects: Option<ReplicaId>,
) -> AbortHandle {
    let tasks = &shared.tasks;
    let shared = Arc::clone(shared);
    let span = tracing::debug_span!(names::span::DIAL, peer = peer.as_str(), attempt);
    let task = async move {
        match open(&shared, &peer).await {
            Ok(connection) => {
                let id = shared.new_link();
                let event = Event::Connected {
                    link: id,
                    peer,
                    attempt,
                    expects,
                };
                // Cancelling a dial ends this task; the link lives on its own.
                let link = link::run(Arc::clone(&shared), id, connection, event);
                shared.tasks.spawn(link);
            }
            Err((permanent, reason)) => {
                tracing::debug!(peer = peer.as_str(), reason, "a dial failed");
                let event = PeerEvent::Failed {
                    peer,
                    attempt,
                    permanent,
                    reason,
                };
                drop(shared.tell(Event::Peer(event)).await);
            }
        }
    };
    tasks.spawn(task.instrument(span))
}

async fn open(shared: &Shared, peer: &PeerAddress) -> Result<Connection, (bool, String)> {
    let address = peer.as_str();
    let connector = connector(shared, address).map_err(|error| (true, error.to_string()))?;
    let failed = |error: TransportError| (error.is_permanent(), error.to_string());
    match timeout(limits::DIAL_TIMEOUT, connector.connect(address)).await {
        Ok(connected) => connected.map_err(failed),
        Err(_elapsed) => Err(failed(TransportError::Timeout {
            after: limits::DIAL_TIMEOUT,
        })),
    }
}

/// Takes links from a listener until the node stops; gives where it listens.
pub(super) fn listen(shared: &Arc<Shared>, mut listener: Box<dyn Listener>) -> String {
    let address = listener.local_address();
    let place = address.clone();
    let tasks = &shared.tasks;
    let shared = Arc::clone(shared);
    tasks.spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shared.until_stopped() => return,
            };
            match accepted {
                Ok(connection) if connection.protocol() == Protocol::AutomergeRepo => {
                    serve_client(&shared, connection);
                }
                Ok(connection) => {
                    let id = shared.new_link();
                    let address = connection.peer_address().to_owned();
                    let event = Event::Accepted { link: id, address };
                    let link = link::run(Arc::clone(&shared), id, connection, event);
                    shared.tasks.spawn(link);
                }
                Err(error) => {
                    tracing::error!(address = place, %error, "a listener is finished");
                    return;
                }
            }
        }
    });
    address
}

/// A client of automerge-repo has linked.
#[cfg(feature = "automerge-repo")]
fn serve_client(shared: &Arc<Shared>, connection: Connection) {
    if let Some(repo) = &shared.repo {
        let id = crate::repo::ClientId(shared.new_link().0);
        let (own, repo) = (Arc::clone(shared), Arc::clone(repo));
        let link = super::repo::link::run(own, repo, id, connection);
        shared.tasks.spawn(link);
    }
}

#[cfg(not(feature = "automerge-repo"))]
fn serve_client(_shared: &Arc<Shared>, connection: Connection) {
    // No listener of this build makes one.
    drop(connection);
}

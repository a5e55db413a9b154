//! The listening side: takes sockets, upgrades many at once, yields those that are ready.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Sleep, sleep, timeout};
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SEC_WEBSOCKET_PROTOCOL,
};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode};
use tracing::{debug, warn};

use super::address::listen_on;
use super::gate::Gate;
use super::{BoxStream, SUBPROTOCOL, WebSocketLimits, link};
use crate::limits::ACCEPT_PAUSE;
use crate::transport::{BoxFuture, Connection, Listener, Protocol, TransportError};

/// What a client is told that does not ask for our subprotocol.
const REFUSAL: &str =
    "This is a syncline replica. Ask for the WebSocket subprotocol syncline.v1.\n";

/// Listens for WebSocket links on a TCP port.
///
/// Handshakes run beside each other in tasks that the listener owns and ends with itself. A client
/// that is slow, silent or talks something else costs one of [`WebSocketLimits::upgrades_max`]
/// places for at most [`WebSocketLimits::timeout`]; when all are taken, the oldest is given up.
#[derive(Debug)]
pub struct WebSocketListener {
    address: String,
    incoming: Box<dyn Incoming>,
    upgrade: Arc<Upgrade>,
    upgrades: JoinSet<Result<Connection, TransportError>>,
    /// The upgrades under way, oldest first.
    oldest: VecDeque<AbortHandle>,
    /// Set while the system refuses new sockets.
    pause: Option<Pin<Box<Sleep>>>,
    /// Whether the last attempt to take a socket failed, so that the log says it once.
    refused: bool,
}

impl WebSocketListener {
    /// Listens on `host:port` or `ws://host:port`; port 0 takes a free one, which
    /// [`Listener::local_address`] tells.
    ///
    /// # Errors
    /// [`TransportError::InvalidAddress`], or [`TransportError::Listen`] when the port is taken or
    /// may not be used.
    pub async fn bind(address: &str, limits: WebSocketLimits) -> Result<Self, TransportError> {
        let listener = bind(address, false).await?;
        Self::over(Box::new(listener), "ws", Upgrade::new(limits))
    }

    /// Listens on `host:port` or `wss://host:port` with TLS.
    ///
    /// # Errors
    /// As [`WebSocketListener::bind`].
    #[cfg(feature = "tls")]
    pub async fn bind_tls(
        address: &str,
        limits: WebSocketLimits,
        tls: super::ServerTls,
    ) -> Result<Self, TransportError> {
        let listener = bind(address, true).await?;
        let upgrade = Upgrade {
            tls: Some(tls),
            ..Upgrade::new(limits)
        };
        Self::over(Box::new(listener), "wss", upgrade)
    }

    /// The same listener, which also takes clients of automerge-repo: those that ask for no subprotocol
    /// at all. Their messages may have up to [`crate::limits::REPO_MESSAGE_BYTES_MAX`] bytes.
    #[cfg(feature = "automerge-repo")]
    #[must_use]
    pub fn serving_automerge_repo(mut self) -> Self {
        let mut upgrade = Upgrade::clone(&self.upgrade);
        upgrade.takes_foreign = true;
        upgrade.limits.frame_bytes_max = upgrade
            .limits
            .frame_bytes_max
            .max(crate::limits::REPO_MESSAGE_BYTES_MAX);
        self.upgrade = Arc::new(upgrade);
        self
    }

    fn over(
        incoming: Box<dyn Incoming>,
        scheme: &str,
        upgrade: Upgrade,
    ) -> Result<Self, TransportError> {
        Ok(Self {
            address: format!("{scheme}://{}", incoming.local_address()?),
            incoming,
            upgrade: Arc::new(upgrade),
            upgrades: JoinSet::new(),
            oldest: VecDeque::new(),
            pause: None,
            refused: false,
        })
    }

    async fn next_link(&mut self) -> Connection {
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.upgrades.join_next() => {
                    self.oldest.retain(|it| !it.is_finished());
                    if let Some(connection) = ready(ended) {
                        return connection;
                    }
                }
                () = until(self.pause.as_mut()), if self.pause.is_some() => self.pause = None,
                accepted = self.incoming.accept(), if self.pause.is_none() => match accepted {
                    Ok((stream, peer_address)) => self.start(stream, peer_address),
                    Err(error) => self.rest(&error),
                },
            }
        }
    }

    /// Pauses after the system refused a socket, unless it is that one client's affair.
    fn rest(&mut self, error: &io::Error) {
        let left = matches!(
            error.kind(),
            ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
        );
        if left {
            return;
        }
        if !self.refused {
            warn!(%error, listener = self.address, "the system refuses new links, trying on");
        }
        self.refused = true;
        self.pause = Some(Box::pin(sleep(ACCEPT_PAUSE)));
    }

    fn start(&mut self, stream: BoxStream, peer_address: String) {
        self.refused = false;
        if self.oldest.len() >= self.upgrade.limits.upgrades_max
            && let Some(oldest) = self.oldest.pop_front()
        {
            oldest.abort();
        }
        let upgrade = Arc::clone(&self.upgrade);
        let task = async move { upgrade.run(stream, peer_address).await };
        self.oldest.push_back(self.upgrades.spawn(task));
    }
}

impl Listener for WebSocketListener {
    fn accept(&mut self) -> BoxFuture<'_, Result<Connection, TransportError>> {
        Box::pin(async { Ok(self.next_link().await) })
    }

    fn local_address(&self) -> String {
        self.address.clone()
    }
}

/// The link of an upgrade that ended well; of any other only a line in the log.
fn ready(ended: Result<Result<Connection, TransportError>, JoinError>) -> Option<Connection> {
    match ended {
        Ok(Ok(connection)) => return Some(connection),
        Ok(Err(error)) => debug!(%error, "a client did not become a link"),
        Err(error) => debug!(%error, "a client was given up"),
    }
    None
}

async fn until(pause: Option<&mut Pin<Box<Sleep>>>) {
    if let Some(pause) = pause {
        pause.as_mut().await;
    }
}

async fn bind(address: &str, secure: bool) -> Result<TcpListener, TransportError> {
    let place = listen_on(address, secure)?;
    let listener = TcpListener::bind(place).await;
    listener.map_err(|source| TransportError::Listen {
        address: address.to_owned(),
        source,
    })
}

/// Where raw streams come from; a seam, so that a test can refuse them as a full system does.
trait Incoming: Send + fmt::Debug {
    /// Cancel safe.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, String)>>;

    fn local_address(&self) -> io::Result<String>;
}

impl Incoming for TcpListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, String)>> {
        Box::pin(async {
            let (stream, address) = Self::accept(self).await?;
            // It fails only on a socket that is gone, which the handshake will notice.
            if let Err(error) = stream.set_nodelay(true) {
                debug!(%error, "a client left at once");
            }
            let stream: BoxStream = Box::new(stream);
            Ok((stream, address.to_string()))
        })
    }

    fn local_address(&self) -> io::Result<String> {
        Ok(self.local_addr()?.to_string())
    }
}

/// Turns a raw stream into a link.
#[derive(Clone, Debug)]
struct Upgrade {
    limits: WebSocketLimits,
    /// Whether clients are taken that ask for no subprotocol.
    takes_foreign: bool,
    #[cfg(feature = "tls")]
    tls: Option<super::ServerTls>,
}

impl Upgrade {
    const fn new(limits: WebSocketLimits) -> Self {
        Self {
            limits,
            takes_foreign: false,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    async fn run(
        &self,
        stream: BoxStream,
        peer_address: String,
    ) -> Result<Connection, TransportError> {
        let after = self.limits.timeout;
        timeout(after, self.handshake(stream, peer_address))
            .await
            .unwrap_or(Err(TransportError::Timeout { after }))
    }

    async fn handshake(
        &self,
        stream: BoxStream,
        peer_address: String,
    ) -> Result<Connection, TransportError> {
        #[cfg(feature = "tls")]
        let stream = match &self.tls {
            Some(tls) => tls.secure(stream).await?,
            None => stream,
        };
        let gate = Gate::new(stream, self.limits.stranger_bytes_max);
        let key = gate.key();
        let config = Some(self.limits.config());
        let mut protocol = Protocol::Syncline;
        let takes_foreign = self.takes_foreign;
        #[expect(
            clippy::result_large_err,
            reason = "the signature is the library's, the error is moved once"
        )]
        let select = |request: &Request, response: Response| {
            if takes_foreign && !request.headers().contains_key(SEC_WEBSOCKET_PROTOCOL) {
                protocol = Protocol::AutomergeRepo;
                return Ok(response);
            }
            select_subprotocol(request, response)
        };
        let socket = accept_hdr_async_with_config(gate, select, config).await?;
        Ok(link(socket, key, peer_address, protocol))
    }
}

#[expect(
    clippy::result_large_err,
    reason = "the signature is the library's, the error is moved once"
)]
fn select_subprotocol(
    request: &Request,
    mut response: Response,
) -> Result<Response, ErrorResponse> {
    if !asks_for_ours(request.headers()) {
        return Err(refusal());
    }
    let ours = HeaderValue::from_static(SUBPROTOCOL);
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, ours);
    Ok(response)
}

/// Whether ours is among the subprotocols that a client offers, in one header or several.
fn asks_for_ours(headers: &HeaderMap) -> bool {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','))
        .any(|it| it.trim() == SUBPROTOCOL)
}

fn refusal() -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(REFUSAL.to_owned()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, text);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(REFUSAL.len()));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::transport::Connector;
    use crate::transport::websocket::WebSocketConnector;

    /// Refuses sockets at first, as a system out of file descriptors does.
    #[derive(Debug)]
    struct Exhausted {
        listener: TcpListener,
        attempts: Arc<AtomicUsize>,
        recovered: Arc<AtomicBool>,
    }

    impl Exhausted {
        async fn take(&mut self) -> io::Result<(BoxStream, String)> {
            self.attempts.fetch_add(1, Ordering::Relaxed);
            if self.recovered.load(Ordering::Relaxed) {
                return Incoming::accept(&mut self.listener).await;
            }
            // EMFILE
            Err(io::Error::from_raw_os_error(24))
        }
    }

    impl Incoming for Exhausted {
        fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, String)>> {
            Box::pin(self.take())
        }

        fn local_address(&self) -> io::Result<String> {
            Incoming::local_address(&self.listener)
        }
    }

    #[tokio::test]
    async fn a_system_that_refuses_sockets_neither_ends_nor_spins_the_listener() {
        let attempts = Arc::<AtomicUsize>::default();
        let recovered = Arc::<AtomicBool>::default();
        let incoming = Exhausted {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            attempts: Arc::clone(&attempts),
            recovered: Arc::clone(&recovered),
        };
        let upgrade = Upgrade::new(WebSocketLimits::default());
        let mut listener = WebSocketListener::over(Box::new(incoming), "ws", upgrade).unwrap();
        let address = listener.local_address();

        let idle = timeout(Duration::from_millis(250), listener.accept()).await;
        assert!(idle.is_err(), "no socket can be had");
        let attempts = attempts.load(Ordering::Relaxed);
        assert!((1..=4).contains(&attempts), "{attempts} attempts in 250 ms");

        recovered.store(true, Ordering::Relaxed);
        let connector = WebSocketConnector::default();
        let (dialled, accepted) = tokio::join!(connector.connect(&address), listener.accept());
        assert!(dialled.is_ok() && accepted.is_ok());
    }

    #[test]
    fn our_subprotocol_is_found_among_others() {
        for (offers, expected) in [
            (&["syncline.v1"][..], true),
            (&["chat, syncline.v1"][..], true),
            (&["chat", "syncline.v1 ,x"][..], true),
            (&["syncline.v2"][..], false),
            (&["Syncline.v1"][..], false),
            (&[][..], false),
        ] {
            let mut headers = HeaderMap::new();
            for offer in offers {
                headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offer));
            }
            assert_eq!(asks_for_ours(&headers), expected, "{offers:?}");
        }
    }
}

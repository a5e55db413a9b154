//! The dialling side.

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;

use super::address::{Target, has_scheme};
use super::gate::Gate;
use super::{BoxStream, SUBPROTOCOL, WebSocketLimits, link};
use crate::transport::{BoxFuture, Connection, Connector, Protocol, TransportError};

/// Dials `ws://` addresses, and `wss://` ones once it knows whom to trust.
#[derive(Clone, Debug, Default)]
pub struct WebSocketConnector {
    limits: WebSocketLimits,
    #[cfg(feature = "tls")]
    tls: Option<super::ClientTls>,
}

impl WebSocketConnector {
    /// A connector with these limits, without TLS.
    pub const fn new(limits: WebSocketLimits) -> Self {
        Self {
            limits,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// The same connector, dialling `wss://` addresses too.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(self, tls: super::ClientTls) -> Self {
        Self {
            tls: Some(tls),
            ..self
        }
    }

    /// Where to dial, if this connector can dial there.
    fn target(&self, address: &str) -> Result<Target, TransportError> {
        let target = Target::parse(address)?;
        if target.secure {
            self.check_tls(address)?;
        }
        Ok(target)
    }

    async fn dial(&self, address: &str) -> Result<Connection, TransportError> {
        let target = self.target(address)?;
        let stream = TcpStream::connect((target.host.as_str(), target.port))
            .await
            .map_err(|source| TransportError::Unreachable {
                address: address.to_owned(),
                source,
            })?;
        // Live edits are small frames, written when they are complete.
        stream.set_nodelay(true)?;
        let stream = self.secure(&target, stream).await?;

        let mut request = target.uri.into_client_request()?;
        let subprotocol = HeaderValue::from_static(SUBPROTOCOL);
        request
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
        let gate = Gate::new(stream, self.limits.stranger_bytes_max);
        let key = gate.key();
        let config = Some(self.limits.config());
        let (socket, _response) = client_async_with_config(request, gate, config).await?;
        Ok(link(socket, key, address.to_owned(), Protocol::Syncline))
    }

    #[cfg(feature = "tls")]
    fn check_tls(&self, address: &str) -> Result<(), TransportError> {
        if self.tls.is_some() {
            return Ok(());
        }
        Err(TransportError::InvalidAddress {
            address: address.to_owned(),
            problem: "wss:// needs the root certificates to trust",
        })
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "with the feature it asks the connector")]
    fn check_tls(&self, address: &str) -> Result<(), TransportError> {
        Err(TransportError::InvalidAddress {
            address: address.to_owned(),
            problem: "wss:// needs syncline's feature `tls`",
        })
    }

    #[cfg(feature = "tls")]
    async fn secure(
        &self,
        target: &Target,
        stream: TcpStream,
    ) -> Result<BoxStream, TransportError> {
        match &self.tls {
            Some(tls) if target.secure => tls.secure(&target.host, stream).await,
            Some(_) | None => Ok(Box::new(stream)),
        }
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "with the feature it waits")]
    async fn secure(
        &self,
        _target: &Target,
        stream: TcpStream,
    ) -> Result<BoxStream, TransportError> {
        Ok(Box::new(stream))
    }
}

impl Connector for WebSocketConnector {
    fn supports(&self, address: &str) -> bool {
        has_scheme(address)
    }

    fn check(&self, address: &str) -> Result<(), TransportError> {
        self.target(address).map(drop)
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Connection, TransportError>> {
        Box::pin(async move {
            let after = self.limits.timeout;
            timeout(after, self.dial(address))
                .await
                .unwrap_or(Err(TransportError::Timeout { after }))
        })
    }
}

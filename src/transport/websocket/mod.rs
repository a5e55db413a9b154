//! Frames over WebSocket: one binary message is one frame and its checksum, nothing else is sent.
//!
//! Both sides must agree on the subprotocol [`SUBPROTOCOL`] in the HTTP upgrade. The library under
//! this module answers WebSocket pings by itself; syncline's own pings are frames, since only they
//! show that the replica behind the socket is alive.

mod address;
mod checksum;
mod client;
mod gate;
mod server;
#[cfg(feature = "tls")]
mod tls;

#[cfg(test)]
mod tests;
#[cfg(all(test, feature = "tls"))]
mod tls_tests;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

pub use client::WebSocketConnector;
pub use server::WebSocketListener;
#[cfg(feature = "tls")]
pub use tls::{ClientTls, ServerTls};

use super::{BoxFuture, Connection, FrameSink, FrameSource, Protocol, TransportError};
use crate::limits::{
    HANDSHAKE_TIMEOUT, STRANGER_BYTES_MAX, TRANSPORT_FRAME_BYTES_MAX, UPGRADES_MAX,
};
use checksum::CHECKSUM_BYTES;
use gate::{Gate, GateKey};

/// The WebSocket subprotocol that both sides must speak.
pub const SUBPROTOCOL: &str = "syncline.v1";

/// Bytes read from a socket at once, held per link.
const READ_BUFFER_BYTES: usize = 32 * 1024;

/// Bytes gathered before a write that nobody flushes.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Bounds of one connector or listener. The defaults come from [`crate::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketLimits {
    /// Largest frame sent or received, in bytes.
    pub frame_bytes_max: usize,
    /// Bytes read from a peer that is not trusted yet, HTTP included; the rest waits for
    /// [`FrameSource::trust`].
    pub stranger_bytes_max: u64,
    /// Time for a whole dial, or for one client's TLS and HTTP handshakes.
    pub timeout: Duration,
    /// Handshakes that a listener has under way; one more makes it give up the oldest.
    pub upgrades_max: usize,
}

impl Default for WebSocketLimits {
    fn default() -> Self {
        Self {
            frame_bytes_max: TRANSPORT_FRAME_BYTES_MAX,
            stranger_bytes_max: STRANGER_BYTES_MAX,
            timeout: HANDSHAKE_TIMEOUT,
            upgrades_max: UPGRADES_MAX,
        }
    }
}

impl WebSocketLimits {
    fn config(self) -> WebSocketConfig {
        let message_bytes_max = self.frame_bytes_max.saturating_add(CHECKSUM_BYTES);
        WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max))
    }
}

/// A link over `stream`, which an HTTP server of yours has upgraded to a WebSocket.
///
/// The server must have checked that the client asks for [`SUBPROTOCOL`], and have selected it in
/// its answer. `peer_address` is for people and logs.
pub async fn accept_upgraded<S>(
    stream: S,
    peer_address: impl Into<String>,
    limits: WebSocketLimits,
) -> Connection
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let gate = Gate::new(Box::new(stream), limits.stranger_bytes_max);
    let key = gate.key();
    let socket = WebSocketStream::from_raw_socket(gate, Role::Server, Some(limits.config())).await;
    link(socket, key, peer_address.into(), Protocol::Syncline)
}

/// Any byte stream: a socket, TLS over it, or what an HTTP server hands over.
trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

type BoxStream = Box<dyn ByteStream>;

fn link(
    socket: WebSocketStream<Gate>,
    key: GateKey,
    peer_address: String,
    protocol: Protocol,
) -> Connection {
    let message_bytes_max = socket.get_config().max_frame_size.unwrap_or(usize::MAX);
    let frame_bytes_max = message_bytes_max.saturating_sub(CHECKSUM_BYTES);
    let (sink, source) = socket.split();
    let said_goodbye = Arc::new(AtomicBool::new(false));
    let source = Source {
        messages: source,
        key,
        said_goodbye: Arc::clone(&said_goodbye),
        ended: false,
        protocol,
    };
    let sink = Sink {
        messages: sink,
        said_goodbye,
        frame_bytes_max,
        protocol,
    };
    Connection::new(Box::new(source), Box::new(sink), peer_address).speaking(protocol)
}

struct Source {
    messages: SplitStream<WebSocketStream<Gate>>,
    key: GateKey,
    /// Set by the sink: from then on the peer may hang up as it likes.
    said_goodbye: Arc<AtomicBool>,
    ended: bool,
    protocol: Protocol,
}

impl Source {
    async fn next_frame(&mut self) -> Result<Option<Bytes>, TransportError> {
        if self.ended {
            return Ok(None);
        }
        loop {
            match self.messages.next().await {
                Some(Ok(Message::Binary(message))) if self.is_foreign() => {
                    if !message.is_empty() {
                        return Ok(Some(message));
                    }
                }
                Some(Ok(Message::Pong(_))) if self.is_foreign() => return Ok(Some(Bytes::new())),
                Some(Ok(Message::Binary(message))) => {
                    let frame = checksum::open(message);
                    self.ended = frame.is_none();
                    return frame.map(Some).ok_or_else(harmed);
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) => {
                    self.ended = true;
                    self.return_goodbye().await;
                    return Ok(None);
                }
                Some(Ok(Message::Text(_) | Message::Frame(_))) => {
                    self.ended = true;
                    return Err(TransportError::NotBinary);
                }
                Some(Err(error)) => {
                    self.ended = true;
                    return self.broken_off(error.into());
                }
                None => {
                    self.ended = true;
                    return Ok(None);
                }
            }
        }
    }

    fn is_foreign(&self) -> bool {
        self.protocol == Protocol::AutomergeRepo
    }

    fn broken_off(&self, error: TransportError) -> Result<Option<Bytes>, TransportError> {
        if matches!(error, TransportError::Closed) && self.said_goodbye.load(Ordering::Acquire) {
            return Ok(None);
        }
        Err(error)
    }

    /// Writes the answer to a goodbye, which the library does on the next read. It is a courtesy:
    /// one attempt, no waiting for a peer that may be gone.
    async fn return_goodbye(&mut self) {
        poll_fn(|context| {
            let _answered = Pin::new(&mut self.messages).poll_next(context);
            Poll::Ready(())
        })
        .await;
    }
}

impl FrameSource for Source {
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        Box::pin(self.next_frame())
    }

    fn trust(&mut self) {
        self.key.open();
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketSource")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

struct Sink {
    messages: SplitSink<WebSocketStream<Gate>, Message>,
    said_goodbye: Arc<AtomicBool>,
    frame_bytes_max: usize,
    protocol: Protocol,
}

impl FrameSink for Sink {
    fn send(&mut self, frame: Bytes) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(async move {
            if frame.len() > self.frame_bytes_max {
                return Err(TransportError::FrameTooLarge {
                    bytes: frame.len(),
                    max: self.frame_bytes_max,
                });
            }
            let message = match self.protocol {
                Protocol::Syncline => Message::Binary(checksum::seal(&frame)),
                Protocol::AutomergeRepo if frame.is_empty() => Message::Ping(frame),
                Protocol::AutomergeRepo => Message::Binary(frame),
            };
            Ok(self.messages.feed(message).await?)
        })
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(async { Ok(self.messages.flush().await?) })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(async {
            self.said_goodbye.store(true, Ordering::Release);
            match self.messages.close().await.map_err(TransportError::from) {
                Ok(()) | Err(TransportError::Closed) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketSink").finish_non_exhaustive()
    }
}

fn harmed() -> TransportError {
    TransportError::Malformed {
        problem: "a frame does not fit its checksum; it was harmed on its way".to_owned(),
    }
}

impl From<WsError> for TransportError {
    fn from(error: WsError) -> Self {
        match error {
            WsError::ConnectionClosed
            | WsError::AlreadyClosed
            | WsError::Protocol(
                ProtocolError::ResetWithoutClosingHandshake
                | ProtocolError::SendAfterClosing
                | ProtocolError::HandshakeIncomplete,
            ) => Self::Closed,
            WsError::Io(error) => error.into(),
            WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
                Self::FrameTooLarge {
                    bytes: size.saturating_sub(CHECKSUM_BYTES),
                    max: max_size.saturating_sub(CHECKSUM_BYTES),
                }
            }
            WsError::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
                Self::WrongSubprotocol {
                    expected: SUBPROTOCOL,
                }
            }
            WsError::Http(response) => Self::HandshakeRejected {
                status: response.status().as_u16(),
            },
            WsError::Utf8(_) => Self::NotBinary,
            error @ (WsError::Protocol(_)
            | WsError::Capacity(CapacityError::TooManyHeaders)
            | WsError::Tls(_)
            | WsError::WriteBufferFull(_)
            | WsError::AttackAttempt
            | WsError::Url(_)
            | WsError::HttpFormat(_)) => Self::Malformed {
                problem: error.to_string(),
            },
        }
    }
}

//! Moves whole frames between two replicas and knows no message.
//!
//! A transport is three things behind trait objects: a [`Connector`] that dials addresses of its
//! scheme, a [`Listener`] that yields links, and the [`Connection`] they both make, which splits
//! into a [`FrameSource`] and a [`FrameSink`]. [`memory`] joins replicas of one process,
//! `websocket` (feature `websocket`) joins devices. Any other is welcome: [`conformance`] holds the
//! tests it must pass.

pub mod conformance;
pub mod error;
pub mod memory;
#[cfg(feature = "websocket")]
pub mod websocket;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

pub use error::TransportError;

/// The futures of the transport traits: boxed, so that the traits can be used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The receiving half of a link.
pub trait FrameSource: Send + fmt::Debug {
    /// The next frame, whole and in the order sent; `None` once the other side has said goodbye,
    /// and when the link ends in whatever way after this side has.
    ///
    /// Cancel safe: a frame is never lost when the future is dropped. After `None` or an error the
    /// source gives no more frames.
    ///
    /// # Errors
    /// [`TransportError::Closed`] when the link broke off without a goodbye,
    /// [`TransportError::FrameTooLarge`] and [`TransportError::NotBinary`] when the other side
    /// breaks the rules of the transport.
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>>;

    /// Lifts the limit on a stranger's bytes: the peer has proved its identity.
    ///
    /// Until then a transport may read only [`STRANGER_BYTES_MAX`] and let the rest wait, so that
    /// nobody unknown makes it hold a large frame. Transports without such a limit need not
    /// implement this.
    ///
    /// [`STRANGER_BYTES_MAX`]: crate::limits::STRANGER_BYTES_MAX
    fn trust(&mut self) {}
}

/// The sending half of a link.
pub trait FrameSink: Send + fmt::Debug {
    /// Takes `frame` for sending; waits while the other side does not keep up.
    ///
    /// The frame may stay in a buffer until [`FrameSink::flush`]. Frames that fit no buffer push
    /// earlier ones out by themselves. If the future is dropped, the frame is sent whole or not at
    /// all; nobody can say which.
    ///
    /// # Errors
    /// [`TransportError::FrameTooLarge`], after which the sink can still be used; any other error
    /// ends the link.
    fn send(&mut self, frame: Bytes) -> BoxFuture<'_, Result<(), TransportError>>;

    /// Writes out what [`FrameSink::send`] has taken.
    ///
    /// # Errors
    /// Any error ends the link.
    fn flush(&mut self) -> BoxFuture<'_, Result<(), TransportError>>;

    /// Flushes, then says goodbye: the other side reads what was sent, then `None`.
    ///
    /// A goodbye is for both directions: neither side sends after saying or reading it, while what
    /// the other side sent before it read the goodbye still arrives. Like any flush it waits for a peer that does not read; give it a bounded time.
    /// To be sure that the last frames arrive, go on reading the source until it ends, for a
    /// bounded time, before dropping both halves.
    ///
    /// # Errors
    /// As [`FrameSink::flush`]. Closing a link that has ended is no error.
    fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>>;
}

/// What is spoken on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Ours.
    #[default]
    Syncline,
    /// That of automerge-repo: a frame is a message of its own, without anything of ours around it. An
    /// empty frame is a sign of life: sent it asks for one, received it is one.
    AutomergeRepo,
}

/// An open link to another replica. Dropping both halves ends it.
#[derive(Debug)]
pub struct Connection {
    source: Box<dyn FrameSource>,
    sink: Box<dyn FrameSink>,
    peer_address: String,
    protocol: Protocol,
}

impl Connection {
    /// A link from its halves; `peer_address` is for people and logs.
    pub fn new(
        source: Box<dyn FrameSource>,
        sink: Box<dyn FrameSink>,
        peer_address: impl Into<String>,
    ) -> Self {
        Self {
            source,
            sink,
            peer_address: peer_address.into(),
            protocol: Protocol::default(),
        }
    }

    /// The same link, on which another protocol is spoken.
    #[must_use]
    pub fn speaking(self, protocol: Protocol) -> Self {
        Self { protocol, ..self }
    }

    /// What is spoken on it.
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Where the other side is: the dialled address, or the one it came from.
    pub fn peer_address(&self) -> &str {
        &self.peer_address
    }

    /// The two halves, each of which may move to its own task.
    pub fn split(self) -> (Box<dyn FrameSource>, Box<dyn FrameSink>) {
        (self.source, self.sink)
    }
}

/// Dials.
pub trait Connector: Send + Sync + fmt::Debug {
    /// Whether `address` has a scheme that this transport dials.
    fn supports(&self, address: &str) -> bool;

    /// Says what is wrong with an address of such a scheme, as far as that is known without dialling.
    ///
    /// Whoever typed it is told at once, in place of a dial that is refused later. Transports whose
    /// addresses need no reading need not implement this.
    ///
    /// # Errors
    /// [`TransportError::InvalidAddress`] if [`Connector::connect`] would fail with it.
    fn check(&self, _address: &str) -> Result<(), TransportError> {
        Ok(())
    }

    /// Opens a link to `address`, within a bounded time of the transport's own.
    ///
    /// # Errors
    /// Why there is no link; [`TransportError::is_permanent`] tells whether to try again.
    fn connect<'a>(&'a self, address: &'a str)
    -> BoxFuture<'a, Result<Connection, TransportError>>;
}

/// Listens.
pub trait Listener: Send + fmt::Debug {
    /// The next link that is ready for frames.
    ///
    /// Cancel safe. Clients that fail before that are the listener's own business: it logs them and
    /// goes on.
    ///
    /// # Errors
    /// The listener is finished; it will not accept again.
    fn accept(&mut self) -> BoxFuture<'_, Result<Connection, TransportError>>;

    /// The address at which a [`Connector`] of this machine reaches the listener.
    fn local_address(&self) -> String;
}

#[cfg(test)]
mod tests;

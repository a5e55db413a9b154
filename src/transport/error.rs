//! Why a link could not be opened, or ended.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::error::{Error, ErrorKind};

/// What went wrong on a transport.
#[derive(Debug, Error)]
pub enum TransportError {
    /// The address cannot be dialled or listened on as it is written.
    #[error("the address {address:?} cannot be used: {problem}")]
    InvalidAddress {
        /// The address as given.
        address: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Nobody answers at the address, or nobody can be reached.
    #[error("cannot reach {address}: {source}")]
    Unreachable {
        /// The address as given.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address as given.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The other side speaks another protocol than syncline's.
    #[error("the other side does not speak the subprotocol {expected}")]
    WrongSubprotocol {
        /// The one that this side speaks.
        expected: &'static str,
    },
    /// The other side's HTTP server refused the link.
    #[error("the other side answered HTTP status {status}")]
    HandshakeRejected {
        /// The HTTP status.
        status: u16,
    },
    /// What the other side sends is not the transport's protocol.
    #[error("the other side breaks the transport's rules: {problem}")]
    Malformed {
        /// The rule.
        problem: String,
    },
    /// A text message came; frames are binary.
    #[error("the other side sent a text message, frames are binary")]
    NotBinary,
    /// A frame is over the limit.
    #[error("a frame of {bytes} bytes is over the limit of {max}")]
    FrameTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// It took longer than it may.
    #[error("no link after {} ms", after.as_millis())]
    Timeout {
        /// The time allowed.
        after: Duration,
    },
    /// The other side's certificate is not trusted, a key is unusable, or encryption failed.
    #[error("TLS: {problem}")]
    Tls {
        /// What is wrong.
        problem: String,
    },
    /// The link ended without a goodbye.
    #[error("the link was cut")]
    Closed,
    /// Reading or writing failed.
    #[error("the link failed: {0}")]
    Io(#[source] io::Error),
}

impl TransportError {
    /// Whether trying again is pointless until a person changes something.
    ///
    /// Deliberately narrow, since a replica that gives up is worse than one that asks too often:
    /// certificates get renewed, and a proxy answers 404 or 503 while a hub is being replaced.
    pub const fn is_permanent(&self) -> bool {
        match self {
            Self::InvalidAddress { .. } | Self::WrongSubprotocol { .. } => true,
            Self::HandshakeRejected { status } => matches!(*status, 400 | 401 | 403 | 426),
            Self::Unreachable { .. }
            | Self::Listen { .. }
            | Self::Malformed { .. }
            | Self::NotBinary
            | Self::FrameTooLarge { .. }
            | Self::Timeout { .. }
            | Self::Tls { .. }
            | Self::Closed
            | Self::Io(_) => false,
        }
    }

    const fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidAddress { .. } => ErrorKind::InvalidInput,
            Self::HandshakeRejected { .. } if self.is_permanent() => ErrorKind::Refused,
            Self::WrongSubprotocol { .. }
            | Self::Malformed { .. }
            | Self::NotBinary
            | Self::FrameTooLarge { .. } => ErrorKind::Protocol,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Unreachable { .. }
            | Self::Listen { .. }
            | Self::HandshakeRejected { .. }
            | Self::Tls { .. }
            | Self::Closed
            | Self::Io(_) => ErrorKind::Transport,
        }
    }
}

impl From<io::Error> for TransportError {
    /// A peer that went away is [`TransportError::Closed`] however the system words it.
    fn from(error: io::Error) -> Self {
        let gone = matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::NotConnected
                | io::ErrorKind::UnexpectedEof
        );
        if gone { Self::Closed } else { Self::Io(error) }
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}

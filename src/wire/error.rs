//! What can be wrong with a frame.

use thiserror::Error;

use super::code::ErrorCode;
use crate::codec::{Malformed, Problem};
use crate::error::{Error, ErrorKind};

/// A frame that is not a message. The peer that sent it is at fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WireError {
    /// Bytes that are not what they should be. The offset counts from the start of the
    /// (decompressed) body, in the frame's header from the start of the frame.
    #[error("frame '{message}': {malformed}")]
    Malformed {
        /// The message's stable name, or `header`.
        message: &'static str,
        /// What is wrong, and where.
        malformed: Malformed,
    },
    /// A message type that must be understood and is not.
    #[error("frame with unknown message type {kind:#04x}")]
    UnknownMessage {
        /// The type.
        kind: u8,
    },
    /// A frame that is over the limit as it came. One that would be over it decompressed is
    /// malformed: its declared length is over the limit.
    #[error("frame of {bytes} bytes, the limit is {max}")]
    TooLarge {
        /// Bytes of the frame.
        bytes: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A compressed body that does not decompress to exactly the length it declares.
    #[error("frame '{message}': body does not decompress to the {declared} bytes it declares")]
    Compression {
        /// The message's stable name.
        message: &'static str,
        /// The length it declares.
        declared: usize,
    },
}

impl WireError {
    /// The code under which the sender of the frame is told.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Malformed { malformed, .. } => match malformed.problem {
                Problem::OverLimit { .. } => ErrorCode::OverLimit,
                Problem::Truncated { .. }
                | Problem::NotCanonical
                | Problem::Unexpected(_)
                | Problem::NotUtf8
                | Problem::Trailing(_) => ErrorCode::Malformed,
            },
            Self::UnknownMessage { .. } => ErrorCode::UnknownMessage,
            Self::TooLarge { .. } => ErrorCode::OverLimit,
            Self::Compression { .. } => ErrorCode::Malformed,
        }
    }
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        Self::new(ErrorKind::Protocol, error.to_string()).with_source(error)
    }
}

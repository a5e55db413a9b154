//! Why a message of a client is no message.

use thiserror::Error;

use crate::codec::Malformed;

/// What is wrong with a message. The client is told, and its link ends.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RepoFault {
    /// It is not CBOR, or not a map of text keys.
    #[error("a message is not a CBOR map: {0}")]
    Cbor(String),
    /// A field has another type than it should, or is too long.
    #[error("field '{field}' is not {expected}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A field is missing that the message needs.
    #[error("a '{kind}' message lacks '{field}'")]
    Missing {
        /// The type of the message.
        kind: String,
        /// The field.
        field: &'static str,
    },
    /// The sync message in it can't be read.
    #[error("the sync message in it is malformed: {0}")]
    Sync(#[from] Malformed),
    /// A message comes before the handshake is over, or a second handshake after it.
    #[error("a '{kind}' message is out of order: a link begins with one 'join'")]
    OutOfOrder {
        /// The type of the message.
        kind: &'static str,
    },
    /// The client speaks no version that is spoken here.
    #[error("no protocol version in common: version 1 is spoken here")]
    Version,
    /// Something is over a limit.
    #[error("{count} {what} are over the limit of {max}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// The client was not let in.
    #[error("this hub does not let '{peer}' in")]
    NotAdmitted {
        /// Who it says it is.
        peer: String,
    },
}

//! Why bytes are not a change that this library accepts.

use thiserror::Error;

use crate::codec::Malformed;

/// Why a change was refused, before any document saw it.
///
/// The list is closed: a quarantine stores [`ChangeFault::code`] and the text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeFault {
    /// The bytes end too early, go on too long, or hold a number that is over its limit.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The bytes don't start as an Automerge chunk.
    #[error("the bytes start with {found:02x?}, not with the mark of an Automerge chunk")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// A chunk, but not a change.
    #[error("chunk type {found} is not a change")]
    ChunkType {
        /// The chunk's type.
        found: u8,
    },
    /// Larger than a change may be.
    #[error("{bytes} bytes are over the limit of {max}")]
    TooLarge {
        /// Size as received.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The compressed form is damaged.
    #[error("the compressed form is damaged after {consumed} of {compressed} bytes")]
    Deflate {
        /// Compressed bytes that could be read.
        consumed: u64,
        /// Compressed bytes in all.
        compressed: usize,
    },
    /// The compressed form inflates to more than a change may have.
    #[error("inflates to more than {max} bytes")]
    InflatedTooLarge {
        /// The limit.
        max: usize,
    },
    /// The content is not what the checksum was made of.
    #[error("checksum {stated:02x?} does not fit the content, which has {actual:02x?}")]
    Checksum {
        /// The checksum in the chunk.
        stated: [u8; 4],
        /// The checksum of its content.
        actual: [u8; 4],
    },
    /// Parents out of order or named twice.
    #[error("parent {index} is not greater than the one before it")]
    ParentOrder {
        /// Position among the parents.
        index: usize,
    },
    /// The author's own count starts at 1 and has 32 bits.
    #[error("sequence number {seq} is out of range")]
    Sequence {
        /// The number.
        seq: u64,
    },
    /// Operation numbers start at 1 and have 32 bits.
    #[error("{count} operations starting at {start} are out of range")]
    OperationNumbers {
        /// Number of the first operation.
        start: u64,
        /// How many follow.
        count: u64,
    },
    /// The columns are out of order, compressed, or longer than the change.
    #[error("column {index} is out of order, compressed, or too long")]
    Columns {
        /// Position among the columns.
        index: usize,
    },
    /// More operations, or more overwritten operations, than a change may have.
    #[error("{count} entries of {what} are over the limit of {max}")]
    TooMany {
        /// Operations or predecessors.
        what: &'static str,
        /// How many the change says it has.
        count: u64,
        /// The limit.
        max: u64,
    },
    /// Automerge cannot read the operations.
    #[error("Automerge refuses it: {reason}")]
    Refused {
        /// What Automerge says.
        reason: String,
    },
    /// Automerge panicked when it read the operations.
    #[error("Automerge panics on it: {reason}")]
    Panicked {
        /// The panic's message.
        reason: String,
    },
    /// Automerge reads another hash, number or count than we do.
    #[error("Automerge reads another {what}")]
    Disagrees {
        /// What differs.
        what: &'static str,
    },
    /// Automerge would write the same operations as other bytes, and so under another hash.
    #[error("it is not written as Automerge writes it, so no saved document could give it back")]
    NotCanonical,
    /// A time so far off that differences of two such times don't fit 64 bits.
    #[error("time {seconds} is out of range")]
    Time {
        /// The time, in Unix seconds.
        seconds: i64,
    },
}

/// Names by code; the place in this list is the code, so entries only ever get appended.
const NAMES: [&str; 17] = [
    "malformed",
    "magic",
    "chunk_type",
    "too_large",
    "deflate",
    "inflated_too_large",
    "checksum",
    "parent_order",
    "sequence",
    "operation_numbers",
    "columns",
    "too_many",
    "refused",
    "panicked",
    "disagrees",
    "not_canonical",
    "time",
];

impl ChangeFault {
    /// A number for storing, stable across versions.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Malformed(_) => 0,
            Self::Magic { .. } => 1,
            Self::ChunkType { .. } => 2,
            Self::TooLarge { .. } => 3,
            Self::Deflate { .. } => 4,
            Self::InflatedTooLarge { .. } => 5,
            Self::Checksum { .. } => 6,
            Self::ParentOrder { .. } => 7,
            Self::Sequence { .. } => 8,
            Self::OperationNumbers { .. } => 9,
            Self::Columns { .. } => 10,
            Self::TooMany { .. } => 11,
            Self::Refused { .. } => 12,
            Self::Panicked { .. } => 13,
            Self::Disagrees { .. } => 14,
            Self::NotCanonical => 15,
            Self::Time { .. } => 16,
        }
    }

    /// A short name, stable across versions, for logs and metrics.
    pub fn name(&self) -> &'static str {
        Self::name_of(self.code()).unwrap_or("unknown")
    }

    /// The name that belongs to a stored code; `None` for a code of a later version.
    pub fn name_of(code: u8) -> Option<&'static str> {
        NAMES.get(usize::from(code)).copied()
    }
}

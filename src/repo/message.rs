//! The messages of the automerge-repo protocol, version "1", as they stand in a WebSocket message each.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::id::RecordId;

/// The version of the protocol that is spoken here.
pub const VERSION: &str = "1";

/// What a side says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The storage behind it, if it has one.
    pub storage: Option<String>,
    /// Whether it keeps nothing.
    pub is_ephemeral: bool,
}

/// Who speaks to whom of which document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The sender; of an ephemeral message, its author.
    pub sender: String,
    /// To whom.
    pub target: String,
    /// Of what.
    pub document: RecordId,
}

/// What a storage had of a document at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageHeads {
    /// Its heads, each in base58 with a checksum.
    pub heads: Vec<String>,
    /// When, in milliseconds since 1970 by the clock of who saw it.
    pub timestamp: u64,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A client's first.
    Join {
        /// Who it is.
        sender: String,
        /// The versions that it speaks.
        versions: Vec<String>,
        /// What it says of itself.
        metadata: Metadata,
    },
    /// The answer to it.
    Peer {
        /// Who answers.
        sender: String,
        /// Whom.
        target: String,
        /// The version to go on with.
        version: String,
        /// What it says of itself.
        metadata: Metadata,
    },
    /// The link ends, and why.
    Error {
        /// Whom it is for, if that is known.
        target: Option<String>,
        /// Who says so.
        sender: String,
        /// Why.
        message: String,
    },
    /// The sender ends the link.
    Leave {
        /// Who.
        sender: String,
    },
    /// A sync message.
    Sync {
        /// Of what.
        envelope: Envelope,
        /// The sender has nothing, and asks who has.
        is_request: bool,
        /// Automerge's message.
        data: Bytes,
    },
    /// The sender does not have the document, and knows nobody who has.
    Unavailable(Envelope),
    /// Something for all who have the document open, and for no store.
    Ephemeral {
        /// Who wrote it, and of what.
        envelope: Envelope,
        /// Its number in the author's session.
        count: u64,
        /// The author's session.
        session: String,
        /// CBOR of the application's.
        data: Bytes,
    },
    /// The sender wants to hear what these storages have, or no longer does.
    Subscribe {
        /// Who.
        sender: String,
        /// To whom.
        target: String,
        /// Storages.
        add: Vec<String>,
        /// Storages.
        remove: Vec<String>,
    },
    /// What storages have of a document.
    StorageHeads {
        /// Of what.
        envelope: Envelope,
        /// By storage.
        heads: BTreeMap<String, StorageHeads>,
    },
    /// A message of a later version.
    Unknown(String),
}

impl Message {
    /// Its type, as it stands in it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Join { .. } => "join",
            Self::Peer { .. } => "peer",
            Self::Error { .. } => "error",
            Self::Leave { .. } => "leave",
            Self::Sync {
                is_request: true, ..
            } => "request",
            Self::Sync { .. } => "sync",
            Self::Unavailable(_) => "doc-unavailable",
            Self::Ephemeral { .. } => "ephemeral",
            Self::Subscribe { .. } => "remote-subscription-change",
            Self::StorageHeads { .. } => "remote-heads-changed",
            Self::Unknown(_) => "unknown",
        }
    }
}

//! How a peer stands, for people and metrics.

use super::{BreakerState, PeerAddress};
use crate::id::{ReplicaId, StoreId};
use crate::time::Instant;

/// Where the dialling of a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// The next attempt is waited for.
    Waiting,
    /// A link is being opened.
    Dialling,
    /// The link is open, the peer has not proved itself yet.
    Handshaking,
    /// There is a session over a link that was dialled.
    Linked,
    /// There is a session over another link, so this peer is not dialled.
    Standby,
    /// Refused for good. A retry, or a change of what is expected, dials again.
    Refused,
}

impl PeerState {
    /// A stable name, for status and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Dialling => "dialling",
            Self::Handshaking => "handshaking",
            Self::Linked => "linked",
            Self::Standby => "standby",
            Self::Refused => "refused",
        }
    }
}

/// How one peer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Where it is dialled.
    pub address: PeerAddress,
    /// Who is expected there, or was there last.
    pub replica: Option<ReplicaId>,
    /// Its store, when it was there last.
    pub store: Option<StoreId>,
    /// Where dialling stands.
    pub state: PeerState,
    /// Failures in a row.
    pub failures: u32,
    /// Attempts made since it was added.
    pub attempts: u64,
    /// When the next attempt is made, if one is waited for.
    pub next_attempt: Option<Instant>,
    /// The breaker.
    pub breaker: BreakerState,
    /// How often the breaker has opened.
    pub breaker_opened: u64,
    /// Why the last attempt or session ended.
    pub last_error: Option<String>,
}

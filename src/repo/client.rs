//! One client: who it is, which documents it speaks of, what is on its way to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::message::Metadata;
use super::sync::{SyncMessage, SyncState};
use crate::doc::Received;
use crate::id::{ChangeHash, RecordId};
use crate::limits;
use crate::time::Instant;

/// Names the link of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// Who a client says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// Its name, which it chose itself.
    pub peer: String,
    /// What it says of itself.
    pub metadata: Metadata,
}

/// A sync message that waits for those before it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) sync: SyncMessage,
    pub(super) changes: Vec<Received>,
    pub(super) brought: bool,
    pub(super) is_request: bool,
}

/// A document that a client speaks of.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) state: SyncState,
    /// The message whose changes are being taken in, and their names.
    pub(super) taking: Option<(Pending, Vec<ChangeHash>)>,
    pub(super) waiting: VecDeque<Pending>,
}

/// A client's link.
#[derive(Debug)]
pub(super) struct Client {
    /// None until it has joined.
    pub(super) info: Option<ClientInfo>,
    pub(super) join_by: Instant,
    pub(super) open: BTreeMap<RecordId, Open>,
    /// Storages of which it wants to hear.
    pub(super) storages: BTreeSet<String>,
    /// Documents of which something is to be said once there is room.
    pub(super) unsaid: BTreeSet<RecordId>,
    pub(super) outbox_messages: usize,
    pub(super) outbox_bytes: usize,
    pub(super) ephemerals: Bucket,
}

impl Client {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            info: None,
            join_by: now + limits::REPO_JOIN_WITHIN,
            open: BTreeMap::new(),
            storages: BTreeSet::new(),
            unsaid: BTreeSet::new(),
            outbox_messages: 0,
            outbox_bytes: 0,
            ephemerals: Bucket {
                tokens: limits::REPO_EPHEMERAL_BURST,
                filled_at: now,
            },
        }
    }

    pub(super) const fn has_room(&self) -> bool {
        self.outbox_messages < limits::REPO_OUTBOX_MESSAGES
            && self.outbox_bytes < limits::REPO_OUTBOX_BYTES
    }
}

/// How many ephemeral messages may come now.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: u32,
    filled_at: Instant,
}

impl Bucket {
    /// Takes a place, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.since(self.filled_at).as_millis();
        let rate = u128::from(limits::REPO_EPHEMERAL_RATE);
        let new = u32::try_from(passed * rate / 1_000).unwrap_or(u32::MAX);
        if new > 0 {
            let all = self.tokens.saturating_add(new);
            self.tokens = all.min(limits::REPO_EPHEMERAL_BURST);
            self.filled_at = now;
        }
        let has = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        has
    }
}

//! Clients of automerge-repo at a node: a thread that decides ([`thread`]), and a task for each link
//! ([`link`]).

pub(super) mod link;
mod thread;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, Semaphore, mpsc};

use super::shared::lock;
use crate::id::{CollectionId, RecordId, RecordKey, SpaceId, StoreId};
use crate::limits;
use crate::repo::{RepoConfig, RepoPolicy};

pub(super) use thread::start;

/// How clients of automerge-repo are served.
#[derive(Clone, Debug)]
pub(super) struct RepoSettings {
    pub(super) collection: CollectionId,
    pub(super) policy: Arc<dyn RepoPolicy>,
}

/// What links, the engine's thread and that of the clients share.
#[derive(Debug)]
pub(super) struct RepoShared {
    pub(super) space: SpaceId,
    pub(super) settings: RepoSettings,
    inbox: mpsc::Sender<thread::Message>,
    /// Documents that have other heads, until the thread has looked.
    changed: Mutex<BTreeSet<RecordId>>,
    wake: Notify,
    /// Room for messages that were read and not yet handled, in kilobytes.
    inbound: Arc<Semaphore>,
}

/// What the thread is given to read.
pub(super) type Inbox = mpsc::Receiver<thread::Message>;

impl RepoShared {
    pub(super) fn new(space: SpaceId, settings: RepoSettings) -> (Self, Inbox) {
        let (inbox, messages) = mpsc::channel(limits::ENGINE_INBOX_EVENTS);
        let shared = Self {
            space,
            settings,
            inbox,
            changed: Mutex::default(),
            wake: Notify::new(),
            inbound: Arc::new(Semaphore::new(limits::REPO_INBOUND_BYTES / 1024)),
        };
        (shared, messages)
    }

    /// The engine has committed something of a record.
    pub(super) fn committed(&self, key: &RecordKey) {
        lock(&self.changed).insert(key.record);
        self.wake.notify_one();
    }

    fn key(&self, document: RecordId) -> RecordKey {
        RecordKey {
            space: self.space,
            collection: self.settings.collection.clone(),
            record: document,
        }
    }

    fn config(&self, store: StoreId) -> RepoConfig {
        RepoConfig {
            peer: format!("syncline-{}", store.short()),
            storage: as_uuid(store),
            policy: Arc::clone(&self.settings.policy),
        }
    }
}

/// A store's id as automerge-repo shows those of storages.
fn as_uuid(store: StoreId) -> String {
    let digits = store.to_string();
    let mut uuid = String::with_capacity(36);
    for (at, digit) in digits.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(digit);
    }
    uuid
}

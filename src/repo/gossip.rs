//! What storages have of documents, told to the clients that subscribe to them: so they know what is safe
//! where.

use std::collections::BTreeMap;

use super::client::ClientId;
use super::documents::Place;
use super::hub::RepoHub;
use super::message::{Message, StorageHeads};
use crate::id::{ChangeHash, RecordId};
use crate::limits;
use crate::time::Now;

/// The newest heads of storages, by document and storage.
#[derive(Debug, Default)]
pub(super) struct Gossip(BTreeMap<(RecordId, String), StorageHeads>);

impl Gossip {
    /// Notes what a storage has; says whether that is news.
    fn note(&mut self, document: RecordId, storage: &str, heads: &StorageHeads) -> bool {
        let key = (document, storage.to_owned());
        let known = self.0.get(&key);
        let is_news =
            known.is_none_or(|it| it.timestamp < heads.timestamp && it.heads != heads.heads);
        if is_news {
            if known.is_none() && self.0.len() >= limits::REPO_GOSSIP_MAX {
                self.0.pop_first();
            }
            self.0.insert(key, heads.clone());
        }
        is_news
    }

    fn of(&self, document: RecordId, storage: &str) -> Option<&StorageHeads> {
        self.0.get(&(document, storage.to_owned()))
    }
}

impl RepoHub {
    /// A client says what it has of a document: if there is a storage behind it, who subscribes to that
    /// hears of it.
    pub(super) fn saw_heads(
        &mut self,
        now: Now,
        id: ClientId,
        document: RecordId,
        heads: &[ChangeHash],
    ) {
        let info = self.clients.get(&id).and_then(|it| it.info.as_ref());
        let storage = info.filter(|it| !it.metadata.is_ephemeral);
        let Some(storage) = storage.and_then(|it| it.metadata.storage.clone()) else {
            return;
        };
        let heads = StorageHeads {
            heads: heads.iter().map(|it| it.to_base58()).collect(),
            timestamp: now.wall.as_millis(),
        };
        self.storage_heads(id, document, BTreeMap::from([(storage, heads)]));
    }

    /// Somebody says what storages have of a document.
    pub(super) fn storage_heads(
        &mut self,
        from: ClientId,
        document: RecordId,
        heads: BTreeMap<String, StorageHeads>,
    ) {
        for (storage, heads) in heads {
            if !self.gossip.note(document, &storage, &heads) {
                continue;
            }
            let open = self.open.get(&document).into_iter().flatten();
            let wants = |it: &ClientId| {
                let client = self.clients.get(it);
                *it != from && client.is_some_and(|it| it.storages.contains(&storage))
            };
            let clients: Vec<ClientId> = open.copied().filter(wants).collect();
            for id in clients {
                self.tell_heads((id, document), &storage, heads.clone());
            }
        }
    }

    pub(super) fn subscribe(&mut self, id: ClientId, add: Vec<String>, remove: &[String]) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        for storage in remove {
            client.storages.remove(storage);
        }
        let room = limits::REPO_STORAGES_MAX.saturating_sub(client.storages.len());
        let new: Vec<String> = add.into_iter().take(room).collect();
        client.storages.extend(new.iter().cloned());
        let documents: Vec<RecordId> = client.open.keys().copied().collect();
        for document in documents {
            for storage in &new {
                if let Some(heads) = self.gossip.of(document, storage).cloned() {
                    self.tell_heads((id, document), storage, heads);
                }
            }
        }
    }

    /// A client has opened a document: it hears what the storages have to which it subscribes.
    pub(super) fn tell_storages(&mut self, id: ClientId, document: RecordId) {
        let storages = self.clients.get(&id).map(|it| it.storages.clone());
        for storage in storages.unwrap_or_default() {
            if let Some(heads) = self.gossip.of(document, &storage).cloned() {
                self.tell_heads((id, document), &storage, heads);
            }
        }
    }

    fn tell_heads(&mut self, place: Place, storage: &str, heads: StorageHeads) {
        if let Some(envelope) = self.envelope(place) {
            let heads = BTreeMap::from([(storage.to_owned(), heads)]);
            self.send(place.0, &Message::StorageHeads { envelope, heads });
        }
    }
}

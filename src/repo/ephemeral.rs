//! Ephemeral messages: passed on to who has the document open, once, and never stored.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::client::ClientId;
use super::hub::RepoHub;
use super::message::{Envelope, Message};
use crate::limits;
use crate::telemetry::names;
use crate::time::Instant;

/// The number of the last message of each author's session, so that what comes by two ways is passed on
/// once.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    last: BTreeMap<(String, String), (u64, u64)>,
    by_use: BTreeMap<u64, (String, String)>,
    uses: u64,
}

impl Sessions {
    /// Whether a message is newer than those before it.
    fn is_news(&mut self, author: &str, session: String, count: u64) -> bool {
        let key = (author.to_owned(), session);
        if let Some((last, used)) = self.last.get(&key) {
            if count <= *last {
                return false;
            }
            self.by_use.remove(used);
        } else if self.last.len() >= limits::REPO_SESSIONS_MAX
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.last.remove(&oldest);
        }
        self.uses += 1;
        self.by_use.insert(self.uses, key.clone());
        self.last.insert(key, (count, self.uses));
        true
    }
}

impl RepoHub {
    /// Passes a message on to all others who have the document open.
    pub(super) fn pass_on(
        &mut self,
        (now, id): (Instant, ClientId),
        from: &Envelope,
        (session, count): (String, u64),
        data: &Bytes,
    ) {
        let client = self.clients.get_mut(&id);
        let Some(client) = client.filter(|it| it.open.contains_key(&from.document)) else {
            return;
        };
        // Stock clients say what they have heard once more: such an echo costs nobody a place.
        if !self.sessions.is_news(&from.sender, session.clone(), count) {
            return;
        }
        if data.len() > limits::REPO_EPHEMERAL_BYTES_MAX || !client.ephemerals.take(now) {
            metrics::counter!(names::REPO_EPHEMERAL_DROPPED).increment(1);
            return;
        }
        let document = from.document;
        let others = self.open.get(&document).into_iter().flatten().copied();
        let others: Vec<ClientId> = others.filter(|it| *it != id).collect();
        for other in others {
            let Some(client) = self.clients.get(&other) else {
                continue;
            };
            let Some(target) = client.info.as_ref().map(|it| it.peer.clone()) else {
                continue;
            };
            if target == from.sender {
                continue;
            }
            if !client.has_room() {
                metrics::counter!(names::REPO_EPHEMERAL_DROPPED).increment(1);
                continue;
            }
            let message = Message::Ephemeral {
                envelope: Envelope {
                    sender: from.sender.clone(),
                    target,
                    document,
                },
                count,
                session: session.clone(),
                data: data.clone(),
            };
            self.send(other, &message);
        }
    }
}

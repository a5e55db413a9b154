//! Documents between hub and clients: what a sync message leads to, and what is said when one changes.

use super::client::{ClientId, Open, Pending};
use super::fault::RepoFault;
use super::hub::{Documents, Output, RepoHub};
use super::message::{Envelope, Message};
use super::sync::SyncMessage;
use crate::error::Result;
use crate::id::{ChangeHash, RecordId};
use crate::limits;
use crate::replica::{Admission, Reason};
use crate::time::Now;

/// A client and a document that it speaks of.
pub(super) type Place = (ClientId, RecordId);

impl RepoHub {
    pub(super) fn heard_sync(
        &mut self,
        now: Now,
        (id, document): Place,
        pending: Pending,
        documents: &mut dyn Documents,
    ) -> Result<()> {
        if !self.allows(id, document) {
            self.unavailable(document, &[id]);
            return Ok(());
        }
        let Some(open) = self.open_for(id, document) else {
            return Ok(());
        };
        if open.taking.is_none() {
            return self.take(now, (id, document), pending, documents);
        }
        let max = limits::REPO_WAITING_MAX;
        if open.waiting.len() >= max {
            let (what, count) = ("messages of a document that wait", open.waiting.len() + 1);
            self.refuse(id, &RepoFault::TooMany { what, count, max });
            return Ok(());
        }
        open.waiting.push_back(pending);
        Ok(())
    }

    fn allows(&self, id: ClientId, document: RecordId) -> bool {
        let info = self.clients.get(&id).and_then(|it| it.info.as_ref());
        info.is_some_and(|it| self.config.policy.allows(it, document))
    }

    /// What is known of a document and a client; none if that is over the limit, or the client gone.
    fn open_for(&mut self, id: ClientId, document: RecordId) -> Option<&mut Open> {
        let client = self.clients.get(&id)?;
        let (count, max) = (client.open.len() + 1, limits::REPO_DOCUMENTS_MAX);
        let is_new = !client.open.contains_key(&document);
        if is_new && count > max {
            let what = "documents of one client";
            self.refuse(id, &RepoFault::TooMany { what, count, max });
            return None;
        }
        if is_new {
            self.open.entry(document).or_default().insert(id);
            self.tell_storages(id, document);
        }
        let client = self.clients.get_mut(&id)?;
        Some(client.open.entry(document).or_default())
    }

    fn open_mut(&mut self, (id, document): Place) -> Option<&mut Open> {
        self.clients.get_mut(&id)?.open.get_mut(&document)
    }

    /// Takes a message in: its changes first, which have to be durable before anything is answered.
    fn take(
        &mut self,
        now: Now,
        place: Place,
        mut pending: Pending,
        documents: &mut dyn Documents,
    ) -> Result<()> {
        if pending.changes.is_empty() {
            return self.receive(now, place, &pending, documents);
        }
        let changes = std::mem::take(&mut pending.changes);
        let hash = |it: &crate::doc::Received| match it {
            Ok(change) => change.hash(),
            Err(refused) => refused.hash,
        };
        let hashes: Vec<ChangeHash> = changes.iter().map(hash).collect();
        if let Some(open) = self.open_mut(place) {
            open.taking = Some((pending, hashes));
            self.out(Output::Take(place.0, place.1, changes));
        }
        Ok(())
    }

    pub(super) fn taken(
        &mut self,
        now: Now,
        place: Place,
        fates: Result<Vec<Admission>>,
        documents: &mut dyn Documents,
    ) -> Result<()> {
        let Some(open) = self.open_mut(place) else {
            return Ok(());
        };
        let Some((pending, hashes)) = open.taking.take() else {
            return Ok(());
        };
        let fates = match fates {
            Ok(fates) => fates,
            Err(error) => {
                // It sends them again on its next link.
                tracing::warn!(error = format!("{error:#}"), document = %place.1, "changes of an automerge-repo client could not be stored");
                self.drop_link(place.0);
                return Ok(());
            }
        };
        for (hash, fate) in hashes.into_iter().zip(fates) {
            match fate {
                Admission::Held(Reason::Waiting { missing }) => open.state.waits(hash, missing),
                Admission::Held(reason) => {
                    tracing::warn!(%reason, document = %place.1, "a change of an automerge-repo client is in quarantine");
                    open.state.refuses(hash);
                    // Of bytes that can't be read the change's name is not known, but what they were for.
                    if matches!(reason, Reason::Malformed(_)) {
                        open.state.gives_up(&pending.sync.heads);
                    }
                }
                Admission::Applied(_) | Admission::Duplicate => {}
            }
        }
        self.receive(now, place, &pending, documents)?;
        while let Some(open) = self.open_mut(place)
            && open.taking.is_none()
            && let Some(next) = open.waiting.pop_front()
        {
            self.take(now, place, next, documents)?;
        }
        Ok(())
    }

    fn drop_link(&mut self, id: ClientId) {
        self.out(Output::Close(id));
        self.gone(id);
    }

    fn receive(
        &mut self,
        now: Now,
        (id, document): Place,
        pending: &Pending,
        documents: &mut dyn Documents,
    ) -> Result<()> {
        let Some(open) = self.open_mut((id, document)) else {
            return Ok(());
        };
        let lineage = documents.lineage(document)?;
        open.state
            .receive(&pending.sync, pending.brought, lineage)?;
        let is_here = !lineage.heads().is_empty();
        let is_coming = open.state.is_supplied();
        self.saw_heads(now, id, document, &pending.sync.heads);
        let has_any = !pending.sync.heads.is_empty();
        if is_here {
            self.wanted.found(document);
        } else if has_any {
            self.wanted.expect(now.instant, document, is_coming);
        } else if pending.is_request {
            let open = self.open.get(&document).into_iter().flatten();
            let is_coming = open.copied().any(|it| self.has_some(it, document));
            self.wanted.ask(now.instant, id, document, is_coming);
            return Ok(());
        }
        self.speak((id, document), documents)
    }

    /// Whether a client has said that it has something of a document.
    fn has_some(&self, id: ClientId, document: RecordId) -> bool {
        let open = self.clients.get(&id).and_then(|it| it.open.get(&document));
        open.is_some_and(|it| it.state.is_supplied())
    }

    pub(super) fn unavailable(&mut self, document: RecordId, clients: &[ClientId]) {
        for id in clients {
            if let Some(envelope) = self.envelope((*id, document)) {
                self.send(*id, &Message::Unavailable(envelope));
            }
        }
    }

    pub(super) fn envelope(&self, (id, document): Place) -> Option<Envelope> {
        let info = self.clients.get(&id)?.info.as_ref()?;
        Some(Envelope {
            sender: self.config.peer.clone(),
            target: info.peer.clone(),
            document,
        })
    }

    /// A document has other heads: who has it open hears of it.
    pub(super) fn changed(
        &mut self,
        document: RecordId,
        documents: &mut dyn Documents,
    ) -> Result<()> {
        self.wanted.found(document);
        let clients: Vec<ClientId> = self
            .open
            .get(&document)
            .into_iter()
            .flatten()
            .copied()
            .collect();
        for id in clients {
            self.speak((id, document), documents)?;
        }
        Ok(())
    }

    /// Says what is to be said of a document now, or once there is room.
    fn speak(&mut self, place: Place, documents: &mut dyn Documents) -> Result<()> {
        let (id, document) = place;
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(());
        };
        if !client.has_room() {
            client.unsaid.insert(document);
            return Ok(());
        }
        let Some(open) = client.open.get_mut(&document) else {
            return Ok(());
        };
        // The answer to what is being taken in says it all.
        if open.taking.is_some() || open.state.their_heads().is_none() {
            return Ok(());
        }
        let message = open.state.generate(documents.lineage(document)?)?;
        if let Some(message) = message {
            self.send_sync(place, &message);
        }
        Ok(())
    }

    fn send_sync(&mut self, place: Place, message: &SyncMessage) {
        if let Some(envelope) = self.envelope(place) {
            let message = Message::Sync {
                envelope,
                is_request: false,
                data: message.encode().into(),
            };
            self.send(place.0, &message);
        }
    }

    /// A client has read a message.
    pub(super) fn written(
        &mut self,
        id: ClientId,
        bytes: usize,
        documents: &mut dyn Documents,
    ) -> Result<()> {
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(());
        };
        client.outbox_messages = client.outbox_messages.saturating_sub(1);
        client.outbox_bytes = client.outbox_bytes.saturating_sub(bytes);
        while let Some(client) = self.clients.get_mut(&id)
            && client.has_room()
            && let Some(document) = client.unsaid.pop_first()
        {
            self.speak((id, document), documents)?;
        }
        Ok(())
    }
}

//! A hub among automerge-repo clients, without IO: messages in, messages out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::client::{Client, ClientId, ClientInfo};
use super::ephemeral::Sessions;
use super::fault::RepoFault;
use super::gossip::Gossip;
use super::heard::Heard;
use super::message::{Message, Metadata, VERSION};
use super::policy::RepoPolicy;
use super::sync::Lineage;
use super::wanted::Wanted;
use crate::doc::Received;
use crate::error::Result;
use crate::id::RecordId;
use crate::limits;
use crate::replica::Admission;
use crate::time::{Instant, Now};

/// What happens.
#[derive(Debug)]
pub enum Input {
    /// A client's link is open.
    Opened(ClientId),
    /// A client said something.
    Heard(ClientId, Result<Box<Heard>, RepoFault>),
    /// A message of so many bytes was written to a client.
    Written(ClientId, usize),
    /// A client's link has ended.
    Gone(ClientId),
    /// A document has other heads.
    Changed(RecordId),
    /// What became of the changes that a client brought.
    Taken(ClientId, RecordId, Result<Vec<Admission>>),
    /// Time has passed.
    Timer,
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Send a message.
    Send(ClientId, Vec<u8>),
    /// The client has joined: large messages may come.
    Trust(ClientId),
    /// End a client's link once its messages are written.
    Close(ClientId),
    /// Take in changes of a document, and answer with [`Input::Taken`].
    Take(ClientId, RecordId, Vec<Received>),
}

/// The documents of the hub.
pub trait Documents {
    /// A document's changes as they are now; of one that is not here, no heads.
    ///
    /// # Errors
    /// When the store can't be read.
    fn lineage(&mut self, document: RecordId) -> Result<&mut dyn Lineage>;

    /// Lets go of what was read last, which may keep the store from using space again.
    fn rest(&mut self);
}

/// Who the hub is.
#[derive(Clone, Debug)]
pub struct RepoConfig {
    /// Its name among the clients.
    pub peer: String,
    /// The name of its store among them.
    pub storage: String,
    /// Who may what.
    pub policy: Arc<dyn RepoPolicy>,
}

/// A hub of automerge-repo clients.
#[derive(Debug)]
pub struct RepoHub {
    pub(super) config: RepoConfig,
    pub(super) clients: BTreeMap<ClientId, Client>,
    by_peer: BTreeMap<String, ClientId>,
    /// Who has a document open.
    pub(super) open: BTreeMap<RecordId, BTreeSet<ClientId>>,
    pub(super) wanted: Wanted,
    pub(super) sessions: Sessions,
    pub(super) gossip: Gossip,
    outputs: VecDeque<Output>,
}

impl RepoHub {
    /// A hub without clients.
    pub fn new(config: RepoConfig) -> Self {
        Self {
            config,
            clients: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            open: BTreeMap::new(),
            wanted: Wanted::default(),
            sessions: Sessions::default(),
            gossip: Gossip::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes in what happened.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn handle(&mut self, now: Now, input: Input, documents: &mut dyn Documents) -> Result<()> {
        match input {
            Input::Opened(id) => self.opened(now.instant, id),
            Input::Heard(id, Ok(heard)) => return self.heard(now, id, *heard, documents),
            Input::Heard(id, Err(fault)) => self.refuse(id, &fault),
            Input::Written(id, bytes) => return self.written(id, bytes, documents),
            Input::Gone(id) => self.gone(id),
            Input::Changed(document) => return self.changed(document, documents),
            Input::Taken(id, document, fates) => {
                return self.taken(now, (id, document), fates, documents);
            }
            Input::Timer => {}
        }
        self.expire(now.instant);
        Ok(())
    }

    /// The next thing to be done.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to be woken with [`Input::Timer`], at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let strangers = self.clients.values().filter(|it| it.info.is_none());
        let join = strangers.map(|it| it.join_by).min();
        join.into_iter().chain(self.wanted.poll_timeout()).min()
    }

    /// Clients that have joined.
    pub fn clients(&self) -> impl Iterator<Item = (ClientId, &ClientInfo)> {
        let clients = self.clients.iter();
        clients.filter_map(|(id, it)| Some((*id, it.info.as_ref()?)))
    }

    pub(super) fn out(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Sends a message, if the client is there.
    pub(super) fn send(&mut self, id: ClientId, message: &Message) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let bytes = message.encode();
        client.outbox_messages += 1;
        client.outbox_bytes += bytes.len();
        self.outputs.push_back(Output::Send(id, bytes));
    }

    fn opened(&mut self, now: Instant, id: ClientId) {
        if self.clients.len() >= limits::REPO_CLIENTS_MAX {
            self.out(Output::Close(id));
        } else {
            self.clients.insert(id, Client::new(now));
        }
    }

    fn heard(
        &mut self,
        now: Now,
        id: ClientId,
        heard: Heard,
        documents: &mut dyn Documents,
    ) -> Result<()> {
        let Some(client) = self.clients.get(&id) else {
            // It was replaced by a newer link of the same peer, or refused.
            return Ok(());
        };
        let has_joined = client.info.is_some();
        let kind = heard.message.kind();
        let is_join = matches!(heard.message, Message::Join { .. });
        if has_joined == is_join && !matches!(heard.message, Message::Unknown(_)) {
            self.refuse(id, &RepoFault::OutOfOrder { kind });
            return Ok(());
        }
        match heard.message {
            Message::Join {
                sender,
                versions,
                metadata,
            } => self.join(id, sender, &versions, metadata),
            Message::Sync {
                envelope,
                is_request,
                ..
            } => {
                let Some(sync) = heard.sync else {
                    return Ok(());
                };
                let pending = super::client::Pending {
                    sync,
                    brought: !heard.changes.is_empty(),
                    changes: heard.changes,
                    is_request,
                };
                return self.heard_sync(now, (id, envelope.document), pending, documents);
            }
            Message::Ephemeral {
                envelope,
                count,
                session,
                data,
            } => self.pass_on((now.instant, id), &envelope, (session, count), &data),
            Message::Subscribe { add, remove, .. } => self.subscribe(id, add, &remove),
            Message::StorageHeads { envelope, heads } => {
                self.storage_heads(id, envelope.document, heads);
            }
            Message::Leave { .. } => {
                self.out(Output::Close(id));
                self.gone(id);
            }
            Message::Error { message, .. } => {
                tracing::debug!(message, "an automerge-repo client reports an error");
            }
            // Answers to what was never asked, and what later versions say.
            Message::Peer { .. } | Message::Unavailable(_) | Message::Unknown(_) => {}
        }
        Ok(())
    }

    fn join(&mut self, id: ClientId, peer: String, versions: &[String], metadata: Metadata) {
        if !versions.iter().any(|it| it == VERSION) {
            return self.refuse(id, &RepoFault::Version);
        }
        let info = ClientInfo { peer, metadata };
        if !self.config.policy.admits(&info) {
            let peer = info.peer;
            return self.refuse(id, &RepoFault::NotAdmitted { peer });
        }
        // What the older link of the same peer had in flight is lost: both start afresh.
        if let Some(older) = self.by_peer.insert(info.peer.clone(), id) {
            self.out(Output::Close(older));
            self.forget(older);
        }
        let answer = Message::Peer {
            sender: self.config.peer.clone(),
            target: info.peer.clone(),
            version: VERSION.to_owned(),
            metadata: Metadata {
                storage: Some(self.config.storage.clone()),
                is_ephemeral: false,
            },
        };
        if let Some(client) = self.clients.get_mut(&id) {
            client.info = Some(info);
        }
        self.out(Output::Trust(id));
        self.send(id, &answer);
    }

    /// Tells a client what it did wrong, and ends its link.
    pub(super) fn refuse(&mut self, id: ClientId, fault: &RepoFault) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        let target = client.info.as_ref().map(|it| it.peer.clone());
        tracing::debug!(client = id.0, peer = target, %fault, "a client of automerge-repo is refused");
        let error = Message::Error {
            target,
            sender: self.config.peer.clone(),
            message: fault.to_string(),
        };
        self.send(id, &error);
        self.out(Output::Close(id));
        self.gone(id);
    }

    pub(super) fn gone(&mut self, id: ClientId) {
        let peer = self.clients.get(&id).and_then(|it| it.info.as_ref());
        if let Some(peer) = peer.map(|it| it.peer.clone())
            && self.by_peer.get(&peer) == Some(&id)
        {
            self.by_peer.remove(&peer);
        }
        self.forget(id);
    }

    fn forget(&mut self, id: ClientId) {
        let Some(client) = self.clients.remove(&id) else {
            return;
        };
        for document in client.open.keys() {
            if let Some(others) = self.open.get_mut(document) {
                others.remove(&id);
                if others.is_empty() {
                    self.open.remove(document);
                }
            }
        }
        self.wanted.left(id);
    }

    fn expire(&mut self, now: Instant) {
        let late = self.clients.iter();
        let late = late.filter(|(_, it)| it.info.is_none() && now >= it.join_by);
        let late: Vec<ClientId> = late.map(|(id, _)| *id).collect();
        for id in late {
            self.out(Output::Close(id));
            self.gone(id);
        }
        for (document, asking) in self.wanted.expired(now) {
            self.unavailable(document, &asking);
        }
    }
}

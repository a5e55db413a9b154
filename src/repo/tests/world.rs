//! A hub and what it says, without a store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::bytes::Bytes;

use crate::error::Result;
use crate::id::{ChangeHash, RecordId};
use crate::repo::message::{Envelope, Metadata};
use crate::repo::sync::{Lineage, Link, SyncMessage};
use crate::repo::{
    ClientId, Documents, Heard, Input, Message, OpenToAll, Output, RepoConfig, RepoHub, RepoPolicy,
};
use crate::time::{Instant, Now, WallTime};

/// Documents of which the heads are known and nothing else.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pub(super) all: BTreeMap<RecordId, Vec<ChangeHash>>,
    current: Option<Document>,
}

#[derive(Debug)]
pub(super) struct Document(Vec<ChangeHash>);

impl Documents for Heads {
    fn lineage(&mut self, document: RecordId) -> Result<&mut dyn Lineage> {
        let heads = self.all.get(&document).cloned().unwrap_or_default();
        Ok(self.current.insert(Document(heads)))
    }

    fn rest(&mut self) {}
}

impl Lineage for Document {
    fn heads(&self) -> &[ChangeHash] {
        &self.0
    }

    fn holds(&mut self, hash: &ChangeHash) -> Result<bool> {
        Ok(self.0.contains(hash))
    }

    fn since(&mut self, known: &[ChangeHash]) -> Result<Vec<Link>> {
        let lacking = self.0.iter().filter(|it| !known.contains(it));
        Ok((0..)
            .zip(lacking)
            .map(|(position, hash)| Link {
                position,
                hash: *hash,
            })
            .collect())
    }

    fn chunks(&mut self, wanted: &[Link], _: usize, _: bool) -> Result<(Vec<Bytes>, usize)> {
        let chunks = vec![Bytes::from_static(b"chunk"); wanted.len()];
        Ok((chunks, wanted.len()))
    }
}

/// A hub, and what it has said to each client.
pub(super) struct World {
    pub(super) hub: RepoHub,
    pub(super) documents: Heads,
    pub(super) now: Now,
    pub(super) said: BTreeMap<ClientId, Vec<Message>>,
    pub(super) closed: Vec<ClientId>,
    pub(super) taken: Vec<(ClientId, RecordId)>,
}

pub(super) const A: ClientId = ClientId(1);
pub(super) const B: ClientId = ClientId(2);
pub(super) const C: ClientId = ClientId(3);

pub(super) fn document() -> RecordId {
    RecordId::named("document")
}

impl World {
    pub(super) fn new(policy: impl RepoPolicy + 'static) -> Self {
        let config = RepoConfig {
            peer: "hub".to_owned(),
            storage: "hub-storage".to_owned(),
            policy: Arc::new(policy),
        };
        Self {
            hub: RepoHub::new(config),
            documents: Heads::default(),
            now: Now {
                instant: Instant::from_micros(1),
                wall: WallTime::from_millis(1_000),
            },
            said: BTreeMap::new(),
            closed: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// One among clients that have joined.
    pub(super) fn with(clients: &[ClientId]) -> Self {
        let mut world = Self::new(OpenToAll);
        for id in clients {
            world.join(*id, &name(*id));
        }
        world.said.clear();
        world
    }

    pub(super) fn tell(&mut self, input: Input) {
        self.hub
            .handle(self.now, input, &mut self.documents)
            .unwrap();
        while let Some(output) = self.hub.poll() {
            match output {
                Output::Send(id, bytes) => {
                    let size = bytes.len();
                    let message = Message::decode(&bytes.into()).unwrap();
                    self.said.entry(id).or_default().push(message);
                    let written = Input::Written(id, size);
                    self.hub
                        .handle(self.now, written, &mut self.documents)
                        .unwrap();
                }
                Output::Close(id) => self.closed.push(id),
                Output::Trust(_) => {}
                Output::Take(id, document, _) => self.taken.push((id, document)),
            }
        }
    }

    pub(super) fn hear(&mut self, id: ClientId, message: Message) {
        let sync = if let Message::Sync { data, .. } = &message {
            Some(SyncMessage::decode(data).unwrap())
        } else {
            None
        };
        let heard = Heard {
            message,
            sync,
            changes: Vec::new(),
        };
        self.tell(Input::Heard(id, Ok(Box::new(heard))));
    }

    pub(super) fn join(&mut self, id: ClientId, peer: &str) {
        self.tell(Input::Opened(id));
        let join = Message::Join {
            sender: peer.to_owned(),
            versions: vec!["1".to_owned()],
            metadata: Metadata {
                storage: Some(format!("storage-{}", id.0)),
                is_ephemeral: false,
            },
        };
        self.hear(id, join);
    }

    /// A client says which heads it has; asks, if it has none.
    pub(super) fn sync(&mut self, id: ClientId, heads: &[ChangeHash]) {
        let sync = SyncMessage {
            heads: heads.to_vec(),
            ..SyncMessage::default()
        };
        let message = Message::Sync {
            envelope: envelope(id),
            is_request: heads.is_empty(),
            data: sync.encode().into(),
        };
        self.hear(id, message);
    }

    /// A client brings bytes for a head of its own.
    pub(super) fn bring(&mut self, id: ClientId, head: ChangeHash) {
        let sync = SyncMessage {
            heads: vec![head],
            ..SyncMessage::default()
        };
        let bytes = crate::doc::refuse(Bytes::from_static(b"x"), "wrong".to_owned());
        let heard = Heard {
            message: Message::Sync {
                envelope: envelope(id),
                is_request: false,
                data: sync.encode().into(),
            },
            sync: Some(sync),
            changes: vec![Err(bytes)],
        };
        self.tell(Input::Heard(id, Ok(Box::new(heard))));
    }

    pub(super) fn whisper(&mut self, id: ClientId, count: u64) {
        let message = Message::Ephemeral {
            envelope: envelope(id),
            count,
            session: "session".to_owned(),
            data: Bytes::from_static(b"\x01"),
        };
        self.hear(id, message);
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now.instant = self.now.instant + time;
        self.tell(Input::Timer);
    }

    /// What a client was told since it was asked last.
    pub(super) fn heard(&mut self, id: ClientId) -> Vec<&'static str> {
        let said = self.said.remove(&id).unwrap_or_default();
        said.iter().map(Message::kind).collect()
    }
}

pub(super) fn name(id: ClientId) -> String {
    format!("client-{}", id.0)
}

pub(super) fn envelope(id: ClientId) -> Envelope {
    Envelope {
        sender: name(id),
        target: "hub".to_owned(),
        document: document(),
    }
}

pub(super) fn hash(byte: u8) -> ChangeHash {
    ChangeHash::from_bytes([byte; 32])
}

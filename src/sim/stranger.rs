//! A peer that proves a key and then breaks the rules: no engine, a script.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::world::World;
use crate::access::{Identity, Role, Transcript};
use crate::blob::Manifest;
use crate::engine::{Event, LinkId};
use crate::entropy::Entropy;
use crate::id::{CollectionId, CorrelationId, Lsn, RecordId, ReplicaId, StoreId};
use crate::limits;
use crate::reconcile::{RangeKind, Summary, Upper, WalkCollection, WalkRange};
use crate::wire::{
    self, BlobChunk, BlobManifest, BlobState, BlobWant, ChangeGroup, Changes, Class, Features,
    Hello, Message, Note, Open, Presence, Spot, Stamp, Standing, Walk, Want, WantRecord, Wanted,
    Word,
};

/// The first number of a stranger; hosts have those below.
pub(super) const FIRST: usize = 1_000;

/// Answers of a stranger on one link: it must not go on for ever.
const ANSWERS_MAX: u32 = 40;

/// What a stranger does once it has proved its key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Attack {
    /// Nothing at all.
    Mute,
    /// Sends these changes, parents first or not.
    Push(Vec<ChangeGroup>),
    /// Sends these frames as they are.
    Frames(Vec<Vec<u8>>),
    /// Answers every step of a walk with another, and starts its own.
    EndlessWalk,
    /// Acknowledges more than it was sent.
    FalseAck,
    /// Says again and again that it holds something else.
    LyingRoot,
    /// Asks for records that nobody has, by changes that nobody made.
    WantTheUnknown,
    /// Sends more bytes than it was granted.
    OverCredit,
    /// Says that it has sent everything up to the end of time.
    FalseUpto,
    /// Says that this one shows something.
    ForgedPresence(ReplicaId),
    /// Sends these changes, which may name attachments, and for these attachments the manifest and false
    /// chunks; for others false manifests.
    FalseBlobs(Vec<ChangeGroup>, Vec<Manifest>),
}

impl Attack {
    /// A stable name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Mute => "mute",
            Self::Push(_) => "push",
            Self::Frames(_) => "frames",
            Self::EndlessWalk => "endless_walk",
            Self::FalseAck => "false_ack",
            Self::LyingRoot => "lying_root",
            Self::WantTheUnknown => "want_the_unknown",
            Self::OverCredit => "over_credit",
            Self::FalseUpto => "false_upto",
            Self::FalseBlobs(..) => "false_blobs",
            Self::ForgedPresence(_) => "forged_presence",
        }
    }
}

/// A peer without an engine.
#[derive(Debug)]
pub(super) struct Stranger {
    attack: Attack,
    identity: Identity,
    store: StoreId,
    entropy: Entropy,
    links: BTreeMap<LinkId, Talk>,
}

/// Its part of one conversation.
#[derive(Debug)]
struct Talk {
    hello: Vec<u8>,
    opened: bool,
    answers: u32,
}

impl World {
    /// Lets a stranger dial a host and attack it; gives the stranger's number.
    pub fn attack(&mut self, target: usize, attack: Attack) -> usize {
        let number = FIRST + self.strangers.len();
        let mut entropy = self.entropy.fork();
        let stranger = Stranger {
            attack,
            identity: Identity::generate(&mut entropy),
            store: StoreId::random(&mut entropy),
            entropy,
            links: BTreeMap::new(),
        };
        self.strangers.insert(number, stranger);
        let at = self.now().instant;
        let (ours, theirs) = self.network.connect(number, target, at);
        self.stranger_linked(number, ours);
        let event = Event::Accepted {
            link: theirs,
            address: format!("sim:{number}"),
        };
        self.tell(target, event);
        number
    }

    /// Ends what all strangers do.
    pub fn banish_strangers(&mut self) {
        let numbers: Vec<_> = self.strangers.keys().copied().collect();
        for number in numbers {
            self.sever(number, None);
        }
    }

    pub(super) fn stranger_linked(&mut self, number: usize, link: LinkId) {
        if let Some(stranger) = self.strangers.get_mut(&number) {
            let frames = stranger.greet(link);
            self.stranger_sends(number, link, frames);
        }
    }

    pub(super) fn stranger_lost(&mut self, number: usize, link: LinkId) {
        if let Some(stranger) = self.strangers.get_mut(&number) {
            stranger.links.remove(&link);
        }
    }

    pub(super) fn stranger_hears(&mut self, number: usize, link: LinkId, bytes: &Bytes) {
        if let Some(stranger) = self.strangers.get_mut(&number) {
            let frames = stranger.hears(link, bytes);
            self.stranger_sends(number, link, frames);
        }
    }

    fn stranger_sends(&mut self, number: usize, link: LinkId, frames: Vec<Vec<u8>>) {
        let now = self.now().instant;
        for frame in frames {
            self.network.send(now, (number, link), frame);
        }
    }
}

impl Stranger {
    fn greet(&mut self, link: LinkId) -> Vec<Vec<u8>> {
        let hello = Hello {
            version_min: wire::VERSION_MIN,
            version_max: wire::VERSION_MAX,
            features: match self.attack {
                Attack::FalseBlobs(..) | Attack::ForgedPresence(_) => Features::OURS,
                _ => Features::default(),
            },
            replica: self.identity.replica_id(),
            store: self.store,
            nonce: self.entropy.bytes(),
            frame_bytes_max: u32::try_from(limits::FRAME_BYTES_MAX).unwrap_or(u32::MAX),
            credit_live: 1 << 20,
            credit_bulk: 1 << 20,
            agent: "stranger".to_owned(),
        };
        let hello = encode(&Message::Hello(hello));
        let talk = Talk {
            hello: hello.clone(),
            opened: false,
            answers: 0,
        };
        self.links.insert(link, talk);
        vec![hello]
    }

    fn hears(&mut self, link: LinkId, bytes: &Bytes) -> Vec<Vec<u8>> {
        let frame = wire::decode(bytes, limits::FRAME_BYTES_MAX);
        let (Some(talk), Ok(frame)) = (self.links.get_mut(&link), frame) else {
            return Vec::new();
        };
        if talk.answers >= ANSWERS_MAX {
            return Vec::new();
        }
        talk.answers += 1;
        match frame.message {
            Message::Hello(_) => {
                let transcript = Transcript::of(&talk.hello, bytes);
                let signature = self.identity.sign(Role::Dialer, &transcript);
                vec![encode(&Message::Auth { signature })]
            }
            Message::Open(open) if !talk.opened => {
                talk.opened = true;
                self.begin(&open)
            }
            Message::Walk(walk) => self.walked(&walk),
            Message::Root { space, lsn, .. } if matches!(self.attack, Attack::LyingRoot) => {
                let root = lie(&mut self.entropy);
                vec![encode(&Message::Root { space, root, lsn })]
            }
            Message::BlobWant(want) => vec![self.false_part(&want)],
            Message::Ping { token } => vec![encode(&Message::Pong { token })],
            _ => Vec::new(),
        }
    }

    /// The host has opened the space: say what there is to say.
    fn begin(&mut self, theirs: &Open) -> Vec<Vec<u8>> {
        let space = theirs.space;
        let open = Open {
            space,
            want: Wanted::All,
            root: lie(&mut self.entropy),
            lsn: Lsn(self.entropy.below(1 << 40)),
            acked: Lsn(self.entropy.below(theirs.lsn.0.saturating_add(2))),
            resume: self.entropy.below(2) == 0,
        };
        let mut frames = vec![encode(&Message::Open(open))];
        match self.attack.clone() {
            Attack::Mute | Attack::LyingRoot => {}
            Attack::Frames(all) => frames.extend(all),
            Attack::Push(groups) | Attack::FalseBlobs(groups, _) => {
                frames.push(encode(&changes(space, Lsn(0), groups)));
            }
            Attack::ForgedPresence(author) => frames.push(self.forged(space, author)),
            Attack::EndlessWalk => frames.push(self.walk(space, 1, 0)),
            Attack::FalseAck => {
                let lsn = Lsn(theirs.lsn.0.saturating_add(1_000));
                frames.push(encode(&Message::Ack { space, lsn }));
            }
            Attack::WantTheUnknown => {
                let records = (0..20).map(|_| WantRecord {
                    collection: collection(),
                    record: RecordId::from_bytes(self.entropy.bytes()),
                    have: BTreeSet::from([self.entropy.bytes(), self.entropy.bytes()])
                        .into_iter()
                        .map(crate::id::ChangeHash::from_bytes)
                        .collect(),
                    older: Vec::new(),
                });
                let records = records.collect();
                frames.push(encode(&Message::Want(Want { space, records })));
            }
            Attack::OverCredit => {
                let group = ChangeGroup {
                    collection: collection(),
                    record: RecordId::from_bytes(self.entropy.bytes()),
                    correlation: CorrelationId(1),
                    done: false,
                    changes: vec![Bytes::from(vec![0; 3 << 20])],
                };
                let frame = encode(&changes(space, Lsn(0), vec![group]));
                frames.extend([frame.clone(), frame.clone(), frame]);
            }
            Attack::FalseUpto => {
                frames.push(encode(&changes(space, Lsn(u64::MAX), Vec::new())));
            }
        }
        frames
    }

    /// What somebody else shows, signed by the stranger.
    fn forged(&self, space: crate::id::SpaceId, author: ReplicaId) -> Vec<u8> {
        let slot = super::presences::slot_in(space);
        let spot = Spot { slot, author };
        let mut note = Note {
            stamp: Stamp {
                session: u64::MAX,
                number: 1,
            },
            ttl_millis: 30_000,
            payload: Bytes::from_static(b"forged"),
            signature: [0; 64],
        };
        note.signature = self.identity.sign_presence(&note.signed_bytes(&spot));
        let word = Word::Said {
            hops: 1,
            left_millis: 30_000,
            note: Arc::new(note),
        };
        encode(&Message::Presence(Presence { spot, word }))
    }

    /// What is asked of it of an attachment, not quite.
    fn false_part(&mut self, want: &BlobWant) -> Vec<u8> {
        let (space, blob) = (want.space, want.blob);
        let Attack::FalseBlobs(_, manifests) = &self.attack else {
            return encode(&Message::BlobState(BlobState {
                space,
                blob,
                standing: Standing::Absent,
            }));
        };
        if let Some((index, _)) = want.chunks.first() {
            return encode(&Message::BlobChunk(BlobChunk {
                space,
                blob,
                index: *index,
                bytes: Bytes::from(self.entropy.bytes::<100>().to_vec()),
            }));
        }
        let manifest = manifests.iter().find(|it| it.id() == blob).cloned();
        let made_up = || Manifest::new(100, vec![self.entropy.bytes()]);
        match manifest.or_else(made_up) {
            Some(manifest) => encode(&Message::BlobManifest(BlobManifest {
                space,
                blob,
                manifest,
            })),
            None => Vec::new(),
        }
    }

    fn walked(&mut self, walk: &Walk) -> Vec<Vec<u8>> {
        match self.attack {
            Attack::EndlessWalk | Attack::LyingRoot => {
                vec![self.walk(walk.space, walk.id, walk.round.saturating_add(1))]
            }
            // The others end it, so that the host is not kept waiting.
            _ if walk.collections.is_empty() => Vec::new(),
            _ => vec![encode(&Message::Walk(Walk {
                space: walk.space,
                id: walk.id,
                round: walk.round.saturating_add(1),
                collections: Vec::new(),
            }))],
        }
    }

    fn walk(&mut self, space: crate::id::SpaceId, id: u64, round: u32) -> Vec<u8> {
        let range = WalkRange {
            upper: Upper::End,
            kind: RangeKind::Summary(lie(&mut self.entropy)),
        };
        let part = WalkCollection {
            collection: collection(),
            ranges: vec![range],
        };
        encode(&Message::Walk(Walk {
            space,
            id,
            round,
            collections: vec![part],
        }))
    }
}

fn changes(space: crate::id::SpaceId, upto: Lsn, groups: Vec<ChangeGroup>) -> Message {
    Message::Changes(Changes {
        space,
        class: Class::Live,
        upto,
        groups,
    })
}

fn lie(entropy: &mut Entropy) -> Summary {
    Summary {
        count: entropy.below(1_000),
        sum: entropy.bytes(),
    }
}

/// A collection that the workloads use, too.
#[expect(clippy::expect_used, reason = "the name is a constant")]
fn collection() -> CollectionId {
    "notes".parse().expect("a valid collection name")
}

fn encode(message: &Message) -> Vec<u8> {
    wire::encode(CorrelationId(1), message)
}

//! Engines joined by links that a test makes and looks into.

mod blobs;
mod durable;
mod links;
mod presence;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::{BlobSettings, Config, Effect, Engine, Event, LinkId, Reply, Shown, Ticket};
use crate::access::{Admission, Identity, Policy, Spaces};
use crate::doc::{Document, EditMeta, PathStep, Value};
use crate::entropy::Entropy;
use crate::error::Error;
use crate::id::{ActorId, CorrelationId, Heads, RecordId, RecordKey, SpaceId};
use crate::limits;
use crate::peer::DialSettings;
use crate::reconcile::Inventory as _;
use crate::replica::Write;
use crate::session::{BlobPart, InboundBody, inspect};
use crate::store::{Durability, FaultStore, MemoryStore, Store};
use crate::time::{Instant, Now, WallTime};
use crate::wire::{Message, Spot, Wanted};

fn key() -> RecordKey {
    RecordKey {
        space: SpaceId::named("tests"),
        collection: "notes".parse().unwrap(),
        record: RecordId::named("one"),
    }
}

/// One engine, the document of its user, and what it has answered.
struct Host {
    store: Arc<FaultStore<MemoryStore>>,
    engine: Engine,
    config: Config,
    document: Document,
    replies: BTreeMap<Ticket, Reply>,
    /// What a worker is to fold.
    folds: Vec<RecordKey>,
    /// Whose graph it is to make.
    unfolds: Vec<RecordKey>,
    /// What it has heard of others' presences, as its user sees it.
    present: BTreeMap<Spot, Bytes>,
    stopped: bool,
}

impl Host {
    fn new(number: u64, durability: Durability) -> Self {
        Self::admitting(number, durability, Admission::Anyone)
    }

    fn with_blobs(number: u64, blobs: BlobSettings) -> Self {
        let mut host = Self::new(number, Durability::Immediate);
        host.config.blobs = blobs;
        host.restart();
        host
    }

    /// Its process died and starts again: what is in the store is all that it knows.
    fn restart(&mut self) {
        self.store.reopen();
        let below: Arc<dyn Store> = Arc::<FaultStore<MemoryStore>>::clone(&self.store);
        let entropy = Entropy::from_number(77);
        self.engine = Engine::open(self.config.clone(), below, entropy).unwrap();
    }

    fn admitting(number: u64, durability: Durability, replicas: Admission) -> Self {
        let store = Arc::new(FaultStore::new(MemoryStore::new()));
        let mut entropy = Entropy::from_number(number);
        let config = Config {
            identity: Some(Arc::new(Identity::generate(&mut entropy))),
            policy: Arc::new(Policy {
                replicas,
                spaces: Spaces::Any,
            }),
            spaces: vec![(key().space, Wanted::All)],
            durability,
            projects: false,
            dialling: DialSettings::default(),
            horizon: limits::HORIZON,
            blobs: BlobSettings::default(),
        };
        let below: Arc<dyn Store> = Arc::<FaultStore<MemoryStore>>::clone(&store);
        let engine = Engine::open(config.clone(), below, entropy).unwrap();
        let document = Document::new(&ActorId::of(engine.store_id(), &key()));
        Self {
            store,
            engine,
            config,
            document,
            replies: BTreeMap::new(),
            folds: Vec::new(),
            unfolds: Vec::new(),
            present: BTreeMap::new(),
            stopped: false,
        }
    }

    fn heads(&self) -> Heads {
        let heads = self.engine.replica().heads(&key()).unwrap();
        heads.unwrap_or_default()
    }
}

/// What a frame was, of those that tests ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Changes(usize),
    Chunk(u32),
    Ack,
    Presence,
    Other,
}

/// Hosts and the links between them. Frames arrive in the order they were sent, at once.
struct Net {
    now: Now,
    hosts: Vec<Host>,
    /// The other side of each open end.
    ends: BTreeMap<(usize, LinkId), (usize, LinkId)>,
    frames: VecDeque<((usize, LinkId), Vec<u8>)>,
    /// Nothing is taken off any host's hands: all links lead nowhere, and nobody says so.
    is_dead: bool,
    /// From whom to whom, and what.
    seen: Vec<(usize, usize, Seen)>,
    links: u64,
    tickets: u64,
}

impl Net {
    fn of(hosts: u64) -> Self {
        Self::with((0..hosts).map(|it| Host::new(it, Durability::Immediate)))
    }

    fn with(hosts: impl IntoIterator<Item = Host>) -> Self {
        Self {
            now: Now {
                instant: Instant::from_micros(1),
                wall: WallTime::from_millis(1_700_000_000_000),
            },
            hosts: hosts.into_iter().collect(),
            ends: BTreeMap::new(),
            frames: VecDeque::new(),
            is_dead: false,
            seen: Vec::new(),
            links: 0,
            tickets: 0,
        }
    }

    fn tell(&mut self, host: usize, event: Event) {
        self.hosts[host].engine.handle(self.now, event);
    }

    /// Asks for something that is answered under the ticket.
    fn ask(&mut self, host: usize, event: impl FnOnce(Ticket) -> Event) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.tell(host, event(ticket));
        ticket
    }

    /// One edit, told to the engine and not yet committed.
    fn edit(&mut self, host: usize, value: i64) -> Ticket {
        self.write(host, &Value::Int(value))
    }

    fn write(&mut self, host: usize, value: &Value) -> Ticket {
        let meta = EditMeta::at(self.now.wall);
        let path = [PathStep::from("n")];
        let document = &mut self.hosts[host].document;
        let edited = document.edit::<_, Error>(meta, |edit| edit.set(&path, value));
        let change = edited.unwrap().1.expect("a new value");
        self.ask(host, |ticket| Event::Capture {
            ticket,
            writes: vec![Write {
                key: key(),
                change,
                view: None,
                must_be_new: false,
            }],
            correlation: CorrelationId(ticket.0),
        })
    }

    /// Opens a link that `from` dialled.
    fn join(&mut self, from: usize, to: usize) -> [LinkId; 2] {
        self.links += 2;
        let [dialled, accepted] = [LinkId(self.links), LinkId(self.links + 1)];
        self.ends.insert((from, dialled), (to, accepted));
        self.ends.insert((to, accepted), (from, dialled));
        let connected = Event::Connected {
            link: dialled,
            peer: "somewhere".into(),
            attempt: 1,
            expects: None,
        };
        self.tell(from, connected);
        let address = "elsewhere".to_owned();
        self.tell(
            to,
            Event::Accepted {
                link: accepted,
                address,
            },
        );
        [dialled, accepted]
    }

    /// Lets all happen that needs no time to pass.
    fn run(&mut self) {
        loop {
            for host in 0..self.hosts.len() {
                while let Some(effect) = self.hosts[host].engine.poll(self.now) {
                    self.act(host, effect);
                }
            }
            let Some((end, frame)) = self.frames.pop_front() else {
                return;
            };
            self.arrive(end, frame);
        }
    }

    /// Lets one host say what it has to say; nobody hears it.
    fn run_alone(&mut self, host: usize) {
        while let Some(effect) = self.hosts[host].engine.poll(self.now) {
            if !matches!(effect, Effect::Send { .. }) {
                self.act(host, effect);
            }
        }
    }

    /// Lets the next timer fire and what follows from it happen.
    fn wait(&mut self) {
        let due = self.hosts.iter().filter_map(|it| it.engine.poll_timeout());
        self.now.instant = due.min().expect("a timer").max(self.now.instant);
        for host in 0..self.hosts.len() {
            self.tell(host, Event::Timer);
        }
        self.run();
    }

    fn act(&mut self, host: usize, effect: Effect) {
        match effect {
            Effect::Send { .. } | Effect::Close(_) if self.is_dead => {}
            Effect::Send { link, frame } => self.frames.push_back(((host, link), frame)),
            Effect::Reply(ticket, reply) => {
                let earlier = self.hosts[host].replies.insert(ticket, reply);
                assert!(earlier.is_none(), "{ticket:?} is answered twice");
            }
            Effect::Close(link) => {
                // What was sent before still arrives.
                while let Some(at) = self.frames.iter().position(|it| it.0 == (host, link)) {
                    let (end, frame) = self.frames.remove(at).unwrap();
                    self.arrive(end, frame);
                }
                if let Some((other, link)) = self.ends.remove(&(host, link)) {
                    self.ends.remove(&(other, link));
                    let reason = "closed".to_owned();
                    self.tell(other, Event::LinkLost { link, reason });
                }
            }
            Effect::Fold { key, .. } => self.hosts[host].folds.push(key),
            Effect::Unfold(key) => self.hosts[host].unfolds.push(key),
            Effect::Presence(Shown { spot, payload }) => {
                let present = &mut self.hosts[host].present;
                match payload {
                    Some(payload) => present.insert(spot, payload),
                    None => present.remove(&spot),
                };
            }
            Effect::Stopped => self.hosts[host].stopped = true,
            Effect::Trust(_)
            | Effect::Dial { .. }
            | Effect::CancelDial { .. }
            | Effect::Project(_)
            | Effect::Shown(_)
            | Effect::Committed(_) => {}
        }
    }

    fn arrive(&mut self, (from, end): (usize, LinkId), frame: Vec<u8>) {
        let bytes = frame.len();
        self.tell(from, Event::Sent { link: end, bytes });
        let Some((to, link)) = self.ends.get(&(from, end)).copied() else {
            return;
        };
        let frame = inspect(&Bytes::from(frame), limits::FRAME_BYTES_MAX).unwrap();
        let seen = match &frame.body {
            InboundBody::Changes { groups, .. } => {
                Seen::Changes(groups.iter().map(|it| it.changes.len()).sum())
            }
            InboundBody::Other(Message::Ack { .. }) => Seen::Ack,
            InboundBody::Presence(..) => Seen::Presence,
            InboundBody::Blob {
                part: BlobPart::Chunk(index, _),
                ..
            } => Seen::Chunk(*index),
            InboundBody::Blob { .. } | InboundBody::Hello(..) | InboundBody::Other(_) => {
                Seen::Other
            }
        };
        self.seen.push((from, to, seen));
        let frame = Ok(frame);
        self.tell(to, Event::Frame { link, frame });
    }

    /// How many changes have travelled this way so far.
    fn changes(&self, from: usize, to: usize) -> usize {
        let ways = self.seen.iter().filter(|it| (it.0, it.1) == (from, to));
        ways.map(|it| match it.2 {
            Seen::Changes(count) => count,
            Seen::Chunk(_) | Seen::Ack | Seen::Presence | Seen::Other => 0,
        })
        .sum()
    }

    /// How many acknowledgements have travelled this way so far.
    fn acks(&self, from: usize, to: usize) -> usize {
        let is_ack = |it: &&(usize, usize, Seen)| **it == (from, to, Seen::Ack);
        self.seen.iter().filter(is_ack).count()
    }

    fn reply(&self, host: usize, ticket: Ticket) -> Option<&Reply> {
        self.hosts[host].replies.get(&ticket)
    }

    /// The links that are open at a host.
    fn open(&self, host: usize) -> Vec<LinkId> {
        let status = self.hosts[host].engine.status(self.now);
        status.links.iter().map(|it| it.link).collect()
    }
}

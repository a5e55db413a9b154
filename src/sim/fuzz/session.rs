//! A peer that has proved its key and from then on says anything at all.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use super::audit::{Dump, audit, dump};
use super::lies::{self, Liar, RECORDS};
use super::{Script, material};
use crate::access::{Admission, Identity, Policy, Role, Spaces, Transcript};
use crate::engine::{Config, Effect, Engine, Event, LinkId, Ticket};
use crate::entropy::Entropy;
use crate::id::{CorrelationId, RecordKey, SpaceId, StoreId};
use crate::limits;
use crate::peer::DialSettings;
use crate::replica::Write;
use crate::session;
use crate::store::{Batch, Durability, MemoryStore, Store};
use crate::time::{Instant, Now, WallTime};
use crate::wire::{self, Features, Hello, Message, Wanted};

/// Operations of one input.
const STEPS_MAX: usize = 200;

/// Effects that may follow from one event over a store of a dozen records.
const EFFECTS_MAX: usize = 2_000;

/// Timers that may fire before a silent peer is let go and everything rests.
const TIMERS_MAX: usize = 500;

/// A list of operations on a node with a dozen records. Each is a byte, and what it needs:
///
/// | byte modulo 16 | what happens |
/// | --- | --- |
/// | 0 | a frame of these bytes, led by two bytes of length, comes |
/// | 1 | the last frame comes again, up to 64 times |
/// | 2 | time passes, up to 65 seconds |
/// | 3 | the application writes |
/// | 4 | the link is lost, and the peer dials again |
/// | 5 | the peer stops reading, or reads what it left |
/// | 6 | the next timer is due |
/// | others | a well-formed message with contents of the script's choice comes |
///
/// # Panics
/// Where the node is kept busy by one event; where its store does not add up afterwards or holds
/// something else than the node says; where it forgets what it had; and where it does not let a peer
/// go that has fallen silent.
pub fn session(data: &[u8]) {
    let mut script = Script::new(data);
    let mut talk = Talk::new();
    for _ in 0..STEPS_MAX {
        if script.is_empty() {
            break;
        }
        talk.step(&mut script);
    }
    talk.finish();
}

fn space() -> SpaceId {
    SpaceId::named("fuzz")
}

fn config() -> Config {
    Config {
        identity: Some(Arc::new(Identity::from_bytes(&[6; 32]))),
        policy: Arc::new(Policy {
            replicas: Admission::Anyone,
            spaces: Spaces::Any,
        }),
        spaces: vec![(space(), Wanted::All)],
        durability: Durability::Immediate,
        projects: false,
        dialling: DialSettings::default(),
        horizon: limits::HORIZON,
        blobs: crate::engine::BlobSettings::default(),
    }
}

fn open(store: &Arc<MemoryStore>) -> Engine {
    let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(store);
    let engine = Engine::open(config(), store, Entropy::from_number(1));
    engine.expect("a store in memory opens")
}

/// The rows of a store with records in two collections, each with another part of the history.
fn stock() -> &'static Dump {
    static STOCK: OnceLock<Dump> = OnceLock::new();
    STOCK.get_or_init(|| {
        let store = Arc::new(MemoryStore::new());
        let mut engine = open(&store);
        for number in 0..2 * RECORDS {
            let key = RecordKey {
                space: space(),
                collection: lies::collection(number / RECORDS),
                record: lies::record(number % RECORDS),
            };
            let history = material::history();
            let part = history.iter().take(1 + number % history.len());
            let event = Event::Import {
                ticket: Ticket(0),
                key,
                changes: part.cloned().map(Ok).collect(),
                correlation: CorrelationId(0),
            };
            engine.handle(Now::default(), event);
            while engine.poll(Now::default()).is_some() {}
        }
        dump(store.as_ref())
    })
}

struct Talk {
    store: Arc<MemoryStore>,
    hub: Engine,
    link: LinkId,
    now: Instant,
    last: Bytes,
    /// Bytes that the peer has left unread.
    unread: Vec<usize>,
    reads: bool,
    writes: u64,
}

impl Talk {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let mut batch = Batch::default();
        for ((table, key), row) in stock() {
            batch.put(*table, key.clone(), row.clone());
        }
        let stocked = store.commit(&batch, Durability::Immediate);
        stocked.expect("a store in memory takes all");
        let mut talk = Self {
            hub: open(&store),
            store,
            link: LinkId(0),
            now: Instant::default(),
            last: Bytes::new(),
            unread: Vec::new(),
            reads: true,
            writes: 0,
        };
        talk.dial();
        talk
    }

    fn now(&self) -> Now {
        Now {
            instant: self.now,
            wall: WallTime::from_millis(1_700_000_000_000 + self.now.as_micros() / 1_000),
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(16) {
            0 => {
                let frame = Bytes::copy_from_slice(script.chunk());
                self.frame(&frame);
            }
            1 => {
                for _ in 0..script.below(64) {
                    self.frame(&self.last.clone());
                }
            }
            2 => {
                self.now = self.now + Duration::from_millis(u64::from(script.short()));
                self.tell(Event::Timer);
            }
            3 => self.write(script),
            4 => {
                let reason = "lost".to_owned();
                let link = self.link;
                self.tell(Event::LinkLost { link, reason });
                self.dial();
            }
            5 => self.reads = !self.reads,
            6 => self.timer(),
            _ => {
                let mut liar = Liar {
                    script,
                    replica: self.hub.replica(),
                    space: space(),
                };
                let message = liar.message();
                self.frame(&wire::encode(CorrelationId(1), &message).into());
            }
        }
        self.read();
    }

    fn timer(&mut self) {
        if let Some(at) = self.hub.poll_timeout() {
            self.now = self.now.max(at);
            self.tell(Event::Timer);
        }
    }

    /// The application writes what another writer made: a change that its record lacks.
    fn write(&mut self, script: &mut Script<'_>) {
        let number = script.below(2 * RECORDS);
        let history = material::history();
        let Some(change) = history.get(script.below(history.len())) else {
            return;
        };
        self.writes += 1;
        let write = Write {
            key: RecordKey {
                space: space(),
                collection: lies::collection(number / RECORDS),
                record: lies::record(number % RECORDS),
            },
            change: change.clone(),
            view: None,
            must_be_new: script.chance(),
        };
        self.tell(Event::Capture {
            ticket: Ticket(self.writes),
            writes: vec![write],
            correlation: CorrelationId(self.writes),
        });
    }

    fn frame(&mut self, frame: &Bytes) {
        let link = self.link;
        self.last = frame.clone();
        let frame = session::inspect(frame, limits::FRAME_BYTES_MAX)
            .map_err(|error| (error.code(), error.to_string()));
        self.tell(Event::Frame { link, frame });
    }

    /// A new link, on which an honest dialer shakes hands.
    fn dial(&mut self) {
        self.link = LinkId(self.link.0 + 1);
        self.unread.clear();
        let (link, address) = (self.link, "fuzz".to_owned());
        self.hub
            .handle(self.now(), Event::Accepted { link, address });
        let Some(theirs) = self.first_frame() else {
            return;
        };
        let identity = Identity::from_bytes(&[7; 32]);
        let hello = Hello {
            version_min: wire::VERSION_MIN,
            version_max: wire::VERSION_MAX,
            features: Features::OURS,
            replica: identity.replica_id(),
            store: StoreId::from_bytes([8; 16]),
            nonce: [9; 32],
            frame_bytes_max: u32::try_from(limits::FRAME_BYTES_MAX).expect("fits"),
            credit_live: 1 << 20,
            credit_bulk: 1 << 20,
            agent: "fuzz".to_owned(),
        };
        let hello = wire::encode(CorrelationId(1), &Message::Hello(hello));
        let transcript = Transcript::of(&hello, &theirs);
        let signature = identity.sign(Role::Dialer, &transcript);
        let auth = wire::encode(CorrelationId(1), &Message::Auth { signature });
        self.frame(&hello.into());
        self.frame(&auth.into());
    }

    fn first_frame(&mut self) -> Option<Vec<u8>> {
        while let Some(effect) = self.hub.poll(self.now()) {
            if let Effect::Send { frame, .. } = effect {
                return Some(frame);
            }
        }
        None
    }

    /// Tells the node something and lets it act until it has nothing to do.
    fn tell(&mut self, event: Event) {
        self.hub.handle(self.now(), event);
        for _ in 0..EFFECTS_MAX {
            match self.hub.poll(self.now()) {
                Some(Effect::Send { link, frame }) if link == self.link => {
                    self.unread.push(frame.len());
                    if self.reads {
                        self.read();
                    }
                }
                Some(_) => {}
                None => return,
            }
        }
        panic!("one event keeps the node busy for ever");
    }

    fn read(&mut self) {
        let link = self.link;
        while self.reads
            && let Some(bytes) = self.unread.pop()
        {
            self.hub.handle(self.now(), Event::Sent { link, bytes });
        }
    }

    /// The peer has fallen silent.
    fn finish(mut self) {
        self.reads = true;
        self.read();
        for _ in 0..TIMERS_MAX {
            let before = self.now;
            self.timer();
            if self.now == before && self.hub.poll_timeout().is_none() {
                break;
            }
        }
        let status = self.hub.status(self.now());
        assert!(status.links.is_empty(), "a silent peer is let go");
        assert!(
            self.hub.poll_timeout().is_none(),
            "with nobody there, nothing is left to be done: {:?}",
            self.hub.poll_timeout()
        );
        let records = audit(self.hub.replica());
        self.keeps_what_it_had();
        let again = open(&self.store);
        assert_eq!(
            again.status(self.now()).spaces,
            status.spaces,
            "the store holds what the node says"
        );
        assert_eq!(
            again.replica().quarantine_size(),
            status.quarantine,
            "the store holds what the node says of its quarantine"
        );
        assert_eq!(audit(again.replica()), records, "the store holds the same");
    }

    fn keeps_what_it_had(&self) {
        let history = material::history();
        for number in 0..2 * RECORDS {
            let key = RecordKey {
                space: space(),
                collection: lies::collection(number / RECORDS),
                record: lies::record(number % RECORDS),
            };
            let part = history.iter().take(1 + number % history.len());
            let mut hashes = part.map(crate::doc::Change::hash);
            let replica = self.hub.replica();
            let holds = |it| replica.holds(&key, &it).expect("readable");
            assert!(hashes.all(holds), "what was here stays");
        }
    }
}

//! A hub among clients of automerge-repo, each a document with Automerge's own half of the protocol: whatever
//! is edited, cut off, folded or brought by others, all end with the same changes, and then are silent.

use std::collections::VecDeque;
use std::sync::Arc;

use automerge::sync::{Message as AutomergeMessage, State, SyncDoc as _};
use automerge::transaction::Transactable as _;
use automerge::{ActorId as Author, AutoCommit, ObjType, ROOT, ReadDoc as _};
use bytes::Bytes;
use syncline::entropy::Entropy;
use syncline::id::{CorrelationId, Lsn};
use syncline::replica::fold::fold;
use syncline::replica::{Intake, Replica, Rows, Which};
use syncline::repo::message::{Envelope, Metadata};
use syncline::repo::{
    ClientId, Documents, Heard, Input, Library, Message, OpenToAll, Output, RepoConfig, RepoHub,
};
use syncline::store::{Durability, MemoryStore, Snapshot, Store};
use syncline::time::{Instant, Now, WallTime};
use syncline::{CollectionId, RecordId, RecordKey, SpaceId, StoreId};

const NOW: Now = Now {
    instant: Instant::from_micros(0),
    wall: WallTime::from_millis(0),
};

fn key() -> RecordKey {
    RecordKey {
        space: SpaceId::named("repo"),
        collection: collection(),
        record: RecordId::named("document"),
    }
}

fn collection() -> CollectionId {
    "documents".parse().expect("a name")
}

/// A client with one document.
struct Device {
    name: String,
    document: AutoCommit,
    link: Option<Link>,
}

struct Link {
    id: ClientId,
    state: State,
    up: VecDeque<Bytes>,
    down: VecDeque<Bytes>,
    has_joined: bool,
}

impl Device {
    fn new(number: u64) -> Self {
        let author = Author::from(number.to_be_bytes().repeat(2));
        Self {
            name: format!("device-{number}"),
            document: AutoCommit::new().with_actor(author),
            link: None,
        }
    }

    fn edit(&mut self, entropy: &mut Entropy) {
        let document = &mut self.document;
        let place = format!("field{}", entropy.below(3));
        match entropy.below(3) {
            0 => document
                .put(ROOT, place, entropy.number() >> 40)
                .expect("a map"),
            1 => {
                let text = document.get(ROOT, "text").expect("a map");
                let text = match text {
                    Some((_, text)) => text,
                    None => document
                        .put_object(ROOT, "text", ObjType::Text)
                        .expect("a map"),
                };
                let end = document.length(&text);
                document
                    .splice_text(&text, end, 0, "grüße")
                    .expect("a text");
            }
            _ => {
                let map = document
                    .put_object(ROOT, place, ObjType::Map)
                    .expect("a map");
                document.put(map, "n", 1).expect("a map");
            }
        }
        document.commit();
        self.say();
    }

    /// Sends what Automerge has to say.
    fn say(&mut self) {
        let Some(link) = self.link.as_mut().filter(|it| it.has_joined) else {
            return;
        };
        let has_any = !self.document.get_heads().is_empty();
        let is_first = link.state.their_heads.is_none();
        let Some(message) = self.document.sync().generate_sync_message(&mut link.state) else {
            return;
        };
        let message = Message::Sync {
            envelope: Envelope {
                sender: self.name.clone(),
                target: "hub".to_owned(),
                document: key().record,
            },
            is_request: is_first && !has_any,
            data: message.encode().into(),
        };
        link.up.push_back(message.encode().into());
    }

    fn hear(&mut self, bytes: &Bytes) {
        let link = self.link.as_mut().expect("linked");
        match Message::decode(bytes).expect("the hub speaks well") {
            Message::Peer { .. } => {
                link.has_joined = true;
                self.say();
            }
            Message::Sync { data, .. } => {
                let message = AutomergeMessage::decode(&data).expect("a sync message");
                let received = self
                    .document
                    .sync()
                    .receive_sync_message(&mut link.state, message);
                received.expect("Automerge takes what the hub sends");
                self.say();
            }
            Message::Unavailable(_) => {}
            other @ (Message::Join { .. }
            | Message::Error { .. }
            | Message::Leave { .. }
            | Message::Ephemeral { .. }
            | Message::Subscribe { .. }
            | Message::StorageHeads { .. }
            | Message::Unknown(_)) => panic!("unexpected: {other:?}"),
        }
    }
}

/// Hub, store and devices; everything that travels waits until it is its turn.
struct World<D> {
    hub: RepoHub,
    library: D,
    replica: Replica,
    devices: Vec<Device>,
    takes: VecDeque<(ClientId, RecordId, Vec<syncline::doc::inspect::Received>)>,
    links: u64,
    messages: u32,
}

fn world(devices: u64, seed: u64) -> World<impl Documents> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut entropy = Entropy::from_number(seed);
    let replica = Replica::open(Arc::clone(&store), &mut entropy).expect("a store in memory");
    let read = move || -> Result<Box<dyn Snapshot>, syncline::Error> { Ok(store.snapshot()?) };
    let config = RepoConfig {
        peer: "hub".to_owned(),
        storage: "storage".to_owned(),
        policy: Arc::new(OpenToAll),
    };
    World {
        hub: RepoHub::new(config),
        library: Library::new(key().space, collection(), read),
        replica,
        devices: (1..=devices).map(Device::new).collect(),
        takes: VecDeque::new(),
        links: 0,
        messages: 0,
    }
}

impl<D: Documents> World<D> {
    fn tell(&mut self, input: Input) {
        let told = self.hub.handle(NOW, input, &mut self.library);
        told.expect("the store can be read");
        while let Some(output) = self.hub.poll() {
            match output {
                Output::Send(id, bytes) => {
                    self.messages += 1;
                    let size = bytes.len();
                    if let Some(link) = self.link(id) {
                        link.down.push_back(bytes.into());
                    }
                    let written = Input::Written(id, size);
                    let told = self.hub.handle(NOW, written, &mut self.library);
                    told.expect("the store can be read");
                }
                Output::Take(id, document, changes) => {
                    self.takes.push_back((id, document, changes));
                }
                Output::Close(id) => self.devices.iter_mut().for_each(|it| {
                    it.link.take_if(|link| link.id == id);
                }),
                Output::Trust(_) => {}
            }
        }
    }

    fn link(&mut self, id: ClientId) -> Option<&mut Link> {
        let links = self.devices.iter_mut().filter_map(|it| it.link.as_mut());
        links.into_iter().find(|it| it.id == id)
    }

    fn connect(&mut self, device: usize) {
        self.links += 1;
        let id = ClientId(self.links);
        let join = Message::Join {
            sender: self.devices[device].name.clone(),
            versions: vec!["1".to_owned()],
            metadata: Metadata::default(),
        };
        self.devices[device].link = Some(Link {
            id,
            state: State::new(),
            up: VecDeque::from([join.encode().into()]),
            down: VecDeque::new(),
            has_joined: false,
        });
        self.tell(Input::Opened(id));
    }

    fn cut(&mut self, device: usize) {
        if let Some(link) = self.devices[device].link.take() {
            self.tell(Input::Gone(link.id));
        }
    }

    /// Lets a device's oldest message arrive; says whether there was one.
    fn up(&mut self, device: usize) -> bool {
        let Some(link) = &mut self.devices[device].link else {
            return false;
        };
        let Some(bytes) = link.up.pop_front() else {
            return false;
        };
        let heard = Input::Heard(link.id, Heard::read(&bytes).map(Box::new));
        self.messages += 1;
        self.tell(heard);
        true
    }

    fn down(&mut self, device: usize) -> bool {
        let link = self.devices[device].link.as_mut();
        let Some(bytes) = link.and_then(|it| it.down.pop_front()) else {
            return false;
        };
        self.devices[device].hear(&bytes);
        true
    }

    fn take(&mut self) -> bool {
        let Some((id, document, changes)) = self.takes.pop_front() else {
            return false;
        };
        let intake = Intake {
            key: key(),
            origin: StoreId::from_bytes([9; 16]),
            correlation: CorrelationId(1),
            now: WallTime::from_millis(0),
            changes,
        };
        let fates = self.replica.apply(&intake).expect("it can be read");
        self.replica
            .commit(Durability::Immediate)
            .expect("a commit");
        self.tell(Input::Changed(document));
        self.tell(Input::Taken(id, document, Ok(fates)));
        true
    }

    fn fold(&mut self) {
        let snapshot = self.replica.store().snapshot().expect("readable");
        let rows = Rows::new(snapshot.as_ref());
        let all = Lsn(u64::MAX);
        let folding = fold(&rows, &key(), all, Which::All).expect("readable");
        drop(snapshot);
        self.replica.fold(&key(), folding, all).expect("it folds");
        self.replica
            .commit(Durability::Immediate)
            .expect("a commit");
    }

    /// Lets everything arrive; gives how many messages that took.
    fn settle(&mut self) -> u32 {
        let before = self.messages;
        let mut moved = true;
        while moved {
            moved = self.take();
            for device in 0..self.devices.len() {
                moved |= self.up(device) | self.down(device);
            }
            assert!(self.messages - before < 5_000, "they talk without end");
        }
        self.messages - before
    }

    /// All have the same, and each client knows that the hub has.
    fn assert_equal(&mut self, seed: u64) {
        let expected = self.devices[0].document.get_heads();
        for device in &mut self.devices {
            assert_eq!(
                device.document.get_heads(),
                expected,
                "{} with seed {seed}",
                device.name
            );
        }
        for device in &self.devices {
            let link = device.link.as_ref().expect("linked");
            let told = link.state.their_heads.as_ref();
            assert_eq!(told, Some(&expected), "{} with seed {seed}", device.name);
        }
        let lineage = self.library.lineage(key().record).expect("readable");
        let heads = lineage.heads().iter().map(|it| it.as_bytes().to_vec());
        let heads: Vec<Vec<u8>> = heads.collect();
        let expected: Vec<Vec<u8>> = expected.iter().map(|it| it.0.to_vec()).collect();
        assert_eq!(heads, expected, "the hub with seed {seed}");
    }
}

#[test]
fn clients_with_automerges_own_half_of_the_protocol_end_equal_and_silent() {
    for seed in 0..60 {
        let mut entropy = Entropy::from_number(seed);
        let count = 2 + entropy.below(4);
        let mut world = world(count, seed);
        for _ in 0..300 {
            let device = usize::try_from(entropy.below(count)).expect("small");
            match entropy.below(20) {
                0..6 => {
                    world.up(device);
                }
                6..12 => {
                    world.down(device);
                }
                12..15 => {
                    world.take();
                }
                15 | 16 => world.devices[device].edit(&mut entropy),
                17 if world.devices[device].link.is_none() => world.connect(device),
                18 if entropy.below(3) == 0 => world.cut(device),
                19 if entropy.below(4) == 0 => world.fold(),
                _ => {}
            }
        }
        for device in 0..world.devices.len() {
            world.cut(device);
            world.connect(device);
        }
        world.settle();
        world.assert_equal(seed);
        if world.devices[0].document.get_heads().is_empty() {
            continue;
        }
        // Each device says and hears of an edit once, and so does the hub.
        world.devices[0].edit(&mut entropy);
        let messages = world.settle();
        world.assert_equal(seed);
        let most = 2 * u32::try_from(count).expect("small");
        assert!(
            messages <= most,
            "{messages} messages for one edit, seed {seed}"
        );
    }
}

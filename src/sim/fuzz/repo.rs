//! A hub of automerge-repo, and clients that send it anything.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::Reader;
use crate::entropy::Entropy;
use crate::error::Result;
use crate::id::{CollectionId, CorrelationId, RecordId, RecordKey, SpaceId, StoreId};
use crate::replica::{Intake, Replica};
use crate::repo::message::{Envelope, Metadata};
use crate::repo::sync::SyncMessage;
use crate::repo::{
    ClientId, Documents, Heard, Input, Library, Message, OpenToAll, Output, RepoConfig, RepoHub,
};
use crate::store::{Durability, MemoryStore, Snapshot, Store};
use crate::time::{Instant, Now, WallTime};

/// Who sends what the input says.
const STRANGER: ClientId = ClientId(1);
/// Who does what a client should.
const HONEST: ClientId = ClientId(2);

/// Messages that one event may lead to, for each client.
const ANSWERS_MAX: usize = 4;

/// Messages, each with its length in two bytes before it, from a client that has joined.
///
/// # Panics
/// Where a message that was read is written as something that reads otherwise, where one leads to many, and
/// where an honest client is not answered afterwards.
pub fn repo(data: &[u8]) {
    let mut world = world();
    world.join(STRANGER, "stranger");
    let mut reader = Reader::new(data);
    while let Ok(length) = reader.u16("length") {
        let length = usize::from(length).min(reader.remaining());
        let bytes = Bytes::copy_from_slice(reader.take(length, "message").unwrap_or_default());
        let heard = Heard::read(&bytes);
        if let Ok(heard) = &heard {
            let again = Message::decode(&heard.message.encode().into());
            assert_eq!(
                again.as_ref(),
                Ok(&heard.message),
                "it reads as it was written"
            );
        }
        world.tell(Input::Heard(STRANGER, heard.map(Box::new)));
    }
    world.join(HONEST, "honest");
    let said = world.said;
    let message = Message::Sync {
        envelope: Envelope {
            sender: "honest".to_owned(),
            target: "hub".to_owned(),
            document: document(),
        },
        is_request: false,
        data: SyncMessage::default().encode().into(),
    };
    world.tell(Input::Heard(
        HONEST,
        Heard::read(&message.encode().into()).map(Box::new),
    ));
    assert!(world.said > said, "an honest client is answered");
}

fn document() -> RecordId {
    RecordId::from_bytes([1; 16])
}

struct World<D> {
    hub: RepoHub,
    library: D,
    replica: Replica,
    space: SpaceId,
    collection: CollectionId,
    /// Messages to the honest client.
    said: usize,
}

fn world() -> World<impl Documents> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut entropy = Entropy::from_number(1);
    let replica = Replica::open(Arc::clone(&store), &mut entropy).expect("a store in memory opens");
    let (space, collection): (_, CollectionId) =
        (SpaceId::named("fuzz"), "documents".parse().expect("a name"));
    let read = move || -> Result<Box<dyn Snapshot>> { Ok(store.snapshot()?) };
    let config = RepoConfig {
        peer: "hub".to_owned(),
        storage: "storage".to_owned(),
        policy: Arc::new(OpenToAll),
    };
    World {
        hub: RepoHub::new(config),
        library: Library::new(space, collection.clone(), read),
        replica,
        space,
        collection,
        said: 0,
    }
}

impl<D: Documents> World<D> {
    fn join(&mut self, id: ClientId, peer: &str) {
        self.tell(Input::Opened(id));
        let join = Message::Join {
            sender: peer.to_owned(),
            versions: vec!["1".to_owned()],
            metadata: Metadata::default(),
        };
        self.tell(Input::Heard(
            id,
            Heard::read(&join.encode().into()).map(Box::new),
        ));
    }

    fn tell(&mut self, input: Input) {
        let now = Now {
            instant: Instant::from_micros(1),
            wall: WallTime::from_millis(1),
        };
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let told = self.hub.handle(now, input, &mut self.library);
            told.expect("a store in memory can be read");
            let mut answers = 0;
            while let Some(output) = self.hub.poll() {
                match output {
                    Output::Send(id, bytes) => {
                        answers += 1;
                        self.said += usize::from(id == HONEST);
                        inputs.push(Input::Written(id, bytes.len()));
                    }
                    Output::Take(id, document, changes) => {
                        let fates = self.take(document, changes);
                        inputs.push(Input::Taken(id, document, fates));
                        inputs.push(Input::Changed(document));
                    }
                    Output::Close(id) => inputs.push(Input::Gone(id)),
                    Output::Trust(_) => {}
                }
            }
            assert!(
                answers <= 2 * ANSWERS_MAX,
                "{answers} messages for one event"
            );
        }
    }

    fn take(
        &mut self,
        document: RecordId,
        changes: Vec<crate::doc::Received>,
    ) -> Result<Vec<crate::replica::Admission>> {
        let intake = Intake {
            key: RecordKey {
                space: self.space,
                collection: self.collection.clone(),
                record: document,
            },
            origin: StoreId::from_bytes([9; 16]),
            correlation: CorrelationId(1),
            now: WallTime::from_millis(1),
            changes,
        };
        let fates = self.replica.apply(&intake)?;
        self.replica.commit(Durability::Immediate)?;
        Ok(fates)
    }
}

//! The two gates into a replica: what they let in, keep back, and undo.

mod admission;
mod apply;
mod blobs;
mod capture;
mod fold;
mod index;
mod layout;
mod unfold;
mod whole;

use std::sync::Arc;

use super::documents::Loaded;
use super::{Admission, Intake, Replica, Rows, Write};
use crate::doc::{Change, Document, EditMeta, PathStep, Received, Value};
use crate::entropy::Entropy;
use crate::error::Error;
use crate::id::{ActorId, CorrelationId, RecordKey, SpaceId, StoreId};
use crate::store::{Durability, FaultStore, MemoryStore, Store};
use crate::time::WallTime;

type TestStore = Arc<FaultStore<MemoryStore>>;

/// A replica over a new store whose commits can be made to fail.
fn replica() -> (TestStore, Replica) {
    let store: TestStore = Arc::new(FaultStore::new(MemoryStore::new()));
    let replica = reopen(&store);
    (store, replica)
}

/// What the store holds, without what memory had.
fn reopen(store: &TestStore) -> Replica {
    store.reopen();
    let store: Arc<dyn Store> = Arc::<FaultStore<MemoryStore>>::clone(store);
    Replica::open(store, &mut Entropy::from_number(1)).unwrap()
}

fn key(name: &str) -> RecordKey {
    name.parse::<crate::id::CollectionId>()
        .map(|collection| RecordKey {
            space: SpaceId::named("tests"),
            collection,
            record: crate::id::RecordId::named(name),
        })
        .unwrap()
}

/// Someone who writes to one record.
struct Writer(Document);

impl Writer {
    fn new(store: StoreId, key: &RecordKey) -> Self {
        Self(Document::new(&ActorId::of(store, key)))
    }

    /// A writer of a store that exists nowhere.
    fn stranger(number: u8, key: &RecordKey) -> Self {
        Self::new(StoreId::from_bytes([number; 16]), key)
    }

    fn set(&mut self, field: &str, value: i64) -> Change {
        let meta = EditMeta::at(WallTime::from_millis(1_700_000_000_000));
        let path = [PathStep::from(field)];
        let edited = self
            .0
            .edit::<_, Error>(meta, |edit| edit.set(&path, &Value::Int(value)));
        edited.unwrap().1.expect("a new value")
    }

    fn history(&mut self, changes: i64) -> Vec<Change> {
        (0..changes).map(|value| self.set("n", value)).collect()
    }
}

fn write(key: &RecordKey, change: Change) -> Write {
    Write {
        key: key.clone(),
        change,
        view: None,
        must_be_new: false,
    }
}

/// Takes in what a peer sends, and commits.
fn deliver(replica: &mut Replica, key: &RecordKey, changes: Vec<Received>) -> Vec<Admission> {
    let intake = Intake {
        key: key.clone(),
        origin: StoreId::from_bytes([9; 16]),
        correlation: CorrelationId(7),
        now: WallTime::from_millis(1_700_000_000_000),
        changes,
    };
    let admissions = replica.apply(&intake).unwrap();
    replica.commit(Durability::Immediate).unwrap();
    admissions
}

/// The record as the store has it.
fn stored(store: &TestStore, key: &RecordKey) -> Loaded {
    let snapshot = store.snapshot().unwrap();
    let actor = ActorId::from_bytes(vec![0; 16]);
    Loaded::open(&Rows::new(snapshot.as_ref()), key, &actor).unwrap()
}

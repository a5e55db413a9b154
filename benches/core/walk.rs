//! Finding what differs between two replicas that hold almost the same, without a socket.

use std::sync::Arc;
use std::time::Duration;

use syncline::doc::{self, Change, Document, EditMeta, Value};
use syncline::entropy::Entropy;
use syncline::id::{ActorId, CorrelationId, StoreId};
use syncline::reconcile::{Extent, Inventory as _, WalkCollection, respond, start};
use syncline::replica::{Intake, Replica};
use syncline::store::{Durability, MemoryStore};
use syncline::time::WallTime;
use syncline::wire::{Message, Walk, encode};
use syncline::{RecordId, RecordKey, SpaceId};

use crate::table::{Table, time};
use crate::workload;

/// Records that differ.
const DIFFERENT: usize = 10;

fn space() -> SpaceId {
    SpaceId::named("bench")
}

pub(crate) fn measure(table: &mut Table, quick: bool) {
    let counts: &[usize] = if quick { &[1_000] } else { &[10_000, 100_000] };
    for count in counts {
        let mut author = Author::new(*count);
        let changes: Vec<_> = (0..*count).map(|it| author.create(it)).collect();
        let [mut ours, theirs] = [1, 2].map(|it| replica(it, &changes));
        let edits: Vec<_> = (0..DIFFERENT)
            .map(|it| author.edit(it * (count / DIFFERENT)))
            .collect();
        take_in(&mut ours, &edits);
        let found = walk(&ours, &theirs);
        let name = format!("find {DIFFERENT} old records edited among {count}");
        table.row(
            &format!("{name}, both sides"),
            "ms",
            found.span.as_secs_f64() * 1e3,
            None,
        );
        let number = |it: usize| f64::from(u32::try_from(it).unwrap());
        table.row(
            &format!("{name}, messages"),
            "count",
            number(found.messages),
            None,
        );
        table.row(&format!("{name}, sent"), "bytes", number(found.bytes), None);
    }
}

/// Who wrote all records, one a minute, and keeps the documents of those to be edited.
struct Author {
    store: StoreId,
    count: usize,
    documents: Vec<(usize, Document)>,
}

impl Author {
    const fn new(count: usize) -> Self {
        Self {
            store: StoreId::from_bytes([9; 16]),
            count,
            documents: Vec::new(),
        }
    }

    fn at(minute: usize) -> EditMeta {
        let millis = 1_700_000_000_000 + 60_000 * u64::try_from(minute).unwrap();
        EditMeta::at(WallTime::from_millis(millis))
    }

    fn create(&mut self, number: usize) -> (RecordKey, Change) {
        let key = key(number);
        let mut document = Document::new(&ActorId::of(self.store, &key));
        let Value::Map(fields) = Value::from_json(&workload::small(number)).unwrap() else {
            unreachable!("a map")
        };
        let edited =
            document.edit::<_, syncline::Error>(Self::at(number), |edit| edit.put_map(&fields));
        if number.is_multiple_of(self.count / DIFFERENT) {
            self.documents.push((number, document));
        }
        (key, edited.unwrap().1.unwrap())
    }

    fn edit(&mut self, number: usize) -> (RecordKey, Change) {
        let mut documents = self.documents.iter_mut();
        let (_, document) = documents.find(|(it, _)| *it == number).unwrap();
        let now = Self::at(self.count + number);
        let edited = document
            .edit::<_, syncline::Error>(now, |edit| edit.set(&["done".into()], &Value::Bool(true)));
        (key(number), edited.unwrap().1.unwrap())
    }
}

fn key(number: usize) -> RecordKey {
    RecordKey {
        space: space(),
        collection: "tasks".parse().unwrap(),
        record: RecordId::named(&number.to_string()),
    }
}

fn replica(number: u64, changes: &[(RecordKey, Change)]) -> Replica {
    let store = Arc::new(MemoryStore::new());
    let mut replica = Replica::open(store, &mut Entropy::from_number(number)).unwrap();
    for group in changes.chunks(1_000) {
        take_in(&mut replica, group);
    }
    replica
}

fn take_in(replica: &mut Replica, changes: &[(RecordKey, Change)]) {
    for (key, change) in changes {
        let intake = Intake {
            key: key.clone(),
            origin: StoreId::from_bytes([9; 16]),
            correlation: CorrelationId(1),
            now: WallTime::from_millis(1),
            changes: vec![doc::inspect(change.bytes().clone())],
        };
        replica.apply(&intake).unwrap();
    }
    replica.commit(Durability::Relaxed).unwrap();
}

/// What a walk took.
struct Found {
    span: Duration,
    messages: usize,
    bytes: usize,
}

fn walk(ours: &Replica, theirs: &Replica) -> Found {
    let (mut messages, mut bytes, mut different) = (0, 0, 0);
    let ((), span) = time(|| {
        let collections = ours.collections(space()).unwrap();
        let mut message = start(ours, space(), &collections).unwrap();
        for side in [theirs, ours].into_iter().cycle() {
            if message.is_empty() {
                break;
            }
            bytes += size(&message);
            messages += 1;
            let step = respond(side, space(), &message, &[], Extent::Newest).unwrap();
            different += step.want.len() + step.push.len();
            message = step.reply;
        }
    });
    assert!(different > 0, "nothing was found");
    Found {
        span,
        messages,
        bytes,
    }
}

fn size(collections: &[WalkCollection]) -> usize {
    let walk = Walk {
        space: space(),
        id: 0,
        round: 0,
        collections: collections.to_vec(),
    };
    encode(CorrelationId(1), &Message::Walk(walk)).len()
}

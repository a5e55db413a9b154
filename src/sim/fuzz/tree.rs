//! The difference walk, over sets that someone chose, against comparing all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::Script;
use crate::doc::{self, Document, EditMeta, Value};
use crate::entropy::Entropy;
use crate::error::Result;
use crate::id::{
    ActorId, ChangeHash, CollectionId, CorrelationId, Heads, RecordId, RecordKey, SpaceId, StoreId,
};
use crate::reconcile::{Extent, Inventory, Push, RangeKey, Span, Upper, respond, start};
use crate::replica::{Intake, Replica};
use crate::store::{Durability, MemoryStore};
use crate::time::WallTime;

/// Changes that are made for one input.
const CHANGES_MAX: usize = 120;

/// Changes that one record may have. Each is a head: of two such records the union is the merge.
const PER_RECORD: u8 = 4;

const SPACE: SpaceId = SpaceId::from_bytes([1; 16]);

/// Four times, then records: a byte that says what its id looks like, one that shapes it, and one
/// that says in its halves which of its changes each side has. Each change has one of the times.
///
/// # Panics
/// Where the walk does not end after as many messages as the sizes ask for; where a record that one
/// side has more of is not sent to the other; where a record that both have at the same heads is; and
/// where the sum of a part is not that of what is listed of it, or parts do not lie side by side.
pub fn tree(data: &[u8]) {
    let mut script = Script::new(data);
    let times = [(); 4].map(|()| script.number());
    let mut sides = [Side::new(1), Side::new(2)];
    let mut left = CHANGES_MAX;
    while !script.is_empty() && left > 0 {
        let (collection, record) = name(&mut script);
        let shape = script.byte();
        let key = RecordKey {
            space: SPACE,
            collection,
            record,
        };
        for change in 0..PER_RECORD {
            let has = [shape >> change & 1 == 1, shape >> (4 + change) & 1 == 1];
            if !has.contains(&true) {
                continue;
            }
            left = left.saturating_sub(1);
            let at = (usize::from(change) + usize::from(record.as_bytes()[15])) % times.len();
            let bytes = made(change, times.get(at).copied().unwrap_or(0));
            for (side, has) in sides.iter_mut().zip(has) {
                if has {
                    side.receive(&key, &bytes);
                }
            }
        }
    }
    for side in &mut sides {
        side.close();
        side.parts_add_up(&mut script);
    }
    compare(&sides);
}

/// Ids that share long prefixes, differ in one byte, or are all zeros or ones.
fn name(script: &mut Script<'_>) -> (CollectionId, RecordId) {
    let look = script.byte();
    let mut bytes = match look & 3 {
        0 => [0x00; 16],
        1 => [0xff; 16],
        2 => [0x80; 16],
        _ => *RecordId::named("other").as_bytes(),
    };
    let at = usize::from(look >> 2 & 15);
    if let Some(byte) = bytes.get_mut(at) {
        *byte = script.byte();
    }
    let collection = if look & 0x80 == 0 { "notes" } else { "tasks" };
    (
        collection.parse().expect("a name"),
        RecordId::from_bytes(bytes),
    )
}

/// The change of one of a record's writers. It depends on nothing.
fn made(writer: u8, seconds: u64) -> doc::Change {
    let mut document = Document::new(&ActorId::from_bytes(vec![writer; 16]));
    let time = WallTime::from_millis(seconds.saturating_mul(1_000));
    let edited = document.edit(EditMeta::at(time), |edit| {
        edit.set(&["by".into()], &Value::Int(writer.into()))
    });
    let change: Result<_> = edited.map(|((), change)| change);
    change.expect("an honest edit").expect("it writes")
}

/// A replica, and what it was given.
struct Side {
    replica: Replica,
    records: BTreeMap<RecordKey, BTreeSet<ChangeHash>>,
}

impl Side {
    fn new(seed: u64) -> Self {
        let store = std::sync::Arc::new(MemoryStore::new());
        let replica = Replica::open(store, &mut Entropy::from_number(seed));
        Self {
            replica: replica.expect("a store in memory opens"),
            records: BTreeMap::new(),
        }
    }

    fn receive(&mut self, key: &RecordKey, change: &doc::Change) {
        let changes = self.records.entry(key.clone()).or_default();
        let applied = self.replica.apply(&Intake {
            key: key.clone(),
            origin: StoreId::from_bytes([9; 16]),
            correlation: CorrelationId(1),
            now: WallTime::from_millis(1),
            changes: vec![Ok(change.clone())],
        });
        let fates = applied.expect("a store in memory works");
        if matches!(fates.first(), Some(crate::replica::Admission::Applied(_))) {
            changes.insert(change.hash());
        }
    }

    fn close(&mut self) {
        let committed = self.replica.commit(Durability::Immediate);
        committed.expect("a store in memory works");
        self.records.retain(|_, changes| !changes.is_empty());
        for (key, changes) in &self.records {
            let heads: Heads = changes.iter().copied().collect();
            let found = self.replica.heads(key).expect("readable");
            assert_eq!(found, Some(heads), "every change is a head");
        }
    }

    fn collections(&self) -> Vec<CollectionId> {
        self.replica.collections(SPACE).expect("readable")
    }

    /// Cuts a span the way walks do, and adds the parts up.
    fn parts_add_up(&self, script: &mut Script<'_>) {
        let lower = RangeKey {
            time: script.number(),
            record: RecordId::from_bytes([script.byte(); 16]),
        };
        let spans = [
            Span::ALL,
            Span {
                lower,
                upper: Upper::End,
            },
        ];
        for (collection, span) in self
            .collections()
            .iter()
            .flat_map(|it| spans.map(|span| (it, span)))
        {
            let limit = 2 + script.below(20);
            let parts = self.replica.parts(SPACE, collection, span, limit);
            let parts = parts.expect("readable");
            assert!(parts.len() <= limit, "no more parts than asked for");
            let mut whole = crate::reconcile::Total::default();
            let mut from = span.lower;
            for (upper, total) in parts {
                assert!(Upper::Key(from) < upper, "parts lie side by side");
                let part = Span { lower: from, upper };
                let sum = self.sum_of(collection, part);
                assert_eq!(sum, total, "a part is what its records come to");
                whole.merge(&sum);
                if let Upper::Key(key) = upper {
                    from = key;
                }
            }
            let total = self.replica.total(SPACE, collection, span);
            assert_eq!(total.expect("readable"), whole, "parts make the whole");
        }
    }

    /// The sum of a part, which has to be that of what is listed of it.
    fn sum_of(&self, collection: &CollectionId, span: Span) -> crate::reconcile::Total {
        let mut sum = crate::reconcile::Total::default();
        for item in self.within(collection, span) {
            let inside = item.key() >= span.lower && Upper::Key(item.key()) < span.upper;
            assert!(inside, "what is listed lies in its part");
            let element = crate::reconcile::Element::of(collection, item.record, &item.heads);
            sum.add(&element);
        }
        let total = self.replica.total(SPACE, collection, span);
        assert_eq!(
            total.expect("readable"),
            sum,
            "a total is that of its records"
        );
        sum
    }

    fn within(&self, collection: &CollectionId, span: Span) -> Vec<crate::reconcile::WalkItem> {
        let items = self.replica.items(SPACE, collection, span, usize::MAX);
        items.expect("readable")
    }

    fn pushed(&self, push: Push) -> Vec<RecordKey> {
        let (collection, span, listed) = match push {
            Push::Record { key, .. } => return vec![key],
            Push::Range {
                collection,
                span,
                listed,
                ..
            } => (collection, span, listed),
        };
        let items = self.within(&collection, span).into_iter();
        let open = items.filter(|it| !listed.contains(&it.record));
        open.map(|it| RecordKey {
            space: SPACE,
            collection: collection.clone(),
            record: it.record,
        })
        .collect()
    }
}

/// Walks, and gives the records that each side sends the other.
fn walk(sides: &[Side; 2]) -> [BTreeSet<RecordKey>; 2] {
    let [left, right] = sides;
    let mut sends = [BTreeSet::new(), BTreeSet::new()];
    let mut message = start(&left.replica, SPACE, &left.collections()).expect("readable");
    let largest = left.records.len().max(right.records.len());
    // Each side cuts what it has into sixteen, in turn.
    let mut messages_left = 4 + 2 * largest.checked_ilog2().unwrap_or(0).div_ceil(4);
    let mut added = right.collections();
    for (ours, theirs) in [(1, 0), (0, 1)].into_iter().cycle() {
        messages_left = messages_left.checked_sub(1).expect("the walk ends in time");
        let (Some(side), Some(other)) = (sides.get(ours), sides.get(theirs)) else {
            break;
        };
        let added = std::mem::take(&mut added);
        let step = respond(&side.replica, SPACE, &message, &added, Extent::All).expect("readable");
        let mut found: BTreeSet<_> = step
            .push
            .into_iter()
            .flat_map(|it| side.pushed(it))
            .collect();
        for key in step.want {
            // Who is asked sees what the other has, and asks for it in return.
            let heads = side.replica.heads(&key).expect("readable");
            let heads = heads.unwrap_or_default();
            let unknown = other.replica.unknown(&key, heads.as_slice());
            let unknown = unknown.expect("readable");
            if !unknown.is_empty() {
                found.insert(key.clone());
            }
            if let Some(sends) = sends.get_mut(theirs) {
                sends.insert(key);
            }
        }
        if let Some(sends) = sends.get_mut(ours) {
            sends.extend(found);
        }
        if step.reply.is_empty() {
            break;
        }
        message = step.reply;
    }
    sends
}

fn compare(sides: &[Side; 2]) {
    let sends = walk(sides);
    let [left, right] = sides;
    let nothing = BTreeSet::new();
    let names: BTreeSet<_> = left.records.keys().chain(right.records.keys()).collect();
    for key in names {
        let [ours, theirs] = [left, right].map(|it| it.records.get(key).unwrap_or(&nothing));
        for ((from, to), sends) in [(ours, theirs), (theirs, ours)].into_iter().zip(&sends) {
            let is_sent = sends.contains(key);
            assert!(is_sent || from.is_subset(to), "{key} is to be sent");
            assert!(!is_sent || from != to, "{key} is sent for nothing");
        }
    }
}

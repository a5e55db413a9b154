//! One replica alone: capture, commit, apply, verify.

use std::path::Path;
use std::sync::Arc;

use automerge::transaction::Transactable as _;
use syncline::doc::{self, Change, Document, EditMeta, PathStep, Value};
use syncline::entropy::Entropy;
use syncline::id::{ActorId, CorrelationId, StoreId};
use syncline::replica::{Intake, Replica, Write};
use syncline::store::{Batch, Durability, RedbOptions, RedbStore, Store, Table as StoreTable};
use syncline::time::WallTime;
use syncline::{RecordId, RecordKey, SpaceId};

use crate::table::{Table, micros_each, time};
use crate::workload;

fn small(number: usize) -> Value {
    Value::from_json(&workload::small(number)).unwrap()
}

fn key(number: usize) -> RecordKey {
    RecordKey {
        space: SpaceId::named("bench"),
        collection: "tasks".parse().unwrap(),
        record: RecordId::named(&number.to_string()),
    }
}

fn meta() -> EditMeta {
    EditMeta::at(WallTime::from_millis(1_700_000_000_000))
}

/// Creates the small record `number` as the store `store` would.
fn create(store: StoreId, number: usize) -> Write {
    let key = key(number);
    let mut document = Document::new(&ActorId::of(store, &key));
    let Value::Map(fields) = small(number) else {
        unreachable!("a map")
    };
    let ((), change) = document
        .edit::<_, syncline::Error>(meta(), |edit| edit.put_map(&fields))
        .unwrap();
    let view = (document.heads(), document.shown(None).unwrap().into());
    Write {
        key,
        change: change.unwrap(),
        view: Some(view),
        must_be_new: true,
    }
}

fn open(path: &Path) -> (Replica, Arc<dyn Store>) {
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(path, RedbOptions::default()).unwrap());
    let replica = Replica::open(Arc::clone(&store), &mut Entropy::from_number(1)).unwrap();
    (replica, store)
}

/// The rows that one captured record comes to, as far as their sizes go.
fn floor_batch(from: usize, count: usize, bytes: usize) -> Batch {
    let mut batch = Batch::default();
    for number in from..from + count {
        let mut log = 0_u32.to_be_bytes().to_vec();
        log.extend_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
        batch.put(StoreTable::Log, log, vec![7; bytes]);
        batch.put(
            StoreTable::Views,
            key(number).record.as_bytes().to_vec(),
            vec![7; 330],
        );
        batch.put(
            StoreTable::Records,
            key(number).record.as_bytes().to_vec(),
            vec![7; 90],
        );
    }
    batch
}

pub(crate) fn measure(table: &mut Table, folder: &Path, quick: bool) {
    edits(table, if quick { 200 } else { 20_000 });
    captures(table, folder, if quick { 20 } else { 2_000 });
    applies(table, folder, if quick { 200 } else { 10_000 });
    keystrokes(table, folder, if quick { 200 } else { 20_000 });
}

/// Verifying, and editing beside Automerge alone.
fn edits(table: &mut Table, rounds: usize) {
    let store = StoreId::from_bytes([1; 16]);
    let bytes = create(store, 1).change.bytes().clone();
    let ((), span) =
        time(|| (0..rounds).for_each(|_| drop(Change::verify(bytes.clone()).unwrap())));
    let ((), floor) = time(|| {
        (0..rounds).for_each(|_| drop(automerge::Change::try_from(bytes.as_ref()).unwrap()));
    });
    let floor = micros_each(floor, rounds);
    table.row(
        "verify a first change",
        "µs",
        micros_each(span, rounds),
        Some(("Automerge's parse", floor)),
    );

    let key = key(1);
    let mut document = Document::new(&ActorId::of(store, &key));
    let Value::Map(fields) = small(1) else {
        unreachable!("a map")
    };
    document
        .edit::<_, syncline::Error>(meta(), |edit| edit.put_map(&fields))
        .unwrap();
    let path = ["priority".into()];
    let rounds = rounds / 10;
    let ((), span) = time(|| {
        for round in 0..rounds {
            let value = Value::Int(i64::try_from(round).unwrap() + 10);
            document
                .edit::<_, syncline::Error>(meta(), |edit| edit.set(&path, &value))
                .unwrap();
        }
    });
    let mut alone = automerge::Automerge::new();
    let ((), floor) = time(|| {
        for round in 0..rounds {
            let mut tx = alone.transaction();
            tx.put(automerge::ROOT, "priority", i64::try_from(round).unwrap())
                .unwrap();
            tx.commit();
            drop(alone.get_last_local_change().unwrap().bytes().into_owned());
        }
    });
    let floor = micros_each(floor, rounds);
    table.row(
        "edit one field, to change bytes",
        "µs",
        micros_each(span, rounds),
        Some(("Automerge alone", floor)),
    );
}

/// Durable local writes, alone and in groups, beside redb writing the same rows.
fn captures(table: &mut Table, folder: &Path, commits: usize) {
    for (name, group, commits) in [("one", 1, commits), ("64", 64, commits / 8)] {
        let (mut replica, _store) = open(&folder.join(format!("capture-{group}.redb")));
        let writes: Vec<_> = (0..commits * group)
            .map(|it| create(replica.id(), it))
            .collect();
        let bytes = writes.first().map_or(0, |it| it.change.bytes().len());
        let ((), span) = time(|| {
            for group in writes.chunks(group) {
                for write in group {
                    let write = std::slice::from_ref(write);
                    replica.capture(write, CorrelationId(1)).unwrap();
                }
                replica.commit(Durability::Immediate).unwrap();
            }
        });
        let floor: f64 = redb_alone(folder, (commits, group), bytes + 60)
            .iter()
            .sum();
        let floor = floor / f64::from(u32::try_from(commits * group).unwrap());
        let ours = micros_each(span, commits * group);
        table.row(
            &format!("capture and commit a record, {name} a commit"),
            "µs",
            ours,
            Some(("redb alone, log, header and view", floor)),
        );
    }
}

/// Microseconds that redb alone takes for each of so many commits of so many records, with rows of
/// the same sizes.
pub(crate) fn redb_alone(
    folder: &Path,
    (commits, group): (usize, usize),
    bytes: usize,
) -> Vec<f64> {
    let path = folder.join(format!("floor-{commits}-{group}.redb"));
    let alone = RedbStore::open(path, RedbOptions::default()).unwrap();
    let commits = (0..commits).map(|commit| {
        let batch = floor_batch(commit * group, group, bytes);
        let ((), span) = time(|| alone.commit(&batch, Durability::Immediate).unwrap());
        micros_each(span, 1)
    });
    commits.collect()
}

/// Changes of others: admitted and appended without a document, beside Automerge applying them.
fn applies(table: &mut Table, folder: &Path, records: usize) {
    let author = StoreId::from_bytes([9; 16]);
    let writes: Vec<_> = (0..records).map(|it| create(author, it)).collect();
    let (mut replica, _store) = open(&folder.join("apply.redb"));
    let apply = |replica: &mut Replica| {
        for group in writes.chunks(1_000) {
            for write in group {
                let intake = Intake {
                    key: write.key.clone(),
                    origin: author,
                    correlation: CorrelationId(1),
                    now: WallTime::from_millis(1),
                    changes: vec![doc::inspect(write.change.bytes().clone())],
                };
                replica.apply(&intake).unwrap();
            }
            if replica.is_dirty() {
                replica.commit(Durability::Immediate).unwrap();
            }
        }
    };
    let ((), span) = time(|| apply(&mut replica));
    let ((), again) = time(|| apply(&mut replica));
    let ((), floor) = time(|| {
        for write in &writes {
            let change = automerge::Change::try_from(write.change.bytes().as_ref()).unwrap();
            let mut document = automerge::Automerge::new();
            document.apply_changes([change]).unwrap();
            drop(document.save());
        }
    });
    let floor = Some((
        "Automerge apply and save, not stored",
        micros_each(floor, records),
    ));
    table.row(
        "apply a record from a peer, 1,000 a commit",
        "µs",
        micros_each(span, records),
        floor,
    );
    table.row(
        "the same again: all duplicates",
        "µs",
        micros_each(again, records),
        None,
    );
}

/// Keystrokes of others: judged by what each refers to, and appended, beside Automerge parsing them.
fn keystrokes(table: &mut Table, folder: &Path, strokes: usize) {
    let author = StoreId::from_bytes([9; 16]);
    let write = create(author, 0);
    let mut document = Document::new(&ActorId::of(author, &write.key));
    document.apply(std::slice::from_ref(&write.change)).unwrap();
    let body = [PathStep::from("typed")];
    let mut changes = vec![write.change.bytes().clone()];
    for at in 0..strokes {
        let edit = document.edit::<_, syncline::Error>(meta(), |edit| match at {
            0 => edit.set(&body, &Value::Text("x".to_owned())),
            _ => edit.splice_text(&body, at, 0, "x"),
        });
        changes.push(edit.unwrap().1.unwrap().bytes().clone());
    }
    let (mut replica, _store) = open(&folder.join("keystrokes.redb"));
    let ((), span) = time(|| {
        for group in changes.chunks(256) {
            let intake = Intake {
                key: write.key.clone(),
                origin: author,
                correlation: CorrelationId(1),
                now: WallTime::from_millis(1),
                changes: group.iter().cloned().map(doc::inspect).collect(),
            };
            let applied = replica.apply(&intake).unwrap();
            assert_eq!(applied.len(), group.len());
            replica.commit(Durability::Relaxed).unwrap();
        }
    });
    let ((), floor) = time(|| {
        for change in &changes {
            drop(automerge::Change::try_from(change.as_ref()).unwrap());
        }
    });
    table.row(
        "verify, judge and append a keystroke from a peer, 256 a commit",
        "µs",
        micros_each(span, changes.len()),
        Some(("Automerge's parse", micros_each(floor, changes.len()))),
    );
}

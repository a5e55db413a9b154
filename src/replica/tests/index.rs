//! Indexes: built in steps between edits, over restarts, and removed.

use super::*;
use crate::limits;
use crate::replica::{IndexColumn, View};

const CAUSE: CorrelationId = CorrelationId(3);

fn columns(field: &str) -> Vec<IndexColumn> {
    vec![IndexColumn {
        path: vec![field.to_owned()],
        elements: None,
        is_descending: false,
    }]
}

fn numbered(number: usize) -> RecordKey {
    RecordKey {
        record: crate::id::RecordId::named(&number.to_string()),
        ..key("tasks")
    }
}

/// Writes a new value of a record, with its view.
fn edit(replica: &mut Replica, writers: &mut Vec<Writer>, number: usize, value: i64) {
    let key = numbered(number);
    if writers.len() <= number {
        writers.push(Writer::new(replica.id(), &key));
    }
    let writer = &mut writers[number];
    let change = writer.set("n", value);
    let view = View::from(writer.0.shown(None).unwrap());
    let write = Write {
        view: Some((writer.0.heads(), view)),
        ..write(&key, change)
    };
    replica.capture(&[write], CAUSE).unwrap();
}

fn complaints(replica: &Replica) -> Vec<String> {
    replica.rows().verify(key("tasks").space).unwrap()
}

fn count(store: &TestStore) -> usize {
    let snapshot = store.snapshot().unwrap();
    let mut count = 0;
    let visit = &mut |_: &[u8], _: &[u8]| {
        count += 1;
        std::ops::ControlFlow::Continue(())
    };
    let all = crate::store::KeyRange::ALL;
    let order = crate::store::Order::Ascending;
    snapshot
        .scan(crate::store::Table::Index, all, order, visit)
        .unwrap();
    count
}

#[test]
fn an_index_is_built_between_edits_and_over_a_restart_and_removed() {
    let (store, mut replica) = replica();
    let mut writers = Vec::new();
    let records = limits::INDEX_STEP_RECORDS * 2 + 10;
    for number in 0..records {
        edit(&mut replica, &mut writers, number, 1);
    }
    let of = (key("tasks").space, key("tasks").collection);
    replica.set_indexes(&of, &[columns("n")]).unwrap();
    assert!(replica.work_on_indexes().unwrap());
    for number in (0..records).step_by(3) {
        edit(&mut replica, &mut writers, number, 2);
    }
    replica.commit(Durability::Immediate).unwrap();
    let mut replica = reopen(&store);
    assert!(!replica.rows().indexes(of.0, &of.1).unwrap()[0].is_complete());
    // Told again, it goes on where it was.
    replica.set_indexes(&of, &[columns("n")]).unwrap();
    assert!(replica.work_on_indexes().unwrap());
    assert!(!replica.rows().indexes(of.0, &of.1).unwrap()[0].is_complete());
    for number in (0..records).step_by(5) {
        edit(&mut replica, &mut writers, number, 3);
    }
    assert!(replica.work_on_indexes().unwrap());
    assert!(replica.rows().indexes(of.0, &of.1).unwrap()[0].is_complete());
    assert!(!replica.work_on_indexes().unwrap());
    edit(&mut replica, &mut writers, 7, 4);
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(complaints(&replica), [""; 0]);
    assert_eq!(count(&store), records + 1);

    replica.set_indexes(&of, &[]).unwrap();
    edit(&mut replica, &mut writers, 8, 5);
    // Wanted again before it is gone: another one.
    replica.set_indexes(&of, &[columns("n")]).unwrap();
    while replica.work_on_indexes().unwrap() {}
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(complaints(&replica), [""; 0]);
    assert_eq!(count(&store), records + 1);
    replica.set_indexes(&of, &[]).unwrap();
    while replica.work_on_indexes().unwrap() {}
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(count(&store), 0);
}

#[test]
fn wrong_entries_are_found_and_made_good() {
    use crate::store::{Batch, Table};

    let (store, mut replica) = replica();
    let mut writers = Vec::new();
    let of = (key("tasks").space, key("tasks").collection);
    replica.set_indexes(&of, &[columns("n")]).unwrap();
    while replica.work_on_indexes().unwrap() {}
    for number in 0..5 {
        edit(&mut replica, &mut writers, number, 1);
    }
    replica.commit(Durability::Immediate).unwrap();
    drop(replica);
    let snapshot = store.snapshot().unwrap();
    let rows = Rows::new(snapshot.as_ref());
    let number = rows.number(of.0, Some(&of.1)).unwrap().unwrap();
    let index = rows.indexes(of.0, &of.1).unwrap().remove(0);
    let all = crate::store::KeyRange::ALL;
    let order = crate::store::Order::Ascending;
    let entries = rows.index_entries((number, &index), all, order, 2).unwrap();
    let prefix = [number.0.to_be_bytes(), [0; 4]].concat();
    let mut batch = Batch::default();
    batch.remove(
        Table::Index,
        [&prefix, &entries[0].1].map(Vec::as_slice).concat(),
    );
    batch.put(Table::Index, [prefix, vec![2; 20]].concat(), Vec::new());
    store.commit(&batch, Durability::Immediate).unwrap();
    let replica = reopen(&store);
    assert_eq!(
        complaints(&replica),
        ["2 index entries of tasks do not follow from its views"]
    );
    drop(replica);
    assert_eq!(crate::replica::repair(store.as_ref()).unwrap(), 2);
    assert_eq!(complaints(&reopen(&store)), [""; 0]);
}

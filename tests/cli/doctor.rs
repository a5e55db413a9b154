//! `doctor`: sound stores, sums that are wrong, and what can't be made again.

use std::ops::ControlFlow;
use std::path::Path;

use syncline::store::{Batch, Durability, KeyRange, Order, RedbOptions, RedbStore, Store, Table};

use crate::command::{Folder, Ran, over};

/// Changes a byte in the middle of every row of a table.
fn harm(store: &Path, table: Table) {
    let store = RedbStore::open(store, RedbOptions::default()).expect("it opens");
    let mut batch = Batch::default();
    let snapshot = store.snapshot().expect("readable");
    let visit = &mut |key: &[u8], row: &[u8]| {
        let mut row = row.to_vec();
        let middle = row.len() / 2;
        row[middle] ^= 1;
        batch.put(table, key.to_vec(), row);
        ControlFlow::Continue(())
    };
    let scanned = snapshot.scan(table, KeyRange::ALL, Order::Ascending, visit);
    scanned.expect("readable");
    drop(snapshot);
    store.commit(&batch, Durability::Immediate).expect("room");
}

fn filled(folder: &Folder) -> std::path::PathBuf {
    let store = folder.file("a.redb");
    for name in ["a", "b", "c"] {
        over(&store, &["put", "tasks", name, r#"{"n": 1}"#]).json();
    }
    store
}

/// It says that the store is damaged, and what to do.
fn complains(ran: &Ran, advice: &str) {
    assert_eq!(ran.code, 4, "{ran:?}");
    assert_eq!(ran.object()["sound"], false, "{ran:?}");
    let complaints = &ran.object()["spaces"][0]["complaints"];
    assert!(complaints.as_array().is_some_and(|it| !it.is_empty()));
    assert!(
        ran.stderr.starts_with("syncline: store_corrupt: "),
        "{ran:?}"
    );
    assert!(ran.stderr.contains(advice), "{ran:?}");
}

#[test]
fn a_sound_store_is_told_to_be_sound() {
    let folder = Folder::new();
    let store = filled(&folder);
    let found = over(&store, &["doctor"]).json();
    assert_eq!(found["sound"], true, "{found}");
    assert_eq!(found["spaces"].as_array().map(Vec::len), Some(1));
    let again = over(&store, &["doctor", "--repair"]).json();
    assert_eq!(again["rows_repaired"], 0, "{again}");
}

#[test]
fn sums_that_are_wrong_are_named_and_made_again() {
    let folder = Folder::new();
    let store = filled(&folder);
    harm(&store, Table::Tree);
    harm(&store, Table::Elements);
    complains(&over(&store, &["doctor"]), "--repair");
    let repaired = over(&store, &["doctor", "--repair"]).json();
    assert_eq!(repaired["sound"], true, "{repaired}");
    assert_eq!(repaired["rows_repaired"], 4, "three elements and their sum");
    assert_eq!(over(&store, &["doctor"]).json()["sound"], true);
}

#[test]
fn a_change_that_is_damaged_can_not_be_made_again() {
    let folder = Folder::new();
    let store = filled(&folder);
    harm(&store, Table::Log);
    complains(&over(&store, &["doctor", "--repair"]), "restore a backup");
}

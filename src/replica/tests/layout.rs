//! Rows of a store, byte for byte as `docs/storage.md` has them.

use super::*;
use crate::id::{ChangeHash, Lsn};
use crate::ledger::{Cursor, cursor_key};
use crate::store::{KeyRange, Order, Table};

/// The rows of a table, keys and values.
fn rows(store: &TestStore, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let snapshot = store.snapshot().unwrap();
    let visit = &mut |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        std::ops::ControlFlow::Continue(())
    };
    snapshot
        .scan(table, KeyRange::ALL, Order::Ascending, visit)
        .unwrap();
    rows
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn the_rows_of_one_change_are_as_the_specification_has_them() {
    let (store, mut replica) = replica();
    let key = key("notes");
    let origin = StoreId::from_bytes([9; 16]);
    let change = Writer::stranger(1, &key).set("n", 1);
    deliver(&mut replica, &key, vec![Ok(change.clone())]);
    let (space, record) = (key.space.as_bytes(), key.record.as_bytes());
    // The space came first and has number 0, its collection has 1.
    let slot = joined(&[&[0, 0, 0, 1], record]);
    let names = [
        (space.to_vec(), vec![0, 0, 0, 0]),
        (joined(&[space, b"notes"]), vec![0, 0, 0, 1]),
    ];
    assert_eq!(rows(&store, Table::Collections), names);
    let correlation = 7_u64.to_be_bytes();
    let actor = change.actor().as_bytes();
    let actor = joined(&[&[u8::try_from(actor.len()).unwrap()], actor]);
    let log = joined(&[
        &slot,
        origin.as_bytes(),
        &correlation,
        &actor,
        change.bytes(),
    ]);
    let log_key = joined(&[&[0; 4], &1_u64.to_be_bytes()]);
    assert_eq!(rows(&store, Table::Log), [(log_key, log)]);
    // Times and sizes: 1,700,000,000 s, and what the change weighs.
    let time = [0x80, 0xe2, 0xcf, 0xaa, 0x06];
    let hash = change.hash();
    let size = u8::try_from(change.bytes().len()).unwrap();
    assert!(size < 0x80, "one byte as a varint");
    let heads = joined(&[&[1], hash.as_bytes(), &[0], &time, &[1]]);
    let header = joined(&[&heads, &[1, size, 1, 1], &actor, &[1, 0, 0, 0]]);
    assert_eq!(rows(&store, Table::Records), [(slot.clone(), header)]);
    let node = joined(&[&[0], hash.as_bytes(), &[0, 0, 1, 1, 1, size, 1]]);
    let block = joined(&[&slot, &[0; 4]]);
    assert_eq!(rows(&store, Table::Graph), [(block, node)]);
    let place = joined(&[&[0, 0, 0, 1], &1_700_000_000_u64.to_be_bytes(), record]);
    let element = blake3::Hasher::new_derive_key("syncline 2026 element")
        .update(record)
        .update(hash.as_bytes())
        .update(b"notes")
        .finalize();
    let elements = [(place, element.as_bytes().to_vec())];
    assert_eq!(rows(&store, Table::Elements), elements);
    let sum = joined(&[&[1], element.as_bytes()]);
    assert_eq!(rows(&store, Table::Tree), [(vec![0, 0, 0, 1], sum)]);
    let stale = joined(&[origin.as_bytes(), &correlation]);
    assert_eq!(rows(&store, Table::Stale), [(slot, stale)]);
}

#[test]
fn the_rows_of_a_change_that_waits_are_as_the_specification_has_them() {
    let (store, mut replica) = replica();
    let key = key("notes");
    let orphan = Writer::stranger(1, &key).history(2).remove(1);
    let missing: ChangeHash = orphan.deps()[0];
    deliver(&mut replica, &key, vec![Ok(orphan.clone())]);
    let slot = joined(&[&[0, 0, 0, 1], key.record.as_bytes()]);
    let row = joined(&[
        &[1],
        &[9; 16],
        &7_u64.to_be_bytes(),
        &1_700_000_000_000_u64.to_be_bytes(),
        &[1],
        missing.as_bytes(),
        orphan.bytes(),
    ]);
    let held = joined(&[&slot, orphan.hash().as_bytes()]);
    assert_eq!(rows(&store, Table::Quarantine), [(held, row)]);
    let waits = joined(&[&slot, missing.as_bytes(), orphan.hash().as_bytes()]);
    assert_eq!(rows(&store, Table::Waiting), [(waits, Vec::new())]);
    let size = u64::try_from(orphan.bytes().len()).unwrap();
    let meta = rows(&store, Table::Meta);
    let counts = joined(&[&1_u64.to_be_bytes(), &size.to_be_bytes()]);
    assert!(meta.contains(&(b"quarantine".to_vec(), counts)));
    assert!(meta.contains(&(b"store".to_vec(), replica.id().as_bytes().to_vec())));
}

#[test]
fn the_row_of_a_cursor_is_as_the_specification_has_it() {
    let (store, mut replica) = replica();
    let (peer, space) = (StoreId::from_bytes([9; 16]), key("notes").space);
    let cursor = Cursor {
        acked: Lsn(300),
        received: Lsn(5),
        want: [4; 16],
        seen: WallTime::from_millis(1),
    };
    replica.set_cursor(peer, space, &cursor);
    replica.commit(Durability::Immediate).unwrap();
    let row = joined(&[&[0xac, 0x02, 5], &[4; 16], &[1]]);
    let written = joined(&[peer.as_bytes(), space.as_bytes()]);
    assert_eq!(cursor_key(peer, space), written);
    assert_eq!(rows(&store, Table::Cursors), [(written, row)]);
}

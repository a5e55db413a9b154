//! Crashes at every kind of moment, on a disk that loses, reorders and tears what was not synced.

use std::ops::ControlFlow;

use super::{CrashDisk, FORMAT_KEY, RedbOptions, RedbStore};
use crate::entropy::Entropy;
use crate::store::{Batch, Durability, KeyRange, Order, Snapshot, Store, Table};

crate::store_conformance!(
    on_a_disk_that_loses_what_is_not_synced,
    in || (CrashDisk::new(), std::cell::RefCell::new(Entropy::from_number(1))),
    |(disk, entropy)| open(disk, &mut entropy.borrow_mut()).unwrap()
);

const TABLES: [Table; 3] = [Table::Log, Table::Records, Table::Tree];

fn open(disk: &CrashDisk, entropy: &mut Entropy) -> Result<RedbStore, crate::store::StoreError> {
    let options = RedbOptions {
        // A cache too small for a commit makes redb write pages before the commit ends.
        cache_bytes: if entropy.below(2) == 0 { 0 } else { 1 << 20 },
        quick_reopen: entropy.below(4) == 0,
        verify: false,
    };
    RedbStore::with_backend("a disk", disk.clone(), options)
}

/// Batch `number` leaves the same trace in each table and takes away part of the one before.
fn batch(number: u64) -> Batch {
    let mut batch = Batch::default();
    let key = |number: u64| number.to_be_bytes().to_vec();
    for table in TABLES {
        batch.put(table, b"number".to_vec(), key(number));
        let bytes = usize::try_from(number % 7 * 700).unwrap();
        batch.put(
            table,
            key(number),
            vec![u8::try_from(number % 251).unwrap(); bytes],
        );
        batch.remove(table, key(number.saturating_sub(10)));
    }
    batch
}

/// The number of the last batch that the store shows; fails if any batch is there in part.
fn last_batch(store: &RedbStore) -> u64 {
    let snapshot = store.snapshot().unwrap();
    let last = TABLES.map(|table| {
        let number = snapshot.get(table, b"number").unwrap();
        number.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
    });
    assert_eq!(last, [last[0]; 3], "a batch is there in part");
    for table in TABLES {
        assert_eq!(
            rows(&*snapshot, table),
            expected(last[0], table),
            "table {}",
            table.name()
        );
    }
    assert!(snapshot.get(Table::Meta, FORMAT_KEY).unwrap().is_some());
    last[0]
}

fn rows(snapshot: &dyn Snapshot, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let scan = snapshot.scan(table, KeyRange::ALL, Order::Ascending, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    scan.unwrap();
    rows
}

/// The rows of `table` after all batches up to `last`.
fn expected(last: u64, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = std::collections::BTreeMap::new();
    for number in last.saturating_sub(20)..=last {
        for (at, writes) in batch(number).tables() {
            for (key, write) in writes.filter(|_| at == table && number > 0) {
                match write {
                    crate::store::Write::Put(value) => rows.insert(key.to_vec(), value.to_vec()),
                    crate::store::Write::Remove => rows.remove(key),
                };
            }
        }
    }
    // Batches before the first replayed one have left nothing.
    rows.into_iter().collect()
}

/// Commits until the power is cut. Returns the last batch that must survive, and the last tried.
fn work(disk: &CrashDisk, relaxed_share: u64, from: u64, entropy: &mut Entropy) -> (u64, u64) {
    let (mut acknowledged, mut tried, mut visible) = (from, from, from);
    let Ok(store) = open(disk, entropy) else {
        return (acknowledged, tried);
    };
    while !disk.is_dead() && tried < from + 60 {
        let durability = match entropy.below(100) {
            share if share < relaxed_share => Durability::Relaxed,
            share if share % 4 == 0 => Durability::Paranoid,
            _ => Durability::Immediate,
        };
        let done = match entropy.below(12) {
            0 => store.settle().is_ok().then_some(Durability::Immediate),
            1 => store
                .commit(&Batch::default(), durability)
                .is_ok()
                .then_some(durability),
            _ => {
                tried += 1;
                store
                    .commit(&batch(tried), durability)
                    .is_ok()
                    .then_some(durability)
            }
        };
        match done {
            Some(Durability::Immediate | Durability::Paranoid) => acknowledged = tried,
            Some(Durability::Relaxed) => {}
            None => {
                assert_eq!(
                    last_batch(&store),
                    visible,
                    "reads go on, with what was there"
                );
                break;
            }
        }
        visible = tried;
    }
    (acknowledged, tried)
}

/// Crashes at random moments, several times in the life of one disk.
fn crash(seed: u64, relaxed_share: u64) {
    let mut entropy = Entropy::from_number(seed);
    let mut disk = CrashDisk::new();
    let mut last = 0;
    for life in 0..4 {
        // The first life may end while the store is being created.
        let operations = 1 + entropy.below(if life == 0 { 40 } else { 400 });
        disk.cut_power_after(operations);
        let (acknowledged, tried) = work(&disk, relaxed_share, last, &mut entropy);
        disk = CrashDisk::with_image(disk.image_after_crash(&mut entropy));
        let store = open(&disk, &mut entropy);
        let store = store.unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error:?}"));
        last = last_batch(&store);
        assert!(
            acknowledged <= last && last <= tried,
            "seed {seed}, life {life}: acknowledged {acknowledged}, found {last}, tried {tried}"
        );
        drop(store);
    }
}

#[test]
fn every_acknowledged_batch_survives_a_crash_at_any_moment() {
    for seed in 0..150 {
        crash(seed, 0);
    }
}

#[test]
fn a_crash_under_relaxed_durability_loses_whole_batches_from_the_end_only() {
    for seed in 1_000..1_150 {
        crash(seed, 70);
    }
}

#[test]
fn a_crash_at_each_operation_of_the_creation_leaves_a_store_or_nothing() {
    let disk = CrashDisk::new();
    let mut entropy = Entropy::from_number(9);
    drop(open(&disk, &mut entropy).unwrap());
    let operations = disk.operations();
    for operation in 0..operations {
        for seed in 0..10 {
            let mut entropy = Entropy::from_number(seed);
            let disk = CrashDisk::new();
            disk.cut_power_after(operation);
            drop(open(&disk, &mut entropy));
            let disk = CrashDisk::with_image(disk.image_after_crash(&mut entropy));
            let store = open(&disk, &mut entropy).unwrap();
            assert_eq!(last_batch(&store), 0, "operation {operation}, seed {seed}");
            store.commit(&batch(1), Durability::Immediate).unwrap();
            assert_eq!(last_batch(&store), 1, "operation {operation}, seed {seed}");
        }
    }
}

//! What commits, reads and openings of a redb store cost: `cargo bench --bench store`.
//!
//! An argument gives the number of records for the openings, `cargo bench --bench store 1000000`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it measures, prints, and stops at the first surprise"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use syncline::entropy::Entropy;
use syncline::store::{Batch, Durability, RedbOptions, RedbStore, Store, Table};

fn main() {
    let records = std::env::args()
        .find_map(|it| it.parse().ok())
        .unwrap_or(100_000);
    let folder = tempfile::tempdir().unwrap();
    for quick_reopen in [false, true] {
        for durability in [
            Durability::Immediate,
            Durability::Paranoid,
            Durability::Relaxed,
        ] {
            for records in [1, 64] {
                let path = folder
                    .path()
                    .join(format!("{durability:?}{quick_reopen}{records}"));
                commits(&path, quick_reopen, durability, records);
            }
        }
    }
    openings(folder.path(), records);
}

/// One record: a row of 300 bytes at the end of the log, and one of 100 bytes anywhere.
struct Records {
    keys: Entropy,
    written: u64,
}

impl Records {
    fn new() -> Self {
        Self {
            keys: Entropy::from_number(1),
            written: 0,
        }
    }

    fn batch(&mut self, records: u64) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..records {
            self.written += 1;
            batch.put(
                Table::Log,
                self.written.to_be_bytes().to_vec(),
                vec![3; 300],
            );
            batch.put(
                Table::Records,
                self.keys.bytes::<16>().to_vec(),
                vec![3; 100],
            );
        }
        batch
    }
}

fn commits(path: &Path, quick_reopen: bool, durability: Durability, records: u64) {
    let options = RedbOptions {
        quick_reopen,
        ..RedbOptions::default()
    };
    let store = RedbStore::open(path, options).unwrap();
    let mut source = Records::new();
    let (start, mut commits) = (Instant::now(), 0_u32);
    while start.elapsed() < Duration::from_millis(500) {
        store.commit(&source.batch(records), durability).unwrap();
        commits += 1;
    }
    let each = start.elapsed() / commits;
    println!("commit {records:2} records, {durability:?}, quick reopen {quick_reopen}: {each:.1?}");
}

fn openings(folder: &Path, records: u64) {
    let path = folder.join("openings");
    let store = RedbStore::open(&path, RedbOptions::default()).unwrap();
    let mut source = Records::new();
    while source.written < records {
        store
            .commit(&source.batch(1_000), Durability::Relaxed)
            .unwrap();
    }
    store
        .commit(&Batch::default(), Durability::Immediate)
        .unwrap();
    println!("{records} records: {} bytes", store.size_bytes().unwrap());
    opening(&path, "its process was killed at work");
    let start = Instant::now();
    store.settle().unwrap();
    println!("settle: {:.1?}", start.elapsed());
    opening(&path, "its process was killed after settling");
    reads(&store);
    store.close().unwrap();
    opening(&path, "it was closed");
}

/// Opens a copy: what a killed process leaves behind is what the file holds now.
fn opening(path: &Path, after: &str) {
    let copy = path.with_extension("copy");
    fs::copy(path, &copy).unwrap();
    // Or else opening would pay for writing the copy.
    fs::File::open(&copy).unwrap().sync_all().unwrap();
    let start = Instant::now();
    let store = RedbStore::open(&copy, RedbOptions::default()).unwrap();
    println!("open after {after}: {:.1?}", start.elapsed());
    drop(store);
}

fn reads(store: &RedbStore) {
    const READS: u32 = 10_000;
    let mut keys = Entropy::from_number(1);
    let snapshot = store.snapshot().unwrap();
    let start = Instant::now();
    for _ in 0..READS {
        assert!(
            snapshot
                .get(Table::Records, &keys.bytes::<16>())
                .unwrap()
                .is_some()
        );
    }
    println!("get: {:.1?}", start.elapsed() / READS);
    let start = Instant::now();
    for _ in 0..READS {
        let snapshot = store.snapshot().unwrap();
        assert!(
            snapshot
                .get(Table::Records, &keys.bytes::<16>())
                .unwrap()
                .is_some()
        );
    }
    println!("snapshot and get: {:.1?}", start.elapsed() / READS);
}

//! What holds of a store whatever was done to it: sums are sums, the log has no gap, and what the
//! quarantine counts is there.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::id::{Heads, RecordKey};
use crate::reconcile::{Element, Inventory as _, Span, Total};
use crate::replica::Replica;
use crate::store::{KeyRange, Order, Store, Table};

/// All rows of a store.
pub(super) type Dump = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

pub(super) fn dump(store: &dyn Store) -> Dump {
    let mut rows = Dump::new();
    let snapshot = store.snapshot().expect("a store in memory is readable");
    for table in Table::ALL {
        let read = snapshot.scan(table, KeyRange::ALL, Order::Ascending, &mut |key, row| {
            rows.insert((table, key.to_vec()), row.to_vec());
            ControlFlow::Continue(())
        });
        read.expect("a store in memory is readable");
    }
    rows
}

/// Checks a replica's rows against each other. Gives the heads of every record.
pub(super) fn audit(replica: &Replica) -> BTreeMap<RecordKey, Heads> {
    let mut records = BTreeMap::new();
    for space in replica.spaces() {
        let (mut weight, mut folded) = (0, 0);
        for collection in replica.collections(space).expect("readable") {
            let whole = replica.total(space, &collection, Span::ALL);
            let items = replica.items(space, &collection, Span::ALL, usize::MAX);
            let mut total = Total::default();
            for item in items.expect("readable") {
                total.add(&Element::of(&collection, item.record, &item.heads));
                let key = RecordKey {
                    space,
                    collection: collection.clone(),
                    record: item.record,
                };
                let samples = replica.samples(&key).expect("readable");
                let unknown = replica.unknown(&key, &samples).expect("readable");
                assert!(unknown.is_empty(), "what is here is known");
                weight += replica.weight(&key).expect("readable");
                if let Some(snapshot) = replica.snapshot(&key).expect("readable") {
                    folded += u64::try_from(snapshot.document.len()).unwrap_or(0);
                }
                records.insert(key, item.heads);
            }
            assert_eq!(whole.expect("readable"), total, "a total is the sum");
        }
        // Up to there changes may have left the log.
        let mut lsn = replica.horizon(space).expect("readable").0;
        let mut bytes = folded;
        let read = replica.log(space, crate::id::Lsn(0), &mut |entry| {
            if entry.lsn.0 > lsn {
                lsn += 1;
                assert_eq!(entry.lsn.0, lsn, "the log has no gap");
            }
            bytes += u64::try_from(entry.bytes.len()).unwrap_or(0);
            ControlFlow::Continue(())
        });
        read.expect("readable");
        assert_eq!(
            replica.lsn(space).expect("readable").0,
            lsn,
            "the log ends where it says"
        );
        assert_eq!(
            weight, bytes,
            "records weigh what the log has of their changes, and their snapshots"
        );
    }
    let held = replica.quarantined(usize::MAX).expect("readable");
    let bytes: usize = held.iter().map(|it| it.size_bytes).sum();
    let size = replica.quarantine_size();
    let found = (
        u64::try_from(held.len()).unwrap_or(0),
        u64::try_from(bytes).unwrap_or(0),
    );
    assert_eq!(
        (size.entries, size.bytes),
        found,
        "the quarantine counts what it has"
    );
    records
}

//! Rules about commits: what snapshots see of them, and what survives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{commit, get, get_from, keys, put, rows, snapshot};
use crate::store::{Batch, Durability, KeyRange, Order, Snapshot, Store, Table};

/// A snapshot neither sees later commits nor loses what they remove.
pub fn a_snapshot_shows_one_point_in_time(store: &dyn Store) {
    put(
        store,
        Table::Log,
        &[(b"changed", b"old"), (b"removed", b"old")],
    );
    let before = snapshot(store);
    let mut batch = Batch::default();
    batch.put(Table::Log, b"changed".to_vec(), b"new".to_vec());
    batch.put(Table::Log, b"added".to_vec(), b"new".to_vec());
    batch.remove(Table::Log, b"removed".to_vec());
    batch.put(Table::Tree, b"other table".to_vec(), b"new".to_vec());
    commit(store, &batch);
    let after = snapshot(store);
    assert_eq!(
        keys(&*before, Table::Log, KeyRange::ALL),
        [b"changed", b"removed"]
    );
    assert_eq!(
        get_from(&*before, Table::Log, b"changed").as_deref(),
        Some(&b"old"[..])
    );
    assert_eq!(get_from(&*before, Table::Tree, b"other table"), None);
    assert_eq!(
        keys(&*after, Table::Log, KeyRange::ALL),
        [&b"added"[..], b"changed"]
    );
    assert_eq!(
        get_from(&*after, Table::Log, b"changed").as_deref(),
        Some(&b"new"[..])
    );
    drop(before);
    assert_eq!(get_from(&*after, Table::Log, b"removed"), None);
}

/// A commit to all tables at once is in all of them.
pub fn a_batch_appears_whole_across_tables(store: &dyn Store) {
    for round in 0..20_u8 {
        let mut batch = Batch::default();
        for table in Table::ALL {
            batch.put(table, b"round".to_vec(), vec![round]);
            batch.put(table, vec![round], Vec::new());
            batch.remove(table, vec![round.wrapping_sub(1)]);
        }
        commit(store, &batch);
        let snapshot = snapshot(store);
        for table in Table::ALL {
            assert_eq!(get_from(&*snapshot, table, b"round"), Some(vec![round]));
            assert_eq!(get_from(&*snapshot, table, &[round]), Some(Vec::new()));
            assert_eq!(get_from(&*snapshot, table, &[round.wrapping_sub(1)]), None);
        }
    }
}

/// What a commit wrote is in the next snapshot, also if it is relaxed.
pub fn every_durability_is_visible_at_once(store: &dyn Store) {
    let all = [
        Durability::Relaxed,
        Durability::Immediate,
        Durability::Relaxed,
        Durability::Relaxed,
        Durability::Paranoid,
    ];
    for (number, durability) in (0_u8..).zip(all) {
        let mut batch = Batch::default();
        batch.put(Table::Cursors, vec![number], vec![number]);
        store
            .commit(&batch, durability)
            .expect("a commit without faults succeeds");
        assert_eq!(get(store, Table::Cursors, &[number]), Some(vec![number]));
    }
    let count = keys(&*snapshot(store), Table::Cursors, KeyRange::ALL).len();
    assert_eq!(count, all.len());
}

/// Under any durability, with and without relaxed commits before it.
pub fn an_empty_batch_changes_nothing(store: &dyn Store) {
    let mut batch = Batch::default();
    batch.put(Table::Cursors, b"key".to_vec(), b"value".to_vec());
    let all = [
        Durability::Immediate,
        Durability::Paranoid,
        Durability::Relaxed,
    ];
    for before in all {
        for durability in all {
            store
                .commit(&batch, before)
                .expect("a commit without faults succeeds");
            let done = store.commit(&Batch::default(), durability);
            done.expect("a commit without faults succeeds");
            let rows = rows(
                &*snapshot(store),
                Table::Cursors,
                KeyRange::ALL,
                Order::Ascending,
            );
            assert_eq!(rows, [(b"key".to_vec(), b"value".to_vec())]);
        }
    }
}

/// [`Store::settle`] can be called at any time and any number of times.
pub fn settling_changes_nothing(store: &dyn Store) {
    let settle = || store.settle().expect("settling without faults succeeds");
    settle();
    let mut batch = Batch::default();
    batch.put(Table::Cursors, b"key".to_vec(), b"value".to_vec());
    let done = store.commit(&batch, Durability::Relaxed);
    done.expect("a commit without faults succeeds");
    settle();
    settle();
    assert_eq!(
        get(store, Table::Cursors, b"key").as_deref(),
        Some(&b"value"[..])
    );
    put(store, Table::Cursors, &[(b"after", b"")]);
    assert_eq!(get(store, Table::Cursors, b"after"), Some(Vec::new()));
}

/// While one thread commits, every snapshot on other threads shows batches whole, and never an
/// older state than the snapshot before it.
pub fn snapshots_on_other_threads_stay_consistent(store: &dyn Store) {
    const ROUNDS: u32 = 200;
    const TABLES: [Table; 3] = [Table::Log, Table::Records, Table::Views];
    let round_of = |snapshot: &dyn Snapshot| {
        let rounds = TABLES.map(|table| get_from(snapshot, table, b"round"));
        let [first, others @ ..] = &rounds;
        assert!(
            others.iter().all(|it| it == first),
            "a batch is torn: {rounds:?}"
        );
        let bytes = first.as_deref().map(<[u8; 4]>::try_from);
        bytes.map_or(0, |bytes| {
            u32::from_be_bytes(bytes.expect("four bytes were written"))
        })
    };
    let done = AtomicBool::new(false);
    let read = || {
        let mut last = 0;
        while !done.load(Ordering::Acquire) {
            let snapshot = snapshot(store);
            let round = round_of(&*snapshot);
            assert!(round >= last, "round {round} is shown after round {last}");
            let rows = keys(&*snapshot, Table::Graph, KeyRange::ALL).len();
            assert_eq!(
                u32::try_from(rows).ok(),
                Some(round),
                "one row for each round"
            );
            assert_eq!(round_of(&*snapshot), round, "a snapshot does not move");
            last = round;
        }
    };
    thread::scope(|scope| {
        let readers = [scope.spawn(read), scope.spawn(read)];
        for round in 1..=ROUNDS {
            let mut batch = Batch::default();
            for table in TABLES {
                batch.put(table, b"round".to_vec(), round.to_be_bytes().to_vec());
            }
            batch.put(Table::Graph, round.to_be_bytes().to_vec(), Vec::new());
            let committed = store.commit(&batch, Durability::Relaxed);
            if committed.is_err() || readers.iter().any(thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(round_of(&*snapshot(store)), ROUNDS);
}

/// Whatever the durability: closing makes relaxed commits durable.
pub fn acknowledged_batches_survive_reopening<P, S: Store>(
    place: impl FnOnce() -> P,
    open: impl Fn(&P) -> S,
) {
    let place = place();
    let all = [
        Durability::Immediate,
        Durability::Paranoid,
        Durability::Relaxed,
    ];
    for (number, durability) in (0_u8..).zip(all) {
        let store = open(&place);
        for earlier in 0..number {
            assert_eq!(get(&store, Table::Log, &[earlier]), Some(vec![earlier]));
        }
        let mut batch = Batch::default();
        batch.put(Table::Log, vec![number], vec![number]);
        batch.put(Table::Tree, b"newest".to_vec(), vec![number]);
        let done = store.commit(&batch, durability);
        done.expect("a commit without faults succeeds");
    }
    let store = open(&place);
    assert_eq!(
        keys(&*snapshot(&store), Table::Log, KeyRange::ALL),
        [[0], [1], [2]]
    );
    assert_eq!(get(&store, Table::Tree, b"newest"), Some(vec![2]));
}

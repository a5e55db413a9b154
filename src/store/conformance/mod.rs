//! What every store owes, as tests that any implementation can run: [`store_conformance!`].
//!
//! Each public function is one rule. It panics if the store breaks it.
//!
//! [`store_conformance!`]: crate::store_conformance

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "these functions are the bodies of tests"
)]

mod commits;
mod model;
mod rows;
mod scans;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

pub use commits::*;
pub use model::{a_reopened_store_equals_its_model, a_store_equals_its_model};
pub use rows::*;
pub use scans::*;

use super::{Batch, Durability, KeyRange, Order, Snapshot, Store, Table};

/// Tests a store: one `#[test]` per rule of the contract of [`Store`].
///
/// The first argument names the module that holds the tests. With a closure that makes an empty
/// store, everything but durability is tested. Durability needs two closures: one that makes a
/// place (a temporary folder, usually), and one that opens the store there, empty the first time.
///
/// ```no_run
/// # use syncline::store::MemoryStore;
/// syncline::store_conformance!(memory, || MemoryStore::new());
/// ```
///
/// ```no_run
/// # #[cfg(feature = "redb")] {
/// # use syncline::store::{RedbOptions, RedbStore};
/// syncline::store_conformance!(
///     in_a_file,
///     in || tempfile::tempdir().unwrap(),
///     |folder| RedbStore::open(folder.path().join("store"), RedbOptions::default()).unwrap()
/// );
/// # }
/// ```
#[macro_export]
macro_rules! store_conformance {
    ($name:ident, in $place:expr, $open:expr $(,)?) => {
        mod $name {
            use super::*;

            $crate::store_conformance!(@rules $place, $open);

            #[test]
            fn acknowledged_batches_survive_reopening() {
                $crate::store::conformance::acknowledged_batches_survive_reopening($place, $open);
            }

            #[test]
            fn a_reopened_store_equals_its_model() {
                $crate::store::conformance::a_reopened_store_equals_its_model($place, $open);
            }
        }
    };
    ($name:ident, $make:expr $(,)?) => {
        mod $name {
            use super::*;

            $crate::store_conformance!(@rules || (), |()| ($make)());
        }
    };
    (@rules $place:expr, $open:expr) => {
        $crate::store_conformance!(@tests $place, $open;
            what_was_put_is_got,
            the_last_write_to_a_key_wins,
            what_was_removed_is_gone,
            removing_what_is_absent_does_nothing,
            tables_do_not_share_keys,
            an_empty_value_is_a_value,
            scans_show_exactly_their_range_in_both_orders,
            a_scan_ends_where_the_visitor_breaks,
            an_empty_range_shows_nothing,
            a_prefix_ends_where_its_end_says,
            keys_of_any_bytes_sort_as_bytes,
            a_snapshot_shows_one_point_in_time,
            a_batch_appears_whole_across_tables,
            every_durability_is_visible_at_once,
            an_empty_batch_changes_nothing,
            settling_changes_nothing,
            large_values_come_back_whole,
            many_keys_are_scanned_in_order,
            snapshots_on_other_threads_stay_consistent,
            a_store_equals_its_model,
        );
    };
    (@tests $place:expr, $open:expr; $($rule:ident,)*) => {
        $(
            #[test]
            fn $rule() {
                let rule = $crate::store::conformance::$rule;
                $crate::store::conformance::with_store($place, $open, rule);
            }
        )*
    };
}

/// Runs `rule` over a new store.
pub fn with_store<P, S: Store>(
    place: impl FnOnce() -> P,
    open: impl Fn(&P) -> S,
    rule: impl FnOnce(&dyn Store),
) {
    let place = place();
    let store = open(&place);
    rule(&store);
}

type Row = (Vec<u8>, Vec<u8>);

fn commit(store: &dyn Store, batch: &Batch) {
    let done = store.commit(batch, Durability::Immediate);
    done.expect("a commit without faults succeeds");
}

fn put(store: &dyn Store, table: Table, rows: &[(&[u8], &[u8])]) {
    let mut batch = Batch::default();
    for (key, value) in rows {
        batch.put(table, key.to_vec(), value.to_vec());
    }
    commit(store, &batch);
}

fn snapshot(store: &dyn Store) -> Box<dyn Snapshot> {
    store
        .snapshot()
        .expect("a store without faults can be read")
}

fn get(store: &dyn Store, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    get_from(&*snapshot(store), table, key)
}

fn get_from(snapshot: &dyn Snapshot, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    snapshot
        .get(table, key)
        .expect("a store without faults can be read")
}

fn rows(snapshot: &dyn Snapshot, table: Table, range: KeyRange<'_>, order: Order) -> Vec<Row> {
    let mut rows = Vec::new();
    let done = snapshot.scan(table, range, order, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    done.expect("a store without faults can be read");
    rows
}

fn keys(snapshot: &dyn Snapshot, table: Table, range: KeyRange<'_>) -> Vec<Vec<u8>> {
    let ascending = rows(snapshot, table, range, Order::Ascending);
    let mut descending = rows(snapshot, table, range, Order::Descending);
    descending.reverse();
    assert_eq!(ascending, descending, "both orders show the same rows");
    ascending.into_iter().map(|(key, _)| key).collect()
}

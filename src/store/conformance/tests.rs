//! The suite itself: a store that breaks a promise fails the rule about it.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::*;
use crate::store::{MemoryStore, StoreError, Visit, Write};

/// A promise to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    RemovedRowsStay,
    EmptyValuesVanish,
    TablesShareKeys,
    ScansShowTheirEnd,
    ScansIgnoreBreaks,
    DescendingIsAscending,
    SnapshotsMove,
    BatchesAppearInParts,
    RelaxedCommitsAreInvisible,
    LargeValuesAreCut,
}

/// A store with a flaw.
#[derive(Clone, Debug)]
struct Flawed {
    inner: Arc<MemoryStore>,
    flaw: Flaw,
}

impl Flawed {
    fn table(&self, table: Table) -> Table {
        if self.flaw == Flaw::TablesShareKeys {
            return Table::Log;
        }
        table
    }

    /// The batch as this store writes it.
    fn flawed(&self, batch: &Batch) -> Batch {
        let mut flawed = Batch::default();
        for (table, writes) in batch.tables() {
            let table = self.table(table);
            for (key, write) in writes.filter(|(_, write)| !self.forgets(*write)) {
                add(&mut flawed, table, key, write, self.value_bytes_max());
            }
        }
        flawed
    }

    fn forgets(&self, write: Write<'_>) -> bool {
        match write {
            Write::Put(value) => value.is_empty() && self.flaw == Flaw::EmptyValuesVanish,
            Write::Remove => self.flaw == Flaw::RemovedRowsStay,
        }
    }

    fn value_bytes_max(&self) -> usize {
        if self.flaw == Flaw::LargeValuesAreCut {
            return 65_535;
        }
        usize::MAX
    }
}

fn add(batch: &mut Batch, table: Table, key: &[u8], write: Write<'_>, max: usize) {
    match write {
        Write::Put(value) => {
            let value = value.iter().copied().take(max).collect();
            batch.put(table, key.to_vec(), value);
        }
        Write::Remove => batch.remove(table, key.to_vec()),
    }
}

impl Store for Flawed {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        Ok(Box::new(FlawedSnapshot {
            inner: self.inner.snapshot()?,
            store: self.clone(),
        }))
    }

    fn commit(&self, batch: &Batch, durability: Durability) -> Result<(), StoreError> {
        if self.flaw == Flaw::RelaxedCommitsAreInvisible && durability == Durability::Relaxed {
            return Ok(());
        }
        let batch = self.flawed(batch);
        if self.flaw != Flaw::BatchesAppearInParts {
            return self.inner.commit(&batch, durability);
        }
        for (table, writes) in batch.tables() {
            let mut part = Batch::default();
            for (key, write) in writes {
                add(&mut part, table, key, write, usize::MAX);
            }
            self.inner.commit(&part, durability)?;
            // Time for a reader to look.
            (0..50).for_each(|_| std::thread::yield_now());
        }
        Ok(())
    }
}

#[derive(Debug)]
struct FlawedSnapshot {
    inner: Box<dyn Snapshot>,
    store: Flawed,
}

impl Snapshot for FlawedSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self.store.table(table);
        if self.store.flaw == Flaw::SnapshotsMove {
            return self.store.inner.snapshot()?.get(table, key);
        }
        self.inner.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let table = self.store.table(table);
        let mut end = range.end.map(<[u8]>::to_vec);
        if self.store.flaw == Flaw::ScansShowTheirEnd && !range.is_empty() {
            end = end.map(|end| [end, vec![0]].concat());
        }
        let range = KeyRange {
            start: range.start,
            end: end.as_deref(),
        };
        let ascending = self.store.flaw == Flaw::DescendingIsAscending;
        let order = if ascending { Order::Ascending } else { order };
        if self.store.flaw != Flaw::ScansIgnoreBreaks {
            return self.inner.scan(table, range, order, visit);
        }
        self.inner.scan(
            table,
            range,
            order,
            &mut |key, value| match visit(key, value) {
                ControlFlow::Continue(()) | ControlFlow::Break(()) => ControlFlow::Continue(()),
            },
        )
    }
}

type Rule = fn(&dyn Store);

/// Whether a new store with `flaw` keeps `rule`.
fn keeps(flaw: Flaw, rule: Rule) -> bool {
    let inner = Arc::default();
    let store = Flawed { inner, flaw };
    catch_unwind(AssertUnwindSafe(|| rule(&store))).is_ok()
}

#[test]
fn a_flawed_store_fails_the_rule_about_its_flaw() {
    let rules: [(Flaw, Rule); 10] = [
        (Flaw::RemovedRowsStay, what_was_removed_is_gone),
        (Flaw::EmptyValuesVanish, an_empty_value_is_a_value),
        (Flaw::TablesShareKeys, tables_do_not_share_keys),
        (
            Flaw::ScansShowTheirEnd,
            scans_show_exactly_their_range_in_both_orders,
        ),
        (
            Flaw::ScansIgnoreBreaks,
            a_scan_ends_where_the_visitor_breaks,
        ),
        (Flaw::DescendingIsAscending, keys_of_any_bytes_sort_as_bytes),
        (Flaw::SnapshotsMove, a_snapshot_shows_one_point_in_time),
        (
            Flaw::BatchesAppearInParts,
            snapshots_on_other_threads_stay_consistent,
        ),
        (
            Flaw::RelaxedCommitsAreInvisible,
            every_durability_is_visible_at_once,
        ),
        (Flaw::LargeValuesAreCut, large_values_come_back_whole),
    ];
    for (flaw, rule) in rules {
        assert!(keeps(Flaw::None, rule), "without a flaw the rule is kept");
        assert!(!keeps(flaw, rule), "{flaw:?} is not noticed");
    }
}

#[test]
fn the_model_notices_flaws_in_rows_scans_and_snapshots() {
    assert!(keeps(Flaw::None, a_store_equals_its_model));
    for flaw in [
        Flaw::RemovedRowsStay,
        Flaw::EmptyValuesVanish,
        Flaw::TablesShareKeys,
        Flaw::ScansShowTheirEnd,
        Flaw::DescendingIsAscending,
        Flaw::SnapshotsMove,
        Flaw::RelaxedCommitsAreInvisible,
    ] {
        assert!(
            !keeps(flaw, a_store_equals_its_model),
            "{flaw:?} is not noticed"
        );
    }
}

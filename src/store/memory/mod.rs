//! A store in memory: for tests, simulations, and replicas that need not outlive their process.

mod rows;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, Durability, KeyRange, Order, Snapshot, Store, StoreError, Table, Visit, Write};
use rows::Rows;

type Tables = BTreeMap<Table, Arc<Rows>>;

/// Rows in sorted maps. Nothing is durable, so every [`Durability`] means the same.
///
/// A snapshot costs one reference per table. A commit costs O(writes × log rows); where a snapshot
/// is still alive it copies besides, of each table it writes to, references to one leaf of rows per
/// write and to the list of leaves: some microseconds for 100,000 rows.
#[derive(Default)]
pub struct MemoryStore {
    committed: Mutex<Committed>,
}

#[derive(Default)]
struct Committed {
    tables: Tables,
    bytes: u64,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A commit can only panic for lack of memory, so there is no half-done state to fear.
    fn committed(&self) -> MutexGuard<'_, Committed> {
        self.committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Committed {
    fn apply(&mut self, batch: &Batch) {
        for (table, writes) in batch.tables() {
            let rows = Arc::make_mut(self.tables.entry(table).or_default());
            for (key, write) in writes {
                self.bytes += put_bytes(key, write);
                let replaced = match write {
                    Write::Put(value) => rows.insert(key, value),
                    Write::Remove => rows.remove(key),
                };
                self.bytes -= replaced.map_or(0, |value| put_bytes(key, Write::Put(&value)));
            }
        }
    }
}

/// Bytes that a write adds, what it replaces left aside.
const fn put_bytes(key: &[u8], write: Write<'_>) -> u64 {
    match write {
        Write::Put(value) => key.len() as u64 + value.len() as u64,
        Write::Remove => 0,
    }
}

impl Store for MemoryStore {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let tables = self.committed().tables.clone();
        Ok(Box::new(MemorySnapshot { tables }))
    }

    fn commit(&self, batch: &Batch, _: Durability) -> Result<(), StoreError> {
        self.committed().apply(batch);
        Ok(())
    }

    fn size_bytes(&self) -> Option<u64> {
        Some(self.committed().bytes)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("bytes", &self.committed().bytes)
            .finish_non_exhaustive()
    }
}

struct MemorySnapshot {
    tables: Tables,
}

impl Snapshot for MemorySnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.tables.get(&table).and_then(|rows| rows.get(key));
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        table: Table,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let Some(rows) = self.tables.get(&table).filter(|_| !range.is_empty()) else {
            return Ok(());
        };
        let mut rows = rows.range(range.start, range.end);
        let mut visit = |(key, value): (&Arc<[u8]>, &Arc<[u8]>)| visit(key, value).is_break();
        match order {
            Order::Ascending => rows.any(&mut visit),
            Order::Descending => rows.rev().any(&mut visit),
        };
        Ok(())
    }
}

impl fmt::Debug for MemorySnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.tables.iter().map(|(table, rows)| (table, rows.len()));
        f.debug_map().entries(rows).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::store_conformance!(conformance, MemoryStore::new);

    #[test]
    fn its_size_is_that_of_the_rows_it_holds() {
        let store = MemoryStore::new();
        let commit = |batch: &Batch| store.commit(batch, Durability::Immediate).unwrap();
        let mut batch = Batch::default();
        batch.put(Table::Log, vec![1; 10], vec![1; 100]);
        batch.put(Table::Tree, vec![2; 10], vec![1; 200]);
        commit(&batch);
        assert_eq!(store.size_bytes(), Some(320));
        let mut batch = Batch::default();
        batch.put(Table::Log, vec![1; 10], vec![1; 1]);
        batch.remove(Table::Tree, vec![2; 10]);
        batch.remove(Table::Tree, vec![3; 10]);
        commit(&batch);
        assert_eq!(store.size_bytes(), Some(11));
    }
}

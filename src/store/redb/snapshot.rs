//! Reads of a redb store at one point of its history.

use std::cell::OnceCell;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use ::redb::{ReadOnlyTable, ReadTransaction, TableError};

use super::definition;
use super::place::Place;
use crate::store::{KeyRange, Order, Snapshot, StoreError, Table, Visit};

type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A read transaction and the tables it has opened so far: finding one costs as much as a read.
pub(super) struct RedbSnapshot {
    transaction: Arc<ReadTransaction>,
    tables: [OnceCell<Option<Rows>>; Table::ALL.len()],
    place: Arc<Place>,
}

impl RedbSnapshot {
    pub(super) fn new(transaction: Arc<ReadTransaction>, place: Arc<Place>) -> Self {
        Self {
            transaction,
            tables: Table::ALL.map(|_| OnceCell::new()),
            place,
        }
    }

    /// The rows of `table`; `None` if nothing was ever written to it.
    fn rows(&self, table: Table) -> Result<Option<&Rows>, ::redb::Error> {
        let Some(cell) = self.tables.get(table as usize) else {
            return Ok(None);
        };
        if let Some(rows) = cell.get() {
            return Ok(rows.as_ref());
        }
        let rows = match self.transaction.open_table(definition(table)) {
            Ok(rows) => Some(rows),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(cell.get_or_init(|| rows).as_ref())
    }
}

impl Snapshot for RedbSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.place.guard("reading", || {
            let Some(rows) = self.rows(table)? else {
                return Ok(None);
            };
            Ok(rows.get(key)?.map(|value| value.value().to_vec()))
        })
    }

    fn scan(
        &self,
        table: Table,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
        let bounds = (Bound::Included(range.start), end);
        let rows = self.place.guard("reading", || {
            let Some(rows) = self.rows(table)? else {
                return Ok(None);
            };
            Ok(Some(rows.range::<&[u8]>(bounds)?))
        })?;
        let Some(mut rows) = rows else {
            return Ok(());
        };
        // `visit` runs outside the guard: its panics are its own.
        loop {
            let row = self.place.guard("reading", || {
                let row = match order {
                    Order::Ascending => rows.next(),
                    Order::Descending => rows.next_back(),
                };
                Ok(row.transpose()?)
            })?;
            let Some((key, value)) = row else {
                return Ok(());
            };
            let (key, value) = self
                .place
                .guard("reading", || Ok((key.value(), value.value())))?;
            if visit(key, value).is_break() {
                return Ok(());
            }
        }
    }
}

impl fmt::Debug for RedbSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbSnapshot")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

//! A batch: everything that one commit changes.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::Table;

/// What a batch does to one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write<'a> {
    /// Set it to this value.
    Put(&'a [u8]),
    /// Remove it, if it is there.
    Remove,
}

impl<'a> From<&'a Option<Vec<u8>>> for Write<'a> {
    fn from(value: &'a Option<Vec<u8>>) -> Self {
        value.as_deref().map_or(Self::Remove, Self::Put)
    }
}

/// Writes that become visible and durable together.
///
/// The last write to a key wins. Until it is committed a batch can be read, so that a turn of the
/// engine sees what it has written itself.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
    bytes: usize,
    /// What writes since the savepoint replaced, oldest first.
    journal: Option<Vec<Replaced>>,
}

/// What a write replaced in the batch.
#[derive(Clone, Debug)]
struct Replaced {
    table: Table,
    key: Vec<u8>,
    write: Earlier,
}

/// What a batch did to a key before.
#[derive(Clone, Debug)]
enum Earlier {
    Nothing,
    /// It set the key, or removed it.
    Wrote(Option<Vec<u8>>),
}

impl Batch {
    /// Whether nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Bytes of keys and values written so far, overwritten ones included.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.write(table, key, Some(value));
    }

    /// Removes `key`, if it is there.
    pub fn remove(&mut self, table: Table, key: Vec<u8>) {
        self.write(table, key, None);
    }

    fn write(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        let rows = self.tables.entry(table).or_default();
        if let Some(journal) = &mut self.journal {
            let earlier = rows.insert(key.clone(), value);
            let write = earlier.map_or(Earlier::Nothing, Earlier::Wrote);
            journal.push(Replaced { table, key, write });
        } else {
            rows.insert(key, value);
        }
    }

    /// From here on, writes can be taken back by [`Batch::roll_back`] until [`Batch::release`].
    pub fn savepoint(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// Keeps what was written since the savepoint.
    pub fn release(&mut self) {
        self.journal = None;
    }

    /// Takes back what was written since the savepoint.
    pub fn roll_back(&mut self) {
        for Replaced { table, key, write } in self.journal.take().into_iter().flatten().rev() {
            let rows = self.tables.entry(table).or_default();
            match write {
                Earlier::Wrote(value) => drop(rows.insert(key, value)),
                Earlier::Nothing => drop(rows.remove(&key)),
            }
        }
        self.tables.retain(|_, rows| !rows.is_empty());
    }

    /// What this batch does to `key`, if anything.
    pub fn get(&self, table: Table, key: &[u8]) -> Option<Write<'_>> {
        self.tables.get(&table)?.get(key).map(Write::from)
    }

    /// What this batch does to keys of `table` with `start <= key < end`, in key order.
    pub fn range<'a>(
        &'a self,
        table: Table,
        start: &'a [u8],
        end: Option<&'a [u8]>,
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], Write<'a>)> {
        let end = end.map_or(Bound::Unbounded, |it| Bound::Excluded(it.max(start)));
        let rows = self.tables.get(&table);
        let rows = rows.map(|it| it.range::<[u8], _>((Bound::Included(start), end)));
        rows.into_iter()
            .flatten()
            .map(|(key, value)| (key.as_slice(), Write::from(value)))
    }

    /// The tables it writes to, each with its writes in key order.
    pub fn tables(
        &self,
    ) -> impl Iterator<Item = (Table, impl Iterator<Item = (&[u8], Write<'_>)>)> {
        self.tables.iter().map(|(table, rows)| {
            (
                *table,
                rows.iter()
                    .map(|(key, value)| (key.as_slice(), Write::from(value))),
            )
        })
    }
}

//! Making again what follows from the records: elements, the sums over them, and index entries.

use std::collections::BTreeMap;

use super::catalog::Catalog;
use super::keys::{self, Number};
use super::read::Rows;
use super::tree;
use crate::error::Result;
use crate::id::CollectionId;
use crate::reconcile::{Element, Span};
use crate::store::{Batch, Durability, Order, Store, Table, Write};

/// Makes the elements of all records and the sums over them again, from what is known of the
/// records, and the entries of indexes, from the views; gives how many rows were not as they should be. Nothing else is touched, and nothing is
/// written if all was well. Durable on return. Nobody may have the store open as a replica meanwhile.
///
/// Costs in proportion to the number of records, and holds the elements of one collection in memory.
///
/// # Errors
/// When the store can't be read or written, or a record's own row is damaged.
pub fn repair(store: &dyn Store) -> Result<u64> {
    let snapshot = store.snapshot()?;
    let rows = Rows::new(snapshot.as_ref());
    let catalog = Catalog::load(snapshot.as_ref())?;
    let mut made = Batch::default();
    for space in catalog.spaces() {
        for collection in catalog.collections(space) {
            let Some(number) = catalog.number(space, Some(&collection)) else {
                continue;
            };
            elements(&rows, number, &collection, &mut made)?;
            tree::build(snapshot.as_ref(), &mut made, number)?;
            for (key, row) in rows.wrong_entries(space, &collection, number)? {
                match row {
                    Some(row) => made.put(Table::Index, key, row),
                    None => made.remove(Table::Index, key),
                }
            }
        }
    }
    let mut wrong = Batch::default();
    let mut count = 0;
    for (table, writes) in made.tables() {
        for (key, write) in writes {
            let found = rows.get(table, key)?;
            match write {
                Write::Put(row) if found.as_deref() != Some(row) => {
                    wrong.put(table, key.to_vec(), row.to_vec());
                    count += 1;
                }
                Write::Remove if found.is_some() => {
                    wrong.remove(table, key.to_vec());
                    count += 1;
                }
                Write::Put(_) | Write::Remove => {}
            }
        }
    }
    drop(snapshot);
    if count > 0 {
        store.commit(&wrong, Durability::Immediate)?;
    }
    Ok(count)
}

/// Writes the elements that a collection's records have, and removes others.
fn elements(
    rows: &Rows<'_>,
    number: Number,
    collection: &CollectionId,
    made: &mut Batch,
) -> Result<()> {
    let headers = rows.headers(number)?.into_iter();
    let right: BTreeMap<_, _> = headers
        .map(|(record, header)| {
            let element = Element::of(collection, record, &header.hashes());
            (header.element_key(record), element)
        })
        .collect();
    let visit = &mut |key, _: &[u8]| {
        if !right.contains_key(&key) {
            made.remove(Table::Elements, keys::element(number, key));
        }
        Ok(std::ops::ControlFlow::Continue(()))
    };
    rows.elements(number, Span::ALL, Order::Ascending, visit)?;
    for (key, element) in right {
        let row = element.as_bytes().to_vec();
        made.put(Table::Elements, keys::element(number, key), row);
    }
    Ok(())
}

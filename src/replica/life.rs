//! The lives of a store: what was restored from a backup, or copied, must not go on as the
//! original.

use std::ops::ControlFlow;

use super::STORE_ID;
use crate::entropy::Entropy;
use crate::error::Result;
use crate::id::StoreId;
use crate::plant::{self, Plant};
use crate::store::{Batch, Durability, KeyRange, Order, Store, Table};

/// Gives a store that was restored from a backup, or copied, a new id before it is opened.
///
/// The peers of the original have seen changes that are not in the copy. Going on under the same id
/// would give their numbers to other changes, which every replica refuses as equivocation; and would
/// trust cursors that speak of what the copy has lost. With a new id it writes as a new author, and
/// peers find what each lacks by a walk. Records, history and the key pair stay. Durable on return.
///
/// # Errors
/// When the store can't be read or written.
pub fn begin_new_life(store: &dyn Store, entropy: &mut Entropy) -> Result<StoreId> {
    let id = StoreId::random(entropy);
    let snapshot = store.snapshot()?;
    let mut batch = Batch::default();
    if !plant::is_planted(Plant::KeepStoreId) {
        batch.put(Table::Meta, STORE_ID.to_vec(), id.as_bytes().to_vec());
    }
    snapshot.scan(
        Table::Cursors,
        KeyRange::ALL,
        Order::Ascending,
        &mut |key, _| {
            batch.remove(Table::Cursors, key.to_vec());
            ControlFlow::Continue(())
        },
    )?;
    drop(snapshot);
    store.commit(&batch, Durability::Immediate)?;
    Ok(id)
}

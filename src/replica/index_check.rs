//! Whether indexes follow from the views.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::keys::{Number, Slot};
use super::read::Rows;
use crate::error::Result;
use crate::id::{CollectionId, SpaceId};
use crate::store::Table;

/// The key of an entry, and the row that it should have; `None` if it should not be there.
pub(super) type WrongEntry = (Vec<u8>, Option<Vec<u8>>);

impl Rows<'_> {
    /// Entries that a collection's complete indexes have too many or too few.
    pub(super) fn wrong_entries(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        number: Number,
    ) -> Result<Vec<WrongEntry>> {
        let mut wrong = Vec::new();
        let indexes = self.indexes(space, collection)?;
        for index in indexes.iter().filter(|it| it.is_complete()) {
            let mut right = BTreeMap::new();
            self.views(number, &mut |record, view| {
                let slot = Slot {
                    collection: number,
                    record,
                };
                right.extend(index.entries(slot, &view));
                ControlFlow::Continue(())
            })?;
            self.prefix(Table::Index, &index.prefix(number), &mut |key, row| {
                match right.remove(key) {
                    Some(it) if it == row => {}
                    other => wrong.push((key.to_vec(), other)),
                }
                ControlFlow::Continue(())
            })?;
            wrong.extend(right.into_iter().map(|(key, row)| (key, Some(row))));
        }
        Ok(wrong)
    }
}

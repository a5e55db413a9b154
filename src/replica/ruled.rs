//! By which contract the views of a collection were judged: what a node that stopped in the middle of
//! looking at them again has to go on with.
//!
//! A ruling has a name, a number that tells it from others; 0 is none. The row of a collection names the
//! one that all of its views were judged by, or is 0 where that were several.

use std::ops::ControlFlow;

use super::keys::{self, Number};
use super::read::{Rows, damaged};
use super::{Catalog, Replica};
use crate::codec::Reader;
use crate::error::Result;
use crate::id::{CollectionId, SpaceId};
use crate::store::Table;

impl Rows<'_> {
    /// What all views of a collection were judged by; 0 if that were several, `None` as long as nothing
    /// was said of it.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn ruled_by(&self, collection: Number) -> Result<Option<u64>> {
        let read = |row: &[u8]| Reader::new(row).u64("ruling");
        self.row(Table::Views, &keys::ruled(collection), read)
    }

    /// The collections of which it was said what judges them.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn ruled(&self) -> Result<Vec<(SpaceId, CollectionId)>> {
        let catalog = Catalog::load(self.snapshot())?;
        let (mut found, mut fault) = (Vec::new(), None);
        let prefix = u32::MAX.to_be_bytes();
        self.prefix(Table::Views, &prefix, &mut |key, _| {
            let mut reader = Reader::new(key);
            let number = reader.u32("prefix").and_then(|_| reader.u32("collection"));
            match number {
                Ok(number) if *key == keys::ruled(Number(number)) => {
                    found.extend(catalog.name(Number(number)));
                }
                Ok(_) => {}
                Err(error) => {
                    fault = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        fault.map_or(Ok(found), |it| Err(damaged(Table::Views, &it)))
    }
}

impl Replica {
    /// The views of a collection are judged by the ruling `by` from now on, one after the other, until
    /// [`Replica::end_ruling`]. Of one without records nothing is to be judged.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn begin_ruling(
        &mut self,
        space: SpaceId,
        collection: &CollectionId,
        by: u64,
    ) -> Result<()> {
        let Some(number) = self.catalog.number(space, Some(collection)) else {
            return Ok(());
        };
        self.ruling.insert(number, by);
        if self.rows().ruled_by(number)?.is_some() {
            self.put_ruled(number, 0);
        }
        Ok(())
    }

    /// All views of a collection are judged by `by` now, unless others came between.
    pub fn end_ruling(&mut self, space: SpaceId, collection: &CollectionId, by: u64) {
        let Some(number) = self.catalog.number(space, Some(collection)) else {
            return;
        };
        if self.ruling.remove(&number) != Some(by) {
            return;
        }
        if by == 0 {
            self.batch.remove(Table::Views, keys::ruled(number));
        } else {
            self.put_ruled(number, by);
        }
    }

    /// A view was judged by `by`.
    pub(super) fn note_ruling(&mut self, number: Number, by: u64) -> Result<()> {
        if self.ruling.get(&number).is_some_and(|it| *it != by) {
            self.ruling.remove(&number);
        }
        let ruled = self.rows().ruled_by(number)?;
        if ruled.is_some_and(|it| it != by && it != 0) {
            self.put_ruled(number, 0);
        }
        Ok(())
    }

    fn put_ruled(&mut self, number: Number, by: u64) {
        let row = by.to_be_bytes().to_vec();
        self.batch.put(Table::Views, keys::ruled(number), row);
    }
}

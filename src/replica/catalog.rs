//! The local numbers of spaces and collections, which keep the keys of records short.
//!
//! There are few of them; they are read at open and held in memory.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::keys::{self, Number, Slot};
use super::read::damaged;
use crate::codec::{Malformed, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CollectionId, RecordKey, SpaceId};
use crate::limits;
use crate::store::{Batch, KeyRange, Order, Snapshot, Table};

/// Spaces and collections by name, and back.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    numbers: BTreeMap<(SpaceId, Option<CollectionId>), Number>,
    names: BTreeMap<Number, (SpaceId, CollectionId)>,
}

impl Catalog {
    pub(super) fn load(snapshot: &dyn Snapshot) -> Result<Self> {
        let mut catalog = Self::default();
        let mut fault = None;
        let visit = &mut |key: &[u8], row: &[u8]| match catalog.read(key, row) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                fault = Some(error);
                ControlFlow::Break(())
            }
        };
        snapshot.scan(Table::Collections, KeyRange::ALL, Order::Ascending, visit)?;
        fault.map_or(Ok(catalog), |it| Err(damaged(Table::Collections, &it)))
    }

    fn read(&mut self, key: &[u8], row: &[u8]) -> Result<(), Malformed> {
        let mut key = Reader::new(key);
        let space = SpaceId::from_bytes(key.array("space")?);
        let name = key.take(key.remaining(), "collection name")?;
        let number = Number(Reader::new(row).u32("collection number")?);
        let name = std::str::from_utf8(name)
            .ok()
            .and_then(|it| it.parse().ok());
        self.insert(space, name, number);
        Ok(())
    }

    fn insert(&mut self, space: SpaceId, collection: Option<CollectionId>, number: Number) {
        if let Some(collection) = &collection {
            self.names.insert(number, (space, collection.clone()));
        }
        self.numbers.insert((space, collection), number);
    }

    /// The number of a space or collection, given out now if it is new.
    pub(super) fn intern(
        &mut self,
        space: SpaceId,
        collection: Option<&CollectionId>,
        batch: &mut Batch,
    ) -> Result<Number> {
        let name = (space, collection.cloned());
        if let Some(number) = self.numbers.get(&name) {
            return Ok(*number);
        }
        let count = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        if count >= limits::COLLECTIONS_MAX {
            let message = format!("the store has {count} spaces and collections, its limit");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let number = Number(count);
        let row = number.0.to_be_bytes().to_vec();
        batch.put(Table::Collections, keys::collection(space, collection), row);
        self.insert(space, name.1, number);
        Ok(number)
    }

    /// How many numbers are given out.
    pub(super) fn count(&self) -> usize {
        self.numbers.len()
    }

    /// Takes back all numbers but the first `count`, of which the rows were taken back.
    pub(super) fn truncate(&mut self, count: usize) {
        let given = |number: &Number| usize::try_from(number.0).is_ok_and(|it| it < count);
        self.numbers.retain(|_, number| given(number));
        self.names.retain(|number, _| given(number));
    }

    pub(super) fn number(
        &self,
        space: SpaceId,
        collection: Option<&CollectionId>,
    ) -> Option<Number> {
        self.numbers.get(&(space, collection.cloned())).copied()
    }

    pub(super) fn slot(&self, key: &RecordKey) -> Option<Slot> {
        let collection = self.number(key.space, Some(&key.collection))?;
        Some(Slot {
            collection,
            record: key.record,
        })
    }

    pub(super) fn key(&self, slot: Slot) -> Option<RecordKey> {
        let (space, collection) = self.names.get(&slot.collection)?.clone();
        Some(RecordKey {
            space,
            collection,
            record: slot.record,
        })
    }

    pub(super) fn name(&self, number: Number) -> Option<(SpaceId, CollectionId)> {
        self.names.get(&number).cloned()
    }

    pub(super) fn spaces(&self) -> Vec<SpaceId> {
        self.numbers
            .keys()
            .filter(|(_, name)| name.is_none())
            .map(|(space, _)| *space)
            .collect()
    }

    pub(super) fn collections(&self, space: SpaceId) -> Vec<CollectionId> {
        let names = self.numbers.range((space, None)..);
        let names = names.take_while(|((it, _), _)| *it == space);
        names.filter_map(|((_, name), _)| name.clone()).collect()
    }
}

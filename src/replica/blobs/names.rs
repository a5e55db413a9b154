//! Which blobs changes name, and what is wanted because of that.

use super::rows::named_key;
use crate::doc::Change;
use crate::error::Result;
use crate::id::{BlobId, SpaceId};
use crate::limits;
use crate::replica::Replica;
use crate::replica::admit::OpenRecord;
use crate::store::Table;

impl Replica {
    /// Whether a change of a record of the space has ever referred to a blob.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn is_blob_named(&self, space: SpaceId, blob: BlobId) -> Result<bool> {
        match self.catalog.number(space, None) {
            Some(place) => self.rows().is_named(place, blob),
            None => Ok(false),
        }
    }

    /// A peer asks for a blob that is not here: it is fetched, if the rule says so.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn missed_blob(&mut self, space: SpaceId, blob: BlobId) -> Result<()> {
        let rule = &self.blobs.rule;
        let (is_wanted, bytes_max) = (rule.on_request, rule.bytes_max);
        let is_full = self.blobs.fetches >= limits::BLOB_FETCHES_BY_RULE_MAX;
        if is_wanted && !is_full && !self.failed && self.is_blob_named(space, blob)? {
            self.want_blob(space, blob, bytes_max)?;
        }
        Ok(())
    }

    /// Notes which blobs a change names, and wants those that the rule says.
    pub(in crate::replica) fn note_named(
        &mut self,
        record: &OpenRecord,
        change: &Change,
    ) -> Result<()> {
        if change.blobs().is_empty() {
            return Ok(());
        }
        let space = record.key.space;
        let place = self.catalog.intern(space, None, &mut self.batch)?;
        let bound = self.blobs.rule.bound(&record.key.collection);
        for blob in change.blobs() {
            let row = named_key(place, *blob, record.slot);
            self.batch.put(Table::Named, row, Vec::new());
            if self.blobs.rule.on_request {
                self.pending.named.push((space, *blob));
            }
            let has_room = self.blobs.fetches < limits::BLOB_FETCHES_BY_RULE_MAX;
            if let Some(bytes_max) = bound.filter(|_| has_room) {
                self.want(space, (place, *blob), bytes_max)?;
            }
        }
        Ok(())
    }
}

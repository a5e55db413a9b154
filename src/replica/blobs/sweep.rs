//! Removing blobs, in slices: their rows first, their chunks some at a time.

use std::ops::ControlFlow;

use super::rows::key;
use crate::error::Result;
use crate::id::{BlobId, SpaceId};
use crate::limits;
use crate::plant::{self, Plant};
use crate::replica::{Number, Replica};
use crate::store::Table;
use crate::time::WallTime;

/// How far looking for blobs that nothing refers to has come: all up to here were looked at.
pub(super) type CollectFrom = (Number, Option<BlobId>);

impl Replica {
    /// Removes what is here of a blob, whether records refer to it or not; says whether there was
    /// anything.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn remove_blob(&mut self, space: SpaceId, blob: BlobId) -> Result<bool> {
        self.forget_blob(space, blob)?;
        match self.catalog.number(space, None) {
            Some(place) => self.remove_row(place, blob),
            None => Ok(false),
        }
    }

    pub(super) fn remove_row(&mut self, place: Number, blob: BlobId) -> Result<bool> {
        let Some(row) = self.rows().blob_row(place, blob)? else {
            return Ok(false);
        };
        self.batch.remove(Table::Blobs, key(place, blob));
        self.loosen(row.number);
        Ok(true)
    }

    /// Looks at the next blobs, and removes those that no change has ever named, that nobody wants,
    /// and that are here since before `before`. Gives how many, and where to go on; `None` at the end.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn collect_blobs(
        &mut self,
        from: CollectFrom,
        before: WallTime,
    ) -> Result<(u64, Option<CollectFrom>)> {
        self.check_writable()?;
        let found = self
            .rows()
            .blob_rows(from, None, limits::BLOB_COLLECT_ROWS)?;
        let next = found.last().map(|(place, blob, _)| (*place, Some(*blob)));
        let next = next.filter(|_| found.len() >= limits::BLOB_COLLECT_ROWS);
        let mut removed = 0;
        for (place, blob, row) in found {
            let is_old = row.since < before;
            if is_old
                && (!self.rows().is_named(place, blob)? || plant::is_planted(Plant::CollectNamed))
                && self.rows().fetch_bound(place, blob)?.is_none()
            {
                self.remove_row(place, blob)?;
                removed += 1;
            }
        }
        Ok((removed, next))
    }

    /// Whether chunks are to be swept away.
    pub fn has_loose_chunks(&self) -> bool {
        self.blobs.loose.len() > self.blobs.puts.len()
    }

    /// Sweeps some chunks away that belong to no blob.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn sweep_chunks(&mut self) -> Result<()> {
        self.check_writable()?;
        let loose = self.blobs.loose.difference(&self.blobs.puts);
        let Some(number) = loose.copied().next() else {
            return Ok(());
        };
        let mut keys = Vec::new();
        self.rows()
            .prefix(Table::Chunks, &number.to_be_bytes(), &mut |key, _| {
                keys.push(key.to_vec());
                if keys.len() < limits::BLOB_SWEEP_CHUNKS {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
        if keys.len() < limits::BLOB_SWEEP_CHUNKS {
            self.tighten(number);
        }
        for key in keys {
            self.batch.remove(Table::Chunks, key);
        }
        Ok(())
    }

    /// Has chunks of a blob fetched again that turned out not to be what was stored, or all of it.
    ///
    /// # Errors
    /// `TooLarge` when too many blobs are wanted, and when the store can't be read.
    pub fn mend_blob(
        &mut self,
        (space, blob): (SpaceId, BlobId),
        chunks: Option<&[u32]>,
        bytes_max: u64,
    ) -> Result<()> {
        self.check_writable()?;
        let Some(place) = self.catalog.number(space, None) else {
            return Ok(());
        };
        let Some(mut row) = self.rows().blob_row(place, blob)? else {
            return Ok(());
        };
        let Some(chunks) = chunks else {
            // Without its manifest none of it is known to be right.
            self.remove_row(place, blob)?;
            self.want_blob(space, blob, bytes_max)?;
            return Ok(());
        };
        let count = row.stock().chunks;
        let bytes = usize::try_from(count.div_ceil(8)).unwrap_or(0);
        if row.have.is_none() {
            row.have = Some(vec![0; bytes]);
            for index in 0..count {
                row.mark(index, true);
            }
        }
        for index in chunks {
            row.mark(*index, false);
        }
        if row.stock().is_complete() {
            return Ok(());
        }
        self.batch.put(Table::Blobs, key(place, blob), row.encode());
        self.want_blob(space, blob, bytes_max)?;
        Ok(())
    }
}

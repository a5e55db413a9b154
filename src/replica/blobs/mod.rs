//! Blobs in the store: put, fetched chunk by chunk, named by changes, removed.
//!
//! A blob belongs to a space. Its manifest and chunks stand under a local number that is given out
//! when the first of them comes, so that what is being put can be written before its name is known.
//! Numbers that belong to no blob (yet, or any more) are *loose*: their chunks are swept away.

mod names;
mod rows;
mod rule;
mod sweep;
mod verify;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

pub use rows::KnownBlob;
pub use rule::FetchRule;

use self::rows::{BlobRow, chunk_key, key, read_key};
use super::read::{Rows, damaged};
use super::{Number, Replica};
use crate::blob::{Chunk, Manifest};
use crate::codec::{Reader, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{BlobId, SpaceId};
use crate::limits;
use crate::plant::{self, Plant};
use crate::store::{KeyRange, Order, Snapshot, Table};
use crate::time::WallTime;

#[cfg(test)]
pub(super) use self::rows::chunk_key as chunk_key_for_tests;

const NEXT_NUMBER: &[u8] = b"blobs";

/// What memory holds of blobs.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    rule: FetchRule,
    /// The number that is given out next.
    next: u64,
    /// Numbers whose chunks are loose, those being put among them.
    loose: BTreeSet<u64>,
    /// Numbers that are being put.
    puts: BTreeSet<u64>,
    /// How many blobs are wanted.
    pub fetches: usize,
    /// Manifests of blobs whose chunks come, the last used one last.
    manifests: Vec<(u64, Arc<Manifest>)>,
}

/// What became of a manifest that a peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestFate {
    /// It is taken in, was here, or is not wanted any more.
    Fine,
    /// The blob is larger than was wanted, and is wanted no more.
    TooLarge,
}

/// What became of a chunk that a peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkFate {
    /// It is taken in, was here, or is not wanted any more.
    Fine,
    /// It is not what the blob has there.
    False,
}

impl Blobs {
    pub(super) fn load(snapshot: &dyn Snapshot) -> Result<Self> {
        let rows = Rows::new(snapshot);
        let read = |row: &[u8]| Reader::new(row).u64("blob number");
        let next = rows.row(Table::Meta, NEXT_NUMBER, read)?.unwrap_or(0);
        let mut blobs = Self {
            next,
            ..Self::default()
        };
        if next == 0 && rows.is_empty(Table::Fetches)? {
            return Ok(blobs);
        }
        let (mut loose, mut fetches) = (BTreeSet::new(), 0);
        rows.scan(
            Table::Loose,
            KeyRange::ALL,
            Order::Ascending,
            &mut |key, _| {
                loose.extend(Reader::new(key).u64("blob number"));
                ControlFlow::Continue(())
            },
        )?;
        rows.scan(
            Table::Fetches,
            KeyRange::ALL,
            Order::Ascending,
            &mut |_, _| {
                fetches += 1;
                ControlFlow::Continue(())
            },
        )?;
        blobs.loose = loose;
        blobs.fetches = fetches;
        Ok(blobs)
    }
}

impl Rows<'_> {
    fn is_empty(&self, table: Table) -> Result<bool> {
        let mut is_empty = true;
        self.scan(table, KeyRange::ALL, Order::Ascending, &mut |_, _| {
            is_empty = false;
            ControlFlow::Break(())
        })?;
        Ok(is_empty)
    }
}

impl Replica {
    /// Which blobs are fetched without being asked for, from now on.
    pub fn set_fetch_rule(&mut self, rule: FetchRule) {
        self.blobs.rule = rule;
    }

    /// Whether the store has ever held a blob.
    pub const fn has_blobs(&self) -> bool {
        self.blobs.next > 0
    }

    /// Begins to put a blob; gives the number under which its chunks are handed in.
    ///
    /// # Errors
    /// `TooLarge` when too many are being put.
    pub fn begin_blob(&mut self) -> Result<u64> {
        self.check_writable()?;
        if self.blobs.puts.len() >= limits::BLOB_PUTS_MAX {
            let max = limits::BLOB_PUTS_MAX;
            let message = format!("{max} attachments are being put already; wait for one of them");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let number = self.new_number();
        self.loosen(number);
        self.blobs.puts.insert(number);
        Ok(number)
    }

    /// Takes in chunks of a blob that is being put, from the one at `first` on.
    ///
    /// # Errors
    /// `InvalidInput` if nothing is being put under that number.
    pub fn put_chunks(&mut self, number: u64, first: u32, chunks: &[Chunk]) -> Result<()> {
        self.check_writable()?;
        self.check_put(number)?;
        for (index, chunk) in (first..).zip(chunks) {
            self.write_chunk(number, index, chunk);
        }
        Ok(())
    }

    /// Ends putting a blob: all its chunks have been handed in.
    ///
    /// # Errors
    /// As [`Replica::put_chunks`], and `TooLarge` when the store has too many spaces.
    pub fn finish_blob(
        &mut self,
        (space, number): (SpaceId, u64),
        manifest: &Manifest,
        now: WallTime,
    ) -> Result<BlobId> {
        self.check_writable()?;
        self.check_put(number)?;
        let blob = manifest.id();
        let place = self.catalog.intern(space, None, &mut self.batch)?;
        self.blobs.puts.remove(&number);
        let before = self.rows().blob_row(place, blob)?;
        if let Some(before) = &before {
            if before.have.is_none() && self.agrees(before.number, manifest)? {
                // What was put now is swept away. The grace begins anew.
                let row = BlobRow {
                    since: now,
                    ..before.clone()
                };
                self.batch.put(Table::Blobs, key(place, blob), row.encode());
                return Ok(blob);
            }
            self.loosen(before.number);
        }
        self.write_manifest(number, manifest);
        self.tighten(number);
        let row = BlobRow {
            number,
            size: manifest.size(),
            since: now,
            have: None,
        };
        self.batch.put(Table::Blobs, key(place, blob), row.encode());
        self.arrived(space, place, blob)?;
        Ok(blob)
    }

    /// Gives up putting a blob.
    pub fn abandon_blob(&mut self, number: u64) {
        self.blobs.puts.remove(&number);
    }

    /// The blobs that are wanted and not here.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn fetches(&self) -> Result<Vec<(SpaceId, BlobId)>> {
        let mut fetches = Vec::new();
        for space in self.catalog.spaces() {
            let Some(number) = self.catalog.number(space, None) else {
                continue;
            };
            self.rows()
                .prefix(Table::Fetches, &number.0.to_be_bytes(), &mut |key, _| {
                    fetches.extend(read_key(key).ok().map(|(_, blob)| (space, blob)));
                    ControlFlow::Continue(())
                })?;
        }
        Ok(fetches)
    }

    /// Wants a blob up to so many bytes; says whether it is to be fetched now, and was not before.
    ///
    /// # Errors
    /// `TooLarge` when too many are wanted.
    pub fn want_blob(&mut self, space: SpaceId, blob: BlobId, bytes_max: u64) -> Result<bool> {
        self.check_writable()?;
        let place = self.catalog.intern(space, None, &mut self.batch)?;
        self.want(space, (place, blob), bytes_max)
    }

    fn want(
        &mut self,
        space: SpaceId,
        (place, blob): (Number, BlobId),
        bytes_max: u64,
    ) -> Result<bool> {
        let here = self.rows().blob_row(place, blob)?;
        if here.is_some_and(|it| it.have.is_none()) {
            return Ok(false);
        }
        let before = self.rows().fetch_bound(place, blob)?;
        if before.is_some_and(|it| it >= bytes_max) {
            return Ok(false);
        }
        if before.is_none() && self.blobs.fetches >= limits::BLOB_FETCHES_MAX {
            let max = limits::BLOB_FETCHES_MAX;
            let message = format!("{max} attachments are to be fetched already");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let mut writer = Writer::new();
        writer.varint(bytes_max);
        self.batch
            .put(Table::Fetches, key(place, blob), writer.finish());
        if before.is_none() {
            self.blobs.fetches += 1;
            self.pending.wanted.push((space, blob));
        }
        Ok(before.is_none())
    }

    /// Wants a blob no more; what has come of it stays.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn forget_blob(&mut self, space: SpaceId, blob: BlobId) -> Result<()> {
        self.check_writable()?;
        if let Some(place) = self.catalog.number(space, None)
            && self.rows().fetch_bound(place, blob)?.is_some()
        {
            self.batch.remove(Table::Fetches, key(place, blob));
            self.blobs.fetches = self.blobs.fetches.saturating_sub(1);
        }
        Ok(())
    }

    /// Whether a blob is here as a whole.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn has_blob(&self, space: SpaceId, blob: BlobId) -> Result<bool> {
        let stock = self.rows().blob(space, blob)?;
        Ok(stock.is_some_and(|it| it.is_complete()))
    }

    /// Takes in the manifest of a wanted blob, which was checked against its name.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn take_manifest(
        &mut self,
        (space, blob): (SpaceId, BlobId),
        manifest: &Manifest,
        now: WallTime,
    ) -> Result<ManifestFate> {
        self.check_writable()?;
        let Some(place) = self.catalog.number(space, None) else {
            return Ok(ManifestFate::Fine);
        };
        let Some(bytes_max) = self.rows().fetch_bound(place, blob)? else {
            return Ok(ManifestFate::Fine);
        };
        if manifest.size() > bytes_max {
            self.forget_blob(space, blob)?;
            return Ok(ManifestFate::TooLarge);
        }
        if self.rows().blob_row(place, blob)?.is_some() {
            return Ok(ManifestFate::Fine);
        }
        let number = self.new_number();
        self.write_manifest(number, manifest);
        let bytes = usize::try_from(manifest.count().div_ceil(8)).unwrap_or(0);
        let is_empty = manifest.count() == 0;
        let row = BlobRow {
            number,
            size: manifest.size(),
            since: now,
            have: (!is_empty).then(|| vec![0; bytes]),
        };
        self.batch.put(Table::Blobs, key(place, blob), row.encode());
        if is_empty {
            self.arrived(space, place, blob)?;
        }
        Ok(ManifestFate::Fine)
    }

    /// Takes in a chunk of a wanted blob, if it is the one that the manifest has there.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn take_chunk(
        &mut self,
        (space, blob): (SpaceId, BlobId),
        index: u32,
        chunk: &Chunk,
    ) -> Result<ChunkFate> {
        self.check_writable()?;
        let Some(place) = self.catalog.number(space, None) else {
            return Ok(ChunkFate::Fine);
        };
        let row = self.rows().blob_row(place, blob)?;
        let Some(mut row) = row.filter(|it| !it.has(index)) else {
            return Ok(ChunkFate::Fine);
        };
        let manifest = match self.manifest_of(row.number) {
            Err(error) if error.kind() == ErrorKind::StoreCorrupt => {
                // None of it can be told to be right: it is fetched from the start.
                tracing::error!(%blob, %error, "an attachment is fetched again");
                self.remove_row(place, blob)?;
                return Ok(ChunkFate::Fine);
            }
            manifest => manifest?,
        };
        if !manifest.holds(index, chunk) && !plant::is_planted(Plant::TakeFalseChunk) {
            return Ok(ChunkFate::False);
        }
        self.write_chunk(row.number, index, chunk);
        row.mark(index, !plant::is_planted(Plant::ForgetChunk));
        let is_complete = row.stock().is_complete();
        if is_complete {
            row.have = None;
        }
        self.batch.put(Table::Blobs, key(place, blob), row.encode());
        if is_complete {
            self.blobs.manifests.retain(|(it, _)| *it != row.number);
            self.arrived(space, place, blob)?;
        }
        Ok(ChunkFate::Fine)
    }

    /// A blob is here as a whole.
    fn arrived(&mut self, space: SpaceId, place: Number, blob: BlobId) -> Result<()> {
        if self.rows().fetch_bound(place, blob)?.is_some() {
            self.batch.remove(Table::Fetches, key(place, blob));
            self.blobs.fetches = self.blobs.fetches.saturating_sub(1);
        }
        self.pending.blobs.push((space, blob));
        Ok(())
    }

    fn check_put(&self, number: u64) -> Result<()> {
        if self.blobs.puts.contains(&number) {
            return Ok(());
        }
        let message = "the attachment is not being put any more; put it again";
        Err(Error::new(ErrorKind::InvalidInput, message))
    }

    /// Whether the stored manifest is this one.
    fn agrees(&self, number: u64, manifest: &Manifest) -> Result<bool> {
        match self.rows().manifest(number) {
            Err(error) if error.kind() == ErrorKind::StoreCorrupt => Ok(false),
            stored => Ok(stored?.as_ref() == Some(manifest)),
        }
    }

    fn manifest_of(&mut self, number: u64) -> Result<Arc<Manifest>> {
        let held = &mut self.blobs.manifests;
        if let Some(at) = held.iter().position(|(it, _)| *it == number) {
            let found = held.remove(at);
            let manifest = Arc::clone(&found.1);
            held.push(found);
            return Ok(manifest);
        }
        let manifest = self.rows().manifest(number)?;
        let missing = || damaged(Table::Chunks, &"the manifest of a blob is missing");
        let manifest = Arc::new(manifest.ok_or_else(missing)?);
        let held = &mut self.blobs.manifests;
        if held.len() >= limits::BLOB_MANIFESTS_HELD {
            held.remove(0);
        }
        held.push((number, Arc::clone(&manifest)));
        Ok(manifest)
    }

    fn new_number(&mut self) -> u64 {
        let number = self.blobs.next;
        self.blobs.next = number.saturating_add(1);
        let row = self.blobs.next.to_be_bytes().to_vec();
        self.batch.put(Table::Meta, NEXT_NUMBER.to_vec(), row);
        number
    }

    fn write_manifest(&mut self, number: u64, manifest: &Manifest) {
        let mut writer = Writer::new();
        manifest.write(&mut writer);
        let key = number.to_be_bytes().to_vec();
        self.batch.put(Table::Chunks, key, writer.finish());
    }

    fn write_chunk(&mut self, number: u64, index: u32, chunk: &Chunk) {
        let row = [chunk.hash().as_slice(), chunk.bytes()].concat();
        self.batch.put(Table::Chunks, chunk_key(number, index), row);
    }

    /// The chunks under a number belong to no blob.
    fn loosen(&mut self, number: u64) {
        self.blobs.loose.insert(number);
        self.blobs.manifests.retain(|(it, _)| *it != number);
        let key = number.to_be_bytes().to_vec();
        self.batch.put(Table::Loose, key, Vec::new());
    }

    /// They do now.
    fn tighten(&mut self, number: u64) {
        self.blobs.loose.remove(&number);
        let key = number.to_be_bytes().to_vec();
        self.batch.remove(Table::Loose, key);
    }
}

//! The rows of blobs, and what is read of them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use bytes::Bytes;

use crate::blob::{Chunk, Manifest, Missing, Stock};
use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::error::Result;
use crate::id::{BlobId, SpaceId};
use crate::replica::keys::{Number, Slot};
use crate::replica::read::{Rows, damaged};
use crate::store::{KeyRange, Order, Table, prefix_end};
use crate::time::WallTime;

/// Of a blob: where its chunks stand, how large it is, what of it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::replica) struct BlobRow {
    /// The number under which its manifest and chunks stand.
    pub number: u64,
    pub size: u64,
    /// When it was put, or its manifest came.
    pub since: WallTime,
    /// A bit for each chunk that is here, the first in the lowest bit; none once all are.
    pub have: Option<Vec<u8>>,
}

impl BlobRow {
    pub(in crate::replica) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer
            .u8(u8::from(self.have.is_none()))
            .u64(self.since.as_millis())
            .varint(self.number)
            .varint(self.size)
            .raw(self.have.as_deref().unwrap_or_default());
        writer.finish()
    }

    pub(in crate::replica) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(row);
        let is_complete = match reader.u8("blob state")? {
            0 => false,
            1 => true,
            other => return Err(reader.error("blob state", Problem::Unexpected(other.into()))),
        };
        let since = WallTime::from_millis(reader.u64("blob time")?);
        let number = reader.varint("blob number")?;
        let size = reader.varint("blob size")?;
        let have = reader.take(reader.remaining(), "chunks here")?;
        Ok(Self {
            number,
            size,
            since,
            have: (!is_complete).then(|| have.to_vec()),
        })
    }

    /// How much of it is here.
    pub(in crate::replica) fn stock(&self) -> Stock {
        let here = self.have.as_ref();
        Stock::new(
            self.size,
            here.map(|it| it.iter().map(|byte| byte.count_ones()).sum()),
        )
    }

    pub(in crate::replica) fn has(&self, index: u32) -> bool {
        let (at, bit) = place(index);
        let have = self.have.as_ref();
        have.is_none_or(|it| it.get(at).is_some_and(|byte| byte & bit != 0))
    }

    /// Notes that a chunk is here, or is not any more.
    pub(in crate::replica) fn mark(&mut self, index: u32, is_here: bool) {
        let (at, bit) = place(index);
        if let Some(byte) = self.have.as_mut().and_then(|it| it.get_mut(at)) {
            if is_here {
                *byte |= bit;
            } else {
                *byte &= !bit;
            }
        }
    }
}

/// A blob of which anything is here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownBlob {
    /// The blob.
    pub id: BlobId,
    /// How much of it is here.
    pub stock: Stock,
    /// When it was put, or began to come.
    pub since: WallTime,
    /// Whether a change of a record here has ever referred to it.
    pub is_named: bool,
    /// Whether what is missing is to be fetched.
    pub is_wanted: bool,
}

impl Rows<'_> {
    pub(in crate::replica) fn blob_row(
        &self,
        space: Number,
        blob: BlobId,
    ) -> Result<Option<BlobRow>> {
        self.row(Table::Blobs, &key(space, blob), BlobRow::decode)
    }

    fn blob_of(&self, space: SpaceId, blob: BlobId) -> Result<Option<BlobRow>> {
        match self.number(space, None)? {
            Some(number) => self.blob_row(number, blob),
            None => Ok(None),
        }
    }

    /// How much of a blob is here; `None` if not even its manifest is.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn blob(&self, space: SpaceId, blob: BlobId) -> Result<Option<Stock>> {
        Ok(self.blob_of(space, blob)?.as_ref().map(BlobRow::stock))
    }

    /// The manifest of a blob that is here as a whole.
    ///
    /// # Errors
    /// When the store can't be read, or it is damaged.
    pub fn blob_manifest(&self, space: SpaceId, blob: BlobId) -> Result<Option<Manifest>> {
        let row = self.blob_of(space, blob)?;
        let Some(row) = row.filter(|it| it.have.is_none()) else {
            return Ok(None);
        };
        let manifest = self.manifest(row.number)?;
        let is_right = manifest.as_ref().is_some_and(|it| it.id() == blob);
        if is_right {
            return Ok(manifest);
        }
        Err(damaged(
            Table::Chunks,
            &format!("the manifest of blob {blob} is not its own"),
        ))
    }

    pub(in crate::replica) fn manifest(&self, number: u64) -> Result<Option<Manifest>> {
        self.row(Table::Chunks, &number.to_be_bytes(), |row| {
            let mut reader = Reader::new(row);
            let manifest = Manifest::read(&mut reader)?;
            reader.finish("manifest")?;
            Ok(manifest)
        })
    }

    /// A chunk of a blob, if it is here. It has the hash that it was stored with.
    ///
    /// # Errors
    /// `StoreCorrupt` if it is not what was stored, and when the store can't be read.
    pub fn blob_chunk(&self, space: SpaceId, blob: BlobId, index: u32) -> Result<Option<Bytes>> {
        let row = self.blob_of(space, blob)?;
        let Some(row) = row.filter(|it| it.has(index)) else {
            return Ok(None);
        };
        let chunk = self.stored_chunk(row.number, index)?;
        if chunk.is_none() && row.stock().chunks > index {
            return Err(damaged(
                Table::Chunks,
                &format!("chunk {index} of blob {blob} is missing"),
            ));
        }
        Ok(chunk.map(|it| it.bytes().clone()))
    }

    /// A chunk as it is stored, if its bytes have the hash that stands before them.
    pub(in crate::replica) fn stored_chunk(
        &self,
        number: u64,
        index: u32,
    ) -> Result<Option<Chunk>> {
        let key = chunk_key(number, index);
        let Some(row) = self.get(Table::Chunks, &key)? else {
            return Ok(None);
        };
        let row = Bytes::from(row);
        let chunk = Chunk::new(row.slice(32.min(row.len())..));
        if row.get(..32) == Some(chunk.hash().as_slice()) {
            return Ok(Some(chunk));
        }
        let text = format!("chunk {index} under number {number} is not what was stored");
        Err(damaged(Table::Chunks, &text))
    }

    /// What of a blob is not here, but for `asked`: its manifest, or up to `limit` of its chunks.
    pub(in crate::replica) fn blob_missing(
        &self,
        space: SpaceId,
        blob: BlobId,
        (asked, limit): (&BTreeSet<u32>, usize),
    ) -> Result<Missing> {
        let Some(row) = self.blob_of(space, blob)? else {
            return Ok(Missing::Manifest);
        };
        let count = row.stock().chunks;
        let is_missing = |index: &u32| !row.has(*index) && !asked.contains(index);
        let missing = (0..count).filter(is_missing).take(limit).collect();
        Ok(Missing::Chunks(missing))
    }

    /// The blobs of a space of which anything is here, in order, `limit` at most of those after one.
    ///
    /// # Errors
    /// When the store can't be read, or a row is damaged.
    pub fn blobs(
        &self,
        space: SpaceId,
        after: Option<BlobId>,
        limit: usize,
    ) -> Result<Vec<KnownBlob>> {
        let Some(number) = self.number(space, None)? else {
            return Ok(Vec::new());
        };
        let found = self.blob_rows((number, after), Some(number), limit)?;
        let known = found.into_iter().map(|(_, id, row)| {
            Ok(KnownBlob {
                id,
                stock: row.stock(),
                since: row.since,
                is_named: self.is_named(number, id)?,
                is_wanted: self.get(Table::Fetches, &key(number, id))?.is_some(),
            })
        });
        known.collect()
    }

    /// Rows of blobs in order, `limit` at most of those after one, of one space or from there on.
    pub(in crate::replica) fn blob_rows(
        &self,
        (from, after): (Number, Option<BlobId>),
        only: Option<Number>,
        limit: usize,
    ) -> Result<Vec<(Number, BlobId, BlobRow)>> {
        let mut start = match after {
            Some(blob) => key(from, blob),
            None => from.0.to_be_bytes().to_vec(),
        };
        if after.is_some() {
            start.push(0);
        }
        let end = only.and_then(|it| prefix_end(&it.0.to_be_bytes()));
        let range = KeyRange {
            start: &start,
            end: end.as_deref(),
        };
        let mut found = Vec::new();
        let mut fault = None;
        self.scan(Table::Blobs, range, Order::Ascending, &mut |key, row| {
            if found.len() >= limit {
                return ControlFlow::Break(());
            }
            let read = read_key(key).and_then(|(space, id)| Ok((space, id, BlobRow::decode(row)?)));
            match read {
                Ok(blob) => found.push(blob),
                Err(error) => {
                    fault = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        fault.map_or(Ok(found), |it| Err(damaged(Table::Blobs, &it)))
    }

    /// Whether a change of a record has ever referred to a blob.
    pub(in crate::replica) fn is_named(&self, space: Number, blob: BlobId) -> Result<bool> {
        let mut is_named = false;
        self.prefix(Table::Named, &key(space, blob), &mut |_, _| {
            is_named = true;
            ControlFlow::Break(())
        })?;
        Ok(is_named)
    }

    /// How large a wanted blob may be; `None` if it is not wanted.
    pub(in crate::replica) fn fetch_bound(
        &self,
        space: Number,
        blob: BlobId,
    ) -> Result<Option<u64>> {
        self.row(Table::Fetches, &key(space, blob), |row| {
            Reader::new(row).varint("fetch bound")
        })
    }
}

/// Key in tables `blobs` and `fetches`, and prefix in table `named`.
pub(in crate::replica) fn key(space: Number, blob: BlobId) -> Vec<u8> {
    let mut writer = Writer::with_capacity(36);
    writer.u32(space.0).raw(blob.as_bytes());
    writer.finish()
}

/// Reads a key of those.
pub(in crate::replica) fn read_key(key: &[u8]) -> Result<(Number, BlobId), Malformed> {
    let mut reader = Reader::new(key);
    let space = Number(reader.u32("space number")?);
    let blob = BlobId::from_bytes(reader.array("blob id")?);
    reader.finish("blob key")?;
    Ok((space, blob))
}

/// Key in table `named`.
pub(in crate::replica) fn named_key(space: Number, blob: BlobId, slot: Slot) -> Vec<u8> {
    let mut key = key(space, blob);
    key.extend(slot.key());
    key
}

/// Key of a chunk in table `chunks`.
pub(in crate::replica) fn chunk_key(number: u64, index: u32) -> Vec<u8> {
    let mut writer = Writer::with_capacity(12);
    writer.u64(number).u32(index);
    writer.finish()
}

fn place(index: u32) -> (usize, u8) {
    let at = usize::try_from(index / 8).unwrap_or(usize::MAX);
    (at, 1 << (index % 8))
}

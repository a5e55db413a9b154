//! The messages that carry attachments. They may be skipped by who does not know them, and are sent
//! only where both sides have [`Features::BLOBS`](super::Features::BLOBS).

use std::fmt;

use bytes::Bytes;

use super::part::{self, unexpected};
use crate::blob::Manifest;
use crate::codec::{Malformed, Reader, Writer};
use crate::id::{BlobId, SpaceId};
use crate::limits;

/// Asks for a blob's manifest, or for chunks of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobWant {
    /// The space.
    pub space: SpaceId,
    /// The blob.
    pub blob: BlobId,
    /// The first and the number of chunks of each range, in order, with gaps between them; none asks
    /// for the manifest.
    pub chunks: Vec<(u32, u32)>,
}

/// A blob's manifest. Whoever gets it makes sure that the blob's name is its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobManifest {
    /// The space.
    pub space: SpaceId,
    /// The blob.
    pub blob: BlobId,
    /// Its size, and the hashes of its chunks.
    pub manifest: Manifest,
}

/// A chunk of a blob. Whoever gets it makes sure that its hash stands in the manifest.
#[derive(Clone, PartialEq, Eq)]
pub struct BlobChunk {
    /// The space.
    pub space: SpaceId,
    /// The blob.
    pub blob: BlobId,
    /// Which chunk.
    pub index: u32,
    /// Its bytes.
    pub bytes: Bytes,
}

impl fmt::Debug for BlobChunk {
    /// Shows the size in place of the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobChunk")
            .field("space", &self.space)
            .field("blob", &self.blob)
            .field("index", &self.index)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// Tells how the sender stands with a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobState {
    /// The space.
    pub space: SpaceId,
    /// The blob.
    pub blob: BlobId,
    /// How.
    pub standing: Standing,
}

/// How a side stands with a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It is not here as a whole: what was asked for does not come.
    Absent,
    /// It is here as a whole, durably.
    Held,
    /// It is not wanted any more: nothing more will be asked of it.
    Unwanted,
}

impl BlobWant {
    /// Number of chunks that are asked for.
    pub fn chunk_count(&self) -> usize {
        let counts = self.chunks.iter().map(|(_, count)| u64::from(*count));
        usize::try_from(counts.sum::<u64>()).unwrap_or(usize::MAX)
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        write_name(writer, self.space, self.blob);
        writer.count(self.chunks.len());
        let mut end = 0;
        for (first, count) in &self.chunks {
            writer
                .varint(u64::from(first.saturating_sub(end)))
                .varint(u64::from(*count));
            end = first.saturating_add(*count);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (space, blob) = read_name(reader)?;
        let count = reader.count(limits::BLOB_RANGES_MAX, "range count")?;
        let max = limits::BLOB_CHUNKS_MAX;
        let mut chunks = Vec::new();
        let mut end = 0;
        for at in 0..count {
            let gap = reader.count(max, "gap before a range")?;
            let length = reader.count(max, "chunks of a range")?;
            let first: usize = end + gap;
            end = first + length;
            if length == 0 || end > max || (at > 0 && gap == 0) {
                return Err(unexpected(reader, "range of chunks", end));
            }
            let number = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
            chunks.push((number(first), number(length)));
        }
        Ok(Self {
            space,
            blob,
            chunks,
        })
    }
}

impl BlobManifest {
    pub(super) fn write(&self, writer: &mut Writer) {
        write_name(writer, self.space, self.blob);
        self.manifest.write(writer);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (space, blob) = read_name(reader)?;
        let manifest = Manifest::read(reader)?;
        Ok(Self {
            space,
            blob,
            manifest,
        })
    }
}

impl BlobChunk {
    pub(super) fn write(&self, writer: &mut Writer) {
        write_name(writer, self.space, self.blob);
        writer.varint(self.index.into()).bytes(&self.bytes);
    }

    /// Reads from `reader`, which must read `body`: the bytes will share its memory.
    pub(super) fn read(reader: &mut Reader<'_>, body: &Bytes) -> Result<Self, Malformed> {
        let (space, blob) = read_name(reader)?;
        let index = reader.count(limits::BLOB_CHUNKS_MAX - 1, "chunk index")?;
        let length = reader.bytes(limits::BLOB_CHUNK_BYTES, "chunk")?.len();
        if length == 0 {
            return Err(unexpected(reader, "chunk length", 0));
        }
        let end = reader.offset();
        Ok(Self {
            space,
            blob,
            index: u32::try_from(index).unwrap_or(u32::MAX),
            bytes: body.slice(end - length..end),
        })
    }
}

impl BlobState {
    pub(super) fn write(&self, writer: &mut Writer) {
        write_name(writer, self.space, self.blob);
        writer.u8(match self.standing {
            Standing::Absent => 0,
            Standing::Held => 1,
            Standing::Unwanted => 2,
        });
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (space, blob) = read_name(reader)?;
        let standing = match reader.u8("standing")? {
            0 => Standing::Absent,
            1 => Standing::Held,
            2 => Standing::Unwanted,
            other => return Err(unexpected(reader, "standing", other.into())),
        };
        Ok(Self {
            space,
            blob,
            standing,
        })
    }
}

fn write_name(writer: &mut Writer, space: SpaceId, blob: BlobId) {
    writer.raw(space.as_bytes()).raw(blob.as_bytes());
}

fn read_name(reader: &mut Reader<'_>) -> Result<(SpaceId, BlobId), Malformed> {
    let space = part::space(reader)?;
    let blob = BlobId::from_bytes(reader.array("blob")?);
    Ok((space, blob))
}

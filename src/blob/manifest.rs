//! What a blob is made of.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::id::BlobId;
use crate::limits;

/// The BLAKE3 of a chunk.
pub type ChunkHash = [u8; 32];

/// The size of a blob and the hashes of its chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    size: u64,
    chunks: Vec<ChunkHash>,
}

impl Manifest {
    /// The manifest of a blob of `size` bytes with these chunks; `None` if that are not as many as it
    /// has, or if it is over [`limits::BLOB_BYTES_MAX`].
    pub fn new(size: u64, chunks: Vec<ChunkHash>) -> Option<Self> {
        let fits = size <= limits::BLOB_BYTES_MAX && chunk_count(size) == chunks.len();
        fits.then_some(Self { size, chunks })
    }

    /// The manifest of these bytes; `None` if they are too many.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let size = u64::try_from(bytes.len()).ok()?;
        let chunks = bytes.chunks(limits::BLOB_CHUNK_BYTES);
        Self::new(size, chunks.map(hash).collect())
    }

    /// Bytes of the blob.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of its chunks, in order.
    pub fn chunks(&self) -> &[ChunkHash] {
        &self.chunks
    }

    /// Number of its chunks.
    pub fn count(&self) -> u32 {
        u32::try_from(self.chunks.len()).unwrap_or(u32::MAX)
    }

    /// The name of the blob.
    pub fn id(&self) -> BlobId {
        let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 blob");
        hasher.update(&self.size.to_be_bytes());
        for chunk in &self.chunks {
            hasher.update(chunk);
        }
        BlobId::from_bytes(*hasher.finalize().as_bytes())
    }

    /// Whether `chunk` is the one at `index`.
    pub fn holds(&self, index: u32, chunk: &Chunk) -> bool {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        self.chunks.get(at) == Some(&chunk.hash) && self.chunk_bytes(at) == chunk.bytes.len()
    }

    /// Bytes of the chunk at `at`.
    fn chunk_bytes(&self, at: usize) -> usize {
        let whole = limits::BLOB_CHUNK_BYTES;
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        size.saturating_sub(at.saturating_mul(whole)).min(whole)
    }

    /// Writes size and hashes.
    pub fn write(&self, writer: &mut Writer) {
        writer.varint(self.size);
        for chunk in &self.chunks {
            writer.raw(chunk);
        }
    }

    /// Reads what [`Manifest::write`] wrote. The size says how many hashes follow.
    ///
    /// # Errors
    /// When the size is over its limit, or hashes are missing.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let size = reader.varint("blob size")?;
        if size > limits::BLOB_BYTES_MAX {
            let (value, max) = (size, limits::BLOB_BYTES_MAX);
            return Err(reader.error("blob size", Problem::OverLimit { value, max }));
        }
        // Taken as one piece, so that a size beyond the input allocates nothing.
        let bytes = reader.take(chunk_count(size) * 32, "chunk hashes")?;
        let (chunks, _) = bytes.as_chunks();
        let chunks = chunks.to_vec();
        Ok(Self { size, chunks })
    }
}

/// A part of a blob, and what names it.
#[derive(Clone, PartialEq, Eq)]
pub struct Chunk {
    hash: ChunkHash,
    bytes: Bytes,
}

impl std::fmt::Debug for Chunk {
    /// Shows the size in place of the content.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.bytes.len();
        f.debug_struct("Chunk")
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}

impl Chunk {
    /// Names these bytes.
    pub fn new(bytes: Bytes) -> Self {
        let hash = hash(&bytes);
        Self { hash, bytes }
    }

    /// Its BLAKE3.
    pub const fn hash(&self) -> &ChunkHash {
        &self.hash
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// How much of a blob is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stock {
    /// Bytes of the whole blob.
    pub size: u64,
    /// Number of its chunks.
    pub chunks: u32,
    /// Number of those that are here.
    pub here: u32,
}

impl Stock {
    /// So many chunks of a blob of this size.
    pub fn new(size: u64, here: Option<u32>) -> Self {
        let chunks = u32::try_from(chunk_count(size)).unwrap_or(u32::MAX);
        let here = here.unwrap_or(chunks);
        Self { size, chunks, here }
    }

    /// Whether all of it is here.
    pub const fn is_complete(&self) -> bool {
        self.here == self.chunks
    }

    /// Bytes that are here, about.
    pub fn bytes_here(&self) -> u64 {
        let chunk = u64::try_from(limits::BLOB_CHUNK_BYTES).unwrap_or(u64::MAX);
        self.size.min(u64::from(self.here).saturating_mul(chunk))
    }
}

/// What of a blob is not here and not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Its manifest.
    Manifest,
    /// These chunks, the first of them; none if all are here or asked for.
    Chunks(BTreeSet<u32>),
}

/// How many chunks so many bytes make.
fn chunk_count(size: u64) -> usize {
    let chunk = u64::try_from(limits::BLOB_CHUNK_BYTES).unwrap_or(u64::MAX);
    usize::try_from(size.div_ceil(chunk)).unwrap_or(usize::MAX)
}

fn hash(bytes: &[u8]) -> ChunkHash {
    *blake3::hash(bytes).as_bytes()
}

//! One Automerge change: an immutable message that can be checked, stored and sent without a
//! document.

mod fault;
mod fit;
mod header;
mod ops;
mod packed;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

pub use fault::ChangeFault;
pub use fit::{Lookup, Misfit, Operations, Problem, RULES, fits};
pub use packed::Packed;

use self::header::Header;
use self::ops::Ops;
use super::bounded::inflate;
use super::guard::guarded;
use crate::blob;
use crate::codec::{Malformed, Reader, Writer};
use crate::id::{ActorId, BlobId, ChangeHash};
use crate::limits;
use crate::plant::{self, Plant};

/// First bytes of every Automerge chunk.
pub(super) const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
/// Magic and checksum come before what the hash covers.
const HASHED_FROM: usize = 8;
/// Type of a chunk that holds one change.
pub(super) const CHANGE: u8 = 1;
/// Type of a chunk that holds one change, deflated.
pub(super) const DEFLATED_CHANGE: u8 = 2;

/// A change whose bytes were checked: it has the hash it claims, its header is sound, its
/// operations can be read, and its sizes are within the limits.
///
/// Whether it fits its document (parents present, objects and predecessors there) is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    bytes: Bytes,
    hash: ChangeHash,
    header: Header,
    operations: Operations,
    /// Blobs that it may refer to.
    blobs: Vec<BlobId>,
}

impl Change {
    /// Checks `bytes`, which may come from anyone, and keeps them as they are.
    ///
    /// Memory stays within a few times [`limits::CHANGE_INFLATED_BYTES_MAX`] whatever they say.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn verify(bytes: Bytes) -> Result<Self, ChangeFault> {
        let max = limits::CHANGE_BYTES_MAX;
        if bytes.len() > max {
            let bytes = bytes.len();
            return Err(ChangeFault::TooLarge { bytes, max });
        }
        let (raw, hash) = open(&bytes)?;
        let header = Header::parse(Chunk::parse(&raw)?.body)?;
        let operations = operations(&raw, hash, &header)?;
        let blobs = blob::named_in(&raw);
        drop(raw);
        Ok(Self {
            bytes,
            hash,
            header,
            operations,
            blobs,
        })
    }

    /// The hash of a stored change: all that has to be checked of one that was verified before.
    ///
    /// # Errors
    /// When the bytes are not what they were.
    pub fn hash_of(bytes: &[u8]) -> Result<ChangeHash, ChangeFault> {
        open(bytes).map(|(_, hash)| hash)
    }

    /// The hash that names the change.
    pub const fn hash(&self) -> ChangeHash {
        self.hash
    }

    /// Its parents, sorted. Besides the heads that it joins, Automerge names the last change of its
    /// own actor, which may be an ancestor of those.
    pub fn deps(&self) -> &[ChangeHash] {
        &self.header.deps
    }

    /// Who made it.
    pub const fn actor(&self) -> &ActorId {
        &self.header.actor
    }

    /// Its number among the changes of its actor, from 1.
    pub const fn seq(&self) -> u64 {
        self.header.seq
    }

    /// Number of its first operation, from 1.
    pub const fn start_op(&self) -> u64 {
        self.header.start_op
    }

    /// How many operations it has; none for one that only joins its parents.
    pub const fn op_count(&self) -> u64 {
        self.header.op_count
    }

    /// Number of its last operation.
    pub const fn max_op(&self) -> u64 {
        // The header was refused unless start is at least 1 and the sum has 32 bits.
        self.header.start_op + self.header.op_count - 1
    }

    /// When it was made, in Unix seconds, by its author's clock.
    pub const fn time(&self) -> i64 {
        self.header.time
    }

    /// Why it was made, if the author said so.
    pub fn message(&self) -> Option<&str> {
        self.header.message.as_deref()
    }

    /// Its operations, without their values.
    pub const fn operations(&self) -> &Operations {
        &self.operations
    }

    /// The blobs that its values may refer to: every one that any of them does is among these.
    pub fn blobs(&self) -> &[BlobId] {
        &self.blobs
    }

    /// The bytes as they were received.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// The frame around every piece of Automerge data.
struct Chunk<'a> {
    checksum: [u8; 4],
    kind: u8,
    body: &'a [u8],
}

impl<'a> Chunk<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, ChangeFault> {
        let mut reader = Reader::new(bytes);
        let found = reader.array("chunk mark")?;
        if found != MAGIC {
            return Err(ChangeFault::Magic { found });
        }
        let checksum = reader.array("checksum")?;
        let kind = reader.u8("chunk type")?;
        let body = reader.bytes(limits::CHANGE_INFLATED_BYTES_MAX, "change")?;
        reader.finish("change")?;
        Ok(Self {
            checksum,
            kind,
            body,
        })
    }

    fn check(&self, hash: [u8; 32]) -> Result<ChangeHash, ChangeFault> {
        let [a, b, c, d, ..] = hash;
        let actual = [a, b, c, d];
        if actual != self.checksum && !plant::is_planted(Plant::AcceptBadHash) {
            let stated = self.checksum;
            return Err(ChangeFault::Checksum { stated, actual });
        }
        Ok(ChangeHash::from_bytes(hash))
    }
}

/// A change that is not deflated any more, and its hash.
fn open(bytes: &[u8]) -> Result<(Cow<'_, [u8]>, ChangeHash), ChangeFault> {
    let chunk = Chunk::parse(bytes)?;
    let raw = match chunk.kind {
        CHANGE => Cow::Borrowed(bytes),
        DEFLATED_CHANGE => {
            let body = inflate(chunk.body, limits::CHANGE_INFLATED_BYTES_MAX)?;
            Cow::Owned(raw_form(chunk.checksum, &body))
        }
        found => return Err(ChangeFault::ChunkType { found }),
    };
    let hashed = raw.get(HASHED_FROM..).unwrap_or_default();
    let hash = chunk.check(Sha256::digest(hashed).into())?;
    Ok((raw, hash))
}

/// The uncompressed chunk with this body.
fn raw_form(checksum: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(body.len() + 16);
    writer.raw(&MAGIC).raw(&checksum).u8(CHANGE).bytes(body);
    writer.finish()
}

/// Has Automerge read every operation, compares what it sees with what we saw, and checks that it
/// would write the change the same way.
fn operations(raw: &[u8], hash: ChangeHash, header: &Header) -> Result<Operations, ChangeFault> {
    if plant::is_planted(Plant::AcceptBadHash) {
        return Ok(Operations {
            ops: Arc::default(),
            start: header.start_op,
        });
    }
    let read = guarded(|| automerge::Change::try_from(raw));
    let read = read.map_err(|reason| ChangeFault::Panicked { reason })?;
    let read = read.map_err(|error| ChangeFault::Refused {
        reason: error.to_string(),
    })?;
    let disagrees = |what| Err(ChangeFault::Disagrees { what });
    if read.hash().0 != *hash.as_bytes() {
        return disagrees("hash");
    }
    if read.seq() != header.seq || read.start_op().get() != header.start_op {
        return disagrees("number");
    }
    if u64::try_from(read.len()) != Ok(header.op_count) {
        return disagrees("operation count");
    }
    Ok(Operations {
        ops: Arc::new(Ops::read(&read)?),
        start: header.start_op,
    })
}

#[cfg(test)]
mod fit_tests;
#[cfg(test)]
mod tests;

//! Pieces that several messages are made of: ids, texts, hashes, name tables, extensions.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::id::{ChangeHash, CollectionId, Heads, Lsn, RecordId, SpaceId};
use crate::limits;
use crate::reconcile::Summary;

const HASH_BYTES: usize = 32;

pub(super) fn write_summary(writer: &mut Writer, summary: &Summary) {
    writer.varint(summary.count).raw(&summary.sum);
}

pub(super) fn summary(reader: &mut Reader<'_>) -> Result<Summary, Malformed> {
    let count = reader.varint("summary count")?;
    let sum = reader.array("summary sum")?;
    Ok(Summary { count, sum })
}

pub(super) fn unexpected(reader: &Reader<'_>, what: &'static str, value: usize) -> Malformed {
    let value = u64::try_from(value).unwrap_or(u64::MAX);
    reader.error(what, Problem::Unexpected(value))
}

pub(super) fn space(reader: &mut Reader<'_>) -> Result<SpaceId, Malformed> {
    reader.array("space").map(SpaceId::from_bytes)
}

pub(super) fn record(reader: &mut Reader<'_>) -> Result<RecordId, Malformed> {
    reader.array("record").map(RecordId::from_bytes)
}

pub(super) fn lsn(reader: &mut Reader<'_>, what: &'static str) -> Result<Lsn, Malformed> {
    reader.varint(what).map(Lsn)
}

pub(super) fn flag(reader: &mut Reader<'_>, what: &'static str) -> Result<bool, Malformed> {
    match reader.u8(what)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(unexpected(reader, what, usize::from(other))),
    }
}

pub(super) fn collection(reader: &mut Reader<'_>) -> Result<CollectionId, Malformed> {
    let text = reader.text(limits::COLLECTION_NAME_BYTES_MAX, "collection name")?;
    text.parse()
        .map_err(|_not_a_name| unexpected(reader, "characters of collection name", text.len()))
}

pub(super) fn hashes(
    reader: &mut Reader<'_>,
    max: usize,
    what: &'static str,
) -> Result<Vec<ChangeHash>, Malformed> {
    let count = reader.count(max, what)?;
    // Taken as one piece, so that a count beyond the input allocates nothing.
    let bytes = reader.take(count * HASH_BYTES, what)?;
    let (hashes, _) = bytes.as_chunks();
    Ok(hashes.iter().copied().map(ChangeHash::from_bytes).collect())
}

pub(super) fn write_hashes(writer: &mut Writer, hashes: &[ChangeHash]) {
    writer.count(hashes.len());
    for hash in hashes {
        writer.raw(hash.as_bytes());
    }
}

pub(super) fn heads(reader: &mut Reader<'_>) -> Result<Heads, Malformed> {
    let hashes = hashes(reader, limits::HEADS_MAX, "heads")?;
    if !hashes.is_sorted_by(|left, right| left < right) {
        return Err(unexpected(reader, "order of heads", hashes.len()));
    }
    Ok(hashes.into_iter().collect())
}

/// Writes as much of `text` as fits in `max` bytes. What people read may be cut, never refused.
pub(super) fn write_clipped(writer: &mut Writer, text: &str, max: usize) {
    let ends = text
        .char_indices()
        .map(|(at, letter)| at + letter.len_utf8());
    let end = ends.take_while(|end| *end <= max).last().unwrap_or(0);
    writer.text(text.get(..end).unwrap_or_default());
}

/// Writes the section in which later versions add fields to a message. This one adds none.
pub(super) fn write_extensions(writer: &mut Writer) {
    writer.count(0);
}

/// Reads past the fields that a later version has added to a message.
pub(super) fn skip_extensions(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    let count = reader.count(limits::EXTENSIONS_MAX, "extension count")?;
    let mut last = None;
    for _ in 0..count {
        let tag = reader.varint("extension tag")?;
        if last.is_some_and(|last| tag <= last) {
            return Err(reader.error("order of extension tags", Problem::Unexpected(tag)));
        }
        last = Some(tag);
        reader.bytes(limits::EXTENSION_BYTES_MAX, "extension")?;
    }
    Ok(())
}

/// Collection names of one message, each written once. Entries name them by position, and the
/// table is in the order of their first use, so that a message has one encoding.
#[derive(Debug, Default)]
pub(super) struct Names<'a>(BTreeMap<&'a CollectionId, usize>);

impl<'a> Names<'a> {
    pub(super) fn write(writer: &mut Writer, uses: impl Iterator<Item = &'a CollectionId>) -> Self {
        let mut positions = BTreeMap::new();
        let mut table = Vec::new();
        for name in uses {
            positions.entry(name).or_insert_with(|| {
                table.push(name);
                table.len() - 1
            });
        }
        writer.count(table.len());
        for name in table {
            writer.text(name.as_str());
        }
        Self(positions)
    }

    pub(super) fn write_use(&self, writer: &mut Writer, name: &CollectionId) {
        writer.count(self.0.get(name).copied().unwrap_or(self.0.len()));
    }
}

/// The table of [`Names`] on the reading side.
#[derive(Debug)]
pub(super) struct ReadNames {
    names: Vec<CollectionId>,
    used: usize,
}

impl ReadNames {
    pub(super) fn read(reader: &mut Reader<'_>, max: usize) -> Result<Self, Malformed> {
        let count = reader.count(max, "collection count")?;
        let mut names = Vec::new();
        let mut seen = BTreeSet::new();
        for _ in 0..count {
            let name = collection(reader)?;
            if !seen.insert(name.clone()) {
                return Err(unexpected(reader, "repeated collection name", names.len()));
            }
            names.push(name);
        }
        Ok(Self { names, used: 0 })
    }

    pub(super) fn read_use(&mut self, reader: &mut Reader<'_>) -> Result<CollectionId, Malformed> {
        // A name used for the first time is the next of the table.
        let at = reader.count(self.used, "collection index")?;
        let Some(name) = self.names.get(at) else {
            return Err(unexpected(reader, "collection index", at));
        };
        self.used = self.used.max(at + 1);
        Ok(name.clone())
    }

    /// Asserts that every name was used.
    pub(super) fn finish(&self, reader: &Reader<'_>) -> Result<(), Malformed> {
        if self.used == self.names.len() {
            return Ok(());
        }
        Err(unexpected(reader, "unused collection name", self.used))
    }
}

//! The keys of every table, as bytes that sort the way they are scanned.

use crate::codec::{Malformed, Reader, Writer};
use crate::id::{ChangeHash, CollectionId, Lsn, RecordId, SpaceId};
use crate::reconcile::{RangeKey, Span, Upper};
use crate::store::prefix_end;

/// The local number of a collection; its space's own number stands under an empty name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub u32);

/// A record under its collection's local number: 20 bytes where the full key takes 33 and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Its collection.
    pub collection: Number,
    /// The record.
    pub record: RecordId,
}

impl Slot {
    /// Key of tables `records`, `views`, `stale`, and of the stem in table `graph`; prefix of those
    /// that hold more per record.
    pub fn key(self) -> Vec<u8> {
        self.with(&[])
    }

    /// Key of one block in table `graph`.
    pub fn block(self, block: u32) -> Vec<u8> {
        self.with(&block.to_be_bytes())
    }

    /// Key in table `quarantine`, and of one missing change in table `waiting`.
    pub fn change(self, hash: &ChangeHash) -> Vec<u8> {
        self.with(hash.as_bytes())
    }

    /// Key in table `waiting`: `waiting` can't be applied before `missing`.
    pub fn waiting(self, missing: &ChangeHash, waiting: &ChangeHash) -> Vec<u8> {
        let mut key = self.change(missing);
        key.extend_from_slice(waiting.as_bytes());
        key
    }

    fn with(self, more: &[u8]) -> Vec<u8> {
        let mut writer = Writer::with_capacity(20 + more.len());
        writer
            .u32(self.collection.0)
            .raw(self.record.as_bytes())
            .raw(more);
        writer.finish()
    }

    /// Reads a slot from the start of a key.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let collection = Number(reader.u32("collection number")?);
        let record = RecordId::from_bytes(reader.array("record id")?);
        Ok(Self { collection, record })
    }
}

/// Key in table `collections`.
pub(super) fn collection(space: SpaceId, collection: Option<&CollectionId>) -> Vec<u8> {
    let mut writer = Writer::new();
    writer
        .raw(space.as_bytes())
        .raw(collection.map_or("", CollectionId::as_str).as_bytes());
    writer.finish()
}

/// Key in table `log`.
pub(super) fn log(space: Number, lsn: Lsn) -> Vec<u8> {
    let mut writer = Writer::with_capacity(12);
    writer.u32(space.0).u64(lsn.0);
    writer.finish()
}

/// Key in table `meta` of the end of what was taken out of a space's log.
pub(super) fn horizon(space: Number) -> Vec<u8> {
    let mut writer = Writer::with_capacity(11);
    writer.raw(b"horizon").u32(space.0);
    writer.finish()
}

/// Key in table `elements`.
pub(super) fn element(collection: Number, key: RangeKey) -> Vec<u8> {
    let mut writer = Writer::with_capacity(28);
    writer
        .u32(collection.0)
        .u64(key.time)
        .raw(key.record.as_bytes());
    writer.finish()
}

/// Where the elements of a span begin in table `elements`, and where they end.
pub(super) fn elements(collection: Number, span: Span) -> (Vec<u8>, Option<Vec<u8>>) {
    let end = match span.upper {
        Upper::Key(upper) => Some(element(collection, upper)),
        Upper::End => prefix_end(&collection.0.to_be_bytes()),
    };
    (element(collection, span.lower), end)
}

/// Reads a key of table `elements`.
pub(super) fn read_element(key: &[u8]) -> Result<(Number, RangeKey), Malformed> {
    let mut reader = Reader::new(key);
    let number = Number(reader.u32("collection number")?);
    let time = reader.u64("element time")?;
    let record = RecordId::from_bytes(reader.array("record id")?);
    reader.finish("element key")?;
    Ok((number, RangeKey { time, record }))
}

/// Key of a collection's total in table `tree`.
pub(super) fn total(collection: Number) -> Vec<u8> {
    collection.0.to_be_bytes().to_vec()
}

/// Key of a node in table `tree`: the half bytes that it stands under, one a byte.
pub(super) fn node(collection: Number, prefix: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(5 + prefix.len());
    writer.u32(collection.0).u8(0).raw(prefix);
    writer.finish()
}

/// Key in table `views` of what the views of a collection were judged by.
pub(super) fn ruled(collection: Number) -> Vec<u8> {
    let mut key = shown(collection);
    key.push(0);
    key
}

/// Key in table `index` of what indexes a collection has. No collection has the number that it begins
/// with.
pub(super) fn indexes(space: SpaceId, collection: &CollectionId) -> Vec<u8> {
    let mut writer = Writer::new();
    writer
        .u32(u32::MAX)
        .raw(space.as_bytes())
        .raw(collection.as_str().as_bytes());
    writer.finish()
}

/// Reads such a key: the space, and the collection's name.
pub(super) fn read_indexes(key: &[u8]) -> Result<(SpaceId, &str), Malformed> {
    let mut reader = Reader::new(key);
    reader.u32("mark")?;
    let space = SpaceId::from_bytes(reader.array("space")?);
    let name = reader.take(reader.remaining(), "collection name")?;
    Ok((space, std::str::from_utf8(name).unwrap_or_default()))
}

/// Key in table `views` of how many views of a collection show a record that is not deleted. No
/// collection has the number that it begins with.
pub(super) fn shown(collection: Number) -> Vec<u8> {
    let mut writer = Writer::with_capacity(8);
    writer.u32(u32::MAX).u32(collection.0);
    writer.finish()
}

//! The values of every table: one type per row, written and read with [`crate::codec`].

use bytes::Bytes;

use super::keys::Slot;
use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::doc::{DELETED_KEY, Value};
use crate::id::{ActorId, ChangeHash, CorrelationId, Heads, Lsn, RecordId, StoreId};
use crate::limits;
use crate::reconcile::{Element, LogEntry, RangeKey, Total};

/// A head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The change.
    pub hash: ChangeHash,
    /// Its position among the record's changes.
    pub position: u32,
    /// Its time field, in seconds; negative times count as 0.
    pub time: u64,
    /// Largest operation counter up to and with it.
    pub max_op: u64,
}

/// What is known of a record without reading its history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Its heads, by hash.
    pub heads: Vec<Head>,
    /// Number of changes.
    pub changes: u32,
    /// Bytes of all changes.
    pub bytes: u64,
    /// Where its newest change is in the space's log.
    pub lsn: Lsn,
    /// Its writers in the order of their first change, with their last sequence number.
    pub actors: Vec<(ActorId, u64)>,
    /// Number of changes that are here and relayed but no part of the document, because their
    /// writer, or that of one they follow, gave a number twice.
    pub refused: u32,
    /// The heads of the document where some are refused; else those of the record.
    pub admitted: Vec<ChangeHash>,
    /// How many changes, from the first on, are in its snapshot; the others are loose in the log.
    pub folded: u32,
    /// Bytes of those changes.
    pub folded_bytes: u64,
    /// Bytes of the snapshot.
    pub snapshot_bytes: u64,
    /// Bytes of all changes from which on folding is worth another try.
    pub fold_at: u64,
}

impl Header {
    /// The hashes of its heads.
    pub fn hashes(&self) -> Heads {
        self.heads.iter().map(|it| it.hash).collect()
    }

    /// The heads of its document: what views show and edits build on. They differ from
    /// [`Header::hashes`] only where changes are refused.
    pub fn shown(&self) -> Heads {
        if self.refused == 0 {
            return self.hashes();
        }
        self.admitted.iter().copied().collect()
    }

    /// How many changes, from the first on, are not in the graph, where a stem stands for them.
    pub(super) const fn stem(&self) -> u32 {
        // In a dispute every change counts.
        if self.refused > 0 { 0 } else { self.folded }
    }

    /// Number of changes that are loose in the log.
    pub const fn loose(&self) -> u32 {
        self.changes.saturating_sub(self.folded)
    }

    /// Bytes of the changes that are loose in the log.
    pub const fn loose_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.folded_bytes)
    }

    /// Bytes that the record's history takes: its snapshot, and what is loose.
    pub const fn weight(&self) -> u64 {
        self.snapshot_bytes.saturating_add(self.loose_bytes())
    }

    /// Whether it has changes that can be folded: more than one, none of them in dispute.
    pub const fn can_fold(&self) -> bool {
        self.refused == 0 && self.loose() > 1
    }

    /// Whether enough is loose to fold it.
    pub(super) fn is_due(&self) -> bool {
        self.can_fold() && self.bytes >= self.fold_at.max(limits::FOLD_BYTES_MIN)
    }

    /// The key under which its element stands.
    pub fn element_key(&self, record: RecordId) -> RangeKey {
        let time = self.heads.iter().map(|it| it.time).max().unwrap_or(0);
        RangeKey { time, record }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.count(self.heads.len());
        for head in &self.heads {
            writer
                .raw(head.hash.as_bytes())
                .varint(head.position.into());
            writer.varint(head.time).varint(head.max_op);
        }
        writer.varint(self.changes.into()).varint(self.bytes);
        writer.varint(self.lsn.0).count(self.actors.len());
        for (actor, seq) in &self.actors {
            writer.bytes(actor.as_bytes()).varint(*seq);
        }
        writer.varint(self.refused.into());
        if self.refused > 0 {
            writer.count(self.admitted.len());
            for head in &self.admitted {
                writer.raw(head.as_bytes());
            }
        }
        writer.varint(self.folded.into()).varint(self.fold_at);
        if self.folded > 0 {
            writer.varint(self.folded_bytes).varint(self.snapshot_bytes);
        }
        writer.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut header = Self::default();
        for _ in 0..reader.count(bytes.len(), "heads")? {
            let hash = ChangeHash::from_bytes(reader.array("head")?);
            let position = position(&mut reader)?;
            let time = reader.varint("head time")?;
            let max_op = reader.varint("head operation")?;
            header.heads.push(Head {
                hash,
                position,
                time,
                max_op,
            });
        }
        header.changes = position(&mut reader)?;
        header.bytes = reader.varint("record bytes")?;
        header.lsn = Lsn(reader.varint("record lsn")?);
        for _ in 0..reader.count(bytes.len(), "actors")? {
            let actor = reader.bytes(limits::ACTOR_BYTES_MAX, "actor")?.to_vec();
            header
                .actors
                .push((ActorId::from_bytes(actor), reader.varint("actor seq")?));
        }
        header.refused = position(&mut reader)?;
        if header.refused > 0 {
            for _ in 0..reader.count(bytes.len(), "admitted heads")? {
                let head = ChangeHash::from_bytes(reader.array("admitted head")?);
                header.admitted.push(head);
            }
        }
        header.folded = position(&mut reader)?;
        header.fold_at = reader.varint("fold at")?;
        if header.folded > 0 {
            header.folded_bytes = reader.varint("folded bytes")?;
            header.snapshot_bytes = reader.varint("snapshot bytes")?;
        }
        reader.finish("record header")?;
        Ok(header)
    }
}

pub(super) fn position(reader: &mut Reader<'_>) -> Result<u32, Malformed> {
    let value = reader.varint("position")?;
    u32::try_from(value).map_err(|_wide| reader.error("position", Problem::Unexpected(value)))
}

/// A change in the log, its record still under the local number.
#[derive(Clone, Debug)]
pub(super) struct LogRow {
    pub slot: Slot,
    pub origin: StoreId,
    pub correlation: CorrelationId,
    pub actor: ActorId,
    pub bytes: Bytes,
}

impl LogRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.bytes.len() + 64);
        writer
            .u32(self.slot.collection.0)
            .raw(self.slot.record.as_bytes());
        writer.raw(self.origin.as_bytes()).u64(self.correlation.0);
        writer.bytes(self.actor.as_bytes()).raw(&self.bytes);
        writer.finish()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(row);
        let slot = Slot::read(&mut reader)?;
        let origin = StoreId::from_bytes(reader.array("origin")?);
        let correlation = CorrelationId(reader.u64("correlation")?);
        let actor = reader.bytes(limits::ACTOR_BYTES_MAX, "actor")?.to_vec();
        let bytes = reader.take(reader.remaining(), "change")?;
        Ok(Self {
            slot,
            origin,
            correlation,
            actor: ActorId::from_bytes(actor),
            bytes: Bytes::copy_from_slice(bytes),
        })
    }

    pub(super) fn entry(self, lsn: Lsn, key: crate::id::RecordKey) -> LogEntry {
        let Self {
            origin,
            correlation,
            actor,
            bytes,
            ..
        } = self;
        LogEntry {
            lsn,
            key,
            origin,
            actor,
            correlation,
            bytes,
        }
    }
}

/// A record's document up to some change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SnapshotRow {
    /// How many changes are in it: all up to there, in the order of the store.
    pub changes: u32,
    /// The document, as Automerge saves it.
    pub document: Bytes,
}

impl SnapshotRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.document.len() + 5);
        writer.varint(self.changes.into()).raw(&self.document);
        writer.finish()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(row);
        let changes = position(&mut reader)?;
        let document = reader.take(reader.remaining(), "document")?;
        Ok(Self {
            changes,
            document: Bytes::copy_from_slice(document),
        })
    }
}

/// A record's materialised value and the heads it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewRow {
    /// The heads.
    pub heads: Heads,
    /// How many of the record's changes it shows: all up to there, in the order of the store.
    /// A view with more is newer.
    pub changes: u32,
    /// By what conflicts in it are shown so, see [`crate::doc::Shown::by`].
    pub shown_by: u64,
    /// The value, as `doc::Value` encodes it.
    pub value: Vec<u8>,
}

impl ViewRow {
    /// Whether it shows all of the record's changes, and by this lens.
    pub const fn is_current(&self, changes: u32, lens: u64) -> bool {
        self.changes == changes && (self.shown_by == 0 || self.shown_by == lens)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.value.len() + 40);
        heads(&mut writer, &self.heads)
            .varint(self.changes.into())
            .varint(self.shown_by)
            .raw(&self.value);
        writer.finish()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(row);
        let heads = read_heads(&mut reader)?;
        let changes = position(&mut reader)?;
        let shown_by = reader.varint("shown by")?;
        let value = reader.take(reader.remaining(), "view")?.to_vec();
        Ok(Self {
            heads,
            changes,
            shown_by,
            value,
        })
    }
}

fn heads<'a>(writer: &'a mut Writer, heads: &Heads) -> &'a mut Writer {
    writer.count(heads.as_slice().len());
    for head in heads.as_slice() {
        writer.raw(head.as_bytes());
    }
    writer
}

fn read_heads(reader: &mut Reader<'_>) -> Result<Heads, Malformed> {
    let count = reader.count(reader.remaining() / 32, "heads")?;
    (0..count)
        .map(|_| Ok(ChangeHash::from_bytes(reader.array("head")?)))
        .collect()
}

/// Why a record's view is behind: what came last, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StaleRow {
    pub origin: StoreId,
    pub correlation: CorrelationId,
}

impl StaleRow {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(self.origin.as_bytes()).u64(self.correlation.0);
        writer.finish()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(row);
        let origin = StoreId::from_bytes(reader.array("origin")?);
        let correlation = CorrelationId(reader.u64("correlation")?);
        reader.finish("stale row")?;
        Ok(Self {
            origin,
            correlation,
        })
    }
}

pub(super) fn encode_total(total: &Total) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.varint(total.count).raw(&total.sum);
    writer.finish()
}

pub(super) fn decode_total(row: &[u8]) -> Result<Total, Malformed> {
    let mut reader = Reader::new(row);
    let count = reader.varint("count")?;
    let sum = reader.array("sum")?;
    reader.finish("total")?;
    Ok(Total { count, sum })
}

pub(super) fn decode_element(row: &[u8]) -> Result<Element, Malformed> {
    let mut reader = Reader::new(row);
    let element = Element::from_bytes(reader.array("element")?);
    reader.finish("element")?;
    Ok(element)
}

/// Whether an encoded value is that of a deleted record.
pub(super) fn is_tombstone(value: &[u8]) -> bool {
    let value = Value::from_bytes(value).ok();
    let fields = value.as_ref().and_then(Value::as_map);
    fields.is_some_and(|it| it.contains_key(DELETED_KEY))
}

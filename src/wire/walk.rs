//! The message that finds differences: ranges of records, summed up, skipped or listed.
//!
//! Within a collection records are ordered by [`RangeKey`]. The ranges of one message lie side by
//! side from the start of the collection: each begins where the one before it ends.

use super::part::{self, unexpected};
use crate::codec::{Malformed, Reader, Writer};
use crate::id::{RecordId, SpaceId};
use crate::limits;
use crate::reconcile::{RangeKey, RangeKind, Upper, WalkCollection, WalkItem, WalkRange};

/// One step of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The space.
    pub space: SpaceId,
    /// Which walk of the sender or receiver this belongs to.
    pub id: u64,
    /// How many steps came before.
    pub round: u32,
    /// Collections in ascending order.
    pub collections: Vec<WalkCollection>,
}

// A range starts with one byte: its kind in the low bits, above them 0 for a range up to the end,
// otherwise one more than the number of bytes of the bound's record that are written.
const KIND_BITS: u32 = 2;
const KIND_SKIP: u8 = 0;
const KIND_SUMMARY: u8 = 1;
const KIND_ITEMS: u8 = 2;
const KIND_LATER: u8 = 3;

/// What is left of the limits of one message.
struct Budget {
    ranges: usize,
    items: usize,
}

impl Walk {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .raw(self.space.as_bytes())
            .varint(self.id)
            .varint(u64::from(self.round))
            .count(self.collections.len());
        for part in &self.collections {
            writer
                .text(part.collection.as_str())
                .count(part.ranges.len());
            let mut lower = RangeKey::START;
            for range in &part.ranges {
                range.write(writer, &mut lower);
            }
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let space = part::space(reader)?;
        let id = reader.varint("walk id")?;
        let round = round(reader)?;
        let count = reader.count(limits::WALK_RANGES_MAX, "collection count")?;
        let mut collections: Vec<WalkCollection> = Vec::new();
        let mut budget = Budget {
            ranges: limits::WALK_RANGES_MAX,
            items: limits::WALK_ITEMS_MAX,
        };
        for _ in 0..count {
            let part = WalkCollection::read(reader, &mut budget)?;
            let last = collections.last();
            if last.is_some_and(|last| last.collection >= part.collection) {
                return Err(unexpected(
                    reader,
                    "order of collections",
                    collections.len(),
                ));
            }
            collections.push(part);
        }
        Ok(Self {
            space,
            id,
            round,
            collections,
        })
    }
}

fn round(reader: &mut Reader<'_>) -> Result<u32, Malformed> {
    let max = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
    let round = reader.count(max, "round")?;
    Ok(u32::try_from(round).unwrap_or(u32::MAX))
}

impl WalkCollection {
    fn read(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<Self, Malformed> {
        let collection = part::collection(reader)?;
        let count = reader.count(budget.ranges, "range count")?;
        if count == 0 {
            return Err(unexpected(reader, "range count", count));
        }
        budget.ranges -= count;
        let mut ranges = Vec::new();
        let mut lower = Some(RangeKey::START);
        for _ in 0..count {
            let Some(start) = lower else {
                return Err(unexpected(reader, "range after the last", ranges.len()));
            };
            let range = WalkRange::read(reader, start, budget)?;
            lower = match range.upper {
                Upper::Key(key) => Some(key),
                Upper::End => None,
            };
            ranges.push(range);
        }
        Ok(Self { collection, ranges })
    }
}

impl WalkRange {
    /// Times are written as the distance to the key before, which is `lower` at first.
    fn write(&self, writer: &mut Writer, lower: &mut RangeKey) {
        let kind = match self.kind {
            RangeKind::Skip => KIND_SKIP,
            RangeKind::Summary(_) => KIND_SUMMARY,
            RangeKind::Items(_) => KIND_ITEMS,
            RangeKind::Later => KIND_LATER,
        };
        let start = *lower;
        match self.upper {
            Upper::End => {
                writer.u8(kind);
            }
            Upper::Key(key) => {
                let bytes = key.record.as_bytes();
                let kept = bytes.iter().rposition(|byte| *byte != 0);
                let kept = kept.map_or(0, |last| last + 1);
                let bound = u8::try_from(kept + 1).unwrap_or(u8::MAX);
                writer
                    .u8(kind | bound << KIND_BITS)
                    .varint(key.time.wrapping_sub(start.time))
                    .raw(bytes.get(..kept).unwrap_or_default());
                *lower = key;
            }
        }
        match &self.kind {
            RangeKind::Skip | RangeKind::Later => {}
            RangeKind::Summary(summary) => part::write_summary(writer, summary),
            RangeKind::Items(items) => write_items(writer, items, start.time),
        }
    }

    fn read(
        reader: &mut Reader<'_>,
        lower: RangeKey,
        budget: &mut Budget,
    ) -> Result<Self, Malformed> {
        let head = reader.u8("range kind")?;
        let upper = match head >> KIND_BITS {
            0 => Upper::End,
            bound => Upper::Key(read_bound(reader, lower, usize::from(bound) - 1)?),
        };
        let kind = match head & ((1 << KIND_BITS) - 1) {
            KIND_SKIP => RangeKind::Skip,
            KIND_SUMMARY => RangeKind::Summary(part::summary(reader)?),
            KIND_ITEMS => RangeKind::Items(read_items(reader, lower, upper, budget)?),
            KIND_LATER => RangeKind::Later,
            other => return Err(unexpected(reader, "range kind", usize::from(other))),
        };
        Ok(Self { upper, kind })
    }
}

fn read_bound(
    reader: &mut Reader<'_>,
    lower: RangeKey,
    kept: usize,
) -> Result<RangeKey, Malformed> {
    let time = later(reader, lower.time)?;
    let mut record = [0; 16];
    let Some(prefix) = record.get_mut(..kept) else {
        return Err(unexpected(reader, "bytes of bound", kept));
    };
    prefix.copy_from_slice(reader.take(kept, "bound")?);
    if prefix.last() == Some(&0) {
        return Err(unexpected(reader, "last byte of bound", 0));
    }
    let key = RangeKey {
        time,
        record: RecordId::from_bytes(record),
    };
    if key <= lower {
        return Err(unexpected(reader, "order of bounds", kept));
    }
    Ok(key)
}

fn later(reader: &mut Reader<'_>, start: u64) -> Result<u64, Malformed> {
    let more = reader.varint("time")?;
    let too_late = || reader.error("time", crate::codec::Problem::Unexpected(more));
    start.checked_add(more).ok_or_else(too_late)
}

fn write_items(writer: &mut Writer, items: &[WalkItem], start: u64) {
    writer.count(items.len());
    let mut last = start;
    for item in items {
        writer
            .varint(item.time.wrapping_sub(last))
            .raw(item.record.as_bytes());
        part::write_hashes(writer, item.heads.as_slice());
        last = item.time;
    }
}

fn read_items(
    reader: &mut Reader<'_>,
    lower: RangeKey,
    upper: Upper,
    budget: &mut Budget,
) -> Result<Vec<WalkItem>, Malformed> {
    let count = reader.count(budget.items, "item count")?;
    budget.items -= count;
    let mut items: Vec<WalkItem> = Vec::new();
    let mut last_time = lower.time;
    for _ in 0..count {
        let time = later(reader, last_time)?;
        let record = part::record(reader)?;
        let heads = part::heads(reader)?;
        let item = WalkItem {
            time,
            record,
            heads,
        };
        let rises = items.last().is_none_or(|last| last.key() < item.key());
        let inside = item.key() >= lower && Upper::Key(item.key()) < upper;
        if !rises || !inside {
            return Err(unexpected(reader, "order of items", items.len()));
        }
        last_time = time;
        items.push(item);
    }
    Ok(items)
}

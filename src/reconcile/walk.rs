//! The difference walk: one message of ranges in, one out, and what to push or ask for.
//!
//! The walk keeps no state between messages. An empty reply ends it on both sides.

use std::collections::BTreeSet;

use super::{Inventory, RangeKey, Summary, Total};
use crate::error::Result;
use crate::id::{ChangeHash, CollectionId, Heads, RecordId, RecordKey, SpaceId};
use crate::limits;

/// Where a range ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Upper {
    /// Before this key.
    Key(RangeKey),
    /// After the last key.
    End,
}

/// Keys from `lower` up to, not including, `upper`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First key that belongs.
    pub lower: RangeKey,
    /// First key that does not belong any more.
    pub upper: Upper,
}

impl Span {
    /// All keys.
    pub const ALL: Self = Self {
        lower: RangeKey::START,
        upper: Upper::End,
    };
}

/// One record at its heads, as it is listed to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkItem {
    /// Time of the newest change, in seconds.
    pub time: u64,
    /// The record.
    pub record: RecordId,
    /// Its heads.
    pub heads: Heads,
}

impl WalkItem {
    /// Where it stands in the order.
    pub const fn key(&self) -> RangeKey {
        RangeKey {
            time: self.time,
            record: self.record,
        }
    }
}

/// What one side says of one range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeKind {
    /// Nothing more to say: equal, or settled.
    Skip,
    /// How many records there are and what they sum up to.
    Summary(Summary),
    /// All records of the range, in order.
    Items(Vec<WalkItem>),
    /// It differs, and is left for the next walk: what newer ranges differ by may account for it.
    Later,
}

/// A range of a collection. It starts where the one before it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkRange {
    /// Where it ends.
    pub upper: Upper,
    /// What is said of it.
    pub kind: RangeKind,
}

/// The ranges of one collection, from its first key on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkCollection {
    /// The collection.
    pub collection: CollectionId,
    /// Adjacent ranges in order; what follows the last one is skipped.
    pub ranges: Vec<WalkRange>,
}

/// What a walk found that the peer lacks, or may lack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Push {
    /// The records of a range but for those listed.
    Range {
        /// The collection.
        collection: CollectionId,
        /// The range.
        span: Span,
        /// Records of the range that are settled elsewhere.
        listed: BTreeSet<RecordId>,
        /// The peer has nothing of the collection: send without asking.
        empty: bool,
    },
    /// What one lacks of a record who has `known`.
    Record {
        /// The record.
        key: RecordKey,
        /// Changes that the peer has.
        known: Vec<ChangeHash>,
        /// The peer has asked for it, and hears when it has all.
        asked: bool,
    },
}

/// How far one step of a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Into the newest ranges that differ, for as long as they can account for what older ones differ
    /// by: a record that was edited has left one place of the order and stands at another.
    Newest,
    /// Into all that differs.
    All,
}

/// What follows from one walk message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The reply; empty ends the walk.
    pub reply: Vec<WalkCollection>,
    /// What to push to the peer.
    pub push: Vec<Push>,
    /// Records of which the peer has something that is not here.
    pub want: Vec<RecordKey>,
}

/// The first message of a walk over `collections`.
///
/// # Errors
/// When the store can't be read.
pub fn start(
    inventory: &dyn Inventory,
    space: SpaceId,
    collections: &[CollectionId],
) -> Result<Vec<WalkCollection>> {
    collections
        .iter()
        .map(|it| whole(inventory, space, it))
        .collect()
}

fn whole(
    inventory: &dyn Inventory,
    space: SpaceId,
    collection: &CollectionId,
) -> Result<WalkCollection> {
    let total = inventory.total(space, collection, Span::ALL)?;
    let range = WalkRange {
        upper: Upper::End,
        kind: RangeKind::Summary(total.summary()),
    };
    Ok(WalkCollection {
        collection: collection.clone(),
        ranges: vec![range],
    })
}

/// The reply to one walk message. `added` are collections that the message may have missed: given
/// in answer to the first one, so that both sides' collections take part.
///
/// # Errors
/// When the store can't be read.
pub fn respond(
    inventory: &dyn Inventory,
    space: SpaceId,
    message: &[WalkCollection],
    added: &[CollectionId],
    extent: Extent,
) -> Result<Step> {
    let mut step = Step::default();
    let open = message
        .iter()
        .flat_map(|it| &it.ranges)
        .filter(|it| !matches!(it.kind, RangeKind::Skip | RangeKind::Later));
    let mut room = Room {
        ranges: open.count(),
        splits: 0,
        items: 0,
    };
    for section in message {
        let collection = &section.collection;
        let mut reply = Reply {
            inventory,
            space,
            collection,
            extent,
            step: &mut step,
            room: &mut room,
        };
        reply.section(section)?;
    }
    for collection in added {
        if message.iter().all(|it| it.collection != *collection) {
            step.reply.push(whole(inventory, space, collection)?);
        }
    }
    step.reply
        .sort_by(|left, right| left.collection.cmp(&right.collection));
    Ok(step)
}

struct Reply<'a> {
    inventory: &'a dyn Inventory,
    space: SpaceId,
    collection: &'a CollectionId,
    extent: Extent,
    step: &'a mut Step,
    room: &'a mut Room,
}

/// How large a reply has become. Without room left, differing ranges are handed back unsplit, for
/// the peer to go on with.
struct Room {
    ranges: usize,
    splits: usize,
    items: usize,
}

impl Room {
    fn for_split(&mut self) -> bool {
        // The first few are split in any case, so that a walk always gets to the leaves.
        let fits = self.ranges + limits::WALK_FANOUT <= limits::WALK_REPLY_RANGES
            || self.splits < limits::WALK_SPLITS_MIN;
        if fits {
            self.splits += 1;
            self.ranges += limits::WALK_FANOUT;
        }
        fits
    }

    fn for_list(&mut self) -> bool {
        let fits = self.items + limits::WALK_LEAF_ITEMS <= limits::WALK_ITEMS_MAX;
        self.items += if fits { limits::WALK_LEAF_ITEMS } else { 0 };
        fits
    }
}

impl Reply<'_> {
    fn section(&mut self, section: &WalkCollection) -> Result<()> {
        let compared = self.compare(section)?;
        let oldest = match self.extent {
            Extent::All => 0,
            Extent::Newest => oldest_to_split(&compared),
        };
        let mut ranges = Vec::new();
        for (at, (span, range, ours)) in compared.iter().enumerate() {
            match &range.kind {
                RangeKind::Skip | RangeKind::Later => skip(&mut ranges, range.upper),
                RangeKind::Summary(theirs) => {
                    self.summary(*span, (*ours, *theirs), at >= oldest, &mut ranges)?;
                }
                RangeKind::Items(items) => {
                    self.items(*span, items)?;
                    skip(&mut ranges, range.upper);
                }
            }
        }
        if ranges.iter().any(|it| it.kind != RangeKind::Skip) {
            let collection = self.collection.clone();
            self.step.reply.push(WalkCollection { collection, ranges });
        }
        Ok(())
    }

    /// The ranges that are spoken of, each with what is here of those that are summed up.
    fn compare<'s>(&self, section: &'s WalkCollection) -> Result<Vec<Compared<'s>>> {
        let mut lower = RangeKey::START;
        let mut compared = Vec::new();
        for range in &section.ranges {
            let span = Span {
                lower,
                upper: range.upper,
            };
            let ours = match range.kind {
                RangeKind::Summary(_) => self.inventory.total(self.space, self.collection, span)?,
                RangeKind::Skip | RangeKind::Items(_) | RangeKind::Later => Total::default(),
            };
            compared.push((span, range, ours));
            let Upper::Key(upper) = range.upper else {
                break;
            };
            lower = upper;
        }
        Ok(compared)
    }

    fn summary(
        &mut self,
        span: Span,
        (ours, theirs): (Total, Summary),
        splits: bool,
        ranges: &mut Vec<WalkRange>,
    ) -> Result<()> {
        let upper = span.upper;
        if ours.summary() == theirs {
            skip(ranges, upper);
        } else if theirs.count == 0 {
            self.push_range(span, BTreeSet::new());
            skip(ranges, upper);
        } else if ours.count <= wide(limits::WALK_LEAF_ITEMS) && self.room.for_list() {
            let kind = RangeKind::Items(self.list(span)?);
            ranges.push(WalkRange { upper, kind });
        } else if !splits {
            let kind = RangeKind::Later;
            ranges.push(WalkRange { upper, kind });
        } else if ours.count <= 1 || !self.room.for_split() {
            let kind = RangeKind::Summary(ours.summary());
            ranges.push(WalkRange { upper, kind });
        } else {
            let parts = self.split(span)?;
            ranges.extend(parts.into_iter().map(|(upper, total)| WalkRange {
                upper,
                kind: RangeKind::Summary(total.summary()),
            }));
        }
        Ok(())
    }

    fn split(&self, span: Span) -> Result<Vec<(Upper, Total)>> {
        let (inventory, space, collection) = (self.inventory, self.space, self.collection);
        match self.extent {
            Extent::All => inventory.parts(space, collection, span, limits::WALK_FANOUT),
            Extent::Newest => inventory.newest(space, collection, span, limits::WALK_LEAF_ITEMS),
        }
    }

    fn list(&self, span: Span) -> Result<Vec<WalkItem>> {
        let limit = limits::WALK_LEAF_ITEMS;
        let mut items = self
            .inventory
            .items(self.space, self.collection, span, limit)?;
        items.reverse();
        Ok(items)
    }

    /// The peer has listed all it has in the range: whatever differs is settled here.
    fn items(&mut self, span: Span, theirs: &[WalkItem]) -> Result<()> {
        for item in theirs {
            let key = self.key(item.record);
            let heads = item.heads.as_slice();
            let ours = self.inventory.heads(&key)?;
            if ours.as_ref() == Some(&item.heads) {
                continue;
            }
            if ours.is_none() || !self.inventory.unknown(&key, heads)?.is_empty() {
                // They are ahead, or both are: asking tells them what is here, too.
                self.step.want.push(key);
            } else {
                self.step.push.push(Push::Record {
                    key,
                    known: heads.to_vec(),
                    asked: false,
                });
            }
        }
        self.push_range(span, theirs.iter().map(|it| it.record).collect());
        Ok(())
    }

    fn push_range(&mut self, span: Span, listed: BTreeSet<RecordId>) {
        let empty = span == Span::ALL && listed.is_empty();
        let collection = self.collection.clone();
        self.step.push.push(Push::Range {
            collection,
            span,
            listed,
            empty,
        });
    }

    fn key(&self, record: RecordId) -> RecordKey {
        RecordKey {
            space: self.space,
            collection: self.collection.clone(),
            record,
        }
    }
}

/// A range that a peer speaks of, and what is here of it.
type Compared<'a> = (Span, &'a WalkRange, Total);

/// The oldest range to split when the newest that differ come first: those from there on hold at
/// least as many records as the older ones differ by.
fn oldest_to_split(compared: &[Compared<'_>]) -> usize {
    let open = |(at, (_, range, ours)): (usize, &Compared<'_>)| {
        let RangeKind::Summary(theirs) = range.kind else {
            return None;
        };
        let splits = ours.count > wide(limits::WALK_LEAF_ITEMS) && theirs.count > 0;
        let by = if splits {
            ours.count.abs_diff(theirs.count)
        } else {
            0
        };
        let differs = ours.summary() != theirs;
        differs.then(|| (at, splits, by, ours.count.max(theirs.count)))
    };
    let open: Vec<_> = compared.iter().enumerate().filter_map(open).collect();
    let add = |sum: u64, by: &(usize, bool, u64, u64)| sum.saturating_add(by.2);
    let mut left = open.iter().fold(0, add);
    let mut taken: u64 = 0;
    for (at, splits, by, records) in open.into_iter().rev() {
        if splits && taken > 0 && left <= taken {
            return at + 1;
        }
        taken = taken.saturating_add(records);
        left = left.saturating_sub(by);
    }
    0
}

/// Appends a range about which nothing is left to say, joined with the one before it.
fn skip(ranges: &mut Vec<WalkRange>, upper: Upper) {
    match ranges.last_mut() {
        Some(last) if last.kind == RangeKind::Skip => last.upper = upper,
        _ => ranges.push(WalkRange {
            upper,
            kind: RangeKind::Skip,
        }),
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

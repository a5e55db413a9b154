//! Folding: the oldest loose changes of a record go into its snapshot and leave the log.
//!
//! A worker makes the snapshot from what is committed, and nobody's turn is held up; the replica takes
//! it in with the next commit, all or nothing. In the graph a stem stands for them, by which what a peer
//! has and lacks is told as before. Only what nobody is to be sent from the log any more is folded.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::graph::{Node, block_of, blocks};
use super::keys::{self, Slot};
use super::read::Rows;
use super::rows::{Header, SnapshotRow};
use super::stem::Stem;
use super::{Replica, documents};
use crate::codec::Reader;
use crate::doc::change::{Operations, Packed};
use crate::doc::{Document, DocumentFault, check_snapshot};
use crate::error::Result;
use crate::id::{ActorId, ChangeHash, Lsn, RecordKey, SpaceId};
use crate::ledger::{self, Cursor};
use crate::limits;
use crate::plant::{self, Plant};
use crate::reconcile::Inventory;
use crate::store::{KeyRange, Order, Table};
use crate::time::WallTime;

/// A snapshot that was made of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// How many changes were in the last one.
    before: u32,
    /// Those that are in this one besides, in the order in which the document keeps them.
    added: Vec<ChangeHash>,
    document: Bytes,
}

/// What came of folding a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Folding {
    /// A snapshot to be taken in.
    Made(Folded),
    /// Too little can be folded now.
    NotYet,
    /// Nothing is gained by it, or Automerge can't give back what it was given: the changes stay
    /// loose, and it is tried again when there are twice as many bytes of them.
    Useless(String),
}

/// Which records are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those of which much is loose.
    Due,
    /// Of these those of which much is loose beside what folding them costs. While people write, only
    /// changes that all of them build on are folded, and not the newest: what follows needs nothing but
    /// the stem then.
    Pressing,
}

/// What folding a record came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Changes that left the log.
    pub changes: u64,
    /// Bytes that these and the old snapshot took, less those of the new one.
    pub bytes: u64,
}

/// Makes a snapshot of a record that holds its changes up to `upto` in the log. Loads the document:
/// for workers. Of [`Which::All`] however little is gained.
///
/// # Errors
/// When the store can't be read.
pub fn fold(rows: &Rows<'_>, key: &RecordKey, upto: Lsn, which: Which) -> Result<Folding> {
    let Some(slot) = rows.slot(key)? else {
        return Ok(Folding::NotYet);
    };
    let Some(header) = rows.header(slot)?.filter(Header::can_fold) else {
        return Ok(Folding::NotYet);
    };
    let mut nodes = rows.nodes(slot, header.folded, &header)?;
    if which == Which::Pressing {
        let newest = nodes.len() / limits::FOLD_LEAVES;
        let behind = behind_all_heads(&nodes, &header);
        nodes.truncate(behind.min(nodes.len() - newest));
    }
    nodes.retain(|it| it.lsn <= upto);
    let bytes: u64 = nodes.iter().map(|it| u64::from(it.size)).sum();
    let enough = limits::FOLD_BYTES_MIN.max(header.snapshot_bytes / 2);
    if nodes.len() < 2 || (bytes < enough && which != Which::All) {
        return Ok(Folding::NotYet);
    }
    let loose = documents::read_nodes(rows, key, &nodes)?;
    let base = rows.snapshot_of(slot)?.map(|it| it.document);
    Ok(match snapshot(base.as_ref(), &loose, header.folded) {
        Ok(Ok((document, added))) if wide(document.len()) < header.snapshot_bytes + bytes => {
            Folding::Made(Folded {
                before: header.folded,
                added,
                document,
            })
        }
        Ok(Ok(_larger)) => Folding::Useless("its snapshot would not be smaller".to_owned()),
        Ok(Err(reason)) => Folding::Useless(reason.to_owned()),
        Err(fault) => Folding::Useless(fault.to_string()),
    })
}

/// How many of the loose changes, from the first on, precede every head of the record.
fn behind_all_heads(nodes: &[Node], header: &Header) -> usize {
    let mut count = nodes.len();
    if header.heads.len() == 1 {
        return count;
    }
    for head in &header.heads {
        let mut is_behind = vec![false; nodes.len()];
        let at = |position: u32| position.checked_sub(header.folded).map(index);
        let note = |position: u32, is_behind: &mut Vec<bool>| {
            if let Some(flag) = at(position).and_then(|it| is_behind.get_mut(it)) {
                *flag = true;
            }
        };
        note(head.position, &mut is_behind);
        for (place, node) in nodes.iter().enumerate().rev() {
            if is_behind.get(place) == Some(&true) {
                node.parents.iter().for_each(|it| note(*it, &mut is_behind));
            }
        }
        count = count.min(is_behind.iter().take_while(|it| **it).count());
        if count == 0 {
            break;
        }
    }
    count
}

/// Saves a document and the changes after it as one, and makes sure that all of them come out of it
/// again, and that the gate will find their operations in it. Says in which order it keeps those
/// after the first `folded`.
fn snapshot(
    base: Option<&Bytes>,
    loose: &[Bytes],
    folded: u32,
) -> Result<Result<(Bytes, Vec<ChangeHash>), &'static str>, DocumentFault> {
    let reader = ActorId::from_bytes(vec![0; 16]);
    let chunks = base.into_iter().chain(loose).map(Bytes::as_ref);
    let document = Document::load(&reader, chunks)?;
    let outline = document.outline()?.into_iter();
    let added: Vec<_> = outline.skip(index(folded)).map(|it| it.hash).collect();
    if added.len() != loose.len() {
        return Ok(Err("its document has other changes than the log"));
    }
    // With equal heads, which this checks, all changes before them are equal, too.
    let saved = Bytes::from(document.save()?);
    check_snapshot(&saved)?;
    let packed = Packed::read(&saved)?;
    for change in loose {
        if !packed.holds(&Operations::of_stored(change)?) {
            return Ok(Err("its snapshot would not tell its operations"));
        }
    }
    Ok(Ok((saved, added)))
}

impl Replica {
    /// Takes in what a worker made of a record; says what left the log. If the record has become
    /// another meanwhile, or anything after `upto` would leave, nothing does.
    ///
    /// # Errors
    /// When the store can't be read, or was damaged.
    pub fn fold(&mut self, key: &RecordKey, folding: Folding, upto: Lsn) -> Result<Freed> {
        self.check_writable()?;
        let space = self.catalog.number(key.space, None);
        let (Some(slot), Some(space)) = (self.catalog.slot(key), space) else {
            return Ok(Freed::default());
        };
        let Some(mut header) = self.rows().header(slot)? else {
            return Ok(Freed::default());
        };
        let folded = match folding {
            Folding::NotYet => return Ok(Freed::default()),
            Folding::Useless(reason) => {
                tracing::debug!(record = %key, reason, "a record is not folded");
                header.fold_at = header.bytes.saturating_mul(2);
                self.put_folded(slot, &header);
                return Ok(Freed::default());
            }
            Folding::Made(folded) => folded,
        };
        if folded.before != header.folded || header.refused > 0 {
            return Ok(Freed::default());
        }
        let nodes = self.rows().nodes(slot, header.folded, &header)?;
        let mut stem = self.rows().stem(slot, &header)?;
        let horizon = self.rows().horizon(space)?;
        let Some(nodes) = reorder(nodes, &mut header, &folded.added) else {
            return Ok(Freed::default());
        };
        let (leaving, staying) = nodes.split_at(folded.added.len());
        let last = leaving.iter().map(|it| it.lsn).max().unwrap_or_default();
        if last > upto {
            return Ok(Freed::default());
        }
        // From here on nothing is read that could fail, so that all of it is written or nothing.
        let too_many = usize::from(plant::is_planted(Plant::FoldTooMuch));
        for node in leaving.iter().chain(staying.iter().take(too_many)) {
            self.batch.remove(Table::Log, keys::log(space, node.lsn));
        }
        if last > horizon {
            let row = last.0.to_be_bytes().to_vec();
            self.batch.put(Table::Meta, keys::horizon(space), row);
        }
        stem.extend(leaving);
        self.put_stem(slot, (header.folded, &stem), staying);
        let before = header.weight();
        let bytes: u64 = leaving.iter().map(|it| u64::from(it.size)).sum();
        header.folded = stem.folded;
        header.folded_bytes = header.folded_bytes.saturating_add(bytes);
        header.snapshot_bytes = wide(folded.document.len());
        let worth = header.snapshot_bytes.max(limits::FOLD_BYTES_MIN);
        header.fold_at = header.folded_bytes.saturating_add(worth);
        self.put_folded(slot, &header);
        let row = SnapshotRow {
            changes: stem.folded,
            document: folded.document,
        };
        self.batch.put(Table::Snapshots, slot.key(), row.encode());
        self.packed.forget(slot);
        Ok(Freed {
            changes: wide(leaving.len()),
            bytes: before.saturating_sub(header.weight()),
        })
    }

    /// Puts the stem in the place of the changes from position `from` on that it has taken in.
    fn put_stem(&mut self, slot: Slot, (from, stem): (u32, &Stem), staying: &[Node]) {
        let last = block_of(stem.folded.saturating_sub(1));
        for block in block_of(from)..=last {
            self.batch.remove(Table::Graph, slot.block(block));
        }
        // Those that stay may have parents at other positions now.
        for (block, row) in blocks(staying, stem.folded) {
            self.batch.put(Table::Graph, slot.block(block), row);
        }
        self.batch.put(Table::Graph, slot.key(), stem.encode());
        self.graphs.forget(slot);
        self.operations.forget(slot);
    }

    pub(super) fn put_folded(&mut self, slot: Slot, header: &Header) {
        self.batch.put(Table::Records, slot.key(), header.encode());
        if header.is_due() {
            self.batch.put(Table::Due, slot.key(), Vec::new());
        } else {
            self.batch.remove(Table::Due, slot.key());
        }
    }

    /// Up to where each space's log is needed by nobody but those who are linked: the least that
    /// peers have acknowledged which were heard of since `since`. What these lack is sent from the
    /// log; who has nothing to start from in it is served by a walk anyway.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn floors(&self, since: WallTime) -> Result<BTreeMap<SpaceId, Lsn>> {
        let mut floors = BTreeMap::new();
        let mut horizons = BTreeMap::new();
        for space in self.catalog.spaces() {
            floors.insert(space, self.lsn(space)?);
            horizons.insert(space, self.horizon(space)?);
        }
        self.rows().scan(
            Table::Cursors,
            KeyRange::ALL,
            Order::Ascending,
            &mut |key, row| {
                let of = ledger::read_cursor_key(key);
                if let (Ok((_, space)), Ok(cursor)) = (of, Cursor::decode(row))
                    && cursor.seen >= since
                    && horizons.get(&space).is_some_and(|it| cursor.acked >= *it)
                    && let Some(floor) = floors.get_mut(&space)
                {
                    *floor = cursor.acked.min(*floor);
                }
                ControlFlow::Continue(())
            },
        )?;
        Ok(floors)
    }

    /// Records after `after` in the order of the store, up to `limit`. With each whether it is worth a
    /// try: whether two of its loose changes are in the log up to its space's floor.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn foldable(
        &self,
        (which, after): (Which, Option<Slot>),
        floors: &BTreeMap<SpaceId, Lsn>,
        limit: usize,
    ) -> Result<Vec<(Slot, Option<RecordKey>)>> {
        let table = match which {
            Which::All => Table::Records,
            Which::Due | Which::Pressing => Table::Due,
        };
        let mut start = after.map(Slot::key).unwrap_or_default();
        start.extend(after.map(|_| 0));
        let range = KeyRange {
            start: &start,
            end: None,
        };
        let mut slots = Vec::new();
        self.rows()
            .scan(table, range, Order::Ascending, &mut |key, _| {
                slots.extend(Slot::read(&mut Reader::new(key)).ok());
                if slots.len() < limit {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
        let check = |slot: Slot| Ok((slot, self.fold_candidate(slot, which, floors)?));
        slots.into_iter().map(check).collect()
    }

    fn fold_candidate(
        &self,
        slot: Slot,
        which: Which,
        floors: &BTreeMap<SpaceId, Lsn>,
    ) -> Result<Option<RecordKey>> {
        let key = self.catalog.key(slot);
        let header = self.rows().header(slot)?;
        let (Some(key), Some(header)) = (key, header.filter(Header::can_fold)) else {
            return Ok(None);
        };
        let share = header.loose().saturating_mul(limits::FOLD_SHARE);
        if which == Which::Pressing && share < header.changes {
            return Ok(None);
        }
        let floor = floors.get(&key.space).copied().unwrap_or_default();
        if header.lsn <= floor {
            return Ok(Some(key));
        }
        let second = self
            .rows()
            .node_at(slot, header.folded.saturating_add(1), &header)?;
        Ok(second.filter(|it| it.lsn <= floor).map(|_| key))
    }
}

/// Puts the changes after the folded ones of a header into an order that begins with `first`: a
/// document keeps them in its own, parents first like every other. None if these are others.
fn reorder(nodes: Vec<Node>, header: &mut Header, first: &[ChangeHash]) -> Option<Vec<Node>> {
    let from = header.folded;
    let (leaving, staying) = nodes.split_at_checked(first.len())?;
    if plant::is_planted(Plant::KeepOldOrder) {
        return Some(nodes);
    }
    let new: BTreeMap<_, _> = first.iter().zip(from..).collect();
    let new: Vec<u32> = leaving
        .iter()
        .map(|it| new.get(&it.hash).copied())
        .collect::<Option<_>>()?;
    let moved = |position: u32| {
        let at = position.checked_sub(from).map(index);
        at.and_then(|at| new.get(at).copied()).unwrap_or(position)
    };
    for head in &mut header.heads {
        head.position = moved(head.position);
    }
    let mut leaving: Vec<(u32, Node)> = new.iter().copied().zip(leaving.iter().cloned()).collect();
    leaving.sort_unstable_by_key(|it| it.0);
    let leaving = leaving.into_iter().map(|it| it.1);
    let mut nodes: Vec<_> = leaving.chain(staying.iter().cloned()).collect();
    for node in &mut nodes {
        node.parents.iter_mut().for_each(|it| *it = moved(*it));
        node.parents.sort_unstable();
    }
    Some(nodes)
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn index(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

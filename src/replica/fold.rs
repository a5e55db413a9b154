//! Folding: the oldest loose changes of a record go into its snapshot and leave the log.
//!
//! A worker makes the snapshot from what is committed, and nobody's turn is held up; the replica takes
//! it in with the next commit, all or nothing. The graph stays, so that what a peer has and lacks is
//! told as before. Only what nobody is to be sent from the log any more is folded.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::graph::Node;
use super::keys::{self, Slot};
use super::read::Rows;
use super::rows::{Header, SnapshotRow};
use super::{Replica, documents};
use crate::codec::Reader;
use crate::doc::change::{Operations, Packed};
use crate::doc::{Document, DocumentFault, check_snapshot};
use crate::error::Result;
use crate::id::{ActorId, Lsn, RecordKey, SpaceId};
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
    /// How many are in this one.
    changes: u32,
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
    /// Of these those of which much is loose beside what folding them costs.
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
/// for workers. `wanted` says that someone asked for it, however little is gained.
///
/// # Errors
/// When the store can't be read.
pub fn fold(rows: &Rows<'_>, key: &RecordKey, upto: Lsn, wanted: bool) -> Result<Folding> {
    let Some(slot) = rows.slot(key)? else {
        return Ok(Folding::NotYet);
    };
    let Some(header) = rows.header(slot)?.filter(Header::can_fold) else {
        return Ok(Folding::NotYet);
    };
    let mut nodes = rows.nodes(slot, header.folded, &header)?;
    nodes.retain(|it| it.lsn <= upto);
    let bytes: u64 = nodes.iter().map(|it| u64::from(it.size)).sum();
    let enough = limits::FOLD_BYTES_MIN.max(header.snapshot_bytes / 2);
    if nodes.len() < 2 || (bytes < enough && !wanted) {
        return Ok(Folding::NotYet);
    }
    let loose = documents::read_nodes(rows, key, &nodes)?;
    let base = rows.snapshot_of(slot)?.map(|it| it.document);
    let changes = header.folded.saturating_add(count(&nodes));
    Ok(match snapshot(base.as_ref(), &loose, changes) {
        Ok(Ok(document)) if wide(document.len()) < header.snapshot_bytes + bytes => {
            Folding::Made(Folded {
                before: header.folded,
                changes,
                document,
            })
        }
        Ok(Ok(_larger)) => Folding::Useless("its snapshot would not be smaller".to_owned()),
        Ok(Err(reason)) => Folding::Useless(reason.to_owned()),
        Err(fault) => Folding::Useless(fault.to_string()),
    })
}

/// Saves a document and the changes after it as one, and makes sure that all of them come out of it
/// again, and that the gate will find their operations in it.
fn snapshot(
    base: Option<&Bytes>,
    loose: &[Bytes],
    changes: u32,
) -> Result<Result<Bytes, &'static str>, DocumentFault> {
    let reader = ActorId::from_bytes(vec![0; 16]);
    let chunks = base.into_iter().chain(loose).map(Bytes::as_ref);
    let document = Document::load(&reader, chunks)?;
    if document.changes() != u64::from(changes) {
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
    Ok(Ok(saved))
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
        let is_same = folded.before == header.folded && folded.changes <= header.changes;
        if !is_same || header.refused > 0 {
            return Ok(Freed::default());
        }
        let nodes = self.rows().nodes(slot, header.folded, &header)?;
        let horizon = self.rows().horizon(space)?;
        let leaving = index(folded.changes - folded.before);
        let (leaving, staying) = nodes.split_at(leaving.min(nodes.len()));
        let last = leaving.last().map(|it| it.lsn).unwrap_or_default();
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
        let before = header.weight();
        let bytes: u64 = leaving.iter().map(|it| u64::from(it.size)).sum();
        header.folded = folded.changes;
        header.folded_bytes = header.folded_bytes.saturating_add(bytes);
        header.snapshot_bytes = wide(folded.document.len());
        let worth = header.snapshot_bytes.max(limits::FOLD_BYTES_MIN);
        header.fold_at = header.folded_bytes.saturating_add(worth);
        self.put_folded(slot, &header);
        let row = SnapshotRow {
            changes: folded.changes,
            document: folded.document,
        };
        self.batch.put(Table::Snapshots, slot.key(), row.encode());
        self.packed.forget(slot);
        Ok(Freed {
            changes: u64::from(folded.changes - folded.before),
            bytes: before.saturating_sub(header.weight()),
        })
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
        let second = self.rows().node_at(slot, header.folded.saturating_add(1))?;
        Ok(second.filter(|it| it.lsn <= floor).map(|_| key))
    }
}

fn count(nodes: &[Node]) -> u32 {
    u32::try_from(nodes.len()).unwrap_or(u32::MAX)
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn index(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

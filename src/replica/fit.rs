//! Whether a change fits its ancestors, as the gate finds them: by the graph, and by the bytes in the
//! log, or in the snapshot, of those changes that it refers to. No document is loaded.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::admit::OpenRecord;
use super::ancestry::{Ancestors, Made};
use super::graph::Graph;
use super::keys::Slot;
use super::quarantine::Reason;
use super::{Replica, read};
use crate::doc::Change;
use crate::doc::change::{Operations, Packed, fits};
use crate::error::Result;
use crate::id::ActorId;
use crate::limits;
use crate::store::Table;

/// Operations of changes that were looked into last. Only the engine's thread touches it.
#[derive(Debug, Default)]
pub(super) struct OperationsCache(RefCell<Cached>);

#[derive(Debug, Default)]
struct Cached {
    entries: BTreeMap<(Slot, u32), Operations>,
    weight: usize,
}

impl OperationsCache {
    fn get(&self, slot: Slot, position: u32) -> Option<Operations> {
        self.0.borrow().entries.get(&(slot, position)).cloned()
    }

    pub(super) fn put(&self, slot: Slot, position: u32, operations: &Operations) {
        let weight = operations.len() + 4;
        let mut cached = self.0.borrow_mut();
        if weight > limits::OPERATIONS_CACHE {
            return;
        }
        if cached.weight + weight > limits::OPERATIONS_CACHE {
            *cached = Cached::default();
        }
        cached.weight += weight;
        cached.entries.insert((slot, position), operations.clone());
    }

    /// Forgets those of a record whose changes have other positions now.
    pub(super) fn forget(&self, slot: Slot) {
        let mut cached = self.0.borrow_mut();
        let theirs = cached.entries.range((slot, 0)..=(slot, u32::MAX));
        let positions: Vec<_> = theirs.map(|it| *it.0).collect();
        for position in positions {
            let operations = cached.entries.remove(&position);
            cached.weight -= operations.map_or(0, |it| it.len() + 4);
        }
    }

    /// Forgets everything: positions may have been given up with a batch.
    pub(super) fn clear(&self) {
        *self.0.borrow_mut() = Cached::default();
    }
}

/// The operations of snapshots that were looked into last.
#[derive(Debug, Default)]
pub(super) struct PackedCache(RefCell<BTreeMap<Slot, Arc<Packed>>>);

impl PackedCache {
    fn get(&self, slot: Slot) -> Option<Arc<Packed>> {
        self.0.borrow().get(&slot).map(Arc::clone)
    }

    fn put(&self, slot: Slot, packed: &Arc<Packed>) {
        let mut cached = self.0.borrow_mut();
        let weight: usize = cached.values().map(|it| it.len() + 32).sum();
        if weight + packed.len() > limits::PACKED_CACHE {
            cached.clear();
        }
        cached.insert(slot, Arc::clone(packed));
    }

    /// Forgets those of a record whose snapshot is replaced.
    pub(super) fn forget(&self, slot: Slot) {
        self.0.borrow_mut().remove(&slot);
    }
}

impl Replica {
    /// Why a change does not fit its ancestors, if so.
    pub(super) fn misfit(
        &self,
        record: &OpenRecord,
        change: &Change,
        max_op: u64,
        ancestors: Option<&Ancestors<'_>>,
    ) -> Result<Option<Reason>> {
        let mut lookup = |actor: &ActorId, counter: u64| match ancestors {
            Some(ancestors) => self.operations_of(record, ancestors, (actor, counter)),
            None => Ok(None),
        };
        let verdict = fits(change, max_op, &mut lookup)?;
        Ok(verdict.err().map(|it| Reason::Misfit(it.to_string())))
    }

    /// The operations of the ancestor in which a writer made the operation of a number.
    fn operations_of(
        &self,
        record: &OpenRecord,
        ancestors: &Ancestors<'_>,
        (actor, counter): (&ActorId, u64),
    ) -> Result<Option<Operations>> {
        let actors = &record.header.actors;
        let index = actors.iter().position(|(it, _)| it == actor);
        let index = index.and_then(|it| u32::try_from(it).ok());
        let (position, node) = match index.and_then(|it| ancestors.operation(it, counter)) {
            Some(Made::In(position, node)) => (position, node),
            Some(Made::Folded) => {
                return Ok(self.packed_of(record.slot)?.operation(actor, counter));
            }
            None => return Ok(None),
        };
        if let Some(operations) = self.operations.get(record.slot, position) {
            return Ok(Some(operations));
        }
        let Some(space) = self.catalog.number(record.key.space, None) else {
            return Ok(None);
        };
        let operations = match self.rows().log_row(space, node.lsn)? {
            Some(row) => Operations::of_stored(&row.bytes)
                .map_err(|fault| read::damaged(Table::Log, &fault))?,
            None if position < record.header.folded => {
                let first = node
                    .max_op
                    .saturating_add(1)
                    .saturating_sub(node.ops.into());
                self.packed_of(record.slot)?
                    .operations(actor, (first, node.max_op))
            }
            None => {
                let missing = format!("change {} is missing", node.lsn);
                return Err(read::damaged(Table::Log, &missing));
            }
        };
        self.operations.put(record.slot, position, &operations);
        Ok(Some(operations))
    }

    /// The operations in a record's snapshot, read from its bytes: no document is loaded.
    fn packed_of(&self, slot: Slot) -> Result<Arc<Packed>> {
        if let Some(packed) = self.packed.get(slot) {
            return Ok(packed);
        }
        let row = self.rows().snapshot_of(slot)?;
        let missing = || read::damaged(Table::Snapshots, &"a snapshot is missing");
        let document = row.ok_or_else(missing)?.document;
        let packed =
            Packed::read(&document).map_err(|fault| read::damaged(Table::Snapshots, &fault))?;
        let packed = Arc::new(packed);
        self.packed.put(slot, &packed);
        Ok(packed)
    }
}

/// The ancestors of a change with these parents, if they can be told without the whole graph.
pub(super) fn ancestors<'a>(
    graph: &'a Graph,
    record: &OpenRecord,
    parents: &[u32],
) -> Option<Ancestors<'a>> {
    graph.ancestors(record.header.heads.iter().map(|it| it.position), parents)
}

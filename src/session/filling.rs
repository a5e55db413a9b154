//! A frame of changes while it is being filled.

use std::collections::BTreeMap;

use crate::id::{CorrelationId, RecordKey};
use crate::limits;
use crate::reconcile::LogEntry;
use crate::wire::ChangeGroup;

/// A frame of changes while it is being filled.
#[derive(Debug)]
pub(super) struct Filling {
    pub groups: Vec<ChangeGroup>,
    /// Where the group of a record is that can still take changes.
    open: BTreeMap<RecordKey, usize>,
    bytes: usize,
}

impl Filling {
    pub(super) const fn new() -> Self {
        Self {
            groups: Vec::new(),
            open: BTreeMap::new(),
            bytes: 0,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= limits::FRAME_BYTES_TARGET
            || self.groups.len() >= limits::GROUPS_PER_FRAME_FILL
    }

    pub(super) fn push(&mut self, entry: LogEntry, correlation: CorrelationId) {
        self.bytes += entry.bytes.len() + limits::GROUP_OVERHEAD_BYTES;
        let at = self.open.get(&entry.key).copied();
        let group = at.and_then(|it| self.groups.get_mut(it));
        if let Some(group) = group.filter(|it| it.correlation == correlation) {
            group.changes.push(entry.bytes);
            return;
        }
        self.open.insert(entry.key.clone(), self.groups.len());
        self.groups.push(ChangeGroup {
            collection: entry.key.collection,
            record: entry.key.record,
            correlation,
            done: false,
            changes: vec![entry.bytes],
        });
    }

    /// Marks that all changes of the record that are to come have come.
    pub(super) fn done(&mut self, key: &RecordKey) {
        let at = self.open.remove(key);
        if let Some(group) = at.and_then(|it| self.groups.get_mut(it)) {
            group.done = true;
            return;
        }
        self.bytes += limits::GROUP_OVERHEAD_BYTES;
        self.groups.push(ChangeGroup {
            collection: key.collection.clone(),
            record: key.record,
            correlation: CorrelationId::default(),
            done: true,
            changes: Vec::new(),
        });
    }
}

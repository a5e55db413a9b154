//! A frame of changes while it is being filled.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::id::{CorrelationId, RecordKey};
use crate::limits;
use crate::reconcile::{LogEntry, Snapshot};
use crate::wire::ChangeGroup;

/// A frame of changes while it is being filled.
#[derive(Debug)]
pub(super) struct Filling {
    pub groups: Vec<ChangeGroup>,
    /// Where the group of a record is that can still take changes.
    open: BTreeMap<RecordKey, usize>,
    bytes: usize,
    /// Changes in the snapshots that are among them.
    folded: u64,
}

impl Filling {
    pub(super) const fn new() -> Self {
        Self {
            groups: Vec::new(),
            open: BTreeMap::new(),
            bytes: 0,
            folded: 0,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= limits::FRAME_BYTES_TARGET
            || self.groups.len() >= limits::GROUPS_PER_FRAME_FILL
            || self.folded >= limits::SNAPSHOT_CHANGES_TARGET
    }

    pub(super) fn push(&mut self, entry: LogEntry, correlation: CorrelationId) {
        self.add(&entry.key, entry.bytes, correlation);
    }

    /// A record's document in place of the changes in it.
    pub(super) fn snapshot(&mut self, key: &RecordKey, snapshot: Snapshot) {
        self.folded += u64::from(snapshot.changes);
        self.add(key, snapshot.document, CorrelationId::default());
    }

    fn add(&mut self, key: &RecordKey, bytes: Bytes, correlation: CorrelationId) {
        self.bytes += bytes.len() + limits::GROUP_OVERHEAD_BYTES;
        let at = self.open.get(key).copied();
        let group = at.and_then(|it| self.groups.get_mut(it));
        if let Some(group) = group.filter(|it| it.correlation == correlation) {
            group.changes.push(bytes);
            return;
        }
        self.open.insert(key.clone(), self.groups.len());
        self.groups.push(ChangeGroup {
            collection: key.collection.clone(),
            record: key.record,
            correlation,
            done: false,
            changes: vec![bytes],
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

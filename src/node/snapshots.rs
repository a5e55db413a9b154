//! Snapshots for reads. Opening one, and its tables, takes longer than reading a record, so they are
//! used again until something is committed.

use std::sync::{Arc, Mutex};

use super::shared::lock;
use super::tasks::Running;
use crate::limits;
use crate::store::{KeyRange, Order, Snapshot, Store, StoreError, Table, Visit};

/// Snapshots of what is committed now that nobody reads at the moment.
#[derive(Debug, Default)]
pub(super) struct Snapshots(Mutex<Idle>);

#[derive(Debug, Default)]
struct Idle {
    /// Grows with every commit.
    commit: u64,
    snapshots: Vec<Box<dyn Snapshot>>,
}

impl Snapshots {
    /// What is committed now.
    pub(super) fn read(
        self: &Arc<Self>,
        store: &dyn Store,
        running: Running,
    ) -> Result<Reading, StoreError> {
        let (commit, idle) = {
            let mut idle = lock(&self.0);
            (idle.commit, idle.snapshots.pop())
        };
        let snapshot = match idle {
            Some(snapshot) => snapshot,
            None => store.snapshot()?,
        };
        Ok(Reading {
            snapshot,
            commit,
            home: Arc::clone(self),
            _running: running,
        })
    }

    /// Forgets them: something was committed, and nobody was told yet. They would keep the store from
    /// using old pages again, too.
    pub(super) fn renew(&self) {
        let idle = {
            let mut idle = lock(&self.0);
            idle.commit += 1;
            std::mem::take(&mut idle.snapshots)
        };
        drop(idle);
    }
}

/// A snapshot. It keeps the store open, so a shutdown waits for it.
#[derive(Debug)]
pub(super) struct Reading {
    /// Given back before `_running` is dropped: once nothing is running, the store is closed.
    snapshot: Box<dyn Snapshot>,
    commit: u64,
    home: Arc<Snapshots>,
    _running: Running,
}

impl AsRef<dyn Snapshot> for Reading {
    fn as_ref(&self) -> &(dyn Snapshot + 'static) {
        self.snapshot.as_ref()
    }
}

/// Stands in the place of a snapshot that was given back.
#[derive(Debug)]
struct Nothing;

impl Snapshot for Nothing {
    fn get(&self, _: Table, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn scan(
        &self,
        _: Table,
        _: KeyRange<'_>,
        _: Order,
        _: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let snapshot = std::mem::replace(&mut self.snapshot, Box::new(Nothing));
        let mut idle = lock(&self.home.0);
        if idle.commit == self.commit && idle.snapshots.len() < limits::IDLE_SNAPSHOTS_MAX {
            idle.snapshots.push(snapshot);
        }
    }
}

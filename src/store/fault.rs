//! A store whose commits and reads fail where a test says so.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, Durability, KeyRange, Order, Snapshot, Store, StoreError, Table, Visit};

/// How a commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// It reports an error and nothing was written.
    Lost,
    /// It reports an error although all was written: the write happened, its confirmation did not.
    Unconfirmed,
    /// It reports that the disk is full; nothing was written.
    DiskFull,
}

/// A store that passes everything to another one, except for the faults that it was told.
///
/// After a failed commit all later ones fail with [`StoreError::Failed`], as the contract of
/// [`Store`] asks, until [`FaultStore::reopen`]. Counts begin at 1. Commits of nothing that
/// need no sync are not counted, as stores don't write them.
///
/// ```
/// use syncline::store::{Batch, CommitFault, Durability, FaultStore, MemoryStore, Store, Table};
/// let store = FaultStore::new(MemoryStore::new());
/// store.fail_commit(2, CommitFault::DiskFull);
/// let mut batch = Batch::default();
/// batch.put(Table::Log, vec![1], vec![2]);
/// assert!(store.commit(&batch, Durability::Immediate).is_ok());
/// assert!(store.commit(&batch, Durability::Immediate).is_err());
/// assert_eq!(store.commits(), 2);
/// ```
pub struct FaultStore<S> {
    inner: S,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    commit_faults: BTreeMap<u64, CommitFault>,
    read_faults: BTreeMap<u64, io::ErrorKind>,
    commits: u64,
    reads: u64,
    syncs: u64,
    relaxed: bool,
    failed: bool,
}

impl<S> FaultStore<S> {
    /// Wraps `inner`; nothing fails until told.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            plan: Arc::default(),
        }
    }

    /// Lets the commit of this number fail.
    pub fn fail_commit(&self, number: u64, fault: CommitFault) {
        lock(&self.plan).commit_faults.insert(number, fault);
    }

    /// Lets the `get` or `scan` of this number, counted over all snapshots, fail with `kind`.
    pub fn fail_read(&self, number: u64, kind: io::ErrorKind) {
        lock(&self.plan).read_faults.insert(number, kind);
    }

    /// Takes commits again after a failed one, as if the store had been closed and opened. Faults
    /// that lie ahead remain.
    pub fn reopen(&self) {
        lock(&self.plan).failed = false;
    }

    /// Commits tried so far, those refused because of an earlier failure left aside.
    pub fn commits(&self) -> u64 {
        lock(&self.plan).commits
    }

    /// `get` and `scan` calls so far.
    pub fn reads(&self) -> u64 {
        lock(&self.plan).reads
    }

    /// Syncs that the durability of successful commits asked for: one each, two if paranoid, none
    /// if relaxed.
    pub fn syncs(&self) -> u64 {
        lock(&self.plan).syncs
    }

    /// The store below.
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    /// The store below, without faults.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// Nothing panics while the plan is locked.
fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

fn place() -> String {
    "the fault-injecting store".to_owned()
}

impl Plan {
    /// Counts one commit and says how it fails, if it does.
    fn next_commit(&mut self) -> Result<Option<CommitFault>, StoreError> {
        if self.failed {
            return Err(StoreError::Failed { place: place() });
        }
        self.commits += 1;
        Ok(self.commit_faults.remove(&self.commits))
    }

    fn next_read(&mut self) -> Result<(), StoreError> {
        self.reads += 1;
        let Some(kind) = self.read_faults.remove(&self.reads) else {
            return Ok(());
        };
        Err(StoreError::Io {
            place: place(),
            doing: "reading",
            source: kind.into(),
        })
    }

    fn committed(&mut self, durability: Durability) {
        self.syncs += match durability {
            Durability::Immediate => 1,
            Durability::Paranoid => 2,
            Durability::Relaxed => 0,
        };
        self.relaxed = durability == Durability::Relaxed;
    }
}

impl<S: Store> Store for FaultStore<S> {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let inner = self.inner.snapshot()?;
        let plan = Arc::clone(&self.plan);
        Ok(Box::new(FaultSnapshot { inner, plan }))
    }

    fn commit(&self, batch: &Batch, durability: Durability) -> Result<(), StoreError> {
        let mut plan = lock(&self.plan);
        let flush = plan.relaxed && durability != Durability::Relaxed;
        if batch.is_empty() && !flush && !plan.failed {
            // Nothing to write and so nothing that could fail.
            return Ok(());
        }
        let fault = plan.next_commit()?;
        let done = match fault {
            None => self.inner.commit(batch, durability),
            Some(CommitFault::DiskFull) => Err(StoreError::DiskFull { place: place() }),
            Some(CommitFault::Lost) => Err(unwritten()),
            Some(CommitFault::Unconfirmed) => self
                .inner
                .commit(batch, durability)
                .and_then(|()| Err(unwritten())),
        };
        match done {
            Ok(()) => plan.committed(durability),
            Err(_) => plan.failed = true,
        }
        done
    }

    fn settle(&self) -> Result<(), StoreError> {
        self.commit(&Batch::default(), Durability::Immediate)?;
        self.inner.settle()
    }

    fn size_bytes(&self) -> Option<u64> {
        self.inner.size_bytes()
    }
}

fn unwritten() -> StoreError {
    StoreError::Io {
        place: place(),
        doing: "committing",
        source: io::Error::other("a fault was asked for"),
    }
}

impl<S: fmt::Debug> fmt::Debug for FaultStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultStore")
            .field("inner", &self.inner)
            .field("plan", &*lock(&self.plan))
            .finish()
    }
}

#[derive(Debug)]
struct FaultSnapshot {
    inner: Box<dyn Snapshot>,
    plan: Arc<Mutex<Plan>>,
}

impl Snapshot for FaultSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        lock(&self.plan).next_read()?;
        self.inner.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        lock(&self.plan).next_read()?;
        self.inner.scan(table, range, order, visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    crate::store_conformance!(without_faults, || FaultStore::new(MemoryStore::new()));

    fn batch(key: u8) -> Batch {
        let mut batch = Batch::default();
        batch.put(Table::Log, vec![key], vec![key]);
        batch
    }

    fn holds(store: &dyn Store, key: u8) -> bool {
        let snapshot = store.snapshot().unwrap();
        snapshot.get(Table::Log, &[key]).unwrap().is_some()
    }

    #[test]
    fn a_lost_commit_writes_nothing_and_stops_later_ones_until_reopened() {
        let store = FaultStore::new(MemoryStore::new());
        store.fail_commit(2, CommitFault::Lost);
        store.commit(&batch(1), Durability::Immediate).unwrap();
        store.commit(&batch(2), Durability::Immediate).unwrap_err();
        let commit = |batch: &Batch| store.commit(batch, Durability::Relaxed);
        for later in [commit(&batch(3)), commit(&Batch::default()), store.settle()] {
            let error = later.unwrap_err();
            assert!(matches!(error, StoreError::Failed { .. }), "{error:?}");
        }
        assert_eq!(
            [1, 2, 3].map(|key| holds(&store, key)),
            [true, false, false]
        );
        store.reopen();
        store.commit(&batch(3), Durability::Immediate).unwrap();
        assert!(holds(&store, 3));
        assert_eq!(store.commits(), 3);
    }

    #[test]
    fn an_unconfirmed_commit_is_there_although_it_failed() {
        let store = FaultStore::new(MemoryStore::new());
        store.fail_commit(1, CommitFault::Unconfirmed);
        store.commit(&batch(1), Durability::Immediate).unwrap_err();
        assert!(holds(&store, 1));
    }

    #[test]
    fn a_full_disk_is_reported_as_such() {
        let store = FaultStore::new(MemoryStore::new());
        store.fail_commit(1, CommitFault::DiskFull);
        let error = store.commit(&batch(1), Durability::Immediate).unwrap_err();
        assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
        assert!(!holds(&store, 1));
    }

    #[test]
    fn the_chosen_read_fails_and_the_next_succeeds() {
        let store = FaultStore::new(MemoryStore::new());
        store.fail_read(2, io::ErrorKind::TimedOut);
        let snapshot = store.snapshot().unwrap();
        let read = || snapshot.get(Table::Log, &[1]);
        assert!(read().is_ok());
        assert!(matches!(read(), Err(StoreError::Io { .. })));
        assert!(read().is_ok());
        assert_eq!(store.reads(), 3);
    }

    #[test]
    fn syncs_are_counted_by_durability() {
        let store = FaultStore::new(MemoryStore::new());
        let commits = [
            (batch(1), Durability::Immediate, 1),
            (batch(2), Durability::Paranoid, 3),
            (Batch::default(), Durability::Immediate, 3),
            (batch(3), Durability::Relaxed, 3),
            (Batch::default(), Durability::Immediate, 4),
            (Batch::default(), Durability::Immediate, 4),
        ];
        for (batch, durability, syncs) in commits {
            store.commit(&batch, durability).unwrap();
            assert_eq!(store.syncs(), syncs);
        }
    }
}

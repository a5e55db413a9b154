//! The default store: one redb file, one process.
//!
//! The only module that names redb. Its [`StorageBackend`] is the one
//! foreign type in a public signature: it is where tests put a disk of their own.

#[cfg(any(test, feature = "sim"))]
mod disk;
mod open;
mod place;
mod shield;
mod snapshot;

#[cfg(test)]
mod crash;
#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "sim"))]
pub use self::disk::CrashDisk;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use ::redb::{
    CompactionError, Database, ReadTransaction, ReadableDatabase, StorageBackend, TableDefinition,
    WriteTransaction,
};

use self::place::Place;
use self::shield::Note;
use self::snapshot::RedbSnapshot;
use super::{Batch, Durability, Snapshot, Store, StoreError, Table, Write};
use crate::limits;
use crate::plant::{self, Plant};

/// Newest store format that this program writes and reads; the row `format` of [`Table::Meta`].
pub const FORMAT: u64 = 1;

/// Key of the row in [`Table::Meta`] that holds the store format, eight bytes, big-endian.
pub const FORMAT_KEY: &[u8] = b"format";

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

const fn definition(table: Table) -> Definition {
    TableDefinition::new(table.name())
}

/// How a [`RedbStore`] is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedbOptions {
    /// Memory for pages of the file, in bytes. Default [`limits::STORE_CACHE_BYTES`].
    pub cache_bytes: usize,
    /// Makes every durable commit one after which a killed process reopens at once, at the price
    /// of a second sync. Default off: only [`Store::settle`] and [`Durability::Paranoid`] do.
    pub quick_reopen: bool,
    /// Checks every page of the file while opening, which reads all of it. Default off.
    pub verify: bool,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self {
            cache_bytes: limits::STORE_CACHE_BYTES,
            quick_reopen: false,
            verify: false,
        }
    }
}

/// A store in one redb file.
///
/// Closing happens on drop: it makes relaxed commits durable and invalidates snapshots that are
/// still alive ([`StoreError::Closed`]). [`RedbStore::close`] does the same and reports errors.
///
/// Opening costs the same whatever the file holds if it was closed, or if its process died after
/// [`Store::settle`]. If the process died in the middle of work, opening reads the whole file
/// once, see `docs/storage.md`.
///
/// After a failed write, snapshots show what was committed before it, until the store is opened
/// again; nothing more is written to the file.
///
/// redb panics on some kinds of damage. Such a panic is caught and becomes
/// [`StoreError::Corrupt`], unless the program is built with `panic = "abort"`.
#[derive(Debug)]
pub struct RedbStore {
    database: Database,
    note: Arc<Note>,
    /// What was committed before a write failed: all that snapshots show from then on.
    before_failure: OnceLock<Arc<ReadTransaction>>,
    place: Arc<Place>,
    path: Option<PathBuf>,
    quick_reopen: bool,
    /// A write failed; this handle writes no more.
    failed: AtomicBool,
    /// Relaxed commits wait for a durable one.
    relaxed: AtomicBool,
    /// Something was committed since a killed process could last be reopened at once.
    unsettled: AtomicBool,
}

impl RedbStore {
    /// Opens the store in the file at `path`, or creates it there.
    ///
    /// # Errors
    /// - [`StoreError::Locked`] if it is open in another process or by another handle;
    /// - [`StoreError::Foreign`] if something else than a store is there, which is left as it is;
    /// - [`StoreError::TooNew`] if a later version wrote it;
    /// - [`StoreError::Corrupt`] if it is damaged;
    /// - [`StoreError::ReadOnly`] if it, or the folder it is to be created in, can't be written;
    /// - [`StoreError::DiskFull`] and [`StoreError::Io`], the latter also for a missing folder.
    pub fn open(path: impl AsRef<Path>, options: RedbOptions) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let place = Arc::new(Place::new(path.display().to_string()));
        let opened = open::file(&place, path, &options)?;
        let mut store = Self::new(opened, place, &options);
        store.path = Some(path.to_path_buf());
        Ok(store)
    }

    /// Opens the store that `backend` holds, or creates it there if `backend` is empty. Errors
    /// call it `name`.
    ///
    /// Meant for fault injection and for bytes that are not in a file. The caller makes sure that
    /// nobody else opens the same bytes, unless `backend` implements redb's lock methods.
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    pub fn with_backend(
        name: impl Into<String>,
        backend: impl StorageBackend,
        options: RedbOptions,
    ) -> Result<Self, StoreError> {
        let place = Arc::new(Place::new(name.into()));
        let opened = open::backend(&place, backend, &options)?;
        Ok(Self::new(opened, place, &options))
    }

    fn new(opened: (Database, Arc<Note>), place: Arc<Place>, options: &RedbOptions) -> Self {
        let (database, note) = opened;
        Self {
            database,
            note,
            before_failure: OnceLock::new(),
            place,
            path: None,
            quick_reopen: options.quick_reopen,
            failed: AtomicBool::new(false),
            relaxed: AtomicBool::new(false),
            unsettled: AtomicBool::new(true),
        }
    }

    /// Moves rows together and gives free space back to the file system. Returns whether anything
    /// could be moved. Takes seconds for a file of a gigabyte; needs all snapshots dropped.
    ///
    /// # Errors
    /// [`StoreError::Io`] with [`ResourceBusy`](std::io::ErrorKind::ResourceBusy) while a snapshot
    /// is alive; else as [`Store::commit`].
    pub fn compact(&mut self) -> Result<bool, StoreError> {
        self.writable()?;
        let moved = self.alone("compacting", |database| match database.compact() {
            Ok(moved) => Ok(Some(moved)),
            Err(CompactionError::TransactionInProgress) => Ok(None),
            Err(error) => Err(error.into()),
        })?;
        moved.ok_or_else(|| StoreError::Io {
            place: self.place.to_string(),
            doing: "compacting while a snapshot is alive",
            source: std::io::ErrorKind::ResourceBusy.into(),
        })
    }

    /// Checks every page of the file against its checksum and repairs what redb can repair.
    /// Returns whether all was well. Reads the whole file; needs all snapshots dropped.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if there is damage that can't be repaired; else as
    /// [`Store::commit`].
    pub fn verify(&mut self) -> Result<bool, StoreError> {
        self.writable()?;
        self.alone("verifying", |database| Ok(database.check_integrity()?))
    }

    fn alone<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&mut Database) -> Result<T, ::redb::Error>,
    ) -> Result<T, StoreError> {
        let Self {
            database, place, ..
        } = self;
        self.note.arm(false);
        let done = place.guard(doing, || work(database));
        self.note.arm(true);
        self.failed.store(done.is_err(), Ordering::Release);
        done
    }

    /// Closes the store, making relaxed commits durable.
    ///
    /// # Errors
    /// When that could not be done, or an earlier write had failed.
    pub fn close(self) -> Result<(), StoreError> {
        self.writable()?;
        let Self {
            database,
            place,
            note,
            ..
        } = self;
        place.guard("closing", || Ok(database.close()?))?;
        note.take()
            .map_or(Ok(()), |error| Err(place.io("closing", error)))
    }

    fn writable(&self) -> Result<(), StoreError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(self.place.failed());
        }
        Ok(())
    }

    /// Writes `batch` in one transaction; `quick` leaves the file so that it reopens at once.
    fn write(&self, batch: &Batch, durability: Durability, quick: bool) -> Result<(), StoreError> {
        let before = self.begin_read()?;
        let written = self.place.guard("committing", || {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(match durability {
                _ if plant::is_planted(Plant::SkipSync) => ::redb::Durability::None,
                Durability::Immediate | Durability::Paranoid => ::redb::Durability::Immediate,
                Durability::Relaxed => ::redb::Durability::None,
            })?;
            transaction.set_two_phase_commit(durability == Durability::Paranoid);
            transaction.set_quick_repair(quick);
            fill(&transaction, batch)?;
            Ok(transaction.commit()?)
        });
        let noted = self.note.take();
        let written = noted.map_or(written, |error| Err(self.place.io("committing", error)));
        if plant::is_planted(Plant::SwallowDiskFull)
            && matches!(written, Err(StoreError::DiskFull { .. }))
        {
            return Ok(());
        }
        if written.is_err() {
            self.before_failure.get_or_init(|| Arc::new(before));
            self.failed.store(true, Ordering::Release);
        } else {
            let relaxed = durability == Durability::Relaxed;
            self.relaxed.store(relaxed, Ordering::Release);
            self.unsettled.store(!quick, Ordering::Release);
        }
        written
    }

    fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        self.place
            .guard("reading", || Ok(self.database.begin_read()?))
    }
}

fn fill(transaction: &WriteTransaction, batch: &Batch) -> Result<(), ::redb::Error> {
    for (table, writes) in batch.tables() {
        let mut rows = transaction.open_table(definition(table))?;
        for (key, write) in writes {
            match write {
                Write::Put(value) => rows.insert(key, value)?,
                Write::Remove => rows.remove(key)?,
            };
        }
    }
    Ok(())
}

impl Store for RedbStore {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let transaction = match self.before_failure.get() {
            Some(transaction) => Arc::clone(transaction),
            None => Arc::new(self.begin_read()?),
        };
        let place = Arc::clone(&self.place);
        Ok(Box::new(RedbSnapshot::new(transaction, place)))
    }

    fn commit(&self, batch: &Batch, durability: Durability) -> Result<(), StoreError> {
        self.writable()?;
        let durable = durability != Durability::Relaxed;
        let flush = durable && self.relaxed.load(Ordering::Acquire);
        if batch.is_empty() && !flush {
            return Ok(());
        }
        let quick = durable && (self.quick_reopen || durability == Durability::Paranoid);
        self.write(batch, durability, quick)
    }

    fn settle(&self) -> Result<(), StoreError> {
        self.writable()?;
        if self.unsettled.load(Ordering::Acquire) {
            self.write(&Batch::default(), Durability::Immediate, true)?;
        }
        Ok(())
    }

    fn size_bytes(&self) -> Option<u64> {
        let path = self.path.as_deref()?;
        std::fs::metadata(path).ok().map(|file| file.len())
    }
}

//! A disk in memory that loses, tears and refuses as real ones do, for [`RedbStore::with_backend`].
//!
//! [`RedbStore::with_backend`]: super::RedbStore::with_backend

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::redb::StorageBackend;

use crate::entropy::Entropy;

/// What a disk writes whole or not at all, in bytes.
const SECTOR_BYTES: usize = 512;

/// A disk that keeps apart what was synced from what is only written.
///
/// Reads see what was written. After a crash only what was synced is certain: of every later write
/// and resize, all, nothing, or some sectors may be there ([`CrashDisk::image_after_crash`]). A
/// process that dies takes nothing with it ([`CrashDisk::image`]). Handles share one disk, so that a
/// test can look at it, and trouble it, while a store is open on it.
///
/// ```
/// use syncline::entropy::Entropy;
/// use syncline::store::redb::CrashDisk;
/// use syncline::store::{Batch, Durability, RedbOptions, RedbStore, Store, Table};
///
/// let disk = CrashDisk::new();
/// let store = RedbStore::with_backend("a disk", disk.clone(), RedbOptions::default())?;
/// let mut batch = Batch::default();
/// batch.put(Table::Log, vec![1], vec![2]);
/// store.commit(&batch, Durability::Immediate)?;
/// disk.cut_power_after(1); // the next commit gets one write done
/// assert!(store.commit(&batch, Durability::Immediate).is_err());
/// drop(store);
///
/// let image = disk.image_after_crash(&mut Entropy::from_number(7));
/// let disk = CrashDisk::with_image(image);
/// let store = RedbStore::with_backend("a disk", disk, RedbOptions::default())?;
/// assert_eq!(store.snapshot()?.get(Table::Log, &[1])?, Some(vec![2]));
/// # Ok::<(), syncline::store::StoreError>(())
/// ```
#[derive(Clone, Default)]
pub struct CrashDisk(Arc<Mutex<Platters>>);

#[derive(Default)]
struct Platters {
    /// What reads see.
    live: Vec<u8>,
    /// What has survived for certain.
    synced: Vec<u8>,
    /// What was done since the last sync, in order.
    unsynced: Vec<Change>,
    /// Writes, resizes and syncs that still succeed; the power is cut at the next one.
    left: Option<u64>,
    /// Reads that still succeed; the next one fails, and those after it succeed.
    reads_left: Option<u64>,
    /// Largest size; growing beyond it fails.
    capacity_bytes: Option<u64>,
    operations: u64,
    syncs: u64,
}

enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

impl CrashDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk that holds these bytes, all of them synced.
    pub fn with_image(image: Vec<u8>) -> Self {
        let disk = Self::default();
        {
            let mut platters = disk.platters();
            platters.synced.clone_from(&image);
            platters.live = image;
        }
        disk
    }

    fn platters(&self) -> MutexGuard<'_, Platters> {
        // Nothing panics half way through a change of it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets so many writes, resizes and syncs succeed, and none after that.
    pub fn cut_power_after(&self, operations: u64) {
        self.platters().left = Some(operations);
    }

    /// Takes back what [`CrashDisk::cut_power_after`] said, unless it has happened.
    pub fn keep_power(&self) {
        let mut platters = self.platters();
        if platters.left != Some(0) {
            platters.left = None;
        }
    }

    /// Whether the power is cut: nothing can be written any more.
    pub fn is_dead(&self) -> bool {
        self.platters().left == Some(0)
    }

    /// Lets so many reads succeed; the one after fails, and later ones succeed again.
    pub fn fail_read_after(&self, reads: u64) {
        self.platters().reads_left = Some(reads);
    }

    /// Bounds the disk's size: growing beyond it fails as a full disk does. `None` for no bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.platters().capacity_bytes = bytes;
    }

    /// Writes, resizes and syncs so far.
    pub fn operations(&self) -> u64 {
        self.platters().operations
    }

    /// Syncs so far.
    pub fn syncs(&self) -> u64 {
        self.platters().syncs
    }

    /// Size as reads see it.
    pub fn size_bytes(&self) -> usize {
        self.platters().live.len()
    }

    /// Bytes written since the last sync.
    pub fn unsynced_bytes(&self) -> usize {
        let platters = self.platters();
        let bytes = platters.unsynced.iter().map(|it| match it {
            Change::Write(_, data) => data.len(),
            Change::Resize(_) => 0,
        });
        bytes.sum()
    }

    /// What is found after a process died: all that it wrote.
    pub fn image(&self) -> Vec<u8> {
        self.platters().live.clone()
    }

    /// What is found after a power cut: each write since the last sync is there, lost, or there in
    /// some of its sectors.
    pub fn image_after_crash(&self, entropy: &mut Entropy) -> Vec<u8> {
        let platters = self.platters();
        let mut bytes = platters.synced.clone();
        for change in &platters.unsynced {
            let kept = entropy.below(3);
            match change {
                _ if kept == 0 => {}
                Change::Resize(len) => bytes.resize(*len, 0),
                Change::Write(offset, data) if kept == 1 => write(&mut bytes, *offset, data),
                Change::Write(offset, data) => tear(&mut bytes, *offset, data, entropy),
            }
        }
        bytes
    }
}

/// Writes what lies within the file; the rest is lost with the resize that would have made room.
fn write(bytes: &mut [u8], offset: usize, data: &[u8]) {
    let room = bytes.get_mut(offset..).unwrap_or_default();
    for (to, from) in room.iter_mut().zip(data) {
        *to = *from;
    }
}

/// Writes a random half of the sectors.
fn tear(bytes: &mut [u8], offset: usize, data: &[u8], entropy: &mut Entropy) {
    let offsets = (offset..).step_by(SECTOR_BYTES);
    for (offset, sector) in offsets.zip(data.chunks(SECTOR_BYTES)) {
        if entropy.below(2) == 0 {
            write(bytes, offset, sector);
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => write(bytes, *offset, data),
            Self::Resize(len) => bytes.resize(*len, 0),
        }
    }
}

impl Platters {
    fn change(&mut self, change: Change) -> io::Result<()> {
        self.step()?;
        if let (Change::Resize(len), Some(capacity)) = (&change, self.capacity_bytes)
            && *len > self.live.len()
            && u64::try_from(*len).is_ok_and(|it| it > capacity)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        change.apply(&mut self.live);
        self.unsynced.push(change);
        Ok(())
    }

    fn step(&mut self) -> io::Result<()> {
        match &mut self.left {
            Some(0) => return Err(io::Error::other("the power is cut")),
            Some(left) => *left -= 1,
            None => {}
        }
        self.operations += 1;
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        match &mut self.reads_left {
            Some(0) => {
                self.reads_left = None;
                Err(io::Error::other("the disk can't read a sector"))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl StorageBackend for CrashDisk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(wide(self.platters().live.len()))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let mut platters = self.platters();
        platters.read()?;
        let start = narrow(offset)?;
        let bytes = platters.live.get(start..start.saturating_add(out.len()));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let len = narrow(len)?;
        self.platters().change(Change::Resize(len))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut platters = self.platters();
        platters.step()?;
        platters.syncs += 1;
        let Platters {
            synced, unsynced, ..
        } = &mut *platters;
        for change in unsynced.drain(..) {
            change.apply(synced);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let offset = narrow(offset)?;
        self.platters().change(Change::Write(offset, data.to_vec()))
    }
}

fn narrow(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(|_wider_than_memory| io::ErrorKind::FileTooLarge.into())
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl fmt::Debug for CrashDisk {
    /// Shows sizes, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let platters = self.platters();
        f.debug_struct("CrashDisk")
            .field("bytes", &platters.live.len())
            .field("unsynced", &platters.unsynced.len())
            .field("operations", &platters.operations)
            .finish_non_exhaustive()
    }
}

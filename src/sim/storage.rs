//! Where a simulated host keeps its store: one that was given, or a redb file on a disk that can
//! lose power, fill up and fail.

use std::sync::Arc;

use crate::entropy::Entropy;
use crate::error::Result;
use crate::replica;
use crate::store::redb::CrashDisk;
use crate::store::{MemoryStore, RedbOptions, RedbStore, Store};

/// Where a host keeps its store.
#[derive(Debug)]
pub enum Storage {
    /// A store that outlives its host's crashes as it is.
    Store(Arc<dyn Store>),
    /// A redb file on this disk, opened anew at each start.
    Disk(CrashDisk),
}

impl Storage {
    /// An empty store in memory.
    pub fn memory() -> Self {
        Self::Store(Arc::new(MemoryStore::new()))
    }

    /// A redb file on an empty disk.
    pub fn disk() -> Self {
        Self::Disk(CrashDisk::new())
    }

    /// The disk, if there is one.
    pub const fn as_disk(&self) -> Option<&CrashDisk> {
        match self {
            Self::Store(_) => None,
            Self::Disk(disk) => Some(disk),
        }
    }

    /// Bytes that the store takes.
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Store(store) => store.size_bytes().unwrap_or(0),
            Self::Disk(disk) => u64::try_from(disk.size_bytes()).unwrap_or(u64::MAX),
        }
    }

    pub(super) fn open(&self, entropy: &mut Entropy) -> Result<Arc<dyn Store>> {
        match self {
            Self::Store(store) => Ok(Arc::clone(store)),
            Self::Disk(disk) => {
                let options = RedbOptions {
                    // Too small a cache makes redb write pages before a commit ends.
                    cache_bytes: if entropy.below(4) == 0 { 0 } else { 1 << 20 },
                    quick_reopen: entropy.below(4) == 0,
                    verify: false,
                };
                Ok(Arc::new(RedbStore::with_backend(
                    "a simulated disk",
                    disk.clone(),
                    options,
                )?))
            }
        }
    }

    /// The process on it is gone: what it wrote stays, and closing the store writes nothing more.
    pub(super) fn leave(&mut self, store: Arc<dyn Store>, process: impl FnOnce()) {
        if let Self::Disk(disk) = self {
            let next = CrashDisk::with_image(disk.image());
            disk.cut_power_after(0);
            process();
            drop(store);
            *disk = next;
        } else {
            process();
        }
    }

    /// Whether its disk has lost power.
    pub(super) fn is_dead(&self) -> bool {
        self.as_disk().is_some_and(CrashDisk::is_dead)
    }

    /// What a power cut leaves of it; says how many bytes had not been synced.
    pub(super) fn lose_power(&mut self, entropy: &mut Entropy) -> usize {
        let Self::Disk(disk) = self else {
            return 0;
        };
        disk.cut_power_after(0);
        let unsynced = disk.unsynced_bytes();
        *disk = CrashDisk::with_image(disk.image_after_crash(entropy));
        unsynced
    }

    /// A copy of it as it is now, to be restored later. None where there is no disk to copy.
    pub(super) fn copy(&self) -> Option<Vec<u8>> {
        self.as_disk().map(CrashDisk::image)
    }

    /// Puts a backup in its place, which begins a new life.
    pub(super) fn restore(&mut self, image: Vec<u8>, entropy: &mut Entropy) -> Result<()> {
        let restored = Self::Disk(CrashDisk::with_image(image));
        let store = restored.open(entropy)?;
        replica::begin_new_life(store.as_ref(), entropy)?;
        drop(store);
        *self = restored;
        Ok(())
    }

    /// Loses everything.
    pub(super) fn wipe(&mut self) {
        *self = match self {
            Self::Store(_) => Self::memory(),
            Self::Disk(_) => Self::disk(),
        };
    }
}

//! Lets reads go on after a failed write.
//!
//! redb refuses every access to its storage after the first failed one, reads included. So it is
//! not told: the shield notes the failure, leaves the storage as it was found at that moment, and
//! keeps what redb still writes in memory. For the file this is a crash, which the next opening
//! recovers from. The store sees the note, reports it, and commits no more.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::redb::{BackendError, StorageBackend};

/// Unit in which writes after a failure are kept, in bytes: a page of redb.
const BLOCK: usize = 4096;

/// Storage whose failed writes are noted instead of reported, once the note is armed.
pub(super) struct Shield<B> {
    storage: B,
    note: Arc<Note>,
}

/// What the shield tells its store.
#[derive(Debug, Default)]
pub(super) struct Note {
    armed: AtomicBool,
    failed: AtomicBool,
    after: Mutex<After>,
}

/// The storage as redb believes it to be after a failed write, as far as it differs.
#[derive(Default)]
struct After {
    error: Option<io::Error>,
    len: u64,
    /// Up to here the storage's own bytes count, where no block replaces them.
    real: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl fmt::Debug for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("After")
            .field("error", &self.error)
            .field("blocks", &self.blocks.len())
            .finish_non_exhaustive()
    }
}

impl Note {
    /// From now on (or no longer) failed writes are noted. Opening and compacting report them:
    /// they have no state to go back to, and could write more than memory can keep.
    pub(super) fn arm(&self, armed: bool) {
        self.armed.store(armed, Ordering::Release);
    }

    /// The first failure, once.
    pub(super) fn take(&self) -> Option<io::Error> {
        self.after().error.take()
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn after(&self) -> MutexGuard<'_, After> {
        self.after.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: StorageBackend> Shield<B> {
    pub(super) fn new(storage: B) -> (Self, Arc<Note>) {
        let note = Arc::<Note>::default();
        let shield = Self {
            storage,
            note: Arc::clone(&note),
        };
        (shield, note)
    }

    /// Does `real`, or `kept` instead if it fails or something has failed before.
    fn change(
        &self,
        real: impl FnOnce(&B) -> io::Result<()>,
        kept: impl FnOnce(&mut After, &B) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.note.has_failed() {
            let Err(error) = real(&self.storage) else {
                return Ok(());
            };
            if !self.note.armed.load(Ordering::Acquire) {
                return Err(error);
            }
            let mut after = self.note.after();
            after.len = self.storage.len()?;
            after.real = after.len;
            after.error = Some(error);
            self.note.failed.store(true, Ordering::Release);
        }
        kept(&mut self.note.after(), &self.storage)
    }
}

impl After {
    /// A block as redb believes it to be: kept, or the storage's, or zeros.
    fn block(&self, storage: &impl StorageBackend, number: u64) -> io::Result<Vec<u8>> {
        if let Some(block) = self.blocks.get(&number) {
            return Ok(block.clone());
        }
        let start = number * BLOCK as u64;
        let there = self.real.saturating_sub(start);
        let there = usize::try_from(there).map_or(BLOCK, |it| it.min(BLOCK));
        let mut block = vec![0; BLOCK];
        if let Some(there @ [_, ..]) = block.get_mut(..there) {
            storage.read(start, there)?;
        }
        Ok(block)
    }

    fn write(
        &mut self,
        storage: &impl StorageBackend,
        offset: u64,
        mut data: &[u8],
    ) -> io::Result<()> {
        self.len = self.len.max(offset + data.len() as u64);
        for (number, part) in parts(offset, data.len()) {
            let mut block = self.block(storage, number)?;
            let (now, later) = data.split_at(part.len());
            if let Some(part) = block.get_mut(part) {
                part.copy_from_slice(now);
            }
            self.blocks.insert(number, block);
            data = later;
        }
        Ok(())
    }

    fn read(
        &self,
        storage: &impl StorageBackend,
        offset: u64,
        mut out: &mut [u8],
    ) -> io::Result<()> {
        if offset + out.len() as u64 > self.len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        for (number, part) in parts(offset, out.len()) {
            let block = self.block(storage, number)?;
            let (now, later) = out.split_at_mut(part.len());
            if let Some(part) = block.get(part) {
                now.copy_from_slice(part);
            }
            out = later;
        }
        Ok(())
    }

    fn resize(&mut self, len: u64) {
        self.len = len;
        self.real = self.real.min(len);
        let (whole, rest) = (len / BLOCK as u64, len % BLOCK as u64);
        let mut cut = self.blocks.split_off(&whole);
        if let Some(mut block) = cut.remove(&whole) {
            block.truncate(usize::try_from(rest).unwrap_or(BLOCK));
            block.resize(BLOCK, 0);
            self.blocks.insert(whole, block);
        }
    }
}

/// The blocks that `len` bytes from `offset` on touch, and which bytes of each.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, Range<usize>)> {
    let mut number = offset / BLOCK as u64;
    let mut start = usize::try_from(offset % BLOCK as u64).unwrap_or(0);
    let mut left = len;
    std::iter::from_fn(move || {
        let end = BLOCK.min(start + left);
        let part = (left > 0).then_some((number, start..end))?;
        left -= end - start;
        start = 0;
        number += 1;
        Some(part)
    })
}

impl<B: StorageBackend> StorageBackend for Shield<B> {
    fn len(&self) -> io::Result<u64> {
        if self.note.has_failed() {
            return Ok(self.note.after().len);
        }
        self.storage.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.note.has_failed() {
            return self.note.after().read(&self.storage, offset, out);
        }
        self.storage.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let kept = |after: &mut After, _: &B| {
            after.resize(len);
            Ok(())
        };
        self.change(|storage| storage.set_len(len), kept)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(StorageBackend::sync_data, |_, _| Ok(()))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let kept = |after: &mut After, storage: &B| after.write(storage, offset, data);
        self.change(|storage| storage.write(offset, data), kept)
    }

    fn close(&self) -> io::Result<()> {
        self.storage.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.storage.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.storage.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.storage.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.storage.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.storage.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.storage.query_lock_range(start, end)
    }
}

impl<B: fmt::Debug> fmt::Debug for Shield<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shield")
            .field("storage", &self.storage)
            .field("note", &self.note)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use ::redb::backends::InMemoryBackend;

    use super::*;
    use crate::entropy::Entropy;

    /// Storage whose writes, resizes and syncs fail when told.
    #[derive(Debug, Default)]
    struct Breaking {
        bytes: InMemoryBackend,
        broken: Arc<AtomicBool>,
    }

    impl Breaking {
        fn check(&self) -> io::Result<()> {
            if self.broken.load(Ordering::Acquire) {
                return Err(ErrorKind::StorageFull.into());
            }
            Ok(())
        }
    }

    impl StorageBackend for Breaking {
        fn len(&self) -> io::Result<u64> {
            self.bytes.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.bytes.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.check()?;
            self.bytes.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.check()?;
            self.bytes.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.check()?;
            self.bytes.write(offset, data)
        }
    }

    fn all(storage: &impl StorageBackend) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(storage.len().unwrap()).unwrap()];
        storage.read(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn an_unarmed_shield_reports_failures() {
        let storage = Breaking::default();
        storage.broken.store(true, Ordering::Release);
        let (shield, note) = Shield::new(storage);
        let error = shield.set_len(100).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(note.take().is_none());
    }

    /// A random write or resize of the shield, and of the bytes that it should show.
    fn step(shield: &impl StorageBackend, expected: &mut Vec<u8>, entropy: &mut Entropy) {
        if expected.is_empty() || entropy.below(8) == 0 {
            let len = entropy.below(5 * BLOCK as u64);
            shield.set_len(len).unwrap();
            expected.resize(usize::try_from(len).unwrap(), 0);
            return;
        }
        let start = usize::try_from(entropy.below(expected.len() as u64)).unwrap();
        let room = expected.len() - start;
        let len = usize::try_from(entropy.below(room as u64 + 1)).unwrap();
        let data = vec![entropy.bytes::<1>()[0]; len];
        shield.write(start as u64, &data).unwrap();
        expected[start..start + len].copy_from_slice(&data);
    }

    fn steps(seed: u64) {
        let mut entropy = Entropy::from_number(seed);
        let storage = Breaking::default();
        let broken = Arc::clone(&storage.broken);
        let (shield, note) = Shield::new(storage);
        note.arm(true);
        let mut expected = Vec::new();
        for _ in 0..20 {
            step(&shield, &mut expected, &mut entropy);
        }
        broken.store(true, Ordering::Release);
        let at_failure = expected.clone();
        for number in 0..40 {
            step(&shield, &mut expected, &mut entropy);
            shield.sync_data().unwrap();
            assert!(all(&shield) == expected, "seed {seed}, step {number}");
        }
        assert!(all(&shield.storage) == at_failure, "seed {seed}");
        assert_eq!(note.take().unwrap().kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn after_a_failure_reads_show_all_writes_and_the_storage_stays_as_it_was() {
        for seed in 0..100 {
            steps(seed);
        }
    }
}

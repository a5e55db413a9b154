//! Files that are stores, files that are not, and disks that fail.

use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicI64;

use tempfile::{TempDir, tempdir};

use super::*;
use crate::entropy::Entropy;
use crate::store::{KeyRange, Order};

crate::store_conformance!(
    conformance,
    in || tempdir().unwrap(),
    |folder| RedbStore::open(folder.path().join("store"), RedbOptions::default()).unwrap()
);

crate::store_conformance!(
    conformance_with_quick_reopen,
    in || tempdir().unwrap(),
    |folder| {
        let options = RedbOptions {
            quick_reopen: true,
            ..RedbOptions::default()
        };
        RedbStore::open(folder.path().join("store"), options).unwrap()
    }
);

fn open(path: &Path) -> Result<RedbStore, StoreError> {
    RedbStore::open(path, RedbOptions::default())
}

/// A folder, and in it the path of a store that does not exist yet.
fn new_path() -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("store");
    (folder, path)
}

fn put(store: &RedbStore, key: &[u8], durability: Durability) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    batch.put(Table::Log, key.to_vec(), vec![7; 300]);
    store.commit(&batch, durability)
}

fn holds(store: &RedbStore, key: &[u8]) -> bool {
    let snapshot = store.snapshot().unwrap();
    snapshot.get(Table::Log, key).unwrap().is_some()
}

/// A closed store with a few hundred rows, and its bytes.
fn closed_store() -> (TempDir, PathBuf, Vec<u8>) {
    let (folder, path) = new_path();
    let store = open(&path).unwrap();
    let mut batch = Batch::default();
    for number in 0..400_u16 {
        let key = number.to_be_bytes().to_vec();
        batch.put(Table::ALL[usize::from(number % 13)], key, vec![1; 500]);
    }
    store.commit(&batch, Durability::Immediate).unwrap();
    store.close().unwrap();
    let bytes = fs::read(&path).unwrap();
    (folder, path, bytes)
}

/// Opens `path`, which holds something else than a store, and sees that it is left as it was.
fn refused(path: &Path) -> StoreError {
    let before = fs::read(path).unwrap();
    let error = open(path).unwrap_err();
    assert!(fs::read(path).unwrap() == before, "the file was modified");
    error
}

#[test]
fn a_new_store_has_its_format_and_reopens_with_what_was_written() {
    let (_folder, path) = new_path();
    let store = open(&path).unwrap();
    put(&store, b"key", Durability::Immediate).unwrap();
    drop(store);
    let store = open(&path).unwrap();
    let snapshot = store.snapshot().unwrap();
    let format = snapshot.get(Table::Meta, FORMAT_KEY).unwrap();
    assert_eq!(format.as_deref(), Some(&[0, 0, 0, 0, 0, 0, 0, 1][..]));
    assert!(holds(&store, b"key"));
}

#[test]
fn a_second_handle_is_told_that_the_file_is_in_use() {
    let (_folder, path) = new_path();
    let store = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains(path.to_str().unwrap()));
    put(&store, b"key", Durability::Immediate).unwrap();
    drop(store);
    assert!(holds(&open(&path).unwrap(), b"key"));
}

#[test]
fn a_file_of_another_kind_is_foreign_and_left_alone() {
    let (_folder, path) = new_path();
    for bytes in [&b"x"[..], b"a note", b"SQLite format 3\0", &[7; 5000]] {
        fs::write(&path, bytes).unwrap();
        let error = refused(&path);
        assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    }
    // Zeros, but not only zeros: somebody's data.
    let mut zeros = vec![0; 100_000];
    zeros[50_000] = 1;
    fs::write(&path, zeros).unwrap();
    let error = refused(&path);
    assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
}

#[test]
fn a_redb_file_of_another_program_is_foreign_and_left_alone() {
    let (_folder, path) = new_path();
    let numbers = TableDefinition::<u64, u64>::new("numbers");
    let meta = TableDefinition::<u64, u64>::new(Table::Meta.name());
    for table in [numbers, meta] {
        let database = Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        let inserted = transaction.open_table(table).unwrap().insert(1, 1).is_ok();
        assert!(inserted);
        transaction.commit().unwrap();
        drop(database);
        let error = refused(&path);
        assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn our_table_without_our_format_is_foreign() {
    let (_folder, path) = new_path();
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let rows = transaction.open_table(definition(Table::Meta)).unwrap();
    drop(rows);
    transaction.commit().unwrap();
    drop(database);
    let error = refused(&path);
    assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
}

fn with_format(path: &Path, format: &[u8]) {
    let store = open(path).unwrap();
    let mut batch = Batch::default();
    batch.put(Table::Meta, FORMAT_KEY.to_vec(), format.to_vec());
    store.commit(&batch, Durability::Immediate).unwrap();
}

#[test]
fn a_store_of_a_later_format_asks_for_an_upgrade_and_is_left_alone() {
    let (_folder, path) = new_path();
    with_format(&path, &2_u64.to_be_bytes());
    let error = refused(&path);
    let is_newer = matches!(
        error,
        StoreError::TooNew {
            found: 2,
            known: 1,
            ..
        }
    );
    assert!(is_newer, "{error:?}");
}

#[test]
fn a_format_that_no_version_writes_is_corrupt() {
    for format in [&b""[..], b"1", &[0; 8], &[0; 9]] {
        let (_folder, path) = new_path();
        with_format(&path, format);
        let error = refused(&path);
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    }
}

#[test]
fn an_empty_file_becomes_a_new_store() {
    let (_folder, path) = new_path();
    fs::write(&path, b"").unwrap();
    put(&open(&path).unwrap(), b"key", Durability::Immediate).unwrap();
    assert!(holds(&open(&path).unwrap(), b"key"));
}

#[test]
fn a_file_whose_creation_was_cut_short_becomes_a_new_store() {
    let (_folder, path) = new_path();
    drop(Database::create(&path).unwrap());
    let mut header = fs::read(&path).unwrap();
    assert!((header.len() as u64) <= open::UNFINISHED_BYTES_MAX);
    // As redb leaves it between its two first writes, and before the first.
    header[..9].fill(0);
    header[open::HEADER_BYTES..].fill(0);
    let nothing = vec![0; header.len()];
    for bytes in [header, nothing, vec![0; 5]] {
        fs::write(&path, bytes).unwrap();
        put(&open(&path).unwrap(), b"key", Durability::Immediate).unwrap();
        assert!(holds(&open(&path).unwrap(), b"key"));
    }
}

#[test]
fn a_redb_file_that_was_never_written_becomes_a_new_store() {
    let (_folder, path) = new_path();
    drop(Database::create(&path).unwrap());
    put(&open(&path).unwrap(), b"key", Durability::Immediate).unwrap();
    assert!(holds(&open(&path).unwrap(), b"key"));
}

#[test]
fn a_folder_or_device_is_foreign() {
    let folder = tempdir().unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    if cfg!(target_os = "linux") {
        let error = open(Path::new("/dev/full")).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    }
}

#[test]
fn a_missing_folder_is_named() {
    let (_folder, path) = new_path();
    let error = open(&path.join("records.db")).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    assert!(
        error.to_string().starts_with(path.to_str().unwrap()),
        "{error}"
    );
    assert!(!error.to_string().contains("records.db"), "{error}");
    assert!(!path.exists());
}

#[test]
fn a_file_marked_read_only_is_refused() {
    let (_folder, path, bytes) = closed_store();
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    assert!(fs::read(&path).unwrap() == bytes);
}

/// A folder in which no user may create a file.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_no_files_is_read_only() {
    let error = open(Path::new("/sys/kernel/store")).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
}

#[test]
fn system_errors_have_their_own_kinds() {
    let place = Place::new("x".to_owned());
    let kind_of = |kind: ErrorKind| crate::Error::from(place.io("testing", kind.into())).kind();
    assert_eq!(kind_of(ErrorKind::StorageFull), crate::ErrorKind::DiskFull);
    assert_eq!(
        kind_of(ErrorKind::QuotaExceeded),
        crate::ErrorKind::DiskFull
    );
    assert_eq!(kind_of(ErrorKind::FileTooLarge), crate::ErrorKind::DiskFull);
    assert_eq!(
        kind_of(ErrorKind::PermissionDenied),
        crate::ErrorKind::StoreReadOnly
    );
    assert_eq!(
        kind_of(ErrorKind::ReadOnlyFilesystem),
        crate::ErrorKind::StoreReadOnly
    );
    assert_eq!(
        kind_of(ErrorKind::UnexpectedEof),
        crate::ErrorKind::StoreCorrupt
    );
    assert_eq!(kind_of(ErrorKind::TimedOut), crate::ErrorKind::Io);
}

#[test]
fn a_truncated_store_is_corrupt() {
    let (_folder, path, bytes) = closed_store();
    for keep in [
        1,
        4,
        8,
        9,
        10,
        300,
        4_095,
        4_096,
        8_192,
        50_000,
        bytes.len() / 2,
        bytes.len() - 1,
    ] {
        fs::write(&path, &bytes[..keep]).unwrap();
        let error = open(&path).unwrap_err();
        assert!(
            matches!(error, StoreError::Corrupt { .. }),
            "{keep} bytes: {error:?}"
        );
    }
}

/// Reads all there is; what it shows does not matter, only that it ends, and without a panic.
fn read_all(store: &RedbStore) -> Result<(), StoreError> {
    let snapshot = store.snapshot()?;
    for table in Table::ALL {
        for order in [Order::Ascending, Order::Descending] {
            let mut left = 10_000;
            let mut count = |_: &[u8], _: &[u8]| {
                left -= 1;
                (left == 0)
                    .then_some(())
                    .map_or(ControlFlow::Continue(()), ControlFlow::Break)
            };
            snapshot.scan(table, KeyRange::ALL, order, &mut count)?;
        }
        snapshot.get(table, &[0, 5])?;
    }
    Ok(())
}

#[test]
fn damage_anywhere_is_an_error_or_unseen_but_never_a_panic() {
    let (_folder, path, bytes) = closed_store();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let mut entropy = Entropy::from_number(3);
    let mut noticed = 0;
    for round in 0..300 {
        let mut damaged = bytes.clone();
        for _ in 0..=entropy.below(3) {
            // Half of the damage goes to the header: all else hangs on it.
            let reach = if round % 2 == 0 { 320 } else { used as u64 };
            let at = usize::try_from(entropy.below(reach)).unwrap();
            let length = usize::try_from(1 + entropy.below(64))
                .unwrap()
                .min(used - at);
            damaged[at..at + length].fill_with(|| entropy.bytes::<1>()[0]);
        }
        fs::write(&path, damaged).unwrap();
        let outcome = open(&path).and_then(|store| {
            read_all(&store)?;
            let written = put(&store, b"key", Durability::Immediate);
            read_all(&store)?;
            written
        });
        noticed += usize::from(outcome.is_err());
    }
    assert!(
        noticed > 50,
        "only {noticed} of 300 damaged files were noticed"
    );
}

#[test]
fn verifying_while_opening_notices_a_damaged_value() {
    let (_folder, path, mut bytes) = closed_store();
    let value = bytes
        .windows(400)
        .rposition(|window| window.iter().all(|byte| *byte == 1));
    bytes[value.unwrap() + 200] = 2;
    fs::write(&path, bytes).unwrap();
    let options = RedbOptions {
        verify: true,
        ..RedbOptions::default()
    };
    let error = RedbStore::open(&path, options).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[test]
fn a_sound_store_verifies_and_takes_writes_afterwards() {
    let (_folder, path, _) = closed_store();
    let mut store = open(&path).unwrap();
    assert!(store.verify().unwrap());
    put(&store, b"key", Durability::Immediate).unwrap();
    assert!(holds(&store, b"key"));
}

#[test]
fn compacting_shrinks_a_file_with_holes_and_waits_for_no_snapshot() {
    let (_folder, path) = new_path();
    let mut store = open(&path).unwrap();
    for round in 0..40_u8 {
        let mut batch = Batch::default();
        batch.put(Table::Log, vec![round], vec![round; 100_000]);
        batch.remove(Table::Log, vec![round.wrapping_sub(2)]);
        store.commit(&batch, Durability::Immediate).unwrap();
    }
    let snapshot = store.snapshot().unwrap();
    let error = store.compact().unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    drop(snapshot);
    let mut batch = Batch::default();
    for round in 0..39 {
        batch.remove(Table::Log, vec![round]);
    }
    store.commit(&batch, Durability::Immediate).unwrap();
    let before = store.size_bytes().unwrap();
    store.compact().unwrap();
    let after = store.size_bytes().unwrap();
    assert!(after < before, "{after} bytes after {before}");
    assert!(holds(&store, &[39]) && !holds(&store, &[38]));
    put(&store, b"key", Durability::Immediate).unwrap();
}

#[test]
fn a_snapshot_of_a_closed_store_says_so() {
    let (_folder, path) = new_path();
    let store = open(&path).unwrap();
    put(&store, b"key", Durability::Immediate).unwrap();
    let snapshot = store.snapshot().unwrap();
    store.close().unwrap();
    let error = snapshot.get(Table::Log, b"key").unwrap_err();
    assert!(matches!(error, StoreError::Closed { .. }), "{error:?}");
    assert!(holds(&open(&path).unwrap(), b"key"));
}

/// A file on a disk with room for so many more bytes; a write that does not fit fails.
#[derive(Debug)]
struct SmallDisk {
    file: ::redb::backends::FileBackend,
    room: Arc<AtomicI64>,
}

impl StorageBackend for SmallDisk {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        let bytes = i64::try_from(data.len()).unwrap();
        if self.room.fetch_sub(bytes, Ordering::AcqRel) < bytes {
            return Err(ErrorKind::StorageFull.into());
        }
        self.file.write(offset, data)
    }
}

#[test]
fn a_full_disk_stops_writes_until_reopened_and_reads_go_on() {
    let (_folder, path) = new_path();
    let file = fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    let room = Arc::new(AtomicI64::new(i64::MAX));
    let disk = SmallDisk {
        file: ::redb::backends::FileBackend::new(file).unwrap(),
        room: Arc::clone(&room),
    };
    let options = RedbOptions {
        cache_bytes: 0,
        ..RedbOptions::default()
    };
    let store = RedbStore::with_backend("a small disk", disk, options).unwrap();
    put(&store, b"before", Durability::Immediate).unwrap();
    room.store(10_000, Ordering::Release);
    let full = put(&store, b"too much", Durability::Immediate).unwrap_err();
    assert!(matches!(full, StoreError::DiskFull { .. }), "{full:?}");
    assert!(holds(&store, b"before"));
    // Room again, but this handle no longer knows what the file holds.
    room.store(i64::MAX, Ordering::Release);
    for error in [
        put(&store, b"later", Durability::Immediate).unwrap_err(),
        store
            .commit(&Batch::default(), Durability::Immediate)
            .unwrap_err(),
        store.settle().unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Failed { .. }), "{error:?}");
    }
    assert!(holds(&store, b"before") && !holds(&store, b"later"));
    drop(store);
    let store = open(&path).unwrap();
    put(&store, b"later", Durability::Immediate).unwrap();
    assert!(holds(&store, b"before") && holds(&store, b"later"));
}

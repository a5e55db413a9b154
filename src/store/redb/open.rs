//! What may be opened as a store: rules for files that are absent, foreign, damaged or unfinished.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use ::redb::backends::FileBackend;
use ::redb::{
    Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageBackend,
    TableError, TableHandle,
};

use super::place::Place;
use super::shield::{Note, Shield};
use super::{FORMAT, FORMAT_KEY, RedbOptions, definition};
use crate::store::{StoreError, Table};

/// First bytes of every redb file.
const MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// Size of a file that redb has begun to create, in bytes; at most.
pub(super) const UNFINISHED_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Size of the part of a file that redb writes first, in bytes.
pub(super) const HEADER_BYTES: usize = 4 * 1024;

/// Opens or creates the file at `path`.
pub(super) fn file(
    place: &Place,
    path: &Path,
    options: &RedbOptions,
) -> Result<(Database, Arc<Note>), StoreError> {
    look_at(place, path)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| opening_failed(place, path, error))?;
    let storage = place.guard("opening", || Ok(FileBackend::new(file)?))?;
    let exists = contents(place, &storage)? == Contents::Database;
    if exists {
        look_inside(place, path, options)?;
    }
    let opened = backend(place, storage, options)?;
    if !exists {
        sync_folder(path).map_err(|error| place.io("syncing the folder", error))?;
    }
    Ok(opened)
}

/// Opens or creates what `storage` holds.
pub(super) fn backend(
    place: &Place,
    storage: impl StorageBackend,
    options: &RedbOptions,
) -> Result<(Database, Arc<Note>), StoreError> {
    if contents(place, &storage)? == Contents::Unfinished {
        begin_again(place, &storage)?;
    }
    let (storage, note) = Shield::new(storage);
    let database = place.guard("opening", || {
        Ok(builder(options).create_with_backend(storage)?)
    })?;
    let found = place.guard("reading the format", || find(&database.begin_read()?))?;
    if matches!(found, Found::Nothing) {
        place.guard("creating", || write_format(&database))?;
    } else {
        found.check(place)?;
    }
    note.arm(true);
    Ok((database, note))
}

fn builder(options: &RedbOptions) -> Builder {
    let mut builder = Database::builder();
    builder
        .set_cache_size(options.cache_bytes)
        .set_check_integrity_on_open(options.verify);
    builder
}

/// Refuses what can't be a store before it is opened.
fn look_at(place: &Place, path: &Path) -> Result<(), StoreError> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(place.io("opening", error)),
    };
    if found.is_dir() {
        return Err(place.foreign("it is a folder"));
    }
    if !found.is_file() {
        return Err(place.foreign("it is not a regular file"));
    }
    // Asked for even where the system would let a privileged user write.
    if found.permissions().readonly() {
        return Err(StoreError::ReadOnly {
            place: place.to_string(),
            detail: "the file is marked read-only".to_owned(),
        });
    }
    Ok(())
}

fn opening_failed(place: &Place, path: &Path, source: io::Error) -> StoreError {
    // The file would have been created, so it is its folder that is missing.
    if source.kind() != ErrorKind::NotFound {
        return place.io("opening", source);
    }
    StoreError::Io {
        place: folder(path).display().to_string(),
        doing: "finding the folder for the store",
        source: io::Error::new(
            ErrorKind::NotFound,
            "there is no such folder; make it first",
        ),
    }
}

fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|it| !it.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Makes the name of a new file survive a power cut.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(folder(path))?.sync_all() {
        // Some file systems have nothing to sync in a folder.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        done => done,
    }
}

/// Other systems give no way to sync a folder.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contents {
    /// No bytes.
    Nothing,
    /// What a crash leaves while redb creates a file: it writes its first bytes last.
    Unfinished,
    /// It starts as redb files do.
    Database,
}

fn contents(place: &Place, storage: &impl StorageBackend) -> Result<Contents, StoreError> {
    let failed = |error| place.io("reading", error);
    let bytes = storage.len().map_err(failed)?;
    if bytes == 0 {
        return Ok(Contents::Nothing);
    }
    let mut start = *MAGIC;
    let present = start
        .len()
        .min(usize::try_from(bytes).unwrap_or(usize::MAX));
    let (start, _) = start.split_at_mut(present);
    storage.read(0, start).map_err(failed)?;
    if start == MAGIC {
        return Ok(Contents::Database);
    }
    if MAGIC.starts_with(start) {
        return Err(place.corrupt("the file ends too early"));
    }
    if bytes <= UNFINISHED_BYTES_MAX && start.iter().all(|byte| *byte == 0) {
        let rest = usize::try_from(bytes).unwrap_or(HEADER_BYTES);
        let mut all = vec![0; rest];
        storage.read(0, &mut all).map_err(failed)?;
        if all.iter().skip(HEADER_BYTES).all(|byte| *byte == 0) {
            return Ok(Contents::Unfinished);
        }
    }
    Err(place.foreign("it does not start as a redb file does"))
}

/// Empties a file whose creation was cut short, unless somebody is creating it right now.
fn begin_again(place: &Place, storage: &impl StorageBackend) -> Result<(), StoreError> {
    let all = (Bound::Unbounded, Bound::Unbounded);
    let locked = match storage.try_lock_range(all.0, all.1) {
        Ok(false) => {
            return Err(StoreError::Locked {
                place: place.to_string(),
            });
        }
        Ok(true) => true,
        // Storage without locks has one owner.
        Err(::redb::BackendError::Unsupported) => false,
        Err(error) => return Err(place.error("locking", error.into())),
    };
    let emptied = match contents(place, storage)? {
        Contents::Unfinished => storage.set_len(0).and_then(|()| storage.sync_data()),
        Contents::Nothing | Contents::Database => Ok(()),
    };
    if locked {
        let released = storage.unlock_range(all.0, all.1);
        released.map_err(|error| place.error("unlocking", error.into()))?;
    }
    emptied.map_err(|error| place.io("creating", error))
}

/// Refuses another program's redb file, or a later version's store, before anything is written.
///
/// A file that needs repair can't be opened for reading alone; it is looked at after the repair.
fn look_inside(place: &Place, path: &Path, options: &RedbOptions) -> Result<(), StoreError> {
    let found = place.guard("opening", || match builder(options).open_read_only(path) {
        Ok(database) => Ok(Some(find(&database.begin_read()?)?)),
        Err(DatabaseError::RepairAborted) => Ok(None),
        Err(error) => Err(error.into()),
    })?;
    found.map_or(Ok(()), |found| found.check(place))
}

/// What a redb file says of itself.
enum Found {
    /// No tables: it was created and never written.
    Nothing,
    /// A store of this format.
    Format(u64),
    /// The row of the format has another size than it should.
    FormatBytes(usize),
    /// Tables of another program.
    Others(String),
}

impl Found {
    fn check(&self, place: &Place) -> Result<(), StoreError> {
        match self {
            Self::Nothing | Self::Format(FORMAT) => Ok(()),
            Self::Format(0) => Err(place.corrupt("its format is 0")),
            Self::Format(found) => Err(StoreError::TooNew {
                place: place.to_string(),
                found: *found,
                known: FORMAT,
            }),
            Self::FormatBytes(bytes) => {
                Err(place.corrupt(format!("its format has {bytes} bytes instead of 8")))
            }
            Self::Others(name) => Err(place.foreign(format!("a redb file with the table {name}"))),
        }
    }
}

fn find(transaction: &ReadTransaction) -> Result<Found, ::redb::Error> {
    match transaction.open_table(definition(Table::Meta)) {
        Ok(rows) => {
            if let Some(format) = rows.get(FORMAT_KEY)? {
                let bytes = format.value();
                let format = <[u8; 8]>::try_from(bytes).map(u64::from_be_bytes);
                return Ok(format.map_or(Found::FormatBytes(bytes.len()), Found::Format));
            }
        }
        Err(TableError::Storage(error)) => return Err(error.into()),
        // There is no such table, or it is one of other types: another program's, or none.
        Err(_) => {}
    }
    let table = transaction.list_tables()?.next();
    if let Some(table) = table {
        return Ok(Found::Others(format!("{:?}", table.name())));
    }
    let multimap = transaction.list_multimap_tables()?.next();
    Ok(multimap.map_or(Found::Nothing, |_| {
        Found::Others("of many values".to_owned())
    }))
}

fn write_format(database: &Database) -> Result<(), ::redb::Error> {
    let transaction = database.begin_write()?;
    transaction
        .open_table(definition(Table::Meta))?
        .insert(FORMAT_KEY, FORMAT.to_be_bytes().as_slice())?;
    Ok(transaction.commit()?)
}

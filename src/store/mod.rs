//! Where a replica keeps its bytes: ordered tables, snapshot reads, and an atomic batch.
//!
//! The trait is small on purpose. A store knows no record and no change: it keeps keys and values
//! in byte order, gives consistent reads while a write is under way, and makes one [`Batch`] appear
//! whole or not at all.

mod batch;
pub mod conformance;
pub mod fault;
pub mod memory;
#[cfg(feature = "redb")]
pub mod redb;

use std::fmt;
use std::ops::ControlFlow;

use thiserror::Error;

#[cfg(all(feature = "redb", any(test, feature = "sim")))]
pub use self::redb::CrashDisk;
#[cfg(feature = "redb")]
pub use self::redb::{RedbOptions, RedbStore};
pub use crate::codec::prefix_end;
pub use batch::{Batch, Write};
pub use fault::{CommitFault, FaultStore};
pub use memory::MemoryStore;

use crate::error::{Error, ErrorKind};

/// The tables of a replica. What their rows hold is `docs/storage.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Name -> value: format version, store id, identity.
    Meta,
    /// Space and collection name -> local number.
    Collections,
    /// Space, LSN -> record, origin, change bytes: the ordered local history.
    Log,
    /// Record -> heads, counts, actors.
    Records,
    /// Record, block -> packed change index.
    Graph,
    /// Collection, time of the newest change, record -> reconciliation element.
    Elements,
    /// Collection, node -> range summary.
    Tree,
    /// Record -> materialised value and the heads it shows.
    Views,
    /// Records whose view is behind their heads.
    Stale,
    /// Peer store, space -> how far it has acknowledged.
    Cursors,
    /// Replica -> what is known of it.
    Peers,
    /// Record, change -> bytes that could not be applied, and why.
    Quarantine,
    /// Record, missing change, waiting change.
    Waiting,
    /// Record -> its document up to some change, and how many of its changes that covers.
    Snapshots,
    /// Records with so many loose changes that they are to be folded.
    Due,
    /// Space, blob -> its local number, its size, and what of it is here.
    Blobs,
    /// Number of a blob, chunk -> the chunk's hash and bytes; without a chunk, the manifest.
    Chunks,
    /// Space, blob -> how large it may be: those that are wanted and not here.
    Fetches,
    /// Space, blob, record: which blobs changes have named.
    Named,
    /// Numbers whose chunks belong to no blob, or not yet.
    Loose,
    /// Collection, index, values of its columns, record; and what indexes a collection has.
    Index,
}

impl Table {
    /// All tables, in order.
    pub const ALL: [Self; 21] = [
        Self::Meta,
        Self::Collections,
        Self::Log,
        Self::Records,
        Self::Graph,
        Self::Elements,
        Self::Tree,
        Self::Views,
        Self::Stale,
        Self::Cursors,
        Self::Peers,
        Self::Quarantine,
        Self::Waiting,
        Self::Snapshots,
        Self::Due,
        Self::Blobs,
        Self::Chunks,
        Self::Fetches,
        Self::Named,
        Self::Loose,
        Self::Index,
    ];

    /// The table's name in a store's file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Collections => "collections",
            Self::Log => "log",
            Self::Records => "records",
            Self::Graph => "graph",
            Self::Elements => "elements",
            Self::Tree => "tree",
            Self::Views => "views",
            Self::Stale => "stale",
            Self::Cursors => "cursors",
            Self::Peers => "peers",
            Self::Quarantine => "quarantine",
            Self::Waiting => "waiting",
            Self::Snapshots => "snapshots",
            Self::Due => "due",
            Self::Blobs => "blobs",
            Self::Chunks => "chunks",
            Self::Fetches => "fetches",
            Self::Named => "named",
            Self::Loose => "loose",
            Self::Index => "index",
        }
    }
}

/// When a write counts as done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// `Ok` means on disk: it survives a crash or power cut at any later instant.
    #[default]
    Immediate,
    /// As `Immediate`, and in two phases with two syncs, for disks that reorder a torn write.
    Paranoid,
    /// `Ok` means visible to later reads. The last fraction of a second may be lost in a crash,
    /// never a part of a batch, and never anything from before an acknowledged `Immediate` write.
    /// Nothing that is not durable is sent to a peer.
    Relaxed,
}

/// Direction of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// Receives one row of a scan; breaks to end it.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// A place for a replica's bytes.
///
/// One replica owns a store and is the only one to call [`Store::commit`], one call at a time.
/// Snapshots may be taken and read on any thread meanwhile.
///
/// What an implementation owes:
/// - a batch is visible as a whole in every snapshot taken after `commit` returned `Ok`, and not
///   at all in one taken before;
/// - under [`Durability::Immediate`] and [`Durability::Paranoid`], once `commit` returned `Ok` the
///   batch and all before it survive any crash;
/// - after any crash the store holds all batches up to some point in their order, whole;
/// - after a failed `commit` the batch is absent or whole after reopening, later commits fail with
///   [`StoreError::Failed`] until then, and reads go on where they can;
/// - opening does not cost in proportion to what is stored, except, where an implementation says
///   so, after a crash that came before [`Store::settle`].
pub trait Store: Send + Sync + fmt::Debug {
    /// A consistent view of what is committed now.
    ///
    /// # Errors
    /// When the store can't be read.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError>;

    /// Makes all of `batch` visible at once, and durable as `durability` says.
    ///
    /// An empty batch under [`Durability::Immediate`] or [`Durability::Paranoid`] makes earlier
    /// relaxed commits durable, and is free if there are none.
    ///
    /// # Errors
    /// When it could not be written; see the trait's contract for what holds then.
    fn commit(&self, batch: &Batch, durability: Durability) -> Result<(), StoreError>;

    /// Prepares for being killed while idle: relaxed commits become durable, and whatever makes
    /// the next opening fast is written. The owner calls it when it has had nothing to write for
    /// a moment. It is free if nothing was committed since the last call.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn settle(&self) -> Result<(), StoreError> {
        self.commit(&Batch::default(), Durability::Immediate)
    }

    /// Bytes that the store takes on disk or in memory, if it can tell.
    fn size_bytes(&self) -> Option<u64> {
        None
    }
}

/// A consistent view of a store at one point of its history.
pub trait Snapshot: Send + fmt::Debug {
    /// The value of `key`, if it is there.
    ///
    /// # Errors
    /// When the store can't be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Shows rows with `start <= key < end` in key order until `visit` breaks. No `end` means up
    /// to the last key of the table.
    ///
    /// # Errors
    /// When the store can't be read.
    fn scan(
        &self,
        table: Table,
        range: KeyRange<'_>,
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError>;
}

/// Keys from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug)]
pub struct KeyRange<'a> {
    /// First key that belongs.
    pub start: &'a [u8],
    /// First key that does not belong any more; `None` for no bound.
    pub end: Option<&'a [u8]>,
}

impl KeyRange<'_> {
    /// All keys.
    pub const ALL: KeyRange<'static> = KeyRange {
        start: &[],
        end: None,
    };

    /// Whether no key can belong.
    pub fn is_empty(&self) -> bool {
        self.end.is_some_and(|end| end <= self.start)
    }
}

/// Why a store could not be opened, read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Open elsewhere.
    #[error("{place} is in use by another process or another handle; close it there first")]
    Locked {
        /// File or name of the store.
        place: String,
    },
    /// Not a store of ours.
    #[error("{place} is not a syncline store: {found}; choose another file")]
    Foreign {
        /// File or name of the store.
        place: String,
        /// What is there instead.
        found: String,
    },
    /// Written by a later version.
    #[error("{place} has store format {found}, this program knows up to {known}; upgrade it")]
    TooNew {
        /// File or name of the store.
        place: String,
        /// Format version in the file.
        found: u64,
        /// Newest format version of this program.
        known: u64,
    },
    /// Damaged bytes.
    #[error("{place} is damaged: {detail}; restore a backup, or sync into a new file")]
    Corrupt {
        /// File or name of the store.
        place: String,
        /// What was found.
        detail: String,
    },
    /// No permission to write.
    #[error("{place} can't be written: {detail}; check owner, mode and mount")]
    ReadOnly {
        /// File or name of the store.
        place: String,
        /// What the system says.
        detail: String,
    },
    /// No space left.
    #[error("no space left for {place}; free some, then open it again")]
    DiskFull {
        /// File or name of the store.
        place: String,
    },
    /// An earlier write failed, or a read of the disk did.
    #[error("{place} failed earlier; open it again to write, reads go on until then if they can")]
    Failed {
        /// File or name of the store.
        place: String,
    },
    /// A snapshot was read after its store had been closed.
    #[error("{place} was closed while it was being read")]
    Closed {
        /// File or name of the store.
        place: String,
    },
    /// Anything else.
    #[error("{place}: {doing} failed")]
    Io {
        /// File or name of the store.
        place: String,
        /// The operation.
        doing: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Locked { .. } => ErrorKind::StoreLocked,
            StoreError::Foreign { .. } => ErrorKind::StoreForeign,
            StoreError::TooNew { .. } => ErrorKind::StoreTooNew,
            StoreError::Corrupt { .. } => ErrorKind::StoreCorrupt,
            StoreError::ReadOnly { .. } => ErrorKind::StoreReadOnly,
            StoreError::DiskFull { .. } => ErrorKind::DiskFull,
            StoreError::Failed { .. } => ErrorKind::StoreFailed,
            StoreError::Closed { .. } => ErrorKind::Closed,
            StoreError::Io { .. } => ErrorKind::Io,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

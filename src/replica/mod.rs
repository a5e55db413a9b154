//! One replica's state over a store, and the two gates into it: [`Replica::capture`] for local
//! changes, [`Replica::apply`] for everybody else's. Nothing else commits.
//!
//! All that a turn writes collects in one batch, which [`Replica::commit`] makes durable at once.
//! Until then it is visible to the gates and to nobody else.

mod admit;
mod ancestry;
mod apply;
mod blobs;
mod capture;
mod catalog;
mod committed;
pub mod documents;
mod fit;
pub mod fold;
mod graph;
mod graph_cache;
mod index;
mod index_check;
mod index_entry;
mod inventory;
mod keys;
mod known;
mod life;
mod quarantine;
mod read;
mod repair;
mod rows;
mod ruled;
mod stem;
#[cfg(test)]
mod tests;
mod tree;
mod unfold;
mod verify;
mod whole;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use apply::{Admission, Intake};
pub use blobs::{ChunkFate, FetchRule, KnownBlob, ManifestFate};
pub use capture::{Projection, ShownView, View, Write};
pub use committed::{Commit, Committed};
pub use fold::{Folded, Folding, Freed, Which};
pub use graph::{Graph, Node};
pub use index::Index;
pub use index_entry::IndexColumn;
pub use keys::{Number, Slot};
pub use known::KnownPeer;
pub use life::begin_new_life;
pub use quarantine::{Quarantined, Reason};
pub use read::Rows;
pub use repair::repair;
pub use rows::{Head, Header, ViewRow};
pub use unfold::{Unfolded, unfold};
pub use whole::WholeGraph;

use crate::access::Identity;
use crate::codec::Reader;
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Lsn, RecordKey, ReplicaId, SpaceId, StoreId};
use crate::ledger::{self, Cursor, Peer};
use crate::limits;
use crate::store::{self, Batch, Durability, KeyRange, Order, Snapshot, Store, Table};
use catalog::Catalog;
use fit::{OperationsCache, PackedCache};
use graph_cache::GraphCache;
use quarantine::QuarantineRow;

const STORE_ID: &[u8] = b"store";
const IDENTITY: &[u8] = b"identity";
const QUARANTINE: &[u8] = b"quarantine";

/// Entries and bytes in quarantine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuarantineSize {
    /// Number of entries.
    pub entries: u64,
    /// Bytes of their changes.
    pub bytes: u64,
}

/// A replica's state over a store.
#[derive(Debug)]
pub struct Replica {
    store: Arc<dyn Store>,
    snapshot: Box<dyn Snapshot>,
    batch: Batch,
    id: StoreId,
    catalog: Catalog,
    indexes: index::Indexes,
    /// Newest number of each space's log, the current batch included.
    lsns: RefCell<BTreeMap<SpaceId, Lsn>>,
    graphs: GraphCache,
    /// Collections whose views are being judged again, and by what.
    ruling: BTreeMap<Number, u64>,
    operations: OperationsCache,
    packed: PackedCache,
    quarantine: QuarantineSize,
    blobs: blobs::Blobs,
    pending: Commit,
    /// Bytes of commits since the last one that waited for the disk.
    derived_bytes: usize,
    failed: bool,
}

impl Replica {
    /// Opens the replica that lives in `store`; a new store gets its id from `entropy`.
    ///
    /// Reads a handful of rows, whatever the number of records.
    ///
    /// # Errors
    /// When the store can't be read or, if it is new, written.
    pub fn open(store: Arc<dyn Store>, entropy: &mut Entropy) -> Result<Self> {
        let snapshot = store.snapshot()?;
        let (id, is_new) = match snapshot.get(Table::Meta, STORE_ID)? {
            Some(row) => (StoreId::from_bytes(array(&row)?), false),
            None => (StoreId::random(entropy), true),
        };
        let quarantine = match snapshot.get(Table::Meta, QUARANTINE)? {
            Some(row) => read_quarantine(&row)?,
            None => QuarantineSize::default(),
        };
        let catalog = Catalog::load(snapshot.as_ref())?;
        let blobs = blobs::Blobs::load(snapshot.as_ref())?;
        let indexes = index::load(snapshot.as_ref())?;
        let mut replica = Self {
            store,
            snapshot,
            batch: Batch::default(),
            id,
            catalog,
            indexes,
            lsns: RefCell::default(),
            graphs: GraphCache::default(),
            ruling: BTreeMap::new(),
            operations: OperationsCache::default(),
            packed: PackedCache::default(),
            quarantine,
            blobs,
            pending: Commit::default(),
            derived_bytes: 0,
            failed: false,
        };
        if is_new {
            replica
                .batch
                .put(Table::Meta, STORE_ID.to_vec(), id.as_bytes().to_vec());
            replica.commit(Durability::Immediate)?;
        }
        Ok(replica)
    }

    /// The key pair that the store keeps for its replica; made and stored at the first call.
    ///
    /// # Errors
    /// When the store can't be read or, the first time, written.
    pub fn identity(&mut self, entropy: &mut Entropy) -> Result<Identity> {
        if let Some(row) = self.rows().get(Table::Meta, IDENTITY)? {
            let secret = row.as_slice().try_into();
            let damaged = |_length| read::damaged(Table::Meta, &"the key has a wrong length");
            return Ok(Identity::from_bytes(&secret.map_err(damaged)?));
        }
        let identity = Identity::generate(entropy);
        let row = identity.to_bytes().to_vec();
        self.batch.put(Table::Meta, IDENTITY.to_vec(), row);
        self.commit(Durability::Immediate)?;
        Ok(identity)
    }

    /// This life of the store.
    pub const fn id(&self) -> StoreId {
        self.id
    }

    /// The store, for readers on other threads.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What is committed, and what the current batch adds.
    pub(super) fn rows(&self) -> Rows<'_> {
        Rows::with(self.snapshot.as_ref(), &self.batch)
    }

    /// Whether an earlier write failed, so that this handle can only read.
    pub const fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether anything waits to be committed.
    pub fn is_dirty(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Bytes that wait to be committed.
    pub const fn dirty_bytes(&self) -> usize {
        self.batch.bytes()
    }

    /// Size of the quarantine.
    pub const fn quarantine_size(&self) -> QuarantineSize {
        self.quarantine
    }

    /// Commits everything since the last commit in one transaction. Where all of it is derived
    /// ([`Commit::derived`]) `durability` does not matter: it is visible, and on disk with the next
    /// commit that is not. Of such commits no more than [`limits::DERIVED_BYTES_MAX`] follow each
    /// other: the next edit would have to wait until all of it is on disk.
    ///
    /// # Errors
    /// When the store could not write. Nothing of the batch is visible then, and the replica
    /// only reads from now on.
    pub fn commit(&mut self, durability: Durability) -> Result<Commit> {
        self.check_writable()?;
        let mut batch = std::mem::take(&mut self.batch);
        let mut pending = std::mem::take(&mut self.pending);
        if let Err(error) = tree::update(self.snapshot.as_ref(), &mut batch) {
            self.failed = true;
            self.forget();
            return Err(error.context("could not sum up what was written"));
        }
        self.derived_bytes += batch.bytes();
        pending.derived = self.derived_bytes <= limits::DERIVED_BYTES_MAX
            && batch.tables().all(|(table, _)| is_derived(table));
        let durability = if pending.derived {
            Durability::Relaxed
        } else {
            self.derived_bytes = 0;
            durability
        };
        if let Err(error) = self.store.commit(&batch, durability) {
            self.failed = true;
            self.forget();
            return Err(Error::from(error).context("could not commit"));
        }
        self.snapshot = self.store.snapshot()?;
        // Of what fell behind in this batch, some caught up in it, too.
        pending.stale.retain(|key| {
            let slot = self.catalog.slot(key);
            let row = slot.and_then(|it| batch.get(Table::Stale, &it.key()));
            row != Some(store::Write::Remove)
        });
        Ok(pending)
    }

    /// Makes durable what was committed with [`Durability::Relaxed`].
    ///
    /// # Errors
    /// When the store could not write.
    pub fn sync(&mut self) -> Result<()> {
        self.check_writable()?;
        if let Err(error) = self.store.commit(&Batch::default(), Durability::Immediate) {
            self.failed = true;
            return Err(Error::from(error).context("could not sync"));
        }
        Ok(())
    }

    /// Prepares the store for being killed while idle, see [`Store::settle`].
    ///
    /// # Errors
    /// When the store could not write.
    pub fn settle(&mut self) -> Result<()> {
        self.check_writable()?;
        if let Err(error) = self.store.settle() {
            self.failed = true;
            return Err(Error::from(error).context("could not settle"));
        }
        Ok(())
    }

    fn check_writable(&self) -> Result<()> {
        if self.failed {
            let message = "an earlier write failed; reads go on, open the store again to write";
            return Err(Error::new(ErrorKind::StoreFailed, message));
        }
        Ok(())
    }

    /// Drops what memory holds ahead of the store, after a batch was given up.
    fn forget(&mut self) {
        self.graphs.clear();
        self.operations.clear();
        self.lsns.borrow_mut().clear();
        self.pending = Commit::default();
    }

    /// Records whose view is behind their heads, as the store has them: what to project first
    /// after opening.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn stale(&self) -> Result<Vec<RecordKey>> {
        let mut stale = Vec::new();
        self.rows().scan(
            Table::Stale,
            KeyRange::ALL,
            Order::Ascending,
            &mut |key, _| {
                let slot = Slot::read(&mut Reader::new(key)).ok();
                stale.extend(slot.and_then(|it| self.catalog.key(it)));
                std::ops::ControlFlow::Continue(())
            },
        )?;
        Ok(stale)
    }

    /// The spaces of which anything is here.
    pub fn spaces(&self) -> Vec<SpaceId> {
        self.catalog.spaces()
    }

    /// How far the peer store `store` has acknowledged the log of `space`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn cursor(&self, store: StoreId, space: SpaceId) -> Result<Option<Cursor>> {
        self.rows().cursor(store, space)
    }

    /// Records how far a peer store has acknowledged, with the next commit.
    pub fn set_cursor(&mut self, store: StoreId, space: SpaceId, cursor: &Cursor) {
        self.batch.put(
            Table::Cursors,
            ledger::cursor_key(store, space),
            cursor.encode(),
        );
    }

    /// What is known of the peer replica `replica`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn peer(&self, replica: ReplicaId) -> Result<Option<Peer>> {
        let row = self.rows().get(Table::Peers, &ledger::peer_key(replica))?;
        row.map(|row| Peer::decode(&row))
            .transpose()
            .map_err(|error| read::damaged(Table::Peers, &error))
    }

    /// The peer replicas that were ever here, with the store that each had last.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn peers(&self) -> Result<Vec<(ReplicaId, StoreId)>> {
        let mut peers = Vec::new();
        self.rows().scan(
            Table::Peers,
            KeyRange::ALL,
            Order::Ascending,
            &mut |key, row| {
                let replica = Reader::new(key).array("replica").map(ReplicaId::from_bytes);
                if let (Ok(replica), Ok(peer)) = (replica, Peer::decode(row)) {
                    peers.push((replica, peer.store));
                }
                std::ops::ControlFlow::Continue(())
            },
        )?;
        Ok(peers)
    }

    /// Where a record's newest change is in its space's log; `None` without such a record.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn record_lsn(&self, key: &RecordKey) -> Result<Option<Lsn>> {
        let Some(slot) = self.catalog.slot(key) else {
            return Ok(None);
        };
        Ok(self.rows().header(slot)?.map(|it| it.lsn))
    }

    /// Records what is known of a peer replica, with the next commit.
    pub fn set_peer(&mut self, replica: ReplicaId, peer: Peer) {
        self.batch
            .put(Table::Peers, ledger::peer_key(replica), peer.encode());
    }

    /// The first entries of the quarantine, up to `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn quarantined(&self, limit: usize) -> Result<Vec<Quarantined>> {
        let mut found = Vec::new();
        self.rows().scan(
            Table::Quarantine,
            KeyRange::ALL,
            Order::Ascending,
            &mut |key, row| {
                if found.len() >= limit {
                    return std::ops::ControlFlow::Break(());
                }
                found.extend(self.read_quarantined(key, row));
                std::ops::ControlFlow::Continue(())
            },
        )?;
        Ok(found)
    }

    fn read_quarantined(&self, key: &[u8], row: &[u8]) -> Option<Quarantined> {
        let mut reader = Reader::new(key);
        let key = self.catalog.key(Slot::read(&mut reader).ok()?)?;
        let hash = crate::id::ChangeHash::from_bytes(reader.array("change hash").ok()?);
        let QuarantineRow {
            reason,
            origin,
            since,
            bytes,
            ..
        } = QuarantineRow::decode(row).ok()?;
        Some(Quarantined {
            key,
            hash,
            reason,
            origin,
            since,
            size_bytes: bytes.len(),
        })
    }

    fn note_quarantine_size(&mut self) {
        let mut writer = crate::codec::Writer::new();
        writer
            .u64(self.quarantine.entries)
            .u64(self.quarantine.bytes);
        self.batch
            .put(Table::Meta, QUARANTINE.to_vec(), writer.finish());
    }
}

/// Whether the rows of a table can be lost in a crash without losing anything: views are made
/// again, and a peer tells again how far it is. Any later commit that waits for the disk keeps them.
const fn is_derived(table: Table) -> bool {
    match table {
        Table::Views | Table::Index | Table::Stale | Table::Cursors | Table::Peers => true,
        Table::Meta
        | Table::Collections
        | Table::Log
        | Table::Records
        | Table::Graph
        | Table::Elements
        | Table::Tree
        | Table::Quarantine
        | Table::Waiting
        | Table::Snapshots
        | Table::Due
        | Table::Blobs
        | Table::Chunks
        | Table::Fetches
        | Table::Named
        | Table::Loose => false,
    }
}

fn read_quarantine(row: &[u8]) -> Result<QuarantineSize> {
    let mut reader = Reader::new(row);
    let entries = reader.u64("entries");
    let bytes = reader.u64("bytes");
    match (entries, bytes) {
        (Ok(entries), Ok(bytes)) => Ok(QuarantineSize { entries, bytes }),
        (Err(error), _) | (_, Err(error)) => Err(read::damaged(Table::Meta, &error)),
    }
}

fn array<const N: usize>(row: &[u8]) -> Result<[u8; N]> {
    row.try_into()
        .map_err(|_length| read::damaged(Table::Meta, &"store id has a wrong length"))
}

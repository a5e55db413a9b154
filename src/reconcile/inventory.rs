//! What reconciliation and sessions read of a replica, and nothing more.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::{Span, Total, Upper, WalkItem};
use crate::blob::{Manifest, Missing};
use crate::error::Result;
use crate::id::{
    ActorId, BlobId, ChangeHash, CollectionId, CorrelationId, Heads, Lsn, RecordKey, SpaceId,
    StoreId,
};

/// A change's place in its record: the order in which this replica applied them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Piece {
    /// Position among the record's changes.
    pub position: u32,
    /// Where its bytes are in the space's log.
    pub lsn: Lsn,
}

/// A record's document up to some change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// How many changes are in it: those at the positions before this one.
    pub changes: u32,
    /// The document, as Automerge saves it.
    pub document: Bytes,
}

/// One change of the log, in the order in which this store applied it.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Its number.
    pub lsn: Lsn,
    /// The record it belongs to.
    pub key: RecordKey,
    /// The store that it came from; the own store for local changes.
    pub origin: StoreId,
    /// Who wrote it.
    pub actor: ActorId,
    /// What caused it.
    pub correlation: CorrelationId,
    /// The change.
    pub bytes: Bytes,
}

/// Read access to a replica's committed state, as the protocol sees it.
pub trait Inventory {
    /// The collections of a space, in order.
    ///
    /// # Errors
    /// When the store can't be read; so for all methods here.
    fn collections(&self, space: SpaceId) -> Result<Vec<CollectionId>>;

    /// Count and sum of the records of a collection whose key lies in `span`.
    ///
    /// # Errors
    /// When the store can't be read.
    fn total(&self, space: SpaceId, collection: &CollectionId, span: Span) -> Result<Total>;

    /// Up to `limit` records of a collection whose key lies in `span`, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    fn items(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        span: Span,
        limit: usize,
    ) -> Result<Vec<WalkItem>>;

    /// Parts `span` into at most `limit` adjacent parts of similar size, in order: where each ends,
    /// the last one with the span, and what it comes to. More than one, if it holds more than one
    /// record.
    ///
    /// # Errors
    /// When the store can't be read.
    fn parts(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        span: Span,
        limit: usize,
    ) -> Result<Vec<(Upper, Total)>>;

    /// Parts `span` so that the parts get smaller towards its end, the last one being of about
    /// `leaf` records: where each ends, and what it comes to. More than one, if it holds more than
    /// `leaf` records.
    ///
    /// # Errors
    /// When the store can't be read.
    fn newest(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        span: Span,
        leaf: usize,
    ) -> Result<Vec<(Upper, Total)>>;

    /// The record's heads; `None` if nothing of it is here.
    ///
    /// # Errors
    /// When the store can't be read.
    fn heads(&self, key: &RecordKey) -> Result<Option<Heads>>;

    /// Which of `hashes` are changes of the record that are not here. A folded change that was no
    /// writer's last may be named, too: nothing but loading the snapshot tells that it is here.
    ///
    /// # Errors
    /// When the store can't be read.
    fn unknown(&self, key: &RecordKey, hashes: &[ChangeHash]) -> Result<Vec<ChangeHash>>;

    /// The record's heads, and after them exponentially spaced older changes: enough for a peer to find what
    /// both have.
    ///
    /// # Errors
    /// When the store can't be read.
    fn samples(&self, key: &RecordKey) -> Result<Vec<ChangeHash>>;

    /// The changes that one lacks who has `known` and all that those depend on, parents first.
    /// Hashes that are not here are passed over.
    ///
    /// # Errors
    /// When the store can't be read.
    fn lacking(&self, key: &RecordKey, known: &[ChangeHash]) -> Result<Vec<Piece>>;

    /// The record's snapshot, which holds those of its changes that are not in the log any more.
    ///
    /// # Errors
    /// When the store can't be read.
    fn snapshot(&self, key: &RecordKey) -> Result<Option<Snapshot>>;

    /// The number in the space's log up to which changes may have left it; all after it are there.
    ///
    /// # Errors
    /// When the store can't be read.
    fn horizon(&self, space: SpaceId) -> Result<Lsn>;

    /// The manifest of an attachment that is here as a whole.
    ///
    /// # Errors
    /// `StoreCorrupt` if it is damaged, and when the store can't be read.
    fn blob_manifest(&self, space: SpaceId, blob: BlobId) -> Result<Option<Manifest>>;

    /// A chunk of an attachment, if it is here.
    ///
    /// # Errors
    /// `StoreCorrupt` if it is damaged, and when the store can't be read.
    fn blob_chunk(&self, space: SpaceId, blob: BlobId, index: u32) -> Result<Option<Bytes>>;

    /// What of an attachment is neither here nor among the chunks that are asked for already: so many
    /// at the most.
    ///
    /// # Errors
    /// When the store can't be read.
    fn blob_missing(
        &self,
        space: SpaceId,
        blob: BlobId,
        asked: (&BTreeSet<u32>, usize),
    ) -> Result<Missing>;

    /// Bytes that the record's history takes.
    ///
    /// # Errors
    /// When the store can't be read.
    fn weight(&self, key: &RecordKey) -> Result<u64>;

    /// The newest number of the space's log; 0 when it is empty.
    ///
    /// # Errors
    /// When the store can't be read.
    fn lsn(&self, space: SpaceId) -> Result<Lsn>;

    /// The change at `lsn`, if the log still has it.
    ///
    /// # Errors
    /// When the store can't be read.
    fn entry(&self, space: SpaceId, lsn: Lsn) -> Result<Option<LogEntry>>;

    /// Shows the log after `after`, oldest first, until `visit` breaks.
    ///
    /// # Errors
    /// When the store can't be read.
    fn log(
        &self,
        space: SpaceId,
        after: Lsn,
        visit: &mut dyn FnMut(LogEntry) -> ControlFlow<()>,
    ) -> Result<()>;
}

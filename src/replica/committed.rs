//! What came out of a commit.

use super::ShownView;
use crate::id::{BlobId, CorrelationId, Heads, Lsn, RecordKey, SpaceId, StoreId};

/// A change of a record that a commit made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The record.
    pub key: RecordKey,
    /// Its heads now.
    pub heads: Heads,
    /// The store it came from; the own store for a local edit.
    pub origin: StoreId,
    /// What caused it.
    pub correlation: CorrelationId,
    /// Its number in the space's log.
    pub lsn: Lsn,
    /// Number of changes.
    pub changes: u32,
}

/// What one commit made durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Changed records.
    pub committed: Vec<Committed>,
    /// Views brought up to date.
    pub shown: Vec<ShownView>,
    /// Records whose view is behind now.
    pub stale: Vec<RecordKey>,
    /// A record has so many loose changes now that it is to be folded.
    pub due: bool,
    /// Blobs that are here now as a whole.
    pub blobs: Vec<(SpaceId, BlobId)>,
    /// Blobs that are wanted now.
    pub wanted: Vec<(SpaceId, BlobId)>,
    /// Blobs that its changes have named, where what peers ask for is fetched.
    pub named: Vec<(SpaceId, BlobId)>,
    /// There was nothing in it but what can be made again from the rest: views, and what is known
    /// of peers. It did not wait for the disk, as long as there is not too much of that.
    pub derived: bool,
}

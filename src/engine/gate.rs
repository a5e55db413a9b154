//! What sessions may do to the replica, on behalf of their peer.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use bytes::Bytes;

use crate::blob::{Chunk, Manifest, Missing};
use crate::error::Result;
use crate::id::{BlobId, ChangeHash, CollectionId, Heads, Lsn, RecordKey, SpaceId, StoreId};
use crate::ledger::Cursor;
use crate::reconcile::{Inventory, LogEntry, Piece, Snapshot, Span, Total, Upper, WalkItem};
use crate::replica::{Admission, ChunkFate, Intake, ManifestFate, Reason, Replica};
use crate::session::{BlobName, Delivery, Gate, Taken};
use crate::telemetry::names;
use crate::time::WallTime;

/// The replica as the session of one peer sees it.
#[derive(Debug)]
pub(super) struct PeerGate<'a> {
    pub replica: &'a mut Replica,
    pub wall: WallTime,
}

impl Gate for PeerGate<'_> {
    fn deliver(&mut self, delivery: Delivery) -> Result<Taken> {
        let Delivery {
            key,
            origin,
            correlation,
            changes,
        } = delivery;
        let span = tracing::debug_span!(
            names::span::APPLY, %correlation, record = %key, changes = changes.len()
        );
        let _entered = span.entered();
        let intake = Intake {
            key,
            origin,
            correlation,
            now: self.wall,
            changes,
        };
        let admissions = self.replica.apply(&intake)?;
        let total = u64::try_from(admissions.len()).unwrap_or(u64::MAX);
        let (mut applied, mut duplicates, mut waits) = (0, 0, false);
        for admission in admissions {
            match admission {
                Admission::Applied(_) => applied += 1,
                Admission::Duplicate => duplicates += 1,
                Admission::Held(reason) => {
                    waits |= matches!(reason, Reason::Waiting { .. });
                    tracing::debug!(reason = reason.name(), "a change goes into quarantine");
                }
            }
        }
        metrics::counter!(names::APPLIED_CHANGES).increment(applied);
        metrics::counter!(names::DUPLICATE_CHANGES).increment(duplicates);
        let all_here = duplicates > 0 && duplicates == total;
        Ok(Taken { waits, all_here })
    }

    fn take_manifest(&mut self, name: BlobName, manifest: &Manifest) -> Result<bool> {
        let fate = self.replica.take_manifest(name, manifest, self.wall)?;
        Ok(fate == ManifestFate::Fine)
    }

    fn take_chunk(&mut self, name: BlobName, index: u32, chunk: &Chunk) -> Result<bool> {
        metrics::counter!(names::BLOB_CHUNKS).increment(1);
        let fate = self.replica.take_chunk(name, index, chunk)?;
        Ok(fate == ChunkFate::Fine)
    }

    fn cursor(&self, store: StoreId, space: SpaceId) -> Result<Option<Cursor>> {
        self.replica.cursor(store, space)
    }

    fn set_cursor(&mut self, store: StoreId, space: SpaceId, cursor: &Cursor) {
        self.replica.set_cursor(store, space, cursor);
    }
}

/// Reads pass through to the replica.
impl Inventory for PeerGate<'_> {
    fn collections(&self, space: SpaceId) -> Result<Vec<CollectionId>> {
        self.replica.collections(space)
    }

    fn total(&self, space: SpaceId, collection: &CollectionId, span: Span) -> Result<Total> {
        self.replica.total(space, collection, span)
    }

    fn items(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        span: Span,
        limit: usize,
    ) -> Result<Vec<WalkItem>> {
        self.replica.items(space, collection, span, limit)
    }

    fn parts(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        span: Span,
        limit: usize,
    ) -> Result<Vec<(Upper, Total)>> {
        self.replica.parts(space, collection, span, limit)
    }

    fn newest(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        span: Span,
        leaf: usize,
    ) -> Result<Vec<(Upper, Total)>> {
        self.replica.newest(space, collection, span, leaf)
    }

    fn heads(&self, key: &RecordKey) -> Result<Option<Heads>> {
        self.replica.heads(key)
    }

    fn unknown(&self, key: &RecordKey, hashes: &[ChangeHash]) -> Result<Vec<ChangeHash>> {
        self.replica.unknown(key, hashes)
    }

    fn samples(&self, key: &RecordKey) -> Result<Vec<ChangeHash>> {
        self.replica.samples(key)
    }

    fn lacking(&self, key: &RecordKey, known: &[ChangeHash]) -> Result<Vec<Piece>> {
        self.replica.lacking(key, known)
    }

    fn snapshot(&self, key: &RecordKey) -> Result<Option<Snapshot>> {
        self.replica.snapshot(key)
    }

    fn horizon(&self, space: SpaceId) -> Result<Lsn> {
        self.replica.horizon(space)
    }

    fn blob_manifest(&self, space: SpaceId, blob: BlobId) -> Result<Option<Manifest>> {
        self.replica.blob_manifest(space, blob)
    }

    fn blob_chunk(&self, space: SpaceId, blob: BlobId, index: u32) -> Result<Option<Bytes>> {
        self.replica.blob_chunk(space, blob, index)
    }

    fn blob_missing(
        &self,
        space: SpaceId,
        blob: BlobId,
        asked: (&BTreeSet<u32>, usize),
    ) -> Result<Missing> {
        self.replica.blob_missing(space, blob, asked)
    }

    fn weight(&self, key: &RecordKey) -> Result<u64> {
        self.replica.weight(key)
    }

    fn lsn(&self, space: SpaceId) -> Result<Lsn> {
        self.replica.lsn(space)
    }

    fn entry(&self, space: SpaceId, lsn: Lsn) -> Result<Option<LogEntry>> {
        self.replica.entry(space, lsn)
    }

    fn log(
        &self,
        space: SpaceId,
        after: Lsn,
        visit: &mut dyn FnMut(LogEntry) -> ControlFlow<()>,
    ) -> Result<()> {
        self.replica.log(space, after, visit)
    }
}

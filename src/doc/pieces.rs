//! A document that comes in pieces, as files have it: documents that were saved at some time, and
//! changes since, in any order.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::bounded::within;
use super::saved::{self, DOCUMENT};
use super::{Change, Document, DocumentFault};
use crate::codec::Reader;
use crate::id::{ActorId, ChangeHash};
use crate::limits;

/// All changes of some pieces, each once.
#[derive(Debug, Default)]
pub struct Pieces {
    changes: BTreeMap<ChangeHash, Change>,
    pub(super) operations: u64,
}

impl Pieces {
    /// Takes the changes out of a piece: one chunk of Automerge's format or several, each a saved
    /// document or a change.
    ///
    /// # Errors
    /// The first thing that is wrong with it. Chunks that are sound are taken in all the same, up to
    /// where it can't be told any more where the next one begins.
    pub fn add(&mut self, piece: &[u8]) -> Result<(), DocumentFault> {
        let max = limits::DOCUMENT_BYTES_MAX;
        if piece.len() > max {
            let bytes = piece.len();
            return Err(DocumentFault::TooLarge { bytes, max });
        }
        let mut reader = Reader::new(piece);
        let mut result = Ok(());
        loop {
            let start = reader.offset();
            let kind = match saved::chunk(&mut reader) {
                Ok((kind, _)) => kind,
                Err(fault) => return result.and(Err(fault.into())),
            };
            let chunk = piece.get(start..reader.offset()).unwrap_or_default();
            result = result.and(self.add_chunk(kind, chunk));
            if reader.remaining() == 0 {
                return result;
            }
        }
    }

    fn add_chunk(&mut self, kind: u8, chunk: &[u8]) -> Result<(), DocumentFault> {
        if kind == DOCUMENT {
            let reader = ActorId::from_bytes(vec![0; 16]);
            let (_, changes) = Document::open_saved(&reader, chunk)?;
            return changes.into_iter().try_for_each(|it| self.insert(it));
        }
        self.insert(Change::verify(Bytes::copy_from_slice(chunk))?)
    }

    /// One saved document is within these bounds; many pieces together have to be, too.
    fn insert(&mut self, change: Change) -> Result<(), DocumentFault> {
        if self.changes.contains_key(&change.hash()) {
            return Ok(());
        }
        let changes = u64::try_from(self.changes.len()).unwrap_or(u64::MAX);
        within("changes", changes + 1, limits::DOCUMENT_CHANGES_MAX)?;
        let operations = self.operations.saturating_add(change.op_count());
        // Those that are kept, and as many deletions.
        within("operations", operations, 2 * limits::DOCUMENT_OPS_MAX)?;
        self.operations = operations;
        self.changes.insert(change.hash(), change);
        Ok(())
    }

    /// The changes, parents first. Parents that no piece has are nowhere among them.
    pub fn into_changes(self) -> Vec<Change> {
        let mut left = self.changes;
        let mut ordered = Vec::with_capacity(left.len());
        while let Some((&first, _)) = left.first_key_value() {
            // A way down to a change whose parents are all placed, and back.
            let mut way = vec![first];
            while let Some(&hash) = way.last() {
                let parents = left.get(&hash).map(Change::deps).unwrap_or_default();
                let before = way.len();
                way.extend(parents.iter().filter(|it| left.contains_key(it)));
                if way.len() == before {
                    way.pop();
                    ordered.extend(left.remove(&hash));
                }
            }
        }
        ordered
    }
}

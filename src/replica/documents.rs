//! Documents out of a store: for editing, projecting and exporting, never for replicating.

use bytes::Bytes;

use super::keys::Slot;
use super::read::{Rows, damaged};
use super::rows::Header;
use crate::doc::{Change, Document};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ActorId, ChangeHash, Heads, RecordKey};
use crate::reconcile::Piece;
use crate::store::Table;

/// A document and the heads of the store that it contains.
#[derive(Debug)]
pub struct Loaded {
    /// The document.
    pub document: Document,
    /// The heads of the stored changes that are in it. It may have local ones beyond.
    pub heads: Heads,
}

impl Loaded {
    /// The document of a record as it stands, empty if nothing of it is here.
    ///
    /// Costs in proportion to the record's history.
    ///
    /// # Errors
    /// [`ErrorKind::Poisoned`] when Automerge refuses the changes; when the store can't be read.
    pub fn open(rows: &Rows<'_>, key: &RecordKey, actor: &ActorId) -> Result<Self> {
        let mut loaded = Self {
            document: Document::new(actor),
            heads: Heads::default(),
        };
        loaded.refresh(rows, key)?;
        Ok(loaded)
    }

    /// Brings the document up to what the store has of the record.
    ///
    /// # Errors
    /// As [`Loaded::open`]. The document stays as it was.
    pub fn refresh(&mut self, rows: &Rows<'_>, key: &RecordKey) -> Result<()> {
        let Some((slot, header)) = find(rows, key)? else {
            return Ok(());
        };
        let heads = header.hashes();
        if heads == self.heads {
            return Ok(());
        }
        let pieces = rows.graph(slot, &header)?.lacking(self.heads.as_slice());
        let mut changes = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let change = read_change(rows, key, piece)?;
            // Own edits came into the document before they were stored.
            if !self.document.has(&change.hash()) {
                changes.push(change);
            }
        }
        self.document
            .apply(&changes)
            .map_err(|fault| poisoned(key, &fault))?;
        self.heads = heads;
        Ok(())
    }
}

/// All changes of a record, parents first.
///
/// # Errors
/// When the store can't be read.
pub fn changes(rows: &Rows<'_>, key: &RecordKey) -> Result<Vec<Bytes>> {
    let Some((slot, header)) = find(rows, key)? else {
        return Ok(Vec::new());
    };
    let pieces = rows.graph(slot, &header)?.lacking(&[] as &[ChangeHash]);
    pieces
        .into_iter()
        .map(|it| read_bytes(rows, key, it))
        .collect()
}

fn find(rows: &Rows<'_>, key: &RecordKey) -> Result<Option<(Slot, Header)>> {
    let Some(slot) = rows.slot(key)? else {
        return Ok(None);
    };
    Ok(rows.header(slot)?.map(|header| (slot, header)))
}

fn read_bytes(rows: &Rows<'_>, key: &RecordKey, piece: Piece) -> Result<Bytes> {
    let missing = || {
        damaged(
            Table::Log,
            &format!("change {} of {key} is missing", piece.lsn),
        )
    };
    let space = rows.number(key.space, None)?.ok_or_else(missing)?;
    let row = rows.log_row(space, piece.lsn)?.ok_or_else(missing)?;
    Ok(row.bytes)
}

fn read_change(rows: &Rows<'_>, key: &RecordKey, piece: Piece) -> Result<Change> {
    let bytes = read_bytes(rows, key, piece)?;
    Change::verify(bytes).map_err(|fault| damaged(Table::Log, &fault))
}

fn poisoned(key: &RecordKey, fault: &dyn std::error::Error) -> Error {
    let message = format!("the document of record {key} can't be loaded: {fault}");
    Error::new(ErrorKind::Poisoned, message)
}

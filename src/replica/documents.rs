//! Documents out of a store: for editing, projecting and exporting, never for replicating.

use bytes::Bytes;

use super::keys::Slot;
use super::read::{Rows, damaged};
use super::rows::Header;
use crate::doc::{Change, Document, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ActorId, Heads, Lsn, RecordKey};
use crate::store::Table;

/// A document, and how much of what the store has of its record is in it.
#[derive(Debug)]
pub struct Loaded {
    /// The document. It may have local changes that are not stored yet.
    pub document: Document,
    /// The stored heads that are in it.
    pub heads: Heads,
    /// Number of stored changes that are in it: all up to there, in the order of the store.
    changes: u32,
}

impl Loaded {
    /// An empty document that `actor` will write to, nothing of the store in it yet.
    pub fn new(actor: &ActorId) -> Self {
        Self {
            document: Document::new(actor),
            heads: Heads::default(),
            changes: 0,
        }
    }

    /// The document of a record as it stands, empty if nothing of it is here.
    ///
    /// Costs in proportion to the record's history.
    ///
    /// # Errors
    /// [`ErrorKind::Poisoned`] when Automerge refuses the changes; when the store can't be read.
    pub fn open(rows: &Rows<'_>, key: &RecordKey, actor: &ActorId) -> Result<Self> {
        let mut loaded = Self::new(actor);
        loaded.refresh(rows, key)?;
        Ok(loaded)
    }

    /// Number of stored changes that are in it.
    pub const fn changes(&self) -> u32 {
        self.changes
    }

    /// Whether there are local changes in it that it has not met in the store yet.
    pub fn is_ahead(&self) -> bool {
        self.document.heads() != self.heads
    }

    /// The value of what is stored of it, without local changes that may yet fail.
    ///
    /// # Errors
    /// [`ErrorKind::Poisoned`] when Automerge fails.
    pub fn stored_value(&self) -> Result<Value> {
        let value = if self.is_ahead() {
            self.document.value_at(&self.heads)
        } else {
            self.document.value()
        };
        value.map_err(Error::from)
    }

    /// Brings the document up to what the store has of the record. Costs in proportion to what is
    /// new.
    ///
    /// # Errors
    /// As [`Loaded::open`]. With [`ErrorKind::Poisoned`] the document may be spoiled
    /// ([`Document::is_spoiled`]): the caller drops it and opens it again. Else it stays as it was.
    pub fn refresh(&mut self, rows: &Rows<'_>, key: &RecordKey) -> Result<()> {
        let Some((slot, header)) = find(rows, key)? else {
            return Ok(());
        };
        if header.changes <= self.changes {
            return Ok(());
        }
        let nodes = rows.nodes(slot, self.changes, &header)?;
        // Own edits came into the document before they were stored.
        let new = nodes.iter().filter(|it| !self.document.has(&it.hash));
        let lsns: Vec<_> = new.map(|it| it.lsn).collect();
        let verify = |bytes| Change::verify(bytes).map_err(|it| damaged(Table::Log, &it));
        let changes: Vec<_> = read(rows, key, &lsns)?
            .into_iter()
            .map(verify)
            .collect::<Result<_>>()?;
        if !changes.is_empty() {
            self.document
                .apply(&changes)
                .map_err(|fault| poisoned(key, &fault))?;
        }
        self.heads = header.hashes();
        self.changes = header.changes;
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
    let lsns: Vec<_> = rows
        .nodes(slot, 0, &header)?
        .iter()
        .map(|it| it.lsn)
        .collect();
    read(rows, key, &lsns)
}

fn find(rows: &Rows<'_>, key: &RecordKey) -> Result<Option<(Slot, Header)>> {
    let Some(slot) = rows.slot(key)? else {
        return Ok(None);
    };
    Ok(rows.header(slot)?.map(|header| (slot, header)))
}

/// The bytes of changes at these numbers of the record's space.
fn read(rows: &Rows<'_>, key: &RecordKey, lsns: &[Lsn]) -> Result<Vec<Bytes>> {
    let missing = |lsn: &Lsn| damaged(Table::Log, &format!("change {lsn} of {key} is missing"));
    let Some(space) = rows.number(key.space, None)? else {
        return lsns.first().map_or(Ok(Vec::new()), |it| Err(missing(it)));
    };
    let bytes = |lsn: &Lsn| -> Result<Bytes> {
        let row = rows.log_row(space, *lsn)?;
        row.map(|it| it.bytes).ok_or_else(|| missing(lsn))
    };
    lsns.iter().map(bytes).collect()
}

fn poisoned(key: &RecordKey, fault: &dyn std::error::Error) -> Error {
    let message = format!("the document of record {key} can't be loaded: {fault}");
    Error::new(ErrorKind::Poisoned, message)
}

//! Checks a saved document before Automerge sees it: what it would inflate and expand to.

use bytes::Bytes;

use super::bounded::{inflate, runs, within};
use super::change::{CHANGE, Change, ChangeFault, DEFLATED_CHANGE, MAGIC};
use super::fault::DocumentFault;
use crate::codec::Reader;
use crate::limits;

/// Type of a chunk that holds a whole document.
pub(super) const DOCUMENT: u8 = 0;

/// The bit of a column's name that says that its data is deflated.
const DEFLATED: u64 = 1 << 3;
/// Columns of the changes: one entry per change, and one count of parents.
const CHANGE_ACTORS: u64 = 1;
const CHANGE_PARENTS: u64 = 4 << 4;
/// Columns of the operations: one entry per operation, and one count of what overwrites it.
const ACTIONS: u64 = 4 << 4 | 2;
const SUCCESSORS: u64 = 8 << 4;

/// Checks that loading these chunks takes bounded memory and time. They may be a document, and
/// changes after it.
pub(super) fn check(saved: &[u8]) -> Result<(), DocumentFault> {
    let max = limits::DOCUMENT_BYTES_MAX;
    if saved.len() > max {
        let bytes = saved.len();
        return Err(DocumentFault::TooLarge { bytes, max });
    }
    let mut reader = Reader::new(saved);
    loop {
        let start = reader.offset();
        let (kind, body) = chunk(&mut reader)?;
        match kind {
            DOCUMENT => {
                document(body, limits::DOCUMENT_INFLATED_BYTES_MAX)?;
            }
            CHANGE | DEFLATED_CHANGE => {
                let bytes = saved.get(start..reader.offset()).unwrap_or_default();
                Change::verify(Bytes::copy_from_slice(bytes))?;
            }
            // Bundles: Automerge says that their format is not settled.
            found => return Err(ChangeFault::ChunkType { found }.into()),
        }
        if reader.remaining() == 0 {
            return Ok(());
        }
    }
}

pub(super) fn chunk<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), ChangeFault> {
    let found = reader.array("chunk mark")?;
    if found != MAGIC {
        return Err(ChangeFault::Magic { found });
    }
    let _checksum: [u8; 4] = reader.array("checksum")?;
    let kind = reader.u8("chunk type")?;
    Ok((kind, reader.bytes(limits::DOCUMENT_BYTES_MAX, "chunk")?))
}

fn document(body: &[u8], mut budget: usize) -> Result<Counts, ChangeFault> {
    let Sections {
        changes,
        operations,
        mut reader,
        ..
    } = Sections::parse(body)?;
    let mut counts = Counts::default();
    for column in changes {
        let data = column.read(&mut reader, &mut budget)?;
        let mut data = Reader::new(&data);
        let max = limits::DOCUMENT_CHANGES_MAX;
        match column.name {
            CHANGE_ACTORS => {
                let entries = runs(&mut data, "changes")?.entries;
                counts.changes = within("changes", entries, max)?;
            }
            CHANGE_PARENTS => {
                within("parents", runs(&mut data, "parents")?.sum, 2 * max)?;
            }
            _ => {}
        }
    }
    for column in operations {
        let data = column.read(&mut reader, &mut budget)?;
        let mut data = Reader::new(&data);
        let max = limits::DOCUMENT_OPS_MAX;
        match column.name {
            ACTIONS => {
                let entries = runs(&mut data, "operations")?.entries;
                counts.operations = within("operations", entries, max)?;
            }
            SUCCESSORS => {
                within("successors", runs(&mut data, "successors")?.sum, max)?;
            }
            _ => {}
        }
    }
    Ok(counts)
}

/// How much a document says it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) changes: u64,
    /// Those that are kept: deletions are not.
    pub(super) operations: u64,
}

/// Checks one chunk with a whole document, as [`check`], and says how much it holds.
pub(super) fn count(saved: &[u8], inflated_max: usize) -> Result<Counts, ChangeFault> {
    document(document_body(saved)?, inflated_max)
}

/// The body of a chunk that holds a whole document, and nothing after it.
pub(super) fn document_body(saved: &[u8]) -> Result<&[u8], ChangeFault> {
    let mut reader = Reader::new(saved);
    let (kind, body) = chunk(&mut reader)?;
    reader.finish("document")?;
    if kind != DOCUMENT {
        return Err(ChangeFault::ChunkType { found: kind });
    }
    Ok(body)
}

/// The parts of a document up to its columns, whose data comes next.
pub(super) struct Sections<'a> {
    pub(super) actors: Vec<&'a [u8]>,
    pub(super) changes: Vec<Column>,
    pub(super) operations: Vec<Column>,
    /// Stands where the data of the columns begins, first that of the changes.
    pub(super) reader: Reader<'a>,
}

impl<'a> Sections<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ChangeFault> {
        let mut reader = Reader::new(body);
        let count = reader.count(limits::DOCUMENT_ACTORS_MAX, "actors")?;
        let actor = |_| reader.bytes(limits::ACTOR_BYTES_MAX, "actor");
        let actors = (0..count).map(actor).collect::<Result<_, _>>()?;
        for _ in 0..reader.count(limits::HEADS_MAX, "heads")? {
            let _head: [u8; 32] = reader.array("head")?;
        }
        let changes = columns(&mut reader)?;
        let operations = columns(&mut reader)?;
        Ok(Self {
            actors,
            changes,
            operations,
            reader,
        })
    }
}

/// A column of a document: what it holds, and how long its data is.
pub(super) struct Column {
    pub(super) name: u64,
    deflated: bool,
    bytes: usize,
}

fn columns(reader: &mut Reader<'_>) -> Result<Vec<Column>, ChangeFault> {
    let count = reader.count(limits::CHANGE_COLUMNS_MAX, "columns")?;
    let mut columns = Vec::with_capacity(count);
    for _ in 0..count {
        let name = reader.varint("column")?;
        columns.push(Column {
            name: name & !DEFLATED,
            deflated: name & DEFLATED != 0,
            bytes: reader.count(limits::DOCUMENT_BYTES_MAX, "column length")?,
        });
    }
    Ok(columns)
}

impl Column {
    /// Passes over the column's data.
    pub(super) fn skip(&self, reader: &mut Reader<'_>) -> Result<(), ChangeFault> {
        reader.take(self.bytes, "column data")?;
        Ok(())
    }

    /// The column's data; what it has after inflating comes off the budget.
    pub(super) fn read(
        &self,
        reader: &mut Reader<'_>,
        budget: &mut usize,
    ) -> Result<Vec<u8>, ChangeFault> {
        let data = reader.take(self.bytes, "column data")?;
        let data = if self.deflated {
            inflate(data, *budget)?
        } else {
            data.to_vec()
        };
        *budget = budget.saturating_sub(data.len());
        Ok(data)
    }
}

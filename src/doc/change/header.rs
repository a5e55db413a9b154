//! The parts of a change that can be read without a document: its header and operation counts.

use super::super::bounded::{runs, signed, within};
use super::ChangeFault;
use crate::codec::{Malformed, Problem, Reader};
use crate::id::{ActorId, ChangeHash};
use crate::limits;

/// Column of action codes: one entry per operation.
const ACTIONS: u64 = 4 << 4 | 2;
/// Column of predecessor counts: one entry per operation.
const PREDECESSORS: u64 = 7 << 4;
/// The bit of a column's name that says that its data is deflated.
const DEFLATED: u64 = 1 << 3;

/// What a change says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) deps: Vec<ChangeHash>,
    pub(super) actor: ActorId,
    pub(super) seq: u64,
    pub(super) start_op: u64,
    pub(super) op_count: u64,
    pub(super) time: i64,
    pub(super) message: Option<String>,
}

impl Header {
    /// Reads the uncompressed body of a change, from its parents to its columns.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ChangeFault> {
        let mut reader = Reader::new(body);
        let deps = parents(&mut reader)?;
        let actor = actor(&mut reader)?;
        let seq = reader.varint("sequence number")?;
        if seq == 0 || seq > u64::from(u32::MAX) {
            return Err(ChangeFault::Sequence { seq });
        }
        let start_op = reader.varint("first operation")?;
        let seconds = signed(&mut reader, "time")?;
        if seconds.unsigned_abs() > limits::CHANGE_TIME_SECONDS_MAX {
            return Err(ChangeFault::Time { seconds });
        }
        let message = reader.text(limits::CHANGE_MESSAGE_BYTES_MAX, "message")?;
        let message = (!message.is_empty()).then(|| message.to_owned());
        let others = reader.count(limits::CHANGE_ACTORS_MAX, "other actors")?;
        for _ in 0..others {
            actor_bytes(&mut reader)?;
        }
        let op_count = operations(&mut reader)?;
        let last = start_op.saturating_add(op_count);
        if start_op == 0 || last > u64::from(u32::MAX) {
            return Err(ChangeFault::OperationNumbers {
                start: start_op,
                count: op_count,
            });
        }
        Ok(Self {
            deps,
            actor: ActorId::from_bytes(actor.to_vec()),
            seq,
            start_op,
            op_count,
            time: seconds,
            message,
        })
    }
}

fn parents(reader: &mut Reader<'_>) -> Result<Vec<ChangeHash>, ChangeFault> {
    let count = reader.count(limits::CHANGE_DEPS_MAX, "parents")?;
    let mut deps: Vec<ChangeHash> = Vec::with_capacity(count);
    for index in 0..count {
        let dep = ChangeHash::from_bytes(reader.array("parent")?);
        if deps.last().is_some_and(|before| *before >= dep) {
            return Err(ChangeFault::ParentOrder { index });
        }
        deps.push(dep);
    }
    Ok(deps)
}

fn actor<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], ChangeFault> {
    let bytes = actor_bytes(reader)?;
    if bytes.is_empty() {
        return Err(reader.error("actor", Problem::Unexpected(0)).into());
    }
    Ok(bytes)
}

fn actor_bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    reader.bytes(limits::ACTOR_BYTES_MAX, "actor")
}

/// Checks the columns and counts the operations in them.
fn operations(reader: &mut Reader<'_>) -> Result<u64, ChangeFault> {
    let count = reader.count(limits::CHANGE_COLUMNS_MAX, "columns")?;
    let mut columns = Vec::with_capacity(count);
    let mut before = None;
    for index in 0..count {
        let name = reader.varint("column")?;
        let bytes = reader.count(limits::CHANGE_INFLATED_BYTES_MAX, "column length")?;
        let in_order = before.is_none_or(|it| it < name);
        if !in_order || name & DEFLATED != 0 || name > u64::from(u32::MAX) {
            return Err(ChangeFault::Columns { index });
        }
        before = Some(name);
        columns.push((name, bytes));
    }
    let mut ops = 0;
    for (name, bytes) in columns {
        let mut data = Reader::new(reader.take(bytes, "column data")?);
        if name == ACTIONS {
            let entries = runs(&mut data, "operations")?.entries;
            ops = within("operations", entries, limits::CHANGE_OPS_MAX)?;
        } else if name == PREDECESSORS {
            // Each becomes an entry in memory, and a run names many in few bytes.
            let sum = runs(&mut data, "predecessors")?.sum;
            within("predecessors", sum, limits::CHANGE_OPS_MAX)?;
        }
    }
    Ok(ops)
}

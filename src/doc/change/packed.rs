//! The operations inside a saved document, read from its columns without loading it: enough to judge
//! whether a change fits ancestors that were folded into it.
//!
//! The format is Automerge's (<https://automerge.org/automerge-binary-format-spec/>). Deletions are not
//! in a document; they are known only by what they deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fit::Operations;
use super::ops::{Action, Key, Op, Ops, Ref};
use super::{ChangeFault, Malformed};
use crate::codec::{Problem, Reader};
use crate::doc::bounded::{signed, within};
use crate::doc::saved::{Sections, document_body};
use crate::id::ActorId;
use crate::limits;

/// Columns of the operations, by the name that they have in the format.
mod column {
    pub(super) const OBJECT_ACTOR: u64 = 1;
    pub(super) const OBJECT_COUNTER: u64 = 2;
    pub(super) const KEY_ACTOR: u64 = 1 << 4 | 1;
    pub(super) const KEY_COUNTER: u64 = 1 << 4 | 3;
    pub(super) const KEY_NAME: u64 = 1 << 4 | 5;
    pub(super) const ACTOR: u64 = 2 << 4 | 1;
    pub(super) const COUNTER: u64 = 2 << 4 | 3;
    pub(super) const INSERT: u64 = 3 << 4 | 4;
    pub(super) const ACTION: u64 = 4 << 4 | 2;
    pub(super) const VALUE: u64 = 5 << 4 | 6;
    pub(super) const MARK_NAME: u64 = 10 << 4 | 5;
}

/// Type of a counter in the description of a value.
const COUNTER_VALUE: u64 = 8;

/// One operation, as small as it gets: a text has hundreds of thousands.
#[derive(Clone, Copy, Debug)]
struct Row {
    actor: u32,
    counter: u32,
    object: Option<Name>,
    key: RowKey,
    action: Action,
    insert: bool,
}

/// Names an operation by its writer's place in the document's table, and its number.
#[derive(Clone, Copy, Debug)]
struct Name {
    actor: u32,
    counter: u32,
}

#[derive(Clone, Copy, Debug)]
enum RowKey {
    /// An entry of a map, by its place among the names.
    Entry(u32),
    Start,
    Element(Name),
}

/// The operations of a saved document, by writer and number.
#[derive(Clone, Debug)]
pub struct Packed {
    actors: Vec<ActorId>,
    names: Vec<Arc<str>>,
    rows: Vec<Row>,
}

impl Packed {
    /// Reads those of a chunk that holds a whole document. Costs in proportion to it, 32 bytes of
    /// memory an operation.
    ///
    /// # Errors
    /// When the bytes are no document, or over the limits for one.
    pub fn read(saved: &[u8]) -> Result<Self, ChangeFault> {
        let Sections {
            actors,
            changes,
            operations,
            mut reader,
        } = Sections::parse(document_body(saved)?)?;
        for column in changes {
            column.skip(&mut reader)?;
        }
        let mut budget = limits::DOCUMENT_INFLATED_BYTES_MAX;
        let mut data = BTreeMap::new();
        for column in operations {
            data.insert(column.name, column.read(&mut reader, &mut budget)?);
        }
        let actors = actors.into_iter();
        let mut packed = Self {
            actors: actors.map(|it| ActorId::from_bytes(it.to_vec())).collect(),
            names: Vec::new(),
            rows: Vec::new(),
        };
        packed.read_rows(&data)?;
        packed
            .rows
            .sort_unstable_by_key(|it| (it.actor, it.counter));
        Ok(packed)
    }

    fn read_rows(&mut self, data: &BTreeMap<u64, Vec<u8>>) -> Result<(), ChangeFault> {
        let column = |name| Column::new(data.get(&name).map_or(&[][..], Vec::as_slice));
        let mut object_actors = column(column::OBJECT_ACTOR);
        let mut object_counters = column(column::OBJECT_COUNTER);
        let mut key_actors = column(column::KEY_ACTOR);
        let mut key_counters = column(column::KEY_COUNTER);
        let mut key_names = column(column::KEY_NAME);
        let mut actors = column(column::ACTOR);
        let mut counters = column(column::COUNTER);
        let mut inserts = column(column::INSERT);
        let mut actions = column(column::ACTION);
        let mut values = column(column::VALUE);
        let mut marks = column(column::MARK_NAME);
        let mut names = Names::default();
        while let Some(action) = actions.number()? {
            let rows = u64::try_from(self.rows.len()).unwrap_or(u64::MAX);
            within("operations", rows, limits::DOCUMENT_OPS_MAX)?;
            let object = name(object_actors.number()?, object_counters.number()?)?;
            let (key_actor, key_counter) = (key_actors.number()?, key_counters.delta()?);
            let key = match key_names.text()? {
                Some(text) => RowKey::Entry(names.place(text)),
                None => name(key_actor, key_counter)?.map_or(RowKey::Start, RowKey::Element),
            };
            let (value, is_begin) = (values.number()?, marks.text()?.is_some());
            let row = Row {
                actor: narrow(actors.number()?.unwrap_or(0))?,
                counter: narrow(counters.delta()?.unwrap_or(0))?,
                object,
                key,
                action: read_action(action, value.unwrap_or(0), is_begin)?,
                insert: inserts.boolean()?,
            };
            self.rows.push(row);
        }
        self.names = names.names;
        Ok(())
    }

    /// Whether the operations of one change are in the document, as far as anyone asks about them.
    pub fn holds(&self, operations: &Operations) -> bool {
        let (Some(actor), Some(last)) = (operations.ops.actors.first(), operations.last()) else {
            return true;
        };
        let found = self.operations(actor, (operations.start, last));
        let same_name = |one: Option<Ref>, other: Option<Ref>| match (one, other) {
            (Some(one), Some(other)) => operations.name(one) == found.name(other),
            (one, other) => one == other,
        };
        let same_key = |one: &Key, other: &Key| match (one, other) {
            (Key::Element(one), Key::Element(other)) => same_name(Some(*one), Some(*other)),
            (one, other) => one == other,
        };
        let mut pairs = operations.ops.ops.iter().zip(&found.ops.ops);
        pairs.all(|(one, other)| {
            let is_deletion = one.action == Action::Delete;
            let same_place = same_name(one.obj, other.obj) && same_key(&one.key, &other.key);
            one.action == other.action && (is_deletion || one.insert == other.insert && same_place)
        })
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One operation, if the document keeps it: no deletion.
    pub fn operation(&self, actor: &ActorId, counter: u64) -> Option<Operations> {
        let found = self.operations(actor, (counter, counter));
        let is_kept = |it: &Op| it.action != Action::Delete;
        found.ops.ops.first().is_some_and(is_kept).then_some(found)
    }

    /// The operations of one change: those of its writer from one number up to another. Where the
    /// document has none it was a deletion.
    pub fn operations(&self, actor: &ActorId, (first, last): (u64, u64)) -> Operations {
        let place = self.actors.iter().position(|it| it == actor);
        let place = place.and_then(|it| u32::try_from(it).ok());
        let mut table = Table {
            packed: self,
            actors: vec![actor.clone()],
            places: place.into_iter().map(|it| (it, 0)).collect(),
        };
        let found = |counter: u64| {
            let key = (place?, u32::try_from(counter).ok()?);
            let at = self
                .rows
                .binary_search_by_key(&key, |it| (it.actor, it.counter));
            self.rows.get(at.ok()?)
        };
        let ops =
            (first..=last).map(|counter| found(counter).map_or_else(deletion, |it| table.op(it)));
        let ops = ops.collect();
        let actors = table.actors;
        Operations {
            ops: Arc::new(Ops { actors, ops }),
            start: first,
        }
    }
}

/// What stands for an operation that a document does not keep.
const fn deletion() -> Op {
    Op {
        obj: None,
        key: Key::Start,
        action: Action::Delete,
        insert: false,
        pred: Vec::new(),
    }
}

/// The writers that the operations of one change refer to, its own first.
struct Table<'a> {
    packed: &'a Packed,
    actors: Vec<ActorId>,
    places: BTreeMap<u32, u32>,
}

impl Table<'_> {
    fn op(&mut self, row: &Row) -> Op {
        Op {
            obj: row.object.map(|it| self.reference(it)),
            key: match row.key {
                RowKey::Start => Key::Start,
                RowKey::Element(element) => Key::Element(self.reference(element)),
                RowKey::Entry(at) => {
                    let name = self
                        .packed
                        .names
                        .get(usize::try_from(at).unwrap_or(usize::MAX));
                    Key::Entry(name.map_or_else(|| Arc::from(""), Arc::clone))
                }
            },
            action: row.action,
            insert: row.insert,
            pred: Vec::new(),
        }
    }

    fn reference(&mut self, name: Name) -> Ref {
        let next = u32::try_from(self.actors.len()).unwrap_or(u32::MAX);
        let actor = *self.places.entry(name.actor).or_insert(next);
        if actor == next {
            let at = usize::try_from(name.actor).unwrap_or(usize::MAX);
            let id = self.packed.actors.get(at).cloned();
            self.actors
                .push(id.unwrap_or_else(|| ActorId::from_bytes(Vec::new())));
        }
        Ref {
            actor,
            counter: name.counter.into(),
        }
    }
}

/// Names of map entries, each once.
#[derive(Default)]
struct Names {
    places: BTreeMap<String, u32>,
    names: Vec<Arc<str>>,
}

impl Names {
    fn place(&mut self, name: &str) -> u32 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.places.insert(name.to_owned(), place);
        self.names.push(Arc::from(name));
        place
    }
}

fn name(actor: Option<u64>, counter: Option<u64>) -> Result<Option<Name>, ChangeFault> {
    let (Some(actor), Some(counter)) = (actor, counter) else {
        return Ok(None);
    };
    let actor = narrow(actor)?;
    let counter = narrow(counter)?;
    Ok(Some(Name { actor, counter }))
}

fn narrow(number: u64) -> Result<u32, Malformed> {
    let wide = Reader::new(&[]).error("operation", Problem::Unexpected(number));
    u32::try_from(number).map_err(|_wide| wide)
}

fn read_action(code: u64, value: u64, is_begin: bool) -> Result<Action, Malformed> {
    Ok(match code {
        0 => Action::MakeMap,
        1 if value & 15 == COUNTER_VALUE => Action::PutCounter,
        1 => Action::Put,
        2 | 4 => Action::MakeSequence,
        3 => Action::Delete,
        5 => Action::Increment,
        6 => Action::MakeTable,
        7 if is_begin => Action::MarkBegin,
        7 => Action::MarkEnd,
        other => return Err(Reader::new(&[]).error("action", Problem::Unexpected(other))),
    })
}

/// A column that is read entry by entry: runs of equal entries, of differing ones, and of none.
struct Column<'a> {
    reader: Reader<'a>,
    run: Run<'a>,
    left: u64,
    /// What differences are added to.
    sum: i64,
    /// The value of a run of truths, which come by turns.
    truth: bool,
}

#[derive(Clone, Copy)]
enum Run<'a> {
    Nothing,
    Number(i64),
    Text(&'a str),
    Listed,
}

impl<'a> Column<'a> {
    const fn new(data: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(data),
            run: Run::Nothing,
            left: 0,
            sum: 0,
            truth: true,
        }
    }

    /// The next entry of a run-length column, read by `read`.
    fn next(
        &mut self,
        read: impl Fn(&mut Reader<'a>) -> Result<Run<'a>, Malformed>,
    ) -> Result<Run<'a>, Malformed> {
        while self.left == 0 {
            if self.reader.remaining() == 0 {
                return Ok(Run::Nothing);
            }
            let length = signed(&mut self.reader, "run")?;
            (self.left, self.run) = match length.signum() {
                1 => (length.unsigned_abs(), read(&mut self.reader)?),
                0 => (self.reader.varint("run")?, Run::Nothing),
                _ => (length.unsigned_abs(), Run::Listed),
            };
        }
        self.left -= 1;
        match self.run {
            Run::Listed => read(&mut self.reader),
            run @ (Run::Nothing | Run::Number(_) | Run::Text(_)) => Ok(run),
        }
    }

    fn number(&mut self) -> Result<Option<u64>, Malformed> {
        let read = |reader: &mut Reader<'a>| {
            let value = reader.varint("number")?;
            let wide = reader.error("number", Problem::Unexpected(value));
            i64::try_from(value).map(Run::Number).map_err(|_wide| wide)
        };
        Ok(match self.next(read)? {
            Run::Number(number) => u64::try_from(number).ok(),
            Run::Nothing | Run::Text(_) | Run::Listed => None,
        })
    }

    fn delta(&mut self) -> Result<Option<u64>, Malformed> {
        let read = |reader: &mut Reader<'a>| Ok(Run::Number(signed(reader, "difference")?));
        Ok(match self.next(read)? {
            Run::Number(difference) => {
                self.sum = self.sum.saturating_add(difference);
                u64::try_from(self.sum).ok()
            }
            Run::Nothing | Run::Text(_) | Run::Listed => None,
        })
    }

    fn text(&mut self) -> Result<Option<&'a str>, Malformed> {
        let read = |reader: &mut Reader<'a>| {
            Ok(Run::Text(
                reader.text(limits::CHANGE_INFLATED_BYTES_MAX, "name")?,
            ))
        };
        Ok(match self.next(read)? {
            Run::Text(text) => Some(text),
            Run::Nothing | Run::Number(_) | Run::Listed => None,
        })
    }

    fn boolean(&mut self) -> Result<bool, Malformed> {
        while self.left == 0 {
            if self.reader.remaining() == 0 {
                return Ok(false);
            }
            self.left = self.reader.varint("run")?;
            self.truth = !self.truth;
        }
        self.left -= 1;
        Ok(self.truth)
    }
}

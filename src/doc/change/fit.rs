//! Whether a change fits its ancestors: a pure function of the change and of them, so that every
//! replica gives the same verdict, in whatever order changes came.
//!
//! Automerge takes what it is given. An operation on an object that is not there, a predecessor that
//! is something else, an insertion after nothing: each ends in a panic some time later, or in a
//! document that saves as something it can't load. So each reference of each operation is looked up
//! before Automerge sees the change.

use std::sync::Arc;

use thiserror::Error;

use super::ops::{Action, Key, Op, Ops, Ref};
use super::{Change, ChangeFault};
use crate::doc::guard::guarded;
use crate::id::ActorId;
use crate::limits;

/// Version of the rules. Replicas with other rules may decide otherwise, so it is written down
/// wherever verdicts are compared.
pub const RULES: u32 = 1;

/// Why a change does not fit its ancestors.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("operation {operation}: {problem}")]
pub struct Misfit {
    /// Which of its operations, from 0.
    pub operation: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is no such object among its ancestors.
    #[error("its object is not there")]
    NoObject,
    /// What it names as its object is none.
    #[error("its object is a scalar")]
    NotAnObject,
    /// What it names as its object is a table.
    #[error("its object is a table, a kind that Automerge has given up")]
    Table,
    /// A map has entries, a list or text has elements.
    #[error("its key is not of its object's kind")]
    KeyKind,
    /// Maps have no order to insert into.
    #[error("it inserts into a map")]
    InsertIntoMap,
    /// Only an insertion stands at the start.
    #[error("it writes to the start of a sequence, where nothing is")]
    WriteAtStart,
    /// The element that it follows or writes to is not in its object.
    #[error("its element is not there")]
    NoElement,
    /// An insertion makes a new element, which overwrites nothing.
    #[error("it inserts and overwrites")]
    InsertOverwrites,
    /// What it overwrites is not there.
    #[error("what it overwrites is not there")]
    NoPredecessor,
    /// What it overwrites is elsewhere.
    #[error("what it overwrites is at another place")]
    ForeignPredecessor,
    /// What it overwrites is no value.
    #[error("what it overwrites is no value")]
    NotAValue,
    /// It overwrites something twice.
    #[error("what it overwrites is named twice")]
    Repeated,
    /// A deletion is known only by what it deletes.
    #[error("it deletes nothing")]
    DeletesNothing,
    /// Only counters can be incremented.
    #[error("it increments what is no counter")]
    NoCounter,
    /// A mark stands between the elements of a sequence.
    #[error("it marks what is no sequence")]
    MarkPlace,
    /// The end of a mark comes right after its beginning.
    #[error("it ends no mark")]
    EndsNoMark,
    /// A mark that ends before it begins makes a saved document unloadable.
    #[error("it ends a mark before its beginning")]
    EndsBeforeBeginning,
    /// A change without operations follows its parents at once.
    #[error("it has no operations and leaves a gap in their numbers")]
    EmptyAfterGap,
    /// Numbers that nothing has cost memory in a saved document.
    #[error("it leaves too large a gap in the numbers of operations")]
    Gap,
    /// It refers to itself or to what comes after it.
    #[error("it refers to what comes after it")]
    Forward,
}

/// A change's operations, shared with whoever looks into them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operations {
    pub(super) ops: Arc<Ops>,
    pub(super) start: u64,
}

impl Operations {
    /// Those of a change that was verified before it was stored.
    ///
    /// # Errors
    /// When the bytes are not a change any more.
    pub fn of_stored(bytes: &[u8]) -> Result<Self, ChangeFault> {
        let parsed = guarded(|| automerge::Change::try_from(bytes));
        let parsed = parsed.map_err(|reason| ChangeFault::Panicked { reason })?;
        let parsed = parsed.map_err(|error| ChangeFault::Refused {
            reason: error.to_string(),
        })?;
        Ok(Self {
            start: parsed.start_op().get(),
            ops: Arc::new(Ops::trusted(&parsed)?),
        })
    }

    /// Whether any of them refers to an operation outside of its own change.
    pub fn refer_outside(&self) -> bool {
        let is_outside = |it: &Ref| it.actor != 0 || it.counter < self.start;
        self.ops.ops.iter().any(|op| {
            let element = match &op.key {
                Key::Element(element) => Some(element),
                Key::Entry(_) | Key::Start => None,
            };
            let named = op.obj.iter().chain(element).chain(&op.pred);
            named.into_iter().any(is_outside)
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ops.ops.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ops.ops.is_empty()
    }

    /// The number of the last one.
    pub(super) fn last(&self) -> Option<u64> {
        let more = u64::try_from(self.len().checked_sub(1)?).ok()?;
        self.start.checked_add(more)
    }

    fn find(&self, counter: u64) -> Option<&Op> {
        let at = usize::try_from(counter.checked_sub(self.start)?).ok()?;
        self.ops.ops.get(at)
    }

    pub(super) fn name(&self, reference: Ref) -> Option<(&ActorId, u64)> {
        let at = usize::try_from(reference.actor).ok()?;
        Some((self.ops.actors.get(at)?, reference.counter))
    }
}

/// Finds the operations of the ancestor of a change that has an operation: by the operation's writer and
/// number. None if no ancestor has it.
pub type Lookup<'a, E> = dyn FnMut(&ActorId, u64) -> Result<Option<Operations>, E> + 'a;

/// Whether every operation of `change` fits what its ancestors hold, of which the largest operation
/// number is `max_op`, and which `lookup` finds. The outer error is the lookup's.
///
/// # Errors
/// What `lookup` returns.
pub fn fits<E>(
    change: &Change,
    max_op: u64,
    lookup: &mut Lookup<'_, E>,
) -> Result<Result<(), Misfit>, E> {
    let misfit = |operation, problem| Ok(Err(Misfit { operation, problem }));
    // Automerge numbers on from all that it knows, which may be more than the ancestors where it
    // edits the past. A saved document keeps a place for each number left out.
    match change.start_op().saturating_sub(max_op.saturating_add(1)) {
        0 => {}
        _ if change.op_count() == 0 => return misfit(0, Problem::EmptyAfterGap),
        gap if gap > limits::CHANGE_GAP_MAX => return misfit(0, Problem::Gap),
        _ => {}
    }
    let mut check = Check {
        own: change.operations(),
        lookup,
    };
    for (operation, op) in change.operations().ops.ops.iter().enumerate() {
        if let Err(problem) = check.operation(operation, op)? {
            return misfit(operation, problem);
        }
    }
    Ok(Ok(()))
}

struct Check<'a, 'b, E> {
    own: &'a Operations,
    lookup: &'a mut Lookup<'b, E>,
}

/// An operation that was found: in which table, and under which number.
struct Found {
    table: Operations,
    counter: u64,
}

/// What an element was inserted after.
enum Parent {
    Start,
    Element(Found),
    Missing,
}

impl Found {
    fn op(&self) -> Option<&Op> {
        self.table.find(self.counter)
    }

    fn id(&self) -> Option<Id> {
        Some((self.counter, self.table.ops.actors.first()?.clone()))
    }
}

/// An operation's number and writer, in the order in which Automerge takes them.
type Id = (u64, ActorId);

/// None is the start of a sequence, which is older than everything.
fn id(found: Option<&Found>) -> Option<Id> {
    found.and_then(Found::id)
}

type Verdict<T = ()> = Result<T, Problem>;

impl<E> Check<'_, '_, E> {
    fn operation(&mut self, index: usize, op: &Op) -> Result<Verdict, E> {
        let is_sequence = match self.object(index, op.obj)? {
            Ok(is_sequence) => is_sequence,
            Err(problem) => return Ok(Err(problem)),
        };
        if let Err(problem) = shape(op, is_sequence) {
            return Ok(Err(problem));
        }
        if let Key::Element(element) = op.key
            && let Err(problem) = self.element(index, op, element)?
        {
            return Ok(Err(problem));
        }
        let mut counters = 0;
        for pred in &op.pred {
            match self.predecessor(index, op, *pred)? {
                Ok(is_counter) => counters += usize::from(is_counter),
                Err(problem) => return Ok(Err(problem)),
            }
        }
        if op.action == Action::Increment && counters == 0 {
            return Ok(Err(Problem::NoCounter));
        }
        if op.action == Action::MarkEnd {
            return self.mark(index, op);
        }
        Ok(Ok(()))
    }

    /// The end of a mark follows its beginning, by number and by place.
    fn mark(&mut self, index: usize, end: &Op) -> Result<Verdict, E> {
        let own = self.own.clone();
        let begin = index.checked_sub(1).and_then(|it| own.ops.ops.get(it));
        let begin = begin.filter(|it| it.action == Action::MarkBegin && it.obj == end.obj);
        if begin.is_none() {
            return Ok(Err(Problem::EndsNoMark));
        }
        let at = self
            .own
            .start
            .saturating_add(u64::try_from(index).unwrap_or(u64::MAX));
        let [begin, end] = [at.saturating_sub(1), at].map(|counter| Found {
            table: own.clone(),
            counter,
        });
        Ok(match self.precedes(begin, end)? {
            Some(true) => Ok(()),
            Some(false) => Err(Problem::EndsBeforeBeginning),
            None => Err(Problem::NoElement),
        })
    }

    /// Whether one element of a sequence stands before another. Elements form a tree, each under the
    /// one that it was inserted after, younger ones first, and the sequence is its preorder (RGA: Roh
    /// et al., 2011). Numbers grow from the root down, so climbing from whichever is younger meets at
    /// the lowest common ancestor. None if an element on the way is not there.
    fn precedes(&mut self, one: Found, other: Found) -> Result<Option<bool>, E> {
        let (mut one, mut other) = (Some(one), Some(other));
        let (mut below_one, mut below_other) = (None, None);
        loop {
            let (id, other_id) = (id(one.as_ref()), id(other.as_ref()));
            if id == other_id {
                // Above both stands the same: the younger child goes first, and a parent before all.
                return Ok(Some(below_one.is_none_or(|it| Some(it) > below_other)));
            }
            let (climber, below) = if id > other_id {
                (&mut one, &mut below_one)
            } else {
                (&mut other, &mut below_other)
            };
            let Some(child) = climber.take() else {
                return Ok(None);
            };
            *below = child.id();
            match self.parent(&child)? {
                Parent::Element(parent) => *climber = Some(parent),
                Parent::Start => {}
                Parent::Missing => return Ok(None),
            }
        }
    }

    /// What an element was inserted after.
    fn parent(&mut self, child: &Found) -> Result<Parent, E> {
        let reference = match child.op().map(|it| &it.key) {
            Some(Key::Start) => return Ok(Parent::Start),
            Some(Key::Element(reference)) => *reference,
            Some(Key::Entry(_)) | None => return Ok(Parent::Missing),
        };
        let Some((actor, counter)) = child.table.name(reference) else {
            return Ok(Parent::Missing);
        };
        let own = Some(actor) == self.own.ops.actors.first() && counter >= self.own.start;
        let table = if own {
            Some(self.own.clone())
        } else {
            (self.lookup)(actor, counter)?
        };
        let found = table.filter(|it| it.find(counter).is_some());
        Ok(found.map_or(Parent::Missing, |table| {
            Parent::Element(Found { table, counter })
        }))
    }

    /// Finds what a reference names: an operation of an ancestor, or an earlier one of the change.
    fn find(&mut self, index: usize, reference: Ref) -> Result<Verdict<Option<Found>>, E> {
        let own = reference.actor == 0 && reference.counter >= self.own.start;
        if own {
            let at = self
                .own
                .start
                .saturating_add(u64::try_from(index).unwrap_or(u64::MAX));
            if reference.counter >= at {
                return Ok(Err(Problem::Forward));
            }
            return Ok(Ok(Some(Found {
                table: self.own.clone(),
                counter: reference.counter,
            })));
        }
        let Some((actor, counter)) = self.own.name(reference) else {
            return Ok(Ok(None));
        };
        let table = (self.lookup)(actor, counter)?;
        Ok(Ok(table
            .filter(|it| it.find(counter).is_some())
            .map(|table| Found { table, counter })))
    }

    /// Whether the object is a sequence; else it is a map.
    fn object(&mut self, index: usize, obj: Option<Ref>) -> Result<Verdict<bool>, E> {
        let Some(obj) = obj else {
            return Ok(Ok(false));
        };
        let found = match self.find(index, obj)? {
            Ok(found) => found,
            Err(problem) => return Ok(Err(problem)),
        };
        Ok(
            match found.as_ref().and_then(Found::op).map(|it| it.action) {
                None => Err(Problem::NoObject),
                Some(Action::MakeMap) => Ok(false),
                Some(Action::MakeSequence) => Ok(true),
                // Automerge panics on whatever is written into one.
                Some(Action::MakeTable) => Err(Problem::Table),
                Some(_) => Err(Problem::NotAnObject),
            },
        )
    }

    /// The element that an operation follows or writes to was inserted into the same object.
    fn element(&mut self, index: usize, op: &Op, element: Ref) -> Result<Verdict, E> {
        let found = match self.find(index, element)? {
            Ok(found) => found,
            Err(problem) => return Ok(Err(problem)),
        };
        let Some(found) = found else {
            return Ok(Err(Problem::NoElement));
        };
        let fits = found
            .op()
            .is_some_and(|it| it.insert && self.same(op.obj, (&found.table, it.obj)));
        Ok(if fits {
            Ok(())
        } else {
            Err(Problem::NoElement)
        })
    }

    /// What an operation overwrites is a value at the same place; says whether it is a counter.
    fn predecessor(&mut self, index: usize, op: &Op, pred: Ref) -> Result<Verdict<bool>, E> {
        let found = match self.find(index, pred)? {
            Ok(found) => found,
            Err(problem) => return Ok(Err(problem)),
        };
        let Some(found) = found else {
            return Ok(Err(Problem::NoPredecessor));
        };
        let Some(before) = found.op() else {
            return Ok(Err(Problem::NoPredecessor));
        };
        if !self.same(op.obj, (&found.table, before.obj)) {
            return Ok(Err(Problem::ForeignPredecessor));
        }
        let same_place = match (&op.key, &before.key) {
            (Key::Entry(ours), Key::Entry(theirs)) => ours == theirs,
            (Key::Element(ours), _) if before.insert => *ours == pred,
            (Key::Element(ours), Key::Element(theirs)) => {
                self.same(Some(*ours), (&found.table, Some(*theirs)))
            }
            _ => false,
        };
        Ok(match before.action {
            _ if !same_place => Err(Problem::ForeignPredecessor),
            Action::Delete | Action::Increment | Action::MarkBegin | Action::MarkEnd => {
                Err(Problem::NotAValue)
            }
            Action::PutCounter => Ok(true),
            Action::Put | Action::MakeMap | Action::MakeTable | Action::MakeSequence => Ok(false),
        })
    }

    /// Whether a reference of the change and one of another name the same operation.
    fn same(&self, ours: Option<Ref>, (table, theirs): (&Operations, Option<Ref>)) -> bool {
        match (ours, theirs) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => {
                let ours = self.own.name(ours);
                ours.is_some() && ours == table.name(theirs)
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
}

/// What can be said of an operation without looking anything up but the kind of its object.
fn shape(op: &Op, is_sequence: bool) -> Verdict {
    match &op.key {
        Key::Entry(_) if is_sequence => return Err(Problem::KeyKind),
        Key::Start | Key::Element(_) if !is_sequence => return Err(Problem::KeyKind),
        Key::Entry(_) if op.insert => return Err(Problem::InsertIntoMap),
        Key::Start if !op.insert => return Err(Problem::WriteAtStart),
        Key::Entry(_) | Key::Start | Key::Element(_) => {}
    }
    if op.insert && !op.pred.is_empty() {
        return Err(Problem::InsertOverwrites);
    }
    let mut pairs = op.pred.iter().zip(op.pred.iter().skip(1));
    if pairs.any(|(one, next)| one == next) {
        return Err(Problem::Repeated);
    }
    match op.action {
        Action::Delete | Action::Increment if op.insert || op.pred.is_empty() => {
            Err(Problem::DeletesNothing)
        }
        Action::MarkBegin | Action::MarkEnd if !op.insert => Err(Problem::MarkPlace),
        Action::MakeMap
        | Action::MakeTable
        | Action::MakeSequence
        | Action::PutCounter
        | Action::Put
        | Action::Delete
        | Action::Increment
        | Action::MarkBegin
        | Action::MarkEnd => Ok(()),
    }
}

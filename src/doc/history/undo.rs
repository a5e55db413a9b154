//! Undo and redo: new changes that take back what own changes did.

use automerge::transaction::Transactable as _;
use automerge::{ROOT, ReadDoc as _};

use super::foreign::Foreign;
use super::plan::{Plan, Planner, Step, Times, Write};
use super::stack::Stack;
use super::{RevisionKind, mark};
use crate::doc::change::Change;
use crate::doc::commit::check_reason;
use crate::doc::document::{Document, EditMeta, foreign_heads};
use crate::doc::edit::{DELETED_KEY, Edit};
use crate::doc::fault::DocumentFault;
use crate::doc::guard::guarded;
use crate::doc::text::marked_places;
use crate::doc::value::{PathStep, Value};
use crate::doc::write::Writer;
use crate::error::Error;
use crate::id::ChangeHash;
use crate::time::WallTime;

/// What an undo or redo has done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undone {
    /// The change that was taken back.
    pub change: ChangeHash,
    /// Why that had been made, if it said so.
    pub reason: Option<String>,
    /// The new change that takes it back.
    pub by: ChangeHash,
    /// Where the record stays as it is, because others have changed it there since, or because marks on a
    /// text were changed, which are not taken back; the empty path is the whole record.
    pub kept: Vec<Vec<PathStep>>,
}

#[derive(Clone, Copy)]
enum Direction {
    Undo,
    Redo,
}

impl Document {
    /// Takes back what the newest own change did that is not undone yet, as one new change; none if
    /// there is none. What others have changed since stays. The guide (`docs/guide/history.md`) says
    /// how this is decided.
    ///
    /// Costs in proportion to the record and to the number of its changes.
    ///
    /// # Errors
    /// As [`Document::edit`].
    pub fn undo(&mut self, meta: EditMeta) -> Result<Option<(Undone, Change)>, Error> {
        self.take_back(meta, Direction::Undo)
    }

    /// Takes back the newest own undo, unless an own edit came after it.
    ///
    /// # Errors
    /// As [`Document::undo`].
    pub fn redo(&mut self, meta: EditMeta) -> Result<Option<(Undone, Change)>, Error> {
        self.take_back(meta, Direction::Redo)
    }

    fn take_back(
        &mut self,
        mut meta: EditMeta,
        direction: Direction,
    ) -> Result<Option<(Undone, Change)>, Error> {
        check_reason(&meta)?;
        let (hash, kind) = {
            let stack = Stack::of(&self.graph(&self.heads())?.own());
            let next = match direction {
                Direction::Undo => stack.next_undo(),
                Direction::Redo => stack.next_redo(),
            };
            let Some(hash) = next else {
                return Ok(None);
            };
            match direction {
                Direction::Undo => (hash, RevisionKind::Undo(hash)),
                Direction::Redo => (hash, RevisionKind::Redo(hash)),
            }
        };
        let doing = "plan an undo";
        let planned = guarded(|| self.plan(hash, meta.time));
        let planned = planned.map_err(|reason| DocumentFault::Panicked { doing, reason })?;
        let (Plan { steps, kept }, reason) = planned?;
        meta.message = mark::write(kind, meta.message.as_deref());
        let work = |edit: &mut Edit<'_>| -> Result<(), Error> {
            let writer = edit.writer();
            steps.into_iter().try_for_each(|it| it.apply(writer))
        };
        let ((), change) = self.commit(meta, true, work)?;
        Ok(change.map(|change| {
            let by = change.hash();
            let undone = Undone {
                change: hash,
                reason,
                by,
                kept,
            };
            (undone, change)
        }))
    }

    /// What takes a change back, and why that change was made.
    fn plan(
        &self,
        hash: ChangeHash,
        time: WallTime,
    ) -> Result<(Plan, Option<String>), DocumentFault> {
        let document = &self.inner;
        let after = automerge::ChangeHash(*hash.as_bytes());
        let Some(change) = document.get_change_by_hash(&after) else {
            return Err(DocumentFault::NotApplied { hash });
        };
        let reason = mark::read(change.message()).1.map(str::to_owned);
        let foreign = Foreign::since(document, document.get_actor(), after);
        if change.deps().is_empty() {
            return Ok((deletion(time, &foreign), reason));
        }
        let times = Times {
            before: change.deps(),
            after: &[after],
            now: &foreign_heads(&self.heads()),
        };
        let planner = Planner::new(document, &times, &foreign, &change);
        let mut plan = planner.plan()?;
        for place in marked_places(document, &change) {
            if !plan.kept.contains(&place) {
                plan.kept.push(place);
            }
        }
        Ok((plan, reason))
    }
}

/// The change that made the record is taken back by deleting it, if nobody else works in it.
fn deletion(time: WallTime, foreign: &Foreign) -> Plan {
    let mut plan = Plan::default();
    if !foreign.is_nothing() {
        plan.kept.push(Vec::new());
        return plan;
    }
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    plan.steps.push(Step {
        path: vec![PathStep::from(DELETED_KEY)],
        object: ROOT,
        write: Write::Put(DELETED_KEY.into(), Value::Timestamp(millis)),
    });
    plan
}

impl Step {
    fn apply(self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let Self {
            path,
            object,
            write,
        } = self;
        writer.path = path;
        match write {
            Write::Put(prop, value) => writer.create(&object, prop, &value)?,
            Write::Remove(prop) => {
                let removed = writer.tx.delete(&object, prop);
                removed.map_err(|it| writer.refused(it))?;
            }
            Write::Increment(prop, by) => {
                let added = writer.tx.increment(&object, prop, by);
                added.map_err(|it| writer.refused(it))?;
            }
            Write::Insert(start, values) => {
                for (value, at) in values.iter().zip(start..) {
                    writer.insert(&object, at, value)?;
                }
            }
            Write::Splice(at, count, text) => {
                let count = isize::try_from(count).unwrap_or(isize::MAX);
                let spliced = writer.tx.splice_text(&object, at, count, &text);
                spliced.map_err(|it| writer.refused(it))?;
                let bytes = writer.tx.text(&object);
                let bytes = bytes.map_err(|it| writer.refused(it))?.len();
                writer.check_size(bytes)?;
            }
        }
        writer.path.clear();
        Ok(())
    }
}

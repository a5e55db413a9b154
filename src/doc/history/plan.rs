//! What an undo writes: back from what the change left to what was there before it, where the record
//! still is as the change left it.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Automerge, ChangeHash, ObjId, Prop};

use super::align::{coarse, everything, places};
use super::foreign::{Foreign, Id, Name, id};
use super::view::{At, View};
use crate::doc::fault::DocumentFault;
use crate::doc::lcs::Gap;
use crate::doc::value::{PathStep, Value};
use crate::limits;

/// One thing to write.
pub(super) struct Step {
    /// Where, for messages.
    pub(super) path: Vec<PathStep>,
    pub(super) object: ObjId,
    pub(super) write: Write,
}

pub(super) enum Write {
    Put(Prop, Value),
    Remove(Prop),
    Increment(Prop, i64),
    /// Elements into a list, before the one that is there.
    Insert(usize, Vec<Value>),
    /// Characters of a text, in the place of so many.
    Splice(usize, usize, String),
}

/// What is to be written, in this order, and what stays as others have made it.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) kept: Vec<Vec<PathStep>>,
}

/// What is at one place: before the change, right after it, and now.
#[derive(Clone, Default)]
struct Sides<'v> {
    before: At<'v>,
    after: At<'v>,
    now: At<'v>,
}

/// The parts of the plan that all places need.
pub(super) struct Planner<'a> {
    before: View<'a>,
    after: View<'a>,
    now: View<'a>,
    foreign: &'a Foreign,
    /// Elements that others have removed, too.
    removed_by_both: BTreeMap<Id, Vec<Name>>,
    path: Vec<PathStep>,
    plan: Plan,
}

/// The heads of the three times: before the change, after it, and now.
pub(super) struct Times<'a> {
    pub(super) before: &'a [ChangeHash],
    pub(super) after: &'a [ChangeHash],
    pub(super) now: &'a [ChangeHash],
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        document: &'a Automerge,
        times: &Times<'a>,
        foreign: &'a Foreign,
        change: &automerge::Change,
    ) -> Self {
        let view = |heads| View { document, heads };
        Self {
            before: view(times.before),
            after: view(times.after),
            now: view(times.now),
            foreign,
            removed_by_both: foreign.removed_by_both(change),
            path: Vec::new(),
            plan: Plan::default(),
        }
    }

    pub(super) fn plan(mut self) -> Result<Plan, DocumentFault> {
        let (before, after) = (self.before.root()?, self.after.root()?);
        let now = self.now.root()?;
        self.map(&Sides {
            before: At::root(&before),
            after: At::root(&after),
            now: At::root(&now),
        })?;
        Ok(self.plan)
    }

    fn keep(&mut self) {
        if self.plan.kept.last() != Some(&self.path) {
            self.plan.kept.push(self.path.clone());
        }
    }

    fn write(&mut self, object: &ObjId, write: Write) {
        self.plan.steps.push(Step {
            path: self.path.clone(),
            object: object.clone(),
            write,
        });
    }

    /// One entry or element, in the object `object` as it is now. `touched` says that others have
    /// written there.
    fn place(
        &mut self,
        object: &ObjId,
        prop: Prop,
        sides: &Sides<'_>,
        touched: bool,
    ) -> Result<(), DocumentFault> {
        let (before, after, now) = (sides.before.value, sides.after.value, sides.now.value);
        if before == after || before == now {
            return Ok(());
        }
        if touched {
            self.keep();
            return Ok(());
        }
        match (before, after, now) {
            (Some(Value::Map(_)), Some(Value::Map(_)), Some(Value::Map(_))) => self.map(sides)?,
            (Some(Value::List(before)), Some(Value::List(after)), Some(Value::List(now))) => {
                self.list(sides, before, after, now)?;
            }
            (Some(Value::Text(before)), Some(Value::Text(after)), Some(Value::Text(now))) => {
                self.text(sides, [before, after, now]);
            }
            (
                Some(Value::Counter(before)),
                Some(Value::Counter(after)),
                Some(Value::Counter(now)),
            ) => match before.checked_sub(*after) {
                Some(by) if now.checked_add(by).is_some() => {
                    self.write(object, Write::Increment(prop, by));
                }
                _ => self.keep(),
            },
            // What the change made and others have worked in since stays whole.
            _ if after != now || self.is_worked_in(&sides.now) => self.keep(),
            (Some(before), ..) => {
                let value = self.as_it_would_be(before, &sides.before)?;
                self.write(object, Write::Put(prop, value));
            }
            (None, ..) => self.write(object, Write::Remove(prop)),
        }
        Ok(())
    }

    fn map(&mut self, sides: &Sides<'_>) -> Result<(), DocumentFault> {
        let Some(object) = sides.now.id.clone() else {
            return Ok(());
        };
        let maps = [sides.before.value, sides.after.value];
        let maps = maps.into_iter().flatten().filter_map(Value::as_map);
        let keys: BTreeSet<_> = maps.flat_map(BTreeMap::keys).collect();
        for key in keys {
            let step = PathStep::Key(key.clone());
            let inner = Sides {
                before: sides.before.step(self.before, &step)?,
                after: sides.after.step(self.after, &step)?,
                now: sides.now.step(self.now, &step)?,
            };
            let ids = [&sides.before.id, &sides.after.id, &sides.now.id];
            let mut ids = ids.into_iter().flatten();
            let touched = ids.any(|it| self.foreign.has_entry(it, key));
            self.path.push(step);
            self.place(&object, Prop::from(key), &inner, touched)?;
            self.path.pop();
        }
        Ok(())
    }

    fn list(
        &mut self,
        sides: &Sides<'_>,
        before: &[Value],
        after: &[Value],
        now: &[Value],
    ) -> Result<(), DocumentFault> {
        let Some(object) = sides.now.id.clone() else {
            return Ok(());
        };
        let to_before = self.places_before(sides, after, before);
        let to_now = self.places_now(sides, (after, now), true);
        let mut edits = Edits::default();
        for (at, (in_before, in_now)) in to_before.iter().zip(&to_now).enumerate() {
            let is_same = in_before.is_some_and(|it| before.get(it) == after.get(at));
            if is_same {
                continue;
            }
            let Some(in_now) = *in_now else {
                if in_before.is_some() {
                    self.keep();
                }
                continue;
            };
            let mut inner = Sides {
                before: At::default(),
                after: sides.after.step(self.after, &at.into())?,
                now: sides.now.step(self.now, &in_now.into())?,
            };
            if let Some(in_before) = in_before {
                inner.before = sides
                    .before
                    .step(self.before, &PathStep::from(*in_before))?;
            }
            let touched = self.is_touched(sides, [*in_before, Some(at), Some(in_now)]);
            self.path.push(in_now.into());
            if in_before.is_some() {
                self.place(&object, Prop::from(in_now), &inner, touched)?;
            } else if touched
                || inner.after.value != inner.now.value
                || self.is_worked_in(&inner.now)
            {
                self.keep();
            } else {
                edits.remove(in_now);
            }
            self.path.pop();
        }
        let gone = self.removed_by_others(sides);
        for (at, place) in missing(&to_before, &to_now, before.len(), now.len()) {
            if gone.contains(&at) {
                self.keep();
                continue;
            }
            let step = PathStep::from(at);
            let removed = sides.before.step(self.before, &step)?;
            if let Some(value) = removed.value {
                let value = self.as_it_would_be(value, &removed)?;
                edits.insert(place, value);
            }
        }
        for (at, (removes, values)) in edits.back_to_front() {
            if removes {
                self.write(&object, Write::Remove(Prop::from(at)));
            }
            if !values.is_empty() {
                self.write(&object, Write::Insert(at, values));
            }
        }
        Ok(())
    }

    fn text(&mut self, sides: &Sides<'_>, texts: [&str; 3]) {
        let Some(object) = sides.now.id.clone() else {
            return;
        };
        let [before, after, now] = texts.map(|it| it.chars().collect::<Vec<_>>());
        let to_before = self.places_before(sides, &after, &before);
        let to_now = self.places_now(sides, (&after, &now), false);
        let mut edits = Edits::default();
        for (in_before, in_now) in to_before.iter().zip(&to_now) {
            if let (None, Some(in_now)) = (in_before, in_now) {
                edits.remove(*in_now);
            }
        }
        let gone = self.removed_by_others(sides);
        if !gone.is_empty() {
            self.keep();
        }
        for (at, place) in missing(&to_before, &to_now, before.len(), now.len()) {
            if let Some(character) = before.get(at).filter(|_| !gone.contains(&at)) {
                edits.insert(place, *character);
            }
        }
        let mut splice: Option<(usize, usize, String)> = None;
        for (at, (removes, characters)) in edits.back_to_front() {
            let inserted: String = characters.into_iter().collect();
            match &mut splice {
                Some((start, count, text)) if removes && *start == at + 1 && text.is_empty() => {
                    (*start, *text) = (at, inserted);
                    *count += 1;
                }
                _ => {
                    let next = (at, usize::from(removes), inserted);
                    if let Some((at, count, text)) = splice.replace(next) {
                        self.write(&object, Write::Splice(at, count, text));
                    }
                }
            }
        }
        if let Some((at, count, text)) = splice {
            self.write(&object, Write::Splice(at, count, text));
        }
    }

    /// For each element after the change, where it was before it.
    fn places_before<T: PartialEq>(
        &self,
        sides: &Sides<'_>,
        after: &[T],
        before: &[T],
    ) -> Vec<Option<usize>> {
        let ends = ((self.after, after.len()), (self.before, before.len()));
        let gaps = gaps_between(&sides.after, &sides.before, ends);
        // In one list or text what the change put in and what it took out are never the same.
        let is_same = sides.after.id == sides.before.id;
        places((after, before), &gaps, false, |_| is_same)
    }

    /// For each element after the change, where it is now.
    fn places_now<T: PartialEq>(
        &self,
        sides: &Sides<'_>,
        (after, now): (&[T], &[T]),
        pairs: bool,
    ) -> Vec<Option<usize>> {
        if after == now {
            return (0..after.len()).map(Some).collect();
        }
        let ends = ((self.after, after.len()), (self.now, now.len()));
        let gaps = gaps_between(&sides.after, &sides.now, ends);
        places((after, now), &gaps, pairs, |at| {
            let Some(object) = sides.now.id.as_ref().filter(|_| !self.foreign.is_nothing()) else {
                return false;
            };
            let mut standing = self.now.operations(object, Prop::from(at)).into_iter();
            standing.any(|it| self.foreign.has_made(&it))
        })
    }

    /// Whether others have written to an element, given where it is before, after and now.
    fn is_touched(&self, sides: &Sides<'_>, places: [Option<usize>; 3]) -> bool {
        if self.foreign.is_nothing() {
            return false;
        }
        let at = |view: View<'_>, side: &At<'_>, place: Option<usize>| match (&side.id, place) {
            (Some(object), Some(place)) => view.operations(object, Prop::from(place)),
            _ => Vec::new(),
        };
        let [before, after, now] = places;
        let mut then = at(self.before, &sides.before, before);
        then.extend(at(self.after, &sides.after, after));
        let now = at(self.now, &sides.now, now);
        then.iter().any(|it| self.foreign.has_overwritten(it))
            || now.iter().any(|it| self.foreign.has_made(it))
    }

    /// Positions, before the change, of elements that both it and others have removed.
    fn removed_by_others(&self, sides: &Sides<'_>) -> BTreeSet<usize> {
        let Some(object) = &sides.before.id else {
            return BTreeSet::new();
        };
        let removed = self.removed_by_both.get(&id(object));
        let removed = removed.into_iter().flatten();
        removed
            .filter_map(|it| self.before.position(object, it))
            .collect()
    }

    /// What was there, with what others have changed in it since it was removed.
    fn as_it_would_be(&self, value: &Value, then: &At<'_>) -> Result<Value, DocumentFault> {
        match &then.id {
            Some(object) if self.is_worked_in(then) => self.now.object(object),
            _ => Ok(value.clone()),
        }
    }

    /// Whether others have written in this object, or in one in it.
    fn is_worked_in(&self, at: &At<'_>) -> bool {
        let is_object = matches!(
            at.value,
            Some(Value::Map(_) | Value::List(_) | Value::Text(_))
        );
        if self.foreign.is_nothing() || !is_object {
            return false;
        }
        let mut open: Vec<_> = at.id.iter().map(|it| (it.clone(), 0)).collect();
        while let Some((object, depth)) = open.pop() {
            if self.foreign.is_inside(&object) || depth > limits::VALUE_DEPTH_MAX {
                return true;
            }
            let inner = self.now.objects_in(&object).into_iter();
            open.extend(inner.map(|it| (it, depth + 1)));
        }
        false
    }
}

fn gaps_between(
    old: &At<'_>,
    new: &At<'_>,
    (old_end, new_end): ((View<'_>, usize), (View<'_>, usize)),
) -> Vec<Gap> {
    match (&old.id, &new.id) {
        (Some(object), Some(same)) if object == same => coarse(object, old_end, new_end),
        _ => vec![everything(old_end.1, new_end.1)],
    }
}

/// The elements that a change has removed, by their position before it, and the position now at which
/// each is put back: behind the nearest of those in front of it that is still there, or else in front
/// of the nearest behind it.
fn missing(
    to_before: &[Option<usize>],
    to_now: &[Option<usize>],
    before_length: usize,
    now_length: usize,
) -> Vec<(usize, usize)> {
    // Where the elements of before are now: none for those the change removed, and those gone since.
    let mut now_of = vec![None; before_length];
    let mut is_missing = vec![true; before_length];
    for (in_before, in_now) in to_before.iter().zip(to_now) {
        let Some(in_before) = *in_before else {
            continue;
        };
        if let (Some(place), Some(missing)) =
            (now_of.get_mut(in_before), is_missing.get_mut(in_before))
        {
            (*place, *missing) = (*in_now, false);
        }
    }
    let first = now_of.iter().flatten().next().copied();
    let mut place = first.unwrap_or(now_length);
    let mut places = Vec::new();
    for (at, (now, is_missing)) in now_of.iter().zip(is_missing).enumerate() {
        if let Some(now) = now {
            place = now + 1;
        }
        if is_missing {
            places.push((at, place));
        }
    }
    places
}

/// What happens to a sequence, by positions in what is there now.
struct Edits<T>(BTreeMap<usize, (bool, Vec<T>)>);

impl<T> Default for Edits<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Edits<T> {
    fn remove(&mut self, at: usize) {
        self.0.entry(at).or_default().0 = true;
    }

    /// Before the element that is at `at`, behind what was inserted there before.
    fn insert(&mut self, at: usize, value: T) {
        self.0.entry(at).or_default().1.push(value);
    }

    /// In the order in which positions further in front stay what they are.
    fn back_to_front(self) -> impl Iterator<Item = (usize, (bool, Vec<T>))> {
        self.0.into_iter().rev()
    }
}

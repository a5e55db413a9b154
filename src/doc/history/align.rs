//! Which elements of a list or text at one time are which at another.

use automerge::{ObjId, PatchAction};

use super::view::View;
use crate::doc::lcs::{Gap, gaps};

/// An element as it counts where two sequences are compared by value.
pub(super) enum Element<'a, T> {
    /// It may be the same as one that was there before: an undo puts back what was removed as new.
    Known(&'a T),
    /// It is somebody else's, and nothing before it.
    New,
}

impl<T: PartialEq> PartialEq for Element<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Known(a), Self::Known(b)) if a == b)
    }
}

/// For each element of `old`, where it is in `new`.
///
/// Outside of `coarse` the elements are the same ones; inside, equal ones are taken for the same if
/// they may be. Where as many differ on either side `pairs` takes them for the same in their order.
pub(super) fn places<T: PartialEq>(
    (old, new): (&[T], &[T]),
    coarse: &[Gap],
    pairs: bool,
    is_new: impl Fn(usize) -> bool,
) -> Vec<Option<usize>> {
    let mut places = vec![None; old.len()];
    let mut set = |start: usize, count: usize, at: &mut dyn Iterator<Item = usize>| {
        let old_places = places.iter_mut().skip(start).take(count);
        old_places.zip(at).for_each(|(place, at)| *place = Some(at));
    };
    let (mut old_at, mut new_at) = (0, 0);
    for gap in coarse {
        set(
            old_at,
            gap.old.start.saturating_sub(old_at),
            &mut (new_at..),
        );
        let inner_old = old.get(gap.old.clone()).unwrap_or_default().iter();
        let inner_old: Vec<_> = inner_old.map(Element::Known).collect();
        let inner_new = new.get(gap.new.clone()).unwrap_or_default().iter();
        let inner_new = inner_new.zip(gap.new.start..).map(|(it, at)| {
            if is_new(at) {
                Element::New
            } else {
                Element::Known(it)
            }
        });
        let inner_new: Vec<_> = inner_new.collect();
        (old_at, new_at) = (gap.old.start, gap.new.start);
        for fine in gaps(&inner_old, &inner_new) {
            let start = gap.old.start + fine.old.start;
            set(old_at, start - old_at, &mut (new_at..));
            let known = fine.new.clone().filter(|at| {
                let element = inner_new.get(*at);
                pairs && element.is_some_and(|it| matches!(it, Element::Known(_)))
            });
            let known: Vec<_> = known.map(|at| gap.new.start + at).collect();
            if known.len() == fine.old.len() {
                set(start, fine.old.len(), &mut known.into_iter());
            }
            (old_at, new_at) = (gap.old.start + fine.old.end, gap.new.start + fine.new.end);
        }
        set(old_at, gap.old.end - old_at, &mut (new_at..));
        (old_at, new_at) = (gap.old.end, gap.new.end);
    }
    set(old_at, old.len().saturating_sub(old_at), &mut (new_at..));
    places
}

/// Where the elements of one list or text at two times differ, by what became of each; everything if
/// that can't be told.
pub(super) fn coarse(
    object: &ObjId,
    (old, old_length): (View<'_>, usize),
    (new, new_length): (View<'_>, usize),
) -> Vec<Gap> {
    let patches = old
        .document
        .diff_obj(object, old.heads, new.heads, false)
        .unwrap_or_default();
    let actions = patches
        .iter()
        .filter(|it| it.obj == *object)
        .map(|it| &it.action);
    script(actions, old_length, new_length)
        .unwrap_or_else(|| vec![everything(old_length, new_length)])
}

pub(super) const fn everything(old_length: usize, new_length: usize) -> Gap {
    Gap {
        old: 0..old_length,
        new: 0..new_length,
    }
}

/// Patches go from the front to the back, at positions in what is there by then.
fn script<'p>(
    actions: impl Iterator<Item = &'p PatchAction>,
    old_length: usize,
    new_length: usize,
) -> Option<Vec<Gap>> {
    let mut gaps: Vec<Gap> = Vec::new();
    let (mut old_at, mut new_at) = (0, 0);
    for action in actions {
        let (index, removed, inserted) = match action {
            PatchAction::Insert { index, values } => (*index, 0, values.len()),
            PatchAction::SpliceText { index, value, .. } => {
                (*index, 0, value.make_string().chars().count())
            }
            PatchAction::DeleteSeq { index, length } => (*index, *length, 0),
            PatchAction::PutSeq { .. }
            | PatchAction::Increment { .. }
            | PatchAction::Conflict { .. }
            | PatchAction::Mark { .. } => continue,
            PatchAction::PutMap { .. } | PatchAction::DeleteMap { .. } => return None,
        };
        let same = index.checked_sub(new_at)?;
        let (old_start, new_start) = (old_at + same, new_at + same);
        (old_at, new_at) = (old_start + removed, new_start + inserted);
        match gaps.last_mut() {
            Some(last) if last.old.end == old_start && last.new.end == new_start => {
                (last.old.end, last.new.end) = (old_at, new_at);
            }
            _ => gaps.push(Gap {
                old: old_start..old_at,
                new: new_start..new_at,
            }),
        }
    }
    let ends_alike = old_length.checked_sub(old_at) == new_length.checked_sub(new_at);
    (ends_alike && old_at <= old_length).then_some(gaps)
}

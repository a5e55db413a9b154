//! What changed between two values, place by place.

use super::{PathStep, Value};

/// One difference between two values.
///
/// In a map, `before: None` adds an entry and `after: None` removes it. In a list they insert and
/// remove an element, and later patches count positions after that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Where.
    pub path: Vec<PathStep>,
    /// What was there.
    pub before: Option<Value>,
    /// What is there now.
    pub after: Option<Value>,
}

impl Value {
    /// The patches that lead from `old` to `new`, in the order in which they apply.
    pub fn diff(old: &Self, new: &Self) -> Vec<Patch> {
        let mut patches = Vec::new();
        let mut path = Vec::new();
        compare(old, new, &mut path, &mut patches);
        patches
    }

    /// Applies one patch; `false`, and nothing changed, if its path does not lead anywhere.
    pub fn patch(&mut self, patch: &Patch) -> bool {
        let Some((last, parents)) = patch.path.split_last() else {
            return match &patch.after {
                Some(after) => {
                    after.clone_into(self);
                    true
                }
                None => false,
            };
        };
        let Some(parent) = parents.iter().try_fold(self, Self::child) else {
            return false;
        };
        parent.put(last, patch.before.is_some(), patch.after.as_ref())
    }

    fn child(&mut self, step: &PathStep) -> Option<&mut Self> {
        match (self, step) {
            (Self::Map(map), PathStep::Key(key)) => map.get_mut(key),
            (Self::List(list), PathStep::Index(index)) => list.get_mut(*index),
            _ => None,
        }
    }

    fn put(&mut self, step: &PathStep, replaces: bool, after: Option<&Self>) -> bool {
        match (self, step, after) {
            (Self::Map(map), PathStep::Key(key), Some(after)) => {
                map.insert(key.clone(), after.clone());
                true
            }
            (Self::Map(map), PathStep::Key(key), None) => map.remove(key).is_some(),
            (Self::List(list), PathStep::Index(index), Some(after)) if replaces => list
                .get_mut(*index)
                .map(|it| after.clone_into(it))
                .is_some(),
            (Self::List(list), PathStep::Index(index), Some(after)) if *index <= list.len() => {
                list.insert(*index, after.clone());
                true
            }
            (Self::List(list), PathStep::Index(index), None) if *index < list.len() => {
                list.remove(*index);
                true
            }
            _ => false,
        }
    }
}

fn compare(old: &Value, new: &Value, path: &mut Vec<PathStep>, patches: &mut Vec<Patch>) {
    match (old, new) {
        (Value::Map(old), Value::Map(new)) => {
            for (key, before) in old {
                within(path, PathStep::Key(key.clone()), |path| {
                    match new.get(key) {
                        Some(after) => compare(before, after, path, patches),
                        None => push(Some(before), None, path, patches),
                    }
                });
            }
            for (key, after) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                within(path, PathStep::Key(key.clone()), |path| {
                    push(None, Some(after), path, patches);
                });
            }
        }
        (Value::List(old), Value::List(new)) => compare_lists(old, new, path, patches),
        _ if old == new => {}
        _ => push(Some(old), Some(new), path, patches),
    }
}

/// Between the common start and the common end, elements pair up by position; what remains on one
/// side was removed or inserted there.
fn compare_lists(old: &[Value], new: &[Value], path: &mut Vec<PathStep>, out: &mut Vec<Patch>) {
    let same = |(a, b): &(&Value, &Value)| a == b;
    let start = old.iter().zip(new).take_while(same).count();
    let (_, old) = old.split_at(start);
    let (_, new) = new.split_at(start);
    let end = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(same)
        .count();
    let (old, _) = old.split_at(old.len() - end);
    let (new, _) = new.split_at(new.len() - end);
    for (at, (before, after)) in old.iter().zip(new).enumerate() {
        within(path, PathStep::Index(start + at), |path| {
            compare(before, after, path, out);
        });
    }
    let paired = old.len().min(new.len());
    for before in old.iter().skip(paired) {
        within(path, PathStep::Index(start + paired), |path| {
            push(Some(before), None, path, out);
        });
    }
    for (at, after) in new.iter().enumerate().skip(paired) {
        within(path, PathStep::Index(start + at), |path| {
            push(None, Some(after), path, out);
        });
    }
}

fn within(path: &mut Vec<PathStep>, step: PathStep, work: impl FnOnce(&mut Vec<PathStep>)) {
    path.push(step);
    work(path);
    path.pop();
}

fn push(
    before: Option<&Value>,
    after: Option<&Value>,
    path: &[PathStep],
    patches: &mut Vec<Patch>,
) {
    patches.push(Patch {
        path: path.to_vec(),
        before: before.cloned(),
        after: after.cloned(),
    });
}

//! The value of a document that has one change only, read from its operations. Most records arrive so,
//! and loading a document for each would cost several times as much.

use std::collections::BTreeMap;

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::{ExpandedChange, ObjType, ScalarValue};

use super::guard::guarded;
use super::materialise::owned_scalar;
use super::value::Value;
use crate::limits;

/// The value of a document with this change alone, which was checked when it came. None where only a
/// document can tell: a change with parents, marks, what is no string in a text, too deep a value.
pub fn first_value(bytes: &[u8]) -> Option<Value> {
    let decode = || {
        automerge::Change::try_from(bytes)
            .ok()
            .map(|it| it.decode())
    };
    let change = guarded(decode).ok()??;
    let content = Content::of(&change)?;
    content.object(None, ObjType::Map, limits::VALUE_DEPTH_MAX)
}

/// The place of an operation in its change.
type Index = usize;

/// What the operations of one change come to.
struct Content<'a> {
    ops: &'a [Op],
    /// What is shown under the keys of maps: object (none for the root), key, operation.
    entries: BTreeMap<(Option<Index>, &'a str), Index>,
    /// The first element of each list or text.
    first: BTreeMap<Index, Index>,
    /// The element after each.
    next: Vec<Option<Index>>,
    /// What is shown in the place of each element, by the operation that inserted it.
    shown: Vec<Option<Index>>,
    /// What was added to counters.
    added: BTreeMap<Index, i64>,
}

impl<'a> Content<'a> {
    fn of(change: &'a ExpandedChange) -> Option<Self> {
        let ops = change.operations.as_slice();
        if !change.deps.is_empty() {
            return None;
        }
        let mut content = Self {
            ops,
            entries: BTreeMap::new(),
            first: BTreeMap::new(),
            next: vec![None; ops.len()],
            shown: vec![None; ops.len()],
            added: BTreeMap::new(),
        };
        let mut gone = vec![false; ops.len()];
        for (at, op) in ops.iter().enumerate() {
            // An operation refers to earlier ones, and here to those of its own change.
            let index = |id: &OpId| {
                let index = id.counter().checked_sub(change.start_op.get())?;
                let index = Index::try_from(index).ok().filter(|it| *it < at);
                index.filter(|_| *id.actor() == change.actor_id)
            };
            for replaced in op.pred.iter() {
                content.replace(index(replaced)?, op, &mut gone)?;
            }
            if op.insert {
                content.link(at, op, index)?;
            }
        }
        // Which of several is shown that nothing has replaced, a document tells.
        for (at, op) in ops
            .iter()
            .enumerate()
            .filter(|(at, _)| !gone.get(*at).is_some_and(|it| *it))
        {
            let index = |id: &OpId| Index::try_from(id.counter() - change.start_op.get()).ok();
            content.show(at, op, index)?;
        }
        Some(content)
    }

    /// Takes note of an operation in the place of an earlier one.
    fn replace(&mut self, earlier: Index, op: &Op, gone: &mut [bool]) -> Option<()> {
        let OpType::Increment(by) = op.action else {
            *gone.get_mut(earlier)? = true;
            return Some(());
        };
        let counter = |it: &Op| matches!(it.action, OpType::Put(ScalarValue::Counter(_)));
        self.ops.get(earlier).filter(|it| counter(it))?;
        let sum = self.added.entry(earlier).or_default();
        *sum = sum.checked_add(by)?;
        Some(())
    }

    /// Puts a new element behind another one, or at the start. It is the latest so far, so nothing
    /// that was inserted there before stays in front of it.
    fn link(&mut self, at: Index, op: &Op, index: impl Fn(&OpId) -> Option<Index>) -> Option<()> {
        let before = match &op.key {
            Key::Seq(ElementId::Head) => {
                let ObjectId::Id(object) = &op.obj else {
                    return None;
                };
                self.first.insert(index(object)?, at)
            }
            Key::Seq(ElementId::Id(element)) => self.next.get_mut(index(element)?)?.replace(at),
            Key::Map(_) => return None,
        };
        *self.next.get_mut(at)? = before;
        Some(())
    }

    fn show(
        &mut self,
        at: Index,
        op: &'a Op,
        index: impl Fn(&OpId) -> Option<Index>,
    ) -> Option<()> {
        match &op.action {
            OpType::Make(_) | OpType::Put(_) => {}
            OpType::Delete | OpType::Increment(_) => return Some(()),
            OpType::MarkBegin(_) | OpType::MarkEnd(_) => return None,
        }
        match &op.key {
            Key::Map(key) => {
                let object = match &op.obj {
                    ObjectId::Root => None,
                    ObjectId::Id(id) => Some(index(id)?),
                };
                let other = self.entries.insert((object, key.as_str()), at);
                other.is_none().then_some(())
            }
            Key::Seq(ElementId::Id(element)) if !op.insert => {
                let other = self.shown.get_mut(index(element)?)?.replace(at);
                other.is_none().then_some(())
            }
            Key::Seq(_) if op.insert => {
                *self.shown.get_mut(at)? = Some(at);
                Some(())
            }
            Key::Seq(_) => None,
        }
    }

    fn object(&self, object: Option<Index>, kind: ObjType, depth: usize) -> Option<Value> {
        match kind {
            ObjType::Text => {
                let text = |at: Index| {
                    let OpType::Put(ScalarValue::Str(text)) = &self.ops.get(at)?.action else {
                        return None;
                    };
                    Some(text.as_str())
                };
                let parts = self.elements(object).map(text);
                parts.collect::<Option<String>>().map(Value::Text)
            }
            ObjType::List => {
                let depth = depth.checked_sub(1)?;
                let values = self.elements(object).map(|it| self.value(it, depth));
                values.collect::<Option<Vec<_>>>().map(Value::List)
            }
            ObjType::Map | ObjType::Table => {
                let depth = depth.checked_sub(1)?;
                let entries = self.entries.range((object, "")..);
                let own = entries.take_while(|((it, _), _)| *it == object);
                let values =
                    own.map(|((_, key), at)| Some(((*key).to_owned(), self.value(*at, depth)?)));
                values.collect::<Option<BTreeMap<_, _>>>().map(Value::Map)
            }
        }
    }

    /// What is shown of a list or text, in order.
    fn elements(&self, object: Option<Index>) -> impl Iterator<Item = Index> + '_ {
        let first = object.and_then(|it| self.first.get(&it)).copied();
        let next = |at: &Index| self.next.get(*at).copied().flatten();
        std::iter::successors(first, next).filter_map(|at| self.shown.get(at).copied().flatten())
    }

    fn value(&self, at: Index, depth: usize) -> Option<Value> {
        match &self.ops.get(at)?.action {
            OpType::Make(kind) => self.object(Some(at), *kind, depth),
            OpType::Put(ScalarValue::Counter(counter)) => {
                let added = self.added.get(&at).copied().unwrap_or(0);
                i64::from(counter).checked_add(added).map(Value::Counter)
            }
            OpType::Put(scalar) => Some(owned_scalar(scalar)),
            OpType::Delete | OpType::Increment(_) | OpType::MarkBegin(_) | OpType::MarkEnd(_) => {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::value::tests::any_value;
    use super::super::{Document, Edit, EditMeta, PathStep};
    use super::*;
    use crate::error::Error;
    use crate::id::ActorId;
    use crate::time::WallTime;

    /// The one change that an edit of an empty document makes, and what the document is then.
    fn first(edit: impl FnOnce(&mut Edit<'_>) -> Result<(), Error>) -> (Vec<u8>, Value) {
        let mut document = Document::new(&ActorId::from_bytes(vec![1; 16]));
        let meta = EditMeta::at(WallTime::from_millis(1));
        let ((), change) = document.edit(meta, edit).unwrap();
        let change = change.map(|it| it.bytes().to_vec());
        (change.unwrap_or_default(), document.value().unwrap())
    }

    fn reads_alike(edit: impl FnOnce(&mut Edit<'_>) -> Result<(), Error>) {
        let (bytes, value) = first(edit);
        assert!(
            bytes.is_empty() || first_value(&bytes) == Some(value.clone()),
            "{value:?}"
        );
    }

    fn json(json: &str) -> Value {
        Value::from_json(&serde_json::from_str(json).unwrap()).unwrap()
    }

    fn path(steps: &[&str]) -> Vec<PathStep> {
        steps.iter().map(|it| PathStep::from(*it)).collect()
    }

    #[test]
    fn texts_counters_and_lists_that_were_edited_at_once_read_alike() {
        reads_alike(|edit| {
            edit.set(
                &[],
                &json(r#"{"t": {"$text": "one"}, "c": {"$counter": 1}, "l": [1, [2], {"a": 3}]}"#),
            )?;
            edit.splice_text(&path(&["t"]), 1, 1, "NN\u{1f600}")?;
            edit.splice_text(&path(&["t"]), 0, 0, "at the start")?;
            edit.set(&path(&["c"]), &Value::Counter(7))?;
            edit.set(&path(&["l"]), &json(r#"[0, 1, {"a": 4}, [2, 5]]"#))?;
            edit.mark_deleted(WallTime::from_millis(5))
        });
    }

    #[test]
    fn only_a_document_tells_what_has_parents_or_is_no_change() {
        let mut document = Document::new(&ActorId::from_bytes(vec![1; 16]));
        for number in 0..2 {
            let edited = document.edit::<_, Error>(EditMeta::default(), |edit| {
                edit.set(&path(&["n"]), &Value::Int(number))
            });
            let change = edited.unwrap().1.unwrap();
            assert_eq!(first_value(change.bytes()).is_some(), number == 0);
        }
        assert_eq!(first_value(b"no change"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn one_change_reads_as_its_document_does(
            old in prop::collection::btree_map("[a-c]", any_value(), 0..4),
            new in prop::collection::btree_map("[a-c]", any_value(), 0..4),
            last in prop::collection::btree_map("[a-c]", any_value(), 0..4),
        ) {
            reads_alike(|edit| {
                edit.put_map(&old)?;
                edit.put_map(&new)?;
                edit.put_map(&last)
            });
        }
    }
}

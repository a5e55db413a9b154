//! What others have done since, or at the same time, as far as an undo has to keep it.

use std::collections::{BTreeMap, BTreeSet};

use automerge::legacy::{Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, Automerge, ChangeHash, ObjId};

/// The name of an operation, or of the object that it made.
pub(super) type Name = (u64, ActorId);

/// The name of an object; none for the root.
pub(super) type Id = Option<Name>;

/// The name of an object or operation as Automerge gives it.
pub(super) fn id(obj: &ObjId) -> Id {
    match obj {
        ObjId::Root => None,
        ObjId::Id(counter, actor, _) => Some((*counter, actor.clone())),
    }
}

/// What changes of others that are not before some own change have touched.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    /// Objects in which something was written.
    objects: BTreeSet<Id>,
    /// Entries of maps that were written, or removed.
    entries: BTreeSet<(Id, String)>,
    /// Values that were overwritten, or removed.
    overwritten: BTreeSet<Name>,
    /// The operations: the last number, by author and first number.
    made: BTreeMap<(ActorId, u64), u64>,
}

impl Foreign {
    /// Of all that others than `own` have changed besides what is before `since`.
    ///
    /// Costs in proportion to the document if there is any such change.
    pub(super) fn since(document: &Automerge, own: &ActorId, since: ChangeHash) -> Self {
        let mut foreign = Self::default();
        let since = [since];
        let mut metas = document.get_changes_meta(&since).into_iter();
        if metas.all(|it| *it.actor == *own) {
            return foreign;
        }
        for change in document.get_changes(&since) {
            if change.actor_id() == own || change.is_empty() {
                continue;
            }
            let first = change.start_op().get();
            let made = (change.actor_id().clone(), first);
            foreign.made.insert(made, change.max_op());
            for op in &change.decode().operations {
                foreign.note(op);
            }
        }
        foreign
    }

    fn note(&mut self, op: &Op) {
        let obj = object(op);
        match (&op.action, &op.key) {
            // Increments add up with others, and so they are in nobody's way.
            (OpType::Increment(_), _) => {}
            (_, Key::Map(key)) => {
                self.entries.insert((obj.clone(), key.to_string()));
            }
            (_, Key::Seq(_)) => self.overwritten.extend(op.pred.iter().map(named)),
        }
        self.objects.insert(obj);
    }

    /// Whether they have changed nothing.
    pub(super) fn is_nothing(&self) -> bool {
        self.objects.is_empty()
    }

    /// Whether they have written to this entry of this map.
    pub(super) fn has_entry(&self, map: &ObjId, key: &str) -> bool {
        !self.is_nothing() && self.entries.contains(&(id(map), key.to_owned()))
    }

    /// Whether they have written something in this object.
    pub(super) fn is_inside(&self, object: &ObjId) -> bool {
        self.objects.contains(&id(object))
    }

    /// Whether they have overwritten the value that this operation made.
    pub(super) fn has_overwritten(&self, op: &ObjId) -> bool {
        id(op).is_some_and(|it| self.overwritten.contains(&it))
    }

    /// Whether they have made this operation.
    pub(super) fn has_made(&self, op: &ObjId) -> bool {
        let Some((counter, actor)) = id(op) else {
            return false;
        };
        let start = (actor.clone(), 0);
        let mut before = self.made.range(start..=(actor, counter));
        before.next_back().is_some_and(|(_, last)| counter <= *last)
    }

    /// The elements that both they and the change `own` have removed, by list or text.
    pub(super) fn removed_by_both(&self, own: &automerge::Change) -> BTreeMap<Id, Vec<Name>> {
        let mut both: BTreeMap<Id, Vec<Name>> = BTreeMap::new();
        if self.is_nothing() {
            return both;
        }
        for op in &own.decode().operations {
            if !matches!((&op.action, &op.key), (OpType::Delete, Key::Seq(_))) {
                continue;
            }
            let removed = op.pred.iter().map(named);
            let removed = removed.filter(|it| self.overwritten.contains(it));
            both.entry(object(op)).or_default().extend(removed);
        }
        both
    }
}

fn object(op: &Op) -> Id {
    match &op.obj {
        ObjectId::Root => None,
        ObjectId::Id(id) => Some(named(id)),
    }
}

fn named(op: &OpId) -> Name {
    (op.counter(), op.actor().clone())
}

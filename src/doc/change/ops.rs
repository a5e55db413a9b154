//! The operations of a change, as far as they refer to each other: what each does, where, to what.
//!
//! Values are left out. What is kept is enough to judge whether a change fits its ancestors without
//! loading a document.

use std::collections::BTreeMap;
use std::sync::Arc;

use automerge::legacy::{ElementId, Key as AmKey, ObjectId, OpId as AmOpId, OpType};
use automerge::{ExpandedChange, ObjType};

use super::ChangeFault;
use crate::doc::guard::guarded;
use crate::id::ActorId;

/// Names an operation within one change: the place of its writer in the change's table, and its
/// number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ref {
    pub actor: u32,
    pub counter: u64,
}

/// Where in its object an operation works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The entry of a map.
    Entry(Arc<str>),
    /// The start of a list or text.
    Start,
    /// The element of a list or text that this operation inserted.
    Element(Ref),
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    MakeMap,
    /// Makes a table, as Automerge had once. It reads them and can write nothing into them.
    MakeTable,
    /// Makes a list or text.
    MakeSequence,
    /// Writes a counter.
    PutCounter,
    /// Writes another scalar.
    Put,
    Delete,
    Increment,
    MarkBegin,
    MarkEnd,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Op {
    /// The object; none for the root map.
    pub obj: Option<Ref>,
    pub key: Key,
    pub action: Action,
    pub insert: bool,
    pub pred: Vec<Ref>,
}

/// The operations of one change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ops {
    /// Writers that operations refer to, the change's own first.
    pub actors: Vec<ActorId>,
    pub ops: Vec<Op>,
}

impl Ops {
    /// Takes apart a change that Automerge could read, and checks that it would write it the same
    /// way: a saved document keeps operations and not the bytes of changes, so a change in any other
    /// form would come out of it with another hash, and make it unloadable.
    pub(super) fn read(change: &automerge::Change) -> Result<Self, ChangeFault> {
        let taken = guarded(|| {
            let expanded = change.decode();
            let ops = Self::of(&expanded);
            let again = automerge::Change::from(expanded);
            (ops, again.raw_bytes() == change.raw_bytes())
        });
        match taken {
            Ok((ops, true)) => Ok(ops),
            Ok((_, false)) => Err(ChangeFault::NotCanonical),
            Err(reason) => Err(ChangeFault::Panicked { reason }),
        }
    }

    /// The same of a change that has passed that check before.
    pub(super) fn trusted(change: &automerge::Change) -> Result<Self, ChangeFault> {
        guarded(|| Self::of(&change.decode())).map_err(|reason| ChangeFault::Panicked { reason })
    }

    fn of(change: &ExpandedChange) -> Self {
        let mut table = Table::default();
        table.place(&change.actor_id);
        let ops = change.operations.iter().map(|op| Op {
            obj: match &op.obj {
                ObjectId::Root => None,
                ObjectId::Id(id) => Some(table.reference(id)),
            },
            key: match &op.key {
                AmKey::Map(name) => Key::Entry(Arc::from(name.as_str())),
                AmKey::Seq(ElementId::Head) => Key::Start,
                AmKey::Seq(ElementId::Id(id)) => Key::Element(table.reference(id)),
            },
            action: action(&op.action),
            insert: op.insert,
            pred: op.pred.iter().map(|it| table.reference(it)).collect(),
        });
        let ops = ops.collect();
        Self {
            actors: table.actors,
            ops,
        }
    }
}

fn action(action: &OpType) -> Action {
    match action {
        OpType::Make(kind) if kind.is_sequence() => Action::MakeSequence,
        OpType::Make(ObjType::Table) => Action::MakeTable,
        OpType::Make(_) => Action::MakeMap,
        OpType::Delete => Action::Delete,
        OpType::Increment(_) => Action::Increment,
        OpType::Put(automerge::ScalarValue::Counter(_)) => Action::PutCounter,
        OpType::Put(_) => Action::Put,
        OpType::MarkBegin(_) => Action::MarkBegin,
        OpType::MarkEnd(_) => Action::MarkEnd,
    }
}

/// The writers met so far, each at its place.
#[derive(Default)]
struct Table<'a> {
    places: BTreeMap<&'a automerge::ActorId, u32>,
    actors: Vec<ActorId>,
}

impl<'a> Table<'a> {
    fn reference(&mut self, id: &'a AmOpId) -> Ref {
        Ref {
            actor: self.place(id.actor()),
            counter: id.counter(),
        }
    }

    fn place(&mut self, actor: &'a automerge::ActorId) -> u32 {
        let next = u32::try_from(self.actors.len()).unwrap_or(u32::MAX);
        let place = *self.places.entry(actor).or_insert(next);
        if place == next {
            self.actors
                .push(ActorId::from_bytes(actor.to_bytes().to_vec()));
        }
        place
    }
}

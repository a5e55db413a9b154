//! A document at one time, read place by place.

use automerge::{Automerge, ChangeHash, Cursor, ObjId, ObjType, Prop, ROOT, ReadDoc as _};

use super::foreign::Name;
use crate::doc::fault::DocumentFault;
use crate::doc::materialise;
use crate::doc::value::{PathStep, Value};

/// A document as it was at some heads.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) document: &'a Automerge,
    pub(super) heads: &'a [ChangeHash],
}

/// What is at one place at one time.
#[derive(Clone, Default)]
pub(super) struct At<'v> {
    pub(super) value: Option<&'v Value>,
    /// What made it, and so which object it is.
    pub(super) id: Option<ObjId>,
}

impl<'v> At<'v> {
    pub(super) const fn root(value: &'v Value) -> Self {
        Self {
            value: Some(value),
            id: Some(ROOT),
        }
    }

    /// The entries of a map, the elements of a list: what is one step further.
    pub(super) fn step(&self, view: View<'_>, step: &PathStep) -> Result<Self, DocumentFault> {
        let value = self.value.and_then(|it| it.get(std::slice::from_ref(step)));
        let id = match (value, &self.id) {
            (Some(_), Some(object)) => {
                let found = view.document.get_at(object, prop(step), view.heads);
                found.map_err(refused)?.map(|it| it.1)
            }
            _ => None,
        };
        Ok(Self { value, id })
    }
}

impl View<'_> {
    pub(super) fn root(self) -> Result<Value, DocumentFault> {
        materialise::map(self.document, &ROOT, Some(self.heads)).map(|it| it.0)
    }

    /// The value of an object, whether or not it can still be reached.
    pub(super) fn object(self, object: &ObjId) -> Result<Value, DocumentFault> {
        let kind = self.document.object_type(object).map_err(refused)?;
        materialise::object(self.document, object, kind, Some(self.heads))
    }

    /// All operations that stand at a place: several where it is in conflict.
    pub(super) fn operations(self, object: &ObjId, prop: Prop) -> Vec<ObjId> {
        let found = self.document.get_all_at(object, prop, self.heads);
        let found = found.unwrap_or_default().into_iter();
        found.map(|it| it.1).collect()
    }

    /// The objects in a map or list.
    pub(super) fn objects_in(self, object: &ObjId) -> Vec<ObjId> {
        let Ok(kind) = self.document.object_type(object) else {
            return Vec::new();
        };
        let is_object = |it: &automerge::ValueRef<'_>| matches!(it, automerge::ValueRef::Object(_));
        match kind {
            ObjType::Text => Vec::new(),
            ObjType::List => {
                let items = self.document.list_range_at(object, .., self.heads);
                let objects = items.filter(|it| is_object(&it.value));
                objects.map(|it| it.id()).collect()
            }
            ObjType::Map | ObjType::Table => {
                let items = self.document.map_range_at(object, .., self.heads);
                let objects = items.filter(|it| is_object(&it.value));
                objects.map(|it| it.id()).collect()
            }
        }
    }

    /// Where in a list or text the element is that this operation made.
    pub(super) fn position(self, object: &ObjId, (counter, actor): &Name) -> Option<usize> {
        let cursor = format!("{counter}@{}", actor.to_hex_string());
        let cursor = Cursor::try_from(cursor).ok()?;
        let found = self
            .document
            .get_cursor_position(object, &cursor, Some(self.heads));
        found.ok()
    }
}

pub(super) fn prop(step: &PathStep) -> Prop {
    match step {
        PathStep::Key(key) => Prop::from(key),
        PathStep::Index(index) => Prop::from(*index),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it stands where errors are mapped"
)]
pub(super) fn refused(error: automerge::AutomergeError) -> DocumentFault {
    DocumentFault::Refused {
        doing: "read the history",
        reason: error.to_string(),
    }
}

//! Reads a document's content into a [`Value`], to a bounded depth.
//!
//! Automerge's own way recurses as deep as the document does, and a peer decides how deep that is.

use std::cell::Cell;
use std::collections::BTreeMap;

use automerge::{ChangeHash, ObjId, ObjType, ReadDoc, ScalarValueRef, ValueRef};

use super::fault::DocumentFault;
use super::value::Value;
use crate::limits;

/// The map `obj`, with everything in it, as it was at `heads` if there are any; and whether several
/// values stand at any place of it.
pub(super) fn map<D: ReadDoc>(
    doc: &D,
    obj: &ObjId,
    heads: Option<&[ChangeHash]>,
) -> Result<(Value, bool), DocumentFault> {
    let reader = Reader::new(doc, heads);
    let value = reader.object(obj, ObjType::Map, limits::VALUE_DEPTH_MAX)?;
    Ok((value, reader.is_contested.get()))
}

/// The value at one place of a document, given what Automerge says is there.
pub(super) fn value<D: ReadDoc>(
    doc: &D,
    found: &automerge::Value<'_>,
    obj: &ObjId,
) -> Result<Value, DocumentFault> {
    value_at(doc, found, obj, None)
}

/// The same at some heads of the past, if there are any.
pub(super) fn value_at<D: ReadDoc>(
    doc: &D,
    found: &automerge::Value<'_>,
    obj: &ObjId,
    heads: Option<&[ChangeHash]>,
) -> Result<Value, DocumentFault> {
    let reader = Reader::new(doc, heads);
    match found {
        automerge::Value::Object(kind) => reader.object(obj, *kind, limits::VALUE_DEPTH_MAX),
        automerge::Value::Scalar(scalar) => Ok(owned_scalar(scalar)),
    }
}

/// The object `obj`, with everything in it, as it was at `heads` if there are any.
pub(super) fn object<D: ReadDoc>(
    doc: &D,
    obj: &ObjId,
    kind: ObjType,
    heads: Option<&[ChangeHash]>,
) -> Result<Value, DocumentFault> {
    let reader = Reader::new(doc, heads);
    reader.object(obj, kind, limits::VALUE_DEPTH_MAX)
}

/// A document at one time: now, or at some heads of its past.
struct Reader<'a, D> {
    doc: &'a D,
    heads: Option<&'a [ChangeHash]>,
    /// Several values stand at a place that was read.
    is_contested: Cell<bool>,
}

impl<'a, D: ReadDoc> Reader<'a, D> {
    const fn new(doc: &'a D, heads: Option<&'a [ChangeHash]>) -> Self {
        Self {
            doc,
            heads,
            is_contested: Cell::new(false),
        }
    }

    fn note(&self, is_contested: bool) {
        if is_contested {
            self.is_contested.set(true);
        }
    }

    fn object(&self, obj: &ObjId, kind: ObjType, depth: usize) -> Result<Value, DocumentFault> {
        let max = limits::VALUE_DEPTH_MAX;
        let depth = || depth.checked_sub(1).ok_or(DocumentFault::TooDeep { max });
        match kind {
            ObjType::Text => self.text(obj),
            ObjType::List => {
                let depth = depth()?;
                let items = match self.heads {
                    Some(heads) => self.doc.list_range_at(obj, .., heads),
                    None => self.doc.list_range(obj, ..),
                };
                let values = items.map(|item| {
                    self.note(item.conflict);
                    self.item(&item.value, || item.id(), depth)
                });
                Ok(Value::List(values.collect::<Result<_, _>>()?))
            }
            ObjType::Map | ObjType::Table => {
                let depth = depth()?;
                let items = match self.heads {
                    Some(heads) => self.doc.map_range_at(obj, .., heads),
                    None => self.doc.map_range(obj, ..),
                };
                let mut map = BTreeMap::new();
                for item in items {
                    self.note(item.conflict);
                    let value = self.item(&item.value, || item.id(), depth)?;
                    map.insert(item.key.into_owned(), value);
                }
                Ok(Value::Map(map))
            }
        }
    }

    fn text(&self, obj: &ObjId) -> Result<Value, DocumentFault> {
        let text = match self.heads {
            Some(heads) => self.doc.text_at(obj, heads),
            None => self.doc.text(obj),
        };
        text.map(Value::Text)
            .map_err(|error| DocumentFault::Refused {
                doing: "read a text",
                reason: error.to_string(),
            })
    }

    fn item(
        &self,
        found: &ValueRef<'_>,
        id: impl FnOnce() -> ObjId,
        depth: usize,
    ) -> Result<Value, DocumentFault> {
        match found {
            ValueRef::Object(kind) => self.object(&id(), *kind, depth),
            ValueRef::Scalar(scalar) => Ok(borrowed_scalar(scalar)),
        }
    }
}

fn borrowed_scalar(scalar: &ScalarValueRef<'_>) -> Value {
    match scalar {
        ScalarValueRef::Null => Value::Null,
        ScalarValueRef::Boolean(yes) => Value::Bool(*yes),
        ScalarValueRef::Int(number) => Value::Int(*number),
        ScalarValueRef::Uint(number) => Value::Uint(*number),
        ScalarValueRef::F64(number) => Value::Float(*number),
        ScalarValueRef::Str(text) => Value::Str(text.to_string()),
        ScalarValueRef::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
        ScalarValueRef::Timestamp(millis) => Value::Timestamp(*millis),
        ScalarValueRef::Counter(number) => Value::Counter(*number),
        ScalarValueRef::Unknown { type_code, bytes } => Value::Unknown {
            type_code: *type_code,
            bytes: bytes.to_vec(),
        },
    }
}

/// A scalar as Automerge's write side has it.
pub(super) fn owned_scalar(scalar: &automerge::ScalarValue) -> Value {
    use automerge::ScalarValue as Am;
    match scalar {
        Am::Null => Value::Null,
        Am::Boolean(yes) => Value::Bool(*yes),
        Am::Int(number) => Value::Int(*number),
        Am::Uint(number) => Value::Uint(*number),
        Am::F64(number) => Value::Float(*number),
        Am::Str(text) => Value::Str(text.to_string()),
        Am::Bytes(bytes) => Value::Bytes(bytes.clone()),
        Am::Timestamp(millis) => Value::Timestamp(*millis),
        Am::Counter(counter) => Value::Counter(i64::from(counter)),
        Am::Unknown { type_code, bytes } => Value::Unknown {
            type_code: *type_code,
            bytes: bytes.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Document, EditMeta};
    use super::*;
    use crate::id::ActorId;

    #[test]
    fn the_past_reads_as_it_was() {
        let json = |json: &str| Value::from_json(&serde_json::from_str(json).unwrap()).unwrap();
        let mut document = Document::new(&ActorId::from_bytes(vec![1; 16]));
        let put = |document: &mut Document, value: &Value| {
            let put = document
                .edit::<_, crate::error::Error>(EditMeta::default(), |edit| edit.set(&[], value));
            put.unwrap();
        };
        put(
            &mut document,
            &json(
                r#"{"t": {"$text": "one"}, "c": {"$counter": 1}, "l": [1, {"a": 2}], "x": null}"#,
            ),
        );
        let (heads, value) = (document.heads(), document.value().unwrap());
        put(
            &mut document,
            &json(r#"{"t": {"$text": "one two"}, "c": {"$counter": 5}, "l": [{"a": 3}], "y": 1}"#),
        );
        assert_ne!(document.value().unwrap(), value);
        assert_eq!(document.value_at(&heads).unwrap(), value);
    }
}

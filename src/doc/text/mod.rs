//! Marks on texts, and places in them that move along: rich text after Peritext (Litt et al., CSCW
//! 2022), as Automerge has it.
//!
//! A mark is a name and a value on a range of characters, such as `bold`: `true`. Marks are no part of
//! the value of a record, so views and JSON hold the characters only; who wants the marks asks
//! for the spans. All positions count Unicode scalar values. Where several texts stand at one place,
//! the one that Automerge shows is meant, whatever policy the field has.

mod cursor;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use automerge::iter::Span;
use automerge::marks::ExpandMark;
use automerge::transaction::Transactable as _;
use automerge::{Automerge, AutomergeError, ObjId, ObjType, Prop, ROOT, ReadDoc, ScalarValue};

pub use cursor::Cursor;

use super::document::{Document, foreign_heads};
use super::edit::{Edit, not_reserved};
use super::guard::guarded;
use super::materialise::owned_scalar;
use super::value::{PathStep, Value, show_path};
use crate::doc::DocumentFault;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Heads;
use crate::limits;

/// A name and a value on a range of a text's characters.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The characters.
    pub range: Range<usize>,
    /// Its name. A character has one value of each name; of those set at once, one that is the same on
    /// all replicas.
    pub name: String,
    /// Its value: no list, no map, and not null.
    pub value: Value,
}

/// Whether what is written at the ends of a mark is marked, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expand {
    /// At neither end, as for a link.
    Neither,
    /// Only in front of it.
    Before,
    /// Only behind it, as for bold letters.
    #[default]
    After,
    /// At both ends.
    Both,
}

impl From<Expand> for ExpandMark {
    fn from(expand: Expand) -> Self {
        match expand {
            Expand::Neither => Self::None,
            Expand::Before => Self::Before,
            Expand::After => Self::After,
            Expand::Both => Self::Both,
        }
    }
}

/// Characters that follow each other and have the same marks.
#[derive(Clone, Debug, PartialEq)]
pub struct TextSpan {
    /// The characters.
    pub text: String,
    /// Their marks.
    pub marks: BTreeMap<String, Value>,
}

impl Edit<'_> {
    /// Marks characters of the text at `path`. Marks of other names stay; one of the same name goes as
    /// far as the new one reaches.
    ///
    /// # Errors
    /// `InvalidInput` if there is no text, or no such range in it, or it is empty, or for a name or value
    /// that marks don't have; `TooLarge` if either is over [`limits::MARK_NAME_BYTES_MAX`] or
    /// [`limits::MARK_VALUE_BYTES_MAX`].
    pub fn mark(&mut self, path: &[PathStep], mark: &Mark, expand: Expand) -> Result<()> {
        let object = self.text_with(path, &mark.range)?;
        check_name(&mark.name)?;
        let value = mark_value(&mark.value)?;
        let Range { start, end } = mark.range;
        let mark = automerge::marks::Mark::new(mark.name.clone(), value, start, end);
        let marked = self.writer().tx.mark(&object, mark, expand.into());
        marked.map_err(|it| self.writer().refused(it))
    }

    /// Takes the mark of a name off characters of the text at `path`. What is written at the ends of the
    /// range later is not unmarked.
    ///
    /// # Errors
    /// As [`Edit::mark`].
    pub fn unmark(&mut self, path: &[PathStep], range: &Range<usize>, name: &str) -> Result<()> {
        let object = self.text_with(path, range)?;
        check_name(name)?;
        let Range { start, end } = *range;
        let tx = &mut self.writer().tx;
        let unmarked = tx.unmark(&object, name, start, end, ExpandMark::None);
        unmarked.map_err(|it| self.writer().refused(it))
    }

    /// The text at `path` in spans of the same marks, with what this edit has done so far.
    ///
    /// # Errors
    /// `InvalidInput` if there is no text.
    pub fn spans(&mut self, path: &[PathStep]) -> Result<Vec<TextSpan>> {
        spans(&self.writer().tx, path, None)
    }

    /// The place in front of the character at `index` of the text at `path`; its end, if `index` is its
    /// length.
    ///
    /// # Errors
    /// `InvalidInput` if there is no text, or it is shorter.
    pub fn cursor(&mut self, path: &[PathStep], index: usize) -> Result<Cursor> {
        cursor_at(&self.writer().tx, path, index)
    }

    /// Where a cursor stands in the text at `path`, as [`Document::position`].
    ///
    /// # Errors
    /// As [`Document::position`].
    pub fn position(&mut self, path: &[PathStep], cursor: &Cursor) -> Result<Option<usize>> {
        position(&self.writer().tx, path, cursor)
    }

    /// The text at `path`, which has the characters of `range`, of which there are some.
    fn text_with(&mut self, path: &[PathStep], range: &Range<usize>) -> Result<ObjId> {
        not_reserved(path.first())?;
        let tx = &self.writer().tx;
        let object = text(tx, path, None)?;
        let length = tx.length(&object);
        if range.start >= range.end || range.end > length {
            let message = format!(
                "{}: there are no characters {} to {} in a text of {length}",
                show_path(path),
                range.start,
                range.end
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        Ok(object)
    }
}

impl Document {
    /// The text at `path` in spans of the same marks.
    ///
    /// # Errors
    /// `InvalidInput` if there is no text; when Automerge fails.
    pub fn spans(&self, path: &[PathStep]) -> Result<Vec<TextSpan>> {
        self.read_text(|| spans(&self.inner, path, None))
    }

    /// The same as it was at `heads`, which are in the document.
    ///
    /// # Errors
    /// As [`Document::spans`].
    pub fn spans_at(&self, path: &[PathStep], heads: &Heads) -> Result<Vec<TextSpan>> {
        self.read_text(|| spans(&self.inner, path, Some(&foreign_heads(heads))))
    }

    /// The place in front of the character at `index` of the text at `path`; its end, if `index` is its
    /// length.
    ///
    /// # Errors
    /// `InvalidInput` if there is no text, or it is shorter; when Automerge fails.
    pub fn cursor(&self, path: &[PathStep], index: usize) -> Result<Cursor> {
        self.read_text(|| cursor_at(&self.inner, path, index))
    }

    /// Where a cursor stands in the text at `path`; `None` if its character is not in it: it has not
    /// arrived here, or is one of another text.
    ///
    /// # Errors
    /// `InvalidInput` if there is no text; when Automerge fails.
    pub fn position(&self, path: &[PathStep], cursor: &Cursor) -> Result<Option<usize>> {
        self.read_text(|| position(&self.inner, path, cursor))
    }

    fn read_text<T>(&self, read: impl FnOnce() -> Result<T>) -> Result<T> {
        self.check_usable()?;
        let doing = "read a text";
        guarded(read).map_err(|reason| DocumentFault::Panicked { doing, reason })?
    }
}

/// The text at `path`, as it was at `heads` if there are any.
fn text<D: ReadDoc>(
    doc: &D,
    path: &[PathStep],
    heads: Option<&[automerge::ChangeHash]>,
) -> Result<ObjId> {
    let mut place = (ObjType::Map, ROOT);
    for step in path {
        let prop = match (step, place.0) {
            (PathStep::Key(key), ObjType::Map | ObjType::Table) => Prop::from(key),
            (PathStep::Index(index), ObjType::List) => Prop::from(*index),
            _ => return Err(no_text(path)),
        };
        let found = match heads {
            Some(heads) => doc.get_at(&place.1, prop, heads),
            None => doc.get(&place.1, prop),
        };
        match found.map_err(refused)? {
            Some((automerge::Value::Object(kind), id)) => place = (kind, id),
            Some((automerge::Value::Scalar(_), _)) | None => return Err(no_text(path)),
        }
    }
    if place.0 == ObjType::Text {
        Ok(place.1)
    } else {
        Err(no_text(path))
    }
}

fn spans<D: ReadDoc>(
    doc: &D,
    path: &[PathStep],
    heads: Option<&[automerge::ChangeHash]>,
) -> Result<Vec<TextSpan>> {
    let object = text(doc, path, heads)?;
    let spans = match heads {
        Some(heads) => doc.spans_at(&object, heads),
        None => doc.spans(&object),
    };
    let mut all: Vec<TextSpan> = Vec::new();
    for span in spans.map_err(refused)? {
        let marks = match &span {
            Span::Text { marks, .. } => marks.as_deref(),
            // What stands for a block in the characters of the text, too.
            Span::Block(_) => None,
        };
        let marks = marks.into_iter().flat_map(|it| it.iter());
        let marks = marks.filter(|(_, value)| !matches!(value, ScalarValue::Null));
        let marks = marks.map(|(name, value)| (name.to_owned(), owned_scalar(value)));
        let marks: BTreeMap<_, _> = marks.collect();
        match all.last_mut() {
            Some(last) if last.marks == marks => last.text.push_str(span.as_str()),
            _ => all.push(TextSpan {
                text: span.as_str().to_owned(),
                marks,
            }),
        }
    }
    Ok(all)
}

fn cursor_at<D: ReadDoc>(doc: &D, path: &[PathStep], index: usize) -> Result<Cursor> {
    use automerge::CursorPosition;
    let object = text(doc, path, None)?;
    let length = doc.length(&object);
    let place = match index {
        index if index > length => {
            let place = show_path(path);
            let message = format!("{place}: there is no place {index} in a text of {length}");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        index if index == length => CursorPosition::End,
        index => CursorPosition::Index(index),
    };
    let cursor = doc.get_cursor(&object, place, None);
    cursor.map(Cursor).map_err(refused)
}

fn position<D: ReadDoc>(doc: &D, path: &[PathStep], cursor: &Cursor) -> Result<Option<usize>> {
    let object = text(doc, path, None)?;
    // Automerge panics over a cursor of another object, which anybody may send. Nothing is written here
    // that could be left half done.
    match guarded(|| doc.get_cursor_position(&object, &cursor.0, None)) {
        Ok(Ok(position)) => Ok(Some(position)),
        Ok(Err(AutomergeError::InvalidCursor(_))) | Err(_) => Ok(None),
        Ok(Err(error)) => Err(refused(error)),
    }
}

/// The texts of before on which a change has set marks, or taken them off, as far as they are still there.
pub(super) fn marked_places(
    document: &Automerge,
    change: &automerge::Change,
) -> Vec<Vec<PathStep>> {
    use automerge::legacy::{ObjectId, OpType};
    let own = change.actor_id().to_string();
    let is_new = |id: &str| {
        let (number, actor) = id.split_once('@').unwrap_or_default();
        let number = number.parse().unwrap_or(0);
        actor == own && number >= change.start_op().get()
    };
    let mut texts = BTreeSet::new();
    for op in change.decode().operations {
        if let (OpType::MarkBegin(_), ObjectId::Id(_)) = (&op.action, &op.obj) {
            texts.insert(op.obj.to_string());
        }
    }
    let old = texts.into_iter().filter(|it| !is_new(it));
    old.filter_map(|it| path_of(document, &it)).collect()
}

/// Where an object is in the record, if it is shown.
fn path_of(document: &Automerge, id: &str) -> Option<Vec<PathStep>> {
    let (object, _) = document.import(id).ok()?;
    let parents: Vec<_> = document.parents(&object).ok()?.collect();
    if parents.iter().any(|it| !it.visible) {
        return None;
    }
    let steps = parents.into_iter().rev().map(|it| match it.prop {
        Prop::Map(key) => PathStep::Key(key),
        Prop::Seq(index) => PathStep::Index(index),
    });
    Some(steps.collect())
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        let message = "a mark has a name";
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    check_size("name", name.len(), limits::MARK_NAME_BYTES_MAX)
}

fn mark_value(value: &Value) -> Result<ScalarValue> {
    let scalar = match value {
        Value::Bool(yes) => ScalarValue::Boolean(*yes),
        Value::Int(number) => ScalarValue::Int(*number),
        Value::Uint(number) => ScalarValue::Uint(*number),
        Value::Float(number) => ScalarValue::F64(*number),
        Value::Str(text) => ScalarValue::Str(text.into()),
        Value::Bytes(bytes) => ScalarValue::Bytes(bytes.clone()),
        Value::Timestamp(millis) => ScalarValue::Timestamp(*millis),
        Value::Null
        | Value::Text(_)
        | Value::Counter(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Unknown { .. } => {
            let message = format!(
                "a mark is a boolean, number, string, bytes or timestamp, not {}; to take one off, \
                 unmark",
                value.class()
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
    };
    let bytes = match value {
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Timestamp(_)
        | Value::Counter(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Unknown { .. } => 0,
    };
    check_size("value", bytes, limits::MARK_VALUE_BYTES_MAX)?;
    Ok(scalar)
}

fn check_size(what: &str, bytes: usize, max: usize) -> Result<()> {
    if bytes <= max {
        return Ok(());
    }
    let message = format!("the {what} of a mark takes at most {max} bytes, this one {bytes}");
    Err(Error::new(ErrorKind::TooLarge, message))
}

fn no_text(path: &[PathStep]) -> Error {
    let message = format!("{}: there is no text", show_path(path));
    Error::new(ErrorKind::InvalidInput, message)
}

#[expect(clippy::needless_pass_by_value, reason = "as the argument of map_err")]
fn refused(error: AutomergeError) -> Error {
    let doing = "read a text";
    let reason = error.to_string();
    DocumentFault::Refused { doing, reason }.into()
}

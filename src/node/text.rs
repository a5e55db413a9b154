//! Texts with marks, and cursors in them.

use std::ops::Range;

use super::{Collection, Records};
use crate::doc::{Cursor, Document, Expand, Mark, PathStep, TextSpan, Version};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Heads, RecordId};
use crate::record::Record;

impl Records {
    /// Marks characters of a text, such as bold ones; see [`crate::doc::text`]. Several marks and other
    /// edits in one change: [`Records::edit`] with [`Edit::mark`](crate::doc::Edit::mark).
    ///
    /// # Errors
    /// As [`Edit::mark`](crate::doc::Edit::mark) and [`Records::edit`].
    pub async fn mark(
        &self,
        id: RecordId,
        path: &[PathStep],
        mark: &Mark,
        expand: Expand,
    ) -> Result<()> {
        self.edit(id, |edit| edit.mark(path, mark, expand)).await
    }

    /// Takes the mark of a name off characters of a text.
    ///
    /// # Errors
    /// As [`Records::mark`].
    pub async fn unmark(
        &self,
        id: RecordId,
        path: &[PathStep],
        range: &Range<usize>,
        name: &str,
    ) -> Result<()> {
        self.edit(id, |edit| edit.unmark(path, range, name)).await
    }

    /// The text at `path` in spans of the same marks. Loads the document: views hold the characters
    /// only.
    ///
    /// # Errors
    /// `NotFound` if there is no record, `InvalidInput` if there is no text at `path`, `Poisoned` if its
    /// document can't be loaded, and those of the store.
    pub async fn spans(&self, id: RecordId, path: &[PathStep]) -> Result<Vec<TextSpan>> {
        let path = path.to_vec();
        self.look(id, move |document| document.spans(&path)).await
    }

    /// The same as it was at a version.
    ///
    /// # Errors
    /// As [`Records::spans`], and `NotFound` if the record has no such version.
    pub async fn spans_at(
        &self,
        id: RecordId,
        path: &[PathStep],
        version: &Version,
    ) -> Result<Vec<TextSpan>> {
        let (path, version) = (path.to_vec(), version.clone());
        let spans = move |document: &Document, heads: &Heads| -> Result<_> {
            let heads = document.version(heads, &version)?;
            document.spans_at(&path, &heads)
        };
        self.past(id, spans).await
    }

    /// The place in front of the character at `index` of a text, or its end: good on every replica,
    /// whatever is written meanwhile. It fits into a [`Presence`](super::Presence).
    ///
    /// # Errors
    /// As [`Records::spans`], and `InvalidInput` if the text is shorter.
    pub async fn cursor(&self, id: RecordId, path: &[PathStep], index: usize) -> Result<Cursor> {
        let path = path.to_vec();
        self.look(id, move |document| document.cursor(&path, index))
            .await
    }

    /// Where a cursor stands in a text now; `None` if its character is not in it: it has not arrived
    /// here yet, or is one of another text.
    ///
    /// # Errors
    /// As [`Records::spans`].
    pub async fn position(
        &self,
        id: RecordId,
        path: &[PathStep],
        cursor: &Cursor,
    ) -> Result<Option<usize>> {
        let (path, cursor) = (path.to_vec(), cursor.clone());
        self.look(id, move |document| document.position(&path, &cursor))
            .await
    }

    async fn look<T: Send + 'static>(
        &self,
        id: RecordId,
        look: impl FnOnce(&Document) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let found = self.with_document(id, |document, _| {
            crate::record::check_present(document)?;
            look(document)
        });
        found.await?.ok_or_else(|| {
            let message = format!("{}: there is no such record", self.key(id));
            Error::new(ErrorKind::NotFound, message)
        })
    }
}

impl<T: Record> Collection<T> {
    /// Marks characters of a text; see [`Records::mark`].
    ///
    /// # Errors
    /// As [`Records::mark`].
    pub async fn mark(
        &self,
        id: RecordId,
        path: &[PathStep],
        mark: &Mark,
        expand: Expand,
    ) -> Result<()> {
        self.records().mark(id, path, mark, expand).await
    }

    /// Takes the mark of a name off characters of a text.
    ///
    /// # Errors
    /// As [`Records::mark`].
    pub async fn unmark(
        &self,
        id: RecordId,
        path: &[PathStep],
        range: &Range<usize>,
        name: &str,
    ) -> Result<()> {
        self.records().unmark(id, path, range, name).await
    }

    /// The text at `path` in spans of the same marks; see [`Records::spans`].
    ///
    /// # Errors
    /// As [`Records::spans`].
    pub async fn spans(&self, id: RecordId, path: &[PathStep]) -> Result<Vec<TextSpan>> {
        self.records().spans(id, path).await
    }

    /// A place in a text that moves along; see [`Records::cursor`].
    ///
    /// # Errors
    /// As [`Records::cursor`].
    pub async fn cursor(&self, id: RecordId, path: &[PathStep], index: usize) -> Result<Cursor> {
        self.records().cursor(id, path, index).await
    }

    /// Where a cursor stands now; see [`Records::position`].
    ///
    /// # Errors
    /// As [`Records::position`].
    pub async fn position(
        &self,
        id: RecordId,
        path: &[PathStep],
        cursor: &Cursor,
    ) -> Result<Option<usize>> {
        self.records().position(id, path, cursor).await
    }
}

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/text.md")]
mod guide {}

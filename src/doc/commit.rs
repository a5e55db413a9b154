//! Edits of a document: one transaction, one change.

use automerge::transaction::CommitOptions;

use super::change::{Change, ChangeFault};
use super::document::{Document, EditMeta, shortest_bytes, wide};
use super::edit::Edit;
use super::fault::DocumentFault;
use super::guard::guarded;
use super::history::is_mark;
use crate::error::{Error, ErrorKind};
use crate::limits;
use crate::time::WallTime;

impl Document {
    /// Edits the document in one transaction, which becomes one change; none if nothing differs.
    ///
    /// Costs in proportion to the edit, not to the document; but where a lens has conflicts to show, to
    /// the document.
    ///
    /// # Errors
    /// - What `work` returns, and `TooLarge` or `InvalidInput` for a value or the message: the document
    ///   is as it was before.
    /// - `TooLarge` when the change as a whole is over a limit, `Poisoned` when Automerge fails: the
    ///   document can't be used any more and has to be loaded again
    ///   ([`DocumentFault::Spoiled`]).
    pub fn edit<R, E: From<Error>>(
        &mut self,
        meta: EditMeta,
        work: impl FnOnce(&mut Edit<'_>) -> Result<R, E>,
    ) -> Result<(R, Option<Change>), E> {
        check_reason(&meta)?;
        match self.seen().map_err(Error::from)? {
            Some(seen) => self.edit_shown(&seen, meta, work),
            None => self.commit(meta, false, work),
        }
    }

    /// Edits what Automerge shows, with any message; where `always` is set by a change without operations
    /// if nothing differs.
    pub(super) fn commit<R, E: From<Error>>(
        &mut self,
        meta: EditMeta,
        always: bool,
        work: impl FnOnce(&mut Edit<'_>) -> Result<R, E>,
    ) -> Result<(R, Option<Change>), E> {
        self.check_usable().map_err(Error::from)?;
        check_message(&meta)?;
        let seconds = self.next_second(meta.time);
        let mut edit = Edit::new(self.inner.transaction());
        let result = guarded(|| work(&mut edit));
        let transaction = edit.into_transaction();
        let result = match result {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => {
                if guarded(|| transaction.rollback()).is_err() {
                    self.spoil();
                }
                return Err(error);
            }
            Err(reason) => {
                drop(guarded(|| transaction.rollback()));
                self.spoil();
                return Err(panicked(reason).into());
            }
        };
        let message = meta.message;
        let options = |message| {
            let mut options = CommitOptions::default().with_time(seconds);
            options.message = message;
            options
        };
        let mut committed = guarded(|| transaction.commit_with(options(message.clone())).0);
        if always && matches!(committed, Ok(None)) {
            committed = guarded(|| Some(self.inner.empty_commit(options(message))));
        }
        let committed = committed.map_err(panicked);
        match committed.and_then(|hash| self.last_change(hash.is_some())) {
            Ok(change) => Ok((result, change)),
            Err(error) => {
                self.spoil();
                Err(error.into())
            }
        }
    }

    /// The time of a change that is made now: not before what it follows, unless that is so far ahead
    /// that its clock can't be right.
    fn next_second(&self, now: WallTime) -> i64 {
        let now = now.as_unix_seconds();
        let trusted = now.saturating_add_unsigned(limits::CLOCK_TRUST.as_secs());
        let heads = self.inner.get_heads();
        let metas = heads
            .iter()
            .map(|it| self.inner.get_change_meta_by_hash(it));
        let seen = metas.flatten().map(|it| it.timestamp);
        seen.filter(|it| *it <= trusted).fold(now, i64::max)
    }

    /// The change that was just committed, verified like one from elsewhere.
    fn last_change(&mut self, is_any: bool) -> Result<Option<Change>, Error> {
        if !is_any {
            return Ok(None);
        }
        let change = guarded(|| self.inner.get_last_local_change()).map_err(panicked)?;
        let Some(mut change) = change else {
            return Err(panicked("the change just made is not there".to_owned()));
        };
        let change = Change::verify(shortest_bytes(&mut change)).map_err(over_limit)?;
        self.bytes = self.bytes.saturating_add(wide(change.bytes().len()));
        Ok(Some(change))
    }
}

fn panicked(reason: String) -> Error {
    let doing = "edit the document";
    DocumentFault::Panicked { doing, reason }.into()
}

/// An edit makes sound changes; what can be wrong with them is their size.
fn over_limit(fault: ChangeFault) -> Error {
    let kind = match &fault {
        ChangeFault::TooLarge { .. }
        | ChangeFault::InflatedTooLarge { .. }
        | ChangeFault::TooMany { .. }
        | ChangeFault::OperationNumbers { .. }
        | ChangeFault::Malformed(_) => ErrorKind::TooLarge,
        ChangeFault::Magic { .. }
        | ChangeFault::ChunkType { .. }
        | ChangeFault::Deflate { .. }
        | ChangeFault::Checksum { .. }
        | ChangeFault::ParentOrder { .. }
        | ChangeFault::Sequence { .. }
        | ChangeFault::Columns { .. }
        | ChangeFault::Refused { .. }
        | ChangeFault::Panicked { .. }
        | ChangeFault::Disagrees { .. }
        | ChangeFault::NotCanonical
        | ChangeFault::Time { .. } => ErrorKind::Poisoned,
    };
    let message = format!("the change that the edit makes: {fault}");
    Error::new(kind, message).with_source(fault)
}

/// What a user says must not pass for what the library says.
pub(super) fn check_reason(meta: &EditMeta) -> Result<(), Error> {
    if meta.message.as_deref().is_some_and(is_mark) {
        let message =
            "a reason can't begin with 'undo:' or 'redo:' and a hash, as the library's own do";
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(())
}

fn check_message(meta: &EditMeta) -> Result<(), Error> {
    let bytes = meta.message.as_ref().map_or(0, String::len);
    let max = limits::CHANGE_MESSAGE_BYTES_MAX;
    if bytes > max {
        let message = format!("the message of {bytes} bytes is over the limit of {max}");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(())
}

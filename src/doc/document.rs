//! One record's document: load, apply, edit, read, save. Whatever fails, it is as it was before, or
//! spoiled: then it gives nothing any more and has to be loaded again.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use automerge::{Automerge, LoadOptions, OnPartialLoad, ROOT, ReadDoc as _, TextEncoding};
use bytes::Bytes;

use super::change::Change;
use super::edit::DELETED_KEY;
use super::fault::DocumentFault;
use super::guard::guarded;
use super::inspect::is_snapshot;
use super::lens::Lens;
use super::saved;
use super::value::Value;
use crate::id::{ActorId, ChangeHash, Heads};
use crate::time::WallTime;

/// Positions in a text count Unicode scalar values.
///
/// Said everywhere, because Automerge's default follows feature flags that any crate of a program
/// may set.
const ENCODING: TextEncoding = TextEncoding::UnicodeCodePoint;

/// What stands on a change besides its operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EditMeta {
    /// When the edit is made; a change keeps whole seconds.
    pub time: WallTime,
    /// Why the edit is made. It can't begin like the mark of an undo or redo ([`super::history`]).
    pub message: Option<String>,
}

impl EditMeta {
    /// An edit made at `time`, without a message.
    pub const fn at(time: WallTime) -> Self {
        let message = None;
        Self { time, message }
    }
}

/// The document of one record, as loaded for an edit or a view.
#[derive(Clone)]
pub struct Document {
    pub(super) inner: Automerge,
    /// Bytes that were loaded, applied and written.
    pub(super) bytes: u64,
    /// An edit or a merge failed half way; what was here is gone.
    spoiled: bool,
    /// How conflicts are seen; as Automerge does without one.
    pub(super) lens: Option<Arc<dyn Lens>>,
}

impl Document {
    /// An empty document that `actor` will write to.
    pub fn new(actor: &ActorId) -> Self {
        let inner = Automerge::new_with_encoding(ENCODING).with_actor(actor.as_bytes().into());
        Self {
            inner,
            bytes: 0,
            spoiled: false,
            lens: None,
        }
    }

    /// Sees the document through `lens` from now on: what is read, and what is edited.
    pub fn look_through(&mut self, lens: Option<Arc<dyn Lens>>) {
        self.lens = lens;
    }

    /// Loads a document that `actor` will write to from chunks of our own store, in causal order.
    /// The first may be a snapshot made by [`Document::save`], the rest are changes.
    ///
    /// # Errors
    /// When Automerge can't load them, or parents are missing. That the heads are those which the
    /// store has for the record is for the caller to check.
    pub fn load<'a>(
        actor: &ActorId,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, DocumentFault> {
        let mut document = Self::new(actor);
        let mut chunks = chunks.into_iter().peekable();
        if let Some(snapshot) = chunks.next_if(|it| is_snapshot(it)) {
            document = Self::from_saved(actor, snapshot)?;
        }
        document.take_in(chunks)?;
        Ok(document)
    }

    pub(super) fn from_saved(actor: &ActorId, saved: &[u8]) -> Result<Self, DocumentFault> {
        Ok(Self {
            inner: load_saved(saved)?.with_actor(actor.as_bytes().into()),
            bytes: wide(saved.len()),
            spoiled: false,
            lens: None,
        })
    }

    /// Opens a document that someone else saved, and takes it apart into verified changes, in
    /// causal order.
    ///
    /// # Errors
    /// When it is too large, can't be loaded, misses parents, or holds a change that
    /// [`Change::verify`] refuses.
    pub fn open_saved(actor: &ActorId, saved: &[u8]) -> Result<(Self, Vec<Change>), DocumentFault> {
        let document = Self::from_saved(actor, saved)?;
        document.nothing_waits()?;
        let changes = attempt("take apart a saved document", || {
            let changes = document.inner.get_changes(&[]);
            let shortest = changes.into_iter().map(|mut it| shortest_bytes(&mut it));
            Ok(shortest.collect::<Vec<_>>())
        })?;
        let changes = changes.into_iter().map(Change::verify);
        let changes = changes.collect::<Result<Vec<_>, _>>()?;
        Ok((document, changes))
    }

    /// Applies changes whose parents are here or among them. Those already here change nothing.
    ///
    /// Costs in proportion to the changes, not to the document.
    ///
    /// # Errors
    /// - [`DocumentFault::MissingParents`]: the document is as it was before.
    /// - When Automerge refuses or panics: the document can't be used any more and has to be loaded
    ///   again ([`Document::is_spoiled`]).
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), DocumentFault> {
        self.check_usable()?;
        self.check_parents(changes)?;
        self.apply_all(changes.iter().map(|it| (it.hash(), it.bytes())))
    }

    /// Takes in changes that were verified before they were stored, parents first, given their hashes.
    ///
    /// # Errors
    /// When Automerge refuses or panics, as with [`Document::apply`].
    pub fn apply_stored(&mut self, changes: &[(ChangeHash, Bytes)]) -> Result<(), DocumentFault> {
        self.check_usable()?;
        self.apply_all(changes.iter().map(|it| (it.0, &it.1)))
    }

    fn apply_all<'a>(
        &mut self,
        changes: impl Iterator<Item = (ChangeHash, &'a Bytes)> + Clone,
    ) -> Result<(), DocumentFault> {
        let applied = self
            .take_in(changes.clone().map(|it| it.1.as_ref()))
            .and_then(|()| self.check_applied(changes.map(|it| it.0)));
        if applied.is_err() {
            self.spoil();
        }
        applied
    }

    /// Automerge would keep a change whose parents are missing for later, outside of all that is
    /// read, and give it back with no document.
    fn check_parents(&self, changes: &[Change]) -> Result<(), DocumentFault> {
        let among: BTreeSet<_> = changes.iter().map(Change::hash).collect();
        let parents = changes.iter().flat_map(Change::deps);
        let missing: BTreeSet<_> = parents
            .filter(|it| !among.contains(it) && !self.has(it))
            .collect();
        match missing.len() {
            0 => Ok(()),
            missing => Err(DocumentFault::MissingParents { missing }),
        }
    }

    fn check_applied(
        &self,
        mut hashes: impl Iterator<Item = ChangeHash>,
    ) -> Result<(), DocumentFault> {
        match hashes.find(|hash| !self.has(hash)) {
            Some(hash) => Err(DocumentFault::NotApplied { hash }),
            None => Ok(()),
        }
    }

    /// Applies in place; after an error the document is not fit for use.
    fn take_in<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), DocumentFault> {
        let bytes = &mut self.bytes;
        super::scope::note_materialised();
        attempt("apply changes", || {
            let parse = |chunk: &[u8]| {
                *bytes = bytes.saturating_add(wide(chunk.len()));
                automerge::Change::try_from(chunk).map_err(reason)
            };
            let parsed = changes
                .into_iter()
                .map(parse)
                .collect::<Result<Vec<_>, _>>()?;
            self.inner.apply_changes(parsed).map_err(reason)
        })?;
        self.nothing_waits()
    }

    /// Whether an edit or a merge failed half way, so that the document has to be loaded again.
    pub const fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    pub(super) const fn check_usable(&self) -> Result<(), DocumentFault> {
        if self.spoiled {
            Err(DocumentFault::Spoiled)
        } else {
            Ok(())
        }
    }

    /// Gives up what is here: it may be half of something.
    pub(super) fn spoil(&mut self) {
        self.inner = Automerge::new_with_encoding(ENCODING);
        self.bytes = 0;
        self.spoiled = true;
    }

    fn nothing_waits(&self) -> Result<(), DocumentFault> {
        match self.inner.get_missing_deps(&[]).len() {
            0 => Ok(()),
            missing => Err(DocumentFault::MissingParents { missing }),
        }
    }

    /// The newest changes.
    pub fn heads(&self) -> Heads {
        let heads = self.inner.get_heads();
        heads
            .into_iter()
            .map(|it| ChangeHash::from_bytes(it.0))
            .collect()
    }

    /// Number of changes.
    pub fn changes(&self) -> u64 {
        self.inner.stats().num_changes
    }

    /// Whether the change is part of the document.
    pub fn has(&self, hash: &ChangeHash) -> bool {
        let hash = automerge::ChangeHash(*hash.as_bytes());
        self.inner.get_missing_deps(&[hash]).is_empty()
    }

    /// The document as one chunk, after checking that it loads again with the same heads.
    ///
    /// Equal documents may save as different bytes: compare heads, never these.
    ///
    /// # Errors
    /// When Automerge can't reproduce the document; its changes must be kept then.
    pub fn save(&self) -> Result<Vec<u8>, DocumentFault> {
        self.check_usable()?;
        let saved = attempt("save the document", || Ok(self.inner.save()))?;
        let again = load_saved(&saved)?;
        if again.get_heads() != self.inner.get_heads() {
            return Err(DocumentFault::HeadsMismatch);
        }
        Ok(saved)
    }

    /// Everything in the document, as a [`Value::Map`], reserved keys included.
    ///
    /// # Errors
    /// When Automerge fails, or maps and lists are nested deeper than
    /// [`VALUE_DEPTH_MAX`](crate::limits::VALUE_DEPTH_MAX).
    pub fn value(&self) -> Result<Value, DocumentFault> {
        self.shown(None).map(|it| it.value)
    }

    /// The same as it was at `heads`, which are in the document.
    ///
    /// # Errors
    /// As [`Document::value`].
    pub fn value_at(&self, heads: &Heads) -> Result<Value, DocumentFault> {
        self.shown(Some(heads)).map(|it| it.value)
    }

    /// Whether [`DELETED_KEY`] is set, without reading the rest.
    ///
    /// # Errors
    /// When Automerge fails.
    pub fn is_deleted(&self) -> Result<bool, DocumentFault> {
        self.check_usable()?;
        attempt("read the document", || {
            let found = self.inner.get(ROOT, DELETED_KEY).map_err(reason)?;
            Ok(found.is_some())
        })
    }

    #[cfg(test)]
    pub(super) const fn inner(&self) -> &Automerge {
        &self.inner
    }

    #[cfg(test)]
    pub(crate) fn hydrated<T: autosurgeon::Hydrate>(&self) -> T {
        autosurgeon::hydrate(&self.inner).unwrap()
    }

    /// About how many bytes of memory the document takes.
    pub fn size_hint(&self) -> u64 {
        let stats = self.inner.stats();
        // Measured: an empty document, and what changes and operations add to it besides their
        // content, of which the bytes are a fair guess.
        7_000 + stats.num_changes * 160 + stats.num_ops * 10 + self.bytes
    }
}

impl fmt::Debug for Document {
    /// Shows nothing of the content, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = self.heads();
        f.debug_struct("Document")
            .field("heads", &heads)
            .finish_non_exhaustive()
    }
}

/// Heads as Automerge has them.
pub(super) fn foreign_heads(heads: &Heads) -> Vec<automerge::ChangeHash> {
    let hashes = heads.as_slice().iter();
    hashes
        .map(|it| automerge::ChangeHash(*it.as_bytes()))
        .collect()
}

pub(super) fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn load_saved(saved: &[u8]) -> Result<Automerge, DocumentFault> {
    super::scope::note_materialised();
    saved::check(saved)?;
    attempt("load a saved document", || {
        let options = LoadOptions::new()
            .text_encoding(ENCODING)
            .on_partial_load(OnPartialLoad::Error);
        Automerge::load_with_options(saved, options).map_err(reason)
    })
}

/// The change's bytes, deflated where that is shorter.
pub(super) fn shortest_bytes(change: &mut automerge::Change) -> Bytes {
    let raw = Bytes::copy_from_slice(change.raw_bytes());
    let deflated = change.bytes();
    if deflated.len() < raw.len() {
        Bytes::copy_from_slice(&deflated)
    } else {
        raw
    }
}

pub(super) fn attempt<T>(
    doing: &'static str,
    work: impl FnOnce() -> Result<T, String>,
) -> Result<T, DocumentFault> {
    guarded(work)
        .map_err(|reason| DocumentFault::Panicked { doing, reason })?
        .map_err(|reason| DocumentFault::Refused { doing, reason })
}

fn reason(error: impl fmt::Display) -> String {
    error.to_string()
}

//! Records from documents that others saved: whole, or in pieces of which each may be bad.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Records;
use super::shared::{Shared, mismatched};
use super::tasks::run_apart;
use crate::doc::{Change, DocumentFault, Pieces, Received};
use crate::engine::{Event, Reply};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ChangeHash, RecordId, RecordKey};
use crate::limits;
use crate::replica::{Admission, Rows};

/// What became of the pieces of a document.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Imported {
    /// Changes that were new to the record and are a part of it now.
    pub new: usize,
    /// Changes that are in quarantine now: what they build on is in no piece and not here, or they do
    /// not fit it. What waits for others goes on by itself once they come.
    pub held: usize,
    /// The places of pieces that were not taken in whole, and why. What is sound of them was.
    pub refused: Vec<(usize, Error)>,
}

impl Records {
    /// Takes all changes of a document that comes in pieces into a record, which need not exist. A
    /// piece is bytes of Automerge's format: a saved document, changes, or some of both one after the
    /// other, as a file has them. Their order does not matter, and what they have in common counts
    /// once. A piece that is bad keeps nobody from the others. Doing it twice changes nothing.
    ///
    /// Takes memory for all of the document's changes at once.
    ///
    /// # Errors
    /// `TooLarge` if there are more than [`limits::DOCUMENT_PIECES_MAX`] pieces, or they have more than
    /// [`limits::DOCUMENT_BYTES_MAX`] bytes together: then nothing is taken in. `TooLarge`, too, if the
    /// quarantine is full: what came before that stays. And those of the store.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use syncline::{ErrorKind, Node};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), syncline::Error> {
    /// let node = Node::builder().open().await?;
    /// let (drafts, notes) = (node.records("drafts")?, node.records("notes")?);
    /// let id = drafts.insert(&json!({"title": "One"})).await?;
    /// let early = drafts.document(id).await?.unwrap_or_default();
    /// drafts.patch(id, &json!({"title": "Two"})).await?;
    /// let late = drafts.document(id).await?.unwrap_or_default();
    ///
    /// let imported = notes.import_pieces(id, vec![late, b"cut off".to_vec(), early]).await?;
    /// assert_eq!((imported.new, imported.held), (2, 0));
    /// let [(1, error)] = imported.refused.as_slice() else { panic!("one is bad") };
    /// assert_eq!(error.kind(), ErrorKind::InvalidInput);
    /// assert_eq!(notes.get(id).await?, Some(json!({"title": "Two"})));
    /// # node.shutdown().await
    /// # }
    /// ```
    pub async fn import_pieces(&self, id: RecordId, pieces: Vec<Vec<u8>>) -> Result<Imported> {
        check_size(&pieces)?;
        let key = self.key(id);
        let gather = move || {
            let mut gathered = Pieces::default();
            let mut refused = Vec::new();
            for (place, piece) in pieces.into_iter().enumerate() {
                if let Err(fault) = gathered.add(&piece) {
                    refused.push((place, not_whole(fault)));
                }
            }
            Ok((gathered.into_changes(), refused))
        };
        let (changes, refused) = run_apart(gather).await?;
        let hashes: Vec<_> = changes.iter().map(Change::hash).collect();
        let changes = changes.into_iter().map(Ok).collect();
        let fates = self.shared().take_in(key.clone(), changes).await?;
        let is_new = |it: &Admission| matches!(it, Admission::Applied(_));
        let new = fates.iter().filter(|it| is_new(it)).count();
        let others = hashes.into_iter().zip(&fates);
        let others = others.filter(|(_, fate)| !is_new(fate)).map(|it| it.0);
        let (shared, others) = (Arc::clone(self.shared()), others.collect());
        let held = run_apart(move || shared.held(&key, &others)).await?;
        Ok(Imported { new, held, refused })
    }
}

impl Shared {
    /// Has the engine take changes into a record, parents first; what became of each.
    pub(super) async fn take_in(
        &self,
        key: RecordKey,
        changes: Vec<Received>,
    ) -> Result<Vec<Admission>> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let correlation = self.correlation();
        let import = |ticket| Event::Import {
            ticket,
            key,
            changes,
            correlation,
        };
        match self.ask(import).await? {
            Reply::Imported(fates) => fates,
            Reply::Captured(_)
            | Reply::Delivered(_)
            | Reply::Status(_)
            | Reply::Compacted(_)
            | Reply::Blob(_)
            | Reply::Indexed(_)
            | Reply::Quarantined(_) => Err(mismatched()),
        }
    }

    /// How many of these changes of a record are in quarantine.
    fn held(&self, key: &RecordKey, changes: &BTreeSet<ChangeHash>) -> Result<usize> {
        if changes.is_empty() {
            return Ok(0);
        }
        let snapshot = self.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let Some(slot) = rows.slot(key)? else {
            return Ok(0);
        };
        let held = rows.held(slot)?;
        Ok(held.iter().filter(|it| changes.contains(it)).count())
    }
}

fn check_size(pieces: &[Vec<u8>]) -> Result<()> {
    let bytes = pieces.iter().map(Vec::len).fold(0, usize::saturating_add);
    let too_large = |what: String| Err(Error::new(ErrorKind::TooLarge, what));
    if bytes > limits::DOCUMENT_BYTES_MAX {
        let max = limits::DOCUMENT_BYTES_MAX;
        return too_large(format!(
            "its pieces have {bytes} bytes, over the limit of {max}"
        ));
    }
    if pieces.len() > limits::DOCUMENT_PIECES_MAX {
        let (found, max) = (pieces.len(), limits::DOCUMENT_PIECES_MAX);
        return too_large(format!("{found} pieces are over the limit of {max}"));
    }
    Ok(())
}

/// What is wrong with bytes that the caller brought is the caller's to mend.
pub(super) fn not_importable(fault: DocumentFault) -> Error {
    let message = format!("this is no Automerge document that can be taken in: {fault}");
    Error::new(kind_of(&fault), message).with_source(fault)
}

fn not_whole(fault: DocumentFault) -> Error {
    let message = if fault.is_end_missing() {
        format!("it is cut off, or damaged: {fault}")
    } else {
        fault.to_string()
    };
    Error::new(kind_of(&fault), message).with_source(fault)
}

fn kind_of(fault: &DocumentFault) -> ErrorKind {
    if Error::from(fault.clone()).kind() == ErrorKind::TooLarge {
        ErrorKind::TooLarge
    } else {
        ErrorKind::InvalidInput
    }
}

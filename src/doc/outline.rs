//! What a saved document tells of its changes without any of them being made again.

use super::document::{Document, attempt};
use super::fault::DocumentFault;
use crate::id::{ActorId, ChangeHash};

/// A change of a document, without its operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The change.
    pub hash: ChangeHash,
    /// Its parents.
    pub deps: Vec<ChangeHash>,
    /// Who wrote it.
    pub actor: ActorId,
    /// Its number among its writer's changes.
    pub seq: u64,
    /// The number of its first operation.
    pub start_op: u64,
    /// The number of its last operation; one less than `start_op` if it has none.
    pub max_op: u64,
}

/// The changes of a document that this store has saved, in the order in which it keeps them. Loads the
/// document; on the way of replication that is counted.
///
/// # Errors
/// When it can't be loaded.
pub fn outline(saved: &[u8]) -> Result<Vec<Outline>, DocumentFault> {
    super::scope::note_unfolded();
    let reader = ActorId::from_bytes(vec![0; 16]);
    Document::from_saved(&reader, saved)?.outline()
}

impl Document {
    /// Its changes in the order in which it keeps them, when it is saved, too.
    ///
    /// # Errors
    /// When Automerge panics.
    pub fn outline(&self) -> Result<Vec<Outline>, DocumentFault> {
        attempt("list changes", || {
            let changes = self.inner.get_changes_meta(&[]).into_iter();
            let outline = changes.map(|it| Outline {
                hash: ChangeHash::from_bytes(it.hash.0),
                deps: it
                    .deps
                    .iter()
                    .map(|it| ChangeHash::from_bytes(it.0))
                    .collect(),
                actor: ActorId::from_bytes(it.actor.to_bytes().to_vec()),
                seq: it.seq,
                start_op: it.start_op,
                max_op: it.max_op,
            });
            Ok(outline.collect())
        })
    }
}

//! Automerge documents and changes; the only module that names Automerge.
//!
//! A [`Change`] is verified without a document, which is all that replication needs. A [`Document`]
//! is loaded where someone edits, reads a stale view, imports or compacts. What Automerge does with
//! bytes from elsewhere is guarded: a panic becomes a [`DocumentFault`], and the document stays as
//! it was. Positions in texts count Unicode scalar values, in every document of the process.

mod bounded;
pub mod change;
mod chunks;
mod commit;
pub mod conflicts;
mod derive;
pub mod document;
pub mod edit;
pub mod fault;
mod first;
#[cfg(any(test, feature = "sim"))]
pub mod forge;
mod guard;
pub mod history;
pub mod inspect;
mod lcs;
pub mod lens;
mod materialise;
mod outline;
mod pieces;
mod reconcile;
mod saved;
mod scope;
pub mod text;
pub mod value;
mod write;

pub use change::{Change, ChangeFault};
pub use chunks::inspect_chunks;
pub use conflicts::{Candidate, Conflict, HybridTime};
pub use document::{Document, EditMeta};
pub use edit::{DELETED_KEY, Edit};
pub use fault::DocumentFault;
pub use first::first_value;
pub use history::{Revision, RevisionKind, Revisions, Undone, Version};
pub use inspect::{
    Received, Refused, check_snapshot, inspect, inspect_snapshot, is_snapshot, received_bytes,
    refuse, snapshot_changes,
};
pub use lens::{Lens, NO_LENS, Shown};
pub use outline::{Outline, outline};
pub use pieces::Pieces;
pub use scope::{Replicating, replicating};
pub use text::{Cursor, Expand, Mark, TextSpan};
pub use value::key::order_key;
pub use value::order::Number;
pub use value::{Patch, PathStep, Value};

pub(crate) use guard::guarded;

/// Autosurgeon's traits name objects of a document by this.
pub(crate) use automerge::ObjId;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod pieces_tests;
#[cfg(test)]
mod tests;

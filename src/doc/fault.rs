//! What can go wrong with a document, as opposed to a change.

use thiserror::Error;

use super::change::ChangeFault;
use crate::codec::{Malformed, Problem};
use crate::error::{Error, ErrorKind};
use crate::id::ChangeHash;

/// Why a document could not be loaded, changed, read or saved. It is then as it was before, or
/// [`DocumentFault::Spoiled`] from then on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DocumentFault {
    /// Automerge panicked.
    #[error("{doing}: Automerge panics: {reason}")]
    Panicked {
        /// The operation.
        doing: &'static str,
        /// The panic's message.
        reason: String,
    },
    /// Automerge returned an error.
    #[error("{doing}: Automerge refuses: {reason}")]
    Refused {
        /// The operation.
        doing: &'static str,
        /// What Automerge says.
        reason: String,
    },
    /// An edit of it, or a merge into it, failed half way.
    #[error("an edit of this document, or a merge into it, failed half way; load it again")]
    Spoiled,
    /// Changes whose parents are not there.
    #[error("{missing} parents are missing")]
    MissingParents {
        /// How many.
        missing: usize,
    },
    /// A change that Automerge took and then did not have.
    #[error("change {} was not applied", hash.short())]
    NotApplied {
        /// The change.
        hash: ChangeHash,
    },
    /// A saved document that loads as something else.
    #[error("the saved document loads with other heads than it was saved with")]
    HeadsMismatch,
    /// Lists and maps nested too deep to be read.
    #[error("nested deeper than {max}")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// A saved document that is too large to be imported.
    #[error("{bytes} bytes are over the limit of {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A change that is not sound in itself.
    #[error(transparent)]
    Change(#[from] ChangeFault),
}

impl DocumentFault {
    /// Whether bytes end before what they say they hold.
    pub const fn is_end_missing(&self) -> bool {
        let Self::Change(ChangeFault::Malformed(Malformed { problem, .. })) = self else {
            return false;
        };
        matches!(problem, Problem::Truncated { .. })
    }

    /// A short name, stable across versions, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Panicked { .. } => "document_panicked",
            Self::Refused { .. } => "document_refused",
            Self::Spoiled => "spoiled",
            Self::MissingParents { .. } => "missing_parents",
            Self::NotApplied { .. } => "not_applied",
            Self::HeadsMismatch => "heads_mismatch",
            Self::TooDeep { .. } => "too_deep",
            Self::TooLarge { .. } => "document_too_large",
            Self::Change(fault) => fault.name(),
        }
    }
}

impl From<DocumentFault> for Error {
    fn from(fault: DocumentFault) -> Self {
        let kind = match &fault {
            DocumentFault::TooLarge { .. } => ErrorKind::TooLarge,
            DocumentFault::Panicked { .. }
            | DocumentFault::Refused { .. }
            | DocumentFault::Spoiled
            | DocumentFault::MissingParents { .. }
            | DocumentFault::NotApplied { .. }
            | DocumentFault::HeadsMismatch
            | DocumentFault::TooDeep { .. }
            | DocumentFault::Change(_) => ErrorKind::Poisoned,
        };
        Self::new(kind, fault.to_string()).with_source(fault)
    }
}

//! References to attachments as fields.

use autosurgeon::{Hydrate, HydrateError, Reconcile, Reconciler};

use crate::blob::Attachment;

impl Reconcile for Attachment {
    type Key<'a> = autosurgeon::reconcile::NoKey;

    fn reconcile<R: Reconciler>(&self, mut reconciler: R) -> Result<(), R::Error> {
        reconciler.str(self.to_string())
    }
}

impl Hydrate for Attachment {
    fn hydrate_string(text: &str) -> Result<Self, HydrateError> {
        let found = || text.chars().take(80).collect();
        Self::read(text).ok_or_else(|| HydrateError::unexpected("an attachment", found()))
    }
}

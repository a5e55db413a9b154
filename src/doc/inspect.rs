//! The check that every change passes on its way in, before anything else sees it.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::Change;
use crate::id::ChangeHash;

/// A change from elsewhere after the checks that need no store.
pub type Received = Result<Change, Refused>;

/// Bytes that are not a valid change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// SHA-256 of the bytes.
    pub hash: ChangeHash,
    /// What is wrong with them.
    pub detail: String,
    /// The bytes.
    pub bytes: Bytes,
}

/// Checks a change's bytes: form, sizes, hash. Pure, so links run it in parallel, before the
/// engine sees anything.
///
/// # Errors
/// [`Refused`], with the bytes and what is wrong with them.
pub fn inspect(bytes: Bytes) -> Received {
    Change::verify(bytes.clone()).map_err(|fault| {
        let hash = ChangeHash::from_bytes(Sha256::digest(&bytes).into());
        Refused {
            hash,
            detail: fault.to_string(),
            bytes,
        }
    })
}

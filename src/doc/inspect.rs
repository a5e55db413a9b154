//! The check that every change passes on its way in, before anything else sees it.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::bounded::within;
use super::saved::{self, Counts};
use super::{Change, Document, DocumentFault};
use crate::id::{ActorId, ChangeHash};
use crate::limits;

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
    Change::verify(bytes.clone()).map_err(|fault| refuse(bytes, fault.to_string()))
}

/// Bytes of what was received.
pub fn received_bytes(received: &Received) -> usize {
    match received {
        Ok(change) => change.bytes().len(),
        Err(refused) => refused.bytes.len(),
    }
}

/// Bytes that are refused for a reason.
pub fn refuse(bytes: Bytes, detail: String) -> Refused {
    let hash = ChangeHash::from_bytes(Sha256::digest(&bytes).into());
    Refused {
        hash,
        detail,
        bytes,
    }
}

/// Offset of the type byte in an Automerge chunk.
const CHUNK_TYPE_AT: usize = 8;

/// Whether bytes say that they are a snapshot: a document in place of the changes that made it.
pub fn is_snapshot(bytes: &[u8]) -> bool {
    bytes.get(CHUNK_TYPE_AT) == Some(&saved::DOCUMENT)
}

/// How many changes a snapshot says it has; none if it is malformed.
pub fn snapshot_changes(bytes: &[u8]) -> u64 {
    check_snapshot(bytes).unwrap_or(0)
}

/// Checks that a snapshot is within its limits, without loading it; gives how many changes it says
/// it has.
///
/// # Errors
/// When it is not, or is no document.
pub fn check_snapshot(bytes: &[u8]) -> Result<u64, DocumentFault> {
    if bytes.len() > limits::SNAPSHOT_BYTES_MAX {
        let (bytes, max) = (bytes.len(), limits::SNAPSHOT_BYTES_MAX);
        return Err(DocumentFault::TooLarge { bytes, max });
    }
    let Counts {
        changes,
        operations,
    } = saved::count(bytes, limits::SNAPSHOT_INFLATED_BYTES_MAX)?;
    within("operations", operations, limits::SNAPSHOT_OPS_MAX)?;
    Ok(within("changes", changes, limits::SNAPSHOT_CHANGES_MAX)?)
}

/// Checks a snapshot's bytes and takes it apart into its changes, each checked, parents first.
/// Loads the document, so never on the engine's thread.
///
/// # Errors
/// [`Refused`], with the bytes and what is wrong with them.
pub fn inspect_snapshot(bytes: Bytes) -> Result<Vec<Change>, Refused> {
    take_apart(&bytes).map_err(|fault| refuse(bytes, fault.to_string()))
}

fn take_apart(bytes: &[u8]) -> Result<Vec<Change>, DocumentFault> {
    check_snapshot(bytes)?;
    let reader = ActorId::from_bytes(vec![0; 16]);
    Ok(Document::open_saved(&reader, bytes)?.1)
}

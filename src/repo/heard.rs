//! A message of a client, taken apart before the hub sees it.

use bytes::Bytes;

use super::fault::RepoFault;
use super::message::Message;
use super::sync::SyncMessage;
use crate::doc::{Received, inspect_chunks};

/// A message of a client, checked as far as that needs no store.
#[derive(Debug)]
pub struct Heard {
    /// The message.
    pub message: Message,
    /// The sync message in it, without its chunks.
    pub sync: Option<SyncMessage>,
    /// The changes in the chunks, each checked.
    pub changes: Vec<Received>,
}

impl Heard {
    /// Reads a message and checks each change in it. Loads the documents in it, so links do it, many beside
    /// each other.
    ///
    /// # Errors
    /// [`RepoFault`] if it is no message. Chunks that are no changes are among the changes, refused.
    pub fn read(bytes: &Bytes) -> Result<Self, RepoFault> {
        let message = Message::decode(bytes)?;
        let Message::Sync { data, .. } = &message else {
            return Ok(Self {
                message,
                sync: None,
                changes: Vec::new(),
            });
        };
        let mut sync = SyncMessage::decode(data)?;
        let chunks = std::mem::take(&mut sync.chunks);
        let changes = chunks.iter().flat_map(inspect_chunks).collect();
        Ok(Self {
            message,
            sync: Some(sync),
            changes,
        })
    }
}

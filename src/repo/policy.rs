//! Which clients are let in, and to which documents.

use std::fmt::Debug;

use super::client::ClientInfo;
use crate::id::RecordId;

/// Decides about clients. What a client says of itself is not proved: the protocol has no proof of
/// identity, so a decision by name is one between friends. Keep strangers out before the WebSocket.
pub trait RepoPolicy: Debug + Send + Sync {
    /// Whether a client may link at all. By default, every one.
    fn admits(&self, client: &ClientInfo) -> bool {
        let _ = client;
        true
    }

    /// Whether a client may read and write a document. By default, who knows its id may. Who may not is
    /// told that it is unavailable.
    fn allows(&self, client: &ClientInfo, document: RecordId) -> bool {
        let _ = (client, document);
        true
    }
}

/// Everybody may everything that they know the id of.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenToAll;

impl RepoPolicy for OpenToAll {}

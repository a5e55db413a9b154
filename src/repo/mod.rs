//! The automerge-repo protocol, version "1": unmodified JavaScript clients and samod as peers of a hub.
//!
//! Source: the packages `@automerge/automerge-repo` and `@automerge/automerge-repo-network-websocket`
//! 2.5, and samod 0.16. A WebSocket message is one CBOR map ([`Message`]); Automerge's own sync messages
//! travel in it ([`sync::SyncMessage`]). [`RepoHub`] is a state machine without IO as all of them here:
//! what clients say goes in, what they are to be told comes out, time and documents are arguments.
//!
//! Documents are records of one collection, of the same id. They are not loaded: what to say to a client
//! is decided from the change graph.

mod client;
mod decode;
mod documents;
mod encode;
mod ephemeral;
mod fault;
mod gossip;
mod heard;
mod hub;
mod library;
pub mod message;
mod policy;
pub mod sync;
mod wanted;

pub use client::{ClientId, ClientInfo};
pub use fault::RepoFault;
pub use heard::Heard;
pub use hub::{Documents, Input, Output, RepoConfig, RepoHub};
pub use library::Library;
pub use message::{Message, VERSION};
pub use policy::{OpenToAll, RepoPolicy};

#[cfg(test)]
mod tests;

/// The guide, whose example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/automerge-repo.md")]
struct Guide;

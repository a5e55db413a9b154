//! Offline-first records: typed documents that devices edit alone and merge when they meet.

#![doc = include_str!("../README.md")]

pub mod access;
pub mod blob;
pub mod codec;
pub mod conflict;
pub mod contract;
pub mod doc;
pub mod engine;
pub mod entropy;
pub mod error;
pub mod id;
pub mod ledger;
pub mod limits;
pub mod node;
pub mod peer;
pub mod plant;
pub mod query;
pub mod reconcile;
pub mod record;
pub mod replica;
#[cfg(feature = "automerge-repo")]
pub mod repo;
pub mod session;
#[cfg(feature = "sim")]
pub mod sim;
pub mod store;
pub mod telemetry;
pub mod time;
pub mod transport;
pub mod wire;

pub use autosurgeon;
pub use error::{Error, ErrorKind, Result};
pub use id::{CollectionId, RecordId, RecordKey, ReplicaId, SpaceId, StoreId};
pub use node::{Collection, Node, Records};

//! Who an engine is, what it wants, and how careful it is.

use std::sync::Arc;
use std::time::Duration;

use super::BlobSettings;
use crate::access::{Identity, Policy};
use crate::id::SpaceId;
use crate::peer::DialSettings;
use crate::store::Durability;
use crate::wire::Wanted;

/// How an engine is to behave.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who we are; `None` for the identity that the store keeps.
    pub identity: Option<Arc<Identity>>,
    /// Who may do what.
    pub policy: Arc<Policy>,
    /// The spaces to open on every link, and what to receive of each.
    pub spaces: Vec<(SpaceId, Wanted)>,
    /// When a write counts as done.
    pub durability: Durability,
    /// Whether views are kept. A hub that only relays can do without.
    pub projects: bool,
    /// When to dial again.
    pub dialling: DialSettings,
    /// How long the log is kept for a peer that does not come back.
    pub horizon: Duration,
    /// How attachments are treated.
    pub blobs: BlobSettings,
}

//! What callers, links and the indexes of collections are named by.

use crate::id::{CollectionId, SpaceId};
use crate::replica::IndexColumn;

/// Names a caller that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names a link of this node; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// The indexes that a collection is to have, each by its columns.
pub type WantedIndexes = ((SpaceId, CollectionId), Vec<Vec<IndexColumn>>);

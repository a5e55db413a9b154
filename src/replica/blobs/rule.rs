//! Which blobs a replica fetches without being asked to.

use std::collections::BTreeSet;

use crate::id::CollectionId;
use crate::limits;

/// Which blobs a replica fetches by itself: none, or those that records of some collections name.
///
/// ```
/// use syncline::replica::FetchRule;
/// let small_photos = FetchRule::only(["photos".parse()?]).up_to(2_000_000);
/// assert_ne!(small_photos, FetchRule::none());
/// # Ok::<_, syncline::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRule {
    which: Which,
    pub(super) on_request: bool,
    pub(super) bytes_max: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    None,
    All,
    Only(BTreeSet<CollectionId>),
}

impl Default for FetchRule {
    fn default() -> Self {
        Self::none()
    }
}

impl FetchRule {
    const fn new(which: Which) -> Self {
        Self {
            which,
            on_request: false,
            bytes_max: limits::BLOB_BYTES_DEFAULT,
        }
    }

    /// Nothing comes that is not asked for.
    pub const fn none() -> Self {
        Self::new(Which::None)
    }

    /// Whatever a record names.
    pub const fn all() -> Self {
        Self::new(Which::All)
    }

    /// Whatever records of these collections name.
    pub fn only(collections: impl IntoIterator<Item = CollectionId>) -> Self {
        Self::new(Which::Only(collections.into_iter().collect()))
    }

    /// Also what a peer asks for and some record names: so it reaches peers of ours that are not
    /// peers of each other.
    #[must_use]
    pub const fn and_on_request(mut self) -> Self {
        self.on_request = true;
        self
    }

    /// Nothing over so many bytes; [`limits::BLOB_BYTES_DEFAULT`] without it.
    #[must_use]
    pub const fn up_to(mut self, bytes_max: u64) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// How large a blob that a record of a collection names may be; `None` if it is not fetched.
    pub(super) fn bound(&self, collection: &CollectionId) -> Option<u64> {
        let is_wanted = match &self.which {
            Which::None => false,
            Which::All => true,
            Which::Only(names) => names.contains(collection),
        };
        is_wanted.then_some(self.bytes_max)
    }
}

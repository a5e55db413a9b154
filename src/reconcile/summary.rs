//! Elements and their sums: what one record, or a range of them, looks like to a peer.

use crate::id::{CollectionId, Heads, RecordId};

/// One record at its heads, as 32 bytes that nobody can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element([u8; 32]);

impl Element {
    /// The element of a record: BLAKE3 over collection, record and sorted heads.
    pub fn of(collection: &CollectionId, record: RecordId, heads: &Heads) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 element");
        hasher.update(record.as_bytes());
        for head in heads.as_slice() {
            hasher.update(head.as_bytes());
        }
        // Last, because it is the one part whose length varies freely.
        hasher.update(collection.as_str().as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The element with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the element.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Where an element stands: by the time of the record's newest change, then by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RangeKey {
    /// Largest time field among the heads, in seconds; negative times count as 0.
    pub time: u64,
    /// The record.
    pub record: RecordId,
}

impl RangeKey {
    /// The smallest key.
    pub const START: Self = Self {
        time: 0,
        record: RecordId::from_bytes([0; 16]),
    };
}

/// Count and sum of a set of elements. The sum is modulo 2^256 and not XOR, for which a peer could
/// make up sets that cancel out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Number of elements.
    pub count: u64,
    /// Their sum, big-endian.
    pub sum: [u8; 32],
}

impl Total {
    /// What some elements come to.
    pub fn of<'a>(elements: impl IntoIterator<Item = &'a Element>) -> Self {
        let mut total = Self::default();
        for element in elements {
            total.add(element);
        }
        total
    }

    /// What some sets that share no element come to.
    pub fn sum<'a>(totals: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for total in totals {
            sum.merge(total);
        }
        sum
    }

    /// Adds one element.
    pub fn add(&mut self, element: &Element) {
        self.count = self.count.wrapping_add(1);
        self.carry(&element.0, false);
    }

    /// Takes one element away that was added before.
    pub fn subtract(&mut self, element: &Element) {
        self.count = self.count.wrapping_sub(1);
        self.carry(&element.0, true);
    }

    /// Adds all elements of another set.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.wrapping_add(other.count);
        self.carry(&other.sum, false);
    }

    /// Takes all elements of another set away that were added before.
    pub fn take(&mut self, other: &Self) {
        self.count = self.count.wrapping_sub(other.count);
        self.carry(&other.sum, true);
    }

    fn carry(&mut self, other: &[u8; 32], negate: bool) {
        // Subtracting is adding the two's complement.
        let mut carry = u16::from(negate);
        for (byte, add) in self.sum.iter_mut().zip(other).rev() {
            let add = if negate { !*add } else { *add };
            let [high, low] = (u16::from(*byte) + u16::from(add) + carry).to_be_bytes();
            *byte = low;
            carry = u16::from(high);
        }
    }

    /// What travels: the count and 16 bytes that follow from count and sum.
    pub fn summary(&self) -> Summary {
        let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 summary");
        hasher.update(&self.count.to_be_bytes()).update(&self.sum);
        let mut sum = [0; 16];
        hasher.finalize_xof().fill(&mut sum);
        Summary {
            count: self.count,
            sum,
        }
    }
}

/// A [`Total`] as it travels. Equal summaries mean equal sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of elements.
    pub count: u64,
    /// Digest of count and sum.
    pub sum: [u8; 16],
}

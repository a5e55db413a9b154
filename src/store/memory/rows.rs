//! Sorted rows that share what they can with their copies.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Rows in one leaf at the most. A write to shared rows copies the references of one leaf and the
/// list of leaves: about the square root of 100,000 is cheapest for both.
const LEAF_ROWS_MAX: usize = 256;

type Bytes = Arc<[u8]>;
type Leaf = BTreeMap<Bytes, Bytes>;

/// The rows of one table, in leaves. Each leaf is filed under a key that is not above its first
/// and not below the next leaf's; the first is filed under the empty key.
#[derive(Clone, Default)]
pub(super) struct Rows {
    leaves: BTreeMap<Bytes, Arc<Leaf>>,
}

impl Rows {
    /// The value at `key`.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Bytes> {
        let (_, leaf) = self.leaves.range::<[u8], _>(up_to(key)).next_back()?;
        leaf.get(key)
    }

    /// Sets `key` to `value`; gives what it replaces.
    pub(super) fn insert(&mut self, key: &[u8], value: &[u8]) -> Option<Bytes> {
        if self.leaves.is_empty() {
            self.leaves.insert(Bytes::default(), Arc::default());
        }
        let (_, leaf) = self.leaves.range_mut::<[u8], _>(up_to(key)).next_back()?;
        let leaf = Arc::make_mut(leaf);
        let replaced = leaf.insert(key.into(), value.into());
        if leaf.len() > LEAF_ROWS_MAX
            && let Some(middle) = leaf.keys().nth(LEAF_ROWS_MAX / 2).cloned()
        {
            let upper = leaf.split_off(&middle);
            self.leaves.insert(middle, Arc::new(upper));
        }
        replaced
    }

    /// Removes `key`; gives its value.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Bytes> {
        let (bound, leaf) = self.leaves.range_mut::<[u8], _>(up_to(key)).next_back()?;
        if !leaf.contains_key(key) {
            return None;
        }
        let leaf = Arc::make_mut(leaf);
        let removed = leaf.remove(key);
        if leaf.is_empty() {
            // The leaf before takes what comes here, so the first stays.
            let bound = Arc::clone(bound);
            if !bound.is_empty() {
                self.leaves.remove(&bound);
            }
        }
        removed
    }

    /// The rows with `start <= key < end`, in key order.
    pub(super) fn range<'a>(
        &'a self,
        start: &'a [u8],
        end: Option<&'a [u8]>,
    ) -> impl DoubleEndedIterator<Item = (&'a Bytes, &'a Bytes)> {
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        let first = self.leaves.range::<[u8], _>(up_to(start)).next_back();
        let first = first.map_or(start, |(bound, _)| bound.as_ref());
        let leaves = self.leaves.range::<[u8], _>((Bound::Included(first), end));
        leaves.flat_map(move |(_, leaf)| leaf.range::<[u8], _>((Bound::Included(start), end)))
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.leaves.values().map(|it| it.len()).sum()
    }
}

fn up_to(key: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Unbounded, Bound::Included(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Model = BTreeMap<Vec<u8>, Vec<u8>>;

    fn shown(rows: &Rows, start: &[u8], end: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let rows = rows.range(start, Some(end));
        rows.map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn rows_in_leaves_are_those_of_one_map_and_copies_stay_as_they_were(
            writes in prop::collection::vec((0_u16..1_500, prop::option::weighted(0.6, 0_u8..4)), 3_000),
            span in (0_u16..1_600, 0_u16..1_600),
        ) {
            let (mut rows, mut model) = (Rows::default(), Model::new());
            let mut earlier = None;
            for (at, (key, value)) in writes.into_iter().enumerate() {
                let key = key.to_be_bytes();
                let (replaced, wanted) = match value {
                    Some(value) => (rows.insert(&key, &[value]), model.insert(key.into(), vec![value])),
                    None => (rows.remove(&key), model.remove(key.as_slice())),
                };
                prop_assert_eq!(replaced.as_deref(), wanted.as_deref());
                if at == 1_500 {
                    earlier = Some((rows.clone(), model.clone()));
                }
            }
            let start = span.0.min(span.1).to_be_bytes();
            let end = span.0.max(span.1).to_be_bytes();
            for (rows, model) in earlier.into_iter().chain([(rows, model)]) {
                prop_assert!(rows.leaves.len() > 1);
                prop_assert_eq!(rows.len(), model.len());
                let part = model.range(start.to_vec()..end.to_vec());
                let part: Vec<_> = part.map(|(key, value)| (key.clone(), value.clone())).collect();
                prop_assert_eq!(&shown(&rows, &start, &end), &part);
                let back: Vec<_> = rows.range(&start, Some(&end)).rev().map(|(key, _)| key.to_vec()).collect();
                prop_assert!(back.iter().eq(part.iter().rev().map(|(key, _)| key)));
                for key in model.keys() {
                    prop_assert_eq!(rows.get(key).map(AsRef::as_ref), model.get(key).map(Vec::as_slice));
                }
            }
        }
    }
}

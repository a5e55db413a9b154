//! Finds what two sequences have in common, so that an edit touches only the rest.

use std::ops::Range;

/// Above this many comparisons a difference counts as a replacement: time and memory are bounded,
/// at 4 bytes each.
const CELLS_MAX: usize = 1 << 20;

/// One place where `old` and `new` differ. Either range may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) old: Range<usize>,
    pub(super) new: Range<usize>,
}

/// The places where two sequences differ, in order; between them they are equal.
pub(super) fn gaps<T: PartialEq>(old: &[T], new: &[T]) -> Vec<Gap> {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (_, old_rest) = old.split_at(start);
    let (_, new_rest) = new.split_at(start);
    let pairs = old_rest.iter().rev().zip(new_rest.iter().rev());
    let end = pairs.take_while(|(a, b)| a == b).count();
    let (old_middle, _) = old_rest.split_at(old_rest.len() - end);
    let (new_middle, _) = new_rest.split_at(new_rest.len() - end);

    let mut gaps = Vec::new();
    let (mut old_at, mut new_at) = (0, 0);
    let last = (old_middle.len(), new_middle.len());
    for (a, b) in common(old_middle, new_middle).into_iter().chain([last]) {
        if a > old_at || b > new_at {
            gaps.push(Gap {
                old: start + old_at..start + a,
                new: start + new_at..start + b,
            });
        }
        (old_at, new_at) = (a + 1, b + 1);
    }
    gaps
}

/// Positions of a longest common subsequence, in order; none where it would take too long.
fn common<T: PartialEq>(old: &[T], new: &[T]) -> Vec<(usize, usize)> {
    let width = new.len() + 1;
    let cells = (old.len() + 1).saturating_mul(width);
    if old.is_empty() || new.is_empty() || cells > CELLS_MAX {
        return Vec::new();
    }
    // lengths[a * width + b]: length of the longest common subsequence of old[a..] and new[b..].
    let mut lengths = vec![0_u32; cells];
    let at = |lengths: &[u32], a: usize, b: usize| {
        lengths.get(a * width + b).copied().unwrap_or_default()
    };
    for (a, left) in old.iter().enumerate().rev() {
        for (b, right) in new.iter().enumerate().rev() {
            let length = if left == right {
                at(&lengths, a + 1, b + 1) + 1
            } else {
                at(&lengths, a + 1, b).max(at(&lengths, a, b + 1))
            };
            if let Some(cell) = lengths.get_mut(a * width + b) {
                *cell = length;
            }
        }
    }
    let mut pairs = Vec::new();
    let (mut a, mut b) = (0, 0);
    while let (Some(left), Some(right)) = (old.get(a), new.get(b)) {
        if left == right {
            pairs.push((a, b));
            (a, b) = (a + 1, b + 1);
        } else if at(&lengths, a + 1, b) >= at(&lengths, a, b + 1) {
            a += 1;
        } else {
            b += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::gaps;
    use proptest::prelude::*;

    fn rebuild(old: &[u8], new: &[u8]) -> Vec<u8> {
        let mut result = old.to_vec();
        for gap in gaps(old, new).into_iter().rev() {
            let inserted = new[gap.new].to_vec();
            result.splice(gap.old, inserted);
        }
        result
    }

    proptest! {
        #[test]
        fn filling_the_gaps_makes_the_new_sequence(
            old in prop::collection::vec(0_u8..4, 0..40),
            new in prop::collection::vec(0_u8..4, 0..40),
        ) {
            prop_assert_eq!(rebuild(&old, &new), new);
        }
    }

    #[test]
    fn two_far_insertions_leave_what_is_between_alone() {
        let gaps = gaps(b"quick fox", b"the quick brown fox");
        let touched: usize = gaps.iter().map(|gap| gap.old.len()).sum();
        assert_eq!(touched, 0, "{gaps:?}");
        assert_eq!(gaps.len(), 2);
    }

    #[test]
    fn sequences_too_long_to_compare_are_replaced() {
        let (old, new) = (vec![1_u8; 2_000], vec![2_u8; 2_000]);
        assert_eq!(gaps(&old, &new).len(), 1);
        assert_eq!(rebuild(&old, &new), new);
    }
}

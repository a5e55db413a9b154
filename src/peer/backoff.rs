//! How long to wait before trying again: longer after each failure, and never in step with others.

use std::time::Duration;

use crate::entropy::Entropy;

/// Exponential backoff with full jitter: after the nth failure in a row a wait is drawn between
/// zero and `base * 2^(n-1)`, at most `max`. Many peers that lost the same hub at the same moment
/// so come back spread out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// A backoff that has seen no failure yet.
    pub const fn new(base: Duration, max: Duration) -> Self {
        Self {
            base,
            max,
            failures: 0,
        }
    }

    /// Counts a failure and draws the wait that follows it.
    pub fn next(&mut self, entropy: &mut Entropy) -> Duration {
        self.failures = self.failures.saturating_add(1);
        entropy.span_up_to(self.ceiling())
    }

    /// Longest wait that can follow the last failure.
    pub fn ceiling(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.max)
    }

    /// Failures in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Forgets the failures.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;
    use crate::entropy::Entropy;

    const BASE: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(5);

    #[test]
    fn the_ceiling_doubles_up_to_the_cap_and_falls_back_on_success() {
        let mut entropy = Entropy::from_number(1);
        let mut backoff = Backoff::new(BASE, MAX);
        let mut ceiling = || {
            let wait = backoff.next(&mut entropy);
            assert!(wait <= backoff.ceiling());
            backoff.ceiling().as_millis()
        };
        let seen: Vec<_> = (0..8).map(|_| ceiling()).collect();
        assert_eq!(seen, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        // Far beyond what a shift can hold.
        let last = (0..100).map(|_| ceiling()).last();
        assert_eq!(last, Some(5_000));
        backoff.reset();
        assert_eq!((backoff.failures(), backoff.ceiling()), (0, BASE));
    }

    #[test]
    fn waits_fill_the_whole_span_below_the_ceiling() {
        let mut entropy = Entropy::from_number(2);
        let mut thirds = [0; 3];
        for _ in 0..3_000 {
            let mut backoff = Backoff::new(BASE, MAX);
            let wait = backoff.next(&mut entropy);
            let third = wait.as_micros() * 3 / (BASE.as_micros() + 1);
            thirds[usize::try_from(third).unwrap()] += 1;
        }
        assert!(
            thirds.iter().all(|it| (850..1_150).contains(it)),
            "{thirds:?}"
        );
    }
}

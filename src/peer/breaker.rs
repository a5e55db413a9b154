//! A circuit breaker: stops trying a peer that keeps failing, then lets one attempt through.

use std::time::Duration;

use crate::time::Instant;

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Attempts are made as the backoff says.
    Closed,
    /// No attempt is made before this instant.
    Open {
        /// When one attempt is let through.
        until: Instant,
    },
    /// One attempt is on its way and decides.
    HalfOpen,
}

impl BreakerState {
    /// A stable name, for status and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half_open",
        }
    }

    /// The state as a number for gauges: 0 closed, 1 half open, 2 open.
    pub const fn gauge(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open { .. } => 2,
        }
    }
}

/// A breaker and its counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    threshold: u32,
    cooldown: Duration,
    failures: u32,
    opened: u64,
    state: BreakerState,
}

impl Breaker {
    /// A closed breaker that opens for `cooldown` after `threshold` failures in a row.
    pub const fn new(threshold: u32, cooldown: Duration) -> Self {
        Self {
            threshold,
            cooldown,
            failures: 0,
            opened: 0,
            state: BreakerState::Closed,
        }
    }

    /// Where it stands.
    pub const fn state(&self) -> BreakerState {
        self.state
    }

    /// Failures in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// How often it has opened.
    pub const fn opened(&self) -> u64 {
        self.opened
    }

    /// An attempt is made. From an open breaker it is the one that decides.
    pub const fn attempt(&mut self) {
        if matches!(self.state, BreakerState::Open { .. }) {
            self.state = BreakerState::HalfOpen;
        }
    }

    /// The attempt failed, at `now`.
    pub fn failure(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        // Half open the count still stands, so one more failure is enough.
        if self.failures >= self.threshold {
            self.opened = self.opened.saturating_add(1);
            let until = now + self.cooldown;
            self.state = BreakerState::Open { until };
        }
    }

    /// The attempt has proved good.
    pub const fn success(&mut self) {
        self.failures = 0;
        self.state = BreakerState::Closed;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Breaker, BreakerState};
    use crate::time::Instant;

    const COOLDOWN: Duration = Duration::from_secs(60);

    fn opened_at(now: Instant) -> BreakerState {
        let until = now + COOLDOWN;
        BreakerState::Open { until }
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_starts_the_count_again() {
        let now = Instant::from_micros(5);
        let mut breaker = Breaker::new(3, COOLDOWN);
        breaker.failure(now);
        breaker.failure(now);
        breaker.success();
        breaker.failure(now);
        breaker.failure(now);
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.failure(now);
        assert_eq!(breaker.state(), opened_at(now));
        assert_eq!((breaker.failures(), breaker.opened()), (3, 1));
    }

    #[test]
    fn half_open_one_failure_opens_it_again_and_a_success_closes_it() {
        let now = Instant::from_micros(5);
        let mut breaker = Breaker::new(1, COOLDOWN);
        breaker.attempt();
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.failure(now);
        breaker.attempt();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        let later = now + COOLDOWN;
        breaker.failure(later);
        assert_eq!(breaker.state(), opened_at(later));
        breaker.attempt();
        breaker.success();
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!((breaker.failures(), breaker.opened()), (0, 2));
    }
}

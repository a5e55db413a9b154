//! Time as an argument: the two kinds of time the library uses, and the only reader of the clock.
//!
//! Timers run on [`Instant`], which only moves forward; what people see is stamped with
//! [`WallTime`], which an operator may set back. Both are plain numbers, so that the simulator can
//! make them up.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A point on a monotonic clock, in microseconds since an arbitrary start.
///
/// Whoever drives a state machine owes it instants that never go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The instant `micros` microseconds after the clock's start.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the clock's start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to here; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// Milliseconds since the Unix epoch, as the device's clock shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(u64);

impl WallTime {
    /// The time `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The time `seconds` seconds after the Unix epoch, or the epoch if that is earlier.
    pub fn from_unix_seconds(seconds: i64) -> Self {
        Self(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000))
    }

    /// Reads a time with its offset, as in `2026-11-22T09:30:00Z` or `2026-11-22T09:30+01:00`. None if
    /// it is none, or before 1970.
    pub fn parse(text: &str) -> Option<Self> {
        let stamp: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(stamp.as_millisecond()).ok().map(Self)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, the unit of Automerge's own time field.
    pub fn as_unix_seconds(self) -> i64 {
        i64::try_from(self.0 / 1_000).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for WallTime {
    /// RFC 3339 in UTC, with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(stamp) => write!(f, "{stamp:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// Both kinds of time at one moment, as a shell hands them to a state machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic time, for timers.
    pub instant: Instant,
    /// The wall time, for stamps.
    pub wall: WallTime,
}

/// Where a shell takes its time from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The monotonic time.
    fn now(&self) -> Instant;
    /// The wall time.
    fn wall(&self) -> WallTime;

    /// Both.
    fn read(&self) -> Now {
        Now {
            instant: self.now(),
            wall: self.wall(),
        }
    }
}

/// The operating system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at zero now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the OS for the time"
    )]
    pub fn new() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the OS for the time"
    )]
    fn now(&self) -> Instant {
        Instant::default() + self.start.elapsed()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the OS for the time"
    )]
    fn wall(&self) -> WallTime {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let millis = since.map_or(0, |it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
        WallTime(millis)
    }
}

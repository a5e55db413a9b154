//! How a space stands on a link, and how far a catch-up has come.

use std::time::Duration;

use crate::id::{Lsn, SpaceId};
use crate::reconcile::Summary;
use crate::time::Instant;
use crate::wire::RefusedCode;

/// How one space stands on one link.
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of their own for people to read, in any combination"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpaceStatus {
    /// The space.
    pub space: SpaceId,
    /// Both sides have opened it.
    pub active: bool,
    /// Why the peer does not open it.
    pub refused: Option<RefusedCode>,
    /// The peer holds our log up to here.
    pub acked: Lsn,
    /// We hold the peer's log up to here.
    pub received: Lsn,
    /// Whether differences are still being looked for.
    pub walking: bool,
    /// Records that are still to be pushed or were asked for.
    pub pending_records: usize,
    /// Since the session began we have once had all that the peer had.
    pub caught_up: bool,
    /// What has come until then.
    pub catch_up: CatchUp,
}

/// What has come from a peer until all that it had was here once; then it counts no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatchUp {
    /// Changes that came, those that were here already included.
    pub changes: u64,
    /// How many are expected, about; none where that can't be told, since both sides have records and
    /// no place in the peer's log is known to start from.
    pub changes_expected: Option<u64>,
    /// Records that they belong to, each counted for every frame in which it came.
    pub records: u64,
    /// How many records more than this side the peer had.
    pub records_expected: u64,
    /// Bytes of the changes.
    pub bytes: u64,
    /// Time from the opening of the space until something last came.
    pub elapsed: Duration,
}

impl Default for CatchUp {
    /// Nothing came, and nothing is expected.
    fn default() -> Self {
        Self {
            changes: 0,
            changes_expected: Some(0),
            records: 0,
            records_expected: 0,
            bytes: 0,
            elapsed: Duration::ZERO,
        }
    }
}

impl CatchUp {
    /// Both together, as they go on at the same time.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let expected = self.changes_expected.zip(other.changes_expected);
        Self {
            changes: self.changes.saturating_add(other.changes),
            changes_expected: expected.map(|(one, other)| one.saturating_add(other)),
            records: self.records.saturating_add(other.records),
            records_expected: self.records_expected.saturating_add(other.records_expected),
            bytes: self.bytes.saturating_add(other.bytes),
            elapsed: self.elapsed.max(other.elapsed),
        }
    }

    /// Changes in a second, so far.
    pub fn changes_per_second(&self) -> u64 {
        per_second(self.changes, self.elapsed)
    }

    /// Bytes of changes in a second, so far.
    pub fn bytes_per_second(&self) -> u64 {
        per_second(self.bytes, self.elapsed)
    }

    /// How long it will take if it goes on like this; none where it can't be told.
    pub fn left(&self) -> Option<Duration> {
        let left = self.changes_expected?.checked_sub(self.changes)?;
        let rate = self.changes_per_second();
        (rate > 0).then(|| Duration::from_millis(left.saturating_mul(1_000) / rate))
    }
}

fn per_second(count: u64, elapsed: Duration) -> u64 {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    count.saturating_mul(1_000) / millis.max(1)
}

/// A catch-up under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct CatchingUp {
    since: Instant,
    came: CatchUp,
}

impl CatchingUp {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            came: CatchUp::default(),
        }
    }

    /// The peer has `theirs` and the end of its log is `end`; here is `ours`, and its log up to
    /// `received`.
    pub(super) fn expect(&mut self, (theirs, end): (Summary, Lsn), (ours, received): (u64, Lsn)) {
        self.came.records_expected = theirs.count.saturating_sub(ours);
        let is_known = received > Lsn(0) || ours == 0;
        self.came.changes_expected = is_known.then(|| end.0.saturating_sub(received.0));
    }

    /// Changes of a record came.
    pub(super) fn took(&mut self, now: Instant, changes: usize, bytes: usize) {
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let came = &mut self.came;
        came.changes = came.changes.saturating_add(wide(changes));
        came.records = came.records.saturating_add(1);
        came.bytes = came.bytes.saturating_add(wide(bytes));
        came.elapsed = now.since(self.since);
    }

    pub(super) const fn came(&self) -> CatchUp {
        self.came
    }
}

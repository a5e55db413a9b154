//! Compaction: which records are folded when. Workers make the snapshots; here it is decided what they
//! may take out of the log, and what they made is taken in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Effect, Engine, Reply, Ticket, WantedIndexes};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Lsn, RecordKey, SpaceId};
use crate::limits;
use crate::replica::{Commit, Folding, Freed, Slot, Which};
use crate::telemetry::names;
use crate::time::{Instant, Now, WallTime};

/// What compaction on request has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// Records that were folded.
    pub records: u64,
    /// Changes of theirs that left the log.
    pub changes: u64,
    /// Bytes that these took, less those of the snapshots that they went into.
    pub bytes: u64,
}

/// How compaction stands.
#[derive(Debug, Default)]
pub(super) struct Compaction {
    /// Records that are being folded.
    folding: BTreeSet<RecordKey>,
    /// When to look for records that are due.
    look_at: Option<Instant>,
    /// The last one that was looked at.
    after: Option<Slot>,
    /// Whether any record was due when last looked, or has become so.
    is_any_due: bool,
    /// Whether a look was put off, or found a record that was being folded: there is another after it.
    is_held: bool,
    /// When a change was last committed.
    changed_at: Option<Instant>,
    sweep: Option<Sweep>,
    /// Who asked while a sweep was under way, which may have passed what was written since.
    queued: VecDeque<Ticket>,
}

/// Compaction on request: all records, in the order of the store.
#[derive(Debug)]
struct Sweep {
    ticket: Ticket,
    after: Option<Slot>,
    is_through: bool,
    done: Compacted,
}

impl Compaction {
    pub(super) fn open() -> Self {
        Self {
            is_any_due: true,
            ..Self::default()
        }
    }

    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.look_at
    }

    /// Something was committed: a record may be due now, or its changes not needed in the log any more.
    pub(super) fn stir(&mut self, now: Instant, commit: &Commit) {
        self.is_any_due |= commit.due;
        if !commit.committed.is_empty() {
            self.changed_at = Some(now);
        }
        self.wake(now);
    }

    fn wake(&mut self, now: Instant) {
        if self.is_any_due && self.look_at.is_none() {
            self.look_at = Some(now + limits::FOLD_EVERY);
        }
    }
}

impl Engine {
    /// Takes in what the application says of indexes, and goes one step on with them.
    pub(super) fn work_on_indexes(&mut self, ticket: Ticket, wanted: Option<WantedIndexes>) {
        let told = wanted.map_or(Ok(()), |(of, columns)| {
            self.replica.set_indexes(&of, columns.as_slice())
        });
        let worked = told.and_then(|()| self.replica.work_on_indexes());
        self.reply(ticket, Reply::Indexed(worked));
    }

    /// The application asks for compaction.
    pub(super) fn begin_compaction(&mut self, ticket: Ticket) {
        // Where it can't be done the next poll says so.
        self.compaction.queued.push_back(ticket);
    }

    /// Hands out records to be folded; what is looked through at a time is bounded.
    pub(super) fn compact(&mut self, now: Now) {
        if self.stopping.is_some() || self.replica.has_failed() {
            let text = "the node is shutting down, or its store can't be written";
            self.end_compaction(&Error::new(ErrorKind::Closed, text));
            return;
        }
        if self.compaction.sweep.is_none()
            && let Some(ticket) = self.compaction.queued.pop_front()
        {
            self.compaction.sweep = Some(Sweep {
                ticket,
                after: None,
                is_through: false,
                done: Compacted::default(),
            });
        }
        let is_due = self.compaction.look_at.is_some_and(|at| now.instant >= at);
        let is_wanted = self
            .compaction
            .sweep
            .as_ref()
            .is_some_and(|it| !it.is_through);
        let result = if self.compaction.folding.len() >= limits::FOLDS_MAX {
            // When one of them is done it goes on.
            self.compaction.is_held |= self.compaction.look_at.take().is_some();
            Ok(())
        } else if is_wanted {
            self.sweep(now)
        } else if is_due {
            self.look(now)
        } else {
            Ok(())
        };
        if let Err(error) = result {
            tracing::error!(%error, "compaction can't read the store");
            self.end_compaction(&error);
        }
        self.report_compaction();
    }

    /// The next records that are due.
    fn look(&mut self, now: Now) -> Result<()> {
        let floors = self.log_floors(now.wall)?;
        let quiet_at = self.compaction.changed_at.map(|it| it + limits::FOLD_QUIET);
        let is_quiet = quiet_at.is_none_or(|at| now.instant >= at);
        let which = if is_quiet {
            Which::Due
        } else {
            Which::Pressing
        };
        let place = (which, self.compaction.after);
        let room = limits::FOLDS_MAX - self.compaction.folding.len();
        let found = self.replica.foldable(place, &floors, room)?;
        let is_end = found.len() < room;
        self.compaction.is_any_due =
            !(is_end && found.is_empty() && self.compaction.after.is_none());
        self.compaction.after = found.last().map(|it| it.0).filter(|_| !is_end);
        // What can't be folded yet is looked at again when something, or nothing for a while, has
        // happened.
        self.compaction.look_at = if is_end {
            quiet_at.filter(|_| !is_quiet && self.compaction.is_any_due)
        } else {
            Some(now.instant + limits::FOLD_PAUSE)
        };
        self.hand_out(found, &floors, which);
        Ok(())
    }

    /// The next records of those that were asked for.
    fn sweep(&mut self, now: Now) -> Result<()> {
        let Some(after) = self.compaction.sweep.as_ref().map(|it| it.after) else {
            return Ok(());
        };
        let floors = self.log_floors(now.wall)?;
        let room = limits::FOLDS_MAX - self.compaction.folding.len();
        let found = self.replica.foldable((Which::All, after), &floors, room)?;
        let is_through = found.len() < room;
        if let Some(sweep) = &mut self.compaction.sweep {
            sweep.is_through = is_through;
            sweep.after = found.last().map(|it| it.0).or(after);
        }
        // There may have been nothing to do among these.
        self.compaction.look_at = (!is_through).then_some(now.instant);
        self.hand_out(found, &floors, Which::All);
        Ok(())
    }

    fn hand_out(
        &mut self,
        found: Vec<(Slot, Option<RecordKey>)>,
        floors: &BTreeMap<SpaceId, Lsn>,
        which: Which,
    ) {
        for key in found.into_iter().filter_map(|it| it.1) {
            let upto = floors.get(&key.space).copied().unwrap_or_default();
            if self.compaction.folding.insert(key.clone()) {
                self.ready.push_back(Effect::Fold { key, upto, which });
            } else {
                self.compaction.is_held = true;
            }
        }
    }

    /// Up to where nobody is to be sent anything from the log any more.
    fn log_floors(&self, now: WallTime) -> Result<BTreeMap<SpaceId, Lsn>> {
        let horizon = u64::try_from(self.config.horizon.as_millis()).unwrap_or(u64::MAX);
        let since = WallTime::from_millis(now.as_millis().saturating_sub(horizon));
        let mut floors = self.replica.floors(since)?;
        for (space, place) in self.places() {
            if let Some(floor) = floors.get_mut(&space) {
                *floor = place.min(*floor);
            }
        }
        Ok(floors)
    }

    /// Where each link stands in the log of each of its spaces.
    fn places(&self) -> impl Iterator<Item = (SpaceId, Lsn)> + '_ {
        let links = self.links.values();
        links.flat_map(|it| it.session.places())
    }

    /// A worker is done with a record.
    pub(super) fn folded(&mut self, now: Now, key: &RecordKey, folding: Folding) {
        self.compaction.folding.remove(key);
        // Somebody may have been linked since who is still to be sent some of it.
        let places = self.places().filter(|it| it.0 == key.space);
        let upto = places.map(|it| it.1).min().unwrap_or(Lsn(u64::MAX));
        let freed = match self.replica.fold(key, folding, upto) {
            Ok(freed) => freed,
            Err(error) => {
                tracing::warn!(record = %key, %error, "could not fold a record");
                Freed::default()
            }
        };
        if freed.changes > 0 {
            metrics::counter!(names::RECORDS_FOLDED).increment(1);
            metrics::counter!(names::CHANGES_FOLDED).increment(freed.changes);
            if let Some(sweep) = &mut self.compaction.sweep {
                sweep.done.records += 1;
                sweep.done.changes += freed.changes;
                sweep.done.bytes += freed.bytes;
            }
        }
        // Where nothing came of it nothing would a moment later: the next commit looks again.
        if std::mem::take(&mut self.compaction.is_held) || freed.changes > 0 {
            self.compaction.wake(now.instant);
        }
    }

    /// Answers who asked, once all is folded and committed.
    fn report_compaction(&mut self) {
        let is_done = self.compaction.folding.is_empty()
            && self
                .compaction
                .sweep
                .as_ref()
                .is_some_and(|it| it.is_through);
        if is_done && let Some(sweep) = self.compaction.sweep.take() {
            self.reply(sweep.ticket, Reply::Compacted(Ok(sweep.done)));
        }
    }

    /// Gives up, and tells everybody who asked why.
    fn end_compaction(&mut self, why: &Error) {
        self.compaction.look_at = None;
        let sweep = self.compaction.sweep.take().map(|it| it.ticket);
        let queued = std::mem::take(&mut self.compaction.queued);
        for ticket in sweep.into_iter().chain(queued) {
            // One error cannot be given to several, but its words can.
            let error = Error::new(why.kind(), format!("{why:#}"));
            self.reply(ticket, Reply::Compacted(Err(error)));
        }
    }
}

//! The gate for local changes, and for the views that show them.

use super::admit::{Place, Source};
use super::quarantine::{QuarantineRow, Reason};
use super::rows::{ViewRow, is_tombstone};
use super::{Number, Replica, Slot, keys};
use crate::doc::{Change, Shown};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ChangeHash, CorrelationId, Heads, Lsn, RecordKey, StoreId};
use crate::limits;
use crate::plant::{self, Plant};
use crate::store::Table;
use crate::time::WallTime;

/// One local change and the view of its record after it.
#[derive(Clone, Debug)]
pub struct Write {
    /// The record.
    pub key: RecordKey,
    /// The change, written by this store's actor.
    pub change: Change,
    /// The record's heads and value after it, if the writer knows them. Without a view, or if
    /// something else came to the record meanwhile, a projector makes one.
    pub view: Option<(Heads, View)>,
    /// Fail with [`ErrorKind::AlreadyExists`] if the record has changes already.
    pub must_be_new: bool,
}

/// The value of a record, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The encoded value.
    pub value: Vec<u8>,
    /// By what conflicts in it are shown so, see [`crate::doc::Shown::by`].
    pub shown_by: u64,
    /// How it breaks its contract, if it does. It is shown all the same, and the quarantine names it.
    pub breach: Option<String>,
    /// The ruling that says so, see [`Replica::begin_ruling`].
    pub ruled_by: u64,
}

impl From<Shown> for View {
    fn from(shown: Shown) -> Self {
        Self {
            value: shown.value.to_bytes(),
            shown_by: shown.by,
            breach: None,
            ruled_by: 0,
        }
    }
}

/// What a projector made of a record.
#[derive(Clone, Debug)]
pub struct Projection {
    /// The record.
    pub key: RecordKey,
    /// The heads that it shows, or tried to.
    pub heads: Heads,
    /// How many of the record's changes those are, as in [`ViewRow::changes`].
    pub changes: u32,
    /// Its view, or why the document could not be loaded.
    pub view: Result<View, String>,
}

/// A view that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownView {
    /// The record.
    pub key: RecordKey,
    /// The heads that it shows.
    pub heads: Heads,
    /// The store that the change came from; of several, the last.
    pub origin: StoreId,
    /// What caused the change; of several, the last.
    pub correlation: CorrelationId,
    /// The encoded value before; `None` for a new record.
    pub before: Option<Vec<u8>>,
    /// The encoded value now.
    pub after: Vec<u8>,
}

impl Replica {
    /// Takes in local changes, all or none; gives the number in the log of each.
    ///
    /// # Errors
    /// - [`ErrorKind::Conflict`]: a change does not follow this store's last one; edit again on
    ///   the record as it is now.
    /// - [`ErrorKind::AlreadyExists`]: the record was to be new and is not.
    /// - When the store can't be read.
    pub fn capture(&mut self, writes: &[Write], correlation: CorrelationId) -> Result<Vec<Lsn>> {
        self.check_writable()?;
        let (committed, shown, stale) = (
            self.pending.committed.len(),
            self.pending.shown.len(),
            self.pending.stale.len(),
        );
        let (numbered, quarantine) = (self.catalog.count(), self.quarantine);
        let fetches = (self.blobs.fetches, self.pending.wanted.len());
        self.batch.savepoint();
        let numbers: Result<Vec<_>> = writes
            .iter()
            .map(|write| self.capture_one(write, correlation))
            .collect();
        if numbers.is_ok() || plant::is_planted(Plant::KeepHalfTransaction) {
            self.batch.release();
        } else {
            self.batch.roll_back();
            // Memory may be ahead of the batch now; what was pending before stays pending.
            self.catalog.truncate(numbered);
            self.quarantine = quarantine;
            self.blobs.fetches = fetches.0;
            self.pending.wanted.truncate(fetches.1);
            self.graphs.clear();
            self.operations.clear();
            self.lsns.borrow_mut().clear();
            self.pending.committed.truncate(committed);
            self.pending.shown.truncate(shown);
            self.pending.stale.truncate(stale);
        }
        numbers
    }

    fn capture_one(&mut self, write: &Write, correlation: CorrelationId) -> Result<Lsn> {
        let mut record = self.open_record(&write.key)?;
        if write.must_be_new && record.header.changes > 0 {
            let message = format!("record {} exists already", write.key);
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        let placed = match self.place(&mut record, &write.change)? {
            // On what is no part of the document any more nothing is to be built.
            Place::Next(parents) if !self.would_be_refused(&record, &write.change, &parents) => {
                Some(parents)
            }
            Place::Next(_) | Place::Known | Place::Held(_) => None,
        };
        let Some(parents) = placed else {
            let message = format!("record {} changed meanwhile; edit it again", write.key);
            return Err(Error::new(ErrorKind::Conflict, message));
        };
        let source = Source {
            origin: self.id,
            correlation,
        };
        let lsn = self.append(&mut record, &write.change, parents, source)?;
        let (slot, heads, changes) = (record.slot, record.header.shown(), record.header.changes);
        self.close_record(record);
        if let Some((_, view)) = write.view.as_ref().filter(|it| it.0 == heads) {
            let row = row(heads, changes, view);
            self.show(slot, &write.key, row)?;
            self.note_ruling(slot.collection, view.ruled_by)?;
            self.view_is_current(slot);
            let now = WallTime::from_unix_seconds(write.change.time());
            self.note_breach(slot, view.breach.as_deref(), now)?;
        }
        Ok(lsn)
    }

    /// Takes in what a projector made of a record; says whether its view is as new as its heads now.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn project(&mut self, projection: Projection, now: WallTime) -> Result<bool> {
        self.check_writable()?;
        let Projection {
            key,
            heads,
            changes,
            view,
        } = projection;
        let Some(slot) = self.catalog.slot(&key) else {
            return Ok(true);
        };
        let Some(header) = self.rows().header(slot)? else {
            return Ok(true);
        };
        let is_current = header.shown() == heads || plant::is_planted(Plant::ClearStaleBlindly);
        match view {
            Ok(view) if plant::is_planted(Plant::ForgetTombstone) && is_tombstone(&view.value) => {}
            Ok(view) => {
                self.show(slot, &key, row(heads, changes, &view))?;
                self.note_ruling(slot.collection, view.ruled_by)?;
                if is_current {
                    self.note_breach(slot, view.breach.as_deref(), now)?;
                }
            }
            Err(detail) if is_current => {
                self.quarantine_record(slot, Reason::Poisoned(detail), now)?;
            }
            Err(_of_the_past) => {}
        }
        if is_current {
            self.view_is_current(slot);
        }
        Ok(is_current)
    }

    /// Writes a view, unless the stored one is newer or shows the same. Views never go back.
    fn show(&mut self, slot: Slot, key: &RecordKey, view: ViewRow) -> Result<()> {
        let before = self.rows().view(slot)?;
        // Of the same changes another contract shows the record in another form.
        let shows_the_same =
            |it: &ViewRow| it.is_current(view.changes, view.shown_by) && it.value == view.value;
        let is_old = before
            .as_ref()
            .is_some_and(|it| it.changes > view.changes || shows_the_same(it));
        if is_old && !plant::is_planted(Plant::LetViewsGoBack) {
            return Ok(());
        }
        let cause = self.rows().stale(slot)?;
        let origin = cause.map_or(self.id, |it| it.origin);
        let correlation = cause.map(|it| it.correlation).unwrap_or_default();
        self.batch.put(Table::Views, slot.key(), view.encode());
        self.index_view(slot, key, (before.as_ref(), &view));
        let was_shown = before.as_ref().is_some_and(|it| !is_tombstone(&it.value));
        self.count_shown(slot.collection, (was_shown, !is_tombstone(&view.value)))?;
        // Other policies that show the same are nobody's news.
        let is_same = |it: &ViewRow| it.changes == view.changes && it.value == view.value;
        if before.as_ref().is_some_and(is_same) {
            return Ok(());
        }
        self.pending.shown.push(ShownView {
            key: key.clone(),
            heads: view.heads,
            origin,
            correlation,
            before: before.map(|it| it.value),
            after: view.value,
        });
        Ok(())
    }

    /// Keeps the number of records that are shown, so that counting reads one row.
    fn count_shown(&mut self, collection: Number, change: (bool, bool)) -> Result<()> {
        let (before, after) = change;
        if before == after {
            return Ok(());
        }
        let count = self.rows().shown_records(collection)?;
        let count = if after {
            count.saturating_add(1)
        } else {
            count.saturating_sub(1)
        };
        let mut writer = crate::codec::Writer::new();
        writer.varint(count);
        self.batch
            .put(Table::Views, keys::shown(collection), writer.finish());
        Ok(())
    }

    /// The record's view is as new as its heads.
    fn view_is_current(&mut self, slot: Slot) {
        self.batch.remove(Table::Stale, slot.key());
    }

    /// The quarantine names a record that breaks its contract, and forgets it when it does not, and
    /// when its document can be loaded again.
    fn note_breach(&mut self, slot: Slot, breach: Option<&str>, now: WallTime) -> Result<()> {
        match breach.filter(|_| !plant::is_planted(Plant::ForgetBreach)) {
            Some(breach) => self.quarantine_record(slot, Reason::Breach(breach.to_owned()), now),
            None if plant::is_planted(Plant::KeepBreach) => Ok(()),
            None => self.release_record(slot),
        }
    }

    /// Names a record under the zero hash: its document can't be loaded, or breaks its contract. Its
    /// changes stay and are relayed.
    fn quarantine_record(&mut self, slot: Slot, reason: Reason, now: WallTime) -> Result<()> {
        let before = self.rows().quarantined(slot, &NO_CHANGE)?;
        if before.as_ref().is_some_and(|it| it.reason == reason) {
            return Ok(());
        }
        let is_full = self.quarantine.entries >= limits::QUARANTINE_BREACHES_MAX;
        if before.is_none() && is_full && matches!(reason, Reason::Breach(_)) {
            return Ok(());
        }
        if before.is_none() {
            self.quarantine.entries += 1;
            self.note_quarantine_size();
        }
        let row = QuarantineRow {
            reason,
            origin: self.id,
            correlation: CorrelationId::default(),
            since: before.map_or(now, |it| it.since),
            bytes: bytes::Bytes::new(),
        };
        self.batch
            .put(Table::Quarantine, slot.change(&NO_CHANGE), row.encode());
        Ok(())
    }

    fn release_record(&mut self, slot: Slot) -> Result<()> {
        if self.quarantine.entries > 0 && self.rows().quarantined(slot, &NO_CHANGE)?.is_some() {
            self.batch
                .remove(Table::Quarantine, slot.change(&NO_CHANGE));
            self.quarantine.entries -= 1;
            self.note_quarantine_size();
        }
        Ok(())
    }
}

fn row(heads: Heads, changes: u32, view: &View) -> ViewRow {
    ViewRow {
        heads,
        changes,
        shown_by: view.shown_by,
        value: view.value.clone(),
    }
}

/// Names a record as a whole in the quarantine.
pub(super) const NO_CHANGE: ChangeHash = ChangeHash::from_bytes([0; 32]);

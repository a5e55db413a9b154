//! The gate for changes from elsewhere: append what fits, keep the rest with its reason.

use std::ops::ControlFlow;

use super::admit::{OpenRecord, Place, Source};
use super::quarantine::{QuarantineRow, Reason};
use super::{Replica, read};
use crate::codec::Reader;
use crate::doc::{Change, Received};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ChangeHash, CorrelationId, Lsn, RecordKey, StoreId};
use crate::limits;
use crate::plant::{self, Plant};
use crate::store::Table;
use crate::time::WallTime;
use bytes::Bytes;

/// What became of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is part of the record now.
    Applied(Lsn),
    /// It was here already.
    Duplicate,
    /// It is in quarantine.
    Held(Reason),
}

/// Changes of one record from one peer.
#[derive(Clone, Debug)]
pub struct Intake {
    /// The record.
    pub key: RecordKey,
    /// The store that sent them.
    pub origin: StoreId,
    /// What caused them.
    pub correlation: CorrelationId,
    /// When they came.
    pub now: WallTime,
    /// The changes, parents first if the sender is kind.
    pub changes: Vec<Received>,
}

impl Replica {
    /// Takes in changes of one record; gives what became of each, in order. What waited for one
    /// of them follows it by itself.
    ///
    /// # Errors
    /// When the store can't be read, or the quarantine is full ([`ErrorKind::TooLarge`]).
    pub fn apply(&mut self, intake: &Intake) -> Result<Vec<Admission>> {
        self.check_writable()?;
        let mut record = self.open_record(&intake.key)?;
        let mut admissions = Vec::with_capacity(intake.changes.len());
        let source = Source {
            origin: intake.origin,
            correlation: intake.correlation,
        };
        let mut result = Ok(());
        for change in &intake.changes {
            match self.admit(&mut record, change, source, intake.now) {
                Ok(admission) => admissions.push(admission),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        // What was appended before an error is whole and stays.
        self.close_record(record);
        result.map(|()| admissions)
    }

    fn admit(
        &mut self,
        record: &mut OpenRecord,
        change: &Received,
        source: Source,
        now: WallTime,
    ) -> Result<Admission> {
        let change = match change {
            Ok(change) => change,
            Err(refused) => {
                let reason = Reason::Malformed(refused.detail.clone());
                return self.hold(
                    record,
                    (refused.hash, &refused.bytes),
                    reason,
                    (source, now),
                );
            }
        };
        match self.place(record, change)? {
            Place::Known if plant::is_planted(Plant::DropDedupe) => self
                .append(record, change, Vec::new(), source)
                .map(Admission::Applied),
            Place::Known => Ok(Admission::Duplicate),
            Place::Held(reason) => self.hold(
                record,
                (change.hash(), change.bytes()),
                reason,
                (source, now),
            ),
            Place::Next(parents) => {
                let lsn = self.append(record, change, parents, source)?;
                self.release(record, change.hash())?;
                Ok(Admission::Applied(lsn))
            }
        }
    }

    /// Puts a change into quarantine.
    fn hold(
        &mut self,
        record: &OpenRecord,
        (hash, bytes): (ChangeHash, &Bytes),
        reason: Reason,
        (source, since): (Source, WallTime),
    ) -> Result<Admission> {
        if self.rows().quarantined(record.slot, &hash)?.is_some() {
            return Ok(Admission::Duplicate);
        }
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let full = self.quarantine.entries >= limits::QUARANTINE_ENTRIES_MAX
            || self.quarantine.bytes.saturating_add(size) > limits::QUARANTINE_BYTES_MAX;
        if full {
            let message = "the quarantine is full; look at its entries and discard some";
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        if let Reason::Waiting { missing } = &reason {
            for missing in missing {
                self.batch.put(
                    Table::Waiting,
                    record.slot.waiting(missing, &hash),
                    Vec::new(),
                );
            }
        }
        let Source {
            origin,
            correlation,
        } = source;
        let bytes = bytes.clone();
        let row = QuarantineRow {
            reason: reason.clone(),
            origin,
            correlation,
            since,
            bytes,
        };
        self.batch
            .put(Table::Quarantine, record.slot.change(&hash), row.encode());
        self.quarantine.entries += 1;
        self.quarantine.bytes += size;
        self.note_quarantine_size();
        Ok(Admission::Held(reason))
    }

    /// Lists a change that is here and refused among what is in quarantine, so that somebody sees it.
    /// Its bytes are in the log.
    pub(super) fn report_refused(
        &mut self,
        record: &OpenRecord,
        hash: ChangeHash,
        reason: Reason,
        Source {
            origin,
            correlation,
        }: Source,
    ) -> Result<()> {
        let before = self.rows().quarantined(record.slot, &hash)?;
        let is_full = self.quarantine.entries >= limits::QUARANTINE_ENTRIES_MAX;
        let is_new = before.is_none();
        if is_new && is_full || before.is_some_and(|it| it.reason == reason) {
            return Ok(());
        }
        let row = QuarantineRow {
            reason,
            origin,
            correlation,
            since: WallTime::default(),
            bytes: Bytes::new(),
        };
        self.batch
            .put(Table::Quarantine, record.slot.change(&hash), row.encode());
        if is_new {
            self.quarantine.entries += 1;
            self.note_quarantine_size();
        }
        Ok(())
    }

    /// Applies what waited for `arrived`, and what waited for that, and so on.
    fn release(&mut self, record: &mut OpenRecord, arrived: ChangeHash) -> Result<()> {
        let mut arrived = vec![arrived];
        while let Some(hash) = arrived.pop() {
            if self.quarantine.entries == 0 || plant::is_planted(Plant::ForgetWaiting) {
                return Ok(());
            }
            for waiting in self.waiting_for(record, &hash)? {
                if self.retry(record, &waiting)? {
                    arrived.push(waiting);
                }
            }
        }
        Ok(())
    }

    fn waiting_for(&self, record: &OpenRecord, missing: &ChangeHash) -> Result<Vec<ChangeHash>> {
        let mut waiting = Vec::new();
        let prefix = record.slot.change(missing);
        self.rows().prefix(Table::Waiting, &prefix, &mut |key, _| {
            let hash = key.get(prefix.len()..).unwrap_or_default();
            waiting.extend(
                Reader::new(hash)
                    .array("change hash")
                    .ok()
                    .map(ChangeHash::from_bytes),
            );
            ControlFlow::Continue(())
        })?;
        Ok(waiting)
    }

    /// Applies a quarantined change if it fits now; says whether it did.
    fn retry(&mut self, record: &mut OpenRecord, hash: &ChangeHash) -> Result<bool> {
        let Some(row) = self.rows().quarantined(record.slot, hash)? else {
            return Ok(false);
        };
        let change = Change::verify(row.bytes.clone())
            .map_err(|fault| read::damaged(Table::Quarantine, &fault))?;
        let place = self.place(record, &change)?;
        if matches!(&place, Place::Held(Reason::Waiting { .. })) {
            return Ok(false);
        }
        self.discard(record, hash, &row);
        let source = Source {
            origin: row.origin,
            correlation: row.correlation,
        };
        match place {
            Place::Known => Ok(false),
            Place::Next(parents) => {
                self.append(record, &change, parents, source)?;
                Ok(true)
            }
            Place::Held(reason) => {
                self.hold(record, (*hash, &row.bytes), reason, (source, row.since))?;
                Ok(false)
            }
        }
    }

    fn discard(&mut self, record: &OpenRecord, hash: &ChangeHash, row: &QuarantineRow) {
        if let Reason::Waiting { missing } = &row.reason {
            for missing in missing {
                self.batch
                    .remove(Table::Waiting, record.slot.waiting(missing, hash));
            }
        }
        self.batch
            .remove(Table::Quarantine, record.slot.change(hash));
        let size = u64::try_from(row.bytes.len()).unwrap_or(u64::MAX);
        self.quarantine.entries = self.quarantine.entries.saturating_sub(1);
        self.quarantine.bytes = self.quarantine.bytes.saturating_sub(size);
        self.note_quarantine_size();
    }
}

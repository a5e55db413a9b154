//! Changes that can't be applied: kept with their reason, released when what they wait for comes.

use std::fmt;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::keys::Slot;
use super::read::{Rows, damaged};
use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::error::Result as Outcome;
use crate::id::{ChangeHash, CorrelationId, RecordKey, StoreId};
use crate::limits;
use crate::store::Table;
use crate::time::WallTime;

/// Why a change is in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It depends on changes that are not here. It is applied by itself once they come.
    Waiting {
        /// The missing changes.
        missing: Vec<ChangeHash>,
    },
    /// Its bytes are not a change, or not the one they claim to be.
    Malformed(String),
    /// Its writer gave its number to another change, too, and of the two that one counts, because
    /// its hash is smaller. It is relayed, and no part of the document.
    Equivocation,
    /// It follows a change that is refused for [`Reason::Equivocation`].
    FollowsRefused,
    /// An operation of it does not fit what its ancestors hold.
    Misfit(String),
    /// Its writer's change before it is not among its ancestors.
    SequenceGap,
    /// Its operations are numbered below those of its ancestors.
    OperationOrder,
    /// The record has too many concurrent branches.
    TooManyHeads,
    /// The record's document can't be loaded with it.
    Poisoned(String),
    /// The record breaks its contract. It is shown as it is, and stays here until an edit mends it.
    Breach(String),
}

impl Reason {
    /// A short name, stable across versions.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Malformed(_) => "malformed",
            Self::Equivocation => "equivocation",
            Self::SequenceGap => "sequence_gap",
            Self::OperationOrder => "operation_order",
            Self::TooManyHeads => "too_many_heads",
            Self::Poisoned(_) => "poisoned",
            Self::FollowsRefused => "follows_refused",
            Self::Misfit(_) => "misfit",
            Self::Breach(_) => "breach",
        }
    }

    const fn code(&self) -> u8 {
        match self {
            Self::Waiting { .. } => 1,
            Self::Malformed(_) => 2,
            Self::Equivocation => 3,
            Self::SequenceGap => 4,
            Self::OperationOrder => 5,
            Self::TooManyHeads => 6,
            Self::Poisoned(_) => 7,
            Self::FollowsRefused => 8,
            Self::Misfit(_) => 9,
            Self::Breach(_) => 10,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { missing } => {
                write!(f, "waits for {} changes it depends on", missing.len())
            }
            Self::Malformed(detail) => write!(f, "not a valid change: {detail}"),
            Self::Equivocation => f.write_str("its writer gave its number to another change, too"),
            Self::FollowsRefused => f.write_str("it follows a change that is refused"),
            Self::Misfit(detail) => write!(f, "it does not fit what it builds on: {detail}"),
            Self::SequenceGap => f.write_str("its writer's change before it is not an ancestor"),
            Self::OperationOrder => f.write_str("its operations are numbered below its ancestors'"),
            Self::TooManyHeads => {
                write!(
                    f,
                    "the record has {} concurrent branches already",
                    limits::HEADS_MAX
                )
            }
            Self::Poisoned(detail) => write!(f, "the document can't be loaded: {detail}"),
            Self::Breach(detail) => write!(f, "it breaks its contract: {detail}"),
        }
    }
}

/// One entry of the quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantined {
    /// The record it belongs to.
    pub key: RecordKey,
    /// The change; for a malformed one the SHA-256 of its bytes, zeros for a record that is
    /// poisoned or breaks its contract.
    pub hash: ChangeHash,
    /// Why it is here.
    pub reason: Reason,
    /// The store it came from.
    pub origin: StoreId,
    /// When it came.
    pub since: WallTime,
    /// Its size.
    pub size_bytes: usize,
}

/// A row of table `quarantine`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QuarantineRow {
    pub reason: Reason,
    pub origin: StoreId,
    pub correlation: CorrelationId,
    pub since: WallTime,
    pub bytes: Bytes,
}

impl QuarantineRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.bytes.len() + 80);
        writer.u8(self.reason.code()).raw(self.origin.as_bytes());
        writer.u64(self.correlation.0).u64(self.since.as_millis());
        match &self.reason {
            Reason::Waiting { missing } => {
                writer.count(missing.len());
                for hash in missing {
                    writer.raw(hash.as_bytes());
                }
            }
            Reason::Malformed(detail)
            | Reason::Poisoned(detail)
            | Reason::Misfit(detail)
            | Reason::Breach(detail) => {
                writer.text(detail);
            }
            Reason::Equivocation
            | Reason::FollowsRefused
            | Reason::SequenceGap
            | Reason::OperationOrder
            | Reason::TooManyHeads => {}
        }
        writer.raw(&self.bytes);
        writer.finish()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(row);
        let code = reader.u8("reason")?;
        let origin = StoreId::from_bytes(reader.array("origin")?);
        let correlation = CorrelationId(reader.u64("correlation")?);
        let since = WallTime::from_millis(reader.u64("since")?);
        let reason = match code {
            1 => {
                let count = reader.count(limits::CHANGE_DEPS_MAX, "missing")?;
                let hash = |_| Ok::<_, Malformed>(ChangeHash::from_bytes(reader.array("missing")?));
                Reason::Waiting {
                    missing: (0..count).map(hash).collect::<Result<_, _>>()?,
                }
            }
            2 => Reason::Malformed(reader.text(row.len(), "detail")?.to_owned()),
            3 => Reason::Equivocation,
            4 => Reason::SequenceGap,
            5 => Reason::OperationOrder,
            6 => Reason::TooManyHeads,
            7 => Reason::Poisoned(reader.text(row.len(), "detail")?.to_owned()),
            8 => Reason::FollowsRefused,
            9 => Reason::Misfit(reader.text(row.len(), "detail")?.to_owned()),
            10 => Reason::Breach(reader.text(row.len(), "detail")?.to_owned()),
            other => return Err(reader.error("reason", Problem::Unexpected(other.into()))),
        };
        let bytes = Bytes::copy_from_slice(reader.take(reader.remaining(), "change")?);
        Ok(Self {
            reason,
            origin,
            correlation,
            since,
            bytes,
        })
    }
}

impl Rows<'_> {
    /// The changes of a record that could not be applied. Changes that are here and no part of the
    /// document are not among them, nor is what is wrong with the record as a whole.
    ///
    /// # Errors
    /// When the store can't be read, or a row is damaged.
    pub fn held(&self, slot: Slot) -> Outcome<Vec<ChangeHash>> {
        let mut held = Vec::new();
        let mut fault = None;
        let prefix = slot.key();
        self.prefix(Table::Quarantine, &prefix, &mut |key, row| {
            let mut hash = Reader::new(key.get(prefix.len()..).unwrap_or_default());
            let read = hash.array("change hash").map(ChangeHash::from_bytes);
            match read.and_then(|hash| Ok((hash, QuarantineRow::decode(row)?))) {
                Ok((hash, row)) => held.extend((!row.bytes.is_empty()).then_some(hash)),
                Err(error) => fault = Some(error),
            }
            match fault {
                None => ControlFlow::Continue(()),
                Some(_) => ControlFlow::Break(()),
            }
        })?;
        fault.map_or(Ok(held), |it| Err(damaged(Table::Quarantine, &it)))
    }
}

//! Places in an order, and cursors: places that can be shown and come back.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::filter::OrderBy;
use super::{invalid, order, show};
use crate::doc::Value;
use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::limits;

/// Bytes by which a cursor knows its order, and damage.
const CHECK_BYTES: usize = 4;

/// Bytes of a record's id.
const ID_BYTES: usize = 16;

/// Bytes of the longest place in an order.
const POSITION_BYTES_MAX: usize =
    limits::ORDER_COLUMNS_MAX * limits::ORDER_KEY_BYTES_MAX + ID_BYTES;

/// Where a record stands in an order: the keys of its columns and, behind them, its id, so that no
/// two records stand at one place. Compares as the records stand.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(Arc<[u8]>);

impl Position {
    pub(super) fn new(order: &[OrderBy], record: RecordId, value: &Value) -> Self {
        let mut key = Vec::new();
        for column in order {
            order::append(&mut key, column.field.find(value), column.is_descending);
        }
        key.extend(record.as_bytes());
        Self(key.into())
    }

    /// The keys of its columns.
    pub(super) fn columns(&self) -> &[u8] {
        let end = self.0.len().saturating_sub(ID_BYTES);
        self.0.get(..end).unwrap_or_default()
    }

    /// The bytes of the record's id.
    pub(super) fn record(&self) -> &[u8] {
        let start = self.columns().len();
        self.0.get(start..).unwrap_or_default()
    }
}

impl fmt::Debug for Position {
    /// Shows nothing of the values, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Position").finish_non_exhaustive()
    }
}

/// A place between two records of a query's order, at which the next page goes on: behind the last
/// record of a page, be that gone meanwhile or not.
///
/// It shows itself as text, and is read back from that. The text holds what the record is ordered by,
/// so it is as secret as the record. It fits the same order only; the filter may change.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor {
    check: [u8; CHECK_BYTES],
    position: Position,
}

impl Cursor {
    pub(super) fn new(order: &[OrderBy], position: Position) -> Self {
        let check = check(order, &position);
        Self { check, position }
    }

    pub(super) const fn position(&self) -> &Position {
        &self.position
    }

    /// That it is a place in this order.
    pub(super) fn check(&self, order: &[OrderBy]) -> Result<()> {
        if self.check == check(order, &self.position) {
            return Ok(());
        }
        let message = "the cursor comes from a query with another order, or is damaged; \
                       start at the first page";
        Err(invalid(message.to_owned()))
    }
}

fn check(order: &[OrderBy], position: &Position) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 query cursor");
    hasher.update(show::order(order).as_bytes());
    hasher.update(&[0]);
    hasher.update(&position.0);
    let mut check = [0; CHECK_BYTES];
    hasher.finalize_xof().fill(&mut check);
    check
}

impl fmt::Display for Cursor {
    /// Lower-case hex.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.check.iter().chain(self.position.0.iter());
        bytes
            .into_iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Cursor {
    /// Shows nothing of the values, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").finish_non_exhaustive()
    }
}

impl FromStr for Cursor {
    type Err = Error;

    /// # Errors
    /// `InvalidInput` if it is no cursor. Whether it fits a query is seen when that is asked.
    fn from_str(text: &str) -> Result<Self> {
        let no_cursor = || invalid("this is no cursor; a page of a query gives one".to_owned());
        let bytes = unhex(text).ok_or_else(no_cursor)?;
        let (check, position) = bytes.split_first_chunk().ok_or_else(no_cursor)?;
        if !(ID_BYTES..=POSITION_BYTES_MAX).contains(&position.len()) {
            return Err(no_cursor());
        }
        Ok(Self {
            check: *check,
            position: Position(position.into()),
        })
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let [high, low] = pair else { return None };
        let digit = |it: u8| match it {
            b'0'..=b'9' => Some(it - b'0'),
            b'a'..=b'f' => Some(it - b'a' + 10),
            _ => None,
        };
        Some(digit(*high)? << 4 | digit(*low)?)
    };
    digits.map(byte).collect()
}

//! Reads compressed and run-length data from elsewhere, within bounds.

use std::io::Read as _;

use flate2::bufread::DeflateDecoder;

use super::change::ChangeFault;
use crate::codec::{Malformed, Problem, Reader};

/// Inflates to at most `max` bytes. Nothing may follow the compressed stream.
pub(super) fn inflate(body: &[u8], max: usize) -> Result<Vec<u8>, ChangeFault> {
    let mut decoder = DeflateDecoder::new(body);
    let mut inflated = Vec::new();
    let more = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let result = decoder.by_ref().take(more).read_to_end(&mut inflated);
    if inflated.len() > max {
        return Err(ChangeFault::InflatedTooLarge { max });
    }
    let (consumed, compressed) = (decoder.total_in(), body.len());
    if result.is_err() || u64::try_from(compressed) != Ok(consumed) {
        return Err(ChangeFault::Deflate {
            consumed,
            compressed,
        });
    }
    Ok(inflated)
}

/// A run-length column of counts or codes, measured without expanding it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    /// Entries in the column.
    pub(super) entries: u64,
    /// All entries added up.
    pub(super) sum: u64,
}

/// Measures a run-length column. What it says of itself may be far more than anyone can have.
pub(super) fn runs(data: &mut Reader<'_>, what: &'static str) -> Result<Runs, Malformed> {
    let mut runs = Runs::default();
    while data.remaining() > 0 {
        let length = signed(data, what)?;
        let count = length.unsigned_abs();
        match length.signum() {
            1 => {
                let value = data.varint(what)?;
                runs.sum = runs.sum.saturating_add(value.saturating_mul(count));
                runs.entries = runs.entries.saturating_add(count);
            }
            0 => runs.entries = runs.entries.saturating_add(data.varint(what)?),
            _ => {
                runs.entries = runs.entries.saturating_add(count);
                // Each of these takes a byte at least, so the data ends before the loop is long.
                for _ in 0..count {
                    runs.sum = runs.sum.saturating_add(data.varint(what)?);
                }
            }
        }
    }
    Ok(runs)
}

/// Checks a count against its limit.
pub(super) const fn within(what: &'static str, count: u64, max: u64) -> Result<u64, ChangeFault> {
    if count > max {
        return Err(ChangeFault::TooMany { what, count, max });
    }
    Ok(count)
}

/// A signed LEB128 number in its shortest form.
pub(super) fn signed(reader: &mut Reader<'_>, what: &'static str) -> Result<i64, Malformed> {
    let malformed = reader.error(what, Problem::NotCanonical);
    let mut value = 0_i128;
    let mut before = None;
    for shift in (0..70).step_by(7) {
        let byte = reader.u8(what)?;
        value |= i128::from(byte & 0x7f) << shift;
        if byte & 0x80 != 0 {
            before = Some(byte);
            continue;
        }
        let negative = byte & 0x40 != 0;
        let padding = if negative { 0x7f } else { 0 };
        if byte == padding && before.is_some_and(|it| (it & 0x40 != 0) == negative) {
            return Err(malformed);
        }
        let value = if negative {
            value - (1_i128 << (shift + 7))
        } else {
            value
        };
        return i64::try_from(value).map_err(|_over_64_bits| malformed);
    }
    Err(malformed)
}

//! One order over all values, as bytes: keys compare as the values that they are made of.
//!
//! The order is that of [`Value::order`], in which nothing counts as null.
//!
//! Of one value the first [`limits::ORDER_KEY_BYTES_MAX`] bytes of its key count; values that differ
//! only after that are equal here.

use super::Value;
use crate::limits;

const NULL: u8 = 1;
const BOOL: u8 = 2;
const NUMBER: u8 = 3;
const TIMESTAMP: u8 = 4;
const TEXT: u8 = 5;
const BYTES: u8 = 6;
const LIST: u8 = 7;
const MAP: u8 = 8;
const UNKNOWN: u8 = 9;
/// After the last element of a list and the last entry of a map; less than what starts one.
const END: u8 = 0;
const ENTRY: u8 = 1;

/// A number of any kind: the greatest float that is not above it, and how far it is above that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Exact {
    float: u64,
    above: u16,
}

impl Exact {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Int(number) | Value::Counter(number) => Some(Self::whole(i128::from(*number))),
            Value::Uint(number) => Some(Self::whole(i128::from(*number))),
            Value::Float(number) => Some(Self {
                float: float_key(*number),
                above: 0,
            }),
            Value::Null
            | Value::Bool(_)
            | Value::Str(_)
            | Value::Text(_)
            | Value::Bytes(_)
            | Value::Timestamp(_)
            | Value::List(_)
            | Value::Map(_)
            | Value::Unknown { .. } => None,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "numbers of 64 bits: the rounding is what is made good here"
    )]
    fn whole(number: i128) -> Self {
        let mut float = number as f64;
        if float as i128 > number {
            float = float.next_down();
        }
        // Floats below 2^64 are at most 2,048 apart.
        let above = u16::try_from(number - float as i128).unwrap_or(u16::MAX);
        Self {
            float: float_key(float),
            above,
        }
    }
}

/// Numbers that compare as the floats do, with NaN above all.
fn float_key(number: f64) -> u64 {
    if number.is_nan() {
        return u64::MAX;
    }
    // Both zeros are one.
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    }
}

/// Appends the key of a value, or of none. No key is the start of another but where both are cut,
/// so keys of several columns follow each other as they are.
pub fn order_key(key: &mut Vec<u8>, value: Option<&Value>, is_descending: bool) {
    let mut column = Column {
        end: key.len() + limits::ORDER_KEY_BYTES_MAX,
        flip: if is_descending { 0xff } else { 0 },
        key,
    };
    column.value(value.unwrap_or(&Value::Null));
}

/// The key of one column while it is written.
struct Column<'a> {
    key: &'a mut Vec<u8>,
    /// The length at which it is cut.
    end: usize,
    /// What all bytes are turned with where the order is descending.
    flip: u8,
}

impl Column<'_> {
    const fn is_full(&self) -> bool {
        self.key.len() >= self.end
    }

    fn byte(&mut self, byte: u8) {
        if !self.is_full() {
            self.key.push(byte ^ self.flip);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    /// Bytes of any number, ended so that the shorter comes first.
    fn run(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().take(limits::ORDER_KEY_BYTES_MAX) {
            self.byte(*byte);
            if *byte == 0 {
                self.byte(0xff);
            }
        }
        self.bytes(&[0, 0]);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.byte(NULL),
            Value::Bool(yes) => self.bytes(&[BOOL, u8::from(*yes)]),
            Value::Int(_) | Value::Uint(_) | Value::Float(_) | Value::Counter(_) => {
                self.byte(NUMBER);
                if let Some(Exact { float, above }) = Exact::of(value) {
                    self.bytes(&float.to_be_bytes());
                    self.bytes(&above.to_be_bytes());
                }
            }
            Value::Timestamp(millis) => {
                self.byte(TIMESTAMP);
                self.bytes(&(millis.cast_unsigned() ^ 1 << 63).to_be_bytes());
            }
            Value::Str(text) | Value::Text(text) => {
                self.byte(TEXT);
                self.run(text.as_bytes());
            }
            Value::Bytes(bytes) => {
                self.byte(BYTES);
                self.run(bytes);
            }
            Value::List(list) => {
                self.byte(LIST);
                for value in list.iter().take(limits::ORDER_KEY_BYTES_MAX) {
                    self.value(value);
                }
                self.byte(END);
            }
            Value::Map(map) => {
                self.byte(MAP);
                for (key, value) in map.iter().take(limits::ORDER_KEY_BYTES_MAX) {
                    self.byte(ENTRY);
                    self.run(key.as_bytes());
                    self.value(value);
                }
                self.byte(END);
            }
            Value::Unknown { type_code, bytes } => {
                self.bytes(&[UNKNOWN, *type_code]);
                self.run(bytes);
            }
        }
    }
}

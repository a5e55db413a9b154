//! The canonical bytes of a value: one value, one encoding.

use std::collections::BTreeMap;

use super::Value;
use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::limits;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const UINT: u8 = 4;
const FLOAT: u8 = 5;
const STR: u8 = 6;
const TEXT: u8 = 7;
const BYTES: u8 = 8;
const TIMESTAMP: u8 = 9;
const COUNTER: u8 = 10;
const LIST: u8 = 11;
const MAP: u8 = 12;
const UNKNOWN: u8 = 13;

impl Value {
    /// Appends the value's bytes: a tag, then numbers as varints (signed ones in zigzag), strings
    /// with their length, lists and maps with their count, maps in key order.
    pub fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Null => writer.u8(NULL),
            Self::Bool(false) => writer.u8(FALSE),
            Self::Bool(true) => writer.u8(TRUE),
            Self::Int(number) => writer.u8(INT).varint(zigzag(*number)),
            Self::Uint(number) => writer.u8(UINT).varint(*number),
            Self::Float(number) => writer.u8(FLOAT).u64(number.to_bits()),
            Self::Str(text) => writer.u8(STR).text(text),
            Self::Text(text) => writer.u8(TEXT).text(text),
            Self::Bytes(bytes) => writer.u8(BYTES).bytes(bytes),
            Self::Timestamp(millis) => writer.u8(TIMESTAMP).varint(zigzag(*millis)),
            Self::Counter(number) => writer.u8(COUNTER).varint(zigzag(*number)),
            Self::List(list) => {
                writer.u8(LIST).count(list.len());
                for value in list {
                    value.encode(writer);
                }
                writer
            }
            Self::Map(map) => {
                writer.u8(MAP).count(map.len());
                for (key, value) in map {
                    writer.text(key);
                    value.encode(writer);
                }
                writer
            }
            Self::Unknown { type_code, bytes } => writer.u8(UNKNOWN).u8(*type_code).bytes(bytes),
        };
    }

    /// The value's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.encode(&mut writer);
        writer.finish()
    }

    /// Reads what [`Value::encode`] wrote, and nothing else.
    ///
    /// # Errors
    /// When the bytes are not the encoding of a value, or it is nested deeper than
    /// [`limits::VALUE_DEPTH_MAX`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        decode(reader, limits::VALUE_DEPTH_MAX)
    }

    /// Reads a value that takes all of `bytes`.
    ///
    /// # Errors
    /// As [`Value::decode`], and when bytes follow.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.finish("value")?;
        Ok(value)
    }
}

/// Reads a value with at most `depth` lists and maps around each of its scalars.
fn decode(reader: &mut Reader<'_>, depth: usize) -> Result<Value, Malformed> {
    let all = reader.remaining();
    let refused = reader.error(
        "value",
        Problem::OverLimit {
            value: 1 + wide(limits::VALUE_DEPTH_MAX),
            max: wide(limits::VALUE_DEPTH_MAX),
        },
    );
    let unexpected = |tag| reader.error("value", Problem::Unexpected(u64::from(tag)));
    let tag = reader.clone().u8("value")?;
    let unexpected = unexpected(tag);
    reader.u8("value")?;
    Ok(match tag {
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        INT => Value::Int(unzigzag(reader.varint("integer")?)),
        UINT => Value::Uint(reader.varint("integer")?),
        FLOAT => Value::Float(f64::from_bits(reader.u64("float")?)),
        STR => Value::Str(reader.text(all, "string")?.to_owned()),
        TEXT => Value::Text(reader.text(all, "text")?.to_owned()),
        BYTES => Value::Bytes(reader.bytes(all, "bytes")?.to_vec()),
        TIMESTAMP => Value::Timestamp(unzigzag(reader.varint("timestamp")?)),
        COUNTER => Value::Counter(unzigzag(reader.varint("counter")?)),
        LIST => Value::List(list(reader, depth.checked_sub(1).ok_or(refused)?)?),
        MAP => Value::Map(map(reader, depth.checked_sub(1).ok_or(refused)?)?),
        UNKNOWN => Value::Unknown {
            type_code: reader.u8("type code")?,
            bytes: reader.bytes(all, "bytes")?.to_vec(),
        },
        _ => return Err(unexpected),
    })
}

fn list(reader: &mut Reader<'_>, depth: usize) -> Result<Vec<Value>, Malformed> {
    // Each element takes a byte at least, so the count can't promise more than is there.
    let count = reader.count(reader.remaining(), "list")?;
    (0..count).map(|_| decode(reader, depth)).collect()
}

fn map(reader: &mut Reader<'_>, depth: usize) -> Result<BTreeMap<String, Value>, Malformed> {
    let count = reader.count(reader.remaining(), "map")?;
    let mut map = BTreeMap::new();
    for _ in 0..count {
        let unsorted = reader.error("key", Problem::NotCanonical);
        let key = reader.text(reader.remaining(), "key")?.to_owned();
        if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(unsorted);
        }
        let value = decode(reader, depth)?;
        map.insert(key, value);
    }
    Ok(map)
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Small numbers of either sign become small numbers.
const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

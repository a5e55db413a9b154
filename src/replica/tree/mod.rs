//! The range summaries of a collection: a trie over the keys of its elements, kept in table `tree`.
//!
//! A key is read as 48 half bytes, most significant first. A range is all keys that begin with the
//! same half bytes; it has a node if it holds more than [`BUCKET`] elements and they differ in the
//! next half byte, so that the tree follows from the elements alone, whatever their history, and
//! nobody can make it deeper than a key is long. A node's row stands under the shortest prefix that
//! only its elements have; what they share beyond that is the first field of the row. What a node is
//! too small for is read from the elements themselves.

mod node;
mod read;
#[cfg(test)]
mod tests;
mod update;

pub(super) use node::Node;
pub(super) use update::{build, update};

use crate::id::RecordId;
use crate::reconcile::{RangeKey, Span, Upper};

/// Elements up to which a range has no node.
const BUCKET: u64 = 64;

/// Half bytes of a key.
const DIGITS: usize = 48;

/// Half bytes that keys begin with.
type Prefix = Vec<u8>;

/// A key as half bytes.
fn digits(key: RangeKey) -> [u8; DIGITS] {
    let time = key.time.to_be_bytes();
    let bytes = time.iter().chain(key.record.as_bytes());
    let mut digits = [0; DIGITS];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[byte >> 4, byte & 15]);
    }
    digits
}

/// The first key that begins with `prefix`.
fn first_key(prefix: &[u8]) -> RangeKey {
    let mut digits = [0; DIGITS];
    for (to, from) in digits.iter_mut().zip(prefix) {
        *to = *from;
    }
    let mut bytes = [0; DIGITS / 2];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
    }
    let (time, record) = bytes.split_at(8);
    RangeKey {
        time: time.iter().fold(0, |time, it| time << 8 | u64::from(*it)),
        record: RecordId::from_bytes(record.try_into().unwrap_or_default()),
    }
}

/// All keys that begin with `prefix`.
fn span_of(prefix: &[u8]) -> Span {
    let mut next = prefix.to_vec();
    while next.last() == Some(&15) {
        next.pop();
    }
    let upper = match next.last_mut() {
        Some(last) => {
            *last += 1;
            Upper::Key(first_key(&next))
        }
        None => Upper::End,
    };
    Span {
        lower: first_key(prefix),
        upper,
    }
}

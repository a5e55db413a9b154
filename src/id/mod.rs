//! Names of things: replicas, stores, spaces, collections, records, changes. Parse, show, order.

mod base58;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind};
use crate::limits;
use crate::time::WallTime;

/// A name that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{input}' is not a {what}: {expected}")]
pub struct ParseIdError {
    what: &'static str,
    expected: &'static str,
    input: String,
}

impl ParseIdError {
    fn new(what: &'static str, expected: &'static str, input: &str) -> Self {
        let input = input.chars().take(80).collect();
        Self {
            what,
            expected,
            input,
        }
    }
}

impl From<ParseIdError> for Error {
    fn from(error: ParseIdError) -> Self {
        Self::new(ErrorKind::InvalidInput, error.to_string())
    }
}

/// Declares an id of a fixed number of bytes, shown as lower-case hex.
macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The id with these bytes.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes of the id.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// The first eight hex digits, enough to tell a few apart in a log.
            pub fn short(&self) -> String {
                self.to_string().chars().take(8).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text)
                    .map(Self)
                    .ok_or_else(|| ParseIdError::new($what, $expected, text))
            }
        }
    };
}

hex_id!(
    /// A replica: one identity on one device. It is the replica's Ed25519 public key.
    ReplicaId, 32, "replica id", "64 hex digits, the replica's public key"
);
hex_id!(
    /// One life of a store. A restored, copied or wiped store gets a new one.
    StoreId, 16, "store id", "32 hex digits"
);
hex_id!(
    /// A space: the unit of sharing, replication and access.
    SpaceId, 16, "space id", "32 hex digits"
);
hex_id!(
    /// The SHA-256 that names an Automerge change.
    ChangeHash, 32, "change hash", "64 hex digits"
);

hex_id!(
    /// A blob: the content of an attachment, named by what is in it.
    BlobId, 32, "blob id", "64 hex digits"
);

impl StoreId {
    /// A new random store id.
    pub fn random(entropy: &mut Entropy) -> Self {
        Self(entropy.bytes())
    }
}

impl SpaceId {
    /// A new random space id. Who does not know it cannot ask for the space.
    pub fn random(entropy: &mut Entropy) -> Self {
        Self(entropy.bytes())
    }

    /// The space that everybody who uses the same name means, for example in one organisation.
    ///
    /// ```
    /// use syncline::SpaceId;
    /// assert_eq!(SpaceId::named("team"), SpaceId::named("team"));
    /// assert_ne!(SpaceId::named("team"), SpaceId::named("home"));
    /// ```
    pub fn named(name: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 space name");
        let mut bytes = [0; 16];
        hasher
            .update(name.as_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        Self(bytes)
    }
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(value).ok()?;
        }
    }
    Some(bytes)
}

/// The name of a collection: 1 to 64 of `a-z`, `0-9`, `-`, `_` and `.`, starting with a letter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionId(Arc<str>);

impl CollectionId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CollectionId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        let fits = text.len() <= limits::COLLECTION_NAME_BYTES_MAX;
        let starts = text.starts_with(|first: char| first.is_ascii_lowercase());
        if fits && starts && text.bytes().all(allowed) {
            return Ok(Self(Arc::from(text)));
        }
        let expected = "1 to 64 of a-z, 0-9, '-', '_' and '.', starting with a letter";
        Err(ParseIdError::new("collection name", expected, text))
    }
}

impl fmt::Display for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CollectionId({})", self.0)
    }
}

/// The name of a record: 16 bytes, ordered by the time of creation (UUID version 7, RFC 9562).
///
/// Shown in base58 with a checksum, which makes the text a valid automerge-repo document id, and
/// `automerge:` followed by it a valid URL.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId([u8; 16]);

impl RecordId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// A new id for a record created at `now`.
    pub fn new(now: WallTime, entropy: &mut Entropy) -> Self {
        let mut bytes: [u8; 16] = entropy.bytes();
        let [_, _, millis @ ..] = now.as_millis().to_be_bytes();
        bytes[..6].copy_from_slice(&millis);
        bytes[6] = bytes[6] & 0x0f | 0x70;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// The id that everybody who uses the same name means; for data that has names of its own.
    ///
    /// ```
    /// use syncline::RecordId;
    /// assert_eq!(RecordId::named("Europe/Vienna"), RecordId::named("Europe/Vienna"));
    /// ```
    pub fn named(name: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 record name");
        let mut bytes: [u8; 16] = [0; 16];
        hasher
            .update(name.as_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// The first characters of the text form that differ soonest, to tell a few apart in a log.
    pub fn short(&self) -> String {
        self.to_string()
            .chars()
            .rev()
            .take(8)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect()
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base58::encode_checked(&self.0))
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordId({self})")
    }
}

impl FromStr for RecordId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let body = text.strip_prefix("automerge:").unwrap_or(text);
        base58::decode_checked(body).map(Self).ok_or_else(|| {
            ParseIdError::new("record id", "base58 of 16 bytes with its checksum", text)
        })
    }
}

impl Serialize for RecordId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl ChangeHash {
    /// The text by which automerge-repo names a head: base58 with a checksum.
    pub fn to_base58(self) -> String {
        base58::encode_checked(&self.0)
    }
}

/// Where a record lives: its space, its collection, its own id.
///
/// All three name the record: the same id in two collections names two records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// The space.
    pub space: SpaceId,
    /// The collection in the space.
    pub collection: CollectionId,
    /// The record in the collection.
    pub record: RecordId,
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}",
            self.space.short(),
            self.collection,
            self.record
        )
    }
}

/// Who wrote a change, in Automerge's sense: up to 64 bytes, one per store life and record.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorId(Vec<u8>);

impl ActorId {
    /// The actor with these bytes.
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes of the actor id.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The actor under which the store `store` writes the record `key`.
    ///
    /// Whoever knows a store's id can tell which changes it wrote, and need not send them back.
    pub fn of(store: StoreId, key: &RecordKey) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 actor");
        hasher.update(store.as_bytes()).update(key.space.as_bytes());
        hasher
            .update(key.record.as_bytes())
            .update(key.collection.as_str().as_bytes());
        let mut bytes = vec![0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        Self(bytes)
    }

    /// The actor of what follows from a record's changes at `base`: whoever derives the same there has
    /// the same one, and who derives something else has another, since `what` goes into it.
    pub fn derived<'p>(
        key: &RecordKey,
        base: &Heads,
        what: impl IntoIterator<Item = &'p [u8]>,
    ) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 derived actor");
        let mut part = |bytes: &[u8]| {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            hasher.update(&length.to_be_bytes()).update(bytes);
        };
        part(key.space.as_bytes());
        part(key.record.as_bytes());
        part(key.collection.as_str().as_bytes());
        base.as_slice().iter().for_each(|it| part(it.as_bytes()));
        part(&[]);
        what.into_iter().for_each(part);
        let mut bytes = vec![0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        Self(bytes)
    }

    /// The name that a writer goes on under once somebody else has used this one.
    #[must_use]
    pub fn next(&self) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 next actor");
        hasher.update(&self.0);
        let mut bytes = vec![0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        Self(bytes)
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ActorId(")?;
        self.0
            .iter()
            .take(8)
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// The newest changes of a record, sorted: what a replica knows of it, in a few hashes.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Heads(Vec<ChangeHash>);

impl Heads {
    /// The hashes in order.
    pub fn as_slice(&self) -> &[ChangeHash] {
        &self.0
    }

    /// Whether there is no change at all.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `hash` is one of the heads.
    pub fn contains(&self, hash: &ChangeHash) -> bool {
        self.0.binary_search(hash).is_ok()
    }
}

impl FromIterator<ChangeHash> for Heads {
    fn from_iter<I: IntoIterator<Item = ChangeHash>>(hashes: I) -> Self {
        let mut hashes: Vec<_> = hashes.into_iter().collect();
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }
}

impl fmt::Debug for Heads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(ChangeHash::short))
            .finish()
    }
}

/// A local sequence number: the order in which this store applied the changes of one space.
///
/// The first change of a space has number 1; 0 means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Follows a change from its capture through wires and hubs to its application and back in the
/// acknowledgement. Random, shown as 16 hex digits; 0 means none.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CorrelationId(pub u64);

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CorrelationId({self})")
    }
}

#[cfg(test)]
mod tests;

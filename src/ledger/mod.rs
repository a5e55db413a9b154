//! The delivery ledger: what each known peer store holds of each space, durably.
//!
//! A row here is the only memory of a peer that outlives a session. Losing one costs a walk of the
//! tree, never a change; a row that lags costs a few duplicates.

use crate::codec::{Malformed, Reader, Writer};
use crate::id::{Lsn, ReplicaId, SpaceId, StoreId};
use crate::time::WallTime;

/// Key in table `cursors`.
pub fn cursor_key(store: StoreId, space: SpaceId) -> Vec<u8> {
    [store.as_bytes().as_slice(), space.as_bytes()].concat()
}

/// Whose cursor a key of table `cursors` names.
///
/// # Errors
/// When the bytes are no such key.
pub fn read_cursor_key(key: &[u8]) -> Result<(StoreId, SpaceId), Malformed> {
    let mut reader = Reader::new(key);
    let store = StoreId::from_bytes(reader.array("store")?);
    let space = SpaceId::from_bytes(reader.array("space")?);
    reader.finish("cursor key")?;
    Ok((store, space))
}

/// Key in table `peers`.
pub fn peer_key(replica: ReplicaId) -> Vec<u8> {
    replica.as_bytes().to_vec()
}

/// How far a peer store has acknowledged a space's log, and when it was last heard of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Highest number of our log that it holds durably, with all before it.
    pub acked: Lsn,
    /// Highest number of its log that we hold durably, with all before it.
    pub received: Lsn,
    /// Digest of the collections that `acked` speaks of.
    pub want: [u8; 16],
    /// When the row was last written.
    pub seen: WallTime,
}

impl Cursor {
    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer
            .varint(self.acked.0)
            .varint(self.received.0)
            .raw(&self.want);
        writer.varint(self.seen.as_millis());
        writer.finish()
    }

    /// Reads a row.
    ///
    /// # Errors
    /// When the bytes are no such row.
    pub fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(row);
        let acked = Lsn(reader.varint("acknowledged")?);
        let received = Lsn(reader.varint("received")?);
        let want = reader.array("subscription")?;
        let seen = WallTime::from_millis(reader.varint("last seen")?);
        reader.finish("cursor")?;
        Ok(Self {
            acked,
            received,
            want,
            seen,
        })
    }
}

/// What is known of a peer replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The store it had when last seen.
    pub store: StoreId,
    /// When it was last seen.
    pub seen: WallTime,
}

impl Peer {
    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer
            .raw(self.store.as_bytes())
            .varint(self.seen.as_millis());
        writer.finish()
    }

    /// Reads a row.
    ///
    /// # Errors
    /// When the bytes are no such row.
    pub fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(row);
        let store = StoreId::from_bytes(reader.array("store id")?);
        let seen = WallTime::from_millis(reader.varint("last seen")?);
        reader.finish("peer")?;
        Ok(Self { store, seen })
    }
}

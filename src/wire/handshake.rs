//! The messages that open a link: who is there, what it speaks, and the proof.

use super::code::ErrorCode;
use super::part::{self, unexpected};
use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::id::{ReplicaId, StoreId};
use crate::limits;

/// First bytes of every `Hello`.
pub const MAGIC: [u8; 4] = *b"SYNC";

/// Oldest protocol version that this program speaks.
pub const VERSION_MIN: u16 = 1;

/// Newest protocol version that this program speaks.
pub const VERSION_MAX: u16 = 1;

/// Optional abilities of a side. The lower half may be ignored by who does not know them; with a
/// bit of the upper half set a side insists that the other has that feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(pub u64);

impl Features {
    /// Takes and passes on [`super::Presence`].
    pub const PRESENCE: Self = Self(1 << 1);

    /// Attachments: the messages of types 0x90 to 0x93 are understood.
    pub const BLOBS: Self = Self(1 << 2);

    /// All that this program has.
    pub const OURS: Self = Self(Self::PRESENCE.0 | Self::BLOBS.0);

    const REQUIRED: u64 = 0xffff_ffff_0000_0000;

    /// Whether all of `other` are among these.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Features that both sides have.
    #[must_use]
    pub const fn shared(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of `other` are among these.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Features that this side insists on and the other does not have.
    #[must_use]
    pub const fn required_beyond(self, other: Self) -> Self {
        Self(self.0 & Self::REQUIRED & !other.0)
    }
}

/// First message of both sides. Its layout holds for every version of the protocol; additions go
/// into the extension section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Oldest version that the sender speaks.
    pub version_min: u16,
    /// Newest version that the sender speaks.
    pub version_max: u16,
    /// What the sender can do beyond its versions.
    pub features: Features,
    /// The sender's identity: the key that its `Auth` must be signed with.
    pub replica: ReplicaId,
    /// The sender's store.
    pub store: StoreId,
    /// Random bytes that make the signatures of this link worthless on another.
    pub nonce: [u8; 32],
    /// Largest frame that the sender accepts, in bytes after decompression.
    pub frame_bytes_max: u32,
    /// Bytes of live changes that the receiver may send before more is granted.
    pub credit_live: u64,
    /// Bytes of bulk changes that the receiver may send before more is granted.
    pub credit_bulk: u64,
    /// Program and version, for people. Cut to [`limits::AGENT_BYTES_MAX`] bytes.
    pub agent: String,
}

/// What two sides have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Version of the protocol that both speak from now on.
    pub version: u16,
    /// Features that both have.
    pub features: Features,
}

impl Hello {
    /// What the two sides have in common. Symmetrical: both sides come to the same result.
    ///
    /// # Errors
    /// The code of the refusal when there is no common version or a required feature is missing.
    pub fn agree(&self, other: &Self) -> Result<Agreed, ErrorCode> {
        let version = self.version_max.min(other.version_max);
        if version < self.version_min.max(other.version_min) {
            return Err(ErrorCode::UnsupportedVersion);
        }
        let missing = [
            self.features.required_beyond(other.features),
            other.features.required_beyond(self.features),
        ];
        if missing != [Features::default(); 2] {
            return Err(ErrorCode::MissingFeature);
        }
        let features = self.features.shared(other.features);
        Ok(Agreed { version, features })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .raw(&MAGIC)
            .u16(self.version_min)
            .u16(self.version_max)
            .u64(self.features.0)
            .raw(self.replica.as_bytes())
            .raw(self.store.as_bytes())
            .raw(&self.nonce)
            .u32(self.frame_bytes_max)
            .u64(self.credit_live)
            .u64(self.credit_bulk);
        part::write_clipped(writer, &self.agent, limits::AGENT_BYTES_MAX);
        part::write_extensions(writer);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let magic = reader.array("magic")?;
        if magic != MAGIC {
            let found = u64::from(u32::from_be_bytes(magic));
            return Err(reader.error("magic", Problem::Unexpected(found)));
        }
        let version_min = reader.u16("version min")?;
        let version_max = reader.u16("version max")?;
        if version_min > version_max {
            let found = usize::from(version_min);
            return Err(unexpected(reader, "version min above version max", found));
        }
        let features = Features(reader.u64("features")?);
        let replica = ReplicaId::from_bytes(reader.array("replica")?);
        let store = StoreId::from_bytes(reader.array("store")?);
        let nonce = reader.array("nonce")?;
        let frame_bytes_max = reader.u32("frame bytes max")?;
        if frame_bytes_max < limits::PEER_FRAME_BYTES_MIN {
            let found = Problem::Unexpected(u64::from(frame_bytes_max));
            return Err(reader.error("frame bytes max below the least allowed", found));
        }
        let credit_live = reader.u64("live credit")?;
        let credit_bulk = reader.u64("bulk credit")?;
        let agent = reader.text(limits::AGENT_BYTES_MAX, "agent")?.to_owned();
        part::skip_extensions(reader)?;
        Ok(Self {
            version_min,
            version_max,
            features,
            replica,
            store,
            nonce,
            frame_bytes_max,
            credit_live,
            credit_bulk,
            agent,
        })
    }
}

//! Messages as CBOR that every client reads: definite lengths, text keys, and no integer that JavaScript
//! would read as a `BigInt`.

use std::convert::Infallible;

use minicbor::Encoder;
use minicbor::encode::Error;

use super::message::{Envelope, Message, Metadata};

type Cbor<'a> = Encoder<&'a mut Vec<u8>>;
type Written = Result<(), Error<Infallible>>;

/// Largest integer that JavaScript reads as a number.
const INTEGER_MAX: u64 = u32::MAX as u64;

impl Message {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let written = self.write(&mut Encoder::new(&mut bytes));
        // A vector takes everything.
        debug_assert!(written.is_ok(), "a vector refused bytes");
        bytes
    }

    fn write(&self, cbor: &mut Cbor<'_>) -> Written {
        let kind = self.kind();
        match self {
            Self::Join {
                sender,
                versions,
                metadata,
            } => {
                cbor.map(4)?.str("type")?.str(kind)?;
                cbor.str("senderId")?.str(sender)?;
                cbor.str("peerMetadata")?;
                write_metadata(cbor, metadata)?;
                cbor.str("supportedProtocolVersions")?;
                write_texts(cbor, versions)
            }
            Self::Peer {
                sender,
                target,
                version,
                metadata,
            } => {
                cbor.map(5)?.str("type")?.str(kind)?;
                cbor.str("senderId")?.str(sender)?;
                cbor.str("targetId")?.str(target)?;
                cbor.str("selectedProtocolVersion")?.str(version)?;
                cbor.str("peerMetadata")?;
                write_metadata(cbor, metadata)
            }
            Self::Sync { envelope, data, .. } => {
                write_envelope(cbor, 5, kind, envelope)?;
                cbor.str("data")?.bytes(data)?;
                Ok(())
            }
            Self::Unavailable(envelope) => write_envelope(cbor, 4, kind, envelope),
            Self::Ephemeral {
                envelope,
                count,
                session,
                data,
            } => {
                write_envelope(cbor, 7, kind, envelope)?;
                cbor.str("count")?;
                write_number(cbor, *count)?;
                cbor.str("sessionId")?.str(session)?;
                cbor.str("data")?.bytes(data)?;
                Ok(())
            }
            Self::Subscribe { .. } | Self::StorageHeads { .. } => self.write_gossip(cbor),
            Self::Error { .. } | Self::Leave { .. } | Self::Unknown(_) => self.write_end(cbor),
        }
    }

    fn write_end(&self, cbor: &mut Cbor<'_>) -> Written {
        if let Self::Error {
            target,
            sender,
            message,
        } = self
        {
            cbor.map(if target.is_some() { 4 } else { 3 })?;
            cbor.str("type")?.str(self.kind())?;
            cbor.str("senderId")?.str(sender)?;
            if let Some(target) = target {
                cbor.str("targetId")?.str(target)?;
            }
            cbor.str("message")?.str(message)?;
        }
        if let Self::Leave { sender } = self {
            cbor.map(2)?.str("type")?.str(self.kind())?;
            cbor.str("senderId")?.str(sender)?;
        }
        if let Self::Unknown(kind) = self {
            cbor.map(1)?.str("type")?.str(kind)?;
        }
        Ok(())
    }

    fn write_gossip(&self, cbor: &mut Cbor<'_>) -> Written {
        if let Self::Subscribe {
            sender,
            target,
            add,
            remove,
        } = self
        {
            cbor.map(5)?.str("type")?.str(self.kind())?;
            cbor.str("senderId")?.str(sender)?;
            cbor.str("targetId")?.str(target)?;
            cbor.str("add")?;
            write_texts(cbor, add)?;
            cbor.str("remove")?;
            write_texts(cbor, remove)?;
        }
        if let Self::StorageHeads { envelope, heads } = self {
            write_envelope(cbor, 5, self.kind(), envelope)?;
            cbor.str("newHeads")?.map(count(heads.len()))?;
            for (storage, of) in heads {
                cbor.str(storage)?.map(2)?.str("heads")?;
                write_texts(cbor, &of.heads)?;
                cbor.str("timestamp")?;
                write_number(cbor, of.timestamp)?;
            }
        }
        Ok(())
    }
}

fn write_envelope(cbor: &mut Cbor<'_>, fields: u64, kind: &str, envelope: &Envelope) -> Written {
    cbor.map(fields)?.str("type")?.str(kind)?;
    cbor.str("senderId")?.str(&envelope.sender)?;
    cbor.str("targetId")?.str(&envelope.target)?;
    cbor.str("documentId")?
        .str(&envelope.document.to_string())?;
    Ok(())
}

fn write_metadata(cbor: &mut Cbor<'_>, metadata: &Metadata) -> Written {
    cbor.map(if metadata.storage.is_some() { 2 } else { 1 })?;
    if let Some(storage) = &metadata.storage {
        cbor.str("storageId")?.str(storage)?;
    }
    cbor.str("isEphemeral")?.bool(metadata.is_ephemeral)?;
    Ok(())
}

fn write_texts(cbor: &mut Cbor<'_>, texts: &[String]) -> Written {
    cbor.array(count(texts.len()))?;
    for text in texts {
        cbor.str(text)?;
    }
    Ok(())
}

/// Times are written as JavaScript writes them: as floating point, exact to 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds stay below 2^53 for 280,000 years"
)]
fn write_number(cbor: &mut Cbor<'_>, number: u64) -> Written {
    if number <= INTEGER_MAX {
        cbor.u64(number)?;
    } else {
        cbor.f64(number as f64)?;
    }
    Ok(())
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

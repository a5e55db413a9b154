//! All messages, and which type byte each has.

use bytes::Bytes;

use super::blob::{BlobChunk, BlobManifest, BlobState, BlobWant};
use super::code::{ByeReason, ErrorCode, RefusedCode};
use super::error::WireError;
use super::handshake::Hello;
use super::part;
use super::presence::Presence;
use super::sync::{Changes, Open, Want};
use super::walk::Walk;
use crate::codec::{Malformed, Reader, Writer};
use crate::id::{Lsn, SpaceId};
use crate::limits;
use crate::reconcile::Summary;

/// From this type on a message may be skipped by who does not know it.
const OPTIONAL_FROM: u8 = 0x80;

const HELLO: u8 = 0x01;
const AUTH: u8 = 0x02;
const OPEN: u8 = 0x03;
const REFUSED: u8 = 0x04;
const WALK: u8 = 0x05;
const WANT: u8 = 0x06;
const CHANGES: u8 = 0x07;
const ACK: u8 = 0x08;
const CREDIT: u8 = 0x09;
const ROOT: u8 = 0x0a;
const PING: u8 = 0x0b;
const PONG: u8 = 0x0c;
const BYE: u8 = 0x0d;
const ERROR: u8 = 0x0e;
const PRESENCE: u8 = 0x81;
const BLOB_WANT: u8 = 0x90;
const BLOB_MANIFEST: u8 = 0x91;
const BLOB_CHUNK: u8 = 0x92;
const BLOB_STATE: u8 = 0x93;

/// What one frame says. `docs/protocol.md` tells who sends what when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// First message of both sides.
    Hello(Hello),
    /// Second message of both sides: the proof of identity.
    Auth {
        /// Ed25519 signature over the transcript of both `Hello`s.
        signature: [u8; 64],
    },
    /// Opens a space.
    Open(Open),
    /// Answers an `Open` that is not granted.
    Refused {
        /// The space.
        space: SpaceId,
        /// Why.
        code: RefusedCode,
    },
    /// One step of finding differences.
    Walk(Walk),
    /// Asks for changes.
    Want(Want),
    /// Carries changes.
    Changes(Changes),
    /// All up to the peer's `upto` is durably applied here.
    Ack {
        /// The space.
        space: SpaceId,
        /// End of what is applied of the receiver's log.
        lsn: Lsn,
    },
    /// Grants more bytes of changes.
    Credit {
        /// Bytes of live frames.
        live: u64,
        /// Bytes of bulk frames.
        bulk: u64,
    },
    /// The sender has nothing more for the receiver, and all of it is acknowledged: compare.
    Root {
        /// The space.
        space: SpaceId,
        /// Summary of what the sender holds of what the receiver wants.
        root: Summary,
        /// End of the sender's log of the space.
        lsn: Lsn,
    },
    /// Asks for a `Pong`.
    Ping {
        /// Comes back.
        token: u64,
    },
    /// Answers a `Ping`.
    Pong {
        /// The ping's.
        token: u64,
    },
    /// The link ends without anybody's fault.
    Bye {
        /// Why.
        reason: ByeReason,
        /// The same for people. Cut to [`limits::REASON_BYTES_MAX`] bytes.
        text: String,
    },
    /// The link ends because of an error.
    Error {
        /// Which.
        code: ErrorCode,
        /// The same for people. Cut to [`limits::REASON_BYTES_MAX`] bytes.
        text: String,
    },
    /// What a replica shows for a while. Only for who has [`super::Features::PRESENCE`].
    Presence(Presence),
    /// Asks for a part of an attachment.
    BlobWant(BlobWant),
    /// What an attachment is made of.
    BlobManifest(BlobManifest),
    /// A part of an attachment.
    BlobChunk(BlobChunk),
    /// How the sender stands with an attachment.
    BlobState(BlobState),
    /// A message that this version does not know and may skip. Only decoding makes it.
    Unknown {
        /// Its type, 0x80 or above.
        kind: u8,
    },
}

impl Message {
    /// The type byte.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => HELLO,
            Self::Auth { .. } => AUTH,
            Self::Open(_) => OPEN,
            Self::Refused { .. } => REFUSED,
            Self::Walk(_) => WALK,
            Self::Want(_) => WANT,
            Self::Changes(_) => CHANGES,
            Self::Ack { .. } => ACK,
            Self::Credit { .. } => CREDIT,
            Self::Root { .. } => ROOT,
            Self::Ping { .. } => PING,
            Self::Pong { .. } => PONG,
            Self::Bye { .. } => BYE,
            Self::Error { .. } => ERROR,
            Self::Presence(_) => PRESENCE,
            Self::BlobWant(_) => BLOB_WANT,
            Self::BlobManifest(_) => BLOB_MANIFEST,
            Self::BlobChunk(_) => BLOB_CHUNK,
            Self::BlobState(_) => BLOB_STATE,
            // An unknown message can't be taken for one that must be understood.
            Self::Unknown { kind } => *kind | OPTIONAL_FROM,
        }
    }

    /// A stable name, for logs and metrics.
    pub const fn kind_name(&self) -> &'static str {
        kind_name(self.kind())
    }

    /// About how many bytes the body takes; exact enough to allocate once.
    pub(super) fn size_hint(&self) -> usize {
        match self {
            Self::Changes(changes) => {
                let per_change: usize = changes.groups.iter().map(|it| it.changes.len() * 5).sum();
                changes.change_bytes() + per_change + changes.groups.len() * 64 + 64
            }
            Self::Presence(presence) => presence.size_hint(),
            Self::BlobManifest(it) => it.manifest.chunks().len() * 32 + 64,
            Self::BlobChunk(it) => it.bytes.len() + 64,
            Self::Hello(_)
            | Self::Auth { .. }
            | Self::BlobWant(_)
            | Self::BlobState(_)
            | Self::Open(_)
            | Self::Refused { .. }
            | Self::Walk(_)
            | Self::Want(_)
            | Self::Ack { .. }
            | Self::Credit { .. }
            | Self::Root { .. }
            | Self::Ping { .. }
            | Self::Pong { .. }
            | Self::Bye { .. }
            | Self::Error { .. }
            | Self::Unknown { .. } => 256,
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Self::Hello(hello) => hello.write(writer),
            Self::Auth { signature } => {
                writer.raw(signature);
            }
            Self::Open(open) => open.write(writer),
            Self::Refused { space, code } => {
                writer.raw(space.as_bytes()).u16(code.code());
            }
            Self::Walk(walk) => walk.write(writer),
            Self::Want(want) => want.write(writer),
            Self::Changes(changes) => changes.write(writer),
            Self::Ack { space, lsn } => {
                writer.raw(space.as_bytes()).varint(lsn.0);
            }
            Self::Credit { live, bulk } => {
                writer.varint(*live).varint(*bulk);
            }
            Self::Root { space, root, lsn } => {
                writer.raw(space.as_bytes());
                part::write_summary(writer, root);
                writer.varint(lsn.0);
            }
            Self::Ping { token } | Self::Pong { token } => {
                writer.u64(*token);
            }
            Self::Bye { reason, text } => write_end(writer, reason.code(), text),
            Self::Error { code, text } => write_end(writer, code.code(), text),
            Self::Presence(presence) => presence.write(writer),
            Self::BlobWant(it) => it.write(writer),
            Self::BlobManifest(it) => it.write(writer),
            Self::BlobChunk(it) => it.write(writer),
            Self::BlobState(it) => it.write(writer),
            Self::Unknown { .. } => {}
        }
    }

    /// Reads the body of a message of type `kind`. Payloads share the memory of `body`.
    pub(super) fn read(kind: u8, body: &Bytes) -> Result<Self, WireError> {
        if may_skip(kind) {
            return Ok(Self::Unknown { kind });
        }
        let mut reader = Reader::new(body);
        let message = match kind {
            HELLO => Hello::read(&mut reader).map(Self::Hello),
            AUTH => reader
                .array("signature")
                .map(|signature| Self::Auth { signature }),
            OPEN => Open::read(&mut reader).map(Self::Open),
            REFUSED => read_refused(&mut reader),
            WALK => Walk::read(&mut reader).map(Self::Walk),
            WANT => Want::read(&mut reader).map(Self::Want),
            CHANGES => Changes::read(&mut reader, body).map(Self::Changes),
            ACK => read_ack(&mut reader),
            CREDIT => read_credit(&mut reader),
            ROOT => read_root(&mut reader),
            PING => reader.u64("token").map(|token| Self::Ping { token }),
            PONG => reader.u64("token").map(|token| Self::Pong { token }),
            BYE => read_end(&mut reader).map(|(code, text)| Self::Bye {
                reason: ByeReason::from_code(code),
                text,
            }),
            ERROR => read_end(&mut reader).map(|(code, text)| Self::Error {
                code: ErrorCode::from_code(code),
                text,
            }),
            PRESENCE => Presence::read(&mut reader).map(Self::Presence),
            BLOB_WANT => BlobWant::read(&mut reader).map(Self::BlobWant),
            BLOB_MANIFEST => BlobManifest::read(&mut reader).map(Self::BlobManifest),
            BLOB_CHUNK => BlobChunk::read(&mut reader, body).map(Self::BlobChunk),
            BLOB_STATE => BlobState::read(&mut reader).map(Self::BlobState),
            kind => return Err(WireError::UnknownMessage { kind }),
        };
        message
            .and_then(|message| reader.finish("end of body").map(|()| message))
            .map_err(|malformed| WireError::Malformed {
                message: kind_name(kind),
                malformed,
            })
    }
}

/// The stable name of a message type.
pub(super) const fn kind_name(kind: u8) -> &'static str {
    match kind {
        HELLO => "hello",
        AUTH => "auth",
        OPEN => "open",
        REFUSED => "refused",
        WALK => "walk",
        WANT => "want",
        CHANGES => "changes",
        ACK => "ack",
        CREDIT => "credit",
        ROOT => "root",
        PING => "ping",
        PONG => "pong",
        BYE => "bye",
        ERROR => "error",
        PRESENCE => "presence",
        BLOB_WANT => "blob_want",
        BLOB_MANIFEST => "blob_manifest",
        BLOB_CHUNK => "blob_chunk",
        BLOB_STATE => "blob_state",
        _ => "unknown",
    }
}

/// Whether frames of this type are skipped without a look at their body.
pub(super) const fn may_skip(kind: u8) -> bool {
    let is_known = matches!(
        kind,
        PRESENCE | BLOB_WANT | BLOB_MANIFEST | BLOB_CHUNK | BLOB_STATE
    );
    kind >= OPTIONAL_FROM && !is_known
}

/// Whether frames of this type may be compressed. What comes from peers that have proved nothing
/// yet is not worth a decompressor's attention.
pub(super) const fn may_compress(kind: u8) -> bool {
    !matches!(kind, HELLO | AUTH)
}

fn read_refused(reader: &mut Reader<'_>) -> Result<Message, Malformed> {
    let space = part::space(reader)?;
    let code = RefusedCode::from_code(reader.u16("code")?);
    Ok(Message::Refused { space, code })
}

fn read_ack(reader: &mut Reader<'_>) -> Result<Message, Malformed> {
    let space = part::space(reader)?;
    let lsn = part::lsn(reader, "lsn")?;
    Ok(Message::Ack { space, lsn })
}

fn read_credit(reader: &mut Reader<'_>) -> Result<Message, Malformed> {
    let live = reader.varint("live credit")?;
    let bulk = reader.varint("bulk credit")?;
    Ok(Message::Credit { live, bulk })
}

fn read_root(reader: &mut Reader<'_>) -> Result<Message, Malformed> {
    let space = part::space(reader)?;
    let root = part::summary(reader)?;
    let lsn = part::lsn(reader, "lsn")?;
    Ok(Message::Root { space, root, lsn })
}

fn write_end(writer: &mut Writer, code: u16, text: &str) {
    writer.u16(code);
    part::write_clipped(writer, text, limits::REASON_BYTES_MAX);
    part::write_extensions(writer);
}

fn read_end(reader: &mut Reader<'_>) -> Result<(u16, String), Malformed> {
    let code = reader.u16("code")?;
    let text = reader.text(limits::REASON_BYTES_MAX, "text")?.to_owned();
    part::skip_extensions(reader)?;
    Ok((code, text))
}

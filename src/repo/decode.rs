//! Messages from clients, as leniently as they write: maps with heads longer than needed, fields that are
//! `undefined`, integers as floating point, byte strings under a tag, ids in three forms.

use std::collections::BTreeMap;

use bytes::Bytes;
use minicbor::Decoder;
use minicbor::data::Type;

use super::fault::RepoFault;
use super::message::{Envelope, Message, Metadata, StorageHeads, VERSION};
use crate::id::RecordId;
use crate::limits;

/// CBOR's tag of a typed array of bytes (RFC 8746), which old clients put before data.
const TAG_BYTES: u64 = 64;

/// Longest text of an `error`, in bytes, of which more is not shown.
const ERROR_TEXT_BYTES_MAX: usize = 4 * 1024;

/// Longest text form of an id that is read.
const TEXT_BYTES_MAX: usize = limits::REPO_ID_BYTES_MAX;

type Cbor<'a> = Decoder<'a>;

/// The fields of any message, each as it came last.
#[derive(Debug, Default)]
struct Fields {
    kind: Option<String>,
    sender: Option<String>,
    target: Option<String>,
    document: Option<RecordId>,
    data: Option<Bytes>,
    count: Option<u64>,
    session: Option<String>,
    message: Option<String>,
    versions: Option<Vec<String>>,
    version: Option<String>,
    metadata: Option<Metadata>,
    add: Option<Vec<String>>,
    remove: Option<Vec<String>>,
    heads: Option<BTreeMap<String, StorageHeads>>,
}

impl Message {
    /// Reads a message. Types of later versions give [`Message::Unknown`], unknown fields are passed over.
    ///
    /// # Errors
    /// [`RepoFault`] if it is none.
    pub fn decode(bytes: &Bytes) -> Result<Self, RepoFault> {
        let mut fields = Fields::default();
        let mut cbor = Decoder::new(bytes);
        each(&mut cbor, |cbor, key| fields.read(cbor, key, bytes))?;
        fields.message()
    }
}

/// Shows the entries of a map; whoever is shown one reads its value.
fn each<'a>(
    cbor: &mut Cbor<'a>,
    mut show: impl FnMut(&mut Cbor<'a>, &'a str) -> Result<(), RepoFault>,
) -> Result<(), RepoFault> {
    let mut left = cbor.map().map_err(malformed)?;
    loop {
        match &mut left {
            Some(0) => return Ok(()),
            Some(count) => *count -= 1,
            None if cbor.datatype().map_err(malformed)? == Type::Break => {
                return cbor.skip().map_err(malformed);
            }
            None => {}
        }
        let key = cbor.str().map_err(malformed)?;
        show(cbor, key)?;
    }
}

impl Fields {
    fn read(&mut self, cbor: &mut Cbor<'_>, key: &str, whole: &Bytes) -> Result<(), RepoFault> {
        // JavaScript writes fields that it does not set.
        if matches!(
            cbor.datatype().map_err(malformed)?,
            Type::Undefined | Type::Null
        ) {
            return cbor.skip().map_err(malformed);
        }
        match key {
            "type" => self.kind = Some(text(cbor, "type")?),
            "senderId" => self.sender = Some(text(cbor, "senderId")?),
            "targetId" => self.target = Some(text(cbor, "targetId")?),
            "sessionId" => self.session = Some(text(cbor, "sessionId")?),
            "documentId" => self.document = Some(document(cbor)?),
            "data" => self.data = Some(data(cbor, whole)?),
            "count" => self.count = Some(number(cbor, "count")?),
            "message" => {
                let all = cbor.str().map_err(|_error| wrong("message", "a text"))?;
                self.message = Some(all.chars().take(ERROR_TEXT_BYTES_MAX).collect());
            }
            "supportedProtocolVersions" => self.versions = Some(texts(cbor, "versions")?),
            "selectedProtocolVersion" => self.version = Some(text(cbor, "version")?),
            // The protocol's description calls it `metadata`, all programs `peerMetadata`.
            "peerMetadata" | "metadata" => self.metadata = Some(metadata(cbor)?),
            "add" => self.add = Some(texts(cbor, "add")?),
            "remove" => self.remove = Some(texts(cbor, "remove")?),
            "newHeads" => self.heads = Some(heads(cbor)?),
            _ => cbor.skip().map_err(malformed)?,
        }
        Ok(())
    }

    fn message(mut self) -> Result<Message, RepoFault> {
        let kind = self.kind.take();
        let kind = kind.ok_or_else(|| missing("message", "type"))?;
        Ok(match kind.as_str() {
            "join" => Message::Join {
                sender: need(self.sender, &kind, "senderId")?,
                versions: self.versions.unwrap_or_else(|| vec![VERSION.to_owned()]),
                metadata: self.metadata.unwrap_or_default(),
            },
            "peer" => Message::Peer {
                sender: need(self.sender, &kind, "senderId")?,
                target: self.target.unwrap_or_default(),
                version: self.version.unwrap_or_else(|| VERSION.to_owned()),
                metadata: self.metadata.unwrap_or_default(),
            },
            "error" => Message::Error {
                target: self.target,
                sender: self.sender.unwrap_or_default(),
                message: self.message.unwrap_or_default(),
            },
            "leave" => Message::Leave {
                sender: self.sender.unwrap_or_default(),
            },
            "sync" | "request" => Message::Sync {
                is_request: kind == "request",
                data: need(self.data.take(), &kind, "data")?,
                envelope: self.envelope(&kind)?,
            },
            "doc-unavailable" => Message::Unavailable(self.envelope(&kind)?),
            "ephemeral" => Message::Ephemeral {
                count: need(self.count, &kind, "count")?,
                session: need(self.session.take(), &kind, "sessionId")?,
                data: need(self.data.take(), &kind, "data")?,
                envelope: self.envelope(&kind)?,
            },
            "remote-subscription-change" => Message::Subscribe {
                sender: need(self.sender, &kind, "senderId")?,
                target: self.target.unwrap_or_default(),
                add: self.add.unwrap_or_default(),
                remove: self.remove.unwrap_or_default(),
            },
            "remote-heads-changed" => Message::StorageHeads {
                heads: need(self.heads.take(), &kind, "newHeads")?,
                envelope: self.envelope(&kind)?,
            },
            _ => Message::Unknown(kind),
        })
    }

    fn envelope(self, kind: &str) -> Result<Envelope, RepoFault> {
        Ok(Envelope {
            sender: need(self.sender, kind, "senderId")?,
            target: self.target.unwrap_or_default(),
            document: need(self.document, kind, "documentId")?,
        })
    }
}

fn need<T>(field: Option<T>, kind: &str, name: &'static str) -> Result<T, RepoFault> {
    field.ok_or_else(|| missing(kind, name))
}

fn missing(kind: &str, field: &'static str) -> RepoFault {
    let kind = kind.chars().take(TEXT_BYTES_MAX).collect();
    RepoFault::Missing { kind, field }
}

const fn wrong(field: &'static str, expected: &'static str) -> RepoFault {
    RepoFault::Field { field, expected }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn malformed(error: minicbor::decode::Error) -> RepoFault {
    RepoFault::Cbor(error.to_string())
}

fn text(cbor: &mut Cbor<'_>, field: &'static str) -> Result<String, RepoFault> {
    let text = cbor.str().map_err(|_error| wrong(field, "a text"))?;
    if text.len() > TEXT_BYTES_MAX {
        return Err(wrong(field, "a text of at most 256 bytes"));
    }
    Ok(text.to_owned())
}

fn texts(cbor: &mut Cbor<'_>, field: &'static str) -> Result<Vec<String>, RepoFault> {
    let count = cbor
        .array()
        .map_err(|_error| wrong(field, "a list of texts"))?;
    // JavaScript gives the length of its lists.
    let count = count.ok_or_else(|| wrong(field, "a list of known length"))?;
    let max = limits::REPO_STORAGES_MAX;
    let over = |count| RepoFault::TooMany {
        what: "entries of a list",
        count,
        max,
    };
    let count = usize::try_from(count).map_err(|_error| over(usize::MAX))?;
    if count > max {
        return Err(over(count));
    }
    (0..count).map(|_| text(cbor, field)).collect()
}

/// An integer, or what JavaScript makes of a large one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a whole number within the range"
)]
fn number(cbor: &mut Cbor<'_>, field: &'static str) -> Result<u64, RepoFault> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let expected = "a whole number from 0 on";
    let kind = cbor.datatype().map_err(malformed)?;
    if !matches!(kind, Type::F16 | Type::F32 | Type::F64) {
        return cbor.u64().map_err(|_error| wrong(field, expected));
    }
    let number = cbor.f64().map_err(|_error| wrong(field, expected))?;
    if (0.0..=EXACT_MAX).contains(&number) {
        Ok(number as u64)
    } else {
        Err(wrong(field, expected))
    }
}

/// Bytes of the message itself, not copied.
fn data(cbor: &mut Cbor<'_>, whole: &Bytes) -> Result<Bytes, RepoFault> {
    let expected = "a string of bytes of known length, not empty";
    if cbor.datatype().map_err(malformed)? == Type::Tag {
        let tag = cbor.tag().map_err(malformed)?;
        if tag.as_u64() != TAG_BYTES {
            return Err(wrong("data", expected));
        }
    }
    let data = cbor.bytes().map_err(|_error| wrong("data", expected))?;
    if data.is_empty() {
        return Err(wrong("data", expected));
    }
    Ok(whole.slice_ref(data))
}

/// A document's id: base58 with a checksum, its bytes, or an old UUID with dashes.
fn document(cbor: &mut Cbor<'_>) -> Result<RecordId, RepoFault> {
    let not_one = || {
        wrong(
            "documentId",
            "a document id: 16 bytes in base58 with a checksum",
        )
    };
    if cbor.datatype().map_err(malformed)? == Type::Bytes {
        let bytes = cbor.bytes().map_err(malformed)?;
        let bytes = bytes.try_into().map_err(|_error| not_one())?;
        return Ok(RecordId::from_bytes(bytes));
    }
    let text = cbor.str().map_err(|_error| not_one())?;
    parse_document(text).ok_or_else(not_one)
}

/// A document's id from its text.
fn parse_document(text: &str) -> Option<RecordId> {
    if text.len() != 36 {
        return text.parse().ok();
    }
    let mut bytes = [0_u8; 16];
    let mut digits = text.chars().filter(|it| *it != '-');
    for byte in &mut bytes {
        let (high, low) = (digits.next()?.to_digit(16)?, digits.next()?.to_digit(16)?);
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    digits.next().is_none().then(|| RecordId::from_bytes(bytes))
}

fn metadata(cbor: &mut Cbor<'_>) -> Result<Metadata, RepoFault> {
    let mut metadata = Metadata::default();
    each(cbor, |cbor, key| {
        match (key, cbor.datatype().map_err(malformed)?) {
            ("storageId", Type::String) => metadata.storage = Some(text(cbor, "storageId")?),
            ("isEphemeral", Type::Bool) => {
                metadata.is_ephemeral = cbor.bool().map_err(malformed)?;
            }
            _ => cbor.skip().map_err(malformed)?,
        }
        Ok(())
    })?;
    Ok(metadata)
}

fn heads(cbor: &mut Cbor<'_>) -> Result<BTreeMap<String, StorageHeads>, RepoFault> {
    let mut all = BTreeMap::new();
    let max = limits::REPO_STORAGES_MAX;
    each(cbor, |cbor, storage| {
        if storage.len() > TEXT_BYTES_MAX {
            return Err(wrong("newHeads", "storage ids of at most 256 bytes"));
        }
        let (mut heads, mut timestamp) = (None, None);
        each(cbor, |cbor, key| {
            match key {
                "heads" => heads = Some(texts(cbor, "heads")?),
                "timestamp" => timestamp = Some(number(cbor, "timestamp")?),
                _ => cbor.skip().map_err(malformed)?,
            }
            Ok(())
        })?;
        let kind = "remote-heads-changed";
        let of = StorageHeads {
            heads: need(heads, kind, "heads")?,
            timestamp: need(timestamp, kind, "timestamp")?,
        };
        all.insert(storage.to_owned(), of);
        if all.len() > max {
            let (what, count) = ("storages", all.len());
            return Err(RepoFault::TooMany { what, count, max });
        }
        Ok(())
    })?;
    Ok(all)
}

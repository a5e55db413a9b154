//! The frame around a message: type, flags, correlation id, compression.

use bytes::Bytes;

use super::error::WireError;
use super::message::{self, Message};
use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::id::CorrelationId;
use crate::limits;

/// Bytes before the body: type, flags, correlation id.
pub const HEADER_BYTES: usize = 10;

const FLAG_COMPRESSED: u8 = 1;

/// A message and what caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Follows a change through the network; 0 is none.
    pub correlation: CorrelationId,
    /// The message.
    pub message: Message,
}

/// The frame for `message`, not compressed.
///
/// Messages are trusted to keep the limits and orders that their types document; the receiver
/// refuses those that don't. Texts for people are cut to their limit.
pub fn encode(correlation: CorrelationId, message: &Message) -> Vec<u8> {
    let mut writer = Writer::with_capacity(HEADER_BYTES + message.size_hint());
    writer.u8(message.kind()).u8(0).u64(correlation.0);
    message.write(&mut writer);
    writer.finish()
}

/// The same frame, compressed if that makes it smaller.
///
/// It costs time that the engine does not have, so links do it on their way out.
pub fn seal(frame: Vec<u8>) -> Vec<u8> {
    compress(&frame).unwrap_or(frame)
}

fn compress(frame: &[u8]) -> Option<Vec<u8>> {
    let (&[kind, flags, ref correlation @ ..], body) = frame.split_first_chunk::<HEADER_BYTES>()?;
    let may = flags == 0 && message::may_compress(kind);
    if !may || body.len() < limits::COMPRESS_BYTES_MIN {
        return None;
    }
    // An error of the compressor leaves the frame as it is, which is always right.
    let packed = zstd::bulk::compress(body, limits::COMPRESS_LEVEL).ok()?;
    let mut writer = Writer::with_capacity(HEADER_BYTES + 5 + packed.len());
    writer
        .u8(kind)
        .u8(FLAG_COMPRESSED)
        .raw(correlation)
        .count(body.len())
        .raw(&packed);
    (writer.len() < frame.len()).then(|| writer.finish())
}

/// The message in `frame`, whose size may not be over `limit` bytes, neither as it is nor
/// decompressed. Changes in it share the memory of the frame: who keeps one keeps all of it.
///
/// # Errors
/// When the frame is not a message. The peer is at fault; [`WireError::code`] is what to tell it.
pub fn decode(frame: &Bytes, limit: usize) -> Result<Frame, WireError> {
    if frame.len() > limit {
        return Err(WireError::TooLarge {
            bytes: frame.len(),
            max: limit,
        });
    }
    let mut reader = Reader::new(frame);
    let (kind, flags, correlation) = header(&mut reader).map_err(|malformed| {
        let message = "header";
        WireError::Malformed { message, malformed }
    })?;
    let message = if kind >= message::OPTIONAL_FROM && !message::is_known(kind) {
        Message::Unknown { kind }
    } else if flags & FLAG_COMPRESSED == 0 {
        Message::read(kind, &frame.slice(HEADER_BYTES..))?
    } else {
        Message::read(kind, &decompress(&mut reader, kind, limit)?)?
    };
    Ok(Frame {
        correlation,
        message,
    })
}

/// Bytes that a frame takes once it is decompressed, as it says itself: [`decode`] holds it to that.
/// For one that is not a frame, those that it has.
pub fn declared_bytes(frame: &[u8]) -> usize {
    let mut reader = Reader::new(frame);
    let declared = match header(&mut reader) {
        Ok((_, flags, _)) if flags & FLAG_COMPRESSED != 0 => {
            let max = limits::FRAME_BYTES_MAX.saturating_sub(HEADER_BYTES);
            reader.count(max, "body length").unwrap_or_default()
        }
        Ok(_) | Err(_) => 0,
    };
    declared.saturating_add(HEADER_BYTES).max(frame.len())
}

fn header(reader: &mut Reader<'_>) -> Result<(u8, u8, CorrelationId), Malformed> {
    let kind = reader.u8("message type")?;
    let flags = reader.u8("flags")?;
    let allowed = if message::may_compress(kind) {
        FLAG_COMPRESSED
    } else {
        0
    };
    if flags & !allowed != 0 {
        return Err(reader.error("flags", Problem::Unexpected(u64::from(flags))));
    }
    let correlation = CorrelationId(reader.u64("correlation id")?);
    Ok((kind, flags, correlation))
}

/// The body behind `reader`. Its declared length is checked before memory is taken for it, and
/// the decompressor writes into that memory only, whatever the compressed bytes say.
fn decompress(reader: &mut Reader<'_>, kind: u8, limit: usize) -> Result<Bytes, WireError> {
    let message = message::kind_name(kind);
    let max = limit.min(limits::FRAME_BYTES_MAX);
    let declared = reader
        .count(max.saturating_sub(HEADER_BYTES), "body length")
        .map_err(|malformed| WireError::Malformed { message, malformed })?;
    let wrong = WireError::Compression { message, declared };
    let packed = reader
        .take(reader.remaining(), "compressed body")
        .unwrap_or_default();
    // A chain of frames that hold nothing would cost time and yield no bytes.
    let single = zstd::zstd_safe::find_frame_compressed_size(packed) == Ok(packed.len());
    if !single {
        return Err(wrong);
    }
    match zstd::bulk::decompress(packed, declared) {
        Ok(body) if body.len() == declared => Ok(body.into()),
        Ok(_) | Err(_) => Err(wrong),
    }
}

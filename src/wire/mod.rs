//! Bytes <-> messages: versioned, bounded, canonical. The specification is `docs/protocol.md`.
//!
//! One frame of the transport is one message. A message has exactly one uncompressed encoding;
//! nothing past this module sees bytes of a peer that were not checked, except changes, which
//! travel as they are and are verified by `doc`.
//!
//! ```
//! use syncline::id::CorrelationId;
//! use syncline::wire::{Message, decode, encode, seal};
//!
//! # fn main() -> Result<(), syncline::wire::WireError> {
//! let ping = Message::Ping { token: 7 };
//! let bytes = seal(encode(CorrelationId(1), &ping));
//! let frame = decode(&bytes.into(), syncline::limits::FRAME_BYTES_MAX)?;
//! assert_eq!(frame.message, ping);
//! assert!(decode(&vec![0x55; 10].into(), 4_096).is_err());
//! # Ok(())
//! # }
//! ```

mod blob;
mod code;
mod error;
mod frame;
mod handshake;
mod message;
mod pack;
mod part;
mod presence;
mod sync;
mod walk;

pub use blob::{BlobChunk, BlobManifest, BlobState, BlobWant, Standing};
pub use code::{ByeReason, ErrorCode, RefusedCode};
pub use error::WireError;
pub use frame::{Frame, HEADER_BYTES, declared_bytes, decode, encode, seal};
pub use handshake::{Agreed, Features, Hello, MAGIC, VERSION_MAX, VERSION_MIN};
pub use message::Message;
pub use presence::{Note, Place, Presence, Slot, Spot, Stamp, Topic, Word};
pub use sync::{ChangeGroup, Changes, Class, Open, Want, WantRecord, Wanted};
pub use walk::Walk;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod blob_tests;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod hostile_presence;
#[cfg(test)]
mod hostile_walk;
#[cfg(test)]
mod pack_tests;
#[cfg(test)]
mod tests;

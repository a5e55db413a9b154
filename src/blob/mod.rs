//! Attachments without IO: what a blob is made of, what names it, and how a record refers to it.
//!
//! A blob is any bytes. It is cut into chunks of [`BLOB_CHUNK_BYTES`]; the [`Manifest`] is its size
//! and the hash of each chunk, and the hash of that names the blob. So the manifest can be checked
//! against the name, and each chunk against the manifest, wherever they come from.
//!
//! [`BLOB_CHUNK_BYTES`]: crate::limits::BLOB_CHUNK_BYTES

mod attachment;
mod manifest;
#[cfg(test)]
mod tests;

pub use attachment::{Attachment, named_in};
pub use manifest::{Chunk, ChunkHash, Manifest, Missing, Stock};

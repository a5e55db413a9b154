//! Automerge's sync messages, read and written without a document.
//!
//! Source: Automerge's `sync` module, versions 1 (`0x42`) and 2 (`0x43`). A message of version 1 may end
//! with flags; who sends them reads version 2, in which changes and whole documents stand behind each
//! other without a length of their own.

pub mod bloom;
pub mod state;

use bytes::Bytes;

pub use bloom::Bloom;
pub use state::{Lineage, Link, SyncState};

use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::id::ChangeHash;
use crate::limits;

const VERSION_1: u8 = 0x42;
const VERSION_2: u8 = 0x43;
/// Says to old libraries that the sender reads version 2.
const READS_VERSION_2: u8 = 0x02;
const FLAGS: u8 = 0x80;
const RESET: u8 = 1;
const READ_ONLY: u8 = 1 << 1;
const KNOWS_RESET: u8 = 1 << 2;
/// More flags than there are in bytes.
const FLAG_BYTES_MAX: usize = 64;

/// What one side tells the other of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncMessage {
    /// Its heads.
    pub heads: Vec<ChangeHash>,
    /// Changes that it asks for.
    pub need: Vec<ChangeHash>,
    /// What it has.
    pub have: Vec<Have>,
    /// Changes and documents, each one or, in version 2, several behind each other.
    pub chunks: Vec<Bytes>,
    /// What it can do, if it says so.
    pub flags: Option<Flags>,
    /// Whether it is written in version 2.
    pub is_version_2: bool,
}

/// Which changes somebody has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Have {
    /// Heads that both had; all that is behind them is there.
    pub last_sync: Vec<ChangeHash>,
    /// What has come since.
    pub bloom: Bloom,
}

/// What stands at the end of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// What was sent before counts as not received.
    pub reset: bool,
    /// The sender takes no changes.
    pub read_only: bool,
}

impl SyncMessage {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(if self.is_version_2 {
            VERSION_2
        } else {
            VERSION_1
        });
        write_hashes(&mut writer, &self.heads);
        write_hashes(&mut writer, &self.need);
        writer.count(self.have.len());
        for have in &self.have {
            write_hashes(&mut writer, &have.last_sync);
            have.bloom.encode(&mut writer);
        }
        writer.count(self.chunks.len());
        for chunk in &self.chunks {
            writer.bytes(chunk);
        }
        if let Some(flags) = self.flags {
            let reset = if flags.reset { RESET } else { 0 };
            let read_only = if flags.read_only { READ_ONLY } else { 0 };
            let bits = FLAGS | KNOWS_RESET | reset | read_only;
            writer.bytes(&[READS_VERSION_2, bits]);
        }
        writer.finish()
    }

    /// Reads one. What follows the flags is left for versions to come.
    ///
    /// # Errors
    /// When it is cut off, of another version, or over a limit.
    pub fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8("version of a sync message")?;
        if version != VERSION_1 && version != VERSION_2 {
            let problem = Problem::Unexpected(version.into());
            return Err(reader.error("version of a sync message", problem));
        }
        let heads = read_hashes(&mut reader, "heads")?;
        let need = read_hashes(&mut reader, "needed changes")?;
        let summaries = reader.count(limits::REPO_SUMMARIES_MAX, "summaries")?;
        let mut have = Vec::with_capacity(summaries);
        for _ in 0..summaries {
            have.push(Have {
                last_sync: read_hashes(&mut reader, "shared heads")?,
                bloom: Bloom::decode(&mut reader)?,
            });
        }
        let count = reader.count(limits::REPO_CHUNKS_MAX, "chunks")?;
        let mut chunks = Vec::new();
        for _ in 0..count {
            let chunk = reader.bytes(limits::REPO_MESSAGE_BYTES_MAX, "chunk")?;
            chunks.push(bytes.slice_ref(chunk));
        }
        let flags = if reader.remaining() > 0 {
            Some(Flags::read(reader.bytes(FLAG_BYTES_MAX, "flags")?))
        } else {
            None
        };
        Ok(Self {
            heads,
            need,
            have,
            chunks,
            flags,
            is_version_2: version == VERSION_2,
        })
    }
}

impl Flags {
    fn read(bytes: &[u8]) -> Self {
        let bits = bytes.iter().filter(|it| **it & FLAGS != 0);
        let bits = bits.fold(0, |all, it| all | it);
        Self {
            reset: bits & RESET != 0,
            read_only: bits & READ_ONLY != 0,
        }
    }
}

fn write_hashes(writer: &mut Writer, hashes: &[ChangeHash]) {
    writer.count(hashes.len());
    for hash in hashes {
        writer.raw(hash.as_bytes());
    }
}

/// Hashes, sorted.
fn read_hashes(reader: &mut Reader<'_>, what: &'static str) -> Result<Vec<ChangeHash>, Malformed> {
    let count = reader.count(limits::REPO_HASHES_MAX, what)?;
    let mut hashes = Vec::new();
    for _ in 0..count {
        hashes.push(ChangeHash::from_bytes(reader.array(what)?));
    }
    hashes.sort_unstable();
    hashes.dedup();
    Ok(hashes)
}

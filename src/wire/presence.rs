//! What a replica shows of itself for a while: where it is, whose it is, and the author's signature.
//!
//! Nothing of it is ever stored. `docs/protocol.md` tells how it travels.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::part::{self, unexpected};
use crate::codec::{Malformed, Reader, Writer};
use crate::error::{Error, ErrorKind};
use crate::id::{CollectionId, RecordId, ReplicaId, SpaceId};
use crate::limits;

/// What a presence is about, such as `cursor` or `typing`: a name by the rule for collections.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(CollectionId);

impl Topic {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Topic {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(Self).map_err(|_not_a_name| {
            let shown: String = text.chars().take(80).collect();
            let message = format!(
                "'{shown}' is not a topic: 1 to 64 of a-z, 0-9, '-', '_' and '.', starting with a letter"
            );
            Error::new(ErrorKind::InvalidInput, message)
        })
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({self})")
    }
}

/// Where in a space somebody is present.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In the space as such.
    Space,
    /// At a record, which need not exist.
    Record(CollectionId, RecordId),
}

/// What presences are kept apart by, besides who shows them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The space.
    pub space: SpaceId,
    /// Where in it.
    pub place: Place,
    /// What it is about.
    pub topic: Topic,
}

/// One presence: who shows something, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// Where.
    pub slot: Slot,
    /// Who.
    pub author: ReplicaId,
}

/// Which of two notes of one spot is the newer: an author's sessions go up, and the numbers in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// When the author's node was opened, by its clock.
    pub session: u64,
    /// Counts the notes of the session.
    pub number: u64,
}

/// What an author shows, or that it shows nothing any more. It travels as it was signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Note {
    /// Its place in the order.
    pub stamp: Stamp,
    /// How long it holds, in milliseconds; 0 takes back what was shown before.
    pub ttl_millis: u32,
    /// What is shown, as the program encodes it. Empty if it is taken back.
    pub payload: Bytes,
    /// The author's, over [`Note::signed_bytes`].
    pub signature: [u8; 64],
}

impl Note {
    /// Whether it takes back what was shown before.
    pub const fn is_gone(&self) -> bool {
        self.ttl_millis == 0
    }

    /// How long it holds.
    pub fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_millis.into())
    }

    /// What the author signs.
    pub fn signed_bytes(&self, spot: &Spot) -> Vec<u8> {
        let mut writer = Writer::with_capacity(192 + self.payload.len());
        spot.write(&mut writer);
        writer
            .u64(self.stamp.session)
            .u64(self.stamp.number)
            .u32(self.ttl_millis)
            .raw(&self.payload);
        writer.finish()
    }
}

impl fmt::Debug for Note {
    /// Shows nothing of the content, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Note")
            .field("stamp", &self.stamp)
            .field("ttl_millis", &self.ttl_millis)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// What a presence message says of its spot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The sender has no way to the author any more.
    Lost,
    /// The author says something.
    Said {
        /// Links that it had crossed before this one.
        hops: u8,
        /// How long it still holds, in milliseconds; 0 if it takes something back.
        left_millis: u32,
        /// What.
        note: Arc<Note>,
    },
}

/// One presence message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Who, and where.
    pub spot: Spot,
    /// What is said of it.
    pub word: Word,
}

const IN_SPACE: u8 = 0;
const AT_RECORD: u8 = 1;

const LOST: u8 = 0;
const SAID: u8 = 1;

impl Spot {
    fn write(&self, writer: &mut Writer) {
        let Slot {
            space,
            place,
            topic,
        } = &self.slot;
        writer.raw(space.as_bytes());
        match place {
            Place::Space => {
                writer.u8(IN_SPACE);
            }
            Place::Record(collection, record) => {
                writer.u8(AT_RECORD);
                writer.text(collection.as_str()).raw(record.as_bytes());
            }
        }
        writer.text(topic.as_str()).raw(self.author.as_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let space = part::space(reader)?;
        let place = match reader.u8("place")? {
            IN_SPACE => Place::Space,
            AT_RECORD => Place::Record(part::collection(reader)?, part::record(reader)?),
            other => return Err(unexpected(reader, "place", usize::from(other))),
        };
        let topic = Topic(part::collection(reader)?);
        let author = ReplicaId::from_bytes(reader.array("author")?);
        let slot = Slot {
            space,
            place,
            topic,
        };
        Ok(Self { slot, author })
    }
}

impl Presence {
    pub(super) fn size_hint(&self) -> usize {
        match &self.word {
            Word::Lost => 256,
            Word::Said { note, .. } => 384 + note.payload.len(),
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        self.spot.write(writer);
        let Word::Said {
            hops,
            left_millis,
            note,
        } = &self.word
        else {
            writer.u8(LOST);
            return;
        };
        writer
            .u8(SAID)
            .u8(*hops)
            .u64(note.stamp.session)
            .varint(note.stamp.number)
            .varint(note.ttl_millis.into());
        if !note.is_gone() {
            writer.varint((*left_millis).into()).bytes(&note.payload);
        }
        writer.raw(&note.signature);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let spot = Spot::read(reader)?;
        let word = match reader.u8("word")? {
            LOST => Word::Lost,
            SAID => said(reader)?,
            other => return Err(unexpected(reader, "word", usize::from(other))),
        };
        Ok(Self { spot, word })
    }
}

fn said(reader: &mut Reader<'_>) -> Result<Word, Malformed> {
    let hops = reader.u8("hops")?;
    if hops >= limits::PRESENCE_HOPS_MAX {
        return Err(unexpected(reader, "hops", usize::from(hops)));
    }
    let session = reader.u64("session")?;
    let number = reader.varint("number")?;
    let ttl_millis = millis(reader, limits::PRESENCE_TTL_MAX, "time to live")?;
    let mut left_millis = 0;
    let mut payload = Bytes::new();
    if ttl_millis > 0 {
        let ttl = Duration::from_millis(ttl_millis.into());
        left_millis = millis(reader, ttl, "time left")?;
        if left_millis == 0 {
            return Err(unexpected(reader, "time left", 0));
        }
        // Kept long after its frame, of which it must not keep the rest.
        payload =
            Bytes::copy_from_slice(reader.bytes(limits::PRESENCE_BYTES_MAX, "presence payload")?);
    }
    let signature = reader.array("signature")?;
    let note = Arc::new(Note {
        stamp: Stamp { session, number },
        ttl_millis,
        payload,
        signature,
    });
    Ok(Word::Said {
        hops,
        left_millis,
        note,
    })
}

fn millis(reader: &mut Reader<'_>, max: Duration, what: &'static str) -> Result<u32, Malformed> {
    let millis = reader.varint(what)?;
    let fits = u32::try_from(millis).ok();
    let fits = fits.filter(|it| Duration::from_millis((*it).into()) <= max);
    fits.ok_or_else(|| unexpected(reader, what, usize::try_from(millis).unwrap_or(usize::MAX)))
}

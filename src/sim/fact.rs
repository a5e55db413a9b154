//! What happened in a simulated cluster, for traces and oracles.

use std::fmt;

use crate::engine::{LinkId, Shown, Ticket};
use crate::error::ErrorKind;
use crate::id::{BlobId, ChangeHash, Lsn, RecordKey, SpaceId};
use crate::reconcile::RangeKind;
use crate::session::{BlobPart, Inbound, InboundBody};
use crate::time::Instant;
use crate::wire::{Class, Message, Presence, Standing, Walk, Word};

/// Changes of a frame that are named when it is shown.
const NAMED_MAX: usize = 6;

/// Something that happened on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// When, in the time of the world.
    pub at: Instant,
    /// On which host.
    pub host: usize,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// It sent a frame of this many bytes.
    Sent {
        /// To which host.
        to: usize,
        /// Bytes before compression.
        bytes: usize,
    },
    /// A frame came.
    Heard {
        /// From which host.
        from: usize,
        /// What it said.
        heard: Heard,
    },
    /// It dials.
    Dialled {
        /// Which host.
        to: usize,
    },
    /// A link opened.
    Linked,
    /// A link is gone.
    Lost {
        /// Why.
        reason: String,
    },
    /// What it heard last waits until a worker has made a graph.
    HeldBack,
    /// It hung up.
    Closed,
    /// A local transaction ended, well or with this error.
    Captured(Ticket, Result<(), ErrorKind>),
    /// Changes of saved documents were taken in: so many of them were new.
    Imported(Ticket, Result<u64, ErrorKind>),
    /// What was waited for is with those it was waited for, or can't get there.
    Delivered(Ticket, Result<(), ErrorKind>),
    /// Something that was asked of attachments is done; a number says what the request says that it does.
    Blob(Ticket, Result<u64, ErrorKind>),
    /// It sees what somebody shows, or that they are gone.
    Present(Shown),
    /// A view changed.
    Shown(RecordKey),
    /// A worker made a snapshot of a record.
    Folded(RecordKey),
    /// All records were folded that can be: so many.
    Compacted(u64),
    /// Snapshots came, with so many changes in them.
    Unfolded(u64),
    /// Its process or its power died.
    Crashed {
        /// Bytes that it had written and not synced.
        unsynced_bytes: usize,
        /// Whether the power went, and not only the process.
        power: bool,
    },
    /// It started on what its disk holds.
    Started,
    /// It could not start.
    NotStarted(String),
    /// Its store can't be written any more.
    StoreFailed,
}

/// What a frame said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// Changes of records.
    Changes {
        /// The space.
        space: SpaceId,
        /// The flow.
        class: Class,
        /// The end of the sender's log that it covers.
        upto: Lsn,
        /// The changes of each record, and whether they answer a question.
        groups: Vec<(RecordKey, bool, Vec<ChangeHash>)>,
    },
    /// Something of an attachment.
    Blob(BlobId, BlobWord),
    /// What somebody shows, and by which link it was heard.
    Presence(LinkId, Presence),
    /// Another message, by its name.
    Other(&'static str),
    /// Not a message.
    Broken(&'static str),
}

/// What a frame said of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobWord {
    /// So many chunks of it are asked for; none asks for the manifest.
    Wanted(usize),
    /// Its manifest.
    Manifest,
    /// One of its chunks.
    Chunk {
        /// Which.
        index: u32,
        /// Whether it was there already.
        known: bool,
    },
    /// How the sender stands with it.
    State(Standing),
}

impl Heard {
    pub(super) fn of(frame: &Inbound, link: LinkId) -> Self {
        match &frame.body {
            InboundBody::Hello(..) => Self::Other("hello"),
            InboundBody::Other(Message::Walk(walk)) if leaves_some(walk) => {
                Self::Other(PARTIAL_WALK)
            }
            InboundBody::Presence(presence, _) => Self::Presence(link, presence.clone()),
            InboundBody::Blob { name, part, .. } => {
                let word = match part {
                    BlobPart::Manifest(_) => BlobWord::Manifest,
                    BlobPart::Chunk(index, _) => BlobWord::Chunk {
                        index: *index,
                        known: false,
                    },
                };
                Self::Blob(name.1, word)
            }
            InboundBody::Other(Message::BlobWant(want)) => {
                Self::Blob(want.blob, BlobWord::Wanted(want.chunk_count()))
            }
            InboundBody::Other(Message::BlobState(state)) => {
                Self::Blob(state.blob, BlobWord::State(state.standing))
            }
            InboundBody::Other(message) => Self::Other(message.kind_name()),
            InboundBody::Changes {
                space,
                class,
                upto,
                groups,
                ..
            } => {
                let groups = groups.iter().map(|group| {
                    let key = RecordKey {
                        space: *space,
                        collection: group.collection.clone(),
                        record: group.record,
                    };
                    let hash = |it: &crate::doc::Received| match it {
                        Ok(change) => change.hash(),
                        Err(refused) => refused.hash,
                    };
                    (key, group.done, group.changes.iter().map(hash).collect())
                });
                Self::Changes {
                    space: *space,
                    class: *class,
                    upto: *upto,
                    groups: groups.collect(),
                }
            }
        }
    }
}

/// What a walk is called that leaves something for the next one.
pub(super) const PARTIAL_WALK: &str = "walk, some for later";

fn leaves_some(walk: &Walk) -> bool {
    let mut ranges = walk.collections.iter().flat_map(|it| &it.ranges);
    ranges.any(|it| it.kind == RangeKind::Later)
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { to, bytes } => write!(f, "sends {bytes} bytes to {to}"),
            Self::Heard { from, heard } => write!(f, "hears from {from}: {heard}"),
            Self::Dialled { to } => write!(f, "dials {to}"),
            Self::Linked => f.write_str("has a link"),
            Self::Lost { reason } => write!(f, "lost a link: {reason}"),
            Self::HeldBack => f.write_str("holds it back until a graph is made"),
            Self::Closed => f.write_str("hangs up"),
            Self::Captured(_, Ok(())) => f.write_str("commits a local edit"),
            Self::Captured(_, Err(kind)) => write!(f, "refuses a local edit: {kind:?}"),
            Self::Imported(_, Ok(new)) => {
                write!(f, "takes in a saved document with {new} new changes")
            }
            Self::Imported(_, Err(kind)) => write!(f, "refuses a saved document: {kind:?}"),
            Self::Delivered(_, Ok(())) => f.write_str("knows an edit delivered"),
            Self::Delivered(_, Err(kind)) => write!(f, "waits no longer for a delivery: {kind:?}"),
            Self::Blob(_, Ok(_)) => f.write_str("has done what was asked of attachments"),
            Self::Blob(_, Err(kind)) => {
                write!(f, "refuses what was asked of attachments: {kind:?}")
            }
            Self::Present(Shown { spot, payload }) => {
                let there = if payload.is_some() { "there" } else { "gone" };
                write!(f, "sees that {} is {there}", spot.author.short())
            }
            Self::Shown(key) => write!(f, "shows {}/{}", key.collection, key.record.short()),
            Self::Folded(key) => write!(f, "folds {}/{}", key.collection, key.record.short()),
            Self::Compacted(records) => write!(f, "is compacted, {records} records folded"),
            Self::Unfolded(changes) => write!(f, "takes snapshots of {changes} changes apart"),
            Self::Crashed {
                unsynced_bytes,
                power: true,
            } => write!(f, "loses power with {unsynced_bytes} bytes not synced"),
            Self::Crashed { .. } => f.write_str("is killed"),
            Self::Started => f.write_str("starts"),
            Self::NotStarted(why) => write!(f, "can't start: {why}"),
            Self::StoreFailed => f.write_str("can't write its store any more"),
        }
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changes {
                class,
                upto,
                groups,
                ..
            } => {
                let changes: usize = groups.iter().map(|(_, _, it)| it.len()).sum();
                let records = groups.len();
                let class = class.name();
                write!(
                    f,
                    "{class} changes, {changes} of {records} records, up to {upto}"
                )?;
                // Few enough to follow one by one.
                let hashes = groups.iter().flat_map(|(_, _, it)| it);
                hashes
                    .take(NAMED_MAX)
                    .try_for_each(|it| write!(f, " {}", it.short()))
            }
            Self::Blob(blob, word) => write!(f, "{word} of attachment {}", blob.short()),
            Self::Presence(_, Presence { spot, word }) => {
                let author = spot.author.short();
                match word {
                    Word::Lost => write!(f, "no way to {author} any more"),
                    Word::Said { hops, note, .. } => {
                        let number = note.stamp.number;
                        write!(f, "presence {number} of {author}, over {hops} others")
                    }
                }
            }
            Self::Other(name) => f.write_str(name),
            Self::Broken(code) => write!(f, "a broken frame ({code})"),
        }
    }
}

impl fmt::Display for BlobWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wanted(0) => f.write_str("a wish for the manifest"),
            Self::Wanted(chunks) => write!(f, "a wish for {chunks} chunks"),
            Self::Manifest => f.write_str("the manifest"),
            Self::Chunk { index, known } => {
                let again = if *known { ", again," } else { "" };
                write!(f, "chunk {index}{again}")
            }
            Self::State(standing) => write!(f, "{standing:?}"),
        }
    }
}

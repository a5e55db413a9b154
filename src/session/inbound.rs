//! A frame after every check that needs no store: what links hand to the engine.

use bytes::Bytes;

use super::BlobName;
use crate::access;
use crate::blob::{Chunk, Manifest};
use crate::doc::{self, Received};
use crate::id::{CollectionId, CorrelationId, Lsn, RecordId, SpaceId};
use crate::limits;
use crate::plant::{self, Plant};
use crate::wire::{self, Changes, Class, Message, Presence, WireError, Word};

/// A checked frame.
#[derive(Debug)]
pub struct Inbound {
    /// What caused it.
    pub correlation: CorrelationId,
    /// Its message.
    pub body: InboundBody,
}

/// The message of a checked frame.
#[derive(Debug)]
pub enum InboundBody {
    /// The greeting, with the exact bytes that signatures will cover.
    Hello(wire::Hello, Bytes),
    /// Changes, each checked.
    Changes {
        /// The space.
        space: SpaceId,
        /// The flow.
        class: Class,
        /// As in [`Changes::upto`].
        upto: Lsn,
        /// What it costs in credit.
        cost: u64,
        /// The changes by record.
        groups: Vec<Group>,
    },
    /// What somebody shows for a while, and whether its author has signed it.
    Presence(Presence, bool),
    /// A part of an attachment.
    Blob {
        /// The attachment.
        name: BlobName,
        /// The part.
        part: BlobPart,
        /// What it costs in credit.
        cost: u64,
    },
    /// Any other message.
    Other(Message),
}

/// A part of an attachment.
#[derive(Debug)]
pub enum BlobPart {
    /// Its manifest.
    Manifest(Manifest),
    /// A chunk of it, and which.
    Chunk(u32, Chunk),
}

/// Checked changes of one record.
#[derive(Debug)]
pub struct Group {
    /// The record's collection.
    pub collection: CollectionId,
    /// The record.
    pub record: RecordId,
    /// What caused them.
    pub correlation: CorrelationId,
    /// Whether this completes an answer.
    pub done: bool,
    /// The changes.
    pub changes: Vec<Received>,
}

/// A frame that was read, and whose changes are still to be checked.
#[derive(Debug)]
pub struct Opened {
    frame: Bytes,
    correlation: CorrelationId,
    message: Message,
}

/// Reads a frame.
///
/// # Errors
/// When it is not a message.
pub fn open(frame: &Bytes, limit: usize) -> Result<Opened, WireError> {
    let wire::Frame {
        correlation,
        message,
    } = wire::decode(frame, limit)?;
    Ok(Opened {
        frame: frame.clone(),
        correlation,
        message,
    })
}

/// Reads a frame and checks every change in it, see [`Opened::check`].
///
/// # Errors
/// As [`open`]; a bad change inside a good frame is no error here.
pub fn inspect(frame: &Bytes, limit: usize) -> Result<Inbound, WireError> {
    Ok(open(frame, limit)?.check())
}

impl Opened {
    /// How many changes its snapshots say they hold: what checking it takes memory for beyond its
    /// own bytes.
    pub fn folded_changes(&self) -> u64 {
        let Message::Changes(changes) = &self.message else {
            return 0;
        };
        let all = changes.groups.iter().flat_map(|it| &it.changes);
        let snapshots = all.filter(|it| doc::is_snapshot(it));
        snapshots.map(|it| doc::snapshot_changes(it)).sum()
    }

    /// Checks every change in it, and takes snapshots apart into theirs. Pure: links run it in
    /// parallel.
    pub fn check(self) -> Inbound {
        let Self {
            frame,
            correlation,
            message,
        } = self;
        let cost = super::Credit::blob_cost(wire::declared_bytes(&frame));
        let body = body(message, frame, (correlation, cost));
        Inbound { correlation, body }
    }
}

fn body(message: Message, frame: Bytes, (correlation, cost): (CorrelationId, u64)) -> InboundBody {
    match message {
        Message::Hello(hello) => InboundBody::Hello(hello, frame),
        Message::Changes(changes) => check(changes, correlation),
        Message::Presence(presence) => {
            let is_genuine = is_genuine(&presence);
            InboundBody::Presence(presence, is_genuine)
        }
        Message::BlobManifest(it) => InboundBody::Blob {
            name: (it.space, it.blob),
            part: BlobPart::Manifest(it.manifest),
            cost,
        },
        Message::BlobChunk(it) => InboundBody::Blob {
            name: (it.space, it.blob),
            part: BlobPart::Chunk(it.index, Chunk::new(it.bytes)),
            cost,
        },
        other @ (Message::Auth { .. }
        | Message::Open(_)
        | Message::Refused { .. }
        | Message::Walk(_)
        | Message::Want(_)
        | Message::Ack { .. }
        | Message::Credit { .. }
        | Message::Root { .. }
        | Message::Ping { .. }
        | Message::Pong { .. }
        | Message::Bye { .. }
        | Message::Error { .. }
        | Message::BlobWant(_)
        | Message::BlobState(_)
        | Message::Unknown { .. }) => InboundBody::Other(other),
    }
}

/// Whether the author has signed it. That a way was lost is said by the peer itself.
fn is_genuine(presence: &Presence) -> bool {
    let spot = &presence.spot;
    if plant::is_planted(Plant::BelievePresence) {
        return true;
    }
    match &presence.word {
        Word::Lost => true,
        Word::Said { note, .. } => {
            let signed = note.signed_bytes(spot);
            access::verify_presence(spot.author, &signed, &note.signature).is_ok()
        }
    }
}

impl Inbound {
    /// The same in steps that hold nobody up: where snapshots bring many changes these come by
    /// [`limits::CHANGES_PER_STEP`], and what the frame says of their end comes with the last.
    pub fn steps(self) -> Vec<Self> {
        let Self { correlation, body } = self;
        let InboundBody::Changes {
            space,
            class,
            upto,
            cost,
            groups,
        } = body
        else {
            return vec![Self { correlation, body }];
        };
        let mut steps = split(groups);
        let last = steps.pop().unwrap_or_default();
        let step = |groups, upto, cost| Self {
            correlation,
            body: InboundBody::Changes {
                space,
                class,
                upto,
                cost,
                groups,
            },
        };
        let mut inbound: Vec<_> = steps.into_iter().map(|it| step(it, Lsn(0), 0)).collect();
        inbound.push(step(last, upto, cost));
        inbound
    }

    /// Bytes of the changes in it.
    pub fn change_bytes(&self) -> usize {
        let InboundBody::Changes { groups, .. } = &self.body else {
            return 0;
        };
        let changes = groups.iter().flat_map(|it| &it.changes);
        changes.map(doc::received_bytes).sum()
    }
}

/// Parts groups so that no part has more than [`limits::CHANGES_PER_STEP`] changes.
fn split(groups: Vec<Group>) -> Vec<Vec<Group>> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut room = limits::CHANGES_PER_STEP;
    for mut group in groups {
        while group.changes.len() > room {
            let rest = group.changes.split_off(room);
            let whole = Group {
                collection: group.collection.clone(),
                changes: std::mem::replace(&mut group.changes, rest),
                done: false,
                ..group
            };
            part.push(whole);
            parts.push(std::mem::take(&mut part));
            room = limits::CHANGES_PER_STEP;
        }
        room -= group.changes.len();
        part.push(group);
    }
    parts.push(part);
    parts
}

fn check(changes: Changes, frame: CorrelationId) -> InboundBody {
    let cost = super::Credit::cost(&changes);
    let Changes {
        space,
        class,
        upto,
        groups,
    } = changes;
    let mut room = limits::SNAPSHOT_CHANGES_MAX + limits::SNAPSHOT_CHANGES_TARGET;
    let groups = groups.into_iter().map(|group| Group {
        collection: group.collection,
        record: group.record,
        correlation: if group.correlation.0 == 0 {
            frame
        } else {
            group.correlation
        },
        done: group.done,
        changes: received(group.changes, &mut room),
    });
    InboundBody::Changes {
        space,
        class,
        upto,
        cost,
        groups: groups.collect(),
    }
}

/// Checks changes, and takes snapshots apart as long as there is room for what is in them.
fn received(changes: Vec<Bytes>, room: &mut u64) -> Vec<Received> {
    let mut received = Vec::with_capacity(changes.len());
    for bytes in changes {
        if !doc::is_snapshot(&bytes) {
            received.push(doc::inspect(bytes));
            continue;
        }
        let inside = doc::snapshot_changes(&bytes);
        if let Some(rest) = room.checked_sub(inside) {
            *room = rest;
            match doc::inspect_snapshot(bytes) {
                Ok(inside) => received.extend(inside.into_iter().map(Ok)),
                Err(refused) => received.push(Err(refused)),
            }
        } else {
            let detail = "the snapshots of one frame have too many changes".to_owned();
            received.push(Err(doc::refuse(bytes, detail)));
        }
    }
    received
}

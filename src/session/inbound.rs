//! A frame after every check that needs no store: what links hand to the engine.

use bytes::Bytes;

use crate::doc::{self, Received};
use crate::id::{CollectionId, CorrelationId, Lsn, RecordId, SpaceId};
use crate::wire::{self, Changes, Class, Message, WireError};

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
    /// Any other message.
    Other(Message),
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

/// Decodes a frame and checks every change in it. Pure: links run it in parallel.
///
/// # Errors
/// When the frame is not a message; a bad change inside a good frame is no error here.
pub fn inspect(frame: &Bytes, limit: usize) -> Result<Inbound, WireError> {
    let wire::Frame {
        correlation,
        message,
    } = wire::decode(frame, limit)?;
    let body = match message {
        Message::Hello(hello) => InboundBody::Hello(hello, frame.clone()),
        Message::Changes(changes) => check(changes, correlation),
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
        | Message::Unknown { .. }) => InboundBody::Other(other),
    };
    Ok(Inbound { correlation, body })
}

fn check(changes: Changes, frame: CorrelationId) -> InboundBody {
    let cost = super::Credit::cost(&changes);
    let Changes {
        space,
        class,
        upto,
        groups,
    } = changes;
    let groups = groups.into_iter().map(|group| Group {
        collection: group.collection,
        record: group.record,
        correlation: if group.correlation.0 == 0 {
            frame
        } else {
            group.correlation
        },
        done: group.done,
        changes: group.changes.into_iter().map(doc::inspect).collect(),
    });
    InboundBody::Changes {
        space,
        class,
        upto,
        cost,
        groups: groups.collect(),
    }
}

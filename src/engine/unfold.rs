//! Frames and imports that wait until a worker has made the whole graph of a record again: where their
//! changes belong cannot be told without it, and the engine's turn is too short for making it.

use std::collections::VecDeque;

use super::link::Link;
use super::{Effect, Engine, LinkId, Reply, Ticket};
use crate::error::{Error, ErrorKind, Result};
use crate::id::RecordKey;
use crate::plant::{self, Plant};
use crate::replica::{Intake, Unfolded};
use crate::session::{Inbound, InboundBody, Input};
use crate::telemetry::names;
use crate::time::Now;
use crate::wire::ErrorCode;

/// A checked frame, or what is wrong with it.
pub(super) type Frame = Result<Inbound, (ErrorCode, String)>;

/// What came on a link from the frame on that waits for a record's graph. An honest peer stops when its
/// credit is used up; what others send is bounded by the shell, which keeps the room of these frames
/// taken ([`Engine::parked`]).
#[derive(Debug)]
pub(super) struct Parked {
    key: RecordKey,
    frames: VecDeque<Frame>,
}

impl Engine {
    /// How many frames of a link wait for a record's graph, so that the room that they take is not free.
    pub fn parked(&self, link: LinkId) -> usize {
        let parked = self.links.get(&link).and_then(|it| it.parked.as_ref());
        parked.map_or(0, |it| it.frames.len())
    }

    /// A frame came.
    pub(super) fn frame(&mut self, now: Now, id: LinkId, frame: Frame) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if let Some(parked) = &mut link.parked {
            parked.frames.push_back(frame);
            return;
        }
        // What can't be read its session finds again, and says so.
        let Ok(Some(key)) = self.unplaceable(id, &frame) else {
            return self.hear(now, id, frame);
        };
        self.ask_for_graph(&key);
        if let Some(link) = self.links.get_mut(&id) {
            let frames = VecDeque::from([frame]);
            link.parked = Some(Parked { key, frames });
        }
    }

    fn ask_for_graph(&mut self, key: &RecordKey) {
        if self.unfolding.insert(key.clone()) {
            self.ready.push_back(Effect::Unfold(key.clone()));
        }
    }

    /// The application brings changes of a record.
    pub(super) fn import(&mut self, ticket: Ticket, intake: Intake) {
        let must_unfold = self.replica.must_unfold(&intake.key, &intake.changes);
        if self.stopping.is_none() && matches!(must_unfold, Ok(true)) {
            self.ask_for_graph(&intake.key);
            self.imports.push((ticket, intake));
        } else {
            self.take_in(ticket, &intake);
        }
    }

    fn take_in(&mut self, ticket: Ticket, intake: &Intake) {
        let applied = if self.stopping.is_some() {
            Err(Error::new(ErrorKind::Closed, "the node is shutting down"))
        } else {
            self.replica.apply(intake)
        };
        match applied {
            Ok(fates) => self.captured.push((ticket, Reply::Imported(Ok(fates)))),
            Err(error) => self.reply(ticket, Reply::Imported(Err(error))),
        }
    }

    fn hear(&mut self, now: Now, id: LinkId, frame: Frame) {
        let input = match frame {
            Ok(frame) => Input::Frame(frame),
            Err((code, text)) => Input::Broken(code, text),
        };
        self.tell(now, id, input);
    }

    /// The first record of which it takes the whole graph to place the changes in a frame.
    fn unplaceable(&self, id: LinkId, frame: &Frame) -> Result<Option<RecordKey>> {
        let Ok(Inbound { body, .. }) = frame else {
            return Ok(None);
        };
        let InboundBody::Changes { space, groups, .. } = body else {
            return Ok(None);
        };
        let session = self.links.get(&id).map(|it| &it.session);
        for group in groups {
            if !session.is_some_and(|it| it.takes(*space, &group.collection)) {
                return Ok(None);
            }
            let key = RecordKey {
                space: *space,
                collection: group.collection.clone(),
                record: group.record,
            };
            if self.replica.must_unfold(&key, &group.changes)? {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// A worker has made the graph of a record, if it could: what waited for it goes on.
    pub(super) fn unfolded(&mut self, now: Now, key: &RecordKey, unfolded: Option<Unfolded>) {
        self.unfolding.remove(key);
        if let Some(unfolded) = unfolded {
            metrics::counter!(names::GRAPHS_UNFOLDED_APART).increment(1);
            if let Err(error) = self.replica.keep_unfolded(key, unfolded) {
                tracing::warn!(record = %key, %error, "could not keep a graph");
            }
        }
        let imports = std::mem::take(&mut self.imports).into_iter();
        let (due, rest): (Vec<_>, _) = imports.partition(|(_, it)| it.key == *key);
        self.imports = rest;
        for (ticket, intake) in due {
            self.take_in(ticket, &intake);
        }
        let waits = |it: &Link| it.parked.as_ref().is_some_and(|it| it.key == *key);
        let links = self.links.iter().filter(|(_, it)| waits(it));
        for id in links.map(|(id, _)| *id).collect::<Vec<_>>() {
            let parked = self.links.get_mut(&id).and_then(|it| it.parked.take());
            let mut frames = parked.map(|it| it.frames).unwrap_or_default();
            // Nothing waits twice: should the graph be gone again it is made in the turn.
            if let Some(first) = frames.pop_front() {
                self.hear(now, id, first);
            }
            if plant::is_planted(Plant::DropParked) {
                continue;
            }
            for frame in frames {
                self.frame(now, id, frame);
            }
        }
    }
}

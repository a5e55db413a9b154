//! Sessions against peers that keep the rules, and peers that break one.

mod lies;
mod opening;
mod presence;
mod relay;
mod timers;
mod violations;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{BlobName, Closed, Config, Delivery, Gate, Input, Output, Session, Taken, inspect};
use crate::access::{Admission, Identity, Policy, Role, Spaces};
use crate::blob::{Chunk, Manifest, Missing};
use crate::entropy::Entropy;
use crate::error::Result;
use crate::id::{
    BlobId, ChangeHash, CollectionId, CorrelationId, Heads, Lsn, RecordKey, SpaceId, StoreId,
};
use crate::ledger::Cursor;
use crate::limits;
use crate::reconcile::{Inventory, LogEntry, Piece, Snapshot, Span, Total, Upper, WalkItem};
use crate::time::Instant;
use crate::wire::{ErrorCode, Message, Wanted, encode};

const START: Instant = Instant::from_micros(1_000_000);

fn space() -> SpaceId {
    SpaceId::named("shared")
}

/// A replica without records that takes in whatever comes.
#[derive(Debug, Default)]
struct Nothing {
    delivered: usize,
    /// It says that whatever is asked about is here.
    knows_all: bool,
}

impl Gate for Nothing {
    fn deliver(&mut self, delivery: Delivery) -> Result<Taken> {
        self.delivered += delivery.changes.len();
        Ok(Taken::default())
    }

    fn take_manifest(&mut self, _: BlobName, _: &Manifest) -> Result<bool> {
        Ok(true)
    }

    fn take_chunk(&mut self, _: BlobName, _: u32, _: &Chunk) -> Result<bool> {
        Ok(true)
    }

    fn cursor(&self, _: StoreId, _: SpaceId) -> Result<Option<Cursor>> {
        Ok(None)
    }

    fn set_cursor(&mut self, _: StoreId, _: SpaceId, _: &Cursor) {}
}

impl Inventory for Nothing {
    fn collections(&self, _: SpaceId) -> Result<Vec<CollectionId>> {
        Ok(Vec::new())
    }

    fn total(&self, _: SpaceId, _: &CollectionId, _: Span) -> Result<Total> {
        Ok(Total::default())
    }

    fn items(&self, _: SpaceId, _: &CollectionId, _: Span, _: usize) -> Result<Vec<WalkItem>> {
        Ok(Vec::new())
    }

    fn parts(
        &self,
        _: SpaceId,
        _: &CollectionId,
        span: Span,
        _: usize,
    ) -> Result<Vec<(Upper, Total)>> {
        Ok(vec![(span.upper, Total::default())])
    }

    fn newest(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        span: Span,
        leaf: usize,
    ) -> Result<Vec<(Upper, Total)>> {
        self.parts(space, collection, span, leaf)
    }

    fn heads(&self, _: &RecordKey) -> Result<Option<Heads>> {
        Ok(None)
    }

    fn unknown(&self, _: &RecordKey, hashes: &[ChangeHash]) -> Result<Vec<ChangeHash>> {
        let unknown = if self.knows_all { &[] } else { hashes };
        Ok(unknown.to_vec())
    }

    fn samples(&self, _: &RecordKey) -> Result<Vec<ChangeHash>> {
        Ok(Vec::new())
    }

    fn lacking(&self, _: &RecordKey, _: &[ChangeHash]) -> Result<Vec<Piece>> {
        Ok(Vec::new())
    }

    fn snapshot(&self, _: &RecordKey) -> Result<Option<Snapshot>> {
        Ok(None)
    }

    fn horizon(&self, _: SpaceId) -> Result<Lsn> {
        Ok(Lsn(0))
    }

    fn blob_manifest(&self, _: SpaceId, _: BlobId) -> Result<Option<Manifest>> {
        Ok(None)
    }

    fn blob_chunk(&self, _: SpaceId, _: BlobId, _: u32) -> Result<Option<Bytes>> {
        Ok(None)
    }

    fn blob_missing(&self, _: SpaceId, _: BlobId, _: (&BTreeSet<u32>, usize)) -> Result<Missing> {
        Ok(Missing::Manifest)
    }

    fn weight(&self, _: &RecordKey) -> Result<u64> {
        Ok(0)
    }

    fn lsn(&self, _: SpaceId) -> Result<Lsn> {
        Ok(Lsn(0))
    }

    fn entry(&self, _: SpaceId, _: Lsn) -> Result<Option<LogEntry>> {
        Ok(None)
    }

    fn log(
        &self,
        _: SpaceId,
        _: Lsn,
        _: &mut dyn FnMut(LogEntry) -> ControlFlow<()>,
    ) -> Result<()> {
        Ok(())
    }
}

fn config(number: u8, role: Role) -> Config {
    let mut entropy = Entropy::from_number(number.into());
    Config {
        identity: Arc::new(Identity::generate(&mut entropy)),
        store: StoreId::from_bytes([number; 16]),
        role,
        expect: None,
        policy: Arc::new(Policy {
            replicas: Admission::Anyone,
            spaces: Spaces::Any,
        }),
        spaces: vec![(space(), Wanted::All)],
        nonce: entropy.bytes(),
        correlation: CorrelationId(number.into()),
    }
}

fn dialer() -> Config {
    config(1, Role::Dialer)
}

fn listener() -> Config {
    config(2, Role::Listener)
}

/// A session, the time at its place, and what it has sent and said.
struct Side {
    session: Session,
    gate: Nothing,
    now: Instant,
    sent: Vec<Vec<u8>>,
    closed: Option<Closed>,
    established: bool,
}

impl Side {
    fn new(config: Config) -> Self {
        let mut side = Self {
            session: Session::new(config, START),
            gate: Nothing::default(),
            now: START,
            sent: Vec::new(),
            closed: None,
            established: false,
        };
        side.drain();
        side
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll(self.now, &self.gate).unwrap() {
            match output {
                Output::Send(frame) => self.sent.push(frame),
                Output::Established { .. } => self.established = true,
                Output::Acked { .. } | Output::Blob(..) => {}
                Output::Close(why) => self.closed = Some(why),
            }
        }
    }

    fn handle(&mut self, input: Input) {
        self.session
            .handle(self.now, input, &mut self.gate)
            .unwrap();
        self.drain();
    }

    fn hear(&mut self, frame: Vec<u8>) {
        let frame = inspect(&Bytes::from(frame), limits::FRAME_BYTES_MAX).unwrap();
        self.handle(Input::Frame(frame));
    }

    /// Says a message to it as its peer.
    fn told(&mut self, message: &Message) {
        self.hear(encode(CorrelationId(7), message));
    }

    fn wait(&mut self, span: Duration) {
        self.now = self.now + span;
        self.handle(Input::Wake);
    }

    /// What it has sent since this was last asked for.
    fn said(&mut self) -> Vec<Message> {
        let frames = std::mem::take(&mut self.sent);
        let message = |it: Vec<u8>| crate::wire::decode(&Bytes::from(it), usize::MAX);
        frames
            .into_iter()
            .map(|it| message(it).unwrap().message)
            .collect()
    }

    /// The rule that it says was broken, after it has told its peer so as its last word.
    fn fault(&mut self) -> Option<ErrorCode> {
        let Some(Closed::Ours { code, .. }) = self.closed else {
            return None;
        };
        let last = self.said().pop();
        assert!(matches!(last, Some(Message::Error { code: said, .. }) if said == code));
        Some(code)
    }
}

/// Carries frames both ways until nobody says anything more.
fn talk(a: &mut Side, b: &mut Side) {
    while !(a.sent.is_empty() && b.sent.is_empty()) {
        for frame in std::mem::take(&mut a.sent) {
            b.hear(frame);
        }
        for frame in std::mem::take(&mut b.sent) {
            a.hear(frame);
        }
    }
}

/// A session that has proved itself and opened the space with a peer that says nothing more.
fn talking() -> Side {
    let (mut a, mut b) = (Side::new(dialer()), Side::new(listener()));
    talk(&mut a, &mut b);
    assert!(a.established && a.closed.is_none());
    a
}

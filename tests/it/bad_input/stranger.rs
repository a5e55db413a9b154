//! A peer that speaks for itself, frame by frame, and need not be honest.

use std::time::Duration;

use bytes::Bytes;
use syncline::access::{Identity, Role, Transcript};
use syncline::id::{CorrelationId, Lsn, SpaceId, StoreId};
use syncline::reconcile::{RangeKind, Summary, Upper, WalkCollection, WalkRange};
use syncline::transport::websocket::WebSocketConnector;
use syncline::transport::{Connector as _, FrameSink, FrameSource};
use syncline::wire::{
    self, ChangeGroup, Changes, Class, ErrorCode, Features, Hello, Message, Open, Walk, Wanted,
};
use syncline::{RecordId, limits};
use tokio::time::timeout;

/// One end of a link.
pub(super) struct Stranger {
    source: Box<dyn FrameSource>,
    sink: Box<dyn FrameSink>,
    identity: Identity,
    store: StoreId,
    /// What it grants at the start, of each class.
    pub(super) credit: u64,
}

impl Stranger {
    /// Opens a link and says nothing.
    pub(super) async fn dial(address: &str, number: u32) -> Self {
        let mut store = [7; 16];
        store[..4].copy_from_slice(&number.to_be_bytes());
        let mut secret = [7; 32];
        secret[..4].copy_from_slice(&number.to_be_bytes());
        let link = WebSocketConnector::default().connect(address).await;
        let (mut source, sink) = link.expect("a link").split();
        source.trust();
        Self {
            source,
            sink,
            identity: Identity::from_bytes(&secret),
            store: StoreId::from_bytes(store),
            credit: 1 << 20,
        }
    }

    /// Opens a link and proves who it is.
    pub(super) async fn introduced(address: &str, number: u32) -> Self {
        Self::dial(address, number).await.introduces_itself().await
    }

    /// Proves who it is.
    pub(super) async fn introduces_itself(self) -> Self {
        let mut stranger = self;
        let hello = stranger.hello();
        stranger.send_bytes(&hello).await;
        let theirs = stranger
            .source
            .recv()
            .await
            .expect("a frame")
            .expect("a greeting");
        let transcript = Transcript::of(&hello, &theirs);
        let signature = stranger.identity.sign(Role::Dialer, &transcript);
        stranger.send(&Message::Auth { signature }).await;
        stranger
    }

    pub(super) fn hello(&self) -> Vec<u8> {
        let hello = Hello {
            version_min: wire::VERSION_MIN,
            version_max: wire::VERSION_MAX,
            features: Features::default(),
            replica: self.identity.replica_id(),
            store: self.store,
            nonce: [9; 32],
            frame_bytes_max: u32::try_from(limits::FRAME_BYTES_MAX).expect("fits"),
            credit_live: self.credit,
            credit_bulk: self.credit,
            agent: "stranger".to_owned(),
        };
        wire::encode(CorrelationId(1), &Message::Hello(hello))
    }

    pub(super) async fn send(&mut self, message: &Message) {
        self.send_bytes(&wire::encode(CorrelationId(1), message))
            .await;
    }

    pub(super) async fn send_bytes(&mut self, frame: &[u8]) {
        assert!(self.sends(frame).await, "the link holds");
    }

    /// Sends a frame, if the other side still takes one.
    pub(super) async fn sends(&mut self, frame: &[u8]) -> bool {
        let frame = Bytes::copy_from_slice(frame);
        self.sink.send(frame).await.is_ok() && self.sink.flush().await.is_ok()
    }

    /// Opens a space of which it has nothing.
    pub(super) async fn open(&mut self, space: SpaceId) {
        let open = Open {
            space,
            want: Wanted::All,
            root: Summary::default(),
            lsn: Lsn(0),
            acked: Lsn(0),
            resume: false,
        };
        self.send(&Message::Open(open)).await;
    }

    /// Says that it has nothing of the collection, so that all of it is sent.
    pub(super) async fn lacks_all(&mut self, space: SpaceId, collection: &str) {
        let nothing = WalkRange {
            upper: Upper::End,
            kind: RangeKind::Items(Vec::new()),
        };
        let collection = WalkCollection {
            collection: collection.parse().expect("a name"),
            ranges: vec![nothing],
        };
        let walk = Walk {
            space,
            id: 1,
            round: 0,
            collections: vec![collection],
        };
        self.send(&Message::Walk(walk)).await;
    }

    /// What the other side says next; `None` when the link has ended.
    pub(super) async fn hear(&mut self) -> Option<Message> {
        let frame = self.source.recv().await.ok()??;
        let frame = wire::decode(&frame, limits::FRAME_BYTES_MAX).expect("a frame");
        Some(frame.message)
    }

    /// Pushes changes of one record.
    pub(super) async fn push(&mut self, space: SpaceId, record: RecordId, changes: Vec<Bytes>) {
        let group = ChangeGroup {
            collection: "tasks".parse().expect("a name"),
            record,
            correlation: CorrelationId(7),
            done: false,
            changes,
        };
        let changes = Changes {
            space,
            class: Class::Live,
            upto: Lsn(0),
            groups: vec![group],
        };
        self.send(&Message::Changes(changes)).await;
    }

    /// What the other side ends the link with, in bounded time; `None` if it says nothing.
    pub(super) async fn ending(mut self) -> Option<ErrorCode> {
        let ended = async {
            let mut code = None;
            while let Ok(Some(frame)) = self.source.recv().await {
                let frame = wire::decode(&frame, limits::FRAME_BYTES_MAX).expect("a frame");
                if let Message::Error { code: given, .. } = frame.message {
                    code = Some(given);
                }
            }
            code
        };
        timeout(Duration::from_secs(10), ended)
            .await
            .expect("the other side ends the link")
    }
}

//! The task of one client's link: a reader, which takes messages apart and checks what is in them, and a
//! writer.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, interval_at, timeout};
use tracing::Instrument as _;

use super::RepoShared;
use super::thread::{Message, Outward};
use crate::error::Result;
use crate::limits;
use crate::node::link::{CHECK_APART_BYTES, CLOSE_WITHIN, Trust, count, kilobytes};
use crate::node::shared::Shared;
use crate::node::tasks::run_apart;
use crate::repo::{ClientId, Heard, Input, RepoFault};
use crate::telemetry::names;
use crate::transport::{Connection, FrameSink, FrameSource, TransportError};

/// Messages of one link that wait for the thread, so that none keeps the others from it.
const AHEAD_MAX: usize = 64;

/// Messages that a link's channel takes before the client counts as one that does not read: what is
/// made with room in mind, and what is not.
const OUTBOX: usize = limits::REPO_OUTBOX_MESSAGES * 8;

/// The thread's end of a link. Dropping it ends the link without a goodbye.
#[derive(Debug)]
pub(in crate::node) struct Outlet {
    messages: mpsc::Sender<Command>,
    trust: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
enum Command {
    Send(Bytes),
    Close,
}

impl Outlet {
    /// Queues a message; says whether there was room.
    pub(super) fn send(&self, bytes: Vec<u8>) -> bool {
        let sent = self.messages.try_send(Command::Send(bytes.into()));
        // If the link is gone the thread hears of it.
        !matches!(sent, Err(mpsc::error::TrySendError::Full(_)))
    }

    /// The client has joined.
    pub(super) fn trust(&mut self) {
        if let Some(trust) = self.trust.take() {
            // If the reader is gone there is nothing to trust.
            trust.send(()).unwrap_or_default();
        }
    }

    /// Says goodbye after what is queued.
    pub(super) fn close(self) {
        drop(self.messages.try_send(Command::Close));
    }
}

/// Runs a client's link until it ends.
pub(in crate::node) async fn run(
    shared: Arc<Shared>,
    repo: Arc<RepoShared>,
    id: ClientId,
    connection: Connection,
) {
    let (messages, commands) = mpsc::channel(OUTBOX);
    let (trust, trusted) = oneshot::channel();
    let outlet = Outlet {
        messages,
        trust: Some(trust),
    };
    let inbox = repo.inbox.clone();
    if inbox.send(Message::Opened(id, outlet)).await.is_err() {
        return;
    }
    let address = connection.peer_address().to_owned();
    let (source, sink) = connection.split();
    let span = tracing::debug_span!(names::span::LINK, client = id.0, address);
    let both = async {
        tokio::select! {
            () = read(&shared, &repo, id, source, Trust::awaited(trusted)) => {}
            () = write(&shared, id, sink, commands, &inbox) => {}
        }
    };
    both.instrument(span).await;
    drop(
        inbox
            .send(Message::Input(Input::Gone(id), Vec::new()))
            .await,
    );
}

async fn read(
    shared: &Shared,
    repo: &RepoShared,
    id: ClientId,
    mut source: Box<dyn FrameSource>,
    mut trust: Trust,
) {
    let ahead = Arc::new(Semaphore::new(AHEAD_MAX));
    loop {
        let received = tokio::select! {
            received = timeout(limits::REPO_SILENT_FOR, source.recv()) => received,
            given = trust.told() => {
                if given {
                    source.trust();
                }
                continue;
            }
        };
        let Ok(received) = received else {
            tracing::debug!("a client of automerge-repo gives no sign of life");
            return;
        };
        let (heard, bytes) = match received {
            Ok(Some(message)) if message.is_empty() => continue,
            Ok(Some(message)) => {
                let bytes = message.len();
                (take_apart(message, bytes).await, bytes)
            }
            Ok(None) => return,
            Err(error) => match fault(&error) {
                Some(fault) => (Err(fault), 0),
                None => return,
            },
        };
        count(&shared.traffic.received_bytes, names::RECEIVED_BYTES, bytes);
        count(&shared.traffic.received_frames, names::RECEIVED_FRAMES, 1);
        let is_over = heard.is_err();
        let inbound = Arc::clone(&repo.inbound);
        let Ok(room) = inbound.acquire_many_owned(kilobytes(bytes)).await else {
            return;
        };
        let Ok(turn) = Arc::clone(&ahead).acquire_owned().await else {
            return;
        };
        let message = Message::Input(Input::Heard(id, heard.map(Box::new)), vec![room, turn]);
        if repo.inbox.send(message).await.is_err() {
            return;
        }
        if is_over {
            // The thread says why, and ends the link.
            std::future::pending::<()>().await;
        }
        if trust.look() {
            source.trust();
        }
    }
}

/// What the client is told of an error of the transport; nothing if the link has just ended.
fn fault(error: &TransportError) -> Option<RepoFault> {
    match error {
        TransportError::NotBinary | TransportError::FrameTooLarge { .. } => {
            Some(RepoFault::Cbor(error.to_string()))
        }
        TransportError::InvalidAddress { .. }
        | TransportError::Unreachable { .. }
        | TransportError::Listen { .. }
        | TransportError::HandshakeRejected { .. }
        | TransportError::WrongSubprotocol { .. }
        | TransportError::Tls { .. }
        | TransportError::Timeout { .. }
        | TransportError::Malformed { .. }
        | TransportError::Closed
        | TransportError::Io(_) => None,
    }
}

async fn take_apart(message: Bytes, bytes: usize) -> Result<Heard, RepoFault> {
    if bytes <= CHECK_APART_BYTES {
        return Heard::read(&message);
    }
    let opened = run_apart(move || Ok(Heard::read(&message))).await;
    opened.unwrap_or_else(|error| Err(RepoFault::Cbor(error.to_string())))
}

async fn write(
    shared: &Shared,
    id: ClientId,
    mut sink: Box<dyn FrameSink>,
    mut commands: mpsc::Receiver<Command>,
    inbox: &Outward,
) {
    let mut pings = interval_at(
        Instant::now() + limits::REPO_PING_EVERY,
        limits::REPO_PING_EVERY,
    );
    loop {
        let command = tokio::select! {
            command = commands.recv() => command,
            _ = pings.tick() => Some(Command::Send(Bytes::new())),
        };
        let bytes = match command {
            Some(Command::Send(bytes)) => bytes,
            Some(Command::Close) => {
                drop(timeout(CLOSE_WITHIN, sink.close()).await);
                return;
            }
            None => return,
        };
        let size = bytes.len();
        if sink.send(bytes).await.is_err() {
            return;
        }
        if commands.is_empty() && sink.flush().await.is_err() {
            return;
        }
        if size > 0 {
            count(&shared.traffic.sent_bytes, names::SENT_BYTES, size);
            count(&shared.traffic.sent_frames, names::SENT_FRAMES, 1);
            let written = Message::Input(Input::Written(id, size), Vec::new());
            if inbox.send(written).await.is_err() {
                return;
            }
        }
    }
}

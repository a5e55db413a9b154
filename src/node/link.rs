//! One link's tasks: a reader that checks frames before the engine sees them, and a writer that
//! compresses them on their way out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;

use super::driver::Message;
use super::shared::Shared;
use super::tasks::run_apart;
use crate::engine::{Event, LinkId};
use crate::limits;
use crate::session;
use crate::telemetry::names;
use crate::transport::{Connection, FrameSink, FrameSource, TransportError};
use crate::wire::{self, ErrorCode};

/// Time that a link has to write what is left and to hear the other side's goodbye.
pub(super) const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// Frames larger than this are checked away from the tasks that wait for sockets, in bytes.
pub(super) const CHECK_APART_BYTES: usize = 16 * 1024;

/// Bytes after which the engine is told that they were written, so that it makes more.
const REPORT_BYTES: usize = 128 * 1024;

/// The first two frames of a link are the greeting and its proof, which are small.
const HANDSHAKE_FRAMES: u32 = 2;

/// The engine's end of a link. Dropping it ends the link at once.
#[derive(Debug)]
pub(super) struct Outlet {
    frames: mpsc::Sender<Command>,
    trust: Option<oneshot::Sender<()>>,
    /// Dropped with the outlet: from then on the link's time is limited.
    _open: oneshot::Sender<()>,
}

#[derive(Debug)]
enum Command {
    Send(Vec<u8>),
    Close,
}

impl Outlet {
    /// Queues a frame. The engine bounds how much is queued.
    pub(super) fn send(&self, frame: Vec<u8>) {
        // It holds all that the engine hands out. If the link is gone the engine hears of it.
        drop(self.frames.try_send(Command::Send(frame)));
    }

    /// The peer has proved who it is.
    pub(super) fn trust(&mut self) {
        if let Some(trust) = self.trust.take() {
            // If the reader is gone there is nothing to trust.
            trust.send(()).unwrap_or_default();
        }
    }

    /// Says goodbye after what is queued.
    pub(super) fn close(self) {
        drop(self.frames.try_send(Command::Close));
    }
}

/// A link's task. However it ends, with its runtime or by a transport's panic too, the engine hears
/// of it at once.
struct Ending<'a>(&'a Shared, LinkId);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let (link, reason) = (self.1, "its task has ended".to_owned());
        let lost = Message::Event(Event::LinkLost { link, reason });
        // If there is no room, the link is found idle later.
        drop(self.0.inbox.try_send(lost));
    }
}

/// Tells the engine of a link with `event`, then runs it until it ends.
pub(super) async fn run(shared: Arc<Shared>, link: LinkId, connection: Connection, event: Event) {
    let (frames, commands) = mpsc::channel(limits::LINK_OUTBOX_FRAMES_MAX);
    let (trust, trusted) = oneshot::channel();
    let (open, closing) = oneshot::channel::<()>();
    let outlet = Outlet {
        frames,
        trust: Some(trust),
        _open: open,
    };
    if shared
        .inbox
        .send(Message::Link(link, outlet, event))
        .await
        .is_err()
    {
        return;
    }
    let _ending = Ending(&shared, link);
    let address = connection.peer_address().to_owned();
    let (source, sink) = connection.split();
    let span = tracing::debug_span!(names::span::LINK, link = link.0, address);
    let both = async {
        tokio::join!(
            read(&shared, link, source, trusted),
            write(&shared, link, sink, commands)
        )
    };
    let both = both.instrument(span);
    let out_of_time = async {
        drop(closing.await);
        sleep(CLOSE_WITHIN).await;
    };
    tokio::select! {
        _ = both => {}
        () = out_of_time => {}
    }
}

/// Whether the peer has proved who it is, as the engine tells it once, or never.
#[derive(Debug)]
pub(super) struct Trust {
    awaited: Option<oneshot::Receiver<()>>,
    is_given: bool,
}

impl Trust {
    pub(super) const fn awaited(told: oneshot::Receiver<()>) -> Self {
        Self {
            awaited: Some(told),
            is_given: false,
        }
    }

    /// Waits until it is told; says whether it was given. Nothing is told twice.
    pub(super) async fn told(&mut self) -> bool {
        let Some(awaited) = &mut self.awaited else {
            return std::future::pending().await;
        };
        let given = awaited.await.is_ok();
        self.awaited = None;
        self.is_given |= given;
        given
    }

    /// Whether it has been given just now.
    pub(super) fn look(&mut self) -> bool {
        let told = self.awaited.as_mut().map(oneshot::Receiver::try_recv);
        if !matches!(told, None | Some(Err(oneshot::error::TryRecvError::Empty))) {
            self.awaited = None;
        }
        let given = told == Some(Ok(()));
        self.is_given |= given;
        given
    }
}

async fn read(
    shared: &Shared,
    link: LinkId,
    mut source: Box<dyn FrameSource>,
    trusted: oneshot::Receiver<()>,
) {
    let mut trust = Trust::awaited(trusted);
    let mut frames = 0_u32;
    let reason = loop {
        let received = tokio::select! {
            received = source.recv() => received,
            given = trust.told() => {
                if given {
                    source.trust();
                }
                continue;
            }
        };
        match received {
            Ok(Some(frame)) => {
                frames = frames.saturating_add(1);
                // It may have been told with the answer that this frame follows.
                if trust.look() {
                    source.trust();
                }
                let limit = if frames <= HANDSHAKE_FRAMES {
                    limits::HANDSHAKE_FRAME_BYTES_MAX
                } else {
                    limits::FRAME_BYTES_MAX
                };
                if !take_in(shared, link, frame, (limit, trust.is_given)).await {
                    return;
                }
            }
            Ok(None) => break "the other side said goodbye".to_owned(),
            Err(error) => {
                if let Some(code) = violation(&error) {
                    let frame = Err((code, error.to_string()));
                    drop(shared.tell(Event::Frame { link, frame }).await);
                }
                break error.to_string();
            }
        }
    };
    drop(shared.tell(Event::LinkLost { link, reason }).await);
}

/// Checks a frame and hands it on; says whether the engine is still there.
async fn take_in(
    shared: &Shared,
    link: LinkId,
    frame: Bytes,
    (limit, is_trusted): (usize, bool),
) -> bool {
    let bytes = frame.len();
    count(&shared.traffic.received_bytes, names::RECEIVED_BYTES, bytes);
    count(&shared.traffic.received_frames, names::RECEIVED_FRAMES, 1);
    // A few bytes may become many: they wait as they came.
    let size = wire::declared_bytes(&frame);
    let inbound = Arc::clone(&shared.inbound);
    let Ok(room) = inbound.acquire_many_owned(kilobytes(size)).await else {
        return false;
    };
    let is_large = size > CHECK_APART_BYTES;
    let opened = apart_if(is_large, move || open(&frame, limit)).await;
    let mut room = vec![room];
    let steps = match opened {
        // A few bytes of them take memory and time, which nobody gets before the proof.
        Ok((_, 1..)) if !is_trusted => {
            let text = "a snapshot before the proof of identity".to_owned();
            Err((ErrorCode::OutOfOrder, text))
        }
        Ok((opened, folded)) => {
            if folded > 0 {
                let unfolding = Arc::clone(&shared.unfolding);
                let Ok(more) = unfolding.acquire_many_owned(thousands(folded)).await else {
                    return false;
                };
                room.push(more);
            }
            apart_if(is_large || folded > 0, || Ok(opened.check().steps())).await
        }
        Err(error) => Err(error),
    };
    let steps = match steps {
        Ok(steps) => steps,
        Err(error) => {
            let frame = Err(error);
            return hand_on(shared, Event::Frame { link, frame }, size, room).await;
        }
    };
    let mut left = steps.len();
    for step in steps {
        left -= 1;
        let room = if left == 0 {
            std::mem::take(&mut room)
        } else {
            Vec::new()
        };
        let size = size.max(step.change_bytes());
        let frame = Ok(step);
        if !hand_on(shared, Event::Frame { link, frame }, size, room).await {
            return false;
        }
    }
    true
}

type Checked<T> = Result<T, (ErrorCode, String)>;

/// Reads a frame, and how many changes its snapshots say they have.
fn open(frame: &Bytes, limit: usize) -> Checked<(session::Opened, u64)> {
    let opened = session::open(frame, limit);
    let opened = opened.map_err(|error| (error.code(), error.to_string()))?;
    let folded = opened.folded_changes();
    Ok((opened, folded))
}

/// Runs what may take long away from the tasks that wait for sockets.
async fn apart_if<T: Send + 'static>(
    takes_long: bool,
    work: impl FnOnce() -> Checked<T> + Send + 'static,
) -> Checked<T> {
    if !takes_long {
        return work();
    }
    // It does not panic; if it did, the frame is to blame.
    let done = run_apart(move || Ok(work())).await;
    done.unwrap_or_else(|panic| Err((ErrorCode::Malformed, panic.to_string())))
}

async fn hand_on(
    shared: &Shared,
    event: Event,
    bytes: usize,
    room: Vec<OwnedSemaphorePermit>,
) -> bool {
    let message = Message::Frame(event, bytes, room);
    shared.inbox.send(message).await.is_ok()
}

/// Room for changes in snapshots, in thousands: what one frame may bring of them.
pub(super) const UNFOLDING: usize =
    ((limits::SNAPSHOT_CHANGES_MAX + limits::SNAPSHOT_CHANGES_TARGET) / 1024) as usize;

/// What so many changes take of that room.
fn thousands(changes: u64) -> u32 {
    let thousands = usize::try_from(changes.div_ceil(1024)).unwrap_or(UNFOLDING);
    u32::try_from(thousands.min(UNFOLDING)).unwrap_or(u32::MAX)
}

/// What a frame of so many bytes takes of the room for all of them. The smallest takes some, too: the
/// engine may hold many of them back.
pub(super) fn kilobytes(bytes: usize) -> u32 {
    let most = limits::INBOUND_BYTES_MAX / 1024;
    u32::try_from(bytes.div_ceil(1024).clamp(1, most)).unwrap_or(u32::MAX)
}

/// What a transport's error says of the other side, if it broke a rule.
const fn violation(error: &TransportError) -> Option<ErrorCode> {
    match error {
        TransportError::FrameTooLarge { .. } => Some(ErrorCode::OverLimit),
        TransportError::NotBinary | TransportError::Malformed { .. } => Some(ErrorCode::Malformed),
        TransportError::InvalidAddress { .. }
        | TransportError::Unreachable { .. }
        | TransportError::Listen { .. }
        | TransportError::WrongSubprotocol { .. }
        | TransportError::HandshakeRejected { .. }
        | TransportError::Timeout { .. }
        | TransportError::Tls { .. }
        | TransportError::Closed
        | TransportError::Io(_) => None,
    }
}

async fn write(
    shared: &Shared,
    link: LinkId,
    mut sink: Box<dyn FrameSink>,
    mut commands: mpsc::Receiver<Command>,
) {
    while let Some(command) = commands.recv().await {
        match write_some(shared, sink.as_mut(), command, &mut commands).await {
            Ok((bytes, is_last)) => {
                if is_last {
                    // A peer that does not read its goodbye is left alone.
                    drop(timeout(CLOSE_WITHIN, sink.close()).await);
                    return;
                }
                drop(shared.tell(Event::Sent { link, bytes }).await);
            }
            Err(error) => {
                let reason = error.to_string();
                drop(shared.tell(Event::LinkLost { link, reason }).await);
                return;
            }
        }
    }
}

/// Writes what is queued, up to a size; gives the bytes as the engine counts them, and whether the
/// link is to be closed.
async fn write_some(
    shared: &Shared,
    sink: &mut dyn FrameSink,
    first: Command,
    commands: &mut mpsc::Receiver<Command>,
) -> Result<(usize, bool), TransportError> {
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(command) = next {
        let Command::Send(frame) = command else {
            return Ok((bytes, true));
        };
        bytes += frame.len();
        let sealed = Bytes::from(wire::seal(frame));
        count(&shared.traffic.sent_bytes, names::SENT_BYTES, sealed.len());
        count(&shared.traffic.sent_frames, names::SENT_FRAMES, 1);
        sink.send(sealed).await?;
        if bytes >= REPORT_BYTES {
            break;
        }
        next = commands.try_recv().ok();
    }
    sink.flush().await?;
    Ok((bytes, false))
}

pub(super) fn count(counter: &std::sync::atomic::AtomicU64, name: &'static str, by: usize) {
    let by = u64::try_from(by).unwrap_or(u64::MAX);
    counter.fetch_add(by, Ordering::Relaxed);
    metrics::counter!(name).increment(by);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[test]
    fn every_frame_takes_some_of_the_room_and_none_more_than_there_is() {
        let room = u32::try_from(limits::INBOUND_BYTES_MAX / 1024).unwrap();
        for (bytes, taken) in [(0, 1), (20, 1), (1025, 2), (usize::MAX, room)] {
            assert_eq!(kilobytes(bytes), taken, "{bytes} bytes");
        }
    }

    #[tokio::test]
    async fn who_is_never_trusted_is_not_asked_again() {
        let (told, awaited) = oneshot::channel();
        let mut trust = Trust::awaited(awaited);
        assert!(!trust.look());
        drop(told);
        assert!(!trust.look());
        assert!(!trust.look());
        let waited = timeout(Duration::from_millis(20), trust.told());
        assert!(waited.await.is_err(), "nothing is to come");
        assert!(!trust.is_given);
    }

    #[tokio::test]
    async fn trust_is_told_once_whichever_way() {
        for looks in [true, false] {
            let (told, awaited) = oneshot::channel();
            let mut trust = Trust::awaited(awaited);
            told.send(()).unwrap();
            assert!(if looks {
                trust.look()
            } else {
                trust.told().await
            });
            assert!(!trust.look());
            assert!(trust.is_given);
        }
    }
}

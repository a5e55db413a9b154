//! The engine's thread: events in, effects out, and the timer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::Builder as Runtime;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::link::Outlet;
use super::shared::Shared;
use super::{dial, folder, indexer, projector, unfolder};
use crate::engine::{BlobRequest, Effect, Engine, Event, LinkId, Reply, Ticket};
use crate::error::{Error, ErrorKind, Result};
use crate::id::RecordKey;
use crate::limits;
use crate::peer::{PeerAddress, PeerEvent};
use crate::replica::Folding;

/// What comes to the engine's thread.
#[derive(Debug)]
pub(super) enum Message {
    /// Something happened.
    Event(Event),
    /// A frame came, or a step of it, of this many bytes. With the last step comes the room that the
    /// frame takes until it is handled.
    Frame(Event, usize, Vec<OwnedSemaphorePermit>),
    /// Somebody waits for the answer.
    Ask(Event, Ticket, oneshot::Sender<Reply>),
    /// There is a new link.
    Link(LinkId, Outlet, Event),
}

/// The engine and what its effects work on.
#[derive(Debug)]
struct Driver {
    engine: Engine,
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Message>,
    stop: Arc<Notify>,
    asked: BTreeMap<Ticket, oneshot::Sender<Reply>>,
    links: BTreeMap<LinkId, Outlet>,
    dials: BTreeMap<(PeerAddress, u64), AbortHandle>,
    projector: mpsc::Sender<RecordKey>,
    folder: mpsc::Sender<folder::Wanted>,
    unfolder: mpsc::Sender<RecordKey>,
    /// How often the engine had committed when last looked.
    commits: u64,
    /// The room that frames take which wait for a graph.
    parked: BTreeMap<LinkId, Vec<OwnedSemaphorePermit>>,
}

/// Starts the thread. It ends after `stop` was notified and the engine has said goodbye.
pub(super) fn start(
    engine: Engine,
    shared: &Arc<Shared>,
    inbox: mpsc::Receiver<Message>,
    stop: Arc<Notify>,
) -> Result<JoinHandle<()>> {
    // Its own small runtime is for waiting with a deadline only.
    let runtime = Runtime::new_current_thread()
        .enable_time()
        .build()
        .map_err(no_thread)?;
    let driver = Driver {
        engine,
        shared: Arc::clone(shared),
        inbox,
        stop,
        asked: BTreeMap::new(),
        links: BTreeMap::new(),
        dials: BTreeMap::new(),
        projector: projector::start(shared),
        folder: folder::start(shared),
        unfolder: unfolder::start(shared),
        commits: 0,
        parked: BTreeMap::new(),
    };
    projector::resume(shared);
    indexer::start(shared);
    let closing = Closing(Arc::clone(shared));
    std::thread::Builder::new()
        .name("syncline-engine".to_owned())
        .spawn(move || {
            let _closing = closing;
            runtime.block_on(driver.run());
        })
        .map_err(no_thread)
}

fn no_thread(error: std::io::Error) -> Error {
    let message = "the system gives no thread for the engine";
    Error::new(ErrorKind::Io, message).with_source(error)
}

impl Driver {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while !self.carry_out() {
            let wake = self.engine.poll_timeout();
            let due = wake.map(|at| at.since(self.shared.now().instant));
            let timer = async {
                match due {
                    Some(due) => sleep(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.stop.notified() => self.handle(Event::Stop),
                message = self.inbox.recv() => self.take_in(message),
                () = shared.presences.wished.notified() => {}
                () = timer => {}
            }
            self.show();
            // A full inbox must not keep timers from running.
            let now = self.shared.now();
            if self
                .engine
                .poll_timeout()
                .is_some_and(|at| now.instant >= at)
            {
                self.engine.handle(now, Event::Timer);
            }
        }
    }

    /// Tells the engine what is to be shown of us.
    fn show(&mut self) {
        for (slot, shown) in self.shared.presences.take_wishes() {
            self.handle(Event::Show(slot, shown));
        }
    }

    /// Hands the engine one message and those behind it: they share a commit.
    fn take_in(&mut self, first: Option<Message>) {
        let mut next = first;
        let mut bytes = 0;
        for _ in 0..limits::TURN_EVENTS_MAX {
            let Some(message) = next else {
                return;
            };
            bytes += self.take_in_one(message);
            if bytes > limits::TURN_BYTES_MAX {
                return;
            }
            next = self.inbox.try_recv().ok();
        }
        if let Some(message) = next {
            self.take_in_one(message);
        }
    }

    fn take_in_one(&mut self, message: Message) -> usize {
        match message {
            Message::Event(event) => {
                if let Event::LinkLost { link, .. } = &event {
                    self.links.remove(link);
                }
                if let Event::Peer(PeerEvent::Failed { peer, attempt, .. }) = &event {
                    self.dials.remove(&(peer.clone(), *attempt));
                }
                self.handle(event);
                0
            }
            Message::Frame(event, bytes, room) => {
                let link = if let Event::Frame { link, .. } = &event {
                    Some(*link)
                } else {
                    None
                };
                self.handle(event);
                if let Some(link) = link.filter(|it| self.engine.parked(*it) > 0) {
                    self.parked.entry(link).or_default().extend(room);
                }
                bytes
            }
            Message::Ask(event, ticket, answer) => {
                self.asked.insert(ticket, answer);
                let bytes = chunk_bytes(&event);
                self.handle(event);
                bytes
            }
            Message::Link(link, outlet, event) => {
                self.begin(link, outlet, event);
                0
            }
        }
    }

    fn begin(&mut self, link: LinkId, outlet: Outlet, event: Event) {
        if let Event::Connected { peer, attempt, .. } = &event
            && self.dials.remove(&(peer.clone(), *attempt)).is_none()
        {
            // Given up meanwhile; dropping the outlet closes the link.
            return;
        }
        self.links.insert(link, outlet);
        self.handle(event);
    }

    fn handle(&mut self, event: Event) {
        if let Event::Forget(ticket) = &event {
            self.asked.remove(ticket);
        }
        self.engine.handle(self.shared.now(), event);
        self.parked.retain(|link, _| self.engine.parked(*link) > 0);
    }

    /// Lets reads see what was committed, before anybody is told that it was.
    fn renew_snapshots(&mut self) {
        let commits = self.engine.commits();
        if self.commits != commits {
            self.commits = commits;
            self.shared.snapshots.renew();
        }
    }

    #[cfg(feature = "automerge-repo")]
    fn tell_clients(&self, key: &RecordKey) {
        if let Some(repo) = &self.shared.repo {
            repo.committed(key);
        }
    }

    #[cfg(not(feature = "automerge-repo"))]
    #[expect(clippy::unused_self, reason = "with the feature it tells them")]
    const fn tell_clients(&self, _key: &RecordKey) {}

    /// Does what the engine wants done; says whether that was the last of it.
    fn carry_out(&mut self) -> bool {
        while let Some(effect) = self.engine.poll(self.shared.now()) {
            self.renew_snapshots();
            match effect {
                Effect::Reply(ticket, reply) => {
                    if let Some(answer) = self.asked.remove(&ticket) {
                        // Who asked may have gone.
                        drop(answer.send(reply));
                    }
                }
                Effect::Send { link, frame } => {
                    if let Some(outlet) = self.links.get(&link) {
                        outlet.send(frame);
                    }
                }
                Effect::Trust(link) => {
                    if let Some(outlet) = self.links.get_mut(&link) {
                        outlet.trust();
                    }
                }
                Effect::Close(link) => {
                    if let Some(outlet) = self.links.remove(&link) {
                        outlet.close();
                    }
                }
                Effect::Dial {
                    peer,
                    attempt,
                    expects,
                } => {
                    let dial = dial::dial(&self.shared, (peer.clone(), attempt), expects);
                    self.dials.insert((peer, attempt), dial);
                }
                Effect::CancelDial { peer, attempt } => {
                    if let Some(dial) = self.dials.remove(&(peer, attempt)) {
                        dial.abort();
                    }
                }
                Effect::Project(key) => {
                    // It ends after us, and holds all that the engine hands out.
                    drop(self.projector.try_send(key));
                }
                Effect::Fold { key, upto, which } => {
                    // As with views; should one be lost all the same, it is tried again.
                    if let Err(lost) = self.folder.try_send((key, upto, which)) {
                        let (key, ..) = lost.into_inner();
                        self.handle(Event::Folded(key, Folding::NotYet));
                    }
                }
                Effect::Unfold(key) => {
                    // Without a worker it is made in the turn.
                    if let Err(lost) = self.unfolder.try_send(key) {
                        self.handle(Event::Unfolded(lost.into_inner(), None));
                    }
                }
                Effect::Shown(view) => {
                    if let Some((space, collection, is_gone)) = self.shared.rulings.look_at(&view) {
                        projector::again(&self.shared, (space, collection), is_gone);
                    }
                    for of in self.shared.rulings.look_at_gate(&view) {
                        projector::again(&self.shared, of, false);
                    }
                    self.shared.watchers.tell(&view, self.shared.store_id);
                }
                Effect::Committed(key) => self.tell_clients(&key),
                Effect::Presence(shown) => {
                    let now = self.shared.now().wall;
                    self.shared.presences.tell(shown, now);
                }
                Effect::Stopped => return true,
            }
        }
        self.renew_snapshots();
        false
    }
}

/// Bytes of attachments that the application hands in.
fn chunk_bytes(event: &Event) -> usize {
    let Event::Blob(_, BlobRequest::Chunks { chunks, .. }) = event else {
        return 0;
    };
    chunks.iter().map(|it| it.bytes().len()).sum()
}

impl Drop for Driver {
    fn drop(&mut self) {
        for dial in self.dials.values() {
            dial.abort();
        }
        let links = std::mem::take(&mut self.links);
        links.into_values().for_each(Outlet::close);
    }
}

/// Tells that the engine has stopped, also when its thread panics: nobody must wait for it any
/// more. Dropped after the driver, so that the store is closed by then.
#[derive(Debug)]
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

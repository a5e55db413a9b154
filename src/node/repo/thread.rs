//! The thread of automerge-repo's clients: what they say in, what they are told out.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::runtime::Builder as Runtime;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::sleep;

use super::link::Outlet;
use super::{Inbox, RepoShared};
use crate::doc::Received;
use crate::error::{Error, ErrorKind, Result};
use crate::id::RecordId;
use crate::limits;
use crate::node::shared::{Shared, lock};
use crate::repo::{ClientId, Documents, Input, Library, Output, RepoHub};
use crate::telemetry::names;

/// What comes to the thread.
#[derive(Debug)]
pub(in crate::node) enum Message {
    /// There is a new link.
    Opened(ClientId, Outlet),
    /// Something happened; with it comes the room that it takes until it is handled.
    Input(Input, Vec<OwnedSemaphorePermit>),
}

#[derive(Debug)]
struct Driver<D> {
    hub: RepoHub,
    library: D,
    shared: Arc<Shared>,
    repo: Arc<RepoShared>,
    inbox: Inbox,
    links: BTreeMap<ClientId, Outlet>,
}

/// Starts the thread. It ends when the engine has.
pub(in crate::node) fn start(
    shared: &Arc<Shared>,
    repo: &Arc<RepoShared>,
    inbox: Inbox,
) -> Result<()> {
    let no_thread = |error: std::io::Error| {
        let message = "the system gives no thread for automerge-repo's clients";
        Error::new(ErrorKind::Io, message).with_source(error)
    };
    // Its own small runtime is for waiting with a deadline only.
    let runtime = Runtime::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(no_thread)?;
    let reads = Arc::clone(shared);
    let collection = repo.settings.collection.clone();
    let library = Library::new(repo.space, collection, move || reads.snapshot());
    let driver = Driver {
        hub: RepoHub::new(repo.config(shared.store_id)),
        library,
        shared: Arc::clone(shared),
        repo: Arc::clone(repo),
        inbox,
        links: BTreeMap::new(),
    };
    let running = shared.tasks.running();
    let thread = std::thread::Builder::new().name("syncline-repo".to_owned());
    let run = move || {
        runtime.block_on(driver.run());
        drop(running);
    };
    thread.spawn(run).map_err(no_thread).map(drop)
}

impl<D: Documents> Driver<D> {
    async fn run(mut self) {
        let (shared, repo) = (Arc::clone(&self.shared), Arc::clone(&self.repo));
        let stopped = shared.until_stopped();
        tokio::pin!(stopped);
        loop {
            while let Some(output) = self.hub.poll() {
                self.carry_out(output);
            }
            self.library.rest();
            let due = self.hub.poll_timeout();
            let due = due.map(|at| at.since(shared.now().instant));
            let timer = async {
                match due {
                    Some(due) => sleep(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                // The links end without a goodbye: clients that read one behind a sync message can't use
                // their documents any more.
                () = &mut stopped => return,
                message = self.inbox.recv() => self.take_in(message),
                () = repo.wake.notified() => {}
                () = timer => self.handle(Input::Timer),
            }
            let changed = std::mem::take(&mut *lock(&repo.changed));
            for document in changed {
                self.handle(Input::Changed(document));
            }
            // A full inbox must not keep timers from running.
            let now = shared.now().instant;
            if self.hub.poll_timeout().is_some_and(|at| now >= at) {
                self.handle(Input::Timer);
            }
        }
    }

    /// Takes in one message and those behind it, a bounded number.
    fn take_in(&mut self, first: Option<Message>) {
        let mut next = first;
        for _ in 0..limits::TURN_EVENTS_MAX {
            let Some(message) = next else {
                return;
            };
            self.take_in_one(message);
            next = self.inbox.try_recv().ok();
        }
        if let Some(message) = next {
            self.take_in_one(message);
        }
    }

    fn take_in_one(&mut self, message: Message) {
        match message {
            Message::Opened(id, outlet) => {
                self.links.insert(id, outlet);
                self.handle(Input::Opened(id));
            }
            Message::Input(input, room) => {
                if let Input::Gone(id) = &input {
                    self.links.remove(id);
                }
                self.handle(input);
                drop(room);
            }
        }
        while let Some(output) = self.hub.poll() {
            self.carry_out(output);
        }
    }

    fn handle(&mut self, input: Input) {
        if matches!(input, Input::Heard(..)) {
            metrics::counter!(names::REPO_MESSAGES).increment(1);
        }
        let now = self.shared.now();
        if let Err(error) = self.hub.handle(now, input, &mut self.library) {
            let error = format!("{error:#}");
            tracing::error!(
                error,
                "a document for a client of automerge-repo can't be read"
            );
        }
        let clients = self.hub.clients().count();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        metrics::gauge!(names::REPO_CLIENTS).set(clients as f64);
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send(id, bytes) => {
                let is_lost = self.links.get(&id).is_some_and(|it| !it.send(bytes));
                if is_lost {
                    // It reads nothing and asks on.
                    self.links.remove(&id);
                    self.handle(Input::Gone(id));
                }
            }
            Output::Trust(id) => {
                if let Some(outlet) = self.links.get_mut(&id) {
                    outlet.trust();
                }
            }
            Output::Close(id) => {
                if let Some(outlet) = self.links.remove(&id) {
                    outlet.close();
                }
            }
            Output::Take(id, document, changes) => self.bring(id, document, changes),
        }
    }

    /// Hands the engine a client's changes; the answer comes once they are durable.
    fn bring(&self, id: ClientId, document: RecordId, changes: Vec<Received>) {
        let (shared, repo) = (Arc::clone(&self.shared), Arc::clone(&self.repo));
        self.shared.tasks.spawn(async move {
            let fates = shared.take_in(repo.key(document), changes).await;
            let taken = Input::Taken(id, document, fates);
            drop(repo.inbox.send(Message::Input(taken, Vec::new())).await);
        });
    }
}

/// Where links send what happens to them.
pub(super) type Outward = mpsc::Sender<Message>;

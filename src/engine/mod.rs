//! A whole replica without IO: routes events among replica, sessions and peers.
//!
//! A shell calls [`Engine::handle`] with what happened, any number of times, then drains
//! [`Engine::poll`]. The first poll commits everything handled since the last one in one
//! transaction; whatever leaves afterwards is durable. Writers that come while a commit runs share
//! the next one: group commit without a timer.

mod blobs;
mod compact;
mod config;
mod delivery;
mod gate;
mod link;
mod names;
mod presence;
mod report;
mod status;
#[cfg(test)]
mod tests;
mod turn;
mod unfold;
mod views;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use blobs::{BlobReport, BlobRequest, BlobSettings};
pub use compact::Compacted;
pub use config::Config;
pub use delivery::Target;
pub use names::{LinkId, Ticket, WantedIndexes};
pub use presence::Shown;
pub use status::{LinkStatus, PeerReport, SpaceReport, Status};

use crate::access::Identity;
use crate::doc::Received;
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CollectionId, CorrelationId, Lsn, RecordKey, ReplicaId, SpaceId, StoreId};
use crate::peer::{Dialer, PeerAddress, PeerEvent};
use crate::plant::{self, Plant};
use crate::replica::{
    Admission, Folding, Intake, Projection, Quarantined, Replica, ShownView, Unfolded, Which, Write,
};
use crate::session::Inbound;
use crate::store::Store;
use crate::time::{Instant, Now};
use crate::wire::{ErrorCode, Slot};
use blobs::Transfers;
use compact::Compaction;
use delivery::Waiter;
use link::Link;
use presence::{Board, Own};

/// What happens to an engine.
#[derive(Debug)]
pub enum Event {
    /// The application wrote.
    Capture {
        /// Who waits for the commit.
        ticket: Ticket,
        /// The changes, all or none.
        writes: Vec<Write>,
        /// Follows them.
        correlation: CorrelationId,
    },
    /// The application brings changes that were made elsewhere, such as those of a saved document.
    Import {
        /// Who waits for the commit.
        ticket: Ticket,
        /// The record.
        key: RecordKey,
        /// The changes, parents first.
        changes: Vec<Received>,
        /// Follows them.
        correlation: CorrelationId,
    },
    /// A projector is done with a record.
    Projected(Projection),
    /// A projector could not read the store; the view stays behind until the record changes or the
    /// store is opened again.
    NotProjected(RecordKey),
    /// The views of a collection are judged again from here on, by a ruling of this name.
    Ruling(SpaceId, CollectionId, u64),
    /// All of them are.
    Ruled(SpaceId, CollectionId, u64),
    /// A worker is done with a record that it was to fold.
    Folded(RecordKey, Folding),
    /// A worker has made the whole graph of a record, if it could.
    Unfolded(RecordKey, Option<Unfolded>),
    /// The application asks for all records to be folded that can be.
    Compact(Ticket),
    /// The application waits until a peer holds what is here of a record now.
    Await {
        /// Who waits.
        ticket: Ticket,
        /// The record.
        key: RecordKey,
        /// Which peers.
        target: Target,
    },
    /// The application wants something done with attachments.
    Blob(Ticket, BlobRequest),
    /// The application says which indexes a collection is to have, or nothing new; and asks for one step
    /// of what is to be done for indexes.
    Index {
        /// Who waits for the step.
        ticket: Ticket,
        /// The indexes of a collection, by their columns.
        wanted: Option<WantedIndexes>,
    },
    /// A caller waits no longer.
    Forget(Ticket),
    /// The application shows something for so long, or with `None` nothing any more.
    Show(Slot, Option<(Bytes, Duration)>),
    /// The application asks how things stand.
    Status(Ticket),
    /// The application asks for entries of the quarantine.
    Quarantine {
        /// Who waits.
        ticket: Ticket,
        /// How many at the most.
        limit: usize,
    },
    /// A peer was added, removed, or is to be tried now; or a dial ended without a link.
    Peer(PeerEvent),
    /// A dialled link is open.
    Connected {
        /// The link.
        link: LinkId,
        /// The dialled peer.
        peer: PeerAddress,
        /// Which attempt.
        attempt: u64,
        /// The only replica to talk to.
        expects: Option<ReplicaId>,
    },
    /// A peer has dialled us.
    Accepted {
        /// The link.
        link: LinkId,
        /// Where it came from.
        address: String,
    },
    /// A frame came.
    Frame {
        /// The link.
        link: LinkId,
        /// The checked frame, or what is wrong with it.
        frame: Result<Inbound, (ErrorCode, String)>,
    },
    /// Bytes that were handed out are written.
    Sent {
        /// The link.
        link: LinkId,
        /// How many.
        bytes: usize,
    },
    /// A link is gone.
    LinkLost {
        /// The link.
        link: LinkId,
        /// Why, for people.
        reason: String,
    },
    /// Say goodbye to everybody, then report [`Effect::Stopped`].
    Stop,
    /// The instant of [`Engine::poll_timeout`] has come.
    Timer,
}

/// The answer to a caller.
#[derive(Debug)]
pub enum Reply {
    /// The changes are durable as configured, under these numbers.
    Captured(Result<Vec<Lsn>>),
    /// What became of imported changes, which is durable as configured.
    Imported(Result<Vec<Admission>>),
    /// The record is held by the peers that were waited for.
    Delivered(Result<()>),
    /// How things stand.
    Status(Box<Status>),
    /// What can be folded is.
    Compacted(Result<Compacted>),
    /// What was asked for is done; a number says what [`BlobRequest`] says that it does.
    Blob(Result<u64>),
    /// Whether there was anything to do for indexes.
    Indexed(Result<bool>),
    /// Entries of the quarantine.
    Quarantined(Result<Vec<Quarantined>>),
}

/// What an engine wants done.
#[derive(Debug)]
pub enum Effect {
    /// Answer a caller.
    Reply(Ticket, Reply),
    /// Send a frame.
    Send {
        /// The link.
        link: LinkId,
        /// The frame, not compressed yet.
        frame: Vec<u8>,
    },
    /// The peer of a link has proved who it is: large frames may come.
    Trust(LinkId),
    /// Close a link once its frames are written.
    Close(LinkId),
    /// Open a link.
    Dial {
        /// Where.
        peer: PeerAddress,
        /// Names the attempt.
        attempt: u64,
        /// Who must answer.
        expects: Option<ReplicaId>,
    },
    /// Give up an attempt that has not become a link.
    CancelDial {
        /// Where.
        peer: PeerAddress,
        /// Which attempt.
        attempt: u64,
    },
    /// Bring a record's view up to its heads.
    Project(RecordKey),
    /// Make a snapshot of a record.
    Fold {
        /// The record.
        key: RecordKey,
        /// The last number of the log that it may hold.
        upto: Lsn,
        /// Why: someone asked for it, or it was due.
        which: Which,
    },
    /// Make the whole graph of a record again. Frames of a link wait for it.
    Unfold(RecordKey),
    /// A view changed, durably.
    Shown(ShownView),
    /// A record has other heads, durably: for who asked with [`Engine::tell_heads`].
    Committed(RecordKey),
    /// Somebody else shows something, or no longer does.
    Presence(Shown),
    /// All is written and said; the engine does nothing more.
    Stopped,
}

/// A replica without IO.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    identity: Arc<Identity>,
    replica: Replica,
    entropy: Entropy,
    dialer: Dialer,
    links: BTreeMap<LinkId, Link>,
    /// Which link speaks for a peer store.
    by_store: BTreeMap<StoreId, LinkId>,
    /// Links that may have something to send.
    runnable: BTreeSet<LinkId>,
    ready: VecDeque<Effect>,
    /// Answers to writers, which wait for the commit.
    captured: Vec<(Ticket, Reply)>,
    waiters: Vec<Waiter>,
    own_presences: Own,
    board: Board,
    compaction: Compaction,
    transfers: Transfers,
    /// Times that something was committed.
    commits: u64,
    /// The collection of which every commit is told.
    told: Option<(SpaceId, CollectionId)>,
    /// Records of it of which is not told yet.
    untold: BTreeSet<RecordKey>,
    /// Records whose whole graph is being made.
    unfolding: BTreeSet<RecordKey>,
    /// Imports that wait for one.
    imports: Vec<(Ticket, Intake)>,
    /// Records whose view is being made.
    projecting: BTreeSet<RecordKey>,
    /// Records whose view is to be made then.
    behind: BTreeSet<RecordKey>,
    /// When cursors first moved that are not written yet.
    unsaved: Option<Instant>,
    /// Why the store can't be written any more.
    failure: Option<(ErrorKind, String)>,
    /// When something was first committed that is not synced yet.
    unsynced: Option<Instant>,
    /// When the gauges are to be set.
    report_at: Option<Instant>,
    /// When the store is to be settled, unless something is written before.
    unsettled: Option<Instant>,
    stopping: Option<Instant>,
    stopped: bool,
}

impl Engine {
    /// Opens the replica in `store`.
    ///
    /// # Errors
    /// When the store can't be read, or a new one can't be written.
    pub fn open(config: Config, store: Arc<dyn Store>, mut entropy: Entropy) -> Result<Self> {
        let mut replica = Replica::open(store, &mut entropy)?;
        let identity = match &config.identity {
            Some(identity) => Arc::clone(identity),
            None => Arc::new(replica.identity(&mut entropy)?),
        };
        let dialer = Dialer::new(config.dialling, entropy.fork());
        let own_presences = Own::new(identity.replica_id());
        let mut engine = Self {
            config,
            identity,
            replica,
            entropy,
            dialer,
            links: BTreeMap::new(),
            by_store: BTreeMap::new(),
            runnable: BTreeSet::new(),
            ready: VecDeque::new(),
            captured: Vec::new(),
            waiters: Vec::new(),
            own_presences,
            board: Board::default(),
            compaction: Compaction::open(),
            transfers: Transfers::default(),
            commits: 0,
            told: None,
            untold: BTreeSet::new(),
            unfolding: BTreeSet::new(),
            imports: Vec::new(),
            projecting: BTreeSet::new(),
            behind: BTreeSet::new(),
            unsaved: None,
            failure: None,
            unsynced: None,
            report_at: None,
            unsettled: None,
            stopping: None,
            stopped: false,
        };
        engine.open_blobs()?;
        let stale = engine.replica.stale()?;
        engine.project(stale);
        Ok(engine)
    }

    /// Who we are.
    pub fn replica_id(&self) -> ReplicaId {
        self.identity.replica_id()
    }

    /// This life of the store.
    pub const fn store_id(&self) -> StoreId {
        self.replica.id()
    }

    /// Whether a link is open here: what comes on others is not heard.
    pub fn has_link(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// How often it has committed since it was opened: what was read before may not be current.
    pub const fn commits(&self) -> u64 {
        self.commits
    }

    /// The replica, for reading.
    pub const fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Tells the engine what happened.
    pub fn handle(&mut self, now: Now, event: Event) {
        let _scope = crate::doc::replicating();
        if !matches!(event, Event::Timer) {
            self.note_activity(now);
        }
        match event {
            Event::Capture {
                ticket,
                writes,
                correlation,
            } => {
                self.capture(ticket, &writes, correlation);
            }
            Event::Import {
                ticket,
                key,
                mut changes,
                correlation,
            } => {
                if plant::is_planted(Plant::CutImport) {
                    changes.pop();
                }
                let intake = Intake {
                    key,
                    origin: self.replica.id(),
                    correlation,
                    now: now.wall,
                    changes,
                };
                self.import(ticket, intake);
            }
            Event::Projected(projection) => self.projected(now, projection),
            Event::NotProjected(key) => self.not_projected(&key),
            Event::Ruling(space, of, by) => self.begin_ruling(space, &of, by),
            Event::Ruled(space, of, by) => self.replica.end_ruling(space, &of, by),
            Event::Folded(key, folding) => self.folded(now, &key, folding),
            Event::Unfolded(key, unfolded) => self.unfolded(now, &key, unfolded),
            Event::Compact(ticket) => self.begin_compaction(ticket),
            Event::Await {
                ticket,
                key,
                target,
            } => self.wait(ticket, &key, target),
            Event::Index { ticket, wanted } => self.work_on_indexes(ticket, wanted),
            Event::Blob(ticket, request) => self.blob(now, ticket, request),
            Event::Forget(ticket) => self.forget_waiter(ticket),
            Event::Show(slot, shown) => self.show(now, slot, shown),
            Event::Status(ticket) => {
                let status = Box::new(self.status(now));
                self.reply(ticket, Reply::Status(status));
            }
            Event::Quarantine { ticket, limit } => {
                let entries = self.replica.quarantined(limit);
                self.reply(ticket, Reply::Quarantined(entries));
            }
            Event::Peer(event) => self.dialer.handle(now.instant, event),
            Event::Connected {
                link,
                peer,
                attempt,
                expects,
            } => {
                self.connected(now, link, (peer, attempt), expects);
            }
            Event::Accepted { link, address } => self.accepted(now, link, address),
            Event::Frame { link, frame } => self.frame(now, link, frame),
            Event::Sent { link, bytes } => self.sent(link, bytes),
            Event::LinkLost { link, reason } => self.lost(now, link, &reason),
            Event::Stop => self.stop(now),
            Event::Timer => self.timer(now),
        }
    }

    fn capture(&mut self, ticket: Ticket, writes: &[Write], correlation: CorrelationId) {
        let captured = if self.stopping.is_some() {
            Err(Error::new(ErrorKind::Closed, "the node is shutting down"))
        } else {
            self.replica.capture(writes, correlation)
        };
        match captured {
            Ok(numbers) => self.captured.push((ticket, Reply::Captured(Ok(numbers)))),
            Err(error) => self.reply(ticket, Reply::Captured(Err(error))),
        }
    }

    fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.ready.push_back(Effect::Reply(ticket, reply));
    }
}

//! One conversation with one peer, without IO: handshake, resume, reconcile, live, credit, timers.
//!
//! A session is driven like every state machine here: [`Session::handle`] tells it what happened,
//! then [`Session::poll`] is drained, then [`Session::poll_timeout`] says when it wants to be woken.
//! What it takes in goes through a [`Gate`] within the same turn; what it sends it reads from
//! committed state when polled, so that nothing leaves or is acknowledged before it is durable.

mod blobs;
mod credit;
mod filling;
mod handshake;
mod inbound;
mod incoming;
mod outgoing;
mod presence;
mod relay;
mod space;
mod status;
#[cfg(test)]
mod tests;
mod walking;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub use blobs::BlobName;
pub use credit::Credit;
pub use inbound::{BlobPart, Group, Inbound, InboundBody, Opened, inspect, open};
pub use presence::Telling;
pub use status::{CatchUp, SpaceStatus};

use crate::access::{Identity, Policy, Role};
use crate::blob::{Chunk, Manifest};
use crate::doc::Received;
use crate::error::Result;
use crate::id::{CollectionId, CorrelationId, Lsn, RecordKey, ReplicaId, SpaceId, StoreId};
use crate::ledger::Cursor;
use crate::limits;
use crate::plant::{self, Plant};
use crate::reconcile::Inventory;
use crate::time::{Instant, WallTime};
use crate::wire::{ByeReason, ErrorCode, Features, Message, Wanted, encode};
use blobs::Blobs;
use handshake::Handshake;
use presence::Presences;
use space::SpaceLink;

/// How one session is to behave.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who we are.
    pub identity: Arc<Identity>,
    /// Our store.
    pub store: StoreId,
    /// Whether we dialled.
    pub role: Role,
    /// The only replica to talk to, if the address is known to be its.
    pub expect: Option<ReplicaId>,
    /// Who may do what.
    pub policy: Arc<Policy>,
    /// The spaces to open, and what to receive of each.
    pub spaces: Vec<(SpaceId, Wanted)>,
    /// 32 bytes that were never used before.
    pub nonce: [u8; 32],
    /// Correlation id of what no single change causes.
    pub correlation: CorrelationId,
}

/// What happens to a session.
#[derive(Debug)]
pub enum Input {
    /// A frame came.
    Frame(Inbound),
    /// A frame came that is not a message.
    Broken(ErrorCode, String),
    /// Time passed, or there are new commits.
    Wake,
    /// Send what can be sent, wait until it is acknowledged, then say goodbye.
    Finish,
    /// Say goodbye now.
    Leave(ByeReason),
}

/// What a session wants done.
#[derive(Debug)]
pub enum Output {
    /// Send this frame.
    Send(Vec<u8>),
    /// Both sides have proved who they are.
    Established {
        /// The peer.
        replica: ReplicaId,
        /// Its store.
        store: StoreId,
    },
    /// The peer holds our log of the space up to here.
    Acked {
        /// The space.
        space: SpaceId,
        /// Where its cursor is now.
        lsn: Lsn,
    },
    /// Something became known of an attachment.
    Blob(BlobName, BlobNews),
    /// The link is to be closed; nothing follows.
    Close(Closed),
}

/// What a session learns of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobNews {
    /// The peer does not have it.
    Absent,
    /// The peer has it now, which it had not before.
    Offered,
    /// It is larger than it may be, of so many bytes, and wanted no more.
    TooLarge(u64),
    /// The peer has asked for it, and it is not here.
    Missed,
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The peer, or we, said goodbye.
    Bye {
        /// Why.
        reason: ByeReason,
        /// The same for people.
        text: String,
    },
    /// We ended it: the peer broke a rule, or may not be here.
    Ours {
        /// Which rule.
        code: ErrorCode,
        /// The same for people.
        text: String,
    },
    /// The peer ended it with an error.
    Theirs {
        /// Which.
        code: ErrorCode,
        /// The same for people.
        text: String,
    },
}

/// Changes of one record that a peer delivered.
#[derive(Debug)]
pub struct Delivery {
    /// The record.
    pub key: RecordKey,
    /// The store that sent them.
    pub origin: StoreId,
    /// What caused them.
    pub correlation: CorrelationId,
    /// The changes.
    pub changes: Vec<Received>,
}

/// What became of delivered changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// Any of them waits for others.
    pub waits: bool,
    /// All of them were here already.
    pub all_here: bool,
}

/// What a session may do to the replica. Everything else it does is read.
pub trait Gate: Inventory {
    /// Takes in changes. Gives what became of them.
    ///
    /// # Errors
    /// When the store can't be read, or the quarantine is full.
    fn deliver(&mut self, delivery: Delivery) -> Result<Taken>;

    /// Takes in the manifest of an attachment; says whether it is as small as it may be.
    ///
    /// # Errors
    /// When the store can't be read.
    fn take_manifest(&mut self, name: BlobName, manifest: &Manifest) -> Result<bool>;

    /// Takes in a chunk of an attachment; says whether it is what stands there in the manifest.
    ///
    /// # Errors
    /// When the store can't be read.
    fn take_chunk(&mut self, name: BlobName, index: u32, chunk: &Chunk) -> Result<bool>;

    /// How far a peer store has acknowledged a space.
    ///
    /// # Errors
    /// When the store can't be read.
    fn cursor(&self, store: StoreId, space: SpaceId) -> Result<Option<Cursor>>;

    /// Records how far a peer store has acknowledged a space, with the next commit.
    fn set_cursor(&mut self, store: StoreId, space: SpaceId, cursor: &Cursor);
}

/// Where a session stands.
#[derive(Debug)]
enum Phase {
    /// Proving to each other who we are.
    Handshake(Handshake),
    /// Talking.
    Talking(Peer),
    /// Over, with whom it was; what is queued is still sent.
    Ended(Option<Peer>),
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
struct Peer {
    replica: ReplicaId,
    store: StoreId,
    features: Features,
}

/// One conversation with one peer.
#[derive(Debug)]
pub struct Session {
    config: Config,
    phase: Phase,
    /// Frames and facts to hand out first.
    queue: VecDeque<Output>,
    spaces: BTreeMap<SpaceId, SpaceLink>,
    credit: Credit,
    presences: Presences,
    blobs: Blobs,
    started: Instant,
    heard: Instant,
    pinged: Option<Instant>,
    finishing: bool,
    /// Which space is served first next time.
    turn: usize,
}

impl Session {
    /// A session on a link that has just opened.
    pub fn new(config: Config, now: Instant) -> Self {
        let (handshake, hello) = Handshake::start(&config);
        let mut session = Self {
            config,
            phase: Phase::Handshake(handshake),
            queue: VecDeque::new(),
            spaces: BTreeMap::new(),
            credit: Credit::default(),
            presences: Presences::new(now),
            blobs: Blobs::new(now),
            started: now,
            heard: now,
            pinged: None,
            finishing: false,
            turn: 0,
        };
        session.queue.push_back(Output::Send(hello));
        session
    }

    /// Who is at the other end, once that is proved.
    pub const fn peer(&self) -> Option<(ReplicaId, StoreId)> {
        match &self.phase {
            Phase::Talking(peer) => Some((peer.replica, peer.store)),
            Phase::Handshake(_) | Phase::Ended(_) => None,
        }
    }

    /// Whether we dialled.
    pub const fn role(&self) -> Role {
        self.config.role
    }

    /// How each open space stands.
    pub fn status(&self) -> impl Iterator<Item = SpaceStatus> {
        self.spaces.values().map(SpaceLink::status)
    }

    /// Tells the session what happened.
    ///
    /// # Errors
    /// When the store can't be read. What the peer does wrong is not an error but ends the session.
    pub fn handle(&mut self, now: Instant, input: Input, gate: &mut dyn Gate) -> Result<()> {
        if matches!(self.phase, Phase::Ended(_)) {
            return Ok(());
        }
        let verdict = match input {
            Input::Frame(frame) => {
                self.heard = now;
                self.pinged = None;
                self.receive(now, frame, gate)?
            }
            Input::Broken(code, text) => Err(Fault { code, text }),
            Input::Wake => self.wake(now),
            Input::Finish => {
                self.finishing = true;
                Ok(())
            }
            Input::Leave(reason) => {
                self.leave(reason);
                Ok(())
            }
        };
        if let Err(fault) = verdict {
            self.fail(fault);
        }
        Ok(())
    }

    fn wake(&mut self, now: Instant) -> Verdict {
        if matches!(self.phase, Phase::Handshake(_)) {
            if now >= self.started + limits::HANDSHAKE_TIMEOUT {
                return fault(ErrorCode::HandshakeTimeout, "the handshake took too long");
            }
            return Ok(());
        }
        if now >= self.idle_at() {
            self.leave(ByeReason::Idle);
        } else if now >= self.heard + limits::PING_AFTER && self.pinged.is_none() {
            self.pinged = Some(now);
            self.send(&Message::Ping {
                token: now.as_micros(),
            });
        } else if self.pinged.is_some_and(|at| now >= at + limits::PING_AFTER) {
            self.pinged = None;
        }
        self.presences.wake(now);
        self.blobs.wake(now)?;
        self.spaces.values_mut().try_for_each(|it| it.wake(now))
    }

    /// When the link is given up if nothing is heard until then.
    fn idle_at(&self) -> Instant {
        let is_patient = plant::is_planted(Plant::TrustSilence);
        self.heard + limits::IDLE_TIMEOUT * if is_patient { 1_000 } else { 1 }
    }

    /// When to be woken, at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Handshake(_) => Some(self.started + limits::HANDSHAKE_TIMEOUT),
            Phase::Talking(_) => {
                let idle = self.idle_at();
                let ping = self.pinged.unwrap_or(self.heard) + limits::PING_AFTER;
                let spaces = self.spaces.values().filter_map(SpaceLink::poll_timeout);
                let presence = self.presences.poll_timeout();
                let blobs = self.blobs.poll_timeout();
                let own = [idle, ping];
                spaces.chain(own).chain(presence).chain(blobs).min()
            }
            Phase::Ended(_) => None,
        }
    }

    /// The next thing the session wants done; to be called only on committed state.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn poll(&mut self, now: Instant, inventory: &dyn Inventory) -> Result<Option<Output>> {
        if self.queue.is_empty()
            && let Phase::Talking(peer) = self.phase
        {
            self.compose(now, peer, inventory)?;
        }
        Ok(self.queue.pop_front())
    }

    /// What became known and nobody has heard of yet, without the frames: for a link that is lost in
    /// the moment in which the peer's last words come in.
    pub fn take_facts(&mut self) -> Vec<Output> {
        let mut queued = Vec::from(std::mem::take(&mut self.queue));
        queued.retain(|it| !matches!(it, Output::Send(_)));
        queued
    }

    /// Whether nothing follows but what is queued, the last word among it.
    pub const fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Whether cursors moved that are not written yet.
    pub fn has_unsaved(&self) -> bool {
        self.spaces.values().any(SpaceLink::is_unsaved)
    }

    /// Whether changes of a collection may come now.
    pub fn takes(&self, space: SpaceId, collection: &CollectionId) -> bool {
        let link = self.spaces.get(&space).filter(|it| it.is_active());
        link.is_some_and(|it| it.covers(collection))
    }

    /// The spaces that are being spoken of, each with the place up to which nothing of its log is to
    /// be sent any more.
    pub fn places(&self) -> impl Iterator<Item = (SpaceId, Lsn)> {
        let active = self.spaces.values().filter(|it| it.is_active());
        active.map(|it| (it.space(), it.place()))
    }

    /// Writes moved cursors into the next commit.
    pub fn save(&mut self, wall: WallTime, gate: &mut dyn Gate) {
        // Also when it is over: what the peer acknowledged before still holds.
        let (Phase::Talking(peer) | Phase::Ended(Some(peer))) = self.phase else {
            return;
        };
        for link in self.spaces.values_mut() {
            if let Some(cursor) = link.take_unsaved(wall) {
                gate.set_cursor(peer.store, link.space(), &cursor);
            }
        }
    }

    fn send(&mut self, message: &Message) {
        self.queue
            .push_back(Output::Send(encode(self.config.correlation, message)));
    }

    fn leave(&mut self, reason: ByeReason) {
        let text = reason.name().to_owned();
        self.send(&Message::Bye {
            reason,
            text: text.clone(),
        });
        self.end(Closed::Bye { reason, text });
    }

    fn fail(&mut self, Fault { code, text }: Fault) {
        self.send(&Message::Error {
            code,
            text: text.clone(),
        });
        self.end(Closed::Ours { code, text });
    }

    fn end(&mut self, why: Closed) {
        self.queue.push_back(Output::Close(why));
        self.phase = Phase::Ended(match &self.phase {
            Phase::Talking(peer) => Some(*peer),
            Phase::Handshake(_) | Phase::Ended(_) => None,
        });
    }
}

/// A reason to end the session with an error.
#[derive(Debug)]
struct Fault {
    code: ErrorCode,
    text: String,
}

type Verdict<T = ()> = std::result::Result<T, Fault>;

fn fault<T>(code: ErrorCode, text: impl Into<String>) -> Verdict<T> {
    Err(Fault {
        code,
        text: text.into(),
    })
}

//! Whom to dial and when: the address book of a node's configured peers, pure and sans-IO.
//!
//! `handle(now, event)`, then `poll` to `None`, then `poll_timeout`. A peer that is configured,
//! not linked and not refused for good always has an attempt under way or a timer that will make
//! one: there is no state from which dialling silently stops.

mod backoff;
mod breaker;
mod entry;
mod status;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use backoff::Backoff;
pub use breaker::{Breaker, BreakerState};
pub use status::{PeerState, PeerStatus};

use crate::entropy::Entropy;
use crate::id::{ReplicaId, StoreId};
use crate::limits;
use crate::time::Instant;
use entry::Entry;

/// Where a peer is dialled, such as `ws://hub.example:8443`. It names the peer in the book.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress(Arc<str>);

impl PeerAddress {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PeerAddress {
    fn from(address: &str) -> Self {
        Self(Arc::from(address))
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerAddress({})", self.0)
    }
}

/// When to try again. The defaults are those of [`limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialSettings {
    /// First wait after a failure; doubles from there.
    pub backoff_base: Duration,
    /// Longest wait while the breaker is closed.
    pub backoff_max: Duration,
    /// Failures in a row that open the breaker.
    pub breaker_failures: u32,
    /// Time from opening the breaker to the one attempt that decides.
    pub breaker_cooldown: Duration,
    /// A session that ends sooner than this after it was established is a failure.
    pub stable_after: Duration,
}

impl Default for DialSettings {
    fn default() -> Self {
        Self {
            backoff_base: limits::BACKOFF_BASE,
            backoff_max: limits::BACKOFF_MAX,
            breaker_failures: limits::BREAKER_FAILURES,
            breaker_cooldown: limits::BREAKER_COOLDOWN,
            stable_after: limits::SESSION_STABLE_AFTER,
        }
    }
}

/// What happened. Events of an attempt that is not the peer's current one are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    /// A peer is configured. One that is already there keeps its state, unless another replica is
    /// expected now: then it is dialled as if it were new.
    Added {
        /// Where.
        peer: PeerAddress,
        /// Who must answer there; `None` accepts whom the node's policy admits.
        expects: Option<ReplicaId>,
    },
    /// A peer is no longer configured. Its attempt or link is hung up.
    Removed {
        /// Where.
        peer: PeerAddress,
    },
    /// The user wants it tried now, whatever came before.
    Retry {
        /// Where.
        peer: PeerAddress,
    },
    /// The link is open, the handshake begins.
    Connected {
        /// Where.
        peer: PeerAddress,
        /// Of which attempt.
        attempt: u64,
    },
    /// The handshake is done.
    Established {
        /// Where.
        peer: PeerAddress,
        /// Of which attempt.
        attempt: u64,
        /// Who is there.
        replica: ReplicaId,
        /// Its store.
        store: StoreId,
    },
    /// The attempt failed, or the session ended with an error.
    Failed {
        /// Where.
        peer: PeerAddress,
        /// Of which attempt.
        attempt: u64,
        /// Whether another attempt would end the same way.
        permanent: bool,
        /// Why, for people.
        reason: String,
    },
    /// The session ended.
    Lost {
        /// Where.
        peer: PeerAddress,
        /// Of which attempt.
        attempt: u64,
        /// Why, for people.
        reason: String,
    },
    /// There is a session with this replica that this dialer has not made. Peers known to be it
    /// are not dialled meanwhile.
    LinkedOtherwise {
        /// Who.
        replica: ReplicaId,
    },
    /// That session is over.
    Unlinked {
        /// Who.
        replica: ReplicaId,
    },
    /// The instant of [`Dialer::poll_timeout`] has come.
    Timer,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEffect {
    /// Open a link and shake hands; then tell how it went, naming the attempt.
    Dial {
        /// Where.
        peer: PeerAddress,
        /// Names the attempt in events.
        attempt: u64,
        /// Who must answer.
        expects: Option<ReplicaId>,
    },
    /// End the attempt, or the link that it has become. Nothing more of it is heard.
    HangUp {
        /// Where.
        peer: PeerAddress,
        /// Which attempt.
        attempt: u64,
    },
}

/// The address book and its timers.
#[derive(Debug)]
pub struct Dialer {
    settings: DialSettings,
    entropy: Entropy,
    peers: BTreeMap<PeerAddress, Entry>,
    /// Replicas with which there are sessions that others have made.
    linked_otherwise: BTreeSet<ReplicaId>,
    effects: VecDeque<PeerEffect>,
    attempts: u64,
    next_timeout: Option<Instant>,
}

impl Dialer {
    /// An empty book. `entropy` is drawn from for jitter only.
    pub const fn new(settings: DialSettings, entropy: Entropy) -> Self {
        Self {
            settings,
            entropy,
            peers: BTreeMap::new(),
            linked_otherwise: BTreeSet::new(),
            effects: VecDeque::new(),
            attempts: 0,
            next_timeout: None,
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Instant, event: PeerEvent) {
        match event {
            PeerEvent::Added { peer, expects } => self.add(now, peer, expects),
            PeerEvent::Removed { peer } => {
                if let Some(entry) = self.peers.remove(&peer) {
                    self.effects.extend(entry.hang_up(&peer));
                }
            }
            PeerEvent::Retry { peer } => {
                if let Some(entry) = self.peers.get_mut(&peer) {
                    entry.retry(now);
                }
            }
            PeerEvent::Connected { peer, attempt } => {
                if let Some(entry) = self.current(&peer, attempt) {
                    entry.connected(now);
                }
            }
            PeerEvent::Established {
                peer,
                attempt,
                replica,
                store,
            } => {
                if let Some(entry) = self.current(&peer, attempt) {
                    entry.established(now, replica, store);
                }
            }
            PeerEvent::Failed {
                peer,
                attempt,
                permanent,
                reason,
            } => self.ended(now, (&peer, attempt), permanent, reason),
            PeerEvent::Lost {
                peer,
                attempt,
                reason,
            } => self.ended(now, (&peer, attempt), false, reason),
            PeerEvent::LinkedOtherwise { replica } => {
                self.linked_otherwise.insert(replica);
            }
            PeerEvent::Unlinked { replica } => {
                self.linked_otherwise.remove(&replica);
            }
            PeerEvent::Timer => self.expire(now),
        }
        self.stand_by(now);
        self.dial_due(now);
        self.next_timeout = self.timeouts().min();
    }

    /// The next thing to be done, if any.
    pub fn poll(&mut self) -> Option<PeerEffect> {
        self.effects.pop_front()
    }

    /// When to hand in [`PeerEvent::Timer`].
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.next_timeout
    }

    /// How each peer stands, in the order of addresses.
    pub fn status(&self) -> impl Iterator<Item = PeerStatus> {
        self.peers.iter().map(|(peer, entry)| entry.status(peer))
    }

    fn add(&mut self, now: Instant, peer: PeerAddress, expects: Option<ReplicaId>) {
        if let Some(entry) = self.peers.get(&peer) {
            if entry.expects() == expects {
                return;
            }
            self.effects.extend(entry.hang_up(&peer));
        }
        let entry = Entry::new(now, &self.settings, expects);
        self.peers.insert(peer, entry);
    }

    fn current(&mut self, peer: &PeerAddress, attempt: u64) -> Option<&mut Entry> {
        let entry = self.peers.get_mut(peer)?;
        entry.is_current(attempt).then_some(entry)
    }

    fn ended(
        &mut self,
        now: Instant,
        (peer, attempt): (&PeerAddress, u64),
        permanent: bool,
        reason: String,
    ) {
        let Some(entry) = self.peers.get_mut(peer) else {
            return;
        };
        if !entry.is_current(attempt) {
            return;
        }
        if permanent {
            entry.refused(now, &self.settings, &mut self.entropy, reason);
        } else {
            entry.ended(now, &self.settings, &mut self.entropy, reason);
        }
    }

    fn expire(&mut self, now: Instant) {
        for (peer, entry) in &mut self.peers {
            entry.settle(now, &self.settings);
            if entry.is_overdue(now) {
                self.effects.extend(entry.hang_up(peer));
                let reason = "no answer in time".to_owned();
                entry.ended(now, &self.settings, &mut self.entropy, reason);
            }
        }
    }

    /// Peers with which there is a session stand by; when it is over they are dialled again.
    fn stand_by(&mut self, now: Instant) {
        let dialled = self.peers.values().filter_map(Entry::linked_replica);
        let mut linked: BTreeSet<_> = dialled.collect();
        linked.extend(&self.linked_otherwise);
        for entry in self.peers.values_mut() {
            let is_linked = entry.replica().is_some_and(|it| linked.contains(&it));
            entry.stand_by(is_linked, now, &self.settings, &mut self.entropy);
        }
    }

    fn dial_due(&mut self, now: Instant) {
        for (peer, entry) in &mut self.peers {
            if entry.is_due(now) {
                self.attempts = self.attempts.saturating_add(1);
                self.effects.push_back(PeerEffect::Dial {
                    peer: peer.clone(),
                    attempt: self.attempts,
                    expects: entry.expects(),
                });
                entry.dialled(now, self.attempts);
            }
        }
    }

    fn timeouts(&self) -> impl Iterator<Item = Instant> {
        let entries = self.peers.values();
        entries.filter_map(|entry| entry.timeout(&self.settings))
    }
}

#[cfg(test)]
mod tests;

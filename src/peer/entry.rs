//! One peer of the book: its state, and what moves it.

use super::{Backoff, Breaker, BreakerState, DialSettings};
use super::{PeerAddress, PeerEffect, PeerState, PeerStatus};
use crate::entropy::Entropy;
use crate::id::{ReplicaId, StoreId};
use crate::limits;
use crate::plant::{self, Plant};
use crate::time::Instant;

#[derive(Debug)]
enum Phase {
    /// Dialled at this instant.
    Waiting { at: Instant },
    /// Given up at this instant. The shell's own timeout should come first and knows more.
    Dialling { deadline: Instant },
    /// As `Dialling`.
    Handshaking { deadline: Instant },
    /// In session since then. Settled when it has lasted long enough to forget the failures.
    Linked { since: Instant, settled: bool },
    /// In session over another link. When that is over the peer is not dialled before this instant,
    /// so that one which links and unlinks all the time does not get around the backoff.
    Standby { not_before: Instant },
    /// Parked.
    Refused,
}

#[derive(Debug)]
pub(super) struct Entry {
    expects: Option<ReplicaId>,
    replica: Option<ReplicaId>,
    store: Option<StoreId>,
    phase: Phase,
    backoff: Backoff,
    breaker: Breaker,
    /// The current attempt or, between attempts, the last one.
    attempt: u64,
    attempts: u64,
    last_error: Option<String>,
    /// The last attempt ended in a refusal for good, which another has yet to confirm.
    doubted: bool,
}

impl Entry {
    /// A peer to be dialled at once.
    pub(super) const fn new(
        now: Instant,
        settings: &DialSettings,
        expects: Option<ReplicaId>,
    ) -> Self {
        Self {
            expects,
            replica: expects,
            store: None,
            phase: Phase::Waiting { at: now },
            backoff: Backoff::new(settings.backoff_base, settings.backoff_max),
            breaker: Breaker::new(settings.breaker_failures, settings.breaker_cooldown),
            attempt: 0,
            attempts: 0,
            last_error: None,
            doubted: false,
        }
    }

    pub(super) const fn expects(&self) -> Option<ReplicaId> {
        self.expects
    }

    /// Who is expected at this address, or was there last.
    pub(super) const fn replica(&self) -> Option<ReplicaId> {
        self.replica
    }

    pub(super) const fn linked_replica(&self) -> Option<ReplicaId> {
        match self.phase {
            Phase::Linked { .. } => self.replica,
            Phase::Waiting { .. }
            | Phase::Dialling { .. }
            | Phase::Handshaking { .. }
            | Phase::Standby { .. }
            | Phase::Refused => None,
        }
    }

    /// Whether `attempt` is under way or has become the link.
    pub(super) const fn is_current(&self, attempt: u64) -> bool {
        self.is_engaged() && self.attempt == attempt
    }

    const fn is_engaged(&self) -> bool {
        match self.phase {
            Phase::Dialling { .. } | Phase::Handshaking { .. } | Phase::Linked { .. } => true,
            Phase::Waiting { .. } | Phase::Standby { .. } | Phase::Refused => false,
        }
    }

    /// The order to end what is under way, if anything is.
    pub(super) fn hang_up(&self, peer: &PeerAddress) -> Option<PeerEffect> {
        self.is_engaged().then(|| PeerEffect::HangUp {
            peer: peer.clone(),
            attempt: self.attempt,
        })
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(self.phase, Phase::Waiting { at } if at <= now)
    }

    pub(super) fn dialled(&mut self, now: Instant, attempt: u64) {
        self.attempt = attempt;
        self.attempts = self.attempts.saturating_add(1);
        self.breaker.attempt();
        let deadline = now + limits::DIAL_TIMEOUT * 2;
        self.phase = Phase::Dialling { deadline };
    }

    pub(super) fn connected(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Dialling { .. }) {
            let deadline = now + limits::HANDSHAKE_TIMEOUT * 2;
            self.phase = Phase::Handshaking { deadline };
        }
    }

    pub(super) fn established(&mut self, now: Instant, replica: ReplicaId, store: StoreId) {
        if self.linked_replica().is_none() {
            self.replica = Some(replica);
            self.store = Some(store);
            self.phase = Phase::Linked {
                since: now,
                settled: false,
            };
        }
    }

    /// Forgets the failures once the session has lasted.
    pub(super) fn settle(&mut self, now: Instant, settings: &DialSettings) {
        if let Phase::Linked { since, settled } = &mut self.phase
            && !*settled
            && now >= *since + settings.stable_after
        {
            *settled = true;
            self.doubted = false;
            self.backoff.reset();
            self.breaker.success();
        }
    }

    /// The attempt or session ended at `now`, and another is to follow.
    pub(super) fn ended(
        &mut self,
        now: Instant,
        settings: &DialSettings,
        entropy: &mut Entropy,
        reason: String,
    ) {
        self.settle(now, settings);
        self.last_error = Some(reason);
        self.doubted = false;
        if matches!(self.phase, Phase::Linked { settled: true, .. }) {
            let at = now + entropy.span_up_to(settings.backoff_base);
            self.phase = Phase::Waiting { at };
            return;
        }
        let wait = self.backoff.next(entropy);
        self.breaker.failure(now);
        if plant::is_planted(Plant::StopRetrying) && self.breaker.failures() > 3 {
            self.phase = Phase::Refused;
            return;
        }
        let at = match self.breaker.state() {
            // A tenth more, so that those who lost the same hub don't try it in step.
            BreakerState::Open { until } => {
                until + entropy.span_up_to(settings.breaker_cooldown / 10)
            }
            BreakerState::Closed | BreakerState::HalfOpen => now + wait,
        };
        self.phase = Phase::Waiting { at };
    }

    /// The attempt or session ended, and another would end the same way. That is not believed
    /// before it has been said twice in a row: nothing protects the bytes of a handshake from a bad
    /// network, and a single flipped bit of it can look like a refusal for good.
    pub(super) fn refused(
        &mut self,
        now: Instant,
        settings: &DialSettings,
        entropy: &mut Entropy,
        reason: String,
    ) {
        if self.doubted {
            self.last_error = Some(reason);
            self.phase = Phase::Refused;
        } else {
            self.ended(now, settings, entropy, reason);
            self.doubted = true;
        }
    }

    pub(super) const fn retry(&mut self, now: Instant) {
        match self.phase {
            Phase::Waiting { .. } | Phase::Refused => {
                self.backoff.reset();
                self.breaker.success();
                self.doubted = false;
                self.phase = Phase::Waiting { at: now };
            }
            Phase::Dialling { .. }
            | Phase::Handshaking { .. }
            | Phase::Linked { .. }
            | Phase::Standby { .. } => {}
        }
    }

    pub(super) fn stand_by(
        &mut self,
        is_linked: bool,
        now: Instant,
        settings: &DialSettings,
        entropy: &mut Entropy,
    ) {
        match self.phase {
            Phase::Waiting { at } if is_linked => self.phase = Phase::Standby { not_before: at },
            Phase::Standby { not_before } if !is_linked => {
                let soon = now + entropy.span_up_to(settings.backoff_base);
                let at = soon.max(not_before);
                self.phase = Phase::Waiting { at };
            }
            Phase::Waiting { .. }
            | Phase::Dialling { .. }
            | Phase::Handshaking { .. }
            | Phase::Linked { .. }
            | Phase::Standby { .. }
            | Phase::Refused => {}
        }
    }

    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        match self.phase {
            Phase::Dialling { deadline } | Phase::Handshaking { deadline } => deadline <= now,
            Phase::Waiting { .. }
            | Phase::Linked { .. }
            | Phase::Standby { .. }
            | Phase::Refused => false,
        }
    }

    /// When something is to be done without an event.
    pub(super) fn timeout(&self, settings: &DialSettings) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { at } => Some(at),
            Phase::Dialling { deadline } | Phase::Handshaking { deadline } => Some(deadline),
            Phase::Linked { since, settled } => (!settled).then(|| since + settings.stable_after),
            Phase::Standby { .. } | Phase::Refused => None,
        }
    }

    pub(super) fn status(&self, peer: &PeerAddress) -> PeerStatus {
        let (state, next_attempt) = match self.phase {
            Phase::Waiting { at } => (PeerState::Waiting, Some(at)),
            Phase::Dialling { .. } => (PeerState::Dialling, None),
            Phase::Handshaking { .. } => (PeerState::Handshaking, None),
            Phase::Linked { .. } => (PeerState::Linked, None),
            Phase::Standby { .. } => (PeerState::Standby, None),
            Phase::Refused => (PeerState::Refused, None),
        };
        PeerStatus {
            address: peer.clone(),
            replica: self.replica,
            store: self.store,
            state,
            failures: self.breaker.failures(),
            attempts: self.attempts,
            next_attempt,
            breaker: self.breaker.state(),
            breaker_opened: self.breaker.opened(),
            last_error: self.last_error.clone(),
        }
    }
}

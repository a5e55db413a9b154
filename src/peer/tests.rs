//! Tests of the address book: each rule on its own, and that dialling never stops.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    BreakerState, DialSettings, Dialer, PeerAddress, PeerEffect, PeerEvent, PeerState, PeerStatus,
};
use crate::entropy::Entropy;
use crate::id::{ReplicaId, StoreId};
use crate::limits;
use crate::time::Instant;

const START: Instant = Instant::from_micros(1_000_000);
const MILLI: Duration = Duration::from_millis(1);

fn hub() -> PeerAddress {
    PeerAddress::from("ws://hub.example:1")
}

fn replica(number: u8) -> ReplicaId {
    ReplicaId::from_bytes([number; 32])
}

fn dialer() -> Dialer {
    Dialer::new(DialSettings::default(), Entropy::from_number(7))
}

/// A dialer with the hub, dialled once.
fn dialled(expects: Option<ReplicaId>) -> (Dialer, u64) {
    let mut dialer = dialer();
    let peer = hub();
    dialer.handle(START, PeerEvent::Added { peer, expects });
    let attempt = attempt(&mut dialer).expect("a new peer is dialled at once");
    (dialer, attempt)
}

/// Refuses this attempt and the next one, for good; the number of the latter.
fn refuse_for_good(dialer: &mut Dialer, first: u64) -> u64 {
    dialer.handle(START, failed(first, true));
    let due = dialer.poll_timeout().expect("it is asked again");
    dialer.handle(due, PeerEvent::Timer);
    let again = attempt(dialer).expect("it is due");
    dialer.handle(due, failed(again, true));
    again
}

/// The attempt that the dialer orders; nothing else may be ordered.
fn attempt(dialer: &mut Dialer) -> Option<u64> {
    match dialer.poll()? {
        PeerEffect::Dial { attempt, .. } => {
            assert_eq!(dialer.poll(), None);
            Some(attempt)
        }
        PeerEffect::HangUp { .. } => panic!("nothing to hang up"),
    }
}

fn failed(attempt: u64, permanent: bool) -> PeerEvent {
    PeerEvent::Failed {
        peer: hub(),
        attempt,
        permanent,
        reason: "connection refused".to_owned(),
    }
}

fn established(attempt: u64, replica: ReplicaId) -> PeerEvent {
    PeerEvent::Established {
        peer: hub(),
        attempt,
        replica,
        store: StoreId::from_bytes([1; 16]),
    }
}

fn lost(attempt: u64) -> PeerEvent {
    PeerEvent::Lost {
        peer: hub(),
        attempt,
        reason: "reset".to_owned(),
    }
}

fn only(dialer: &Dialer) -> PeerStatus {
    dialer.status().next().expect("one peer")
}

/// Waits for the next timeout and gives the attempt made then.
fn redial(dialer: &mut Dialer) -> (Instant, u64) {
    let at = dialer.poll_timeout().expect("a timeout");
    dialer.handle(at, PeerEvent::Timer);
    let attempt = attempt(dialer).expect("an attempt");
    (at, attempt)
}

#[test]
fn failures_are_retried_after_waits_that_stay_below_a_doubling_ceiling() {
    let (mut dialer, mut attempt) = dialled(None);
    let mut now = START;
    for failure in 1..limits::BREAKER_FAILURES {
        dialer.handle(now, failed(attempt, false));
        let status = only(&dialer);
        assert_eq!(
            (status.state, status.failures),
            (PeerState::Waiting, failure)
        );
        assert_eq!(status.last_error.as_deref(), Some("connection refused"));
        let ceiling = limits::BACKOFF_BASE * 2_u32.pow(failure - 1);
        let (at, next) = redial(&mut dialer);
        assert!(at.since(now) <= ceiling.min(limits::BACKOFF_MAX));
        assert_eq!(status.next_attempt, Some(at));
        (now, attempt) = (at, next);
    }
}

#[test]
fn many_failures_open_the_breaker_and_after_the_cooldown_one_attempt_decides() {
    let (mut dialer, mut attempt) = dialled(None);
    let mut now = START;
    for _ in 1..limits::BREAKER_FAILURES {
        dialer.handle(now, failed(attempt, false));
        (now, attempt) = redial(&mut dialer);
    }
    for opened in 1..=3 {
        dialer.handle(now, failed(attempt, false));
        let until = now + limits::BREAKER_COOLDOWN;
        let status = only(&dialer);
        assert_eq!(status.breaker, BreakerState::Open { until });
        assert_eq!(status.breaker_opened, opened);
        // Nothing goes through before, also not when somebody wakes it up.
        dialer.handle(now + limits::BREAKER_COOLDOWN / 2, PeerEvent::Timer);
        assert_eq!(dialer.poll(), None);
        (now, attempt) = redial(&mut dialer);
        assert!(now >= until && now <= until + limits::BREAKER_COOLDOWN / 10);
        assert_eq!(only(&dialer).breaker, BreakerState::HalfOpen);
    }
    dialer.handle(now, established(attempt, replica(1)));
    let settled = now + limits::SESSION_STABLE_AFTER;
    assert_eq!(dialer.poll_timeout(), Some(settled));
    dialer.handle(settled, PeerEvent::Timer);
    let status = only(&dialer);
    assert_eq!((status.breaker, status.failures), (BreakerState::Closed, 0));
    assert_eq!(dialer.poll_timeout(), None);
}

#[test]
fn a_session_that_lasted_is_redialled_at_once_and_forgets_earlier_failures() {
    let (mut dialer, attempt) = dialled(None);
    dialer.handle(START, failed(attempt, false));
    let (now, attempt) = redial(&mut dialer);
    dialer.handle(now, established(attempt, replica(1)));
    let end = now + limits::SESSION_STABLE_AFTER + MILLI;
    // The timer was late: the loss itself shows that the session has lasted.
    dialer.handle(end, lost(attempt));
    assert_eq!(only(&dialer).failures, 0);
    let (at, _) = redial(&mut dialer);
    assert!(at.since(end) <= limits::BACKOFF_BASE);
}

#[test]
fn a_peer_that_accepts_and_hangs_up_backs_off_as_if_it_had_not_answered() {
    let (mut dialer, mut attempt) = dialled(None);
    let mut now = START;
    for failures in 1..=limits::BREAKER_FAILURES {
        dialer.handle(now, established(attempt, replica(1)));
        now = now + limits::SESSION_STABLE_AFTER / 2;
        dialer.handle(now, lost(attempt));
        assert_eq!(only(&dialer).failures, failures);
        if failures < limits::BREAKER_FAILURES {
            (now, attempt) = redial(&mut dialer);
        }
    }
    assert_eq!(only(&dialer).breaker.name(), "open");
}

#[test]
fn a_single_refusal_for_good_may_be_a_flipped_bit_and_is_asked_again() {
    let (mut dialer, first) = dialled(None);
    let mut attempt = first;
    // Refusals that are not in a row are never believed.
    for permanent in [true, false, true] {
        dialer.handle(START, failed(attempt, permanent));
        assert_eq!(only(&dialer).state, PeerState::Waiting);
        let due = dialer.poll_timeout().expect("it is asked again");
        dialer.handle(due, PeerEvent::Timer);
        attempt = self::attempt(&mut dialer).expect("it is due");
    }
    dialer.handle(START, failed(attempt, true));
    assert_eq!(only(&dialer).state, PeerState::Refused);
}

#[test]
fn a_refusal_behind_a_good_handshake_is_believed_the_second_time_too() {
    let (mut dialer, first) = dialled(None);
    dialer.handle(START, established(first, replica(1)));
    dialer.handle(START, failed(first, true));
    let due = dialer.poll_timeout().expect("it is asked again");
    dialer.handle(due, PeerEvent::Timer);
    let again = attempt(&mut dialer).expect("it is due");
    dialer.handle(due, established(again, replica(1)));
    dialer.handle(due, failed(again, true));
    assert_eq!(only(&dialer).state, PeerState::Refused);
}

#[test]
fn a_permanent_refusal_parks_the_peer_until_somebody_asks_for_a_retry() {
    let (mut dialer, attempt) = dialled(None);
    let attempt = refuse_for_good(&mut dialer, attempt);
    assert_eq!(only(&dialer).state, PeerState::Refused);
    assert_eq!(dialer.poll_timeout(), None);
    dialer.handle(START + limits::BREAKER_COOLDOWN * 9, PeerEvent::Timer);
    assert_eq!(dialer.poll(), None);

    dialer.handle(START, PeerEvent::Retry { peer: hub() });
    let next = self::attempt(&mut dialer).expect("a retry dials at once");
    assert_ne!(next, attempt);
}

#[test]
fn a_retry_does_not_wait_for_backoff_or_breaker() {
    let (mut dialer, mut attempt) = dialled(None);
    let mut now = START;
    for _ in 1..limits::BREAKER_FAILURES {
        dialer.handle(now, failed(attempt, false));
        (now, attempt) = redial(&mut dialer);
    }
    dialer.handle(now, failed(attempt, false));
    dialer.handle(now, PeerEvent::Retry { peer: hub() });
    assert!(self::attempt(&mut dialer).is_some());
    // While one attempt is under way another is not made.
    dialer.handle(now, PeerEvent::Retry { peer: hub() });
    assert_eq!(dialer.poll(), None);
}

#[test]
fn an_attempt_of_which_nothing_is_heard_is_given_up_and_its_late_news_ignored() {
    let (mut dialer, first) = dialled(None);
    let connected = PeerEvent::Connected {
        peer: hub(),
        attempt: first,
    };
    dialer.handle(START, connected.clone());
    assert_eq!(only(&dialer).state, PeerState::Handshaking);
    let at = dialer.poll_timeout().expect("a deadline");
    dialer.handle(at, PeerEvent::Timer);
    let hang_up = PeerEffect::HangUp {
        peer: hub(),
        attempt: first,
    };
    assert_eq!(dialer.poll(), Some(hang_up));
    let (now, second) = redial(&mut dialer);
    for late in [
        connected,
        established(first, replica(1)),
        lost(first),
        failed(first, true),
    ] {
        dialer.handle(now, late);
        assert_eq!(only(&dialer).state, PeerState::Dialling);
    }
    dialer.handle(now, established(second, replica(1)));
    assert_eq!(only(&dialer).state, PeerState::Linked);
}

#[test]
fn a_replica_that_has_linked_to_us_is_not_dialled_meanwhile() {
    let (mut dialer, attempt) = dialled(Some(replica(1)));
    let linked = |number| PeerEvent::LinkedOtherwise {
        replica: replica(number),
    };
    dialer.handle(START, linked(1));
    dialer.handle(START, failed(attempt, false));
    assert_eq!(only(&dialer).state, PeerState::Standby);
    assert_eq!(dialer.poll_timeout(), None);

    let unlinked = |number| PeerEvent::Unlinked {
        replica: replica(number),
    };
    dialer.handle(START, linked(2));
    dialer.handle(START, unlinked(2));
    assert_eq!(only(&dialer).state, PeerState::Standby);
    let later = START + limits::BREAKER_COOLDOWN;
    dialer.handle(later, unlinked(1));
    let (at, _) = redial(&mut dialer);
    assert!(at >= later && at <= later + limits::BACKOFF_BASE);
}

#[test]
fn linking_and_unlinking_does_not_get_around_the_backoff() {
    let (mut dialer, mut attempt) = dialled(Some(replica(1)));
    let mut now = START;
    for _ in 1..limits::BREAKER_FAILURES {
        dialer.handle(now, failed(attempt, false));
        (now, attempt) = redial(&mut dialer);
    }
    dialer.handle(now, failed(attempt, false));
    let at = dialer.poll_timeout();
    let replica = replica(1);
    dialer.handle(now, PeerEvent::LinkedOtherwise { replica });
    dialer.handle(now, PeerEvent::Unlinked { replica });
    assert_eq!(dialer.poll_timeout(), at);
}

#[test]
fn two_addresses_of_one_replica_are_not_linked_at_the_same_time() {
    let (mut dialer, attempt) = dialled(None);
    dialer.handle(START, established(attempt, replica(1)));
    dialer.handle(
        START,
        PeerEvent::Added {
            peer: PeerAddress::from("ws://other.example:2"),
            expects: Some(replica(1)),
        },
    );
    assert_eq!(dialer.poll(), None);
    let other = |dialer: &Dialer| dialer.status().nth(1).expect("two peers").state;
    assert_eq!(other(&dialer), PeerState::Standby);
    dialer.handle(START, lost(attempt));
    assert_eq!(other(&dialer), PeerState::Waiting);
}

#[test]
fn a_removed_peer_is_hung_up_and_forgotten() {
    let (mut dialer, attempt) = dialled(None);
    dialer.handle(START, PeerEvent::Removed { peer: hub() });
    let hang_up = PeerEffect::HangUp {
        peer: hub(),
        attempt,
    };
    assert_eq!(dialer.poll(), Some(hang_up));
    dialer.handle(START, established(attempt, replica(1)));
    assert_eq!(dialer.status().count(), 0);
    assert_eq!((dialer.poll(), dialer.poll_timeout()), (None, None));
}

#[test]
fn expecting_another_replica_starts_a_peer_again_and_the_same_changes_nothing() {
    let (mut dialer, attempt) = dialled(None);
    refuse_for_good(&mut dialer, attempt);
    let added = |expects| PeerEvent::Added {
        peer: hub(),
        expects,
    };
    dialer.handle(START, added(None));
    assert_eq!(only(&dialer).state, PeerState::Refused);
    dialer.handle(START, added(Some(replica(2))));
    let effect = dialer.poll().expect("an attempt");
    assert!(
        matches!(effect, PeerEffect::Dial { expects, .. } if expects == Some(replica(2))),
        "{effect:?}"
    );
}

/// What a test may do to one of three peers, in a form that proptest can draw and shrink.
type Step = (u8, u8, u8, u16);

fn event(dialer: &Dialer, attempts: &[u64], (what, which, who, _): Step) -> PeerEvent {
    let peer = PeerAddress::from(["a", "b", "c"][usize::from(which % 3)]);
    let at = dialer.status().position(|status| status.address == peer);
    // Mostly the newest attempt, sometimes an old one.
    let attempt = at.map_or(0, |at| attempts.iter().rev().nth(at).copied().unwrap_or(1));
    let replica = replica(who % 3);
    let reason = "reason".to_owned();
    match what % 12 {
        0 => PeerEvent::Added {
            peer,
            expects: (who % 4 == 0).then_some(replica),
        },
        1 => PeerEvent::Removed { peer },
        2 => PeerEvent::Retry { peer },
        3 => PeerEvent::Connected { peer, attempt },
        4 | 5 => PeerEvent::Established {
            peer,
            attempt,
            replica,
            store: StoreId::from_bytes([who; 16]),
        },
        6 | 7 => PeerEvent::Failed {
            peer,
            attempt,
            permanent: who % 4 == 0,
            reason,
        },
        8 => PeerEvent::Lost {
            peer,
            attempt,
            reason,
        },
        9 => PeerEvent::LinkedOtherwise { replica },
        10 => PeerEvent::Unlinked { replica },
        _ => PeerEvent::Timer,
    }
}

/// A peer that is not linked, standing by or parked has a timer, and it is the dialer's or later.
fn assert_alive(dialer: &Dialer) {
    for status in dialer.status() {
        match status.state {
            PeerState::Waiting => {
                let at = status
                    .next_attempt
                    .expect("a waiting peer knows until when");
                assert!(dialer.poll_timeout().is_some_and(|next| next <= at));
            }
            PeerState::Dialling | PeerState::Handshaking => {
                assert!(dialer.poll_timeout().is_some());
            }
            PeerState::Linked | PeerState::Standby | PeerState::Refused => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens_a_peer_that_should_be_dialled_is_dialled_again(
        seed: u64,
        steps in prop::collection::vec(any::<Step>(), 1..80),
    ) {
        let mut dialer = Dialer::new(DialSettings::default(), Entropy::from_number(seed));
        let mut now = START;
        let mut attempts = Vec::new();
        for step in steps {
            now = now + Duration::from_millis(u64::from(step.3));
            let event = event(&dialer, &attempts, step);
            dialer.handle(now, event);
            while let Some(effect) = dialer.poll() {
                if let PeerEffect::Dial { attempt, .. } = effect {
                    attempts.push(attempt);
                }
            }
            assert_alive(&dialer);
        }
        // From here on nothing is heard any more: each peer must be tried again, and again.
        let wanted = |status: &PeerStatus| !matches!(
            status.state,
            PeerState::Linked | PeerState::Standby | PeerState::Refused
        );
        let before: Vec<_> = dialer.status().filter(wanted).collect();
        let longest = limits::DIAL_TIMEOUT * 2 + limits::BREAKER_COOLDOWN * 11 / 10;
        let end = now + longest * 3;
        while let Some(at) = dialer.poll_timeout().filter(|at| *at <= end) {
            now = now.max(at);
            dialer.handle(now, PeerEvent::Timer);
            while dialer.poll().is_some() {}
            prop_assert!(dialer.poll_timeout().is_none_or(|next| next > now), "a spin");
        }
        for old in before {
            let new = dialer.status().find(|it| it.address == old.address);
            let new = new.expect("nobody removed it");
            // One that was being dialled may turn out to be linked otherwise.
            let tried = new.attempts >= old.attempts + 2;
            prop_assert!(tried || new.state == PeerState::Standby, "{old:?} {new:?}");
        }
    }
}

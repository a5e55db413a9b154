//! Silence: pings, timeouts, and answers that never come.

use super::*;
use crate::wire::ByeReason;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_handshake_that_takes_too_long_is_given_up() {
    let mut side = Side::new(dialer());
    assert_eq!(
        side.session.poll_timeout(),
        Some(START + limits::HANDSHAKE_TIMEOUT)
    );
    side.wait(limits::HANDSHAKE_TIMEOUT.saturating_sub(SECOND));
    assert!(side.closed.is_none());
    side.wait(SECOND);
    assert_eq!(side.fault(), Some(ErrorCode::HandshakeTimeout));
}

#[test]
fn a_silent_peer_is_pinged_and_then_left() {
    let mut side = talking();
    side.said();
    side.wait(limits::PING_AFTER.saturating_sub(SECOND));
    let pings = |side: &mut Side| {
        let said = side.said();
        said.iter()
            .filter(|it| matches!(it, Message::Ping { .. }))
            .count()
    };
    assert_eq!(pings(&mut side), 0);
    side.wait(SECOND);
    assert_eq!(pings(&mut side), 1);
    side.wait(SECOND);
    assert_eq!(pings(&mut side), 0, "one is under way");
    // Whatever is heard shows that the peer is there.
    side.told(&Message::Pong { token: 0 });
    side.wait(limits::IDLE_TIMEOUT.saturating_sub(SECOND));
    assert!(side.closed.is_none());
    side.wait(SECOND);
    let reason = ByeReason::Idle;
    assert!(matches!(&side.closed, Some(Closed::Bye { reason: it, .. }) if *it == reason));
    let last = side.said().pop();
    assert!(matches!(last, Some(Message::Bye { reason: it, .. }) if it == reason));
}

#[test]
fn a_ping_is_answered_with_its_token() {
    let mut side = talking();
    side.said();
    side.told(&Message::Ping { token: 42 });
    let said = side.said();
    assert!(
        matches!(said.as_slice(), [Message::Pong { token: 42 }]),
        "{said:?}"
    );
}

#[test]
fn a_walk_that_is_never_answered_is_given_up() {
    let (mut a, mut b) = (Side::new(dialer()), Side::new(listener()));
    // The peer opens the space and then only says that it is there.
    let greet = |a: &mut Side, b: &mut Side| {
        for _ in 0..2 {
            for frame in std::mem::take(&mut a.sent) {
                b.hear(frame);
            }
            for frame in std::mem::take(&mut b.sent) {
                a.hear(frame);
            }
        }
    };
    greet(&mut a, &mut b);
    assert!(a.session.status().all(|it| it.active && it.walking));
    let mut waited = Duration::ZERO;
    while a.closed.is_none() && waited <= limits::STALL_TIMEOUT {
        a.told(&Message::Pong { token: 0 });
        a.wait(SECOND);
        waited += SECOND;
    }
    assert_eq!(a.fault(), Some(ErrorCode::Stalled));
    assert_eq!(waited, limits::STALL_TIMEOUT);
}

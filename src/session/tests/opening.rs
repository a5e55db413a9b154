//! Greeting, proving, and opening spaces.

use super::*;
use crate::wire::{Open, RefusedCode};

fn open(space: SpaceId) -> Message {
    Message::Open(Open {
        space,
        want: Wanted::All,
        root: Total::default().summary(),
        lsn: Lsn(0),
        acked: Lsn(0),
        resume: false,
    })
}

#[test]
fn two_sides_prove_themselves_and_have_nothing_left_to_say() {
    let (mut a, mut b) = (Side::new(dialer()), Side::new(listener()));
    talk(&mut a, &mut b);
    for (side, other) in [(&a, listener()), (&b, dialer())] {
        let peer = (other.identity.replica_id(), other.store);
        assert_eq!(side.session.peer(), Some(peer));
        let status: Vec<_> = side.session.status().collect();
        assert_eq!(status.len(), 1);
        assert!(status[0].active && status[0].caught_up && !status[0].walking);
    }
    a.handle(Input::Finish);
    talk(&mut a, &mut b);
    assert!(matches!(a.closed, Some(Closed::Bye { .. })));
    assert!(matches!(b.closed, Some(Closed::Bye { .. })));
}

/// How the dialer, so configured, takes a listener so configured.
fn verdict(a: Config, b: Config) -> Option<ErrorCode> {
    let (mut a, mut b) = (Side::new(a), Side::new(b));
    let greeting = b.sent.remove(0);
    b.hear(a.sent.remove(0));
    a.hear(greeting);
    if a.closed.is_none() {
        a.hear(b.sent.remove(0));
    }
    assert_eq!(a.established, a.closed.is_none());
    a.fault()
}

#[test]
fn a_peer_that_is_not_who_it_should_be_is_refused() {
    assert_eq!(verdict(dialer(), listener()), None);
    let mut expects = dialer();
    expects.expect = Some(listener().identity.replica_id());
    assert_eq!(verdict(expects.clone(), listener()), None);
    expects.expect = Some(dialer().identity.replica_id());
    assert_eq!(verdict(expects, listener()), Some(ErrorCode::WrongKey));
    let mut copy = listener();
    copy.store = dialer().store;
    assert_eq!(verdict(dialer(), copy), Some(ErrorCode::SameStore));
    let mut strict = dialer();
    strict.policy = Arc::new(Policy {
        replicas: Admission::Only([dialer().identity.replica_id()].into()),
        spaces: Spaces::Any,
    });
    assert_eq!(verdict(strict, listener()), Some(ErrorCode::NotAllowed));
}

#[test]
fn a_proof_for_another_conversation_is_refused() {
    let (mut a, mut b) = (Side::new(dialer()), Side::new(listener()));
    let mut other = dialer();
    other.nonce = [9; 32];
    let mut other = Side::new(other);
    let greeting = b.sent.remove(0);
    b.hear(other.sent.remove(0));
    a.hear(greeting);
    a.hear(b.sent.remove(0));
    assert_eq!(a.fault(), Some(ErrorCode::BadSignature));
    assert!(!a.established);
}

#[test]
fn a_space_that_is_not_shared_is_refused_not_opened_and_the_link_goes_on() {
    let mut closed = dialer();
    closed.policy = Arc::new(Policy {
        replicas: Admission::Anyone,
        spaces: Spaces::Listed([SpaceId::named("other")].into()),
    });
    let (mut a, mut b) = (Side::new(closed), Side::new(listener()));
    talk(&mut a, &mut b);
    assert!(a.closed.is_none() && b.closed.is_none());
    let refused: Vec<_> = b.session.status().map(|it| it.refused).collect();
    assert_eq!(refused, [Some(RefusedCode::UnknownSpace)]);
    assert_eq!(a.session.status().count(), 0, "opened what it refuses");
    a.told(&open(SpaceId::named("other")));
    assert!(a.session.status().all(|it| it.active));
    assert_eq!(a.session.status().count(), 1);
}

#[test]
fn only_so_many_spaces_are_opened_on_one_link() {
    let mut side = talking();
    for number in 1..=limits::SPACES_PER_SESSION_MAX {
        side.told(&open(SpaceId::named(&format!("space {number}"))));
    }
    assert_eq!(
        side.session.status().count(),
        limits::SPACES_PER_SESSION_MAX
    );
    assert!(side.closed.is_none());
    let refused = side.said().into_iter().filter(|it| {
        let code = RefusedCode::TooMany;
        matches!(it, Message::Refused { code: it, .. } if *it == code)
    });
    assert_eq!(refused.count(), 1);
}

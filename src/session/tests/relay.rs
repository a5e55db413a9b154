//! Changes that cross: which side waits, for how long, and for which of them.

use super::*;
use crate::id::{ActorId, RecordId};
use crate::reconcile::Push;
use crate::session::outgoing::pushed;
use crate::session::relay::Relay;
use crate::session::space::SpaceLink;

fn store(number: u8) -> StoreId {
    StoreId::from_bytes([number; 16])
}

fn key(name: &str) -> RecordKey {
    RecordKey {
        space: space(),
        collection: "notes".parse().unwrap(),
        record: RecordId::named(name),
    }
}

fn entry(lsn: u64, name: &str) -> LogEntry {
    LogEntry {
        lsn: Lsn(lsn),
        key: key(name),
        origin: store(9),
        actor: ActorId::from_bytes(vec![1; 16]),
        correlation: CorrelationId(0),
        bytes: Bytes::from(lsn.to_be_bytes().to_vec()),
    }
}

/// A side on whose link changes have crossed often enough.
fn waiting() -> Relay {
    let mut relay = Relay::new(store(2), store(1));
    for number in 0..limits::RELAY_CROSSED_MIN {
        assert!(!relay.waits());
        relay.brought(&number.to_be_bytes(), true);
    }
    assert!(relay.waits());
    relay
}

#[test]
fn one_side_of_a_link_on_which_changes_cross_waits_and_the_other_never() {
    let mut other = Relay::new(store(1), store(2));
    assert!(waiting().waits());
    for number in 0..100_u32 {
        other.brought(&number.to_be_bytes(), true);
    }
    assert!(!other.waits());
    let mut tree = Relay::new(store(2), store(1));
    for number in 0..100_u32 {
        tree.brought(&number.to_be_bytes(), false);
    }
    assert!(!tree.waits(), "nothing has crossed");
}

#[test]
fn what_the_peer_brings_before_or_after_need_not_be_sent_to_it() {
    let mut relay = waiting();
    relay.brought(&entry(1, "a").bytes, false);
    relay.hold(START, &entry(1, "a"));
    assert!(relay.is_empty());
    relay.hold(START, &entry(2, "a"));
    relay.hold(START, &entry(3, "b"));
    assert_eq!(relay.sent_up_to(Lsn(5)), Lsn(1));
    relay.brought(&entry(2, "a").bytes, true);
    assert_eq!(relay.sent_up_to(Lsn(5)), Lsn(2));
    relay.brought(&entry(3, "b").bytes, true);
    assert_eq!(
        (relay.sent_up_to(Lsn(5)), relay.poll_timeout()),
        (Lsn(5), None)
    );
}

#[test]
fn what_the_peer_does_not_bring_is_sent_and_waiting_is_not_tried_again_soon() {
    let mut relay = waiting();
    relay.hold(START, &entry(1, "a"));
    let due = START + limits::RELAY_HOLD;
    assert_eq!(relay.poll_timeout(), Some(due));
    assert_eq!(relay.next_due(), None);
    relay.wake(due);
    // Whether or not it can be sent now, no time is waited for.
    assert_eq!(relay.poll_timeout(), None);
    assert_eq!((relay.next_due(), relay.next_due()), (Some(Lsn(1)), None));
    let mut crossed = 0;
    while !relay.waits() {
        relay.brought(&[7], true);
        crossed += 1;
    }
    assert_eq!(crossed, limits::RELAY_CROSSED_MIN * 2);
}

#[test]
fn what_follows_in_the_same_record_does_not_overtake() {
    let mut relay = waiting();
    relay.hold(START, &entry(1, "a"));
    assert!(!relay.follows(&entry(2, "b")));
    assert!(relay.follows(&entry(3, "a")));
    assert_eq!(
        (relay.next_due(), relay.next_due()),
        (Some(Lsn(1)), Some(Lsn(3)))
    );
}

#[test]
fn only_so_many_are_held_back() {
    let mut relay = waiting();
    let most = u64::try_from(limits::RELAY_HELD_MAX).unwrap();
    for lsn in 1..=most {
        relay.hold(START, &entry(lsn, "a"));
    }
    assert_eq!(relay.next_due(), None);
    relay.hold(START, &entry(most + 1, "a"));
    let due = std::iter::from_fn(|| relay.next_due());
    assert!(due.map(|it| it.0).eq(1..=most + 1));
    assert!(!relay.waits());
}

#[test]
fn an_offer_stands_until_the_peer_has_all_that_came_meanwhile() {
    let mut relay = Relay::new(store(1), store(2));
    relay.offer(key("a"), Lsn(3));
    relay.offer_again(&key("a"));
    relay.offer_again(&key("b"));
    assert_eq!(relay.sent_up_to(Lsn(5)), Lsn(2));
    assert!(relay.accepted(&key("a")), "to be offered again");
    assert_eq!(relay.sent_up_to(Lsn(5)), Lsn(2));
    assert!(!relay.accepted(&key("a")));
    assert!(relay.is_empty() && !relay.accepted(&key("b")));
}

#[test]
fn the_answer_to_an_earlier_request_is_none_to_an_offer() {
    let relay = Relay::new(store(1), store(2));
    let mut link = SpaceLink::new((space(), Wanted::All), None, relay, START);
    link.ask(key("a"));
    assert_eq!(link.wants.pop_front(), Some(key("a")), "the request is out");
    let mut large = entry(5, "a");
    large.bytes = Bytes::from(vec![0; limits::RELAY_UNASKED_BYTES + 1]);
    assert!(link.offers(store(1), &large));
    link.answered(&key("a"));
    assert_eq!(link.relay.sent_up_to(Lsn(9)), Lsn(4), "it is not there yet");
    assert_eq!(link.wants.pop_front(), Some(key("a")), "it is offered anew");
    link.answered(&key("a"));
    assert!(link.relay.is_empty() && link.wants.is_empty());
}

#[test]
fn what_a_walk_found_is_no_answer_to_a_request() {
    let mut link = SpaceLink::new(
        (space(), Wanted::All),
        None,
        Relay::new(store(1), store(2)),
        START,
    );
    for asked in [false, true] {
        link.enqueue(Push::Record {
            key: key("a"),
            known: Vec::new(),
            asked,
        });
        let groups = pushed(&mut link, &Nothing::default()).unwrap().groups;
        let done: Vec<_> = groups.iter().map(|it| it.done).collect();
        assert_eq!(done, if asked { vec![true] } else { vec![] });
    }
}

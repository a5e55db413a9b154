//! Each broken rule ends the link with its code, and what it came with is not taken in.

use super::*;
use crate::id::RecordId;
use crate::reconcile::{RangeKind, Summary, Upper, WalkCollection, WalkRange};
use crate::wire::{ChangeGroup, Changes, Class, Open, Walk, Want, WantRecord};

fn other_space() -> SpaceId {
    SpaceId::named("not opened")
}

fn walk(space: SpaceId, round: u32, names: &[&str]) -> Message {
    let collection = |name: &&str| WalkCollection {
        collection: name.parse().unwrap(),
        ranges: vec![WalkRange {
            upper: Upper::End,
            kind: RangeKind::Summary(Summary::default()),
        }],
    };
    Message::Walk(Walk {
        space,
        id: 8,
        round,
        collections: names.iter().map(collection).collect(),
    })
}

fn want(space: SpaceId, name: &str) -> Message {
    let record = WantRecord {
        collection: name.parse().unwrap(),
        record: RecordId::named("one"),
        have: Vec::new(),
        older: Vec::new(),
    };
    Message::Want(Want {
        space,
        records: vec![record],
    })
}

/// A frame with one change of so many bytes, which need not make sense.
fn changes(space: SpaceId, name: &str, bytes: usize) -> Message {
    Message::Changes(Changes {
        space,
        class: Class::Live,
        upto: Lsn(0),
        groups: vec![ChangeGroup {
            collection: name.parse().unwrap(),
            record: RecordId::named("one"),
            correlation: CorrelationId(0),
            done: false,
            changes: vec![vec![0; bytes].into()],
        }],
    })
}

fn open() -> Message {
    Message::Open(Open {
        space: space(),
        want: Wanted::All,
        root: Summary::default(),
        lsn: Lsn(0),
        acked: Lsn(0),
        resume: false,
    })
}

fn ack(space: SpaceId, lsn: u64) -> Message {
    Message::Ack {
        space,
        lsn: Lsn(lsn),
    }
}

fn root(space: SpaceId) -> Message {
    Message::Root {
        space,
        root: Summary::default(),
        lsn: Lsn(0),
    }
}

#[test]
fn what_has_no_place_in_the_conversation_is_out_of_order() {
    for message in [
        open(),
        ack(space(), 0),
        changes(space(), "notes", 1),
        Message::Ping { token: 1 },
        Message::Auth { signature: [0; 64] },
    ] {
        let mut side = Side::new(dialer());
        side.told(&message);
        assert_eq!(side.fault(), Some(ErrorCode::OutOfOrder), "{message:?}");
        assert_eq!(side.gate.delivered, 0);
    }
    let greeting = Side::new(listener()).sent.remove(0);
    let mut early = Side::new(dialer());
    early.hear(greeting.clone());
    assert!(early.closed.is_none());
    early.hear(greeting.clone());
    assert_eq!(early.fault(), Some(ErrorCode::OutOfOrder));
    let mut late = talking();
    late.hear(greeting);
    assert_eq!(late.fault(), Some(ErrorCode::OutOfOrder));
    for message in [open(), Message::Auth { signature: [0; 64] }] {
        let mut side = talking();
        side.told(&message);
        assert_eq!(side.fault(), Some(ErrorCode::OutOfOrder), "{message:?}");
    }
    let mut side = talking();
    for _ in 0..3 {
        let message = walk(space(), 1, &[]);
        let message = encode(CorrelationId(7), &message);
        let frame = inspect(&message.into(), limits::FRAME_BYTES_MAX).unwrap();
        // All at once, before it is asked for the answer.
        let input = Input::Frame(frame);
        side.session
            .handle(side.now, input, &mut side.gate)
            .unwrap();
    }
    side.drain();
    assert_eq!(side.fault(), Some(ErrorCode::OutOfOrder));
}

#[test]
fn a_space_that_is_not_open_can_not_be_spoken_of() {
    for message in [
        walk(other_space(), 0, &[]),
        want(other_space(), "notes"),
        changes(other_space(), "notes", 1),
        ack(other_space(), 0),
        root(other_space()),
    ] {
        let mut side = talking();
        side.told(&message);
        assert_eq!(side.fault(), Some(ErrorCode::WrongSpace), "{message:?}");
        assert_eq!(side.gate.delivered, 0);
    }
}

#[test]
fn a_collection_that_is_not_subscribed_to_can_not_be_spoken_of() {
    let mut only = dialer();
    only.spaces = vec![(space(), Wanted::Only(["notes".parse().unwrap()].into()))];
    for (message, code) in [
        (walk(space(), 0, &["tasks"]), Some(ErrorCode::WrongSpace)),
        (want(space(), "tasks"), Some(ErrorCode::WrongSpace)),
        (changes(space(), "tasks", 1), Some(ErrorCode::WrongSpace)),
        (want(space(), "notes"), None),
        (changes(space(), "notes", 1), None),
    ] {
        let (mut side, mut peer) = (Side::new(only.clone()), Side::new(listener()));
        talk(&mut side, &mut peer);
        side.told(&message);
        assert_eq!(side.fault(), code, "{message:?}");
        let taken = matches!((&message, code), (Message::Changes(_), None));
        assert_eq!(side.gate.delivered, usize::from(taken));
    }
}

#[test]
fn who_sends_more_than_was_granted_is_over_credit() {
    let mut side = talking();
    let window = usize::try_from(limits::CREDIT_LIVE_BYTES).unwrap();
    let half = changes(space(), "notes", window / 2 + 1);
    let frame = encode(CorrelationId(7), &half);
    let hear = |side: &mut Side| {
        let frame = inspect(&frame.clone().into(), limits::FRAME_BYTES_MAX).unwrap();
        // Without being asked for output, it grants nothing more.
        let input = Input::Frame(frame);
        side.session
            .handle(side.now, input, &mut side.gate)
            .unwrap();
    };
    hear(&mut side);
    hear(&mut side);
    assert_eq!(side.gate.delivered, 2, "the last frame may go over");
    hear(&mut side);
    side.drain();
    assert_eq!(side.fault(), Some(ErrorCode::OverCredit));
    assert_eq!(side.gate.delivered, 2);
    // Who waits for what is granted can go on for ever.
    let mut side = talking();
    for _ in 0..20 {
        side.told(&half);
    }
    assert_eq!((side.gate.delivered, side.closed.is_some()), (20, false));
    let granted = side.said().into_iter().map(|it| {
        let Message::Credit { live, bulk } = it else {
            return 0;
        };
        live + bulk
    });
    assert!(granted.sum::<u64>() >= 20 * limits::CREDIT_LIVE_BYTES / 2);
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_and_an_endless_walk_are_noticed() {
    let mut side = talking();
    side.told(&ack(space(), 0));
    assert!(side.closed.is_none());
    side.told(&ack(space(), 1));
    assert_eq!(side.fault(), Some(ErrorCode::FalseAck));
    let mut side = talking();
    side.told(&walk(space(), limits::WALK_ROUNDS_MAX + 1, &[]));
    assert_eq!(side.fault(), Some(ErrorCode::WalkTooLong));
}

#[test]
fn who_asks_without_end_and_reads_no_answer_is_over_its_limit() {
    let mut side = talking();
    side.said();
    for token in 0..=limits::ANSWERS_MAX {
        assert!(!side.session.has_ended());
        let token = u64::try_from(token).unwrap();
        let frame = encode(CorrelationId(7), &Message::Ping { token });
        let frame = inspect(&Bytes::from(frame), limits::FRAME_BYTES_MAX).unwrap();
        let told = Input::Frame(frame);
        side.session.handle(START, told, &mut side.gate).unwrap();
    }
    assert!(side.session.has_ended());
    side.drain();
    assert_eq!(side.fault(), Some(ErrorCode::OverLimit));
}

#[test]
fn after_the_end_nothing_is_taken_in_and_nothing_said() {
    let mut side = talking();
    side.told(&ack(space(), 1));
    assert!(side.fault().is_some());
    side.told(&changes(space(), "notes", 1));
    side.told(&Message::Ping { token: 1 });
    side.wait(limits::IDLE_TIMEOUT);
    assert_eq!((side.gate.delivered, side.said().len()), (0, 0));
    assert_eq!(side.session.poll_timeout(), None);
}

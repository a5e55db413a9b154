//! Peers that lie for long: what that costs is bounded.

use super::*;
use crate::id::{ChangeHash, RecordId};
use crate::reconcile::{RangeKind, Summary, Upper, WalkCollection, WalkRange};
use crate::session::Credit;
use crate::wire::{Class, Walk, Want, WantRecord};

const SECOND: Duration = Duration::from_secs(1);

const LIE: Summary = Summary {
    count: 1 << 40,
    sum: [7; 16],
};

/// Answers a walk with its end, as who has nothing to compare.
fn end(walk: &Walk) -> Message {
    Message::Walk(Walk {
        space: walk.space,
        id: walk.id,
        round: walk.round + 1,
        collections: Vec::new(),
    })
}

#[test]
fn who_always_has_another_root_is_walked_with_ever_more_rarely() {
    let mut side = talking();
    side.said();
    let (hour, mut walks) = (3_600, 0);
    for _ in 0..hour {
        side.wait(SECOND);
        let (space, root, lsn) = (space(), LIE, Lsn(9));
        side.told(&Message::Root { space, root, lsn });
        for message in side.said() {
            if let Message::Walk(walk) = message {
                walks += 1;
                side.told(&end(&walk));
            }
        }
    }
    assert!(side.closed.is_none());
    // After 10, 20, 40 seconds and so on; from 1,280 seconds on the pause stays.
    assert!((3..=9).contains(&walks), "{walks} walks in an hour");
}

#[test]
fn who_names_changes_and_never_sends_them_is_given_up_however_often_it_says_it_is_there() {
    let mut side = talking();
    let record = WantRecord {
        collection: "notes".parse().unwrap(),
        record: RecordId::named("one"),
        have: vec![ChangeHash::from_bytes([1; 32])],
        older: Vec::new(),
    };
    side.told(&Message::Want(Want {
        space: space(),
        records: vec![record],
    }));
    let asked = side.said();
    assert!(
        asked.iter().any(|it| matches!(it, Message::Want(_))),
        "{asked:?}"
    );
    let mut waited = Duration::ZERO;
    while side.closed.is_none() && waited <= limits::STALL_TIMEOUT {
        side.told(&Message::Ping { token: 1 });
        side.told(&Message::Credit { live: 1, bulk: 1 });
        side.wait(SECOND);
        waited += SECOND;
    }
    assert_eq!(side.fault(), Some(ErrorCode::Stalled));
    assert_eq!(waited, limits::STALL_TIMEOUT);
}

#[test]
fn who_walks_for_ever_is_answered_once_at_a_time_and_keeps_nothing_here() {
    let mut side = talking();
    side.said();
    for id in 0..1_000 {
        let range = WalkRange {
            upper: Upper::End,
            kind: RangeKind::Summary(LIE),
        };
        side.told(&Message::Walk(Walk {
            space: space(),
            id,
            round: 0,
            collections: vec![WalkCollection {
                collection: "notes".parse().unwrap(),
                ranges: vec![range],
            }],
        }));
        let answers = side.said();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert!(side.session.status().all(|it| it.pending_records == 0));
    }
    assert!(side.closed.is_none());
}

#[test]
fn who_grants_without_end_has_granted_what_is_remembered_at_most() {
    let mut credit = Credit::start(u64::MAX, u64::MAX);
    for _ in 0..1_000 {
        credit.granted(u64::MAX, u64::MAX);
    }
    credit.sent(Class::Live, limits::CREDIT_BYTES_MAX - 1);
    assert!(credit.allows(Class::Live) && credit.allows(Class::Bulk));
    credit.sent(Class::Live, 1);
    assert!(!credit.allows(Class::Live) && credit.allows(Class::Bulk));
    credit.sent(Class::Bulk, u64::MAX);
    credit.granted(0, u64::MAX);
    assert!(!credit.allows(Class::Live) && credit.allows(Class::Bulk));
}

/// So many requests, each with as many hashes as it may have, before any is answered.
fn after_requests(count: u64, knows_all: bool) -> Option<ErrorCode> {
    let mut side = talking();
    side.gate.knows_all = knows_all;
    for number in 0..count {
        let named = (0..limits::WANT_HASHES_MAX).map(|it| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&u64::try_from(it).unwrap().to_be_bytes());
            ChangeHash::from_bytes(hash)
        });
        let record = WantRecord {
            collection: "notes".parse().unwrap(),
            record: RecordId::named(&number.to_string()),
            have: named.collect(),
            older: Vec::new(),
        };
        let records = vec![record];
        let space = space();
        let frame = encode(CorrelationId(7), &Message::Want(Want { space, records }));
        let frame = inspect(&frame.into(), limits::FRAME_BYTES_MAX).unwrap();
        let told = Input::Frame(frame);
        side.session.handle(START, told, &mut side.gate).unwrap();
    }
    side.drain();
    side.fault()
}

#[test]
fn requests_that_wait_may_name_so_many_changes_and_what_is_not_here_is_not_kept() {
    let most = u64::try_from(limits::PUSH_HASHES_MAX / limits::WANT_HASHES_MAX).unwrap();
    assert_eq!(after_requests(most, true), None);
    assert_eq!(after_requests(most + 1, true), Some(ErrorCode::OverLimit));
    assert_eq!(after_requests(most + 1, false), None);
}

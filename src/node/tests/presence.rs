//! Presence between nodes.

use super::*;
use crate::id::{RecordId, SpaceId};
use crate::limits;
use crate::node::{PresenceEvent, PresenceWatch, Present};

/// The next event that is not the repetition of one.
async fn next<T: serde::de::DeserializeOwned>(watch: &mut PresenceWatch<T>) -> PresenceEvent<T> {
    within(watch.next()).await.expect("the node is open")
}

fn joined<T>(event: PresenceEvent<T>) -> Present<T> {
    match event {
        PresenceEvent::Joined(present) => present,
        PresenceEvent::Changed(_) | PresenceEvent::Left(_) | PresenceEvent::Lagged { .. } => {
            panic!("nobody joined")
        }
    }
}

#[tokio::test]
async fn what_one_shows_the_other_sees_until_it_is_taken_back() {
    let (a, b, _network) = pair().await;
    let record = RecordId::named("one");
    let mut mine = a
        .records("notes")
        .unwrap()
        .presence::<u32>(record, "cursor")
        .unwrap();
    let theirs = b
        .records("notes")
        .unwrap()
        .presence::<u32>(record, "cursor")
        .unwrap();
    let mut watch = theirs.watch().unwrap();
    mine.set(&5).unwrap();
    let present = joined(next(&mut watch).await);
    assert_eq!((present.who, present.value), (a.replica_id(), 5));
    assert_eq!(theirs.all(), std::slice::from_ref(&present));
    assert!(mine.all().is_empty(), "oneself is not among the others");
    mine.set(&6).unwrap();
    let changed = next(&mut watch).await;
    let PresenceEvent::Changed(changed) = changed else {
        panic!("{changed:?}");
    };
    assert_eq!((changed.value, changed.since), (6, present.since));
    mine.clear();
    assert_eq!(next(&mut watch).await, PresenceEvent::Left(a.replica_id()));
    assert!(theirs.all().is_empty());
    mine.set(&7).unwrap();
    assert_eq!(joined(next(&mut watch).await).value, 7);
    drop(mine);
    assert_eq!(next(&mut watch).await, PresenceEvent::Left(a.replica_id()));
    // Of another record nothing was told.
    let other = b.records("notes").unwrap();
    let other = other
        .presence::<u32>(RecordId::named("two"), "cursor")
        .unwrap();
    assert!(other.all().is_empty());
}

#[tokio::test]
async fn who_shuts_down_leaves_and_a_watch_ends_with_its_node() {
    let (a, b, _network) = pair().await;
    let mut mine = a.presence::<String>("here").unwrap();
    let mut watch = b.presence::<String>("here").unwrap().watch().unwrap();
    mine.set(&"Ana".to_owned()).unwrap();
    assert_eq!(joined(next(&mut watch).await).value, "Ana");
    a.shutdown().await.unwrap();
    assert_eq!(next(&mut watch).await, PresenceEvent::Left(a.replica_id()));
    let error = mine.set(&"Ben".to_owned()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    b.shutdown().await.unwrap();
    assert!(within(watch.next()).await.is_none());
}

#[tokio::test]
async fn values_of_another_type_are_passed_over() {
    let (a, b, _network) = pair().await;
    let mut words = a.presence::<String>("here").unwrap();
    let numbers = b.presence::<u32>("here").unwrap();
    let mut watch = numbers.watch().unwrap();
    let mut seen = b.presence::<String>("here").unwrap().watch().unwrap();
    words.set(&"not a number".to_owned()).unwrap();
    assert_eq!(joined(next(&mut seen).await).value, "not a number");
    assert!(numbers.all().is_empty());
    words.clear();
    assert_eq!(next(&mut watch).await, PresenceEvent::Left(a.replica_id()));
}

#[tokio::test]
async fn what_can_not_be_shown_is_refused_with_its_reason() {
    let node = Node::builder().open().await.unwrap();
    let kind = |error: Error| error.kind();
    let wrong = node.presence::<u32>("No Topic").map(drop);
    assert_eq!(wrong.map_err(kind), Err(ErrorKind::InvalidInput));
    let elsewhere = node.presence_in::<u32>(SpaceId::named("elsewhere"), "here");
    assert_eq!(elsewhere.map(drop).map_err(kind), Err(ErrorKind::NotFound));
    let mut text = node.presence::<String>("here").unwrap();
    // Two of the bytes are the quotes.
    let most = "x".repeat(limits::PRESENCE_BYTES_MAX - 2);
    text.set(&most).unwrap();
    let larger = text.set(&format!("{most}x")).map_err(kind);
    assert_eq!(larger, Err(ErrorKind::TooLarge));
    for millis in [0, 999, 300_001] {
        let lasting = node.presence::<u32>("here").unwrap();
        let lasting = lasting.lasting(Duration::from_millis(millis)).map(drop);
        assert_eq!(
            lasting.map_err(kind),
            Err(ErrorKind::InvalidInput),
            "{millis} ms"
        );
    }
    let mut many = Vec::new();
    for number in 1..limits::PRESENCES_OWN_MAX {
        let mut one = node.presence::<u32>(&format!("t{number}")).unwrap();
        one.set(&1).unwrap();
        many.push(one);
    }
    let mut more = node.presence::<u32>("more").unwrap();
    assert_eq!(more.set(&1).map_err(kind), Err(ErrorKind::TooLarge));
    many.pop();
    more.set(&1).unwrap();
}

#[tokio::test]
async fn a_slow_reader_of_presence_is_told_that_it_missed_some() {
    let (a, b, _network) = pair().await;
    let theirs = b.presence::<u32>("here").unwrap();
    let mut slow = theirs.watch().unwrap();
    let shared = &b.0.shared;
    let spot = crate::wire::Spot {
        slot: crate::wire::Slot {
            space: b.space(),
            place: crate::wire::Place::Space,
            topic: "here".parse().unwrap(),
        },
        author: a.replica_id(),
    };
    for number in 0..limits::WATCH_QUEUE_EVENTS + 3 {
        let shown = crate::engine::Shown {
            spot: spot.clone(),
            payload: Some(number.to_string().into()),
        };
        shared
            .presences
            .tell(shown, crate::time::WallTime::from_millis(1));
    }
    for _ in 0..limits::WATCH_QUEUE_EVENTS {
        let event = slow.try_next().unwrap();
        assert!(!matches!(event, PresenceEvent::Lagged { .. }));
    }
    assert_eq!(slow.try_next(), Some(PresenceEvent::Lagged { missed: 3 }));
    assert_eq!(slow.try_next(), None);
}

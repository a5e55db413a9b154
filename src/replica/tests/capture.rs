//! Local changes: all or none, numbered without gaps, and gone with a commit that fails.

use super::*;
use crate::error::ErrorKind;
use crate::id::Lsn;
use crate::limits;
use crate::reconcile::{Inventory as _, Span};
use crate::replica::{Projection, View};
use crate::store::CommitFault;

const CAUSE: CorrelationId = CorrelationId(3);

#[test]
fn captured_changes_are_numbered_and_there_after_the_commit_and_not_before() {
    let (store, mut replica) = replica();
    let key = key("notes");
    let mut writer = Writer::new(replica.id(), &key);
    let writes: Vec<_> = writer
        .history(3)
        .into_iter()
        .map(|it| write(&key, it))
        .collect();
    let numbers = replica.capture(&writes, CAUSE).unwrap();
    assert_eq!(numbers, [Lsn(1), Lsn(2), Lsn(3)]);
    assert_eq!(
        stored(&store, &key).changes(),
        0,
        "nothing is committed yet"
    );
    let commit = replica.commit(Durability::Immediate).unwrap();
    let committed: Vec<_> = commit
        .committed
        .iter()
        .map(|it| (it.lsn, it.correlation))
        .collect();
    assert_eq!(
        committed,
        numbers.iter().map(|it| (*it, CAUSE)).collect::<Vec<_>>()
    );
    assert!(commit.committed.iter().all(|it| it.origin == replica.id()));
    let reopened = reopen(&store);
    assert_eq!(reopened.id(), replica.id());
    assert_eq!(reopened.lsn(key.space).unwrap(), Lsn(3));
    assert_eq!(stored(&store, &key).document.heads(), writer.0.heads());
}

#[test]
fn any_number_of_captures_share_one_commit() {
    let (store, mut replica) = replica();
    let key = key("notes");
    let before = store.commits();
    for change in Writer::new(replica.id(), &key).history(100) {
        replica.capture(&[write(&key, change)], CAUSE).unwrap();
    }
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(store.commits(), before + 1);
    assert_eq!(stored(&store, &key).changes(), 100);
}

#[test]
fn of_writes_captured_together_all_count_or_none() {
    let (store, mut replica) = replica();
    let (first, second) = (key("notes"), key("tasks"));
    let earlier = Writer::new(replica.id(), &first).set("n", 1);
    replica.capture(&[write(&first, earlier)], CAUSE).unwrap();
    let skips = Writer::new(replica.id(), &first).history(3).remove(2);
    let sound = Writer::new(replica.id(), &second).set("n", 1);
    let both = [write(&second, sound.clone()), write(&first, skips)];
    let error = replica.capture(&both, CAUSE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    let commit = replica.commit(Durability::Immediate).unwrap();
    assert_eq!(commit.committed.len(), 1, "what was captured before stays");
    assert_eq!(
        replica.lsn(first.space).unwrap(),
        Lsn(1),
        "no number is used up"
    );
    assert_eq!(stored(&store, &second).changes(), 0);
    let names = replica.collections(first.space).unwrap();
    assert_eq!(names, std::slice::from_ref(&first.collection));
    // The collection that was named first in what was given up is stored when it is really new.
    replica.capture(&[write(&second, sound)], CAUSE).unwrap();
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(stored(&store, &second).changes(), 1);
    let reopened = reopen(&store);
    let names = [first.collection, second.collection.clone()];
    assert_eq!(reopened.collections(first.space).unwrap(), names);
    let total = reopened.total(first.space, &second.collection, Span::ALL);
    assert_eq!(total.unwrap().count, 1);
}

#[test]
fn a_capture_that_is_given_up_leaves_a_view_behind_that_was_behind() {
    let (_, mut replica) = replica();
    let key = key("notes");
    let theirs = Writer::stranger(1, &key).set("m", 1);
    let intake = Intake {
        key: key.clone(),
        origin: StoreId::from_bytes([9; 16]),
        correlation: CAUSE,
        now: WallTime::from_millis(1),
        changes: vec![Ok(theirs.clone())],
    };
    replica.apply(&intake).unwrap();
    let mut writer = Writer::new(replica.id(), &key);
    writer.0.apply(&[theirs]).unwrap();
    let mut sound = write(&key, writer.set("n", 1));
    sound.view = Some((writer.0.heads(), View::default()));
    let skips = write(&key, writer.history(3).remove(2));
    replica.capture(&[sound, skips], CAUSE).unwrap_err();
    let commit = replica.commit(Durability::Immediate).unwrap();
    assert_eq!(commit.stale, std::slice::from_ref(&key));
    assert_eq!(replica.stale().unwrap(), [key]);
    assert!(commit.shown.is_empty());
}

#[test]
fn a_write_with_the_view_after_it_leaves_nothing_to_project() {
    let (_, mut replica) = replica();
    let key = key("notes");
    let mut writer = Writer::new(replica.id(), &key);
    let mut it = write(&key, writer.set("n", 1));
    let value = vec![1];
    let view = View {
        value,
        ..View::default()
    };
    it.view = Some((writer.0.heads(), view));
    replica.capture(&[it], CAUSE).unwrap();
    let commit = replica.commit(Durability::Immediate).unwrap();
    assert_eq!((commit.stale.len(), commit.shown.len()), (0, 1));
    assert!(replica.stale().unwrap().is_empty());
}

#[test]
fn what_can_be_made_again_does_not_wait_for_the_disk() {
    let (store, mut replica) = replica();
    let key = key("notes");
    let change = Writer::new(replica.id(), &key).set("a", 1);
    replica.capture(&[write(&key, change)], CAUSE).unwrap();
    assert!(!replica.commit(Durability::Immediate).unwrap().derived);
    let loaded = stored(&store, &key);
    let projection = Projection {
        key: key.clone(),
        heads: loaded.heads.clone(),
        changes: loaded.changes(),
        view: Ok(loaded.document.shown(None).unwrap().into()),
    };
    let behind = Projection {
        changes: 0,
        ..projection.clone()
    };
    assert!(replica.project(projection, WallTime::default()).unwrap());
    let commit = replica.commit(Durability::Immediate).unwrap();
    assert!(commit.derived);
    assert_eq!(commit.shown.len(), 1);
    // Views never go back.
    replica.project(behind, WallTime::default()).unwrap();
    replica.commit(Durability::Immediate).unwrap();
    let snapshot = store.snapshot().unwrap();
    let rows = Rows::new(snapshot.as_ref());
    let slot = rows.slot(&key).unwrap().unwrap();
    assert_eq!(rows.view(slot).unwrap().unwrap().changes, 1);
}

#[test]
fn views_do_not_pile_up_before_the_disk_without_end() {
    let (_, mut replica) = replica();
    let keys = ["notes", "tasks", "boards"].map(key);
    let mut writers = keys.clone().map(|it| Writer::new(replica.id(), &it));
    let mut waited = Vec::new();
    for edit in 1..5 {
        for (key, writer) in keys.iter().zip(&mut writers) {
            let change = write(key, writer.set("n", edit));
            replica.capture(&[change], CAUSE).unwrap();
        }
        assert!(!replica.commit(Durability::Immediate).unwrap().derived);
        for (key, writer) in keys.iter().zip(&mut writers) {
            let view = Projection {
                key: key.clone(),
                heads: writer.0.heads(),
                changes: u32::try_from(edit).unwrap(),
                view: Ok(View {
                    value: vec![0; limits::DERIVED_BYTES_MAX / 3 * 2],
                    ..View::default()
                }),
            };
            replica.project(view, WallTime::default()).unwrap();
            waited.push(!replica.commit(Durability::Immediate).unwrap().derived);
        }
    }
    assert_eq!(waited, [[false, true, false]; 4].concat());
}

#[test]
fn a_change_that_does_not_follow_is_a_conflict_and_a_second_beginning_exists_already() {
    let (_, mut replica) = replica();
    let key = key("notes");
    let changes = Writer::new(replica.id(), &key).history(2);
    let mut captured = |change: &Change, must_be_new| {
        let mut write = write(&key, change.clone());
        write.must_be_new = must_be_new;
        replica.capture(&[write], CAUSE).map_err(|it| it.kind())
    };
    assert_eq!(captured(&changes[1], false), Err(ErrorKind::Conflict));
    assert_eq!(captured(&changes[0], true), Ok(vec![Lsn(1)]));
    assert_eq!(captured(&changes[0], false), Err(ErrorKind::Conflict));
    assert_eq!(captured(&changes[1], true), Err(ErrorKind::AlreadyExists));
    assert_eq!(captured(&changes[1], false), Ok(vec![Lsn(2)]));
}

#[test]
fn a_failed_commit_is_told_and_reads_go_on_with_what_was_there() {
    for (fault, kept) in [
        (CommitFault::Lost, 1),
        (CommitFault::DiskFull, 1),
        (CommitFault::Unconfirmed, 2),
    ] {
        let (store, mut replica) = replica();
        let key = key("notes");
        let changes = Writer::new(replica.id(), &key).history(3);
        let mut commit = |change: &Change| {
            replica.capture(&[write(&key, change.clone())], CAUSE)?;
            replica.commit(Durability::Immediate)
        };
        commit(&changes[0]).unwrap();
        store.fail_commit(store.commits() + 1, fault);
        commit(&changes[1]).unwrap_err();
        let error = commit(&changes[2]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreFailed, "{error}");
        assert!(replica.has_failed());
        assert_eq!(replica.lsn(key.space).unwrap(), Lsn(1), "{fault:?}");
        let heads = replica.heads(&key).unwrap().unwrap();
        assert_eq!(heads.as_slice(), [changes[0].hash()]);
        // Opened again the batch is there whole or not at all.
        let mut replica = reopen(&store);
        assert_eq!(replica.lsn(key.space).unwrap(), Lsn(kept), "{fault:?}");
        let next = &changes[usize::try_from(kept).unwrap()];
        replica
            .capture(&[write(&key, next.clone())], CAUSE)
            .unwrap();
        replica.commit(Durability::Immediate).unwrap();
    }
}

#[test]
fn a_capture_that_is_given_up_leaves_the_size_of_the_quarantine_as_it_was() {
    let (_store, mut replica) = replica();
    let (bad, other) = (key("notes"), key("others"));
    let mut writer = Writer::new(replica.id(), &bad);
    let broken = |writer: &Writer, breach: Option<&str>| {
        let breach = breach.map(str::to_owned);
        let view = View {
            breach,
            ..View::default()
        };
        Some((writer.0.heads(), view))
    };
    let mut breaks = write(&bad, writer.set("n", 1));
    breaks.view = broken(&writer, Some("it is wrong"));
    let mut skips = Writer::new(replica.id(), &other);
    let skips = write(&other, skips.history(3).remove(2));
    let before = replica.quarantine;
    replica
        .capture(&[breaks.clone(), skips.clone()], CAUSE)
        .unwrap_err();
    assert_eq!(replica.quarantine, before);
    replica.capture(&[breaks], CAUSE).unwrap();
    replica.commit(Durability::Immediate).unwrap();
    let named = replica.quarantined(10).unwrap();
    assert_eq!((replica.quarantine.entries, named.len()), (1, 1));
    assert_eq!(named[0].since, WallTime::from_millis(1_700_000_000_000));
    let mut mends = write(&bad, writer.set("n", 2));
    mends.view = broken(&writer, None);
    replica.capture(&[mends.clone(), skips], CAUSE).unwrap_err();
    assert_eq!(replica.quarantine.entries, 1);
    replica.capture(&[mends], CAUSE).unwrap();
    assert_eq!(replica.quarantine.entries, 0);
}

#[test]
fn records_that_break_a_contract_leave_room_for_changes_in_the_quarantine() {
    let (_store, mut replica) = replica();
    replica.quarantine.entries = limits::QUARANTINE_BREACHES_MAX - 1;
    for name in ["a", "b"] {
        let key = key(name);
        let mut writer = Writer::new(replica.id(), &key);
        let mut breaks = write(&key, writer.set("n", 1));
        let view = View {
            breach: Some("it is wrong".to_owned()),
            ..View::default()
        };
        breaks.view = Some((writer.0.heads(), view));
        replica.capture(&[breaks], CAUSE).unwrap();
    }
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(replica.quarantine.entries, limits::QUARANTINE_BREACHES_MAX);
    assert_eq!(replica.quarantined(10).unwrap().len(), 1);
}

#[test]
fn other_policies_that_show_the_same_are_no_news() {
    let (_store, mut replica) = replica();
    let key = key("notes");
    let mut writer = Writer::new(replica.id(), &key);
    replica
        .capture(&[write(&key, writer.set("n", 1))], CAUSE)
        .unwrap();
    for (shown_by, value, news) in [(5, 1, 1), (6, 1, 0), (7, 2, 1), (7, 2, 0)] {
        let view = View {
            value: vec![value],
            shown_by,
            breach: None,
            ruled_by: 0,
        };
        let projection = Projection {
            key: key.clone(),
            heads: writer.0.heads(),
            changes: 1,
            view: Ok(view),
        };
        replica.project(projection, WallTime::default()).unwrap();
        let shown = replica.commit(Durability::Immediate).unwrap().shown;
        assert_eq!(shown.len(), news, "by {shown_by}");
    }
}

#[test]
fn a_collection_is_ruled_by_what_judged_all_of_its_views() {
    let (store, mut replica) = replica();
    let key = key("notes");
    let mut writer = Writer::new(replica.id(), &key);
    let mut edit = |replica: &mut Replica, n, ruled_by| {
        let mut it = write(&key, writer.set("n", n));
        let view = View {
            value: vec![1],
            ruled_by,
            ..View::default()
        };
        it.view = Some((writer.0.heads(), view));
        replica.capture(&[it], CAUSE).unwrap();
    };
    let ruled = |replica: &mut Replica| {
        replica.commit(Durability::Immediate).unwrap();
        let snapshot = store.snapshot().unwrap();
        let rows = Rows::new(snapshot.as_ref());
        let slot = rows.slot(&key).unwrap().unwrap();
        rows.ruled_by(slot.collection).unwrap()
    };
    edit(&mut replica, 1, 5);
    assert_eq!(ruled(&mut replica), None);
    let (space, collection) = (key.space, key.collection.clone());
    replica.begin_ruling(space, &collection, 5).unwrap();
    replica.end_ruling(space, &collection, 5);
    edit(&mut replica, 2, 5);
    assert_eq!(ruled(&mut replica), Some(5));
    // Another begins, and stops in the middle of it.
    replica.begin_ruling(space, &collection, 6).unwrap();
    assert_eq!(ruled(&mut replica), Some(0));
    // What the first judges meanwhile keeps the second from having judged all.
    edit(&mut replica, 3, 5);
    replica.end_ruling(space, &collection, 6);
    assert_eq!(ruled(&mut replica), Some(0));
    replica.begin_ruling(space, &collection, 6).unwrap();
    edit(&mut replica, 4, 6);
    replica.end_ruling(space, &collection, 6);
    assert_eq!(ruled(&mut replica), Some(6));
    edit(&mut replica, 5, 7);
    assert_eq!(ruled(&mut replica), Some(0));
    replica.begin_ruling(space, &collection, 0).unwrap();
    edit(&mut replica, 6, 0);
    replica.end_ruling(space, &collection, 0);
    assert_eq!(ruled(&mut replica), None);
}

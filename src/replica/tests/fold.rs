//! Folding: what leaves the log is in the snapshot, and everything else goes on as before.

use std::collections::BTreeMap;
use std::slice;

use super::super::documents::first_view;
use super::super::fold::fold;
use super::super::{Folding, Rows, Which};
use super::unfold::is_unfolded;
use super::*;
use crate::id::{ChangeHash, Lsn};
use crate::ledger::Cursor;
use crate::reconcile::Inventory as _;
use crate::store::Table;

pub(super) const EVERYTHING: Lsn = Lsn(u64::MAX);

/// A record with so many changes of one writer.
pub(super) fn written(replica: &mut Replica, key: &RecordKey, count: i64) -> (Writer, Vec<Change>) {
    let mut writer = Writer::stranger(7, key);
    let changes: Vec<_> = (0..count).map(|it| writer.set("count", it)).collect();
    take_in(replica, key, &changes);
    (writer, changes)
}

pub(super) fn take_in(
    replica: &mut Replica,
    key: &RecordKey,
    changes: &[Change],
) -> Vec<Admission> {
    let intake = Intake {
        key: key.clone(),
        origin: StoreId::from_bytes([7; 16]),
        correlation: CorrelationId(1),
        now: WallTime::default(),
        changes: changes.iter().cloned().map(Ok).collect(),
    };
    let fates = replica.apply(&intake).unwrap();
    replica.commit(Durability::Immediate).unwrap();
    fates
}

pub(super) fn make(replica: &Replica, key: &RecordKey, upto: Lsn) -> Folding {
    let snapshot = replica.store().snapshot().unwrap();
    fold(&Rows::new(snapshot.as_ref()), key, upto, Which::All).unwrap()
}

pub(super) fn fold_all(replica: &mut Replica, key: &RecordKey) -> u64 {
    let folding = make(replica, key, replica.lsn(key.space).unwrap());
    let freed = replica.fold(key, folding, EVERYTHING).unwrap();
    replica.commit(Durability::Immediate).unwrap();
    freed.changes
}

pub(super) fn complaints(replica: &Replica, key: &RecordKey) -> Vec<String> {
    let snapshot = replica.store().snapshot().unwrap();
    Rows::new(snapshot.as_ref()).verify(key.space).unwrap()
}

pub(super) fn value(replica: &Replica, key: &RecordKey) -> Value {
    let snapshot = replica.store().snapshot().unwrap();
    let rows = Rows::new(snapshot.as_ref());
    let actor = ActorId::of(replica.id(), key);
    let loaded = Loaded::open(&rows, key, &actor).unwrap();
    loaded.document.value().unwrap()
}

fn log_rows(replica: &Replica) -> usize {
    let mut rows = 0;
    let snapshot = replica.store().snapshot().unwrap();
    let range = crate::store::KeyRange::ALL;
    let order = crate::store::Order::Ascending;
    let visit = &mut |_: &[u8], _: &[u8]| {
        rows += 1;
        std::ops::ControlFlow::Continue(())
    };
    snapshot.scan(Table::Log, range, order, visit).unwrap();
    rows
}

#[test]
fn folded_changes_leave_the_log_and_the_record_stays_what_it_was() {
    let (store, mut replica) = replica();
    let key = key("note");
    let (_, changes) = written(&mut replica, &key, 20);
    let (before, heads) = (value(&replica, &key), replica.heads(&key).unwrap());
    assert_eq!(fold_all(&mut replica, &key), 20);
    let replica = reopen(&store);
    assert_eq!(log_rows(&replica), 0);
    assert_eq!(value(&replica, &key), before);
    assert_eq!(replica.heads(&key).unwrap(), heads);
    assert_eq!(complaints(&replica, &key), [""; 0]);
    // Of what is folded the last one is told, and some at growing distance; all of it is known.
    let known: Vec<ChangeHash> = changes.iter().map(Change::hash).collect();
    let told = replica.unknown(&key, &known[19..]).unwrap();
    assert!(told.is_empty());
    let samples = replica.samples(&key).unwrap();
    assert_eq!(samples, [known[19], known[16]]);
    assert!(replica.unknown(&key, &samples).unwrap().is_empty());
    let mut replica = replica;
    let fates = take_in(&mut replica, &key, &changes);
    assert_eq!(fates, vec![Admission::Duplicate; 20]);
}

#[test]
fn numbers_go_on_after_all_of_the_log_was_folded() {
    let (store, mut replica) = replica();
    let key = key("note");
    let (mut writer, _) = written(&mut replica, &key, 5);
    fold_all(&mut replica, &key);
    let mut replica = reopen(&store);
    assert_eq!(replica.lsn(key.space).unwrap(), Lsn(5));
    assert_eq!(replica.horizon(key.space).unwrap(), Lsn(5));
    let fates = take_in(&mut replica, &key, &[writer.set("count", 99)]);
    assert_eq!(fates, [Admission::Applied(Lsn(6))]);
    assert_eq!(complaints(&replica, &key), [""; 0]);
}

#[test]
fn edits_of_folded_values_are_judged_without_a_document() {
    let (_, mut replica) = replica();
    let key = key("note");
    let (mut writer, changes) = written(&mut replica, &key, 12);
    fold_all(&mut replica, &key);
    // It overwrites an operation that is in the snapshot only.
    let next = writer.set("count", 100);
    assert!(next.operations().refer_outside());
    let _scope = crate::doc::replicating();
    let fates = take_in(&mut replica, &key, &[next]);
    assert!(matches!(fates[..], [Admission::Applied(_)]), "{fates:?}");
    // A branch off an old change, by someone else, overwrites what was there then.
    let mut other = Writer::stranger(8, &key);
    other.0.apply(&changes[..4]).unwrap();
    let fates = take_in(&mut replica, &key, &[other.set("count", -1)]);
    assert!(matches!(fates[..], [Admission::Applied(_)]), "{fates:?}");
}

#[test]
fn what_is_here_in_a_snapshot_is_a_duplicate() {
    let (_, mut replica) = replica();
    let key = key("note");
    let (_, changes) = written(&mut replica, &key, 6);
    fold_all(&mut replica, &key);
    let fates = take_in(&mut replica, &key, &changes);
    assert_eq!(fates, vec![Admission::Duplicate; 6]);
}

#[test]
fn a_second_fold_takes_the_first_along() {
    let (_, mut replica) = replica();
    let key = key("note");
    let (mut writer, _) = written(&mut replica, &key, 10);
    fold_all(&mut replica, &key);
    let more: Vec<_> = (0..10).map(|it| writer.set("more", it)).collect();
    take_in(&mut replica, &key, &more);
    assert_eq!(fold_all(&mut replica, &key), 10);
    assert_eq!(log_rows(&replica), 0);
    assert_eq!(complaints(&replica, &key), [""; 0]);
    let snapshot = replica.snapshot(&key).unwrap().unwrap();
    assert_eq!(snapshot.changes, 20);
}

#[test]
fn a_fold_goes_no_further_than_it_may() {
    let (_, mut replica) = replica();
    let key = key("note");
    written(&mut replica, &key, 10);
    let folding = make(&replica, &key, Lsn(7));
    assert_eq!(replica.fold(&key, folding, EVERYTHING).unwrap().changes, 7);
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(log_rows(&replica), 3);
    assert_eq!(replica.horizon(key.space).unwrap(), Lsn(7));
    assert_eq!(complaints(&replica, &key), [""; 0]);
}

#[test]
fn a_snapshot_that_comes_too_late_is_left_alone() {
    let (_, mut replica) = replica();
    let key = key("note");
    let (mut writer, _) = written(&mut replica, &key, 10);
    let (early, late) = (make(&replica, &key, Lsn(6)), make(&replica, &key, Lsn(10)));
    // What came meanwhile stays loose.
    take_in(&mut replica, &key, &[writer.set("count", 50)]);
    assert_eq!(replica.fold(&key, late, EVERYTHING).unwrap().changes, 10);
    assert_eq!(replica.fold(&key, early, EVERYTHING).unwrap().changes, 0);
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(log_rows(&replica), 1);
    assert_eq!(complaints(&replica, &key), [""; 0]);
}

#[test]
fn twins_that_come_after_folding_are_left_out_of_the_document() {
    let (_, mut replica) = replica();
    let (_, mut never_folded) = super::replica();
    let key = key("note");
    let mut writer = Writer::stranger(7, &key);
    let first = writer.set("count", 0);
    let mut double = Writer(writer.0.clone());
    let ours: Vec<_> = (1..8).map(|it| writer.set("count", it)).collect();
    let theirs: Vec<_> = (1..4).map(|it| double.set("other", it)).collect();
    for replica in [&mut replica, &mut never_folded] {
        take_in(replica, &key, slice::from_ref(&first));
        take_in(replica, &key, &ours);
    }
    assert_eq!(fold_all(&mut replica, &key), 8);
    for replica in [&mut replica, &mut never_folded] {
        take_in(replica, &key, &theirs);
    }
    assert_eq!(value(&replica, &key), value(&never_folded, &key));
    assert_eq!(complaints(&replica, &key), [""; 0]);
    // Whichever lost, nothing more of the record is folded.
    assert_eq!(make(&replica, &key, Lsn(100)), Folding::NotYet);
}

#[test]
fn a_document_that_is_open_takes_in_what_was_folded_meanwhile() {
    let (_, mut replica) = replica();
    let key = key("note");
    let (mut writer, _) = written(&mut replica, &key, 3);
    let snapshot = replica.store().snapshot().unwrap();
    let actor = ActorId::of(replica.id(), &key);
    let mut loaded = Loaded::open(&Rows::new(snapshot.as_ref()), &key, &actor).unwrap();
    drop(snapshot);
    let more: Vec<_> = (0..10).map(|it| writer.set("more", it)).collect();
    take_in(&mut replica, &key, &more);
    fold_all(&mut replica, &key);
    let snapshot = replica.store().snapshot().unwrap();
    loaded.refresh(&Rows::new(snapshot.as_ref()), &key).unwrap();
    assert_eq!(loaded.document.value().unwrap(), value(&replica, &key));
    assert!(!loaded.is_ahead());
}

#[test]
fn the_log_is_kept_for_peers_that_may_come_back() {
    let (_, mut replica) = replica();
    let key = key("note");
    written(&mut replica, &key, 10);
    let cursor = |acked, seen| Cursor {
        acked: Lsn(acked),
        seen: WallTime::from_millis(seen),
        ..Cursor::default()
    };
    let space = key.space;
    replica.set_cursor(StoreId::from_bytes([1; 16]), space, &cursor(4, 5_000));
    replica.set_cursor(StoreId::from_bytes([2; 16]), space, &cursor(2, 1_000));
    replica.commit(Durability::Immediate).unwrap();
    let floor = |replica: &Replica, since| {
        let floors = replica.floors(WallTime::from_millis(since)).unwrap();
        floors[&space]
    };
    assert_eq!(floor(&replica, 0), Lsn(2));
    assert_eq!(floor(&replica, 1_001), Lsn(4));
    assert_eq!(floor(&replica, 5_001), Lsn(10));
    // Who has fallen behind the horizon needs a walk, and holds up nothing.
    let folding = make(&replica, &key, Lsn(4));
    replica.fold(&key, folding, EVERYTHING).unwrap();
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(floor(&replica, 0), Lsn(4));
    let floors = BTreeMap::from([(space, Lsn(5))]);
    let found = replica.foldable((Which::All, None), &floors, 10).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].1, None,
        "one loose change below the floor is no reason"
    );
}

#[test]
fn a_read_that_fails_while_a_record_is_folded_leaves_all_of_it_loose() {
    let ready = || {
        let (store, mut replica) = replica();
        written(&mut replica, &key("note"), 10);
        let folding = make(&replica, &key("note"), EVERYTHING);
        (store, replica, folding)
    };
    let (store, mut replica, folding) = ready();
    let before = store.reads();
    replica.fold(&key("note"), folding, EVERYTHING).unwrap();
    let reads = store.reads() - before;
    assert!(reads >= 3, "{reads}");
    for read in 1..=reads {
        let (store, mut replica, folding) = ready();
        store.fail_read(store.reads() + read, std::io::ErrorKind::Other);
        let folded = replica.fold(&key("note"), folding, EVERYTHING);
        folded.unwrap_err();
        // What was collected before the failure is committed with whatever comes next.
        let mut writer = Writer::stranger(9, &key("note"));
        take_in(&mut replica, &key("note"), &[writer.set("other", 1)]);
        let replica = reopen(&store);
        assert_eq!(complaints(&replica, &key("note")), [""; 0], "read {read}");
    }
}

#[test]
fn what_somebody_needs_again_meanwhile_stays_loose() {
    let (_, mut replica) = replica();
    let key = key("note");
    written(&mut replica, &key, 10);
    let folding = make(&replica, &key, EVERYTHING);
    assert_eq!(
        replica.fold(&key, folding.clone(), Lsn(9)).unwrap().changes,
        0
    );
    assert_eq!(replica.fold(&key, folding, Lsn(10)).unwrap().changes, 10);
}

#[test]
fn what_is_left_due_after_a_fold_on_request_is_listed() {
    let (_, mut replica) = replica();
    let key = key("note");
    let (mut writer, _) = written(&mut replica, &key, 4);
    replica
        .fold(&key, Folding::Useless("not yet".to_owned()), EVERYTHING)
        .unwrap();
    // Far more than that is loose by now, of which a part is folded on request.
    let more: Vec<_> = (4..40).map(|it| writer.set("count", it)).collect();
    let slot = replica.catalog.slot(&key).unwrap();
    let mut header = replica.rows().header(slot).unwrap().unwrap();
    header.fold_at = u64::MAX;
    replica.put_folded(slot, &header);
    take_in(&mut replica, &key, &more);
    let folding = make(&replica, &key, Lsn(4));
    assert_eq!(replica.fold(&key, folding, EVERYTHING).unwrap().changes, 4);
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(complaints(&replica, &key), [""; 0]);
}

#[test]
fn what_a_peer_lacks_of_folded_changes_is_all_or_nothing_of_them() {
    let (_, mut replica) = replica();
    let key = key("note");
    let (mut writer, changes) = written(&mut replica, &key, 12);
    fold_all(&mut replica, &key);
    let later = writer.set("count", 99);
    take_in(&mut replica, &key, slice::from_ref(&later));
    let lacking = |known: &[ChangeHash]| {
        let pieces = replica.lacking(&key, known).unwrap();
        pieces.iter().map(|it| it.position).collect::<Vec<_>>()
    };
    assert_eq!(lacking(&[later.hash()]), [0; 0]);
    assert_eq!(lacking(&[changes[11].hash()]), [12]);
    assert_eq!(lacking(&[changes[10].hash()]), [0, 12]);
    assert_eq!(lacking(&[]), [0, 12]);
}

#[test]
fn samples_of_folded_changes_lie_at_growing_distance_however_they_were_folded() {
    let (_, mut replica) = replica();
    let key = key("note");
    let mut writer = Writer::stranger(7, &key);
    let mut all = Vec::new();
    for round in 0..40 {
        let more: Vec<_> = (0..25).map(|it| writer.set("n", round * 25 + it)).collect();
        take_in(&mut replica, &key, &more);
        fold_all(&mut replica, &key);
        all.extend(more.iter().map(Change::hash));
    }
    let samples = replica.samples(&key).unwrap();
    let position = |it: &ChangeHash| all.iter().position(|hash| hash == it).unwrap();
    let positions: Vec<_> = samples.iter().map(position).collect();
    assert_eq!(positions, [999, 992, 960, 512]);
    assert_eq!(complaints(&replica, &key), [""; 0]);
}

#[test]
fn while_people_write_only_what_all_heads_build_on_is_folded() {
    let (store, mut replica) = replica();
    let key = key("note");
    let mut people = [7, 8].map(|it| Writer::stranger(it, &key));
    let common: Vec<_> = (0..20).map(|it| people[0].set("n", it)).collect();
    people[1].0.apply(&common).unwrap();
    take_in(&mut replica, &key, &common);
    // One change of each in turn, and neither has heard of the other's.
    for turn in 0..20 {
        let changes = people.each_mut().map(|it| it.set("n", 100 + turn));
        take_in(&mut replica, &key, &changes);
    }
    let snapshot = replica.store().snapshot().unwrap();
    let rows = Rows::new(snapshot.as_ref());
    let folding = fold(&rows, &key, EVERYTHING, Which::Pressing).unwrap();
    assert_eq!(replica.fold(&key, folding, EVERYTHING).unwrap().changes, 20);
    replica.commit(Durability::Immediate).unwrap();
    let mut replica = reopen(&store);
    let next = people.each_mut().map(|it| it.set("n", 200));
    let fates = take_in(&mut replica, &key, &next);
    assert!(fates.iter().all(|it| matches!(it, Admission::Applied(_))));
    assert!(!is_unfolded(&replica, &key));
    assert_eq!(complaints(&replica, &key), [""; 0]);
}

#[test]
fn a_first_view_is_not_read_from_another_change() {
    let (_, mut replica) = replica();
    let keys = [key("one"), key("other")];
    for key in &keys {
        written(&mut replica, key, 1);
    }
    let view = |replica: &Replica| {
        let snapshot = replica.store().snapshot().unwrap();
        first_view(&Rows::new(snapshot.as_ref()), &keys[0]).unwrap()
    };
    assert!(view(&replica).is_some());
    let space = replica.catalog.number(keys[0].space, None).unwrap();
    let other = replica.rows().log_row(space, Lsn(2)).unwrap().unwrap();
    let place = super::super::keys::log(space, Lsn(1));
    replica.batch.put(Table::Log, place, other.encode());
    replica.commit(Durability::Immediate).unwrap();
    assert!(view(&replica).is_none());
}

#[test]
fn a_snapshot_that_was_harmed_is_told_and_the_rest_is_checked() {
    let (store, mut replica) = replica();
    let (harmed, whole) = (key("harmed"), key("whole"));
    for key in [&harmed, &whole] {
        written(&mut replica, key, 12);
        fold_all(&mut replica, key);
    }
    let slot = replica.catalog.slot(&harmed).unwrap();
    let snapshot = store.snapshot().unwrap();
    let mut row = snapshot
        .get(Table::Snapshots, &slot.key())
        .unwrap()
        .unwrap();
    *row.last_mut().unwrap() ^= 1;
    let mut batch = crate::store::Batch::default();
    batch.put(Table::Snapshots, slot.key(), row);
    store.commit(&batch, Durability::Immediate).unwrap();
    let complaints = complaints(&reopen(&store), &harmed);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].contains("table snapshots of the store is damaged"));
}

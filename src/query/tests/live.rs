//! The board of a live query, and the tree under it.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::super::tree::Tree;
use super::super::{Board, Query, Selection, field};
use super::{any_query, collection, id, json, record};
use crate::doc::Value;
use crate::error::ErrorKind;
use crate::id::RecordId;
use crate::limits;

fn read(board: &Board, records: &BTreeMap<RecordId, Value>) -> Selection {
    let mut selection = board.selection();
    for (id, value) in records {
        selection.offer(*id, value.clone());
    }
    selection
}

/// The ids and values that a fresh query finds.
fn fresh(query: &Query, records: &BTreeMap<RecordId, Value>) -> Vec<(RecordId, serde_json::Value)> {
    let mut selection = Selection::new(query.clone());
    for (id, value) in records {
        selection.offer(*id, value.clone());
    }
    let (found, _) = selection.finish();
    found
        .into_iter()
        .map(|it| (it.record, it.value.to_json()))
        .collect()
}

fn shown(list: &[super::super::LiveRecord]) -> Vec<(RecordId, serde_json::Value)> {
    list.iter().map(|it| (it.id, it.json())).collect()
}

/// One step of a collection's life.
#[derive(Clone, Debug)]
enum Step {
    Set(u8, Value),
    Delete(u8),
    /// The reader lags: it reads all after changes that it was not told of.
    Missed(Vec<(u8, Option<Value>)>),
}

fn step() -> impl Strategy<Value = Step> {
    let missed = prop::collection::vec((0_u8..24, prop::option::of(record())), 0..6);
    prop_oneof![
        6 => (0_u8..24, record()).prop_map(|(id, value)| Step::Set(id, value)),
        3 => (0_u8..24).prop_map(Step::Delete),
        1 => missed.prop_map(Step::Missed),
    ]
}

fn deleted() -> Value {
    super::map([(crate::doc::DELETED_KEY, Value::Timestamp(1))])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn events_lead_to_what_a_fresh_query_finds(
        query in any_query(), records in collection(), steps in prop::collection::vec(step(), 0..24),
        margin in 0_usize..4,
    ) {
        let Ok(mut board) = Board::new(query.clone()) else {
            prop_assert!(query.limit.is_some_and(|it| it > 100_000));
            return Ok(());
        };
        board = board.with_margin(margin);
        let mut records = records;
        let mut events = VecDeque::new();
        board.reset(read(&board, &records), &mut events).unwrap();
        events.clear();
        let mut list = board.result();
        for step in steps {
            match step {
                Step::Set(number, value) => {
                    board.set(id(number), &value, &mut events).unwrap();
                    records.insert(id(number), value);
                    prop_assert!(events.len() <= 2, "one change, two events at most");
                }
                Step::Delete(number) => {
                    board.set(id(number), &deleted(), &mut events).unwrap();
                    records.remove(&id(number));
                }
                Step::Missed(edits) => {
                    for (number, value) in edits {
                        match value {
                            Some(value) => records.insert(id(number), value),
                            None => records.remove(&id(number)),
                        };
                    }
                    board.reset(read(&board, &records), &mut events).unwrap();
                }
            }
            if board.is_short() {
                board.reset(read(&board, &records), &mut events).unwrap();
            }
            while let Some(event) = events.pop_front() {
                prop_assert!(event.apply(&mut list), "{:?}", event);
            }
            prop_assert_eq!(shown(&list), fresh(&query, &records));
            prop_assert_eq!(&board.result(), &list);
        }
    }

    #[test]
    fn a_tree_is_a_sorted_map_that_stays_balanced(
        edits in prop::collection::vec((any::<bool>(), 0_u16..200), 0..400),
    ) {
        let mut tree = Tree::default();
        let mut map = BTreeMap::new();
        for (puts, key) in edits {
            if puts {
                tree.insert(key, key + 1);
                map.insert(key, key + 1);
            } else if key == 0 {
                prop_assert_eq!(tree.pop_last(), map.pop_last());
            } else {
                prop_assert_eq!(tree.remove(&key), map.remove(&key));
            }
            prop_assert_eq!(tree.len(), map.len());
            prop_assert_eq!(tree.rank(&key), map.range(..key).count());
            prop_assert_eq!(tree.get(&key), map.get(&key));
        }
        for (index, entry) in map.iter().enumerate() {
            prop_assert_eq!(tree.at(index), Some(entry));
        }
        prop_assert_eq!(tree.at(map.len()), None);
        prop_assert!(tree.is_balanced());
    }
}

#[test]
fn sorted_keys_make_a_flat_tree() {
    let mut tree = Tree::default();
    for key in 0..10_000 {
        tree.insert(key, ());
    }
    assert!(
        tree.is_balanced() && tree.height() < 33,
        "{}",
        tree.height()
    );
    for key in 0..9_000 {
        tree.remove(&key);
    }
    assert!(
        tree.is_balanced() && tree.height() < 25,
        "{}",
        tree.height()
    );
}

fn numbered(n: i64) -> Value {
    json(&format!("{{\"n\": {n}}}"))
}

/// The id of record `n` of many.
fn many(n: i64) -> RecordId {
    RecordId::named(&n.to_string())
}

#[test]
fn a_limited_result_is_read_again_only_after_its_margin_is_gone() {
    let query = Query::all().order_by(field("n")).limit(10);
    let mut board = Board::new(query).unwrap();
    let margin = i64::try_from(limits::LIVE_MARGIN).unwrap();
    let all = 10 * (10 + margin);
    let records: BTreeMap<_, _> = (0..all).map(|n| (many(n), numbered(n))).collect();
    let mut events = VecDeque::new();
    board.reset(read(&board, &records), &mut events).unwrap();
    assert_eq!(board.result().len(), 10);
    for n in 0..margin {
        board.set(many(n), &deleted(), &mut events).unwrap();
        assert!(!board.is_short(), "{n}");
        assert_eq!(board.result()[9].id, many(n + 10), "{n}");
    }
    board.set(many(margin), &deleted(), &mut events).unwrap();
    assert!(board.is_short(), "nine are left of those that are known");
}

#[test]
fn a_limited_board_stays_small() {
    let query = Query::all().order_by(field("n").descending()).limit(10);
    let mut board = Board::new(query).unwrap();
    let mut events = VecDeque::new();
    let none = board.selection();
    board.reset(none, &mut events).unwrap();
    for n in 0..2_000 {
        board.set(many(n), &numbered(n), &mut events).unwrap();
        assert_eq!(board.result()[0].id, many(n));
        assert!(board.len() <= 10 + 2 * limits::LIVE_MARGIN, "{n}");
    }
    // What was let go of and comes up again is taken in.
    board.set(many(3), &numbered(5_000), &mut events).unwrap();
    assert_eq!(board.result()[0].id, many(3));
}

#[test]
fn what_is_equal_tells_nothing() {
    let mut board = Board::new(Query::all()).unwrap();
    let mut events = VecDeque::new();
    board.set(id(1), &numbered(1), &mut events).unwrap();
    assert_eq!(events.len(), 1);
    board.set(id(1), &numbered(1), &mut events).unwrap();
    let again = read(&board, &BTreeMap::from([(id(1), numbered(1))]));
    board.reset(again, &mut events).unwrap();
    assert_eq!(events.len(), 1);
}

#[test]
fn a_live_query_has_a_bound() {
    let over = u64::try_from(limits::LIVE_RECORDS_MAX + 1).unwrap();
    let refused = Board::new(Query::all().limit(over)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    let mut board = Board::new(Query::all()).unwrap();
    let mut events = VecDeque::new();
    let over = i64::try_from(over).unwrap();
    let select = |board: &Board, count| {
        let mut selection = board.selection();
        for n in 0..count {
            selection.offer(many(n), numbered(n));
        }
        selection
    };
    let all = select(&board, over);
    let refused = board.reset(all, &mut events).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    let most = select(&board, over - 1);
    board.reset(most, &mut events).unwrap();
    let one_more = board.set(many(over), &numbered(over), &mut events);
    assert_eq!(one_more.unwrap_err().kind(), ErrorKind::TooLarge);
}

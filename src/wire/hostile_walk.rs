//! What hostile walks must not do: bounds, orders, and other ways to write the same.

use super::hostile::{SPACE, assert_limit, code_of, frame, hashes, name, record, verdict};
use super::{ErrorCode, Message, Walk};
use crate::id::Heads;
use crate::limits;
use crate::reconcile::{RangeKey, RangeKind, Upper, WalkCollection, WalkItem, WalkRange};

fn walk(collections: Vec<Vec<WalkRange>>) -> Message {
    let collection = |(number, ranges)| WalkCollection {
        collection: name(number),
        ranges,
    };
    Message::Walk(Walk {
        space: SPACE,
        id: 1,
        round: 0,
        collections: collections
            .into_iter()
            .enumerate()
            .map(collection)
            .collect(),
    })
}

fn key(number: usize) -> RangeKey {
    let record = record(number);
    RangeKey { time: 9, record }
}

fn items(count: usize, heads: usize) -> RangeKind {
    let item = |number| WalkItem {
        time: 9,
        record: record(number),
        heads: hashes(heads).into_iter().collect::<Heads>(),
    };
    RangeKind::Items((0..count).map(item).collect())
}

fn skips(count: usize) -> Vec<WalkRange> {
    let skip = |number| WalkRange {
        upper: Upper::Key(key(number)),
        kind: RangeKind::Skip,
    };
    (1..=count).map(skip).collect()
}

fn to_the_end(kind: RangeKind) -> WalkRange {
    let upper = Upper::End;
    WalkRange { upper, kind }
}

#[test]
fn a_walk_over_its_limits_is_refused() {
    assert_limit(limits::WALK_RANGES_MAX, |count| walk(vec![skips(count)]));
    assert_limit(limits::WALK_RANGES_MAX - 10, |count| {
        walk(vec![skips(10), skips(count)])
    });
    assert_limit(limits::WALK_RANGES_MAX, |count| {
        let end = || vec![to_the_end(RangeKind::Skip)];
        walk((0..count).map(|_| end()).collect())
    });
    assert_limit(limits::WALK_ITEMS_MAX, |count| {
        walk(vec![vec![to_the_end(items(count, 0))]])
    });
    assert_limit(limits::WALK_ITEMS_MAX - 10, |count| {
        let ranges = [items(10, 1), items(count, 0)];
        walk(ranges.into_iter().map(|it| vec![to_the_end(it)]).collect())
    });
    assert_limit(limits::HEADS_MAX, |count| {
        walk(vec![vec![to_the_end(items(1, count))]])
    });
}

#[test]
fn ranges_and_items_out_of_order_are_refused() {
    let malformed = Some(ErrorCode::Malformed);
    let upto = |number, kind| WalkRange {
        upper: Upper::Key(key(number)),
        kind,
    };
    let skip = || RangeKind::Skip;
    let listed = |numbers: &[usize]| {
        let item = |number: &usize| WalkItem {
            time: 9,
            record: record(*number),
            heads: Heads::default(),
        };
        RangeKind::Items(numbers.iter().map(item).collect())
    };
    let check = |ranges: Vec<WalkRange>| verdict(&walk(vec![ranges]));

    assert_eq!(check(vec![upto(2, skip()), upto(5, listed(&[2, 4]))]), None);
    assert_eq!(check(vec![]), malformed);
    assert_eq!(check(vec![upto(2, skip()), upto(2, skip())]), malformed);
    assert_eq!(check(vec![upto(2, skip()), upto(1, skip())]), malformed);
    let after_the_end = vec![to_the_end(skip()), to_the_end(skip())];
    assert_eq!(check(after_the_end), malformed);
    assert_eq!(check(vec![upto(5, listed(&[4, 2]))]), malformed);
    assert_eq!(check(vec![upto(5, listed(&[2, 2]))]), malformed);
    assert_eq!(check(vec![upto(5, listed(&[5]))]), malformed);
    assert_eq!(
        check(vec![upto(2, skip()), upto(5, listed(&[1]))]),
        malformed
    );
    assert_eq!(check(vec![to_the_end(listed(&[usize::MAX]))]), None);

    let twice = Message::Walk(Walk {
        space: SPACE,
        id: 1,
        round: 0,
        collections: vec![
            WalkCollection {
                collection: name(1),
                ranges: skips(1),
            };
            2
        ],
    });
    assert_eq!(verdict(&twice), malformed);
}

#[test]
fn a_walk_written_in_another_way_is_refused() {
    let range = |bytes: &[u8]| {
        let frame = frame(0x05, |it| {
            it.raw(SPACE.as_bytes()).count(1).count(0).count(1);
            it.text("notes").count(1).raw(bytes);
        });
        code_of(&frame)
    };
    let malformed = Some(ErrorCode::Malformed);
    // A bound of one byte; then one whose last byte is zero; then one of 17 bytes.
    assert_eq!(range(&[2 << 2, 1, 7]), None);
    assert_eq!(range(&[2 << 2, 1, 0]), malformed);
    assert_eq!(range(&[&[18 << 2, 1][..], &[7; 17]].concat()), malformed);
    // The last of the four kinds: left for later, up to the end.
    assert_eq!(range(&[3]), None);
    // A time beyond 64 bits: the lower bound's and the distance to it.
    let end = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let bounds = [&[1 << 2][..], &end, &[1 << 2], &end].concat();
    let twice = frame(0x05, |it| {
        it.raw(SPACE.as_bytes()).count(1).count(0).count(1);
        it.text("notes").count(2).raw(&bounds);
    });
    assert_eq!(code_of(&twice), malformed);
    let round = frame(0x05, |it| {
        it.raw(SPACE.as_bytes()).count(1).varint(1 << 32).count(0);
    });
    assert_eq!(code_of(&round), Some(ErrorCode::OverLimit));
}

#[test]
fn heads_out_of_order_or_twice_are_refused() {
    let with = |heads: &[u8]| {
        let frame = frame(0x05, |it| {
            it.raw(SPACE.as_bytes()).count(1).count(0).count(1);
            it.text("notes")
                .count(1)
                .u8(2)
                .count(1)
                .count(0)
                .raw(&[0; 16]);
            it.count(heads.len());
            for head in heads {
                it.raw(&[*head; 32]);
            }
        });
        code_of(&frame)
    };
    assert_eq!(with(&[1, 2, 3]), None);
    assert_eq!(with(&[1, 3, 2]), Some(ErrorCode::Malformed));
    assert_eq!(with(&[1, 1]), Some(ErrorCode::Malformed));
}

//! Rules about scans: ranges, orders, and how keys sort.

use std::ops::ControlFlow;

use super::{commit, get_from, keys, put, rows, snapshot};
use crate::store::{Batch, KeyRange, Order, Store, Table, prefix_end};

/// From the start on, up to and without the end, whether or not these keys exist.
pub fn scans_show_exactly_their_range_in_both_orders(store: &dyn Store) {
    put(
        store,
        Table::Graph,
        &[(b"b", b"1"), (b"d", b"2"), (b"f", b"3")],
    );
    let snapshot = snapshot(store);
    let keys = |start: &str, end: Option<&str>| {
        let (start, end) = (start.as_bytes(), end.map(str::as_bytes));
        let found = keys(&*snapshot, Table::Graph, KeyRange { start, end });
        String::from_utf8(found.concat()).expect("the keys are letters")
    };
    assert_eq!(keys("", None), "bdf");
    assert_eq!(keys("b", None), "bdf");
    assert_eq!(keys("ba", None), "df");
    assert_eq!(keys("g", None), "");
    assert_eq!(keys("", Some("f")), "bd");
    assert_eq!(keys("", Some("fa")), "bdf");
    assert_eq!(keys("b", Some("d")), "b");
    assert_eq!(keys("c", Some("e")), "d");
    assert_eq!(keys("e", Some("f")), "");
    assert_eq!(keys("", Some("b")), "");
    let descending = rows(&*snapshot, Table::Graph, KeyRange::ALL, Order::Descending);
    let values: Vec<_> = descending
        .into_iter()
        .flat_map(|(_, value)| value)
        .collect();
    assert_eq!(values, b"321");
}

/// No row is shown after that, in either order.
pub fn a_scan_ends_where_the_visitor_breaks(store: &dyn Store) {
    put(store, Table::Tree, &[(b"1", b""), (b"2", b""), (b"3", b"")]);
    let snapshot = snapshot(store);
    for (order, expected) in [(Order::Ascending, b"12"), (Order::Descending, b"32")] {
        let mut seen = Vec::new();
        let done = snapshot.scan(Table::Tree, KeyRange::ALL, order, &mut |key, _| {
            seen.extend_from_slice(key);
            if key == b"2" {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        done.expect("ending a scan is no error");
        assert_eq!(seen, expected);
    }
}

/// Also if its end lies before its start, and in a table that was never written.
pub fn an_empty_range_shows_nothing(store: &dyn Store) {
    put(store, Table::Peers, &[(b"b", b""), (b"c", b"")]);
    let snapshot = snapshot(store);
    for (start, end) in [("b", "b"), ("c", "b"), ("", ""), ("bb", "bc"), ("z", "a")] {
        let (start, end) = (start.as_bytes(), Some(end.as_bytes()));
        let found = keys(&*snapshot, Table::Peers, KeyRange { start, end });
        assert!(found.is_empty(), "{start:?}..{end:?} shows {found:?}");
    }
    assert!(keys(&*snapshot, Table::Waiting, KeyRange::ALL).is_empty());
}

/// [`prefix_end`] bounds a scan to the keys with a prefix, also one that ends in 0xff.
pub fn a_prefix_ends_where_its_end_says(store: &dyn Store) {
    let all: [&[u8]; 8] = [
        b"\x00",
        b"a",
        b"a\x00",
        b"a\xff\xff",
        b"b",
        b"b\xff",
        b"\xff",
        b"\xff\xff\x00",
    ];
    put(store, Table::Elements, &all.map(|key| (key, &b""[..])));
    let snapshot = snapshot(store);
    for prefix in [
        &b""[..],
        b"\x00",
        b"a",
        b"a\xff",
        b"b",
        b"c",
        b"\xff",
        b"\xff\xff",
    ] {
        let end = prefix_end(prefix);
        let range = KeyRange {
            start: prefix,
            end: end.as_deref(),
        };
        let expected = all.into_iter().filter(|key| key.starts_with(prefix));
        let expected: Vec<_> = expected.map(<[u8]>::to_vec).collect();
        assert_eq!(keys(&*snapshot, Table::Elements, range), expected);
    }
}

/// Bytes compare as unsigned numbers, a prefix before its extensions.
pub fn keys_of_any_bytes_sort_as_bytes(store: &dyn Store) {
    let mut all = vec![Vec::new()];
    for first in [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff] {
        for second in [0x00, 0x7f, 0x80, 0xff] {
            all.push(vec![first, second]);
        }
        all.push(vec![first]);
    }
    let mut batch = Batch::default();
    for key in &all {
        batch.put(Table::Records, key.clone(), key.clone());
    }
    commit(store, &batch);
    all.sort_unstable();
    let snapshot = snapshot(store);
    assert_eq!(keys(&*snapshot, Table::Records, KeyRange::ALL), all);
    for key in all {
        assert_eq!(get_from(&*snapshot, Table::Records, &key), Some(key));
    }
}

/// Twenty thousand keys, written out of order and half of them removed again.
pub fn many_keys_are_scanned_in_order(store: &dyn Store) {
    const COUNT: u32 = 20_000;
    let key = |number: u32| number.to_be_bytes().to_vec();
    for part in 0..4 {
        let mut batch = Batch::default();
        // A multiplier that shares no factor with the count visits each number once.
        for number in (0..COUNT)
            .map(|it| it * 7_919 % COUNT)
            .skip(part)
            .step_by(4)
        {
            batch.put(Table::Elements, key(number), key(number ^ 1));
        }
        commit(store, &batch);
    }
    let mut batch = Batch::default();
    for number in (0..COUNT).step_by(2) {
        batch.remove(Table::Elements, key(number));
    }
    commit(store, &batch);
    let snapshot = snapshot(store);
    let expected: Vec<_> = (1..COUNT)
        .step_by(2)
        .map(|it| (key(it), key(it ^ 1)))
        .collect();
    let found = rows(&*snapshot, Table::Elements, KeyRange::ALL, Order::Ascending);
    assert!(
        found == expected,
        "{} rows are not the expected ones",
        found.len()
    );
    let (start, end) = (key(5_000), key(5_010));
    let range = KeyRange {
        start: &start,
        end: Some(&end),
    };
    let found = keys(&*snapshot, Table::Elements, range);
    assert_eq!(found, [5_001, 5_003, 5_005, 5_007, 5_009].map(key));
}

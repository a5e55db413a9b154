//! Rules about single rows: what is put, replaced and removed.

use super::{commit, get, get_from, keys, put, rows, snapshot};
use crate::store::{Batch, KeyRange, Order, Store, Table};

/// A key holds what was put, and nothing before that.
pub fn what_was_put_is_got(store: &dyn Store) {
    assert_eq!(get(store, Table::Log, b"key"), None);
    put(store, Table::Log, &[(b"key", b"value")]);
    assert_eq!(
        get(store, Table::Log, b"key").as_deref(),
        Some(&b"value"[..])
    );
    assert_eq!(get(store, Table::Log, b"ke"), None);
    assert_eq!(get(store, Table::Log, b"key "), None);
}

/// Within a batch and from batch to batch.
pub fn the_last_write_to_a_key_wins(store: &dyn Store) {
    let mut batch = Batch::default();
    for value in [b"1", b"2", b"3"] {
        batch.put(Table::Log, b"put".to_vec(), value.to_vec());
        batch.put(Table::Log, b"removed".to_vec(), value.to_vec());
        batch.remove(Table::Log, b"put again".to_vec());
        batch.put(Table::Log, b"put again".to_vec(), value.to_vec());
    }
    batch.remove(Table::Log, b"removed".to_vec());
    commit(store, &batch);
    assert_eq!(get(store, Table::Log, b"put").as_deref(), Some(&b"3"[..]));
    assert_eq!(
        get(store, Table::Log, b"put again").as_deref(),
        Some(&b"3"[..])
    );
    assert_eq!(get(store, Table::Log, b"removed"), None);
    put(
        store,
        Table::Log,
        &[(b"put", b"a longer value than before")],
    );
    let value = get(store, Table::Log, b"put");
    assert_eq!(value.as_deref(), Some(&b"a longer value than before"[..]));
}

/// For reads and scans, until it is put again.
pub fn what_was_removed_is_gone(store: &dyn Store) {
    put(store, Table::Views, &[(b"a", b"1"), (b"b", b"2")]);
    let mut batch = Batch::default();
    batch.remove(Table::Views, b"a".to_vec());
    commit(store, &batch);
    assert_eq!(get(store, Table::Views, b"a"), None);
    let left = keys(&*snapshot(store), Table::Views, KeyRange::ALL);
    assert_eq!(left, [b"b"]);
    put(store, Table::Views, &[(b"a", b"3")]);
    assert_eq!(get(store, Table::Views, b"a").as_deref(), Some(&b"3"[..]));
}

/// Neither an error nor a trace of it.
pub fn removing_what_is_absent_does_nothing(store: &dyn Store) {
    let mut batch = Batch::default();
    batch.remove(Table::Views, b"absent".to_vec());
    commit(store, &batch);
    put(store, Table::Views, &[(b"there", b"")]);
    commit(store, &batch);
    assert_eq!(
        keys(&*snapshot(store), Table::Views, KeyRange::ALL),
        [b"there"]
    );
}

/// The same key in every table holds the value of that table.
pub fn tables_do_not_share_keys(store: &dyn Store) {
    let mut batch = Batch::default();
    for table in Table::ALL {
        batch.put(table, b"key".to_vec(), table.name().into());
    }
    commit(store, &batch);
    for table in Table::ALL {
        let value = get(store, table, b"key");
        assert_eq!(value.as_deref(), Some(table.name().as_bytes()));
    }
}

/// An empty value differs from none; an empty key is a key.
pub fn an_empty_value_is_a_value(store: &dyn Store) {
    put(store, Table::Stale, &[(b"key", b""), (b"", b"empty key")]);
    assert_eq!(get(store, Table::Stale, b"key"), Some(Vec::new()));
    assert_eq!(
        get(store, Table::Stale, b"").as_deref(),
        Some(&b"empty key"[..])
    );
    let all = keys(&*snapshot(store), Table::Stale, KeyRange::ALL);
    assert_eq!(all, [&b""[..], b"key"]);
}

/// A value of a mebibyte among small ones, replaced by another one.
pub fn large_values_come_back_whole(store: &dyn Store) {
    let large = |step: u8| -> Vec<u8> {
        let bytes = (0..=u8::MAX).map(|byte| byte.wrapping_mul(step));
        bytes.cycle().take(1 << 20).collect()
    };
    for step in [1, 3, 7] {
        let mut batch = Batch::default();
        batch.put(Table::Log, b"before".to_vec(), vec![step]);
        batch.put(Table::Log, b"large".to_vec(), large(step));
        batch.put(Table::Log, b"n after".to_vec(), vec![step]);
        commit(store, &batch);
        let snapshot = snapshot(store);
        let found = rows(&*snapshot, Table::Log, KeyRange::ALL, Order::Descending);
        let values: Vec<_> = found.into_iter().map(|(_, value)| value).collect();
        assert!(values == [vec![step], large(step), vec![step]]);
        assert!(get_from(&*snapshot, Table::Log, b"large") == Some(large(step)));
    }
}

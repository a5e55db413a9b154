//! A long random script, run over a store and over a sorted map: both must always agree.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{get_from, keys, rows, snapshot};
use crate::entropy::Entropy;
use crate::store::{Batch, Durability, KeyRange, Order, Snapshot, Store, Table, Write};

/// Tables that the script writes to. Not [`Table::Meta`], where a store may keep a row of its own.
const TABLES: [Table; 3] = [Table::Log, Table::Tree, Table::Waiting];

const STEPS: u32 = 300;

/// Snapshots that are kept while commits go on.
const KEPT_MAX: usize = 4;

type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Random commits, reads and old snapshots agree with a sorted map.
pub fn a_store_equals_its_model(store: &dyn Store) {
    let mut script = Script::new(1);
    for _ in 0..STEPS {
        script.step(store);
    }
    script.check_kept();
}

/// The same, with the store closed and opened in between.
pub fn a_reopened_store_equals_its_model<P, S: Store>(
    place: impl FnOnce() -> P,
    open: impl Fn(&P) -> S,
) {
    let place = place();
    let mut script = Script::new(2);
    for _ in 0..6 {
        let store = open(&place);
        check(&*snapshot(&store), &script.model, &mut script.entropy);
        for _ in 0..STEPS / 6 {
            script.step(&store);
        }
        script.check_kept();
    }
}

struct Script {
    entropy: Entropy,
    model: Model,
    kept: Vec<(Box<dyn Snapshot>, Model)>,
}

impl Script {
    fn new(seed: u64) -> Self {
        Self {
            entropy: Entropy::from_number(seed),
            model: Model::new(),
            kept: Vec::new(),
        }
    }

    fn step(&mut self, store: &dyn Store) {
        let batch = self.batch();
        let durability = match self.entropy.below(8) {
            0 => Durability::Immediate,
            1 => Durability::Paranoid,
            _ => Durability::Relaxed,
        };
        let done = store.commit(&batch, durability);
        done.expect("a commit without faults succeeds");
        apply(&mut self.model, &batch);
        let snapshot = snapshot(store);
        check(&*snapshot, &self.model, &mut self.entropy);
        if self.entropy.below(4) == 0 {
            if self.kept.len() == KEPT_MAX {
                let (old, model) = self.kept.remove(0);
                check(&*old, &model, &mut self.entropy);
            }
            self.kept.push((snapshot, self.model.clone()));
        }
    }

    /// Compares all snapshots that were kept with what they showed, and drops them.
    fn check_kept(&mut self) {
        for (snapshot, model) in self.kept.drain(..) {
            check(&*snapshot, &model, &mut self.entropy);
        }
    }

    fn batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..self.entropy.below(20) {
            let table = pick(&mut self.entropy);
            let key = key(&mut self.entropy);
            if self.entropy.below(3) == 0 {
                batch.remove(table, key);
            } else {
                let value = value(&mut self.entropy);
                batch.put(table, key, value);
            }
        }
        batch
    }
}

fn apply(model: &mut Model, batch: &Batch) {
    for (table, writes) in batch.tables() {
        for (key, write) in writes {
            let key = (table, key.to_vec());
            match write {
                Write::Put(value) => model.insert(key, value.to_vec()),
                Write::Remove => model.remove(&key),
            };
        }
    }
}

fn pick(entropy: &mut Entropy) -> Table {
    let [first, second, third] = TABLES;
    match entropy.below(3) {
        0 => first,
        1 => second,
        _ => third,
    }
}

/// Short keys over few bytes, so that scripts meet the same key often and prefixes abound.
fn key(entropy: &mut Entropy) -> Vec<u8> {
    let bytes = (0..entropy.below(4)).map(|_| match entropy.below(5) {
        0 => 0x00,
        1 => 0x01,
        2 => 0x7f,
        3 => 0x80,
        _ => 0xff,
    });
    bytes.collect()
}

/// Mostly small values, some larger than a page of a disk.
fn value(entropy: &mut Entropy) -> Vec<u8> {
    let bytes = match entropy.below(10) {
        0 => 10_000,
        1 => 0,
        _ => 30,
    };
    let [byte, ..] = entropy.bytes::<1>();
    vec![byte; bytes]
}

/// Compares a whole table, one range of it, and one key.
fn check(snapshot: &dyn Snapshot, model: &Model, entropy: &mut Entropy) {
    let table = pick(entropy);
    let expected = expected(model, table, KeyRange::ALL);
    let found = rows(snapshot, table, KeyRange::ALL, Order::Ascending);
    assert!(
        found == expected,
        "table {} differs from the model",
        table.name()
    );

    let (start, end) = (key(entropy), key(entropy));
    let range = KeyRange {
        start: &start,
        end: (entropy.below(4) > 0).then_some(&end),
    };
    let shown = keys(snapshot, table, range);
    let wanted = self::expected(model, table, range)
        .into_iter()
        .map(|(key, _)| key);
    assert_eq!(shown, wanted.collect::<Vec<_>>(), "{range:?}");

    let key = key(entropy);
    let value = get_from(snapshot, table, &key);
    assert!(
        value.as_ref() == model.get(&(table, key)),
        "a key differs from the model"
    );
}

fn expected(model: &Model, table: Table, range: KeyRange<'_>) -> Vec<super::Row> {
    if range.is_empty() {
        return Vec::new();
    }
    let from = Bound::Included((table, range.start.to_vec()));
    let rows = model.range((from, Bound::Unbounded));
    let rows = rows.take_while(|((at, key), _)| {
        *at == table && range.end.is_none_or(|end| key.as_slice() < end)
    });
    rows.map(|((_, key), value)| (key.clone(), value.clone()))
        .collect()
}

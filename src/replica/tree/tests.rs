//! Trees that grow and shrink by batches, against one made at once and against adding up one by one.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{BUCKET, build, update};
use crate::id::RecordId;
use crate::reconcile::{Element, RangeKey, Span, Total, Upper};
use crate::replica::keys::{self, Number};
use crate::replica::read::Rows;
use crate::store::{Batch, Durability, KeyRange, MemoryStore, Order, Store, Table};

const NUMBER: Number = Number(7);

type Elements = BTreeMap<RangeKey, Element>;

/// A store of elements alone, and what it should hold.
struct Forest {
    store: MemoryStore,
    elements: Elements,
}

/// Where a key is made to lie: honest ones spread, hostile ones share what they can.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Spread,
    OneSecond,
    Caterpillar,
}

fn key(kind: Kind, number: u16) -> RangeKey {
    let mut record = *RecordId::named(&number.to_string()).as_bytes();
    let time = match kind {
        Kind::Spread => 1_790_000_000 + u64::from(number) * 37,
        Kind::OneSecond => 1_790_000_000,
        Kind::Caterpillar => {
            // Each stands alone beside all deeper ones.
            let depth = usize::from(number % 128);
            record = [0; 16];
            record[depth / 8] = 0x80 >> (depth % 8);
            record[14..].copy_from_slice(&number.to_be_bytes());
            0
        }
    };
    RangeKey {
        time,
        record: RecordId::from_bytes(record),
    }
}

fn element(number: u16) -> Element {
    Element::from_bytes(*blake3::hash(&number.to_be_bytes()).as_bytes())
}

impl Forest {
    fn new() -> Self {
        Self {
            store: MemoryStore::new(),
            elements: Elements::new(),
        }
    }

    fn commit(&mut self, writes: impl IntoIterator<Item = (RangeKey, Option<Element>)>) {
        let mut batch = Batch::default();
        for (key, write) in writes {
            let place = keys::element(NUMBER, key);
            if let Some(element) = write {
                batch.put(Table::Elements, place, element.as_bytes().to_vec());
                self.elements.insert(key, element);
            } else {
                batch.remove(Table::Elements, place);
                self.elements.remove(&key);
            }
        }
        let snapshot = self.store.snapshot().unwrap();
        update(snapshot.as_ref(), &mut batch).unwrap();
        self.store.commit(&batch, Durability::Relaxed).unwrap();
    }

    fn rows(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut rows = BTreeMap::new();
        let snapshot = self.store.snapshot().unwrap();
        let visit = &mut |key: &[u8], row: &[u8]| {
            rows.insert(key.to_vec(), row.to_vec());
            std::ops::ControlFlow::Continue(())
        };
        snapshot
            .scan(Table::Tree, KeyRange::ALL, Order::Ascending, visit)
            .unwrap();
        rows
    }

    /// The rows that a tree made at once from these elements has.
    fn made(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut fresh = Self::new();
        let mut batch = Batch::default();
        for (key, element) in &self.elements {
            let place = keys::element(NUMBER, *key);
            batch.put(Table::Elements, place, element.as_bytes().to_vec());
        }
        let snapshot = fresh.store.snapshot().unwrap();
        build(snapshot.as_ref(), &mut batch, NUMBER).unwrap();
        fresh.store.commit(&batch, Durability::Relaxed).unwrap();
        fresh.elements.clone_from(&self.elements);
        fresh.rows()
    }

    fn counted(&self, span: Span) -> Total {
        let mut total = Total::default();
        let inside = self.elements.range(span.lower..);
        let inside = inside.take_while(|(key, _)| Upper::Key(**key) < span.upper);
        inside.for_each(|(_, it)| total.add(it));
        total
    }

    fn check(&self, span: Span, limit: usize) {
        let snapshot = self.store.snapshot().unwrap();
        let rows = Rows::new(snapshot.as_ref());
        let total = rows.within(NUMBER, span).unwrap();
        assert_eq!(total, self.counted(span), "{span:?}");
        let parts = rows.parts(NUMBER, span, limit).unwrap();
        assert!(parts.len() <= limit, "{} parts", parts.len());
        assert!(parts.len() > 1 || total.count < 2, "nothing is parted");
        self.check_parts(span, &parts);
        let newest = rows.newest(NUMBER, span, limit).unwrap();
        let leaf = u64::try_from(limit).unwrap();
        assert!(newest.len() > 1 || total.count <= leaf, "nothing is parted");
        assert!(newest.last().unwrap().1.count <= leaf, "the newest are few");
        self.check_parts(span, &newest);
    }

    fn check_parts(&self, span: Span, parts: &[(Upper, Total)]) {
        let mut lower = span.lower;
        for (upper, total) in parts {
            let part = Span {
                lower,
                upper: *upper,
            };
            assert!(Upper::Key(lower) < *upper, "{part:?} is empty");
            assert_eq!(*total, self.counted(part), "{part:?}");
            if let Upper::Key(key) = upper {
                lower = *key;
            }
        }
        assert_eq!(parts.last().unwrap().0, span.upper);
    }
}

/// Batches: of one kind of keys, from a number on so many, to be put or removed.
fn batches() -> impl Strategy<Value = Vec<(Kind, u16, u16, bool)>> {
    let kind = prop_oneof![
        Just(Kind::Spread),
        Just(Kind::OneSecond),
        Just(Kind::Caterpillar)
    ];
    let batch = (kind, 0..1_500_u16, 1..400_u16, prop::bool::weighted(0.6));
    prop::collection::vec(batch, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_tree_follows_from_its_elements_and_sums_any_span(
        batches in batches(),
        bounds in prop::collection::vec((0..1_500_u16, 0..1_500_u16), 4),
    ) {
        let mut forest = Forest::new();
        for (kind, from, count, puts) in batches {
            forest.commit((from..from + count).map(|it| {
                // The same key may get another element, too.
                (key(kind, it), puts.then(|| element(it.wrapping_add(count))))
            }));
            prop_assert_eq!(forest.rows(), forest.made());
        }
        forest.check(Span::ALL, 16);
        for kind in [Kind::Spread, Kind::OneSecond, Kind::Caterpillar] {
            for (low, high) in &bounds {
                let (low, high) = (key(kind, *low), key(kind, *high));
                if low < high {
                    forest.check(Span { lower: low, upper: Upper::Key(high) }, 16);
                    forest.check(Span { lower: low, upper: Upper::End }, 5);
                }
            }
        }
    }
}

#[test]
fn what_is_emptied_leaves_no_nodes() {
    let mut forest = Forest::new();
    let all = 0..3_000;
    forest.commit(
        all.clone()
            .map(|it| (key(Kind::Spread, it), Some(element(it)))),
    );
    let nodes = u64::try_from(forest.rows().len()).unwrap();
    assert!(
        nodes > 3_000 / BUCKET / 16 && nodes < 3_000 / 4,
        "{nodes} rows"
    );
    forest.commit(all.map(|it| (key(Kind::Spread, it), None)));
    assert_eq!(forest.rows(), BTreeMap::new());
}

#[test]
fn one_edit_among_many_writes_few_rows() {
    let mut forest = Forest::new();
    forest.commit((0..20_000).map(|it| (key(Kind::Spread, it), Some(element(it)))));
    let mut batch = Batch::default();
    batch.remove(Table::Elements, keys::element(NUMBER, key(Kind::Spread, 9)));
    let newest = key(Kind::Spread, 20_001);
    let row = element(9).as_bytes().to_vec();
    batch.put(Table::Elements, keys::element(NUMBER, newest), row);
    let snapshot = forest.store.snapshot().unwrap();
    update(snapshot.as_ref(), &mut batch).unwrap();
    let rows = batch.range(Table::Tree, &[], None).count();
    assert!(rows <= 12, "{rows} rows");
}

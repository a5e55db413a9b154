//! A store on a disk that loses and tears what was not synced, against a sorted map.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::Script;
use crate::entropy::Entropy;
use crate::store::{
    Batch, CrashDisk, Durability, KeyRange, Order, RedbOptions, RedbStore, Snapshot, Store, Table,
    Write,
};

/// Operations of one input.
const STEPS_MAX: usize = 48;

/// Snapshots that are held at once.
const KEPT_MAX: usize = 4;

/// Tables that batches write to. Not [`Table::Meta`], where the store keeps a row of its own.
const TABLES: [Table; 3] = [Table::Log, Table::Tree, Table::Waiting];

type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// The first byte says how stores are opened. Then operations, each a byte and what it needs:
///
/// | byte modulo 16 | what happens |
/// | --- | --- |
/// | 0 to 4 | a batch is committed: immediate, paranoid, or relaxed |
/// | 5 | an empty batch is committed, or the store settled |
/// | 6 | a snapshot is taken and held, or one that was held is compared |
/// | 7 | a whole table, a range of it and a key are compared |
/// | 8, 9 | the power is to be cut after some writes, resizes and syncs |
/// | 10, 11 | the power is cut: what was not synced is there, lost, or torn; the store is opened again |
/// | 12 | the power is cut while a store is opened after such a crash |
/// | 13 | the process dies; the store is opened again |
/// | 14 | the store is closed and opened again |
/// | 15 | a read fails soon, or the disk is full |
///
/// # Panics
/// Where a crash takes away a batch that was acknowledged as durable, shows one that was never tried,
/// or a part of one; where what is read differs from the model, also in snapshots that were taken
/// before; and where a commit after a failed one succeeds.
pub fn store(data: &[u8]) {
    let mut script = Script::new(data);
    let mut bench = Bench::new(&mut script);
    for _ in 0..STEPS_MAX {
        if script.is_empty() {
            break;
        }
        bench.step(&mut script);
    }
    bench.check_kept();
    bench.reopen(bench.disk.image());
}

struct Bench {
    options: RedbOptions,
    disk: CrashDisk,
    store: RedbStore,
    /// What may be found after a crash: what was last acknowledged as durable, and what each batch
    /// since made of it.
    states: Vec<Model>,
    /// What is read now.
    shown: Model,
    /// A commit failed.
    failed: bool,
    /// Reads may fail.
    troubled: bool,
    kept: Vec<(Box<dyn Snapshot>, Model)>,
}

fn open(disk: &CrashDisk, options: RedbOptions) -> Result<RedbStore, crate::store::StoreError> {
    RedbStore::with_backend("a disk", disk.clone(), options)
}

impl Bench {
    fn new(script: &mut Script<'_>) -> Self {
        let how = script.byte();
        let options = RedbOptions {
            // A cache too small for a commit makes pages be written before the commit ends.
            cache_bytes: if how & 1 == 0 { 1 << 20 } else { 0 },
            quick_reopen: how & 2 != 0,
            verify: how & 4 != 0,
        };
        let disk = CrashDisk::new();
        let store = open(&disk, options).expect("an empty disk takes a store");
        Self {
            options,
            disk,
            store,
            states: vec![Model::new()],
            shown: Model::new(),
            failed: false,
            troubled: false,
            kept: Vec::new(),
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(16) {
            0..5 => self.commit(script),
            5 => {
                let done = if script.chance() {
                    self.store.settle()
                } else {
                    self.store.commit(&Batch::default(), Durability::Immediate)
                };
                match done {
                    Ok(()) if !self.failed => self.states = vec![self.shown.clone()],
                    Ok(()) => {}
                    Err(_) => self.failed = true,
                }
            }
            6 if self.kept.len() < KEPT_MAX => {
                if let Ok(snapshot) = self.store.snapshot() {
                    self.kept.push((snapshot, self.shown.clone()));
                }
            }
            6 => self.check_kept(),
            7 => self.compare(script),
            8 | 9 => self.disk.cut_power_after(u64::from(script.byte())),
            10 | 11 => {
                let image = self.crash(script);
                self.reopen(image);
            }
            12 => {
                let image = self.crash(script);
                let disk = CrashDisk::with_image(image);
                disk.cut_power_after(u64::from(script.byte()));
                drop(open(&disk, self.options));
                self.reopen(disk.image_after_crash(&mut entropy(script)));
            }
            13 => self.reopen(self.disk.image()),
            14 => self.close(),
            _ => {
                self.troubled = true;
                if script.chance() {
                    self.disk.fail_read_after(u64::from(script.byte()));
                } else {
                    let bytes = u64::try_from(self.disk.size_bytes()).unwrap_or(0);
                    self.disk.set_capacity(Some(bytes));
                }
            }
        }
    }

    fn commit(&mut self, script: &mut Script<'_>) {
        let durability = match script.below(4) {
            0 => Durability::Immediate,
            1 => Durability::Paranoid,
            _ => Durability::Relaxed,
        };
        let batch = batch(script);
        let done = self.store.commit(&batch, durability);
        if self.failed {
            assert!(
                done.is_err() || batch.is_empty(),
                "after a failed commit none succeeds"
            );
            return;
        }
        let mut after = self.shown.clone();
        apply(&mut after, &batch);
        match done {
            Ok(()) if durability == Durability::Relaxed => {
                self.states.push(after.clone());
                self.shown = after;
            }
            Ok(()) => {
                self.states = vec![after.clone()];
                self.shown = after;
            }
            Err(error) => {
                assert!(
                    self.troubled || self.disk.is_dead(),
                    "a sound disk took a commit ill: {error}"
                );
                self.states.push(after);
                self.failed = true;
            }
        }
    }

    /// What is found after the power was cut now.
    fn crash(&self, script: &mut Script<'_>) -> Vec<u8> {
        self.disk.image_after_crash(&mut entropy(script))
    }

    /// Opens the store on what was left of the disk.
    fn reopen(&mut self, image: Vec<u8>) {
        self.kept.clear();
        self.disk = CrashDisk::with_image(image);
        self.store = open(&self.disk, self.options).expect("what is left of a disk opens");
        self.settle_on_found();
    }

    /// Closes the store and opens it on the same disk.
    fn close(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        self.disk.keep_power();
        let image = self.disk.image();
        self.store = open(&CrashDisk::with_image(image), self.options).expect("it opens");
        for (snapshot, model) in kept {
            // A snapshot may end with its store. What it still shows has to be right.
            compare(&*snapshot, &model, true, &mut Script::new(&[]));
        }
        // Now that nobody has it open, what closing wrote is there, too.
        self.reopen(self.disk.image());
    }

    /// One of the states that may be there has to be there, whole.
    fn settle_on_found(&mut self) {
        (self.failed, self.troubled) = (false, false);
        let snapshot = self.store.snapshot().expect("a new store is readable");
        let mut found = Model::new();
        for table in TABLES {
            let rows = rows(&*snapshot, table, KeyRange::ALL, Order::Ascending);
            let rows = rows.expect("a new store is readable").into_iter();
            found.extend(rows.map(|(key, value)| ((table, key), value)));
        }
        let at = self.states.iter().position(|it| *it == found);
        assert!(
            at.is_some(),
            "what is found is none of the {} states that may be: {} rows",
            self.states.len(),
            found.len()
        );
        self.states = vec![found.clone()];
        self.shown = found;
    }

    fn compare(&self, script: &mut Script<'_>) {
        if let Ok(snapshot) = self.store.snapshot() {
            compare(&*snapshot, &self.shown, self.troubled, script);
        }
    }

    fn check_kept(&mut self) {
        for (snapshot, model) in std::mem::take(&mut self.kept) {
            for table in TABLES {
                let mut script = Script::new(&[]);
                is_equal(&*snapshot, &model, table, KeyRange::ALL, self.troubled);
                compare(&*snapshot, &model, self.troubled, &mut script);
            }
        }
    }
}

fn entropy(script: &mut Script<'_>) -> Entropy {
    Entropy::from_number(u64::from(script.byte()))
}

fn batch(script: &mut Script<'_>) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..script.below(12) {
        let (table, key) = (table(script), key(script));
        match script.below(8) {
            0 | 1 => batch.remove(table, key),
            size => {
                let bytes = [0, 1, 30, 400, 3_000, 20_000].get(size - 2).copied();
                let value = vec![script.byte(); bytes.unwrap_or(0)];
                batch.put(table, key, value);
            }
        }
    }
    batch
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

fn table(script: &mut Script<'_>) -> Table {
    TABLES
        .get(script.below(TABLES.len()))
        .copied()
        .unwrap_or(Table::Log)
}

/// Short keys over few bytes, so that scripts meet the same key often and prefixes abound.
fn key(script: &mut Script<'_>) -> Vec<u8> {
    let shape = script.byte();
    let bytes = [0x00, 0x01, 0x7f, 0xff].into_iter().cycle();
    let start = usize::from(shape >> 2 & 3);
    let stride = usize::from(shape >> 4 & 3) + 1;
    let bytes = bytes.skip(start).step_by(stride);
    bytes.take(usize::from(shape & 3)).collect()
}

type Row = (Vec<u8>, Vec<u8>);

fn rows(
    snapshot: &dyn Snapshot,
    table: Table,
    range: KeyRange<'_>,
    order: Order,
) -> Result<Vec<Row>, crate::store::StoreError> {
    let mut rows = Vec::new();
    snapshot.scan(table, range, order, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

fn compare(snapshot: &dyn Snapshot, model: &Model, troubled: bool, script: &mut Script<'_>) {
    let table = table(script);
    is_equal(snapshot, model, table, KeyRange::ALL, troubled);
    let (start, end) = (key(script), key(script));
    let range = KeyRange {
        start: &start,
        end: script.chance().then_some(&end),
    };
    is_equal(snapshot, model, table, range, troubled);
    match snapshot.get(table, &start) {
        Ok(value) => assert!(
            value.as_ref() == model.get(&(table, start)),
            "a key differs from the model"
        ),
        Err(error) => assert!(troubled, "a sound disk is readable: {error}"),
    }
}

/// Compares a range, forwards and backwards.
fn is_equal(
    snapshot: &dyn Snapshot,
    model: &Model,
    table: Table,
    range: KeyRange<'_>,
    troubled: bool,
) {
    let inside = |it: &&(Table, Vec<u8>)| {
        let key = it.1.as_slice();
        it.0 == table && key >= range.start && range.end.is_none_or(|end| key < end)
    };
    let rows_of = |key: &(Table, Vec<u8>)| (key.1.clone(), model.get(key).cloned());
    let mut expected: Vec<_> = model.keys().filter(inside).map(rows_of).collect();
    for order in [Order::Ascending, Order::Descending] {
        match rows(snapshot, table, range, order) {
            Ok(rows) => {
                let found = rows.into_iter().map(|(key, value)| (key, Some(value)));
                assert!(
                    found.eq(expected.iter().cloned()),
                    "table {} differs from the model",
                    table.name()
                );
            }
            Err(error) => assert!(troubled, "a sound disk is readable: {error}"),
        }
        expected.reverse();
    }
}

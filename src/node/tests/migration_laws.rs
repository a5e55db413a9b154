//! Migrations as functions of documents, without a node: they commute with merges, devices apart make the
//! same changes, and versions that edit apart for a month lose nothing.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::evolve::Way;
use super::super::rulings::Rulings;
use super::*;
use crate::contract::{Contract, Field, Kind, Migration};
use crate::doc::{Change, Document, EditMeta, PathStep, Value};
use crate::id::{ActorId, RecordId, RecordKey};
use crate::time::WallTime;

fn key() -> RecordKey {
    RecordKey {
        space: SpaceId::named("s"),
        collection: "people".parse().unwrap(),
        record: RecordId::named("ana"),
    }
}

fn contract() -> Contract {
    Contract::builder("people", 2)
        .field("name", Field::string())
        .field("born", Field::integer())
        .field("done", Field::integer())
        .migration(Migration::new(1, 2).rename("full_name", "name").convert(
            "year",
            Kind::String,
            "born",
            Kind::Integer,
        ))
        .build()
        .unwrap()
}

fn rulings() -> Rulings {
    let rulings = Rulings::default();
    rulings.declare(key().space, &Arc::new(contract()));
    rulings
}

/// A device's document, and all changes that it has.
#[derive(Clone)]
struct Device {
    document: Document,
    changes: Vec<Change>,
    is_new: bool,
}

impl Device {
    fn new(number: u8, is_new: bool) -> Self {
        let document = Document::new(&ActorId::from_bytes(vec![number; 16]));
        Self {
            document,
            changes: Vec::new(),
            is_new,
        }
    }

    fn migrate(&mut self, rulings: &Rulings) {
        let made = rulings.migrate(&key(), &mut self.document, Way::Forward);
        self.changes.extend(made.unwrap());
    }

    /// Writes a field of all versions by the name that this one knows.
    fn write(&mut self, rulings: &Rulings, day: u64, field: &str, number: i64) {
        if self.is_new {
            self.migrate(rulings);
        }
        let (name, value) = match (field, self.is_new) {
            ("name", true) => ("name", Value::Str(number.to_string())),
            ("name", false) => ("full_name", Value::Str(number.to_string())),
            ("born", true) => ("born", Value::Int(number)),
            ("born", false) => ("year", Value::Str(number.to_string())),
            (field, _) => (field, Value::Int(number)),
        };
        let meta = EditMeta::at(WallTime::from_unix_seconds(
            i64::try_from(day * 86_400).unwrap(),
        ));
        let edit = self
            .document
            .edit(meta, |edit| edit.set(&[PathStep::from(name)], &value));
        self.changes.extend(edit.unwrap().1);
    }

    fn meet(&mut self, other: &Self) {
        let new = other.changes.iter();
        let new: Vec<_> = new
            .filter(|it| !self.document.has(&it.hash()))
            .cloned()
            .collect();
        self.document.apply(&new).unwrap();
        self.changes.extend(new);
    }

    /// A field as a program of version 2 shows it.
    fn shown(&self, rulings: &Rulings, field: &str) -> Option<i64> {
        let mut device = self.clone();
        device.migrate(rulings);
        let value = device.document.value().unwrap();
        let value = value.get(&[PathStep::from(field)])?;
        if let Value::Int(number) = value {
            return Some(*number);
        }
        Some(value.as_str().unwrap().parse().unwrap())
    }
}

const FIELDS: [&str; 5] = ["name", "born", "done", "only_old", "only_new"];

/// What a device does on a day: which, which field, or with which other one it meets.
fn schedule(days: usize) -> impl Strategy<Value = Vec<(usize, usize, Option<usize>)>> {
    let meets = prop_oneof![3 => Just(None), 1 => (0..4_usize).prop_map(Some)];
    prop::collection::vec((0..4_usize, 0..FIELDS.len(), meets), 1..days)
}

/// Two devices of each version, after a schedule; and of each field the writes that nobody has
/// overwritten who knew of them.
fn lived(rulings: &Rulings, schedule: &[(usize, usize, Option<usize>)]) -> (Vec<Device>, Model) {
    let mut devices: Vec<_> = (1..=4).map(|it| Device::new(it, it % 2 == 0)).collect();
    let mut model = Model::default();
    for (day, (who, field, meets)) in (1..).zip(schedule) {
        if let Some(other) = meets.filter(|it| it != who) {
            let there = devices[other].clone();
            devices[*who].meet(&there);
            model.meet(*who, other);
            continue;
        }
        let field = FIELDS[*field];
        let knows = match field {
            "only_old" => !devices[*who].is_new,
            "only_new" => devices[*who].is_new,
            _ => true,
        };
        if knows {
            let number = i64::try_from(day).unwrap();
            devices[*who].write(rulings, day, field, number);
            model.write(*who, field, number);
        }
    }
    (devices, model)
}

/// Who knows which writes, and what each was written upon.
#[derive(Default)]
struct Model {
    known: BTreeMap<usize, BTreeSet<i64>>,
    writes: BTreeMap<i64, (&'static str, BTreeSet<i64>)>,
}

impl Model {
    fn write(&mut self, who: usize, field: &'static str, number: i64) {
        let known = self.known.entry(who).or_default();
        self.writes.insert(number, (field, known.clone()));
        known.insert(number);
    }

    fn meet(&mut self, who: usize, other: usize) {
        let there = self.known.get(&other).cloned().unwrap_or_default();
        self.known.entry(who).or_default().extend(there);
    }

    /// The writes of a field upon which none was made that knew of them.
    fn last(&self, field: &str) -> BTreeSet<i64> {
        let of_field = || self.writes.iter().filter(|(_, it)| it.0 == field);
        let is_last = |it: &i64| !of_field().any(|(_, (_, knew))| knew.contains(it));
        of_field().map(|(it, _)| *it).filter(is_last).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn two_versions_edit_apart_for_a_month_and_lose_no_field(days in schedule(90)) {
        let rulings = rulings();
        let (devices, model) = lived(&rulings, &days);
        let mut all = devices[0].clone();
        for it in &devices {
            all.meet(it);
        }
        for field in FIELDS {
            let last = model.last(field);
            match all.shown(&rulings, field) {
                Some(shown) => prop_assert!(last.contains(&shown), "{field}: {shown} of {last:?}"),
                None => prop_assert!(last.is_empty(), "{field} is lost, of {last:?}"),
            }
        }
    }

    #[test]
    fn a_migration_commutes_with_a_merge(days in schedule(30)) {
        let rulings = rulings();
        let (devices, _) = lived(&rulings, &days);
        let (mut merged, mut migrated) = (devices[0].clone(), devices[0].clone());
        for it in &devices {
            merged.meet(it);
        }
        merged.migrate(&rulings);
        migrated.migrate(&rulings);
        for it in &devices {
            let mut it = it.clone();
            it.migrate(&rulings);
            migrated.meet(&it);
        }
        migrated.migrate(&rulings);
        prop_assert_eq!(merged.document.value().unwrap(), migrated.document.value().unwrap());
    }

    #[test]
    fn devices_that_have_the_same_make_the_same_changes(days in schedule(30)) {
        let rulings = rulings();
        let (devices, _) = lived(&rulings, &days);
        let mut first = devices[0].clone();
        for it in &devices {
            first.meet(it);
        }
        let mut second = Device::new(9, true);
        for it in devices.iter().rev() {
            second.meet(it);
        }
        first.migrate(&rulings);
        second.migrate(&rulings);
        prop_assert_eq!(first.document.heads(), second.document.heads());
        let heads = first.document.heads();
        first.migrate(&rulings);
        prop_assert_eq!(first.document.heads(), heads, "what is migrated needs no more");
    }
}

#[test]
fn what_two_versions_write_at_the_same_time_stays_a_conflict_of_the_new_field() {
    let rulings = rulings();
    let (mut old, mut new) = (Device::new(1, false), Device::new(2, true));
    old.write(&rulings, 1, "name", 1);
    new.meet(&old);
    new.write(&rulings, 2, "name", 2);
    old.write(&rulings, 3, "name", 3);
    new.meet(&old);
    new.migrate(&rulings);
    let path = [PathStep::from("name")];
    let candidates = new.document.candidates(&path, None).unwrap();
    let values: BTreeSet<_> = candidates
        .iter()
        .map(|it| it.value.as_str().unwrap().to_owned())
        .collect();
    assert!(values.contains("2") && values.contains("3"), "{values:?}");
    // What was moved is as late as when it was written, and no later.
    let moved = candidates.iter().find(|it| it.value.as_str() == Some("3"));
    assert_eq!(moved.unwrap().time.seconds, 3 * 86_400);
    // An older program that knew of it all has the last word.
    old.meet(&new);
    old.write(&rulings, 4, "name", 4);
    new.meet(&old);
    assert_eq!(new.shown(&rulings, "name"), Some(4));
}

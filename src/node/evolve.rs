//! Records in the form of the contract's version: migrated as they are read, and before they are edited.
//!
//! What is written is a change that follows from the record alone, so that devices which migrate apart
//! make the same one. A step that moves a field builds on the changes only that wrote the field: it is the
//! same whatever else the record has, and it is no later than the value that it moves. A function of
//! the program's own builds on the whole record.

use std::sync::Arc;

use super::rulings::Rulings;
use crate::contract::{Contract, Migration, Step};
use crate::doc::value::parse_path;
use crate::doc::{Change, Document, Shown, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ActorId, CollectionId, Heads, RecordKey, SpaceId};
use crate::record;
use crate::replica::documents::Loaded;

/// Which way records are brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the contract's version.
    Forward,
    /// To an older version.
    Back(u32),
}

impl Rulings {
    /// Whether a record's value is in the form of the contract's version, or nothing says how it gets there.
    pub(super) fn is_migrated(&self, key: &RecordKey, value: &Value) -> bool {
        self.migrated(key.space, &key.collection)(value)
    }

    /// The same for all records of a collection.
    pub(super) fn migrated(
        &self,
        space: SpaceId,
        collection: &CollectionId,
    ) -> impl Fn(&Value) -> bool + use<'_> {
        let ruling = self.of(space, collection);
        let contract = ruling.as_ref().and_then(|it| it.evolving()).cloned();
        move |value| {
            contract.as_ref().is_none_or(|it| {
                let record = record::read_value(value);
                record::is_deleted(value) || it.is_migrated(&record, &self.migrations)
            })
        }
    }

    /// What is stored of a record, brought into the form of the contract's version. Writes nothing.
    ///
    /// # Errors
    /// `Migration` if it can't be.
    pub(super) fn in_form(&self, key: &RecordKey, loaded: &Loaded, shown: Shown) -> Result<Shown> {
        let mut shown = shown;
        if !self.is_migrated(key, &shown.value) {
            let mut fork = loaded.document.fork(&loaded.heads)?;
            fork.look_through(self.lens(key));
            self.migrate(key, &mut fork, Way::Forward)?;
            shown = fork.shown(None)?;
            shown.by = self.tag(key);
        } else if shown.by > 0 {
            shown.by = self.tag(key);
        }
        Ok(shown)
    }

    /// A document that is about to be edited after its migration, and the changes of that; `None` where
    /// nothing is to be done, or it can't be.
    pub(super) fn migrate_for_edit(
        &self,
        key: &RecordKey,
        document: &Document,
    ) -> Result<Option<(Document, Vec<Change>)>> {
        let ruling = self.of_record(key);
        let Some(contract) = ruling.as_ref().and_then(|it| it.evolving()) else {
            return Ok(None);
        };
        if !self.needs_migration(contract, document)? {
            return Ok(None);
        }
        let mut draft = document.clone();
        match self.migrate(key, &mut draft, Way::Forward) {
            Ok(changes) => Ok((!changes.is_empty()).then_some((draft, changes))),
            Err(error) if error.kind() == ErrorKind::Migration => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a document has anything in an older form; without reading all of it, if functions of the
    /// program's own need not be asked.
    fn needs_migration(&self, contract: &Contract, document: &Document) -> Result<bool> {
        if document.heads().is_empty() || document.is_deleted()? {
            return Ok(false);
        }
        let mut steps = contract.migrations().iter().flat_map(Migration::steps);
        if steps.clone().any(|it| it.paths().is_none()) {
            let value = document.fork(&document.heads())?.value()?;
            return Ok(!contract.is_migrated(&record::read_value(&value), &self.migrations));
        }
        let mut is_due = false;
        steps.try_for_each(|step| -> Result<()> {
            if let Some((from, _)) = step.paths() {
                is_due |= !document.writers(&parse_path(from)?)?.is_empty();
            }
            Ok(())
        })?;
        Ok(is_due)
    }

    /// Brings a document into the form of a version; gives the changes of that. After an error the
    /// document is half of something.
    ///
    /// # Errors
    /// `Migration`, naming the record, the step and why.
    pub(super) fn migrate(
        &self,
        key: &RecordKey,
        document: &mut Document,
        way: Way,
    ) -> Result<Vec<Change>> {
        let ruling = self.of_record(key);
        let contract = ruling.as_ref().and_then(|it| it.evolving());
        let mut changes = Vec::new();
        let Some(contract) = contract.filter(|_| !document.heads().is_empty()) else {
            return Ok(changes);
        };
        let contract = Arc::clone(contract);
        if document.is_deleted()? {
            return Ok(changes);
        }
        for (migration, step) in in_order(&contract, way) {
            self.run((key, document), (migration, step), way, &mut changes)?;
        }
        let value = document.fork(&document.heads())?.value()?;
        let record = record::read_value(&value);
        if way == Way::Forward && !contract.is_migrated(&record, &self.migrations) {
            let version = contract.version();
            let why = "its steps undo each other, or make what can't be told from what is there";
            return Err(failed(key, &format!("to version {version}"), why));
        }
        Ok(changes)
    }

    fn run(
        &self,
        (key, document): (&RecordKey, &mut Document),
        (migration, step): (&Migration, &Step),
        way: Way,
        changes: &mut Vec<Change>,
    ) -> Result<()> {
        let source = match (step.paths(), way) {
            (Some((from, _)), Way::Forward) => Some(parse_path(from)?),
            (Some((_, to)), Way::Back(_)) => Some(parse_path(to)?),
            (None, _) => None,
        };
        let mut bases = Vec::new();
        if let Some(source) = &source {
            let writers = document.writers(source)?;
            bases.extend(writers.into_iter().map(|it| Heads::from_iter([it])));
        } else {
            bases.push(document.heads());
        }
        for base in bases {
            changes.extend(self.derive((key, document), &base, (migration, step), way)?);
        }
        // What was written inside of a map that lost against another one moves with the whole record.
        if let Some(source) = source
            && !document.writers(&source)?.is_empty()
        {
            let base = document.heads();
            changes.extend(self.derive((key, document), &base, (migration, step), way)?);
        }
        Ok(())
    }

    /// Makes the change of one step, upon the record as it was at `base`.
    fn derive(
        &self,
        (key, document): (&RecordKey, &mut Document),
        base: &Heads,
        (migration, step): (&Migration, &Step),
        way: Way,
    ) -> Result<Option<Change>> {
        let (mut from, mut to) = (migration.from(), migration.to());
        if way != Way::Forward {
            (from, to) = (to, from);
        }
        let doing = format!("version {from} to {to}, {step}");
        let mut fork = document.fork(base)?;
        let value = fork.value()?;
        let value = record::read_value(&value).into_owned();
        let made = match way {
            Way::Forward => step.forward(&value, &self.migrations),
            Way::Back(_) => step.back(&value, &self.migrations),
        };
        let made = made.map_err(|why| failed(key, &doing, &why))?;
        let Some(map) = made.as_map().filter(|_| made != value) else {
            return Ok(None);
        };
        let actor = ActorId::derived(key, base, [doing.as_bytes(), &made.to_bytes()]);
        let message = format!("migrated from version {from} to {to}");
        let change = fork.derive(&actor, message, map)?;
        let change = change.filter(|it| !document.has(&it.hash()));
        if let Some(change) = &change {
            document.apply(std::slice::from_ref(change))?;
        }
        Ok(change)
    }
}

/// The steps on a way, in the order in which they are gone.
fn in_order(contract: &Contract, way: Way) -> Vec<(&Migration, &Step)> {
    let all = contract.migrations().iter();
    let steps = all.flat_map(|it| it.steps().iter().map(move |step| (it, step)));
    match way {
        Way::Forward => steps.collect(),
        Way::Back(version) => steps.rev().filter(|(it, _)| it.from() >= version).collect(),
    }
}

fn failed(key: &RecordKey, doing: &str, why: &str) -> Error {
    let message = format!("record {key} can't be migrated: {doing}: {why}");
    Error::new(ErrorKind::Migration, message)
}

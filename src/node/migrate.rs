//! Migrating a whole collection: in batches, with progress, there and back, or only to see what would be.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::Value as Json;

use super::evolve::Way;
use super::shared::Shared;
use super::tasks::run_apart;
use super::{Records, Transaction};
use crate::contract::said;
use crate::doc::{Change, Document, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ActorId, RecordId, RecordKey};
use crate::limits;
use crate::record;
use crate::replica::Rows;
use crate::replica::documents::Loaded;

/// What [`Records::migrate`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Migrate {
    /// Brings all records into the form of the contract's version.
    Forward,
    /// Tells what that would do, and writes nothing.
    DryRun,
    /// Takes it back, to this version: for programs that are to go on with that. Programs of the newer
    /// version migrate what they edit again.
    Back(u32),
}

/// What became of the records of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migrated {
    /// Records that were looked at.
    pub records: u64,
    /// Those that were migrated, or would be.
    pub done: u64,
    /// Those with nothing to migrate, deleted ones among them.
    pub unneeded: u64,
    /// Those that can't be, which are as they were.
    pub failed: u64,
    /// Why, of the first [`limits::MIGRATION_FAILURES_MAX`] of them.
    pub failures: Vec<NotMigrated>,
    /// Names of the record's own fields that changed, or would.
    pub fields: BTreeSet<String>,
}

/// A record that could not be migrated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotMigrated {
    /// The record.
    pub record: RecordId,
    /// The step and why, or how the result breaks the contract; without values.
    pub reason: String,
}

/// A document after its migration, the changes of that, and the fields that are different.
type Made = (Document, Vec<Change>, BTreeSet<String>);

/// What becomes of one record.
enum Fate {
    Unneeded,
    Migrated(BTreeSet<String>),
    Failed(String),
}

impl Records {
    /// Migrates all records of the collection, by the contract that goes for it here. What is migrated
    /// needs it no more, so one that was cut off is run again. Each batch is one commit; `progress` is
    /// told of each. Records that can't be migrated keep nobody from others.
    ///
    /// # Errors
    /// `NotFound` if the contract has no migrations, or the program does not define all that it names;
    /// `ContractTooNew` if the program may not write; and those of the store.
    pub async fn migrate(
        &self,
        what: Migrate,
        mut progress: impl FnMut(&Migrated) + Send,
    ) -> Result<Migrated> {
        let (shared, records) = (Arc::clone(self.shared()), self.clone());
        let ruling = shared.rulings.of(self.space(), self.name());
        let Some(ruling) = ruling.filter(|it| it.evolving().is_some()) else {
            let message = format!(
                "{} has no contract with migrations here, or one that names functions of another program",
                self.name()
            );
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        ruling.check_writable()?;
        let all = run_apart(move || shared.all_records(&records)).await?;
        let mut report = Migrated::default();
        for some in all.chunks(limits::MIGRATION_BATCH_RECORDS) {
            let migrate = |transaction: &mut Transaction<'_>| {
                let fates = some.iter().map(|id| transaction.migrate(self, *id, what));
                fates.collect::<Result<Vec<_>>>()
            };
            let fates = self.shared().transaction(migrate).await?;
            for (id, fate) in some.iter().zip(fates) {
                report.note(*id, fate);
            }
            progress(&report);
        }
        Ok(report)
    }

    /// A record as programs of an older version of the contract read it; `None` if there is none or it is
    /// deleted. Writes nothing.
    ///
    /// # Errors
    /// `Migration` if it has no such form, `Poisoned` if its document can't be loaded, and those of the
    /// store.
    pub async fn get_as(&self, id: RecordId, version: u32) -> Result<Option<Json>> {
        let (shared, key) = (Arc::clone(self.shared()), self.key(id));
        let read = move || -> Result<_> {
            let snapshot = shared.snapshot()?;
            let actor = ActorId::of(shared.store_id, &key);
            let mut loaded = Loaded::open(&Rows::new(snapshot.as_ref()), &key, &actor)?;
            let document = &mut loaded.document;
            if document.heads().is_empty() || document.is_deleted()? {
                return Ok(None);
            }
            document.look_through(shared.rulings.lens(&key));
            shared.rulings.migrate(&key, document, Way::Back(version))?;
            Ok(Some(record::read_value(&document.value()?).to_json()))
        };
        run_apart(read).await
    }
}

impl Transaction<'_> {
    /// Migrates one record, or tells what that would do.
    fn migrate(&mut self, records: &Records, id: RecordId, what: Migrate) -> Result<Fate> {
        let (key, shared) = (records.key(id), self.shared());
        let document = &self.document(&key)?.loaded().document;
        let made = shared.try_migration(&key, document, what);
        let (draft, changes, fields) = match made {
            Ok(None) => return Ok(Fate::Unneeded),
            Ok(Some(made)) => made,
            Err(error) => {
                let of_record = [ErrorKind::Migration, ErrorKind::Breach, ErrorKind::Poisoned];
                let is_of_record = of_record.contains(&error.kind());
                return if is_of_record {
                    Ok(Fate::Failed(error.to_string()))
                } else {
                    Err(error)
                };
            }
        };
        if what != Migrate::DryRun {
            self.replace(&key, draft, changes)?;
        }
        Ok(Fate::Migrated(fields))
    }
}

impl Shared {
    fn all_records(&self, records: &Records) -> Result<Vec<RecordId>> {
        let snapshot = self.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let Some(number) = rows.number(records.space(), Some(records.name()))? else {
            return Ok(Vec::new());
        };
        let mut all: BTreeSet<_> = rows.stale_records(number)?.into_iter().collect();
        rows.views(number, &mut |id, _| {
            all.insert(id);
            ControlFlow::Continue(())
        })?;
        Ok(all.into_iter().collect())
    }

    /// A document after its migration, the changes of that, and which fields are different; `None` if
    /// nothing is.
    fn try_migration(
        &self,
        key: &RecordKey,
        document: &Document,
        what: Migrate,
    ) -> Result<Option<Made>> {
        let way = match what {
            Migrate::Forward | Migrate::DryRun => Way::Forward,
            Migrate::Back(version) => Way::Back(version),
        };
        let mut draft = document.clone();
        let changes = self.rulings.migrate(key, &mut draft, way)?;
        if changes.is_empty() {
            return Ok(None);
        }
        let (before, after) = (document.value()?, draft.value()?);
        let breaches = self.rulings.breaches(key, &record::read_value(&after));
        if way == Way::Forward && !breaches.is_empty() {
            let message = format!("what comes of it breaks the contract: {}", said(&breaches));
            return Err(Error::new(ErrorKind::Breach, message));
        }
        Ok(Some((draft, changes, different(&before, &after))))
    }
}

fn different(before: &Value, after: &Value) -> BTreeSet<String> {
    let (Some(before), Some(after)) = (before.as_map(), after.as_map()) else {
        return BTreeSet::new();
    };
    let names = before.keys().chain(after.keys());
    let differs = |it: &&String| before.get(*it) != after.get(*it);
    names.filter(differs).cloned().collect()
}

impl Migrated {
    fn note(&mut self, record: RecordId, fate: Fate) {
        self.records += 1;
        match fate {
            Fate::Unneeded => self.unneeded += 1,
            Fate::Migrated(fields) => {
                self.done += 1;
                self.fields.extend(fields);
            }
            Fate::Failed(reason) => {
                self.failed += 1;
                if self.failures.len() < limits::MIGRATION_FAILURES_MAX {
                    self.failures.push(NotMigrated { record, reason });
                }
            }
        }
    }
}

//! Running steps on values, and the laws that a function has to keep.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::convert::convert;
use super::{Migration, Step};
use crate::contract::{Contract, place};
use crate::doc::{PathStep, Value, guarded};
use crate::error::{Error, ErrorKind, Result};

/// What a function of the program's own gives: the record, or why not, in words that stand in the
/// program's text: they can't show a value, which may be secret.
type Made = std::result::Result<Value, &'static str>;

/// A migration of the program's own. Functions and closures are, without a way back.
///
/// It must keep two laws, and both are checked each time: it goes by its argument alone, so that each
/// device makes the same of it; and what it has made it leaves alone: it runs on each record, whichever
/// form that has. Nor may it take a text, counter, list or map away: others may be writing into it.
pub trait CustomMigration: Send + Sync {
    /// The record in the newer form.
    ///
    /// # Errors
    /// Why it can't be.
    fn forward(&self, record: Value) -> Made;

    /// The record in the older form; `None` if there is no way back.
    fn back(&self, record: Value) -> Option<Made> {
        drop(record);
        None
    }
}

impl<F: Fn(Value) -> Made + Send + Sync> CustomMigration for F {
    fn forward(&self, record: Value) -> Made {
        self(record)
    }
}

/// A function forwards and one back.
#[derive(Clone, Copy, Debug)]
pub struct Reversible<F, B> {
    /// To the newer form.
    pub forward: F,
    /// To the older form.
    pub back: B,
}

impl<F, B> CustomMigration for Reversible<F, B>
where
    F: Fn(Value) -> Made + Send + Sync,
    B: Fn(Value) -> Made + Send + Sync,
{
    fn forward(&self, record: Value) -> Made {
        (self.forward)(record)
    }

    fn back(&self, record: Value) -> Option<Made> {
        Some((self.back)(record))
    }
}

/// The program's own migrations, by name and version.
#[derive(Clone, Default)]
pub struct Migrations(BTreeMap<(String, u32), Arc<dyn CustomMigration>>);

impl Migrations {
    /// Says what `name` at `version` does, in place of what it did before.
    ///
    /// # Errors
    /// `InvalidInput` if it is no name, or the version is 0.
    pub fn define(
        &mut self,
        name: &str,
        version: u32,
        migration: impl CustomMigration + 'static,
    ) -> Result<()> {
        place::check_name(name, version).map_err(|it| Error::new(ErrorKind::InvalidInput, it))?;
        self.0
            .insert((name.to_owned(), version), Arc::new(migration));
        Ok(())
    }

    fn get(&self, name: &str, version: u32) -> std::result::Result<&dyn CustomMigration, String> {
        let found = self.0.get(&(name.to_owned(), version));
        found.map(AsRef::as_ref).ok_or_else(|| {
            "this program does not define it; say what it does with Builder::migration".to_owned()
        })
    }
}

impl fmt::Debug for Migrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Step {
    /// What it makes of a record: one that it has made already stays as it is.
    ///
    /// # Errors
    /// Why it can't, without showing a value: a value that does not convert, what the function says, or
    /// the law that it breaks.
    pub fn forward(&self, record: &Value, own: &Migrations) -> std::result::Result<Value, String> {
        match self {
            Self::Rename { from, to } => relocate(record, from, to, |it| Ok(it.clone())),
            Self::Convert { from, to, is, .. } => relocate(record, from, to, |it| {
                let class = it.class();
                convert(it, *is).ok_or_else(|| format!("`{from}`, {class}, is not {is} as well"))
            }),
            Self::Custom { name, version } => {
                let own = own.get(name, *version)?;
                lawful(record, |it| Some(own.forward(it)))
            }
        }
    }

    /// What older programs read.
    ///
    /// # Errors
    /// As [`Step::forward`], and if there is no way back.
    pub fn back(&self, record: &Value, own: &Migrations) -> std::result::Result<Value, String> {
        match self {
            Self::Rename { from, to } => relocate(record, to, from, |it| Ok(it.clone())),
            Self::Convert { from, was, to, .. } => relocate(record, to, from, |it| {
                let class = it.class();
                convert(it, *was).ok_or_else(|| format!("`{to}`, {class}, is not {was} as well"))
            }),
            Self::Custom { name, version } => {
                let own = own.get(name, *version)?;
                lawful(record, |it| own.back(it))
            }
        }
    }

    /// Whether it has nothing to do with a record.
    pub fn is_done(&self, record: &Value, own: &Migrations) -> bool {
        match self.paths() {
            Some((from, _)) => !record.get(&place::steps(from)).is_some_and(is_movable),
            None => self.forward(record, own).is_ok_and(|it| it == *record),
        }
    }
}

impl Contract {
    /// How records of older versions become those of this one, in order.
    pub fn migrations(&self) -> &[Migration] {
        &self.migrations
    }

    /// Whether a record has nothing of an older form.
    pub fn is_migrated(&self, record: &Value, own: &Migrations) -> bool {
        let mut steps = self.migrations.iter().flat_map(Migration::steps);
        steps.all(|it| it.is_done(record, own))
    }

    /// The first step that is a function which the program does not define.
    pub fn undefined_step(&self, own: &Migrations) -> Option<&Step> {
        let mut steps = self.migrations.iter().flat_map(Migration::steps);
        steps.find(|it| match it {
            Step::Custom { name, version } => own.get(name, *version).is_err(),
            Step::Rename { .. } | Step::Convert { .. } => false,
        })
    }
}

/// Whether a value is moved: one that is replaced as a whole, and says something.
fn is_movable(value: &Value) -> bool {
    !matches!(
        value,
        Value::Null | Value::Text(_) | Value::Counter(_) | Value::List(_) | Value::Map(_)
    )
}

fn relocate(
    record: &Value,
    from: &str,
    to: &str,
    make: impl FnOnce(&Value) -> std::result::Result<Value, String>,
) -> std::result::Result<Value, String> {
    let source = place::steps(from);
    let Some(found) = record.get(&source).filter(|it| is_movable(it)) else {
        return Ok(record.clone());
    };
    let made = make(found)?;
    let mut record = record.clone();
    let Some((last, above)) = source.split_last() else {
        return Ok(record);
    };
    if let (PathStep::Key(name), Some(Value::Map(map))) = (last, record.get_mut(above)) {
        map.remove(name);
    }
    let mut place = &mut record;
    for name in to.split('.') {
        if let Value::Null = place {
            *place = Value::Map(BTreeMap::new());
        }
        let Value::Map(map) = place else {
            return Err(format!(
                "`{to}` can't be written: what is above it is no map"
            ));
        };
        place = map.entry(name.to_owned()).or_default();
    }
    *place = made;
    Ok(record)
}

/// Runs a function, and checks that it keeps the laws.
fn lawful(
    record: &Value,
    run: impl Fn(Value) -> Option<Made>,
) -> std::result::Result<Value, String> {
    // What a panic says may show the value.
    let once = |it: &Value| {
        let made = guarded(|| run(it.clone())).map_err(|_said| "it panicked".to_owned())?;
        let made = made.ok_or_else(|| "there is no way back from it".to_owned())?;
        made.map_err(str::to_owned)
    };
    let made = once(record)?;
    if once(record)? != made {
        return Err("it is not pure: twice it made two things of the same record".to_owned());
    }
    if once(&made)? != made {
        return Err("it is not idempotent: it does not leave alone what it has made".to_owned());
    }
    if !matches!(made, Value::Map(_)) {
        return Err(format!("it made {} of the record", made.class()));
    }
    match taken(record, &made) {
        Some(class) => Err(format!(
            "it takes {class} away, into which others may be writing; leave it, and write a new field"
        )),
        None => Ok(made),
    }
}

/// The class of something that others may be writing into, and that is there no more.
fn taken(before: &Value, after: &Value) -> Option<&'static str> {
    let Value::Map(map) = before else {
        return None;
    };
    let after = after.as_map()?;
    map.iter().find_map(|(name, before)| {
        if is_movable(before) || matches!(before, Value::Null) {
            return None;
        }
        match after.get(name) {
            Some(after) if after.class() == before.class() => taken(before, after),
            _ => Some(before.class()),
        }
    })
}

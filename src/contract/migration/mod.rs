//! Migrations: how the records of one version of a contract become those of the next.
//!
//! They are a part of the contract, so they travel with it, and its versions are compared with them. No
//! record says which version it has. A step is a normaliser instead: it changes what is still in the
//! old form, and leaves everything else alone. What an older program writes later, in the old form again,
//! is migrated again.

mod convert;
mod run;

use std::fmt;

pub(super) use convert::is_whole;
pub use run::{CustomMigration, Migrations, Reversible};

use super::Kind;

/// The steps from one version of a contract to a later one.
///
/// ```
/// use syncline::contract::{Contract, Field, Kind, Migration};
/// let people = Contract::builder("people", 2)
///     .field("name", Field::string())
///     .field("born", Field::integer())
///     .migration(
///         Migration::new(1, 2)
///             .rename("full_name", "name")
///             .convert("year", Kind::String, "born", Kind::Integer),
///     )
///     .build()?;
/// assert_eq!(people.migrations().len(), 1);
/// # Ok::<_, syncline::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) steps: Vec<Step>,
}

/// One step of a migration. Paths are names with dots, and lead through maps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A field gets another name. A null stays: an older program writes it that knows no value.
    Rename {
        /// Where it was.
        from: String,
        /// Where it is.
        to: String,
    },
    /// A field becomes one of another kind, under another name: in place, what older programs write could
    /// not be told from what was converted.
    Convert {
        /// Where it was.
        from: String,
        /// As what.
        was: Kind,
        /// Where it is.
        to: String,
        /// As what.
        is: Kind,
    },
    /// A function of the program's own on the whole record.
    Custom {
        /// The name under which the program defines it in [`Migrations`].
        name: String,
        /// Its version, from 1: another function is another version.
        version: u32,
    },
}

impl Migration {
    /// From a version to a later one, as yet without steps.
    pub const fn new(from: u32, to: u32) -> Self {
        let steps = Vec::new();
        Self { from, to, steps }
    }

    /// Then the field at `from` has the name `to`. It may be no text, counter, list or map: others could
    /// be writing into these, under the old name.
    #[must_use]
    pub fn rename(mut self, from: &str, to: &str) -> Self {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.steps.push(Step::Rename { from, to });
        self
    }

    /// Then the field at `from` becomes one at `to`, of the kind `is`.
    #[must_use]
    pub fn convert(mut self, from: &str, was: Kind, to: &str, is: Kind) -> Self {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.steps.push(Step::Convert { from, was, to, is });
        self
    }

    /// Then the program's own function of this name and version runs.
    #[must_use]
    pub fn custom(mut self, name: &str, version: u32) -> Self {
        let name = name.to_owned();
        self.steps.push(Step::Custom { name, version });
        self
    }

    /// The version it begins with.
    pub const fn from(&self) -> u32 {
        self.from
    }

    /// The version it leads to.
    pub const fn to(&self) -> u32 {
        self.to
    }

    /// Its steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl Step {
    /// Of one that moves a field: from where, and to where.
    pub fn paths(&self) -> Option<(&str, &str)> {
        match self {
            Self::Rename { from, to } | Self::Convert { from, to, .. } => Some((from, to)),
            Self::Custom { .. } => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rename { from, to } => write!(f, "`{from}` becomes `{to}`"),
            Self::Convert { from, was, to, is } => {
                write!(f, "`{from}`, {was}, becomes `{to}`, {is}")
            }
            Self::Custom { name, version } => write!(f, "`{name}@{version}`"),
        }
    }
}

//! What changes from one version of a contract to the next, and for whom.

mod fields;
mod migrations;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Contract, Rule};
use crate::error::{Error, ErrorKind, Result};

/// What a difference does to programs that go by the older version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing that they could notice.
    Compatible,
    /// They go on, and show or accept something else than newer ones.
    Degraded,
    /// They can't read what newer ones write.
    BreaksReaders,
    /// What they write is not what newer ones accept.
    BreaksWriters,
    /// Both.
    BreaksBoth,
}

impl Effect {
    /// Whether it is a break for anybody.
    pub const fn is_breaking(self) -> bool {
        self.breaks_readers() || self.breaks_writers()
    }

    /// Whether it is a break for older readers.
    pub const fn breaks_readers(self) -> bool {
        matches!(self, Self::BreaksReaders | Self::BreaksBoth)
    }

    /// Whether it is a break for older writers.
    pub const fn breaks_writers(self) -> bool {
        matches!(self, Self::BreaksWriters | Self::BreaksBoth)
    }

    /// Its name, stable across versions: `compatible`, `degraded` or `breaking`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compatible => "compatible",
            Self::Degraded => "degraded",
            Self::BreaksReaders | Self::BreaksWriters | Self::BreaksBoth => "breaking",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compatible => "compatible",
            Self::Degraded => "degraded",
            Self::BreaksReaders => "breaking for older readers",
            Self::BreaksWriters => "breaking for older writers",
            Self::BreaksBoth => "breaking for older readers and writers",
        })
    }
}

/// One difference between two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field, as in `steps[].text`; the rule or index otherwise.
    pub place: String,
    /// What changed.
    pub change: String,
    /// What that does.
    pub effect: Effect,
    /// Why.
    pub reason: &'static str,
    /// Of a break: whether the newer contract says so, by shutting out those it breaks.
    pub is_declared: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            change,
            effect,
            reason,
            ..
        } = self;
        write!(f, "{place}: {change} ({effect}: {reason})")
    }
}

/// All differences between two versions, as [`compare`] found them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differences {
    /// The older version.
    pub old: u32,
    /// The newer version.
    pub new: u32,
    /// Field by field, then rules, indexes and the rest.
    pub list: Vec<Difference>,
    /// What is wrong apart from single differences.
    wrong: Option<String>,
}

/// Compares two versions of a contract.
///
/// ```
/// use syncline::contract::{Contract, Effect, Field, compare};
/// let old = Contract::builder("tasks", 1).field("title", Field::string()).build()?;
/// let new = Contract::builder("tasks", 2).field("title", Field::string().required());
/// let found = compare(&old, &new.clone().build()?);
/// assert_eq!(found.list[0].effect, Effect::BreaksWriters);
/// assert!(found.check().is_err());
/// // Said so, it is no accident.
/// assert!(compare(&old, &new.oldest_writer(2).build()?).check().is_ok());
/// # Ok::<_, syncline::Error>(())
/// ```
pub fn compare(old: &Contract, new: &Contract) -> Differences {
    let mut list = Vec::new();
    fields::compare(&old.fields, &new.fields, &mut list);
    rules(old, new, &mut list);
    indexes(old, new, &mut list);
    marks(old, new, &mut list);
    migrations::compare(old, new, &mut list);
    for difference in &mut list {
        let effect = difference.effect;
        difference.is_declared = effect.is_breaking()
            && (!effect.breaks_readers() || new.oldest_reader > old.version)
            && (!effect.breaks_writers() || new.oldest_writer > old.version);
    }
    Differences {
        old: old.version,
        new: new.version,
        list,
        wrong: wrong(old, new),
    }
}

impl Differences {
    /// The worst of all effects; compatible where nothing changed.
    pub fn effect(&self) -> Effect {
        let effects = self.list.iter().map(|it| it.effect);
        effects.max().unwrap_or(Effect::Compatible)
    }

    /// The breaks that the newer contract does not declare.
    pub fn undeclared(&self) -> impl Iterator<Item = &Difference> {
        let undeclared = |it: &&Difference| it.effect.is_breaking() && !it.is_declared;
        self.list.iter().filter(undeclared)
    }

    /// Whether the newer version may follow the older one.
    ///
    /// # Errors
    /// `InvalidInput` if they are of two collections, if anything changed and the version did not rise,
    /// if the newer one lets versions in that the older one shut out, or if it breaks older readers or
    /// writers without shutting them out by `oldest_reader` or `oldest_writer`. The message lists the
    /// breaks.
    pub fn check(&self) -> Result<()> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidInput, message));
        if let Some(wrong) = &self.wrong {
            return invalid(wrong.clone());
        }
        let breaks: Vec<_> = self.undeclared().collect();
        if breaks.is_empty() {
            return Ok(());
        }
        let readers = breaks.iter().any(|it| it.effect.breaks_readers());
        let which = if readers {
            "oldest_reader"
        } else {
            "oldest_writer"
        };
        let count = breaks.len();
        let listed: Vec<_> = breaks.iter().map(ToString::to_string).collect();
        let Self { old, new, .. } = self;
        invalid(format!(
            "version {new} breaks programs of version {old} in {count} places; take that back, or \
             declare it by `{which}` above {old}: {}",
            listed.join("; ")
        ))
    }
}

fn wrong(old: &Contract, new: &Contract) -> Option<String> {
    let (before, after) = (old.version, new.version);
    if old.collection != new.collection {
        let (a, b) = (&old.collection, &new.collection);
        return Some(format!(
            "these are contracts of two collections, '{a}' and '{b}'"
        ));
    }
    if old != new && after <= before {
        return Some(format!(
            "the contract changed, and its version did not rise: {before} to {after}"
        ));
    }
    let lowered = [
        ("oldest_reader", old.oldest_reader, new.oldest_reader),
        ("oldest_writer", old.oldest_writer, new.oldest_writer),
    ];
    let lowered = lowered
        .into_iter()
        .find(|(_, before, after)| after < before);
    lowered.map(|(which, before, after)| {
        format!(
            "`{which}` fell from {before} to {after}: programs that version {} shut out would be let \
             in again",
            old.version
        )
    })
}

/// A difference whose declaration is looked at later.
fn difference(place: &str, change: String, effect: Effect, reason: &'static str) -> Difference {
    Difference {
        place: place.to_owned(),
        change,
        effect,
        reason,
        is_declared: false,
    }
}

fn rules(old: &Contract, new: &Contract, list: &mut Vec<Difference>) {
    let before: BTreeSet<_> = old.rules.iter().collect();
    let after: BTreeSet<_> = new.rules.iter().collect();
    let is_version_of = |it: &Rule, of: &Rule| match (it, of) {
        (
            Rule::Custom { name, path, .. },
            Rule::Custom {
                name: other,
                path: at,
                ..
            },
        ) => name == other && path == at,
        _ => false,
    };
    for rule in before.difference(&after) {
        let replaced = after.difference(&before).find(|it| is_version_of(it, rule));
        list.push(match replaced {
            Some(by) => difference(
                "rules",
                format!("{rule}; now {by}"),
                Effect::Degraded,
                "nobody can tell whether what older programs accept is accepted still",
            ),
            None => difference(
                "rules",
                format!("no longer: {rule}"),
                Effect::Degraded,
                "older programs go on to refuse what is accepted now",
            ),
        });
    }
    for rule in after.difference(&before) {
        if !before.difference(&after).any(|it| is_version_of(it, rule)) {
            list.push(difference(
                "rules",
                format!("new: {rule}"),
                Effect::BreaksWriters,
                "older writers do not keep it",
            ));
        }
    }
}

fn indexes(old: &Contract, new: &Contract, list: &mut Vec<Difference>) {
    let names: BTreeSet<_> = old.indexes.keys().chain(new.indexes.keys()).collect();
    for name in names {
        let change = match (old.indexes.get(name), new.indexes.get(name)) {
            (None, _) => "new",
            (_, None) => "removed",
            (Some(before), Some(after)) if before != after => "its fields changed",
            _ => continue,
        };
        list.push(difference(
            &format!("index {name}"),
            change.to_owned(),
            Effect::Compatible,
            "every replica makes its indexes for itself",
        ));
    }
}

fn marks(old: &Contract, new: &Contract, list: &mut Vec<Difference>) {
    if old.gate != new.gate {
        list.push(difference(
            "gate",
            "changed".to_owned(),
            Effect::Compatible,
            "it says where the newer version counts",
        ));
    }
    if old.ownership != new.ownership {
        list.push(difference(
            "ownership",
            "changed".to_owned(),
            Effect::Degraded,
            "programs of both versions go by different owners",
        ));
    }
    if old.retention != new.retention {
        list.push(difference(
            "retention",
            "changed".to_owned(),
            Effect::Degraded,
            "replicas of both versions keep records for different times",
        ));
    }
}

/// The names of two maps together.
fn names<'m, T>(
    old: &'m BTreeMap<String, T>,
    new: &'m BTreeMap<String, T>,
) -> BTreeSet<&'m String> {
    old.keys().chain(new.keys()).collect()
}

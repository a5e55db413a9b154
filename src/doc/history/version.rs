//! Names of versions.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::graph::Graph;
use super::no_version;
use crate::error::{Error, ErrorKind};
use crate::id::{ChangeHash, Heads};
use crate::limits;
use crate::time::WallTime;

/// Names that an error about an ambiguous one shows.
const CANDIDATES_SHOWN: usize = 3;
const HASH_DIGITS: usize = 64;

/// Names one version of a record: a state that somebody could see, or a time.
///
/// ```
/// use syncline::doc::Version;
///
/// // A change with all before it, by its hash or at least its first six digits.
/// let version: Version = "8c1d20".parse()?;
/// assert_eq!(version.to_string(), "8c1d20");
/// // As of a time, by the clocks of the authors.
/// let version: Version = "2026-11-22T09:30:00Z".parse()?;
/// assert_eq!(version.to_string(), "2026-11-22T09:30:00.000Z");
/// assert!("yesterday".parse::<Version>().is_err());
/// # Ok::<(), syncline::Error>(())
/// ```
///
/// As of a time T there are the changes whose time is not after T and whose ancestors are all among
/// them: a change that was made by a clock that was behind does not show without what it was built on.
/// Changes keep whole seconds, so those made later in the second of T are among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(Name);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    /// Lower-case hex digits with which the change's hash begins.
    Change(String),
    Heads(Heads),
    At(WallTime),
}

impl From<ChangeHash> for Version {
    /// The change with all before it.
    fn from(hash: ChangeHash) -> Self {
        Self(Name::Change(hash.to_string()))
    }
}

impl From<Heads> for Version {
    /// These changes with all before them. No heads at all are the time before the first change.
    fn from(heads: Heads) -> Self {
        Self(Name::Heads(heads))
    }
}

impl From<WallTime> for Version {
    /// As of this time.
    fn from(time: WallTime) -> Self {
        Self(Name::At(time))
    }
}

impl FromStr for Version {
    type Err = Error;

    /// From 6 to 64 hex digits of a hash, or a time as in `2026-11-22T09:30:00Z`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let is_hex = text.bytes().all(|it| it.is_ascii_hexdigit());
        if is_hex && (limits::VERSION_DIGITS_MIN..=HASH_DIGITS).contains(&text.len()) {
            return Ok(Self(Name::Change(text.to_ascii_lowercase())));
        }
        if let Some(time) = WallTime::parse(text) {
            return Ok(time.into());
        }
        let shown: String = text.chars().take(80).collect();
        let min = limits::VERSION_DIGITS_MIN;
        let message = format!(
            "'{shown}' is no version: it takes {min} to {HASH_DIGITS} hex digits of a change's hash, \
             or a time as in 2026-11-22T09:30:00Z"
        );
        Err(Error::new(ErrorKind::InvalidInput, message))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Name::Change(digits) => f.write_str(digits),
            Name::At(time) => time.fmt(f),
            Name::Heads(heads) => {
                let hashes: Vec<_> = heads.as_slice().iter().map(ChangeHash::short).collect();
                f.write_str(&hashes.join("+"))
            }
        }
    }
}

impl Version {
    pub(super) fn resolve(&self, graph: &Graph<'_>) -> Result<Heads, Error> {
        match &self.0 {
            Name::Change(digits) => {
                let shown = graph.beginning_with(digits).take(CANDIDATES_SHOWN + 1);
                let found: Vec<_> = shown.collect();
                match found.as_slice() {
                    [] => Err(no_version(digits)),
                    [one] => Ok(std::iter::once(*one).collect()),
                    several => Err(ambiguous(digits, several)),
                }
            }
            Name::Heads(heads) => {
                let mut hashes = heads.as_slice().iter();
                match hashes.find(|it| graph.place(it).is_none()) {
                    Some(missing) => Err(no_version(&missing.to_string())),
                    None => Ok(heads.clone()),
                }
            }
            Name::At(time) => Ok(as_of(graph, *time)),
        }
    }
}

fn as_of(graph: &Graph<'_>, time: WallTime) -> Heads {
    let seconds = time.as_unix_seconds();
    let mut inside = BTreeSet::new();
    let mut heads = BTreeSet::new();
    for place in graph.newest_first().into_iter().rev() {
        let closed = graph.parents(place).all(|it| inside.contains(&it));
        if closed && graph.time(place) <= seconds {
            inside.insert(place);
            heads.insert(place);
            graph.parents(place).for_each(|it| {
                heads.remove(&it);
            });
        }
    }
    heads.iter().filter_map(|it| graph.hash(*it)).collect()
}

fn ambiguous(digits: &str, several: &[ChangeHash]) -> Error {
    let shown = several.iter().take(CANDIDATES_SHOWN);
    let mut shown: Vec<_> = shown.map(ToString::to_string).collect();
    if several.len() > CANDIDATES_SHOWN {
        shown.push("…".to_owned());
    }
    let message = format!(
        "{digits} is short for several changes, give more digits: {}",
        shown.join(", ")
    );
    Error::new(ErrorKind::InvalidInput, message)
}

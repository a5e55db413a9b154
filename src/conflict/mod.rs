//! Conflict policies: which of several values, written at one place at the same time, is shown.
//!
//! A policy is a pure function of the candidates. It is applied when a view is made, on every replica
//! for itself, and writes nothing: replicas that hold the same changes show the same. Values that lose
//! stay in the record's history, and as candidates until somebody writes at that place again.
//!
//! ```
//! use syncline::conflict::Policy;
//! let policy: Policy = "last-writer".parse()?;
//! assert_eq!(policy, Policy::LastWriter);
//! assert_eq!("custom:nearest@2".parse::<Policy>()?.to_string(), "custom:nearest@2");
//! assert!("newest".parse::<Policy>().is_err());
//! # Ok::<_, syncline::Error>(())
//! ```

mod builtin;
pub mod check;
mod policies;

use std::fmt;
use std::str::FromStr;

pub use check::{Violation, check_policy};
pub use policies::{Explanation, Policies};

use crate::doc::{Candidate, Value};
use crate::error::{Error, ErrorKind};
use crate::id::ChangeHash;
use crate::limits;

/// How a place in a record is shown at which several values stand.
///
/// Where a policy has nothing to say of some candidates (the largest of a number and a map) it goes by
/// [`Value::order`], so that each gives an outcome for whatever was written. Of equal values the one
/// that was written later counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// What Automerge shows: the value of the operation with the largest number, and of several the
    /// one of the largest author. All replicas agree on it without a clock.
    #[default]
    Automerge,
    /// The value that was written last by [`crate::doc::HybridTime`].
    LastWriter,
    /// The value that was written first.
    FirstWriter,
    /// The largest value.
    Max,
    /// The smallest value.
    Min,
    /// Lists: all elements that are in any of them, once each, in the order of [`Value::order`]. Maps,
    /// and so sets: all entries, for each key the later writer's. Anything else is an element.
    Union,
    /// The sum of numbers and counters, as far as 64 bits go; what is no number does not count. For
    /// what devices count before they know of each other. An edit of the sum takes the place of what
    /// stood there; two at the same time are added up again. Once there is one counter, increments
    /// add up by themselves.
    Sum,
    /// As [`Policy::LastWriter`]. Characters of one text merge by themselves; this is for two texts
    /// that were begun at the same time.
    Text,
    /// All values as a list, in the order in which they were written.
    KeepBoth,
    /// A function of the application's own, by name and version: another function is another version.
    Custom {
        /// Its name: lower-case letters, digits, `-` and `_`.
        name: String,
        /// Its version, from 1.
        version: u32,
    },
}

/// What a policy made of some candidates.
#[derive(Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What is shown.
    pub value: Value,
    /// The changes whose values are in it. With these candidates alone the outcome is the same.
    pub decisive: Vec<ChangeHash>,
}

impl fmt::Debug for Outcome {
    /// Shows nothing of the content, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome")
            .field("value", &self.value.class())
            .field("decisive", &self.decisive)
            .finish()
    }
}

/// A policy of the application's own.
///
/// It must be a function of its argument alone: no clock, no randomness, nothing that differs between
/// devices or versions of the program. [`check_policy`] looks for what is wrong with it.
pub trait CustomPolicy: Send + Sync + fmt::Debug {
    /// What is shown of these candidates, of which there are two at least, in the order in which they
    /// were written.
    fn resolve(&self, candidates: &[Candidate]) -> Outcome;
}

impl Policy {
    /// The policy of an application's own with this name and version.
    ///
    /// # Errors
    /// `InvalidInput` if the name is empty, too long, or has other characters.
    pub fn custom(name: &str, version: u32) -> Result<Self, Error> {
        let fits = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "-_".contains(it);
        let max = limits::POLICY_NAME_BYTES_MAX;
        if name.is_empty() || name.len() > max || version == 0 || !name.chars().all(fits) {
            let message = format!(
                "'{name}' version {version} names no policy: 1 to {max} lower-case letters, digits, \
                 '-' and '_', and a version from 1"
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let name = name.to_owned();
        Ok(Self::Custom { name, version })
    }

    /// Whether it is other than what Automerge does by itself.
    pub fn differs(&self) -> bool {
        *self != Self::Automerge
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Automerge => "automerge",
            Self::LastWriter => "last-writer",
            Self::FirstWriter => "first-writer",
            Self::Max => "max",
            Self::Min => "min",
            Self::Union => "union",
            Self::Sum => "sum",
            Self::Text => "text",
            Self::KeepBoth => "keep-both",
            Self::Custom { name, version } => return write!(f, "custom:{name}@{version}"),
        })
    }
}

impl FromStr for Policy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "automerge" => Self::Automerge,
            "last-writer" => Self::LastWriter,
            "first-writer" => Self::FirstWriter,
            "max" => Self::Max,
            "min" => Self::Min,
            "union" => Self::Union,
            "sum" => Self::Sum,
            "text" => Self::Text,
            "keep-both" => Self::KeepBoth,
            _ => {
                let custom = text.strip_prefix("custom:");
                let custom = custom.and_then(|it| it.rsplit_once('@'));
                if let Some((name, version)) = custom
                    && let Ok(version) = version.parse()
                {
                    return Self::custom(name, version);
                }
                let message = format!(
                    "there is no policy '{text}'; there are automerge, last-writer, first-writer, \
                     max, min, union, sum, text, keep-both and custom:NAME@VERSION"
                );
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
        })
    }
}

#[cfg(test)]
mod tests;

/// The guide's examples, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/conflicts.md")]
mod guide {}

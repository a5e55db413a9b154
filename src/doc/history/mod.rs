//! A record's history: its versions, what each was made for, and taking own edits back.

mod align;
mod foreign;
mod graph;
mod mark;
mod plan;
mod stack;
mod undo;
mod version;
mod view;

pub(super) use mark::is_mark;
pub use undo::Undone;
pub use version::Version;

use self::graph::Graph;
use super::document::Document;
use super::fault::DocumentFault;
use crate::error::{Error, ErrorKind};
use crate::id::{ActorId, ChangeHash, Heads};
use crate::time::WallTime;

/// One change in a record's history. The version that it names is the record as its author had it
/// then: with all changes that the author knew of, and none that others made at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revision {
    /// The hash that names it.
    pub hash: ChangeHash,
    /// Who made it: one life of one store, in one record.
    pub author: ActorId,
    /// Whether it was made by the store that is asked, under the name it writes under now.
    pub is_own: bool,
    /// When it was made, in whole seconds, by its author's clock.
    pub time: WallTime,
    /// What it was made as.
    pub kind: RevisionKind,
    /// Why it was made, if the author said so.
    pub reason: Option<String>,
    /// The changes that its author had, without those before them.
    pub parents: Vec<ChangeHash>,
    /// How many operations it has; none for an undo that had to leave everything as it is.
    pub operations: u64,
}

/// What a change was made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevisionKind {
    /// An edit.
    Edit,
    /// It takes back this edit or redo.
    Undo(ChangeHash),
    /// It takes back this undo.
    Redo(ChangeHash),
}

impl RevisionKind {
    /// A short name, stable across versions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Undo(_) => "undo",
            Self::Redo(_) => "redo",
        }
    }

    /// The change that it takes back.
    pub const fn of(self) -> Option<ChangeHash> {
        match self {
            Self::Edit => None,
            Self::Undo(hash) | Self::Redo(hash) => Some(hash),
        }
    }
}

/// A part of a history, newest changes first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revisions {
    /// A change comes after all that were built on it. Among those that may come next the one with
    /// the latest time does, then the one with the greatest hash: replicas with the same changes
    /// list them in the same order.
    pub list: Vec<Revision>,
    /// Where the next part begins: the last change of this one, if older ones follow.
    pub next: Option<ChangeHash>,
}

impl Document {
    /// At most `limit` changes among those at `heads` and before, newest first; after the change
    /// `before`, if one is given.
    ///
    /// Costs in proportion to the number of changes, whatever the limit.
    ///
    /// # Errors
    /// `NotFound` if `before` is not among them.
    pub fn history(
        &self,
        heads: &Heads,
        limit: usize,
        before: Option<ChangeHash>,
    ) -> Result<Revisions, Error> {
        let graph = self.graph(heads)?;
        let order = graph.newest_first();
        let start = match before {
            None => 0,
            Some(before) => {
                let found = order.iter().position(|it| graph.hash(*it) == Some(before));
                found.ok_or_else(|| no_version(&before.to_string()))? + 1
            }
        };
        let rest = order.get(start..).unwrap_or_default();
        let list: Vec<_> = rest
            .iter()
            .take(limit)
            .filter_map(|it| graph.revision(*it))
            .collect();
        let next = list.last().filter(|_| rest.len() > limit);
        let next = next.map(|it| it.hash);
        Ok(Revisions { list, next })
    }

    /// The heads of a version, among the changes at `heads` and before. None at all where nothing
    /// had been made by then.
    ///
    /// Costs in proportion to the number of changes.
    ///
    /// # Errors
    /// `NotFound` if it has no such change, `InvalidInput` if a short hash means several.
    pub fn version(&self, heads: &Heads, version: &Version) -> Result<Heads, Error> {
        version.resolve(&self.graph(heads)?)
    }

    fn graph(&self, heads: &Heads) -> Result<Graph<'_>, DocumentFault> {
        self.check_usable()?;
        super::document::attempt("read the history", || Ok(Graph::of(&self.inner, heads)))
    }
}

fn no_version(name: &str) -> Error {
    let message = format!("there is no version {name} of the record; its history lists all");
    Error::new(ErrorKind::NotFound, message)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod undo_properties;
#[cfg(test)]
mod undo_tests;

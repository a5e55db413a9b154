//! Values that were written at one place at the same time: of which Automerge shows one, and keeps all.

use std::fmt;

use automerge::{ObjId, ObjType, Prop, ROOT, ReadDoc as _};

use super::document::{Document, attempt};
use super::fault::DocumentFault;
use super::guard::guarded;
use super::materialise;
use super::value::{PathStep, Value};
use crate::id::{ActorId, ChangeHash, Heads};
use crate::limits;

/// When a value was written: the writer's wall time in whole seconds, as the change has it, and the
/// number of its operation, which is above all that the writer had seen of the record.
///
/// Together they are a hybrid logical clock (Kulkarni and others, 2014, "Logical Physical Clocks"): it
/// follows causality, and wall time as far as clocks do. A writer's time never goes below that of
/// what it builds on, but for more than [`limits::CLOCK_TRUST`] ahead of its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HybridTime {
    /// Seconds since the Unix epoch.
    pub seconds: i64,
    /// Number of the operation within the record.
    pub counter: u64,
}

/// One of several values that were written at one place at the same time.
#[derive(Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What was written there, with what was written into it since.
    pub value: Value,
    /// Who wrote it.
    pub author: ActorId,
    /// When.
    pub time: HybridTime,
    /// The change in which it was written.
    pub change: ChangeHash,
}

impl fmt::Debug for Candidate {
    /// Shows nothing of the content, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("value", &self.value.class())
            .field("author", &self.author)
            .field("time", &self.time)
            .field("change", &self.change)
            .finish()
    }
}

/// A place at which several values stand, because they were written at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Where.
    pub path: Vec<PathStep>,
    /// The values, by time, author and change: two at least. The last one is what Automerge shows.
    pub candidates: Vec<Candidate>,
}

impl Document {
    /// What was written at `path` at the same time, as it was at `heads`; nothing where only one value
    /// stands. The path leads through what Automerge shows.
    ///
    /// # Errors
    /// When Automerge fails, or values are nested too deep.
    pub fn candidates(
        &self,
        path: &[PathStep],
        heads: Option<&Heads>,
    ) -> Result<Vec<Candidate>, DocumentFault> {
        let heads = heads.map(hashes);
        self.guarded("read a conflict", || {
            self.candidates_at(path, heads.as_deref())
        })
    }

    /// All conflicts of the document outside of texts, in the order of their paths.
    ///
    /// Costs in proportion to the document. At most [`limits::CONFLICTS_LISTED_MAX`] are given.
    ///
    /// # Errors
    /// As [`Document::candidates`].
    pub fn conflicts(&self) -> Result<Vec<Conflict>, DocumentFault> {
        let walk = || {
            let mut paths = Vec::new();
            self.contested(&ROOT, ObjType::Map, &mut Vec::new(), &mut paths)?;
            let conflict = |path: Vec<PathStep>| {
                let candidates = self.candidates_at(&path, None)?;
                Ok(Conflict { path, candidates })
            };
            paths.into_iter().map(conflict).collect()
        };
        self.guarded("read the conflicts", walk)
    }

    pub(super) fn guarded<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce() -> Result<T, DocumentFault>,
    ) -> Result<T, DocumentFault> {
        if self.is_spoiled() {
            return Err(DocumentFault::Spoiled);
        }
        guarded(work).map_err(|reason| DocumentFault::Panicked { doing, reason })?
    }

    fn candidates_at(
        &self,
        path: &[PathStep],
        heads: Option<&[automerge::ChangeHash]>,
    ) -> Result<Vec<Candidate>, DocumentFault> {
        let Some((last, parents)) = path.split_last() else {
            return Ok(Vec::new());
        };
        let mut obj = ROOT;
        for step in parents {
            let Some(inner) = self.all(&obj, step, heads)?.pop() else {
                return Ok(Vec::new());
            };
            let (automerge::Value::Object(_), id) = inner else {
                return Ok(Vec::new());
            };
            obj = id;
        }
        let all = self.all(&obj, last, heads)?;
        if all.len() < 2 {
            return Ok(Vec::new());
        }
        all.iter()
            .map(|(found, id)| self.candidate(found, id, heads))
            .collect()
    }

    /// What stands at one place, what is shown last.
    fn all(
        &self,
        obj: &ObjId,
        step: &PathStep,
        heads: Option<&[automerge::ChangeHash]>,
    ) -> Result<Vec<(automerge::Value<'_>, ObjId)>, DocumentFault> {
        let is_list = match self.inner.object_type(obj) {
            Ok(ObjType::List) => true,
            Ok(ObjType::Map | ObjType::Table) => false,
            Ok(ObjType::Text) | Err(_) => return Ok(Vec::new()),
        };
        let prop = match step {
            PathStep::Key(key) if !is_list => Prop::from(key),
            PathStep::Index(index) if is_list => Prop::from(*index),
            PathStep::Key(_) | PathStep::Index(_) => return Ok(Vec::new()),
        };
        attempt("read a conflict", || {
            let all = match heads {
                Some(heads) => self.inner.get_all_at(obj, prop, heads),
                None => self.inner.get_all(obj, prop),
            };
            all.map_err(|error| error.to_string())
        })
    }

    fn candidate(
        &self,
        found: &automerge::Value<'_>,
        id: &ObjId,
        heads: Option<&[automerge::ChangeHash]>,
    ) -> Result<Candidate, DocumentFault> {
        let lost = |reason: &str| DocumentFault::Refused {
            doing: "find who wrote a value",
            reason: reason.to_owned(),
        };
        let ObjId::Id(counter, actor, _) = id else {
            return Err(lost("it has no operation"));
        };
        let hash = self.inner.hash_for_opid(id);
        let hash = hash.ok_or_else(|| lost("its change is not here"))?;
        let meta = self.inner.get_change_meta_by_hash(&hash);
        let meta = meta.ok_or_else(|| lost("its change is not here"))?;
        Ok(Candidate {
            value: materialise::value_at(&self.inner, found, id, heads)?,
            author: ActorId::from_bytes(actor.to_bytes().to_vec()),
            time: HybridTime {
                seconds: meta.timestamp,
                counter: *counter,
            },
            change: ChangeHash::from_bytes(hash.0),
        })
    }

    /// Gathers the places in `obj` where more than one value stands, and those in what is shown.
    fn contested(
        &self,
        obj: &ObjId,
        kind: ObjType,
        path: &mut Vec<PathStep>,
        into: &mut Vec<Vec<PathStep>>,
    ) -> Result<(), DocumentFault> {
        let max = limits::VALUE_DEPTH_MAX;
        if path.len() >= max {
            return Err(DocumentFault::TooDeep { max });
        }
        let mut inner = Vec::new();
        match kind {
            ObjType::Text => {}
            ObjType::Map | ObjType::Table => {
                for item in self.inner.map_range(obj, ..) {
                    let step = PathStep::Key(item.key.to_string());
                    inner.push((step, item.conflict, child(&item.value, || item.id())));
                }
            }
            ObjType::List => {
                for item in self.inner.list_range(obj, ..) {
                    let step = PathStep::Index(item.index);
                    inner.push((step, item.conflict, child(&item.value, || item.id())));
                }
            }
        }
        for (step, is_contested, object) in inner {
            if into.len() >= limits::CONFLICTS_LISTED_MAX {
                return Ok(());
            }
            path.push(step);
            if is_contested {
                into.push(path.clone());
            }
            if let Some((kind, id)) = object {
                self.contested(&id, kind, path, into)?;
            }
            path.pop();
        }
        Ok(())
    }
}

fn child(found: &automerge::ValueRef<'_>, id: impl FnOnce() -> ObjId) -> Option<(ObjType, ObjId)> {
    match found {
        automerge::ValueRef::Object(kind) => Some((*kind, id())),
        automerge::ValueRef::Scalar(_) => None,
    }
}

pub(super) fn hashes(heads: &Heads) -> Vec<automerge::ChangeHash> {
    let heads = heads.as_slice().iter();
    heads
        .map(|it| automerge::ChangeHash(*it.as_bytes()))
        .collect()
}

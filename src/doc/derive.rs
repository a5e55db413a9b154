//! Changes that follow from others: whoever has these makes the same change of them, to the byte.

use std::collections::BTreeMap;

use automerge::{ObjType, Prop, ROOT, ReadDoc as _, ScalarValue};

use super::change::Change;
use super::document::{Document, EditMeta, attempt, foreign_heads};
use super::fault::DocumentFault;
use super::value::{PathStep, Value};
use crate::error::Error;
use crate::id::{ActorId, ChangeHash, Heads};
use crate::time::WallTime;

impl Document {
    /// The changes that wrote the values which stand at `path`, several if they did at the same time;
    /// none where a list, map, text or counter is
    /// shown, or null, or nothing. The path leads through maps.
    ///
    /// # Errors
    /// When Automerge fails.
    pub fn writers(&self, path: &[PathStep]) -> Result<Vec<ChangeHash>, DocumentFault> {
        let doing = "find who wrote a value";
        self.guarded(doing, || attempt(doing, || self.writers_at(path)))
    }

    fn writers_at(&self, path: &[PathStep]) -> Result<Vec<ChangeHash>, String> {
        let reason = |error: automerge::AutomergeError| error.to_string();
        let Some((PathStep::Key(last), above)) = path.split_last() else {
            return Ok(Vec::new());
        };
        let mut obj = ROOT;
        for step in above {
            let PathStep::Key(key) = step else {
                return Ok(Vec::new());
            };
            let found = self.inner.get(&obj, Prop::from(key)).map_err(reason)?;
            let Some((automerge::Value::Object(ObjType::Map | ObjType::Table), id)) = found else {
                return Ok(Vec::new());
            };
            obj = id;
        }
        let all = self.inner.get_all(&obj, Prop::from(last)).map_err(reason)?;
        // The last one is shown.
        if !all.last().is_some_and(|(it, _)| is_whole(it)) {
            return Ok(Vec::new());
        }
        let whole = all.into_iter().filter(|(it, _)| is_whole(it));
        let hashes = whole.filter_map(|(_, id)| self.inner.hash_for_opid(&id));
        let mut hashes: Vec<_> = hashes.map(|it| ChangeHash::from_bytes(it.0)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        Ok(hashes)
    }

    /// The document as it was at `base`, whose changes are in it; seen without a lens.
    ///
    /// Costs in proportion to its history.
    ///
    /// # Errors
    /// When Automerge fails.
    pub fn fork(&self, base: &Heads) -> Result<Self, DocumentFault> {
        self.guarded("look at a document's past", || {
            let mut fork = self.clone();
            fork.lens = None;
            if *base != self.heads() {
                fork.inner = attempt("look at a document's past", || {
                    let fork = self.inner.fork_at(&foreign_heads(base));
                    fork.map_err(|it| it.to_string())
                })?;
            }
            Ok(fork)
        })
    }

    /// Makes the record of a document that nobody else writes to equal to `map`, as a change of `actor`'s,
    /// its first. Its time is the latest of the changes that it follows, so that it counts as no later
    /// than what it was made of.
    ///
    /// # Errors
    /// As [`Document::edit`].
    pub fn derive(
        &mut self,
        actor: &ActorId,
        message: String,
        map: &BTreeMap<String, Value>,
    ) -> Result<Option<Change>, Error> {
        self.inner.set_actor(actor.as_bytes().into());
        let heads = self.inner.get_heads();
        let metas = heads
            .iter()
            .map(|it| self.inner.get_change_meta_by_hash(it));
        let latest = metas.flatten().map(|it| it.timestamp).max().unwrap_or(0);
        let meta = EditMeta {
            time: WallTime::from_unix_seconds(latest),
            message: Some(message),
        };
        let ((), change) = self.commit(meta, false, |edit| edit.put_map(map))?;
        Ok(change)
    }
}

/// Whether a value is replaced as a whole, and says something.
fn is_whole(value: &automerge::Value<'_>) -> bool {
    match value {
        automerge::Value::Scalar(it) => {
            !matches!(it.as_ref(), ScalarValue::Null | ScalarValue::Counter(_))
        }
        automerge::Value::Object(_) => false,
    }
}

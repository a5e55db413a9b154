//! Local edits: made against a cached document on the caller's side, and submitted to the engine
//! in the order in which they were made.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value as Json;
use tokio::sync::{mpsc, oneshot};

use super::documents::Documents;
use super::driver::Message;
use super::shared::{Shared, closed, lock, mismatched};
use super::tasks::run_apart;
use crate::contract::judge_edit;
use crate::doc::{Change, Document, EditMeta, Value};
use crate::engine::{Event, Reply};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Heads, RecordKey};
use crate::limits;
use crate::record;
use crate::replica::{Rows, View, Write};
use crate::telemetry::names;

/// How often an edit is made again because another came first.
const ATTEMPTS: u32 = 32;

/// More new changes than this are taken into a document away from the caller's thread.
const LOAD_APART_CHANGES: u32 = 512;

/// A document's size, in bytes of memory, up to which an edit brings the record's view along.
/// Larger ones are left to the projector, so that an edit costs what it changes.
const VIEW_AT_ONCE_BYTES: u64 = 32 * 1024;

/// What an edit has led to.
pub(super) enum Submitted<R> {
    /// Nothing had to be written, and all that was read is committed.
    Nothing(R),
    /// It waits for the commit of what it wrote or, if it wrote nothing, of what it read.
    Waiting(R, oneshot::Receiver<Reply>),
}

/// A failed edit is made again if another one of the same record got in its way.
pub(super) fn is_worth_repeating(error: &Error, attempt: u32) -> bool {
    error.kind() == ErrorKind::Conflict && attempt < ATTEMPTS
}

impl Shared {
    /// Edits one record; returns when the change is durable as configured. `creates` refuses a
    /// record that came to be meanwhile.
    pub(super) async fn edit<R: Send>(
        self: &Arc<Self>,
        key: &RecordKey,
        creates: bool,
        mut work: impl FnMut(&mut Document, EditMeta) -> Result<(R, Option<Change>)> + Send,
    ) -> Result<R> {
        self.warm(key).await?;
        let mut attempt = 0;
        loop {
            let permit = self.inbox.reserve().await.map_err(|_gone| closed())?;
            match self.submit((key, creates), permit, &mut work)? {
                Submitted::Nothing(result) => return Ok(result),
                Submitted::Waiting(result, reply) => match self.captured(&[key], reply).await {
                    Ok(()) => return Ok(result),
                    Err(error) => {
                        attempt += 1;
                        if !is_worth_repeating(&error, attempt) {
                            return Err(error);
                        }
                    }
                },
            }
        }
    }

    fn submit<R>(
        &self,
        (key, creates): (&RecordKey, bool),
        permit: mpsc::Permit<'_, Message>,
        work: &mut impl FnMut(&mut Document, EditMeta) -> Result<(R, Option<Change>)>,
    ) -> Result<Submitted<R>> {
        let correlation = self.correlation();
        let span = tracing::debug_span!(names::span::CAPTURE, %correlation, record = %key);
        let _entered = span.entered();
        let _turn = lock(&self.writer);
        let snapshot = self.snapshot()?;
        let mut document = self.documents.check_out(key);
        document.refresh(&Rows::new(snapshot.as_ref()))?;
        let is_ahead = document.loaded().is_ahead();
        let migrated = document.migrate()?;
        let loaded = document.loaded();
        let (result, change) = work(&mut loaded.document, EditMeta::at(self.now().wall))?;
        let mut writes = Vec::new();
        match (change, migrated) {
            (Some(change), migrated) => {
                document.changed();
                let migrated = migrated.into_iter().flat_map(|it| it.changes);
                writes.extend(migrated.map(|it| silent(key, it)));
                writes.push(self.write(key, change, &document.loaded().document, creates)?);
            }
            // A migration is not written for the sake of nothing.
            (None, Some(migrated)) => document.take_back(migrated),
            (None, None) => {}
        }
        if writes.is_empty() && !is_ahead {
            return Ok(Submitted::Nothing(result));
        }
        let reply = self.capture(permit, correlation, writes);
        document.submitted();
        Ok(Submitted::Waiting(result, reply))
    }

    /// Submits changes; whoever calls has the writer's turn. The answer comes after the commit of all
    /// that was submitted before, also if there are none.
    pub(super) fn capture(
        &self,
        permit: mpsc::Permit<'_, Message>,
        correlation: crate::id::CorrelationId,
        writes: Vec<Write>,
    ) -> oneshot::Receiver<Reply> {
        let ticket = self.ticket();
        let (answer, reply) = oneshot::channel();
        let event = Event::Capture {
            ticket,
            writes,
            correlation,
        };
        permit.send(Message::Ask(event, ticket, answer));
        reply
    }

    /// Waits for the commit of what was submitted.
    pub(super) async fn captured(
        &self,
        keys: &[&RecordKey],
        reply: oneshot::Receiver<Reply>,
    ) -> Result<()> {
        let mut under_way = UnderWay {
            documents: &self.documents,
            keys,
        };
        match reply.await.map_err(|_gone| closed())? {
            Reply::Captured(captured) => captured?,
            Reply::Imported(_)
            | Reply::Delivered(_)
            | Reply::Status(_)
            | Reply::Compacted(_)
            | Reply::Blob(_)
            | Reply::Indexed(_)
            | Reply::Quarantined(_) => {
                return Err(mismatched());
            }
        };
        under_way.keys = &[];
        Ok(())
    }

    /// Loads a record's document if that takes long, without keeping anybody else waiting.
    pub(super) async fn warm(self: &Arc<Self>, key: &RecordKey) -> Result<()> {
        if self.missing_changes(key)? <= LOAD_APART_CHANGES {
            return Ok(());
        }
        let (shared, key) = (Arc::clone(self), key.clone());
        let load = move || -> Result<()> {
            let snapshot = shared.snapshot()?;
            let mut document = shared.documents.check_out(&key);
            metrics::counter!(names::DOCUMENTS_LOADED, names::label::CAUSE => "edit").increment(1);
            document.refresh(&Rows::new(snapshot.as_ref()))
        };
        run_apart(load).await
    }

    /// How many changes of a record its document lacks.
    fn missing_changes(&self, key: &RecordKey) -> Result<u32> {
        let snapshot = self.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let Some(slot) = rows.slot(key)? else {
            return Ok(0);
        };
        let stored = rows.header(slot)?.map_or(0, |it| it.changes);
        Ok(stored.saturating_sub(self.documents.changes(key)))
    }
}

impl Shared {
    /// A change and, where that is cheap, the view of its record.
    ///
    /// # Errors
    /// [`ErrorKind::Breach`] if the record breaks its contract by it, and
    /// [`ErrorKind::ContractTooNew`] if this program may not write. The document holds the change.
    pub(super) fn write(
        &self,
        key: &RecordKey,
        change: Change,
        document: &Document,
        creates: bool,
    ) -> Result<Write> {
        let view = self.view_after(key, &change, document)?;
        Ok(Write {
            key: key.clone(),
            change,
            view: view.map(|it| (document.heads(), it)),
            must_be_new: creates,
        })
    }

    /// What a caller writes as JSON, of the kinds that the contract says: strings become texts, numbers
    /// counters, lists sets.
    ///
    /// # Errors
    /// `InvalidInput` if `json` does not fit, as for any write.
    pub(super) fn coerced<'j>(&self, key: &RecordKey, json: &'j Json) -> Result<Cow<'j, Json>> {
        let ruling = self.rulings.of(key.space, &key.collection);
        let contract = ruling.as_ref().and_then(|it| it.contract());
        let Some(contract) = contract.filter(|_| json.is_object()) else {
            return Ok(Cow::Borrowed(json));
        };
        let mut value = Value::from_json(json)?;
        contract.coerce(&mut value);
        Ok(Cow::Owned(value.to_kinds(json)))
    }

    fn view_after(
        &self,
        key: &RecordKey,
        change: &Change,
        document: &Document,
    ) -> Result<Option<View>> {
        let ruling = self.rulings.of(key.space, &key.collection);
        if let Some(ruling) = &ruling {
            ruling.check_writable()?;
        }
        let is_small = document.size_hint() <= VIEW_AT_ONCE_BYTES;
        let is_checked = ruling.is_some_and(|it| it.contract().is_some());
        if !is_small && !is_checked {
            return Ok(None);
        }
        // Before it is judged: should another come meanwhile, it is judged once more.
        let ruled_by = self.rulings.name_of(key.space, &key.collection);
        let mut shown = document.shown(None)?;
        if shown.by > 0 {
            shown.by = self.rulings.tag(key);
        }
        // What could not be migrated is named by the projector.
        let is_small = is_small && self.rulings.is_migrated(key, &shown.value);
        let breaches = self.rulings.breaches(key, &shown.value);
        let before: Heads = change.deps().iter().copied().collect();
        let breach = judge_edit(&breaches, || {
            if before.is_empty() {
                return Ok(Vec::new());
            }
            let value = document.value_at(&before)?;
            Ok(self.rulings.breaches(key, &record::read_value(&value)))
        })?;
        Ok(is_small.then(|| View {
            breach,
            ruled_by,
            ..View::from(shown)
        }))
    }
}

/// A change that is followed by another one of the same commit, which has the view.
pub(super) fn silent(key: &RecordKey, change: Change) -> Write {
    Write {
        key: key.clone(),
        change,
        view: None,
        must_be_new: false,
    }
}

/// Documents with changes whose commit is waited for. They are forgotten if it fails, and if the
/// caller gives up: then nobody would hear that it failed.
struct UnderWay<'a> {
    documents: &'a Documents,
    keys: &'a [&'a RecordKey],
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        for key in self.keys {
            self.documents.forget(key);
        }
    }
}

/// Transactions hold at most so many changes.
pub(super) fn check_count(writes: usize) -> Result<()> {
    let max = limits::TRANSACTION_WRITES_MAX;
    if writes > max {
        let message = format!("a transaction holds at most {max} changes; make several");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(())
}

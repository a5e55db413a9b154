//! Watching: what changed, told to whoever wants to know, without ever waiting for them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::shared::lock;
use crate::doc::{Patch, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CollectionId, CorrelationId, Heads, RecordId, RecordKey, SpaceId, StoreId};
use crate::limits;
use crate::record;
use crate::replica::ShownView;

/// What a [`Watch`] yields.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    /// A record changed.
    Changed(Changed),
    /// The reader was too slow: this many events after the last one are lost. Read again what is
    /// shown; what comes next is complete from here on.
    Lagged {
        /// Number of lost events.
        missed: u64,
    },
}

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new here.
    Created,
    /// Its value changed.
    Updated,
    /// It was deleted, or is since before: an edit that was made elsewhere meanwhile is in it
    /// then, and does not bring it back.
    Deleted,
    /// It was deleted and is there again.
    Restored,
}

/// Who changed a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This node.
    Local,
    /// The peer with this store, or somebody behind it.
    Peer(StoreId),
}

/// A change of a record, durable as the node is configured. Several edits that come close together
/// may be told as one.
#[derive(Clone)]
pub struct Changed {
    /// The record.
    pub key: RecordKey,
    /// What happened.
    pub kind: ChangeKind,
    /// Who did it; of several edits in one, the last.
    pub origin: Origin,
    /// Identifies the edit across all replicas; of several in one, the last.
    pub correlation: CorrelationId,
    /// The record's heads.
    pub heads: Heads,
    before: Option<Value>,
    pub(super) after: Value,
}

impl Changed {
    fn new(view: &ShownView, own: StoreId) -> Option<Self> {
        let before = view.before.as_deref().map(Value::from_bytes).transpose();
        let (Ok(before), Ok(after)) = (before, Value::from_bytes(&view.after)) else {
            // The store's own rows; whoever reads them gets the error.
            return None;
        };
        let was_deleted = before.as_ref().map(record::is_deleted);
        let kind = match (was_deleted, record::is_deleted(&after)) {
            (None, false) => ChangeKind::Created,
            (_, true) => ChangeKind::Deleted,
            (Some(true), false) => ChangeKind::Restored,
            (Some(false), false) => ChangeKind::Updated,
        };
        let origin = if view.origin == own {
            Origin::Local
        } else {
            Origin::Peer(view.origin)
        };
        Some(Self {
            key: view.key.clone(),
            kind,
            origin,
            correlation: view.correlation,
            heads: view.heads.clone(),
            before,
            after,
        })
    }

    /// The record as it is now; of a deleted one, as it was when it was deleted.
    ///
    /// # Errors
    /// `WrongType` if it does not have the shape of `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        record::read(&self.after)
    }

    /// The same as JSON, see [`crate::doc::value::json`].
    pub fn json(&self) -> Json {
        record::read_value(&self.after).to_json()
    }

    /// What differs from before, field by field; all fields for a new record.
    pub fn patches(&self) -> Vec<Patch> {
        let empty = Value::Map(BTreeMap::new());
        let before = self.before.as_ref().unwrap_or(&empty);
        Value::diff(
            &record::read_value(before),
            &record::read_value(&self.after),
        )
    }
}

impl fmt::Debug for Changed {
    /// Shows nothing of the content, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .field("origin", &self.origin)
            .field("correlation", &self.correlation)
            .finish_non_exhaustive()
    }
}

/// Changes of one record, one collection or all, in the order of their commits.
///
/// It holds up to [`limits::WATCH_QUEUE_EVENTS`] unread events and yields
/// [`WatchEvent::Lagged`] where more came. Changes from before it was made are not in it: make it
/// first, then read.
pub struct Watch {
    events: mpsc::Receiver<WatchEvent>,
    missed: Arc<AtomicU64>,
}

impl Watch {
    /// The next event; `None` once the node is shut down.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        match self.try_next() {
            Some(event) => Some(event),
            None => match self.events.recv().await {
                Some(event) => Some(event),
                None => self.lagged(),
            },
        }
    }

    /// The next event, if there is one already.
    pub fn try_next(&mut self) -> Option<WatchEvent> {
        self.events.try_recv().ok().or_else(|| self.lagged())
    }

    fn lagged(&self) -> Option<WatchEvent> {
        let missed = self.missed.swap(0, Ordering::Relaxed);
        (missed > 0).then_some(WatchEvent::Lagged { missed })
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("unread", &self.events.len())
            .finish_non_exhaustive()
    }
}

/// What somebody watches.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) collection: Option<(SpaceId, CollectionId)>,
    pub(super) record: Option<RecordId>,
}

impl Filter {
    fn admits(&self, key: &RecordKey) -> bool {
        let of_collection = self
            .collection
            .as_ref()
            .is_none_or(|(space, name)| key.space == *space && key.collection == *name);
        of_collection && self.record.is_none_or(|it| it == key.record)
    }
}

/// All watchers of a node.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<Vec<Watcher>>);

#[derive(Debug)]
struct Watcher {
    filter: Filter,
    events: mpsc::Sender<WatchEvent>,
    missed: Arc<AtomicU64>,
}

impl Watchers {
    pub(super) fn add(&self, filter: Filter) -> Result<Watch> {
        let mut watchers = lock(&self.0);
        watchers.retain(|it| !it.events.is_closed());
        if watchers.len() >= limits::WATCHERS_MAX {
            let message = format!("{} watchers are the limit", limits::WATCHERS_MAX);
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let (sender, events) = mpsc::channel(limits::WATCH_QUEUE_EVENTS);
        let missed = Arc::new(AtomicU64::new(0));
        watchers.push(Watcher {
            filter,
            events: sender,
            missed: Arc::clone(&missed),
        });
        drop(watchers);
        Ok(Watch { events, missed })
    }

    pub(super) fn tell(&self, view: &ShownView, own: StoreId) {
        let mut watchers = lock(&self.0);
        if !watchers.iter().any(|it| it.filter.admits(&view.key)) {
            return;
        }
        let Some(changed) = Changed::new(view, own) else {
            return;
        };
        watchers.retain(|it| !it.filter.admits(&view.key) || it.tell(&changed));
    }

    /// No more events: watches end once they are read.
    pub(super) fn close(&self) {
        lock(&self.0).clear();
    }
}

impl Watcher {
    /// Queues an event, or counts it as missed; says whether anybody listens.
    fn tell(&self, changed: &Changed) -> bool {
        let missed = self.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            // What was lost stands between what came before and what comes now.
            if let Err(error) = self.events.try_send(WatchEvent::Lagged { missed }) {
                self.missed.fetch_add(missed + 1, Ordering::Relaxed);
                return !matches!(error, TrySendError::Closed(_));
            }
        }
        match self.events.try_send(WatchEvent::Changed(changed.clone())) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(number: i64, before: Option<&Value>, after: &Value) -> ShownView {
        ShownView {
            key: RecordKey {
                space: SpaceId::named("home"),
                collection: "tasks".parse().unwrap(),
                record: RecordId::named(&number.to_string()),
            },
            heads: Heads::default(),
            origin: StoreId::from_bytes([1; 16]),
            correlation: CorrelationId(7),
            before: before.map(Value::to_bytes),
            after: after.to_bytes(),
        }
    }

    fn map(entries: &[(&str, Value)]) -> Value {
        let entries = entries.iter().cloned();
        Value::Map(
            entries
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        )
    }

    #[test]
    fn a_slow_reader_is_told_how_much_it_missed_and_goes_on() {
        let watchers = Watchers::default();
        let mut watch = watchers.add(Filter::default()).unwrap();
        let value = map(&[("n", Value::from(1))]);
        let own = StoreId::from_bytes([1; 16]);
        let sent = limits::WATCH_QUEUE_EVENTS + 5;
        for number in 0..sent {
            watchers.tell(&view(i64::try_from(number).unwrap(), None, &value), own);
        }
        for _ in 0..limits::WATCH_QUEUE_EVENTS {
            assert!(matches!(watch.try_next(), Some(WatchEvent::Changed(_))));
        }
        let lagged = watch.try_next();
        assert!(
            matches!(lagged, Some(WatchEvent::Lagged { missed: 5 })),
            "{lagged:?}"
        );
        assert!(watch.try_next().is_none());
        watchers.tell(&view(0, None, &value), own);
        assert!(matches!(watch.try_next(), Some(WatchEvent::Changed(_))));
    }

    #[test]
    fn a_gap_stands_where_it_was() {
        let watchers = Watchers::default();
        let mut watch = watchers.add(Filter::default()).unwrap();
        let value = map(&[("n", Value::from(1))]);
        let own = StoreId::from_bytes([1; 16]);
        for number in 0..=limits::WATCH_QUEUE_EVENTS {
            watchers.tell(&view(i64::try_from(number).unwrap(), None, &value), own);
        }
        watch.try_next().unwrap();
        watch.try_next().unwrap();
        watchers.tell(&view(99_999, None, &value), own);
        for _ in 2..limits::WATCH_QUEUE_EVENTS {
            assert!(matches!(watch.try_next(), Some(WatchEvent::Changed(_))));
        }
        assert!(matches!(
            watch.try_next(),
            Some(WatchEvent::Lagged { missed: 1 })
        ));
        assert!(matches!(watch.try_next(), Some(WatchEvent::Changed(_))));
        assert!(watch.try_next().is_none());
    }

    #[test]
    fn kind_and_origin_come_from_the_views() {
        let plain = map(&[("n", Value::from(1))]);
        let deleted = map(&[
            ("n", Value::from(1)),
            (crate::doc::DELETED_KEY, Value::Timestamp(1)),
        ]);
        let own = StoreId::from_bytes([1; 16]);
        let kind = |before, after| Changed::new(&view(0, before, after), own).unwrap().kind;
        assert_eq!(kind(None, &plain), ChangeKind::Created);
        assert_eq!(kind(Some(&plain), &plain), ChangeKind::Updated);
        assert_eq!(kind(Some(&plain), &deleted), ChangeKind::Deleted);
        assert_eq!(kind(None, &deleted), ChangeKind::Deleted);
        assert_eq!(kind(Some(&deleted), &plain), ChangeKind::Restored);
        assert_eq!(
            kind(Some(&deleted), &deleted),
            ChangeKind::Deleted,
            "an edit of a deleted record does not show it"
        );
        let other = StoreId::from_bytes([2; 16]);
        let changed = Changed::new(&view(0, None, &plain), other).unwrap();
        assert_eq!(changed.origin, Origin::Peer(own));
    }

    #[test]
    fn only_what_is_watched_is_told() {
        let watchers = Watchers::default();
        let value = map(&[("n", Value::from(1))]);
        let own = StoreId::from_bytes([1; 16]);
        let of = |name: &str, record| Filter {
            collection: Some((SpaceId::named("home"), name.parse().unwrap())),
            record,
        };
        let mut tasks = watchers.add(of("tasks", None)).unwrap();
        let mut other = watchers.add(of("notes", None)).unwrap();
        let mut second = watchers
            .add(of("tasks", Some(RecordId::named("2"))))
            .unwrap();
        watchers.tell(&view(1, None, &value), own);
        watchers.tell(&view(2, None, &value), own);
        assert!(tasks.try_next().is_some() && tasks.try_next().is_some());
        assert!(other.try_next().is_none());
        assert!(second.try_next().is_some() && second.try_next().is_none());
    }
}

//! Presence: values that are shown to who is there now, and to nobody later.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};

use super::collection::Collection;
use super::shared::{Shared, closed, lock};
use super::{Handle, Node, Records};
use crate::engine::Shown;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{RecordId, ReplicaId, SpaceId};
use crate::limits;
use crate::telemetry::names;
use crate::time::WallTime;
use crate::wire::{Place, Slot};

/// What somebody else shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present<T> {
    /// Who shows it: the replica whose key has signed it.
    pub who: ReplicaId,
    /// What.
    pub value: T,
    /// Since when it is there without a gap, by this device's clock.
    pub since: WallTime,
}

/// What a [`PresenceWatch`] yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceEvent<T> {
    /// Somebody shows something who did not before.
    Joined(Present<T>),
    /// Somebody shows something else.
    Changed(Present<T>),
    /// Somebody shows nothing any more: took it back, lost the link, or was not heard of for too long.
    Left(ReplicaId),
    /// The reader was too slow: this many events are lost. Read [`Presence::all`] again; what comes
    /// next is complete from here on.
    Lagged {
        /// Number of lost events.
        missed: u64,
    },
}

/// One topic of presence in a space or at a record: what this node shows there, and what others do.
///
/// Best effort. Nothing is stored; what was shown while nobody was linked is seen by who links while it
/// is still shown, and by nobody after. Of values that follow each other fast the last is sent, at
/// most twenty a second. `docs/guide/presence.md` tells more.
///
/// What is shown is taken back when this is dropped. Two handles of one topic show one value: the
/// last that was set, until either is dropped after having set one.
pub struct Presence<T> {
    handle: Arc<Handle>,
    slot: Slot,
    ttl: Duration,
    is_set: bool,
    of: PhantomData<fn(T) -> T>,
}

impl<T: Serialize + DeserializeOwned> Presence<T> {
    fn new(handle: &Arc<Handle>, space: SpaceId, place: Place, topic: &str) -> Result<Self> {
        let topic = topic.parse()?;
        if !handle.shared.presences.knows(space) {
            let message = format!("space {space} is not open here; open the node with it");
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        Ok(Self {
            handle: Arc::clone(handle),
            slot: Slot {
                space,
                place,
                topic,
            },
            ttl: limits::PRESENCE_TTL,
            is_set: false,
            of: PhantomData,
        })
    }

    /// The same, but what is set from now on holds for so long without being repeated; half a minute
    /// by default. The node repeats it three times as often, so a short one costs messages, and a
    /// long one leaves a ghost where a link breaks unnoticed.
    ///
    /// # Errors
    /// `InvalidInput` if it is not from [`limits::PRESENCE_TTL_MIN`] to [`limits::PRESENCE_TTL_MAX`].
    pub fn lasting(mut self, ttl: Duration) -> Result<Self> {
        if !(limits::PRESENCE_TTL_MIN..=limits::PRESENCE_TTL_MAX).contains(&ttl) {
            let message = format!(
                "a presence lasts from {:?} to {:?}, not {ttl:?}",
                limits::PRESENCE_TTL_MIN,
                limits::PRESENCE_TTL_MAX
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        self.ttl = ttl;
        Ok(self)
    }

    /// Shows a value to everybody who is there, in place of the one before, until it is taken back.
    /// Returns at once.
    ///
    /// # Errors
    /// `InvalidInput` if `value` can't be written as JSON, `TooLarge` if it takes more than
    /// [`limits::PRESENCE_BYTES_MAX`] bytes of that, or if this node shows
    /// [`limits::PRESENCES_OWN_MAX`] others, and `Closed` if the node is shut down.
    pub fn set(&mut self, value: &T) -> Result<()> {
        let payload = serde_json::to_vec(value).map_err(|error| {
            let message = "the value can't be written as JSON";
            Error::new(ErrorKind::InvalidInput, message).with_source(error)
        })?;
        if payload.len() > limits::PRESENCE_BYTES_MAX {
            let message = format!(
                "a presence takes at most {} bytes, this one {}; put what is large into a record",
                limits::PRESENCE_BYTES_MAX,
                payload.len()
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        if *self.shared().stopped.borrow() {
            return Err(closed());
        }
        let shown = Some((Bytes::from(payload), self.ttl));
        self.shared().presences.wish(&self.slot, shown)?;
        self.is_set = true;
        Ok(())
    }

    /// Shows nothing any more. Returns at once; the others hear of it as fast as of a value.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.is_set) {
            // Only what is new can be refused.
            drop(self.shared().presences.wish(&self.slot, None));
        }
    }

    /// What others show now, by who they are. Values that are not of this type are passed over, and
    /// counted in `syncline_presence_unreadable_total`: another program, or another version of this
    /// one, uses the same topic.
    pub fn all(&self) -> Vec<Present<T>> {
        let raw = self.shared().presences.all(&self.slot);
        raw.into_iter().filter_map(read).collect()
    }

    /// What others show from now on. Make it first, then read [`Presence::all`].
    ///
    /// # Errors
    /// `TooLarge` when there are too many watches.
    pub fn watch(&self) -> Result<PresenceWatch<T>> {
        self.shared().presences.watch(&self.slot)
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }
}

impl<T> Drop for Presence<T> {
    fn drop(&mut self) {
        if self.is_set {
            // Only what is new can be refused.
            drop(self.handle.shared.presences.wish(&self.slot, None));
        }
    }
}

impl<T> fmt::Debug for Presence<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Presence in the home space: who is there, typing, on which page.
    ///
    /// # Errors
    /// `InvalidInput` if `topic` is no name.
    pub fn presence<T: Serialize + DeserializeOwned>(&self, topic: &str) -> Result<Presence<T>> {
        self.presence_in(self.space(), topic)
    }

    /// Presence in any space of the node.
    ///
    /// # Errors
    /// As [`Node::presence`], and `NotFound` if the node was not opened with that space.
    pub fn presence_in<T: Serialize + DeserializeOwned>(
        &self,
        space: SpaceId,
        topic: &str,
    ) -> Result<Presence<T>> {
        Presence::new(&self.0, space, Place::Space, topic)
    }
}

impl Records {
    /// Presence at a record, which need not exist: cursors, selections, who has it open.
    ///
    /// # Errors
    /// As [`Node::presence_in`].
    pub fn presence<T: Serialize + DeserializeOwned>(
        &self,
        record: RecordId,
        topic: &str,
    ) -> Result<Presence<T>> {
        let place = Place::Record(self.name().clone(), record);
        Presence::new(self.handle(), self.space(), place, topic)
    }
}

impl<R: crate::record::Record> Collection<R> {
    /// As [`Records::presence`].
    ///
    /// # Errors
    /// As [`Node::presence_in`].
    pub fn presence<T: Serialize + DeserializeOwned>(
        &self,
        record: RecordId,
        topic: &str,
    ) -> Result<Presence<T>> {
        self.records().presence(record, topic)
    }
}

/// What others show on one topic, as it comes.
///
/// It holds up to [`limits::WATCH_QUEUE_EVENTS`] unread events and yields
/// [`PresenceEvent::Lagged`] where more came. Values that are not of the type are passed over, as in
/// [`Presence::all`]; that somebody left is told all the same.
pub struct PresenceWatch<T> {
    events: mpsc::Receiver<Raw>,
    missed: Arc<AtomicU64>,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> PresenceWatch<T> {
    /// The next event; `None` once the node is shut down.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<PresenceEvent<T>> {
        loop {
            if let Some(event) = self.try_next() {
                return Some(event);
            }
            match self.events.recv().await {
                Some(raw) => {
                    if let Some(event) = raw.read() {
                        return Some(event);
                    }
                }
                None => return self.lagged(),
            }
        }
    }

    /// The next event, if there is one already.
    pub fn try_next(&mut self) -> Option<PresenceEvent<T>> {
        while let Ok(raw) = self.events.try_recv() {
            if let Some(event) = raw.read() {
                return Some(event);
            }
        }
        self.lagged()
    }

    fn lagged(&self) -> Option<PresenceEvent<T>> {
        let missed = self.missed.swap(0, Ordering::Relaxed);
        (missed > 0).then_some(PresenceEvent::Lagged { missed })
    }
}

impl<T> fmt::Debug for PresenceWatch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresenceWatch")
            .field("unread", &self.events.len())
            .finish_non_exhaustive()
    }
}

/// An event before its value is read.
#[derive(Clone, Debug)]
enum Raw {
    Joined(Present<Bytes>),
    Changed(Present<Bytes>),
    Left(ReplicaId),
    Lagged(u64),
}

impl Raw {
    fn read<T: DeserializeOwned>(self) -> Option<PresenceEvent<T>> {
        match self {
            Self::Joined(raw) => read(raw).map(PresenceEvent::Joined),
            Self::Changed(raw) => read(raw).map(PresenceEvent::Changed),
            Self::Left(who) => Some(PresenceEvent::Left(who)),
            Self::Lagged(missed) => Some(PresenceEvent::Lagged { missed }),
        }
    }
}

fn read<T: DeserializeOwned>(raw: Present<Bytes>) -> Option<Present<T>> {
    let Present { who, value, since } = raw;
    let Ok(value) = serde_json::from_slice(&value) else {
        metrics::counter!(names::PRESENCE_UNREADABLE).increment(1);
        return None;
    };
    Some(Present { who, value, since })
}

/// What the engine is still to be told: the last wish for each topic.
type Wishes = BTreeMap<Slot, Option<(Bytes, Duration)>>;

/// All presence of a node.
#[derive(Debug)]
pub(super) struct Presences {
    /// The spaces in which there may be some; `None` for any.
    spaces: Option<Vec<SpaceId>>,
    wishes: Mutex<Wished>,
    /// Notified when there are wishes.
    pub(super) wished: Notify,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Wished {
    new: Wishes,
    /// The topics on which this node shows something, as was wished.
    shown: std::collections::BTreeSet<Slot>,
}

#[derive(Debug, Default)]
struct Known {
    others: BTreeMap<(Slot, ReplicaId), (Bytes, WallTime)>,
    watchers: Vec<Watcher>,
}

#[derive(Debug)]
struct Watcher {
    slot: Slot,
    events: mpsc::Sender<Raw>,
    missed: Arc<AtomicU64>,
}

impl Presences {
    pub(super) fn new(spaces: Option<Vec<SpaceId>>) -> Self {
        Self {
            spaces,
            wishes: Mutex::default(),
            wished: Notify::new(),
            known: Mutex::default(),
        }
    }

    fn knows(&self, space: SpaceId) -> bool {
        let spaces = self.spaces.as_ref();
        spaces.is_none_or(|it| it.contains(&space))
    }

    /// Notes what is to be shown. It takes the place of what was noted before, so that there is no
    /// queue however fast it changes.
    fn wish(&self, slot: &Slot, shown: Option<(Bytes, Duration)>) -> Result<()> {
        let mut wishes = lock(&self.wishes);
        if shown.is_none() {
            wishes.shown.remove(slot);
        } else if !wishes.shown.contains(slot) {
            if wishes.shown.len() >= limits::PRESENCES_OWN_MAX {
                let message = format!(
                    "a node shows {} presences at most",
                    limits::PRESENCES_OWN_MAX
                );
                return Err(Error::new(ErrorKind::TooLarge, message));
            }
            wishes.shown.insert(slot.clone());
        }
        wishes.new.insert(slot.clone(), shown);
        drop(wishes);
        self.wished.notify_one();
        Ok(())
    }

    pub(super) fn take_wishes(&self) -> Wishes {
        std::mem::take(&mut lock(&self.wishes).new)
    }

    fn all(&self, slot: &Slot) -> Vec<Present<Bytes>> {
        let known = lock(&self.known);
        let from = (slot.clone(), ReplicaId::from_bytes([0; 32]));
        let others = known.others.range(from..);
        let here = others.take_while(|((it, _), _)| it == slot);
        here.map(|((_, who), (value, since))| Present {
            who: *who,
            value: value.clone(),
            since: *since,
        })
        .collect()
    }

    fn watch<T>(&self, slot: &Slot) -> Result<PresenceWatch<T>> {
        let mut known = lock(&self.known);
        known.watchers.retain(|it| !it.events.is_closed());
        if known.watchers.len() >= limits::WATCHERS_MAX {
            let message = format!("{} watchers are the limit", limits::WATCHERS_MAX);
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let (sender, events) = mpsc::channel(limits::WATCH_QUEUE_EVENTS);
        let missed = Arc::new(AtomicU64::new(0));
        known.watchers.push(Watcher {
            slot: slot.clone(),
            events: sender,
            missed: Arc::clone(&missed),
        });
        drop(known);
        Ok(PresenceWatch {
            events,
            missed,
            of: PhantomData,
        })
    }

    /// Takes in what the engine has heard, and tells who watches.
    pub(super) fn tell(&self, shown: Shown, now: WallTime) {
        let mut known = lock(&self.known);
        let who = shown.spot.author;
        let key = (shown.spot.slot, who);
        let raw = match shown.payload {
            None => match known.others.remove(&key) {
                Some(_) => Raw::Left(who),
                None => return,
            },
            Some(value) => {
                let before = known.others.get(&key).map(|it| it.1);
                let since = before.unwrap_or(now);
                known.others.insert(key.clone(), (value.clone(), since));
                let present = Present { who, value, since };
                if before.is_some() {
                    Raw::Changed(present)
                } else {
                    Raw::Joined(present)
                }
            }
        };
        let watchers = &mut known.watchers;
        watchers.retain(|it| it.slot != key.0 || it.tell(&raw));
    }

    /// No more events: watches end once they are read, and nobody is there any more.
    pub(super) fn close(&self) {
        *lock(&self.known) = Known::default();
    }
}

impl Watcher {
    /// Queues an event, or counts it as missed; says whether anybody listens.
    fn tell(&self, raw: &Raw) -> bool {
        let missed = self.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            // What was lost stands between what came before and what comes now.
            if let Err(error) = self.events.try_send(Raw::Lagged(missed)) {
                self.missed.fetch_add(missed + 1, Ordering::Relaxed);
                return !matches!(error, TrySendError::Closed(_));
            }
        }
        match self.events.try_send(raw.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/presence.md")]
mod guide {}

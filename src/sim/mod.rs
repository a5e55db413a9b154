//! A cluster on one thread: shipped engines over virtual time and a made-up network.
//!
//! The second shell beside `node`. Nothing here waits: time jumps to the next event, and the same
//! seed gives the same run. Frames arrive in order on one link and at random times across links;
//! links can be cut with frames in flight, hosts crash and come back on what their store holds.
//!
//! ```
//! use syncline::doc::{EditMeta, Value};
//! use syncline::sim::World;
//! use syncline::time::WallTime;
//! use syncline::{RecordId, SpaceId};
//!
//! # fn main() -> Result<(), syncline::Error> {
//! let mut world = World::new(7, 2)?;
//! let key = World::key("notes", RecordId::named("first"));
//! world.edit(0, &key, |edit| edit.set(&["title".into()], &Value::Str("hi".to_owned())))?;
//! world.connect(0, 1);
//! assert!(world.settle());
//! assert_eq!(world.heads(0, &key)?, world.heads(1, &key)?);
//! # Ok(())
//! # }
//! ```

mod host;
mod network;

use std::sync::Arc;
use std::time::Duration;

pub use host::Host;
pub use network::Traffic;

use crate::doc::{Edit, EditMeta, Value};
use crate::engine::{Effect, Event};
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Heads, RecordId, RecordKey, SpaceId};
use crate::peer::PeerEvent;
use crate::replica::documents::Loaded;
use crate::replica::{Projection, Rows, Write};
use crate::store::{MemoryStore, Store};
use crate::time::{Instant, Now, WallTime};
use network::{Arrival, Network};

/// Virtual time after which a cluster that has been connected must be at rest.
const SETTLE_WITHIN: Duration = Duration::from_secs(600);

/// Virtual events after which a run is taken to go in circles.
const EVENTS_MAX: usize = 2_000_000;

/// A cluster, its network and its clock.
#[derive(Debug)]
pub struct World {
    entropy: Entropy,
    now: Instant,
    hosts: Vec<Host>,
    network: Network,
}

impl World {
    /// `hosts` replicas with empty stores in memory, not connected.
    ///
    /// # Errors
    /// None with stores in memory.
    pub fn new(seed: u64, hosts: usize) -> Result<Self> {
        let stores = (0..hosts).map(|_| -> Arc<dyn Store> { Arc::new(MemoryStore::new()) });
        Self::over(seed, stores.collect(), true)
    }

    /// One replica over each of `stores`, with views or only relaying.
    ///
    /// # Errors
    /// When a store can't be opened.
    pub fn over(seed: u64, stores: Vec<Arc<dyn Store>>, views: bool) -> Result<Self> {
        let mut entropy = Entropy::from_number(seed);
        let hosts = stores
            .into_iter()
            .map(|store| Host::open(store, views, &mut entropy));
        Ok(Self {
            hosts: hosts.collect::<Result<_>>()?,
            network: Network::new(entropy.fork()),
            entropy,
            now: Instant::default(),
        })
    }

    /// The space that every host opens.
    pub fn space() -> SpaceId {
        SpaceId::named("simulation")
    }

    /// A record of that space.
    ///
    /// # Panics
    /// When `collection` is not a collection's name.
    #[expect(
        clippy::expect_used,
        reason = "a name that the test wrote down is its own mistake"
    )]
    pub fn key(collection: &str, record: RecordId) -> RecordKey {
        let collection = collection.parse().expect("a valid collection name");
        RecordKey {
            space: Self::space(),
            collection,
            record,
        }
    }

    /// The virtual time.
    pub fn now(&self) -> Now {
        let wall = WallTime::from_millis(1_700_000_000_000 + self.now.as_micros() / 1_000);
        Now {
            instant: self.now,
            wall,
        }
    }

    /// One of the hosts.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there are fewer.
    pub fn host(&self, host: usize) -> Result<&Host> {
        self.hosts.get(host).ok_or_else(|| no_host(host))
    }

    /// Keeps `from` connected to `to` from now on.
    pub fn connect(&mut self, from: usize, to: usize) {
        let peer = network::address(to);
        self.tell(
            from,
            Event::Peer(PeerEvent::Added {
                peer,
                expects: None,
            }),
        );
    }

    /// Cuts all links of a host, with what is in flight on them. They are redialled.
    pub fn cut(&mut self, host: usize) {
        for (side, link) in self.network.cut(host) {
            self.tell(
                side,
                Event::LinkLost {
                    link,
                    reason: "cut".to_owned(),
                },
            );
        }
    }

    /// Lets no dial of or to a host succeed, or lets them again.
    pub fn isolate(&mut self, host: usize, isolated: bool) {
        self.network.isolate(host, isolated);
        if isolated {
            self.cut(host);
        }
    }

    /// Kills a host between two events. What it has not committed is lost.
    ///
    /// # Errors
    /// When its store can't be opened again.
    pub fn restart(&mut self, host: usize) -> Result<()> {
        self.cut(host);
        self.network.forget(host);
        let mut entropy = self.entropy.fork();
        let now = self.now();
        let it = self.hosts.get_mut(host).ok_or_else(|| no_host(host))?;
        it.restart(now, &mut entropy)?;
        self.pump(host);
        Ok(())
    }

    /// Edits a record on one host; gives whether that changed anything. The change is committed
    /// with whatever the host handles before it is next polled.
    ///
    /// # Errors
    /// What the edit returns; [`ErrorKind::Conflict`] and others of a capture.
    pub fn edit(
        &mut self,
        host: usize,
        key: &RecordKey,
        edit: impl FnOnce(&mut Edit<'_>) -> Result<()>,
    ) -> Result<bool> {
        let now = self.now();
        let it = self.hosts.get_mut(host).ok_or_else(|| no_host(host))?;
        let Some(write) = it.prepare(key, EditMeta::at(now.wall), edit)? else {
            return Ok(false);
        };
        self.capture(host, write).map(|()| true)
    }

    /// Hands a host a change that was made on a document of the caller's, which may lag behind
    /// what the host knows.
    ///
    /// # Errors
    /// Those of a capture.
    pub fn capture(&mut self, host: usize, write: Write) -> Result<()> {
        let now = self.now();
        let it = self.hosts.get_mut(host).ok_or_else(|| no_host(host))?;
        it.capture(now, vec![write], &mut self.entropy);
        self.pump(host);
        self.hosts
            .get_mut(host)
            .ok_or_else(|| no_host(host))?
            .outcome()
    }

    /// Lets the next thing happen; says whether there was one.
    pub fn step(&mut self) -> bool {
        let timer = self.hosts.iter().map(Host::poll_timeout).enumerate();
        let timer = timer.filter_map(|(host, at)| Some((at?, host))).min();
        let arrival = self.network.next_at();
        match (arrival, timer) {
            (None, None) => false,
            (Some(at), timer) if timer.is_none_or(|(due, _)| at <= due) => {
                self.now = self.now.max(at);
                if let Some(arrival) = self.network.pop() {
                    self.arrive(arrival);
                }
                true
            }
            (_, Some((at, host))) => {
                self.now = self.now.max(at);
                self.tell(host, Event::Timer);
                true
            }
            (Some(_), None) => true,
        }
    }

    /// Runs for a span of virtual time.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        let due = |world: &Self| {
            let timers = world.hosts.iter().filter_map(Host::poll_timeout);
            timers
                .chain(world.network.next_at())
                .min()
                .is_some_and(|at| at <= end)
        };
        while due(self) && self.step() {}
        self.now = end;
    }

    /// Runs until every host has acknowledged everything, all views are current and nothing is on
    /// its way. Gives whether that came about within ten minutes of virtual time.
    pub fn settle(&mut self) -> bool {
        let end = self.now + SETTLE_WITHIN;
        for _ in 0..EVENTS_MAX {
            if self.is_at_rest() {
                return true;
            }
            if self.now >= end || !self.step() {
                return false;
            }
        }
        false
    }

    /// Whether nothing is on its way, no view is stale, and every link says that its peer has all.
    pub fn is_at_rest(&self) -> bool {
        self.network.is_quiet() && self.hosts.iter().all(|it| it.is_at_rest(self.now()))
    }

    /// What a host knows of a record.
    ///
    /// # Errors
    /// When its store can't be read.
    pub fn heads(&self, host: usize, key: &RecordKey) -> Result<Heads> {
        self.host(host)?.heads(key)
    }

    /// The view of a record on a host.
    ///
    /// # Errors
    /// When its store can't be read.
    pub fn view(&self, host: usize, key: &RecordKey) -> Result<Option<Value>> {
        self.host(host)?.view(key)
    }

    /// What has been sent so far.
    pub const fn traffic(&self) -> &Traffic {
        self.network.traffic()
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Event { host, event } => self.tell(host, event),
            Arrival::Project { host, key, life } => {
                let Some(it) = self.hosts.get(host).filter(|it| it.life() == life) else {
                    return;
                };
                let projection = project(it, key);
                self.tell(host, Event::Projected(projection));
            }
        }
    }

    fn tell(&mut self, host: usize, event: Event) {
        let now = self.now();
        if let Some(it) = self.hosts.get_mut(host) {
            it.handle(now, event);
        }
        self.pump(host);
    }

    /// Carries out what a host wants done.
    fn pump(&mut self, host: usize) {
        let now = self.now();
        while let Some(effect) = self.hosts.get_mut(host).and_then(|it| it.poll(now)) {
            match effect {
                Effect::Send { link, frame } => self.network.send(now.instant, (host, link), frame),
                Effect::Close(link) => self.network.close(now.instant, (host, link)),
                Effect::Dial {
                    peer,
                    attempt,
                    expects,
                } => {
                    self.network
                        .dial(now.instant, host, (peer, attempt), expects);
                }
                Effect::Project(key) => {
                    let life = self.hosts.get(host).map_or(0, Host::life);
                    self.network.project(now.instant, host, key, life);
                }
                Effect::Reply(..)
                | Effect::CancelDial { .. }
                | Effect::Trust(_)
                | Effect::Shown(_)
                | Effect::Stopped => {}
            }
        }
    }
}

/// Projects a record as a node's projector does.
fn project(host: &Host, key: RecordKey) -> Projection {
    let loaded = host
        .store()
        .snapshot()
        .map_err(Error::from)
        .and_then(|snapshot| {
            let rows = Rows::new(snapshot.as_ref());
            let actor = crate::id::ActorId::of(host.store_id(), &key);
            Loaded::open(&rows, &key, &actor)
        });
    let (heads, changes, value) = match loaded {
        Ok(loaded) => {
            let value = loaded.document.value().map(|it| it.to_bytes());
            let changes = loaded.changes();
            let value = value.map_err(|fault| fault.to_string());
            (loaded.heads, changes, value)
        }
        Err(error) => {
            let heads = host.heads(&key).unwrap_or_default();
            (heads, 0, Err(error.to_string()))
        }
    };
    Projection {
        key,
        heads,
        changes,
        value,
    }
}

fn no_host(host: usize) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no host {host}"))
}

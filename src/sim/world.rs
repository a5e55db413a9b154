//! The cluster itself: its hosts, its network, its clock, and what is done to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::fact::{Fact, What};
use super::host::Host;
use super::network::{self, Network, Traffic};
use super::presences::Held;
use super::storage::Storage;
use super::stranger::Stranger;
use crate::access::{Admission, Policy, Spaces};
use crate::doc::{Change, Edit, EditMeta, Value};
use crate::engine::{Config, Event, Target, Ticket};
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CorrelationId, Heads, RecordId, RecordKey, SpaceId};
use crate::peer::{DialSettings, PeerEvent};
use crate::replica::Write;
use crate::store::{Durability, MemoryStore, Store};
use crate::time::{Instant, Now};
use crate::wire::Wanted;

/// Virtual time after which a cluster that has been connected must be at rest.
const SETTLE_WITHIN: Duration = Duration::from_secs(600);

/// Virtual events after which a run is taken to go in circles.
const EVENTS_MAX: usize = 2_000_000;

/// What every clock shows at the start, in milliseconds since 1970.
const EPOCH_MILLIS: u64 = 1_700_000_000_000;

/// A cluster, its network and its clock.
#[derive(Debug)]
pub struct World {
    pub(super) entropy: Entropy,
    pub(super) now: Instant,
    pub(super) hosts: Vec<Host>,
    pub(super) network: Network,
    /// Ends of links that no engine is behind, by the number of their host.
    pub(super) strangers: BTreeMap<usize, Stranger>,
    pub(super) outcomes: BTreeMap<(usize, Ticket), Result<u64>>,
    /// Hosts that will never be back.
    pub(super) dead: BTreeSet<usize>,
    pub(super) facts: Option<Vec<Fact>>,
    /// Presences that wait on hosts, while facts are written down.
    pub(super) held: Held,
    /// What hosts that went down had shown before.
    pub(super) before_crash: BTreeMap<usize, BTreeMap<RecordKey, Heads>>,
    /// How many operations a disk does in recovery before its power goes again.
    pub(super) recovery_cuts: BTreeMap<usize, u64>,
}

impl World {
    /// A cluster without hosts; everything that is left to chance follows from `seed`.
    pub fn empty(seed: u64) -> Self {
        let mut entropy = Entropy::from_number(seed);
        Self {
            network: Network::new(entropy.fork()),
            entropy,
            now: Instant::default(),
            hosts: Vec::new(),
            strangers: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            dead: BTreeSet::new(),
            facts: None,
            held: Held::default(),
            before_crash: BTreeMap::new(),
            recovery_cuts: BTreeMap::new(),
        }
    }

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
        let mut world = Self::empty(seed);
        for store in stores {
            let config = Config {
                projects: views,
                ..Self::config()
            };
            world.add_host(Storage::Store(store), config)?;
        }
        Ok(world)
    }

    /// How a host behaves if nothing else is asked for: anybody may link, everything in
    /// [`World::space`] is wanted, views are kept, and a write is done when it is on disk.
    pub fn config() -> Config {
        Config {
            identity: None,
            policy: Arc::new(Policy {
                replicas: Admission::Anyone,
                spaces: Spaces::Any,
            }),
            spaces: vec![(Self::space(), Wanted::All)],
            durability: Durability::Immediate,
            projects: true,
            dialling: DialSettings::default(),
            horizon: crate::limits::HORIZON,
            blobs: crate::engine::BlobSettings::default(),
        }
    }

    /// Adds a host and gives its number.
    ///
    /// # Errors
    /// When its store can't be opened.
    pub fn add_host(&mut self, storage: Storage, config: Config) -> Result<usize> {
        let host = Host::open(storage, config, &mut self.entropy)?;
        self.hosts.push(host);
        let number = self.hosts.len() - 1;
        self.pump(number);
        Ok(number)
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

    /// The virtual time, as a host without a skew sees it.
    pub fn now(&self) -> Now {
        let wall = crate::time::WallTime::from_millis(self.wall_millis());
        Now {
            instant: self.now,
            wall,
        }
    }

    const fn wall_millis(&self) -> u64 {
        EPOCH_MILLIS + self.now.as_micros() / 1_000
    }

    /// The virtual time as a host's clocks show it.
    pub(super) fn now_of(&self, host: usize) -> Now {
        let of = |it: &Host| it.now(self.now, self.wall_millis());
        self.hosts.get(host).map_or_else(|| self.now(), of)
    }

    /// Number of hosts.
    pub const fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there is no host.
    pub const fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// One of the hosts.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there are fewer.
    pub fn host(&self, host: usize) -> Result<&Host> {
        self.hosts.get(host).ok_or_else(|| no_host(host))
    }

    pub(super) fn host_mut(&mut self, host: usize) -> Result<&mut Host> {
        self.hosts.get_mut(host).ok_or_else(|| no_host(host))
    }

    /// Writes down from now on what happens, for [`World::take_facts`].
    pub fn record_facts(&mut self) {
        self.facts.get_or_insert_default();
    }

    /// What happened since the last call, if that is written down.
    pub fn take_facts(&mut self) -> Vec<Fact> {
        self.facts.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn note(&mut self, host: usize, what: What) {
        let at = self.now;
        if let Some(facts) = &mut self.facts {
            facts.push(Fact { at, host, what });
        }
    }

    /// Keeps `from` connected to `to` from now on.
    pub fn connect(&mut self, from: usize, to: usize) {
        let peer = network::address(to);
        let event = PeerEvent::Added {
            peer,
            expects: None,
        };
        self.tell(from, Event::Peer(event));
    }

    /// Edits a record on one host; gives whether that changed anything. The change is committed
    /// with whatever the host handles before it is next polled.
    ///
    /// # Errors
    /// What the edit returns; [`ErrorKind::Conflict`] and others of a capture; while the host is
    /// down.
    pub fn edit(
        &mut self,
        host: usize,
        key: &RecordKey,
        edit: impl FnOnce(&mut Edit<'_>) -> Result<()>,
    ) -> Result<bool> {
        let now = self.now_of(host);
        let it = self.host(host)?;
        let Some(write) = it.prepare_edit(key, EditMeta::at(now.wall), edit)? else {
            return Ok(false);
        };
        self.capture(host, write).map(|()| true)
    }

    /// Hands a host a change that was made on a document of the caller's, which may lag behind
    /// what the host knows.
    ///
    /// # Errors
    /// Those of a capture; while the host is down.
    pub fn capture(&mut self, host: usize, write: Write) -> Result<()> {
        let ticket = self.submit(host, vec![write])?;
        self.pump(host);
        let lost = || Err(Error::new(ErrorKind::Closed, "the host went down"));
        let outcome = self.outcomes.remove(&(host, ticket)).unwrap_or_else(lost);
        outcome.map(drop)
    }

    /// Hands a host changes for one transaction, without letting it work on them yet.
    ///
    /// # Errors
    /// While the host is down.
    pub(super) fn submit(&mut self, host: usize, writes: Vec<Write>) -> Result<Ticket> {
        let now = self.now_of(host);
        let correlation = CorrelationId(self.entropy.number());
        let it = self.host_mut(host)?;
        if !it.is_up() {
            return Err(Error::new(ErrorKind::Closed, "the host is down"));
        }
        Ok(it.capture(now, writes, correlation))
    }

    pub(super) fn import(
        &mut self,
        host: usize,
        key: &RecordKey,
        changes: Vec<Change>,
    ) -> Result<Ticket> {
        let now = self.now_of(host);
        Ok(self.host_mut(host)?.import(now, key.clone(), changes))
    }

    /// Lets a host wait until others hold a record as it is there now. How that ends is told by
    /// [`What::Delivered`].
    ///
    /// # Errors
    /// When there is no such host.
    pub fn wait_for(&mut self, host: usize, key: &RecordKey, target: Target) -> Result<Ticket> {
        let now = self.now_of(host);
        let ticket = self.host_mut(host)?.wait(now, key.clone(), target);
        self.pump(host);
        Ok(ticket)
    }

    /// Has a host fold all records that it can.
    pub fn compact(&mut self, host: usize) {
        let now = self.now_of(host);
        if let Some(it) = self.hosts.get_mut(host) {
            it.compact(now);
            self.pump(host);
        }
    }

    /// When the next thing happens, if anything is to.
    pub fn next_at(&self) -> Option<Instant> {
        let timers = self.hosts.iter().filter_map(Host::poll_timeout);
        timers.chain(self.network.next_at()).min()
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
        for _ in 0..EVENTS_MAX {
            if self.next_at().is_none_or(|at| at > end) || !self.step() {
                break;
            }
        }
        self.now = self.now.max(end);
    }

    /// Runs until every host has acknowledged everything, all views are current, all attachments that
    /// some peer brings have come, and nothing is on its way. Gives whether that came about within ten minutes of virtual time.
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
        let gone = |it: &crate::peer::PeerAddress| {
            network::host_at(it).is_none_or(|it| self.dead.contains(&it))
        };
        let now = self.now();
        let mut hosts = self.hosts.iter().enumerate();
        self.network.is_quiet()
            && hosts.all(|(number, it)| {
                let whole = |link| self.network.is_whole((number, link));
                it.is_at_rest(now, &gone, &whole)
            })
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

    /// The most bytes that a host has ever had on their way on one link when it sent more.
    pub const fn in_flight_max(&self) -> usize {
        self.network.in_flight_max()
    }

    /// Forgets how transactions ended that nobody asked for.
    pub(super) fn forget_outcomes(&mut self) {
        self.outcomes.clear();
    }

    /// The record id that a host would give next.
    pub(super) fn new_record(&mut self, host: usize) -> RecordId {
        let now = self.now_of(host);
        RecordId::new(now.wall, &mut self.entropy)
    }

    /// A host's store, to be read past its engine.
    ///
    /// # Errors
    /// While the host is down.
    pub fn store(&self, host: usize) -> Result<&Arc<dyn Store>> {
        let down = || Error::new(ErrorKind::Closed, "the host is down");
        self.host(host)?.store().ok_or_else(down)
    }
}

fn no_host(host: usize) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no host {host}"))
}

//! How a node is put together.

use std::collections::BTreeSet;
#[cfg(feature = "redb")]
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use tokio::runtime::Handle as Runtime;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::documents::Documents;
use super::presence::Presences;
use super::rulings::Rulings;
use super::shared::{Counters, Shared};
use super::tasks::{Tasks, run_apart};
use super::watch::Watchers;
use super::{Handle, Node, driver, link};
use crate::access::{Admission, Identity, Policy, Spaces};
use crate::conflict::{CustomPolicy, Policy as ConflictPolicy};
use crate::contract::{CustomMigration, CustomRule};
use crate::engine::{BlobSettings, Config, Engine};
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ReplicaId, SpaceId};
use crate::limits;
use crate::peer::DialSettings;
use crate::replica::FetchRule;
use crate::store::{Durability, MemoryStore, Store};
use crate::time::SystemClock;
use crate::transport::Connector;
#[cfg(feature = "websocket")]
use crate::transport::websocket::WebSocketConnector;
use crate::wire::Wanted;

/// Puts a node together; [`Builder::open`] opens it.
///
/// The defaults: a store in memory, the space named `default`, replication with anyone who knows
/// the space, an identity that is made at the first open and kept in the store, writes that are on
/// disk when they return, WebSocket as the transport.
#[derive(Debug)]
pub struct Builder {
    place: Place,
    home: Option<SpaceId>,
    further: Vec<SpaceId>,
    relays: bool,
    admission: Admission,
    identity: Option<Identity>,
    durability: Durability,
    dialling: DialSettings,
    horizon: Duration,
    blobs: BlobSettings,
    /// Which attachments are fetched, if that was said.
    fetches: Option<FetchRule>,
    connectors: Vec<Arc<dyn Connector>>,
    rulings: Rulings,
    #[cfg(feature = "automerge-repo")]
    repo: Option<super::repo::RepoSettings>,
}

#[derive(Debug)]
enum Place {
    Given(Arc<dyn Store>),
    #[cfg(feature = "redb")]
    File(PathBuf),
}

impl Place {
    fn open(self) -> Result<Arc<dyn Store>> {
        match self {
            Self::Given(store) => Ok(store),
            #[cfg(feature = "redb")]
            Self::File(path) => {
                use crate::store::{RedbOptions, RedbStore};
                Ok(Arc::new(RedbStore::open(path, RedbOptions::default())?))
            }
        }
    }
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Given(Arc::new(MemoryStore::new())),
            home: None,
            further: Vec::new(),
            relays: false,
            admission: Admission::Anyone,
            identity: None,
            durability: Durability::default(),
            dialling: DialSettings::default(),
            horizon: limits::HORIZON,
            blobs: BlobSettings::default(),
            fetches: None,
            connectors: Vec::new(),
            rulings: Rulings::default(),
            #[cfg(feature = "automerge-repo")]
            repo: None,
        }
    }

    /// Serves unmodified clients of automerge-repo, too: those that link to [`Node::listen`]'s address
    /// without a subprotocol. Their documents are the records of this collection in the node's space, of
    /// the same ids.
    ///
    /// # Errors
    /// `InvalidInput` if it is no name of a collection.
    #[cfg(feature = "automerge-repo")]
    pub fn automerge_repo(
        mut self,
        collection: &str,
        policy: Arc<dyn crate::repo::RepoPolicy>,
    ) -> Result<Self> {
        let collection = collection.parse()?;
        self.repo = Some(super::repo::RepoSettings { collection, policy });
        Ok(self)
    }

    /// Keeps everything in the redb file at `path`, which is created if it is missing. One process
    /// at a time can have it open.
    #[cfg(feature = "redb")]
    #[must_use]
    pub fn store(mut self, path: impl Into<PathBuf>) -> Self {
        self.place = Place::File(path.into());
        self
    }

    /// Keeps everything in this store.
    #[must_use]
    pub fn store_in(mut self, store: Arc<dyn Store>) -> Self {
        self.place = Place::Given(store);
        self
    }

    /// The space of [`Node::collection`]. Nodes replicate the spaces that both of them have.
    #[must_use]
    pub const fn space(mut self, space: SpaceId) -> Self {
        self.home = Some(space);
        self
    }

    /// A further space to hold and replicate.
    #[must_use]
    pub fn also(mut self, space: SpaceId) -> Self {
        self.further.push(space);
        self
    }

    /// Makes the node a hub: it takes part in every space that a peer names, and keeps no views,
    /// so that reading a record loads its document.
    #[must_use]
    pub const fn relay(mut self) -> Self {
        self.relays = true;
        self
    }

    /// Replicates with these replicas only. They have to prove that they are the ones.
    #[must_use]
    pub fn admit(mut self, replicas: impl IntoIterator<Item = ReplicaId>) -> Self {
        let mut admitted = match self.admission {
            Admission::Anyone => BTreeSet::new(),
            Admission::Only(replicas) => replicas,
        };
        admitted.extend(replicas);
        self.admission = Admission::Only(admitted);
        self
    }

    /// Who the node is, instead of the identity that its store keeps.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// When a write counts as done. Default [`Durability::Immediate`].
    #[must_use]
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// When peers are dialled again.
    #[must_use]
    pub const fn dialling(mut self, settings: DialSettings) -> Self {
        self.dialling = settings;
        self
    }

    /// How long changes stay in the log for a peer that does not come back, uncompressed; a week by
    /// default. A peer that stays away longer is served all the same: what it lacks is found by a
    /// walk, which costs a few messages, and records that were compacted meanwhile travel whole.
    #[must_use]
    pub const fn horizon(mut self, horizon: Duration) -> Self {
        self.horizon = horizon;
        self
    }

    /// Which attachments are fetched without being asked for: by default none, by a hub
    /// ([`Builder::relay`]) all.
    #[must_use]
    pub fn fetches(mut self, rule: FetchRule) -> Self {
        self.fetches = Some(rule);
        self
    }

    /// Largest attachment that may be put, or fetched where it is asked for, in bytes;
    /// [`limits::BLOB_BYTES_DEFAULT`] without it, [`limits::BLOB_BYTES_MAX`] at the most.
    #[must_use]
    pub const fn attachment_bytes_max(mut self, bytes: u64) -> Self {
        self.blobs.bytes_max = bytes;
        self
    }

    /// How long an attachment is kept to which no record has ever referred; a day by default. It is
    /// put before the record that names it is written.
    #[must_use]
    pub const fn attachment_grace(mut self, grace: Duration) -> Self {
        self.blobs.grace = grace;
        self
    }

    /// Another way to dial. Those added here are asked before WebSocket.
    #[must_use]
    pub fn connector(mut self, connector: Arc<dyn Connector>) -> Self {
        self.connectors.push(connector);
        self
    }

    /// Says what a rule means that contracts name: one of the program's own.
    ///
    /// # Errors
    /// `InvalidInput` if it is no name, or the version is 0.
    pub fn rule(
        mut self,
        name: &str,
        version: u32,
        rule: impl CustomRule + 'static,
    ) -> Result<Self> {
        self.rulings.rules.define(name, version, rule)?;
        Ok(self)
    }

    /// Says what a conflict policy does that contracts name: one of the program's own. See
    /// [`crate::conflict::check_policy`].
    ///
    /// # Errors
    /// As [`Builder::rule`].
    pub fn policy(
        mut self,
        name: &str,
        version: u32,
        policy: impl CustomPolicy + 'static,
    ) -> Result<Self> {
        let name = ConflictPolicy::custom(name, version)?;
        self.rulings.policies.insert(name, Arc::new(policy));
        Ok(self)
    }

    /// Says what a migration does that contracts name: one of the program's own.
    ///
    /// # Errors
    /// As [`Builder::rule`].
    pub fn migration(
        mut self,
        name: &str,
        version: u32,
        migration: impl CustomMigration + 'static,
    ) -> Result<Self> {
        self.rulings.migrations.define(name, version, migration)?;
        Ok(self)
    }

    /// Opens the node. Costs the same whatever the store holds, see
    /// [`Store`](crate::store::Store).
    ///
    /// # Errors
    /// `StoreLocked`, `StoreForeign`, `StoreTooNew`, `StoreCorrupt`, `StoreReadOnly`, `DiskFull` or
    /// `Io` if the store can't be opened, `InvalidInput` outside of a tokio runtime with timers.
    pub async fn open(self) -> Result<Node> {
        let runtime = Runtime::try_current().map_err(|error| {
            let message = "a node is opened inside a tokio runtime with time and IO enabled";
            Error::new(ErrorKind::InvalidInput, message).with_source(error)
        })?;
        if !has_timers() {
            let message = "the tokio runtime has no timers; build it with enable_all()";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        run_apart(move || self.start(runtime)).await
    }

    /// The spaces to hold and replicate; a hub without any of its own has none.
    fn spaces(&self, home: SpaceId) -> Vec<SpaceId> {
        let has_home = self.home.is_some() || !self.relays;
        let home = has_home.then_some(home).into_iter();
        home.chain(self.further.iter().copied()).collect()
    }

    /// Which attachments are fetched, if nothing was said: a hub serves those who are never there at
    /// the same time.
    fn fetch_rule(&self) -> FetchRule {
        let by_default = || {
            if self.relays {
                FetchRule::all().up_to(self.blobs.bytes_max)
            } else {
                FetchRule::none()
            }
        };
        self.fetches.clone().unwrap_or_else(by_default)
    }

    fn start(mut self, runtime: Runtime) -> Result<Node> {
        let mut entropy = Entropy::from_os().map_err(|error| {
            let message = "the system gives no randomness";
            Error::new(ErrorKind::Io, message).with_source(error)
        })?;
        let blob_bytes_max = self.blobs.bytes_max;
        self.blobs.rule = self.fetch_rule();
        let home = self.home.unwrap_or_else(|| SpaceId::named("default"));
        let spaces = self.spaces(home);
        let config = Config {
            identity: self.identity.map(Arc::new),
            policy: Arc::new(policy(self.admission, self.relays, &spaces)),
            spaces: spaces.iter().map(|it| (*it, Wanted::All)).collect(),
            durability: self.durability,
            projects: !self.relays,
            dialling: self.dialling,
            horizon: self.horizon,
            blobs: self.blobs,
        };
        let store = self.place.open()?;
        let rulings = Arc::new(self.rulings);
        let held: Vec<_> = config.spaces.iter().map(|it| it.0).collect();
        #[cfg_attr(
            not(feature = "automerge-repo"),
            expect(unused_mut, reason = "nobody to tell")
        )]
        let mut engine = Engine::open(config, Arc::clone(&store), entropy.fork())?;
        #[cfg(feature = "automerge-repo")]
        let (repo, clients) = clients(self.repo, home, &mut engine).unzip();
        rulings.gates.ask_for(engine.replica_id());
        if !self.relays {
            rulings.load_all(store.as_ref(), &held)?;
        }
        let (inbox, messages) = mpsc::channel(limits::ENGINE_INBOX_EVENTS);
        let shared = Arc::new(Shared {
            replica: engine.replica_id(),
            store_id: engine.store_id(),
            space: home,
            tasks: Tasks::new(runtime),
            blob_bytes_max,
            connectors: connectors(self.connectors),
            clock: SystemClock::new(),
            inbox,
            inbound: Arc::new(Semaphore::new(limits::INBOUND_BYTES_MAX / 1024)),
            unfolding: Arc::new(Semaphore::new(link::UNFOLDING)),
            projectors: Arc::new(Semaphore::new(limits::PROJECTORS)),
            documents: Documents::new(engine.store_id(), Arc::clone(&rulings)),
            rulings,
            watchers: Watchers::default(),
            presences: Presences::new((!self.relays).then_some(spaces)),
            #[cfg(feature = "automerge-repo")]
            repo,
            traffic: Counters::default(),
            writer: Mutex::default(),
            stopped: watch::Sender::new(false),
            store: RwLock::new(Some(store)),
            snapshots: Arc::default(),
            entropy: Mutex::new(entropy),
            numbers: AtomicU64::new(1),
        });
        let stop = Arc::new(Notify::new());
        let thread = driver::start(engine, &shared, messages, Arc::clone(&stop))?;
        #[cfg(feature = "automerge-repo")]
        if let (Some(repo), Some(clients)) = (&shared.repo, clients) {
            super::repo::start(&shared, repo, clients)?;
        }
        Ok(Node(Arc::new(Handle {
            shared,
            stop,
            thread: Mutex::new(Some(thread)),
        })))
    }
}

/// What serves clients of automerge-repo, if that is wanted.
#[cfg(feature = "automerge-repo")]
fn clients(
    settings: Option<super::repo::RepoSettings>,
    space: SpaceId,
    engine: &mut Engine,
) -> Option<(Arc<super::repo::RepoShared>, super::repo::Inbox)> {
    let settings = settings?;
    engine.tell_heads(space, settings.collection.clone());
    let (repo, inbox) = super::repo::RepoShared::new(space, settings);
    Some((Arc::new(repo), inbox))
}

/// Those that were given, and WebSocket.
#[cfg_attr(
    not(feature = "websocket"),
    expect(unused_mut, reason = "nothing to add")
)]
fn connectors(mut given: Vec<Arc<dyn Connector>>) -> Vec<Arc<dyn Connector>> {
    #[cfg(feature = "websocket")]
    given.push(Arc::new(WebSocketConnector::default()));
    given
}

fn policy(replicas: Admission, relays: bool, spaces: &[SpaceId]) -> Policy {
    let spaces = if relays {
        Spaces::Any
    } else {
        Spaces::Listed(spaces.iter().copied().collect())
    };
    Policy { replicas, spaces }
}

/// Whether the runtime around us has timers. Tokio tells by a panic only, which must not wait for
/// the first edit that has to wait.
fn has_timers() -> bool {
    std::panic::catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))).is_ok()
}

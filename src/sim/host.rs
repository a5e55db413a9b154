//! One host of a simulated cluster: an engine over its store, and what it is told and asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::program::Program;
use super::storage::Storage;
use crate::access::Identity;
use crate::doc::{Change, Document, Edit, EditMeta, Value};
use crate::engine::{Config, Effect, Engine, Event, LinkId, LinkStatus, Target, Ticket};
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ActorId, CorrelationId, Heads, Lsn, RecordKey, ReplicaId, SpaceId, StoreId};
use crate::peer::{PeerAddress, PeerEvent, PeerState};
use crate::replica::documents::{FirstView, Loaded, first_view};
use crate::replica::{Folding, Header, Projection, Rows, View, Which, Write, fold, unfold};
use crate::store::Store;
use crate::time::{Instant, Now, WallTime};
use crate::wire::Wanted;

/// What a host has others do, away from its engine.
#[derive(Debug)]
pub(super) enum Job {
    /// Bring a view up to its record's heads.
    Project(RecordKey),
    /// Make a snapshot of a record, up to where in the log, as someone asked or not.
    Fold(RecordKey, Lsn, Which),
    /// Make the whole graph of a record again.
    Unfold(RecordKey),
}

/// One host.
#[derive(Debug)]
pub struct Host {
    storage: Storage,
    config: Config,
    /// None while it is down.
    running: Option<Running>,
    store_id: StoreId,
    /// How often it was started.
    life: u64,
    peers: Vec<PeerAddress>,
    tickets: u64,
    /// Views that were shown.
    shown: u64,
    /// How far its clock is off, in milliseconds.
    skew_millis: i64,
    program: Program,
}

#[derive(Debug)]
struct Running {
    store: Arc<dyn Store>,
    engine: Engine,
}

impl Host {
    pub(super) fn open(
        storage: Storage,
        mut config: Config,
        entropy: &mut Entropy,
    ) -> Result<Self> {
        if config.identity.is_none() {
            config.identity = Some(Arc::new(Identity::generate(entropy)));
        }
        let mut host = Self {
            storage,
            config,
            running: None,
            store_id: StoreId::from_bytes([0; 16]),
            life: 0,
            peers: Vec::new(),
            tickets: 0,
            shown: 0,
            skew_millis: 0,
            program: Program::default(),
        };
        host.start(Now::default(), entropy)?;
        Ok(host)
    }

    /// Starts it on what its storage holds.
    pub(super) fn start(&mut self, now: Now, entropy: &mut Entropy) -> Result<()> {
        self.life += 1;
        let store = self.storage.open(entropy)?;
        let mut engine = Engine::open(self.config.clone(), Arc::clone(&store), entropy.fork())?;
        for peer in self.peers.clone() {
            let event = PeerEvent::Added {
                peer,
                expects: None,
            };
            engine.handle(now, Event::Peer(event));
        }
        self.store_id = engine.store_id();
        self.running = Some(Running { store, engine });
        Ok(())
    }

    /// Its process is gone between two events, with all that it knew.
    pub(super) fn kill(&mut self) {
        if let Some(Running { store, engine }) = self.running.take() {
            self.storage.leave(store, move || drop(engine));
        }
    }

    /// Its power is gone, in the middle of a write or between two events. Says how many bytes had
    /// not been synced.
    pub(super) fn lose_power(&mut self, entropy: &mut Entropy) -> usize {
        let unsynced = self.storage.lose_power(entropy);
        self.running = None;
        unsynced
    }

    /// It was told to stop and did: its store is closed as it should be.
    pub(super) fn close(&mut self) {
        self.running = None;
    }

    /// Whether it runs.
    pub const fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// Where its bytes are.
    pub const fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(super) const fn storage_mut(&mut self) -> &mut Storage {
        &mut self.storage
    }

    /// The store; none while it is down.
    pub fn store(&self) -> Option<&Arc<dyn Store>> {
        self.running.as_ref().map(|it| &it.store)
    }

    /// The engine, for reading; none while it is down.
    pub fn engine(&self) -> Option<&Engine> {
        self.running.as_ref().map(|it| &it.engine)
    }

    fn running(&self) -> Result<&Running> {
        let down = || Error::new(ErrorKind::Closed, "the host is down");
        self.running.as_ref().ok_or_else(down)
    }

    /// This life of the store; the last one while it is down.
    pub const fn store_id(&self) -> StoreId {
        self.store_id
    }

    /// Who it is.
    pub fn replica_id(&self) -> Option<ReplicaId> {
        self.config.identity.as_ref().map(|it| it.replica_id())
    }

    /// Which collections of which spaces it wants.
    pub fn wanted(&self) -> &[(SpaceId, Wanted)] {
        &self.config.spaces
    }

    pub(super) fn want(&mut self, space: SpaceId, wanted: Wanted) {
        self.config.spaces.retain(|(it, _)| *it != space);
        self.config.spaces.push((space, wanted));
    }

    pub(super) const fn life(&self) -> u64 {
        self.life
    }

    /// What its program declares.
    pub const fn program(&self) -> &Program {
        &self.program
    }

    /// Whether it keeps views.
    pub(super) const fn projects(&self) -> bool {
        self.config.projects
    }

    pub(super) fn set_program(&mut self, program: Program) {
        self.program = program;
    }

    /// How far its clock is off.
    pub const fn skew_millis(&self) -> i64 {
        self.skew_millis
    }

    pub(super) const fn set_skew(&mut self, millis: i64) {
        self.skew_millis = millis;
    }

    /// What its clocks show at an instant of the world.
    pub(super) fn now(&self, instant: Instant, wall_millis: u64) -> Now {
        let wall = WallTime::from_millis(wall_millis.saturating_add_signed(self.skew_millis));
        Now { instant, wall }
    }

    pub(super) fn handle(&mut self, now: Now, event: Event) {
        if let Event::Peer(PeerEvent::Added { peer, .. }) = &event
            && !self.peers.contains(peer)
        {
            self.peers.push(peer.clone());
        }
        if let Event::Peer(PeerEvent::Removed { peer }) = &event {
            self.peers.retain(|it| it != peer);
        }
        if let Some(running) = &mut self.running {
            running.engine.handle(now, event);
        }
    }

    /// The next thing that the engine wants done. None also once its disk has lost power: what it
    /// says after that was never said.
    pub(super) fn poll(&mut self, now: Now) -> Option<Effect> {
        let effect = self.running.as_mut()?.engine.poll(now)?;
        if self.storage.is_dead() {
            return None;
        }
        if matches!(effect, Effect::Shown(_)) {
            self.shown += 1;
        }
        Some(effect)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.running.as_ref()?.engine.poll_timeout()
    }

    /// The record's document as it is stored.
    fn load(&self, key: &RecordKey) -> Result<Loaded> {
        let running = self.running()?;
        let snapshot = running.store.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let actor = ActorId::of(running.engine.store_id(), key);
        let mut loaded = Loaded::open(&rows, key, &actor)?;
        loaded.document.look_through(self.program.lens(key));
        Ok(loaded)
    }

    /// Runs an edit on a copy of the record's document, as a node does on the caller's side.
    pub(super) fn prepare<R>(
        &self,
        key: &RecordKey,
        work: impl FnOnce(&mut Document) -> Result<(R, Option<Change>)>,
    ) -> Result<(R, Option<Write>)> {
        let mut loaded = self.load(key)?;
        let (result, change) = work(&mut loaded.document)?;
        let Some(change) = change else {
            return Ok((result, None));
        };
        let heads = loaded.document.heads();
        let view = self.program.view_after(key, &change, &loaded.document)?;
        let write = Write {
            key: key.clone(),
            change,
            view: Some((heads, view)),
            must_be_new: false,
        };
        Ok((result, Some(write)))
    }

    /// As [`Host::prepare`], for an edit by path.
    pub(super) fn prepare_edit(
        &self,
        key: &RecordKey,
        meta: EditMeta,
        edit: impl FnOnce(&mut Edit<'_>) -> Result<()>,
    ) -> Result<Option<Write>> {
        let ((), write) = self.prepare(key, |document| document.edit(meta, edit))?;
        Ok(write)
    }

    /// Hands the engine changes to commit in one transaction.
    pub(super) fn capture(&mut self, now: Now, writes: Vec<Write>, id: CorrelationId) -> Ticket {
        let ticket = self.next_ticket();
        let event = Event::Capture {
            ticket,
            writes,
            correlation: id,
        };
        self.handle(now, event);
        ticket
    }

    /// The changes of a record's document, as saving it and taking it apart again gives them.
    pub(super) fn export(&self, key: &RecordKey) -> Result<Vec<Change>> {
        let loaded = self.load(key)?;
        let saved = loaded.document.save()?;
        let reader = ActorId::from_bytes(vec![0; 16]);
        Ok(Document::open_saved(&reader, &saved)?.1)
    }

    /// Hands the engine the changes of a saved document.
    pub(super) fn import(&mut self, now: Now, key: RecordKey, changes: Vec<Change>) -> Ticket {
        let ticket = self.next_ticket();
        let event = Event::Import {
            ticket,
            key,
            changes: changes.into_iter().map(Ok).collect(),
            correlation: CorrelationId(ticket.0),
        };
        self.handle(now, event);
        ticket
    }

    /// Waits until others hold a record as it is here now.
    pub(super) fn wait(&mut self, now: Now, key: RecordKey, target: Target) -> Ticket {
        let ticket = self.next_ticket();
        self.handle(
            now,
            Event::Await {
                ticket,
                key,
                target,
            },
        );
        ticket
    }

    pub(super) const fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Projects a record as a node's projector does.
    pub(super) fn project(&self, key: RecordKey) -> Event {
        if let Ok(Some(first)) = self.first_view(&key) {
            return Event::Projected(first.into_projection(0, |it| self.program.breach(&key, it)));
        }
        let loaded = match self.load(&key) {
            Ok(loaded) => loaded,
            Err(error) if error.kind() == ErrorKind::Poisoned => {
                let rows = self.store().and_then(|it| it.snapshot().ok());
                let header = rows.and_then(|it| {
                    let rows = Rows::new(it.as_ref());
                    rows.header(rows.slot(&key).ok()??).ok()?
                });
                return Event::Projected(Projection {
                    key,
                    heads: header.as_ref().map(Header::shown).unwrap_or_default(),
                    changes: header.map_or(0, |it| it.changes),
                    view: Err(error.to_string()),
                });
            }
            Err(_unreadable) => return Event::NotProjected(key),
        };
        let shown = loaded.document.shown(None);
        let view = shown.map(|shown| View {
            breach: self.program.breach(&key, &shown.value),
            ..View::from(shown)
        });
        let changes = loaded.changes();
        Event::Projected(Projection {
            key,
            heads: loaded.heads,
            changes,
            view: view.map_err(|fault| fault.to_string()),
        })
    }

    fn first_view(&self, key: &RecordKey) -> Result<Option<FirstView>> {
        let Some(store) = self.store() else {
            return Ok(None);
        };
        let snapshot = store.snapshot()?;
        first_view(&Rows::new(snapshot.as_ref()), key)
    }

    /// Makes a snapshot of a record as a node's folder does.
    pub(super) fn fold(&self, key: RecordKey, upto: Lsn, which: Which) -> Event {
        let made = self.store().map(|store| {
            let snapshot = store.snapshot()?;
            fold::fold(&Rows::new(snapshot.as_ref()), &key, upto, which)
        });
        // What can't be read is not folded.
        let folding = made.and_then(Result::ok).unwrap_or(Folding::NotYet);
        Event::Folded(key, folding)
    }

    /// Makes the graph of a record as a node's worker does.
    pub(super) fn unfold(&self, key: RecordKey) -> Event {
        let made = self.store().map(|store| {
            let snapshot = store.snapshot()?;
            unfold(&Rows::new(snapshot.as_ref()), &key)
        });
        // Where the store can't be read the engine finds out for itself.
        let unfolded = made.and_then(Result::ok).flatten();
        Event::Unfolded(key, unfolded)
    }

    /// Asks for all records to be folded that can be.
    pub(super) fn compact(&mut self, now: Now) {
        let ticket = self.next_ticket();
        self.handle(now, Event::Compact(ticket));
    }

    /// Whether no view is stale and every session's peer has acknowledged everything. Peers in
    /// `gone` are not waited for; a link that is not whole has to be given up first.
    pub(super) fn is_at_rest(
        &self,
        now: Now,
        gone: &dyn Fn(&PeerAddress) -> bool,
        whole: &dyn Fn(LinkId) -> bool,
    ) -> bool {
        let Some(Running { engine, .. }) = &self.running else {
            return true;
        };
        let status = engine.status(now);
        let linked = status.peers.iter().all(|peer| {
            gone(&peer.address) || matches!(peer.state, PeerState::Linked | PeerState::Standby)
        });
        let all_acked = status.links.iter().all(|it| whole(it.link) && is_idle(it));
        let shown = !self.config.projects || engine.replica().stale().is_ok_and(|it| it.is_empty());
        let moved = status.attachments;
        linked && all_acked && shown && moved.coming == 0 && moved.leaving == 0
    }

    /// What is known here of a record.
    ///
    /// # Errors
    /// When the store can't be read, or the host is down.
    pub fn heads(&self, key: &RecordKey) -> Result<Heads> {
        let replica = self.running()?.engine.replica();
        let heads = crate::reconcile::Inventory::heads(replica, key)?;
        Ok(heads.unwrap_or_default())
    }

    /// The view of a record.
    ///
    /// # Errors
    /// When the store can't be read, or the host is down.
    pub fn view(&self, key: &RecordKey) -> Result<Option<Value>> {
        let snapshot = self.running()?.store.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let Some(slot) = rows.slot(key)? else {
            return Ok(None);
        };
        let Some(view) = rows.view(slot)? else {
            return Ok(None);
        };
        let value = Value::from_bytes(&view.value);
        let damaged = |it| Error::new(ErrorKind::StoreCorrupt, format!("a view is damaged: {it}"));
        value.map(Some).map_err(damaged)
    }

    /// All records here of a space, with their heads.
    ///
    /// # Errors
    /// When the store can't be read, or the host is down.
    pub fn records(&self, space: SpaceId) -> Result<BTreeMap<RecordKey, Heads>> {
        let running = self.running()?;
        let snapshot = running.store.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let mut records = BTreeMap::new();
        for collection in rows.collections(space)? {
            let Some(number) = rows.number(space, Some(&collection))? else {
                continue;
            };
            for (record, header) in rows.headers(number)? {
                let collection = collection.clone();
                let key = RecordKey {
                    space,
                    collection,
                    record,
                };
                records.insert(key, header.hashes());
            }
        }
        Ok(records)
    }

    /// How many views have changed here.
    pub const fn shown(&self) -> u64 {
        self.shown
    }
}

/// Whether a link's peer has acknowledged everything.
fn is_idle(link: &LinkStatus) -> bool {
    let active = !link.spaces.is_empty() && link.spaces.iter().all(|(it, _)| it.active);
    let mut spaces = link.spaces.iter();
    active && spaces.all(|(it, backlog)| *backlog == 0 && !it.walking && it.pending_records == 0)
}

//! One host of a simulated cluster: an engine over its store, and what it is told and asks for.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::access::{Admission, Identity, Policy, Spaces};
use crate::doc::{Edit, EditMeta, Value};
use crate::engine::{Config, Effect, Engine, Event, Reply, Ticket};
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ActorId, CorrelationId, Heads, RecordKey, StoreId};
use crate::peer::{DialSettings, PeerAddress, PeerEvent, PeerState};
use crate::replica::documents::Loaded;
use crate::replica::{Rows, Write};
use crate::store::{Durability, Store};
use crate::time::{Instant, Now};
use crate::wire::Wanted;

/// One host.
#[derive(Debug)]
pub struct Host {
    store: Arc<dyn Store>,
    config: Config,
    engine: Engine,
    /// How often it was started.
    life: u64,
    peers: Vec<PeerAddress>,
    tickets: u64,
    outcomes: VecDeque<Result<()>>,
    /// Views that were shown, and changes that were written here.
    shown: u64,
}

impl Host {
    pub(super) fn open(
        store: Arc<dyn Store>,
        projects: bool,
        entropy: &mut Entropy,
    ) -> Result<Self> {
        let config = Config {
            identity: Some(Arc::new(Identity::generate(entropy))),
            policy: Arc::new(Policy {
                replicas: Admission::Anyone,
                spaces: Spaces::Any,
            }),
            spaces: vec![(super::World::space(), Wanted::All)],
            durability: Durability::Immediate,
            projects,
            dialling: DialSettings::default(),
        };
        let engine = Engine::open(config.clone(), Arc::clone(&store), entropy.fork())?;
        Ok(Self {
            store,
            config,
            engine,
            life: 1,
            peers: Vec::new(),
            tickets: 0,
            outcomes: VecDeque::new(),
            shown: 0,
        })
    }

    /// The store, which outlives crashes.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// This life of the store.
    pub fn store_id(&self) -> StoreId {
        self.engine.store_id()
    }

    /// The engine, for reading.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) const fn life(&self) -> u64 {
        self.life
    }

    pub(super) fn restart(&mut self, now: Now, entropy: &mut Entropy) -> Result<()> {
        self.engine = Engine::open(self.config.clone(), Arc::clone(&self.store), entropy.fork())?;
        self.life += 1;
        for peer in self.peers.clone() {
            self.engine.handle(
                now,
                Event::Peer(PeerEvent::Added {
                    peer,
                    expects: None,
                }),
            );
        }
        Ok(())
    }

    pub(super) fn handle(&mut self, now: Now, event: Event) {
        if let Event::Peer(PeerEvent::Added { peer, .. }) = &event {
            self.peers.push(peer.clone());
        }
        self.engine.handle(now, event);
    }

    pub(super) fn poll(&mut self, now: Now) -> Option<Effect> {
        let effect = self.engine.poll(now)?;
        match &effect {
            Effect::Reply(_, Reply::Captured(result)) => {
                let outcome = result.as_ref().map(|_| ());
                self.outcomes.push_back(
                    outcome.map_err(|error| Error::new(error.kind(), error.to_string())),
                );
            }
            Effect::Shown(_) => self.shown += 1,
            Effect::Reply(..)
            | Effect::Send { .. }
            | Effect::Trust(_)
            | Effect::Close(_)
            | Effect::Dial { .. }
            | Effect::CancelDial { .. }
            | Effect::Project(_)
            | Effect::Stopped => {}
        }
        Some(effect)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.engine.poll_timeout()
    }

    /// Runs an edit on a copy of the record's document, as a node does on the caller's side.
    pub(super) fn prepare(
        &self,
        key: &RecordKey,
        meta: EditMeta,
        edit: impl FnOnce(&mut Edit<'_>) -> Result<()>,
    ) -> Result<Option<Write>> {
        let snapshot = self.store.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let actor = ActorId::of(self.store_id(), key);
        let mut loaded = Loaded::open(&rows, key, &actor)?;
        let ((), change) = loaded.document.edit(meta, edit)?;
        let Some(change) = change else {
            return Ok(None);
        };
        let heads = loaded.document.heads();
        let value = loaded.document.value().map_err(Error::from)?.to_bytes();
        let view = Some((heads, value));
        Ok(Some(Write {
            key: key.clone(),
            change,
            view,
            must_be_new: false,
        }))
    }

    pub(super) fn capture(&mut self, now: Now, writes: Vec<Write>, entropy: &mut Entropy) {
        self.tickets += 1;
        let correlation = CorrelationId(entropy.number());
        let ticket = Ticket(self.tickets);
        self.engine.handle(
            now,
            Event::Capture {
                ticket,
                writes,
                correlation,
            },
        );
    }

    /// How the last capture ended.
    pub(super) fn outcome(&mut self) -> Result<()> {
        let unheard = || Err(Error::new(ErrorKind::Closed, "the engine did not answer"));
        self.outcomes.pop_back().unwrap_or_else(unheard)
    }

    /// Whether no view is stale and every session's peer has acknowledged everything.
    pub(super) fn is_at_rest(&self, now: Now) -> bool {
        let status = self.engine.status(now);
        let replica = self.engine.replica();
        let linked = status
            .peers
            .iter()
            .all(|peer| matches!(peer.state, PeerState::Linked | PeerState::Standby));
        let all_acked = status.links.iter().all(|link| {
            let active = !link.spaces.is_empty() && link.spaces.iter().all(|(it, _)| it.active);
            active
                && link
                    .spaces
                    .iter()
                    .all(|(it, backlog)| *backlog == 0 && !it.walking && it.pending_records == 0)
        });
        let shown = !self.config.projects || replica.stale().is_ok_and(|it| it.is_empty());
        linked && all_acked && shown
    }

    /// What is known here of a record.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn heads(&self, key: &RecordKey) -> Result<Heads> {
        let heads = crate::reconcile::Inventory::heads(self.engine.replica(), key)?;
        Ok(heads.unwrap_or_default())
    }

    /// The view of a record.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn view(&self, key: &RecordKey) -> Result<Option<Value>> {
        let snapshot = self.store.snapshot()?;
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

    /// How many views have changed here.
    pub const fn shown(&self) -> u64 {
        self.shown
    }
}

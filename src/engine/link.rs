//! Links: each has a session; of several with one peer store, one stays.

use std::sync::Arc;

use super::gate::PeerGate;
use super::unfold::Parked;
use super::{Config, Effect, Engine, Event, LinkId};
use crate::access::{Identity, Role};
use crate::entropy::Entropy;
use crate::id::{CorrelationId, ReplicaId, StoreId};
use crate::ledger::Peer;
use crate::limits;
use crate::peer::{PeerAddress, PeerEvent};
use crate::plant::{self, Plant};
use crate::session::{self, Closed, Input, Session};
use crate::telemetry::names;
use crate::time::Now;
use crate::wire::{ByeReason, ErrorCode};

/// One link and its session.
#[derive(Debug)]
pub(super) struct Link {
    pub session: Session,
    pub address: String,
    /// Which attempt of which peer made it, if we dialled.
    pub dialled: Option<(PeerAddress, u64)>,
    /// Bytes handed out and not yet written.
    pub outbox_bytes: usize,
    pub peer: Option<(ReplicaId, StoreId)>,
    /// Frames that wait for a worker.
    pub parked: Option<Parked>,
    /// Attachments that were looked at for it, in the order of wanting them.
    pub blobs_seen: u64,
    /// How many spaces were open then.
    pub blob_spaces: usize,
}

impl Link {
    /// Whether its session may speak. The last word is little, and always heard: a peer that is
    /// gone without a word never makes room for it.
    pub(super) fn has_room(&self) -> bool {
        self.outbox_bytes < limits::LINK_OUTBOX_BYTES_MAX
            || self.session.has_ended()
            || plant::is_planted(Plant::UnboundOutbox)
    }
}

impl Engine {
    pub(super) fn connected(
        &mut self,
        now: Now,
        link: LinkId,
        (peer, attempt): (PeerAddress, u64),
        expects: Option<ReplicaId>,
    ) {
        let event = PeerEvent::Connected {
            peer: peer.clone(),
            attempt,
        };
        self.dialer.handle(now.instant, event);
        let address = peer.as_str().to_owned();
        self.begin(now, link, (address, Some((peer, attempt))), expects);
    }

    pub(super) fn accepted(&mut self, now: Now, link: LinkId, address: String) {
        self.begin(now, link, (address, None), None);
    }

    fn begin(
        &mut self,
        now: Now,
        id: LinkId,
        (address, dialled): (String, Option<(PeerAddress, u64)>),
        expect: Option<ReplicaId>,
    ) {
        let role = if dialled.is_some() {
            Role::Dialer
        } else {
            Role::Listener
        };
        let config = session_config(
            &self.config,
            (Arc::clone(&self.identity), self.replica.id()),
            (role, expect),
            &mut self.entropy,
        );
        let session = Session::new(config, now.instant);
        let link = Link {
            session,
            address,
            dialled,
            outbox_bytes: 0,
            peer: None,
            parked: None,
            blobs_seen: 0,
            blob_spaces: 0,
        };
        self.links.insert(id, link);
        self.runnable.insert(id);
        metrics::gauge!(names::LINKS_OPEN).increment(1);
        let refusal = if self.replica.has_failed() {
            Some((ErrorCode::StoreFailed, "the store can't be written"))
        } else if self.links.len() > limits::LINKS_MAX {
            Some((ErrorCode::TooManyLinks, "too many links are open here"))
        } else {
            None
        };
        if let Some((code, text)) = refusal {
            self.tell(now, id, Input::Broken(code, text.to_owned()));
        }
        if self.stopping.is_some() {
            self.tell(now, id, Input::Leave(ByeReason::Shutdown));
        }
    }

    /// Hands something to a link's session.
    pub(super) fn tell(&mut self, now: Now, id: LinkId, input: Input) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let mut gate = PeerGate {
            replica: &mut self.replica,
            wall: now.wall,
        };
        let told = link.session.handle(now.instant, input, &mut gate);
        if let Err(error) = told {
            // The store failed under it; the peer is not at fault and may come back.
            tracing::error!(address = link.address, %error, "a session ends: the store failed");
            let broken = Input::Broken(ErrorCode::StoreFailed, error.to_string());
            drop(link.session.handle(now.instant, broken, &mut gate));
        }
        if link.session.has_unsaved() && self.unsaved.is_none() {
            self.unsaved = Some(now.instant + limits::FLUSH_AFTER);
        }
        // A space that was opened may bring what is wanted, even where there is nothing else to say.
        self.transfers.look |= link.blob_spaces != link.session.blob_spaces();
        self.runnable.insert(id);
        self.listen(now, id);
    }

    pub(super) fn sent(&mut self, id: LinkId, bytes: usize) {
        if let Some(link) = self.links.get_mut(&id) {
            link.outbox_bytes = link.outbox_bytes.saturating_sub(bytes);
            self.runnable.insert(id);
        }
    }

    /// Both sides of a link know who they are.
    pub(super) fn established(
        &mut self,
        now: Now,
        id: LinkId,
        (replica, store): (ReplicaId, StoreId),
    ) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.peer = Some((replica, store));
        self.ready.push_back(Effect::Trust(id));
        let role = link.session.role();
        tracing::info!(peer = %replica, address = link.address, "a session begins");
        match link.dialled.clone() {
            Some((peer, attempt)) => {
                let event = PeerEvent::Established {
                    peer,
                    attempt,
                    replica,
                    store,
                };
                self.dialer.handle(now.instant, event);
            }
            None => {
                self.dialer
                    .handle(now.instant, PeerEvent::LinkedOtherwise { replica });
            }
        }
        self.replica.set_peer(
            replica,
            Peer {
                store,
                seen: now.wall,
            },
        );
        let rival = self.by_store.get(&store).copied().filter(|it| *it != id);
        let rival = rival.and_then(|it| Some((it, self.links.get(&it)?.session.role())));
        let loser = match rival {
            None => None,
            // Both dialled each other: both sides must hang up the same one.
            Some((rival, other)) if other != role => {
                let ours_wins = self.identity.replica_id() < replica;
                let keep_new = ours_wins == (role == Role::Dialer);
                Some(if keep_new { rival } else { id })
            }
            // The peer is back; its old link is a corpse.
            Some((rival, _)) => Some(rival),
        };
        if loser != Some(id) {
            self.by_store.insert(store, id);
        }
        if let Some(loser) = loser {
            self.tell(now, loser, Input::Leave(ByeReason::Superseded));
        }
    }

    /// A session ended by its own word.
    pub(super) fn closed(&mut self, now: Now, id: LinkId, why: &Closed) {
        let (permanent, reason) = match why {
            Closed::Bye { reason, text } => (false, format!("{reason}: {text}")),
            Closed::Ours { code, text } => {
                let counter = if code.is_violation() {
                    names::VIOLATIONS
                } else {
                    names::SESSIONS_REFUSED
                };
                metrics::counter!(counter, names::label::CODE => code.name()).increment(1);
                (code.is_permanent(), format!("{code}: {text}"))
            }
            Closed::Theirs { code, text } => {
                metrics::counter!(names::SESSIONS_REFUSED, names::label::CODE => code.name())
                    .increment(1);
                (
                    code.is_permanent(),
                    format!("{code}, says the other side: {text}"),
                )
            }
        };
        let failed = !matches!(why, Closed::Bye { .. });
        self.forget(now, id, &reason, failed.then_some(permanent));
    }

    pub(super) fn lost(&mut self, now: Now, id: LinkId, reason: &str) {
        let session = self.links.get_mut(&id).map(|it| &mut it.session);
        // What the peer said before it hung up still counts, above all a refusal for good.
        for fact in session.map(Session::take_facts).unwrap_or_default() {
            self.act(now, id, fact);
        }
        self.forget(now, id, reason, None);
    }

    /// A link is over. `failed` tells the dialer that it was an error, and whether for good.
    fn forget(&mut self, now: Now, id: LinkId, reason: &str, failed: Option<bool>) {
        let link = self.let_go(now, id, reason);
        let Some((peer, attempt)) = link.and_then(|it| it.dialled) else {
            return;
        };
        let reason = reason.to_owned();
        let event = match failed {
            Some(permanent) => PeerEvent::Failed {
                peer,
                attempt,
                permanent,
                reason,
            },
            None => PeerEvent::Lost {
                peer,
                attempt,
                reason,
            },
        };
        self.dialer.handle(now.instant, event);
    }

    /// Takes a link out, and keeps the cursors that moved over it.
    pub(super) fn let_go(&mut self, now: Now, id: LinkId, reason: &str) -> Option<Link> {
        let mut link = self.links.remove(&id)?;
        self.runnable.remove(&id);
        self.release_blobs(id);
        metrics::gauge!(names::LINKS_OPEN).decrement(1);
        tracing::info!(address = link.address, reason, "a link ends");
        self.presence_lost(id);
        let mut gate = PeerGate {
            replica: &mut self.replica,
            wall: now.wall,
        };
        link.session.save(now.wall, &mut gate);
        if let Some((replica, store)) = link.peer {
            if self.by_store.get(&store) == Some(&id) {
                self.by_store.remove(&store);
            }
            let accepted =
                |it: &Link| it.dialled.is_none() && it.peer.is_some_and(|it| it.0 == replica);
            if link.dialled.is_none() && !self.links.values().any(accepted) {
                self.dialer
                    .handle(now.instant, PeerEvent::Unlinked { replica });
            }
        }
        Some(link)
    }

    /// Says goodbye to everybody once they have what is here, or in a while anyway.
    pub(super) fn stop(&mut self, now: Now) {
        if self.stopping.is_some() {
            return;
        }
        self.take_back_presences(now);
        self.stopping = Some(now.instant + limits::DRAIN_TIMEOUT);
        let peers: Vec<_> = self.dialer.status().map(|it| it.address).collect();
        let ids: Vec<_> = self.links.keys().copied().collect();
        for id in ids {
            self.tell(now, id, Input::Finish);
        }
        // Nothing is dialled any more; links that are drained must not be hung up meanwhile.
        for peer in peers {
            if self
                .links
                .values()
                .all(|it| it.dialled.as_ref().is_none_or(|it| it.0 != peer))
            {
                self.dialer.handle(now.instant, PeerEvent::Removed { peer });
            }
        }
    }

    pub(super) fn timer(&mut self, now: Now) {
        let ids: Vec<_> = self.links.keys().copied().collect();
        let leave = self.stopping.is_some_and(|at| now.instant >= at);
        for id in ids {
            let due = self.links.get(&id).and_then(|it| it.session.poll_timeout());
            if leave {
                self.tell(now, id, Input::Leave(ByeReason::Shutdown));
            } else if due.is_some_and(|at| now.instant >= at) {
                self.tell(now, id, Input::Wake);
            }
        }
        if self
            .dialer
            .poll_timeout()
            .is_some_and(|at| now.instant >= at)
        {
            self.handle(now, Event::Peer(PeerEvent::Timer));
        }
    }
}

fn session_config(
    config: &Config,
    (identity, store): (Arc<Identity>, StoreId),
    (role, expect): (Role, Option<ReplicaId>),
    entropy: &mut Entropy,
) -> session::Config {
    session::Config {
        identity,
        store,
        role,
        expect,
        policy: Arc::clone(&config.policy),
        spaces: config.spaces.clone(),
        nonce: entropy.bytes(),
        correlation: CorrelationId(entropy.number()),
    }
}

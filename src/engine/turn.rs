//! One turn: commit what was handled, then let sessions read it and speak.

use std::hash::BuildHasher as _;

use super::gate::PeerGate;
use super::{Effect, Engine, LinkId, Reply};
use crate::error::{Error, ErrorKind};
use crate::id::{CollectionId, Lsn, ReplicaId, SpaceId, StoreId};
use crate::limits;
use crate::peer::PeerEffect;
use crate::plant::{self, Plant};
use crate::replica::Commit;
use crate::session::{Input, Output};
use crate::store::Durability;
use crate::telemetry::names;
use crate::time::{Instant, Now};
use crate::wire::ErrorCode;

impl Engine {
    /// The next thing to be done; commits first what was handled since the last call.
    pub fn poll(&mut self, now: Now) -> Option<Effect> {
        let _scope = crate::doc::replicating();
        if let Some(effect) = self.ready.pop_front() {
            return Some(effect);
        }
        if self.stopped {
            return None;
        }
        if plant::is_planted(Plant::SendBeforeCommit) && self.speak(now) && !self.ready.is_empty() {
            return self.ready.pop_front();
        }
        // Before the commit, which answers who asked for it.
        self.tend_blobs(now);
        self.flush(now);
        self.sync(now);
        self.settle(now);
        self.report(now);
        self.compact(now);
        self.tend_presences(now);
        self.assign_blobs(now);
        self.tell_committed();
        while self.ready.is_empty() && self.speak(now) {}
        self.dial(now);
        if self.ready.is_empty() {
            self.finish();
        }
        self.ready.pop_front()
    }

    /// When to be woken with [`super::Event::Timer`], at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        let links = self
            .links
            .values()
            .filter_map(|it| it.session.poll_timeout());
        let own = [
            self.unsaved,
            self.unsynced,
            self.unsettled,
            self.report_at,
            self.stopping,
            self.dialer.poll_timeout(),
            self.presence_timeout(),
            self.compaction.poll_timeout(),
            self.transfers.poll_timeout(),
        ];
        links.chain(own.into_iter().flatten()).min()
    }

    /// Commits, if there is anything to commit.
    fn flush(&mut self, now: Now) {
        if self.replica.has_failed() {
            // Nothing is written any more, so nothing is due: a time left here would never pass.
            self.unsaved = None;
            return;
        }
        let save_due = self.unsaved.is_some_and(|at| now.instant >= at);
        if self.replica.is_dirty() || save_due {
            self.save_cursors(now);
        }
        if !self.replica.is_dirty() {
            // What was handed in is here already: no commit will follow to answer with.
            self.answer_captured();
            return;
        }
        let span = tracing::debug_span!(names::span::COMMIT, bytes = self.replica.dirty_bytes());
        let result = span.in_scope(|| self.replica.commit(self.config.durability));
        match result {
            Ok(commit) => self.committed(now, commit),
            Err(error) => self.failed(now, &error),
        }
    }

    fn save_cursors(&mut self, now: Now) {
        if self.unsaved.take().is_none() {
            return;
        }
        let mut gate = PeerGate {
            replica: &mut self.replica,
            wall: now.wall,
        };
        for link in self.links.values_mut() {
            link.session.save(now.wall, &mut gate);
        }
    }

    fn committed(&mut self, now: Now, mut commit: Commit) {
        metrics::counter!(names::COMMITS).increment(1);
        self.commits += 1;
        self.unsettled = Some(now.instant + limits::SETTLE_AFTER);
        self.compaction.stir(now.instant, &commit);
        if commit.derived {
            // Nothing that anybody waits for on disk.
        } else if self.config.durability == Durability::Relaxed {
            self.unsynced = self.unsynced.or(Some(now.instant + limits::SYNC_AFTER));
        } else {
            metrics::counter!(names::FSYNCS).increment(1);
        }
        let own = self.replica.id();
        let local = commit.committed.iter().filter(|it| it.origin == own);
        metrics::counter!(names::LOCAL_CHANGES)
            .increment(local.map(|it| u64::from(it.changes)).sum());
        for change in &commit.committed {
            tracing::debug!(
                correlation = %change.correlation, record = %change.key, lsn = %change.lsn,
                "committed"
            );
        }
        if !commit.committed.is_empty() {
            self.runnable.extend(self.links.keys().copied());
        }
        self.note_committed(&commit);
        self.blobs_committed(&mut commit);
        self.answer_captured();
        metrics::counter!(names::VIEWS_PROJECTED)
            .increment(u64::try_from(commit.shown.len()).unwrap_or(0));
        self.ready
            .extend(commit.shown.into_iter().map(Effect::Shown));
        self.project(commit.stale);
    }

    /// Has every commit of a collection's records told, as [`Effect::Committed`].
    pub fn tell_heads(&mut self, space: SpaceId, collection: CollectionId) {
        self.told = Some((space, collection));
    }

    fn note_committed(&mut self, commit: &Commit) {
        let Some((space, collection)) = &self.told else {
            return;
        };
        let keys = commit.committed.iter().map(|it| &it.key);
        let told = keys.filter(|it| it.space == *space && it.collection == *collection);
        self.untold.extend(told.cloned());
    }

    /// Tells of what is committed, as soon as it is durable.
    fn tell_committed(&mut self) {
        if self.unsynced.is_none() {
            let told = std::mem::take(&mut self.untold).into_iter();
            self.ready.extend(told.map(Effect::Committed));
        }
    }

    fn answer_captured(&mut self) {
        for (ticket, reply) in std::mem::take(&mut self.captured) {
            self.reply(ticket, reply);
        }
    }

    /// The store can't be written any more: tell everybody who waits, close the links, and go on
    /// answering what only reads.
    fn failed(&mut self, now: Now, error: &Error) {
        tracing::error!(
            error = format!("{error:#}"),
            "the store failed; only reads go on"
        );
        let kind = error.kind();
        self.failure
            .get_or_insert_with(|| (kind, format!("{error:#}")));
        for (ticket, reply) in std::mem::take(&mut self.captured) {
            // One error cannot be given to several, but its words can.
            let error = Error::new(kind, format!("{error:#}"));
            let reply = match reply {
                Reply::Imported(_) => Reply::Imported(Err(error)),
                Reply::Blob(_) => Reply::Blob(Err(error)),
                Reply::Captured(_)
                | Reply::Compacted(_)
                | Reply::Indexed(_)
                | Reply::Delivered(_)
                | Reply::Status(_)
                | Reply::Quarantined(_) => Reply::Captured(Err(error)),
            };
            self.reply(ticket, reply);
        }
        self.fail_blobs();
        self.unsaved = None;
        self.unsynced = None;
        self.unsettled = None;
        let ids: Vec<_> = self.links.keys().copied().collect();
        for id in ids {
            let text = "the store can't be written".to_owned();
            self.tell(now, id, Input::Broken(ErrorCode::StoreFailed, text));
        }
        for waiter in std::mem::take(&mut self.waiters) {
            let error = Error::new(ErrorKind::StoreFailed, "the store can't be written");
            self.reply(waiter.ticket, Reply::Delivered(Err(error)));
        }
    }

    /// Makes relaxed commits durable when that is due.
    fn sync(&mut self, now: Now) {
        if self.unsynced.is_none_or(|at| now.instant < at) {
            return;
        }
        self.unsynced = None;
        metrics::counter!(names::FSYNCS).increment(1);
        if let Err(error) = self.replica.sync() {
            self.failed(now, &error);
        }
        self.runnable.extend(self.links.keys().copied());
    }

    /// Nothing was written for a while: prepares the store for being killed.
    fn settle(&mut self, now: Now) {
        if self.unsettled.is_none_or(|at| now.instant < at) || self.unsynced.is_some() {
            return;
        }
        self.unsettled = None;
        if let Err(error) = self.replica.settle() {
            self.failed(now, &error);
        }
    }

    /// Lets the next session speak; says whether there was one.
    fn speak(&mut self, now: Now) -> bool {
        if self.unsynced.is_some() {
            // What is committed but not durable must not leave.
            return false;
        }
        let Some(id) = self.next_runnable() else {
            return false;
        };
        let Some(link) = self.links.get_mut(&id) else {
            return true;
        };
        let mut outputs = Vec::new();
        while link.has_room() && outputs.len() < limits::TURN_FRAMES_MAX {
            match link.session.poll(now.instant, &self.replica) {
                Ok(Some(output)) => {
                    if let Output::Send(frame) = &output {
                        link.outbox_bytes += frame.len();
                    }
                    outputs.push(output);
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "a session ends: the store can't be read");
                    self.tell(
                        now,
                        id,
                        Input::Broken(ErrorCode::StoreFailed, error.to_string()),
                    );
                    break;
                }
            }
        }
        if outputs.len() >= limits::TURN_FRAMES_MAX {
            self.runnable.insert(id);
        }
        for output in outputs {
            self.act(now, id, output);
        }
        true
    }

    /// The next link whose session may have something to say.
    fn next_runnable(&mut self) -> Option<LinkId> {
        if plant::is_planted(Plant::HashOrder) {
            let by_chance = std::hash::RandomState::new().hash_one(0).is_multiple_of(2);
            if by_chance {
                return self.runnable.pop_last();
            }
        }
        self.runnable.pop_first()
    }

    pub(super) fn act(&mut self, now: Now, link: LinkId, output: Output) {
        match output {
            Output::Send(frame) => self.ready.push_back(Effect::Send { link, frame }),
            Output::Established { replica, store } => {
                self.established(now, link, (replica, store));
            }
            Output::Acked { space, lsn } => self.acked(now, link, (space, lsn)),
            Output::Blob(name, news) => self.blob_news(now, link, name, news),
            Output::Close(why) => {
                self.ready.push_back(Effect::Close(link));
                self.closed(now, link, &why);
            }
        }
    }

    fn acked(&mut self, now: Now, link: LinkId, (space, lsn): (SpaceId, Lsn)) {
        let Some(link) = self.links.get(&link) else {
            return;
        };
        if link.session.has_unsaved() && self.unsaved.is_none() {
            self.unsaved = Some(now.instant + limits::FLUSH_AFTER);
        }
        let Some((replica, store)) = link.peer else {
            return;
        };
        self.arrived((replica, store), space, lsn);
    }

    fn arrived(&mut self, peer: (ReplicaId, StoreId), space: SpaceId, lsn: Lsn) {
        let mut rest = Vec::new();
        for mut waiter in std::mem::take(&mut self.waiters) {
            if waiter.hears(peer, space, lsn) {
                self.reply(waiter.ticket, Reply::Delivered(Ok(())));
            } else {
                rest.push(waiter);
            }
        }
        self.waiters = rest;
    }

    fn dial(&mut self, now: Now) {
        while let Some(effect) = self.dialer.poll() {
            match effect {
                PeerEffect::Dial {
                    peer,
                    attempt,
                    expects,
                } => {
                    if attempt > 1 {
                        let to = peer.as_str().to_owned();
                        metrics::counter!(names::RECONNECTS, names::label::PEER => to).increment(1);
                    }
                    self.ready.push_back(Effect::Dial {
                        peer,
                        attempt,
                        expects,
                    });
                }
                PeerEffect::HangUp { peer, attempt } => {
                    let made = (peer.clone(), attempt);
                    let link = self
                        .links
                        .iter()
                        .find(|(_, it)| it.dialled.as_ref() == Some(&made));
                    match link.map(|(id, _)| *id) {
                        Some(id) => {
                            self.let_go(now, id, "hung up");
                            self.ready.push_back(Effect::Close(id));
                        }
                        None => self.ready.push_back(Effect::CancelDial { peer, attempt }),
                    }
                }
            }
        }
    }

    /// Everybody has left: the last word.
    fn finish(&mut self) {
        // Cursors that moved after a write failed stay unwritten.
        let is_written = !self.replica.is_dirty() || self.replica.has_failed();
        let done = self.stopping.is_some() && self.links.is_empty() && is_written;
        if !done || self.stopped {
            return;
        }
        if self.unsynced.take().is_some()
            && let Err(error) = self.replica.sync()
        {
            tracing::error!(%error, "the last writes could not be synced");
        }
        self.stopped = true;
        for waiter in std::mem::take(&mut self.waiters) {
            let error = Error::new(ErrorKind::Closed, "the node is shutting down");
            self.reply(waiter.ticket, Reply::Delivered(Err(error)));
        }
        self.ready.push_back(Effect::Stopped);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
pub(super) const fn as_f64(count: u64) -> f64 {
    count as f64
}

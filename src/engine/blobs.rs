//! Attachments: what the application puts and wants, which link is to bring what, and what is removed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Engine, LinkId, Reply, Ticket};
use crate::blob::{Chunk, Manifest};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{BlobId, SpaceId};
use crate::limits;
use crate::plant::{self, Plant};
use crate::replica::{Commit, FetchRule, Number};
use crate::session::{BlobName, BlobNews};
use crate::telemetry::names;
use crate::time::{Instant, Now, WallTime};
use crate::wire::Standing;

/// How attachments are to be treated.
#[derive(Clone, Debug)]
pub struct BlobSettings {
    /// Which are fetched without being asked for.
    pub rule: FetchRule,
    /// Largest that is put, or fetched where it is asked for, in bytes.
    pub bytes_max: u64,
    /// How long one is kept to which nothing refers.
    pub grace: Duration,
}

impl Default for BlobSettings {
    fn default() -> Self {
        Self {
            rule: FetchRule::none(),
            bytes_max: limits::BLOB_BYTES_DEFAULT,
            grace: limits::BLOB_GRACE,
        }
    }
}

/// What the application wants done with attachments.
#[derive(Debug)]
pub enum BlobRequest {
    /// Put one; the answer is the number to go on with.
    Begin,
    /// Go on with chunks, from the one at `first` on.
    Chunks {
        /// The number of what is being put.
        number: u64,
        /// Which chunk the first of them is.
        first: u32,
        /// The chunks.
        chunks: Vec<Chunk>,
    },
    /// All chunks are here.
    Finish {
        /// The space.
        space: SpaceId,
        /// The number of what is being put.
        number: u64,
        /// What it is made of.
        manifest: Manifest,
    },
    /// Give up putting one.
    Abandon(u64),
    /// Fetch one, from now on until it is here.
    Want(BlobName),
    /// Wait for one that is being fetched; the answer comes when all of it is here.
    Wait(BlobName),
    /// Fetch it no more.
    Cancel(BlobName),
    /// Fetch these chunks of one again, or all of it.
    Mend(BlobName, Option<Vec<u32>>),
    /// Remove what is here of one; the answer is 1 if there was anything.
    Remove(BlobName),
    /// Remove those that nothing refers to and that are older than the grace; the answer is how many.
    Collect,
}

/// How transfers of attachments stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobReport {
    /// Attachments that are wanted and not here as a whole.
    pub wanted: usize,
    /// Those of them that a linked peer is sending.
    pub coming: usize,
    /// Attachments that linked peers fetch from here.
    pub leaving: usize,
}

/// Attachments that are wanted, and removals under way.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    wants: BTreeMap<BlobName, Want>,
    /// The order in which links look at them.
    order: BTreeMap<u64, BlobName>,
    next: u64,
    waiting: usize,
    /// Whether a link may have something to take on.
    pub look: bool,
    collects: VecDeque<Ticket>,
    collect: Option<Collect>,
    collect_at: Option<Instant>,
    sweep_at: Option<Instant>,
}

/// A blob that is wanted.
#[derive(Debug, Default)]
struct Want {
    turn: u64,
    source: Option<LinkId>,
    waiters: Vec<Ticket>,
}

/// A look through all blobs for those that nothing refers to.
#[derive(Debug)]
struct Collect {
    ticket: Option<Ticket>,
    from: (Number, Option<BlobId>),
    removed: u64,
}

impl Transfers {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.collect_at, self.sweep_at].into_iter().flatten().min()
    }

    /// Wants a blob, or has it looked for again after others.
    fn want(&mut self, name: BlobName) -> &mut Want {
        let turn = self.next;
        self.next += 1;
        self.order.insert(turn, name);
        self.look = true;
        let want = self.wants.entry(name).or_insert_with(|| Want {
            turn,
            ..Want::default()
        });
        if want.turn != turn {
            self.order.remove(&want.turn);
            want.turn = turn;
        }
        want.source = None;
        want
    }

    fn forget(&mut self, name: BlobName) -> Option<Want> {
        let want = self.wants.remove(&name)?;
        self.order.remove(&want.turn);
        self.waiting = self.waiting.saturating_sub(want.waiters.len());
        self.look = true;
        Some(want)
    }
}

impl Engine {
    pub(super) fn open_blobs(&mut self) -> Result<()> {
        self.replica.set_fetch_rule(self.config.blobs.rule.clone());
        for name in self.replica.fetches()? {
            self.transfers.want(name);
        }
        Ok(())
    }

    /// The application wants something done.
    pub(super) fn blob(&mut self, now: Now, ticket: Ticket, request: BlobRequest) {
        let done = if self.stopping.is_some() {
            Err(Error::new(ErrorKind::Closed, "the node is shutting down"))
        } else {
            self.blob_request(now, ticket, request)
        };
        match done {
            // Answered once it is durable.
            Ok(Some(number)) => self.captured.push((ticket, Reply::Blob(Ok(number)))),
            Ok(None) => {}
            Err(error) => self.reply(ticket, Reply::Blob(Err(error))),
        }
    }

    fn blob_request(
        &mut self,
        now: Now,
        ticket: Ticket,
        request: BlobRequest,
    ) -> Result<Option<u64>> {
        match request {
            BlobRequest::Begin => self.replica.begin_blob().map(Some),
            BlobRequest::Chunks {
                number,
                first,
                chunks,
            } => {
                self.replica.put_chunks(number, first, &chunks)?;
                Ok(Some(0))
            }
            BlobRequest::Finish {
                space,
                number,
                manifest,
            } => {
                let place = (space, number);
                self.replica.finish_blob(place, &manifest, now.wall)?;
                Ok(Some(0))
            }
            BlobRequest::Abandon(number) => {
                self.replica.abandon_blob(number);
                Ok(Some(0))
            }
            BlobRequest::Want((space, blob)) => {
                let bytes_max = self.config.blobs.bytes_max;
                // Nobody is asked for it before the commit.
                if self.replica.want_blob(space, blob, bytes_max)? {
                    self.transfers.want((space, blob));
                }
                Ok(Some(0))
            }
            BlobRequest::Wait(name) => self.wait_for_blob(ticket, name),
            BlobRequest::Cancel(name) => {
                self.replica.forget_blob(name.0, name.1)?;
                self.stop_fetching(name, (ErrorKind::NotHere, "it was given up"));
                Ok(Some(0))
            }
            BlobRequest::Mend(name, chunks) => {
                let bytes_max = self.config.blobs.bytes_max;
                self.replica.mend_blob(name, chunks.as_deref(), bytes_max)?;
                Ok(Some(0))
            }
            BlobRequest::Remove(name) => {
                let was_here = self.replica.remove_blob(name.0, name.1)?;
                self.stop_fetching(name, (ErrorKind::NotHere, "it was removed"));
                Ok(Some(u64::from(was_here)))
            }
            BlobRequest::Collect => {
                self.transfers.collects.push_back(ticket);
                Ok(None)
            }
        }
    }

    fn wait_for_blob(&mut self, ticket: Ticket, name: BlobName) -> Result<Option<u64>> {
        if self.replica.has_blob(name.0, name.1)? {
            return Ok(Some(0));
        }
        if self.transfers.waiting >= limits::DELIVERY_WAITERS_MAX {
            let max = limits::DELIVERY_WAITERS_MAX;
            let message = format!("{max} callers wait for attachments already");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let Some(want) = self.transfers.wants.get_mut(&name) else {
            let message = format!("attachment {} is not being fetched", name.1);
            return Err(Error::new(ErrorKind::NotHere, message));
        };
        want.waiters.push(ticket);
        self.transfers.waiting += 1;
        Ok(None)
    }

    /// A blob is not wanted any more.
    fn stop_fetching(&mut self, name: BlobName, (kind, why): (ErrorKind, &str)) {
        let Some(want) = self.transfers.forget(name) else {
            return;
        };
        if let Some(id) = want.source
            && let Some(link) = self.links.get_mut(&id)
        {
            link.session.leave_blob(name, Standing::Unwanted);
            self.runnable.insert(id);
        }
        for ticket in want.waiters {
            let message = format!("attachment {} does not come: {why}", name.1);
            let error = Error::new(kind, message);
            self.reply(ticket, Reply::Blob(Err(error)));
        }
    }

    /// A caller waits no longer. What it waited for goes on.
    pub(super) fn forget_waiter(&mut self, ticket: Ticket) {
        self.waiters.retain(|it| it.ticket != ticket);
        for want in self.transfers.wants.values_mut() {
            let before = want.waiters.len();
            want.waiters.retain(|it| *it != ticket);
            self.transfers.waiting -= before - want.waiters.len();
        }
    }

    /// What a commit has brought of blobs.
    pub(super) fn blobs_committed(&mut self, commit: &mut Commit) {
        for name in std::mem::take(&mut commit.wanted) {
            if !self.transfers.wants.contains_key(&name) {
                self.transfers.want(name);
            }
        }
        for name in std::mem::take(&mut commit.named) {
            // A peer may have heard of it before we did.
            let mut links = self.links.values();
            if links.any(|it| it.session.has_missed_blob(name)) {
                self.miss_blob(name);
            }
        }
        let came = std::mem::take(&mut commit.blobs);
        for name in &came {
            metrics::counter!(names::BLOBS_COMPLETE).increment(1);
            let want = self.transfers.forget(*name).unwrap_or_default();
            for (id, link) in &mut self.links {
                if want.source == Some(*id) {
                    link.session.leave_blob(*name, Standing::Held);
                }
                link.session.announce_blob(*name);
            }
            self.runnable.extend(self.links.keys().copied());
            for ticket in want.waiters {
                self.reply(ticket, Reply::Blob(Ok(0)));
            }
        }
    }

    /// A peer has asked for what is not here.
    fn miss_blob(&mut self, name: BlobName) {
        if let Err(error) = self.replica.missed_blob(name.0, name.1) {
            tracing::warn!(blob = %name.1, %error, "could not ask others for a blob");
        }
    }

    /// A session learned something of a blob.
    pub(super) fn blob_news(&mut self, now: Now, id: LinkId, name: BlobName, news: BlobNews) {
        let source = self.transfers.wants.get(&name).map(|it| it.source);
        match news {
            BlobNews::Absent if source == Some(Some(id)) => {
                self.transfers.want(name);
            }
            BlobNews::Offered if source == Some(None) => {
                self.transfers.want(name);
            }
            BlobNews::Absent | BlobNews::Offered => {}
            BlobNews::TooLarge(size) => {
                let why = format!("it has {size} bytes, which is more than it may have here");
                self.stop_fetching(name, (ErrorKind::TooLarge, &why));
            }
            BlobNews::Missed => self.miss_blob(name),
        }
        self.assign_blobs(now);
    }

    /// A link is gone: others may bring what it was to bring.
    pub(super) fn release_blobs(&mut self, id: LinkId) {
        let wants = self.transfers.wants.iter();
        let released = wants.filter(|(_, it)| it.source == Some(id));
        for name in released.map(|(name, _)| *name).collect::<Vec<_>>() {
            if plant::is_planted(Plant::KeepSource) {
                continue;
            }
            self.transfers.want(name);
        }
    }

    /// Has links fetch what is wanted.
    pub(super) fn assign_blobs(&mut self, now: Now) {
        if !std::mem::take(&mut self.transfers.look) {
            return;
        }
        let Transfers {
            wants, order, look, ..
        } = &mut self.transfers;
        for (id, link) in &mut self.links {
            let spaces = link.session.blob_spaces();
            if link.blob_spaces != spaces {
                // What it could not bring before, it may bring now.
                link.blob_spaces = spaces;
                link.blobs_seen = 0;
            }
            let mut seen = link.blobs_seen;
            for (looked, (turn, name)) in order.range(link.blobs_seen..).enumerate() {
                if !link.session.has_blob_room() {
                    break;
                }
                if looked >= limits::BLOB_LOOK_MAX {
                    *look = true;
                    break;
                }
                seen = turn + 1;
                let Some(want) = wants.get_mut(name).filter(|it| it.source.is_none()) else {
                    continue;
                };
                if link.session.may_have_blob(*name) {
                    link.session.seek_blob(now.instant, *name);
                    want.source = Some(*id);
                    self.runnable.insert(*id);
                }
            }
            link.blobs_seen = seen;
        }
    }

    /// Removes what is to be removed, some at a time.
    pub(super) fn tend_blobs(&mut self, now: Now) {
        if self.stopping.is_some() || self.replica.has_failed() {
            self.transfers.collect_at = None;
            self.transfers.sweep_at = None;
            let collect = self.transfers.collect.take().and_then(|it| it.ticket);
            let collects = std::mem::take(&mut self.transfers.collects);
            for ticket in collect.into_iter().chain(collects) {
                let text = "the node is shutting down, or its store can't be written";
                self.reply(
                    ticket,
                    Reply::Blob(Err(Error::new(ErrorKind::Closed, text))),
                );
            }
            return;
        }
        // The first look comes a while after opening, if there are any.
        if self.replica.has_blobs() && self.transfers.collect_at.is_none() {
            self.transfers.collect_at = Some(now.instant + limits::BLOB_COLLECT_EVERY);
        }
        let is_due = |at: Option<Instant>| at.is_some_and(|at| now.instant >= at);
        if self.transfers.collect.is_none() {
            let ticket = self.transfers.collects.pop_front();
            if ticket.is_some() || is_due(self.transfers.collect_at) {
                let from = (Number(0), None);
                self.transfers.collect = Some(Collect {
                    ticket,
                    from,
                    removed: 0,
                });
            }
        }
        if let Some(collect) = self.transfers.collect.take() {
            self.collect_blobs(now, collect);
        }
        if self.replica.has_loose_chunks() && self.transfers.sweep_at.is_none() {
            self.transfers.sweep_at = Some(now.instant + limits::BLOB_SWEEP_PAUSE);
        }
        if is_due(self.transfers.sweep_at) {
            self.transfers.sweep_at = None;
            if let Err(error) = self.replica.sweep_chunks() {
                tracing::warn!(%error, "could not sweep chunks away");
            }
        }
    }

    fn collect_blobs(&mut self, now: Now, mut collect: Collect) {
        let grace = u64::try_from(self.config.blobs.grace.as_millis()).unwrap_or(u64::MAX);
        let before = WallTime::from_millis(now.wall.as_millis().saturating_sub(grace));
        let step = self.replica.collect_blobs(collect.from, before);
        let is_over = match step {
            Ok((removed, next)) => {
                collect.removed += removed;
                collect.from = next.unwrap_or(collect.from);
                next.is_none()
            }
            Err(error) => {
                tracing::warn!(%error, "could not look for attachments to remove");
                true
            }
        };
        if !is_over {
            // The next step comes with the next turn.
            self.transfers.collect_at = Some(now.instant);
            self.transfers.collect = Some(collect);
            return;
        }
        self.transfers.collect_at = Some(now.instant + limits::BLOB_COLLECT_EVERY);
        metrics::counter!(names::BLOBS_COLLECTED).increment(collect.removed);
        if let Some(ticket) = collect.ticket {
            let answer = Reply::Blob(Ok(collect.removed));
            self.captured.push((ticket, answer));
        }
    }

    /// The store can't be written any more: nothing comes.
    pub(super) fn fail_blobs(&mut self) {
        let wanted: Vec<_> = self.transfers.wants.keys().copied().collect();
        for name in wanted {
            self.stop_fetching(name, (ErrorKind::StoreFailed, "the store can't be written"));
        }
    }

    pub(super) fn blob_report(&self) -> BlobReport {
        let wants = self.transfers.wants.values();
        let links = self.links.values();
        BlobReport {
            wanted: self.transfers.wants.len(),
            coming: wants.filter(|it| it.source.is_some()).count(),
            leaving: links.map(|it| it.session.blobs_leaving()).sum(),
        }
    }
}

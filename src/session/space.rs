//! One space on one link: what was sent, what is acknowledged, what a walk still owes.
//!
//! Sending keeps a place in the log and not a queue. `live` is the place up to which new commits
//! were looked at. Older ones, from the cursor on, are the backlog and travel as bulk, so that new
//! edits need not wait for them. Where there is no cursor to start from, a walk finds what to push.

use std::collections::{BTreeSet, VecDeque};

use super::outgoing::Way;
use super::relay::Relay;
use super::status::{CatchingUp, SpaceStatus};
use super::{Fault, Verdict, fault};
use crate::doc::{Received, received_bytes};
use crate::error::Result;
use crate::id::{CollectionId, Lsn, RecordKey, SpaceId, StoreId};
use crate::ledger::Cursor;
use crate::limits;
use crate::plant::{self, Plant};
use crate::reconcile::{Inventory, LogEntry, Piece, Push, Span, Summary, Total};
use crate::time::{Instant, WallTime};
use crate::wire::{ErrorCode, RefusedCode, Walk, Wanted};

/// A record whose changes are being pushed.
#[derive(Debug)]
pub(super) struct RecordPush {
    pub key: RecordKey,
    pub pieces: VecDeque<Piece>,
    /// The peer has asked for it.
    pub asked: bool,
}

/// One space on one link.
#[expect(
    clippy::struct_excessive_bools,
    reason = "what is due on a link is due in any combination"
)]
#[derive(Debug)]
pub(super) struct SpaceLink {
    space: SpaceId,
    ours: Wanted,
    theirs: Option<Wanted>,
    refused: Option<RefusedCode>,
    /// What our `Open` said of having a cursor.
    pub(super) resumed: bool,
    cursor: Cursor,
    unsaved: bool,

    /// Bulk part of the log that is still to be sent: after the first, up to the second.
    pub(super) backlog: Option<(Lsn, Lsn)>,
    /// Where new commits were looked at.
    pub(super) live: Lsn,
    /// New commits that are held back, since the peer may bring them.
    pub(super) relay: Relay,
    /// The last `upto` that the peer was sent, or need not be sent.
    pub(super) announced: Lsn,
    /// Changes were sent since that no `upto` covers.
    pub(super) unmarked: bool,
    /// No place to start from is known: a walk has to end before anything is announced.
    pub(super) owes_walk: bool,

    pub(super) start_walk: bool,
    pub(super) walking: Option<u64>,
    pub(super) walks: VecDeque<Walk>,
    pub(super) walks_done: u64,
    /// Walks under way that have left something for the next one.
    pub(super) partial: BTreeSet<u64>,
    /// The last walk left something: nothing is complete before the next one ends.
    pub(super) unfinished: bool,
    pub(super) pushes: VecDeque<Push>,
    /// Hashes that these name.
    pub(super) push_hashes: usize,
    pub(super) current: Option<RecordPush>,
    pub(super) wants: VecDeque<RecordKey>,
    pub(super) open_wants: BTreeSet<RecordKey>,

    pub(super) ack_due: bool,
    /// Compare roots once all is quiet.
    pub(super) root_due: bool,
    /// Something was sent or received since roots were compared.
    pub(super) stirred: bool,
    root_at: Instant,
    /// No walk by a differing root before this.
    pub(super) repair_at: Instant,
    pub(super) repairs: u32,
    /// Once in this session we have had all that the peer had.
    caught_up: bool,
    catching_up: CatchingUp,
    waiting: BTreeSet<RecordKey>,
    ask_at: Option<Instant>,
    pub(super) progress: Instant,
}

impl SpaceLink {
    pub(super) fn new(
        (space, ours): (SpaceId, Wanted),
        cursor: Option<Cursor>,
        relay: Relay,
        now: Instant,
    ) -> Self {
        Self {
            space,
            ours,
            theirs: None,
            refused: None,
            resumed: cursor.is_some(),
            cursor: cursor.unwrap_or_default(),
            unsaved: false,
            backlog: None,
            live: Lsn(0),
            relay,
            announced: Lsn(0),
            unmarked: false,
            owes_walk: false,
            start_walk: false,
            walking: None,
            walks: VecDeque::new(),
            walks_done: 0,
            partial: BTreeSet::new(),
            unfinished: false,
            pushes: VecDeque::new(),
            push_hashes: 0,
            current: None,
            wants: VecDeque::new(),
            open_wants: BTreeSet::new(),
            ack_due: false,
            root_due: false,
            stirred: false,
            root_at: now,
            repair_at: now,
            repairs: 0,
            caught_up: false,
            catching_up: CatchingUp::new(now),
            waiting: BTreeSet::new(),
            ask_at: None,
            progress: now,
        }
    }

    pub(super) const fn space(&self) -> SpaceId {
        self.space
    }

    pub(super) const fn ours(&self) -> &Wanted {
        &self.ours
    }

    pub(super) const fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    pub(super) const fn is_active(&self) -> bool {
        self.theirs.is_some()
    }

    pub(super) fn refuse(&mut self, code: RefusedCode) {
        self.refused = Some(code);
    }

    /// Whether both sides want the collection: only these are spoken of.
    pub(super) fn covers(&self, collection: &CollectionId) -> bool {
        self.ours.includes(collection)
            && self
                .theirs
                .as_ref()
                .is_none_or(|it| it.includes(collection))
    }

    /// Identifies what both sides want, so that a cursor is not taken for more than it covers.
    fn coverage(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 coverage");
        for side in [Some(&self.ours), self.theirs.as_ref()]
            .into_iter()
            .flatten()
        {
            if let Wanted::Only(names) = side {
                for name in names.iter().filter(|it| self.covers(it)) {
                    hasher.update(name.as_str().as_bytes()).update(b"\0");
                }
                break;
            }
        }
        let mut digest = [0; 16];
        hasher.finalize_xof().fill(&mut digest);
        digest
    }

    /// Both sides have opened the space: decide where sending starts.
    pub(super) fn activate(
        &mut self,
        theirs: crate::wire::Open,
        is_dialer: bool,
        inventory: &dyn Inventory,
    ) -> Result<()> {
        let same_want = theirs.want == self.ours;
        self.theirs = Some(theirs.want);
        let lsn = inventory.lsn(self.space)?;
        self.live = lsn;
        self.stirred = true;
        let covered = self.cursor.want == self.coverage();
        self.cursor.want = self.coverage();
        // What the peer says it holds counts, unless it is more than there is: then this store
        // was set back, and its numbers mean nothing.
        let acked = self.cursor.acked.max(theirs.acked);
        // What left the log can't be sent from it.
        let kept = acked >= inventory.horizon(self.space)?;
        let known = self.resumed && covered && acked <= lsn && kept;
        let (ours, there) = (self.root(inventory)?, (theirs.root, theirs.lsn));
        self.catching_up
            .expect(there, (ours.count, self.cursor.received));
        let equal = (same_want && theirs.root == ours) || plant::is_planted(Plant::TrustRoots);
        self.caught_up = equal;
        if known && theirs.resume && equal {
            self.settle(lsn);
            return Ok(());
        }
        self.root_due = true;
        if known && lsn.0 - acked.0 <= limits::BACKLOG_PUSH_MAX {
            self.settle(acked);
            self.backlog = (acked < lsn).then_some((acked, lsn));
            if plant::is_planted(Plant::AnnounceBacklog) {
                self.settle(lsn);
            }
        } else {
            self.cursor.acked = Lsn(0);
            self.owes_walk = true;
        }
        let anyone_walks = self.owes_walk || !theirs.resume;
        // The dialer walks where either greeting says that there is no cursor. What only one side
        // finds out on activation it starts itself.
        let dialer_walks = !self.resumed || !theirs.resume;
        self.start_walk = anyone_walks && if is_dialer { true } else { !dialer_walks };
        Ok(())
    }

    /// Up to where nothing of the log is to be sent any more, as long as the link lasts.
    pub(super) fn place(&self) -> Lsn {
        let bulk = self.backlog.map_or(self.live, |(after, _)| after);
        bulk.min(self.relay.sent_up_to(self.live))
    }

    /// The peer holds the log up to `lsn`.
    pub(super) fn settle(&mut self, lsn: Lsn) {
        self.unsaved |= self.cursor.acked != lsn;
        self.cursor.acked = lsn;
        self.announced = lsn;
    }

    /// Summary of what is here of what both sides want.
    pub(super) fn root(&self, inventory: &dyn Inventory) -> Result<Summary> {
        let mut total = Total::default();
        for collection in self.collections(inventory)? {
            total.merge(&inventory.total(self.space, &collection, Span::ALL)?);
        }
        Ok(total.summary())
    }

    pub(super) fn collections(&self, inventory: &dyn Inventory) -> Result<Vec<CollectionId>> {
        let all = inventory.collections(self.space)?;
        Ok(all.into_iter().filter(|it| self.covers(it)).collect())
    }

    /// Whether an `upto` may be announced: nothing older than `live` is still to be sent.
    pub(super) fn can_mark(&self) -> bool {
        self.is_active() && self.backlog.is_none() && !self.owes_walk
    }

    /// Whether a walk's findings are all dealt with.
    pub(super) fn is_walk_settled(&self) -> bool {
        !self.start_walk && !self.unfinished && self.is_between_walks()
    }

    /// Whether no walk is under way and nothing is left of those before.
    pub(super) fn is_between_walks(&self) -> bool {
        self.walking.is_none()
            && self.walks.is_empty()
            && self.has_pushed()
            && self.wants.is_empty()
            && self.open_wants.is_empty()
    }

    /// Whether all was pushed that walks have found.
    pub(super) fn has_pushed(&self) -> bool {
        self.pushes.is_empty() && self.current.is_none()
    }

    /// Whether the peer has all there is and has said so.
    pub(super) fn is_idle(&self, lsn: Lsn) -> bool {
        self.can_mark()
            && self.is_walk_settled()
            && self.relay.is_empty()
            && self.live == lsn
            && self.announced == lsn
            && self.cursor.acked == lsn
    }

    /// The peer acknowledges; says whether that is news.
    pub(super) fn acknowledge(&mut self, lsn: Lsn) -> Verdict<bool> {
        if lsn > self.announced {
            let text = format!("acknowledged {lsn}, but only {} was sent", self.announced);
            return fault(ErrorCode::FalseAck, text);
        }
        let is_news = lsn > self.cursor.acked;
        if is_news {
            self.cursor.acked = lsn;
            self.unsaved = true;
        }
        Ok(is_news)
    }

    /// We hold the peer's log up to `lsn`, once this turn is committed.
    pub(super) fn note_received(&mut self, lsn: Lsn) {
        self.ack_due = true;
        self.unsaved |= self.cursor.received != lsn;
        self.cursor.received = lsn;
    }

    /// A change of this record waits for others: ask for them if they don't come by themselves.
    pub(super) fn note_waiting(&mut self, key: RecordKey, now: Instant) {
        if self.waiting.len() < limits::ASK_RECORDS_MAX {
            self.waiting.insert(key);
            self.ask_at = self.ask_at.or(Some(now + limits::ASK_AFTER));
        }
    }

    pub(super) fn ask(&mut self, key: RecordKey) {
        if self.open_wants.insert(key.clone()) {
            self.wants.push_back(key);
        }
    }

    /// Queues what is to be pushed.
    pub(super) fn enqueue(&mut self, push: Push) {
        self.push_hashes += hashes(&push);
        self.pushes.push_back(push);
    }

    pub(super) fn next_push(&mut self) -> Option<Push> {
        let push = self.pushes.pop_front()?;
        self.push_hashes = self.push_hashes.saturating_sub(hashes(&push));
        Some(push)
    }

    /// Whether a change is not sent now but offered, or held back for the peer to bring it.
    pub(super) fn waits(&mut self, way: &Way<'_>, entry: &LogEntry) -> bool {
        if self.relay.waits() && entry.origin != way.own && !self.relay.is_offered(&entry.key) {
            self.relay.hold(way.now, entry);
            return true;
        }
        self.relay.follows(entry) || self.offers(way.own, entry)
    }

    /// Offers a large change from elsewhere, which the peer may get on another way, and what follows
    /// it; says whether it does.
    pub(super) fn offers(&mut self, own: StoreId, entry: &LogEntry) -> bool {
        if self.relay.is_offered(&entry.key) {
            // An offer that is not out yet takes it along.
            if !self.wants.contains(&entry.key) {
                self.relay.offer_again(&entry.key);
            }
            return true;
        }
        let is_small = entry.bytes.len() <= limits::RELAY_UNASKED_BYTES;
        let is_own = entry.origin == own;
        if is_own || is_small || self.open_wants.len() >= limits::OPEN_WANTS_MAX {
            return false;
        }
        // A request that is out already says nothing of this change: its answer is none to the offer.
        let is_out = self.open_wants.contains(&entry.key) && !self.wants.contains(&entry.key);
        self.ask(entry.key.clone());
        self.relay.offer(entry.key.clone(), entry.lsn);
        if is_out {
            self.relay.offer_again(&entry.key);
        }
        true
    }

    /// The peer has answered what was asked of a record, or has found that it has nothing more.
    pub(super) fn answered(&mut self, key: &RecordKey) {
        self.open_wants.remove(key);
        let asks = |it: &Push| matches!(it, Push::Record { key: it, .. } if it == key);
        let is_sending = self.current.as_ref().is_some_and(|it| it.key == *key);
        let is_done = self.relay.is_offered(key) && !is_sending;
        if is_done && !self.pushes.iter().any(asks) && self.relay.accepted(key) {
            self.ask(key.clone());
        }
    }

    /// All that the peer lacks of a record is sent.
    pub(super) fn pushed(&mut self, key: &RecordKey) {
        if !self.open_wants.contains(key) && self.relay.accepted(key) {
            self.ask(key.clone());
        }
    }

    pub(super) fn wake(&mut self, now: Instant) -> Verdict {
        if self.ask_at.is_some_and(|at| now >= at) {
            self.ask_at = None;
            for key in std::mem::take(&mut self.waiting) {
                self.ask(key);
            }
        }
        self.relay.wake(now);
        if self.stirred && now >= self.root_at + limits::ROOT_EVERY {
            self.root_due = true;
        }
        if self.is_waiting_for_peer() && now >= self.progress + limits::STALL_TIMEOUT {
            let text = "differences were asked for and nothing came".to_owned();
            return Err(Fault {
                code: ErrorCode::Stalled,
                text,
            });
        }
        Ok(())
    }

    /// Changes of a record came.
    pub(super) fn took(&mut self, now: Instant, changes: &[Received]) {
        if !self.caught_up {
            let bytes = changes.iter().map(received_bytes).sum();
            self.catching_up.took(now, changes.len(), bytes);
        }
    }

    /// The peer says that it has nothing more for us, and nothing speaks against it.
    pub(super) const fn note_caught_up(&mut self) {
        self.caught_up = true;
    }

    pub(super) const fn root_sent(&mut self, now: Instant) {
        self.root_due = false;
        self.stirred = false;
        self.root_at = now;
    }

    pub(super) fn is_waiting_for_peer(&self) -> bool {
        // What is still to be asked for is not waited for.
        self.walking.is_some() || self.open_wants.len() > self.wants.len()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let stall = self
            .is_waiting_for_peer()
            .then(|| self.progress + limits::STALL_TIMEOUT);
        let root = (self.stirred && !self.root_due).then(|| self.root_at + limits::ROOT_EVERY);
        let relay = self.relay.poll_timeout();
        [self.ask_at, stall, root, relay]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) const fn is_unsaved(&self) -> bool {
        self.unsaved && !self.owes_walk
    }

    pub(super) fn take_unsaved(&mut self, wall: WallTime) -> Option<Cursor> {
        if !self.is_unsaved() {
            return None;
        }
        self.unsaved = false;
        self.cursor.seen = wall;
        Some(self.cursor.clone())
    }

    pub(super) fn status(&self) -> SpaceStatus {
        SpaceStatus {
            space: self.space,
            active: self.is_active(),
            refused: self.refused,
            acked: self.cursor.acked,
            received: self.cursor.received,
            walking: self.owes_walk || self.walking.is_some(),
            pending_records: self.pushes.len() + self.open_wants.len(),
            caught_up: self.caught_up,
            catch_up: self.catching_up.came(),
        }
    }
}

/// How many hashes a queued push holds.
const fn hashes(push: &Push) -> usize {
    match push {
        Push::Record { known, .. } => known.len(),
        Push::Range { .. } => 0,
    }
}

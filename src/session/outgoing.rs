//! What a session sends, most urgent first: acknowledgements and credit, walks and requests, live
//! edits, bulk, and when all is quiet the comparison of roots.

use std::ops::ControlFlow;

use super::filling::Filling;
use super::space::{RecordPush, SpaceLink};
use super::{Credit, Output, Peer, Session};
use crate::error::Result;
use crate::id::{ActorId, CorrelationId, Lsn, RecordKey, SpaceId, StoreId};
use crate::limits;
use crate::plant::{self, Plant};
use crate::reconcile::{Inventory, Push, Span, Upper, WalkItem};
use crate::time::Instant;
use crate::wire::{ByeReason, Changes, Class, Message, encode};

/// Who sends to whom, when, from what.
pub(super) struct Way<'a> {
    pub now: Instant,
    pub own: StoreId,
    peer: Peer,
    inventory: &'a dyn Inventory,
}

impl Session {
    /// Queues the next thing to send, if there is any.
    pub(super) fn compose(
        &mut self,
        now: Instant,
        peer: Peer,
        inventory: &dyn Inventory,
    ) -> Result<()> {
        self.ask_for_blobs(inventory)?;
        self.acknowledge();
        if let Some((live, bulk)) = self.credit.grant() {
            self.send(&Message::Credit { live, bulk });
        }
        if !self.queue.is_empty() {
            return Ok(());
        }
        let spaces = self.served();
        for space in &spaces {
            if self.reconcile(now, *space, inventory)? {
                return Ok(());
            }
        }
        let way = Way {
            now,
            own: self.config.store,
            peer,
            inventory,
        };
        for class in [Class::Live, Class::Bulk] {
            // After what is being edited, and before what merely has to be moved.
            if class == Class::Bulk && self.say_presence(now) {
                return Ok(());
            }
            for space in &spaces {
                if self.credit.allows(class) && self.changes_of(class, *space, &way)? {
                    self.turn = self.turn.wrapping_add(1);
                    return Ok(());
                }
            }
        }
        if self.serve_blob(inventory)? {
            return Ok(());
        }
        // What was looked through may have left something to offer and nothing to send.
        for space in &spaces {
            if self.reconcile(now, *space, inventory)? {
                return Ok(());
            }
        }
        let mut all_idle = true;
        for space in &spaces {
            all_idle &= self.quiet(now, *space, inventory)?;
            if !self.queue.is_empty() {
                return Ok(());
            }
        }
        if self.finishing && all_idle {
            self.leave(ByeReason::Shutdown);
        }
        Ok(())
    }

    /// Acknowledges what the last commit made durable, once per space.
    fn acknowledge(&mut self) {
        let due = self.spaces.values_mut().filter(|it| it.ack_due);
        let acks: Vec<_> = due
            .map(|link| {
                link.ack_due = false;
                Message::Ack {
                    space: link.space(),
                    lsn: link.cursor().received,
                }
            })
            .collect();
        for ack in &acks {
            self.send(ack);
        }
    }

    /// The active spaces, another one first each time.
    fn served(&self) -> Vec<SpaceId> {
        let active = self.spaces.values().filter(|it| it.is_active());
        let mut spaces: Vec<_> = active.map(SpaceLink::space).collect();
        if !spaces.is_empty() {
            let by = self.turn % spaces.len();
            spaces.rotate_left(by);
        }
        spaces
    }

    /// Sends a frame of changes of one flow; says whether it did.
    fn changes_of(&mut self, class: Class, space: SpaceId, way: &Way<'_>) -> Result<bool> {
        let Some(link) = self.spaces.get_mut(&space) else {
            return Ok(false);
        };
        let filling = match class {
            Class::Live => live(link, way)?,
            Class::Bulk if link.backlog.is_some() => backlog(link, way)?,
            Class::Bulk => pushed(link, way.inventory)?,
        };
        if filling.groups.is_empty() {
            return Ok(false);
        }
        let upto = match (link.backlog, link.can_mark()) {
            (Some((after, _)), _) if class == Class::Bulk => after,
            (None, true) => link.relay.sent_up_to(link.live).max(link.announced),
            _ => Lsn(0),
        };
        link.stirred = true;
        // Only an `upto` that reaches `live` covers what was sent as live before it.
        link.unmarked = if link.can_mark() {
            upto < link.live
        } else {
            link.unmarked || upto == Lsn(0)
        };
        link.announced = link.announced.max(upto);
        let groups = filling.groups;
        let cause = groups
            .first()
            .map(|it| it.correlation)
            .filter(|it| it.0 != 0);
        let changes = Changes {
            space,
            class,
            upto,
            groups,
        };
        self.credit.sent(class, Credit::cost(&changes));
        let cause = cause.unwrap_or(self.config.correlation);
        self.queue
            .push_back(Output::Send(encode(cause, &Message::Changes(changes))));
        Ok(true)
    }

    /// Nothing to send in this space: tell how far that is, and compare. Says whether the peer has
    /// acknowledged everything.
    fn quiet(&mut self, now: Instant, space: SpaceId, inventory: &dyn Inventory) -> Result<bool> {
        let Some(link) = self.spaces.get_mut(&space) else {
            return Ok(true);
        };
        if link.owes_walk && link.walks_done > 0 && link.is_walk_settled() {
            link.owes_walk = false;
        }
        let lsn = inventory.lsn(space)?;
        if link.can_mark() && link.live == lsn && link.relay.is_empty() {
            if link.unmarked {
                let upto = link.live;
                link.unmarked = false;
                link.announced = upto;
                let mark = Changes {
                    space,
                    class: Class::Live,
                    upto,
                    groups: Vec::new(),
                };
                self.send(&Message::Changes(mark));
                return Ok(false);
            }
            if link.announced == link.cursor().acked && link.announced < lsn {
                // All since then came from the peer itself, or does not concern it.
                link.settle(lsn);
                self.queue.push_back(Output::Acked { space, lsn });
                return Ok(false);
            }
        }
        let is_idle = link.is_idle(lsn);
        if is_idle && link.root_due {
            link.root_sent(now);
            let root = link.root(inventory)?;
            self.send(&Message::Root { space, root, lsn });
        }
        Ok(is_idle)
    }
}

/// Commits since they were last looked at, and those that were held back in vain.
fn live(link: &mut SpaceLink, way: &Way<'_>) -> Result<Filling> {
    let mut filling = Filling::new();
    waited(link, way, &mut filling)?;
    let end = way.inventory.lsn(link.space())?;
    if !filling.is_full() && link.live < end {
        link.live = from_log(link, way, (link.live, end), Class::Live, &mut filling)?;
        waited(link, way, &mut filling)?;
    }
    Ok(filling)
}

/// What need not wait any longer for the peer to bring it.
fn waited(link: &mut SpaceLink, way: &Way<'_>, filling: &mut Filling) -> Result<()> {
    while !filling.is_full()
        && let Some(lsn) = link.relay.next_due()
    {
        if let Some(entry) = way.inventory.entry(link.space(), lsn)?
            && !link.offers(way.own, &entry)
        {
            let correlation = entry.correlation;
            filling.push(entry, correlation);
        }
    }
    Ok(())
}

/// Commits from before the session that the peer's cursor does not cover.
fn backlog(link: &mut SpaceLink, way: &Way<'_>) -> Result<Filling> {
    let mut filling = Filling::new();
    let Some((after, end)) = link.backlog else {
        return Ok(filling);
    };
    let reached = from_log(link, way, (after, end), Class::Bulk, &mut filling)?;
    link.backlog = (reached < end).then_some((reached, end));
    Ok(filling)
}

/// Fills a frame with what is in the log after one number and up to another; gives where it ends.
fn from_log(
    link: &mut SpaceLink,
    way: &Way<'_>,
    (after, end): (Lsn, Lsn),
    class: Class,
    filling: &mut Filling,
) -> Result<Lsn> {
    let mut reached = after;
    let mut author: Option<(RecordKey, ActorId)> = None;
    way.inventory.log(link.space(), after, &mut |entry| {
        if entry.lsn > end || filling.is_full() {
            return ControlFlow::Break(());
        }
        reached = entry.lsn;
        if author.as_ref().is_none_or(|(key, _)| *key != entry.key) {
            let actor = ActorId::of(way.peer.store, &entry.key);
            author = Some((entry.key.clone(), actor));
        }
        // No echo: neither to whom it came from, nor by a detour to who wrote it.
        let is_returned = entry.origin == way.peer.store;
        let is_theirs = is_returned
            || author
                .as_ref()
                .is_some_and(|(_, actor)| *actor == entry.actor);
        // Who is named as its author may never have seen it: a name can be forged.
        link.stirred |= is_theirs && !is_returned;
        let skips = is_theirs && !plant::is_planted(Plant::EchoToSender);
        let covers =
            link.covers(&entry.key.collection) || plant::is_planted(Plant::IgnoreSubscription);
        if skips || !covers {
            return ControlFlow::Continue(());
        }
        if class == Class::Live && link.waits(way, &entry) {
            return ControlFlow::Continue(());
        }
        let correlation = match class {
            Class::Live => entry.correlation,
            Class::Bulk => CorrelationId::default(),
        };
        filling.push(entry, correlation);
        ControlFlow::Continue(())
    })?;
    // Trimmed or foreign numbers at the end leave no row to see.
    Ok(if filling.is_full() { reached } else { end })
}

/// What walks found, and what the peer asked for.
pub(super) fn pushed(link: &mut SpaceLink, inventory: &dyn Inventory) -> Result<Filling> {
    let mut filling = Filling::new();
    while !filling.is_full() {
        if let Some(mut record) = link.current.take() {
            fill_record(&mut record, &mut filling, inventory)?;
            if record.pieces.is_empty() {
                // What a walk found answers nothing: the peer may have asked besides.
                if record.asked {
                    filling.done(&record.key);
                }
                link.pushed(&record.key);
            } else {
                link.current = Some(record);
            }
            continue;
        }
        match link.next_push() {
            Some(Push::Record { key, known, asked }) => {
                let pieces = inventory.lacking(&key, &known)?.into();
                link.current = Some(RecordPush { key, pieces, asked });
            }
            Some(Push::Range { .. }) if link.open_wants.len() >= limits::OPEN_WANTS_MAX => break,
            Some(range @ Push::Range { .. }) => expand(link, range, inventory)?,
            None => break,
        }
    }
    Ok(filling)
}

fn fill_record(
    record: &mut RecordPush,
    filling: &mut Filling,
    inventory: &dyn Inventory,
) -> Result<()> {
    while !filling.is_full()
        && let Some(piece) = record.pieces.pop_front()
    {
        if let Some(entry) = inventory.entry(record.key.space, piece.lsn)? {
            filling.push(entry, CorrelationId::default());
            continue;
        }
        // It was folded, now or long ago: the snapshot has it, and all before it.
        if let Some(snapshot) = inventory.snapshot(&record.key)? {
            record.pieces.retain(|it| it.position >= snapshot.changes);
            if !plant::is_planted(Plant::WithholdSnapshot) {
                filling.snapshot(&record.key, snapshot);
            }
        }
    }
    Ok(())
}

/// Takes the next records of a range: sends what is small or surely missing, offers the rest.
fn expand(link: &mut SpaceLink, range: Push, inventory: &dyn Inventory) -> Result<()> {
    let Push::Range {
        collection,
        span,
        listed,
        empty,
    } = range
    else {
        return Ok(());
    };
    let limit = limits::RANGE_RECORDS;
    let items = inventory.items(link.space(), &collection, span, limit)?;
    let rest = items
        .last()
        .filter(|_| items.len() == limit)
        .map(WalkItem::key);
    let mut records = Vec::new();
    for item in items.iter().filter(|it| !listed.contains(&it.record)) {
        let record = item.record;
        let key = RecordKey {
            space: link.space(),
            collection: collection.clone(),
            record,
        };
        if empty || inventory.weight(&key)? <= limits::PUSH_UNASKED_BYTES {
            records.push(Push::Record {
                key,
                known: Vec::new(),
                asked: false,
            });
        } else {
            // The peer may have most of it at another place of the order: let it say.
            link.ask(key);
        }
    }
    if let Some(upper) = rest {
        let span = Span {
            lower: span.lower,
            upper: Upper::Key(upper),
        };
        link.pushes.push_front(Push::Range {
            collection,
            span,
            listed,
            empty,
        });
    }
    for record in records.into_iter().rev() {
        link.pushes.push_front(record);
    }
    Ok(())
}

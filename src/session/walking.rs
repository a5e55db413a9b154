//! Looking for differences: the steps of walks, and what they make a side ask for.

use super::Session;
use super::space::SpaceLink;
use crate::access::Role;
use crate::error::Result;
use crate::id::SpaceId;
use crate::limits;
use crate::reconcile::{Extent, Inventory, RangeKind, Step, WalkCollection, respond, start};
use crate::time::Instant;
use crate::wire::{Message, Walk, Want, WantRecord};

impl Session {
    /// Sends a step of a walk, or a request; says whether it did.
    pub(super) fn reconcile(
        &mut self,
        now: Instant,
        space: SpaceId,
        inventory: &dyn Inventory,
    ) -> Result<bool> {
        let is_dialer = self.config.role == Role::Dialer;
        let Some(link) = self.spaces.get_mut(&space) else {
            return Ok(false);
        };
        let message = if !link.wants.is_empty() {
            if !link.is_waiting_for_peer() {
                link.progress = now;
            }
            Some(Message::Want(next_want(link, inventory)?))
        } else if link.start_walk && (link.walks_done == 0 || link.is_between_walks()) {
            link.start_walk = false;
            link.progress = now;
            Some(Message::Walk(first_walk(link, is_dialer, inventory)?))
        } else if link.pushes.len() < limits::PUSH_QUEUE_MAX / 2
            && link.open_wants.len() < limits::OPEN_WANTS_MAX
            && link.answers_walk()
            && let Some(walk) = link.walks.pop_front()
        {
            link.progress = now;
            let next = next_walk(link, &walk, inventory)?.map(Message::Walk);
            // The peer takes the end of a walk for the end of what it owes, so what the walk made
            // us ask for goes first.
            let mut asked = Vec::new();
            while !link.wants.is_empty() {
                asked.push(Message::Want(next_want(link, inventory)?));
            }
            let any = next.is_some() || !asked.is_empty();
            asked.iter().chain(&next).for_each(|it| self.send(it));
            return Ok(any);
        } else {
            None
        };
        let Some(message) = message else {
            return Ok(false);
        };
        self.send(&message);
        Ok(true)
    }
}

impl SpaceLink {
    /// Whether the next walk message is to be answered: one that begins another walk waits until the
    /// peer was sent what the last one found, which it would only find again.
    fn answers_walk(&self) -> bool {
        let next = self.walks.front();
        next.is_some_and(|it| it.round > 0 || may_be_partial(it.id) || self.has_pushed())
    }

    /// A walk is over. One that left something is followed by another, begun by the same side.
    fn end_walk(&mut self, id: u64) {
        self.walks_done += 1;
        let is_ours = self.walking == Some(id);
        if is_ours {
            self.walking = None;
        }
        if self.partial.remove(&id) {
            self.unfinished = true;
            self.start_walk |= is_ours;
        } else if !may_be_partial(id) {
            self.unfinished = false;
        }
    }
}

/// Whether a walk goes into the newest differences first and may leave the others: the first of each
/// side does.
pub(super) const fn may_be_partial(walk: u64) -> bool {
    walk < 2
}

fn next_want(link: &mut SpaceLink, inventory: &dyn Inventory) -> Result<Want> {
    let mut records = Vec::new();
    let mut hashes = 0;
    while hashes < limits::WANT_HASHES_MAX
        && let Some(key) = link.wants.pop_front()
    {
        let mut have = inventory.samples(&key)?;
        hashes += have.len() + 1;
        let heads = inventory.heads(&key)?;
        let heads = heads.map_or(0, |it| it.as_slice().len());
        let older = have.split_off(heads.min(have.len()));
        records.push(WantRecord {
            collection: key.collection,
            record: key.record,
            have,
            older,
        });
    }
    Ok(Want {
        space: link.space(),
        records,
    })
}

fn first_walk(link: &mut SpaceLink, is_dialer: bool, inventory: &dyn Inventory) -> Result<Walk> {
    let collections = start(inventory, link.space(), &link.collections(inventory)?)?;
    // Numbers tell the walks of both sides apart.
    let id = link.walks_done * 2 + u64::from(is_dialer);
    link.walking = Some(id);
    Ok(Walk {
        space: link.space(),
        id,
        round: 0,
        collections,
    })
}

fn next_walk(link: &mut SpaceLink, walk: &Walk, inventory: &dyn Inventory) -> Result<Option<Walk>> {
    let is_end = walk.collections.is_empty() && walk.round > 0;
    let added = if walk.round == 0 {
        link.collections(inventory)?
    } else {
        Vec::new()
    };
    let (extent, is_later) = extent(walk);
    let step = respond(inventory, link.space(), &walk.collections, &added, extent)?;
    let Step { reply, push, want } = step;
    if is_later || leaves_some(&reply) {
        link.partial.insert(walk.id);
    }
    for push in push {
        link.enqueue(push);
    }
    for key in want {
        link.ask(key);
    }
    if reply.is_empty() {
        link.end_walk(walk.id);
    }
    if is_end {
        return Ok(None);
    }
    let round = walk.round.saturating_add(1);
    Ok(Some(Walk {
        space: link.space(),
        id: walk.id,
        round,
        collections: reply,
    }))
}

/// How far to go in answer to a message, and whether it leaves something for the next walk.
fn extent(walk: &Walk) -> (Extent, bool) {
    let extent = if may_be_partial(walk.id) {
        Extent::Newest
    } else {
        Extent::All
    };
    (extent, leaves_some(&walk.collections))
}

fn leaves_some(collections: &[WalkCollection]) -> bool {
    let mut ranges = collections.iter().flat_map(|it| &it.ranges);
    ranges.any(|it| it.kind == RangeKind::Later)
}

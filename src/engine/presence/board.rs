//! What is known of others' presences, and by which ways.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::engine::LinkId;
use crate::id::{ReplicaId, SpaceId};
use crate::limits;
use crate::plant::{self, Plant};
use crate::session::Telling;
use crate::time::Instant;
use crate::wire::{Note, Spot};

/// What others show. A presence that was taken back is remembered until it would have expired, so
/// that what comes late by another way does not bring it back.
#[derive(Debug, Default)]
pub(in crate::engine) struct Board {
    spaces: BTreeMap<SpaceId, BTreeMap<Spot, Entry>>,
    expiring: BTreeSet<(Instant, Spot)>,
    /// By which link each entry came first; they count for it.
    links: BTreeMap<LinkId, Tally>,
    authors: BTreeMap<(SpaceId, ReplicaId), usize>,
    total: Tally,
}

#[derive(Debug)]
struct Entry {
    note: Arc<Note>,
    until: Instant,
    hops: u8,
    ways: BTreeSet<LinkId>,
    /// The link that it counts for.
    brought_by: LinkId,
}

impl Entry {
    fn telling(&self) -> Telling {
        Telling::Said {
            hops: self.hops,
            until: self.until,
            note: Arc::clone(&self.note),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    count: usize,
    bytes: usize,
}

/// What follows from what a link has said.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing: it is known, or old.
    Known,
    /// Nothing: there is no room for it.
    Full,
    /// Tell the others, and whoever watches.
    News(Telling, Bytes),
    /// Tell the others; what is shown is the same.
    Newer(Telling),
    /// Tell the others, and whoever watches that it is gone.
    Gone(Telling),
    /// The link has lost its way; ours is left: tell the link.
    Elsewhere(Telling),
}

impl PartialEq for Outcome {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Board {
    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.total.count).unwrap_or(u64::MAX)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let kept = plant::is_planted(Plant::KeepPresence);
        self.expiring.first().map(|it| it.0).filter(|_| !kept)
    }

    /// A link says what an author says; `told` is what we tell of it from now on.
    pub(super) fn hear(&mut self, spot: &Spot, link: LinkId, told: &Telling) -> Outcome {
        let Telling::Said { hops, until, note } = told else {
            return Outcome::Known;
        };
        let room = self.spaces.get_mut(&spot.slot.space);
        if let Some(entry) = room.and_then(|it| it.get_mut(spot)) {
            if note.stamp < entry.note.stamp {
                return Outcome::Known;
            }
            if note.stamp == entry.note.stamp {
                add_way(entry, link, *hops);
                return Outcome::Known;
            }
            return self.replace(spot, link, told);
        }
        if note.is_gone() {
            return Outcome::Known;
        }
        if !self.has_room(spot, link, note.payload.len()) {
            return Outcome::Full;
        }
        let entry = Entry {
            note: Arc::clone(note),
            until: *until,
            hops: *hops,
            ways: [link].into(),
            brought_by: link,
        };
        self.insert(spot.clone(), entry);
        Outcome::News(told.clone(), note.payload.clone())
    }

    /// Puts a newer note in place of the one that is there.
    fn replace(&mut self, spot: &Spot, link: LinkId, told: &Telling) -> Outcome {
        let Telling::Said { hops, until, note } = told else {
            return Outcome::Known;
        };
        let Some(old) = self.remove(spot) else {
            return Outcome::Known;
        };
        if !self.has_room(spot, link, note.payload.len()) {
            self.insert(spot.clone(), old);
            return Outcome::Full;
        }
        let entry = Entry {
            note: Arc::clone(note),
            // Until what it takes back would have expired.
            until: if note.is_gone() { old.until } else { *until },
            hops: *hops,
            ways: [link].into(),
            brought_by: link,
        };
        self.insert(spot.clone(), entry);
        match (old.note.is_gone(), note.is_gone()) {
            (true, true) => Outcome::Newer(told.clone()),
            (false, true) => Outcome::Gone(told.clone()),
            (false, false) if old.note.payload == note.payload => Outcome::Newer(told.clone()),
            (_, false) => Outcome::News(told.clone(), note.payload.clone()),
        }
    }

    /// A link has no way to the author any more.
    pub(super) fn lose(&mut self, spot: &Spot, link: LinkId) -> Outcome {
        let room = self.spaces.get_mut(&spot.slot.space);
        let Some(entry) = room.and_then(|it| it.get_mut(spot)) else {
            return Outcome::Known;
        };
        if entry.note.is_gone() {
            return Outcome::Known;
        }
        let was_way = entry.ways.remove(&link);
        if !entry.ways.is_empty() {
            return Outcome::Elsewhere(entry.telling());
        }
        if was_way {
            self.remove(spot);
            return Outcome::Gone(Telling::Lost);
        }
        Outcome::Known
    }

    /// A link is gone; gives the presences that are gone with it.
    pub(super) fn forget(&mut self, link: LinkId) -> Vec<Spot> {
        let mut gone = Vec::new();
        for entries in self.spaces.values_mut() {
            for (spot, entry) in entries {
                let was_way = entry.ways.remove(&link);
                if was_way && entry.ways.is_empty() && !entry.note.is_gone() {
                    gone.push(spot.clone());
                }
            }
        }
        for spot in &gone {
            self.remove(spot);
        }
        gone
    }

    /// Takes out what has expired; gives what was still shown.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Spot> {
        let mut expired = Vec::new();
        while let Some((at, spot)) = self.expiring.first().cloned()
            && at <= now
            && !plant::is_planted(Plant::KeepPresence)
        {
            let entry = self.remove(&spot);
            if entry.is_some_and(|it| !it.note.is_gone()) {
                expired.push(spot);
            }
        }
        expired
    }

    /// What is shown in a space, for a link that does not bring it itself.
    pub(super) fn known(&self, space: SpaceId, link: LinkId) -> Vec<(Spot, Telling)> {
        let entries = self.spaces.get(&space).into_iter().flatten();
        let shown = entries.filter(|(_, it)| !it.note.is_gone() && !it.ways.contains(&link));
        shown
            .map(|(spot, entry)| (spot.clone(), entry.telling()))
            .collect()
    }

    fn has_room(&self, spot: &Spot, link: LinkId, bytes: usize) -> bool {
        let space = spot.slot.space;
        let in_space = self.spaces.get(&space).map_or(0, BTreeMap::len);
        let by_author = self.authors.get(&(space, spot.author)).copied();
        let by_link = self.links.get(&link).copied().unwrap_or_default();
        in_space < limits::PRESENCES_PER_SPACE_MAX
            && by_author.unwrap_or_default() < limits::PRESENCES_PER_AUTHOR_MAX
            && by_link.count < limits::PRESENCES_PER_LINK_MAX
            && by_link.bytes + bytes <= limits::PRESENCES_PER_LINK_BYTES_MAX
            && self.total.count < limits::PRESENCES_MAX
            && self.total.bytes + bytes <= limits::PRESENCES_BYTES_MAX
    }

    fn insert(&mut self, spot: Spot, entry: Entry) {
        let space = spot.slot.space;
        let bytes = entry.note.payload.len();
        let by_link = self.links.entry(entry.brought_by).or_default();
        for tally in [by_link, &mut self.total] {
            tally.count += 1;
            tally.bytes += bytes;
        }
        *self.authors.entry((space, spot.author)).or_default() += 1;
        self.expiring.insert((entry.until, spot.clone()));
        self.spaces.entry(space).or_default().insert(spot, entry);
    }

    fn remove(&mut self, spot: &Spot) -> Option<Entry> {
        let space = spot.slot.space;
        let entries = self.spaces.get_mut(&space)?;
        let entry = entries.remove(spot)?;
        if entries.is_empty() {
            self.spaces.remove(&space);
        }
        self.expiring.remove(&(entry.until, spot.clone()));
        let bytes = entry.note.payload.len();
        self.total.count = self.total.count.saturating_sub(1);
        self.total.bytes = self.total.bytes.saturating_sub(bytes);
        if let Some(tally) = self.links.get_mut(&entry.brought_by) {
            tally.count = tally.count.saturating_sub(1);
            tally.bytes = tally.bytes.saturating_sub(bytes);
            if tally.count == 0 {
                self.links.remove(&entry.brought_by);
            }
        }
        let author = (space, spot.author);
        if let Some(count) = self.authors.get_mut(&author) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.authors.remove(&author);
            }
        }
        Some(entry)
    }
}

/// The same note came by another way as well. It counts if it is as short as the others: who told us
/// is nearer to the author than we are then, and can't have it from us.
fn add_way(entry: &mut Entry, link: LinkId, hops: u8) {
    if hops < entry.hops {
        entry.hops = hops;
        entry.ways = [link].into();
    } else if hops == entry.hops {
        entry.ways.insert(link);
    }
}

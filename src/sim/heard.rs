//! What hosts hear of each other: what they asked for, and nothing that they have sent themselves.

use std::collections::btree_map::Entry;

use super::class::{Class, Classes};
use super::fact::{Heard, PARTIAL_WALK};
use super::oracle::{Oracle, Verdict, Written};
use super::world::World;
use crate::id::{ChangeHash, RecordKey};
use crate::wire;

impl Oracle {
    /// Checks what a host heard of another.
    pub(super) fn heard(
        &mut self,
        world: &World,
        (from, to): (usize, usize),
        heard: &Heard,
        classes: &mut Classes,
    ) -> Verdict {
        let Heard::Changes { class, groups, .. } = heard else {
            match heard {
                Heard::Other("walk") => classes.reach(Class::Walked),
                Heard::Other(PARTIAL_WALK) => classes.reach(Class::LeftForLater),
                Heard::Other("want") => classes.reach(Class::Asked),
                _ => {}
            }
            return Ok(());
        };
        if !groups.is_empty() {
            classes.reach(match class {
                wire::Class::Live => Class::LivePushed,
                wire::Class::Bulk => Class::BulkPushed,
            });
        }
        self.just_heard.clear();
        for (key, done, hashes) in groups {
            self.wanted(world, (from, to), key)?;
            for hash in hashes {
                if *class == wire::Class::Live && !done {
                    self.no_echo(world, (from, to), hash)?;
                }
                if let Entry::Vacant(entry) = self.first_from.entry((to, *hash)) {
                    entry.insert(from);
                    self.just_heard.insert((to, *hash));
                }
            }
        }
        Ok(())
    }

    fn wanted(&self, world: &World, (from, to): (usize, usize), key: &RecordKey) -> Verdict {
        let Ok(host) = world.host(to) else {
            return Ok(());
        };
        let is_wanted = |(space, wanted): &(_, wire::Wanted)| {
            *space == key.space && wanted.includes(&key.collection)
        };
        if from < world.len() && !host.wanted().iter().any(is_wanted) {
            let text = format!("host {from} sent {to} records of {}", key.collection);
            return self.fail("only what was asked for is sent", text);
        }
        Ok(())
    }

    fn no_echo(&self, world: &World, (from, to): (usize, usize), hash: &ChangeHash) -> Verdict {
        let is_author = |it: &Written| {
            it.host == to && world.host(to).is_ok_and(|host| host.store_id() == it.store)
        };
        // The author's own may come back to it under a name it is not known by, and cross with it.
        let knew = self.written.get(hash).is_some_and(|it| it.host == from)
            || self.heard_before.contains(&(from, *hash));
        let returned = !knew && self.first_from.get(&(from, *hash)) == Some(&to);
        // Whose changes a stranger has forged goes on under another name, which nobody knows for its.
        let knows_author = !self.strangers && self.written.get(hash).is_some_and(is_author);
        if returned || knows_author {
            let text = format!("host {from} sent {} back to {to}", hash.short());
            return self.fail("nothing is echoed", text);
        }
        Ok(())
    }

    /// What was heard last waits for a worker: until that is done the host may have the same from
    /// others, and pass it on to whoever it was heard of.
    pub(super) fn held_back(&mut self) {
        self.heard_before.append(&mut self.just_heard);
    }
}

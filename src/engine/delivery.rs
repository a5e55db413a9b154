//! Who waits until a record is held by whom.

use std::collections::BTreeSet;

use super::{Engine, Reply, Ticket};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Lsn, RecordKey, ReplicaId, SpaceId, StoreId};
use crate::limits;
use crate::reconcile::Inventory;

/// Which peers a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// This replica.
    Replica(ReplicaId),
    /// Any this many different stores.
    Stores(usize),
}

/// A caller that waits until a record is delivered.
#[derive(Debug)]
pub(super) struct Waiter {
    pub ticket: Ticket,
    space: SpaceId,
    lsn: Lsn,
    target: Target,
    reached: BTreeSet<StoreId>,
}

impl Waiter {
    /// A peer holds the log of a space up to `lsn`. Says whether that was all there was to wait for.
    pub(super) fn hears(
        &mut self,
        (replica, store): (ReplicaId, StoreId),
        space: SpaceId,
        lsn: Lsn,
    ) -> bool {
        if space != self.space || lsn < self.lsn {
            return false;
        }
        match self.target {
            Target::Replica(wanted) => wanted == replica,
            Target::Stores(count) => {
                self.reached.insert(store);
                self.reached.len() >= count
            }
        }
    }
}

impl Engine {
    pub(super) fn wait(&mut self, ticket: Ticket, key: &RecordKey, target: Target) {
        match self.waiter(ticket, key, target) {
            Ok(Some(waiter)) => self.waiters.push(waiter),
            Ok(None) => self.reply(ticket, Reply::Delivered(Ok(()))),
            Err(error) => self.reply(ticket, Reply::Delivered(Err(error))),
        }
    }

    /// What is still to be waited for, if anything.
    fn waiter(&self, ticket: Ticket, key: &RecordKey, target: Target) -> Result<Option<Waiter>> {
        if self.waiters.len() >= limits::DELIVERY_WAITERS_MAX {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "too many callers wait for deliveries",
            ));
        }
        let Some(lsn) = self.replica.record_lsn(key)? else {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("there is no record {key}"),
            ));
        };
        let space = key.space;
        let mut waiter = Waiter {
            ticket,
            space,
            lsn,
            target,
            reached: BTreeSet::new(),
        };
        for peer in self.replica.peers()? {
            let acked = self.acked_by(peer, space)?;
            if waiter.hears(peer, space, acked) {
                return Ok(None);
            }
        }
        Ok(Some(waiter))
    }

    /// How far a peer has acknowledged, by its session or, without one, by its cursor.
    pub(super) fn acked_by(&self, (_, store): (ReplicaId, StoreId), space: SpaceId) -> Result<Lsn> {
        let link = self.by_store.get(&store).and_then(|it| self.links.get(it));
        let live = link.and_then(|it| it.session.status().find(|it| it.space == space));
        let stored = self.replica.cursor(store, space)?.unwrap_or_default().acked;
        Ok(live.map_or(stored, |it| it.acked.max(stored)))
    }

    /// How many changes of a space a peer has not acknowledged.
    pub(super) fn backlog(&self, acked: Lsn, space: SpaceId) -> u64 {
        let lsn = self.replica.lsn(space).unwrap_or_default();
        lsn.0.saturating_sub(acked.0)
    }
}

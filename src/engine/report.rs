//! Gauges that show how the replica stands, brought up to date at most once a second while
//! anything happens.

use std::collections::BTreeSet;

use super::Engine;
use super::turn::as_f64;
use crate::error::Result;
use crate::id::{ReplicaId, StoreId};
use crate::limits;
use crate::telemetry::names::{self, label};
use crate::time::Now;

impl Engine {
    /// Something happened: the gauges are to be looked at in a while.
    pub(super) fn note_activity(&mut self, now: Now) {
        let due = now.instant + limits::REPORT_EVERY;
        self.report_at = self.report_at.or(Some(due));
    }

    /// Sets the gauges, if that is due.
    pub(super) fn report(&mut self, now: Now) {
        if self.report_at.is_none_or(|at| now.instant < at) {
            return;
        }
        self.report_at = None;
        let quarantine = self.replica.quarantine_size().entries;
        metrics::gauge!(names::QUARANTINE_ENTRIES).set(as_f64(quarantine));
        let behind = u64::try_from(self.views_behind()).unwrap_or(u64::MAX);
        metrics::gauge!(names::VIEWS_STALE).set(as_f64(behind));
        for status in self.dialer.status() {
            let peer = status.address.as_str().to_owned();
            let state = f64::from(status.breaker.gauge());
            metrics::gauge!(names::BREAKER_STATE, label::PEER => peer).set(state);
        }
        let dialled = self.dialer.status();
        let dialled = dialled.filter_map(|it| it.replica.zip(it.store));
        let linked = self.links.values().filter_map(|it| it.peer);
        let peers: BTreeSet<_> = dialled.chain(linked).collect();
        for (replica, store) in peers {
            // Where the store can't be read there is nothing to say.
            if let Ok(backlog) = self.backlog_of((replica, store)) {
                let peer = replica.to_string();
                metrics::gauge!(names::BACKLOG_CHANGES, label::PEER => peer).set(as_f64(backlog));
            }
        }
    }

    /// Log entries of all spaces that a peer has not acknowledged, whether it is here or not.
    fn backlog_of(&self, peer: (ReplicaId, StoreId)) -> Result<u64> {
        let mut backlog = 0;
        for space in self.replica.spaces() {
            backlog += self.backlog(self.acked_by(peer, space)?, space);
        }
        Ok(backlog)
    }
}

//! What must hold of attachments at the end of a run.

use std::collections::BTreeSet;

use super::steps::Rule;
use crate::engine::Engine;
use crate::id::{BlobId, StoreId};
use crate::limits;
use crate::sim::host::Host;
use crate::sim::oracle::{Failure, Verdict};
use crate::sim::run::Run;
use crate::sim::world::World;

/// Steps in which everything is swept that a run can leave.
const SWEEPS_MAX: u32 = 64;

impl Run<'_> {
    /// What is wanted came from who has it, what is to be had by rule is wanted, and nothing is left of
    /// what was removed.
    pub(in crate::sim) fn attachments_came(&mut self, live: &[usize]) -> Verdict {
        self.sweep(live)?;
        for host in live {
            self.oracle
                .look_at_blobs(&self.world, *host, self.classes)?;
            let Some(engine) = self.engine(*host) else {
                continue;
            };
            if engine.replica().has_loose_chunks() {
                let text = format!("host {host} keeps chunks of what was removed");
                return self.oracle.fail("removed is gone", text);
            }
            self.wanted_came(*host, engine)?;
            self.names_are_known(*host, engine)?;
        }
        Ok(())
    }

    /// Gives all the time that sweeping takes: a host that is alone is in step the moment it is started anew,
    /// and has had no time since.
    fn sweep(&mut self, live: &[usize]) -> Verdict {
        for _ in 0..SWEEPS_MAX {
            let sweeps = |it: &usize| {
                self.engine(*it)
                    .is_some_and(|it| it.replica().has_loose_chunks())
            };
            if !live.iter().any(sweeps) {
                break;
            }
            self.advance(limits::BLOB_SWEEP_PAUSE)?;
        }
        Ok(())
    }

    fn engine(&self, host: usize) -> Option<&Engine> {
        self.world.host(host).ok().and_then(Host::engine)
    }

    fn wants(&self, host: usize) -> Result<BTreeSet<BlobId>, Failure> {
        let wanted = self.engine(host).map(|it| it.replica().fetches());
        let wanted = self.oracle.read(wanted.unwrap_or_else(|| Ok(Vec::new())))?;
        Ok(wanted.into_iter().map(|it| it.1).collect())
    }

    /// Nothing is wanted that somebody has to whom there is a link, or would fetch when asked.
    fn wanted_came(&self, host: usize, engine: &Engine) -> Verdict {
        let peers: BTreeSet<StoreId> = engine
            .status(self.world.now())
            .links
            .iter()
            .filter_map(|it| it.peer.map(|(_, store)| store))
            .collect();
        let is_peer = |it: &usize| {
            let store = self.world.host(*it).map(Host::store_id);
            store.is_ok_and(|it| peers.contains(&it))
        };
        let peers: Vec<_> = (0..self.scenario.hosts).filter(is_peer).collect();
        for blob in self.wants(host)? {
            for peer in &peers {
                let Some(other) = self.engine(*peer) else {
                    continue;
                };
                let has = self
                    .oracle
                    .read(other.replica().has_blob(World::space(), blob))?;
                let named = other.replica().is_blob_named(World::space(), blob);
                let asks_on = Rule::of(self.scenario.seed, *peer) == Rule::OnRequest
                    && self.oracle.read(named)?
                    && !self.wants(*peer)?.contains(&blob);
                if has || asks_on {
                    let text = format!("host {host} still wants {blob}, asks {peer}: has {has}");
                    return self.oracle.fail("wanted attachments come", text);
                }
            }
        }
        Ok(())
    }

    /// Whatever a change names counts as named, and is there or wanted where the rule says so.
    fn names_are_known(&self, host: usize, engine: &Engine) -> Verdict {
        let replica = engine.replica();
        let wanted = self.wants(host)?;
        for (key, hash, blob) in &self.oracle.blobs.names {
            if !self.oracle.read(replica.holds(key, hash))? {
                continue;
            }
            let named = replica.is_blob_named(World::space(), *blob);
            if !self.oracle.read(named)? {
                let text = format!("host {host} takes {blob} for one that nothing names");
                return self.oracle.fail("names of attachments are known", text);
            }
            let size = self.oracle.blobs.contents.get(blob).map_or(0, Vec::len);
            let bound = Rule::of(self.scenario.seed, host).bound(key.collection.as_str());
            let is_due = bound.is_some_and(|it| u64::try_from(size).is_ok_and(|size| size <= it))
                && !self.oracle.blobs.meddled.contains(&(host, *blob));
            let has = self.oracle.read(replica.has_blob(World::space(), *blob))?;
            if is_due && !has && !wanted.contains(blob) {
                let text = format!("host {host} does not want {blob}, as its rule says");
                return self.oracle.fail("rules are kept to", text);
            }
        }
        Ok(())
    }
}

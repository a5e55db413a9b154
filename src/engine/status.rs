//! How a replica stands, for people, dashboards and tests.

use std::time::Duration;

use super::blobs::BlobReport;
use super::{Engine, LinkId};
use crate::access::Role;
use crate::error::ErrorKind;
use crate::id::{Lsn, ReplicaId, SpaceId, StoreId};
use crate::peer::{BreakerState, PeerAddress, PeerState};
use crate::reconcile::{Inventory, Span};
use crate::replica::QuarantineSize;
use crate::session::SpaceStatus;
use crate::time::{Instant, Now};

/// How a replica stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Who it is.
    pub replica: ReplicaId,
    /// Its store.
    pub store: StoreId,
    /// Its spaces.
    pub spaces: Vec<SpaceReport>,
    /// Its links.
    pub links: Vec<LinkStatus>,
    /// The peers it dials.
    pub peers: Vec<PeerReport>,
    /// What could not be applied.
    pub quarantine: QuarantineSize,
    /// Bytes of its store, if known.
    pub store_bytes: Option<u64>,
    /// Views that are being brought up to date.
    pub views_behind: usize,
    /// Transfers of attachments.
    pub attachments: BlobReport,
    /// An earlier write failed; only reads go on.
    pub read_only: bool,
    /// Why it failed.
    pub failure: Option<(ErrorKind, String)>,
}

impl Status {
    /// Whether there is a link, every linked peer has acknowledged all that is here, all that each
    /// of them had when it was linked is here, all views are up to date, and no attachment is on its
    /// way.
    pub fn is_synced(&self) -> bool {
        let is_done = |(space, backlog): &(SpaceStatus, u64)| {
            let is_quiet = !space.walking && space.pending_records == 0 && *backlog == 0;
            space.refused.is_some() || (space.active && space.caught_up && is_quiet)
        };
        let mut links = self.links.iter();
        !self.links.is_empty()
            && self.views_behind == 0
            && self.attachments.coming == 0
            && self.attachments.leaving == 0
            && links.all(|it| it.peer.is_some() && it.spaces.iter().all(is_done))
    }
}

/// One space of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpaceReport {
    /// The space.
    pub space: SpaceId,
    /// Number of changes applied here.
    pub lsn: Lsn,
    /// The number up to which changes have been folded; all after it are loose in the log.
    pub horizon: Lsn,
    /// Its collections, with the number of their records, deleted ones included.
    pub collections: Vec<(String, u64)>,
    /// Digest of all records at their heads: equal on replicas that hold the same.
    pub root: String,
}

/// One link.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkStatus {
    /// The link.
    pub link: LinkId,
    /// The other end.
    pub address: String,
    /// Whether we dialled it.
    pub dialled: bool,
    /// Who is there, once proved.
    pub peer: Option<(ReplicaId, StoreId)>,
    /// The spaces, with the number of changes the peer has not acknowledged.
    pub spaces: Vec<(SpaceStatus, u64)>,
}

/// One peer that is dialled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerReport {
    /// Where.
    pub address: PeerAddress,
    /// Who is expected or was last seen there.
    pub replica: Option<ReplicaId>,
    /// Where dialling stands.
    pub state: PeerState,
    /// The circuit breaker.
    pub breaker: BreakerState,
    /// Failures in a row.
    pub failures: u32,
    /// Attempts made.
    pub attempts: u64,
    /// Time until the next attempt.
    pub next_attempt: Option<Duration>,
    /// Why the last attempt or session ended.
    pub last_error: Option<String>,
}

impl Engine {
    /// How the replica stands.
    pub fn status(&self, now: Now) -> Status {
        let until = |at: Instant| at.since(now.instant);
        Status {
            replica: self.identity.replica_id(),
            store: self.replica.id(),
            spaces: self
                .replica
                .spaces()
                .into_iter()
                .map(|it| self.space(it))
                .collect(),
            links: self.links.keys().filter_map(|it| self.link(*it)).collect(),
            peers: self
                .dialer
                .status()
                .map(|it| PeerReport {
                    address: it.address,
                    replica: it.replica,
                    state: it.state,
                    breaker: it.breaker,
                    failures: it.failures,
                    attempts: it.attempts,
                    next_attempt: it.next_attempt.map(until),
                    last_error: it.last_error,
                })
                .collect(),
            quarantine: self.replica.quarantine_size(),
            store_bytes: self.replica.store().size_bytes(),
            views_behind: self.views_behind(),
            attachments: self.blob_report(),
            read_only: self.replica.has_failed(),
            failure: self.failure.clone(),
        }
    }

    fn space(&self, space: SpaceId) -> SpaceReport {
        let names = self.replica.collections(space).unwrap_or_default();
        let mut root = crate::reconcile::Total::default();
        let mut collections = Vec::new();
        for name in names {
            let total = self
                .replica
                .total(space, &name, Span::ALL)
                .unwrap_or_default();
            root.merge(&total);
            collections.push((name.to_string(), total.count));
        }
        let root = u128::from_be_bytes(root.summary().sum);
        SpaceReport {
            space,
            lsn: self.replica.lsn(space).unwrap_or_default(),
            horizon: self.replica.horizon(space).unwrap_or_default(),
            collections,
            root: format!("{root:032x}"),
        }
    }

    fn link(&self, id: LinkId) -> Option<LinkStatus> {
        let link = self.links.get(&id)?;
        let spaces = link.session.status();
        Some(LinkStatus {
            link: id,
            address: link.address.clone(),
            dialled: link.session.role() == Role::Dialer,
            peer: link.peer,
            spaces: spaces
                .map(|it| (it.clone(), self.backlog(it.acked, it.space)))
                .collect(),
        })
    }
}

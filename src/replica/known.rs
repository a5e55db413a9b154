//! What is known of peers without a link: the delivery ledger as people read it.

use std::ops::ControlFlow;

use super::read::Rows;
use crate::codec::Reader;
use crate::error::Result;
use crate::id::{Lsn, ReplicaId, SpaceId, StoreId};
use crate::ledger::Peer;
use crate::store::{KeyRange, Order, Table};
use crate::time::WallTime;

/// A replica that was linked once, and what it has acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownPeer {
    /// The replica.
    pub replica: ReplicaId,
    /// The store that it had last.
    pub store: StoreId,
    /// When it was last linked.
    pub seen: WallTime,
    /// Of each space that it has acknowledged anything of: up to where, and how many changes came
    /// since.
    pub spaces: Vec<(SpaceId, Lsn, u64)>,
}

impl Rows<'_> {
    /// The replicas that were ever linked, with what each has acknowledged. A fifth of a second old at
    /// the most.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn known_peers(&self) -> Result<Vec<KnownPeer>> {
        let mut known = Vec::new();
        let order = Order::Ascending;
        self.scan(Table::Peers, KeyRange::ALL, order, &mut |key, row| {
            let replica = Reader::new(key).array("replica").map(ReplicaId::from_bytes);
            if let (Ok(replica), Ok(Peer { store, seen })) = (replica, Peer::decode(row)) {
                let spaces = Vec::new();
                known.push(KnownPeer {
                    replica,
                    store,
                    seen,
                    spaces,
                });
            }
            ControlFlow::Continue(())
        })?;
        for space in self.spaces()? {
            let Some(number) = self.number(space, None)? else {
                continue;
            };
            let last = self.last_lsn(number)?;
            for peer in &mut known {
                if let Some(cursor) = self.cursor(peer.store, space)? {
                    let behind = last.0.saturating_sub(cursor.acked.0);
                    peer.spaces.push((space, cursor.acked, behind));
                }
            }
        }
        Ok(known)
    }
}

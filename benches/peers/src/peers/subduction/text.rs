//! A text that is typed key by key and relayed by a hub.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::anyhow;
use automerge::transaction::Transactable as _;
use automerge::{Automerge, ObjId, ObjType, ROOT};
use subduction_core::storage::memory::MemoryStorage;

use super::{End, Replica, newest, peer_id, tree};
use crate::hub::SUBDUCTION_HUB;
use crate::workload::Patch;

/// Two replicas in memory with the same text, linked with a hub in a process of its own.
pub(crate) struct Typists {
    a: Replica<MemoryStorage>,
    b: Replica<MemoryStorage>,
    document: Automerge,
    body: ObjId,
    _links: [End; 2],
}

impl Typists {
    /// Makes an empty text on one, which gets to the other through the hub at this address.
    pub(crate) async fn link(hub: SocketAddr) -> anyhow::Result<Self> {
        let mut document = Automerge::new();
        let mut tx = document.transaction();
        let body = tx.put_object(ROOT, "body", ObjType::Text)?;
        tx.commit();
        let a = Replica::in_memory(1);
        let b = Replica::in_memory(2);
        a.store(0, BTreeSet::new(), &document).await?;
        let links = [
            a.dial(hub, SUBDUCTION_HUB).await?,
            b.dial(hub, SUBDUCTION_HUB).await?,
        ];
        for replica in [&a, &b] {
            replica.join(peer_id(SUBDUCTION_HUB), 0).await?;
        }
        b.until_has(1).await?;
        Ok(Self {
            a,
            b,
            document,
            body,
            _links: links,
        })
    }

    /// Types all of this on one, and waits until the other has it.
    pub(crate) async fn relay(&mut self, patches: &[Patch]) -> anyhow::Result<()> {
        let (mut head, _) = newest(&self.document)?;
        for (at, delete, insert) in patches {
            let mut tx = self.document.transaction();
            tx.splice_text(&self.body, *at, isize::try_from(*delete)?, insert)?;
            tx.commit();
            let (next, blob) = newest(&self.document)?;
            let parents = BTreeSet::from([head]);
            let added = self.a.core.add_commit(tree(0), next, parents, blob).await;
            added.map_err(|error| anyhow!("{error}"))?;
            head = next;
        }
        self.b.until_counts(0, 1 + patches.len()).await
    }
}

//! Many replicas in memory, in pairs that share records through a hub.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use sedimentree_core::loose_commit::id::CommitId;
use subduction_core::storage::memory::MemoryStorage;
use tokio::time::sleep;

use super::work::Writer;
use super::{End, Replica, peer_id, tree};
use crate::hub::SUBDUCTION_HUB;
use crate::peers::Way;

/// How often it is looked whether an edit has arrived: nothing tells.
const LOOK: Duration = Duration::from_millis(1);

/// The number of the first client, after the hub's.
const FIRST: usize = 10;

/// A record that one client edits and another gets.
pub(crate) struct Line {
    from: Arc<Replica<MemoryStorage>>,
    to: Arc<Replica<MemoryStorage>>,
    number: usize,
    writer: Writer,
}

impl Line {
    async fn arrived(&self, head: CommitId) -> anyhow::Result<()> {
        loop {
            let heads = self.to.core.get_heads(tree(self.number)).await;
            let heads = heads.map_err(|error| anyhow!("{error}"))?;
            if heads.is_some_and(|it| it.contains(&head)) {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }
}

impl Way for Line {
    async fn edit(&mut self, number: usize) -> anyhow::Result<()> {
        self.writer.edit(&self.from.core, number + 10).await?;
        self.arrived(self.writer.head()).await
    }
}

/// A pair of clients of the hub at this address, each with a record that it will edit; and their
/// links.
pub(crate) async fn pair(hub: SocketAddr, number: usize) -> anyhow::Result<([Line; 2], [End; 2])> {
    let numbers = [2 * number, 2 * number + 1];
    let [left, right] = numbers.map(|it| Arc::new(Replica::in_memory(FIRST + it)));
    let links = [
        left.dial(hub, SUBDUCTION_HUB).await?,
        right.dial(hub, SUBDUCTION_HUB).await?,
    ];
    let [left_number, right_number] = numbers;
    let there = line(&left, &right, left_number).await?;
    let back = line(&right, &left, right_number).await?;
    Ok(([there, back], links))
}

async fn line(
    from: &Arc<Replica<MemoryStorage>>,
    to: &Arc<Replica<MemoryStorage>>,
    number: usize,
) -> anyhow::Result<Line> {
    let writer = Writer::new(number)?;
    from.begin(number).await?;
    for replica in [from, to] {
        replica.join(peer_id(SUBDUCTION_HUB), number).await?;
    }
    let line = Line {
        from: Arc::clone(from),
        to: Arc::clone(to),
        number,
        writer,
    };
    line.arrived(line.writer.head()).await?;
    Ok(line)
}

//! Many repositories in memory, in pairs that share documents through a hub.

use std::net::SocketAddr;
use std::pin::Pin;

use anyhow::{Context as _, anyhow};
use futures::{Stream, StreamExt as _};
use samod::{ConnectionId, DocHandle, Repo};

use super::{Linked, dial, edit};
use crate::peers::{Counter, Way};
use crate::workload;

/// A document that one client edits and another gets.
pub(crate) struct Line {
    here: DocHandle,
    /// What it is of, which must live as long.
    _there: DocHandle,
    /// Each change that gets to the other.
    changes: Pin<Box<dyn Stream<Item = ()> + Send>>,
}

impl Way for Line {
    async fn edit(&mut self, number: usize) -> anyhow::Result<()> {
        edit(&self.here, i64::try_from(number + 10)?)?;
        self.changes.next().await.context("the document is closed")
    }
}

/// A repository without a disk, linked with a hub.
pub(crate) struct Client {
    repo: Repo,
    link: ConnectionId,
    _dialler: Linked,
}

impl Client {
    async fn link(hub: SocketAddr) -> anyhow::Result<Self> {
        let repo = Repo::build_tokio().load().await;
        let (dialler, link) = dial(&repo, hub, &Counter::default()).await?;
        Ok(Self {
            repo,
            link,
            _dialler: dialler,
        })
    }

    /// Makes a document that the other gets from the hub.
    async fn share(&self, number: usize, other: &Self) -> anyhow::Result<Line> {
        let here = self.repo.create(workload::document(number)?).await;
        let here = here.map_err(|error| anyhow!("{error:?}"))?;
        here.they_have_our_changes(self.link).await;
        let there = other.repo.find(here.document_id().clone()).await;
        let there = there.map_err(|error| anyhow!("{error:?}"))?;
        let there = there.context("a document is not found")?;
        let changes = Box::pin(there.changes().map(drop));
        Ok(Line {
            here,
            _there: there,
            changes,
        })
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.repo.stop().await;
    }
}

/// A pair of clients of the hub at this address, each with a document that it will edit.
pub(crate) async fn pair(
    hub: SocketAddr,
    number: usize,
) -> anyhow::Result<([Line; 2], [Client; 2])> {
    let left = Client::link(hub).await?;
    let right = Client::link(hub).await?;
    let there = left.share(2 * number, &right).await?;
    let back = right.share(2 * number + 1, &left).await?;
    Ok(([there, back], [left, right]))
}

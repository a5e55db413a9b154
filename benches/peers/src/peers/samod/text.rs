//! A text that is typed key by key and relayed by a hub.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use automerge::transaction::Transactable as _;
use automerge::{Automerge, ObjId, ObjType, ROOT};
use samod::DocHandle;
use tokio::time::{sleep, timeout};

use super::{Linked, PATIENCE, Replica, dial};
use crate::workload::Patch;

/// Two repositories with the same text, linked with a hub in a process of its own.
pub(crate) struct Typists {
    replicas: [Replica; 2],
    here: DocHandle,
    there: DocHandle,
    body: ObjId,
    _links: [Linked; 2],
}

impl Typists {
    /// Makes an empty text on one, which gets to the other through the hub at this address.
    pub(crate) async fn link(folder: &Path, hub: SocketAddr) -> anyhow::Result<Self> {
        let mut document = Automerge::new();
        let mut tx = document.transaction();
        let body = tx.put_object(ROOT, "body", ObjType::Text)?;
        tx.commit();
        let a = Replica::open(&folder.join("a")).await?;
        let b = Replica::open(&folder.join("b")).await?;
        let here = a.repo.create(document).await;
        let here = here.map_err(|error| anyhow!("{error:?}"))?;
        let to_hub = a.give(hub, std::slice::from_ref(&here)).await?;
        let (from_hub, _) = dial(&b.repo, hub, &b.sent).await?;
        let there = b.find(here.document_id()).await?;
        Ok(Self {
            replicas: [a, b],
            here,
            there,
            body,
            _links: [to_hub, from_hub],
        })
    }

    /// Types all of this on one, and waits until the other has it.
    pub(crate) async fn relay(&self, patches: &[Patch]) -> anyhow::Result<()> {
        for (at, delete, insert) in patches {
            let (at, delete, insert) = (*at, isize::try_from(*delete)?, insert.clone());
            let body = self.body.clone();
            let typed = self.here.with_document_async(move |it| {
                let mut tx = it.transaction();
                tx.splice_text(&body, at, delete, &insert)?;
                tx.commit();
                anyhow::Ok(())
            });
            typed.await.map_err(|error| anyhow!("{error:?}"))??;
        }
        let heads = |it: &DocHandle| it.with_document(|it| it.get_heads());
        let arrived = async {
            while heads(&self.here) != heads(&self.there) {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, arrived)
            .await
            .context("keystrokes are missing")
    }

    pub(crate) async fn stop(self) {
        for replica in self.replicas {
            replica.stop().await;
        }
    }
}

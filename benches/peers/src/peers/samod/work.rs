//! What two or three repositories are put through.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures::StreamExt as _;
use samod::DocHandle;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Linked, PATIENCE, Replica, dial, edit, put};
use crate::measure::{Watch, figure};
use crate::peers::{Figures, Met};
use crate::workload::spread;

/// Records that change between two meetings.
const CHANGED: usize = 10;

/// Links, waits until `b` says of every document that it has all, and parts.
async fn meet(a: &Replica, b: &Replica, documents: &[DocHandle]) -> anyhow::Result<Met> {
    let seen = || {
        let ((a_bytes, a_frames), (b_bytes, b_frames)) = (a.sent.seen(), b.sent.seen());
        (a_bytes + b_bytes, a_frames + b_frames)
    };
    let (bytes, frames) = seen();
    let watch = Watch::start();
    let dialler = a.give(b.address, documents).await?;
    let millis = watch.millis();
    sleep(Duration::from_millis(300)).await;
    let (after_bytes, after_frames) = seen();
    dialler.close();
    sleep(Duration::from_millis(300)).await;
    Ok(Met {
        millis,
        bytes: after_bytes - bytes,
        messages: after_frames - frames,
    })
}

/// First sync and reconnects of a collection of this size.
pub(crate) async fn collection(folder: &Path, records: usize) -> anyhow::Result<Figures> {
    let a = Replica::open(&folder.join("a")).await?;
    let b = Replica::open(&folder.join("b")).await?;
    let documents = a.create(records).await?;
    let first = meet(&a, &b, &documents).await?;
    for number in spread(CHANGED, records) {
        edit(documents.get(number).context("no such record")?, 11)?;
    }
    let changed = meet(&a, &b, &documents).await?;
    let unchanged = meet(&a, &b, &documents).await?;
    for replica in [a, b] {
        replica.stop().await;
    }
    Ok(Figures {
        records,
        first,
        changed: Some(changed),
        unchanged: Some(unchanged),
        many: None,
    })
}

/// Three repositories in a row with the same documents.
struct Trio {
    /// The first, the hub and the last.
    replicas: [Replica; 3],
    /// The documents as the first has them.
    here: Vec<DocHandle>,
    /// The same as the last has them.
    there: Vec<DocHandle>,
    _links: [Linked; 2],
}

impl Trio {
    async fn open(folder: &Path, records: usize) -> anyhow::Result<Self> {
        let a = Replica::open(&folder.join("a")).await?;
        let hub = Replica::open(&folder.join("hub")).await?;
        let b = Replica::open(&folder.join("b")).await?;
        let here = a.create(records).await?;
        let to_hub = a.give(hub.address, &here).await?;
        let (from_hub, _) = dial(&b.repo, hub.address, &b.sent).await?;
        let mut there = Vec::with_capacity(records);
        for document in &here {
            there.push(b.find(document.document_id()).await?);
        }
        Ok(Self {
            replicas: [a, hub, b],
            here,
            there,
            _links: [to_hub, from_hub],
        })
    }

    async fn stop(self) {
        for replica in self.replicas {
            replica.stop().await;
        }
    }
}

/// Microseconds of live edits of one record from one repository through a second until a third
/// tells of each; and bytes for each, over both hops.
pub(crate) async fn live(folder: &Path, edits: usize) -> anyhow::Result<(Vec<f64>, f64)> {
    let trio = Trio::open(folder, 1).await?;
    let document = trio.here.first().context("no document")?;
    let found = trio.there.first().context("no document")?;
    let mut changes = Box::pin(found.changes());
    let sent = || trio.replicas.iter().map(|it| it.sent.seen().0).sum::<f64>();
    sleep(Duration::from_millis(300)).await;
    let before = sent();
    let mut micros = Vec::with_capacity(edits);
    for number in 0..edits {
        let watch = Watch::start();
        edit(document, i64::try_from(number + 10)?)?;
        let changed = timeout(Duration::from_secs(30), changes.next()).await;
        changed
            .context("an edit is missing")?
            .context("the document is closed")?;
        micros.push(watch.micros());
    }
    let bytes = (sent() - before) / figure(edits);
    trio.stop().await;
    Ok((micros, bytes))
}

/// Seconds of edits of as many documents as there are writers: until all calls returned on the
/// first repository, and until the last has all.
pub(crate) async fn sustained(
    folder: &Path,
    (writers, edits): (usize, usize),
) -> anyhow::Result<[f64; 2]> {
    let trio = Trio::open(folder, writers).await?;
    let watch = Watch::start();
    let mut tasks = JoinSet::new();
    for document in trio.here.clone() {
        tasks.spawn(async move {
            for number in 0..edits {
                let priority = i64::try_from(number + 10)?;
                let edited = document.with_document_async(move |it| put(it, priority));
                edited.await.map_err(|error| anyhow!("{error:?}"))??;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let written = watch.seconds();
    let heads = |it: &DocHandle| it.with_document(|it| it.get_heads());
    let arrived = async {
        for (here, there) in trio.here.iter().zip(&trio.there) {
            while heads(here) != heads(there) {
                sleep(Duration::from_millis(2)).await;
            }
        }
    };
    timeout(PATIENCE, arrived)
        .await
        .context("edits are missing")?;
    let all = watch.seconds();
    trio.stop().await;
    Ok([written, all])
}

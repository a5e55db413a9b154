//! What two or three replicas are put through.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use automerge::transaction::Transactable as _;
use sedimentree_core::loose_commit::id::CommitId;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::link::{End, link};
use super::{Core, Disk, Replica, newest, tree};
use crate::measure::{Watch, figure};
use crate::peers::{Figures, Met};
use crate::workload::{self, spread};

/// Records that change between two meetings.
const CHANGED: usize = 10;

/// Records that change before another, where there are ten times as many.
const MANY: usize = 1_000;

/// Links, syncs, waits until `b` has what it should, and parts.
async fn meet<S: Disk>(
    a: &Replica<S>,
    b: &Replica<S>,
    arrived: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Met> {
    let seen = || {
        let ((a_bytes, a_frames), (b_bytes, b_frames)) = (a.sent.seen(), b.sent.seen());
        (a_bytes + b_bytes, a_frames + b_frames)
    };
    let (bytes, frames) = seen();
    let watch = Watch::start();
    let ends = link(a, b).await?;
    a.sync(b.core.peer_id()).await?;
    arrived.await?;
    let millis = watch.millis();
    // What acknowledges the last record.
    sleep(Duration::from_millis(300)).await;
    let (after_bytes, after_frames) = seen();
    for (replica, peer) in [(a, b), (b, a)] {
        let parting = replica
            .core
            .disconnect_from_peer(&peer.core.peer_id())
            .await;
        parting.map_err(|error| anyhow!("{error}"))?;
    }
    drop(ends);
    sleep(Duration::from_millis(100)).await;
    Ok(Met {
        millis,
        bytes: after_bytes - bytes,
        messages: after_frames - frames,
    })
}

/// First sync and reconnects of a collection of this size.
pub(crate) async fn collection<S: Disk>(
    a: &Replica<S>,
    b: &Replica<S>,
    records: usize,
) -> anyhow::Result<Figures> {
    a.fill(records).await?;
    let first = meet(a, b, b.until_has(records)).await?;
    for number in 0..records {
        ensure!(b.holds(number).await?, "a record did not arrive");
    }
    let changed = meet_changed(a, b, (CHANGED, records)).await?;
    let unchanged = meet(a, b, async { Ok(()) }).await?;
    let many = if records >= 10 * MANY {
        // Spread over so many, none of them is one of those that changed before.
        Some(meet_changed(a, b, (MANY, records)).await?)
    } else {
        None
    };
    Ok(Figures {
        records,
        first,
        changed: Some(changed),
        unchanged: Some(unchanged),
        many,
    })
}

/// Changes some of the records at `a`, and meets.
async fn meet_changed<S: Disk>(
    a: &Replica<S>,
    b: &Replica<S>,
    (changed, records): (usize, usize),
) -> anyhow::Result<Met> {
    let mut heads = Vec::with_capacity(changed);
    for number in spread(changed, records) {
        heads.push((number, a.edit(number, 11).await?));
    }
    let arrived = async {
        for (number, head) in heads {
            b.until_at(number, head).await?;
        }
        Ok(())
    };
    meet(a, b, arrived).await
}

/// Links three replicas in a row that all subscribe to the same new records, made by the first.
async fn line_up<S: Disk>(
    [a, hub, b]: &[Replica<S>; 3],
    records: usize,
) -> anyhow::Result<[[End; 2]; 2]> {
    a.fill(records).await?;
    let to_hub = link(a, hub).await?;
    a.sync(hub.core.peer_id()).await?;
    hub.until_has(records).await?;
    let from_hub = link(b, hub).await?;
    b.subscribe(hub, records).await?;
    // A pushes to who subscribed, so the hub has to.
    hub.subscribe(a, records).await?;
    b.until_has(records).await?;
    Ok([to_hub, from_hub])
}

/// A record that is edited again and again.
pub(super) struct Writer {
    number: usize,
    document: automerge::Automerge,
    head: CommitId,
}

impl Writer {
    pub(super) fn new(number: usize) -> anyhow::Result<Self> {
        let document = workload::document(number)?;
        let (head, _) = newest(&document)?;
        Ok(Self {
            number,
            document,
            head,
        })
    }

    /// The newest commit.
    pub(super) fn head(&self) -> CommitId {
        self.head
    }

    /// Changes one field, and pushes that to who subscribed.
    pub(super) async fn edit<S: Disk>(
        &mut self,
        core: &Core<S>,
        priority: usize,
    ) -> anyhow::Result<()> {
        let mut tx = self.document.transaction();
        tx.put(automerge::ROOT, "priority", i64::try_from(priority)?)?;
        tx.commit();
        let (head, blob) = newest(&self.document)?;
        let parents = BTreeSet::from([self.head]);
        let added = core
            .add_commit(tree(self.number), head, parents, blob)
            .await;
        added.map_err(|error| anyhow!("{error}"))?;
        self.head = head;
        Ok(())
    }
}

/// Microseconds of live edits of one record from `a` through `hub` until `b` has each.
pub(crate) async fn live<S: Disk>(
    replicas: &[Replica<S>; 3],
    edits: usize,
) -> anyhow::Result<(Vec<f64>, f64)> {
    let _links = line_up(replicas, 1).await?;
    let [a, _, b] = replicas;
    let sent = || replicas.iter().map(|it| it.sent.seen().0).sum::<f64>();
    let before = sent();
    let mut writer = Writer::new(0)?;
    let mut micros = Vec::with_capacity(edits);
    for edit in 0..edits {
        let watch = Watch::start();
        writer.edit(&a.core, edit + 10).await?;
        b.until_at(0, writer.head).await?;
        micros.push(watch.micros());
    }
    Ok((micros, (sent() - before) / figure(edits)))
}

/// Seconds of edits of as many records as there are writers: until `a` has stored all, and until
/// `b` has all.
pub(crate) async fn sustained<S: Disk>(
    replicas: &[Replica<S>; 3],
    (writers, edits): (usize, usize),
) -> anyhow::Result<[f64; 2]> {
    let _links = line_up(replicas, writers).await?;
    let [a, _, b] = replicas;
    let watch = Watch::start();
    let mut tasks = JoinSet::new();
    for number in 0..writers {
        let core = Arc::clone(&a.core);
        let mut writer = Writer::new(number)?;
        tasks.spawn(async move {
            for edit in 0..edits {
                writer.edit(&core, edit + 10).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let written = watch.seconds();
    for number in 0..writers {
        b.until_counts(number, 1 + edits).await?;
    }
    Ok([written, watch.seconds()])
}

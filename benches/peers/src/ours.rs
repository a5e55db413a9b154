//! Devices of ours: opening, filling, linking, and what an exchange between two of them takes.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;
use syncline::node::{Traffic, Watch, WatchEvent};
use syncline::store::Durability;
use syncline::{Node, Records, SpaceId};
use tokio::time::{sleep, timeout};

use crate::measure::{self, figure};
use crate::workload;

/// Records that an import puts into one transaction.
pub(crate) const IMPORT_GROUP: usize = 1_000;

/// After this long, something hangs.
const PATIENCE: Duration = Duration::from_mins(30);

/// A node and its collection of small records.
#[derive(Clone)]
pub(crate) struct Device {
    /// The node.
    pub node: Node,
    /// Its records.
    pub tasks: Records,
}

impl Device {
    /// Opens the device whose store is this file.
    pub(crate) async fn open(store: &Path) -> anyhow::Result<Self> {
        Self::open_as(store, Durability::Immediate).await
    }

    /// Opens it with another durability.
    pub(crate) async fn open_as(store: &Path, durability: Durability) -> anyhow::Result<Self> {
        let builder = Node::builder().store(store).durability(durability);
        Self::of(builder.open().await?)
    }

    /// A device without a disk, in a space of its own or shared with whoever names it.
    pub(crate) async fn in_memory(space: SpaceId) -> anyhow::Result<Self> {
        Self::of(Node::builder().space(space).open().await?)
    }

    fn of(node: Node) -> anyhow::Result<Self> {
        let tasks = node.records("tasks")?;
        Ok(Self { node, tasks })
    }

    /// Imports the small records of these numbers.
    pub(crate) async fn fill(&self, numbers: Range<usize>) -> anyhow::Result<()> {
        let numbers: Vec<_> = numbers.collect();
        for numbers in numbers.chunks(IMPORT_GROUP) {
            let import = self.node.transaction(|tx| {
                numbers.iter().try_for_each(|it| {
                    let record = workload::small(*it);
                    tx.put_json(&self.tasks, workload::id(*it), &record)
                        .map(drop)
                })
            });
            import.await?;
        }
        Ok(())
    }

    /// Changes one field of the records of these numbers.
    pub(crate) async fn edit(
        &self,
        numbers: impl Iterator<Item = usize>,
        priority: usize,
    ) -> anyhow::Result<()> {
        let numbers: Vec<_> = numbers.collect();
        for numbers in numbers.chunks(IMPORT_GROUP) {
            let edit = self.node.transaction(|tx| {
                numbers.iter().try_for_each(|it| {
                    let patch = json!({ "priority": priority });
                    tx.patch_json(&self.tasks, workload::id(*it), &patch)
                        .map(drop)
                })
            });
            edit.await?;
        }
        Ok(())
    }

    /// Links with the node at this address and waits until both hold the same.
    pub(crate) async fn link(&self, address: &str) -> anyhow::Result<()> {
        self.node.connect(address).await?;
        until_synced(&self.node).await
    }

    /// Digest of all that is here, by records and their heads.
    pub(crate) async fn root(&self) -> anyhow::Result<String> {
        let status = self.node.status().await?;
        let roots = status.spaces.into_iter().map(|it| it.root);
        Ok(roots.collect::<Vec<_>>().join(" "))
    }

    /// Waits until this device and the other hold the same.
    pub(crate) async fn until_equal(&self, other: &Self) -> anyhow::Result<()> {
        let equal = async {
            while self.root().await? != other.root().await? {
                sleep(Duration::from_millis(2)).await;
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, equal)
            .await
            .context("they never got equal")?
    }

    /// The newest change of a record, as it travels, before compression.
    pub(crate) async fn newest_change(&self, number: usize) -> anyhow::Result<Vec<u8>> {
        let changes = self.changes(number).await?;
        changes.last().cloned().context("a record without changes")
    }

    /// All changes of a record.
    pub(crate) async fn changes(&self, number: usize) -> anyhow::Result<Vec<Vec<u8>>> {
        let saved = self.tasks.document(workload::id(number)).await?;
        let saved = saved.context("a record is missing")?;
        let document = automerge::Automerge::load(&saved)?;
        let changes = document.get_changes(&[]);
        Ok(changes
            .into_iter()
            .map(|mut it| it.bytes().into_owned())
            .collect())
    }
}

/// As [`Node::synced`], but looks every millisecond, so that short exchanges can be told apart.
pub(crate) async fn until_synced(node: &Node) -> anyhow::Result<()> {
    let wait = async {
        let mut looks = 0;
        while looks < 2 {
            let status = node.status().await?;
            looks = if status.is_synced() { looks + 1 } else { 0 };
            sleep(Duration::from_millis(1)).await;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, wait)
        .await
        .context("they never got synced")?
}

/// What two devices took to get equal again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// From dialling until both hold the same.
    pub millis: f64,
    /// Bytes of all frames in both directions.
    pub bytes: f64,
    /// Frames in both directions.
    pub messages: f64,
    /// CPU of both sides, and of waiting for them.
    pub cpu_millis: f64,
}

/// Links `b` with `a`, which listens at `address`, until both hold the same, and ends the link.
pub(crate) async fn exchange(a: &Device, b: &Device, address: &str) -> anyhow::Result<Exchange> {
    let process = std::process::id();
    let before = b.node.traffic();
    let cpu = measure::cpu_seconds(process)?;
    let watch = measure::Watch::start();
    b.link(address).await?;
    let millis = watch.millis();
    let cpu_millis = (measure::cpu_seconds(process)? - cpu) * 1e3;
    let after = quiet(&b.node).await;
    ensure!(a.root().await? == b.root().await?, "synced, but not equal");
    unlink(a, b, address).await?;
    let bytes = |it: Traffic| it.sent_bytes + it.received_bytes;
    let frames = |it: Traffic| it.sent_frames + it.received_frames;
    Ok(Exchange {
        millis,
        bytes: figure(bytes(after) - bytes(before)),
        messages: figure(frames(after) - frames(before)),
        cpu_millis,
    })
}

/// The traffic once nothing moves any more: acknowledgements come after the last change.
pub(crate) async fn quiet(node: &Node) -> Traffic {
    let mut traffic = node.traffic();
    for _ in 0..50 {
        sleep(Duration::from_millis(60)).await;
        let now = node.traffic();
        if now == traffic {
            break;
        }
        traffic = now;
    }
    traffic
}

/// Ends the link of `b` with `a`.
pub(crate) async fn unlink(a: &Device, b: &Device, address: &str) -> anyhow::Result<()> {
    b.node.disconnect(address).await?;
    for node in [&a.node, &b.node] {
        while !node.status().await?.links.is_empty() {
            sleep(Duration::from_millis(2)).await;
        }
    }
    Ok(())
}

/// Waits for the next change.
pub(crate) async fn next(watch: &mut Watch) -> anyhow::Result<syncline::node::Changed> {
    loop {
        match watch.next().await.context("the node is closed")? {
            WatchEvent::Changed(changed) => return Ok(changed),
            WatchEvent::Lagged { .. } => {}
        }
    }
}

//! P5, one edit at a time from a device through a hub to another; P6, as many as will go.

use serde_json::json;
use syncline::Node;
use syncline::store::Durability;
use tokio::task::JoinSet;

use super::Plan;
use crate::floor::{self, RedbAlone};
use crate::measure::{Watch, figure, percentile};
use crate::ours::{self, Device};
use crate::report::{Report, Row};
use crate::workload;

/// Bytes of the change of one field.
const EDIT_BYTES: usize = 100;

/// Bytes of the frame that carries it.
const FRAME_BYTES: usize = 200;

/// Two devices that are linked through a hub.
struct Trio {
    hub: Node,
    a: Device,
    b: Device,
}

impl Trio {
    async fn open(plan: &Plan<'_>, name: &str, durability: Durability) -> anyhow::Result<Self> {
        let folder = plan.folder(name)?;
        let hub = Node::builder().store(folder.join("hub")).relay();
        let hub = hub.durability(durability).open().await?;
        let address = hub.listen("127.0.0.1:0").await?;
        let a = Device::open_as(&folder.join("a"), durability).await?;
        let b = Device::open_as(&folder.join("b"), durability).await?;
        a.link(&address).await?;
        b.link(&address).await?;
        Ok(Self { hub, a, b })
    }

    async fn close(self) -> anyhow::Result<()> {
        for node in [self.a.node, self.b.node, self.hub] {
            node.shutdown().await?;
        }
        Ok(())
    }
}

/// From the call on one device to the watch on the other.
pub(super) async fn latency(plan: &Plan<'_>, report: &mut Report) -> anyhow::Result<()> {
    let edits = plan.count(300, 2_000);
    let echo = floor::echo(FRAME_BYTES, edits).await?;
    let alone = RedbAlone::create(&plan.folder("live-floor")?.join("redb"))?;
    let commits = alone.commits(edits, 1, EDIT_BYTES)?;
    for (name, durability) in [
        ("durable", Durability::Immediate),
        ("relaxed", Durability::Relaxed),
    ] {
        let trio = Trio::open(plan, &format!("live-{name}"), durability).await?;
        let before = trio.hub.traffic();
        let micros = edit_and_watch(&trio, edits).await?;
        let after = ours::quiet(&trio.hub).await;
        trio.close().await?;
        for percent in [50, 99] {
            let echo = percentile(&echo, percent);
            let commit = percentile(&commits, percent);
            let work = format!("live edit, A to hub to B, {name}, p{percent}");
            let row = Row::new("P5", work, "µs").ours(percentile(&micros, percent));
            report.row(if durability == Durability::Immediate {
                row.floor(
                    "3 commits of redb alone + 2 echoes",
                    3.0 * commit + 2.0 * echo,
                )
                .over_floor()
                .ratio_at_most("≤ floor", 1.0)
            } else {
                row.floor("WebSocket echo", echo)
                    .over_floor()
                    .ratio_at_most("≤ 3 × echo", 3.0)
                    .note("Relaxed: nothing leaves a device before it is synced, every 20 ms.")
            });
        }
        if durability == Durability::Immediate {
            let bytes = after.sent_bytes + after.received_bytes;
            let bytes = figure(bytes - before.sent_bytes - before.received_bytes);
            let work = "the same, all frames to and from the hub";
            report.row(Row::new("P5", work, "bytes/edit").ours(bytes / figure(edits)));
        }
    }
    Ok(())
}

async fn edit_and_watch(trio: &Trio, edits: usize) -> anyhow::Result<Vec<f64>> {
    let mut there = trio.b.tasks.watch()?;
    let id = trio.a.tasks.insert(&workload::small(1)).await?;
    ours::next(&mut there).await?;
    let mut micros = Vec::with_capacity(edits);
    for edit in 0..edits {
        let patch = json!({ "priority": edit + 10 });
        let watch = Watch::start();
        trio.a.tasks.patch(id, &patch).await?;
        ours::next(&mut there).await?;
        micros.push(watch.micros());
    }
    Ok(micros)
}

/// Writers that each edit a record of their own, one durable edit after the other.
pub(super) async fn throughput(plan: &Plan<'_>, report: &mut Report) -> anyhow::Result<()> {
    for (writers, edits) in [(1, plan.count(1_000, 10_000)), (64, plan.count(100, 1_000))] {
        let name = format!("sustained-{writers}");
        let trio = Trio::open(plan, &name, Durability::Immediate).await?;
        trio.a.fill(0..writers).await?;
        trio.a.until_equal(&trio.b).await?;
        let watch = Watch::start();
        let mut tasks = JoinSet::new();
        for writer in 0..writers {
            let records = trio.a.tasks.clone();
            tasks.spawn(async move {
                for edit in 0..edits {
                    let patch = json!({ "priority": edit + 10 });
                    records.patch(workload::id(writer), &patch).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        let written = figure(writers * edits) / watch.seconds();
        trio.a.until_equal(&trio.b).await?;
        let arrived = figure(writers * edits) / watch.seconds();
        trio.close().await?;

        let alone = RedbAlone::create(&plan.folder(&name)?.join("redb"))?;
        let mut micros = 0.0;
        for commit in 0..edits {
            let first = u64::try_from(commit * writers)?;
            micros += alone.commit(0..writers, first, EDIT_BYTES)?;
        }
        let floor = figure(writers * edits) / (micros / 1e6);
        for (state, rate) in [
            ("until all are durable on A", written),
            ("until B has all", arrived),
        ] {
            let work =
                format!("sustained durable edits, A to hub to B, {writers} writers, {state}");
            let row = Row::new("P6", work, "edits/s").ours(rate);
            report.row(
                row.floor("redb alone", floor)
                    .over_floor()
                    .ratio_at_least("≥ 70% of redb alone", 0.7)
                    .note(
                        "A, hub and B share the processors and the disk; redb alone has them to \
                         itself and writes the rows once.",
                    ),
            );
        }
    }
    Ok(())
}

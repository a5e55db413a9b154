//! P5, one edit at a time from a device through a hub to another.

use serde_json::json;
use syncline::Node;
use syncline::store::Durability;

use super::Plan;
use crate::floor::{self, RedbAlone};
use crate::measure::{Watch, figure, percentile};
use crate::ours::{self, Device};
use crate::peers::{samod, subduction};
use crate::report::{Report, Row, SAMOD, SUBDUCTION, SUBDUCTION_MEMORY, say};
use crate::workload;

/// Bytes of the change of one field.
pub(super) const EDIT_BYTES: usize = 100;

/// Bytes of the frame that carries it.
const FRAME_BYTES: usize = 200;

/// Two devices that are linked through a hub.
pub(super) struct Trio {
    hub: Node,
    /// Where edits are made.
    pub a: Device,
    /// Where they arrive.
    pub b: Device,
}

impl Trio {
    pub(super) async fn open(
        plan: &Plan<'_>,
        name: &str,
        durability: Durability,
    ) -> anyhow::Result<Self> {
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

    pub(super) async fn close(self) -> anyhow::Result<()> {
        for node in [self.a.node, self.b.node, self.hub] {
            node.shutdown().await?;
        }
        Ok(())
    }
}

/// The parts of a live edit alone, measured before and after the whole; the better counts, since
/// other work on the machine can only slow them down.
struct Parts {
    echo: [Vec<f64>; 2],
    commit: [Vec<f64>; 2],
}

impl Parts {
    async fn measure(alone: &RedbAlone, edits: usize) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
        let echo = floor::echo(FRAME_BYTES, edits).await?;
        Ok((echo, alone.commits(edits, 1, EDIT_BYTES)?))
    }

    fn echo(&self, percent: usize) -> f64 {
        better(&self.echo, percent)
    }

    fn commit(&self, percent: usize) -> f64 {
        better(&self.commit, percent)
    }
}

fn better([before, after]: &[Vec<f64>; 2], percent: usize) -> f64 {
    percentile(before, percent).min(percentile(after, percent))
}

/// What the peers take for a live edit, and the bytes of each.
struct Others(Vec<(&'static str, Vec<f64>, f64)>);

impl Others {
    async fn measure(plan: &Plan<'_>, edits: usize) -> Self {
        let mut others = Self(Vec::new());
        let memory = [1, 2, 3].map(subduction::Replica::in_memory);
        others.add(SUBDUCTION_MEMORY, subduction::live(&memory, edits).await);
        others.add(SUBDUCTION, durable(plan, edits).await);
        let relaxed = match plan.folder("live-samod") {
            Ok(folder) => samod::live(&folder, edits).await,
            Err(error) => Err(error),
        };
        others.add(SAMOD, relaxed);
        others
    }

    fn add(&mut self, name: &'static str, figures: anyhow::Result<(Vec<f64>, f64)>) {
        match figures {
            Ok((micros, bytes)) => self.0.push((name, micros, bytes)),
            Err(error) => say(&format!("{name}, live edits: failed: {error:#}")),
        }
    }

    fn fill(&self, mut row: Row, names: &[&str], percent: usize) -> Row {
        for (name, micros, _) in self.0.iter().filter(|it| names.contains(&it.0)) {
            row = row.peer(name, Some(percentile(micros, percent)));
        }
        row
    }
}

async fn durable(plan: &Plan<'_>, edits: usize) -> anyhow::Result<(Vec<f64>, f64)> {
    let folder = plan.folder("live-subduction")?;
    let replicas = [
        subduction::Replica::durable(&folder.join("a"), 1)?,
        subduction::Replica::durable(&folder.join("hub"), 2)?,
        subduction::Replica::durable(&folder.join("b"), 3)?,
    ];
    subduction::live(&replicas, edits).await
}

/// From the call on one device to the watch on the other.
pub(super) async fn latency(plan: &Plan<'_>, report: &mut Report) -> anyhow::Result<()> {
    let edits = plan.count(200, 2_000);
    let others = Others::measure(plan, edits).await;
    let alone = RedbAlone::create(&plan.folder("live-floor")?.join("redb"))?;
    let (echo, commit) = Parts::measure(&alone, edits).await?;
    let (durable, bytes) = ours(plan, Durability::Immediate, edits).await?;
    let (relaxed, _) = ours(plan, Durability::Relaxed, edits).await?;
    let (echo_after, commit_after) = Parts::measure(&alone, edits).await?;
    let parts = Parts {
        echo: [echo, echo_after],
        commit: [commit, commit_after],
    };
    for percent in [50, 99] {
        let work = format!("live edit, A to hub to B, durable on each, p{percent}");
        let row = Row::new("P5", work, "µs").ours(percentile(&durable, percent));
        let floor = 3.0 * parts.commit(percent) + 2.0 * parts.echo(percent);
        report.row(
            others
                .fill(row, &[SUBDUCTION], percent)
                .floor("3 commits of redb alone + 2 echoes", floor)
                .over_floor()
                .ratio_at_most("≤ floor", 1.0)
                .unless_held_up(|it| it < 0.9),
        );
    }
    for percent in [50, 99] {
        let work = format!("live edit, A to hub to B, relaxed, p{percent}");
        let row = Row::new("P5", work, "µs").ours(percentile(&relaxed, percent));
        report.row(
            others
                .fill(row, &[SUBDUCTION_MEMORY, SAMOD], percent)
                .floor("WebSocket echo", parts.echo(percent))
                .over_floor()
                .ratio_at_most("≤ 3 × echo", 3.0)
                .note(
                    "Ours relaxed: nothing leaves a device before it is synced, every 20 ms. samod \
                     and subduction in memory wait for no disk.",
                ),
        );
    }
    let work = "live edit, all frames to and from the hub";
    let mut row = Row::new("P5", work, "bytes/edit").ours(bytes);
    for (name, _, bytes) in &others.0 {
        row = row.peer(name, Some(*bytes));
    }
    report.row(row);
    Ok(())
}

/// Microseconds of our live edits, and bytes of each.
async fn ours(
    plan: &Plan<'_>,
    durability: Durability,
    edits: usize,
) -> anyhow::Result<(Vec<f64>, f64)> {
    let trio = Trio::open(plan, &format!("live-{durability:?}"), durability).await?;
    let before = trio.hub.traffic();
    let micros = edit_and_watch(&trio, edits).await?;
    let after = ours::quiet(&trio.hub).await;
    trio.close().await?;
    let bytes = after.sent_bytes + after.received_bytes - before.sent_bytes - before.received_bytes;
    Ok((micros, figure(bytes) / figure(edits)))
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

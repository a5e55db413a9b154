//! P6, as many edits as will go from a device through a hub to another.

use serde_json::json;
use syncline::store::Durability;
use tokio::task::JoinSet;

use super::Plan;
use super::live::{EDIT_BYTES, Trio};
use crate::floor::{self, RedbAlone};
use crate::measure::{Watch, figure};
use crate::peers::{samod, subduction};
use crate::report::{Report, Row, SAMOD, SUBDUCTION, SUBDUCTION_MEMORY, say};
use crate::workload;

/// Writers that each edit a record of their own, one durable edit after the other.
pub(super) async fn measure(plan: &Plan<'_>, report: &mut Report) -> anyhow::Result<()> {
    for (writers, edits) in [(1, plan.count(500, 10_000)), (64, plan.count(60, 1_000))] {
        let name = format!("sustained-{writers}");
        let others = Others::measure(plan, (writers, edits)).await;
        let micros = redb_micros(plan, &name, (writers, edits))?;
        let seconds = ours(plan, &name, (writers, edits)).await?;
        let micros = micros.min(redb_micros(plan, &name, (writers, edits))?);
        let floor = figure(writers * edits) / (micros / 1e6);
        let states = ["until all are durable on A", "until B has all"];
        for (at, (state, seconds)) in states.into_iter().zip(seconds).enumerate() {
            let work =
                format!("sustained durable edits, A to hub to B, {writers} writers, {state}");
            let row = Row::new("P6", work, "edits/s").ours(figure(writers * edits) / seconds);
            report.row(
                others
                    .fill(row, at)
                    .floor("redb alone", floor)
                    .over_floor()
                    .ratio_at_least("≥ 70% of redb alone", 0.7)
                    .unless_held_up(|it| it > 1.1)
                    .note(
                        "A, hub and B share the processors and the disk; redb alone has them to \
                         itself and writes the rows once.",
                    )
                    .note(
                        "subduction in memory has no disk and samod syncs nothing to its: theirs \
                         are until the calls returned, not durable. Fragments, which subduction \
                         asks its application to make of old commits, are not made.",
                    ),
            );
        }
    }
    Ok(())
}

/// Seconds until all edits are durable on A, and until B has all.
async fn ours(
    plan: &Plan<'_>,
    name: &str,
    (writers, edits): (usize, usize),
) -> anyhow::Result<[f64; 2]> {
    let trio = Trio::open(plan, name, Durability::Immediate).await?;
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
    let written = watch.seconds();
    trio.a.until_equal(&trio.b).await?;
    let arrived = watch.seconds();
    trio.close().await?;
    Ok([written, arrived])
}

/// Edits a second of the peers, until the calls returned and until all arrived.
struct Others(Vec<(&'static str, [f64; 2])>);

impl Others {
    async fn measure(plan: &Plan<'_>, (writers, edits): (usize, usize)) -> Self {
        let mut others = Self(Vec::new());
        let memory = [1, 2, 3].map(subduction::Replica::in_memory);
        let figures = [
            (
                SUBDUCTION_MEMORY,
                subduction::sustained(&memory, (writers, edits)).await,
            ),
            (SUBDUCTION, durable(plan, (writers, edits)).await),
            (SAMOD, relaxed(plan, (writers, edits)).await),
        ];
        for (name, seconds) in figures {
            match seconds {
                Ok(seconds) => {
                    say(&format!("{name}, {writers} writers: {seconds:?} s"));
                    let rates = seconds.map(|it| figure(writers * edits) / it);
                    others.0.push((name, rates));
                }
                Err(error) => say(&format!("{name}, {writers} writers: failed: {error:#}")),
            }
        }
        others
    }

    fn fill(&self, mut row: Row, at: usize) -> Row {
        for (name, rates) in &self.0 {
            row = row.peer(name, rates.get(at).copied());
        }
        row
    }
}

async fn durable(plan: &Plan<'_>, work: (usize, usize)) -> anyhow::Result<[f64; 2]> {
    let folder = plan.folder(&format!("sustained-subduction-{}", work.0))?;
    let replicas = [
        subduction::Replica::durable(&folder.join("a"), 1)?,
        subduction::Replica::durable(&folder.join("hub"), 2)?,
        subduction::Replica::durable(&folder.join("b"), 3)?,
    ];
    subduction::sustained(&replicas, work).await
}

async fn relaxed(plan: &Plan<'_>, work: (usize, usize)) -> anyhow::Result<[f64; 2]> {
    let folder = plan.folder(&format!("sustained-samod-{}", work.0))?;
    samod::sustained(&folder, work).await
}

/// Microseconds that redb alone takes for the same rows in the same batches.
fn redb_micros(
    plan: &Plan<'_>,
    name: &str,
    (writers, edits): (usize, usize),
) -> anyhow::Result<f64> {
    let path = plan.folder(name)?.join("redb-alone");
    let alone = RedbAlone::create(&path)?;
    let micros = floor::apart(|| {
        let mut micros = 0.0;
        for commit in 0..edits {
            let first = u64::try_from(commit * writers)?;
            micros += alone.commit(0..writers, first, EDIT_BYTES)?;
        }
        Ok(micros)
    })?;
    drop(alone);
    std::fs::remove_file(path)?;
    Ok(micros)
}

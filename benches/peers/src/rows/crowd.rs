//! P13, many clients of one hub, each editing once a second.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use syncline::SpaceId;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, timeout};

use super::Plan;
use crate::hub::Hub;
use crate::measure::{Watch, percentile};
use crate::ours::{self, Device};
use crate::report::{Report, Row, say};
use crate::workload;

/// How long a last edit may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn measure(plan: &Plan<'_>, report: &mut Report) -> anyhow::Result<()> {
    let clients = plan.count(1_000, 1_000);
    let rounds = plan.count(5, 30);
    let hub = Hub::start(&plan.folder("crowd")?.join("hub")).await?;
    let start = hub.resident_bytes()? / 1e6;
    let mut linked = Vec::new();
    for number in 0..clients / 2 {
        let space = SpaceId::named(&format!("pair-{number}"));
        let pair = [
            Device::in_memory(space).await?,
            Device::in_memory(space).await?,
        ];
        for device in &pair {
            device.link(&hub.address).await?;
        }
        linked.push(pair);
    }
    say(&format!("{clients} clients are linked"));
    let mut pairs = JoinSet::new();
    for (number, pair) in linked.into_iter().enumerate() {
        pairs.spawn(pair_edits(pair, rounds, number * 2_000 / clients));
    }
    let mut millis = Vec::new();
    let mut missed = 0;
    while let Some(ended) = pairs.join_next().await {
        let (arrived, lost) = ended??;
        millis.extend(arrived);
        missed += lost;
    }
    let memory = hub.resident_bytes()? / 1e6 - start;
    hub.stop().await?;

    let work = format!(
        "{clients} clients in pairs, each editing once a second, durable on the hub, p99 to the \
         other"
    );
    let note = format!(
        "{} of {} edits delivered; the hub grew by {memory:.0} MB. Clients keep their records in \
         memory and run in one process on the same processors as the hub.",
        millis.len(),
        clients * rounds,
    );
    let late = percentile(&millis, 99);
    report.row(
        Row::new("P13", work, "ms")
            .ours(late)
            .target("all delivered, < 250 ms", Some(late < 250.0 && missed == 0))
            .note(note),
    );
    let work = "the same, p50";
    report.row(Row::new("P13", work, "ms").ours(percentile(&millis, 50)));
    Ok(())
}

/// Both of a pair edit a record of their own each second and see the other's; gives the
/// milliseconds of what arrived, and how many did not.
async fn pair_edits(
    pair: [Device; 2],
    rounds: usize,
    offset_millis: usize,
) -> anyhow::Result<(Vec<f64>, usize)> {
    let [left, right] = &pair;
    let clock = Watch::start();
    let offset = Duration::from_millis(u64::try_from(offset_millis)?);
    let there = one_way(left, right, (0, rounds), (clock, offset));
    let back = one_way(
        right,
        left,
        (1, rounds),
        (clock, offset + Duration::from_millis(500)),
    );
    let (there, back) = tokio::try_join!(there, back)?;
    for device in pair {
        device.node.shutdown().await?;
    }
    let missed = 2 * rounds - there.len() - back.len();
    Ok(([there, back].concat(), missed))
}

/// Milliseconds from each edit on one device to the other's watch.
async fn one_way(
    from: &Device,
    to: &Device,
    (number, rounds): (usize, usize),
    (clock, offset): (Watch, Duration),
) -> anyhow::Result<Vec<f64>> {
    let id = workload::id(number);
    let mut seen = to.tasks.watch_record(id)?;
    from.tasks.put(id, &workload::small(number)).await?;
    timeout(PATIENCE, ours::next(&mut seen))
        .await
        .context("the first record never arrived")??;
    let start = Instant::now() + Duration::from_secs(1) + offset;
    let mut ticks = interval_at(start, Duration::from_secs(1));
    let mut millis = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        ticks.tick().await;
        let sent = clock.millis();
        from.tasks.patch(id, &json!({ "sent": sent })).await?;
        match timeout(PATIENCE, ours::next(&mut seen)).await {
            Ok(changed) => drop(changed?),
            Err(_elapsed) => break,
        }
        millis.push(clock.millis() - sent);
    }
    Ok(millis)
}

//! P13, many clients of one hub, each editing once a second.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use syncline::node::Watch as Changes;
use syncline::{RecordId, SpaceId};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, timeout};

use super::Plan;
use crate::hub::{Hub, Kind};
use crate::measure::{Watch, percentile};
use crate::ours::{self, Device};
use crate::peers::{Way, samod, subduction};
use crate::report::{Report, Row, SAMOD, SUBDUCTION, SUBDUCTION_MEMORY, say};
use crate::workload;

/// How long a last edit may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long all may take to be linked.
const LINKING: Duration = Duration::from_mins(5);

/// What came of it.
struct Crowd {
    clients: usize,
    rounds: usize,
    /// Milliseconds of each edit that arrived.
    millis: Vec<f64>,
    /// What the hub grew by.
    megabytes: f64,
}

pub(super) async fn measure(plan: &Plan<'_>, report: &mut Report) -> anyhow::Result<()> {
    let rounds = plan.count(5, 30);
    let mut others = Vec::new();
    for (name, kind, clients) in [
        (SUBDUCTION_MEMORY, Kind::SubductionMemory, 100),
        (SUBDUCTION_MEMORY, Kind::SubductionMemory, 1_000),
        (SUBDUCTION, Kind::Subduction, 100),
        (SUBDUCTION, Kind::Subduction, 1_000),
        // Linking 1,000 of them takes more than five minutes.
        (SAMOD, Kind::SamodToAskers, 100),
    ] {
        match crowd(plan, kind, (clients, rounds)).await {
            Ok(crowd) => {
                say(&format!("{name}: {}", crowd.told()));
                others.push((name, crowd));
            }
            Err(error) => say(&format!("{name}, {clients} clients: failed: {error:#}")),
        }
    }
    for clients in [100, 1_000] {
        let crowd = crowd(plan, Kind::Syncline, (clients, rounds)).await?;
        rows(report, &crowd, &others);
    }
    Ok(())
}

fn rows(report: &mut Report, crowd: &Crowd, others: &[(&'static str, Crowd)]) {
    let clients = crowd.clients;
    let work = format!(
        "{clients} clients in pairs, each editing once a second, durable on our hub, p99 to \
         the other"
    );
    // As many clients, or else the most below, which come last.
    let fitting = others.iter().filter(|it| it.1.clients <= clients);
    let others: BTreeMap<_, _> = fitting.map(|(name, it)| (*name, it)).collect();
    let fill = |mut row: Row, percent| {
        for (name, other) in &others {
            row = row.peer(name, Some(percentile(&other.millis, percent)));
            if other.clients != clients {
                row = row.peer_at(name, other.clients.to_string());
            }
        }
        row
    };
    let late = percentile(&crowd.millis, 99);
    let all = crowd.millis.len() == clients * crowd.rounds;
    let met = (clients >= 1_000).then_some(late < 250.0 && all);
    let mut row = fill(Row::new("P13", work, "ms").ours(late), 99)
        .target("all delivered, < 250 ms", met)
        .note(format!("Ours: {}", crowd.told()))
        .note(
            "Clients keep their records in memory and run in one process on the same processors \
             as the hub. subduction's hub syncs each edit or has no disk, as its column says; \
             samod's writes files that nobody syncs, and gives documents to those who ask. Of \
             subduction the commit has arrived, of which no document is made.",
        );
    for (name, other) in &others {
        row = row.note(format!("{name}: {}", other.told()));
    }
    report.row(row);
    let work = format!("the same of {clients} clients, p50");
    let row = Row::new("P13", work, "ms").ours(percentile(&crowd.millis, 50));
    report.row(fill(row, 50));
}

impl Crowd {
    fn told(&self) -> String {
        format!(
            "{} of {} edits of {} clients delivered; the hub grew by {:.0} MB.",
            self.millis.len(),
            self.clients * self.rounds,
            self.clients,
            self.megabytes
        )
    }
}

/// Runs a hub of this kind and so many clients of it.
async fn crowd(
    plan: &Plan<'_>,
    kind: Kind,
    (clients, rounds): (usize, usize),
) -> anyhow::Result<Crowd> {
    let folder = plan.folder(&format!("crowd-{kind:?}-{clients}"))?;
    let hub = Hub::start_as(kind, &folder.join("hub")).await?;
    let before = hub.resident_bytes()? / 1e6;
    // Ours is a URL.
    let address = || hub.address.parse();
    let (millis, after) = match kind {
        Kind::Syncline => {
            let pair = async |it| pair(&hub.address, it).await;
            let (millis, devices) = each_second(pair, (clients, rounds)).await?;
            let after = hub.resident_bytes()?;
            for device in devices.into_iter().flatten() {
                device.node.shutdown().await?;
            }
            (millis, after)
        }
        Kind::Subduction | Kind::SubductionMemory => {
            let pair = async |it| subduction::pair(address()?, it).await;
            let (millis, links) = each_second(pair, (clients, rounds)).await?;
            let after = hub.resident_bytes()?;
            drop(links);
            (millis, after)
        }
        Kind::Samod | Kind::SamodToAskers => {
            let pair = async |it| samod::pair(address()?, it).await;
            let (millis, clients) = each_second(pair, (clients, rounds)).await?;
            let after = hub.resident_bytes()?;
            for client in clients.into_iter().flatten() {
                client.stop().await;
            }
            (millis, after)
        }
    };
    hub.stop().await?;
    Ok(Crowd {
        clients,
        rounds,
        millis,
        megabytes: after / 1e6 - before,
    })
}

/// Makes pairs of clients, has each client edit once a second, all of them spread over the second,
/// and gives the milliseconds of the edits that arrived, and what keeps the pairs.
async fn each_second<W: Way, Keep>(
    pair: impl AsyncFn(usize) -> anyhow::Result<([W; 2], Keep)>,
    (clients, rounds): (usize, usize),
) -> anyhow::Result<(Vec<f64>, Vec<Keep>)> {
    let (mut ways, mut kept) = (Vec::new(), Vec::new());
    let linking = async {
        for number in 0..clients / 2 {
            let (both, keep) = pair(number).await?;
            ways.push(both);
            kept.push(keep);
        }
        anyhow::Ok(())
    };
    timeout(LINKING, linking)
        .await
        .context("they never got linked")??;
    say(&format!("{clients} clients are linked"));
    let start = Instant::now() + Duration::from_secs(1);
    let mut tasks = JoinSet::new();
    for (number, [there, back]) in ways.into_iter().enumerate() {
        let offset = Duration::from_millis(u64::try_from(number * 2_000 / clients)?);
        tasks.spawn(ticking(there, rounds, start + offset));
        let offset = offset + Duration::from_millis(500);
        tasks.spawn(ticking(back, rounds, start + offset));
    }
    let mut millis = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        millis.extend(ended??);
    }
    Ok((millis, kept))
}

/// Milliseconds from each edit at one end until the other has it, until one gets lost.
async fn ticking<W: Way>(mut way: W, rounds: usize, start: Instant) -> anyhow::Result<Vec<f64>> {
    let mut ticks = interval_at(start, Duration::from_secs(1));
    let mut millis = Vec::with_capacity(rounds);
    for number in 0..rounds {
        ticks.tick().await;
        let watch = Watch::start();
        match timeout(PATIENCE, way.edit(number)).await {
            Ok(arrived) => arrived?,
            Err(_elapsed) => break,
        }
        millis.push(watch.millis());
    }
    Ok(millis)
}

/// A record that one device edits and another watches.
struct Line {
    from: Device,
    id: RecordId,
    seen: Changes,
}

impl Way for Line {
    async fn edit(&mut self, number: usize) -> anyhow::Result<()> {
        let patch = json!({ "priority": number + 10 });
        self.from.tasks.patch(self.id, &patch).await?;
        ours::next(&mut self.seen).await.map(drop)
    }
}

/// Two devices of ours in a space of their own, each with a record that it will edit.
async fn pair(hub: &str, number: usize) -> anyhow::Result<([Line; 2], [Device; 2])> {
    let space = SpaceId::named(&format!("pair-{number}"));
    let left = Device::in_memory(space).await?;
    let right = Device::in_memory(space).await?;
    for device in [&left, &right] {
        device.link(hub).await?;
    }
    let there = line(&left, &right, 0).await?;
    let back = line(&right, &left, 1).await?;
    Ok(([there, back], [left, right]))
}

async fn line(from: &Device, to: &Device, number: usize) -> anyhow::Result<Line> {
    let id = workload::id(number);
    let mut seen = to.tasks.watch_record(id)?;
    from.tasks.put(id, &workload::small(number)).await?;
    timeout(PATIENCE, ours::next(&mut seen))
        .await
        .context("the first record never arrived")??;
    Ok(Line {
        from: from.clone(),
        id,
        seen,
    })
}

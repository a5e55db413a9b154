//! P2 and P3, devices that know each other meet again; P4, devices that lost their cursors do.

use std::path::Path;

use syncline::entropy::Entropy;
use syncline::replica::begin_new_life;
use syncline::store::{RedbOptions, RedbStore};

use super::Plan;
use super::peers::Peers;
use super::stores::{Curves, Pair};
use crate::floor;
use crate::measure::figure;
use crate::ours::{self, Device, Exchange};
use crate::peers::Figures;
use crate::report::{Report, Row, SUBDUCTION_MEMORY};
use crate::workload::spread;

/// Records that are changed while the devices are apart.
const CHANGED: usize = 10;

pub(super) async fn measure(
    plan: &Plan<'_>,
    report: &mut Report,
    (peers, curves): (&Peers, &mut Curves),
    pair: &Pair,
) -> anyhow::Result<()> {
    let Pair {
        a,
        b,
        address,
        records,
        ..
    } = pair;
    if plan.args.wants("P2") {
        a.edit(spread(CHANGED, *records), 11).await?;
        let met = ours::exchange(a, b, address).await?;
        curves.reconnect.push((figure(*records), met.millis));
        changed_rows(report, peers, *records, &met);
    }
    if plan.args.wants("P3") {
        let met = ours::exchange(a, b, address).await?;
        unchanged_rows(report, peers, *records, &met);
    }
    Ok(())
}

fn changed_rows(report: &mut Report, peers: &Peers, records: usize, met: &Exchange) {
    let work = format!("reconnect, {CHANGED} of {records} changed");
    let row = Row::new("P2", format!("{work}: time"), "ms").ours(met.millis);
    let row = peers.fill(row, records, |it| Some(it.changed?.millis));
    let memory = peers
        .of(SUBDUCTION_MEMORY, records)
        .and_then(|it| it.changed);
    let times = memory.map(|it| it.millis / met.millis);
    report.row(match times {
        Some(times) if records >= 100_000 => row
            .ratio("times as fast as subduction in memory", times)
            .ratio_at_least("≥ 100 × subduction at 100,000, flat in n", 100.0),
        Some(times) => row
            .ratio("times as fast as subduction in memory", times)
            .target("≥ 100 × subduction at 100,000, flat in n", None),
        None => row.target("≥ 100 × subduction at 100,000, flat in n", None),
    });
    let row = Row::new("P2", format!("{work}: all frames both ways"), "bytes").ours(met.bytes);
    let row = peers.fill(row, records, |it| Some(it.changed?.bytes));
    report.row(row.at_most("≤ 4 KB", 4_000.0));
    let row = Row::new("P2", format!("{work}: frames both ways"), "messages").ours(met.messages);
    let row = peers.fill(row, records, |it| Some(it.changed?.messages));
    report.row(row.at_most("≤ 6", 6.0));
}

fn unchanged_rows(report: &mut Report, peers: &Peers, records: usize, met: &Exchange) {
    let work = format!("reconnect, nothing of {records} changed");
    let row = Row::new("P3", format!("{work}: all frames both ways"), "bytes").ours(met.bytes);
    let row = peers.fill(row, records, |it| Some(it.unchanged?.bytes));
    report.row(row.at_most("≤ 400", 400.0));
    let row = Row::new("P3", format!("{work}: frames both ways"), "messages").ours(met.messages);
    let row = peers.fill(row, records, |it| Some(it.unchanged?.messages));
    report.row(row.at_most("2: one round trip", 2.0));
    let row = Row::new("P3", format!("{work}: time"), "ms").ours(met.millis);
    report.row(peers.fill(row, records, |it| Some(it.unchanged?.millis)));
}

/// Gives one of the two stores a new life, so that nobody has a cursor into it, and lets them find
/// what differs.
pub(super) async fn repair(
    report: &mut Report,
    peers: &Peers,
    (folder, records): (&Path, usize),
) -> anyhow::Result<()> {
    for (differing, bound) in [(CHANGED, 3_000.0), (1_000, 40_000.0)] {
        if differing > records / 10 {
            continue;
        }
        let store = RedbStore::open(folder.join("b"), RedbOptions::default())?;
        begin_new_life(&store, &mut Entropy::from_os()?)?;
        drop(store);
        let a = Device::open(&folder.join("a")).await?;
        let b = Device::open(&folder.join("b")).await?;
        a.edit(spread(differing, records), 12 + differing).await?;
        let mut changes = Vec::new();
        for number in spread(differing, records) {
            changes.extend(a.newest_change(number).await?);
        }
        let address = a.node.listen("127.0.0.1:0").await?;
        let met = ours::exchange(&a, &b, &address).await?;
        a.node.shutdown().await?;
        b.node.shutdown().await?;
        // The least that the changes could come to: what is left over is the price of finding them.
        let least = floor::zstd_bytes(&changes)?;
        repair_rows(report, peers, (differing, records), (least, bound), &met);
    }
    Ok(())
}

fn repair_rows(
    report: &mut Report,
    peers: &Peers,
    (differing, records): (usize, usize),
    (least, bound): (f64, f64),
    met: &Exchange,
) {
    const SAME: &str = "subduction and samod have no cursors: theirs is the reconnect of P2, with as \
                        many changed. The same zstd of the changes is taken off their bytes.";
    let work = format!("repair without cursors, {differing} of {records} differ");
    let few = differing == CHANGED;
    let of = |it: &Figures| if few { it.changed } else { it.many };
    let target = if few { "≤ 3 KB" } else { "≤ 40 KB" };
    let row = Row::new(
        "P4",
        format!("{work}: all frames both ways, less the zstd of the changes"),
        "bytes",
    );
    let row = peers.fill(row, records, |it| Some(of(it)?.bytes - least));
    report.row(
        row.ours(met.bytes - least)
            .at_most(target, bound)
            .note(super::AT_THIS_SIZE)
            .note(SAME),
    );
    let row = Row::new("P4", format!("{work}: frames both ways"), "messages");
    let row = peers.fill(row, records, |it| Some(of(it)?.messages));
    report.row(
        row.ours(met.messages)
            .target("≤ 4 rounds", None)
            .note("Frames are counted, not rounds: several frames may make one.")
            .note(SAME),
    );
    let row = Row::new("P4", format!("{work}: CPU of both sides"), "ms");
    report.row(row.ours(met.cpu_millis).at_most("≤ 20 ms", 20.0));
}

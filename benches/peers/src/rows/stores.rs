//! Pairs of devices with the same collection, built once for each size and measured in many ways.

use std::path::{Path, PathBuf};

use super::peers::Peers;
use super::{Plan, first_sync, hub_memory, reads, reconnect};
use crate::curve::{Curve, Line};
use crate::floor::RedbAlone;
use crate::measure::{Watch, figure};
use crate::ours::{self, Device, IMPORT_GROUP};
use crate::peers::{Figures, Kept};
use crate::report::{Report, SAMOD, SUBDUCTION, SUBDUCTION_MEMORY};

/// Two devices with the same records, and what it took to get there.
pub(super) struct Pair {
    /// Number of records.
    pub records: usize,
    /// The folder of the stores, `a` and `b`.
    pub folder: PathBuf,
    /// Imported all records; listens.
    pub a: Device,
    /// Got all of them from `a`.
    pub b: Device,
    /// Where `a` listens.
    pub address: String,
    /// Seconds of the import.
    pub import_seconds: f64,
    /// redb alone, with rows of the same sizes.
    pub alone: RedbAlone,
    /// Microseconds a record that it took for the rows of the import.
    pub redb_micros: f64,
    /// Seconds of the first sync.
    pub sync_seconds: f64,
    /// Bytes of frames that `b` received and sent during it.
    pub sync_bytes: f64,
}

/// What is drawn over the number of records.
#[derive(Default)]
pub(super) struct Curves {
    /// Seconds of a first sync.
    pub sync: Vec<(f64, f64)>,
    /// Milliseconds of a reconnect with 10 changed records.
    pub reconnect: Vec<(f64, f64)>,
    /// Milliseconds of opening a store.
    pub open: Vec<(f64, f64)>,
    /// Microseconds of one read.
    pub read: Vec<(f64, f64)>,
}

/// Bytes of the first change of a small record, as it is stored.
const CHANGE_BYTES: usize = 278;

const ROWS: [&str; 8] = ["P1", "P2", "P3", "P4", "P8", "P9", "P11", "P12"];

pub(super) async fn measure(plan: &Plan<'_>, report: &mut Report) -> anyhow::Result<()> {
    if !plan.wants_any(&ROWS) {
        return Ok(());
    }
    let peers = Peers::measure(plan).await;
    let kept = Peers::keeping(plan).await;
    let mut curves = Curves::default();
    for records in plan.sizes() {
        let pair = build(plan, records).await?;
        curves.sync.push((figure(records), pair.sync_seconds));
        if plan.args.wants("P1") {
            first_sync::measure(report, &peers, &pair).await?;
        }
        if plan.args.wants("P12") {
            first_sync::import(report, &kept, &pair)?;
        }
        reconnect::measure(plan, report, (&peers, &mut curves), &pair).await?;
        if plan.args.wants("P9") {
            reads::measure(report, (&kept, &mut curves), &pair).await?;
        }
        if plan.args.wants("P8") && records >= 100_000 {
            hub_memory::measure(plan, report, (&kept, &pair)).await?;
        }
        let Pair { a, b, folder, .. } = pair;
        a.node.shutdown().await?;
        b.node.shutdown().await?;
        if plan.args.wants("P4") {
            reconnect::repair(report, &peers, (&folder, records)).await?;
        }
        if plan.args.wants("P11") {
            reads::open(report, (&kept, &mut curves), (&folder, records)).await?;
        }
        std::fs::remove_dir_all(&folder)?;
    }
    draw(report, (&peers, &kept), curves);
    Ok(())
}

/// Imports into one device and syncs to another.
async fn build(plan: &Plan<'_>, records: usize) -> anyhow::Result<Pair> {
    let folder = plan.folder(&format!("pair-{records}"))?;
    let a = Device::open(&folder.join("a")).await?;
    let b = Device::open(&folder.join("b")).await?;
    let watch = Watch::start();
    a.fill(0..records).await?;
    let import_seconds = watch.seconds();
    let (alone, redb_micros) = redb_alone(&folder, records)?;
    let address = a.node.listen("127.0.0.1:0").await?;
    let sync = ours::exchange(&a, &b, &address).await?;
    Ok(Pair {
        records,
        folder,
        a,
        b,
        address,
        import_seconds,
        alone,
        redb_micros,
        sync_seconds: sync.millis / 1e3,
        sync_bytes: sync.bytes,
    })
}

/// redb alone with the rows of an import, and the microseconds a record that it took.
fn redb_alone(folder: &Path, records: usize) -> anyhow::Result<(RedbAlone, f64)> {
    let alone = RedbAlone::create(&folder.join("redb-alone"))?;
    let commits = records.div_ceil(IMPORT_GROUP);
    let micros = alone.commits(commits, IMPORT_GROUP, CHANGE_BYTES)?;
    let each = micros.iter().sum::<f64>() / figure(commits * IMPORT_GROUP);
    Ok((alone, each))
}

fn draw(report: &mut Report, (peers, kept): (&Peers, &Peers<Kept>), curves: Curves) {
    let first = |it: &Figures| Some(it.first.millis / 1e3);
    let changed = |it: &Figures| it.changed.map(|it| it.millis);
    let others = |pick: &dyn Fn(&Figures) -> Option<f64>| {
        [SUBDUCTION, SUBDUCTION_MEMORY, SAMOD].map(|it| (it, peers.curve(it, pick)))
    };
    let names = [SUBDUCTION, SUBDUCTION_MEMORY, SAMOD];
    let open = names.map(|it| (it, kept.curve(it, |it| Some(it.open_millis))));
    let none = names.map(|it| (it, Vec::new()));
    let figures = [
        ("First sync", "s", curves.sync, others(&first)),
        (
            "Reconnect, 10 changed",
            "ms",
            curves.reconnect,
            others(&changed),
        ),
        ("Open a store", "ms", curves.open, open),
        ("Read one record", "µs", curves.read, none),
    ];
    for (title, unit, ours, others) in figures {
        if ours.len() < 2 {
            continue;
        }
        let lines = [("syncline", ours)].into_iter().chain(others);
        let lines = lines.filter(|(_, points)| points.len() > 1);
        report.curves.push(Curve {
            title: title.to_owned(),
            unit,
            lines: lines.map(|(name, points)| Line { name, points }).collect(),
        });
    }
}

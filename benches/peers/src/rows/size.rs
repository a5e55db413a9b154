//! P10, bytes of a store beside the bytes of the documents in it.

use super::Plan;
use crate::measure::figure;
use crate::ours::Device;
use crate::report::{Report, Row};
use crate::workload;

/// Times that each record is edited.
const EDITS: usize = 10;

pub(super) async fn measure(plan: &Plan<'_>, report: &mut Report) -> anyhow::Result<()> {
    let records = plan.count(2_000, 100_000);
    let store = plan.folder("size")?.join("a");
    let device = Device::open(&store).await?;
    device.fill(0..records).await?;
    for edit in 0..EDITS {
        device.edit(0..records, edit + 10).await?;
    }
    let mut saved = 0;
    for number in 0..records {
        let document = device.tasks.document(workload::id(number)).await?;
        saved += document.map_or(0, |it| it.len());
    }
    device.node.shutdown().await?;
    let file = figure(std::fs::metadata(&store)?.len());
    let work = format!("file of {records} small records, each edited {EDITS} times");
    row(report, work.clone(), file, figure(saved));
    let mut database = redb::Database::open(&store)?;
    database.compact()?;
    drop(database);
    let file = figure(std::fs::metadata(&store)?.len());
    row(
        report,
        format!("{work}, after redb's own compaction"),
        file,
        figure(saved),
    );
    Ok(())
}

/// A file beside the documents in it.
pub(super) fn row(report: &mut Report, work: String, file: f64, saved: f64) {
    report.row(
        Row::new("P10", work, "MB")
            .ours(file / 1e6)
            .floor("Automerge's save, summed", saved / 1e6)
            .over_floor()
            .ratio_at_most("≤ 1.3 × save + 10%", 1.43)
            .note("History is never compacted yet: these are all changes, one by one, and a view."),
    );
}

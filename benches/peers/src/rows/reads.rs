//! P9, reads of one record and of a collection; P11, opening a store.

use std::path::Path;

use super::peers::Peers;
use super::stores::{Curves, Pair};
use crate::measure::{Watch, figure, median};
use crate::ours::Device;
use crate::peers::Kept;
use crate::report::{Report, Row};
use crate::workload::{id, spread};

/// Reads that are timed.
pub(super) const READS: usize = 2_000;

const ANEW: &str = "Of subduction and samod each record for the first time since their stores were \
                    opened. subduction reads its commits, of which the bench makes a document, as \
                    an application does; samod finds the document by its id. All files are in the \
                    system's cache.";

const AGAIN: &str = "samod holds each document that it found once in memory, as long as it runs.";

pub(super) async fn measure(
    report: &mut Report,
    (kept, curves): (&Peers<Kept>, &mut Curves),
    pair: &Pair,
) -> anyhow::Result<()> {
    let records = pair.records;
    let read = read_micros(pair).await?;
    curves.read.push((figure(records), read));
    let again = read_micros(pair).await?;
    let watch = Watch::start();
    let listed = pair.b.tasks.list().await?.len();
    let scan = figure(listed) / watch.seconds();
    anyhow::ensure!(listed == records, "{listed} of {records} records listed");

    let floor = spread(READS, records).map(|it| pair.alone.read(it));
    let floor = median(&floor.collect::<anyhow::Result<Vec<_>>>()?);
    let floor_scan = pair.alone.scan()?;

    let work = format!("read of one of {records} records, as JSON, p50");
    let row = Row::new("P9", work, "µs").ours(read);
    let row = kept.fill(row, records, |it| Some(it.read_micros?[0]));
    let row = row.floor("redb alone", floor).over_floor();
    report.row(row.at_most("< 5 µs", 5.0).note(ANEW));
    let work = format!("the same records again, of {records}, p50");
    let row = Row::new("P9", work, "µs").ours(again);
    let row = kept.fill(row, records, |it| Some(it.read_micros?[1]));
    let row = row.floor("redb alone", floor).over_floor();
    report.row(row.note(AGAIN));
    let row = Row::new(
        "P9",
        format!("list of {records} records, as JSON"),
        "records/s",
    );
    // The peers know no collections: an application keeps a list of ids, and reads one after the
    // other, which are the rows above.
    report.row(
        row.ours(scan)
            .floor("redb alone", floor_scan)
            .over_floor()
            .at_least("≥ 1,000,000", 1e6)
            .note(
                "The peers have no collections: an application of theirs reads records one by one, \
                 by their ids.",
            ),
    );
    Ok(())
}

/// The median of reading single records.
async fn read_micros(pair: &Pair) -> anyhow::Result<f64> {
    let mut micros = Vec::with_capacity(READS);
    for number in spread(READS, pair.records) {
        let watch = Watch::start();
        let record = pair.b.tasks.get(id(number)).await?;
        micros.push(watch.micros());
        anyhow::ensure!(record.is_some(), "a record is missing");
    }
    Ok(median(&micros))
}

/// Opens a store that was closed and reads one record, five times.
pub(super) async fn open(
    report: &mut Report,
    (kept, curves): (&Peers<Kept>, &mut Curves),
    (folder, records): (&Path, usize),
) -> anyhow::Result<()> {
    let mut millis = Vec::new();
    for _ in 0..5 {
        let watch = Watch::start();
        let device = Device::open(&folder.join("b")).await?;
        let record = device.tasks.get(id(records / 2)).await?;
        millis.push(watch.millis());
        anyhow::ensure!(record.is_some(), "a record is missing");
        device.node.shutdown().await?;
    }
    let opened = median(&millis);
    curves.open.push((figure(records), opened));
    let row = Row::new("P11", format!("open a store of {records} records"), "ms");
    let row = kept.fill(row, records, |it| Some(it.open_millis));
    report.row(
        row.ours(opened)
            .at_most("< 50 ms at 1,000,000", 50.0)
            .note(super::AT_THIS_SIZE)
            .note(
                "Until one of the records was answered for: of ours its view, of subduction its \
                 heads, of samod the document.",
            ),
    );
    Ok(())
}

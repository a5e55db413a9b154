//! P1, a new device gets all records of another; P12, a bulk import.

use super::peers::Peers;
use super::stores::Pair;
use crate::floor;
use crate::measure::figure;
use crate::peers::{Figures, Kept};
use crate::report::{Report, Row, SAMOD, SUBDUCTION_MEMORY};

/// Records of the bulk import.
const IMPORTED: usize = 100_000;

/// Records that are taken apart for the size of all changes.
const SAMPLED: usize = 10_000;

/// Rate and bytes of the first sync.
pub(super) async fn measure(report: &mut Report, peers: &Peers, pair: &Pair) -> anyhow::Result<()> {
    let records = pair.records;
    let rate = figure(records) / pair.sync_seconds;
    let rate_of = |it: &Figures| figure(it.records) / (it.first.millis / 1e3);
    let alone = 1e6 / pair.redb_micros;
    let row = Row::new(
        "P1",
        format!("first sync of {records} records, durable on both sides"),
        "records/s",
    );
    let row = row.ours(rate).floor("redb alone", alone);
    let row = peers.fill(row, records, |it| Some(rate_of(it)));
    let memory = peers.of(SUBDUCTION_MEMORY, records);
    let row = match memory.map(|it| rate / rate_of(it)) {
        Some(ratio) => row.ratio("subduction in memory", ratio),
        None => row.over_floor(),
    };
    report.row(if memory.is_some() {
        row.ratio_at_least("≥ 5 × subduction in memory", 5.0)
    } else {
        row
    });
    if let Some(samod) = peers.of(SAMOD, records) {
        let row = Row::new(
            "P1",
            format!("the same beside samod, {records} records"),
            "records/s",
        );
        let row = row.ours(rate).peer(SAMOD, Some(rate_of(samod)));
        report.row(
            row.ratio("samod", rate / rate_of(samod))
                .ratio_at_least("≥ 500 × samod at 10,000", 500.0)
                .note(
                    "The target speaks of 10,000 records, which samod does not sync within minutes: its \
                     time grows with about the square of them.",
                ),
        );
    }
    if records <= SAMPLED {
        let mut all = Vec::new();
        for number in 0..records {
            all.extend(pair.a.changes(number).await?.concat());
        }
        let floor = floor::zstd_bytes(&all)? / figure(records);
        let row = Row::new(
            "P1",
            format!("the same, all frames both ways, {records} records"),
            "bytes/record",
        );
        let row = peers.fill(row, records, |it| Some(it.first.bytes / figure(it.records)));
        report.row(
            row.ours(pair.sync_bytes / figure(records))
                .floor("zstd of all changes", floor)
                .over_floor()
                .ratio_at_most("≤ 1.1 × zstd", 1.1),
        );
    }
    Ok(())
}

/// The import that filled the pair's first device.
pub(super) fn import(report: &mut Report, kept: &Peers<Kept>, pair: &Pair) -> anyhow::Result<()> {
    if pair.records != IMPORTED {
        return Ok(());
    }
    let encoding = floor::automerge_encoding(20_000)?;
    let row = Row::new(
        "P12",
        format!("import of {} JSON records, 1,000 a commit", pair.records),
        "µs/record",
    );
    let row = kept.fill(row, pair.records, |it| Some(it.import_micros));
    report.row(
        row.ours(pair.import_seconds * 1e6 / figure(pair.records))
            .floor(
                "Automerge encoding + redb alone",
                encoding + pair.redb_micros,
            )
            .over_floor()
            .ratio_at_most("≤ 2 × floor", 2.0)
            .note(
                "subduction writes 512 records at once, commits together those that wait for \
                 the disk, and keeps their changes alone. samod makes one after the other, each \
                 done when it is in a file that nobody syncs.",
            ),
    );
    Ok(())
}

//! P10, bytes of a store beside the bytes of the documents in it.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use automerge::transaction::Transactable as _;
use automerge::{Automerge, ObjType, ROOT};
use syncline::Node;
use syncline::store::{KeyRange, Order, RedbOptions, RedbStore, Store as _, Table};

use super::Plan;
use super::folders::Folders;
use crate::curve::{Curve, Line};
use crate::measure::{Watch, figure};
use crate::ours::Device;
use crate::report::{Report, Row, say};
use crate::workload::{self, Typing};

/// Times that each record is edited in a round.
const EDITS: usize = 10;

/// Rounds of churn.
const ROUNDS: usize = 10;

/// What a store holds, by which its bytes are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Held {
    /// So many small records: bytes for each.
    Records(usize),
    /// One large text: megabytes.
    Text,
}

impl Held {
    /// So many bytes in the unit that rows of this show.
    pub(super) fn weight(self, bytes: u64) -> (&'static str, f64) {
        match self {
            Self::Records(records) => ("bytes/record", figure(bytes) / figure(records)),
            Self::Text => ("MB", figure(bytes) / 1e6),
        }
    }
}

pub(super) async fn measure(plan: &Plan<'_>, report: &mut Report) -> anyhow::Result<()> {
    let others = [plan.count(2_000, 10_000), plan.count(2_000, 3_000)];
    let folders = Folders::edited(plan, others, EDITS).await;
    let records = plan.count(2_000, 100_000);
    let store = plan.folder("size")?.join("a");
    let device = Device::open(&store).await?;
    device.fill(0..records).await?;
    edit(&device, records, 0).await?;
    let saved = saved(&device, records).await?;
    device.node.shutdown().await?;
    let work = format!("{records} small records, each edited {EDITS} times");
    let held = (Held::Records(records), saved);
    row(
        report,
        (format!("file of {work}, as it is"), &folders),
        &store,
        held,
    )?;
    compact(&store).await?;
    row(
        report,
        (format!("file of {work}, compacted"), &folders),
        &store,
        held,
    )?;
    text(plan, report).await?;
    churn(plan, report).await
}

/// A text that was typed key by key: each a change.
async fn text(plan: &Plan<'_>, report: &mut Report) -> anyhow::Result<()> {
    let typing = Typing::load(plan.args.trace.as_deref(), plan.count(20_000, 259_778))?;
    let mut document = Automerge::new();
    let mut tx = document.transaction();
    let body = tx.put_object(ROOT, "body", ObjType::Text)?;
    tx.commit();
    for (at, delete, insert) in &typing.patches {
        let mut tx = document.transaction();
        tx.splice_text(&body, *at, isize::try_from(*delete)?, insert)?;
        tx.commit();
    }
    let saved = document.save();
    let folders = Folders::typed(plan, &document).await;
    drop(document);
    let store = plan.folder("text size")?.join("a");
    let device = Device::open(&store).await?;
    device.tasks.import(workload::id(0), &saved).await?;
    device.node.shutdown().await?;
    let count = typing.patches.len();
    let work = format!("file of {count} keystrokes of {}", typing.source);
    let held = (Held::Text, u64::try_from(saved.len())?);
    row(
        report,
        (format!("{work}, as it is"), &folders),
        &store,
        held,
    )?;
    compact(&store).await?;
    row(
        report,
        (format!("{work}, compacted"), &folders),
        &store,
        held,
    )
}

/// Edits all records a round; what they are set to differs from round to round.
async fn edit(device: &Device, records: usize, round: usize) -> anyhow::Result<()> {
    for edit in 0..EDITS {
        device.edit(0..records, round * EDITS + edit + 10).await?;
    }
    Ok(())
}

/// Bytes of all documents as Automerge saves them.
async fn saved(device: &Device, records: usize) -> anyhow::Result<u64> {
    let mut saved = 0;
    for number in 0..records {
        let document = device.tasks.document(workload::id(number)).await?;
        saved += document.map_or(0, |it| u64::try_from(it.len()).unwrap_or(u64::MAX));
    }
    Ok(saved)
}

/// Folds all that can be and gives free room back, as `syncline compact --all` does.
async fn compact(store: &Path) -> anyhow::Result<()> {
    let watch = Watch::start();
    let node = Node::builder()
        .store(store)
        .horizon(Duration::ZERO)
        .open()
        .await?;
    let done = node.compact().await?;
    node.shutdown().await?;
    let folded = watch.seconds();
    let mut file = RedbStore::open(store, RedbOptions::default())?;
    while file.compact()? {}
    file.close()?;
    say(&format!(
        "folded {} changes of {} records in {folded:.1} s, then moved pages for {:.1} s",
        done.changes,
        done.records,
        watch.seconds() - folded
    ));
    Ok(())
}

/// The file over rounds of edits, with nothing but what compaction does by itself and on request: it is
/// never closed, and redb never moves its pages.
async fn churn(plan: &Plan<'_>, report: &mut Report) -> anyhow::Result<()> {
    let others = [plan.count(100, 1_000), plan.count(500, 1_000)];
    let folders = Folders::edited(plan, others, ROUNDS * EDITS).await;
    let records = plan.count(500, 10_000);
    let store = plan.folder("churn")?.join("a");
    let device = Device::open(&store).await?;
    device.fill(0..records).await?;
    let (mut file, mut documents, mut history) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        edit(&device, records, round).await?;
        device.node.compact().await?;
        let edits = figure((round + 1) * EDITS);
        file.push((edits, figure(std::fs::metadata(&store)?.len()) / 1e6));
        let saved = saved(&device, records).await?;
        documents.push((edits, figure(saved) / 1e6));
        history.push((edits, figure(records) * (309.0 + 100.0 * edits) / 1e6));
    }
    device.node.shutdown().await?;
    let last = saved_at(&documents);
    let work = format!(
        "file of {records} small records after {ROUNDS} rounds of {EDITS} edits each, never closed"
    );
    row(
        report,
        (work, &folders),
        &store,
        (Held::Records(records), last),
    )?;
    report.curves.push(Curve {
        title: format!("P10: bytes of {records} records over edits of each"),
        unit: "MB",
        lines: vec![
            Line {
                name: "the file, open all the time",
                points: file,
            },
            Line {
                name: "Automerge's save, summed",
                points: documents,
            },
            Line {
                name: "all changes, about",
                points: history,
            },
        ],
    });
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "megabytes back into bytes"
)]
fn saved_at(documents: &[(f64, f64)]) -> u64 {
    documents.last().map_or(0, |it| (it.1 * 1e6) as u64)
}

/// A file beside the documents in it, and what else is in it.
fn row(
    report: &mut Report,
    (work, folders): (String, &Folders),
    store: &Path,
    (held, saved): (Held, u64),
) -> anyhow::Result<()> {
    let (unit, file) = held.weight(std::fs::metadata(store)?.len());
    let (_, saved) = held.weight(saved);
    let row = Row::new("P10", work, unit).ours(file);
    let row = row.floor("Automerge's save, summed", saved).over_floor();
    let row = row.ratio_at_most("≤ 1.3 × save + 10%", 1.43);
    let row = row.note(format!("Rows: {}.", tables(store)?));
    report.row(folders.fill(row, held));
    Ok(())
}

/// Bytes of keys and values by table, the large ones first.
fn tables(store: &Path) -> anyhow::Result<String> {
    let store = RedbStore::open(store, RedbOptions::default())?;
    let snapshot = store.snapshot()?;
    let mut sizes = Vec::new();
    for table in Table::ALL {
        let mut bytes = 0;
        let visit = &mut |key: &[u8], value: &[u8]| {
            bytes += key.len() + value.len();
            ControlFlow::Continue(())
        };
        snapshot.scan(table, KeyRange::ALL, Order::Ascending, visit)?;
        sizes.push((bytes, table.name()));
    }
    sizes.sort_unstable();
    let large = sizes.into_iter().rev().filter(|it| it.0 >= 10_000);
    let large = large.map(|(bytes, name)| format!("{name} {:.2} MB", figure(bytes) / 1e6));
    Ok(large.collect::<Vec<_>>().join(", "))
}

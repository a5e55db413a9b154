//! What its file storage holds, and what reading from it takes.

use std::path::Path;

use anyhow::anyhow;
use automerge::{AutoSerde, Automerge};
use samod::DocumentId;

use super::{Replica, edit};
use crate::measure::{Files, Watch, files, median, settled_files};
use crate::workload::spread;

/// Files of so many documents after so many edits of each, in a repository that still runs: what it
/// has in too many files it folds as soon as they are written, but not when it is stopped.
pub(crate) async fn edited_files(
    folder: &Path,
    (records, edits): (usize, usize),
) -> anyhow::Result<Files> {
    let replica = Replica::open(folder).await?;
    let documents = replica.create(records).await?;
    for number in 0..edits {
        let priority = i64::try_from(number + 10)?;
        for document in &documents {
            edit(document, priority)?;
        }
        tokio::task::yield_now().await;
    }
    let settled = settled_files(folder).await?;
    replica.stop().await;
    Ok(settled)
}

/// Files of this one document, in a repository that was stopped.
pub(crate) async fn typed_files(folder: &Path, document: Automerge) -> anyhow::Result<Files> {
    let replica = Replica::open(folder).await?;
    let created = replica.repo.create(document).await;
    created.map_err(|error| anyhow!("{error:?}"))?;
    replica.stop().await;
    files(folder)
}

/// Microseconds of reading one of these documents as JSON, from the closed storage in this folder
/// by a repository opened on it, and again, now that it holds them.
pub(crate) async fn read_micros(
    folder: &Path,
    documents: &[DocumentId],
    reads: usize,
) -> anyhow::Result<[f64; 2]> {
    let replica = Replica::open(folder).await?;
    let mut medians = [0.0; 2];
    for median_micros in &mut medians {
        let mut micros = Vec::with_capacity(reads);
        for number in spread(reads.min(documents.len()), documents.len()) {
            let Some(id) = documents.get(number) else {
                continue;
            };
            let watch = Watch::start();
            let document = replica.find(id).await?;
            let record = document.with_document(|it| serde_json::to_value(AutoSerde::from(&*it)));
            micros.push(watch.micros());
            let is_it = record?.get("id") == Some(&number.into());
            anyhow::ensure!(is_it, "another document");
        }
        *median_micros = median(&micros);
    }
    replica.stop().await;
    Ok(medians)
}

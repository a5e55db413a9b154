//! What its redb storage holds, and what reading from it takes.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, anyhow, ensure};
use automerge::{AutoSerde, Automerge, Change};
use futures::{StreamExt as _, TryStreamExt as _};
use sedimentree_core::blob::Blob;
use sedimentree_core::loose_commit::id::CommitId;
use serde_json::Value as Json;

use super::work::Writer;
use super::{Disk, Replica, TOGETHER, tree};
use crate::measure::{Files, Watch, files, median, settled_files};
use crate::workload::spread;

impl<S: Disk> Replica<S> {
    /// As an application reads a record: all of its commits, in whatever order, make a document.
    async fn read(&self, number: usize) -> anyhow::Result<Json> {
        let blobs = self.core.get_blobs(tree(number)).await;
        let blobs = blobs.map_err(|error| anyhow!("{error}"))?;
        let blobs = blobs.context("a record is missing")?.into_iter();
        let changes = blobs.map(|it| Change::from_bytes(it.into_contents()));
        let mut document = Automerge::new();
        document.apply_changes(changes.collect::<Result<Vec<_>, _>>()?)?;
        Ok(serde_json::to_value(AutoSerde::from(&document))?)
    }
}

/// Microseconds of reading one of so many records as JSON, by a replica opened on the closed store
/// in this folder, and again.
pub(crate) async fn read_micros(
    folder: &Path,
    records: usize,
    reads: usize,
) -> anyhow::Result<[f64; 2]> {
    let (replica, _) = Replica::reopen(folder).await?;
    let mut medians = [0.0; 2];
    for median_micros in &mut medians {
        let mut micros = Vec::with_capacity(reads);
        for number in spread(reads.min(records), records) {
            let watch = Watch::start();
            let record = replica.read(number).await?;
            micros.push(watch.micros());
            ensure!(record.get("id") == Some(&number.into()), "another record");
        }
        *median_micros = median(&micros);
    }
    Ok(medians)
}

/// Files of so many records after so many edits of each, in a store that is open.
pub(crate) async fn edited_files(
    folder: &Path,
    (records, edits): (usize, usize),
) -> anyhow::Result<Files> {
    let replica = Replica::durable(folder, 1)?;
    replica.fill(records).await?;
    let writers = (0..records).map(Writer::new);
    let mut writers = writers.collect::<anyhow::Result<Vec<_>>>()?;
    for edit in 0..edits {
        let core = &replica.core;
        let writes = futures::stream::iter(&mut writers);
        let writes = writes.map(|it| it.edit(core, edit + 10));
        let writes = writes.buffer_unordered(TOGETHER);
        writes.try_collect::<()>().await?;
    }
    files(folder)
}

/// Files of one record with all changes of this document, each a commit, in a store that was closed.
pub(crate) async fn typed_files(folder: &Path, document: &Automerge) -> anyhow::Result<Files> {
    let replica = Replica::durable(folder, 1)?;
    let commits = document.get_changes(&[]).into_iter().map(|it| {
        let parents: BTreeSet<_> = it.deps().iter().map(|it| CommitId::new(it.0)).collect();
        let blob = Blob::new(it.raw_bytes().to_vec());
        (CommitId::new(it.hash().0), parents, blob)
    });
    let stored = replica
        .core
        .store_commits_batch(tree(0), commits.collect())
        .await;
    stored.map_err(|error| anyhow!("{error}"))?;
    drop(replica);
    settled_files(folder).await
}

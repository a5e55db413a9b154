//! The rows, in the order in which they are cheapest to measure together.

mod crowd;
mod delta;
mod first_sync;
mod folders;
mod hub_memory;
mod keeping;
mod live;
mod peers;
mod queries;
mod reads;
mod reconnect;
mod size;
mod stores;
mod sustained;
mod text;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::args::Args;
use crate::report::{Report, Row, say};

/// Said where a target is judged at a size below the one it speaks of.
const AT_THIS_SIZE: &str = "Judged at this size. The target speaks of 1,000,000 records, which a \
                            full run measures.";

/// What is measured, and where.
pub(super) struct Plan<'a> {
    args: &'a Args,
    folder: &'a Path,
}

impl Plan<'_> {
    fn wants_any(&self, ids: &[&str]) -> bool {
        ids.iter().any(|it| self.args.wants(it))
    }

    /// One count for a quick run, another for a full one.
    fn count(&self, quick: usize, full: usize) -> usize {
        if self.args.full { full } else { quick }
    }

    /// Sizes of collections, for rows that are curves.
    fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![1_000, 10_000, 100_000];
        if self.args.full {
            sizes.push(1_000_000);
        }
        sizes
    }

    /// Sizes of a peer's collections: what it does in seconds, and what a full run adds.
    fn peer_sizes(&self, quick: &[usize], full: usize) -> Vec<usize> {
        let mut sizes = quick.to_vec();
        sizes.extend(self.args.full.then_some(full));
        sizes
    }

    /// A new folder for a row.
    fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(folder)
    }
}

/// Measures all rows that are asked for.
pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let folder = match &args.folder {
        Some(parent) => tempfile::tempdir_in(parent)
            .with_context(|| format!("cannot write into {}", parent.display()))?,
        None => tempfile::tempdir().context("no temporary folder")?,
    };
    let plan = Plan {
        args,
        folder: folder.path(),
    };
    let work = stores::measure(&plan, report).await;
    settled(report, "P1", work);
    if plan.args.wants("P5") {
        let work = live::latency(&plan, report).await;
        settled(report, "P5", work);
    }
    if plan.args.wants("P6") {
        let work = sustained::measure(&plan, report).await;
        settled(report, "P6", work);
    }
    if plan.args.wants("P7") {
        let work = text::measure(&plan, report).await;
        settled(report, "P7", work);
    }
    if plan.args.wants("P9") {
        let work = queries::measure(&plan, report).await;
        settled(report, "P9", work);
    }
    if plan.args.wants("P10") {
        let work = size::measure(&plan, report).await;
        settled(report, "P10", work);
    }
    if plan.args.wants("C5") {
        let work = delta::measure(&plan, report);
        settled(report, "C5", work);
    }
    if plan.args.wants("P13") {
        let work = crowd::measure(&plan, report).await;
        settled(report, "P13", work);
    }
    Ok(())
}

/// A row that could not be measured says so in its place; the others are still worth having.
fn settled(report: &mut Report, id: &'static str, work: anyhow::Result<()>) {
    if let Err(error) = work {
        say(&format!("{id} failed: {error:#}"));
        report
            .row(Row::new(id, "this and what builds on it", "").note(format!("failed: {error:#}")));
    }
}

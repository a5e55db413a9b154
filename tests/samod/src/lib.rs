//! samod as an unmodified client of a syncline hub: a real process, told by `SYNCLINE_BIN`.
//!
//! ```text
//! cargo build --release --features "cli automerge-repo"
//! SYNCLINE_BIN=$PWD/target/release/syncline cargo test --release --manifest-path tests/samod/Cargo.toml
//! ```

mod client;
mod hub;

use std::time::Duration;

use anyhow::Context as _;
use automerge::ChangeHash;
use samod::DocHandle;
use tokio::time::{Instant, sleep};

pub use client::{Client, edit};
pub use hub::{Hub, syncline};

/// Where the hub keeps documents.
pub const COLLECTION: &str = "documents";

/// After this long, something hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The newest changes of a document, in order.
pub fn heads(document: &DocHandle) -> Vec<ChangeHash> {
    document.with_document(|it| sorted(it.get_heads()))
}

pub(crate) fn sorted(mut heads: Vec<ChangeHash>) -> Vec<ChangeHash> {
    heads.sort();
    heads
}

/// Waits until all of these have the same changes of a document; gives its heads.
///
/// # Errors
/// When they do not within [`PATIENCE`].
pub async fn equal(documents: &[&DocHandle]) -> anyhow::Result<Vec<ChangeHash>> {
    let first = *documents.first().context("no documents")?;
    let end = Instant::now() + PATIENCE;
    loop {
        let found: Vec<_> = documents.iter().map(|it| heads(it)).collect();
        if found.iter().all(|it| *it == heads(first)) {
            return Ok(heads(first));
        }
        anyhow::ensure!(Instant::now() < end, "they stay different: {found:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

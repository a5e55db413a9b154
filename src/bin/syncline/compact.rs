//! `compact`: folds the history of records, and gives the room back to the file system.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use syncline::SpaceId;
use syncline::engine::Compacted;
use syncline::store::{RedbOptions, RedbStore};

use crate::args::CompactArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::store;
use crate::text::{counted, number};

pub(crate) async fn run(args: CompactArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let path = &args.store.store;
    if !path.exists() {
        return Err(Failure::no_store(path));
    }
    let before = size(path)?;
    let mut builder = store::builder(path, space);
    if args.all {
        builder = builder.horizon(Duration::ZERO);
    }
    let node = store::open(builder).await?;
    let outcome = node.compact().await.map_err(Failure::from);
    let done = store::close(&node, outcome).await?;
    shrink(path)?;
    let after = size(path)?;
    let Compacted {
        records,
        changes,
        bytes,
        ..
    } = done;
    out.say(format!(
        "folded {} of {}: {} bytes less of history",
        counted(changes, "change"),
        counted(records, "record"),
        number(bytes)
    ))?;
    out.say(format!(
        "file: {} bytes before, {} after",
        number(before),
        number(after)
    ))?;
    out.object(&json!({
        "records": records,
        "changes": changes,
        "history_bytes": bytes,
        "file_bytes_before": before,
        "file_bytes_after": after,
    }))
}

/// redb moves pages towards the start of the file, a part of them at a time.
fn shrink(path: &Path) -> Result<(), Failure> {
    let of_store =
        |error: syncline::store::StoreError| Failure::from(syncline::Error::from(error)).of_store();
    let mut store = RedbStore::open(path, RedbOptions::default()).map_err(of_store)?;
    while store.compact().map_err(of_store)? {}
    store.close().map_err(of_store)
}

fn size(path: &Path) -> Result<u64, Failure> {
    let found = std::fs::metadata(path);
    let found = found.map_err(|error| Failure::io("cannot read the store's size", &error))?;
    Ok(found.len())
}

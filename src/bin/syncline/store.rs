//! Opening the store of a command, and the names its arguments use.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use syncline::node::Builder;
use syncline::{Node, RecordId, Records, SpaceId, limits};

use crate::args::{ReasonArgs, RecordArgs};
use crate::failure::Failure;

/// The space that `--space` means: its id in hex, or the one that all who use the name mean.
pub(crate) fn space(name: &str) -> SpaceId {
    name.parse().unwrap_or_else(|_| SpaceId::named(name))
}

/// The record that an argument means: its id, or the one that all who use the name mean.
///
/// An id carries a checksum of four bytes, so that no name passes for one by accident.
pub(crate) fn record(name: &str) -> RecordId {
    name.parse().unwrap_or_else(|_| RecordId::named(name))
}

/// A node over the store, ready for further settings.
pub(crate) fn builder(store: impl Into<PathBuf>, space: SpaceId) -> Builder {
    Node::builder().store(store).space(space)
}

/// Opens the store that a command reads or changes. A mistyped path makes no new store.
pub(crate) async fn open_existing(store: &Path, space: SpaceId) -> Result<Node, Failure> {
    if !store.exists() {
        return Err(Failure::no_store(store));
    }
    open(builder(store, space)).await
}

/// Opens a node. What goes wrong then is the store's.
pub(crate) async fn open(builder: Builder) -> Result<Node, Failure> {
    builder
        .open()
        .await
        .map_err(|error| Failure::from(error).of_store())
}

/// Ends the node whatever the outcome was, and reports the first thing that failed.
pub(crate) async fn close<T>(node: &Node, outcome: Result<T, Failure>) -> Result<T, Failure> {
    let closed = node.shutdown().await;
    let value = outcome?;
    closed?;
    Ok(value)
}

/// Opens the store, does something to the record that the arguments name, and closes the store.
pub(crate) async fn change<T>(
    (args, reason): (&RecordArgs, &ReasonArgs),
    space: SpaceId,
    action: impl AsyncFnOnce(&Records, RecordId) -> Result<T, Failure>,
) -> Result<(RecordId, T), Failure> {
    let node = open_existing(&args.store.store, space).await?;
    let id = record(&args.id);
    let outcome = async {
        let records = reason.of(node.records(&args.collection)?);
        action(&records, id).await
    };
    Ok((id, close(&node, outcome.await).await?))
}

/// JSON from an argument, or from stdin for `-`.
pub(crate) fn json_argument(text: &str) -> Result<Json, Failure> {
    let mut input = String::new();
    let text = if text == "-" {
        // One byte more than fits, so that what is too long is seen to be.
        let bound = u64::try_from(limits::CHANGE_BYTES_MAX).unwrap_or(u64::MAX);
        let read = std::io::stdin().take(bound + 1).read_to_string(&mut input);
        read.map_err(|error| Failure::io("cannot read stdin", &error))?;
        input.as_str()
    } else {
        text
    };
    if text.len() > limits::CHANGE_BYTES_MAX {
        let bound = limits::CHANGE_BYTES_MAX;
        return Err(Failure::input(format!("the JSON is over {bound} bytes")));
    }
    serde_json::from_str(text).map_err(|error| {
        let shown: String = text.chars().take(60).collect();
        Failure::input(format!("'{shown}' is not JSON: {error}"))
    })
}

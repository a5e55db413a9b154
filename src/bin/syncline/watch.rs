//! `watch`: changes as they happen.

use serde_json::{Value as Json, json};
use syncline::node::{ChangeKind, Changed, Origin, Watch, WatchEvent};
use syncline::{Node, SpaceId};

use crate::args::WatchArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::text::shorten;
use crate::{signals, store};

/// Characters of a record that are shown.
const SHOWN_WIDTH: usize = 100;

pub(crate) async fn run(args: WatchArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let node = store::open(store::builder(&args.store.store, space)).await?;
    let outcome = follow(&node, &args, out).await;
    store::close(&node, outcome).await
}

async fn follow(node: &Node, args: &WatchArgs, out: Output) -> Result<(), Failure> {
    let mut watch = match &args.collection {
        Some(collection) => node.records(collection)?.watch()?,
        None => node.watch()?,
    };
    for url in &args.connect {
        node.connect(url).await?;
    }
    tokio::select! {
        ended = print(&mut watch, args.limit, out) => ended,
        stopped = signals::stop() => {
            let signal = stopped.map_err(|error| Failure::io("cannot wait for signals", &error))?;
            // There may have been no change, and stdout ends with an object all the same.
            out.object(&json!({"stopped": signal}))
        }
    }
}

async fn print(watch: &mut Watch, limit: Option<u64>, out: Output) -> Result<(), Failure> {
    let mut left = limit.unwrap_or(u64::MAX);
    while left > 0 {
        match watch.next().await {
            Some(WatchEvent::Changed(changed)) => print_change(&changed, out)?,
            Some(WatchEvent::Lagged { missed }) => {
                out.say(format!(
                    "{missed} changes were missed; `syncline ls` shows how things are"
                ))?;
                out.object(&json!({"missed": missed}))?;
            }
            None => return Ok(()),
        }
        left -= 1;
    }
    Ok(())
}

fn print_change(changed: &Changed, out: Output) -> Result<(), Failure> {
    let kind = match changed.kind {
        ChangeKind::Created => "created",
        ChangeKind::Updated => "updated",
        ChangeKind::Deleted => "deleted",
        ChangeKind::Restored => "restored",
    };
    let origin = match changed.origin {
        Origin::Local => "local".to_owned(),
        Origin::Peer(store) => store.to_string(),
    };
    let record = if changed.kind == ChangeKind::Deleted {
        Json::Null
    } else {
        changed.json()
    };
    let key = &changed.key;
    let shown = shorten(&record.to_string(), SHOWN_WIDTH);
    out.say(format!(
        "{kind:<8}  {}/{}  {shown}",
        key.collection, key.record
    ))?;
    out.object(&json!({
        "collection": key.collection.as_str(),
        "id": key.record,
        "kind": kind,
        "origin": origin,
        "record": record,
    }))
}

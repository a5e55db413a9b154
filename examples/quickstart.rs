//! A typed collection in one file: insert, update, watch, read. Run it with
//! `cargo run --example quickstart`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use autosurgeon::Reconcile;
use serde::{Deserialize, Serialize};
use syncline::node::WatchEvent;
use syncline::record::{Counter, Text};
use syncline::{Node, Result};

#[derive(Clone, Debug, Reconcile, Serialize, Deserialize)]
struct Task {
    title: String,
    notes: Text,    // merges character by character
    votes: Counter, // concurrent increments add up
}

#[tokio::main]
async fn main() -> Result<()> {
    let path = std::env::temp_dir().join(format!("quickstart-{}.redb", std::process::id()));
    let node = Node::builder().store(&path).open().await?;
    let tasks = node.collection::<Task>("tasks")?;
    let mut watch = tasks.watch()?;

    let id = tasks
        .insert(&Task {
            title: "Water the plants".to_owned(),
            notes: Text::from("The fern too."),
            votes: Counter::new(1),
        })
        .await?; // on disk from here on
    tasks.update(id, |task| task.votes.increment(1)).await?;

    for _ in 0..2 {
        if let Some(WatchEvent::Changed(seen)) = watch.next().await {
            println!("{:?}: {}", seen.kind, seen.json());
        }
    }
    println!("read: {:?}", tasks.get(id).await?);
    node.shutdown().await?;
    drop(std::fs::remove_file(path));
    Ok(())
}

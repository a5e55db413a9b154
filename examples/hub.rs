//! A hub and two devices that are never online together. The hub relays what it never reads: it
//! loads no record. Run it with `cargo run --example hub`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use serde_json::json;
use syncline::{Node, RecordId, Result};

#[tokio::main]
async fn main() -> Result<()> {
    // Without a file each of them keeps its records in memory.
    let hub = Node::builder().relay().open().await?;
    let address = hub.listen("127.0.0.1:0").await?;
    let id = RecordId::named("shopping");

    let laptop = Node::builder().open().await?;
    laptop.connect(&address).await?;
    let list = laptop.records("lists")?;
    list.put(id, &json!({"bread": 1, "milk": 2})).await?;
    // Returns when the hub has it on its disk, or here in its memory.
    laptop.delivered(&list.key(id)).to(hub.replica_id()).await?;
    laptop.shutdown().await?;

    let phone = Node::builder().open().await?;
    phone.connect(&address).await?;
    phone.synced().await?;
    let list = phone.records("lists")?;
    let read = list.get(id).await?.unwrap_or_default();
    println!("the phone reads {read}");
    assert_eq!(read, json!({"bread": 1, "milk": 2}));

    let traffic = phone.traffic();
    let (received, sent) = (traffic.received_bytes, traffic.sent_bytes);
    println!("it has received {received} bytes and sent {sent}");
    phone.shutdown().await?;
    hub.shutdown().await
}

//! Two devices and no hub: one listens, the other connects; both have edited the same record
//! before they meet. Run it with `cargo run --example two_devices`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::{Path, PathBuf};

use autosurgeon::Reconcile;
use serde::{Deserialize, Serialize};
use syncline::record::Set;
use syncline::{Collection, Node, RecordId, Result};

#[derive(Clone, Debug, PartialEq, Reconcile, Serialize, Deserialize)]
struct Trip {
    place: String,
    day: Option<String>,
    packed: Set<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let files = ["laptop", "phone"].map(file);
    let [laptop, phone] = &files;
    let shown = meet(laptop, phone).await;
    for file in &files {
        drop(std::fs::remove_file(file));
    }
    let (on_laptop, on_phone) = shown?;
    println!("laptop: {on_laptop:?}");
    println!("phone:  {on_phone:?}");
    assert_eq!(on_laptop, on_phone, "both hold the same");
    Ok(())
}

async fn meet(laptop: &Path, phone: &Path) -> Result<(Option<Trip>, Option<Trip>)> {
    let laptop = Node::builder().store(laptop).open().await?;
    let phone = Node::builder().store(phone).open().await?;
    let here: Collection<Trip> = laptop.collection("trips")?;
    let there: Collection<Trip> = phone.collection("trips")?;

    // A name of the record's own gives it the same id on both devices.
    let id = RecordId::named("summer");
    let trip = Trip {
        place: "Lisbon".to_owned(),
        day: None,
        packed: Set::new(),
    };
    here.insert_as(id, &trip).await?;

    let address = laptop.listen("127.0.0.1:0").await?;
    phone.connect(&address).await?;
    phone.synced().await?;
    phone.disconnect(&address).await?;

    // Apart, both write: different fields, and the same set.
    here.update(id, |trip| {
        trip.day = Some("2026-07-14".to_owned());
        trip.packed.insert("tickets".to_owned());
    })
    .await?;
    there
        .update(id, |trip| {
            trip.packed.insert("sun hat".to_owned());
        })
        .await?;

    phone.connect(&address).await?;
    phone.synced().await?;
    laptop.synced().await?;
    let shown = (here.get(id).await?, there.get(id).await?);
    phone.shutdown().await?;
    laptop.shutdown().await?;
    Ok(shown)
}

fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("two-devices-{name}-{}.redb", std::process::id()))
}

//! P8, P9, P11 and P12 of the peers: what it takes them to make, hold, read and open many records.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use ::samod::DocHandle;
use anyhow::Context as _;
use tokio::time::sleep;

use super::Plan;
use super::reads::READS;
use crate::hub::{Hub, Kind, SUBDUCTION_HUB};
use crate::measure::{Watch, figure, median};
use crate::peers::{Kept, samod, subduction};

/// Time for a hub to calm down.
const CALM: Duration = Duration::from_secs(1);

/// How often a store is opened.
const OPENS: usize = 5;

/// What it takes subduction on its redb storage.
pub(super) async fn subduction(plan: &Plan<'_>, records: usize) -> anyhow::Result<Kept> {
    let folder = plan.folder(&format!("kept-subduction-{records}"))?;
    let replica = subduction::Replica::durable(&folder.join("a"), 1)?;
    let watch = Watch::start();
    replica.fill(records).await?;
    let import_micros = watch.micros() / figure(records);
    let give = async |address| {
        let link = replica.dial(address, SUBDUCTION_HUB).await?;
        let peer = subduction::peer_id(SUBDUCTION_HUB);
        // A pass ends when all is sent; one that sends nothing shows that all arrived.
        while replica.sync(peer).await? > 0 {
            sleep(CALM).await;
        }
        anyhow::Ok(link)
    };
    let megabytes = memory(plan, (Kind::Subduction, &folder), give).await?;
    drop(replica);
    if megabytes.is_some() {
        // What the hub was started on is there.
        subduction::Replica::open_millis(&folder.join("hub"), records - 1).await?;
    }
    let folder = folder.join("a");
    let mut opens = Vec::with_capacity(OPENS);
    for _ in 0..OPENS {
        opens.push(subduction::Replica::open_millis(&folder, records / 2).await?);
    }
    let read_micros = if plan.args.wants("P9") {
        Some(subduction::read_micros(&folder, records, READS).await?)
    } else {
        None
    };
    Ok(Kept {
        import_micros,
        open_millis: median(&opens),
        megabytes,
        read_micros,
    })
}

/// What it takes samod on its file storage.
pub(super) async fn samod(plan: &Plan<'_>, records: usize) -> anyhow::Result<Kept> {
    let folder = plan.folder(&format!("kept-samod-{records}"))?;
    let replica = samod::Replica::open(&folder.join("a")).await?;
    let watch = Watch::start();
    let documents = replica.create(records).await?;
    let import_micros = watch.micros() / figure(records);
    let give = async |address| replica.give(address, &documents).await;
    let megabytes = memory(plan, (Kind::Samod, &folder), give).await?;
    let ids: Vec<_> = documents
        .iter()
        .map(DocHandle::document_id)
        .cloned()
        .collect();
    let one = ids.get(records / 2).context("no such document")?;
    drop(documents);
    replica.stop().await;
    if megabytes.is_some() {
        // What the hub was started on is there.
        samod::Replica::open_millis(&folder.join("hub"), one).await?;
    }
    let folder = folder.join("a");
    let mut opens = Vec::with_capacity(OPENS);
    for _ in 0..OPENS {
        opens.push(samod::Replica::open_millis(&folder, one).await?);
    }
    let read_micros = if plan.args.wants("P9") {
        Some(samod::read_micros(&folder, &ids, READS).await?)
    } else {
        None
    };
    Ok(Kept {
        import_micros,
        open_millis: median(&opens),
        megabytes,
        read_micros,
    })
}

/// Resident megabytes of a hub that was just given all, and of one that started on them; if P8 is
/// wanted. `give` keeps the link as long as what it gives lives.
async fn memory<Link>(
    plan: &Plan<'_>,
    (kind, folder): (Kind, &Path),
    give: impl AsyncFnOnce(SocketAddr) -> anyhow::Result<Link>,
) -> anyhow::Result<Option<[f64; 2]>> {
    if !plan.args.wants("P8") {
        return Ok(None);
    }
    let store = folder.join("hub");
    let hub = Hub::start_as(kind, &store).await?;
    let link = give(hub.address.parse()?).await?;
    sleep(CALM).await;
    let received = hub.resident_bytes()? / 1e6;
    drop(link);
    hub.stop().await?;
    let hub = Hub::start_as(kind, &store).await?;
    sleep(CALM).await;
    let started = hub.resident_bytes()? / 1e6;
    hub.stop().await?;
    Ok(Some([received, started]))
}

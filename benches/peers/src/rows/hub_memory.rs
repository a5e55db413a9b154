//! P8, memory of a hub that holds much and does nothing.

use std::time::Duration;

use syncline::SpaceId;
use tokio::time::sleep;

use super::Plan;
use super::stores::Pair;
use crate::hub::Hub;
use crate::measure::figure;
use crate::ours::Device;
use crate::report::{Report, Row};

/// Time for a hub to calm down.
const CALM: Duration = Duration::from_secs(1);

pub(super) async fn measure(
    plan: &Plan<'_>,
    report: &mut Report,
    pair: &Pair,
) -> anyhow::Result<()> {
    let store = pair.folder.join("hub");
    let hub = Hub::start(&store).await?;
    pair.a.link(&hub.address).await?;
    sleep(CALM).await;
    let received = hub.resident_bytes()? / 1e6;
    pair.a.node.disconnect(&hub.address).await?;
    hub.stop().await?;

    let hub = Hub::start(&store).await?;
    sleep(CALM).await;
    let started = hub.resident_bytes()? / 1e6;
    let connections = plan.count(200, 1_000);
    let mut clients = Vec::with_capacity(connections);
    for number in 0..connections {
        let client = Device::in_memory(SpaceId::named(&format!("idle-{number}"))).await?;
        client.link(&hub.address).await?;
        clients.push(client);
    }
    sleep(CALM).await;
    let connected = hub.resident_bytes()? / 1e6;
    for client in clients {
        client.node.shutdown().await?;
    }
    hub.stop().await?;
    std::fs::remove_file(store)?;

    let records = pair.records;
    for (state, memory) in [("that just received", received), ("started on", started)] {
        let work = format!("resident memory of a hub {state} {records} records");
        let row = Row::new("P8", work, "MB");
        report.row(
            row.ours(memory)
                .at_most("< 100 MB up to 1,000,000", 100.0)
                .note(super::AT_THIS_SIZE),
        );
    }
    let work = format!("resident memory of a hub for each of {connections} idle connections");
    let row = Row::new("P8", work, "KB");
    let each = (connected - started) * 1e3 / figure(connections);
    report.row(row.ours(each).at_most("< 100 KB", 100.0));
    Ok(())
}

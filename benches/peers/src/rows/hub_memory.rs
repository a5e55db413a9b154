//! P8, memory of a hub that holds much and does nothing.

use std::time::Duration;

use syncline::SpaceId;
use tokio::time::sleep;

use super::Plan;
use super::peers::Peers;
use super::stores::Pair;
use crate::hub::Hub;
use crate::measure::figure;
use crate::ours::Device;
use crate::peers::Kept;
use crate::report::{Report, Row};

/// Time for a hub to calm down.
const CALM: Duration = Duration::from_secs(1);

pub(super) async fn measure(
    plan: &Plan<'_>,
    report: &mut Report,
    (kept, pair): (&Peers<Kept>, &Pair),
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
    let states = [("that just received", received), ("started on", started)];
    for (at, (state, memory)) in states.into_iter().enumerate() {
        let work = format!("resident memory of a hub {state} {records} records");
        let row = Row::new("P8", work, "MB").ours(memory);
        let row = kept.fill(row, records, |it| it.megabytes?.get(at).copied());
        report.row(
            row.at_most("< 100 MB up to 1,000,000", 100.0)
                .note(super::AT_THIS_SIZE)
                .note(
                    "The peers with the page cache that they come with; started, they load no \
                     record before somebody asks for it.",
                ),
        );
    }
    let work = format!("resident memory of a hub for each of {connections} idle connections");
    let row = Row::new("P8", work, "KB");
    let each = (connected - started) * 1e3 / figure(connections);
    report.row(row.ours(each).at_most("< 100 KB", 100.0));
    Ok(())
}

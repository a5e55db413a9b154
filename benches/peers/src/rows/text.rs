//! P7, a hub relays keystrokes.

use syncline::doc::PathStep;
use syncline::store::Durability;

use serde_json::json;

use super::Plan;
use crate::hub::Hub;
use crate::measure::{Watch, figure};
use crate::ours::Device;
use crate::report::{Report, Row, say};
use crate::workload::{self, Typing};

pub(super) async fn measure(plan: &Plan<'_>, report: &mut Report) -> anyhow::Result<()> {
    let count = plan.count(5_000, 20_000);
    let typing = Typing::load(plan.args.trace.as_deref(), count)?;
    let keystrokes = typing.patches.len();
    let folder = plan.folder("text")?;
    let hub = Hub::start(&folder.join("hub")).await?;
    let a = Device::open_as(&folder.join("a"), Durability::Relaxed).await?;
    let b = Device::open_as(&folder.join("b"), Durability::Relaxed).await?;
    a.link(&hub.address).await?;
    b.link(&hub.address).await?;
    let id = workload::id(0);
    a.tasks.put(id, &json!({ "body": { "$text": "" } })).await?;
    a.until_equal(&b).await?;

    let before = hub.cpu_seconds()?;
    let watch = Watch::start();
    let body = [PathStep::from("body")];
    for (at, delete, insert) in &typing.patches {
        let typed = a
            .tasks
            .edit(id, |edit| edit.splice_text(&body, *at, *delete, insert));
        typed.await?;
    }
    a.until_equal(&b).await?;
    say(&format!("typed and relayed in {:.1} s", watch.seconds()));
    let cpu = (hub.cpu_seconds()? - before) * 1e6 / figure(keystrokes);
    a.node.shutdown().await?;
    b.node.shutdown().await?;
    hub.stop().await?;
    let work = format!("hub relays {keystrokes} keystrokes of {}", typing.source);
    let row = Row::new("P7", work, "µs of CPU/edit").ours(cpu);
    report.row(row.at_most("≤ 20 µs", 20.0).note(
        "All CPU of the hub's process, its commits included; the devices' edits are relaxed, so \
         that keystrokes come in batches, as from fast typists. That the hub never loads the \
         text is shown by a test of the library.",
    ));
    Ok(())
}

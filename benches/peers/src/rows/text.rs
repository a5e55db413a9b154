//! P7, a hub relays keystrokes.

use std::path::Path;

use syncline::doc::PathStep;
use syncline::store::Durability;

use serde_json::json;

use super::Plan;
use crate::hub::{Hub, Kind};
use crate::measure::{Watch, figure};
use crate::ours::Device;
use crate::peers::{samod, subduction};
use crate::report::{Report, Row, SAMOD, SUBDUCTION, SUBDUCTION_MEMORY, say};
use crate::workload::{self, Patch, Typing};

pub(super) async fn measure(plan: &Plan<'_>, report: &mut Report) -> anyhow::Result<()> {
    let count = plan.count(5_000, 20_000);
    let typing = Typing::load(plan.args.trace.as_deref(), count)?;
    let keystrokes = typing.patches.len();
    let others = others(plan, &typing.patches).await;
    let cpu = ours(&plan.folder("text")?, &typing.patches).await?;
    let work = format!("hub relays {keystrokes} keystrokes of {}", typing.source);
    let mut row = Row::new("P7", work, "µs of CPU/edit").ours(cpu);
    for (name, count, cpu) in others {
        row = row.peer(name, Some(cpu));
        if count != keystrokes {
            row = row.peer_at(name, count.to_string());
        }
    }
    report.row(
        row.at_most("≤ 20 µs", 20.0)
            .note(
                "All CPU of the hub's process, its commits included; the devices' edits are \
                 relaxed, so that keystrokes come in batches, as from fast typists. That the hub \
                 never loads the text is shown by a test of the library.",
            )
            .note(
                "The peers' devices type as fast as their calls return; subduction's are in memory, \
                 so that only the hub has a disk, or none has. Each keystroke costs them more the \
                 more there are: samod's hub loads the text, and subduction's looks through all \
                 commits that are in no fragment, which it asks its application to make of old \
                 ones and this one does not.",
            ),
    );
    Ok(())
}

/// The hub's microseconds of CPU for each keystroke.
async fn ours(folder: &Path, patches: &[Patch]) -> anyhow::Result<f64> {
    let hub = Hub::start(&folder.join("hub")).await?;
    let a = Device::open_as(&folder.join("a"), Durability::Relaxed).await?;
    let b = Device::open_as(&folder.join("b"), Durability::Relaxed).await?;
    a.link(&hub.address).await?;
    b.link(&hub.address).await?;
    let id = workload::id(0);
    a.tasks.put(id, &json!({ "body": { "$text": "" } })).await?;
    a.until_equal(&b).await?;

    let body = [PathStep::from("body")];
    let typing = async {
        for (at, delete, insert) in patches {
            let typed = a
                .tasks
                .edit(id, |edit| edit.splice_text(&body, *at, *delete, insert));
            typed.await?;
        }
        a.until_equal(&b).await
    };
    let cpu = cpu_micros(&hub, patches.len(), typing).await?;
    a.node.shutdown().await?;
    b.node.shutdown().await?;
    hub.stop().await?;
    Ok(cpu)
}

/// Those of the peers' hubs, and for how many keystrokes.
async fn others(plan: &Plan<'_>, patches: &[Patch]) -> Vec<(&'static str, usize, f64)> {
    // Each keystroke costs them more the more there are, so that as many as ours take minutes.
    let few = patches.get(..plan.count(1_000, 5_000)).unwrap_or(patches);
    let count = few.len();
    let figures = [
        (
            SUBDUCTION_MEMORY,
            subduction_micros(plan, Kind::SubductionMemory, few).await,
        ),
        (
            SUBDUCTION,
            subduction_micros(plan, Kind::Subduction, few).await,
        ),
        (SAMOD, samod_micros(plan, few).await),
    ];
    let mut others = Vec::new();
    for (name, cpu) in figures {
        match cpu {
            Ok(cpu) => others.push((name, count, cpu)),
            Err(error) => say(&format!("{name}, {count} keystrokes: failed: {error:#}")),
        }
    }
    others
}

async fn subduction_micros(plan: &Plan<'_>, kind: Kind, patches: &[Patch]) -> anyhow::Result<f64> {
    let folder = plan.folder(&format!("text-{kind:?}"))?;
    let hub = Hub::start_as(kind, &folder.join("hub")).await?;
    let mut typists = subduction::Typists::link(hub.address.parse()?).await?;
    let cpu = cpu_micros(&hub, patches.len(), typists.relay(patches)).await?;
    drop(typists);
    hub.stop().await?;
    Ok(cpu)
}

async fn samod_micros(plan: &Plan<'_>, patches: &[Patch]) -> anyhow::Result<f64> {
    let folder = plan.folder("text-samod")?;
    let hub = Hub::start_as(Kind::Samod, &folder.join("hub")).await?;
    let typists = samod::Typists::link(&folder, hub.address.parse()?).await?;
    let cpu = cpu_micros(&hub, patches.len(), typists.relay(patches)).await?;
    typists.stop().await;
    hub.stop().await?;
    Ok(cpu)
}

/// Microseconds of CPU that the hub took for each of so many keystrokes.
async fn cpu_micros(
    hub: &Hub,
    keystrokes: usize,
    typing: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<f64> {
    let before = hub.cpu_seconds()?;
    let watch = Watch::start();
    typing.await?;
    say(&format!("typed and relayed in {:.1} s", watch.seconds()));
    Ok((hub.cpu_seconds()? - before) * 1e6 / figure(keystrokes))
}

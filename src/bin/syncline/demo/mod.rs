//! `demo`: two devices edit the same records offline and meet through a hub that is killed.

mod data;
mod device;
mod edits;
mod folder;
mod hub;
mod report;

use syncline::{RecordId, SpaceId};

use crate::args::DemoArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::signals;
use crate::text::number;

use data::PAGE;
use device::{Device, STEP_TIMEOUT};
use edits::CASES;
use folder::Folder;
use hub::Hub;
use report::{Exchanged, Merge, Report};

/// The space of the demo: the default one, so that kept stores can be looked into without `--space`.
const SPACE: &str = "default";

pub(crate) async fn run(args: DemoArgs, out: Output) -> Result<(), Failure> {
    let folder = args.keep.map_or_else(Folder::temporary, Folder::kept)?;
    // Interrupted or not, the folder goes and the hub is killed when these are dropped.
    let report = tokio::select! {
        report = perform(&folder, out) => report?,
        stopped = signals::stop() => {
            let signal = stopped.unwrap_or("a signal");
            return Err(Failure::io("the demo was stopped", &std::io::Error::other(signal)));
        }
    };
    report.print(&folder, out)
}

async fn perform(folder: &Folder, out: Output) -> Result<Report, Failure> {
    let space = SpaceId::named(SPACE);
    out.say(
        "Two devices and a hub, each with a store of its own, over WebSockets on this machine.",
    )?;
    out.say("Data: the tz database, public domain.\n")?;
    let mut hub = Hub::start(&folder.store("hub"))?;
    let laptop = Device::open(&folder.store("laptop"), space).await?;
    let phone = Device::open(&folder.store("phone"), space).await?;

    import(&laptop, out).await?;
    let first_up = laptop.meet(hub.address()).await?;
    say_bytes(out, "laptop", "gives all of it to the hub", first_up)?;
    let first_down = phone.meet(hub.address()).await?;
    say_bytes(out, "phone", "gets all of it from the hub", first_down)?;

    laptop.part(hub.address()).await?;
    phone.part(hub.address()).await?;
    say(out, "both", "go offline and edit the same records, apart")?;
    edits::on_laptop(&laptop).await?;
    edits::on_phone(&phone).await?;

    let (sent, received) = (laptop.traffic(), phone.traffic());
    laptop.meet(hub.address()).await?;
    say_bytes(
        out,
        "laptop",
        "comes back and gives its edits to the hub",
        laptop.traffic() - sent,
    )?;
    laptop.part(hub.address()).await?;
    hub.kill()?;
    hub = Hub::start(&folder.store("hub"))?;
    say(
        out,
        "hub",
        "is killed (kill -9) and started again on its file; laptop is away",
    )?;
    phone.meet(hub.address()).await?;
    say_bytes(
        out,
        "phone",
        "comes back and exchanges edits with the hub",
        phone.traffic() - received,
    )?;
    let before = laptop.traffic();
    laptop.meet(hub.address()).await?;
    say_bytes(
        out,
        "laptop",
        "comes back again and gets the phone's edits",
        laptop.traffic() - before,
    )?;

    let merges = merges(&laptop, &phone).await?;
    let restored = restore(&laptop, &phone, out).await?;
    let exchanged = Exchanged {
        data: data::size(),
        first_copies: first_up + first_down,
        edits: laptop.traffic() + phone.traffic() - first_up - first_down,
    };
    laptop.close().await?;
    phone.close().await?;
    hub.kill()?;
    say(
        out,
        "all",
        "are stopped; what follows is read from the three files",
    )?;
    Report::read(folder, space, merges, restored, exchanged).await
}

async fn import(laptop: &Device, out: Output) -> Result<(), Failure> {
    let zones = data::zones()?;
    let page = data::page();
    let write = laptop.node().transaction(|tx| {
        for (id, zone) in &zones {
            tx.insert_as(&laptop.zones, *id, zone)?;
        }
        tx.insert_as(&laptop.pages, RecordId::named(PAGE), &page)
    });
    write.await?;
    let (records, characters) = (number(zones.len()), number(data::text_length()));
    say(
        out,
        "laptop",
        &format!("imports {records} time zones and a text of {characters} characters"),
    )
}

/// How each case came out, on both devices.
async fn merges(laptop: &Device, phone: &Device) -> Result<Vec<Merge>, Failure> {
    let mut merges = Vec::new();
    for case in CASES {
        let (here, there) = (case.shown(laptop).await?, case.shown(phone).await?);
        merges.push(Merge {
            case,
            right: here == there && case.is_right(&here),
            result: if here == there {
                here
            } else {
                format!("laptop: {here}; phone: {there}")
            },
        });
    }
    Ok(merges)
}

/// The phone takes the laptop's deletion back, and the laptop sees it happen. Returns whether both
/// then show the phone's edit.
async fn restore(laptop: &Device, phone: &Device, out: Output) -> Result<bool, Failure> {
    let id = RecordId::named("Africa/Nairobi");
    let mut watch = laptop.zones.watch_record(id)?;
    phone.zones.restore(id).await?;
    let seen = tokio::time::timeout(STEP_TIMEOUT, watch.next()).await;
    if seen.is_err() {
        let message = "the laptop did not hear of the restored record";
        return Err(Failure::timeout(message));
    }
    let shown = [phone.zones.get(id).await?, laptop.zones.get(id).await?];
    let kept = shown
        .iter()
        .all(|it| it.as_ref().is_some_and(|it| it.comment == "bring a hat"));
    say(
        out,
        "phone",
        "restores what laptop deleted; laptop sees it at once, phone's edit in it",
    )?;
    Ok(kept)
}

fn say(out: Output, who: &str, what: &str) -> Result<(), Failure> {
    out.say(format!("  {who:<6}  {what}"))
}

fn say_bytes(out: Output, who: &str, what: &str, bytes: u64) -> Result<(), Failure> {
    out.say(format!("  {who:<6}  {what:<48}{:>8} bytes", number(bytes)))
}

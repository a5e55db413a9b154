//! `sync`, and reaching another replica until both hold the same.

use std::time::Duration;

use serde_json::json;
use syncline::engine::Status;
use syncline::node::Progress;
use syncline::peer::PeerState;
use syncline::{Node, SpaceId};

use crate::args::SyncArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress as Bar;
use crate::store;
use crate::text::{counted, number};

/// How often it is looked whether the other side has refused for good.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) async fn sync(args: SyncArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let node = store::open(store::builder(&args.store.store, space)).await?;
    let outcome = async {
        let before = node.status().await?;
        node.connect(&args.url).await?;
        tokio::select! {
            outcome = in_step(&node, &args.url, args.timeout.duration()) => outcome?,
            failed = show(&node, out) => failed?,
        }
        Ok((before, node.status().await?, node.traffic()))
    };
    let (before, after, traffic) = store::close(&node, outcome.await).await?;
    let (changes, old, digest) = (
        changes(&after, space),
        changes(&before, space),
        digest(&after, space),
    );
    let records = records(&after, space);
    out.say(format!("in step with {}", args.url))?;
    out.say(format!(
        "{}, {}, {} of them new here",
        counted(records, "record"),
        counted(changes, "change"),
        number(changes.saturating_sub(old))
    ))?;
    out.say(format!(
        "sent {} bytes, received {}",
        number(traffic.sent_bytes),
        number(traffic.received_bytes)
    ))?;
    out.object(&json!({
        "synced": true,
        "records": records,
        "changes": changes,
        "new_changes": changes.saturating_sub(old),
        "digest": digest,
        "sent_bytes": traffic.sent_bytes,
        "received_bytes": traffic.received_bytes,
    }))
}

/// Shows how the exchange goes, as long as it does; returns only when the node can't be asked.
async fn show(node: &Node, out: Output) -> Result<(), Failure> {
    let mut bar = Bar::exchange(out);
    let mut events = node.progress();
    while let Some(progress) = events.next().await? {
        let received = &progress.received;
        let of = received.changes_expected;
        bar.at(received.changes, of, message(&progress));
    }
    bar.finish();
    std::future::pending().await
}

fn message(progress: &Progress) -> String {
    let received = &progress.received;
    let mut message = format!("{} received", counted(received.changes, "change"));
    if let Some(of) = received.changes_expected {
        message = format!("{message} of {}", number(of.max(received.changes)));
    }
    let rate = received.changes_per_second();
    if rate > 0 {
        message = format!("{message}, {} a second", number(rate));
    }
    if let Some(left) = received.left().filter(|it| !it.is_zero()) {
        message = format!("{message}, {} s left", left.as_secs().max(1));
    }
    if progress.unacknowledged > 0 {
        let unsent = number(progress.unacknowledged);
        message = format!("{message}; {unsent} to be acknowledged");
    }
    message
}

/// Waits until the node and all it is linked to hold the same. `url` is what it was told to dial.
pub(crate) async fn in_step(node: &Node, url: &str, timeout: Duration) -> Result<(), Failure> {
    tokio::select! {
        synced = node.synced() => {
            synced?;
            // Where one side does not open the space there is nothing to be out of step with.
            refusal(&node.status().await?, node.space()).map_or(Ok(()), Err)
        }
        refused = refused(node) => refused,
        () = tokio::time::sleep(timeout) => Err(late(&node.status().await?, url, timeout)),
    }
}

/// Returns when a peer refuses for good, which no waiting helps against.
async fn refused(node: &Node) -> Result<(), Failure> {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Some(refusal) = refusal(&node.status().await?, node.space()) {
            return Err(refusal);
        }
    }
}

fn refusal(status: &Status, space: SpaceId) -> Option<Failure> {
    let peer = status
        .peers
        .iter()
        .find(|it| it.state == PeerState::Refused);
    if let Some(peer) = peer {
        let why = peer.last_error.as_deref().unwrap_or("no reason given");
        let (address, replica) = (&peer.address, status.replica);
        return Some(Failure::refused(format!(
            "{address}: {why}; this replica is {replica}"
        )));
    }
    let spaces = status.links.iter().flat_map(|it| &it.spaces);
    let code = spaces
        .filter(|(it, _)| it.space == space)
        .find_map(|(it, _)| it.refused)?;
    let why = code.name();
    Some(Failure::refused(format!(
        "the other side does not open the space ({why}); check --space, and what it serves"
    )))
}

fn late(status: &Status, url: &str, timeout: Duration) -> Failure {
    let seconds = timeout.as_secs();
    let peer = status.peers.iter().find(|it| it.address.as_str() == url);
    let error = peer.and_then(|it| it.last_error.as_deref());
    let linked = !status.links.is_empty();
    Failure::timeout(match error {
        _ if linked => format!(
            "{url} is linked, but not in step after {seconds} s; what has arrived is kept, \
             so run it again or give it a longer --timeout"
        ),
        Some(error) => {
            format!("{url} was not reached in {seconds} s; is a hub listening there? {error}")
        }
        None => format!("{url} was not reached in {seconds} s; is a hub listening there?"),
    })
}

fn changes(status: &Status, space: SpaceId) -> u64 {
    let report = status.spaces.iter().find(|it| it.space == space);
    report.map_or(0, |it| it.lsn.0)
}

fn records(status: &Status, space: SpaceId) -> u64 {
    let report = status.spaces.iter().find(|it| it.space == space);
    report.map_or(0, |it| it.collections.iter().map(|(_, count)| count).sum())
}

fn digest(status: &Status, space: SpaceId) -> String {
    let report = status.spaces.iter().find(|it| it.space == space);
    report.map_or_else(String::new, |it| it.root.clone())
}

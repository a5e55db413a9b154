//! `status`: how a store stands.

use serde_json::{Value as Json, json};
use syncline::SpaceId;
use syncline::engine::Status;
use syncline::replica::{KnownPeer, Quarantined};

use crate::args::StatusArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::store;
use crate::text::{counted, number, table};

/// Quarantined changes that are shown.
const QUARANTINE_SHOWN: usize = 20;

pub(crate) async fn run(args: StatusArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let node = store::open_existing(&args.store.store, space).await?;
    let outcome = async {
        let status = node.status().await?;
        let quarantine = node.quarantine(QUARANTINE_SHOWN).await?;
        Ok((status, quarantine, node.known_peers().await?))
    };
    let (status, quarantine, peers) = store::close(&node, outcome.await).await?;
    for line in table(&rows(&status, &quarantine, &peers)) {
        out.say(line)?;
    }
    out.object(&object(&status, &quarantine, &peers))
}

fn rows(status: &Status, quarantine: &[Quarantined], peers: &[KnownPeer]) -> Vec<Vec<String>> {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("replica", status.replica.to_string()),
        row("store", status.store.to_string()),
    ];
    if let Some(bytes) = status.store_bytes {
        rows.push(row("size", format!("{} bytes", number(bytes))));
    }
    if status.read_only {
        let advice = "an earlier write failed; only reads go on until it is opened again";
        rows.push(row("state", advice.to_owned()));
    }
    for space in &status.spaces {
        rows.push(row("space", space.space.to_string()));
        rows.push(row("  changes", number(space.lsn.0)));
        rows.push(row("  horizon", number(space.horizon.0)));
        rows.push(row("  digest", space.root.clone()));
        for (name, records) in &space.collections {
            rows.push(row(
                &format!("  {name}"),
                format!("{}, deleted ones included", counted(*records, "record")),
            ));
        }
    }
    for peer in peers {
        rows.push(row("peer", peer.replica.to_string()));
        rows.push(row("  linked", peer.seen.to_string()));
        for (space, _, behind) in &peer.spaces {
            let value = match behind {
                0 => format!("has all of {space}"),
                behind => format!("lacks {} of {space}", counted(*behind, "change")),
            };
            rows.push(row("  acknowledged", value));
        }
    }
    let size = &status.quarantine;
    let held = format!(
        "{}, {} bytes",
        counted(size.entries, "change"),
        number(size.bytes)
    );
    rows.push(row(
        "quarantine",
        if size.entries == 0 {
            "empty".to_owned()
        } else {
            held
        },
    ));
    for it in quarantine {
        let value = format!("{} of {}, since {}", it.reason, it.key, it.since);
        rows.push(row(&format!("  {}", it.hash.short()), value));
    }
    rows
}

fn object(status: &Status, quarantine: &[Quarantined], peers: &[KnownPeer]) -> Json {
    let spaces = status.spaces.iter().map(|it| {
        let collections = it.collections.iter();
        let collections =
            collections.map(|(name, records)| json!({"name": name, "records": records}));
        json!({
            "space": it.space.to_string(),
            "changes": it.lsn.0,
            "horizon": it.horizon.0,
            "digest": it.root,
            "collections": collections.collect::<Vec<_>>(),
        })
    });
    let held = quarantine.iter().map(|it| {
        json!({
            "record": it.key.to_string(),
            "change": it.hash.to_string(),
            "reason": it.reason.to_string(),
            "since": it.since.to_string(),
            "bytes": it.size_bytes,
        })
    });
    json!({
        "replica": status.replica.to_string(),
        "store": status.store.to_string(),
        "store_bytes": status.store_bytes,
        "read_only": status.read_only,
        "spaces": spaces.collect::<Vec<_>>(),
        "peers": peers.iter().map(peer).collect::<Vec<_>>(),
        "quarantine": {
            "entries": status.quarantine.entries,
            "bytes": status.quarantine.bytes,
            "first": held.collect::<Vec<_>>(),
        },
    })
}

fn peer(peer: &KnownPeer) -> Json {
    let spaces = peer.spaces.iter().map(|(space, acked, behind)| {
        json!({"space": space.to_string(), "acknowledged": acked.0, "lacks": behind})
    });
    json!({
        "replica": peer.replica.to_string(),
        "linked": peer.seen.to_string(),
        "spaces": spaces.collect::<Vec<_>>(),
    })
}

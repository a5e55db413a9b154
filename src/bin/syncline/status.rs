//! `status`: how a store stands.

use serde_json::{Value as Json, json};
use syncline::SpaceId;
use syncline::engine::Status;
use syncline::replica::Quarantined;

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
        Ok((status, node.quarantine(QUARANTINE_SHOWN).await?))
    };
    let (status, quarantine) = store::close(&node, outcome.await).await?;
    for line in table(&rows(&status, &quarantine)) {
        out.say(line)?;
    }
    out.object(&object(&status, &quarantine))
}

fn rows(status: &Status, quarantine: &[Quarantined]) -> Vec<Vec<String>> {
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

fn object(status: &Status, quarantine: &[Quarantined]) -> Json {
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
        "quarantine": {
            "entries": status.quarantine.entries,
            "bytes": status.quarantine.bytes,
            "first": held.collect::<Vec<_>>(),
        },
    })
}

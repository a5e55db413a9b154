//! `conflicts`, `explain` and `resolve`: several values written at one place at the same time.

use serde_json::{Value as Json, json};
use syncline::conflict::Explanation;
use syncline::doc::value::{parse_path, show_path};
use syncline::time::WallTime;
use syncline::{RecordId, Records, SpaceId};

use crate::args::{ConflictsArgs, ExplainArgs, ResolveArgs};
use crate::failure::Failure;
use crate::output::Output;
use crate::store;
use crate::text::{counted, shorten, table};

/// Characters of a value that a table shows.
const CELL_WIDTH: usize = 40;

/// Records that are looked at, if none is named.
const RECORDS_MAX: usize = 100;

pub(crate) async fn list(args: ConflictsArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let node = store::open_existing(&args.store.store, space).await?;
    let outcome = async {
        let records = node.records(&args.collection)?;
        let of = match &args.id {
            Some(id) => vec![store::record(id)],
            None => records.contested(RECORDS_MAX).await?,
        };
        let mut found = Vec::new();
        for id in &of {
            found.extend(records.conflicts(*id).await?);
        }
        let is_cut = args.id.is_none() && of.len() == RECORDS_MAX;
        Ok((found, is_cut))
    };
    let (found, is_cut) = store::close(&node, outcome.await).await?;
    let mut rows = vec![["record", "field", "values", "policy", "shown"].map(str::to_owned)];
    for it in &found {
        let explained = &it.explanation;
        let shown = explained.outcome.value.to_json().to_string();
        rows.push([
            it.record.to_string(),
            show_path(&explained.path),
            explained.candidates.len().to_string(),
            explained.policy.to_string(),
            shorten(&shown, CELL_WIDTH),
        ]);
    }
    if !found.is_empty() {
        let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
        for line in table(&rows) {
            out.say(line)?;
        }
    }
    out.say(counted(found.len(), "conflict"))?;
    if is_cut {
        out.say(format!(
            "only the first {RECORDS_MAX} records with conflicts were looked at"
        ))?;
    }
    let all: Json = found
        .iter()
        .map(|it| explained(it.record, &it.explanation))
        .collect();
    out.object(&json!({"collection": args.collection, "conflicts": all, "cut": is_cut}))
}

pub(crate) async fn explain(args: ExplainArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let path = parse_path(&args.field)?;
    let id = store::record(&args.record.id);
    let node = store::open_existing(&args.record.store.store, space).await?;
    let outcome = async {
        let records = node.records(&args.record.collection)?;
        present(&records, id).await?;
        Ok(records.explain_field(id, &path).await?)
    };
    let Some(explanation) = store::close(&node, outcome.await).await? else {
        out.say(format!(
            "{}: one value stands there, or none; nothing is contested",
            args.field
        ))?;
        return out.object(&json!({"id": id, "field": args.field, "conflict": null}));
    };
    let rows: Vec<Vec<String>> = std::iter::once(vec!["value", "written", "by", "change", ""])
        .map(|head| head.into_iter().map(str::to_owned).collect())
        .chain(explanation.candidates.iter().map(|it| {
            let is_decisive = explanation.outcome.decisive.contains(&it.change);
            vec![
                shorten(&it.value.to_json().to_string(), CELL_WIDTH),
                WallTime::from_unix_seconds(it.time.seconds).to_string(),
                it.author.to_string().chars().take(8).collect(),
                it.change.to_string().chars().take(12).collect(),
                if is_decisive { "shown" } else { "" }.to_owned(),
            ]
        }))
        .collect();
    for line in table(&rows) {
        out.say(line)?;
    }
    let shown = explanation.outcome.value.to_json();
    out.say(format!(
        "{}: {shown}, by policy {}",
        args.field, explanation.policy
    ))?;
    out.say(&explanation.reason)?;
    out.object(&json!({
        "id": id,
        "field": args.field,
        "conflict": explained(id, &explanation),
    }))
}

pub(crate) async fn resolve(args: ResolveArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let path = parse_path(&args.field)?;
    let value = store::json_argument(&args.value)?;
    let id = store::record(&args.record.id);
    let node = store::open_existing(&args.record.store.store, space).await?;
    let outcome = async {
        let records = node.records(&args.record.collection)?;
        Ok(records.resolve(id, &path, &value).await?)
    };
    let resolved = store::close(&node, outcome.await).await?;
    out.say(if resolved {
        format!("{}: resolved", args.field)
    } else {
        format!(
            "{}: nothing is contested there; nothing was written",
            args.field
        )
    })?;
    out.object(&json!({"id": id, "field": args.field, "resolved": resolved}))
}

async fn present(records: &Records, id: RecordId) -> Result<(), Failure> {
    if records.get(id).await?.is_none() {
        let message = format!("there is no record {id} in {}", records.name());
        return Err(Failure::not_found(message));
    }
    Ok(())
}

fn explained(record: RecordId, explanation: &Explanation) -> Json {
    let candidates: Json = explanation
        .candidates
        .iter()
        .map(|it| {
            json!({
                "value": it.value.to_json(),
                "author": it.author.to_string(),
                "seconds": it.time.seconds,
                "counter": it.time.counter,
                "change": it.change.to_string(),
                "decisive": explanation.outcome.decisive.contains(&it.change),
            })
        })
        .collect();
    json!({
        "record": record,
        "field": show_path(&explanation.path),
        "policy": explanation.policy.to_string(),
        "shown": explanation.outcome.value.to_json(),
        "reason": explanation.reason,
        "candidates": candidates,
    })
}

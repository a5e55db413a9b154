//! `query`: the records that a query asks for.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use syncline::SpaceId;
use syncline::node::{Explain, Page};
use syncline::query::{Cursor, Query};

use crate::args::QueryArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::store;
use crate::text::{counted, shorten, table};

/// Fields that the table shows.
const COLUMNS_MAX: usize = 8;

/// Characters of one field that the table shows.
const CELL_WIDTH: usize = 32;

pub(crate) async fn run(args: QueryArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    // What is typed wrong is told before anything is opened.
    let mut query: Query = args.query.parse()?;
    if let Some(cursor) = &args.after {
        query = query.after(cursor.parse::<Cursor>()?);
        query.check()?;
    }
    let node = store::open_existing(&args.store.store, space).await?;
    if args.explain {
        let outcome = async { Ok(node.records(&args.collection)?.explain(&query).await?) };
        let explain = store::close(&node, outcome.await).await?;
        return say_explain(&args.collection, &query, &explain, out);
    }
    let outcome = async { Ok(node.records(&args.collection)?.query(&query).await?) };
    let page = store::close(&node, outcome.await).await?;
    if out.is_json() {
        return say_json(&args.collection, page, out);
    }
    say_table(page, out)
}

fn say_explain(
    collection: &str,
    query: &Query,
    explain: &Explain,
    out: Output,
) -> Result<(), Failure> {
    out.say(explain.to_string())?;
    out.object(&json!({
        "collection": collection,
        "query": query.to_string(),
        "access": explain.access.name(),
        "index": explain.index,
        "ends_early": explain.ends_early,
        "records": explain.records,
        "held": explain.held,
    }))
}

fn say_json(collection: &str, page: Page<Json>, out: Output) -> Result<(), Failure> {
    let count = page.records.len();
    let next = page.next.as_ref().map(Cursor::to_string);
    let unreadable = page.unreadable.iter();
    let unreadable: Json = unreadable
        .map(|(id, error)| json!({"id": id, "error": error.kind().name()}))
        .collect();
    let records = page.records.into_iter();
    let records: Json = records
        .map(|(id, record)| {
            let fields = [("id", Json::from(id.to_string())), ("record", record)];
            fields.into_iter().collect::<Json>()
        })
        .collect();
    let fields = [
        ("collection", Json::from(collection)),
        ("count", Json::from(count)),
        ("next", Json::from(next)),
        ("records", records),
        ("unreadable", unreadable),
    ];
    out.object(&fields.into_iter().collect())
}

fn say_table(page: Page<Json>, out: Output) -> Result<(), Failure> {
    let fields = page.records.iter().filter_map(|(_, it)| it.as_object());
    let names: BTreeSet<&str> = fields
        .flat_map(|it| it.keys().map(String::as_str))
        .collect();
    let columns: Vec<&str> = names.iter().copied().take(COLUMNS_MAX).collect();
    let head = ["record"].iter().chain(&columns);
    let head: Vec<String> = head.map(|it| shorten(it, CELL_WIDTH)).collect();
    let rows = page.records.iter().map(|(id, record)| {
        let cells = columns.iter().map(|it| cell(record.get(it)));
        [id.to_string()].into_iter().chain(cells).collect()
    });
    let rows: Vec<Vec<String>> = [head].into_iter().chain(rows).collect();
    if !page.records.is_empty() {
        for line in table(&rows) {
            out.say(line)?;
        }
    }
    out.say(counted(page.records.len(), "record"))?;
    let hidden = names.len() - columns.len();
    if hidden > 0 {
        out.say(format!(
            "{} more; --json shows all",
            counted(hidden, "field")
        ))?;
    }
    if !page.unreadable.is_empty() {
        out.say(format!(
            "{} can't be read; `syncline status` says more",
            counted(page.unreadable.len(), "record")
        ))?;
    }
    if let Some(next) = page.next {
        out.say(format!("there are more: --after {next}"))?;
    }
    Ok(())
}

/// A value as people read it: texts without quotes, times without their kind.
fn cell(value: Option<&Json>) -> String {
    let text = match value {
        None => String::new(),
        Some(Json::String(text)) => text.clone(),
        Some(Json::Object(map)) if map.len() == 1 => match map.get("$time") {
            Some(Json::String(time)) => time.clone(),
            _ => Json::Object(map.clone()).to_string(),
        },
        Some(other) => other.to_string(),
    };
    shorten(&text, CELL_WIDTH)
}

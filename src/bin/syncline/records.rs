//! `put`, `get`, `edit`, `rm`, `restore`, `ls`: one record or one list at a time.

use serde_json::{Value as Json, json};
use syncline::{RecordId, Records, SpaceId};

use crate::args::{EditArgs, ListArgs, PutArgs, RecordArgs};
use crate::failure::Failure;
use crate::output::Output;
use crate::store;
use crate::text::{counted, shorten, table};

/// Characters of a record that `ls` shows.
const LISTED_WIDTH: usize = 100;

pub(crate) async fn put(args: PutArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let (name, json) = match args.record.as_slice() {
        [json] => (None, json),
        [name, json, ..] => (Some(name), json),
        [] => return Err(Failure::usage("a record is needed, as JSON")),
    };
    let value = store::json_argument(json)?;
    let node = store::open(store::builder(args.store.store, space)).await?;
    let outcome = async {
        let records = node.records(&args.collection)?;
        match name {
            None => Ok((records.insert(&value).await?, true)),
            Some(name) => {
                let id = store::record(name);
                Ok((id, records.put(id, &value).await?))
            }
        }
    };
    let (id, changed) = store::close(&node, outcome.await).await?;
    out.say(id.to_string())?;
    out.object(&json!({"collection": args.collection, "id": id, "changed": changed}))
}

pub(crate) async fn get(args: RecordArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let node = store::open_existing(&args.store.store, space).await?;
    let id = store::record(&args.id);
    let outcome = async { Ok(node.records(&args.collection)?.get(id).await?) };
    let Some(record) = store::close(&node, outcome.await).await? else {
        return Err(missing(&args));
    };
    out.say(format!("{record:#}"))?;
    out.object(&json!({"collection": args.collection, "id": id, "record": record}))
}

pub(crate) async fn edit(args: EditArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let patch = store::json_argument(&args.patch)?;
    let action = async |records: &Records, id| Ok(records.patch(id, &patch).await?);
    let (id, changed) = change(&args.record, space, action).await?;
    out.say(if changed { "changed" } else { "equal already" })?;
    out.object(&json!({"collection": args.record.collection, "id": id, "changed": changed}))
}

pub(crate) async fn remove(args: RecordArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let action = async |records: &Records, id| Ok(records.delete(id).await?);
    let (id, changed) = change(&args, space, action).await?;
    out.say(if changed {
        "deleted"
    } else {
        "deleted already"
    })?;
    out.object(&json!({"collection": args.collection, "id": id, "changed": changed}))
}

pub(crate) async fn restore(args: RecordArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let action = async |records: &Records, id| Ok(records.restore(id).await?);
    let (id, changed) = change(&args, space, action).await?;
    out.say(if changed { "restored" } else { "not deleted" })?;
    out.object(&json!({"collection": args.collection, "id": id, "changed": changed}))
}

/// Opens the store, does something to the record that the arguments name, and closes the store.
async fn change(
    args: &RecordArgs,
    space: SpaceId,
    action: impl AsyncFnOnce(&Records, RecordId) -> Result<bool, Failure>,
) -> Result<(RecordId, bool), Failure> {
    let node = store::open_existing(&args.store.store, space).await?;
    let id = store::record(&args.id);
    let outcome = async { action(&node.records(&args.collection)?, id).await };
    let changed = store::close(&node, outcome.await).await;
    // The library knows the id only; who typed a name is told of the name.
    let changed = changed.map_err(|it| if it.is_not_found() { missing(args) } else { it });
    Ok((id, changed?))
}

fn missing(args: &RecordArgs) -> Failure {
    let RecordArgs { collection, id, .. } = args;
    Failure::not_found(format!(
        "there is no record '{id}' in '{collection}'; `syncline ls {collection}` lists those there are"
    ))
}

pub(crate) async fn list(args: ListArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let node = store::open_existing(&args.store.store, space).await?;
    let Some(collection) = args.collection else {
        let outcome = async {
            let mut counts = Vec::new();
            for name in node.collections().await? {
                counts.push((
                    name.to_string(),
                    node.records(name.as_str())?.count().await?,
                ));
            }
            Ok(counts)
        };
        return say_collections(&store::close(&node, outcome.await).await?, out);
    };
    let outcome = async { Ok(node.records(&collection)?.list().await?) };
    let records = store::close(&node, outcome.await).await?;
    say_records(&collection, records, out)
}

/// There may be very many, so only what is printed is made.
fn say_records(
    collection: &str,
    records: Vec<(RecordId, Json)>,
    out: Output,
) -> Result<(), Failure> {
    if out.is_json() {
        let count = records.len();
        let listed = records.into_iter();
        let listed: Json = listed.map(|(id, it)| listed_record(id, it)).collect();
        let fields = [
            ("collection", Json::from(collection)),
            ("count", Json::from(count)),
            ("records", listed),
        ];
        return out.object(&fields.into_iter().collect());
    }
    let width = records.iter().map(|(id, _)| id.to_string().len()).max();
    let width = width.unwrap_or_default();
    for (id, record) in records {
        let shown = shorten(&record.to_string(), LISTED_WIDTH);
        out.say(format!("{:<width$}  {shown}", id.to_string()))?;
    }
    Ok(())
}

fn listed_record(id: RecordId, record: Json) -> Json {
    let fields = [("id", Json::from(id.to_string())), ("record", record)];
    fields.into_iter().collect()
}

fn say_collections(counts: &[(String, u64)], out: Output) -> Result<(), Failure> {
    let lines = counts
        .iter()
        .map(|(name, count)| vec![name.clone(), counted(*count, "record")]);
    for line in table(&lines.collect::<Vec<_>>()) {
        out.say(line)?;
    }
    let listed = counts
        .iter()
        .map(|(name, count)| json!({"name": name, "records": count}));
    out.object(&json!({"collections": listed.collect::<Vec<_>>()}))
}

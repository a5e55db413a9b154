//! `put`, `get`, `edit`, `rm`, `restore`, `ls`: one record or one list at a time.

use serde_json::{Value as Json, json};
use syncline::doc::Version;
use syncline::{RecordId, Records, SpaceId};

use crate::args::{
    ChangeArgs, EditArgs, GetArgs, ListArgs, PutArgs, ReasonArgs, RecordArgs, RestoreArgs,
};
use crate::failure::Failure;
use crate::history;
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
        let records = args.reason.of(node.records(&args.collection)?);
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

pub(crate) async fn get(args: GetArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let GetArgs { record: args, at } = args;
    let version = at.as_deref().map(str::parse::<Version>).transpose()?;
    let node = store::open_existing(&args.store.store, space).await?;
    let id = store::record(&args.id);
    let outcome = async {
        let records = node.records(&args.collection)?;
        match &version {
            None => Ok(records.get(id).await?),
            Some(version) => Ok(records.get_at(id, version).await?),
        }
    };
    let Some(record) = store::close(&node, outcome.await).await? else {
        return Err(match at {
            None => missing(&args),
            Some(at) => history::missing_then(&args, &at),
        });
    };
    out.say(format!("{record:#}"))?;
    let fields = [
        ("collection", Json::from(args.collection)),
        ("id", json!(id)),
        ("record", record),
    ];
    let version = at.map(|it| ("version", Json::from(it)));
    out.object(&fields.into_iter().chain(version).collect())
}

pub(crate) async fn edit(args: EditArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let patch = store::json_argument(&args.patch)?;
    let action = async |records: &Records, id| Ok(records.patch(id, &patch).await?);
    let (id, changed) = change((&args.record, &args.reason), space, action).await?;
    out.say(if changed { "changed" } else { "equal already" })?;
    out.object(&json!({"collection": args.record.collection, "id": id, "changed": changed}))
}

pub(crate) async fn remove(args: ChangeArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let action = async |records: &Records, id| Ok(records.delete(id).await?);
    let (id, changed) = change((&args.record, &args.reason), space, action).await?;
    out.say(if changed {
        "deleted"
    } else {
        "deleted already"
    })?;
    out.object(&json!({"collection": args.record.collection, "id": id, "changed": changed}))
}

pub(crate) async fn restore(args: RestoreArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let RestoreArgs { change: args, at } = args;
    let collection = &args.record.collection;
    let Some(at) = at else {
        let action = async |records: &Records, id| Ok(records.restore(id).await?);
        let (id, changed) = change((&args.record, &args.reason), space, action).await?;
        out.say(if changed { "restored" } else { "not deleted" })?;
        return out.object(&json!({"collection": collection, "id": id, "changed": changed}));
    };
    let version: Version = at.parse()?;
    let (id, changed) =
        history::change((&args.record, &args.reason), space, async |records, id| {
            Ok(records.restore_version(id, &version).await?)
        })
        .await?;
    out.say(if changed { "restored" } else { "equal already" })?;
    let object = json!({"collection": collection, "id": id, "version": at, "changed": changed});
    out.object(&object)
}

/// Opens the store, does something to the record that the arguments name, and closes the store.
async fn change(
    (args, reason): (&RecordArgs, &ReasonArgs),
    space: SpaceId,
    action: impl AsyncFnOnce(&Records, RecordId) -> Result<bool, Failure>,
) -> Result<(RecordId, bool), Failure> {
    let changed = store::change((args, reason), space, action).await;
    // The library knows the id only; who typed a name is told of the name.
    changed.map_err(|it| if it.is_not_found() { missing(args) } else { it })
}

pub(crate) fn missing(args: &RecordArgs) -> Failure {
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

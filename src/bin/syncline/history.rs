//! `history`, `diff`, `undo`, `redo`: the versions of a record.

use serde_json::{Value as Json, json};
use syncline::doc::value::show_path;
use syncline::doc::{Patch, Revision, Undone, Value, Version};
use syncline::id::ChangeHash;
use syncline::{RecordId, Records, SpaceId};

use crate::args::{ChangeArgs, DiffArgs, HistoryArgs, ReasonArgs, RecordArgs};
use crate::failure::Failure;
use crate::output::Output;
use crate::records::missing;
use crate::store;
use crate::text::{shorten, table};

/// Characters of a reason or value in a table.
const CELL_WIDTH: usize = 60;

pub(crate) async fn list(args: HistoryArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let before = args.before.as_deref().map(str::parse::<ChangeHash>);
    let before = before.transpose().map_err(syncline::Error::from)?;
    let limit = args.limit.into();
    let action = async |records: &Records, id| Ok(records.history(id, limit, before).await?);
    let (id, history) = read(&args.record, space, action).await?;
    let rows = history.list.iter().map(row);
    for line in table(&rows.collect::<Vec<_>>()) {
        out.say(line)?;
    }
    if let Some(next) = history.next {
        out.say(format!("more: --before {next}"))?;
    }
    let changes: Vec<_> = history.list.iter().map(object).collect();
    out.object(&json!({
        "collection": args.record.collection,
        "id": id,
        "changes": changes,
        "next": history.next.map(|it| it.to_string()),
    }))
}

pub(crate) async fn diff(args: DiffArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let from: Version = args.from.parse()?;
    let to = args.to.as_deref().map(str::parse::<Version>).transpose()?;
    let action = async |records: &Records, id| {
        let to = match to {
            Some(to) => to,
            None => records.heads(id).await?.into(),
        };
        Ok(records.diff(id, &from, &to).await?)
    };
    let (id, patches) = read(&args.record, space, action).await?;
    for line in patches.iter().flat_map(lines) {
        out.say(line)?;
    }
    if patches.is_empty() {
        out.say("equal")?;
    }
    let patches: Vec<_> = patches.iter().map(patch).collect();
    out.object(&json!({
        "collection": args.record.collection,
        "id": id,
        "from": args.from,
        "to": args.to,
        "patches": patches,
    }))
}

pub(crate) async fn undo(args: ChangeArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let action = async |records: &Records, id| Ok(records.undo(id).await?);
    let (id, undone) = change((&args.record, &args.reason), space, action).await?;
    say_undone((&args.record, id), ("undone", "undo"), undone.as_ref(), out)
}

pub(crate) async fn redo(args: ChangeArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let action = async |records: &Records, id| Ok(records.redo(id).await?);
    let (id, redone) = change((&args.record, &args.reason), space, action).await?;
    say_undone((&args.record, id), ("redone", "redo"), redone.as_ref(), out)
}

/// Opens the store, does something to the record that the arguments name, and closes the store.
pub(crate) async fn change<T>(
    (args, reason): (&RecordArgs, &ReasonArgs),
    space: SpaceId,
    action: impl AsyncFnOnce(&Records, RecordId) -> Result<T, Failure>,
) -> Result<(RecordId, T), Failure> {
    let exists = async |records: &Records, id| {
        if records.heads(id).await?.is_empty() {
            return Err(missing(args));
        }
        action(records, id).await
    };
    store::change((args, reason), space, exists).await
}

async fn read<T>(
    args: &RecordArgs,
    space: SpaceId,
    action: impl AsyncFnOnce(&Records, RecordId) -> Result<T, Failure>,
) -> Result<(RecordId, T), Failure> {
    change((args, &ReasonArgs::default()), space, action).await
}

/// There was no record at a version.
pub(crate) fn missing_then(args: &RecordArgs, version: &str) -> Failure {
    let RecordArgs { collection, id, .. } = args;
    Failure::not_found(format!(
        "there was no record '{id}' in '{collection}' at {version}; \
         `syncline history {collection} {id}` lists its versions"
    ))
}

fn row(revision: &Revision) -> Vec<String> {
    let author = if revision.is_own {
        "this store".to_owned()
    } else {
        revision.author.to_string().chars().take(8).collect()
    };
    let kind = revision.kind.name();
    let done = match revision.kind.of() {
        Some(hash) => format!("{kind} of {}", hash.short()),
        None => kind.to_owned(),
    };
    let reason = revision.reason.as_deref().unwrap_or_default();
    vec![
        revision.hash.short(),
        revision.time.to_string().replace(".000Z", "Z"),
        author,
        done,
        shorten(reason, CELL_WIDTH),
    ]
}

fn object(revision: &Revision) -> Json {
    let parents = revision.parents.iter().map(ToString::to_string);
    json!({
        "change": revision.hash.to_string(),
        "author": revision.author.to_string(),
        "own": revision.is_own,
        "time": revision.time.to_string(),
        "kind": revision.kind.name(),
        "of": revision.kind.of().map(|it| it.to_string()),
        "reason": revision.reason,
        "parents": parents.collect::<Vec<_>>(),
        "operations": revision.operations,
    })
}

fn lines(patch: &Patch) -> Vec<String> {
    let place = show_path(&patch.path);
    let shown = |sign: char, value: &Value| {
        let value = shorten(&value.to_json().to_string(), CELL_WIDTH);
        format!("{sign} {place}  {value}")
    };
    let before = patch.before.iter().map(|it| shown('-', it));
    let after = patch.after.iter().map(|it| shown('+', it));
    before.chain(after).collect()
}

/// What was or is not there has no entry; null is a value.
fn patch(patch: &Patch) -> Json {
    let value = |name, value: &Option<Value>| value.as_ref().map(|it| (name, it.to_json()));
    let path = Some(("path", Json::from(show_path(&patch.path))));
    let entries = [
        path,
        value("before", &patch.before),
        value("after", &patch.after),
    ];
    entries.into_iter().flatten().collect()
}

fn say_undone(
    (args, id): (&RecordArgs, RecordId),
    (done, verb): (&str, &str),
    undone: Option<&Undone>,
    out: Output,
) -> Result<(), Failure> {
    let kept: Vec<_> = undone
        .map_or(&[][..], |it| it.kept.as_slice())
        .iter()
        .collect();
    let kept: Vec<_> = kept.into_iter().map(|it| show_path(it)).collect();
    match undone {
        None => out.say(format!("there is nothing to {verb}"))?,
        Some(undone) => {
            let why = undone.reason.as_deref().map(|it| format!(": {it}"));
            let why = shorten(&why.unwrap_or_default(), CELL_WIDTH);
            out.say(format!("{done} {}{why}", undone.change.short()))?;
        }
    }
    for place in &kept {
        out.say(format!(
            "kept, because others have changed it since: {place}"
        ))?;
    }
    out.object(&json!({
        "collection": args.collection,
        "id": id,
        "changed": undone.is_some(),
        "of": undone.map(|it| it.change.to_string()),
        "reason": undone.and_then(|it| it.reason.clone()),
        "change": undone.map(|it| it.by.to_string()),
        "kept": kept,
    }))
}

//! `export`: JSON lines that `import` reads, or one record as an Automerge file.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use serde_json::{Value as Json, json};
use syncline::{Node, RecordId, SpaceId};

use crate::args::ExportArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::store;
use crate::text::{counted, number};

pub(crate) async fn run(args: ExportArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let document_file = args.automerge.iter().flatten().nth(1).map(Path::new);
    for file in args.output.as_deref().into_iter().chain(document_file) {
        refuse_store(file, &args.store.store)?;
    }
    let node = store::open_existing(&args.store.store, space).await?;
    if let Some([id, file]) = args.automerge.as_deref() {
        let outcome = document(&node, &args.collection, id).await;
        let (id, bytes) = store::close(&node, outcome).await?;
        return write_document(id, Path::new(file), &bytes, &args.collection, out);
    }
    let outcome = async { Ok(node.records(&args.collection)?.list().await?) };
    let records = store::close(&node, outcome.await).await?;
    let lines: Vec<Json> = records.into_iter().map(|(id, it)| named(id, it)).collect();
    if let Some(file) = &args.output {
        return write_lines(file, &lines, &args.collection, out);
    }
    if out.is_json() {
        let (collection, count) = (args.collection.into(), lines.len().into());
        let fields = [
            ("collection", collection),
            ("count", count),
            ("records", Json::Array(lines)),
        ];
        return out.object(&fields.into_iter().collect());
    }
    for line in &lines {
        out.say(line.to_string())?;
    }
    Ok(())
}

/// An export that went over the store would leave neither.
fn refuse_store(file: &Path, store: &Path) -> Result<(), Failure> {
    let found = |path: &Path| path.canonicalize().ok();
    if found(file).is_some_and(|it| Some(it) == found(store)) {
        let file = file.display();
        let message = format!("{file} is the store itself; export to another file");
        return Err(Failure::usage(message));
    }
    Ok(())
}

async fn document(
    node: &Node,
    collection: &str,
    name: &str,
) -> Result<(RecordId, Vec<u8>), Failure> {
    let id = store::record(name);
    let bytes = node.records(collection)?.document(id).await?;
    bytes
        .map(|it| (id, it))
        .ok_or_else(|| Failure::not_found(format!("there is no record '{name}' in '{collection}'")))
}

fn write_document(
    id: RecordId,
    file: &Path,
    bytes: &[u8],
    collection: &str,
    out: Output,
) -> Result<(), Failure> {
    std::fs::write(file, bytes).map_err(|error| unwritable(file, &error))?;
    out.say(format!(
        "{} bytes written to {}",
        number(bytes.len()),
        file.display()
    ))?;
    out.object(&json!({
        "collection": collection,
        "id": id,
        "file": file.display().to_string(),
        "bytes": bytes.len(),
    }))
}

fn write_lines(file: &Path, lines: &[Json], collection: &str, out: Output) -> Result<(), Failure> {
    let write = || {
        let mut writer = BufWriter::new(File::create(file)?);
        lines
            .iter()
            .try_for_each(|line| writeln!(writer, "{line}"))?;
        writer.flush()
    };
    write().map_err(|error| unwritable(file, &error))?;
    out.say(format!(
        "{} written to {}",
        counted(lines.len(), "record"),
        file.display()
    ))?;
    out.object(&json!({
        "collection": collection,
        "count": lines.len(),
        "file": file.display().to_string(),
    }))
}

/// The record as `import` takes it. A record is a map; a value that is not passes as it is.
fn named(id: RecordId, record: Json) -> Json {
    match record {
        Json::Object(mut map) => {
            map.insert("$id".to_owned(), Json::from(id.to_string()));
            Json::Object(map)
        }
        other @ (Json::Null
        | Json::Bool(_)
        | Json::Number(_)
        | Json::String(_)
        | Json::Array(_)) => other,
    }
}

fn unwritable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::io(&format!("cannot write {}", file.display()), error)
}

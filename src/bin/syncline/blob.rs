//! `blob`: attachments, from and to files.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value as Json, json};
use syncline::blob::{Attachment, Stock};
use syncline::id::BlobId;
use syncline::node::{Blobs, Fetch};
use syncline::{Node, SpaceId};

use crate::args::{StoreArgs, TimeoutArgs};
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::store;
use crate::text::{counted, number, table};

/// Attachments that are listed from one look.
const PAGE: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum BlobCommand {
    /// Put a file; prints the value that a field of a record refers to it by.
    Put(PutArgs),
    /// Write an attachment to a file.
    Get(GetArgs),
    /// List the attachments of which anything is here.
    Ls(StoreArgs),
    /// Get an attachment from another replica; it goes on where it was cut off.
    Fetch(FetchArgs),
    /// Remove what is here of an attachment.
    Rm(RemoveArgs),
    /// Remove attachments that no record has ever referred to and that are over a day old.
    Gc(StoreArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct PutArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The file, or - for stdin.
    file: PathBuf,
    /// What it is, as in image/png.
    #[arg(long, value_name = "MEDIA TYPE")]
    r#type: Option<String>,
    /// What it is called; the file's own name without it.
    #[arg(long)]
    name: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BlobArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The attachment: 64 hex digits, or the whole reference.
    #[arg(value_parser = blob)]
    id: BlobId,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    blob: BlobArgs,
    /// The file to write; it must not be there.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct FetchArgs {
    #[command(flatten)]
    blob: BlobArgs,
    /// The other replica, as in `ws://127.0.0.1:41234`.
    #[arg(long, value_name = "URL")]
    peer: String,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    blob: BlobArgs,
    /// Also one that a record refers to: it may be nowhere else.
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(command: BlobCommand, space: SpaceId, out: Output) -> Result<(), Failure> {
    match command {
        BlobCommand::Put(it) => put(it, space, out).await,
        BlobCommand::Get(it) => get(it, space, out).await,
        BlobCommand::Ls(it) => list(it, space, out).await,
        BlobCommand::Fetch(it) => fetch(it, space, out).await,
        BlobCommand::Rm(it) => remove(it, space, out).await,
        BlobCommand::Gc(it) => collect(it, space, out).await,
    }
}

async fn put(args: PutArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let is_stdin = args.file == Path::new("-");
    let own = args.file.file_name().filter(|_| !is_stdin);
    let name = args
        .name
        .or_else(|| own.map(|it| it.to_string_lossy().into_owned()));
    // What is wrong with these is told before anything is copied.
    let dress = |mut it: Attachment| {
        if let Some(kind) = &args.r#type {
            it = it.with_type(kind)?;
        }
        if let Some(name) = &name {
            it = it.with_name(name)?;
        }
        Ok::<_, syncline::Error>(it)
    };
    dress(Attachment::new(BlobId::from_bytes([0; 32]), 0))?;
    let mut input: Box<dyn std::io::Read> = if is_stdin {
        Box::new(std::io::stdin())
    } else {
        Box::new(open_file(&args.file)?)
    };
    let node = store::open(store::builder(&args.store.store, space)).await?;
    let outcome = copy_in(&node, &mut input, out).await;
    let attachment = dress(store::close(&node, outcome).await?)?;
    out.say(format!(
        "{}  {} bytes",
        attachment.id(),
        number(attachment.size())
    ))?;
    out.say(format!("refer to it by {}", field(&attachment)))?;
    out.object(&json!({
        "blob": attachment.id().to_string(),
        "size": attachment.size(),
        "field": field(&attachment),
    }))
}

async fn copy_in(
    node: &Node,
    input: &mut dyn std::io::Read,
    out: Output,
) -> Result<Attachment, Failure> {
    let mut bar = Progress::new(None, out);
    let mut writer = node.blobs().writer().await?;
    let mut piece = vec![0; 1024 * 1024];
    loop {
        let read = input.read(&mut piece);
        let read = read.map_err(|error| Failure::io("cannot read the file", &error))?;
        let Some(bytes) = piece.get(..read).filter(|it| !it.is_empty()) else {
            break;
        };
        writer.write(bytes).await?;
        bar.advance(u64::try_from(read).unwrap_or(0), "put".to_owned());
    }
    bar.finish();
    Ok(writer.finish().await?)
}

async fn get(args: GetArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let node = store::open_existing(&args.blob.store.store, space).await?;
    let outcome = copy_out(&node.blobs(), args.blob.id, &args.output).await;
    let size = store::close(&node, outcome).await?;
    let path = args.output.display().to_string();
    out.say(format!("{} bytes written to {path}", number(size)))?;
    out.object(&json!({"blob": args.blob.id.to_string(), "size": size, "file": path}))
}

async fn copy_out(blobs: &Blobs, id: BlobId, path: &Path) -> Result<u64, Failure> {
    let mut reader = blobs.get(id).await?;
    let cannot = |error: std::io::Error| Failure::io("cannot write the file", &error);
    let mut file = File::create_new(path).map_err(cannot)?;
    let written = async {
        while let Some(chunk) = reader.next().await? {
            file.write_all(&chunk).map_err(cannot)?;
        }
        file.sync_all().map_err(cannot)
    };
    let written: Result<(), Failure> = written.await;
    if written.is_err() {
        // Half a file must not pass for the whole.
        drop(std::fs::remove_file(path));
    }
    written.map(|()| reader.size())
}

async fn list(args: StoreArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let node = store::open_existing(&args.store, space).await?;
    let outcome = all(&node.blobs()).await;
    let found = store::close(&node, outcome).await?;
    let mut rows = vec![
        ["blob", "bytes", "here", "named", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut shown = Vec::new();
    for it in &found {
        let Stock { chunks, here, .. } = it.stock;
        let part = if it.stock.is_complete() {
            "all".to_owned()
        } else {
            format!("{here} of {chunks}")
        };
        let named = if it.is_named { "yes" } else { "no" };
        let wanted = if it.is_wanted { "wanted" } else { "" };
        let size = number(it.stock.size);
        let row = [
            it.id.to_string(),
            size,
            part,
            named.to_owned(),
            wanted.to_owned(),
        ];
        rows.push(row.to_vec());
        shown.push(json!({
            "blob": it.id.to_string(),
            "size": it.stock.size,
            "complete": it.stock.is_complete(),
            "chunks": chunks,
            "chunks_here": here,
            "named": it.is_named,
            "wanted": it.is_wanted,
        }));
    }
    if found.is_empty() {
        out.say("no attachments")?;
    } else {
        table(&rows).iter().try_for_each(|line| out.say(line))?;
    }
    out.object(&json!({"blobs": shown}))
}

async fn all(blobs: &Blobs) -> Result<Vec<syncline::replica::KnownBlob>, Failure> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = blobs.list(after, PAGE).await?;
        let is_last = page.len() < PAGE;
        after = page.last().map(|it| it.id);
        found.extend(page);
        if is_last {
            return Ok(found);
        }
    }
}

async fn fetch(args: FetchArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let node = store::open(store::builder(&args.blob.store.store, space)).await?;
    let id = args.blob.id;
    let outcome = async {
        node.connect(&args.peer).await?;
        let mut fetch = node.blobs().fetch(id).await?;
        let timeout = args.timeout.duration();
        match tokio::time::timeout(timeout, follow(&mut fetch, out)).await {
            Ok(done) => done,
            Err(_elapsed) => Err(late(&node, &args, timeout.as_secs()).await?),
        }
    };
    let size = store::close(&node, outcome.await).await?;
    out.say(format!("{id}: all {} bytes are here", number(size)))?;
    out.object(&json!({"blob": id.to_string(), "size": size, "complete": true}))
}

async fn follow(fetch: &mut Fetch, out: Output) -> Result<u64, Failure> {
    let mut bar = Progress::exchange(out);
    let mut size = 0;
    while let Some(stock) = fetch.next().await? {
        size = stock.size;
        let here = stock.bytes_here();
        let message = format!("{} of {} bytes", number(here), number(size));
        bar.at(here, Some(size), message);
    }
    bar.finish();
    Ok(size)
}

async fn late(node: &Node, args: &FetchArgs, seconds: u64) -> Result<Failure, Failure> {
    let status = node.status().await?;
    let stock = node.blobs().status(args.blob.id).await?;
    let url = &args.peer;
    let message = match stock {
        _ if status.links.is_empty() => {
            format!("{url} was not reached in {seconds} s; is a hub listening there?")
        }
        None => format!("{url} did not have it within {seconds} s; it stays wanted here"),
        Some(Stock { chunks, here, .. }) => format!(
            "{here} of {chunks} chunks came in {seconds} s and are kept; run it again, or give it a \
             longer --timeout"
        ),
    };
    Ok(Failure::timeout(message))
}

async fn remove(args: RemoveArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let node = store::open_existing(&args.blob.store.store, space).await?;
    let id = args.blob.id;
    let outcome = async {
        let known = all(&node.blobs()).await?;
        let is_named = known.iter().any(|it| it.id == id && it.is_named);
        if is_named && !args.force {
            let message = "a record refers to it, and it may be nowhere else; --force removes it";
            return Err(Failure::usage(message));
        }
        if !node.blobs().remove(id).await? {
            return Err(Failure::not_found(format!(
                "nothing of attachment {id} is here"
            )));
        }
        Ok(())
    };
    store::close(&node, outcome.await).await?;
    out.say(format!("{id} removed"))?;
    out.object(&json!({"blob": id.to_string(), "removed": true}))
}

async fn collect(args: StoreArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let node = store::open_existing(&args.store, space).await?;
    let outcome = node.blobs().collect().await.map_err(Failure::from);
    let removed = store::close(&node, outcome).await?;
    out.say(format!("{} removed", counted(removed, "attachment")))?;
    out.object(&json!({"removed": removed}))
}

/// The attachment as a field of a record in JSON.
fn field(attachment: &Attachment) -> Json {
    syncline::doc::Value::Str(attachment.to_string()).to_json()
}

fn open_file(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::input(format!("{}: {error}", path.display())))
}

fn blob(text: &str) -> Result<BlobId, String> {
    match Attachment::read(text) {
        Some(attachment) => Ok(attachment.id()),
        None => text
            .parse()
            .map_err(|error: syncline::id::ParseIdError| error.to_string()),
    }
}

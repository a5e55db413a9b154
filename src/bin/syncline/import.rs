//! `import`: JSON lines in batches, or one saved Automerge document. `import_folder` has whole folders.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Value as Json, json};
use syncline::entropy::Entropy;
use syncline::node::Transaction;
use syncline::time::{Clock as _, SystemClock};
use syncline::{Error, Node, RecordId, Records, SpaceId, limits};

use crate::args::ImportArgs;
use crate::failure::Failure;
use crate::lines::{Line, Lines};
use crate::output::Output;
use crate::progress::Progress;
use crate::text::{counted, number};
use crate::{import_folder, reach, store};

/// Records of one transaction.
const BATCH_RECORDS: usize = 500;

/// Bytes of JSON after which a transaction takes no more lines.
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// What was done so far.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    changed: u64,
    equal: u64,
}

impl Tally {
    fn add(&mut self, records: usize, changed: u64) {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.changed += changed;
        self.equal += records.saturating_sub(changed);
    }

    /// The failure, led by what is kept all the same.
    fn told_with(self, failure: Failure) -> Failure {
        match self.changed + self.equal {
            0 => failure,
            kept => failure.context(format!("after {}", counted(kept, "imported record"))),
        }
    }
}

pub(crate) async fn run(args: ImportArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    if let Some(folder) = &args.automerge_repo {
        return import_folder::run(&args, folder, space, out).await;
    }
    // What cannot be read leaves no new store behind.
    let source = Source::open(&args)?;
    let node = store::open(store::builder(&args.store.store, space)).await?;
    let outcome = import(&node, &args, source, out).await;
    let tally = store::close(&node, outcome).await?;
    let Tally { changed, equal } = tally;
    if !args.acks {
        out.say(format!(
            "{} imported into {}, {} were equal already",
            number(changed),
            args.collection,
            number(equal)
        ))?;
    }
    out.object(&json!({"collection": args.collection, "imported": changed, "equal": equal}))
}

/// What records are read from.
enum Source {
    Document(Vec<u8>),
    Lines(Lines),
}

impl Source {
    fn open(args: &ImportArgs) -> Result<Self, Failure> {
        let Some(file) = &args.file else {
            return Err(Failure::usage(
                "import reads a FILE, or a folder by --automerge-repo",
            ));
        };
        if file.extension().is_some_and(|it| it == "automerge") {
            return read_document(file).map(Self::Document);
        }
        if args.id.is_some() {
            return Err(Failure::usage(
                "--id goes with an .automerge file; lines of JSON carry a \"$id\" each",
            ));
        }
        Lines::open(file).map(Self::Lines)
    }
}

async fn import(
    node: &Node,
    args: &ImportArgs,
    source: Source,
    out: Output,
) -> Result<Tally, Failure> {
    let records = node.records(&args.collection)?;
    if let Some(url) = &args.connect {
        node.connect(url).await?;
    }
    let tally = match source {
        Source::Document(saved) => import_document(&records, args, &saved, out).await?,
        Source::Lines(lines) => import_lines(node, &records, args, lines, out).await?,
    };
    if let Some(url) = &args.connect {
        let reached = reach::in_step(node, url, args.timeout.duration()).await;
        reached.map_err(|it| tally.told_with(it))?;
    }
    Ok(tally)
}

async fn import_document(
    records: &Records,
    args: &ImportArgs,
    saved: &[u8],
    out: Output,
) -> Result<Tally, Failure> {
    let id = match &args.id {
        Some(name) => store::record(name),
        None => new_id(&mut entropy()?),
    };
    let new = records.import(id, saved).await?;
    acknowledge(&[id], args.acks, out)?;
    Ok(Tally {
        changed: u64::from(new > 0),
        equal: u64::from(new == 0),
    })
}

fn read_document(path: &Path) -> Result<Vec<u8>, Failure> {
    let bound = u64::try_from(limits::DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(bound + 1).read_to_end(&mut bytes));
    read.map_err(|error| Failure::io(&format!("cannot read {}", path.display()), &error))?;
    if bytes.len() > limits::DOCUMENT_BYTES_MAX {
        let message = format!("{} is over {bound} bytes", path.display());
        return Err(Failure::input(message));
    }
    Ok(bytes)
}

async fn import_lines(
    node: &Node,
    records: &Records,
    args: &ImportArgs,
    mut lines: Lines,
    out: Output,
) -> Result<Tally, Failure> {
    let mut progress = Progress::new(lines.total_bytes, out);
    let mut entropy = entropy()?;
    let mut tally = Tally::default();
    while let Some(first) = lines.receiver.recv().await {
        // Lines that are there already go along; nothing is waited for, so that a slow writer gets
        // its acknowledgement at once.
        let mut batch = Batch::default();
        let mut next = Some(first);
        let mut end = Ok(());
        while let Some(line) = next.take() {
            end = line.and_then(|it| batch.add(&it, args.key.as_deref(), &mut entropy));
            if end.is_ok() && batch.has_room() {
                next = lines.receiver.try_recv().ok();
            }
        }
        let (ids, committed) = batch.commit(node, records, &mut tally).await;
        acknowledge(&ids, args.acks, out)?;
        let done = tally.changed + tally.equal;
        progress.advance(batch.bytes, counted(done, "record"));
        committed.and(end).map_err(|it| tally.told_with(it))?;
    }
    progress.finish();
    Ok(tally)
}

/// Records that are written together.
#[derive(Debug, Default)]
struct Batch {
    records: Vec<Named>,
    bytes: u64,
}

/// A record that a line named.
#[derive(Debug)]
struct Named {
    line: u64,
    id: RecordId,
    json: Json,
}

impl Batch {
    fn has_room(&self) -> bool {
        let bytes = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        self.records.len() < BATCH_RECORDS && bytes < BATCH_BYTES
    }

    fn add(
        &mut self,
        line: &Line,
        key: Option<&str>,
        entropy: &mut Entropy,
    ) -> Result<(), Failure> {
        self.bytes += u64::try_from(line.text.len()).unwrap_or(u64::MAX);
        if line.text.trim().is_empty() {
            return Ok(());
        }
        let place = || format!("line {}", line.number);
        let json = serde_json::from_str(line.text.trim_end())
            .map_err(|error| not_json(&error).context(place()))?;
        let Json::Object(mut map) = json else {
            return Err(Failure::input("a record is a JSON object").context(place()));
        };
        let (field, name) = match (map.remove("$id"), key) {
            (None, Some(key)) => (key, Some(map.get(key).cloned().unwrap_or(Json::Null))),
            (given, _) => ("$id", given),
        };
        let id = match name {
            None => new_id(entropy),
            Some(Json::String(name)) => store::record(&name),
            Some(Json::Number(number)) => RecordId::named(&number.to_string()),
            Some(_) => {
                let message = format!("no text or number in {field} to name the record by");
                return Err(Failure::input(message).context(place()));
            }
        };
        self.records.push(Named {
            line: line.number,
            id,
            json: Json::Object(map),
        });
        Ok(())
    }

    /// Writes the records at once, up to the first that is refused. Returns the ids of those that
    /// are safe on disk, and the refusal.
    async fn commit(
        &self,
        node: &Node,
        records: &Records,
        tally: &mut Tally,
    ) -> (Vec<RecordId>, Result<(), Failure>) {
        let mut count = self.records.len();
        let mut end = Ok(());
        while count > 0 {
            let mut refused = None;
            let batch = self.records.get(..count).unwrap_or_default();
            let write = node.transaction(|tx| put_all(tx, records, batch, &mut refused));
            match (write.await, refused) {
                (Ok(changed), _) => {
                    tally.add(count, changed);
                    break;
                }
                (Err(error), Some(index)) => {
                    count = index;
                    end = Err(error.into());
                }
                (Err(error), None) => return (Vec::new(), Err(error.into())),
            }
        }
        let ids = self.records.iter().take(count).map(|it| it.id);
        (ids.collect(), end)
    }
}

/// Puts all of the batch and counts what that changed; `refused` tells which record does not fit.
fn put_all(
    tx: &mut Transaction<'_>,
    records: &Records,
    batch: &[Named],
    refused: &mut Option<usize>,
) -> Result<u64, Error> {
    *refused = None;
    let mut changed = 0;
    for (index, it) in batch.iter().enumerate() {
        match tx.put_json(records, it.id, &it.json) {
            Ok(it) => changed += u64::from(it),
            Err(error) => {
                *refused = Some(index);
                return Err(error.context(format_args!("line {}", it.line)));
            }
        }
    }
    Ok(changed)
}

/// What is wrong with a line. Its number in the file is told apart: in the line itself it is 1.
fn not_json(error: &serde_json::Error) -> Failure {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    Failure::input(format!("not JSON: {what} at column {}", error.column()))
}

pub(crate) fn acknowledge(ids: &[RecordId], wanted: bool, out: Output) -> Result<(), Failure> {
    if !wanted {
        return Ok(());
    }
    for id in ids {
        out.say(id.to_string())?;
        out.object(&json!({"durable": id}))?;
    }
    Ok(())
}

fn entropy() -> Result<Entropy, Failure> {
    Entropy::from_os().map_err(|error| Failure::io("no randomness", &std::io::Error::other(error)))
}

fn new_id(entropy: &mut Entropy) -> RecordId {
    RecordId::new(SystemClock::new().wall(), entropy)
}

//! `import --automerge-repo`: all documents of an automerge-repo storage folder, one after the other.

use std::path::Path;

use serde_json::{Value as Json, json};
use syncline::{Error, ErrorKind, Node, RecordId, Records, SpaceId};

use crate::args::ImportArgs;
use crate::failure::Failure;
use crate::import::acknowledge;
use crate::output::Output;
use crate::progress::Progress;
use crate::storage::{Files, Found, Refusal, Storage};
use crate::text::{counted, number};
use crate::{reach, store};

/// Refusals that the object of `--json` lists. The rest is counted, and named when these are mended.
const REFUSALS_LISTED: usize = 1_024;

/// What became of the documents so far.
#[derive(Debug, Default)]
struct Report {
    documents: u64,
    /// Documents of which something was new.
    imported: u64,
    /// Documents of which nothing was new, refused or in quarantine.
    equal: u64,
    /// Changes that were new.
    changes: u64,
    /// Changes in quarantine.
    held: u64,
    /// Files, or documents as a whole, that were not taken in, or not whole.
    refused: u64,
    refusals: Vec<Json>,
}

/// What became of one document.
#[derive(Debug)]
struct Fate {
    id: Option<RecordId>,
    new: usize,
    held: usize,
    refusals: Vec<Refusal>,
}

pub(crate) async fn run(
    args: &ImportArgs,
    folder: &Path,
    space: SpaceId,
    out: Output,
) -> Result<(), Failure> {
    // What cannot be read leaves no new store behind.
    let storage = Storage::open(folder)?;
    let node = store::open(store::builder(&args.store.store, space)).await?;
    let mut report = Report::default();
    let outcome = import(&node, args, &storage, &mut report, out).await;
    let outcome = outcome.map_err(|it| report.told_with(it));
    store::close(&node, outcome).await?;
    report.tell(args, out)
}

async fn import(
    node: &Node,
    args: &ImportArgs,
    storage: &Storage,
    report: &mut Report,
    out: Output,
) -> Result<(), Failure> {
    let records = node.records(&args.collection)?;
    if let Some(url) = &args.connect {
        node.connect(url).await?;
    }
    let mut progress = Progress::things(out);
    for found in storage.documents() {
        let fate = match found {
            Ok(found) => take_in(&records, storage, found).await?,
            Err(refusal) => Some(Fate::refused(refusal)),
        };
        let Some(fate) = fate else { continue };
        report.note(&fate);
        progress.beside(|| fate.tell(args.acks, out))?;
        let done = counted(report.imported, "imported document");
        progress.at(report.documents, Some(storage.documents), done);
    }
    progress.finish();
    if let Some(url) = &args.connect {
        reach::in_step(node, url, args.timeout.duration()).await?;
    }
    Ok(())
}

/// Takes a document in; none if there is nothing left of it but folders.
async fn take_in(
    records: &Records,
    storage: &Storage,
    found: Found,
) -> Result<Option<Fate>, Failure> {
    let Files {
        names,
        contents,
        refusals,
    } = storage.read(&found);
    if names.is_empty() && refusals.is_empty() {
        return Ok(None);
    }
    let Found { id, folder } = found;
    let mut fate = Fate {
        id: Some(id),
        new: 0,
        held: 0,
        refusals,
    };
    match records.import_pieces(id, contents).await {
        Ok(imported) => {
            (fate.new, fate.held) = (imported.new, imported.held);
            for (place, error) in imported.refused {
                let name = names.get(place).unwrap_or(&folder);
                fate.refusals.push(Refusal::of(id, name, error.to_string()));
            }
        }
        // It is too large, or needs more of the quarantine than is left: others may not.
        Err(error) if error.kind() == ErrorKind::TooLarge => {
            let refusal = Refusal::of(id, &folder, error.to_string());
            fate.refusals.push(refusal);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Some(fate))
}

impl Fate {
    fn refused(refusal: Refusal) -> Self {
        Self {
            id: refusal.id,
            new: 0,
            held: 0,
            refusals: vec![refusal],
        }
    }

    fn is_whole(&self) -> bool {
        self.held == 0 && self.refusals.is_empty()
    }

    /// Says what is wrong with it; or where acknowledgements are asked for, that it is durable.
    fn tell(&self, acks: bool, out: Output) -> Result<(), Failure> {
        if acks {
            let whole = self.id.filter(|_| self.is_whole());
            return acknowledge(whole.as_slice(), acks, out);
        }
        for it in &self.refusals {
            let whose = it.id.map(|it| format!("{it}: ")).unwrap_or_default();
            out.say(format!("{whose}{}: {}", it.file.display(), it.reason))?;
        }
        match self.id {
            Some(id) if self.held > 0 => {
                let held = counted(self.held, "change");
                out.say(format!(
                    "{id}: {held} in quarantine: what they build on is not in the folder, or they do not \
                     fit it; `status` names them"
                ))
            }
            _ => Ok(()),
        }
    }
}

impl Report {
    fn note(&mut self, fate: &Fate) {
        let wide = |it: usize| u64::try_from(it).unwrap_or(u64::MAX);
        self.documents += 1;
        self.imported += u64::from(fate.new > 0);
        self.equal += u64::from(fate.new == 0 && fate.is_whole());
        self.changes += wide(fate.new);
        self.held += wide(fate.held);
        self.refused += wide(fate.refusals.len());
        let room = REFUSALS_LISTED.saturating_sub(self.refusals.len());
        let listed =
            fate.refusals.iter().take(room).map(
                |it| json!({"id": it.id, "file": it.file.to_string_lossy(), "reason": it.reason}),
            );
        self.refusals.extend(listed);
    }

    /// The failure, led by what is kept all the same.
    fn told_with(&self, failure: Failure) -> Failure {
        match self.imported + self.equal {
            0 => failure,
            kept => failure.context(format!("after {}", counted(kept, "imported document"))),
        }
    }

    fn tell(self, args: &ImportArgs, out: Output) -> Result<(), Failure> {
        if !args.acks {
            out.say(format!(
                "{}: {} imported into {} with {}, {} equal already, {} refused, {} in quarantine",
                counted(self.documents, "document"),
                number(self.imported),
                args.collection,
                counted(self.changes, "new change"),
                number(self.equal),
                counted(self.refused, "file"),
                counted(self.held, "change"),
            ))?;
        }
        let mut object = json!({
            "collection": args.collection,
            "documents": self.documents,
            "imported": self.imported,
            "equal": self.equal,
            "changes": self.changes,
            "held": self.held,
            "refused": self.refused,
            "refusals": self.refusals,
        });
        if self.refused + self.held == 0 {
            return out.object(&object);
        }
        let message = format!(
            "{} of the folder could not be taken in whole, and {} in quarantine; what is sound is in the \
             store. Mend the rest and run it again: what is equal already is passed over",
            counted(self.refused, "file"),
            counted(self.held, "change"),
        );
        let mut failure = Failure::from(Error::new(ErrorKind::InvalidInput, message));
        if let Json::Object(map) = &mut object {
            let error = json!({"kind": failure.kind, "message": failure.message});
            map.insert("error".to_owned(), error);
        }
        out.object(&object)?;
        failure.is_told = true;
        Err(failure)
    }
}

//! The end of the demo: the three stores side by side, what merged how, and what it cost.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use syncline::SpaceId;

use super::edits::{self, Case};
use super::folder::Folder;
use crate::failure::Failure;
use crate::output::Output;
use crate::store;
use crate::text::{number, shorten, table};

/// Characters of a digest that people compare.
const DIGEST_WIDTH: usize = 16;

/// Characters that tell the few heads of a record apart.
const HEAD_WIDTH: usize = 8;

/// How one case came out.
pub(super) struct Merge {
    pub(super) case: &'static Case,
    pub(super) result: String,
    /// Both devices show it, and it is what must come of the two edits.
    pub(super) right: bool,
}

/// Bytes of frames sent and received by both devices, compressed as they travelled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchanged {
    pub(super) data: usize,
    pub(super) first_copies: u64,
    pub(super) edits: u64,
}

/// What one store holds, read from its file after everything has stopped.
#[derive(Debug)]
struct Replica {
    name: &'static str,
    records: u64,
    changes: u64,
    /// Of all records at their heads.
    digest: String,
    /// Of all values; the hub loads no records, so it has none.
    contents: Option<String>,
    /// The heads of the records that were edited.
    heads: BTreeMap<String, Vec<String>>,
}

/// The end of the demo.
pub(super) struct Report {
    replicas: Vec<Replica>,
    merges: Vec<Merge>,
    restored: bool,
    exchanged: Exchanged,
}

impl Report {
    pub(super) async fn read(
        folder: &Folder,
        space: SpaceId,
        merges: Vec<Merge>,
        restored: bool,
        exchanged: Exchanged,
    ) -> Result<Self, Failure> {
        let mut replicas = Vec::new();
        for name in ["laptop", "phone", "hub"] {
            replicas.push(Replica::read(folder, name, space).await?);
        }
        Ok(Self {
            replicas,
            merges,
            restored,
            exchanged,
        })
    }

    /// Whether all three hold the same, and what both devices show is right.
    fn converged(&self) -> bool {
        let same = |pair: &[Replica]| match pair {
            [a, b] => a.same_as(b),
            _ => false,
        };
        self.restored && self.merges.iter().all(|it| it.right) && self.replicas.windows(2).all(same)
    }

    /// Prints it, and fails if the replicas differ.
    pub(super) fn print(&self, folder: &Folder, out: Output) -> Result<(), Failure> {
        self.say_merges(out)?;
        self.say_replicas(out)?;
        self.say_bytes(out)?;
        if folder.is_kept() {
            let path = folder.path().display();
            out.say(format!("\nThe stores are in {path}; look into one with"))?;
            out.say(format!("  syncline ls zones --store {path}/phone.redb"))?;
        }
        if !self.converged() {
            let failed = std::io::Error::other("the tables above show where");
            out.object(&self.object())?;
            return Err(Failure::io("the replicas differ", &failed));
        }
        out.say("\nAll three hold the same.")?;
        out.object(&self.object())
    }

    fn say_merges(&self, out: Output) -> Result<(), Failure> {
        let head = ["record", "field", "laptop wrote", "phone wrote", "result"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for it in &self.merges {
            let Case {
                record,
                field,
                laptop,
                phone,
                ..
            } = it.case;
            let cells = [record, field, laptop, phone].map(|it| (*it).to_owned());
            let mark = if it.right {
                ""
            } else {
                "  <- not as it must be"
            };
            let result = format!("{}{mark}", shorten(&it.result, 40));
            rows.push(cells.into_iter().chain([result]).collect());
        }
        out.say("\nWhat came of the edits:")?;
        say_table(&rows, out)
    }

    fn say_replicas(&self, out: Output) -> Result<(), Failure> {
        let row = |name: &str, cell: &dyn Fn(&Replica) -> String| -> Vec<String> {
            let cells = self.replicas.iter().map(cell);
            std::iter::once(name.to_owned()).chain(cells).collect()
        };
        let mut rows = vec![
            row("", &|it| it.name.to_owned()),
            row("records", &|it| number(it.records)),
            row("changes", &|it| number(it.changes)),
            row("digest of heads", &|it| cut(&it.digest, DIGEST_WIDTH)),
            row("digest of values", &|it| match &it.contents {
                Some(digest) => cut(digest, DIGEST_WIDTH),
                None => "never loads records".to_owned(),
            }),
        ];
        let edited = self
            .replicas
            .first()
            .map(|it| it.heads.keys())
            .into_iter()
            .flatten();
        for name in edited {
            let heads = |it: &Replica| {
                let heads = it.heads.get(name).map(Vec::as_slice).unwrap_or_default();
                heads
                    .iter()
                    .map(|it| cut(it, HEAD_WIDTH))
                    .collect::<Vec<_>>()
                    .join("+")
            };
            rows.push(row(name, &heads));
        }
        out.say("\nThe three stores, with the newest changes (heads) of each edited record:")?;
        say_table(&rows, out)
    }

    fn say_bytes(&self, out: Output) -> Result<(), Failure> {
        let Exchanged {
            data,
            first_copies,
            edits,
        } = self.exchanged;
        out.say("\nBytes exchanged, both directions:")?;
        let row = |bytes: String, what: &str| vec![bytes, what.to_owned()];
        let rows = [
            row(number(data), "the data as it lies in its two files"),
            row(
                number(first_copies),
                "two full copies: laptop to hub, hub to phone",
            ),
            row(
                number(edits),
                "all edits in all directions, with every handshake",
            ),
        ];
        let width = rows
            .iter()
            .filter_map(|it| it.first())
            .map(String::len)
            .max();
        let width = width.unwrap_or(0);
        for row in &rows {
            if let [bytes, what] = row.as_slice() {
                out.say(format!("  {bytes:>width$}  {what}"))?;
            }
        }
        Ok(())
    }

    fn object(&self) -> Json {
        let replicas = self.replicas.iter().map(|it| {
            json!({
                "name": it.name,
                "records": it.records,
                "changes": it.changes,
                "digest": it.digest,
                "contents": it.contents,
                "heads": it.heads,
            })
        });
        let merges = self.merges.iter().map(|it| {
            json!({
                "record": it.case.record,
                "field": it.case.field,
                "laptop": it.case.laptop,
                "phone": it.case.phone,
                "result": it.result,
                "right": it.right,
            })
        });
        json!({
            "converged": self.converged(),
            "replicas": replicas.collect::<Vec<_>>(),
            "merges": merges.collect::<Vec<_>>(),
            "restored": self.restored,
            "bytes": {
                "data": self.exchanged.data,
                "first_copies": self.exchanged.first_copies,
                "edits": self.exchanged.edits,
            },
        })
    }
}

impl Replica {
    async fn read(folder: &Folder, name: &'static str, space: SpaceId) -> Result<Self, Failure> {
        let mut builder = store::builder(folder.store(name), space);
        let is_hub = name == "hub";
        if is_hub {
            builder = builder.relay();
        }
        let node = store::open(builder).await?;
        let outcome = async {
            let status = node.status().await?;
            let report = status.spaces.into_iter().find(|it| it.space == space);
            let report = report.ok_or_else(|| Failure::not_found("the store lacks the space"))?;
            let mut heads = BTreeMap::new();
            for (collection, record) in edits::edited() {
                let id = syncline::RecordId::named(record);
                let found = node.records(collection)?.heads(id).await?;
                let found = found.as_slice().iter().map(ToString::to_string);
                heads.insert(record.to_owned(), found.collect());
            }
            let contents = if is_hub {
                None
            } else {
                Some(contents(&node).await?)
            };
            Ok(Self {
                name,
                records: report.collections.iter().map(|(_, count)| count).sum(),
                changes: report.lsn.0,
                digest: report.root,
                contents,
                heads,
            })
        };
        store::close(&node, outcome.await).await
    }

    fn same_as(&self, other: &Self) -> bool {
        let contents = match (&self.contents, &other.contents) {
            (Some(here), Some(there)) => here == there,
            _ => true,
        };
        contents
            && self.records == other.records
            && self.digest == other.digest
            && self.heads == other.heads
    }
}

/// BLAKE3 of all records as JSON, in order.
async fn contents(node: &syncline::Node) -> Result<String, Failure> {
    let mut hasher = blake3::Hasher::new();
    for name in node.collections().await? {
        let mut records = node.records(name.as_str())?.list().await?;
        records.sort_by_key(|(id, _)| *id);
        for (id, record) in records {
            hasher.update(format!("{name}/{id} {record}\n").as_bytes());
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn cut(digest: &str, width: usize) -> String {
    digest.chars().take(width).collect()
}

fn say_table(rows: &[Vec<String>], out: Output) -> Result<(), Failure> {
    table(rows)
        .iter()
        .try_for_each(|line| out.say(format!("  {line}")))
}

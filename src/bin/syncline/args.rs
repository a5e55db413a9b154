//! What can be typed: the commands and their arguments.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser as NotEmpty;
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use syncline::{Records, ReplicaId};

use crate::blob::BlobCommand;
use crate::contract::ContractCommand;
use crate::failure::EXIT_CODES;
use crate::gate::GateCommand;
use crate::migrate::MigrateArgs;

/// Offline-first records: edit on any device, offline, and merge when devices meet.
///
/// A record is named by an id, or by any text of your own, as in Europe/Vienna: the same name
/// means the same record on every device. In JSON, {"$text": "…"} is a text that merges and
/// {"$counter": 0} a counter; the library's page on JSON lists all kinds.
#[derive(Debug, Parser)]
#[command(
    name = "syncline",
    version,
    after_help = EXIT_CODES,
    arg_required_else_help = true,
    verbatim_doc_comment
)]
pub(crate) struct Args {
    /// Print JSON; the last line of stdout is always one object.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The space: a name shared by all who sync, or 32 hex digits.
    #[arg(long, global = true, value_name = "NAME", default_value = "default", value_parser = NotEmpty::new())]
    pub(crate) space: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show two devices that edit offline and merge through a hub that is killed in between.
    Demo(DemoArgs),
    /// Run a hub: a replica that is always on and passes changes along.
    Serve(ServeArgs),
    /// Create or replace a record.
    Put(PutArgs),
    /// Print a record, as it is or as it was at a version.
    Get(GetArgs),
    /// Change fields of a record by a JSON merge patch (RFC 7396): null removes a field.
    Edit(EditArgs),
    /// Delete a record; `restore` brings it back.
    Rm(ChangeArgs),
    /// Take the deletion of a record back, or make it again what it was at a version.
    Restore(RestoreArgs),
    /// List a record's changes, newest first: who made them, when and why. Each names a version.
    History(HistoryArgs),
    /// Show what is different between two versions of a record.
    Diff(DiffArgs),
    /// Take back what the newest change of this store did to a record, as far as others have not
    /// changed it since.
    Undo(ChangeArgs),
    /// Take back the newest undo, unless this store has edited the record after it.
    Redo(ChangeArgs),
    /// List collections, or the records of one.
    Ls(ListArgs),
    /// Find records: which, in which order, how many.
    ///
    /// A query is a filter, an order and a limit, each of which may be missing:
    ///
    ///   done = false and due < 2026-12-01 order by due, votes desc limit 20
    ///
    /// Conditions: = != < <= > >=, in (…), contains, starts with, exists, is null, any field (…);
    /// and, or, not, parentheses. Texts stand in quotes. docs/guide/queries.md has all of it.
    #[command(verbatim_doc_comment)]
    Query(QueryArgs),
    /// List fields in which values stand that were written at the same time.
    Conflicts(ConflictsArgs),
    /// Tell how such a field came to be shown as it is.
    Explain(ExplainArgs),
    /// End such a conflict: write the value that counts.
    Resolve(ResolveArgs),
    /// Print changes as they happen, until interrupted.
    Watch(WatchArgs),
    /// Exchange everything with another replica once, until both hold the same.
    Sync(SyncArgs),
    /// Show how the store stands.
    Status(StatusArgs),
    /// Check a store that nobody has open: every page, change, head and sum. Reads all of it.
    Doctor(DoctorArgs),
    /// Fold the history of records, and make the file as small as it gets.
    Compact(CompactArgs),
    /// Declare what the records of a collection hold; compare versions of that, check records by it.
    #[command(subcommand)]
    Contract(ContractCommand),
    /// Say for which replicas new versions of contracts count, while they are rolled out.
    #[command(subcommand)]
    Gate(GateCommand),
    /// Bring the records of a collection into the form of its contract, by the migrations in that.
    /// One that was cut off is run again. Ends with 2 if there are records that can't be migrated.
    Migrate(MigrateArgs),
    /// Attachments: put files into the store, get and fetch them, list and remove them.
    #[command(subcommand)]
    Blob(BlobCommand),
    /// Read records from JSON lines, one record from an Automerge file, or all documents of an
    /// automerge-repo storage folder. One that was cut off is run again: what is equal already is
    /// passed over.
    Import(ImportArgs),
    /// Write records as JSON lines, or one record as an Automerge file.
    Export(ExportArgs),
    /// Run simulated clusters, each made up from a number, and check what must hold.
    ///
    /// Without options, 100 seeds from 0 on. A failing seed is shrunk, and the command that replays
    /// it is printed; the exit code is 1 then.
    #[cfg(feature = "sim")]
    Sim(SimArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// The store's file.
    #[arg(long, value_name = "FILE", env = "SYNCLINE_STORE")]
    pub(crate) store: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RecordArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The collection.
    pub(crate) collection: String,
    /// The record's id or name.
    #[arg(value_parser = NotEmpty::new())]
    pub(crate) id: String,
}

#[derive(Debug, Default, clap::Args)]
pub(crate) struct ReasonArgs {
    /// Why; it goes with the change, and everybody sees it who has the record.
    #[arg(long, value_name = "TEXT", value_parser = NotEmpty::new())]
    reason: Option<String>,
}

impl ReasonArgs {
    /// The collection, whose changes say why if there is a reason.
    pub(crate) fn of(&self, records: Records) -> Records {
        match &self.reason {
            Some(reason) => records.because(reason),
            None => records,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    #[command(flatten)]
    pub(crate) reason: ReasonArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    /// As it was at this version: a change's hash, at least six digits of it, or a time as in
    /// 2026-11-22T09:30:00Z.
    #[arg(long, value_name = "VERSION|TIME")]
    pub(crate) at: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
    /// Make the record again what it was at this version, whoever has changed it since.
    #[arg(long, value_name = "VERSION|TIME")]
    pub(crate) at: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    /// How many changes, at most 1,000.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) limit: u16,
    /// Go on after this change: its whole hash, as "next" names it.
    #[arg(long, value_name = "CHANGE")]
    pub(crate) before: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    /// The earlier version: a change's hash, at least six digits of it, or a time.
    pub(crate) from: String,
    /// The later version; without it, the record as it is.
    pub(crate) to: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Make the sums over records again, which follow from the records; nothing else is touched.
    #[arg(long)]
    pub(crate) repair: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompactArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Fold also what replicas that were here within the last week have not got yet: when they come
    /// back, such records travel to them whole.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Keep the stores in this new or empty folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Where to listen; port 0 takes any free one. The address is printed when it is ready.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: String,
    /// Another replica to stay connected to; may be repeated.
    #[arg(long, value_name = "URL")]
    pub(crate) connect: Vec<String>,
    /// Let only this replica link; may be repeated. Without it, anyone who knows a space may.
    #[arg(long, value_name = "REPLICA")]
    pub(crate) admit: Vec<ReplicaId>,
    /// Serve only the space of --space, and keep its records readable here too. Without it, the
    /// hub relays any space and never loads a record.
    #[arg(long)]
    pub(crate) full: bool,
    /// Serve unmodified clients of automerge-repo, too, at the same address. Their documents are the
    /// records of COLLECTION (documents by default) in the space of --space, of the same ids. Whoever
    /// reaches the port and knows a document's id may read and write it.
    #[cfg(feature = "automerge-repo")]
    #[arg(long, value_name = "COLLECTION", num_args = 0..=1, default_missing_value = "documents")]
    pub(crate) automerge_repo: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(override_usage = "syncline put [OPTIONS] --store <FILE> <COLLECTION> [ID] <JSON>")]
pub(crate) struct PutArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The collection.
    pub(crate) collection: String,
    /// The record's id or name (a new one without it), and the record: a JSON object, or - for
    /// stdin.
    #[arg(num_args = 1..=2, value_name = "[ID] JSON", required = true, value_parser = NotEmpty::new())]
    pub(crate) record: Vec<String>,
    #[command(flatten)]
    pub(crate) reason: ReasonArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EditArgs {
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    /// The merge patch: a JSON object, or - for stdin.
    pub(crate) patch: String,
    #[command(flatten)]
    pub(crate) reason: ReasonArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The collection; without it, all collections are named.
    pub(crate) collection: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The collection.
    pub(crate) collection: String,
    /// The query; an empty one finds all records.
    pub(crate) query: String,
    /// Go on behind the last page, which named this cursor.
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
    /// Say how the query would be served, and do not run it.
    #[arg(long)]
    pub(crate) explain: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConflictsArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The collection.
    pub(crate) collection: String,
    /// Only this record, by id or name.
    #[arg(value_parser = NotEmpty::new())]
    pub(crate) id: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    /// The field, as in address.lines[2].
    pub(crate) field: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ResolveArgs {
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    /// The field, as in address.lines[2].
    pub(crate) field: String,
    /// The value: JSON, or - for stdin.
    pub(crate) value: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Only this collection.
    pub(crate) collection: Option<String>,
    /// Another replica to stay connected to; may be repeated.
    #[arg(long, value_name = "URL")]
    pub(crate) connect: Vec<String>,
    /// End after so many changes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TimeoutArgs {
    /// How long it may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u32,
}

impl TimeoutArgs {
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct SyncArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The other replica, as in `ws://127.0.0.1:41234`.
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The collection.
    pub(crate) collection: String,
    /// JSON lines, one object each, or - for stdin. "$id" names the record; without it each line
    /// makes a new one. A file ending in .automerge is one saved Automerge document.
    #[arg(required_unless_present = "automerge_repo")]
    pub(crate) file: Option<PathBuf>,
    /// Take in the documents that automerge-repo, or samod, keeps in this folder, each as the record of
    /// its id. No program should be writing there. Ends with 2 if anything in it can't be taken in;
    /// the rest is.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "key", "id"])]
    pub(crate) automerge_repo: Option<PathBuf>,
    /// Name records by this field of theirs, if they have no "$id".
    #[arg(long, value_name = "FIELD")]
    pub(crate) key: Option<String>,
    /// The record that an Automerge file goes into; without it, a new one.
    #[arg(long, value_name = "ID", value_parser = NotEmpty::new())]
    pub(crate) id: Option<String>,
    /// Print each record's id once it is safe on disk.
    #[arg(long)]
    pub(crate) acks: bool,
    /// Stay connected to this replica meanwhile, and end when it holds the same.
    #[arg(long, value_name = "URL")]
    pub(crate) connect: Option<String>,
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The collection.
    pub(crate) collection: String,
    /// Write to this file in place of stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write this one record, with its whole history, as an Automerge file.
    #[arg(long, num_args = 2, value_names = ["ID", "FILE"], conflicts_with = "output")]
    pub(crate) automerge: Option<Vec<String>>,
}

#[cfg(feature = "sim")]
#[derive(Debug, clap::Args)]
pub(crate) struct SimArgs {
    /// Run this one seed.
    #[arg(long, value_name = "N", conflicts_with_all = ["first", "seeds", "planted"])]
    pub(crate) seed: Option<u64>,
    /// Of the seed's steps perform only these, as a failing run names them: 1,4,7.
    #[arg(long, value_name = "STEPS", requires = "seed", value_delimiter = ',')]
    pub(crate) keep: Option<Vec<usize>>,
    /// Print what happens, in order.
    #[arg(long, requires = "seed")]
    pub(crate) trace: bool,
    /// Draw what happens into this SVG file, a lane for each replica.
    #[arg(long, value_name = "FILE", requires = "seed")]
    pub(crate) svg: Option<PathBuf>,
    /// The first of several seeds.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) first: u64,
    /// How many seeds.
    #[arg(long, value_name = "M", default_value_t = 100)]
    pub(crate) seeds: u64,
    /// Plant faults in the library, one after another, and show how soon each is caught.
    #[arg(long)]
    pub(crate) planted: bool,
    /// Plant only this fault; with --seed, run the seed with it.
    #[arg(long, value_name = "FAULT")]
    pub(crate) plant: Option<String>,
    /// How many seeds run at once; the number of processors without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) jobs: Option<u64>,
}

//! What can be typed: the commands and their arguments.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser as NotEmpty;
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use syncline::ReplicaId;

use crate::contract::ContractCommand;
use crate::failure::EXIT_CODES;

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
    /// Print a record.
    Get(RecordArgs),
    /// Change fields of a record by a JSON merge patch (RFC 7396): null removes a field.
    Edit(EditArgs),
    /// Delete a record; `restore` brings it back.
    Rm(RecordArgs),
    /// Take the deletion of a record back.
    Restore(RecordArgs),
    /// List collections, or the records of one.
    Ls(ListArgs),
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
    /// Check records by a contract, compare its versions, export it. Opens no store.
    #[command(subcommand)]
    Contract(ContractCommand),
    /// Read records from JSON lines, or one record from an Automerge file. One that was cut off is run
    /// again: what is equal already is passed over.
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
}

#[derive(Debug, clap::Args)]
pub(crate) struct EditArgs {
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    /// The merge patch: a JSON object, or - for stdin.
    pub(crate) patch: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The collection; without it, all collections are named.
    pub(crate) collection: Option<String>,
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
    pub(crate) file: PathBuf,
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

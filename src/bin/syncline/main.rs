//! The `syncline` command: records, sync, a hub, and a demonstration of all three.
//!
//! It uses the library's public API only, so it is an example of it too.

mod args;
mod blob;
mod compact;
mod conflicts;
mod contract;
mod declare;
mod demo;
mod doctor;
mod export;
mod failure;
mod gate;
mod history;
mod import;
mod import_folder;
mod lines;
mod migrate;
mod output;
mod progress;
mod query;
mod reach;
mod records;
mod serve;
mod signals;
#[cfg(feature = "sim")]
mod sim;
mod status;
mod storage;
mod store;
mod text;
mod watch;

use std::path::{Component, Path};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use args::{Args, Command};
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return unparsed(&error),
    };
    let out = Output::new(args.json);
    log_to_stderr(&args.command);
    log_panics_of_redb();
    let result = start().and_then(|runtime| runtime.block_on(run(args, out)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => out.failure(&failure),
    }
}

/// Makes the runtime. It needs file descriptors and threads; of too few of some of them it panics.
fn start() -> Result<tokio::runtime::Runtime, Failure> {
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let make = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
    };
    let made = std::panic::catch_unwind(make);
    std::panic::set_hook(shown);
    let made = made.unwrap_or_else(|_| Err(std::io::Error::other(failure::NO_DESCRIPTORS)));
    made.map_err(|error| Failure::io("cannot start", &error))
}

async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let space = store::space(&args.space);
    match args.command {
        Command::Demo(it) => demo::run(it, out).await,
        Command::Serve(it) => serve::run(it, space, out).await,
        Command::Put(it) => records::put(it, space, out).await,
        Command::Get(it) => records::get(it, space, out).await,
        Command::Edit(it) => records::edit(it, space, out).await,
        Command::Rm(it) => records::remove(it, space, out).await,
        Command::Restore(it) => records::restore(it, space, out).await,
        Command::History(it) => history::list(it, space, out).await,
        Command::Diff(it) => history::diff(it, space, out).await,
        Command::Undo(it) => history::undo(it, space, out).await,
        Command::Redo(it) => history::redo(it, space, out).await,
        Command::Ls(it) => records::list(it, space, out).await,
        Command::Query(it) => query::run(it, space, out).await,
        Command::Conflicts(it) => conflicts::list(it, space, out).await,
        Command::Explain(it) => conflicts::explain(it, space, out).await,
        Command::Resolve(it) => conflicts::resolve(it, space, out).await,
        Command::Watch(it) => watch::run(it, space, out).await,
        Command::Sync(it) => reach::sync(it, space, out).await,
        Command::Status(it) => status::run(it, space, out).await,
        Command::Doctor(it) => doctor::run(&it, out),
        Command::Compact(it) => compact::run(it, space, out).await,
        Command::Contract(it) => contract::run(it, space, out).await,
        Command::Gate(it) => gate::run(it, space, out).await,
        Command::Migrate(it) => migrate::run(it, space, out).await,
        Command::Blob(it) => blob::run(it, space, out).await,
        Command::Import(it) => import::run(it, space, out).await,
        Command::Export(it) => export::run(it, space, out).await,
        #[cfg(feature = "sim")]
        Command::Sim(it) => sim::run(&it, out),
        Command::Completions { shell } => completions(shell, out),
    }
}

fn completions(shell: clap_complete::Shell, out: Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "syncline", &mut script);
    let script = String::from_utf8_lossy(&script);
    out.say(script.trim_end())?;
    out.object(&json!({"shell": shell.to_string(), "script": script}))
}

/// Help and version are no failures; everything else that does not parse is wrong usage.
fn unparsed(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A reader who closes the pipe has read enough of the help.
        return error
            .print()
            .map_or(ExitCode::SUCCESS, |()| ExitCode::SUCCESS);
    }
    let json = std::env::args_os().any(|it| it == "--json");
    let rendered = error.render().to_string();
    let message = rendered.strip_prefix("error: ").unwrap_or(&rendered);
    Output::new(json).failure(&Failure::usage(message.trim_end()))
}

/// redb panics over some kinds of damage. The library catches that and reports the damage in its own
/// words, so the panic is for the log only.
fn log_panics_of_redb() {
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let folders = panic.location().map(|it| Path::new(it.file()).components());
        let of_redb = |it: Component<'_>| it.as_os_str().to_string_lossy().starts_with("redb-");
        if folders.is_some_and(|mut it| it.any(of_redb)) {
            tracing::warn!("{panic}");
        } else {
            shown(panic);
        }
    }));
}

/// `RUST_LOG` says how much, as in `RUST_LOG=syncline=debug`.
fn log_to_stderr(command: &Command) {
    let level = match command {
        // Failing stores and peers are what a simulation is made of.
        #[cfg(feature = "sim")]
        Command::Sim(_) => "off",
        _ => "error",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

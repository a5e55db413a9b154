//! `inspection-forms`: the command.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use inspection_forms::answer::{Answer, parse};
use inspection_forms::exchange::within;
use inspection_forms::form;
use inspection_forms::visits::Visits;
use syncline::contract::Contract;
use syncline::node::{Migrate, Migrated};
use syncline::{Error, ErrorKind, Node, RecordId, Result};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};

/// Forms that are filled in where there is no network, with photos.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The file that this device keeps its forms in; it is made if there is none
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        default_value = "inspections.redb"
    )]
    store: PathBuf,
    /// What the form asks
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        default_value = "forms/inspection-1.json"
    )]
    form: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Shows what the form asks
    Form,
    /// Fills in a new form: site=Weir state=good
    New {
        #[arg(required = true, value_name = "FIELD=VALUE")]
        answers: Vec<String>,
    },
    /// Changes answers, all at once: defects=+1 state=worn; without a value an answer is taken back
    Set {
        id: RecordId,
        #[arg(required = true, value_name = "FIELD=VALUE")]
        answers: Vec<String>,
    },
    /// Lists the forms that were filled in, as JSON
    List,
    /// Shows one, and where several devices answered the same at the same time
    Show { id: RecordId },
    /// Adds a photo to a form
    Attach { id: RecordId, file: PathBuf },
    /// Writes a photo of a form to a file
    Photo {
        id: RecordId,
        /// The first is 1
        number: usize,
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Where to get it if it is not here
        #[arg(long, value_name = "URL")]
        connect: Option<String>,
    },
    /// Exchanges everything but photos with another device, such as `ws://10.0.0.5:7070`; with a hub photos too
    Sync { url: String },
    /// Lets other devices connect, as to 0.0.0.0:7070, until somebody presses enter
    Serve { address: String },
    /// Brings all forms into the words of this version of the form
    Migrate {
        /// Only says what would change
        #[arg(long)]
        dry_run: bool,
    },
}

/// Longest that an exchange may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a program says why it ends")]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("inspection-forms: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a program shows what was asked for")]
async fn run(args: Args) -> Result<()> {
    let form = form::read(&args.form)?;
    if matches!(args.what, What::Form) {
        print!("{}", form::questions(&form));
        return Ok(());
    }
    let node = Node::builder().store(&args.store).open().await?;
    let ended = work(&node, form, args.what).await;
    let closed = node.shutdown().await;
    let said = ended?;
    if !said.is_empty() {
        println!("{}", said.trim_end());
    }
    closed
}

/// Does what was asked for, and gives what is to be shown.
async fn work(node: &Node, form: Contract, what: What) -> Result<String> {
    let visits = Visits::open(node, form).await?;
    match what {
        What::Form => Ok(form::questions(visits.form())),
        What::New { answers } => {
            let answers = read(&visits, &answers)?;
            Ok(visits.create(answers).await?.to_string())
        }
        What::Set { id, answers } => {
            visits.answer(id, read(&visits, &answers)?).await?;
            shown(&visits, id).await
        }
        What::List => {
            let all = visits.list().await?.into_iter();
            let lines: Vec<_> = all.map(|(id, form)| format!("{id} {form}")).collect();
            Ok(lines.join("\n"))
        }
        What::Show { id } => shown(&visits, id).await,
        What::Attach { id, file } => {
            visits.attach(id, &file).await?;
            shown(&visits, id).await
        }
        What::Photo {
            id,
            number,
            output,
            connect,
        } => {
            let photo = visits.photo(id, number).await?;
            let bytes = match connect {
                Some(url) => {
                    node.connect(&url).await?;
                    within(node, PATIENCE, visits.fetch(&photo)).await?
                }
                None => visits.read(&photo).await.map_err(elsewhere)?,
            };
            tokio::fs::write(&output, bytes).await.map_err(|error| {
                let message = format!("cannot write {}: {error}", output.display());
                Error::new(ErrorKind::Io, message)
            })?;
            Ok(format!("{} bytes", photo.size()))
        }
        What::Sync { url } => {
            node.connect(&url).await?;
            within(node, PATIENCE, node.synced()).await?;
            Ok(format!("forms here: {}", visits.list().await?.len()))
        }
        What::Serve { address } => serve(node, &address).await,
        What::Migrate { dry_run: true } => Ok(migrated(
            "to migrate",
            &visits.migrate(Migrate::DryRun).await?,
        )),
        What::Migrate { dry_run: false } => Ok(migrated(
            "migrated",
            &visits.migrate(Migrate::Forward).await?,
        )),
    }
}

fn read(visits: &Visits, answers: &[String]) -> Result<Vec<(String, Answer)>> {
    let read = answers.iter().map(|it| parse(visits.form(), it));
    let read: std::result::Result<_, _> = read.collect();
    read.map_err(|what| Error::new(ErrorKind::InvalidInput, what))
}

fn elsewhere(error: Error) -> Error {
    if error.kind() != ErrorKind::NotHere {
        return error;
    }
    let message = "the photo is not here yet; name a device that has it by --connect";
    Error::new(ErrorKind::NotHere, message).with_source(error)
}

async fn shown(visits: &Visits, id: RecordId) -> Result<String> {
    let answers = form::answers(visits.form(), &visits.get(id).await?);
    let conflicts = form::conflicts(&visits.conflicts(id).await?);
    Ok(format!("{id}\n{answers}{conflicts}"))
}

#[expect(clippy::print_stdout, reason = "others must know while it goes on")]
async fn serve(node: &Node, address: &str) -> Result<String> {
    println!(
        "others connect to {}; enter ends this",
        node.listen(address).await?
    );
    // What can't be read any more is as good as enter.
    drop(BufReader::new(stdin()).lines().next_line().await);
    Ok("nobody connects any more".to_owned())
}

fn migrated(what: &str, report: &Migrated) -> String {
    let (done, failed) = (report.done, report.failed);
    let mut lines = vec![format!("{what}: {done}, not possible: {failed}")];
    let failures = report.failures.iter();
    lines.extend(failures.map(|it| format!("{}: {}", it.record, it.reason)));
    lines.join("\n")
}

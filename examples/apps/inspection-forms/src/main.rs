//! `inspection-forms`: the command.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use inspection_forms::answer::{Answer, parse};
use inspection_forms::form;
use inspection_forms::visits::Visits;
use serde_json::Value as Json;
use syncline::node::Migrate;
use syncline::{Error, ErrorKind, Node, RecordId, Result};

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
    New { answers: Vec<String> },
    /// Changes answers: defects=+1
    Set { id: RecordId, answers: Vec<String> },
    /// Lists the forms that were filled in
    List,
    /// Shows one
    Show { id: RecordId },
    /// Adds a photo to a form
    Attach { id: RecordId, file: PathBuf },
    /// Writes a photo of a form, the first is 1, to a file; a device at URL is asked if it is not here
    Photo {
        id: RecordId,
        number: usize,
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        #[arg(long, value_name = "URL")]
        connect: Option<String>,
    },
    /// Exchanges everything with another device, such as ws://10.0.0.5:7070
    Sync { url: String },
    /// Lets other devices connect until somebody presses enter
    Serve { address: String },
    /// Brings all forms into the form's newest version
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

async fn run(args: Args) -> Result<()> {
    let form = form::read(&args.form)?;
    let node = Node::builder().store(&args.store).open().await?;
    let ended = work(&node, form, args.what).await;
    let closed = node.shutdown().await;
    ended.and(closed)
}

#[expect(clippy::print_stdout, reason = "a program shows what was asked for")]
async fn work(node: &Node, form: syncline::contract::Contract, what: What) -> Result<()> {
    let visits = Visits::open(node, form).await?;
    match what {
        What::Form => print!("{}", form::show(visits.form())),
        What::New { answers } => {
            let answers = read(&visits, &answers)?;
            println!("{}", visits.create(answers).await?);
        }
        What::Set { id, answers } => {
            visits.answer(id, read(&visits, &answers)?).await?;
            println!("{}", shown(id, &visits.get(id).await?));
        }
        What::List => {
            for (id, form) in visits.list().await? {
                println!("{}", shown(id, &form));
            }
        }
        What::Show { id } => println!("{}", shown(id, &visits.get(id).await?)),
        What::Attach { id, file } => println!("{}", visits.attach(id, &file).await?.id()),
        What::Photo {
            id,
            number,
            output,
            connect,
        } => {
            if let Some(url) = connect {
                node.connect(&url).await?;
            }
            let photo = tokio::time::timeout(PATIENCE, visits.photo(id, number)).await;
            let (_, bytes) = photo.unwrap_or_else(|_elapsed| Err(nobody()))?;
            tokio::fs::write(&output, bytes).await.map_err(|error| {
                let message = format!("cannot write {}: {error}", output.display());
                Error::new(ErrorKind::Io, message)
            })?;
        }
        What::Sync { url } => {
            node.connect(&url).await?;
            let synced = tokio::time::timeout(PATIENCE, node.synced()).await;
            synced.unwrap_or_else(|_elapsed| Err(nobody()))?;
            println!("{} forms here", visits.list().await?.len());
        }
        What::Serve { address } => {
            println!("others connect to {}", node.listen(&address).await?);
            let mut line = String::new();
            let read = tokio::task::block_in_place(|| std::io::stdin().read_line(&mut line));
            drop(read);
        }
        What::Migrate { dry_run } => {
            let how = if dry_run {
                Migrate::DryRun
            } else {
                Migrate::Forward
            };
            let records = node.records(visits.form().collection().as_str())?;
            let report = records.migrate(how, |_| ()).await?;
            let would = if dry_run { "would be " } else { "" };
            println!(
                "{} forms {would}migrated, {} can't be",
                report.done, report.failed
            );
        }
    }
    Ok(())
}

fn nobody() -> Error {
    let message = "no device that has it was reached in a minute; try again when one is there";
    Error::new(ErrorKind::Timeout, message)
}

fn read(visits: &Visits, answers: &[String]) -> Result<Vec<(String, Answer)>> {
    let read = answers.iter().map(|it| parse(visits.form(), it));
    let read: std::result::Result<_, _> = read.collect();
    read.map_err(|what| Error::new(ErrorKind::InvalidInput, what))
}

fn shown(id: RecordId, form: &Json) -> String {
    format!("{id} {form}")
}

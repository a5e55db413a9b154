//! `migrate`: brings the records of a collection into the form of its contract, or back.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser as NotEmpty;
use serde_json::{Value as Json, json};
use syncline::node::{Migrate, Migrated};
use syncline::{Error, ErrorKind, SpaceId};

use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::store;
use crate::text::counted;

#[derive(Debug, clap::Args)]
pub(crate) struct MigrateArgs {
    /// The store's file.
    #[arg(long, value_name = "FILE", env = "SYNCLINE_STORE")]
    store: PathBuf,
    /// The collection.
    #[arg(value_parser = NotEmpty::new())]
    collection: String,
    /// Tell what would be done, and write nothing.
    #[arg(long, conflicts_with = "back")]
    dry_run: bool,
    /// Take it back, to this version of the contract.
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u32).range(1..))]
    back: Option<u32>,
}

pub(crate) async fn run(args: MigrateArgs, space: SpaceId, out: Output) -> Result<(), Failure> {
    let what = match (args.dry_run, args.back) {
        (true, _) => Migrate::DryRun,
        (false, Some(version)) => Migrate::Back(version),
        (false, None) => Migrate::Forward,
    };
    let node = store::open_existing(&args.store, space).await?;
    let outcome = async {
        let records = node.records(&args.collection)?;
        let of = records.count().await.ok();
        let mut progress = Progress::things(out);
        let report = records
            .migrate(what, |it| {
                let failed = counted(it.failed, "failure");
                progress.at(it.records, of, failed);
            })
            .await;
        progress.finish();
        Ok(report?)
    };
    let report = store::close(&node, outcome.await).await?;
    tell(&args, &report, out)
}

fn tell(args: &MigrateArgs, report: &Migrated, out: Output) -> Result<(), Failure> {
    for it in &report.failures {
        out.say(&it.reason)?;
    }
    let did = if args.dry_run {
        "would be migrated"
    } else {
        "migrated"
    };
    out.say(format!(
        "{}: {} {did}, {} without need, {} failed",
        counted(report.records, "record"),
        report.done,
        report.unneeded,
        report.failed
    ))?;
    if !report.fields.is_empty() {
        let fields: Vec<_> = report.fields.iter().map(String::as_str).collect();
        out.say(format!("fields that change: {}", fields.join(", ")))?;
    }
    let failures: Json = report
        .failures
        .iter()
        .map(|it| json!({"id": it.record, "reason": it.reason}))
        .collect();
    let mut object = json!({
        "collection": args.collection,
        "dry_run": args.dry_run,
        "back": args.back,
        "records": report.records,
        "migrated": report.done,
        "unneeded": report.unneeded,
        "failed": report.failed,
        "fields": report.fields,
        "failures": failures,
    });
    if report.failed == 0 {
        return out.object(&object);
    }
    let message = format!("{} can't be migrated", counted(report.failed, "record"));
    let mut failure = Failure::from(Error::new(ErrorKind::Migration, message));
    if let Json::Object(map) = &mut object {
        let error = json!({"kind": failure.kind, "message": failure.message});
        map.insert("error".to_owned(), error);
    }
    out.object(&object)?;
    failure.is_told = true;
    Err(failure)
}

//! `contract`: compares versions of a contract, checks records by it, exports it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value as Json, json};
use syncline::contract::{Breach, Contract, Difference, Rule, Rules, changelog, compare};
use syncline::doc::Value;
use syncline::doc::value::show_path;
use syncline::{Error, ErrorKind, SpaceId};

use crate::args::StoreArgs;
use crate::declare;
use crate::failure::Failure;
use crate::lines::{Line, Lines};
use crate::output::Output;
use crate::text::{counted, table};

/// Largest file that is read as a contract or as its changelog, in bytes.
const FILE_BYTES_MAX: u64 = 4 * syncline::limits::CONTRACT_BYTES_MAX as u64;

#[derive(Debug, Subcommand)]
pub(crate) enum ContractCommand {
    /// Put a contract into the space, for all of its replicas: edits are checked by it from then on, and
    /// conflicts shown by its policies.
    Declare {
        #[command(flatten)]
        store: StoreArgs,
        /// The contract, as JSON.
        contract: PathBuf,
    },
    /// Print the newest contract of a collection, as JSON.
    Show {
        #[command(flatten)]
        store: StoreArgs,
        /// The collection.
        collection: String,
    },
    /// Compare two versions of a contract. Ends with 2 if the newer one breaks older programs and does
    /// not say so.
    Diff {
        /// The older version, as JSON.
        old: PathBuf,
        /// The newer one.
        new: PathBuf,
        /// Put what changed into this Markdown file, newest first, unless there is an undeclared break.
        #[arg(long, value_name = "FILE")]
        changelog: Option<PathBuf>,
    },
    /// Print a contract as JSON Schema (2020-12).
    Schema {
        /// The contract, as JSON.
        contract: PathBuf,
    },
    /// Check a contract, and records by it. Ends with 2 if any of them breaks it.
    Check {
        /// The contract, as JSON.
        contract: PathBuf,
        /// Records as JSON lines, as `export` writes them, or - for stdin.
        records: Option<PathBuf>,
    },
}

pub(crate) async fn run(
    command: ContractCommand,
    space: SpaceId,
    out: Output,
) -> Result<(), Failure> {
    match command {
        ContractCommand::Declare { store, contract } => {
            declare::declare(&store, space, &read(&contract)?, out).await
        }
        ContractCommand::Show { store, collection } => {
            declare::show(&store, space, &collection, out).await
        }
        ContractCommand::Diff {
            old,
            new,
            changelog,
        } => diff(&read(&old)?, &read(&new)?, changelog.as_deref(), out),
        ContractCommand::Schema { contract } => schema(&read(&contract)?, out),
        ContractCommand::Check { contract, records } => {
            let contract = read(&contract)?;
            match records {
                None => sound(&contract, out),
                Some(records) => check(&contract, &records, out).await,
            }
        }
    }
}

fn read(path: &Path) -> Result<Contract, Failure> {
    let text = read_text(path)?;
    let contract = text.parse::<Contract>();
    contract.map_err(|error| error.context(path.display()).into())
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|it| it.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| Failure::io(&format!("cannot read {shown}"), &error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(Failure::input(format!(
            "{shown} is over {FILE_BYTES_MAX} bytes"
        )));
    }
    String::from_utf8(bytes).map_err(|_not_text| Failure::input(format!("{shown} is not UTF-8")))
}

fn diff(old: &Contract, new: &Contract, file: Option<&Path>, out: Output) -> Result<(), Failure> {
    let found = compare(old, new);
    let (before, after) = (found.old, found.new);
    let count = counted(found.list.len(), "difference");
    let collection = new.collection();
    out.say(format!(
        "{collection}, version {before} to {after}: {count}"
    ))?;
    for line in table(&found.list.iter().map(row).collect::<Vec<_>>()) {
        out.say(format!("  {line}"))?;
    }
    let checked = found.check();
    let written = match file {
        Some(file) if checked.is_ok() => {
            write_changelog(file, old, new)?;
            out.say(format!("written to {}", file.display()))?;
            Some(file.display().to_string())
        }
        _ => None,
    };
    let mut object = json!({
        "collection": collection.as_str(),
        "old": before,
        "new": after,
        "effect": found.effect().name(),
        "differences": found.list.iter().map(difference).collect::<Vec<_>>(),
        "changelog": written,
    });
    finish(checked, &mut object, out)
}

/// Tells the object, with the error in it if there is one, and ends with that.
fn finish(checked: Result<(), Error>, object: &mut Json, out: Output) -> Result<(), Failure> {
    let Err(error) = checked else {
        return out.object(object);
    };
    let mut failure = Failure::from(error);
    if let Json::Object(map) = object {
        let error = json!({"kind": failure.kind, "message": failure.message});
        map.insert("error".to_owned(), error);
    }
    out.object(object)?;
    failure.is_told = true;
    Err(failure)
}

fn row(it: &Difference) -> Vec<String> {
    let effect = if it.effect.is_breaking() && !it.is_declared {
        format!("{}, not declared", it.effect)
    } else {
        it.effect.to_string()
    };
    let change = format!("{}: {}", it.change, it.reason);
    vec![effect, it.place.clone(), change]
}

fn difference(it: &Difference) -> Json {
    json!({
        "place": it.place,
        "change": it.change,
        "effect": it.effect.name(),
        "breaks_readers": it.effect.breaks_readers(),
        "breaks_writers": it.effect.breaks_writers(),
        "declared": it.is_declared,
        "reason": it.reason,
    })
}

/// Puts the section about the newer version before the older ones, in place of one that is there.
fn write_changelog(file: &Path, old: &Contract, new: &Contract) -> Result<(), Failure> {
    let text = if file.exists() {
        read_text(file)?
    } else {
        format!("# Changelog of the contract `{}`\n", new.collection())
    };
    let heading = format!("## Version {}", new.version());
    let mut parts: Vec<String> = vec![String::new()];
    for line in text.lines() {
        if line.starts_with("## ") {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts.retain(|part| part.lines().next() != Some(heading.as_str()));
    parts.insert(1.min(parts.len()), changelog(old, new));
    let parts: Vec<_> = parts.iter().map(|part| part.trim_end()).collect();
    let text = format!("{}\n", parts.join("\n\n").trim_start());
    let written = std::fs::write(file, text);
    written.map_err(|error| Failure::io(&format!("cannot write {}", file.display()), &error))
}

fn schema(contract: &Contract, out: Output) -> Result<(), Failure> {
    let schema = contract.json_schema();
    out.say(format!("{schema:#}"))?;
    out.object(&schema)
}

fn sound(contract: &Contract, out: Output) -> Result<(), Failure> {
    let fields = contract.fields().len();
    let digest = digest(contract);
    let (collection, version) = (contract.collection(), contract.version());
    let count = counted(fields, "field");
    out.say(format!(
        "{collection}, version {version}: sound, {count}, digest {digest}"
    ))?;
    out.object(&json!({
        "collection": collection.as_str(),
        "version": version,
        "fields": fields,
        "digest": digest,
    }))
}

fn digest(contract: &Contract) -> String {
    format!("{:032x}", u128::from_be_bytes(contract.digest()))
}

/// What was found in the records.
#[derive(Debug, Default)]
struct Tally {
    records: u64,
    broken: u64,
}

async fn check(contract: &Contract, records: &Path, out: Output) -> Result<(), Failure> {
    let rules = Rules::default();
    // Only the program that brings these rules can call them.
    let own: BTreeSet<_> = contract
        .undefined(&rules)
        .iter()
        .map(|it| it.name())
        .collect();
    let mut lines = Lines::open(records)?;
    let mut tally = Tally::default();
    while let Some(line) = lines.receiver.recv().await {
        let line = line?;
        if line.text.trim().is_empty() {
            continue;
        }
        let mut breaches = contract.check(&record(contract, &line)?, &rules);
        breaches.retain(|it| !own.contains(&it.rule));
        tally.records += 1;
        tally.broken += u64::from(!breaches.is_empty());
        tell(&line, &breaches, out)?;
    }
    let Tally { records, broken } = tally;
    let (collection, version) = (contract.collection(), contract.version());
    let count = counted(records, "record");
    out.say(format!(
        "{collection}, version {version}: {count}, {broken} of them broken"
    ))?;
    if !own.is_empty() {
        let own: Vec<_> = own.iter().map(String::as_str).collect();
        out.say(format!(
            "not checked, for they are a program's own: {}",
            own.join(", ")
        ))?;
    }
    let mut object = json!({
        "collection": collection.as_str(),
        "version": version,
        "records": records,
        "broken": broken,
        "unchecked": contract.rules().iter().map(Rule::name).filter(|it| own.contains(it)).collect::<BTreeSet<_>>(),
    });
    let checked = if broken == 0 {
        Ok(())
    } else {
        let message = format!("{broken} of {count} break the contract of '{collection}'");
        Err(Error::new(ErrorKind::InvalidInput, message))
    };
    finish(checked, &mut object, out)
}

fn record(contract: &Contract, line: &Line) -> Result<Value, Failure> {
    let wrong = |what: String| Failure::input(format!("line {}: {what}", line.number));
    let json = serde_json::from_str(line.text.trim_end());
    let json = json.map_err(|error| wrong(format!("not JSON: {error}")))?;
    let Json::Object(mut map) = json else {
        return Err(wrong("a record is a JSON object".to_owned()));
    };
    map.remove("$id");
    let value = Value::from_json(&Json::Object(map));
    let mut value = value.map_err(|error| wrong(error.to_string()))?;
    contract.coerce(&mut value);
    Ok(value)
}

fn tell(line: &Line, breaches: &[Breach], out: Output) -> Result<(), Failure> {
    for breach in breaches {
        out.say(format!("line {}: {breach}", line.number))?;
    }
    if breaches.is_empty() {
        return Ok(());
    }
    let breaches = breaches.iter().map(|it| {
        json!({
            "path": show_path(&it.path),
            "rule": it.rule,
            "class": it.class,
            "expected": it.expected,
        })
    });
    let breaches: Vec<_> = breaches.collect();
    out.object(&json!({"line": line.number, "breaches": breaches}))
}

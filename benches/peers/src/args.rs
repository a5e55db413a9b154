//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::hub::Kind;

/// Measures syncline beside samod, subduction and its floors, and prints one table.
#[derive(Debug, Parser)]
#[command(name = "peers")]
pub(crate) struct Args {
    /// Small counts, a few minutes in all; the default
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Counts up to 1,000,000 records, without limit of time
    #[arg(long)]
    pub full: bool,
    /// Only these rows
    #[arg(long, value_name = "P1,P3", value_delimiter = ',', value_parser = row)]
    pub only: Vec<String>,
    /// Also writes the rows to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Also draws the curves over the number of records to this file as SVG
    #[arg(long, value_name = "FILE")]
    pub curves: Option<PathBuf>,
    /// The recorded text for P7 and P10, `automerge-paper.json.gz` of josephg/editing-traces; without
    /// it, a text of the same kind is made up
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Folder for the stores, on the disk to be measured; default: the system's temporary folder
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Runs as the hub that other rows measure from outside
    #[arg(long, hide = true, value_name = "STORE")]
    pub hub: Option<PathBuf>,
    /// Whose hub that is
    #[arg(long, hide = true, value_enum, default_value_t)]
    pub hub_kind: Kind,
}

impl Args {
    /// Whether this row is asked for.
    pub(crate) fn wants(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|it| it == id)
    }
}

/// A row's id.
fn row(text: &str) -> Result<String, String> {
    let id = text.trim().to_uppercase();
    if id == "C5" {
        return Ok(id);
    }
    let number = id.strip_prefix('P').and_then(|it| it.parse::<u8>().ok());
    match number {
        Some(1..=13) => Ok(id),
        Some(_) | None => Err("rows are P1 to P13 and C5".to_owned()),
    }
}

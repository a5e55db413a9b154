//! syncline beside its peers and floors, in one run on one machine, as one table.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- --quick --json FILE
//! ```
//!
//! Everything that is compared is measured here, in this run: stores lie in temporary files on a real
//! disk, links are real sockets on this machine, bytes are those of whole frames. A peer that takes
//! minutes is measured with fewer records, and its figure says with how many.

mod args;
mod curve;
mod floor;
mod hub;
mod measure;
mod ours;
mod peers;
mod report;
mod rows;
mod workload;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use args::Args;
use report::Report;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
    if let Some(store) = &args.hub {
        return runtime.block_on(hub::serve(args.hub_kind, store));
    }
    // What can't be written should be known before minutes of measuring.
    let json = args.json.as_deref().map(report::create).transpose()?;
    let curves = args.curves.as_deref().map(report::create).transpose()?;
    let mut report = Report::begin();
    runtime.block_on(rows::measure(args, &mut report))?;
    report.sort();
    report.print();
    if let Some(file) = json {
        report.write_json(file)?;
    }
    if let Some(file) = curves {
        curve::write(&report.curves, file)?;
    }
    Ok(())
}

//! Tests of the command, as real processes: what it prints, how it ends, what survives its death.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod batch;
mod blob;
mod command;
mod compact;
mod conflicts;
mod contract;
mod demo;
mod doctor;
mod failures;
mod files;
mod folder;
mod gate;
mod history;
mod hub;
mod kill;
mod migrate;
mod processes;
mod query;
mod records;
#[cfg(feature = "sim")]
mod sim;

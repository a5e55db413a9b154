//! Tests of the command, as real processes: what it prints, how it ends, what survives its death.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod command;
mod demo;
mod failures;
mod files;
mod hub;
mod kill;
mod records;

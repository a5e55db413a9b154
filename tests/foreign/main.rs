//! Stock JavaScript clients of automerge-repo against a hub, as real processes.
//!
//! They need Node.js (20 or later) and npm, which fetches the packages that
//! `javascript/package-lock.json` names, once.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod bad_input;
mod client;
#[path = "../cli/command.rs"]
#[expect(dead_code, reason = "tests of the command need more of it")]
mod command;
mod documents;
mod hub;
mod install;
mod live;
mod native;
mod offline;
mod restarts;
mod stranger;
mod volume;

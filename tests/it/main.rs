//! Tests of the whole library through its public doors.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

#[cfg(feature = "websocket")]
mod bad_input;
#[cfg(feature = "sim")]
mod compaction;
#[cfg(feature = "sim")]
mod flow;
#[cfg(all(feature = "sim", feature = "redb"))]
mod fuzz_corpus;
mod guarantees;
mod javascript;
#[cfg(feature = "sim")]
mod planted;
#[cfg(feature = "sim")]
mod power_cuts;
#[cfg(feature = "automerge-repo")]
mod repo;
#[cfg(feature = "sim")]
mod seeds;
#[cfg(feature = "sim")]
mod simulation;
mod tidy;
#[cfg(feature = "sim")]
mod topologies;

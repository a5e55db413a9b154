//! What one replica costs beside its floors, in one run: `cargo bench --bench core`.
//!
//! Floors are measured in the same process on the same disk: redb writing the same rows, Automerge
//! making the same edits, a WebSocket echoing the same bytes.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it measures, prints, and stops at the first surprise"
)]

mod local;
mod socket;
mod table;
mod walk;
mod workload;

use table::Table;

fn main() {
    // `cargo test --benches` and CI ask only whether it runs.
    let quick = std::env::args().any(|it| it == "--quick" || it == "--test");
    let mut table = Table::default();
    let folder = tempfile::tempdir().unwrap();
    local::measure(&mut table, folder.path(), quick);
    walk::measure(&mut table, quick);
    socket::measure(&mut table, folder.path(), quick);
    table.print();
}

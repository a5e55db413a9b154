//! Fuzz targets: bodies that make something of any bytes, and panic where the library breaks a
//! promise.
//!
//! libFuzzer runs them from `fuzz/`, an ordinary test over their corpora; `docs/fuzzing.md` says how.
//! Most of them read their input as a list of operations, so that almost every byte string
//! means something and a changed byte means something else. A panic is a finding: each body says
//! under *Panics* what it holds the library to.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a panic of a target is how it tells what it found"
)]

mod audit;
mod change;
mod contract;
mod intake;
mod json;
mod lies;
mod material;
mod query;
mod reconcile;
#[cfg(feature = "automerge-repo")]
mod repo;
mod script;
mod session;
#[cfg(feature = "redb")]
mod store;
mod tree;
mod wire;

pub use change::change;
pub use contract::contract;
pub use intake::intake;
pub use json::json;
pub use query::query;
pub use reconcile::reconcile;
#[cfg(feature = "automerge-repo")]
pub use repo::repo;
pub use session::session;
#[cfg(feature = "redb")]
pub use store::store;
pub use tree::tree;
pub use wire::wire;

use script::Script;

/// A target: its name, which is that of its corpus, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("change", change),
    ("contract", contract),
    ("intake", intake),
    ("json", json),
    ("query", query),
    ("reconcile", reconcile),
    #[cfg(feature = "automerge-repo")]
    ("repo", repo),
    ("session", session),
    #[cfg(feature = "redb")]
    ("store", store),
    ("tree", tree),
    ("wire", wire),
];

//! Which records differ, and which changes of a record a peer lacks: proposals, no bytes.
//!
//! Records are found by range-based set reconciliation (Meyer, "Range-Based Set Reconciliation",
//! 2022): both sides summarise ranges of an ordered set, split where the summaries differ and list
//! where few are left. An element stands for one record at its heads, ordered by the time of its
//! newest change, so that recent differences lie together.

mod inventory;
mod summary;
#[cfg(test)]
mod tests;
mod walk;

pub use inventory::{Inventory, LogEntry, Piece, Snapshot};
pub use summary::{Element, RangeKey, Summary, Total};
pub use walk::{
    Extent, Push, RangeKind, Span, Step, Upper, WalkCollection, WalkItem, WalkRange, respond, start,
};

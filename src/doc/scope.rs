//! Proof that replication never loads a document: whoever replicates says so for its thread, and
//! any document that changes are applied to meanwhile is counted.

use std::cell::Cell;
use std::marker::PhantomData;

use crate::telemetry::names;

thread_local! {
    static REPLICATING: Cell<u32> = const { Cell::new(0) };
}

/// The thread replicates as long as this lives.
#[derive(Debug)]
pub struct Replicating(PhantomData<*const ()>);

/// Marks this thread as one that replicates, until the result is dropped.
#[must_use]
pub fn replicating() -> Replicating {
    REPLICATING.set(REPLICATING.get() + 1);
    Replicating(PhantomData)
}

impl Drop for Replicating {
    fn drop(&mut self) {
        REPLICATING.set(REPLICATING.get() - 1);
    }
}

/// Counts a graph being made again from a snapshot, if that happens on the way of replication.
pub(super) fn note_unfolded() {
    if REPLICATING.get() > 0 {
        metrics::counter!(names::GRAPHS_UNFOLDED).increment(1);
    }
}

/// Counts a document being materialised, if that happens on the way of replication.
pub(super) fn note_materialised() {
    if REPLICATING.get() > 0 {
        metrics::counter!(names::REPLICATION_MATERIALISED).increment(1);
    }
}

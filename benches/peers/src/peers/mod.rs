//! The peers, each driven through its public API over real sockets on this machine.

pub(crate) mod samod;
pub(crate) mod subduction;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::measure::figure;

/// Frames and their bytes, as one end hands them to its socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(Arc<[AtomicU64; 2]>);

impl Counter {
    /// Counts one frame.
    pub(crate) fn count(&self, bytes: usize) {
        let [all_bytes, frames] = &*self.0;
        all_bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
        frames.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes and frames so far.
    pub(crate) fn seen(&self) -> (f64, f64) {
        let [bytes, frames] = &*self.0;
        (
            figure(bytes.load(Ordering::Relaxed)),
            figure(frames.load(Ordering::Relaxed)),
        )
    }
}

/// From one client to another, through a hub.
pub(crate) trait Way: Send + 'static {
    /// Edits at one end, and waits until the other has that. Each edit has another number.
    fn edit(&mut self, number: usize) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What a peer took to get two replicas equal, once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Met {
    /// Milliseconds from dialling on.
    pub millis: f64,
    /// Bytes of frames in both directions, without the handshake.
    pub bytes: f64,
    /// Frames in both directions.
    pub messages: f64,
}

/// A peer's figures for collections of one size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Number of records.
    pub records: usize,
    /// A new replica gets all of them.
    pub first: Met,
    /// Both know all, ten changed meanwhile.
    pub changed: Option<Met>,
    /// Both know all.
    pub unchanged: Option<Met>,
    /// Both know all, a thousand changed meanwhile.
    pub many: Option<Met>,
}

/// What a peer takes to keep collections of one size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// Microseconds a record of making and storing all.
    pub import_micros: f64,
    /// Milliseconds from opening its store until it answers for one of the records.
    pub open_millis: f64,
    /// Resident megabytes of a process that just received all, and of one that started on them.
    pub megabytes: Option<[f64; 2]>,
    /// Microseconds of reading one of the records as JSON, for the first time since its store was
    /// opened and again.
    pub read_micros: Option<[f64; 2]>,
}

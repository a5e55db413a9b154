//! Counts documents that replication loads, by listening to the library's own metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use syncline::telemetry::names;

/// How often a document was materialised on the way of replication, and how often that was to unfold
/// the graph of a record.
#[derive(Debug, Default)]
pub(super) struct Materialised(Arc<Count>, Arc<Count>);

#[derive(Debug, Default)]
struct Count(AtomicU64);

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Materialised {
    /// Counts on all threads of this process that have no recorder of their own.
    pub(super) fn install() -> &'static Self {
        static SEEN: LazyLock<Materialised> = LazyLock::new(|| {
            let seen = Materialised::default();
            let listener = Materialised(Arc::clone(&seen.0), Arc::clone(&seen.1));
            metrics::set_global_recorder(listener).expect("the only recorder");
            seen
        });
        &SEEN
    }

    /// The count so far.
    pub(super) fn count(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }

    /// How many of these were to unfold a graph.
    pub(super) fn unfolded(&self) -> u64 {
        self.1.0.load(Ordering::Relaxed)
    }
}

impl Recorder for Materialised {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if key.name() == names::REPLICATION_MATERIALISED {
            return Counter::from_arc(Arc::clone(&self.0));
        }
        if key.name() == names::GRAPHS_UNFOLDED {
            return Counter::from_arc(Arc::clone(&self.1));
        }
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn a_document_loaded_on_the_way_of_replication_is_counted() {
    use syncline::doc::{Document, replicating};
    use syncline::id::ActorId;
    let seen = Materialised::default();
    metrics::with_local_recorder(&seen, || {
        let mut document = Document::new(&ActorId::from_bytes(vec![1; 16]));
        document.apply(&[]).expect("nothing to apply");
        assert_eq!(seen.count(), 0, "elsewhere it may be loaded");
        let _scope = replicating();
        document.apply(&[]).expect("nothing to apply");
        assert_eq!(seen.count(), 1);
    });
}

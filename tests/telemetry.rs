//! What operators see: one id follows a write from its capture through a hub to where it is
//! applied, and the metrics tell what happened. A process of its own, since both listeners are
//! global.
#![cfg(feature = "websocket")]
#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};
use serde_json::json;
use syncline::node::WatchEvent;
use syncline::telemetry::names;
use syncline::{Node, RecordId};
use tokio::time::{sleep, timeout};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};

/// Spans and events that carry a correlation id: their name, and the id as it is shown.
#[derive(Clone, Default)]
struct Traced(Arc<Mutex<BTreeSet<(String, String)>>>);

impl Traced {
    fn note(&self, name: &str, record: impl FnOnce(&mut Correlation)) {
        let mut seen = Correlation(None);
        record(&mut seen);
        if let Some(id) = seen.0 {
            let mut all = self.0.lock().expect("a lock");
            all.insert((name.to_owned(), id));
        }
    }

    /// The ids that were seen under this name.
    fn ids(&self, name: &str) -> BTreeSet<String> {
        let all = self.0.lock().expect("a lock");
        let of_name = all.iter().filter(|(it, _)| it == name);
        of_name.map(|(_, id)| id.clone()).collect()
    }
}

struct Correlation(Option<String>);

impl Visit for Correlation {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "correlation" {
            self.0 = Some(format!("{value:?}"));
        }
    }
}

impl Subscriber for Traced {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("syncline")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        static IDS: AtomicU64 = AtomicU64::new(1);
        self.note(span.metadata().name(), |it| span.record(it));
        Id::from_u64(IDS.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.note("event", |it| event.record(it));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The newest value of each metric; of one with labels, by their values.
#[derive(Clone, Default)]
struct Measured(Arc<Mutex<BTreeMap<String, f64>>>);

struct Cell(Measured, String);

impl Cell {
    fn change(&self, change: impl FnOnce(f64) -> f64) {
        let mut values = self.0.0.lock().expect("a lock");
        let value = values.entry(self.1.clone()).or_default();
        *value = change(*value);
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        let value = f64::from(u32::try_from(value).expect("small"));
        self.change(|it| it + value);
    }

    fn absolute(&self, value: u64) {
        let value = f64::from(u32::try_from(value).expect("small"));
        self.change(|_| value);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.change(|it| it + value);
    }

    fn decrement(&self, value: f64) {
        self.change(|it| it - value);
    }

    fn set(&self, value: f64) {
        self.change(|_| value);
    }
}

impl Measured {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels = key.labels().map(|it| format!(" {}", it.value()));
        let name = format!("{}{}", key.name(), labels.collect::<String>());
        Arc::new(Cell(self.clone(), name))
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.0.lock().expect("a lock").get(name).copied()
    }
}

impl Recorder for Measured {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), work)
        .await
        .expect("in time")
}

/// Waits until a metric has a value.
async fn becomes(measured: &Measured, name: &str, wanted: impl Fn(f64) -> bool) {
    let wait = async {
        while !measured.value(name).is_some_and(&wanted) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), wait)
        .await
        .unwrap_or_else(|_| unreachable!("{name} is {:?}", measured.value(name)));
}

#[tokio::test]
async fn one_id_follows_a_write_to_every_replica_and_metrics_tell_what_happened() {
    let (traced, measured) = (Traced::default(), Measured::default());
    tracing::subscriber::set_global_default(traced.clone()).expect("the only one");
    metrics::set_global_recorder(measured.clone()).expect("the only one");

    let hub = Node::builder().relay().open().await.expect("a hub");
    let address = hub.listen("127.0.0.1:0").await.expect("a free port");
    let (a, b) = (Node::builder().open(), Node::builder().open());
    let (a, b) = (a.await.expect("a node"), b.await.expect("a node"));
    for node in [&a, &b] {
        node.connect(&address).await.expect("an address");
        within(node.synced()).await.expect("linked");
    }
    let here = a.records("tasks").expect("a name");
    let there = b.records("tasks").expect("a name");
    let mut watch = there.watch().expect("a watch");
    let id = RecordId::named("one");
    here.put(id, &json!({ "n": 1 })).await.expect("written");
    let Some(WatchEvent::Changed(changed)) = within(watch.next()).await else {
        unreachable!("a change");
    };
    let correlation = changed.correlation.to_string();
    assert!(traced.ids(names::span::CAPTURE).contains(&correlation));
    assert!(traced.ids(names::span::APPLY).contains(&correlation));
    within(a.delivered(&here.key(id)).to(hub.replica_id()))
        .await
        .expect("delivered");

    for name in [
        names::COMMITS,
        names::FSYNCS,
        names::LOCAL_CHANGES,
        names::SENT_BYTES,
        names::SENT_FRAMES,
        names::RECEIVED_BYTES,
        names::RECEIVED_FRAMES,
        names::VIEWS_PROJECTED,
        names::LINKS_OPEN,
    ] {
        assert!(measured.value(name) > Some(0.0), "{name}");
    }
    // Once on the hub and once on the other device.
    assert_eq!(measured.value(names::APPLIED_CHANGES), Some(2.0));
    assert_eq!(measured.value(names::REPLICATION_MATERIALISED), None);
    let backlog = format!("{} {}", names::BACKLOG_CHANGES, hub.replica_id());
    becomes(&measured, &backlog, |it| it.abs() < 0.5).await;

    // Nobody listens here any more: dialling goes on, and shows.
    let dead = {
        let passing = Node::builder().open().await.expect("a node");
        let address = passing.listen("127.0.0.1:0").await.expect("a free port");
        passing.shutdown().await.expect("shut down");
        address
    };
    a.connect(&dead).await.expect("an address");
    becomes(&measured, &format!("{} {dead}", names::RECONNECTS), |it| {
        it > 1.5
    })
    .await;
    becomes(
        &measured,
        &format!("{} {dead}", names::BREAKER_STATE),
        |it| it >= 0.0,
    )
    .await;
    becomes(&measured, names::QUARANTINE_ENTRIES, |it| it.abs() < 0.5).await;
    for node in [a, b, hub] {
        node.shutdown().await.expect("shut down");
    }
    assert_eq!(measured.value(names::LINKS_OPEN), Some(0.0));
}

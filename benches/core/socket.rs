//! Replicas over real sockets: live edits through a hub, and first syncs.

use std::path::Path;

use serde_json::json;
use syncline::node::WatchEvent;
use syncline::transport::websocket::{WebSocketConnector, WebSocketLimits, WebSocketListener};
use syncline::transport::{Connector as _, Listener as _};
use syncline::{Node, RecordId, Records};

use crate::table::{Table, time};
use crate::workload::small;

/// Runs all rows that need sockets.
pub(crate) fn measure(table: &mut Table, folder: &Path, quick: bool) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let edits = if quick { 20 } else { 500 };
    runtime.block_on(async {
        live_edits(table, folder, edits).await;
        let counts: &[usize] = if quick { &[100] } else { &[1_000, 10_000] };
        for count in counts {
            first_sync(table, folder, *count).await;
        }
    });
}

/// Round trips of frames of `bytes`, through a listener that sends each back: in microseconds.
async fn echo(bytes: usize, rounds: usize) -> Vec<f64> {
    let limits = WebSocketLimits::default();
    let mut listener = WebSocketListener::bind("127.0.0.1:0", limits)
        .await
        .unwrap();
    let address = listener.local_address();
    let server = async move {
        let (mut source, mut sink) = listener.accept().await.unwrap().split();
        source.trust();
        while let Ok(Some(frame)) = source.recv().await {
            sink.send(frame).await.unwrap();
            sink.flush().await.unwrap();
        }
    };
    let client = async move {
        let connector = WebSocketConnector::default();
        let (mut source, mut sink) = connector.connect(&address).await.unwrap().split();
        source.trust();
        let frame = bytes::Bytes::from(vec![7; bytes]);
        let mut micros = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let round = async {
                sink.send(frame.clone()).await.unwrap();
                sink.flush().await.unwrap();
                source.recv().await.unwrap().unwrap();
            };
            micros.push(timed(round).await);
        }
        sink.close().await.unwrap();
        micros
    };
    // Each in a task of its own, as links are.
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        server.await;
        Vec::new()
    });
    tasks.spawn(client);
    tasks.join_all().await.concat()
}

async fn timed(work: impl Future<Output = ()>) -> f64 {
    let (start, _) = time(tokio::time::Instant::now);
    work.await;
    start.elapsed().as_secs_f64() * 1e6
}

async fn open(path: &Path, hub: Option<&str>) -> Node {
    let node = Node::builder().store(path);
    let node = if hub.is_none() { node.relay() } else { node };
    let node = node.open().await.unwrap();
    if let Some(hub) = hub {
        node.connect(hub).await.unwrap();
        node.synced().await.unwrap();
    }
    node
}

/// From the call on one device to the watch on another, a hub between, one edit at a time.
async fn live_edits(table: &mut Table, folder: &Path, edits: usize) {
    let folder = folder.join("live");
    std::fs::create_dir(&folder).unwrap();
    let hub = open(&folder.join("hub"), None).await;
    let address = hub.listen("127.0.0.1:0").await.unwrap();
    let a = open(&folder.join("a"), Some(&address)).await;
    let b = open(&folder.join("b"), Some(&address)).await;
    let here: Records = a.records("tasks").unwrap();
    let mut there = b.records("tasks").unwrap().watch().unwrap();
    let id: RecordId = here.insert(&small(1)).await.unwrap();
    next(&mut there).await;
    let before = hub.traffic();
    let mut micros = Vec::with_capacity(edits);
    for edit in 0..edits {
        let patch = json!({ "priority": edit + 10 });
        let edit = async {
            here.patch(id, &patch).await.unwrap();
            next(&mut there).await;
        };
        micros.push(timed(edit).await);
    }
    let after = hub.traffic();
    let bytes = after.sent_bytes + after.received_bytes - before.sent_bytes - before.received_bytes;
    // The same way is two hops of such a frame: one round trip.
    let floor = echo(200, edits).await;
    let commits = crate::local::redb_alone(&folder, (edits, 1), 160);
    for percent in [50, 99] {
        table.row(
            &format!("live edit, A to hub to B, durable on each, p{percent}"),
            "µs",
            percentile(&micros, percent),
            Some((
                "WebSocket echo and 3 commits of redb alone",
                percentile(&floor, percent) + 3.0 * percentile(&commits, percent),
            )),
        );
    }
    let bytes = f64::from(u32::try_from(bytes).unwrap()) / f64::from(u32::try_from(edits).unwrap());
    table.row(
        "the same, all frames to and from the hub",
        "bytes/edit",
        bytes,
        None,
    );
    for node in [a, b, hub] {
        node.shutdown().await.unwrap();
    }
}

async fn next(watch: &mut syncline::node::Watch) {
    while let Some(event) = watch.next().await {
        if matches!(event, WatchEvent::Changed(_)) {
            return;
        }
    }
}

/// A new device gets all records of another, both durable.
async fn first_sync(table: &mut Table, folder: &Path, records: usize) {
    let folder = folder.join(format!("first-{records}"));
    std::fs::create_dir(&folder).unwrap();
    let a = Node::builder()
        .store(folder.join("a"))
        .open()
        .await
        .unwrap();
    let here = a.records("tasks").unwrap();
    let numbers: Vec<_> = (0..records).collect();
    for numbers in numbers.chunks(1_000) {
        let import = a.transaction(|tx| {
            numbers.iter().try_for_each(|it| {
                let id = RecordId::named(&it.to_string());
                tx.put_json(&here, id, &small(*it)).map(drop)
            })
        });
        import.await.unwrap();
    }
    let address = a.listen("127.0.0.1:0").await.unwrap();
    let b = Node::builder()
        .store(folder.join("b"))
        .open()
        .await
        .unwrap();
    let there = b.records("tasks").unwrap();
    let micros = timed(async {
        b.connect(&address).await.unwrap();
        b.synced().await.unwrap();
    })
    .await;
    assert_eq!(
        there.count().await.unwrap(),
        u64::try_from(records).unwrap()
    );
    let each = |total: f64| total / f64::from(u32::try_from(records).unwrap());
    let wire = f64::from(u32::try_from(b.traffic().received_bytes).unwrap());
    let commits = (records.div_ceil(1_000), records.min(1_000));
    let floor: f64 = crate::local::redb_alone(&folder, commits, 330).iter().sum();
    table.row(
        &format!("first sync of {records} records, views and all"),
        "µs/record",
        each(micros),
        Some(("redb alone, log, header and view", each(floor))),
    );
    let (changes, packed) = zstd_alone(&here, &numbers).await;
    table.row(
        &format!("first sync of {records} records, received"),
        "bytes/record",
        each(wire),
        Some(("zstd of the changes", each(packed))),
    );
    table.row(
        &format!("the changes of {records} records, as they are stored"),
        "bytes/record",
        each(changes),
        None,
    );
    for node in [a, b] {
        node.shutdown().await.unwrap();
    }
}

/// Bytes of all changes, and of all of them compressed as one.
async fn zstd_alone(records: &Records, numbers: &[usize]) -> (f64, f64) {
    let mut all = Vec::new();
    for number in numbers {
        let id = RecordId::named(&number.to_string());
        let saved = records.document(id).await.unwrap().unwrap();
        let (_, changes) = syncline::doc::Document::open_saved(
            &syncline::id::ActorId::from_bytes(vec![1; 16]),
            &saved,
        )
        .unwrap();
        for change in changes {
            all.extend_from_slice(change.bytes());
        }
    }
    let packed = zstd::bulk::compress(&all, 1).unwrap().len();
    let wide = |it: usize| f64::from(u32::try_from(it).unwrap());
    (wide(all.len()), wide(packed))
}

fn percentile(micros: &[f64], percent: usize) -> f64 {
    let mut sorted = micros.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    *sorted.get((last * percent).div_ceil(100)).unwrap()
}

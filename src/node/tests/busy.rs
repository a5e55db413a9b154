//! Much at once: readers beside writers that never rest, and links cut in the middle of a sync.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::doc::{PathStep, Value};
use crate::entropy::Entropy;
use crate::peer::DialSettings;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_record_is_read_while_its_writer_never_rests() {
    let node = Node::builder().open().await.unwrap();
    let records = node.records("notes").unwrap();
    let text = "a line of a long text\n".repeat(5_000);
    let id = records.insert(&json!({"n": 0})).await.unwrap();
    let path = [PathStep::from("text")];
    records
        .edit(id, |it| it.set(&path, &Value::Text(text.clone())))
        .await
        .unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let (records, done) = (records.clone(), Arc::clone(&done));
        writers.spawn(async move {
            let mut number = 0_i64;
            while !done.load(Ordering::Relaxed) {
                number += 4;
                let n = json!({"n": number + writer});
                records.patch(id, &n).await.unwrap();
            }
        });
    }
    for _ in 0..10 {
        let read = timeout(Duration::from_secs(2), records.get(id)).await;
        let read = read.expect("reads do not wait for the writers").unwrap();
        assert!(read.is_some());
        let listed = timeout(Duration::from_secs(2), records.list()).await;
        assert_eq!(listed.expect("nor do lists").unwrap().len(), 1);
    }
    done.store(true, Ordering::Relaxed);
    within(writers.join_all()).await;
}

#[tokio::test]
async fn an_edit_that_changes_nothing_ends_while_others_write_the_record() {
    let node = Node::builder().open().await.unwrap();
    let records = node.records("notes").unwrap();
    let id = records.insert(&json!({"n": 0, "fixed": 1})).await.unwrap();
    let done = AtomicBool::new(false);
    let write = async {
        let mut number = 0_i64;
        while !done.load(Ordering::Relaxed) {
            number += 1;
            records.patch(id, &json!({ "n": number })).await.unwrap();
        }
    };
    let confirm = async {
        for _ in 0..100 {
            let changed = records.patch(id, &json!({ "fixed": 1 })).await.unwrap();
            assert!(!changed);
        }
        done.store(true, Ordering::Relaxed);
    };
    within(async { tokio::join!(write, confirm) }).await;
}

#[tokio::test]
async fn a_sync_that_is_cut_again_and_again_loses_nothing() {
    let seed = Entropy::from_os().unwrap().number();
    let mut entropy = Entropy::from_number(seed);
    let network = MemoryNetwork::new();
    let dialling = DialSettings {
        backoff_base: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        ..DialSettings::default()
    };
    let open = || {
        let connector = Arc::new(network.clone());
        Node::builder()
            .connector(connector)
            .dialling(dialling)
            .open()
    };
    let (a, b) = (open().await.unwrap(), open().await.unwrap());
    let (here, there) = (a.records("tasks").unwrap(), b.records("tasks").unwrap());
    for (node, records) in [(&a, &here), (&b, &there)] {
        node.transaction(|tx| {
            (0..1_000).try_for_each(|n| {
                let id = node.0.shared.new_record();
                tx.put_json(records, id, &json!({ "n": n })).map(drop)
            })
        })
        .await
        .unwrap();
    }
    a.listen_on(Box::new(network.listen("a").unwrap())).unwrap();
    b.connect("memory:a").await.unwrap();
    for _ in 0..40 {
        sleep(entropy.span_up_to(Duration::from_millis(15))).await;
        network.cut("a");
        b.retry("memory:a").await.unwrap();
    }
    for node in [&a, &b] {
        let synced = timeout(Duration::from_secs(20), node.synced()).await;
        assert!(matches!(synced, Ok(Ok(()))), "seed {seed}: {synced:?}");
    }
    assert_eq!(here.count().await.unwrap(), 2_000, "seed {seed}");
    let roots = |status: Status| status.spaces[0].root.clone();
    let (of_a, of_b) = (a.status().await.unwrap(), b.status().await.unwrap());
    assert_eq!(roots(of_a), roots(of_b), "seed {seed}");
    assert!(a.quarantine(1).await.unwrap().is_empty());
}

//! Readers and edits that change nothing, beside writers that never rest.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::doc::{PathStep, Value};

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
    for writer in 0..16 {
        let (records, done) = (records.clone(), Arc::clone(&done));
        writers.spawn(async move {
            let mut number = 0_i64;
            while !done.load(Ordering::Relaxed) {
                number += 16;
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

//! Nodes and the runtimes they live in.

use tokio::runtime::{Builder as Runtimes, Runtime};

use super::*;

fn runtime() -> Runtime {
    let mut runtimes = Runtimes::new_multi_thread();
    runtimes.worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn a_runtime_without_time_is_refused() {
    let runtime = Runtimes::new_current_thread().build().unwrap();
    let error = runtime.block_on(Node::builder().open()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().contains("enable_all"), "{error}");
}

#[test]
fn a_node_outlives_its_runtime_and_closes_from_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let first = runtime();
    let node = first.block_on(async {
        let node = Node::builder().store(&path).open().await.unwrap();
        let peer = Node::builder().open().await.unwrap();
        let address = peer.listen("127.0.0.1:0").await.unwrap();
        node.connect(&address).await.unwrap();
        within(node.synced()).await.unwrap();
        node
    });
    drop(first);
    runtime().block_on(async {
        let records = node.records("tasks").unwrap();
        let id = records.insert(&json!({"n": 1})).await.unwrap();
        assert_eq!(records.get(id).await.unwrap(), Some(json!({"n": 1})));
        // Its link went with the runtime: there is nobody to wait for.
        timeout(Duration::from_secs(2), node.shutdown())
            .await
            .expect("at once")
            .unwrap();
        Node::builder().store(&path).open().await.unwrap();
    });
}

#[test]
fn a_node_that_goes_with_its_runtime_closes_its_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let first = runtime();
    let node = first.block_on(Node::builder().store(&path).open()).unwrap();
    first.spawn(async move {
        let mut watch = node.watch().unwrap();
        watch.next().await;
        drop(node);
    });
    drop(first);
    let again = async {
        loop {
            match Node::builder().store(&path).open().await {
                Err(error) if error.kind() == ErrorKind::StoreLocked => sleep(LOOK_EVERY).await,
                other => return other,
            }
        }
    };
    runtime().block_on(within(again)).unwrap();
}

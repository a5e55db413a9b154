//! Nodes over memory and real sockets.

mod blobs;
mod busy;
mod contracts;
mod failure;
mod gates;
mod history;
mod indexes;
mod links;
mod migration_laws;
mod migrations;
mod pieces;
mod presence;
mod progress;
mod queries;
mod reads;
mod rulings;
mod runtimes;
mod text;

use std::sync::Arc;
use std::time::Duration;

use autosurgeon::Reconcile;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use super::*;
use crate::record::{Counter, Text};
use crate::store::{CommitFault, FaultStore, MemoryStore, Store};
use crate::transport::memory::MemoryNetwork;

#[derive(Clone, Debug, Default, PartialEq, Reconcile, Serialize, Deserialize)]
struct Task {
    title: String,
    notes: Text,
    votes: Counter,
}

fn task(title: &str) -> Task {
    Task {
        title: title.to_owned(),
        notes: Text::from("one two"),
        votes: Counter::new(1),
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), work)
        .await
        .expect("in time")
}

async fn pair() -> (Node, Node, MemoryNetwork) {
    let network = MemoryNetwork::new();
    let open = || Node::builder().connector(Arc::new(network.clone())).open();
    let (a, b) = (open().await.unwrap(), open().await.unwrap());
    a.listen_on(Box::new(network.listen("a").unwrap())).unwrap();
    b.connect("memory:a").await.unwrap();
    within(b.synced()).await.unwrap();
    (a, b, network)
}

#[tokio::test]
async fn a_record_lives_its_life() {
    let node = Node::builder().open().await.unwrap();
    let tasks = node.collection::<Task>("tasks").unwrap();
    assert_eq!(tasks.count().await.unwrap(), 0);
    let id = tasks.insert(&task("water")).await.unwrap();
    assert_eq!(tasks.get(id).await.unwrap(), Some(task("water")));
    tasks.update(id, |it| it.votes.increment(2)).await.unwrap();
    assert_eq!(tasks.get(id).await.unwrap().unwrap().votes.value(), 3);
    assert_eq!(tasks.count().await.unwrap(), 1);
    assert!(tasks.delete(id).await.unwrap());
    assert!(!tasks.delete(id).await.unwrap());
    assert_eq!(tasks.get(id).await.unwrap(), None);
    assert_eq!(tasks.count().await.unwrap(), 0);
    let gone = tasks.update(id, |it| it.title.clear()).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert!(tasks.restore(id).await.unwrap());
    let listing = tasks.list().await.unwrap();
    assert_eq!(listing.records.len(), 1);
    assert_eq!(listing.records[0].1.title, "water");
    node.shutdown().await.unwrap();
    assert_eq!(tasks.get(id).await.unwrap_err().kind(), ErrorKind::Closed);
    let late = tasks.insert(&task("late")).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn an_equal_value_writes_nothing() {
    let node = Node::builder().open().await.unwrap();
    let tasks = node.collection::<Task>("tasks").unwrap();
    let id = tasks.insert(&task("water")).await.unwrap();
    let heads = tasks.untyped().heads(id).await.unwrap();
    tasks
        .update(id, |it| it.title = "water".to_owned())
        .await
        .unwrap();
    assert!(
        !tasks
            .untyped()
            .patch(id, &json!({"title": "water"}))
            .await
            .unwrap()
    );
    assert_eq!(tasks.untyped().heads(id).await.unwrap(), heads);
    assert!(
        tasks
            .untyped()
            .patch(id, &json!({"title": "weed"}))
            .await
            .unwrap()
    );
    assert_ne!(tasks.untyped().heads(id).await.unwrap(), heads);
}

#[tokio::test]
async fn two_nodes_end_in_the_same_state() {
    let (a, b, network) = pair().await;
    let here = a.collection::<Task>("tasks").unwrap();
    let there = b.collection::<Task>("tasks").unwrap();
    let mut watch = there.watch().unwrap();
    let id = here.insert(&task("water")).await.unwrap();
    within(a.delivered(&here.key(id)).to(b.replica_id()))
        .await
        .unwrap();
    let Some(WatchEvent::Changed(changed)) = within(watch.next()).await else {
        panic!("a change");
    };
    assert_eq!(changed.key, here.key(id));
    assert_eq!(changed.kind, ChangeKind::Created);
    assert_eq!(changed.origin, Origin::Peer(a.store_id()));
    assert_eq!(changed.read::<Task>().unwrap(), task("water"));

    network.take_down("a");
    here.update(id, |it| it.notes.splice(0, 3, "ONE"))
        .await
        .unwrap();
    there
        .update(id, |it| it.notes.splice(4, 3, "TWO"))
        .await
        .unwrap();
    there.update(id, |it| it.votes.increment(1)).await.unwrap();
    here.update(id, |it| it.votes.increment(1)).await.unwrap();
    network.bring_up("a");
    a.retry("memory:a").await.unwrap();
    b.retry("memory:a").await.unwrap();
    within(b.synced()).await.unwrap();
    within(a.synced()).await.unwrap();
    let merged = here.get(id).await.unwrap().unwrap();
    assert_eq!(merged.notes.as_str(), "ONE TWO");
    assert_eq!(merged.votes.value(), 3);
    assert_eq!(there.get(id).await.unwrap().unwrap(), merged);
    let roots = |status: Status| status.spaces[0].root.clone();
    assert_eq!(
        roots(a.status().await.unwrap()),
        roots(b.status().await.unwrap())
    );
    a.shutdown().await.unwrap();
    b.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_one_record_do_not_lose_each_others_edits() {
    let node = Node::builder().open().await.unwrap();
    let tasks = node.collection::<Task>("tasks").unwrap();
    let id = tasks.insert(&task("water")).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let tasks = tasks.clone();
        writers.spawn(async move {
            for _ in 0..25 {
                tasks.update(id, |it| it.votes.increment(1)).await.unwrap();
            }
        });
    }
    within(writers.join_all()).await;
    assert_eq!(tasks.get(id).await.unwrap().unwrap().votes.value(), 201);
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let node = Node::builder().open().await.unwrap();
    let tasks = node.collection::<Task>("tasks").unwrap();
    let first = tasks.insert(&task("first")).await.unwrap();
    let failed = node
        .transaction(|tx| {
            tx.insert(&tasks, &task("second"))?;
            tx.update(&tasks, first, |it| it.title = "changed".to_owned())?;
            assert_eq!(tx.get(&tasks, first)?.unwrap().title, "changed");
            Err::<(), _>(Error::new(ErrorKind::InvalidInput, "no"))
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(tasks.count().await.unwrap(), 1);
    assert_eq!(tasks.get(first).await.unwrap().unwrap().title, "first");
    let second = node
        .transaction(|tx| {
            let second = tx.insert(&tasks, &task("second"))?;
            tx.update(&tasks, second, |it| it.votes.increment(1))?;
            tx.delete(&tasks, first)?;
            Ok(second)
        })
        .await
        .unwrap();
    assert_eq!(tasks.get(first).await.unwrap(), None);
    assert_eq!(tasks.get(second).await.unwrap().unwrap().votes.value(), 2);
}

#[tokio::test]
async fn a_record_of_another_shape_disturbs_no_other() {
    let node = Node::builder().open().await.unwrap();
    let tasks = node.collection::<Task>("tasks").unwrap();
    tasks.insert(&task("good")).await.unwrap();
    let odd = node
        .records("tasks")
        .unwrap()
        .insert(&json!({"title": 7}))
        .await
        .unwrap();
    let error = tasks.get(odd).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    assert!(error.to_string().contains("title"), "{error}");
    let listing = tasks.list().await.unwrap();
    assert_eq!(listing.records.len(), 1);
    assert_eq!(listing.unreadable.len(), 1);
    assert_eq!(listing.unreadable[0].0, odd);
}

#[tokio::test]
async fn a_saved_document_moves_a_record_with_its_history() {
    let a = Node::builder().open().await.unwrap();
    let b = Node::builder().open().await.unwrap();
    let records = a.records("tasks").unwrap();
    let id = records.insert(&json!({"n": 1})).await.unwrap();
    records.patch(id, &json!({"n": 2})).await.unwrap();
    let saved = records.document(id).await.unwrap().unwrap();
    let copy = b.records("tasks").unwrap();
    assert_eq!(copy.import(id, &saved).await.unwrap(), 2);
    for _ in 0..20 {
        // Also once the view is made and nothing else is left to commit.
        let again = within(copy.import(id, &saved)).await;
        assert_eq!(again.unwrap(), 0);
    }
    assert_eq!(copy.get(id).await.unwrap(), Some(json!({"n": 2})));
    assert_eq!(
        copy.heads(id).await.unwrap(),
        records.heads(id).await.unwrap()
    );
    let error = copy.import(id, b"not a document").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[tokio::test]
async fn identity_and_records_outlive_a_restart() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let open = || Node::builder().store_in(Arc::clone(&store)).open();
    let node = open().await.unwrap();
    let (replica, store_id) = (node.replica_id(), node.store_id());
    let id = node
        .records("tasks")
        .unwrap()
        .insert(&json!({"n": 1}))
        .await
        .unwrap();
    node.shutdown().await.unwrap();
    let node = open().await.unwrap();
    assert_eq!((node.replica_id(), node.store_id()), (replica, store_id));
    let records = node.records("tasks").unwrap();
    assert_eq!(records.get(id).await.unwrap(), Some(json!({"n": 1})));
    assert!(records.patch(id, &json!({"n": 2})).await.unwrap());
    assert_eq!(node.collections().await.unwrap().len(), 1);
}

#[cfg(feature = "redb")]
#[tokio::test]
async fn dropping_the_last_handle_closes_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let node = Node::builder().store(&path).open().await.unwrap();
    let records = node.records("tasks").unwrap();
    let locked = Node::builder().store(&path).open().await.unwrap_err();
    assert_eq!(locked.kind(), ErrorKind::StoreLocked);
    drop(node);
    drop(records);
    let reopened = within(async {
        loop {
            match Node::builder().store(&path).open().await {
                Err(error) if error.kind() == ErrorKind::StoreLocked => sleep(LOOK_EVERY).await,
                other => return other,
            }
        }
    });
    reopened.await.unwrap().shutdown().await.unwrap();
    Node::builder().store(&path).open().await.unwrap();
}

#[cfg(feature = "websocket")]
#[tokio::test]
async fn a_hub_relays_between_sockets_and_keeps_no_views() {
    let hub = Node::builder().relay().open().await.unwrap();
    let address = hub.listen("127.0.0.1:0").await.unwrap();
    let a = Node::builder().open().await.unwrap();
    let b = Node::builder().open().await.unwrap();
    for node in [&a, &b] {
        node.connect(&address).await.unwrap();
        within(node.synced()).await.unwrap();
    }
    let here = a.records("tasks").unwrap();
    let id = here.insert(&json!({"n": 1})).await.unwrap();
    within(a.delivered(&here.key(id)).to(hub.replica_id()))
        .await
        .unwrap();
    let there = b.records("tasks").unwrap();
    within(async {
        while there.get(id).await.unwrap().is_none() {
            sleep(LOOK_EVERY).await;
        }
    })
    .await;
    let on_hub = hub.records_in(a.space(), "tasks").unwrap();
    assert_eq!(on_hub.get(id).await.unwrap(), Some(json!({"n": 1})));
    assert_eq!(on_hub.list().await.unwrap().len(), 1);
    assert!(hub.traffic().sent_bytes > 0);
}

#[tokio::test]
async fn who_waits_for_others_is_told_that_nothing_can_be_kept() {
    let network = MemoryNetwork::new();
    let store = Arc::new(FaultStore::new(MemoryStore::new()));
    let a = Node::builder().open().await.unwrap();
    let address = a.listen_on(Box::new(network.listen("a").unwrap())).unwrap();
    let connector = Arc::new(network.clone());
    let given: Arc<dyn Store> = Arc::<FaultStore<MemoryStore>>::clone(&store);
    let b = Node::builder().store_in(given).connector(connector);
    let b = b.open().await.unwrap();
    let tasks = a.records("tasks").unwrap();
    tasks.insert(&json!({"n": 1})).await.unwrap();
    store.fail_commit(store.commits() + 1, CommitFault::DiskFull);
    b.connect(&address).await.unwrap();
    let error = within(b.synced()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
}

#[test]
fn handles_can_go_anywhere() {
    fn anywhere<T: Clone + Send + Sync + 'static>() {}
    anywhere::<Node>();
    anywhere::<Collection<Task>>();
    anywhere::<Records>();
}

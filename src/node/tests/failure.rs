//! What goes wrong in the middle: callers that give up or panic, and stores that fail.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::*;
use crate::doc::Document;
use crate::id::{ActorId, RecordId};
use crate::node::driver::Message;
use crate::store::{CommitFault, FaultStore, Store};

/// Polls a future once, so that it submits its edit, then gives it up.
async fn give_up<T>(edit: impl Future<Output = T>) {
    tokio::select! {
        biased;
        _ = edit => {}
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn a_panic_in_a_transaction_leaves_nothing_behind() {
    let node = Node::builder().open().await.unwrap();
    let records = node.records("tasks").unwrap();
    let id = records.insert(&json!({"n": 1})).await.unwrap();
    let (held, patched) = (node.clone(), records.clone());
    let mut panics = tokio::task::JoinSet::new();
    panics.spawn(async move {
        let work = |tx: &mut Transaction<'_>| -> Result<()> {
            tx.patch_json(&patched, id, &json!({"n": 2}))?;
            panic!("the caller's mistake")
        };
        held.transaction(work).await
    });
    assert!(
        within(panics.join_next())
            .await
            .unwrap()
            .unwrap_err()
            .is_panic()
    );
    // It writes nothing, and has nothing to wait for.
    let same = within(records.patch(id, &json!({}))).await;
    assert!(!same.unwrap());
    assert!(within(records.patch(id, &json!({"n": 3}))).await.unwrap());
    assert_eq!(records.get(id).await.unwrap(), Some(json!({"n": 3})));
}

#[tokio::test]
async fn a_caller_that_gives_up_keeps_nobody_waiting_when_its_edit_fails() {
    let (node, other) = (Node::builder().open().await, Node::builder().open().await);
    let (node, other) = (node.unwrap(), other.unwrap());
    let (theirs, records) = (other.records("tasks"), node.records("tasks"));
    let (theirs, records) = (theirs.unwrap(), records.unwrap());
    let typed = node.collection::<BTreeMap<String, i64>>("tasks").unwrap();
    for number in 0..50 {
        let id = RecordId::named(&number.to_string());
        theirs.put(id, &json!({"n": number})).await.unwrap();
        let saved = theirs.document(id).await.unwrap().unwrap();
        // The record comes to be between the edit and its commit, which then fails.
        let taken = import(&node, records.key(id), &saved);
        let ours = [("n".to_owned(), -number)].into();
        give_up(typed.insert_as(id, &ours)).await;
        within(taken).await.unwrap();
        // Writes nothing, and has nothing to wait for once all is committed.
        within(records.patch(id, &json!({}))).await.unwrap();
        assert_eq!(records.get(id).await.unwrap(), Some(json!({"n": number})));
    }
}

/// Hands the engine a saved document before this returns.
fn import(node: &Node, key: RecordKey, saved: &[u8]) -> oneshot::Receiver<Reply> {
    let shared = &node.0.shared;
    let actor = ActorId::of(shared.store_id, &key);
    let (_, changes) = Document::open_saved(&actor, saved).unwrap();
    let (answer, reply) = oneshot::channel();
    let ticket = shared.ticket();
    let event = Event::Import {
        ticket,
        key,
        changes: changes.into_iter().map(Ok).collect(),
        correlation: shared.correlation(),
    };
    let message = Message::Ask(event, ticket, answer);
    shared.inbox.try_send(message).unwrap();
    reply
}

#[tokio::test]
async fn a_node_whose_store_failed_reads_on_rests_and_shuts_down() {
    let network = MemoryNetwork::new();
    let store = Arc::new(FaultStore::new(MemoryStore::new()));
    let connector = || Arc::new(network.clone());
    let a = Node::builder()
        .connector(connector())
        .store_in(Arc::clone(&store) as Arc<dyn Store>)
        .open()
        .await
        .unwrap();
    let b = Node::builder().connector(connector()).open().await.unwrap();
    a.listen_on(Box::new(network.listen("a").unwrap())).unwrap();
    b.connect("memory:a").await.unwrap();
    within(b.synced()).await.unwrap();
    let here = a.records("tasks").unwrap();
    let there = b.records("tasks").unwrap();
    let id = here.insert(&json!({"n": 1})).await.unwrap();
    within(a.delivered(&here.key(id)).to(b.replica_id()))
        .await
        .unwrap();

    // The peer has just acknowledged more than the store remembers.
    there.insert(&json!({"n": 2})).await.unwrap();
    within(b.synced()).await.unwrap();
    here.patch(id, &json!({"n": 2})).await.unwrap();
    within(a.delivered(&here.key(id)).to(b.replica_id()))
        .await
        .unwrap();
    store.fail_commit(store.commits() + 1, CommitFault::DiskFull);
    let failed = loop {
        match within(here.insert(&json!({"n": 3}))).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(
        matches!(failed.kind(), ErrorKind::DiskFull | ErrorKind::StoreFailed),
        "{failed}"
    );
    let again = within(here.patch(id, &json!({"n": 9}))).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::StoreFailed, "{again}");
    assert!(within(a.status()).await.unwrap().read_only);
    let read = within(here.get(id)).await.unwrap();
    assert_eq!(read, Some(json!({"n": 2})));
    within(a.shutdown()).await.unwrap();
    b.shutdown().await.unwrap();
}

#[cfg(feature = "redb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shutdown_returns_with_the_store_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    for _ in 0..30 {
        let node = Node::builder().store(&path).open().await.unwrap();
        let records = node.records("tasks").unwrap();
        records.insert(&json!({"n": 1})).await.unwrap();
        let mut first = tokio::task::JoinSet::new();
        first.spawn({
            let node = node.clone();
            async move { node.shutdown().await }
        });
        within(node.shutdown()).await.unwrap();
        let reopened = Node::builder().store(&path).open().await;
        let reopened = reopened.expect("the file is closed");
        first.join_next().await.unwrap().unwrap().unwrap();
        reopened.shutdown().await.unwrap();
    }
}

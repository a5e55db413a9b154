//! Reads while the store fails or closes.

use std::sync::atomic::{AtomicBool, AtomicU64};

use super::*;
use crate::store::{Batch, Durability, Snapshot, Store, StoreError};

/// A store that, when told, only the engine can read.
#[derive(Debug, Default)]
pub(super) struct Blind {
    inner: MemoryStore,
    pub(super) is_blind: AtomicBool,
}

impl Store for Blind {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let is_engine = std::thread::current().name() == Some("syncline-engine");
        if self.is_blind.load(Ordering::SeqCst) && !is_engine {
            return Err(StoreError::Io {
                place: "the blind store".to_owned(),
                doing: "reading",
                source: std::io::Error::other("a test asked for it"),
            });
        }
        self.inner.snapshot()
    }

    fn commit(&self, batch: &Batch, durability: Durability) -> Result<(), StoreError> {
        self.inner.commit(batch, durability)
    }
}

#[tokio::test]
async fn a_view_that_can_not_be_made_keeps_nobody_waiting() {
    let donor = Node::builder().open().await.unwrap();
    let from = donor.records("tasks").unwrap();
    let id = from.insert(&json!({"n": 1})).await.unwrap();
    let saved = from.document(id).await.unwrap().unwrap();

    let store = Arc::new(Blind::default());
    let given: Arc<dyn Store> = Arc::clone(&store) as _;
    let node = Node::builder().store_in(given).open().await.unwrap();
    let records = node.records("tasks").unwrap();
    store.is_blind.store(true, Ordering::SeqCst);
    assert_eq!(records.import(id, &saved).await.unwrap(), 1);
    within(async {
        while node.status().await.unwrap().views_behind > 0 {
            sleep(LOOK_EVERY).await;
        }
    })
    .await;
    assert_eq!(records.get(id).await.unwrap_err().kind(), ErrorKind::Io);
    store.is_blind.store(false, Ordering::SeqCst);
    assert_eq!(records.get(id).await.unwrap(), Some(json!({"n": 1})));
    assert_eq!(records.list().await.unwrap().len(), 1);
    assert!(records.patch(id, &json!({"n": 2})).await.unwrap());
    assert_eq!(records.get(id).await.unwrap(), Some(json!({"n": 2})));
}

#[tokio::test]
async fn a_shutdown_waits_for_reads_that_keep_the_store_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let node = Node::builder().store(&path).open().await.unwrap();
    let reading = node.0.shared.snapshot().unwrap();
    let closing = node.clone();
    let mut shutdown = tokio::task::JoinSet::new();
    shutdown.spawn(async move { closing.shutdown().await });
    node.0.shared.until_stopped().await;
    sleep(Duration::from_millis(50)).await;
    let early = shutdown.try_join_next();
    assert!(early.is_none(), "the store is still open");
    drop(reading);
    within(shutdown.join_next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    Node::builder().store(&path).open().await.unwrap();
}

/// Counts how often its snapshots are asked for.
#[derive(Debug, Default)]
struct Counted(MemoryStore, AtomicU64);

impl Store for Counted {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.snapshot()
    }

    fn commit(&self, batch: &Batch, durability: Durability) -> Result<(), StoreError> {
        self.0.commit(batch, durability)
    }
}

#[tokio::test]
async fn reads_share_a_snapshot_until_something_is_committed() {
    let store = Arc::new(Counted::default());
    let below: Arc<dyn Store> = Arc::<Counted>::clone(&store);
    let node = Node::builder().store_in(below).open().await.unwrap();
    let tasks = node.collection::<Task>("tasks").unwrap();
    let id = tasks.insert(&task("read")).await.unwrap();
    let opened = || store.1.load(Ordering::Relaxed);
    for votes in 2..50 {
        tasks.update(id, |it| it.votes.increment(1)).await.unwrap();
        let before = opened();
        for _ in 0..20 {
            let read = tasks.get(id).await.unwrap().unwrap();
            assert_eq!(read.votes.value(), votes);
        }
        assert!(opened() <= before + 3, "{} more", opened() - before);
    }
    // Those that nobody reads hold nothing up.
    within(node.shutdown()).await.unwrap();
    assert_eq!(tasks.get(id).await.unwrap_err().kind(), ErrorKind::Closed);
}

//! How a node gets into step, step by step, and what is known of who has what.

use super::*;
use crate::limits;

#[tokio::test]
async fn a_first_exchange_tells_how_far_it_is_until_both_are_in_step() {
    let network = MemoryNetwork::new();
    let open = || Node::builder().connector(Arc::new(network.clone())).open();
    let (a, b) = (open().await.unwrap(), open().await.unwrap());
    let tasks = a.collection::<Task>("tasks").unwrap();
    for number in 0..300 {
        tasks.insert(&task(&format!("{number}"))).await.unwrap();
    }
    a.listen_on(Box::new(network.listen("a").unwrap())).unwrap();
    let mut events = b.progress();
    b.connect("memory:a").await.unwrap();
    let mut all = Vec::new();
    while let Some(progress) = within(events.next()).await.unwrap() {
        all.push(progress);
    }
    let last = all.last().expect("something was told").received;
    assert_eq!((last.changes, last.changes_expected), (300, Some(300)));
    assert_eq!(last.records_expected, 300);
    assert!(last.bytes > 300 * 50, "{last:?}");
    assert_eq!(last.left(), Some(Duration::ZERO));
    let changes: Vec<_> = all.iter().map(|it| it.received.changes).collect();
    assert!(changes.is_sorted(), "{changes:?}");
    // What comes later is no part of it.
    tasks.insert(&task("late")).await.unwrap();
    within(a.synced()).await.unwrap();
    let status = b.status().await.unwrap();
    assert_eq!(status.links[0].spaces[0].0.catch_up.changes, 300);
}

#[tokio::test]
async fn who_has_acknowledged_what_is_known_without_a_link() {
    let (a, b, _network) = pair().await;
    let tasks = a.collection::<Task>("tasks").unwrap();
    tasks.insert(&task("both")).await.unwrap();
    within(a.synced()).await.unwrap();
    let other = b.replica_id();
    b.shutdown().await.unwrap();
    tasks.insert(&task("one")).await.unwrap();
    let known = within(async {
        loop {
            let known = a.known_peers().await.unwrap();
            // Cursors are written within a fifth of a second.
            if known.first().is_some_and(|it| !it.spaces.is_empty()) {
                return known;
            }
            sleep(LOOK_EVERY).await;
        }
    });
    let known = known.await;
    assert_eq!((known.len(), known[0].replica), (1, other));
    let (space, acked, behind) = known[0].spaces[0];
    assert_eq!((space, acked.0, behind), (a.space(), 1, 1));
}

#[tokio::test]
async fn compaction_on_request_folds_what_everybody_has() {
    let (a, b, _network) = pair().await;
    let tasks = a.collection::<Task>("tasks").unwrap();
    let id = tasks.insert(&task("edited")).await.unwrap();
    for _ in 0..30 {
        tasks.update(id, |it| it.votes.increment(1)).await.unwrap();
    }
    within(a.synced()).await.unwrap();
    let done = within(a.compact()).await.unwrap();
    // What was acknowledged last may not be written down yet, and stays loose then.
    assert!(done.records == 1 && done.changes >= 2, "{done:?}");
    assert_eq!(tasks.get(id).await.unwrap().unwrap().votes.value(), 31);
    // Edits go on, here and there, and both agree.
    let there = b.collection::<Task>("tasks").unwrap();
    there.update(id, |it| it.votes.increment(5)).await.unwrap();
    tasks
        .update(id, |it| it.notes.push_str(" three"))
        .await
        .unwrap();
    within(a.synced()).await.unwrap();
    within(b.synced()).await.unwrap();
    let ours = tasks.get(id).await.unwrap().unwrap();
    assert_eq!(there.get(id).await.unwrap().unwrap(), ours);
    assert_eq!(ours.votes.value(), 36);
    a.shutdown().await.unwrap();
    let refused = a.compact().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn compaction_ends_however_many_records_are_due() {
    let node = Node::builder().open().await.unwrap();
    let tasks = node.collection::<Task>("tasks").unwrap();
    let records = 3 * limits::FOLDS_MAX;
    let mut ids = Vec::new();
    for number in 0..records {
        ids.push(tasks.insert(&task(&format!("{number}"))).await.unwrap());
    }
    for _ in 0..12 {
        let edit = node.transaction(|tx| {
            let mut ids = ids.iter();
            ids.try_for_each(|id| tx.update(&tasks, *id, |it| it.votes.increment(1)).map(drop))
        });
        edit.await.unwrap();
    }
    // Those that are due are looked for by now, too.
    sleep(limits::FOLD_EVERY).await;
    within(node.compact()).await.unwrap();
    let status = node.status().await.unwrap();
    assert_eq!(status.spaces[0].horizon, status.spaces[0].lsn);
    assert_eq!(tasks.get(ids[0]).await.unwrap().unwrap().votes.value(), 13);
}

#[tokio::test]
async fn a_branch_off_what_was_folded_comes_in_through_a_worker() {
    let network = MemoryNetwork::new();
    let open = || Node::builder().connector(Arc::new(network.clone())).open();
    let (a, b, c) = (
        open().await.unwrap(),
        open().await.unwrap(),
        open().await.unwrap(),
    );
    for (node, name) in [(&a, "a"), (&b, "b")] {
        node.listen_on(Box::new(network.listen(name).unwrap()))
            .unwrap();
    }
    let tasks = b.collection::<Task>("tasks").unwrap();
    let id = tasks.insert(&task("everywhere")).await.unwrap();
    for node in [&a, &c] {
        node.connect("memory:b").await.unwrap();
        within(node.synced()).await.unwrap();
    }
    c.disconnect("memory:b").await.unwrap();
    for _ in 0..30 {
        tasks.update(id, |it| it.votes.increment(1)).await.unwrap();
    }
    within(a.synced()).await.unwrap();
    // The first has never met the third, and keeps no log for it.
    a.disconnect("memory:b").await.unwrap();
    within(a.compact()).await.unwrap();
    let there = c.collection::<Task>("tasks").unwrap();
    there
        .update(id, |it| it.votes.increment(100))
        .await
        .unwrap();
    c.connect("memory:a").await.unwrap();
    let here = a.collection::<Task>("tasks").unwrap();
    let all_came = async {
        while here.get(id).await.unwrap().unwrap().votes.value() != 131 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    within(all_came).await;
    within(c.synced()).await.unwrap();
    assert_eq!(there.get(id).await.unwrap().unwrap().votes.value(), 131);
}

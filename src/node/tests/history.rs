//! Histories of records of nodes: versions, undo, reasons.

use serde_json::Value as Json;

use super::*;
use crate::doc::{Revision, RevisionKind, Undone, Version};
use crate::id::Heads;
use crate::limits;

async fn history(records: &Records, id: crate::id::RecordId) -> Vec<Revision> {
    records.history(id, 100, None).await.unwrap().list
}

async fn shown(records: &Records, id: crate::id::RecordId) -> Json {
    records.get(id).await.unwrap().unwrap()
}

async fn undo(records: &Records, id: crate::id::RecordId) -> Undone {
    records.undo(id).await.unwrap().unwrap()
}

fn reasons(history: &[Revision]) -> Vec<Option<&str>> {
    history.iter().map(|it| it.reason.as_deref()).collect()
}

#[tokio::test]
async fn each_way_to_write_can_say_why() {
    let node = Node::builder().open().await.unwrap();
    let tasks = node.collection::<Task>("tasks").unwrap();
    let id = tasks.because("new").insert(&task("a")).await.unwrap();
    let update = |it: &mut Task| it.title = "b".to_owned();
    tasks.because("named").update(id, update).await.unwrap();
    let records = tasks.untyped();
    let patch = json!({"title": "c"});
    records.because("patched").patch(id, &patch).await.unwrap();
    let edit = |edit: &mut crate::doc::Edit<'_>| edit.set(&["title".into()], &"d".into());
    records.because("edited").edit(id, edit).await.unwrap();
    records.because("gone").delete(id).await.unwrap();
    records.because("back").restore(id).await.unwrap();
    let put = json!({"title": "e"});
    records.because("replaced").put(id, &put).await.unwrap();
    records.because("mistaken").undo(id).await.unwrap();
    records.because("not at all").redo(id).await.unwrap();
    let first = history(&records, id).await[8].hash;
    let first = Version::from(first);
    let again = tasks.because("as it was");
    assert!(again.restore_version(id, &first).await.unwrap());
    node.transaction(|transaction| {
        transaction.update(&tasks, id, |it| it.title = "f".to_owned())?;
        transaction.because("together");
        transaction.patch_json(&records, id, &json!({"title": "g"}))?;
        transaction.update(&tasks.because("apart"), id, |it| it.title = "h".to_owned())
    })
    .await
    .unwrap();
    tasks
        .update(id, |it| it.title = "i".to_owned())
        .await
        .unwrap();
    let history = history(&records, id).await;
    let expected = [
        None,
        Some("apart"),
        Some("together"),
        None,
        Some("as it was"),
        Some("not at all"),
        Some("mistaken"),
        Some("replaced"),
        Some("back"),
        Some("gone"),
        Some("edited"),
        Some("patched"),
        Some("named"),
        Some("new"),
    ];
    assert_eq!(reasons(&history), expected);
}

#[tokio::test]
async fn a_reason_that_does_not_fit_is_refused_and_nothing_written() {
    let node = Node::builder().open().await.unwrap();
    let records = node.records("tasks").unwrap();
    let id = records.insert(&json!({"n": 1})).await.unwrap();
    let max = limits::CHANGE_MESSAGE_BYTES_MAX;
    let long = records.because(&"x".repeat(max + 1));
    let patch = json!({"n": 2});
    let error = long.patch(id, &patch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let mark = format!("undo:{}", history(&records, id).await[0].hash);
    let error = records.because(&mark).patch(id, &patch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(shown(&records, id).await, json!({"n": 1}));
    let longest = records.because(&"x".repeat(max));
    assert!(longest.patch(id, &patch).await.unwrap());
}

/// What can be asked of a record's history, told as text.
async fn told(records: &Records, id: crate::id::RecordId) -> Vec<String> {
    let mut told = Vec::new();
    let history = history(records, id).await;
    let mut newer = None;
    for revision in &history {
        told.push(format!("{revision:?}"));
        let version = Version::from(revision.hash);
        let then = records.get_at(id, &version).await.unwrap();
        told.push(format!("{then:?}"));
        let newer = newer.replace(version.clone()).unwrap_or(version.clone());
        let diff = records.diff(id, &version, &newer).await.unwrap();
        told.push(format!("{diff:?}"));
    }
    told
}

#[tokio::test]
async fn a_folded_record_has_the_same_history_and_undo() {
    let mut ends = Vec::new();
    for folds in [false, true] {
        let node = Node::builder()
            .horizon(Duration::ZERO)
            .open()
            .await
            .unwrap();
        let records = node.records("tasks").unwrap();
        let id = records
            .insert(&json!({"n": 0, "t": {"$text": "one"}}))
            .await
            .unwrap();
        for number in 1..6 {
            let patch = json!({"n": number, "t": format!("one {number}")});
            let why = format!("step {number}");
            records.because(&why).patch(id, &patch).await.unwrap();
        }
        undo(&records, id).await;
        let before = told(&records, id).await;
        if folds {
            assert_eq!(node.compact().await.unwrap().records, 1);
        }
        assert_eq!(told(&records, id).await, before);
        for _ in 0..3 {
            undo(&records, id).await;
        }
        records.redo(id).await.unwrap().unwrap();
        if folds {
            node.compact().await.unwrap();
            records.redo(id).await.unwrap().unwrap();
            undo(&records, id).await;
        }
        let values = history(&records, id).await.into_iter();
        let kinds: Vec<_> = values.map(|it| it.kind.name()).collect();
        ends.push((
            shown(&records, id).await,
            kinds[kinds.len() - 10..].to_vec(),
        ));
    }
    assert_eq!(ends[0], ends[1]);
    assert_eq!(ends[0].0, json!({"n": 2, "t": "one 2"}));
}

#[tokio::test]
async fn an_undo_reaches_others_and_leaves_what_they_wrote() {
    let (a, b, _network) = pair().await;
    let (here, there) = (a.records("tasks").unwrap(), b.records("tasks").unwrap());
    let id = here.insert(&json!({"x": 1, "y": 1})).await.unwrap();
    here.patch(id, &json!({"x": 2, "y": 2})).await.unwrap();
    within(a.delivered(&here.key(id)).to(b.replica_id()))
        .await
        .unwrap();
    assert_eq!(there.undo(id).await.unwrap(), None, "it has made nothing");
    there.patch(id, &json!({"y": 3})).await.unwrap();
    within(b.delivered(&there.key(id)).to(a.replica_id()))
        .await
        .unwrap();
    let undone = undo(&here, id).await;
    assert_eq!(undone.kept, [vec!["y".into()]]);
    // Nothing of the creation can be taken back: that is a change without operations.
    let empty = undo(&here, id).await;
    assert_eq!(empty.kept, [vec![]]);
    within(a.synced()).await.unwrap();
    within(b.synced()).await.unwrap();
    let expected = json!({"x": 1, "y": 3});
    assert_eq!(shown(&here, id).await, expected);
    assert_eq!(shown(&there, id).await, expected);
    assert_eq!(
        here.heads(id).await.unwrap(),
        there.heads(id).await.unwrap()
    );
    assert!(b.quarantine(10).await.unwrap().is_empty());
    let (ours, theirs) = (history(&here, id).await, history(&there, id).await);
    assert_eq!(ours[0].kind, RevisionKind::Undo(ours[4].hash));
    assert_eq!(ours[0].operations, 0);
    let own = |list: &[Revision]| list.iter().map(|it| it.is_own).collect::<Vec<_>>();
    assert_eq!(own(&ours), [true, true, false, true, true]);
    assert_eq!(own(&theirs), [false, false, true, false, false]);
    let hashes = |list: &[Revision]| list.iter().map(|it| it.hash).collect::<Vec<_>>();
    assert_eq!(hashes(&ours), hashes(&theirs));
    // It goes on after that.
    there.patch(id, &json!({"z": 1})).await.unwrap();
    here.redo(id).await.unwrap().unwrap();
    within(b.synced()).await.unwrap();
    within(a.synced()).await.unwrap();
    assert_eq!(shown(&here, id).await, shown(&there, id).await);
}

#[tokio::test]
async fn undo_and_redo_go_on_after_a_restart() {
    let store = Arc::new(MemoryStore::new());
    let open = || {
        let store = Arc::clone(&store) as Arc<dyn Store>;
        Node::builder().store_in(store).open()
    };
    let node = open().await.unwrap();
    let records = node.records("tasks").unwrap();
    let id = records.insert(&json!({"n": 0})).await.unwrap();
    for number in 1..4 {
        records.patch(id, &json!({"n": number})).await.unwrap();
    }
    undo(&records, id).await;
    undo(&records, id).await;
    node.shutdown().await.unwrap();
    let node = open().await.unwrap();
    let records = node.records("tasks").unwrap();
    records.redo(id).await.unwrap().unwrap();
    assert_eq!(shown(&records, id).await, json!({"n": 2}));
    undo(&records, id).await;
    undo(&records, id).await;
    assert_eq!(shown(&records, id).await, json!({"n": 0}));
    undo(&records, id).await;
    assert_eq!(records.get(id).await.unwrap(), None);
    assert_eq!(records.undo(id).await.unwrap(), None);
}

#[tokio::test]
async fn a_version_is_restored_whether_it_or_the_record_is_deleted() {
    let node = Node::builder().open().await.unwrap();
    let tasks = node.collection::<Task>("tasks").unwrap();
    let id = tasks.insert(&task("a")).await.unwrap();
    tasks
        .update(id, |it| it.title = "b".to_owned())
        .await
        .unwrap();
    tasks.delete(id).await.unwrap();
    let list = tasks.history(id, 3, None).await.unwrap().list;
    let [deleted, second, first] = [0, 1, 2].map(|it| Version::from(list[it].hash));
    assert_eq!(tasks.get_at(id, &deleted).await.unwrap(), None);
    assert!(tasks.restore_version(id, &first).await.unwrap());
    assert_eq!(tasks.get(id).await.unwrap(), Some(task("a")));
    assert!(!tasks.restore_version(id, &first).await.unwrap());
    assert!(tasks.restore_version(id, &deleted).await.unwrap());
    assert_eq!(tasks.get(id).await.unwrap(), None);
    assert!(tasks.restore_version(id, &second).await.unwrap());
    assert_eq!(tasks.get(id).await.unwrap(), Some(task("b")));
    assert_eq!(tasks.get_at(id, &first).await.unwrap(), Some(task("a")));
    let diff = tasks.diff(id, &first, &second).await.unwrap();
    assert_eq!(diff.len(), 1);
    assert_eq!(diff[0].after, Some("b".into()));
    let diff = tasks.diff(id, &second, &deleted).await.unwrap();
    assert_eq!(diff[0].path, [crate::doc::DELETED_KEY.into()]);
}

#[tokio::test]
async fn what_is_not_there_has_no_history() {
    let node = Node::builder().open().await.unwrap();
    let records = node.records("tasks").unwrap();
    let id = records.insert(&json!({"n": 1})).await.unwrap();
    let nobody = node.0.shared.new_record();
    let kind = |error: Error| error.kind();
    let version = Version::from(history(&records, id).await[0].hash);
    let unknown: Version = "abcdef".parse().unwrap();
    let early = Version::from(Heads::default());
    assert_eq!(records.get_at(nobody, &version).await.unwrap(), None);
    assert_eq!(records.get_at(id, &early).await.unwrap(), None);
    let missing = [
        records.history(nobody, 1, None).await.map(drop),
        records.diff(nobody, &early, &early).await.map(drop),
        records.undo(nobody).await.map(drop),
        records.redo(nobody).await.map(drop),
        records.restore_version(nobody, &version).await.map(drop),
        records.restore_version(id, &early).await.map(drop),
        records.get_at(id, &unknown).await.map(drop),
        records.diff(id, &early, &unknown).await.map(drop),
    ];
    for result in missing {
        assert_eq!(kind(result.unwrap_err()), ErrorKind::NotFound);
    }
    let whole = records.diff(id, &early, &version).await.unwrap();
    assert_eq!(whole[0].after, Some(1.into()));
}

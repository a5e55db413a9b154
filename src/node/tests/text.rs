//! Marks and cursors through the handles of a node.

use super::*;
use crate::doc::value::parse_path;
use crate::doc::{Expand, Mark, Value, Version};
use crate::node::{ChangeKind, WatchEvent};

#[tokio::test]
async fn marks_and_cursors_reach_the_other_node_and_views_stay_as_they_are() {
    let (a, b, _network) = pair().await;
    let (ours, theirs) = (a.records("notes").unwrap(), b.records("notes").unwrap());
    let json = json!({"text": {"$text": "grüße an alle"}});
    let id = ours.insert(&json).await.unwrap();
    let text = parse_path("text").unwrap();
    let before = Version::from(ours.heads(id).await.unwrap());
    let mut watch = ours.watch_record(id).unwrap();
    let bold = Mark {
        range: 0..5,
        name: "bold".to_owned(),
        value: Value::Bool(true),
    };
    ours.mark(id, &text, &bold, Expand::After).await.unwrap();
    // Read before the next change: a slow reader is shown both as one. The insertion may be told after it
    // has returned.
    let changed = loop {
        let Some(WatchEvent::Changed(changed)) = within(watch.next()).await else {
            panic!("a mark is a change");
        };
        if changed.kind == ChangeKind::Updated {
            break changed;
        }
    };
    assert!(changed.patches().is_empty());
    let cursor = ours.cursor(id, &text, 6).await.unwrap();
    within(a.delivered(&ours.key(id)).to(b.replica_id()))
        .await
        .unwrap();
    within(b.synced()).await.unwrap();
    let insert = |edit: &mut crate::doc::Edit<'_>| edit.splice_text(&text, 0, 0, "viele ");
    theirs.edit(id, insert).await.unwrap();
    within(b.delivered(&ours.key(id)).to(a.replica_id()))
        .await
        .unwrap();
    within(a.synced()).await.unwrap();
    for records in [&ours, &theirs] {
        let spans = records.spans(id, &text).await.unwrap();
        let marked: Vec<_> = spans.iter().filter(|it| !it.marks.is_empty()).collect();
        assert_eq!(marked.len(), 1);
        assert_eq!(marked[0].text, "grüße");
        let at = records.position(id, &text, &cursor).await.unwrap();
        assert_eq!(at, Some(12));
        let value = records.get(id).await.unwrap();
        assert_eq!(value, Some(json!({"text": "viele grüße an alle"})));
    }
    let then = ours.spans_at(id, &text, &before).await.unwrap();
    assert_eq!(then.len(), 1);
    ours.unmark(id, &text, &(6..11), "bold").await.unwrap();
    assert_eq!(ours.spans(id, &text).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_has_no_text_has_no_marks_and_no_cursors() {
    let node = Node::builder().open().await.unwrap();
    let notes = node.records("notes").unwrap();
    let id = notes
        .insert(&json!({"n": 1, "text": {"$text": "abc"}}))
        .await
        .unwrap();
    let (number, text) = (parse_path("n").unwrap(), parse_path("text").unwrap());
    let kind = |error: Error| error.kind();
    let nothing = crate::id::RecordId::named("nothing");
    let spans = notes.spans(nothing, &text).await.map_err(kind);
    assert_eq!(spans, Err(ErrorKind::NotFound));
    let spans = notes.spans(id, &number).await.map_err(kind);
    assert_eq!(spans, Err(ErrorKind::InvalidInput));
    let cursor = notes.cursor(id, &text, 4).await.map_err(kind);
    assert_eq!(cursor, Err(ErrorKind::InvalidInput));
    let beyond = Mark {
        range: 1..4,
        name: "bold".to_owned(),
        value: Value::Bool(true),
    };
    let marked = notes.mark(id, &text, &beyond, Expand::After).await;
    assert_eq!(marked.map_err(kind), Err(ErrorKind::InvalidInput));
    notes.delete(id).await.unwrap();
    let deleted = notes.spans(id, &text).await.map_err(kind);
    assert_eq!(deleted, Err(ErrorKind::NotFound));
}

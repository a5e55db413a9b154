//! Records that come in pieces.

use super::*;
use crate::id::{ActorId, RecordId};
use crate::limits;

/// A record with four changes, saved after each.
async fn written(node: &Node) -> (Records, RecordId, Vec<Vec<u8>>) {
    let records = node.records("drafts").unwrap();
    let id = records.insert(&json!({"n": 0})).await.unwrap();
    let mut saved = vec![records.document(id).await.unwrap().unwrap()];
    for n in 1..4 {
        records.patch(id, &json!({"n": n})).await.unwrap();
        saved.push(records.document(id).await.unwrap().unwrap());
    }
    (records, id, saved)
}

/// The changes of a saved document, each by itself, parents first.
fn apart(saved: &[u8]) -> Vec<Vec<u8>> {
    let actor = ActorId::from_bytes(vec![0; 16]);
    let (_, changes) = crate::doc::Document::open_saved(&actor, saved).unwrap();
    changes.iter().map(|it| it.bytes().to_vec()).collect()
}

#[tokio::test]
async fn pieces_become_the_record_that_they_are_of_once() {
    let node = Node::builder().open().await.unwrap();
    let (drafts, id, saved) = written(&node).await;
    let notes = node.records("notes").unwrap();
    let changes = apart(&saved[3]);
    let pieces = vec![
        changes[3].clone(),
        [changes[2].clone(), saved[1].clone()].concat(),
    ];
    let imported = notes.import_pieces(id, pieces.clone()).await.unwrap();
    assert_eq!((imported.new, imported.held), (4, 0));
    assert!(imported.refused.is_empty(), "{imported:?}");
    let heads = drafts.heads(id).await.unwrap();
    assert_eq!(notes.heads(id).await.unwrap(), heads);
    let again = notes.import_pieces(id, pieces).await.unwrap();
    assert_eq!((again.new, again.held), (0, 0));
    assert_eq!(notes.get(id).await.unwrap(), Some(json!({"n": 3})));
}

#[tokio::test]
async fn changes_without_their_parents_wait_and_are_counted_until_these_come() {
    let node = Node::builder().open().await.unwrap();
    let (drafts, id, saved) = written(&node).await;
    let notes = node.records("notes").unwrap();
    let changes = apart(&saved[3]);
    for _ in 0..2 {
        let late = vec![changes[3].clone(), changes[2].clone()];
        let imported = notes.import_pieces(id, late).await.unwrap();
        assert_eq!((imported.new, imported.held), (0, 2));
        assert_eq!(notes.get(id).await.unwrap(), None);
    }
    // Of this record's quarantine only what is asked for counts.
    let first = notes
        .import_pieces(id, vec![changes[0].clone()])
        .await
        .unwrap();
    assert_eq!((first.new, first.held), (1, 0));
    let rest = notes
        .import_pieces(id, vec![changes[1].clone()])
        .await
        .unwrap();
    assert_eq!((rest.new, rest.held), (1, 0));
    let heads = drafts.heads(id).await.unwrap();
    assert_eq!(
        notes.heads(id).await.unwrap(),
        heads,
        "they went on by themselves"
    );
    assert!(node.quarantine(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn too_many_pieces_or_bytes_are_refused_before_anything_is_taken_in() {
    let node = Node::builder().open().await.unwrap();
    let (_, id, saved) = written(&node).await;
    let notes = node.records("notes").unwrap();
    let mut many = vec![Vec::new(); limits::DOCUMENT_PIECES_MAX];
    many.push(saved[3].clone());
    let error = notes.import_pieces(id, many).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let large = vec![saved[3].clone(), vec![0; limits::DOCUMENT_BYTES_MAX]];
    let error = notes.import_pieces(id, large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(notes.get(id).await.unwrap(), None);
    let nothing = notes.import_pieces(id, Vec::new()).await.unwrap();
    assert_eq!((nothing.new, nothing.held), (0, 0));
}

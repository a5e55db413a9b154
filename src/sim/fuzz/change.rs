//! Changes from anyone.

use std::convert::Infallible;

use bytes::Bytes;

use super::material;
use crate::doc::change::fits;
use crate::doc::{self, Change, Document, DocumentFault};
use crate::id::ActorId;

/// One change. Its checksum is made right, as a hostile writer would, so that what lies behind it is
/// reached. It is offered to an empty document and to one with some history, in which the changes of
/// the corpus have their parents. One that has no parents and fits them must make a document that
/// saves and loads.
///
/// # Panics
/// Where a change that passed the checks is applied in part, a refusal leaves a document that is
/// neither as it was nor spoiled, or one that fits does harm, or reads otherwise without a document.
pub fn change(data: &[u8]) {
    let mut data = data.to_vec();
    material::reseal(&mut data);
    let Ok(change) = doc::inspect(Bytes::from(data)) else {
        return;
    };
    assert!(
        change.max_op() >= change.start_op().saturating_sub(1),
        "operation numbers rise"
    );
    let again = doc::inspect(change.bytes().clone());
    assert_eq!(again.as_ref(), Ok(&change), "a check has one outcome");
    let empty = Document::new(&ActorId::from_bytes(vec![1; 16]));
    let nothing = &mut |_: &ActorId, _| Ok::<_, Infallible>(None);
    let Ok(verdict) = fits(&change, 0, nothing);
    if change.deps().is_empty() && change.seq() == 1 && verdict.is_ok() {
        let mut document = empty.clone();
        let applied = document.apply(std::slice::from_ref(&change));
        applied.expect("what fits is applied");
        if let Some(first) = doc::first_value(change.bytes()) {
            let value = document.value();
            assert_eq!(value, Ok(first), "it reads as its document does");
        }
        document.save().expect("what fits saves and loads");
    }
    offer(empty, &change);
    offer(material::document().clone(), &change);
}

fn offer(mut document: Document, change: &Change) {
    let before = (document.heads(), document.value());
    match document.apply(std::slice::from_ref(change)) {
        Ok(()) => {
            assert!(document.has(&change.hash()), "an applied change is there");
            // Reading it may fail, and nothing worse.
            drop((document.value(), document.save()));
        }
        Err(_) if document.is_spoiled() => {
            assert_eq!(
                document.value(),
                Err(DocumentFault::Spoiled),
                "a spoiled document gives nothing"
            );
        }
        Err(_) => assert_eq!(
            (document.heads(), document.value()),
            before,
            "a refused change leaves nothing"
        ),
    }
}

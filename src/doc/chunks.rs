//! Chunks that stand behind each other without a length of their own, as Automerge's sync messages and the
//! files of automerge-repo have them: changes, and documents in place of many.

use bytes::Bytes;

use super::Document;
use super::change::{CHANGE, DEFLATED_CHANGE};
use super::inspect::{Received, inspect, refuse};
use super::saved::{DOCUMENT, chunk};
use crate::codec::Reader;
use crate::id::ActorId;

/// Takes apart what may be several chunks, and checks each change; of a document, all that made it. What is
/// behind something that is no chunk can't be told apart from it, and is refused with it.
///
/// Loads the documents among them, so never on the engine's thread.
pub fn inspect_chunks(bytes: &Bytes) -> Vec<Received> {
    let nobody = ActorId::from_bytes(vec![0; 16]);
    let mut received = Vec::new();
    let mut reader = Reader::new(bytes);
    while reader.remaining() > 0 {
        let start = reader.offset();
        let read = chunk(&mut reader).map(|(kind, _)| kind);
        let end = reader.offset();
        let part = |from: usize, to: usize| bytes.slice(from.min(to)..to);
        match read {
            Ok(DOCUMENT) => {
                let document = part(start, end);
                match Document::open_saved(&nobody, &document) {
                    Ok((_, changes)) => received.extend(changes.into_iter().map(Ok)),
                    Err(fault) => received.push(Err(refuse(document, fault.to_string()))),
                }
            }
            Ok(CHANGE | DEFLATED_CHANGE) => received.push(inspect(part(start, end))),
            Ok(kind) => {
                let reason = format!("chunk type {kind} is neither a change nor a document");
                received.push(Err(refuse(part(start, end), reason)));
            }
            Err(fault) => {
                let rest = part(start, bytes.len());
                received.push(Err(refuse(rest, fault.to_string())));
                return received;
            }
        }
    }
    received
}

//! What honest writers made, for targets to begin with: one record's history of every kind of edit,
//! on branches that meet again.

use std::io::Read as _;
use std::sync::OnceLock;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::doc::{Change, Document, Edit, EditMeta, PathStep, Value};
use crate::error::Result;
use crate::id::{ActorId, Heads};
use crate::limits;
use crate::time::WallTime;

/// Bytes of a chunk before what its checksum covers: magic and checksum.
const CHECKED_FROM: usize = 8;
/// Type of a chunk that holds one change, and of one that holds it deflated.
const CHANGE: u8 = 1;
const DEFLATED_CHANGE: u8 = 2;

/// The history, parents first.
pub(super) fn history() -> &'static [Change] {
    &made().0
}

/// The document with all of it.
pub(super) fn document() -> &'static Document {
    &made().1
}

/// The document with all of it up to the change of this number, saved, and its heads.
pub(super) fn saved(last: usize) -> &'static (Heads, Vec<u8>) {
    static SAVED: OnceLock<Vec<(Heads, Vec<u8>)>> = OnceLock::new();
    let saved = SAVED.get_or_init(|| {
        let mut document = Document::new(&ActorId::from_bytes(vec![9; 16]));
        let saved = history().iter().map(|change| {
            let applied = document.apply(std::slice::from_ref(change));
            applied.expect("honest changes fit");
            let saved = document.save().expect("an honest document saves");
            (document.heads(), saved)
        });
        saved.collect()
    });
    saved.get(last).expect("the history is longer")
}

fn made() -> &'static (Vec<Change>, Document) {
    static MADE: OnceLock<(Vec<Change>, Document)> = OnceLock::new();
    MADE.get_or_init(make)
}

/// The documents of three writers, and the changes that were made on any of them.
struct Writers {
    documents: [Document; 3],
    history: Vec<Change>,
}

impl Writers {
    fn edit(&mut self, writer: usize, edit: impl FnOnce(&mut Edit<'_>) -> Result<()>) -> &mut Self {
        let time = 1_700_000_000_000 + 1_000 * u64::try_from(self.history.len()).unwrap_or(0);
        let document = self.documents.get_mut(writer).expect("one of three");
        let edited = document.edit(EditMeta::at(WallTime::from_millis(time)), edit);
        let change = edited.expect("an honest edit").1;
        self.history.push(change.expect("it changes something"));
        self
    }

    /// Brings a writer up to all that the others have.
    fn meet(&mut self, writer: usize) -> &mut Self {
        let document = self.documents.get_mut(writer).expect("one of three");
        let met = document.apply(&self.history);
        met.expect("honest changes fit");
        self
    }
}

fn make() -> (Vec<Change>, Document) {
    let new = |writer: u8| Document::new(&ActorId::from_bytes(vec![writer; 16]));
    let mut writers = Writers {
        documents: [new(1), new(2), new(3)],
        history: Vec::new(),
    };
    let start = json!({
        "text": {"$text": "hello"}, "n": {"$counter": 1}, "l": [1, 2, {"a": 1}], "m": {"x": 1.5},
        "when": {"$time": 5}, "raw": {"$bytes": "AAEC"},
    });
    let Ok(Value::Map(start)) = Value::from_json(&start) else {
        panic!("the start is a map");
    };
    let path = |steps: &[&str]| -> Vec<PathStep> { steps.iter().map(|it| (*it).into()).collect() };
    writers.edit(0, |edit| edit.put_map(&start));
    writers.meet(1).meet(2);
    writers.edit(0, |edit| {
        edit.splice_text(&path(&["text"]), 5, 0, " world")?;
        edit.increment(&path(&["n"]), 2)
    });
    writers.edit(1, |edit| {
        edit.set(&["l".into(), 2.into(), "a".into()], &Value::from("b"))?;
        edit.splice_text(&path(&["text"]), 0, 2, "")
    });
    writers.edit(1, |edit| edit.remove(&["l".into(), 0.into()]));
    writers.edit(2, |edit| {
        edit.set(&path(&["m"]), &Value::Null)?;
        edit.increment(&path(&["n"]), -5)
    });
    writers.meet(0);
    writers.edit(0, |edit| {
        edit.set(&path(&["m"]), &Value::Text("x".repeat(300)))
    });
    writers.edit(2, |edit| edit.mark_deleted(WallTime::from_millis(7)));
    writers.meet(1);
    writers.edit(1, |edit| {
        edit.restore()?;
        edit.set(
            &["l".into(), 0.into()],
            &Value::List(vec![Value::Bool(true)]),
        )
    });
    writers.meet(0).meet(2);
    let [document, ..] = writers.documents;
    (writers.history, document)
}

/// Makes the checksum of a change, or of a saved document, what it has to be.
pub(super) fn reseal(chunk: &mut [u8]) {
    let Some((head, content)) = chunk.split_at_mut_checked(CHECKED_FROM) else {
        return;
    };
    let digest = match content.split_first() {
        Some((&DEFLATED_CHANGE, rest)) => inflated(rest).map(Sha256::digest),
        _ => Some(Sha256::digest(&*content)),
    };
    let Some(stated) = head.get_mut(CHECKED_FROM - 4..) else {
        return;
    };
    for (stated, right) in stated.iter_mut().zip(digest.into_iter().flatten()) {
        *stated = right;
    }
}

/// What the checksum of a deflated change covers: the change as it is when it is not deflated.
fn inflated(length_and_data: &[u8]) -> Option<Vec<u8>> {
    let length = length_and_data.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let data = length_and_data.get(length..)?;
    let max = u64::try_from(limits::CHANGE_INFLATED_BYTES_MAX).unwrap_or(u64::MAX);
    let mut body = Vec::new();
    let mut inflating = flate2::read::DeflateDecoder::new(data).take(max);
    inflating.read_to_end(&mut body).ok()?;
    let mut covered = vec![CHANGE];
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or(0);
        rest >>= 7;
        if rest == 0 {
            covered.push(low);
            break;
        }
        covered.push(low | 0x80);
    }
    covered.extend(body);
    Some(covered)
}

/// The bytes of a chunk with some of them replaced, as the script says, and its checksum made right.
pub(super) fn forged(chunk: &[u8], script: &mut super::Script<'_>) -> Vec<u8> {
    let mut bytes = chunk.to_vec();
    for _ in 0..=script.below(4) {
        let at = usize::from(script.short()) % bytes.len().max(1);
        let value = script.byte();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
    }
    reseal(&mut bytes);
    bytes
}

//! Changes as a hostile writer would make them: real ones, with something wrong and a checksum that
//! is right.

use std::num::NonZeroU64;

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::{ExpandedChange, ObjType, ScalarValue};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::Change;
use super::guard::guarded;
use crate::entropy::Entropy;
use crate::id::ChangeHash;

/// Where a change's content starts: after magic and checksum.
const CONTENT: usize = 8;
/// Where its body can start: after the chunk's type and length.
const BODY: usize = 12;

/// A mutant of a change: one or two of its operations, its numbers or its parents are altered, or
/// some of its bytes; the checksum fits. None where nothing came of it.
pub fn mutant(change: &Change, entropy: &mut Entropy) -> Option<Bytes> {
    let parsed = guarded(|| automerge::Change::try_from(change.bytes().as_ref()));
    let parsed = parsed.ok()?.ok()?;
    if entropy.below(4) == 0 {
        return Some(noise(parsed.raw_bytes(), entropy));
    }
    let mut expanded = guarded(|| parsed.decode()).ok()?;
    for _ in 0..=entropy.below(2) {
        if entropy.below(6) == 0 || expanded.operations.is_empty() {
            alter_header(&mut expanded, entropy);
        } else {
            alter_operations(&mut expanded, entropy);
        }
    }
    let made = guarded(|| automerge::Change::from(expanded)).ok()?;
    let bytes = made.raw_bytes();
    (bytes != parsed.raw_bytes()).then(|| Bytes::copy_from_slice(bytes))
}

/// The same operations under other parents and another number of its writer. None where Automerge
/// can't write that.
pub fn moved(change: &Change, parents: &[ChangeHash], seq: u64) -> Option<Bytes> {
    let parsed = guarded(|| automerge::Change::try_from(change.bytes().as_ref())).ok()?;
    let mut expanded = guarded(|| parsed.ok().map(|it| it.decode())).ok()??;
    expanded.deps = parents
        .iter()
        .map(|it| automerge::ChangeHash(*it.as_bytes()))
        .collect();
    expanded.seq = seq;
    let made = guarded(|| automerge::Change::from(expanded)).ok()?;
    Some(Bytes::copy_from_slice(made.raw_bytes()))
}

/// Some bytes of the body are others; the checksum fits.
fn noise(raw: &[u8], entropy: &mut Entropy) -> Bytes {
    let mut bytes = raw.to_vec();
    for _ in 0..=entropy.below(3) {
        let room = u64::try_from(bytes.len().saturating_sub(BODY)).unwrap_or(0);
        let at = BODY.saturating_add(usize::try_from(entropy.below(room)).unwrap_or(0));
        let [byte] = entropy.bytes();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
    }
    if let Some((head, content)) = bytes.split_at_mut_checked(CONTENT) {
        let digest = Sha256::digest(content);
        let checksum = head.iter_mut().skip(4);
        checksum.zip(digest).for_each(|(to, from)| *to = from);
    }
    bytes.into()
}

fn alter_header(change: &mut ExpandedChange, entropy: &mut Entropy) {
    match entropy.below(6) {
        0 => {
            let seq = change.seq.saturating_add(entropy.below(3));
            change.seq = seq.saturating_sub(1);
        }
        1 => {
            let start = change.start_op.get() + entropy.below(5);
            let start = start.saturating_sub(2).max(1);
            change.start_op = NonZeroU64::new(start).unwrap_or(change.start_op);
        }
        2 => change.time = i64::from_be_bytes(entropy.bytes()),
        3 => {
            change.deps.pop();
        }
        4 => change.message = Some("forged".to_owned()),
        _ => change.extra_bytes = entropy.bytes::<3>().to_vec(),
    }
}

fn alter_operations(change: &mut ExpandedChange, entropy: &mut Entropy) {
    let ids = ids(change);
    let count = change.operations.len();
    let at = below(entropy, count);
    match entropy.below(12) {
        0 => {
            change.operations.remove(at);
            return;
        }
        1 => {
            if let Some(op) = change.operations.get(at).cloned() {
                change.operations.insert(below(entropy, count), op);
            }
            return;
        }
        2 => {
            change.operations.swap(at, below(entropy, count));
            return;
        }
        _ => {}
    }
    if let Some(op) = change.operations.get_mut(at) {
        alter(op, &ids, entropy);
    }
}

/// Operations that a forger can name: those that the change names, and neighbours of them.
fn ids(change: &ExpandedChange) -> Vec<OpId> {
    let mut ids = vec![OpId::new(change.start_op.get(), &change.actor_id)];
    for op in &change.operations {
        if let ObjectId::Id(id) = &op.obj {
            ids.push(id.clone());
        }
        ids.extend(op.key.to_opid());
        ids.extend(op.pred.iter().cloned());
    }
    ids
}

fn pick(ids: &[OpId], entropy: &mut Entropy) -> OpId {
    let id = ids.get(below(entropy, ids.len()));
    let id = id.cloned();
    let fallback = || OpId::new(1, &automerge::ActorId::from(vec![0; 16]));
    let OpId(counter, actor) = id.unwrap_or_else(fallback);
    let near = counter.saturating_add(entropy.below(5)).saturating_sub(2);
    OpId(
        if entropy.below(2) == 0 {
            counter
        } else {
            near.max(1)
        },
        actor,
    )
}

fn alter(op: &mut Op, ids: &[OpId], entropy: &mut Entropy) {
    match entropy.below(7) {
        0 => {
            op.obj = match entropy.below(3) {
                0 => ObjectId::Root,
                _ => ObjectId::Id(pick(ids, entropy)),
            };
        }
        1 => {
            op.key = match entropy.below(4) {
                0 => Key::Map("forged".into()),
                1 => Key::Seq(ElementId::Head),
                _ => Key::Seq(ElementId::Id(pick(ids, entropy))),
            };
        }
        2 => op.insert = !op.insert,
        3 => {
            let mut pred: Vec<_> = op.pred.iter().cloned().collect();
            if entropy.below(2) == 0 {
                pred.pop();
            } else {
                pred.push(pick(ids, entropy));
            }
            op.pred = pred.into();
        }
        4 => op.pred = Vec::new().into(),
        _ => op.action = action(entropy),
    }
}

fn action(entropy: &mut Entropy) -> OpType {
    let number = entropy.number();
    match entropy.below(9) {
        0 => OpType::Make(ObjType::Map),
        1 => OpType::Make(ObjType::List),
        2 => OpType::Make(ObjType::Text),
        3 => OpType::Delete,
        4 => OpType::Increment(7),
        5 => OpType::Put(ScalarValue::counter(3)),
        6 => OpType::MarkEnd(true),
        7 => OpType::Put(ScalarValue::Unknown {
            type_code: 11,
            bytes: vec![1, 2],
        }),
        _ => OpType::Put(ScalarValue::Uint(number)),
    }
}

fn below(entropy: &mut Entropy, bound: usize) -> usize {
    let bound = u64::try_from(bound).unwrap_or(u64::MAX);
    usize::try_from(entropy.below(bound)).unwrap_or(0)
}

//! Changes of one record without what the one before tells: of a hundred bytes that a keystroke takes,
//! half name its parent and its author, and do not compress.
//!
//! A change is an Automerge chunk: mark, checksum, type, length, and a body that begins with parents,
//! author, number and first operation
//! (<https://automerge.org/automerge-binary-format-spec/>). Mark, length and checksum follow from the
//! rest; a change that follows the one before it, by the same author, needs neither parents nor author.
//! What is read gives back the bytes that were written, and has one encoding.

use std::borrow::Cow;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::limits;

/// First bytes of every chunk.
const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
/// The type of a chunk that holds one change, not deflated.
const CHANGE: u8 = 1;
/// Where the part of a chunk begins that its hash covers.
const HASHED_FROM: usize = 8;

/// The only parent is the change before.
const FOLLOWS: u8 = 1;
/// The author is that of the change before.
const SAME_AUTHOR: u8 = 2;

type Hash = [u8; 32];

/// What a change tells of the next one.
#[derive(Clone, Debug)]
pub(super) struct Before {
    hash: Hash,
    actor: Vec<u8>,
    seq: u64,
    start_op: u64,
}

/// A change taken apart.
struct Parts<'a> {
    parents: Vec<Hash>,
    actor: Cow<'a, [u8]>,
    seq: u64,
    start_op: u64,
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    /// None for what is no change, or deflated.
    fn read(chunk: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(chunk);
        let magic: [u8; 4] = reader.array("chunk mark").ok()?;
        let _checksum: [u8; 4] = reader.array("checksum").ok()?;
        let kind = reader.u8("chunk type").ok()?;
        if magic != MAGIC || kind != CHANGE {
            return None;
        }
        let body = reader.bytes(limits::CHANGE_BYTES_MAX, "change").ok()?;
        reader.finish("change").ok()?;
        let mut reader = Reader::new(body);
        let count = reader.count(limits::CHANGE_DEPS_MAX, "parents").ok()?;
        let parents = (0..count).map(|_| reader.array("parent"));
        let parents = parents.collect::<Result<_, _>>().ok()?;
        let actor = reader.bytes(limits::ACTOR_BYTES_MAX, "actor").ok()?;
        let seq = reader.varint("sequence number").ok()?;
        let start_op = reader.varint("first operation").ok()?;
        let rest = reader.take(reader.remaining(), "rest").ok()?;
        Some(Self {
            parents,
            actor: Cow::Borrowed(actor),
            seq,
            start_op,
            rest,
        })
    }

    /// The chunk of these parts, and its hash.
    fn chunk(&self) -> (Vec<u8>, Hash) {
        let mut body = Writer::with_capacity(self.rest.len() + 120);
        body.count(self.parents.len());
        for parent in &self.parents {
            body.raw(parent);
        }
        body.bytes(&self.actor)
            .varint(self.seq)
            .varint(self.start_op);
        body.raw(self.rest);
        let body = body.finish();
        let mut hashed = Writer::with_capacity(body.len() + 8);
        hashed.u8(CHANGE).bytes(&body);
        let hashed = hashed.finish();
        let hash: Hash = Sha256::digest(&hashed).into();
        let [a, b, c, d, ..] = hash;
        let mut chunk = Writer::with_capacity(hashed.len() + HASHED_FROM);
        chunk.raw(&MAGIC).raw(&[a, b, c, d]).raw(&hashed);
        (chunk.finish(), hash)
    }

    fn before(&self, hash: Hash) -> Before {
        Before {
            hash,
            actor: self.actor.to_vec(),
            seq: self.seq,
            start_op: self.start_op,
        }
    }
}

/// Writes a change: without what `before` tells where that gives back the same bytes, else as it is.
/// Gives what it tells of the next one.
pub(super) fn write(writer: &mut Writer, change: &[u8], before: Option<&Before>) -> Option<Before> {
    let parts = Parts::read(change);
    let rebuilt = parts.as_ref().map(Parts::chunk);
    let (Some(parts), Some((_, hash))) = (parts, rebuilt.filter(|it| it.0 == change)) else {
        writer.bytes(change);
        return None;
    };
    let follows = before.filter(|it| parts.parents == [it.hash]);
    let same = before.filter(|it| it.actor == parts.actor.as_ref());
    let flag = |is: bool, flag: u8| if is { flag } else { 0 };
    // No change is empty, so this length is free.
    writer.count(0);
    writer.u8(flag(follows.is_some(), FOLLOWS) | flag(same.is_some(), SAME_AUTHOR));
    if follows.is_none() {
        writer.count(parts.parents.len());
        for parent in &parts.parents {
            writer.raw(parent);
        }
    }
    if same.is_none() {
        writer.bytes(&parts.actor);
    }
    let (seq, start_op) = same.map_or((0, 0), |it| (it.seq, it.start_op));
    writer
        .varint(parts.seq.wrapping_sub(seq))
        .varint(parts.start_op.wrapping_sub(start_op));
    writer.bytes(parts.rest);
    Some(parts.before(hash))
}

/// Reads what [`write`] wrote, from `reader` over `body`; gives what it tells of the next one, too.
///
/// # Errors
/// When it is neither a change without what the one before tells nor bytes that have to be as they are.
pub(super) fn read(
    reader: &mut Reader<'_>,
    body: &Bytes,
    before: Option<&Before>,
) -> Result<(Bytes, Option<Before>), Malformed> {
    let length = reader.count(limits::CHANGE_BYTES_MAX, "change length")?;
    if length > 0 {
        let chunk = reader.take(length, "change")?;
        let is_packed = Parts::read(chunk).is_some_and(|it| it.chunk().0 == chunk);
        if is_packed {
            return Err(reader.error("change that can be shorter", Problem::NotCanonical));
        }
        return Ok((body.slice_ref(chunk), None));
    }
    let parts = parts(reader, before)?;
    let (chunk, hash) = parts.chunk();
    let next = parts.before(hash);
    if chunk.len() > limits::CHANGE_BYTES_MAX {
        let value = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        return Err(reader.error("change", Problem::Unexpected(value)));
    }
    Ok((chunk.into(), Some(next)))
}

fn parts<'a>(reader: &mut Reader<'a>, before: Option<&Before>) -> Result<Parts<'a>, Malformed> {
    let flags = reader.u8("change flags")?;
    let wrong = reader.error("change flags", Problem::Unexpected(flags.into()));
    let twice = reader.error("change that can be shorter", Problem::NotCanonical);
    if flags & !(FOLLOWS | SAME_AUTHOR) != 0 || (flags != 0 && before.is_none()) {
        return Err(wrong);
    }
    let follows = before.filter(|_| flags & FOLLOWS != 0);
    let same = before.filter(|_| flags & SAME_AUTHOR != 0);
    let parents = if let Some(before) = follows {
        vec![before.hash]
    } else {
        let count = reader.count(limits::CHANGE_DEPS_MAX, "parents")?;
        let parents = (0..count).map(|_| reader.array("parent"));
        let parents: Vec<Hash> = parents.collect::<Result<_, _>>()?;
        if before.is_some_and(|it| parents == [it.hash]) {
            return Err(twice);
        }
        parents
    };
    let actor = if let Some(before) = same {
        Cow::Owned(before.actor.clone())
    } else {
        let actor = reader.bytes(limits::ACTOR_BYTES_MAX, "actor")?;
        if before.is_some_and(|it| it.actor == actor) {
            return Err(twice);
        }
        Cow::Borrowed(actor)
    };
    let (seq, start_op) = same.map_or((0, 0), |it| (it.seq, it.start_op));
    let seq = reader.varint("sequence number")?.wrapping_add(seq);
    let start_op = reader.varint("first operation")?.wrapping_add(start_op);
    let rest = reader.bytes(limits::CHANGE_BYTES_MAX, "rest of change")?;
    Ok(Parts {
        parents,
        actor,
        seq,
        start_op,
        rest,
    })
}

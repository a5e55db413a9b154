//! What strangers bring: changes that were never made, made twice, or made wrong, and messages that
//! almost make sense.

use bytes::Bytes;

use super::perform::key;
use super::stranger::Attack;
use super::world::World;
use crate::blob::{Attachment, Manifest};
use crate::doc::{Change, Document, EditMeta, Value, forge};
use crate::entropy::Entropy;
use crate::id::{ActorId, CorrelationId, Lsn, RecordId, RecordKey};
use crate::replica::{Rows, documents};
use crate::time::WallTime;
use crate::wire::{self, ChangeGroup, Message, Open, Want, WantRecord, Wanted};

/// Where the checksum of a change stands in its bytes.
const CHECKSUM_AT: usize = 4;
const CHECKSUM_END: usize = 8;

/// Lets a stranger attack a host, or two.
pub(super) fn attack(
    world: &mut World,
    (host, other): (usize, usize),
    which: u64,
    entropy: &mut Entropy,
) {
    let attack = match which % 14 {
        0 => Attack::Mute,
        1 => Attack::EndlessWalk,
        2 => Attack::FalseAck,
        3 => Attack::LyingRoot,
        4 => Attack::WantTheUnknown,
        5 if entropy.below(4) == 0 => Attack::OverCredit,
        5 | 6 => Attack::FalseUpto,
        7 => Attack::Frames(garbled(entropy)),
        8 => Attack::Push(orphans(entropy)),
        9 => {
            let twins = twins(world, host, entropy);
            for (target, twin) in [host, other].into_iter().zip(twins) {
                world.attack(target, Attack::Push(vec![twin]));
            }
            return;
        }
        10 => Attack::Push(corrupted(world, host, entropy)),
        12 => match world.host(other).ok().and_then(super::Host::replica_id) {
            Some(author) => Attack::ForgedPresence(author),
            None => Attack::Mute,
        },
        13 => false_blobs(world, host, entropy),
        _ => Attack::Push(forged(world, host, entropy)),
    };
    world.attack(host, attack);
}

fn group(key: &RecordKey, changes: Vec<Bytes>) -> ChangeGroup {
    ChangeGroup {
        collection: key.collection.clone(),
        record: key.record,
        correlation: CorrelationId(1),
        done: false,
        changes,
    }
}

/// Messages with some bytes changed, and noise.
fn garbled(entropy: &mut Entropy) -> Vec<Vec<u8>> {
    let space = World::space();
    let record = key(0);
    let messages = [
        Message::Open(Open {
            space,
            want: Wanted::All,
            root: crate::reconcile::Summary::default(),
            lsn: Lsn(7),
            acked: Lsn(3),
            resume: true,
        }),
        Message::Want(Want {
            space,
            records: vec![WantRecord {
                collection: record.collection,
                record: record.record,
                have: Vec::new(),
                older: Vec::new(),
            }],
        }),
        Message::Ping { token: 7 },
        Message::Credit { live: 1, bulk: 1 },
    ];
    let mut frames = Vec::new();
    for _ in 0..4 {
        let at = usize::try_from(entropy.below(4)).unwrap_or(0);
        let Some(message) = messages.get(at) else {
            continue;
        };
        let mut frame = wire::encode(CorrelationId(9), message);
        for _ in 0..=entropy.below(2) {
            let length = u64::try_from(frame.len()).unwrap_or(1);
            let at = usize::try_from(entropy.below(length)).unwrap_or(0);
            let [byte] = entropy.bytes();
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        frames.push(frame);
    }
    frames
}

/// A document of a record as a host has it, for a writer that nobody knows.
fn document(world: &World, host: usize, key: &RecordKey, actor: &ActorId) -> Document {
    let loaded = world.store(host).ok().and_then(|store| {
        let snapshot = store.snapshot().ok()?;
        let rows = Rows::new(snapshot.as_ref());
        documents::Loaded::open(&rows, key, actor).ok()
    });
    loaded.map_or_else(|| Document::new(actor), |it| it.document)
}

fn edited(document: &Document, value: &Value, time: u64) -> Option<Bytes> {
    let mut document = document.clone();
    let edit = document.edit::<_, crate::Error>(EditMeta::at(WallTime::from_millis(time)), |it| {
        it.set(&["stranger".into()], value)
    });
    edit.ok()?.1.map(|it| it.bytes().clone())
}

/// Two changes of one writer with one number.
fn twins(world: &World, host: usize, entropy: &mut Entropy) -> Vec<ChangeGroup> {
    let key = key(usize::try_from(entropy.below(3)).unwrap_or(0));
    let actor = ActorId::from_bytes(entropy.bytes::<16>().to_vec());
    let document = document(world, host, &key, &actor);
    let time = world.now().wall.as_millis();
    let twins = [1, 2].map(|it| edited(&document, &Value::Uint(it), time));
    let twins = twins.into_iter().flatten();
    twins.map(|it| group(&key, vec![it])).collect()
}

/// A change that would fit, but for its checksum.
fn corrupted(world: &World, host: usize, entropy: &mut Entropy) -> Vec<ChangeGroup> {
    let key = key(usize::try_from(entropy.below(3)).unwrap_or(0));
    let actor = ActorId::from_bytes(entropy.bytes::<16>().to_vec());
    let document = document(world, host, &key, &actor);
    let change = edited(&document, &Value::Uint(3), world.now().wall.as_millis());
    let corrupt = |it: Bytes| {
        let mut bytes = it.to_vec();
        let checksum = bytes.iter_mut().take(CHECKSUM_END).skip(CHECKSUM_AT);
        checksum.for_each(|it| *it = !*it);
        Bytes::from(bytes)
    };
    vec![group(&key, change.map(corrupt).into_iter().collect())]
}

/// A change that names an attachment which only the stranger has, its manifest, and those of all that the
/// hosts have.
fn false_blobs(world: &World, host: usize, entropy: &mut Entropy) -> Attack {
    let key = key(usize::try_from(entropy.below(3)).unwrap_or(0));
    let actor = ActorId::from_bytes(entropy.bytes::<16>().to_vec());
    let mut manifests: Vec<_> = Manifest::of(&entropy.bytes::<100>()).into_iter().collect();
    let names = manifests.first().map(|it| {
        let text = Attachment::new(it.id(), it.size()).to_string();
        let time = world.now().wall.as_millis();
        let document = document(world, host, &key, &actor);
        edited(&document, &Value::Str(text), time)
    });
    let change = names.flatten().into_iter().collect();
    manifests.extend((0..world.len()).flat_map(|it| world.manifests(it)));
    Attack::FalseBlobs(vec![group(&key, change)], manifests)
}

/// Changes whose parents nobody has.
fn orphans(entropy: &mut Entropy) -> Vec<ChangeGroup> {
    let key = key(0);
    let actor = ActorId::from_bytes(entropy.bytes::<16>().to_vec());
    let mut document = Document::new(&actor);
    let mut last = None;
    for value in 0..3 {
        let meta = EditMeta::at(WallTime::from_millis(1));
        let edit = document
            .edit::<_, crate::Error>(meta, |it| it.set(&["orphan".into()], &Value::Uint(value)));
        last = edit.ok().and_then(|it| it.1);
    }
    let record = RecordKey {
        record: RecordId::from_bytes(entropy.bytes()),
        ..key
    };
    let orphan = last.map(|it| it.bytes().clone());
    vec![group(&record, orphan.into_iter().collect())]
}

/// Real changes with something wrong in them, most with a checksum that is right again.
fn forged(world: &World, host: usize, entropy: &mut Entropy) -> Vec<ChangeGroup> {
    let key = key(usize::try_from(entropy.below(3)).unwrap_or(0));
    let changes = world.store(host).ok().and_then(|store| {
        let snapshot = store.snapshot().ok()?;
        documents::changes(&Rows::new(snapshot.as_ref()), &key).ok()
    });
    let changes = changes.unwrap_or_default();
    let mut forged = Vec::new();
    for _ in 0..4 {
        let count = u64::try_from(changes.len()).unwrap_or(0);
        let at = usize::try_from(entropy.below(count)).unwrap_or(0);
        let Some(bytes) = changes.get(at) else {
            continue;
        };
        if entropy.below(4) == 0 {
            forged.push(spoilt(bytes, entropy));
        } else if let Ok(change) = Change::verify(bytes.clone()) {
            forged.extend(forge::mutant(&change, entropy));
        }
    }
    vec![group(&key, forged)]
}

/// A change with one byte changed, and the checksum of before.
fn spoilt(change: &Bytes, entropy: &mut Entropy) -> Bytes {
    let mut bytes = change.to_vec();
    let length = u64::try_from(bytes.len()).unwrap_or(0);
    let at = usize::try_from(entropy.below(length)).unwrap_or(0);
    if let Some(place) = bytes.get_mut(at) {
        *place ^= 1 << entropy.below(8);
    }
    bytes.into()
}

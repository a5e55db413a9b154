//! Arbitrary messages for property tests: all that the types can say within the limits.

use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::{
    BlobChunk, BlobManifest, BlobState, BlobWant, ByeReason, ChangeGroup, Changes, Class,
    ErrorCode, Features, Hello, Message, Note, Open, Place, Presence, RefusedCode, Slot, Spot,
    Stamp, Standing, Walk, Want, WantRecord, Wanted, Word,
};
use crate::blob::Manifest;
use crate::id::{
    BlobId, ChangeHash, CollectionId, CorrelationId, Heads, Lsn, RecordId, ReplicaId, SpaceId,
    StoreId,
};
use crate::limits;
use crate::reconcile::{RangeKey, RangeKind, Summary, Upper, WalkCollection, WalkItem, WalkRange};

pub(super) fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        hello().prop_map(Message::Hello),
        vec(any::<u8>(), 64).prop_map(|bytes| Message::Auth {
            signature: bytes.try_into().expect("64 bytes"),
        }),
        open().prop_map(Message::Open),
        (space(), any::<u16>()).prop_map(|(space, code)| Message::Refused {
            space,
            code: RefusedCode::from_code(code),
        }),
        walk().prop_map(Message::Walk),
        want().prop_map(Message::Want),
        changes().prop_map(Message::Changes),
        (space(), lsn()).prop_map(|(space, lsn)| Message::Ack { space, lsn }),
        any::<(u64, u64)>().prop_map(|(live, bulk)| Message::Credit { live, bulk }),
        (space(), summary(), lsn()).prop_map(|(space, root, lsn)| Message::Root {
            space,
            root,
            lsn
        }),
        blob(),
        any::<u64>().prop_map(|token| Message::Ping { token }),
        any::<u64>().prop_map(|token| Message::Pong { token }),
        (any::<u16>(), ".{0,64}").prop_map(|(code, text)| Message::Bye {
            reason: ByeReason::from_code(code),
            text,
        }),
        (any::<u16>(), ".{0,64}").prop_map(|(code, text)| Message::Error {
            code: ErrorCode::from_code(code),
            text,
        }),
        presence().prop_map(Message::Presence),
    ]
}

fn presence() -> impl Strategy<Value = Presence> {
    let place = prop_oneof![
        Just(Place::Space),
        (name(), record()).prop_map(|(collection, record)| Place::Record(collection, record)),
    ];
    let topic = name().prop_map(|name| name.as_str().parse().expect("a topic"));
    let slot = (space(), place, topic).prop_map(|(space, place, topic)| Slot {
        space,
        place,
        topic,
    });
    let spot = (slot, any::<[u8; 32]>()).prop_map(|(slot, author)| Spot {
        slot,
        author: ReplicaId::from_bytes(author),
    });
    (spot, prop_oneof![Just(Word::Lost), said()]).prop_map(|(spot, word)| Presence { spot, word })
}

fn said() -> impl Strategy<Value = Word> {
    let stamp = (any::<u64>(), number()).prop_map(|(session, number)| Stamp { session, number });
    let ttl = u32::try_from(limits::PRESENCE_TTL_MAX.as_millis()).expect("it fits");
    let times = (0..=ttl).prop_flat_map(|ttl| (Just(ttl), ttl.min(1)..=ttl));
    let hops = 0..limits::PRESENCE_HOPS_MAX;
    let rest = (vec(any::<u8>(), 0..100), vec(any::<u8>(), 64));
    (hops, stamp, times, rest).prop_map(|(hops, stamp, (ttl_millis, left_millis), rest)| {
        let payload = if ttl_millis > 0 { rest.0 } else { Vec::new() };
        let note = Arc::new(Note {
            stamp,
            ttl_millis,
            payload: payload.into(),
            signature: rest.1.try_into().expect("64 bytes"),
        });
        Word::Said {
            hops,
            left_millis,
            note,
        }
    })
}

fn blob() -> impl Strategy<Value = Message> {
    let name = (space(), any::<[u8; 32]>().prop_map(BlobId::from_bytes));
    let ranges = vec((1..9_u32, 1..9_u32), 0..6);
    let content = vec(any::<u8>(), 1..40);
    (name, ranges, content, 0..6_u8).prop_map(|((space, blob), ranges, content, kind)| match kind {
        0 => {
            let mut end = 0;
            let chunks = ranges.into_iter().map(|(gap, count)| {
                let first = end + gap;
                end = first + count;
                (first, count)
            });
            let chunks = chunks.collect();
            Message::BlobWant(BlobWant {
                space,
                blob,
                chunks,
            })
        }
        1 => Message::BlobManifest(BlobManifest {
            space,
            blob,
            manifest: Manifest::of(&content).expect("small"),
        }),
        2 => Message::BlobChunk(BlobChunk {
            space,
            blob,
            index: content[0].into(),
            bytes: content.into(),
        }),
        kind => {
            let all = [Standing::Absent, Standing::Held, Standing::Unwanted];
            let standing = all[usize::from(kind) % 3];
            Message::BlobState(BlobState {
                space,
                blob,
                standing,
            })
        }
    })
}

fn space() -> impl Strategy<Value = SpaceId> {
    any::<[u8; 16]>().prop_map(SpaceId::from_bytes)
}

fn record() -> impl Strategy<Value = RecordId> {
    any::<[u8; 16]>().prop_map(RecordId::from_bytes)
}

fn lsn() -> impl Strategy<Value = Lsn> {
    number().prop_map(Lsn)
}

/// Numbers of all lengths, not only long ones.
fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift)
}

fn summary() -> impl Strategy<Value = Summary> {
    (number(), any::<[u8; 16]>()).prop_map(|(count, sum)| Summary { count, sum })
}

fn name() -> impl Strategy<Value = CollectionId> {
    "[a-c][a-z0-9._-]{0,2}".prop_map(|name| name.parse().expect("a name"))
}

fn hashes() -> impl Strategy<Value = Vec<ChangeHash>> {
    vec(any::<[u8; 32]>().prop_map(ChangeHash::from_bytes), 0..4)
}

fn hello() -> impl Strategy<Value = Hello> {
    let who = any::<([u8; 32], [u8; 16], [u8; 32])>();
    let limits = (limits::PEER_FRAME_BYTES_MIN.., any::<(u64, u64)>());
    (any::<(u16, u16, u64)>(), who, limits, "[ -~]{0,64}").prop_map(
        |((one, two, features), (replica, store, nonce), (frame_bytes_max, credit), agent)| Hello {
            version_min: one.min(two),
            version_max: one.max(two),
            features: Features(features),
            replica: ReplicaId::from_bytes(replica),
            store: StoreId::from_bytes(store),
            nonce,
            frame_bytes_max,
            credit_live: credit.0,
            credit_bulk: credit.1,
            agent,
        },
    )
}

fn open() -> impl Strategy<Value = Open> {
    let want = prop_oneof![
        Just(Wanted::All),
        btree_set(name(), 0..4).prop_map(Wanted::Only)
    ];
    let ends = (lsn(), lsn(), any::<bool>());
    (space(), want, summary(), ends).prop_map(|(space, want, root, (lsn, acked, resume))| Open {
        space,
        want,
        root,
        lsn,
        acked,
        resume,
    })
}

fn want() -> impl Strategy<Value = Want> {
    let record = (name(), record(), hashes(), hashes());
    let record = record.prop_map(|(collection, record, have, older)| WantRecord {
        collection,
        record,
        have,
        older,
    });
    (space(), vec(record, 0..6)).prop_map(|(space, records)| Want { space, records })
}

fn changes() -> impl Strategy<Value = Changes> {
    let class = prop_oneof![Just(Class::Live), Just(Class::Bulk)];
    let change = vec(any::<u8>(), 1..200).prop_map(Bytes::from);
    let sent = (any::<u64>(), any::<bool>(), vec(change, 0..5));
    let group =
        (name(), record(), sent).prop_map(|(collection, record, (correlation, done, changes))| {
            ChangeGroup {
                collection,
                record,
                correlation: CorrelationId(correlation),
                done: done || changes.is_empty(),
                changes,
            }
        });
    (space(), class, lsn(), vec(group, 0..8)).prop_map(|(space, class, upto, groups)| Changes {
        space,
        class,
        upto,
        groups,
    })
}

fn walk() -> impl Strategy<Value = Walk> {
    let collections = proptest::collection::btree_map(name(), ranges(), 0..4);
    (space(), number(), any::<u32>(), collections).prop_map(|(space, id, round, collections)| {
        let collections = collections.into_iter();
        let collections =
            collections.map(|(collection, ranges)| WalkCollection { collection, ranges });
        Walk {
            space,
            id,
            round,
            collections: collections.collect(),
        }
    })
}

/// A key whose time and record are often small or alike, as those of neighbours are.
fn key() -> impl Strategy<Value = RangeKey> {
    let trimmed = (any::<[u8; 16]>(), 0..17_usize).prop_map(|(mut bytes, kept)| {
        bytes[kept..].fill(0);
        RecordId::from_bytes(bytes)
    });
    (number(), trimmed).prop_map(|(time, record)| RangeKey { time, record })
}

/// Keys in order; some end ranges, those between are the items of the range or go into its sum.
fn ranges() -> impl Strategy<Value = Vec<WalkRange>> {
    let keys = btree_set(key(), 1..24);
    let draws = vec((0..5_u8, summary(), hashes()), 24);
    (keys, draws, any::<bool>()).prop_map(|(keys, draws, to_the_end)| {
        let mut ranges = Vec::new();
        let mut items = Vec::new();
        for (key, (draw, summary, heads)) in keys.into_iter().zip(draws) {
            let ends = draw < 4 && key > RangeKey::START;
            if ends {
                let items = std::mem::take(&mut items);
                let upper = Upper::Key(key);
                let kind = kind(draw, summary, items);
                ranges.push(WalkRange { upper, kind });
            }
            items.push(WalkItem {
                time: key.time,
                record: key.record,
                heads: heads.into_iter().collect::<Heads>(),
            });
        }
        if to_the_end || ranges.is_empty() {
            ranges.push(WalkRange {
                upper: Upper::End,
                kind: RangeKind::Items(items),
            });
        }
        ranges
    })
}

fn kind(draw: u8, summary: Summary, items: Vec<WalkItem>) -> RangeKind {
    match draw {
        0 => RangeKind::Skip,
        1 => RangeKind::Summary(summary),
        2 => RangeKind::Later,
        _ => RangeKind::Items(items),
    }
}

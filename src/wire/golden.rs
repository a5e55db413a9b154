//! Fixed frames: the bytes of every message. They hold for as long as version 1 is spoken.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    ByeReason, ChangeGroup, Changes, Class, ErrorCode, Features, Hello, Message, Note, Open, Place,
    Presence, RefusedCode, Slot, Spot, Stamp, Walk, Want, WantRecord, Wanted, Word, decode, encode,
    pack_tests,
};
use crate::id::{
    ChangeHash, CollectionId, CorrelationId, Lsn, RecordId, ReplicaId, SpaceId, StoreId,
};
use crate::limits;
use crate::reconcile::{RangeKey, RangeKind, Summary, Upper, WalkCollection, WalkItem, WalkRange};

const SPACE: SpaceId = SpaceId::from_bytes([0x5a; 16]);
const RECORD: RecordId = RecordId::from_bytes([0xcc; 16]);
const HASH: ChangeHash = ChangeHash::from_bytes([0xab; 32]);
const OTHER: ChangeHash = ChangeHash::from_bytes([0xcd; 32]);
const ROOT: Summary = Summary {
    count: 300,
    sum: [0x77; 16],
};

fn name(name: &str) -> CollectionId {
    name.parse().expect("a name")
}

fn hello() -> Message {
    Message::Hello(Hello {
        version_min: 1,
        version_max: 2,
        features: Features(0x0000_0001_0000_0002),
        replica: ReplicaId::from_bytes([0x11; 32]),
        store: StoreId::from_bytes([0x22; 16]),
        nonce: [0x33; 32],
        frame_bytes_max: 16 * 1024 * 1024,
        credit_live: 4 * 1024 * 1024,
        credit_bulk: 8 * 1024 * 1024,
        agent: "syncline 0.1".to_owned(),
    })
}

fn open(want: Wanted) -> Message {
    Message::Open(Open {
        space: SPACE,
        want,
        root: ROOT,
        lsn: Lsn(1_000),
        acked: Lsn(127),
        resume: true,
    })
}

fn walk() -> Message {
    let mut prefix = [0; 16];
    prefix[..2].copy_from_slice(&[0xcc, 0x01]);
    let bound = RangeKey {
        time: 1_700_000_000,
        record: RecordId::from_bytes(prefix),
    };
    let item = WalkItem {
        time: 1_700_000_100,
        record: RECORD,
        heads: [OTHER, HASH].into_iter().collect(),
    };
    let whole = RangeKey {
        time: 1_700_000_200,
        record: RecordId::from_bytes([0; 16]),
    };
    let range = |upper, kind| WalkRange { upper, kind };
    Message::Walk(Walk {
        space: SPACE,
        id: 5,
        round: 1,
        collections: vec![
            WalkCollection {
                collection: name("notes"),
                ranges: vec![
                    range(Upper::Key(bound), RangeKind::Skip),
                    range(Upper::Key(whole), RangeKind::Items(vec![item])),
                    range(Upper::End, RangeKind::Summary(ROOT)),
                ],
            },
            WalkCollection {
                collection: name("tasks"),
                ranges: vec![range(Upper::End, RangeKind::Items(Vec::new()))],
            },
        ],
    })
}

fn want() -> Message {
    let want = |collection: &str, have: &[ChangeHash]| WantRecord {
        collection: name(collection),
        record: RECORD,
        have: have.iter().take(1).copied().collect(),
        older: have.iter().skip(1).copied().collect(),
    };
    Message::Want(Want {
        space: SPACE,
        records: vec![want("tasks", &[]), want("notes", &[HASH, OTHER])],
    })
}

fn changes() -> Message {
    let group = |collection: &str, correlation, changes: &[&'static [u8]]| ChangeGroup {
        collection: name(collection),
        record: RECORD,
        correlation: CorrelationId(correlation),
        done: changes.len() != 1,
        changes: changes
            .iter()
            .map(|bytes| Bytes::from_static(bytes))
            .collect(),
    };
    Message::Changes(Changes {
        space: SPACE,
        class: Class::Bulk,
        upto: Lsn(1_000),
        groups: vec![
            group("tasks", 0, &[b"first", b"second"]),
            group("notes", 0x0102_0304_0506_0708, &[b"third"]),
            group("tasks", 0, &[b"fourth"]),
            group("notes", 0, &[]),
        ],
    })
}

/// Two changes of one author, the second after the first.
fn typed() -> Message {
    let first = pack_tests::chunk(&[[0xab; 32]], &[0x66; 16], (5, 50), b"rest");
    let parent = pack_tests::hash_of(&first);
    let second = pack_tests::chunk(&[parent], &[0x66; 16], (6, 52), b"more");
    Message::Changes(Changes {
        space: SPACE,
        class: Class::Live,
        upto: Lsn(9),
        groups: vec![ChangeGroup {
            collection: name("notes"),
            record: RECORD,
            correlation: CorrelationId(0),
            done: false,
            changes: vec![first, second],
        }],
    })
}

fn spot(place: Place) -> Spot {
    let topic = "cursor".parse().expect("a topic");
    Spot {
        slot: Slot {
            space: SPACE,
            place,
            topic,
        },
        author: ReplicaId::from_bytes([0x11; 32]),
    }
}

fn presence(left_millis: u32, payload: &'static [u8]) -> Message {
    let note = Note {
        stamp: Stamp {
            session: 1_700_000_000_000,
            number: 300,
        },
        ttl_millis: if left_millis > 0 { 30_000 } else { 0 },
        payload: Bytes::from_static(payload),
        signature: [0x44; 64],
    };
    Message::Presence(Presence {
        spot: spot(Place::Record(name("notes"), RECORD)),
        word: Word::Said {
            hops: 2,
            left_millis,
            note: Arc::new(note),
        },
    })
}

fn lost() -> Message {
    Message::Presence(Presence {
        spot: spot(Place::Space),
        word: Word::Lost,
    })
}

/// Each frame's name, message and bytes; all with the correlation id 0x1122334455667788.
fn vectors() -> Vec<(&'static str, Message, &'static str)> {
    let space = SPACE;
    let some = Wanted::Only([name("tasks"), name("notes")].into());
    let text = |text: &str| text.to_owned();
    let (root, lsn) = (ROOT, Lsn(1_000));
    let code = RefusedCode::UnknownSpace;
    let refused = Message::Refused { space, code };
    let credit = Message::Credit {
        live: 65_536,
        bulk: 0,
    };
    let bye = Message::Bye {
        reason: ByeReason::Shutdown,
        text: text("see you"),
    };
    let error = Message::Error {
        code: ErrorCode::NotAllowed,
        text: text("not here"),
    };
    let auth = Message::Auth {
        signature: [0x44; 64],
    };
    vec![
        ("hello", hello(), HELLO),
        ("auth", auth, AUTH),
        ("open, all", open(Wanted::All), OPEN_ALL),
        ("open, some", open(some), OPEN_SOME),
        ("refused", refused, REFUSED),
        ("walk", walk(), WALK),
        ("want", want(), WANT),
        ("changes", changes(), CHANGES),
        ("changes, shortened", typed(), TYPED),
        ("ack", Message::Ack { space, lsn }, ACK),
        ("credit", credit, CREDIT),
        ("root", Message::Root { space, root, lsn }, ROOT_FRAME),
        ("ping", Message::Ping { token: 7 }, PING),
        ("pong", Message::Pong { token: 7 }, PONG),
        ("bye", bye, BYE),
        ("error", error, ERROR),
        ("presence", presence(20_000, b"{\"at\":5}"), PRESENCE),
        ("presence, taken back", presence(0, b""), TAKEN_BACK),
        ("presence, lost", lost(), LOST),
    ]
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes all");
    }
    text
}

fn bytes(hex: &str) -> Bytes {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).expect("hex");
    let byte = |pair: &[u8]| u8::try_from(digit(&pair[0]) * 16 + digit(&pair[1])).expect("hex");
    hex.as_bytes().chunks_exact(2).map(byte).collect()
}

#[test]
fn every_message_has_the_bytes_that_it_always_had() {
    let correlation = CorrelationId(0x1122_3344_5566_7788);
    let mut wrong = Vec::new();
    for (name, message, vector) in vectors() {
        let encoded = hex(&encode(correlation, &message));
        if encoded != vector {
            wrong.push(format!("{name}: {encoded}"));
            continue;
        }
        let frame = decode(&bytes(vector), limits::FRAME_BYTES_MAX).expect(name);
        assert_eq!((frame.correlation, frame.message), (correlation, message));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_compressed_frame_of_an_earlier_zstd_still_reads() {
    let change = Bytes::from_static(&[0x61; 1_000]);
    let frame = decode(&bytes(COMPRESSED), limits::FRAME_BYTES_MAX).expect("a frame");
    let Message::Changes(changes) = frame.message else {
        panic!("not changes");
    };
    assert_eq!(changes.groups[0].changes, [change]);
}

#[test]
fn the_specification_shows_every_vector() {
    let spec: String = include_str!("../../docs/protocol.md")
        .split_whitespace()
        .collect();
    for (name, _, vector) in vectors() {
        assert!(spec.contains(vector), "docs/protocol.md lacks '{name}'");
    }
    assert!(
        spec.contains(COMPRESSED),
        "docs/protocol.md lacks 'compressed'"
    );
}

#[test]
fn the_specification_lists_every_code() {
    let spec = include_str!("../../docs/protocol.md");
    let errors = ErrorCode::ALL.iter();
    let errors = errors.map(|it| (format!("{:#06x}", it.code()), it.name()));
    let byes = ByeReason::ALL
        .iter()
        .map(|it| (it.code().to_string(), it.name()));
    let refusals = RefusedCode::ALL
        .iter()
        .map(|it| (it.code().to_string(), it.name()));
    for (code, name) in errors.chain(byes).chain(refusals) {
        let row = format!("| {code} | `{name}` |");
        assert!(spec.contains(&row), "docs/protocol.md lacks '{row}'");
    }
}

const HELLO: &str = "0100112233445566778853594e43000100020000000100000002111111111111111111111111111111111111\
    1111111111111111111111111111222222222222222222222222222222223333333333333333333333333333\
    33333333333333333333333333333333333301000000000000000040000000000000008000000c73796e636c\
    696e6520302e3100";
const AUTH: &str = "0200112233445566778844444444444444444444444444444444444444444444444444444444444444444444\
    444444444444444444444444444444444444444444444444444444444444";
const OPEN_ALL: &str = "030011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a00ac02777777777777777777777777777777\
    77e8077f0100";
const OPEN_SOME: &str = "030011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a0102056e6f746573057461736b73ac027777\
    7777777777777777777777777777e8077f0100";
const REFUSED: &str = "040011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a0001";
const WALK: &str = "050011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a050102056e6f746573030c80e2cfaa06cc01\
    06c8010164cccccccccccccccccccccccccccccccc02abababababababababababababababababababababab\
    ababababababababababcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd01ac\
    0277777777777777777777777777777777057461736b73010200";
const WANT: &str = "060011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a02057461736b73056e6f7465730200cccccc\
    cccccccccccccccccccccccccc000001cccccccccccccccccccccccccccccccc01ababababababababababab\
    ababababababababababababababababababababab01cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd\
    cdcdcdcdcdcdcdcdcdcd";
const TYPED: &str = "070011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a000901056e6f7465730100cccccc\
    cccccccccccccccccccccccccc00000000000000000002000001abababababababababababababab\
    abababababababababababababababababab10666666666666666666666666666666660532047265\
    737400030102046d6f7265";
const CHANGES: &str = "070011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a01e80702057461736b\
    73056e6f7465730400cccccccccccccccccccccccccccccccc00000000000000000102056669727374067365\
    636f6e6401cccccccccccccccccccccccccccccccc0102030405060708000105746869726400cccccccccccc\
    cccccccccccccccccccc0000000000000000000106666f7572746801cccccccccccccccccccccccccccccccc\
    00000000000000000100";
const ACK: &str = "080011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5ae807";
const CREDIT: &str = "0900112233445566778880800400";
const ROOT_FRAME: &str = "0a0011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5aac0277777777777777777777777777777777\
    e807";
const PING: &str = "0b0011223344556677880000000000000007";
const PONG: &str = "0c0011223344556677880000000000000007";
const BYE: &str = "0d00112233445566778800010773656520796f7500";
const ERROR: &str = "0e0011223344556677888005086e6f74206865726500";
const PRESENCE: &str = "810011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a01056e6f746573cccccccccccccccccc\
    cccccccccccccc06637572736f7211111111111111111111111111111111111111111111111111111111\
    1111111101020000018bcfe56800ac02b0ea01a09c01087b226174223a357d4444444444444444444444\
    444444444444444444444444444444444444444444444444444444444444444444444444444444444444\
    4444444444444444444444";
const TAKEN_BACK: &str = "810011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a01056e6f746573cccccccccccccccccc\
    cccccccccccccc06637572736f7211111111111111111111111111111111111111111111111111111111\
    1111111101020000018bcfe56800ac020044444444444444444444444444444444444444444444444444\
    444444444444444444444444444444444444444444444444444444444444444444444444444444";
const LOST: &str = "810011223344556677885a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a0006637572736f721111111111111111\
    11111111111111111111111111111111111111111111111100";
const COMPRESSED: &str = "070111223344556677889f0828b52ffd601f03f50000985a5a000901056e6f74657301\
    00cc0001e80761041000e42b11b74b3216";

//! What hostile frames must not do: every bound has a test here.

use bytes::Bytes;

use super::{
    ChangeGroup, Changes, Class, ErrorCode, Features, HEADER_BYTES, Hello, Message, Open,
    VERSION_MAX, VERSION_MIN, Want, WantRecord, Wanted, WireError, declared_bytes, decode, encode,
    seal,
};
use crate::codec::Writer;
use crate::entropy::Entropy;
use crate::id::{
    ChangeHash, CollectionId, CorrelationId, Lsn, RecordId, ReplicaId, SpaceId, StoreId,
};
use crate::limits;
use crate::reconcile::Summary;

const MAX: usize = limits::FRAME_BYTES_MAX;
pub(super) const SPACE: SpaceId = SpaceId::from_bytes([1; 16]);

/// The code under which `message` is refused, if it is.
pub(super) fn verdict(message: &Message) -> Option<ErrorCode> {
    let frame = encode(CorrelationId(1), message).into();
    decode(&frame, MAX).err().map(|error| error.code())
}

/// As [`verdict`], for a message that `make` makes of a count: good at the limit, refused above.
pub(super) fn assert_limit(limit: usize, make: impl Fn(usize) -> Message) {
    assert_eq!(verdict(&make(limit)), None);
    assert_eq!(verdict(&make(limit + 1)), Some(ErrorCode::OverLimit));
}

pub(super) fn name(number: usize) -> CollectionId {
    format!("c{number:06}").parse().expect("a name")
}

pub(super) fn record(number: usize) -> RecordId {
    let number = u128::try_from(number).expect("small");
    RecordId::from_bytes(number.to_be_bytes())
}

pub(super) fn hashes(count: usize) -> Vec<ChangeHash> {
    let mut entropy = Entropy::from_number(1);
    let mut hash = || ChangeHash::from_bytes(entropy.bytes());
    (0..count).map(|_| hash()).collect()
}

fn group(number: usize, changes: Vec<Bytes>) -> ChangeGroup {
    ChangeGroup {
        collection: name(number),
        record: record(number),
        correlation: CorrelationId(0),
        done: false,
        changes,
    }
}

fn changes(groups: Vec<ChangeGroup>) -> Message {
    Message::Changes(Changes {
        space: SPACE,
        class: Class::Bulk,
        upto: Lsn(0),
        groups,
    })
}

fn tiny(count: usize) -> Vec<Bytes> {
    vec![Bytes::from_static(b"c"); count]
}

fn want(records: usize, have: usize) -> Message {
    let record = |number| WantRecord {
        collection: name(number),
        record: record(number),
        have: hashes(have),
        older: Vec::new(),
    };
    Message::Want(Want {
        space: SPACE,
        records: (0..records).map(record).collect(),
    })
}

fn hello() -> Hello {
    Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        features: Features::default(),
        replica: ReplicaId::from_bytes([1; 32]),
        store: StoreId::from_bytes([2; 16]),
        nonce: [3; 32],
        frame_bytes_max: limits::PEER_FRAME_BYTES_MIN,
        credit_live: 1,
        credit_bulk: 2,
        agent: String::new(),
    }
}

/// A frame of type `kind` with a body of `write`'s making.
pub(super) fn frame(kind: u8, write: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::new();
    writer.u8(kind).u8(0).u64(1);
    write(&mut writer);
    writer.finish().into()
}

pub(super) fn code_of(frame: &Bytes) -> Option<ErrorCode> {
    decode(frame, MAX).err().map(|error| error.code())
}

#[test]
fn a_frame_over_the_limit_of_the_moment_is_refused() {
    let frame = Bytes::from(encode(CorrelationId(1), &Message::Hello(hello())));
    assert!(decode(&frame, frame.len()).is_ok());
    let max = frame.len() - 1;
    let bytes = frame.len();
    assert_eq!(decode(&frame, max), Err(WireError::TooLarge { bytes, max }));
}

#[test]
fn a_count_over_its_limit_is_refused() {
    assert_limit(limits::COLLECTIONS_PER_OPEN_MAX, |count| {
        Message::Open(Open {
            space: SPACE,
            want: Wanted::Only((0..count).map(name).collect()),
            root: Summary::default(),
            lsn: Lsn(0),
            acked: Lsn(0),
            resume: false,
        })
    });
    assert_limit(limits::GROUPS_PER_FRAME_MAX, |count| {
        changes((0..count).map(|number| group(number, tiny(1))).collect())
    });
    assert_limit(limits::CHANGES_PER_GROUP_MAX, |count| {
        changes(vec![group(0, tiny(count))])
    });
    assert_limit(limits::CHANGES_PER_FRAME_MAX - 10, |count| {
        changes(vec![group(0, tiny(10)), group(1, tiny(count))])
    });
    assert_limit(limits::CHANGE_BYTES_MAX, |count| {
        changes(vec![group(0, vec![vec![0; count].into()])])
    });
    assert_limit(limits::WANT_RECORDS_MAX, |count| want(count, 0));
    assert_limit(limits::WANT_HASHES_MAX, |count| want(1, count));
}

#[test]
fn a_text_over_its_limit_is_refused() {
    let error = |bytes| {
        frame(0x0e, |it| {
            it.u16(1).text(&"a".repeat(bytes)).count(0);
        })
    };
    assert_eq!(code_of(&error(limits::REASON_BYTES_MAX)), None);
    let over = error(limits::REASON_BYTES_MAX + 1);
    assert_eq!(code_of(&over), Some(ErrorCode::OverLimit));

    let mut agent = encode(CorrelationId(1), &Message::Hello(hello()));
    agent.truncate(agent.len() - 2);
    let with = |bytes: usize| {
        let mut writer = Writer::new();
        writer.raw(&agent).text(&"a".repeat(bytes)).count(0);
        Bytes::from(writer.finish())
    };
    assert_eq!(code_of(&with(limits::AGENT_BYTES_MAX)), None);
    let over = with(limits::AGENT_BYTES_MAX + 1);
    assert_eq!(code_of(&over), Some(ErrorCode::OverLimit));

    let named = |name: &str| {
        frame(0x06, |it| {
            it.raw(SPACE.as_bytes()).count(1).text(name).count(1);
            it.count(0).raw(&[0; 16]).count(0).count(0);
        })
    };
    let longest = "a".repeat(limits::COLLECTION_NAME_BYTES_MAX);
    assert_eq!(code_of(&named(&longest)), None);
    let over = named(&(longest + "a"));
    assert_eq!(code_of(&over), Some(ErrorCode::OverLimit));
    assert_eq!(code_of(&named("Not A Name")), Some(ErrorCode::Malformed));
}

#[test]
fn added_fields_over_their_limits_or_out_of_order_are_refused() {
    let bye = |fields: &[(u64, usize)]| {
        frame(0x0d, |it| {
            it.u16(1).text("").count(fields.len());
            for (tag, bytes) in fields {
                it.varint(*tag).bytes(&vec![0; *bytes]);
            }
        })
    };
    let many = |count| (0..count).map(|tag| (tag, 0)).collect::<Vec<_>>();
    let over = Some(ErrorCode::OverLimit);
    assert_eq!(code_of(&bye(&many(16))), None);
    assert_eq!(code_of(&bye(&many(17))), over);
    assert_eq!(code_of(&bye(&[(1, limits::EXTENSION_BYTES_MAX)])), None);
    assert_eq!(code_of(&bye(&[(1, limits::EXTENSION_BYTES_MAX + 1)])), over);
    let malformed = Some(ErrorCode::Malformed);
    assert_eq!(code_of(&bye(&[(2, 0), (1, 0)])), malformed);
    assert_eq!(code_of(&bye(&[(1, 0), (1, 0)])), malformed);
}

#[test]
fn a_body_that_declares_too_much_is_refused_before_memory_is_taken() {
    let compressed = |declared: usize, packed: &[u8]| {
        let mut writer = Writer::new();
        writer.u8(0x07).u8(1).u64(1).count(declared).raw(packed);
        Bytes::from(writer.finish())
    };
    // 16 MiB of zeros in half a kilobyte.
    let bomb = zstd::bulk::compress(&vec![0; MAX], 3).expect("compressed");
    assert!(bomb.len() < 2_000);
    let refused = |frame: &Bytes, limit| decode(frame, limit).expect_err("refused").code();

    for declared in [MAX, MAX * 2, usize::MAX] {
        let frame = compressed(declared, &bomb);
        assert_eq!(refused(&frame, MAX), ErrorCode::OverLimit);
    }
    let small = limits::HANDSHAKE_FRAME_BYTES_MAX;
    assert_eq!(
        refused(&compressed(small, &bomb), small),
        ErrorCode::OverLimit
    );
    // What it declares is all that it gets.
    for declared in [0, 1, 1_000] {
        let error = decode(&compressed(declared, &bomb), MAX);
        let message = "changes";
        assert_eq!(error, Err(WireError::Compression { message, declared }));
    }
}

#[test]
fn a_frame_says_what_it_becomes_before_it_is_decompressed() {
    let large = encode(CorrelationId(1), &want(1_000, 10));
    let sealed = seal(large.clone());
    assert!(sealed.len() < large.len() / 10);
    assert_eq!(declared_bytes(&sealed), large.len());
    assert_eq!(declared_bytes(&large), large.len());
    for odd in [&sealed[..5], &sealed[..HEADER_BYTES], &[]] {
        assert_eq!(declared_bytes(odd), odd.len().max(HEADER_BYTES));
    }
    let mut endless = sealed[..HEADER_BYTES].to_vec();
    endless.extend([0xff; 9]);
    assert!(declared_bytes(&endless) < 100);
}

#[test]
fn a_body_that_does_not_decompress_to_what_it_declares_is_refused() {
    let text = Bytes::from("all work and no play ".repeat(100));
    let plain = encode(CorrelationId(1), &changes(vec![group(0, vec![text])]));
    let sealed = seal(plain.clone());
    let body = plain.len() - HEADER_BYTES;
    let (head, packed) = sealed.split_at(12);
    let mut length = Writer::new();
    length.count(body);
    assert_eq!(length.finish(), head[10..]);
    for declared in [0, body - 1, body + 1, MAX - HEADER_BYTES] {
        let mut writer = Writer::new();
        writer.raw(&head[..10]).count(declared).raw(packed);
        let message = "changes";
        let error = decode(&writer.finish().into(), MAX);
        assert_eq!(error, Err(WireError::Compression { message, declared }));
    }
    let nothing = zstd::bulk::compress(&[], 1).expect("compressed");
    let mut writer = Writer::new();
    writer.raw(&sealed).raw(&nothing);
    let (message, declared) = ("changes", body);
    let error = decode(&writer.finish().into(), MAX);
    assert_eq!(error, Err(WireError::Compression { message, declared }));
}

#[test]
fn unknown_flags_and_compressed_handshakes_are_refused() {
    for flags in [2, 4, 0x80, 0xff] {
        let mut ping = encode(CorrelationId(1), &Message::Ping { token: 1 });
        ping[1] = flags;
        assert_eq!(code_of(&ping.into()), Some(ErrorCode::Malformed));
    }
    let auth = Message::Auth { signature: [0; 64] };
    for message in [Message::Hello(hello()), auth] {
        let plain = encode(CorrelationId(1), &message);
        let packed = zstd::bulk::compress(&plain[10..], 3).expect("compressed");
        let mut writer = Writer::new();
        writer.u8(plain[0]).u8(1).u64(1);
        writer.count(plain.len() - 10).raw(&packed);
        let error = code_of(&writer.finish().into());
        assert_eq!(error, Some(ErrorCode::Malformed));
    }
}

#[test]
fn unknown_messages_are_skipped_if_they_say_so_and_refused_if_not() {
    for kind in [0x80, 0xc3, 0xff] {
        let optional = frame(kind, |it| {
            it.raw(b"anything");
        });
        let message = decode(&optional, MAX).expect("a frame").message;
        assert_eq!(message, Message::Unknown { kind });
        // It could not be sent on as something else.
        assert_eq!(message.kind(), kind);
        assert_eq!(Message::Unknown { kind: 1 }.kind(), 0x81);
    }
    for kind in [0x00, 0x0f, 0x7f] {
        let mandatory = frame(kind, |_| {});
        let error = decode(&mandatory, MAX);
        assert_eq!(error, Err(WireError::UnknownMessage { kind }));
    }
}

#[test]
fn a_hello_that_makes_no_sense_is_refused() {
    let check = |hello: Hello| verdict(&Message::Hello(hello));
    assert_eq!(check(hello()), None);
    let versions = Hello {
        version_min: 2,
        version_max: 1,
        ..hello()
    };
    let frames = Hello {
        frame_bytes_max: limits::PEER_FRAME_BYTES_MIN - 1,
        ..hello()
    };
    assert_eq!(check(versions), Some(ErrorCode::Malformed));
    assert_eq!(check(frames), Some(ErrorCode::Malformed));
    let mut magic = encode(CorrelationId(1), &Message::Hello(hello()));
    magic[10] = b'X';
    assert_eq!(code_of(&magic.into()), Some(ErrorCode::Malformed));
}

#[test]
fn groups_without_changes_that_complete_nothing_and_empty_changes_are_refused() {
    let malformed = Some(ErrorCode::Malformed);
    assert_eq!(verdict(&changes(vec![])), None);
    assert_eq!(verdict(&changes(vec![group(0, vec![])])), malformed);
    let completing = ChangeGroup {
        done: true,
        ..group(0, vec![])
    };
    assert_eq!(verdict(&changes(vec![completing])), None);
    let done = |byte| {
        frame(0x07, |it| {
            it.raw(SPACE.as_bytes()).u8(0).count(0).count(1).text("a");
            it.count(1).count(0).raw(&[0; 16]).u64(0).u8(byte);
            it.count(1).bytes(b"change");
        })
    };
    assert_eq!(code_of(&done(0)), None);
    assert_eq!(code_of(&done(1)), None);
    assert_eq!(code_of(&done(2)), malformed);
    assert_eq!(
        verdict(&changes(vec![group(0, vec![Bytes::new()])])),
        malformed
    );
}

#[test]
fn a_name_table_in_another_order_or_with_more_than_is_used_is_refused() {
    let want = |names: &[&str], uses: &[usize]| {
        let frame = frame(0x06, |it| {
            it.raw(SPACE.as_bytes()).count(names.len());
            for name in names {
                it.text(name);
            }
            it.count(uses.len());
            for at in uses {
                it.count(*at).raw(&[0; 16]).count(0).count(0);
            }
        });
        code_of(&frame)
    };
    assert_eq!(want(&["b", "a"], &[0, 1, 0]), None);
    let malformed = Some(ErrorCode::Malformed);
    assert_eq!(want(&["b", "a"], &[0, 0]), malformed);
    assert_eq!(want(&["b", "b"], &[0, 1]), malformed);
    assert_eq!(want(&["b"], &[0, 1]), malformed);
    // An index past the next new one is over what it may be.
    assert_eq!(want(&["b", "a"], &[1, 0]), Some(ErrorCode::OverLimit));

    let changes = |names: &[&str]| {
        let frame = frame(0x07, |it| {
            it.raw(SPACE.as_bytes()).u8(0).count(0).count(names.len());
            for name in names {
                it.text(name);
            }
            it.count(1).count(0).raw(&[0; 16]).u64(0).u8(0);
            it.count(1).bytes(b"change");
        });
        code_of(&frame)
    };
    assert_eq!(changes(&["b"]), None);
    assert_eq!(changes(&["b", "a"]), malformed);
}

#[test]
fn a_count_far_beyond_the_frame_takes_no_memory() {
    // Each claims the most that its limit allows and brings nothing.
    let head = |it: &mut Writer| {
        it.raw(SPACE.as_bytes());
    };
    let want = frame(0x06, |it| {
        head(it);
        it.count(limits::WANT_RECORDS_MAX);
    });
    let walk = frame(0x05, |it| {
        head(it);
        it.count(1).count(0).count(limits::WALK_RANGES_MAX);
    });
    let changes = frame(0x07, |it| {
        head(it);
        it.u8(0).count(0).count(limits::GROUPS_PER_FRAME_MAX);
    });
    for short in [want, walk, changes] {
        let error = decode(&short, MAX).expect_err("cut off");
        let truncated = matches!(
            error,
            WireError::Malformed {
                malformed: crate::codec::Malformed {
                    problem: crate::codec::Problem::Truncated { .. },
                    ..
                },
                ..
            }
        );
        assert!(truncated, "{error}");
    }
}

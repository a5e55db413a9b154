//! Tests of the codec: what goes in comes out, one message has one encoding, versions get along.

use bytes::Bytes;
use proptest::prelude::*;

use super::arbitrary::message;
use super::{
    Agreed, ByeReason, ChangeGroup, Changes, Class, ErrorCode, Features, Hello, Message,
    RefusedCode, VERSION_MAX, VERSION_MIN, decode, encode, seal,
};
use crate::id::{CorrelationId, Lsn, RecordId, ReplicaId, SpaceId, StoreId};
use crate::limits;

const MAX: usize = limits::FRAME_BYTES_MAX;

fn read(frame: Vec<u8>) -> Result<Message, super::WireError> {
    decode(&frame.into(), MAX).map(|frame| frame.message)
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
        agent: "test".to_owned(),
    }
}

fn changes(changes: &[Bytes]) -> Message {
    Message::Changes(Changes {
        space: SpaceId::from_bytes([1; 16]),
        class: Class::Live,
        upto: Lsn(3),
        groups: vec![ChangeGroup {
            collection: "notes".parse().expect("a name"),
            record: RecordId::from_bytes([2; 16]),
            correlation: CorrelationId(4),
            done: false,
            changes: changes.to_vec(),
        }],
    })
}

/// Whether later versions may add fields to messages of this type.
fn is_extensible(message: &Message) -> bool {
    ["hello", "open", "bye", "error"].contains(&message.kind_name())
}

/// What decodes must be the one encoding of what it decodes to, fields of later versions aside.
fn assert_canonical(frame: &[u8], message: &Message) {
    let correlation = frame[2..10].try_into().expect("eight bytes");
    let again = encode(CorrelationId(u64::from_be_bytes(correlation)), message);
    let (_, fields) = again.split_last().expect("not empty");
    let extended = is_extensible(message) && frame.starts_with(fields);
    let unknown = matches!(message, Message::Unknown { .. });
    assert!(again == frame || extended || unknown, "{message:?}");
}

proptest! {
    #[test]
    fn a_message_reads_back_as_written(message in message(), correlation: u64) {
        let correlation = CorrelationId(correlation);
        let frame = encode(correlation, &message);
        let sealed = seal(frame.clone());
        prop_assert!(sealed.len() <= frame.len());
        prop_assert_eq!(&seal(sealed.clone()), &sealed);
        for frame in [frame, sealed] {
            let frame = decode(&frame.into(), MAX).expect("a frame");
            prop_assert_eq!(&frame.message, &message);
            prop_assert_eq!(frame.correlation, correlation);
        }
    }

    #[test]
    fn a_message_cut_off_anywhere_or_continued_is_an_error(message in message()) {
        let frame = Bytes::from(encode(CorrelationId(1), &message));
        for length in 0..frame.len() {
            prop_assert!(decode(&frame.slice(..length), MAX).is_err(), "cut at {}", length);
        }
        let mut longer = frame.to_vec();
        longer.push(0);
        prop_assert!(read(longer).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_an_error_or_the_one_encoding_of_a_message(
        kind in 0..0x10_u8,
        flags in prop_oneof![4 => Just(0), 1 => any::<u8>()],
        body: Vec<u8>,
    ) {
        let mut frame = vec![kind, flags, 0, 0, 0, 0, 0, 0, 0, 1];
        frame.extend(body);
        if let Ok(message) = read(frame.clone()) && flags == 0 {
            assert_canonical(&frame, &message);
        }
    }

    #[test]
    fn a_damaged_message_is_an_error_or_the_one_encoding_of_another(
        message in message(),
        at: prop::sample::Index,
        damage in 1..=u8::MAX,
    ) {
        let mut frame = encode(CorrelationId(1), &message);
        let at = at.index(frame.len());
        frame[at] ^= damage;
        if let Ok(message) = read(frame.clone()) && frame[1] == 0 {
            assert_canonical(&frame, &message);
        }
    }

    #[test]
    fn a_damaged_compressed_frame_is_an_error_or_a_message(
        at: prop::sample::Index,
        damage in 1..=u8::MAX,
        cut: prop::sample::Index,
    ) {
        let text = "all work and no play ".repeat(100);
        let mut frame = seal(encode(CorrelationId(1), &changes(&[text.into()])));
        prop_assert_eq!(frame[1], 1);
        let cut = cut.index(frame.len());
        prop_assert!(read(frame[..cut].to_vec()).is_err());
        let at = at.index(frame.len());
        frame[at] ^= damage;
        // Only that it returns.
        drop(read(frame));
    }
}

#[test]
fn changes_share_the_memory_of_their_frame() {
    let change = Bytes::from_static(&[7; 100]);
    let frame = Bytes::from(encode(
        CorrelationId(1),
        &changes(std::slice::from_ref(&change)),
    ));
    let decoded = decode(&frame, MAX).expect("a frame");
    let Message::Changes(changes) = decoded.message else {
        panic!("not changes");
    };
    let shared = &changes.groups[0].changes[0];
    assert_eq!(*shared, change);
    assert!(frame.as_ptr_range().contains(&shared.as_ptr()));
}

#[test]
fn a_frame_is_compressed_when_that_makes_it_smaller_and_it_is_no_handshake() {
    let noise: Vec<u8> = crate::entropy::Entropy::from_number(1)
        .bytes::<2048>()
        .into();
    let small = vec![7; limits::COMPRESS_BYTES_MIN / 2];
    for same in [noise, small] {
        let frame = encode(CorrelationId(1), &changes(&[same.into()]));
        assert_eq!(seal(frame.clone()), frame);
    }
    let text = Bytes::from("all work and no play ".repeat(100));
    let frame = encode(CorrelationId(1), &changes(&[text]));
    assert!(seal(frame.clone()).len() < frame.len() / 10);

    let mut long = hello();
    long.agent = "a".repeat(limits::AGENT_BYTES_MAX);
    let mut frame = encode(CorrelationId(1), &Message::Hello(long));
    frame.extend([0; 2 * limits::COMPRESS_BYTES_MIN]);
    assert_eq!(seal(frame.clone()), frame);
}

#[test]
fn texts_for_people_are_cut_between_characters_and_not_refused() {
    let text = "é".repeat(limits::REASON_BYTES_MAX);
    let code = ErrorCode::Malformed;
    let message = Message::Error { code, text };
    let Ok(Message::Error { text, .. }) = read(encode(CorrelationId(1), &message)) else {
        panic!("not an error message");
    };
    assert_eq!(text, "é".repeat(limits::REASON_BYTES_MAX / 2));

    let mut long = hello();
    long.agent = format!("{}é", "a".repeat(limits::AGENT_BYTES_MAX - 1));
    let read = read(encode(CorrelationId(1), &Message::Hello(long)));
    let Ok(Message::Hello(hello)) = read else {
        panic!("not a hello: {read:?}");
    };
    assert_eq!(hello.agent, "a".repeat(limits::AGENT_BYTES_MAX - 1));
}

#[test]
fn fields_that_a_later_version_has_added_are_skipped() {
    let text = String::new();
    let reason = ByeReason::Other(99);
    let code = ErrorCode::from_code(0x8fff);
    for message in [
        Message::Hello(hello()),
        Message::Bye {
            reason,
            text: text.clone(),
        },
        Message::Error { code, text },
    ] {
        let mut frame = encode(CorrelationId(1), &message);
        assert_eq!(frame.pop(), Some(0));
        frame.extend([2, 1, 3, b'a', b'b', b'c', 0x80, 0x01, 0]);
        assert_eq!(read(frame), Ok(message));
    }
}

#[test]
fn codes_keep_their_numbers_and_have_names_of_their_own() {
    let mut names = std::collections::BTreeSet::new();
    for code in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_code(code.code()), *code);
        assert!(names.insert(code.name()), "{code} twice");
    }
    for reason in ByeReason::ALL {
        assert_eq!(ByeReason::from_code(reason.code()), *reason);
    }
    for code in RefusedCode::ALL {
        assert_eq!(RefusedCode::from_code(code.code()), *code);
    }
    assert_eq!(ErrorCode::from_code(0x7fff), ErrorCode::Other(0x7fff));
    assert_eq!(ErrorCode::Other(0x7fff).to_string(), "other_7fff");
}

#[test]
fn what_would_fail_again_is_permanent_also_in_codes_of_later_versions() {
    assert!(ErrorCode::NotAllowed.is_permanent());
    assert!(ErrorCode::UnsupportedVersion.is_permanent());
    assert!(!ErrorCode::TooManyLinks.is_permanent());
    assert!(!ErrorCode::StoreFailed.is_permanent());
    assert!(ErrorCode::from_code(0x8fff).is_permanent());
    assert!(!ErrorCode::from_code(0x0fff).is_permanent());
}

#[test]
fn two_sides_speak_the_newest_version_that_both_know() {
    let speaks = |version_min, version_max| Hello {
        version_min,
        version_max,
        ..hello()
    };
    let agree = |left: &Hello, right: &Hello| {
        let agreed = left.agree(right);
        assert_eq!(agreed, right.agree(left));
        agreed.map(|it| it.version)
    };
    assert_eq!(agree(&speaks(1, 3), &speaks(2, 5)), Ok(3));
    assert_eq!(agree(&speaks(1, 1), &speaks(1, 1)), Ok(1));
    let none = Err(ErrorCode::UnsupportedVersion);
    assert_eq!(agree(&speaks(1, 2), &speaks(3, 4)), none);
}

#[test]
fn a_missing_feature_is_refused_only_if_a_side_insists_on_it() {
    let with = |features| Hello {
        features: Features(features),
        ..hello()
    };
    let (optional, required) = (0b11, 1 << 40);
    let agreed = with(optional).agree(&with(0b10));
    let expected = Agreed {
        version: 1,
        features: Features(0b10),
    };
    assert_eq!(agreed, Ok(expected));
    let missing = Err(ErrorCode::MissingFeature);
    assert_eq!(with(required).agree(&with(optional)), missing);
    assert_eq!(with(optional).agree(&with(required)), missing);
    assert!(with(required).agree(&with(required)).is_ok());
}

#[test]
fn showing_a_message_does_not_show_what_people_wrote() {
    let shown = format!("{:?}", changes(&[Bytes::from_static(b"secret")]));
    assert!(shown.contains("change_bytes: [6]"), "{shown}");
    assert!(!shown.contains("secret"));
}

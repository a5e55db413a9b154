//! What presence frames must not do: every bound has a test here.

use std::sync::Arc;

use super::hostile::{SPACE, assert_limit, name, record, verdict};
use super::{
    ErrorCode, HEADER_BYTES, Message, Note, Place, Presence, Slot, Spot, Stamp, Word, decode,
    encode,
};
use crate::id::{CorrelationId, ReplicaId};
use crate::limits;

fn said(hops: u8, (ttl_millis, left_millis): (u32, u32), bytes: usize) -> Message {
    let note = Note {
        stamp: Stamp {
            session: 1,
            number: 1,
        },
        ttl_millis,
        payload: vec![7; bytes].into(),
        signature: [9; 64],
    };
    let topic = "cursor".parse().expect("a topic");
    Message::Presence(Presence {
        spot: Spot {
            slot: Slot {
                space: SPACE,
                place: Place::Record(name(1), record(1)),
                topic,
            },
            author: ReplicaId::from_bytes([3; 32]),
        },
        word: Word::Said {
            hops,
            left_millis,
            note: Arc::new(note),
        },
    })
}

#[test]
fn a_presence_takes_so_many_bytes() {
    assert_limit(limits::PRESENCE_BYTES_MAX, |bytes| said(0, (9, 9), bytes));
}

#[test]
fn a_presence_lasts_so_long_and_not_longer_than_it_lasts() {
    let most = u32::try_from(limits::PRESENCE_TTL_MAX.as_millis()).expect("it fits");
    for (times, code) in [
        ((most, most), None),
        ((most, 1), None),
        ((0, 0), None),
        ((most + 1, 1), Some(ErrorCode::Malformed)),
        ((u32::MAX, u32::MAX), Some(ErrorCode::Malformed)),
        ((9, 10), Some(ErrorCode::Malformed)),
        ((9, 0), Some(ErrorCode::Malformed)),
    ] {
        assert_eq!(verdict(&said(0, times, 0)), code, "{times:?}");
    }
}

#[test]
fn a_presence_crosses_so_many_links() {
    let most = limits::PRESENCE_HOPS_MAX;
    assert_eq!(verdict(&said(most - 1, (9, 9), 1)), None);
    for hops in [most, u8::MAX] {
        assert_eq!(verdict(&said(hops, (9, 9), 1)), Some(ErrorCode::Malformed));
    }
}

#[test]
fn a_presence_that_is_cut_off_followed_by_more_or_of_no_kind_is_malformed() {
    let whole = encode(CorrelationId(1), &said(1, (9, 9), 3));
    let refused = |bytes: Vec<u8>| decode(&bytes.into(), limits::FRAME_BYTES_MAX).is_err();
    for length in HEADER_BYTES..whole.len() {
        assert!(refused(whole[..length].to_vec()), "{length} bytes");
    }
    assert!(refused([whole.as_slice(), &[0]].concat()));
    // The place, behind the space; the word, behind name, record, topic and author.
    let word = HEADER_BYTES + 16 + 1 + (1 + 7) + 16 + (1 + 6) + 32;
    assert_eq!(whole[word], 1);
    for (at, wrong) in [(HEADER_BYTES + 16, 2), (word, 2), (word, 0)] {
        let mut frame = whole.clone();
        frame[at] = wrong;
        assert!(refused(frame), "{wrong} at {at}");
    }
}

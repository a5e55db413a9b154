//! Sync messages: the same bytes as Automerge's, and none that harm.

use ::bytes::Bytes;
use proptest::prelude::*;

use super::bytes::hex;
use crate::id::ChangeHash;
use crate::repo::sync::{Bloom, Flags, Have, SyncMessage};

fn hash(byte: u8) -> ChangeHash {
    ChangeHash::from_bytes([byte; 32])
}

#[test]
fn a_message_is_read_as_it_is_written() {
    let hashes: Vec<ChangeHash> = (1..40).map(hash).collect();
    let message = SyncMessage {
        heads: vec![hash(1), hash(2)],
        need: vec![hash(3)],
        have: vec![Have {
            last_sync: vec![hash(4)],
            bloom: Bloom::of(hashes.iter()),
        }],
        chunks: vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")],
        flags: Some(Flags {
            reset: true,
            read_only: false,
        }),
        is_version_2: true,
    };
    let bytes = Bytes::from(message.encode());
    assert_eq!(SyncMessage::decode(&bytes), Ok(message));
    for length in 0..bytes.len() - 3 {
        let cut = SyncMessage::decode(&bytes.slice(..length));
        assert!(cut.is_err(), "cut off after {length} bytes: {cut:?}");
    }
}

#[test]
fn the_first_message_of_a_stock_client_is_understood() {
    let message = SyncMessage::decode(&hex("42000001000000020284")).unwrap();
    let expected = SyncMessage {
        have: vec![Have::default()],
        flags: Some(Flags::default()),
        ..SyncMessage::default()
    };
    assert_eq!(message, expected);
    assert_eq!(message.encode(), hex("42000001000000020284"));
}

/// Found by fuzzing Automerge 0.12: the first makes it divide by zero, the second ask for 16 GiB.
#[test]
fn messages_that_kill_automerge_are_refused() {
    for digits in ["420000010003010007 00", "42000001000801 08 FFFFFFFF0F FF00"] {
        let digits = digits.replace(' ', "");
        let message = SyncMessage::decode(&hex(&digits));
        assert!(message.is_err(), "{digits}: {message:?}");
    }
}

proptest! {
    #[test]
    fn a_filter_has_what_was_put_in_and_little_else(
        inside in prop::collection::btree_set(any::<[u8; 32]>(), 1..200),
        outside in prop::collection::btree_set(any::<[u8; 32]>(), 1..200),
    ) {
        let hashes: Vec<_> = inside.iter().map(|it| ChangeHash::from_bytes(*it)).collect();
        let bloom = Bloom::of(hashes.iter());
        prop_assert!(hashes.iter().all(|it| bloom.contains(it)));
        let others = outside.difference(&inside).map(|it| ChangeHash::from_bytes(*it));
        let wrong = others.filter(|it| bloom.contains(it)).count();
        // One of a hundred by design.
        prop_assert!(wrong <= 15, "{wrong} of {}", outside.len());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 0x42_u8..=0x43) {
        let bytes = Bytes::from([vec![version], bytes].concat());
        if let Ok(message) = SyncMessage::decode(&bytes) {
            let again = SyncMessage::decode(&message.encode().into());
            prop_assert_eq!(again, Ok(message));
        }
    }
}

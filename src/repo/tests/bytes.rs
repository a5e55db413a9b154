//! Messages as automerge-repo 2.5.6 and others write them, and what is none.

use ::bytes::Bytes;

use crate::id::RecordId;
use crate::repo::message::{Envelope, Metadata, StorageHeads};
use crate::repo::{Message, RepoFault};

/// What a stock client of version 2.5.6 sent to a stock server and got back.
const JOIN: &str = "b900046474797065646a6f696e6873656e646572496463636c696c706565724d65746164617461b900026973746f726167654964f76b6973457068656d6572616cf57819737570706f7274656450726f746f636f6c56657273696f6e73816131";
const PEER: &str = "b90005647479706564706565726873656e6465724964637372766c706565724d65746164617461b900026973746f726167654964f76b6973457068656d6572616cf57773656c656374656450726f746f636f6c56657273696f6e613168746172676574496463636c69";
const SUBSCRIBE: &str = "b900056474797065781a72656d6f74652d737562736372697074696f6e2d6368616e6765687461726765744964637372766361646481637369646672656d6f7665f76873656e646572496463636c69";
const REQUEST: &str = "b9000564747970656772657175657374687461726765744964637372766a646f63756d656e744964781c326a396b6e7043736579686e4b38697a446d4c70475035574d645a5164646174614a420000010000000202846873656e646572496463636c69";

pub(super) fn hex(digits: &str) -> Bytes {
    let bytes = digits.as_bytes().chunks(2);
    let byte = |it: &[u8]| u8::from_str_radix(std::str::from_utf8(it).unwrap(), 16).unwrap();
    bytes.map(byte).collect::<Vec<u8>>().into()
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn envelope() -> Envelope {
    Envelope {
        sender: text("cli"),
        target: text("srv"),
        document: "2j9knpCseyhnK8izDmLpGP5WMdZQ".parse().unwrap(),
    }
}

#[test]
fn a_captured_conversation_is_understood() {
    let metadata = Metadata {
        storage: None,
        is_ephemeral: true,
    };
    let join = Message::Join {
        sender: text("cli"),
        versions: vec![text("1")],
        metadata: metadata.clone(),
    };
    assert_eq!(Message::decode(&hex(JOIN)), Ok(join));
    let peer = Message::Peer {
        sender: text("srv"),
        target: text("cli"),
        version: text("1"),
        metadata,
    };
    assert_eq!(Message::decode(&hex(PEER)), Ok(peer));
    let subscribe = Message::Subscribe {
        sender: text("cli"),
        target: text("srv"),
        add: vec![text("sid")],
        remove: Vec::new(),
    };
    assert_eq!(Message::decode(&hex(SUBSCRIBE)), Ok(subscribe));
    let request = Message::Sync {
        envelope: envelope(),
        is_request: true,
        data: hex("42000001000000020284"),
    };
    assert_eq!(Message::decode(&hex(REQUEST)), Ok(request));
}

#[test]
fn each_message_is_read_as_it_is_written() {
    let metadata = Metadata {
        storage: Some(text("storage")),
        is_ephemeral: false,
    };
    let heads = StorageHeads {
        heads: vec![text("one"), text("two")],
        timestamp: 1_764_331_200_000,
    };
    let (sender, target) = (text("a"), text("b"));
    let messages = [
        Message::Join {
            sender: sender.clone(),
            versions: vec![text("1"), text("2")],
            metadata: metadata.clone(),
        },
        Message::Peer {
            sender: sender.clone(),
            target: target.clone(),
            version: text("1"),
            metadata,
        },
        Message::Error {
            target: Some(target.clone()),
            sender: sender.clone(),
            message: text("no"),
        },
        Message::Leave {
            sender: sender.clone(),
        },
        Message::Sync {
            envelope: envelope(),
            is_request: false,
            data: Bytes::from_static(b"data"),
        },
        Message::Unavailable(envelope()),
        Message::Ephemeral {
            envelope: envelope(),
            count: 1 << 40,
            session: text("session"),
            data: Bytes::from_static(b"\x01"),
        },
        Message::Subscribe {
            sender,
            target,
            add: vec![text("x")],
            remove: vec![text("y")],
        },
        Message::StorageHeads {
            envelope: envelope(),
            heads: [(text("storage"), heads)].into(),
        },
    ];
    for message in messages {
        let bytes = Bytes::from(message.encode());
        assert_eq!(Message::decode(&bytes).as_ref(), Ok(&message));
    }
}

#[test]
fn no_integer_is_one_that_javascript_reads_as_a_big_one() {
    let message = Message::Ephemeral {
        envelope: envelope(),
        count: 1 << 32,
        session: text("s"),
        data: Bytes::from_static(b"\x01"),
    };
    let bytes = message.encode();
    // 0xfb is floating point of 64 bits, 0x1b an integer of 64 bits.
    let number = (4_294_967_296.0_f64).to_be_bytes();
    let expected = [b"\x65count\xfb".as_slice(), &number].concat();
    let found = bytes.windows(expected.len()).any(|it| it == expected);
    assert!(found, "{bytes:02x?}");
}

#[test]
fn a_document_is_named_in_three_ways() {
    let id = RecordId::from_bytes(*b"0123456789abcdef");
    let dashed = "30313233-3435-3637-3839-616263646566";
    let forms = [
        [b"\x78\x1c".as_slice(), id.to_string().as_bytes()].concat(),
        [b"\x50".as_slice(), id.as_bytes()].concat(),
        [b"\x78\x24".as_slice(), dashed.as_bytes()].concat(),
    ];
    for form in forms {
        let form = if form.starts_with(b"\x78\x1c") {
            // Its length is not always the same.
            let id = id.to_string();
            let length = u8::try_from(id.len()).unwrap();
            [&[0x78, length], id.as_bytes()].concat()
        } else {
            form
        };
        let fields: [&[u8]; 3] = [
            b"\xa3\x64type\x6fdoc-unavailable\x68senderId\x61a",
            b"\x6adocumentId",
            &form,
        ];
        let message = Message::decode(&Bytes::from(fields.concat()));
        let Ok(Message::Unavailable(envelope)) = message else {
            panic!("{message:?}");
        };
        assert_eq!(envelope.document, id);
    }
}

#[test]
fn what_is_no_message_says_what_is_wrong() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "CBOR"),
        (b"\xf6", "CBOR"),
        (b"\xa1\x01\x02", "CBOR"),
        (b"\xa0", "'type'"),
        (b"\xa1\x64type\x01", "'type' is not a text"),
        (b"\xa1\x64type\x64join", "'join' message lacks 'senderId'"),
        (b"\xa2\x64type\x64sync\x64data\x40", "'data' is not"),
        (
            b"\xa2\x64type\x64sync\x6adocumentId\x63abc",
            "'documentId' is not",
        ),
        (
            b"\xa2\x64type\x69ephemeral\x65count\xfb\xbf\xf0\0\0\0\0\0\0",
            "'count' is not",
        ),
    ];
    for (bytes, expected) in cases {
        let fault = Message::decode(&Bytes::from_static(bytes)).unwrap_err();
        let text = fault.to_string();
        assert!(text.contains(expected), "{bytes:02x?}: {text}");
    }
    for digits in [JOIN, PEER, SUBSCRIBE, REQUEST] {
        let whole = hex(digits);
        for length in 0..whole.len() {
            let cut = Message::decode(&whole.slice(..length));
            assert!(
                matches!(cut, Err(RepoFault::Cbor(_) | RepoFault::Field { .. })),
                "{cut:?}"
            );
        }
    }
}

#[test]
fn messages_of_later_versions_are_no_fault() {
    let bytes = b"\xa2\x64type\x64gift\x65inner\x83\x01\x82\x02\x03\xa1\x61x\xf7";
    let message = Message::decode(&Bytes::from_static(bytes));
    assert_eq!(message, Ok(Message::Unknown(text("gift"))));
}

//! What no client of automerge-repo says: it ends the link that said it at most. Good clients of the
//! same hub go on, and the hub does not panic.

use serde_json::{Value as Json, json};

use crate::hub::Hub;
use crate::stranger::{Good, Strangers};

/// The most a good frame of a stranger is cut to.
const JOIN: &[u8] = b"\xb9\x00\x04dtypedjoinhsenderIdhstrangerlpeerMetadata\xb9\x00\x00\
    x\x19supportedProtocolVersions\x81a1";

/// A frame of random bytes; always the same ones.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[4]
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn frames_that_are_no_message_end_their_link_only() {
    let hub = Hub::start();
    let (mut good, strangers) = (Good::new(&hub), Strangers::new(&hub));
    let frames: &[(&str, Vec<u8>)] = &[
        ("a break without a list", vec![0xff]),
        ("a reserved length", vec![0xbc, 0, 0]),
        ("a message cut in a text", JOIN[..30].to_vec()),
        (
            "a message without its last byte",
            JOIN[..JOIN.len() - 1].to_vec(),
        ),
        (
            "a map that claims four billion entries",
            vec![0xba, 0xff, 0xff, 0xff, 0xff],
        ),
        (
            "a text that claims to be endless",
            vec![0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ),
        (
            "a hundred thousand lists in each other",
            vec![0x81; 100_000],
        ),
        (
            "a hundred thousand tags around each other",
            vec![0xc1; 100_000],
        ),
        ("null", vec![0xf6]),
        ("a number", vec![0x18, 42]),
        ("a list", vec![0x80]),
        ("a mebibyte of noise", noise(1 << 20)),
    ];
    for joined in [false, true] {
        for (what, frame) in frames {
            let name = format!("{what}, joined: {joined}");
            if joined {
                strangers.join(&name, &name);
            } else {
                strangers.open(&name);
            }
            strangers.frame(&name, frame);
            strangers.is_closed(&name);
        }
        good.still_work("frames");
    }
    for joined in [false, true] {
        let name = format!("a text, joined: {joined}");
        if joined {
            strangers.join(&name, &name);
        } else {
            strangers.open(&name);
        }
        strangers.text(&name, r#"{"type": "join"}"#);
        strangers.is_closed(&name);
    }
    good.still_work("texts");
}

#[test]
fn broken_websocket_frames_end_their_link_only() {
    let hub = Hub::start();
    let (mut good, strangers) = (Good::new(&hub), Strangers::new(&hub));
    for (what, bytes) in [
        ("a frame with reserved bits", vec![0xf2, 0x80, 0, 0, 0, 0]),
        ("a frame without a mask", vec![0x82, 0x01, 0x00]),
        (
            "a frame of eight exbibytes",
            [&[0x82, 0xff, 0x7f][..], &[0xff; 11]].concat(),
        ),
    ] {
        strangers.join(what, what);
        strangers.raw(what, &bytes);
        strangers.is_closed(what);
    }
    // It ends in the middle of a frame that says it is longer.
    strangers.join("cut", "cut");
    strangers.raw("cut", &[0x82, 0xfe, 0x10, 0x00, 0, 0, 0, 0, 0xb9, 0x00]);
    strangers.leave("cut");
    good.still_work("frames");
}

#[test]
fn messages_of_wrong_types_hurt_nobody() {
    let hub = Hub::start();
    let (mut good, strangers) = (Good::new(&hub), Strangers::new(&hub));
    let document = good.id.clone();
    let joins = [
        json!({"type": "join"}),
        json!({"type": "join", "senderId": 5}),
        json!({"type": "join", "senderId": ""}),
        json!({"type": "join", "senderId": "x".repeat(100_000)}),
        json!({"type": "join", "senderId": "a", "supportedProtocolVersions": "1"}),
        json!({"type": "join", "senderId": "b", "supportedProtocolVersions": [1, null, {}]}),
        json!({"type": "join", "senderId": "c", "peerMetadata": "x"}),
        json!({"type": "join", "senderId": "d", "peerMetadata": {"storageId": 5, "isEphemeral": "x"}}),
        json!({"type": "peer", "senderId": "e", "selectedProtocolVersion": "1"}),
        json!({"type": "sync", "senderId": "f", "documentId": document, "data": {"$hex": "42"}}),
        json!({"type": 5}),
        json!({"senderId": "g"}),
        json!({}),
    ];
    for (number, message) in joins.iter().enumerate() {
        let name = format!("join {number}");
        strangers.open(&name);
        strangers.message(&name, message);
    }
    good.still_work("joins");
    let messages = [
        json!({}),
        json!({"type": null}),
        json!({"type": "sync"}),
        json!({"type": "sync", "documentId": 7, "data": {"$hex": "4200000000"}}),
        json!({"type": "sync", "documentId": "not base58: 0OIl", "data": {"$hex": "4200000000"}}),
        json!({"type": "sync", "documentId": "", "data": {"$hex": "4200000000"}}),
        json!({"type": "sync", "documentId": document, "data": "text"}),
        json!({"type": "sync", "documentId": document, "data": {"$hex": ""}}),
        json!({"type": "sync", "documentId": document, "data": {"$hex": "ff"}}),
        json!({"type": "request", "documentId": document, "data": [1, 2]}),
        json!({"type": "request", "documentId": document}),
        json!({"type": "doc-unavailable", "documentId": {}}),
        json!({"type": "doc-unavailable", "documentId": document}),
        json!({"type": "ephemeral", "documentId": document}),
        json!({"type": "ephemeral", "documentId": document, "count": -1, "sessionId": 7, "data": {"$hex": "01"}}),
        json!({"type": "ephemeral", "documentId": document, "count": 1.5, "sessionId": "s", "data": "x"}),
        json!({"type": "remote-subscription-change", "add": "x", "remove": 5}),
        json!({"type": "remote-subscription-change", "add": [1, null]}),
        json!({"type": "remote-heads-changed", "documentId": document, "newHeads": 7}),
        json!({"type": "remote-heads-changed", "documentId": document, "newHeads": {"s": {"heads": "x", "timestamp": "y"}}}),
        json!({"type": "remote-heads-changed", "documentId": document, "newHeads": {"s": {"heads": ["0OIl"], "timestamp": -1.0e300}}}),
        json!({"type": "join", "senderId": "again", "supportedProtocolVersions": ["1"]}),
        json!({"type": "error", "message": 5}),
        json!({"type": "leave"}),
    ];
    for (number, message) in messages.iter().enumerate() {
        // In its own name, in none, and in a good client's.
        for sender in [json!("stranger"), Json::Null, json!("client 0")] {
            let name = format!("{number} {sender}");
            strangers.join(&name, "stranger");
            let mut message = message.clone();
            if !message["senderId"].is_string() {
                message["senderId"] = sender;
            }
            strangers.message(&name, &message);
        }
    }
    good.still_work("messages");
    good.clients[0].is_content();
    good.clients[1].is_content();
}

#[test]
fn unknown_messages_are_ignored() {
    let hub = Hub::start();
    let strangers = Strangers::new(&hub);
    strangers.join("new", "new");
    strangers.message(
        "new",
        &json!({"type": "from 2030", "senderId": "new", "what": [{}]}),
    );
    // An honest request for a document that nobody has, as 2.5.6 sends it.
    let request = json!({
        "type": "request", "senderId": "new", "targetId": "hub", "documentId": "2j9knpCseyhnK8izDmLpGP5WMdZQ",
        "data": {"$hex": "42000001000000020284"},
    });
    strangers.message("new", &request);
    loop {
        let heard = strangers.hears("new");
        match heard["type"].as_str() {
            // It may say before that it has nothing.
            Some("sync" | "remote-subscription-change") => {}
            kind => {
                assert_eq!(kind, Some("doc-unavailable"), "{heard}");
                return;
            }
        }
    }
}

#[test]
fn another_version_of_the_protocol_is_refused_with_words() {
    let hub = Hub::start();
    let (mut good, strangers) = (Good::new(&hub), Strangers::new(&hub));
    for versions in [json!(["2"]), json!([]), json!(["one", "2", ""])] {
        strangers.open("new");
        let join = json!({
            "type": "join", "senderId": "new", "peerMetadata": {}, "supportedProtocolVersions": versions,
        });
        strangers.message("new", &join);
        let heard = strangers.hears("new");
        assert_eq!(heard["type"], "error", "{heard}");
        assert!(
            heard["message"].as_str().is_some_and(|it| !it.is_empty()),
            "{heard}"
        );
        strangers.is_closed("new");
    }
    good.still_work("versions");
}

#[test]
fn sync_messages_that_kill_automerge_kill_no_hub() {
    let hub = Hub::start();
    let (mut good, strangers) = (Good::new(&hub), Strangers::new(&hub));
    for (number, data) in [
        // A Bloom filter of no bits, by which is divided.
        "42000001000301000700",
        // One that claims 16 GiB.
        "42000001000801 08ffffffff0fff00",
    ]
    .iter()
    .enumerate()
    {
        let data = data.replace(' ', "");
        for kind in ["sync", "request"] {
            let name = format!("{kind} {number}");
            strangers.join(&name, "stranger");
            let message = json!({
                "type": kind, "senderId": "stranger", "targetId": "hub", "documentId": good.id,
                "data": {"$hex": data},
            });
            strangers.message(&name, &message);
            good.still_work(&name);
        }
    }
}

#[test]
fn the_newest_link_of_a_peer_counts() {
    let hub = Hub::start();
    let (mut good, strangers) = (Good::new(&hub), Strangers::new(&hub));
    strangers.join("first", "twin");
    strangers.join("second", "twin");
    strangers.is_closed("first");
    good.still_work("twins");
    // The good client finds its link ended, comes back, and counts from then on.
    strangers.join("thief", "client 0");
    strangers.is_closed("thief");
    good.still_work("a thief");
}

#[test]
fn a_storm_of_links_does_not_keep_good_clients_from_working() {
    let hub = Hub::start();
    let (mut good, strangers) = (Good::new(&hub), Strangers::new(&hub));
    for peers in [200, 5] {
        strangers.begin_storm(200, peers);
        good.still_work("storm");
        let answered = strangers.end_storm();
        assert!(answered >= 5, "{answered} of 200 links were answered");
        good.still_work("calm");
    }
}

#[test]
fn clients_that_do_not_read_hold_up_nobody() {
    let hub = Hub::start();
    let (mut good, strangers) = (Good::new(&hub), Strangers::new(&hub));
    let large = json!({"do": "createLarge", "parts": 4, "characters": 1_000, "bytes": 3_000_000});
    let large = good.clients[0].0.ask(&large)["id"].clone();
    good.clients[0].are_confirmed(&json!([large]));
    for number in 0..10 {
        let name = format!("deaf {number}");
        strangers.join(&name, &name);
        strangers.deafen(&name);
        let request = json!({
            "type": "request", "senderId": name, "targetId": "hub", "documentId": large,
            "data": {"$hex": "42000001000000020284"},
        });
        for _ in 0..50 {
            strangers.message(&name, &request);
        }
        good.still_work(&name);
    }
}

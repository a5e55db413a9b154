//! Clients that are linked at the same time: edits, messages and heads of others, as they happen.

use serde_json::{Value as Json, json};

use crate::client::Client;
use crate::hub::Hub;

#[test]
fn edits_of_every_kind_travel_both_ways_as_they_are_made() {
    let hub = Hub::start();
    let [one, two] = hub.clients();
    let id = one.create(&json!({
        "text": "Hello", "list": ["a", "b"], "map": {"x": 1}, "count": {"$counter": 0},
    }));
    two.open(&id);
    let steps = [
        json!([["splice", ["text"], 5, 0, ", w\u{f6}rld \u{1f600}"]]),
        json!([
            ["push", ["list"], {"n": 1}],
            ["insert", ["list"], 0, {"$time": "2024-02-29T12:00:00.000Z"}],
            ["remove", ["list", 1]],
        ]),
        json!([
            ["set", ["map", "y"], {"deep": ["er"]}],
            ["remove", ["map", "x"]],
            ["set", ["list", 1], {"$bytes": "AQI="}],
        ]),
        json!([["add", ["count"], 5]]),
        json!([
            ["splice", ["text"], 0, 5, "Bye"],
            ["add", ["count"], -2],
            ["set", ["map", "y", "deep", 0], null],
        ]),
        json!([
            ["set", ["map", "y"], {"note": ""}],
            ["splice", ["map", "y", "note"], 0, 0, "x"],
            ["push", ["list"], 1.5],
        ]),
    ];
    for (turn, step) in steps.iter().enumerate() {
        let (editor, reader) = match turn % 2 {
            0 => (&one, &two),
            _ => (&two, &one),
        };
        let heads = editor.change(&id, step);
        reader.reaches(&id, &heads);
        assert_eq!(reader.value(&id), editor.value(&id), "{step}");
    }
    assert_eq!(
        one.value(&id),
        json!({
            "text": "Bye, w\u{f6}rld \u{1f600}",
            "list": [{"$time": "2024-02-29T12:00:00.000Z"}, {"$bytes": "AQI="}, {"n": 1}, 1.5],
            "map": {"y": {"note": "x"}},
            "count": 3,
        })
    );
    one.is_content();
    two.is_content();
}

#[test]
fn twenty_clients_edit_one_document_at_once() {
    const EDITS: usize = 2;
    let hub = Hub::start();
    let clients: [Client; 20] = hub.clients();
    let [first, others @ ..] = &clients;
    let id = first.create(&json!({"text": "", "list": [], "count": {"$counter": 0}}));
    first.is_confirmed(&id);
    let find = json!({"do": "find", "id": id});
    for client in others {
        client.0.begin(&find);
    }
    for client in others {
        assert_eq!(client.0.answer()["state"], "ready");
    }
    for edit in 0..EDITS {
        for (number, client) in clients.iter().enumerate() {
            let edits = json!([
                ["splice", ["text"], 0, 0, "x"],
                ["push", ["list"], format!("{number}/{edit}")],
                ["add", ["count"], 1],
            ]);
            client
                .0
                .begin(&json!({"do": "change", "id": id, "edits": edits}));
        }
        for client in &clients {
            client.0.answer();
        }
    }
    let edits = clients.len() * EDITS;
    for client in &clients {
        client.counts(&id, &json!(["list"]), edits);
        client.reaches(&id, &clients[0].heads(&id));
        let value = client.value(&id);
        assert_eq!(value["count"], json!(edits));
        assert_eq!(value["text"], json!("x".repeat(edits)));
        assert_eq!(value, clients[0].value(&id));
        client.is_confirmed(&id);
        client.is_content();
    }
}

#[test]
fn ephemeral_messages_reach_every_other_client_once() {
    // A stock client says each message that it hears once more: four times as many come to the hub.
    const BURSTS: usize = 3;
    const BURST: usize = 100;
    let hub = Hub::start();
    let clients: [Client; 4] = hub.clients();
    let id = clients[0].create(&json!({"title": "board"}));
    clients[0].is_confirmed(&id);
    // A message does not wait for those who have yet to open the document.
    for client in &clients {
        client.open(&id);
        client.is_confirmed(&id);
    }
    let said = |sender: usize, number: usize| json!({"cursor": number, "by": {"n": sender}, "raw": {"$bytes": "AP8="}});
    for burst in 0..BURSTS {
        for (sender, client) in clients.iter().enumerate() {
            let burst = burst * BURST..(burst + 1) * BURST;
            let messages: Vec<_> = burst.map(|it| said(sender, it)).collect();
            let broadcast = json!({"do": "broadcast", "id": id, "messages": messages});
            client.0.begin(&broadcast);
        }
        for client in &clients {
            client.0.answer();
        }
        heard(&clients, &id, 3 * BURST * (burst + 1));
    }
    // What goes round twice would have come by now: an edit follows every message.
    for sender in 0..clients.len() {
        let heads = clients[sender].change(&id, &json!([["set", ["title"], sender]]));
        for client in &clients {
            client.reaches(&id, &heads);
        }
    }
    let each = BURSTS * BURST;
    for (own, heard) in heard(&clients, &id, 3 * each).iter().enumerate() {
        for sender in (0..clients.len()).filter(|it| *it != own) {
            let from = heard.iter();
            let from = from.filter(|it| it["from"] == format!("client {sender}"));
            let from: Vec<_> = from.map(|it| it["message"].clone()).collect();
            let said: Vec<_> = (0..each).map(|it| said(sender, it)).collect();
            assert_eq!(from, said, "what client {own} heard of client {sender}");
        }
        assert_eq!(heard.len(), 3 * each);
        // A client tells its application of a message once, however often it comes.
        let frames = clients[own].0.ask(&json!({"do": "frames"}));
        assert_eq!(frames["ephemeral"], 3 * each, "client {own}: {frames}");
        clients[own].is_content();
    }
}

/// The messages that each client has heard, once there are so many.
fn heard(clients: &[Client], id: &str, count: usize) -> Vec<Vec<Json>> {
    let asked = json!({"do": "awaitMessages", "id": id, "count": count});
    let heard = clients.iter().map(|it| {
        let heard = it.0.ask(&asked)["messages"].clone();
        let heard = heard.as_array().expect("a list").clone();
        assert!(heard.len() >= count, "{} of {count} messages", heard.len());
        heard
    });
    heard.collect()
}

#[test]
fn clients_learn_what_stores_of_others_hold() {
    let hub = Hub::start();
    let writer = Client::over(&hub.folder.file("writer"), "writer");
    let reader = Client::over(&hub.folder.file("reader"), "reader");
    writer.connect(&hub.url());
    reader.connect(&hub.url());
    let storage = |client: &Client| client.0.ask(&json!({"do": "storage"}));
    let id = writer.create(&json!({"n": 0}));
    reader.open(&id);
    let (theirs, hubs) = (
        storage(&writer)["own"].clone(),
        storage(&reader)["hub"].clone(),
    );
    assert!(hubs.is_string(), "the hub has a storage id");
    reader.0.ask(&json!({"do": "subscribe", "storage": theirs}));
    for n in 1..4 {
        let heads = writer.change(&id, &json!([["set", ["n"], n]]));
        for storage in [&theirs, &hubs] {
            let remote = json!({"do": "awaitRemote", "id": id, "storage": storage, "heads": heads});
            reader.0.expect(&remote);
        }
    }
    // Who subscribes later is told what is known already.
    let late = Client::over(&hub.folder.file("late"), "late");
    late.connect(&hub.url());
    late.0.ask(&json!({"do": "subscribe", "storage": theirs}));
    late.open(&id);
    let remote =
        json!({"do": "awaitRemote", "id": id, "storage": theirs, "heads": writer.heads(&id)});
    late.0.expect(&remote);
    for client in [writer, reader, late] {
        client.is_content();
    }
}

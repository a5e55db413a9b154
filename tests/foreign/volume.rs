//! Much of it: large documents, long histories, many documents.

use serde_json::json;

use crate::client::Client;
use crate::command::over;
use crate::hub::Hub;

/// A document that `one` has just made reaches `two`, and an edit of it comes back.
fn travels(one: &Client, two: &Client, id: &str, edit: &serde_json::Value) {
    one.is_confirmed(id);
    two.open(id);
    two.reaches(id, &one.heads(id));
    let heads = two.change(id, edit);
    one.reaches(id, &heads);
    two.is_confirmed(id);
    one.is_content();
    two.is_content();
}

#[test]
fn a_large_document_travels_both_ways() {
    let hub = Hub::start();
    let [one, two] = hub.clients();
    // It is sent in one frame of more than 16 MiB, which is where many WebSocket libraries stop.
    let large = json!({
        "do": "createLarge", "parts": 5, "characters": 100_000, "bytes": 3_400_000,
    });
    let made = one.0.ask(&large);
    let id = made["id"].as_str().expect("an id");
    let edit = json!([["splice", ["text"], 250_000, 10, "in the middle"]]);
    travels(&one, &two, id, &edit);
}

#[test]
fn a_document_of_20_000_changes_travels_both_ways() {
    let hub = Hub::start();
    let [one, two] = hub.clients();
    let made = one.0.ask(&json!({"do": "createLong", "changes": 20_000}));
    let id = made["id"].as_str().expect("an id");
    let edit = json!([["splice", ["text"], 10_000, 0, "in the middle"]]);
    travels(&one, &two, id, &edit);
    let changes = two.0.ask(&json!({"do": "changes", "id": id}));
    assert_eq!(changes["count"], 20_001);
}

#[test]
fn a_thousand_documents_go_up_from_one_client_and_down_to_another() {
    const COUNT: usize = 1_000;
    let hub = Hub::start();
    let [one, two] = hub.clients();
    let made = one.0.ask(&json!({"do": "createMany", "count": COUNT}));
    let ids = &made["ids"];
    one.are_confirmed(ids);
    let heads = |client: &Client| client.0.ask(&json!({"do": "allHeads", "ids": ids}));
    let made = heads(&one);
    let found = two.0.ask(&json!({"do": "findMany", "ids": ids}));
    assert_eq!(found["ready"], COUNT);
    assert_eq!(heads(&two), made);
    one.is_content();
    two.is_content();
}

#[test]
fn a_change_over_the_limits_is_never_confirmed_and_holds_up_nothing_else() {
    let mut hub = Hub::start();
    let [one, two] = hub.clients();
    let large = json!({"do": "createLarge", "parts": 1, "characters": 1_000, "bytes": 9_000_000});
    let large = one.0.ask(&large)["id"].clone();
    let large = large.as_str().expect("an id");
    let other = one.create(&json!({"n": 1}));
    one.is_confirmed(&other);
    let find = json!({"do": "find", "id": large, "within": 10_000});
    assert_eq!(two.0.ask(&find)["state"], "unavailable");
    let confirmed = json!({"do": "awaitConfirmed", "ids": [large], "within": 1_000});
    assert_eq!(one.0.ask(&confirmed)["unconfirmed"], json!([large]));
    two.open(&other);
    let heads = two.change(&other, &json!([["set", ["n"], 2]]));
    one.reaches(&other, &heads);
    hub.stop();
    let status = over(&hub.store(), &["status"]).json();
    assert_eq!(status["quarantine"]["entries"], 1, "{status}");
    assert!(hub.log().contains(large), "{}", hub.log());
}

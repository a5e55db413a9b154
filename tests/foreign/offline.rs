//! Clients that come and go: edits made apart, networks that break, processes that die.

use serde_json::json;

use crate::client::Client;
use crate::hub::Hub;

#[test]
fn edits_that_both_made_offline_merge_when_they_are_back() {
    let hub = Hub::start();
    let [one, two] = hub.clients();
    let id = one.create(&json!({
        "text": "The fox", "list": ["a"], "map": {}, "count": {"$counter": 10},
    }));
    two.open(&id);
    one.disconnect();
    two.disconnect();
    one.change(
        &id,
        &json!([
            ["splice", ["text"], 4, 0, "quick "],
            ["push", ["list"], "one"],
            ["set", ["map", "one"], 1],
            ["add", ["count"], 1],
            ["set", ["same"], "one"],
        ]),
    );
    two.change(
        &id,
        &json!([
            ["splice", ["text"], 7, 0, " jumps"],
            ["insert", ["list"], 0, "two"],
            ["set", ["map", "two"], 2],
            ["add", ["count"], 2],
            ["set", ["same"], "two"],
        ]),
    );
    let new = two.create(&json!({"made": "offline"}));
    one.connect(&hub.url());
    one.is_confirmed(&id);
    two.connect(&hub.url());
    two.counts(&id, &json!(["map"]), 2);
    one.reaches(&id, &two.heads(&id));
    let value = one.value(&id);
    assert_eq!(value, two.value(&id));
    assert_eq!(value["text"], "The quick fox jumps");
    assert_eq!(value["list"], json!(["two", "a", "one"]));
    assert_eq!(value["map"], json!({"one": 1, "two": 2}));
    assert_eq!(value["count"], 13);
    one.open(&new);
    assert_eq!(one.value(&new), json!({"made": "offline"}));
    one.is_content();
    two.is_content();
}

#[test]
fn a_client_whose_network_broke_connects_again_and_catches_up() {
    let hub = Hub::start();
    let [one, two] = hub.clients();
    let id = one.create(&json!({"list": []}));
    two.open(&id);
    for round in 0..3 {
        two.0.ask(&json!({"do": "cut"}));
        // Made while the other has no link, or has it again.
        one.change(&id, &json!([["push", ["list"], round]]));
        two.change(&id, &json!([["push", ["list"], "two"]]));
        two.counts(&id, &json!(["list"]), 2 * (round + 1));
        one.reaches(&id, &two.heads(&id));
    }
    assert_eq!(one.value(&id), two.value(&id));
}

#[test]
fn a_client_that_was_killed_goes_on_from_its_folder() {
    let hub = Hub::start();
    let folder = hub.folder.file("folder");
    let start = || Client::over(&folder, "device");
    let device = start();
    device.connect(&hub.url());
    let other = hub.client("other");
    let id = device.create(&json!({"list": ["made online"]}));
    other.open(&id);
    device.disconnect();
    device.change(&id, &json!([["push", ["list"], "made offline"]]));
    device.0.ask(&json!({"do": "save"}));
    device.kill();

    let device = start();
    device.open(&id);
    assert_eq!(
        device.value(&id)["list"],
        json!(["made online", "made offline"])
    );
    device.change(&id, &json!([["push", ["list"], "made after the restart"]]));
    let meanwhile = other.change(&id, &json!([["push", ["list"], "made elsewhere"]]));
    other.is_confirmed(&id);
    device.connect(&hub.url());
    device.counts(&id, &json!(["list"]), 4);
    other.reaches(&id, &device.heads(&id));
    assert_ne!(device.heads(&id), meanwhile);
    assert_eq!(device.value(&id), other.value(&id));
    device.is_content();
}

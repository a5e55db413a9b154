//! Documents that are made and found: of every kind, early, late and never.

use serde_json::{Value as Json, json};

use crate::client::Client;
use crate::hub::{Hub, heads, record};

/// A value of every kind that JavaScript has, as the script takes it.
fn everything() -> Json {
    json!({
        "text": "naïve \u{5b57} \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} e\u{301} \u{202e}rtl\u{202c} \u{0} \u{10ffff}",
        "empty": "",
        "name": {"$string": "a string that does not merge"},
        "bytes": {"$bytes": "AAEC/f7/"},
        "nothing": {"$bytes": ""},
        "date": {"$time": "2024-02-29T23:59:59.999Z"},
        "early": {"$time": "1969-12-31T23:59:59.995Z"},
        "count": {"$counter": -3},
        "numbers": [0, -1, 1.5, -2.5e-300, 9_007_199_254_740_991_i64, -9_007_199_254_740_991_i64],
        "truth": [true, false, null],
        "nested": {"": {"a.b/c": [[], [{}], {"\u{1f600}": [{"$bytes": "/w=="}]}]}},
    })
}

/// The same as it is read: texts, strings and counters are plain.
fn everything_read() -> Json {
    let mut read = everything();
    read["name"] = json!("a string that does not merge");
    read["count"] = json!(-3);
    read
}

#[test]
fn a_document_is_found_as_it_was_made_whatever_is_in_it() {
    let mut hub = Hub::start();
    let [maker, finder] = hub.clients();
    let id = maker.create(&everything());
    assert_eq!(maker.value(&id), everything_read());
    // It is asked for while it is still on its way, or after it.
    finder.open(&id);
    assert_eq!(finder.value(&id), everything_read());
    assert_eq!(finder.heads(&id), maker.heads(&id));
    maker.is_confirmed(&id);
    maker.is_content();
    finder.is_content();
    let made = maker.heads(&id);
    hub.stop();
    assert_eq!(record(&hub.store(), &id), everything_read());
    assert_eq!(heads(&hub.store(), &id), made);
}

#[test]
fn a_document_is_found_when_nobody_is_there_but_the_hub() {
    let hub = Hub::start();
    let maker = hub.client("maker");
    let id = maker.create(&json!({"title": "left behind"}));
    let empty = maker.create(&json!({}));
    maker.are_confirmed(&json!([id, empty]));
    let heads = [maker.heads(&id), maker.heads(&empty)];
    maker.kill();
    let finder = hub.client("finder");
    finder.open(&id);
    finder.open(&empty);
    assert_eq!(finder.value(&id), json!({"title": "left behind"}));
    assert_eq!(finder.value(&empty), json!({}));
    assert_eq!([finder.heads(&id), finder.heads(&empty)], heads);
}

#[test]
fn a_document_that_nobody_has_is_unavailable_until_it_appears() {
    let hub = Hub::start();
    let [finder, other] = hub.clients();
    // Made where nobody sees it.
    let maker = Client::start("maker");
    let id = maker.create(&json!({"title": "late"}));
    for client in [&finder, &other] {
        let asked = json!({"do": "find", "id": id, "within": 10_000});
        assert_eq!(client.0.ask(&asked)["state"], "unavailable");
    }
    maker.connect(&hub.url());
    for client in [&finder, &other] {
        client.reaches(&id, &maker.heads(&id));
        assert_eq!(client.value(&id), json!({"title": "late"}));
        client.open(&id);
    }
    // It works like any other from there on.
    let edited = finder.change(&id, &json!([["set", ["title"], "edited"]]));
    maker.reaches(&id, &edited);
    other.reaches(&id, &edited);
}

#[test]
fn a_document_that_was_asked_for_offline_is_there_once_the_client_is_linked() {
    let hub = Hub::start();
    let maker = hub.client("maker");
    let id = maker.create(&json!({"title": "waiting"}));
    let finder = Client::start("finder");
    assert_eq!(finder.find(&id), "unavailable");
    finder.connect(&hub.url());
    finder.reaches(&id, &maker.heads(&id));
}

//! Native devices and JavaScript clients, on the same records through one hub.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::client::{Client, Script};
use crate::command::{command, over};
use crate::hub::{DOCUMENTS, Hub, as_javascript, heads, record};

/// A replica that speaks the native protocol, as commands over its store.
struct Device {
    store: PathBuf,
    hub: String,
}

impl Device {
    fn new(hub: &Hub, name: &str) -> Self {
        Self {
            store: hub.folder.file(&format!("{name}.redb")),
            hub: hub.url(),
        }
    }

    fn sync(&self) {
        over(&self.store, &["sync", &self.hub]).json();
    }

    /// Makes a record; its id.
    fn put(&self, name: &str, record: &Json) -> String {
        let put = over(&self.store, &["put", DOCUMENTS, name, &record.to_string()]).json();
        put["id"].as_str().expect("an id").to_owned()
    }

    fn edit(&self, id: &str, patch: &Json) {
        over(&self.store, &["edit", DOCUMENTS, id, &patch.to_string()]).json();
    }

    fn remove(&self, id: &str) {
        over(&self.store, &["rm", DOCUMENTS, id]).json();
    }

    fn restore(&self, id: &str) {
        over(&self.store, &["restore", DOCUMENTS, id]).json();
    }

    fn is_gone(&self, id: &str) -> bool {
        over(&self.store, &["get", DOCUMENTS, id]).object()["error"]["kind"] == "not_found"
    }

    fn record(&self, id: &str) -> Json {
        record(&self.store, id)
    }

    fn heads(&self, id: &str) -> Json {
        heads(&self.store, id)
    }
}

#[test]
fn a_record_of_a_native_device_is_a_document_of_javascript() {
    let hub = Hub::start();
    let device = Device::new(&hub, "device");
    let id = device.put(
        "shopping",
        &json!({
            "title": {"$text": "Shopping \u{1f6d2}"},
            "votes": {"$counter": 2},
            "items": ["milk", {"name": "bread", "done": false}],
            "due": {"$time": "2024-02-29T12:00:00.001Z"},
            "picture": {"$bytes": "AAH+/w=="},
            "rest": [null, true, 1.5, -7],
        }),
    );
    device.sync();
    let client = hub.client("client");
    client.open(&id);
    assert_eq!(client.value(&id), device.record(&id));
    assert_eq!(client.heads(&id), device.heads(&id));

    // There, and back.
    client.change(
        &id,
        &json!([
            ["splice", ["title"], 8, 0, " list"],
            ["add", ["votes"], 3],
            ["set", ["items", 1, "done"], true],
        ]),
    );
    client.is_confirmed(&id);
    device.sync();
    assert_eq!(device.record(&id), client.value(&id));
    assert_eq!(device.heads(&id), client.heads(&id));
    device.edit(
        &id,
        &json!({"votes": 6, "title": "The shopping list \u{1f6d2}"}),
    );
    device.sync();
    client.reaches(&id, &device.heads(&id));
    assert_eq!(client.value(&id), device.record(&id));
    assert_eq!(client.value(&id)["votes"], 6);
    client.is_content();
}

#[test]
fn a_document_of_javascript_is_a_record_of_a_native_device() {
    let hub = Hub::start();
    let client = hub.client("client");
    let id = client.create(&json!({
        "title": "Ferien \u{2600}\u{fe0f}",
        "name": {"$string": "plain"},
        "votes": {"$counter": 1},
        "when": {"$time": "1969-12-31T23:59:59.995Z"},
        "data": {"$bytes": "AQID"},
        "deep": [{"er": [[], {}]}],
    }));
    client.is_confirmed(&id);
    let [one, two] = ["one", "two"].map(|it| Device::new(&hub, it));
    for device in [&one, &two] {
        device.sync();
        assert_eq!(device.record(&id), client.value(&id));
        assert_eq!(device.heads(&id), client.heads(&id));
    }

    // Apart, all three edit the same fields.
    client.disconnect();
    client.change(
        &id,
        &json!([
            ["splice", ["title"], 0, 0, "Die "],
            ["add", ["votes"], 1],
            ["set", ["js"], 1]
        ]),
    );
    one.edit(
        &id,
        &json!({"title": "Ferien \u{2600}\u{fe0f}!", "votes": 11}),
    );
    two.edit(&id, &json!({"votes": 101, "name": "plainer"}));
    one.sync();
    two.sync();
    client.connect(&hub.url());
    client.counts(&id, &json!([]), 7);
    client.is_confirmed(&id);
    let merged = json!({
        "title": "Die Ferien \u{2600}\u{fe0f}!",
        "name": "plainer",
        "votes": 112,
        "when": {"$time": "1969-12-31T23:59:59.995Z"},
        "data": {"$bytes": "AQID"},
        "deep": [{"er": [[], {}]}],
        "js": 1,
    });
    client.shows(&id, &merged);
    for device in [&one, &two] {
        device.sync();
        assert_eq!(device.record(&id), merged);
        assert_eq!(device.heads(&id), client.heads(&id));
    }
}

#[test]
fn a_native_device_sees_edits_of_javascript_live() {
    let hub = Hub::start();
    let client = hub.client("client");
    let id = client.create(&json!({"n": 0}));
    client.is_confirmed(&id);
    let store = hub.folder.file("watching.redb");
    let store = store.to_str().expect("UTF-8");
    let url = hub.url();
    let watch = [
        "watch",
        DOCUMENTS,
        "--json",
        "--connect",
        &url,
        "--store",
        store,
    ];
    let watch = Script::spawn(&mut command(&watch), "watch");
    // A change may be shown once or together with the next.
    let sees = |n: u64| {
        loop {
            let change = watch.answer();
            assert_eq!(change["id"], id);
            if as_javascript(&change["record"]) == json!({"n": n}) {
                return;
            }
        }
    };
    sees(0);
    for n in 1..5 {
        client.change(&id, &json!([["set", ["n"], n]]));
        sees(n);
    }
}

#[test]
fn a_client_that_waits_for_a_document_gets_it_when_a_native_device_brings_it() {
    let hub = Hub::start();
    let device = Device::new(&hub, "device");
    let id = device.put("late", &json!({"n": 1}));
    let client = hub.client("client");
    assert_eq!(client.find(&id), "unavailable");
    device.sync();
    client.reaches(&id, &device.heads(&id));
    assert_eq!(client.value(&id), json!({"n": 1}));
}

#[test]
fn a_deletion_by_a_native_device_is_a_mark_in_the_document_that_can_be_taken_back() {
    let hub = Hub::start();
    let (device, client) = (Device::new(&hub, "device"), hub.client("client"));
    let id = client.create(&json!({"n": 1}));
    client.is_confirmed(&id);
    device.sync();
    device.remove(&id);
    device.sync();
    client.counts(&id, &json!([]), 2);
    assert!(client.value(&id)["$deleted"]["$time"].is_string());
    // It stays deleted whatever others do to it.
    client.change(&id, &json!([["set", ["n"], 2]]));
    client.is_confirmed(&id);
    device.sync();
    assert!(device.is_gone(&id));
    device.restore(&id);
    device.sync();
    client.shows(&id, &json!({"n": 2}));
    assert_eq!(device.record(&id), json!({"n": 2}));
}

#[test]
fn rich_text_passes_through_native_devices_unchanged() {
    let hub = Hub::start();
    let (one, two) = (hub.client("one"), hub.client("two"));
    let id = one.create(&json!({"body": "The quick brown fox"}));
    let bold = json!({"start": 4, "end": 9, "expand": "both"});
    one.change(
        &id,
        &json!([
            ["mark", ["body"], bold, "bold", true],
            ["splitBlock", ["body"], 10, {"type": "paragraph", "parents": [], "attrs": {}}],
        ]),
    );
    one.is_confirmed(&id);
    let device = Device::new(&hub, "device");
    device.sync();
    device.edit(&id, &json!({"seen": true}));
    device.sync();
    two.open(&id);
    assert_eq!(two.heads(&id), device.heads(&id));
    one.reaches(&id, &two.heads(&id));
    let spans = |client: &Client| {
        client
            .0
            .ask(&json!({"do": "spans", "id": id, "path": ["body"]}))
    };
    assert_eq!(spans(&two)["spans"].as_array().map(Vec::len), Some(5));
    assert_eq!(spans(&two), spans(&one));
}

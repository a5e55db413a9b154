//! `serve`, `sync`, `watch`: several processes and real sockets.

use serde_json::{Value as Json, json};

use crate::command::{Folder, Running, over};

#[test]
fn two_devices_meet_through_a_hub() {
    let folder = Folder::new();
    let (a, b) = (folder.file("a.redb"), folder.file("b.redb"));
    let (_hub, url) = Running::hub(&folder.file("hub.redb"));
    over(
        &a,
        &[
            "put",
            "tasks",
            "x",
            r#"{"from": "a", "n": {"$counter": 1}}"#,
        ],
    )
    .json();
    let sent = over(&a, &["sync", &url]).json();
    assert_eq!(sent["synced"], true);
    assert!(sent["sent_bytes"].as_u64() > Some(0), "{sent}");
    let received = over(&b, &["sync", &url]).json();
    assert_eq!(
        (&received["records"], &received["new_changes"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(received["digest"], sent["digest"]);

    // Apart, both count; together, both counts are there.
    over(&a, &["edit", "tasks", "x", r#"{"n": 3}"#]).json();
    over(&b, &["edit", "tasks", "x", r#"{"n": 11}"#]).json();
    for store in [&a, &b, &a] {
        over(store, &["sync", &url]).json();
    }
    let shown = |store| over(store, &["get", "tasks", "x"]).json()["record"].clone();
    assert_eq!(shown(&a), json!({"from": "a", "n": 13}));
    assert_eq!(shown(&a), shown(&b));
}

#[test]
fn a_hub_stops_cleanly_when_it_is_asked() {
    let folder = Folder::new();
    for signal in ["TERM", "INT"] {
        let (mut hub, url) = Running::hub(&folder.file("hub.redb"));
        over(&folder.file("a.redb"), &["sync", &url]).json();
        hub.signal(signal);
        assert!(hub.line().starts_with(&format!("stopped by SIG{signal}")));
        assert_eq!(hub.end(), 0);
        let (_hub, _) = Running::hub(&folder.file("hub.redb"));
    }
}

#[test]
fn a_hub_speaks_json() {
    let folder = Folder::new();
    let store = folder.file("hub.redb");
    let store = store.to_str().expect("UTF-8");
    let mut hub = Running::start(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--json",
        "--store",
        store,
    ]);
    let ready: Json = serde_json::from_str(&hub.line()).expect("JSON");
    assert!(
        ready["listening"]
            .as_str()
            .is_some_and(|it| it.starts_with("ws://127.0.0.1:"))
    );
    hub.signal("TERM");
    let stopped: Json = serde_json::from_str(&hub.line()).expect("JSON");
    assert_eq!(stopped["stopped"], "SIGTERM");
}

#[test]
fn a_hub_relays_to_a_hub() {
    let folder = Folder::new();
    let (_first, near) = Running::hub(&folder.file("first.redb"));
    let second = folder.file("second.redb");
    let second = second.to_str().expect("UTF-8");
    let mut relay = Running::start(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--full",
        "--connect",
        &near,
        "--store",
        second,
    ]);
    let line = relay.line();
    let far = line.strip_prefix("listening on ").expect("an address");
    let (a, b) = (folder.file("a.redb"), folder.file("b.redb"));
    over(&a, &["put", "tasks", "x", r#"{"n": 1}"#]).json();
    over(&a, &["sync", &near]).json();
    let watch = folder.file("b.redb");
    let watch = watch.to_str().expect("UTF-8");
    let mut seen = Running::start(&["watch", "--connect", far, "--limit", "1", "--store", watch]);
    assert!(seen.line().starts_with("created "), "it arrives over both");
    assert_eq!(seen.end(), 0);
    over(&b, &["get", "tasks", "x"]).json();
}

#[test]
fn a_hub_admits_whom_it_is_told_to() {
    let folder = Folder::new();
    let (a, b) = (folder.file("a.redb"), folder.file("b.redb"));
    over(&a, &["put", "tasks", "x", r#"{"n": 1}"#]).json();
    let replica = over(&a, &["status"]).json()["replica"].clone();
    let store = folder.file("hub.redb");
    let mut hub = Running::start(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admit",
        replica.as_str().expect("an id"),
        "--store",
        store.to_str().expect("UTF-8"),
    ]);
    let line = hub.line();
    let url = line.strip_prefix("listening on ").expect("an address");
    over(&a, &["sync", url]).json();
    over(&b, &["sync", url, "--timeout", "20"]).failed(6, "refused");
}

#[test]
fn an_interrupted_watch_ends_with_an_object() {
    let folder = Folder::new();
    let (_hub, url) = Running::hub(&folder.file("hub.redb"));
    let (a, b) = (folder.file("a.redb"), folder.file("b.redb"));
    over(&a, &["put", "tasks", "x", r#"{"n": 1}"#]).json();
    over(&a, &["sync", &url]).json();
    let store = b.to_str().expect("UTF-8");
    let mut watch = Running::start(&["watch", "--json", "--connect", &url, "--store", store]);
    let change: Json = serde_json::from_str(&watch.line()).expect("JSON");
    assert_eq!(change["kind"], "created");
    watch.signal("INT");
    let end: Json = serde_json::from_str(&watch.line()).expect("JSON");
    assert_eq!(end, json!({"stopped": "SIGINT"}));
    assert_eq!(watch.end(), 0);
}

#[test]
fn a_watcher_sees_changes_of_others() {
    let folder = Folder::new();
    let (_hub, url) = Running::hub(&folder.file("hub.redb"));
    let store = folder.file("a.redb");
    let mut watch = Running::start(&[
        "watch",
        "tasks",
        "--json",
        "--connect",
        &url,
        "--limit",
        "2",
        "--store",
        store.to_str().expect("UTF-8"),
    ]);
    let other = folder.file("b.redb");
    over(&other, &["put", "tasks", "x", r#"{"n": 1}"#]).json();
    over(&other, &["put", "notes", "x", r#"{"n": 1}"#]).json();
    over(&other, &["sync", &url]).json();
    let created: Json = serde_json::from_str(&watch.line()).expect("JSON");
    assert_eq!(created["kind"], "created");
    assert_eq!(created["record"], json!({"n": 1}));
    over(&other, &["rm", "tasks", "x"]).json();
    over(&other, &["sync", &url]).json();
    let deleted: Json = serde_json::from_str(&watch.line()).expect("JSON");
    assert_eq!(deleted["kind"], "deleted");
    assert_eq!(deleted["record"], Json::Null);
    assert_eq!(watch.end(), 0);
}

#[test]
fn a_hub_of_one_space_refuses_others() {
    let folder = Folder::new();
    let store = folder.file("hub.redb");
    let mut hub = Running::start(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--full",
        "--space",
        "team",
        "--store",
        store.to_str().expect("UTF-8"),
    ]);
    let line = hub.line();
    let url = line.strip_prefix("listening on ").expect("an address");
    let a = folder.file("a.redb");
    over(&a, &["put", "tasks", "x", r#"{"n": 1}"#, "--space", "team"]).json();
    over(&a, &["put", "tasks", "x", r#"{"n": 2}"#, "--space", "home"]).json();
    over(&a, &["sync", url, "--space", "team"]).json();
    for space in ["home", "empty"] {
        over(&a, &["sync", url, "--space", space]).failed(6, "refused");
    }
    hub.signal("TERM");
    assert_eq!(hub.end(), 0);
    let held = over(&store, &["get", "tasks", "x", "--space", "team"]).json();
    assert_eq!(held["record"], json!({"n": 1}));
}

#[test]
fn what_a_hub_relayed_can_be_read_when_it_is_a_device() {
    let folder = Folder::new();
    let store = folder.file("hub.redb");
    let (mut hub, url) = Running::hub(&store);
    let a = folder.file("a.redb");
    over(&a, &["put", "tasks", "x", r#"{"n": 1}"#]).json();
    over(&a, &["sync", &url]).json();
    hub.signal("TERM");
    hub.end();
    assert_eq!(over(&store, &["ls", "tasks"]).json()["count"], 1);
}

//! `conflicts`, `explain`, `resolve`: values written at the same time, listed and settled.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::command::{Folder, Running, over, run};

/// Two stores that set the same field apart from each other, and then met through a hub.
fn contested(folder: &Folder) -> (PathBuf, PathBuf) {
    let (a, b) = (folder.file("a.redb"), folder.file("b.redb"));
    let (_hub, address) = Running::hub(&folder.file("hub.redb"));
    let sync = |store: &PathBuf| over(store, &["sync", &address]).json();
    over(
        &a,
        &["put", "tasks", "water", r#"{"title": "Water", "votes": 1}"#],
    )
    .json();
    sync(&a);
    over(&b, &["put", "tasks", "other", r#"{"title": "Other"}"#]).json();
    sync(&b);
    over(&a, &["edit", "tasks", "water", r#"{"votes": 2}"#]).json();
    over(&b, &["edit", "tasks", "water", r#"{"votes": 4}"#]).json();
    sync(&a);
    sync(&b);
    sync(&a);
    (a, b)
}

#[test]
fn a_conflict_is_listed_explained_and_resolved() {
    let folder = Folder::new();
    let (a, b) = contested(&folder);
    let listed = [&a, &b].map(|store| over(store, &["conflicts", "tasks"]).json());
    assert_eq!(listed[0], listed[1], "both replicas tell the same");
    let conflict = &listed[0]["conflicts"][0];
    assert_eq!(conflict["field"], "votes");
    assert_eq!(conflict["policy"], "automerge");
    let values: Vec<&Json> = conflict["candidates"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| &it["value"])
        .collect();
    assert_eq!(values.len(), 2);
    assert!(
        values.contains(&&json!(2)) && values.contains(&&json!(4)),
        "{values:?}"
    );
    let one = over(&a, &["conflicts", "tasks", "other"]).json();
    assert_eq!(one["conflicts"], json!([]));
    let explained = over(&a, &["explain", "tasks", "water", "votes"]).json();
    assert_eq!(&explained["conflict"], conflict);
    let store = a.to_str().expect("UTF-8");
    let text = run(&["explain", "--store", store, "tasks", "water", "votes"]).ok();
    assert!(
        text.contains("of 2 values written at the same time"),
        "{text}"
    );
    let none = over(&a, &["explain", "tasks", "water", "title"]).json();
    assert_eq!(none["conflict"], Json::Null);
    let resolved = over(&a, &["resolve", "tasks", "water", "votes", "3"]).json();
    assert_eq!(resolved["resolved"], true);
    assert_eq!(
        over(&a, &["get", "tasks", "water"]).json()["record"]["votes"],
        3
    );
    let again = over(&a, &["resolve", "tasks", "water", "votes", "5"]).json();
    assert_eq!(again["resolved"], false);
    assert_eq!(
        over(&a, &["conflicts", "tasks"]).json()["conflicts"],
        json!([])
    );
}

#[test]
fn what_is_not_there_and_what_is_no_field_is_told() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    over(&store, &["put", "tasks", "water", r#"{"title": "Water"}"#]).json();
    over(&store, &["explain", "tasks", "none", "title"]).failed(3, "not_found");
    over(&store, &["explain", "tasks", "water", "a..b"]).failed(2, "invalid_input");
    over(&store, &["resolve", "tasks", "none", "title", "1"]).failed(3, "not_found");
    over(&store, &["resolve", "tasks", "water", "title", "{"]).failed(2, "invalid_input");
    assert_eq!(
        over(&store, &["conflicts", "none"]).json()["conflicts"],
        json!([])
    );
}

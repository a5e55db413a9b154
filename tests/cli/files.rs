//! `import` and `export`.

use std::path::Path;

use serde_json::{Value as Json, json};

use crate::command::{Folder, over, run, run_with};

#[test]
fn exported_lines_are_imported_as_they_were() {
    let folder = Folder::new();
    let (here, there) = (folder.file("a.redb"), folder.file("b.redb"));
    let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/zones.jsonl");
    let zones = zones.to_str().expect("UTF-8");
    let imported = over(&here, &["import", "zones", zones, "--key", "id"]).json();
    assert_eq!(imported["imported"], 312);
    let again = over(&here, &["import", "zones", zones, "--key", "id"]).json();
    assert_eq!(
        (&again["imported"], &again["equal"]),
        (&json!(0), &json!(312))
    );

    let lines = folder.file("zones.jsonl");
    let file = lines.to_str().expect("UTF-8");
    let exported = over(&here, &["export", "zones", "--output", file]).json();
    assert_eq!(exported["count"], 312);
    over(&there, &["import", "zones", file]).json();
    let (a, b) = (
        over(&here, &["export", "zones"]),
        over(&there, &["export", "zones"]),
    );
    assert_eq!(a.json(), b.json());
}

#[test]
fn a_document_keeps_its_history() {
    let folder = Folder::new();
    let (here, there) = (folder.file("a.redb"), folder.file("b.redb"));
    over(
        &here,
        &["put", "tasks", "a", r#"{"notes": {"$text": "one"}}"#],
    )
    .json();
    over(&here, &["edit", "tasks", "a", r#"{"notes": "one two"}"#]).json();
    let document = folder.file("a.automerge");
    let file = document.to_str().expect("UTF-8");
    over(&here, &["export", "tasks", "--automerge", "a", file]).json();
    let imported = over(&there, &["import", "tasks", file, "--id", "a"]).json();
    assert_eq!(imported["imported"], 1);
    let status = |store| over(store, &["status"]).json()["spaces"][0]["digest"].clone();
    assert_eq!(
        status(&here),
        status(&there),
        "the same changes, not new ones of the same value"
    );
    let again = over(&there, &["import", "tasks", file, "--id", "a"]).json();
    assert_eq!(again["equal"], 1);
    let broken = folder.with("broken.automerge", "no document");
    let broken = over(
        &there,
        &["import", "tasks", broken.to_str().expect("UTF-8")],
    );
    assert_ne!(broken.code, 0, "{broken:?}");
    over(&here, &["export", "tasks", "--automerge", "b", file]).failed(3, "not_found");
}

#[test]
fn each_line_is_acknowledged_once_it_is_durable() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let path = store.to_str().expect("UTF-8");
    let lines = "{\"$id\": \"a\", \"n\": 1}\n\n{\"n\": 2}\n";
    let acks = run_with(&["import", "tasks", "-", "--acks", "--store", path], lines).ok();
    let acks: Vec<&str> = acks.lines().collect();
    assert_eq!(acks.len(), 2, "{acks:?}");
    for id in acks {
        over(&store, &["get", "tasks", id]).json();
    }
    let json = run_with(
        &["import", "tasks", "-", "--acks", "--json", "--store", path],
        lines,
    )
    .ok();
    let objects = json
        .lines()
        .map(|it| serde_json::from_str(it).expect("JSON"));
    let objects: Vec<Json> = objects.collect();
    assert!(objects[0]["durable"].is_string() && objects[1]["durable"].is_string());
    assert_eq!(objects[2]["equal"], 1, "{objects:?}");
}

#[test]
fn a_wrong_line_is_named_and_the_lines_before_it_are_kept() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    for wrong in ["{\"n\": ", "[1]", "{\"$id\": [1]}", "{}"] {
        let lines = folder.with(
            "lines.jsonl",
            &format!("{{\"$id\": \"a\", \"n\": 1}}\n{wrong}\n{{\"n\": 2}}\n"),
        );
        let ran = over(&store, &["import", "tasks", lines.to_str().expect("UTF-8")]);
        ran.failed(2, "invalid_input");
        assert!(ran.stderr.contains("line 2"), "{ran:?}");
        over(&store, &["get", "tasks", "a"]).json();
    }
    over(&store, &["import", "tasks", "/no/such/file"]).failed(1, "io");
}

#[test]
fn lines_go_to_stdout_as_they_are() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    over(&store, &["put", "tasks", "a", r#"{"n": 1}"#]).json();
    let store = store.to_str().expect("UTF-8");
    let exported = run(&["export", "tasks", "--store", store]).ok();
    let line: Json = serde_json::from_str(exported.trim()).expect("one line of JSON");
    assert_eq!(line["n"], 1);
    assert!(line["$id"].is_string());
}

#[test]
fn what_cannot_be_read_leaves_no_store() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let (missing, itself) = (folder.file("no.jsonl"), folder.file("."));
    for file in [&missing, &itself, &folder.file("no.automerge")] {
        let file = file.to_str().expect("UTF-8");
        over(&store, &["import", "tasks", file]).failed(1, "io");
    }
    assert!(!store.exists());
}

#[test]
fn a_line_that_does_not_fit_is_named_with_its_column() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let lines = folder.with("lines.jsonl", "{\"n\": 1}\n{\"n\":\n{\"n\": 3}\n");
    let ran = over(&store, &["import", "tasks", lines.to_str().expect("UTF-8")]);
    ran.failed(2, "invalid_input");
    let told = "after 1 imported record: line 2: not JSON: EOF while parsing a value at column 5\n";
    assert!(ran.stderr.ends_with(told), "{ran:?}");
    over(&store, &["ls", "tasks"]).json();
}

#[test]
fn a_line_without_the_field_that_names_it_is_told_which() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let lines = folder.with("lines.jsonl", "{\"n\": 1}\n");
    let file = lines.to_str().expect("UTF-8");
    let ran = over(&store, &["import", "tasks", file, "--key", "title"]);
    ran.failed(2, "invalid_input");
    assert!(
        ran.stderr.contains("line 1: no text or number in title"),
        "{ran:?}"
    );
}

#[test]
fn no_export_goes_over_the_store() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    over(&store, &["put", "tasks", "a", r#"{"n": 1}"#]).json();
    let itself = store.to_str().expect("UTF-8");
    over(&store, &["export", "tasks", "--output", itself]).failed(2, "usage");
    over(&store, &["export", "tasks", "--automerge", "a", itself]).failed(2, "usage");
    assert_eq!(over(&store, &["ls", "tasks"]).json()["count"], 1);
}

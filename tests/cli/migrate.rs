//! `migrate`: dry, there, past what can't be, and back.

use serde_json::json;

use crate::command::{Folder, over, run};

#[test]
fn a_collection_is_migrated_there_and_back() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    over(
        &store,
        &[
            "put",
            "people",
            "ana",
            r#"{"full_name": "Ana", "year": "1999"}"#,
        ],
    )
    .json();
    over(
        &store,
        &[
            "put",
            "people",
            "bea",
            r#"{"full_name": "Bea", "year": "s3cret"}"#,
        ],
    )
    .json();
    over(&store, &["migrate", "people"]).failed(3, "not_found");
    let contract = json!({
        "syncline_contract": 1,
        "collection": "people",
        "version": 2,
        "fields": {"name": {"kind": "string"}, "born": {"kind": "integer"}},
        "migrations": [{"from": 1, "to": 2, "steps": [
            {"rename": "full_name", "to": "name"},
            {"convert": "year", "was": "string", "to": "born", "is": "integer"},
        ]}],
    });
    let contract = folder.with("2.json", &contract.to_string());
    let contract = contract.to_str().expect("UTF-8");
    over(&store, &["contract", "declare", contract]).json();
    let dry = over(&store, &["migrate", "people", "--dry-run"]);
    dry.failed(2, "migration");
    let object = dry.object();
    assert_eq!(
        (&object["migrated"], &object["failed"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        object["fields"],
        json!(["born", "full_name", "name", "year"])
    );
    assert!(!dry.stdout.contains("s3cret"), "{}", dry.stdout);
    // What is read is migrated already; nothing was written.
    let read = over(&store, &["get", "people", "ana"]).json();
    assert_eq!(read["record"], json!({"name": "Ana", "born": 1999}));
    let changes = |id: &str| {
        let history = over(&store, &["history", "people", id]).json();
        history["changes"].as_array().expect("a list").len()
    };
    assert_eq!(changes("ana"), 1);
    over(&store, &["get", "people", "bea"]).failed(2, "migration");
    over(&store, &["edit", "people", "bea", r#"{"year": "2001"}"#]).json();
    let path = store.to_str().expect("UTF-8");
    let text = run(&["migrate", "--store", path, "people"]).ok();
    assert!(
        text.starts_with("2 records: 2 migrated, 0 without need, 0 failed\n"),
        "{text}"
    );
    assert_eq!(changes("ana"), 3);
    let again = over(&store, &["migrate", "people"]).json();
    assert_eq!(again["unneeded"], 2);
    let back = over(&store, &["migrate", "people", "--back", "1"]).json();
    assert_eq!(back["migrated"], 2);
    over(&store, &["migrate", "people", "--back", "1", "--dry-run"]).failed(2, "usage");
}

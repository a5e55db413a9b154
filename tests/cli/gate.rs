//! `gate`: set, listed, and at work.

use serde_json::json;

use crate::command::{Folder, over, run};

#[test]
fn a_gate_is_set_and_listed_and_lets_a_version_count() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    over(&store, &["put", "people", "ana", r#"{"full_name": "Ana"}"#]).json();
    let contract = json!({
        "syncline_contract": 1,
        "collection": "people",
        "version": 2,
        "gate": "new-names",
        "fields": {"name": {"kind": "string"}},
        "migrations": [{"from": 1, "to": 2, "steps": [{"rename": "full_name", "to": "name"}]}],
    });
    let contract = folder.with("2.json", &contract.to_string());
    over(
        &store,
        &["contract", "declare", contract.to_str().expect("UTF-8")],
    )
    .json();
    let record = || over(&store, &["get", "people", "ana"]).json()["record"].clone();
    assert_eq!(record(), json!({"full_name": "Ana"}));
    assert_eq!(over(&store, &["gate", "list"]).json()["gates"], json!([]));
    let set = over(&store, &["gate", "set", "new-names", "--share", "1000"]).json();
    assert_eq!(
        (&set["changed"], &set["open"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(record(), json!({"name": "Ana"}));
    let path = store.to_str().expect("UTF-8");
    let text = run(&["gate", "list", "--store", path]).ok();
    assert_eq!(text, "new-names  1000 of 1,000  0 by name  open here\n");
    let replica = "ab".repeat(32);
    let set = over(&store, &["gate", "set", "new-names", "--replica", &replica]).json();
    assert_eq!(
        (&set["replicas"], &set["open"]),
        (&json!([replica]), &json!(false))
    );
    assert_eq!(record(), json!({"full_name": "Ana"}));
    over(&store, &["gate", "set", "No Name"]).failed(2, "invalid_input");
    over(&store, &["gate", "set", "new-names", "--share", "1001"]).failed(2, "usage");
}

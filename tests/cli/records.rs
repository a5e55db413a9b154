//! `put`, `get`, `edit`, `rm`, `restore`, `ls`, `status`, `completions`.

use serde_json::json;

use crate::command::{Folder, command, over, run, run_with};

#[test]
fn a_record_is_put_edited_and_read() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let put = over(
        &store,
        &[
            "put",
            "tasks",
            "plants",
            r#"{"title": "Water", "done": false}"#,
        ],
    )
    .json();
    assert_eq!(put["changed"], true);
    let again = over(
        &store,
        &[
            "put",
            "tasks",
            "plants",
            r#"{"title": "Water", "done": false}"#,
        ],
    );
    assert_eq!(again.json()["changed"], false, "equal values write nothing");
    let edited = over(&store, &["edit", "tasks", "plants", r#"{"done": true}"#]).json();
    assert_eq!(edited["id"], put["id"]);
    let got = over(&store, &["get", "tasks", "plants"]).json();
    assert_eq!(got["record"], json!({"title": "Water", "done": true}));
    let id = put["id"].as_str().expect("an id");
    let by_id = over(&store, &["get", "tasks", id]).json();
    assert_eq!(by_id, got, "the id and the name mean the same record");
}

#[test]
fn a_record_without_a_name_gets_an_id() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let path = store.to_str().expect("UTF-8");
    let id = run_with(&["put", "tasks", "-", "--store", path], r#"{"n": 1}"#).ok();
    let got = over(&store, &["get", "tasks", id.trim()]).json();
    assert_eq!(got["record"], json!({"n": 1}));
}

#[test]
fn texts_and_counters_keep_their_kind() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let record = r#"{"notes": {"$text": "abc"}, "votes": {"$counter": 1}}"#;
    over(&store, &["put", "tasks", "a", record]).json();
    let got = over(&store, &["get", "tasks", "a"]).json();
    assert_eq!(got["record"], json!({"notes": "abc", "votes": 1}));
    over(
        &store,
        &["edit", "tasks", "a", r#"{"notes": "abxc", "votes": 3}"#],
    )
    .json();
    let got = over(&store, &["get", "tasks", "a"]).json();
    assert_eq!(got["record"], json!({"notes": "abxc", "votes": 3}));
}

#[test]
fn a_deleted_record_is_gone_until_it_is_restored() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    over(&store, &["put", "tasks", "a", r#"{"n": 1}"#]).json();
    assert_eq!(over(&store, &["rm", "tasks", "a"]).json()["changed"], true);
    assert_eq!(over(&store, &["rm", "tasks", "a"]).json()["changed"], false);
    over(&store, &["get", "tasks", "a"]).failed(3, "not_found");
    assert_eq!(over(&store, &["ls", "tasks"]).json()["count"], 0);
    assert_eq!(
        over(&store, &["restore", "tasks", "a"]).json()["changed"],
        true
    );
    assert_eq!(
        over(&store, &["get", "tasks", "a"]).json()["record"],
        json!({"n": 1})
    );
}

#[test]
fn collections_and_records_are_listed() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    for (collection, name) in [("tasks", "a"), ("tasks", "b"), ("notes", "a")] {
        over(&store, &["put", collection, name, r#"{"n": 1}"#]).json();
    }
    let collections = over(&store, &["ls"]).json();
    let expected = json!([{"name": "notes", "records": 1}, {"name": "tasks", "records": 2}]);
    assert_eq!(collections["collections"], expected);
    let tasks = over(&store, &["ls", "tasks"]).json();
    assert_eq!(tasks["records"].as_array().map(Vec::len), Some(2));
    assert_eq!(tasks["records"][0]["record"], json!({"n": 1}));
}

#[test]
fn spaces_are_apart() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    over(
        &store,
        &["put", "tasks", "a", r#"{"n": 1}"#, "--space", "home"],
    )
    .json();
    over(&store, &["get", "tasks", "a", "--space", "work"]).failed(3, "not_found");
    let got = over(&store, &["get", "tasks", "a", "--space", "home"]).json();
    assert_eq!(got["record"], json!({"n": 1}));
}

#[test]
fn the_status_counts_what_is_there() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    over(&store, &["put", "tasks", "a", r#"{"n": 1}"#]).json();
    let status = over(&store, &["status"]).json();
    let space = &status["spaces"][0];
    assert_eq!(
        space["collections"],
        json!([{"name": "tasks", "records": 1}])
    );
    assert_eq!(space["changes"], 1);
    assert_eq!(status["quarantine"]["entries"], 0);
    assert_eq!(status["replica"].as_str().map(str::len), Some(64));
}

#[test]
fn the_store_may_come_from_the_environment() {
    let folder = Folder::new();
    let mut put = command(&["put", "tasks", "a", r#"{"n": 1}"#]);
    let output = put.env("SYNCLINE_STORE", folder.file("a.redb")).output();
    assert!(output.expect("it runs").status.success());
    over(&folder.file("a.redb"), &["get", "tasks", "a"]).json();
}

#[test]
fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]).ok();
        assert!(script.contains("syncline"), "{shell}");
        let object = run(&["completions", shell, "--json"]).json();
        assert_eq!(object["shell"], shell);
    }
}

#[test]
fn the_readme_names_every_command() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(path).expect("readable");
    let help = run(&["--help"]).ok();
    let (_, commands) = help.split_once("Commands:\n").expect("commands");
    let commands = commands.lines().take_while(|it| !it.is_empty());
    for name in commands.filter_map(|it| it.split_whitespace().next()) {
        assert!(
            name == "help" || readme.contains(&format!("`{name}`")),
            "{name}"
        );
    }
}

//! `compact`: histories get small, nothing else changes.

use crate::command::{Folder, over};

/// A store with a record that was edited so often.
fn edited(folder: &Folder, edits: usize) -> std::path::PathBuf {
    let store = folder.file("a.redb");
    let record = r#"{"title": {"$text": "a title"}, "n": 0, "done": false}"#;
    over(&store, &["put", "tasks", "a", record]).json();
    for n in 1..=edits {
        let patch = format!(r#"{{"n": {n}}}"#);
        over(&store, &["edit", "tasks", "a", &patch]).json();
    }
    store
}

#[test]
fn a_compacted_store_shows_the_same_in_fewer_bytes() {
    let folder = Folder::new();
    let store = edited(&folder, 12);
    let before = over(&store, &["get", "tasks", "a"]).json();
    let digest = over(&store, &["status"]).json()["spaces"][0]["digest"].clone();
    let done = over(&store, &["compact"]).json();
    assert_eq!(done["records"], 1, "{done}");
    assert_eq!(done["changes"], 13, "{done}");
    assert!(done["history_bytes"].as_u64() > Some(500), "{done}");
    let sizes = [&done["file_bytes_before"], &done["file_bytes_after"]];
    assert!(sizes[1].as_u64() < sizes[0].as_u64(), "{done}");
    assert_eq!(over(&store, &["get", "tasks", "a"]).json(), before);
    let status = over(&store, &["status"]).json();
    let space = &status["spaces"][0];
    assert_eq!(space["digest"], digest, "{status}");
    assert_eq!(space["horizon"], 13, "{status}");
    assert_eq!(over(&store, &["doctor"]).json()["sound"], true);
    // It goes on from there, and there is nothing more to do.
    over(&store, &["edit", "tasks", "a", r#"{"n": 99}"#]).json();
    let shown = over(&store, &["get", "tasks", "a"]).json();
    assert_eq!(shown["record"]["n"], 99, "{shown}");
    assert_eq!(over(&store, &["compact"]).json()["records"], 0);
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let folder = Folder::new();
    let store = folder.file("missing.redb");
    let ran = over(&store, &["compact"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(!store.exists());
}

//! `blob`: attachments from and to files, and over a hub.

use crate::command::{Folder, Running, over};

/// A file of so many bytes that do not compress, nor repeat from chunk to chunk.
fn file(folder: &Folder, name: &str, bytes: usize) -> std::path::PathBuf {
    let path = folder.file(name);
    let mut seed = 1_u64;
    let content: Vec<u8> = (0..bytes)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed.to_be_bytes()[0]
        })
        .collect();
    std::fs::write(&path, content).expect("writable");
    path
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("a path of letters")
}

#[test]
fn a_file_is_put_referred_to_listed_and_got_back_as_it_was() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let photo = file(&folder, "fern.png", 300_000);
    let put = over(
        &store,
        &["blob", "put", text(&photo), "--type", "image/png"],
    )
    .json();
    let id = put["blob"].as_str().expect("an id");
    assert_eq!(put["field"]["$blob"]["name"], "fern.png", "{put}");
    let record = serde_json::json!({"title": "a fern", "photo": put["field"]}).to_string();
    over(&store, &["put", "plants", "fern", &record]).json();
    let shown = over(&store, &["get", "plants", "fern"]).json();
    assert_eq!(shown["record"]["photo"], put["field"], "{shown}");
    let listed = over(&store, &["blob", "ls"]).json();
    assert_eq!(listed["blobs"][0]["blob"], id, "{listed}");
    assert_eq!(listed["blobs"][0]["named"], true, "{listed}");
    assert_eq!(listed["blobs"][0]["complete"], true, "{listed}");
    let copy = folder.file("copy.png");
    over(&store, &["blob", "get", id, "-o", text(&copy)]).json();
    assert!(std::fs::read(&copy).unwrap() == std::fs::read(&photo).unwrap());
    // Nothing is written over.
    over(&store, &["blob", "get", id, "-o", text(&copy)]).failed(1, "io");
    assert_eq!(over(&store, &["doctor"]).json()["sound"], true);
}

#[test]
fn an_attachment_that_is_not_here_is_said_not_to_be() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    over(&store, &["put", "plants", "fern", r#"{"n": 1}"#]).json();
    let id = "ab".repeat(32);
    let copy = folder.file("copy");
    over(&store, &["blob", "get", &id, "-o", text(&copy)]).failed(3, "not_here");
    assert!(!copy.exists());
    over(&store, &["blob", "rm", &id]).failed(3, "not_found");
    over(&store, &["blob", "get", "ab", "-o", text(&copy)]).failed(2, "usage");
}

#[test]
fn one_that_is_referred_to_is_removed_by_force_only() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let put = over(&store, &["blob", "put", text(&file(&folder, "a", 10))]).json();
    let id = put["blob"].as_str().expect("an id");
    let record = serde_json::json!({"photo": put["field"]}).to_string();
    over(&store, &["put", "plants", "fern", &record]).json();
    over(&store, &["rm", "plants", "fern"]).json();
    // A record that is deleted can be restored.
    over(&store, &["blob", "rm", id]).failed(2, "usage");
    assert_eq!(over(&store, &["blob", "gc"]).json()["removed"], 0);
    over(&store, &["blob", "rm", id, "--force"]).json();
    let listed = over(&store, &["blob", "ls"]).json();
    assert_eq!(
        listed["blobs"].as_array().map(Vec::len),
        Some(0),
        "{listed}"
    );
}

#[test]
fn an_attachment_reaches_another_device_through_a_hub_and_both_are_never_there_at_once() {
    let folder = Folder::new();
    let (a, b) = (folder.file("a.redb"), folder.file("b.redb"));
    let (_hub, url) = Running::hub(&folder.file("hub.redb"));
    let photo = file(&folder, "fern.png", 3_000_000);
    let put = over(&a, &["blob", "put", text(&photo)]).json();
    let id = put["blob"].as_str().expect("an id");
    let record = serde_json::json!({"photo": put["field"]}).to_string();
    over(&a, &["put", "plants", "fern", &record]).json();
    // When the command ends, the hub has the attachment, too.
    over(&a, &["sync", &url]).json();
    over(&b, &["sync", &url]).json();
    let listed = over(&b, &["blob", "ls"]).json();
    assert_eq!(
        listed["blobs"].as_array().map(Vec::len),
        Some(0),
        "{listed}"
    );
    let fetched = over(&b, &["blob", "fetch", id, "--peer", &url]).json();
    assert_eq!(fetched["size"], 3_000_000, "{fetched}");
    let copy = folder.file("copy.png");
    over(&b, &["blob", "get", id, "-o", text(&copy)]).json();
    assert!(std::fs::read(&copy).unwrap() == std::fs::read(&photo).unwrap());
}

#[test]
fn a_fetch_of_what_nobody_has_ends_in_time_and_stays_wanted() {
    let folder = Folder::new();
    let b = folder.file("b.redb");
    let (_hub, url) = Running::hub(&folder.file("hub.redb"));
    let id = "ab".repeat(32);
    let late = over(
        &b,
        &["blob", "fetch", &id, "--peer", &url, "--timeout", "1"],
    );
    late.failed(5, "timeout");
}

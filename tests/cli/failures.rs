//! What goes wrong ends with its own exit code and says what to do; nothing panics.

use std::io::Read as _;
use std::process::Stdio;

use crate::command::{Folder, Running, command, over, run};

#[test]
fn wrong_usage_ends_with_2() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    for arguments in [
        &["put", "tasks", "a", "{}", "--colour"][..],
        &["fly"],
        &["get", "tasks"],
        &["serve", "--listen", "127.0.0.1:0", "--admit", "nobody"],
        &["sync", "ws://127.0.0.1:1", "--timeout", "soon"],
        &["watch", "--limit", "0"],
        &["get", "tasks", ""],
        &["ls", "--space", ""],
    ] {
        over(&store, arguments).failed(2, "usage");
    }
    run(&["get", "tasks", "a"]).failed(2, "usage");
    assert!(!store.exists(), "wrong usage leaves nothing behind");
}

#[test]
fn wrong_input_ends_with_2() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    for arguments in [
        &["put", "tasks", "a", "{not json"][..],
        &["put", "tasks", "a", "[1]"],
        &["put", "tasks", "a", "{}"],
        &["put", "No Such Name", "a", "{}"],
        &["put", "tasks", "a", r#"{"n": {"$counter": "x"}}"#],
        &["put", "tasks", "a", r#"{"$deleted": 1}"#],
        &["sync", "http://127.0.0.1:1"],
        &["sync", "ws://"],
        &["sync", "ws://127.0.0.1:99999"],
        &["sync", "wss://127.0.0.1:1"],
        &["watch", "--connect", "ws://127.0.0.1:0"],
        &["import", "tasks", "-", "--id", "a"],
    ] {
        let ran = over(&store, arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.object()["error"]["message"].is_string());
    }
}

#[test]
fn a_missing_record_ends_with_3() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    over(&store, &["put", "tasks", "b", r#"{"n": 1}"#]).json();
    for arguments in [
        &["get", "tasks", "a"][..],
        &["edit", "tasks", "a", r#"{"n": 1}"#],
        &["rm", "tasks", "a"],
        &["restore", "tasks", "a"],
    ] {
        let ran = over(&store, arguments);
        ran.failed(3, "not_found");
        assert!(
            ran.stderr.contains("no record 'a' in 'tasks'"),
            "it is named as it was typed: {ran:?}"
        );
    }
}

#[test]
fn damage_over_which_redb_panics_is_told_in_one_line() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    for name in ["a", "b", "c"] {
        over(&store, &["put", "tasks", name, r#"{"n": 1}"#]).json();
    }
    let mut bytes = std::fs::read(&store).expect("readable");
    for byte in bytes.iter_mut().skip(4096).step_by(7) {
        *byte ^= 0xff;
    }
    std::fs::write(&store, bytes).expect("writable");
    let ran = over(&store, &["ls"]);
    ran.failed(4, "store_corrupt");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
}

#[test]
fn a_store_that_cannot_be_used_ends_with_4() {
    let folder = Folder::new();
    let text = folder.with("notes.txt", "Dear diary,\n");
    over(&text, &["ls"]).failed(4, "store_foreign");
    assert_eq!(
        std::fs::read_to_string(text).expect("readable"),
        "Dear diary,\n"
    );
    let nowhere = over(
        &folder.file("no/such/a.redb"),
        &["put", "tasks", "a", r#"{"n": 1}"#],
    );
    assert_eq!(nowhere.code, 4, "{nowhere:?}");
    let folder_itself = over(&folder.file("."), &["ls"]);
    assert_eq!(folder_itself.code, 4, "{folder_itself:?}");
    let cut = folder.file("cut.redb");
    over(&cut, &["put", "tasks", "a", r#"{"n": 1}"#]).json();
    let bytes = std::fs::read(&cut).expect("readable");
    std::fs::write(&cut, &bytes[..bytes.len() / 3]).expect("writable");
    let torn = over(&cut, &["ls"]);
    assert_eq!(torn.code, 4, "{torn:?}");
}

#[test]
fn a_mistyped_path_makes_no_store() {
    let folder = Folder::new();
    let store = folder.file("typo.redb");
    for arguments in [
        &["get", "tasks", "a"][..],
        &["edit", "tasks", "a", r#"{"n": 1}"#],
        &["rm", "tasks", "a"],
        &["ls"],
        &["status"],
        &["export", "tasks"],
    ] {
        over(&store, arguments).failed(4, "store_missing");
    }
    assert!(!store.exists());
}

#[test]
fn a_store_in_use_is_locked() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let (_hub, _) = Running::hub(&store);
    over(&store, &["ls"]).failed(4, "store_locked");
}

#[test]
fn a_peer_that_is_not_there_ends_with_5() {
    let folder = Folder::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let url = format!("ws://127.0.0.1:{port}");
    over(&folder.file("a.redb"), &["sync", &url, "--timeout", "1"]).failed(5, "timeout");
    let line = folder.with("line.jsonl", "{\"n\": 1}\n");
    let line = line.to_str().expect("UTF-8");
    let arguments = ["import", "tasks", line, "--connect", &url, "--timeout", "1"];
    let ran = over(&folder.file("b.redb"), &arguments);
    ran.failed(5, "timeout");
    assert!(ran.stderr.contains("after 1 imported record: "), "{ran:?}");
}

#[test]
fn a_closed_pipe_is_quiet() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let many: Vec<String> = (0..2_000).map(|n| format!("{{\"n\": {n}}}")).collect();
    let lines = folder.with("many.jsonl", &many.join("\n"));
    over(&store, &["import", "tasks", lines.to_str().expect("UTF-8")]).json();
    let mut child = command(&["export", "tasks", "--store", store.to_str().expect("UTF-8")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    drop(child.stdout.take());
    let mut stderr = String::new();
    let mut pipe = child.stderr.take().expect("piped");
    pipe.read_to_string(&mut stderr).expect("UTF-8");
    assert_eq!(stderr, "");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn help_names_the_exit_codes() {
    let help = run(&["--help"]).ok();
    for code in ["0  done", "3  no such record", "6  the other side refused"] {
        assert!(help.contains(code), "{help}");
    }
    assert!(run(&["--version"]).ok().starts_with("syncline "));
}

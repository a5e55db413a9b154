//! Many records at once: what was cut off by `kill -9` goes on where it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::sleep;

use crate::command::{Folder, Running, over};

const RECORDS: u64 = 6_000;

/// Acknowledged records after which an import is killed.
const ACKS: u64 = 1_700;

/// A file of records, each with its name.
fn lines(folder: &Folder) -> PathBuf {
    let line = |it| json!({"$id": format!("r{it}"), "title": format!("Record {it}"), "n": it});
    let lines: Vec<_> = (0..RECORDS).map(|it| line(it).to_string()).collect();
    let file = folder.file("records.jsonl");
    fs::write(&file, lines.join("\n")).expect("a file");
    file
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn count(of: &Json, name: &str) -> u64 {
    of[name].as_u64().expect("a number")
}

#[test]
fn an_import_that_is_killed_goes_on_where_it_was() {
    let folder = Folder::new();
    let (file, store) = (lines(&folder), folder.file("a.redb"));
    let import = ["import", "tasks", text(&file)];
    let to = ["--acks", "--store", text(&store)];
    let mut first = Running::start(&[&import[..], &to].concat());
    for _ in 0..ACKS {
        assert_ne!(first.line(), "", "it ended before it was killed");
    }
    first.kill();
    let rest = over(&store, &import).json();
    let (imported, equal) = (count(&rest, "imported"), count(&rest, "equal"));
    assert_eq!(imported + equal, RECORDS);
    assert!(
        equal >= ACKS,
        "{equal} of {ACKS} acknowledged ones are left"
    );
    assert!(imported > 0, "it was through before it was killed");
    let again = over(&store, &import).json();
    assert_eq!(count(&again, "equal"), RECORDS);
}

#[tokio::test]
async fn a_first_sync_that_is_killed_goes_on_where_it_was() {
    let folder = Folder::new();
    let (file, hub) = (lines(&folder), folder.file("hub.redb"));
    over(&hub, &["import", "tasks", text(&file)]).json();
    let (_hub, url) = Running::hub(&hub);
    let whole = over(&folder.file("whole.redb"), &["sync", &url]).json();
    assert_eq!(count(&whole, "new_changes"), RECORDS);
    let mut after = Duration::from_millis(100);
    for attempt in 0..30 {
        let store = folder.file(&format!("{attempt}.redb"));
        let mut first = Running::start(&["sync", &url, "--store", text(&store)]);
        sleep(after).await;
        first.kill();
        let rest = over(&store, &["sync", &url]).json();
        assert_eq!(rest["digest"], whole["digest"]);
        let missing = count(&rest, "new_changes");
        match missing {
            0 => after = after * 3 / 4,
            RECORDS => after = after * 4 / 3,
            _ => {
                // What is there is not sent again, but for what finding it out takes.
                let (came, all) = (&rest, &whole);
                let (came, all) = (count(came, "received_bytes"), count(all, "received_bytes"));
                let expected = all * missing / RECORDS + all / 10;
                assert!(came <= expected, "{came} of {all} bytes for {missing}");
                return;
            }
        }
    }
    panic!("it was never killed half way");
}

//! `history`, `get --at`, `diff`, `undo`, `redo`, `restore --at`, and `--reason`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value as Json, json};
use syncline::doc::{Change, Document, EditMeta};
use syncline::id::ActorId;

use crate::command::{Folder, Running, over, run};

const RECORD: [&str; 2] = ["tasks", "plants"];

/// A command about the one record.
fn on(store: &Path, command: &str, arguments: &[&str]) -> crate::command::Ran {
    over(store, &[&[command], &RECORD[..], arguments].concat())
}

fn changes(store: &Path) -> Vec<Json> {
    let history = on(store, "history", &[]).json();
    history["changes"].as_array().expect("a list").clone()
}

fn hash(change: &Json) -> &str {
    change["change"].as_str().expect("a hash")
}

fn record(store: &Path) -> Json {
    on(store, "get", &[]).json()["record"].clone()
}

/// A store whose record was made and changed twice.
fn written(folder: &Folder) -> std::path::PathBuf {
    let store = folder.file("a.redb");
    on(&store, "put", &[r#"{"n": 1, "m": 1}"#, "--reason", "made"]).json();
    on(&store, "edit", &[r#"{"n": 2}"#, "--reason", "more"]).json();
    on(&store, "edit", &[r#"{"n": 3}"#]).json();
    store
}

/// A document with two changes whose hashes begin alike, and how they begin.
fn alike() -> (String, Vec<u8>) {
    let made = |who: u8, number: i64| {
        let mut document = Document::new(&ActorId::from_bytes(vec![who; 16]));
        let edited = document.edit::<_, syncline::Error>(EditMeta::default(), |edit| {
            edit.set(&["n".into()], &number.into())
        });
        (document, edited.expect("it fits").1.expect("a change"))
    };
    let start = |change: &Change| change.hash().short().chars().take(6).collect::<String>();
    // Of 6,000 changes of each some two begin alike, and that these are ones does not change.
    let ours = (0..6_000).map(|it| (start(&made(1, it).1), it));
    let ours: BTreeMap<_, _> = ours.collect();
    for number in 0..20_000 {
        let (mut document, change) = made(2, number);
        let short = start(&change);
        if let Some(same) = ours.get(&short) {
            document.apply(&[made(1, *same).1]).expect("it fits");
            return (short, document.save().expect("it can be saved"));
        }
    }
    panic!("no two begin alike");
}

#[test]
fn a_history_names_the_versions_that_can_be_read_and_compared() {
    let folder = Folder::new();
    let store = written(&folder);
    let changes = changes(&store);
    let [third, second, first] = changes.as_slice() else {
        panic!("three changes: {changes:?}");
    };
    assert_eq!(
        (&first["reason"], &third["reason"]),
        (&json!("made"), &Json::Null)
    );
    assert_eq!(second["parents"], json!([first["change"]]));
    assert_eq!(
        (&second["own"], &second["kind"]),
        (&json!(true), &json!("edit"))
    );

    let (short, _) = hash(first).split_at(8);
    let then = on(&store, "get", &["--at", short]).json();
    assert_eq!(then["record"], json!({"n": 1, "m": 1}));
    assert_eq!(then["version"], short);
    let late = on(&store, "get", &["--at", "2999-01-01T00:00:00Z"]).json();
    assert_eq!(late["record"], json!({"n": 3, "m": 1}));
    let early = on(&store, "get", &["--at", "1999-01-01T00:00:00+01:00"]);
    early.failed(3, "not_found");
    assert!(
        early.stderr.contains("there was no record 'plants'"),
        "{early:?}"
    );

    let diff = on(&store, "diff", &[short]).json();
    assert_eq!(
        diff["patches"],
        json!([{"path": "n", "before": 1, "after": 3}])
    );
    let diff = on(&store, "diff", &[short, hash(second)]).json();
    assert_eq!(
        diff["patches"],
        json!([{"path": "n", "before": 1, "after": 2}])
    );
    let diff = on(&store, "diff", &[short, short]).json();
    assert_eq!(diff["patches"], json!([]));
}

#[test]
fn people_get_tables() {
    let folder = Folder::new();
    let store = written(&folder);
    let store = store.to_str().expect("UTF-8");
    let history = run(&[
        "history", "tasks", "plants", "--store", store, "--limit", "2",
    ])
    .ok();
    let lines: Vec<_> = history.lines().collect();
    assert_eq!(lines.len(), 3, "{history}");
    assert!(lines[1].contains("this store  edit  more"), "{history}");
    let next = lines[2].strip_prefix("more: --before ").expect("more");
    let rest = [
        "history", "tasks", "plants", "--store", store, "--before", next,
    ];
    let rest = run(&rest).ok();
    assert_eq!(rest.lines().count(), 1, "{rest}");
    assert!(
        rest.trim_end().ends_with("this store  edit  made"),
        "{rest}"
    );
    let (first, _) = rest.split_once(' ').expect("columns");
    let diff = run(&["diff", "tasks", "plants", first, "--store", store]).ok();
    assert_eq!(diff, "- n  1\n+ n  3\n");
    let undo = ["undo", "tasks", "plants", "--store", store];
    assert!(run(&undo).ok().starts_with("undone "));
    let undone = run(&undo).ok();
    assert!(undone.trim_end().ends_with(": more"), "{undone}");
    let history = run(&["history", "tasks", "plants", "--store", store]).ok();
    assert!(history.contains("undo of "), "{history}");
}

#[test]
fn undo_and_redo_go_step_by_step_each_in_a_process_of_its_own() {
    let folder = Folder::new();
    let store = written(&folder);
    let undone = on(&store, "undo", &["--reason", "too much"]).json();
    let first = changes(&store);
    assert_eq!(undone["change"], first[0]["change"]);
    assert_eq!(
        (&undone["of"], &first[0]["of"]),
        (&first[1]["change"], &first[1]["change"])
    );
    assert_eq!(
        (&first[0]["kind"], &first[0]["reason"]),
        (&json!("undo"), &json!("too much"))
    );
    assert_eq!(on(&store, "undo", &[]).json()["reason"], "more");
    assert_eq!(record(&store), json!({"n": 1, "m": 1}));
    assert_eq!(on(&store, "redo", &[]).json()["kept"], json!([]));
    assert_eq!(record(&store), json!({"n": 2, "m": 1}));
    on(&store, "undo", &[]).json();
    on(&store, "undo", &[]).json();
    on(&store, "get", &[]).failed(3, "not_found");
    let nothing = on(&store, "undo", &[]).json();
    assert_eq!(
        (&nothing["changed"], &nothing["of"]),
        (&json!(false), &Json::Null)
    );
    for _ in 0..3 {
        on(&store, "redo", &[]).json();
    }
    assert_eq!(record(&store), json!({"n": 3, "m": 1}));
    assert_eq!(on(&store, "redo", &[]).json()["changed"], false);
}

#[test]
fn a_record_goes_back_to_a_version() {
    let folder = Folder::new();
    let store = written(&folder);
    let first = changes(&store).pop().expect("a change");
    on(&store, "rm", &["--reason", "over"]).json();
    let back = on(
        &store,
        "restore",
        &["--at", hash(&first), "--reason", "anew"],
    )
    .json();
    assert_eq!(back["changed"], true);
    assert_eq!(record(&store), json!({"n": 1, "m": 1}));
    let again = on(&store, "restore", &["--at", hash(&first)]).json();
    assert_eq!(again["changed"], false);
    let reasons: Vec<_> = changes(&store)
        .iter()
        .map(|it| it["reason"].clone())
        .collect();
    assert_eq!(reasons[..2], [json!("anew"), json!("over")]);
}

#[test]
fn stores_that_sync_list_the_same_history_and_keep_what_each_other_wrote() {
    let folder = Folder::new();
    let (a, b) = (folder.file("a.redb"), folder.file("b.redb"));
    let (_hub, url) = Running::hub(&folder.file("hub.redb"));
    written(&folder);
    on(&a, "edit", &[r#"{"n": 5, "m": 5}"#]).json();
    for store in [&a, &b] {
        over(store, &["sync", &url]).json();
    }
    assert_eq!(
        on(&b, "undo", &[]).json()["changed"],
        false,
        "it has made nothing"
    );
    on(&b, "edit", &[r#"{"m": 7}"#, "--reason", "by b"]).json();
    for store in [&b, &a] {
        over(store, &["sync", &url]).json();
    }
    let undone = on(&a, "undo", &[]).json();
    assert_eq!(undone["kept"], json!(["m"]));
    for store in [&a, &b] {
        over(store, &["sync", &url]).json();
        assert_eq!(record(store), json!({"n": 3, "m": 7}));
    }
    let (ours, theirs) = (changes(&a), changes(&b));
    let list = |changes: &[Json], name: &str| {
        let values = changes.iter().map(|it| it[name].clone());
        values.collect::<Vec<_>>()
    };
    assert_eq!(ours.len(), 6);
    assert_eq!(list(&ours, "change"), list(&theirs, "change"));
    assert_eq!(list(&ours, "author"), list(&theirs, "author"));
    assert_eq!(ours[1]["reason"], "by b");
    assert_eq!(
        (&ours[1]["own"], &theirs[1]["own"]),
        (&json!(false), &json!(true))
    );
}

#[test]
fn wrong_versions_are_told_apart() {
    let folder = Folder::new();
    let store = written(&folder);
    for (wrong, code, kind, says) in [
        ("abc", 2, "invalid_input", "'abc' is no version"),
        ("yesterday", 2, "invalid_input", "hex digits"),
        ("2026-11-22", 2, "invalid_input", "2026-11-22T09:30:00Z"),
        ("", 2, "invalid_input", "is no version"),
        (
            "ffffffffffff",
            3,
            "not_found",
            "there is no version ffffffffffff",
        ),
    ] {
        let first = changes(&store).pop().expect("a change");
        for (command, arguments) in [
            ("get", &["--at", wrong][..]),
            ("restore", &["--at", wrong]),
            ("diff", &[wrong]),
            ("diff", &[hash(&first), wrong]),
        ] {
            let ran = on(&store, command, arguments);
            ran.failed(code, kind);
            assert!(ran.stderr.contains(says), "{ran:?}");
        }
    }
    let ran = on(&store, "history", &["--before", "abcdef"]);
    ran.failed(2, "invalid_input");
    on(&store, "history", &["--before", &"f".repeat(64)]).failed(3, "not_found");
    on(&store, "history", &["--limit", "0"]).failed(2, "usage");
    for command in ["history", "undo", "redo", "diff", "restore"] {
        let mut arguments = vec![command, "tasks", "nobody"];
        if command == "diff" {
            arguments.push("abcdef");
        }
        if command == "restore" {
            arguments.extend(["--at", "abcdef"]);
        }
        let ran = over(&store, &arguments);
        ran.failed(3, "not_found");
        assert!(
            ran.stderr.contains("no record 'nobody' in 'tasks'"),
            "{ran:?}"
        );
    }
}

#[test]
fn a_short_hash_that_means_two_changes_is_refused() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let (short, saved) = alike();
    let path = folder.file("alike.automerge");
    std::fs::write(&path, saved).expect("writable");
    let path = path.to_str().expect("UTF-8");
    over(&store, &["import", "tasks", path, "--id", "plants"]).json();
    let ran = on(&store, "get", &["--at", &short]);
    ran.failed(2, "invalid_input");
    assert!(
        ran.stderr.contains("is short for several changes"),
        "{ran:?}"
    );
}

#[test]
fn a_reason_that_passes_for_a_mark_or_is_too_long_is_refused() {
    let folder = Folder::new();
    let store = written(&folder);
    let mark = format!("undo:{}", "a".repeat(64));
    on(&store, "edit", &[r#"{"n": 9}"#, "--reason", &mark]).failed(2, "invalid_input");
    let long = "x".repeat(5_000);
    on(&store, "undo", &["--reason", &long]).failed(2, "too_large");
    on(&store, "undo", &["--reason", ""]).failed(2, "usage");
    assert_eq!(record(&store), json!({"n": 3, "m": 1}));
}

//! `contract`: versions that follow each other and versions that don't, records that fit and don't.

use std::path::Path;

use serde_json::{Value as Json, json};

use crate::command::{Folder, Ran, over, run, run_with};

/// A contract of tasks at a version, with these fields.
fn contract(version: u32, fields: &Json) -> String {
    json!({"syncline_contract": 1, "collection": "tasks", "version": version, "fields": fields})
        .to_string()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_compatible_version_is_told_and_logged_once() {
    let folder = Folder::new();
    let title = json!({"kind": "string"});
    let old = folder.with("1.json", &contract(1, &json!({"title": title})));
    let new = json!({"title": title, "due": {"kind": "timestamp"}});
    let new = folder.with("2.json", &contract(2, &new));
    let shown = run(&["contract", "diff", text(&old), text(&new)]).ok();
    assert_eq!(
        shown,
        "tasks, version 1 to 2: 1 difference\n  compatible  due  new optional field, timestamp: \
         older programs carry it along unread\n"
    );
    let log = folder.with(
        "log.md",
        "# Tasks\n\nFor people.\n\n## Version 1\n\nThe first.\n",
    );
    let arguments = [
        "contract",
        "diff",
        text(&old),
        text(&new),
        "--changelog",
        text(&log),
    ];
    for _ in 0..2 {
        let object = run(&[&arguments[..], &["--json"]].concat()).json();
        assert_eq!(object["effect"], "compatible", "{object}");
        assert_eq!(object["differences"][0]["place"], "due", "{object}");
        let written = std::fs::read_to_string(&log).expect("readable");
        let expected = "# Tasks\n\nFor people.\n\n## Version 2\n\nRead by programs of version 1 and \
             newer, written by those of version 1 and newer.\n\nCompatible:\n\n- `due`: new optional \
             field, timestamp. Older programs carry it along unread.\n\n## Version 1\n\nThe first.\n";
        assert_eq!(written, expected);
    }
    let fresh = folder.file("new.md");
    let ran = run(&[
        "contract",
        "diff",
        text(&old),
        text(&new),
        "--changelog",
        text(&fresh),
    ]);
    assert!(ran.ok().ends_with("new.md\n"));
    let written = std::fs::read_to_string(&fresh).expect("readable");
    assert!(
        written.starts_with("# Changelog of the contract `tasks`\n\n## Version 2\n"),
        "{written}"
    );
}

#[test]
fn an_undeclared_break_ends_with_2() {
    let folder = Folder::new();
    let old = folder.with(
        "1.json",
        &contract(1, &json!({"title": {"kind": "string"}})),
    );
    let broken = contract(2, &json!({"title": {"kind": "string", "required": true}}));
    let new = folder.with("2.json", &broken);
    let log = folder.file("log.md");
    let ran = run(&[
        "contract",
        "diff",
        text(&old),
        text(&new),
        "--changelog",
        text(&log),
    ]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.stdout
            .contains("breaking for older writers, not declared  title  required now"),
        "{ran:?}"
    );
    assert!(
        ran.stderr
            .contains("`oldest_writer` above 1: title: required now"),
        "{ran:?}"
    );
    assert!(!log.exists());
    let ran = run(&["contract", "diff", text(&old), text(&new), "--json"]);
    ran.failed(2, "invalid_input");
    assert_eq!(ran.object()["differences"][0]["declared"], false, "{ran:?}");
    assert_eq!(
        ran.object()["differences"][0]["breaks_writers"],
        true,
        "{ran:?}"
    );
    let mut declared: Json = serde_json::from_str(&broken).expect("JSON");
    declared["oldest_writer"] = json!(2);
    let new = folder.with("2.json", &declared.to_string());
    let object = run(&["contract", "diff", text(&old), text(&new), "--json"]).json();
    assert_eq!(object["differences"][0]["declared"], true, "{object}");
    // Back again the version does not rise.
    run(&["contract", "diff", text(&new), text(&old), "--json"]).failed(2, "invalid_input");
}

#[test]
fn records_are_checked_line_by_line() {
    let folder = Folder::new();
    let fields = json!({
        "title": {"kind": "string", "required": true, "length": {"max": 9}},
        "notes": {"kind": "text"},
        "email": {"kind": "string", "sensitive": true, "pattern": "@"},
    });
    let mut json: Json = serde_json::from_str(&contract(1, &fields)).expect("JSON");
    json["rules"] = json!([{"custom": "vat@1", "path": "title"}]);
    let file = folder.with("1.json", &json.to_string());
    let shown = run(&["contract", "check", text(&file)]).ok();
    assert!(
        shown.starts_with("tasks, version 1: sound, 3 fields, digest "),
        "{shown}"
    );
    assert_eq!(
        run(&["contract", "check", text(&file), "--json"]).json()["fields"],
        3
    );
    let good = "{\"title\": \"a\", \"notes\": \"plain\", \"$id\": \"x\"}\n\n{\"title\": \"b\"}\n";
    let good = folder.with("good.jsonl", good);
    let shown = run(&["contract", "check", text(&file), text(&good)]).ok();
    assert_eq!(
        shown,
        "tasks, version 1: 2 records, 0 of them broken\nnot checked, for they are a program's own: \
         custom:vat@1\n"
    );
    let bad = "{\"title\": \"a\"}\n{\"title\": \"far too long\"}\n{\"email\": \"secret\"}\n";
    let ran = run_with(&["contract", "check", text(&file), "-"], bad);
    assert_eq!(ran.code, 2, "{ran:?}");
    let expected = [
        "line 2: title: a string breaks 'length': it must be at most 9 long",
        "line 3: email: a string breaks 'pattern': it must match @",
        "line 3: title: it is missing, which breaks 'required': it must be there",
        "tasks, version 1: 3 records, 2 of them broken",
    ];
    assert_eq!(ran.stdout.lines().take(4).collect::<Vec<_>>(), expected);
    let ran = run_with(&["contract", "check", text(&file), "-", "--json"], bad);
    let lines: Vec<Json> = ran
        .stdout
        .lines()
        .map(|it| serde_json::from_str(it).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 3, "{ran:?}");
    assert_eq!(
        (&lines[0]["line"], &lines[0]["breaches"][0]["rule"]),
        (&json!(2), &json!("length"))
    );
    assert_eq!(
        (&lines[2]["records"], &lines[2]["broken"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(lines[2]["error"]["kind"], "invalid_input");
    assert!(
        !ran.stdout.contains("secret") && !ran.stderr.contains("secret"),
        "{ran:?}"
    );
    for (line, what) in [
        ("{", "line 1: not JSON"),
        ("[1]", "line 1: a record is a JSON object"),
    ] {
        let ran = run_with(&["contract", "check", text(&file), "-", "--json"], line);
        ran.failed(2, "invalid_input");
        assert!(ran.stderr.contains(what), "{ran:?}");
    }
}

#[test]
fn what_was_exported_can_be_checked() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let record = r#"{"title": {"$text": "a"}, "votes": {"$counter": 2}, "due": {"$time": 5}}"#;
    over(&store, &["put", "tasks", "a", record]).json();
    let lines = folder.file("out.jsonl");
    over(&store, &["export", "tasks", "--output", text(&lines)]).json();
    let fields = json!({
        "title": {"kind": "text"}, "votes": {"kind": "counter"}, "due": {"kind": "timestamp"},
    });
    let file = folder.with("1.json", &contract(1, &fields));
    let object = run(&["contract", "check", text(&file), text(&lines), "--json"]).json();
    assert_eq!(
        (&object["records"], &object["broken"]),
        (&json!(1), &json!(0))
    );
}

#[test]
fn a_schema_is_printed() {
    let folder = Folder::new();
    let file = folder.with("1.json", &contract(1, &json!({"n": {"kind": "integer"}})));
    let shown = run(&["contract", "schema", text(&file)]).ok();
    let shown: Json = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["properties"]["n"]["type"], json!(["integer", "null"]));
    assert_eq!(
        run(&["contract", "schema", text(&file), "--json"]).json(),
        shown
    );
}

#[test]
fn what_is_no_contract_is_refused() {
    let folder = Folder::new();
    let refused = |ran: Ran, what: &str| {
        ran.failed(2, "invalid_input");
        assert!(ran.stderr.contains(what), "{ran:?}");
    };
    let check = |content: &str| {
        let file = folder.with("c.json", content);
        run(&["contract", "check", text(&file), "--json"])
    };
    refused(check("not JSON"), "it is not JSON");
    refused(check("[]"), "it is not an object");
    refused(check(&contract(0, &json!({}))), "versions are from 1");
    let policy = json!({"n": {"kind": "integer", "policy": "newest"}});
    refused(
        check(&contract(1, &policy)),
        "fields.n.policy: there is no policy 'newest'",
    );
    let key = json!({"n": {"kind": "integer", "lenght": 1}});
    refused(
        check(&contract(1, &key)),
        "fields.n.lenght: there is no such key",
    );
    refused(check(&" ".repeat(2 << 20)), "is over");
    let binary = folder.file("b.json");
    std::fs::write(&binary, [255, 254, 0]).expect("writable");
    refused(
        run(&["contract", "schema", text(&binary), "--json"]),
        "is not UTF-8",
    );
    let file = folder.with("c.json", &contract(1, &json!({})));
    run(&[
        "contract",
        "diff",
        text(&file),
        text(&folder.file("none")),
        "--json",
    ])
    .failed(1, "io");
    run(&[
        "contract",
        "check",
        text(&file),
        text(&folder.file("none")),
        "--json",
    ])
    .failed(1, "io");
    run(&["contract", "diff", text(&file), "--json"]).failed(2, "usage");
}

#[test]
fn a_contract_is_declared_for_all_replicas_and_shown() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let contract = json!({
        "syncline_contract": 1,
        "collection": "tasks",
        "version": 1,
        "fields": {
            "title": {"kind": "string", "required": true},
            "votes": {"kind": "integer", "policy": "max"},
        },
    });
    let file = folder.with("tasks.json", &contract.to_string());
    let file = file.to_str().expect("UTF-8");
    over(&store, &["contract", "show", "tasks"]).failed(4, "store_missing");
    let declared = over(&store, &["contract", "declare", file]).json();
    assert_eq!(
        (&declared["version"], &declared["changed"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(
        over(&store, &["contract", "declare", file]).json()["changed"],
        false
    );
    assert_eq!(
        over(&store, &["contract", "show", "tasks"]).json()["contract"],
        contract
    );
    over(&store, &["contract", "show", "none"]).failed(3, "not_found");
    // It goes for whoever opens the store, and for who gets it from there.
    over(&store, &["put", "tasks", r#"{"votes": 1}"#]).failed(2, "breach");
    over(&store, &["put", "tasks", r#"{"title": "Water"}"#]).json();
    let other = json!({"syncline_contract": 1, "collection": "tasks", "version": 1, "fields": {}});
    let other = folder.with("other.json", &other.to_string());
    let other = other.to_str().expect("UTF-8");
    over(&store, &["contract", "declare", other]).failed(1, "conflict");
}

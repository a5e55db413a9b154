//! `query`: filters, orders, pages, wrong queries.

use serde_json::{Value as Json, json};

use crate::command::{Folder, over, run};

fn filled(folder: &Folder) -> std::path::PathBuf {
    let store = folder.file("a.redb");
    for (name, record) in [
        (
            "water",
            r#"{"title": "Water", "votes": 2, "labels": ["home"]}"#,
        ),
        (
            "weed",
            r#"{"title": "Weed", "votes": 5, "due": {"$time": "2026-11-30T08:00:00Z"}}"#,
        ),
        (
            "sow",
            r#"{"title": "Sow", "votes": 3, "labels": ["home", "spring"]}"#,
        ),
        ("rest", r#"{"title": "Rest", "votes": 1}"#),
    ] {
        over(&store, &["put", "tasks", name, record]).json();
    }
    store
}

fn titles(result: &Json) -> Vec<&str> {
    let records = result["records"].as_array().expect("a list");
    let titles = records.iter().map(|it| it["record"]["title"].as_str());
    titles.map(|it| it.expect("a title")).collect()
}

#[test]
fn records_are_found_in_order() {
    let folder = Folder::new();
    let store = filled(&folder);
    let found = over(
        &store,
        &["query", "tasks", "votes >= 2 order by votes desc"],
    )
    .json();
    assert_eq!(titles(&found), ["Weed", "Sow", "Water"]);
    assert_eq!((&found["count"], &found["next"]), (&json!(3), &Json::Null));
    assert_eq!(found["unreadable"], json!([]));
    let found = over(&store, &["query", "tasks", "due < 2026-12-01"]).json();
    assert_eq!(titles(&found), ["Weed"]);
    let found = over(
        &store,
        &["query", "tasks", "labels contains 'home' order by title"],
    )
    .json();
    assert_eq!(titles(&found), ["Sow", "Water"]);
    let all = over(&store, &["query", "tasks", ""]).json();
    let listed = over(&store, &["ls", "tasks"]).json();
    assert_eq!(all["records"], listed["records"]);
    assert_eq!(over(&store, &["query", "none", ""]).json()["count"], 0);
}

#[test]
fn a_page_names_the_next() {
    let folder = Folder::new();
    let store = filled(&folder);
    let query = "order by votes limit 3";
    let first = over(&store, &["query", "tasks", query]).json();
    assert_eq!(titles(&first), ["Rest", "Water", "Sow"]);
    let next = first["next"].as_str().expect("a cursor");
    over(&store, &["rm", "tasks", "sow"]).json();
    let second = over(&store, &["query", "tasks", query, "--after", next]).json();
    assert_eq!(titles(&second), ["Weed"]);
    assert_eq!(second["next"], Json::Null);
    let other = ["query", "tasks", "order by title limit 3", "--after", next];
    over(&store, &other).failed(2, "invalid_input");
    over(&store, &["query", "tasks", query, "--after", "xyz"]).failed(2, "invalid_input");
}

#[test]
fn people_see_a_table() {
    let folder = Folder::new();
    let store = filled(&folder);
    let path = store.to_str().expect("UTF-8");
    let query = "votes > 1 order by votes limit 2";
    let shown = run(&["query", "tasks", query, "--store", path]).ok();
    let lines: Vec<_> = shown.lines().collect();
    let words = |line: &str| {
        let words = line.split_whitespace().map(str::to_owned);
        words.collect::<Vec<_>>()
    };
    assert_eq!(words(lines[0]), ["record", "labels", "title", "votes"]);
    assert_eq!(words(lines[1])[1..], ["[\"home\"]", "Water", "2"]);
    assert_eq!(words(lines[2])[1..], ["[\"home\",\"spring\"]", "Sow", "3"]);
    assert_eq!(lines[3], "2 records");
    assert!(lines[4].starts_with("there are more: --after "), "{shown}");
    let shown = run(&["query", "tasks", "due exists", "--store", path]).ok();
    assert!(shown.contains("2026-11-30T08:00:00.000Z"), "{shown}");
    let shown = run(&["query", "tasks", "votes > 9", "--store", path]).ok();
    assert_eq!(shown, "0 records\n");
}

#[test]
fn a_query_is_explained() {
    let folder = Folder::new();
    let store = filled(&folder);
    let asked = ["query", "tasks", "votes>1   LIMIT 2", "--explain"];
    let explained = over(&store, &asked).json();
    let expected = json!({"collection": "tasks", "query": "votes > 1 limit 2", "access": "scan",
        "index": null, "ends_early": false, "records": 4, "held": 3});
    assert_eq!(explained, expected);
    let path = store.to_str().expect("UTF-8");
    let shown = run(&[&asked[..], &["--store", path]].concat()).ok();
    assert!(
        shown.starts_with("scan: looks at the views of 4 records"),
        "{shown}"
    );
}

#[test]
fn a_wrong_query_shows_where_and_what_to_do() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let ran = over(&store, &["query", "tasks", "done == true"]);
    ran.failed(2, "invalid_input");
    assert_eq!(
        ran.stderr,
        "syncline: invalid_input: column 6: found '==', expected a field, a value or an operator; \
         one = is enough\n  done == true\n       ^\n"
    );
    assert!(!store.exists(), "it is told before a store is looked for");
    over(&store, &["query", "tasks", "done = true"]).failed(4, "store_missing");
}

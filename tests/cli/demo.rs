//! `demo`: what it promises, and what it leaves behind.

use serde_json::{Value as Json, json};

use crate::command::{Folder, Running, command, over, run};

#[test]
fn the_demo_converges_and_says_so() {
    let object = run(&["demo", "--json"]).json();
    assert_eq!(object["converged"], true, "{object:#}");
    let replicas = object["replicas"].as_array().expect("three");
    let names: Vec<&Json> = replicas.iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["laptop", "phone", "hub"]);
    for replica in replicas {
        assert_eq!(replica["digest"], replicas[0]["digest"]);
        assert_eq!(replica["heads"], replicas[0]["heads"]);
        assert_eq!(replica["records"], 313);
    }
    let merges = object["merges"].as_array().expect("merges");
    assert!(merges.iter().all(|it| it["right"] == true), "{object:#}");
    assert!(object["bytes"]["first_copies"].as_u64() > Some(0));
}

#[test]
fn kept_stores_can_be_looked_into() {
    let folder = Folder::new();
    let kept = folder.file("kept");
    let path = kept.to_str().expect("UTF-8");
    let said = run(&["demo", "--keep", path]).ok();
    assert!(said.contains("All three hold the same."), "{said}");
    for name in ["laptop", "phone"] {
        let got = over(
            &kept.join(format!("{name}.redb")),
            &["get", "zones", "Europe/Vienna"],
        );
        assert_eq!(got.json()["record"]["visits"], json!(7));
    }
    run(&["demo", "--keep", path, "--json"]).failed(2, "usage");
}

#[test]
fn nothing_is_left_behind() {
    let folder = Folder::new();
    let temporary = folder.file("tmp");
    std::fs::create_dir(&temporary).expect("a folder");
    let left = || std::fs::read_dir(&temporary).expect("readable").count();
    let output = command(&["demo", "--json"])
        .env("TMPDIR", &temporary)
        .output();
    assert!(output.expect("it runs").status.success());
    assert_eq!(left(), 0);

    // Nor when it is stopped halfway.
    let mut demo = command(&["demo"]);
    let mut stopped = Running::spawn(demo.env("TMPDIR", &temporary));
    let begun = (0..10).any(|_| stopped.line().contains("gives all of it"));
    assert!(begun, "it says what it does");
    stopped.signal("TERM");
    stopped.end();
    assert_eq!(left(), 0);
}

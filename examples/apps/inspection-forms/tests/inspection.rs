//! Two devices with two versions of a form, one of them offline; and the program.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by a panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use inspection_forms::answer::{Answer, parse};
use inspection_forms::form;
use inspection_forms::visits::Visits;
use serde_json::json;
use syncline::node::Migrate;
use syncline::{ErrorKind, Node};

fn form_file(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("forms/inspection-{version}.json"))
}

async fn device(version: u32) -> (Node, Visits) {
    let node = Node::builder().open().await.unwrap();
    let form = form::read(&form_file(version)).unwrap();
    let visits = Visits::open(&node, form).await.unwrap();
    (node, visits)
}

fn answers(visits: &Visits, all: &[&str]) -> Vec<(String, Answer)> {
    all.iter()
        .map(|it| parse(visits.form(), it).unwrap())
        .collect()
}

#[tokio::test]
async fn a_newer_form_and_an_older_one_are_filled_in_apart_and_lose_nothing() {
    let hub = Node::builder().relay().open().await.unwrap();
    let address = hub.listen("127.0.0.1:0").await.unwrap();
    let (field, old) = device(1).await;
    field.connect(&address).await.unwrap();
    let first = [
        "site=Weir",
        "inspector=Ana",
        "pressure=3.5",
        "defects=1",
        "state=worn",
    ];
    let id = old.create(answers(&old, &first)).await.unwrap();
    field.synced().await.unwrap();

    let (office, new) = device(2).await;
    office.connect(&address).await.unwrap();
    office.synced().await.unwrap();
    let seen = new.get(id).await.unwrap();
    assert_eq!(
        seen["inspected_by"],
        json!("Ana"),
        "the newer form shows it in its own words"
    );
    assert_eq!(seen["pressure_bar"], json!(3.5));
    assert_eq!(seen.get("inspector"), None);

    // The field device is offline, with the older form. Both go on.
    field.disconnect(&address).await.unwrap();
    old.answer(
        id,
        answers(&old, &["inspector=Ben", "defects=+2", "notes=leaks"]),
    )
    .await
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gauge.png");
    let picture: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
    std::fs::write(&file, &picture).unwrap();
    old.attach(id, &file).await.unwrap();
    new.answer(
        id,
        answers(&new, &["defects=+1", "state=closed", "pressure_bar=0.5"]),
    )
    .await
    .unwrap();
    let due = ["next_visit=2027-01-15T09:00:00Z"];
    new.answer(id, answers(&new, &due)).await.unwrap();
    let records = office.records("inspections").unwrap();
    records.migrate(Migrate::Forward, |_| ()).await.unwrap();

    field.connect(&address).await.unwrap();
    field.synced().await.unwrap();
    office.synced().await.unwrap();
    let (here, there) = (old.get(id).await.unwrap(), new.get(id).await.unwrap());
    assert_eq!(there["inspected_by"], json!("Ben"), "{there}");
    assert_eq!(there["pressure_bar"], json!(0.5), "{there}");
    assert_eq!(there["defects"], json!(4), "counts add up: {there}");
    assert_eq!(there["state"], json!("closed"), "{there}");
    assert_eq!(there["notes"], json!("leaks"), "{there}");
    assert_eq!(
        here["state"],
        json!("closed"),
        "the older form has what it knows: {here}"
    );
    assert_eq!(
        here["next_visit"], there["next_visit"],
        "and keeps what it does not: {here}"
    );

    // The photo comes from the hub, while the device that took it is away again.
    field.shutdown().await.unwrap();
    let (photo, bytes) = new.photo(id, 1).await.unwrap();
    assert_eq!(photo.name(), Some("gauge.png"));
    assert_eq!(bytes, picture);
    assert_eq!(
        new.photo(id, 2).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    office.shutdown().await.unwrap();
    hub.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_the_form_does_not_allow_is_refused_and_changes_nothing() {
    let (node, visits) = device(2).await;
    let error = visits
        .create(answers(&visits, &["state=good"]))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Breach, "a site is needed");
    let id = visits
        .create(answers(&visits, &["site=Quay"]))
        .await
        .unwrap();
    for wrong in [["state=broken"], ["pressure_bar=90"]] {
        let refused = visits.answer(id, answers(&visits, &wrong)).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Breach, "{wrong:?}");
    }
    assert_eq!(visits.get(id).await.unwrap(), json!({"site": "Quay"}));
    node.shutdown().await.unwrap();
}

fn run(store: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_inspection-forms"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("--store")
        .arg(store)
        .args(arguments)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_program_fills_in_shows_and_migrates() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.redb");
    let form = said(&run(&store, &["form"]));
    assert!(
        form.starts_with("inspections, version 1\n") && form.contains("Where (string, needed)"),
        "{form}"
    );
    let id = said(&run(
        &store,
        &["new", "site=Weir", "inspector=Ana", "pressure=2"],
    ));
    let id = id.trim();
    said(&run(&store, &["set", id, "defects=+1"]));
    let photo = folder.path().join("p.png");
    std::fs::write(&photo, b"picture").unwrap();
    said(&run(&store, &["attach", id, photo.to_str().unwrap()]));
    let copy = folder.path().join("copy.png");
    said(&run(
        &store,
        &["photo", id, "1", "-o", copy.to_str().unwrap()],
    ));
    assert_eq!(std::fs::read(&copy).unwrap(), b"picture");
    let newer = ["--form", "forms/inspection-2.json", "migrate", "--dry-run"];
    assert_eq!(
        said(&run(&store, &newer)),
        "1 forms would be migrated, 0 can't be\n"
    );
    said(&run(
        &store,
        &["--form", "forms/inspection-2.json", "migrate"],
    ));
    let shown = said(&run(
        &store,
        &["--form", "forms/inspection-2.json", "show", id],
    ));
    assert!(shown.contains("\"inspected_by\":\"Ana\""), "{shown}");
}

#[test]
fn what_is_wrong_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.redb");
    for (arguments, words) in [
        (&["new", "state=good"][..], "site"),
        (&["new", "colour=red"][..], "no field \"colour\""),
        (&["--form", "nowhere.json", "list"][..], "nowhere.json"),
        (&["--form", "Cargo.toml", "list"][..], "it is not JSON"),
    ] {
        let output = run(&store, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(run(&store, &["fill"]).status.code(), Some(2));
}

//! Two devices with two versions of a form, one of them offline; two that answer the same at the same time.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by a panic")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use inspection_forms::answer::{Answer, parse};
use inspection_forms::exchange::within;
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
    new.answer(
        id,
        answers(&new, &["defects=+1", "state=closed", "pressure_bar=0.5"]),
    )
    .await
    .unwrap();
    let due = ["next_visit=2027-01-15T09:00:00Z"];
    new.answer(id, answers(&new, &due)).await.unwrap();
    new.migrate(Migrate::Forward).await.unwrap();

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
    field.shutdown().await.unwrap();
    office.shutdown().await.unwrap();
    hub.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_photo_comes_from_the_hub_while_the_device_that_took_it_is_away() {
    let hub = Node::builder().relay().open().await.unwrap();
    let address = hub.listen("127.0.0.1:0").await.unwrap();
    let (field, old) = device(1).await;
    let id = old.create(answers(&old, &["site=Weir"])).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gauge.png");
    let picture: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
    std::fs::write(&file, &picture).unwrap();
    old.attach(id, &file).await.unwrap();
    field.connect(&address).await.unwrap();
    field.synced().await.unwrap();
    field.shutdown().await.unwrap();

    let (office, new) = device(2).await;
    office.connect(&address).await.unwrap();
    office.synced().await.unwrap();
    let photo = new.photo(id, 1).await.unwrap();
    assert_eq!(photo.name(), Some("gauge.png"));
    let error = new.read(&photo).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotHere, "nobody looked at it yet");
    assert_eq!(new.fetch(&photo).await.unwrap(), picture);
    let error = new.photo(id, 2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
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
    let before = visits.get(id).await.unwrap();
    assert_eq!(
        before,
        json!({"site": "Quay", "defects": 0, "notes": "", "photos": []}),
        "what several add to has begun"
    );
    for wrong in ["state=broken", "pressure_bar=90", "site="] {
        let refused = visits.answer(id, answers(&visits, &["defects=+1", wrong]));
        let error = refused.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Breach, "{wrong:?}");
    }
    assert_eq!(visits.get(id).await.unwrap(), before);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.png");
    std::fs::write(&file, b"picture").unwrap();
    for _ in 0..20 {
        visits.attach(id, &file).await.unwrap();
    }
    let error = visits.attach(id, &file).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Breach, "twenty photos are enough");
    let error = visits.attach(id, folder.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "a folder is no photo");
    let error = visits.photo(id, 0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn answers_of_one_person_are_one_change_and_can_be_taken_back() {
    let (node, visits) = device(2).await;
    let first = ["site=Quay", "state=worn", "pressure_bar=2", "notes=leak"];
    let id = visits.create(answers(&visits, &first)).await.unwrap();
    let all = [
        "state=",
        "pressure_bar=",
        "notes=",
        "defects=+1",
        "defects=+2",
    ];
    visits.answer(id, answers(&visits, &all)).await.unwrap();
    assert_eq!(
        visits.get(id).await.unwrap(),
        json!({"site": "Quay", "defects": 3, "notes": "", "photos": []})
    );
    let records = node.records("inspections").unwrap();
    assert_eq!(records.history(id, 9, None).await.unwrap().list.len(), 2);

    // What another program left out begins with the first answer.
    let id = records.insert(&json!({"site": "Lock"})).await.unwrap();
    let all = answers(&visits, &["notes=leak", "defects=+2"]);
    visits.answer(id, all).await.unwrap();
    assert_eq!(
        visits.get(id).await.unwrap(),
        json!({"site": "Lock", "defects": 2, "notes": "leak"})
    );
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_answered_at_the_same_time_adds_up_or_counts_by_the_policy_of_the_form() {
    let (left, ana) = device(2).await;
    let (right, ben) = device(2).await;
    let address = left.listen("127.0.0.1:0").await.unwrap();
    let id = ana.create(answers(&ana, &["site=Weir"])).await.unwrap();
    right.connect(&address).await.unwrap();
    right.synced().await.unwrap();
    right.disconnect(&address).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    for (name, visits) in [("ana.png", &ana), ("ben.png", &ben)] {
        let file = folder.path().join(name);
        std::fs::write(&file, name).unwrap();
        visits.attach(id, &file).await.unwrap();
    }
    // Within a second the later answer is the one on top of more operations.
    let early = [
        "state=worn",
        "next_visit=2027-01-15T09:00:00Z",
        "defects=+1",
        "notes=leak",
    ];
    ana.answer(id, answers(&ana, &early)).await.unwrap();
    ben.answer(id, answers(&ben, &["defects=+2", "notes=rust"]))
        .await
        .unwrap();
    let late = ["state=closed", "next_visit=2027-06-01T09:00:00Z"];
    ben.answer(id, answers(&ben, &late)).await.unwrap();
    right.connect(&address).await.unwrap();
    right.synced().await.unwrap();

    let (here, there) = (ana.get(id).await.unwrap(), ben.get(id).await.unwrap());
    assert_eq!(here, there);
    assert_eq!(here["defects"], json!(3), "{here}");
    assert_eq!(here["photos"].as_array().unwrap().len(), 2, "{here}");
    let notes = here["notes"].as_str().unwrap();
    assert!(notes.contains("leak") && notes.contains("rust"), "{notes}");
    assert_eq!(here["state"], json!("closed"), "the last one: {here}");
    let due = &here["next_visit"]["$time"];
    assert_eq!(due, "2027-01-15T09:00:00.000Z", "the earlier one: {here}");
    assert_eq!(
        form::conflicts(&ana.conflicts(id).await.unwrap()),
        "! next_visit was answered 2027-01-15T09:00:00.000Z and 2027-06-01T09:00:00.000Z at the same time; \
         2027-01-15T09:00:00.000Z counts, by min\n\
         ! state was answered worn and closed at the same time; closed counts, by last-writer\n"
    );
    // Who answers again has seen both.
    ana.answer(id, answers(&ana, &["state=good", "next_visit="]))
        .await
        .unwrap();
    assert!(ana.conflicts(id).await.unwrap().is_empty());
    right.shutdown().await.unwrap();
    left.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_device_that_is_not_there_is_named_and_not_waited_for_for_ever() {
    let (node, _) = device(1).await;
    node.connect("ws://127.0.0.1:1").await.unwrap();
    let ended = within(&node, Duration::from_secs(1), node.synced()).await;
    let error = ended.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let told = error.to_string();
    assert!(
        told.starts_with("ws://127.0.0.1:1 was not reached in 1 s: "),
        "{told}"
    );
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_device_that_lets_nobody_in_ends_the_waiting() {
    let (node, _) = device(1).await;
    // Itself is the one that every device refuses.
    let address = node.listen("127.0.0.1:0").await.unwrap();
    node.connect(&address).await.unwrap();
    let ended = within(&node, Duration::from_secs(60), node.synced()).await;
    let error = ended.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("same_store"), "{error}");
    node.shutdown().await.unwrap();
}

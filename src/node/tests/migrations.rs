//! Migrations at work: on access, in bulk, there and back, and what can go wrong with them.

use std::sync::atomic::{AtomicI64, Ordering};

use super::contracts::{breaches, until};
use super::*;
use crate::contract::{Contract, CustomMigration, Field, Kind, Migration, Reversible};
use crate::doc::Value;
use crate::id::RecordId;
use crate::node::{Builder, Migrate};

#[derive(Clone, Debug, PartialEq, Reconcile, Serialize, Deserialize)]
struct Person {
    name: String,
    born: i64,
}

fn people(version: u32, migration: Migration) -> Contract {
    Contract::builder("people", version)
        .field("name", Field::string().required())
        .field("born", Field::integer().range(1900..=2100).sensitive())
        .oldest_writer(1)
        .migration(migration)
        .build()
        .unwrap()
}

fn renamed() -> Contract {
    let migration = Migration::new(1, 2).rename("full_name", "name");
    people(
        2,
        migration.convert("year", Kind::String, "born", Kind::Integer),
    )
}

async fn open() -> Node {
    Node::builder().open().await.unwrap()
}

#[tokio::test]
async fn a_record_is_read_in_the_new_form_and_written_in_it_by_the_first_edit() {
    let node = open().await;
    let records = node.records("people").unwrap();
    let old = json!({"full_name": "Ana", "year": "1999", "later": 1});
    let id = records.insert(&old).await.unwrap();
    let other = records.insert(&old).await.unwrap();
    node.declare(&renamed()).await.unwrap();
    let heads = records.heads(id).await.unwrap();
    let new = json!({"name": "Ana", "born": 1999, "later": 1});
    assert_eq!(records.get(id).await.unwrap(), Some(new.clone()));
    let typed = node.collection::<Person>("people").unwrap();
    assert_eq!(typed.get(id).await.unwrap().unwrap().born, 1999);
    assert_eq!(typed.list().await.unwrap().records.len(), 2);
    assert_eq!(
        records
            .query_text("born = 1999")
            .await
            .unwrap()
            .records
            .len(),
        2
    );
    let read = node.transaction(|tx| tx.get_json(&records, id)).await;
    assert_eq!(read.unwrap(), Some(new));
    // Nothing was written so far, nor by an edit that changes nothing.
    typed.update(id, |_| ()).await.unwrap();
    let nothing = node.transaction(|tx| tx.patch_json(&records, id, &json!({"name": "Ana"})));
    assert!(!nothing.await.unwrap());
    assert_eq!(records.heads(id).await.unwrap(), heads);
    typed.update(id, |it| it.name = "Bea".into()).await.unwrap();
    assert!(
        node.transaction(|tx| tx.patch_json(&records, other, &json!({"born": 2000})))
            .await
            .unwrap()
    );
    for (id, name, born) in [(id, "Bea", 1999), (other, "Ana", 2000)] {
        let now = records.get(id).await.unwrap().unwrap();
        assert_eq!(now, json!({"name": name, "born": born, "later": 1}));
        let history = records.history(id, 10, None).await.unwrap().list;
        let reasons: Vec<_> = history.iter().map(|it| it.reason.as_deref()).collect();
        let migrated = Some("migrated from version 1 to 2");
        assert_eq!(reasons, [None, migrated, migrated, None]);
        assert!(!history[1].is_own);
    }
    assert!(breaches(&node).await.is_empty());
}

#[tokio::test]
async fn devices_that_migrate_apart_end_with_one_migration() {
    let (a, b, _network) = pair().await;
    let (here, there) = (a.records("people").unwrap(), b.records("people").unwrap());
    let id = here
        .insert(&json!({"full_name": "Ana", "year": "1999"}))
        .await
        .unwrap();
    within(a.delivered(&here.key(id)).to(b.replica_id()))
        .await
        .unwrap();
    a.declare(&renamed()).await.unwrap();
    b.declare(&renamed()).await.unwrap();
    here.migrate(Migrate::Forward, |_| ()).await.unwrap();
    there.migrate(Migrate::Forward, |_| ()).await.unwrap();
    within(a.synced()).await.unwrap();
    within(b.synced()).await.unwrap();
    assert_eq!(
        here.heads(id).await.unwrap(),
        there.heads(id).await.unwrap()
    );
    assert_eq!(here.history(id, 10, None).await.unwrap().list.len(), 3);
    assert!(a.quarantine(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_collection_is_migrated_past_a_bad_record_and_again_needs_nothing() {
    let node = open().await;
    let records = node.records("people").unwrap();
    let mut ids = Vec::new();
    for number in 0..100 {
        let old = json!({"full_name": format!("p{number}"), "year": (1950 + number).to_string()});
        ids.push(records.insert(&old).await.unwrap());
    }
    let bad = records
        .insert(&json!({"full_name": "bad", "year": "s3cret"}))
        .await
        .unwrap();
    let out = records
        .insert(&json!({"full_name": "out", "year": "1066"}))
        .await
        .unwrap();
    let gone = records.insert(&json!({"full_name": "gone"})).await.unwrap();
    records.delete(gone).await.unwrap();
    let none = records.migrate(Migrate::Forward, |_| ()).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
    node.declare(&renamed()).await.unwrap();
    let mut heads = Vec::new();
    for id in &ids {
        heads.push(records.heads(*id).await.unwrap());
    }
    let dry = records.migrate(Migrate::DryRun, |_| ()).await.unwrap();
    for (id, heads) in ids.iter().zip(&heads) {
        assert_eq!(records.heads(*id).await.unwrap(), *heads);
    }
    let mut told = Vec::new();
    let report = records.migrate(Migrate::Forward, |it| told.push(it.records));
    let report = report.await.unwrap();
    assert_eq!(report, dry);
    assert_eq!(told, [64, 103]);
    let counts = (report.done, report.unneeded, report.failed);
    assert_eq!(counts, (100, 1, 2), "{report:?}");
    let fields: Vec<_> = report.fields.iter().map(String::as_str).collect();
    assert_eq!(fields, ["born", "full_name", "name", "year"]);
    let why = |id: RecordId| {
        let mut all = report.failures.iter();
        all.find(|it| it.record == id).unwrap().reason.clone()
    };
    assert!(
        why(bad).contains("`year`, a string, is not integer as well"),
        "{}",
        why(bad)
    );
    assert!(
        why(out).contains("born: an integer breaks 'range'"),
        "{}",
        why(out)
    );
    assert!(!format!("{report:?}").contains("s3cret"));
    let again = records.migrate(Migrate::Forward, |_| ()).await.unwrap();
    assert_eq!((again.done, again.unneeded, again.failed), (0, 101, 2));
}

#[tokio::test]
async fn a_record_that_cannot_be_migrated_is_named_and_an_edit_mends_it() {
    let node = open().await;
    let records = node.records("people").unwrap();
    let put = async |name: &str, year: &str| {
        let old = json!({"full_name": name, "year": year});
        records.insert(&old).await.unwrap()
    };
    put("Ana", "1999").await;
    let bad = put("bad", "s3cret").await;
    put("out", "1066").await;
    node.declare(&renamed()).await.unwrap();
    // Reads of the bad one say why, others go on, and the quarantine names it.
    let error = records.get(bad).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Migration);
    assert!(error.to_string().contains(&bad.to_string()), "{error}");
    let listing = node
        .collection::<Person>("people")
        .unwrap()
        .list()
        .await
        .unwrap();
    assert_eq!((listing.records.len(), listing.unreadable.len()), (1, 2));
    until(async || {
        let all = breaches(&node).await;
        all.iter().any(|it| it.contains("can't be migrated")) && all.len() == 2
    })
    .await;
    // An edit mends it.
    assert!(records.patch(bad, &json!({"year": "1970"})).await.unwrap());
    assert_eq!(records.get(bad).await.unwrap().unwrap()["born"], 1970);
    until(async || breaches(&node).await.len() == 1).await;
}

#[tokio::test]
async fn older_programs_get_their_form_back() {
    let node = open().await;
    let records = node.records("people").unwrap();
    let old = json!({"full_name": "Ana", "year": "1999"});
    let id = records.insert(&old).await.unwrap();
    node.declare(&renamed()).await.unwrap();
    records.migrate(Migrate::Forward, |_| ()).await.unwrap();
    assert!(records.patch(id, &json!({"born": 2001})).await.unwrap());
    let back = json!({"full_name": "Ana", "year": "2001"});
    assert_eq!(records.get_as(id, 1).await.unwrap(), Some(back.clone()));
    assert_eq!(
        records.get_as(RecordId::named("none"), 1).await.unwrap(),
        None
    );
    let report = records.migrate(Migrate::Back(1), |_| ()).await.unwrap();
    assert_eq!((report.done, report.failed), (1, 0));
    let saved = records.document(id).await.unwrap().unwrap();
    let reader = open().await;
    let there = reader.records("people").unwrap();
    there.import(id, &saved).await.unwrap();
    assert_eq!(there.get(id).await.unwrap(), Some(back));
    // Whoever has the new version goes on with it.
    assert_eq!(records.get(id).await.unwrap().unwrap()["born"], 2001);
}

/// A node with a function, and a record that it gets.
async fn with(function: impl CustomMigration + 'static) -> (Node, RecordId) {
    let builder: Builder = Node::builder().migration("own", 1, function).unwrap();
    let node = builder.open().await.unwrap();
    let records = node.records("people").unwrap();
    let old = json!({"name": "Ana", "notes": {"$text": "hello"}});
    let id = records.insert(&old).await.unwrap();
    let own = people(2, Migration::new(1, 2).custom("own", 1));
    node.declare(&own).await.unwrap();
    (node, id)
}

fn set(mut record: Value, field: &str, value: Value) -> Value {
    if let Value::Map(map) = &mut record {
        map.insert(field.to_owned(), value);
    }
    record
}

async fn refused(function: impl CustomMigration + 'static, why: &str) {
    let (node, id) = with(function).await;
    let records = node.records("people").unwrap();
    let heads = records.heads(id).await.unwrap();
    let error = records.get(id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Migration, "{error}");
    let report = records.migrate(Migrate::Forward, |_| ()).await.unwrap();
    assert_eq!((report.done, report.failed), (0, 1));
    let told = &report.failures[0].reason;
    assert!(told.contains(why) && told.contains("own@1"), "{told}");
    assert!(error.to_string().contains(why), "{error}");
    assert_eq!(
        records.heads(id).await.unwrap(),
        heads,
        "nothing is written"
    );
}

#[tokio::test]
async fn a_function_that_keeps_no_law_writes_nothing() {
    refused(|_: Value| Err("it has no parts"), "it has no parts").await;
    refused(
        |_: Value| -> Result<Value, &'static str> { panic!("s3cret") },
        "it panicked",
    )
    .await;
    let count = AtomicI64::new(0);
    let impure = move |it| {
        Ok(set(
            it,
            "n",
            Value::Int(count.fetch_add(1, Ordering::Relaxed)),
        ))
    };
    refused(impure, "it is not pure").await;
    let grows = |it: Value| {
        let path = [crate::doc::PathStep::from("n")];
        let before = it.get(&path).cloned();
        let next = match before {
            Some(Value::Int(number)) => number + 1,
            _ => 0,
        };
        Ok(set(it, "n", Value::Int(next)))
    };
    refused(grows, "it is not idempotent").await;
    refused(|_: Value| Ok(Value::Null), "it made null").await;
    let takes = |it: Value| Ok(set(it, "notes", Value::from("plain")));
    refused(takes, "it takes a text away").await;
}

#[tokio::test]
async fn a_function_of_the_programs_own_runs_there_and_back() {
    let forward = |it: Value| Ok(set(it, "born", Value::Int(2000)));
    let back = |it: Value| {
        let mut it = it;
        if let Value::Map(map) = &mut it {
            map.remove("born");
        }
        Ok(it)
    };
    let (node, id) = with(Reversible { forward, back }).await;
    let records = node.records("people").unwrap();
    assert_eq!(records.get(id).await.unwrap().unwrap()["born"], 2000);
    assert!(records.patch(id, &json!({"name": "Bea"})).await.unwrap());
    let older = records.get_as(id, 1).await.unwrap().unwrap();
    assert_eq!(older["name"], "Bea");
    assert_eq!(older.get("born"), None);
    // One that says nothing of a way back has none.
    let (node, id) = with(forward).await;
    let records = node.records("people").unwrap();
    let none = records.get_as(id, 1).await.unwrap_err();
    assert!(none.to_string().contains("there is no way back"), "{none}");
    // Nor may a program declare what it can't do; one without a contract of its own reads what is there.
    let other = open().await;
    let own = people(2, Migration::new(1, 2).custom("own", 1));
    let error = other.declare(&own).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("Builder::migration"), "{error}");
    other.publish(&own).await.unwrap();
    let records = other.records("people").unwrap();
    let id = records.insert(&json!({"name": "Ana"})).await.unwrap();
    assert_eq!(records.get(id).await.unwrap(), Some(json!({"name": "Ana"})));
}

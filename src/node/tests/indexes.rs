//! Indexes: what they find is what a look at all records finds, whatever was written how.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::*;
use crate::contract::{Contract, Field, IndexKey, Kind, Migration};
use crate::doc::Value;
use crate::entropy::Entropy;
use crate::id::RecordId;
use crate::query::{Query, Selection};
use crate::store::MemoryStore;

const INDEXES: [&[(&str, bool)]; 8] = [
    &[("a", false), ("b", true)],
    &[("b", false)],
    &[("place.city", true), ("a", false)],
    &[("c", false)],
    &[("place.city", false), ("tags[]", false)],
    &[("b", true), ("c", true), ("a", false)],
    &[("tags[]", true), ("a", true)],
    &[("steps[].who", false), ("b", false)],
];

fn contract(version: u32, indexes: &[&[(&str, bool)]]) -> Contract {
    let city = Field::map().field("city", Field::any());
    let mut builder = Contract::builder("tasks", version);
    for name in ["a", "b", "c"] {
        builder = builder.field(name, Field::any());
    }
    let step = Field::map().field("who", Field::any());
    builder = builder
        .field("place", city)
        .field("tags", Field::any())
        .field("steps", Field::list(step));
    for (number, columns) in indexes.iter().enumerate() {
        let keys = columns.iter().map(|(path, is_descending)| {
            if *is_descending {
                IndexKey::descending(path)
            } else {
                IndexKey::from(*path)
            }
        });
        builder = builder.index(&format!("i{number}"), keys);
    }
    builder.build().unwrap()
}

fn pick<T: Copy>(entropy: &mut Entropy, all: &[T]) -> T {
    let index = entropy.below(u64::try_from(all.len()).unwrap());
    all[usize::try_from(index).unwrap()]
}

/// Values of all kinds, few enough that many are equal, as in a text and as JSON.
const VALUES: [&str; 14] = [
    "null",
    "false",
    "true",
    "-1",
    "0",
    "0.5",
    "1",
    "2",
    "\"\"",
    "\"a\"",
    "\"aa\"",
    "\"a\\u0000\"",
    "\"b\"",
    "\"ab\"",
];

/// A list, a set, or what contains something else.
fn tags(entropy: &mut Entropy) -> serde_json::Value {
    let values = (0..entropy.below(4)).map(|_| parsed(pick(entropy, &VALUES)));
    let values: Vec<_> = values.collect();
    match entropy.below(30) {
        0 => json!(
            ["a", "1", "true", "5"]
                .iter()
                .map(|it| (*it, true))
                .collect::<BTreeMap<_, _>>()
        ),
        1 => json!({"1": true, "b": {"who": 1}}),
        2 => json!("aab"),
        3 => json!((0..40).map(|it| it % 5).collect::<Vec<_>>()),
        // More than the index takes of one record.
        4 => json!(
            (0..140)
                .map(|it| format!("{it}{}", "x".repeat(500)))
                .collect::<Vec<_>>()
        ),
        5 => json!(1),
        _ => json!(values),
    }
}

fn steps(entropy: &mut Entropy) -> serde_json::Value {
    let step = |entropy: &mut Entropy| match entropy.below(6) {
        0 => json!({}),
        _ => json!({"who": parsed(pick(entropy, &VALUES))}),
    };
    let steps: Vec<_> = (0..entropy.below(4)).map(|_| step(entropy)).collect();
    json!(steps)
}

fn parsed(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

fn record(entropy: &mut Entropy) -> serde_json::Value {
    let mut json = json!({});
    if entropy.below(4) > 0 {
        json["tags"] = tags(entropy);
        json["steps"] = steps(entropy);
    }
    for name in ["a", "b", "c", "city"] {
        if entropy.below(8) == 0 {
            continue;
        }
        let value: serde_json::Value = match entropy.below(12) {
            0 => json!([1, "a"]),
            1 => json!({"x": 1}),
            2 => json!("x".repeat(600 + usize::try_from(entropy.below(2)).unwrap())),
            _ => parsed(pick(entropy, &VALUES)),
        };
        if name == "city" {
            json["place"] = json!({ "city": value });
        } else {
            json[name] = value;
        }
    }
    json
}

fn query(entropy: &mut Entropy) -> Query {
    let fields = ["a", "b", "c", "place.city"];
    let mut terms = Vec::new();
    for _ in 0..entropy.below(4) {
        let field = pick(entropy, &fields);
        let value = pick(entropy, &VALUES).replace("\\u0000", "\\u{0}");
        let other = pick(entropy, &VALUES).replace("\\u0000", "\\u{0}");
        terms.push(match entropy.below(16) {
            10 | 11 => format!("tags contains {value}"),
            12 => format!("any steps (who = {value})"),
            13 => format!("any steps (who in ({value}, {other}) and who != {other})"),
            14 | 15 => format!("{field} in ({value}, {other})"),
            0..=4 => format!("{field} = {value}"),
            5 => format!("{field} starts with {}", pick(entropy, &["\"\"", "\"a\""])),
            6 => format!("not {field} = {value}"),
            _ => {
                let operator = pick(entropy, &["<", "<=", ">", ">=", "!="]);
                format!("{field} {operator} {value}")
            }
        });
    }
    let mut text = terms.join(" and ");
    let mut order = Vec::new();
    for _ in 0..entropy.below(3) {
        let turned = pick(entropy, &["", " desc"]);
        let fields = ["a", "b", "c", "place.city", "tags"];
        order.push(format!("{}{turned}", pick(entropy, &fields)));
    }
    if !order.is_empty() {
        text = format!("{text} order by {}", order.join(", "));
    }
    if entropy.below(3) > 0 {
        text = format!("{text} limit {}", 1 + entropy.below(6));
    }
    text.trim()
        .parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Puts a value, or brings back a record that is deleted.
async fn write(records: &Records, id: RecordId, json: &serde_json::Value) {
    match records.put(id, json).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            records.restore(id).await.unwrap();
        }
        put => drop(put.unwrap()),
    }
}

type Found = (Vec<RecordId>, bool);

/// What a look at all records finds.
fn scanned(records: &Records, query: &Query) -> Found {
    let mut selection = Selection::new(query.clone());
    let of = (records.space(), records.name().clone());
    let mut offer = |id, value: Result<Value>| {
        let value = value.unwrap();
        if !crate::record::is_deleted(&value) {
            selection.offer(id, value);
        }
    };
    records.shared().scan_all(of, &mut offer).unwrap();
    let (found, is_more) = selection.finish();
    (found.into_iter().map(|it| it.record).collect(), is_more)
}

/// Asks many queries and all their pages; gives how many an index answered, and how many of those in
/// order.
async fn compare(records: &Records, entropy: &mut Entropy) -> (usize, usize) {
    let mut answered = (0, 0);
    for _ in 0..60 {
        let mut query = query(entropy);
        for _page in 0..40 {
            let explain = records.explain(&query).await.unwrap();
            let expected = scanned(records, &query);
            let page = records.query(&query).await.unwrap();
            let found: Vec<_> = page.records.iter().map(|it| it.0).collect();
            assert_eq!((found, page.next.is_some()), expected, "{query}: {explain}");
            answered.0 += usize::from(explain.access == Access::Index);
            answered.1 += usize::from(explain.ends_early);
            let Some(next) = page.next else { break };
            query = query.after(next);
        }
    }
    answered
}

/// Waits until an index, or none, answers a query.
async fn until_access(records: &Records, query: &str, access: Access) {
    let query = query.parse().unwrap();
    within(async {
        while records.explain(&query).await.unwrap().access != access {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

fn complaints(node: &Node) -> Vec<String> {
    let snapshot = node.0.shared.snapshot().unwrap();
    let rows = Rows::new(snapshot.as_ref());
    rows.verify(node.space()).unwrap()
}

#[tokio::test]
async fn an_index_finds_what_a_scan_finds_in_the_same_order() {
    let (a, b, _network) = pair().await;
    let (here, there) = (a.records("tasks").unwrap(), b.records("tasks").unwrap());
    let mut entropy = Entropy::from_number(5);
    let names: Vec<_> = (0..80).map(|it| RecordId::named(&it.to_string())).collect();
    for (number, id) in names.iter().enumerate() {
        let mut json = record(&mut entropy);
        if number % 5 == 0 {
            // What will break the contract: no list.
            json["steps"] = json!({"x": {"who": parsed(pick(&mut entropy, &VALUES))}, "y": {}});
        }
        here.put(*id, &json).await.unwrap();
    }
    a.declare(&contract(1, &INDEXES)).await.unwrap();
    for query in [
        "a = 1",
        "b = 1",
        "c = 1",
        "place.city = 1",
        "tags contains 1",
        "any steps (who = 1)",
    ] {
        until_access(&here, query, Access::Index).await;
    }
    for round in 0..4 {
        for _ in 0..60 {
            let id = pick(&mut entropy, &names);
            let side = pick(&mut entropy, &[&here, &there]);
            if entropy.below(4) == 0 {
                side.delete(id).await.unwrap();
            } else {
                write(side, id, &record(&mut entropy)).await;
            }
        }
        // What comes in between would be in one of the results only.
        within(a.synced()).await.unwrap();
        let (answered, ordered) = compare(&here, &mut entropy).await;
        assert!(answered > 30 && ordered > 2, "{answered} {ordered}");
        assert_eq!(complaints(&a), [""; 0], "round {round}");
    }
    until_access(&there, "c = 1", Access::Index).await;
    compare(&there, &mut entropy).await;
    a.shutdown().await.unwrap();
    b.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_restarted_node_goes_on_with_its_indexes_and_drops_those_that_nobody_declares() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let open = || Node::builder().store_in(Arc::clone(&store)).open();
    let node = open().await.unwrap();
    let records = node.records("tasks").unwrap();
    let mut entropy = Entropy::from_number(6);
    let made: Vec<_> = (0..700).map(|_| record(&mut entropy)).collect();
    let put = node.transaction(|tx| {
        for (number, json) in made.iter().enumerate() {
            tx.put_json(&records, RecordId::named(&number.to_string()), json)?;
        }
        Ok(())
    });
    put.await.unwrap();
    node.declare(&contract(1, &INDEXES)).await.unwrap();
    // Somewhere between the steps.
    node.shutdown().await.unwrap();
    let node = open().await.unwrap();
    let records = node.records("tasks").unwrap();
    for query in ["a = 1", "b = 1", "c = 1", "place.city = 1"] {
        until_access(&records, query, Access::Index).await;
    }
    assert_eq!(complaints(&node), [""; 0]);
    compare(&records, &mut entropy).await;
    node.declare(&contract(2, &INDEXES[..3])).await.unwrap();
    within(async {
        // While views are judged again neither is used.
        let access = async |query: &str| {
            let explain = records.explain(&query.parse().unwrap()).await;
            explain.unwrap().access
        };
        while access("b = 1").await != Access::Index || access("c = 1").await != Access::Scan {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_page_from_an_index_reads_no_more_than_it_shows() {
    let node = Node::builder().open().await.unwrap();
    let records = node.records("tasks").unwrap();
    node.declare(&contract(1, &INDEXES)).await.unwrap();
    for n in 0..100 {
        let json = json!({"b": n, "c": "x".repeat(n % 7)});
        records.insert(&json).await.unwrap();
    }
    until_access(&records, "b = 1", Access::Index).await;
    let query: Query = "b >= 90 and b < 95".parse().unwrap();
    let explain = records.explain(&query).await.unwrap();
    assert_eq!(
        explain.to_string(),
        "index on b: looks at the views of 6 records, and holds all that it finds"
    );
    let query: Query = "order by b desc limit 3".parse().unwrap();
    let explain = records.explain(&query).await.unwrap();
    assert!(explain.ends_early);
    let first = records.query(&query).await.unwrap();
    let next = query.after(first.next.unwrap());
    let explain = records.explain(&next).await.unwrap();
    assert_eq!(explain.records, 98, "the page goes on inside the index");
    let found = records.query(&next).await.unwrap();
    assert_eq!(found.records[0].1["b"], 96);
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_record_whose_view_is_behind_is_found_beside_the_index() {
    let donor = Node::builder().open().await.unwrap();
    let from = donor.records("tasks").unwrap();
    let id = from.insert(&json!({"b": 1})).await.unwrap();
    let old = from.document(id).await.unwrap().unwrap();
    from.patch(id, &json!({"b": 2})).await.unwrap();
    let new = from.document(id).await.unwrap().unwrap();

    let store = Arc::new(reads::Blind::default());
    let given: Arc<dyn Store> = Arc::clone(&store) as _;
    let node = Node::builder().store_in(given).open().await.unwrap();
    let records = node.records("tasks").unwrap();
    node.declare(&contract(1, &INDEXES)).await.unwrap();
    records.import(id, &old).await.unwrap();
    until_access(&records, "b = 1", Access::Index).await;
    store.is_blind.store(true, Ordering::SeqCst);
    assert_eq!(records.import(id, &new).await.unwrap(), 1);
    within(async {
        while node.status().await.unwrap().views_behind > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    store.is_blind.store(false, Ordering::SeqCst);
    for (query, count) in [("b = 2", 1), ("b = 1", 0)] {
        let query = query.parse().unwrap();
        let explain = records.explain(&query).await.unwrap();
        assert_eq!(explain.access, Access::Index);
        let found = records.query(&query).await.unwrap().records;
        assert_eq!(found.len(), count, "{query}");
    }
}

#[tokio::test]
async fn what_an_older_version_has_shown_is_found_in_the_new_form_at_once() {
    let node = Node::builder().open().await.unwrap();
    let people = node.records("people").unwrap();
    let named = |version| {
        let builder = Contract::builder("people", version);
        let builder = builder.field("name", Field::string());
        builder.index("by-name", ["name"])
    };
    let put = node.transaction(|tx| {
        for n in 0..300 {
            let json = json!({"full_name": "ana"});
            tx.put_json(&people, RecordId::named(&n.to_string()), &json)?;
        }
        Ok(())
    });
    put.await.unwrap();
    let old = named(1).field("full_name", Field::string());
    node.declare(&old.build().unwrap()).await.unwrap();
    until_access(&people, r#"name = "ana""#, Access::Index).await;
    let renamed = Migration::new(1, 2).rename("full_name", "name");
    let new = named(2).migration(renamed).build().unwrap();
    node.declare(&new).await.unwrap();
    let query: Query = r#"name = "ana""#.parse().unwrap();
    within(async {
        loop {
            let access = people.explain(&query).await.unwrap().access;
            let found = people.query(&query).await.unwrap().records;
            assert_eq!(found.len(), 300, "by {access:?}");
            if access == Access::Index {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_can_not_be_migrated_is_named_by_an_index_too() {
    let node = Node::builder().open().await.unwrap();
    let people = node.records("people").unwrap();
    let sorted = |version| {
        let builder = Contract::builder("people", version);
        let builder = builder.field("kind", Field::string());
        builder.index("by-kind", ["kind"])
    };
    node.declare(&sorted(1).build().unwrap()).await.unwrap();
    let good = json!({"kind": "a", "year": "1999"});
    people.insert(&good).await.unwrap();
    let bad = people.insert(&json!({"kind": "a", "year": "once"})).await;
    let converted = Migration::new(1, 2).convert("year", Kind::String, "born", Kind::Integer);
    let new = sorted(2)
        .field("born", Field::integer())
        .migration(converted);
    node.declare(&new.build().unwrap()).await.unwrap();
    until_access(&people, r#"kind = "a""#, Access::Index).await;
    let page = people
        .query(&r#"kind = "a""#.parse().unwrap())
        .await
        .unwrap();
    assert_eq!(page.records[0].1, json!({"kind": "a", "born": 1999}));
    let named: Vec<_> = page
        .unreadable
        .iter()
        .map(|it| (it.0, it.1.kind()))
        .collect();
    assert_eq!(named, [(bad.unwrap(), ErrorKind::Migration)]);
}

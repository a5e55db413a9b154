//! Gates: a version counts where its gate is open, and nowhere else.

use super::contracts::until;
use super::*;
use crate::contract::{Contract, Field, Gate, Migration};
use crate::id::RecordId;
use crate::limits;

fn contract(version: u32) -> Contract {
    Contract::builder("people", version)
        .field(
            if version == 1 { "full_name" } else { "name" },
            Field::string(),
        )
        .build()
        .unwrap()
}

fn gated() -> Contract {
    Contract::builder("people", 2)
        .field("name", Field::string())
        .migration(Migration::new(1, 2).rename("full_name", "name"))
        .gate("new-names")
        .build()
        .unwrap()
}

fn gate(per_mille: u16) -> Gate {
    Gate::new("new-names").unwrap().share(per_mille).unwrap()
}

#[tokio::test]
async fn a_version_counts_where_its_gate_is_open() {
    let (a, b, _network) = pair().await;
    let old = json!({"full_name": "Ana"});
    let new = json!({"name": "Ana"});
    let id = a.records("people").unwrap().insert(&old).await.unwrap();
    for node in [&a, &b] {
        node.declare(&contract(1)).await.unwrap();
        node.declare(&gated()).await.unwrap();
        assert!(!node.is_open("new-names"));
    }
    let shown = async |node: &Node| {
        let people = node.records("people").unwrap();
        people.get(id).await.unwrap()
    };
    until(async || shown(&b).await.is_some()).await;
    assert_eq!(shown(&a).await, Some(old.clone()));
    assert_eq!(a.contract("people").unwrap(), Some(contract(1)));
    // Set here, it is open there, and only there.
    let only_b = gate(0).name_replica(b.replica_id()).unwrap();
    assert!(a.set_gate(&only_b).await.unwrap());
    assert!(!a.set_gate(&only_b).await.unwrap());
    until(async || b.is_open("new-names")).await;
    until(async || shown(&b).await == Some(new.clone())).await;
    assert_eq!(b.contract("people").unwrap(), Some(gated()));
    assert_eq!(shown(&a).await, Some(old.clone()));
    assert_eq!(b.gates(), [only_b]);
    // For all, and shut again.
    b.set_gate(&gate(1_000)).await.unwrap();
    assert_eq!(shown(&b).await, Some(new.clone()));
    until(async || shown(&a).await == Some(new.clone())).await;
    a.set_gate(&gate(0)).await.unwrap();
    assert_eq!(shown(&a).await, Some(old.clone()));
    until(async || shown(&b).await == Some(old.clone())).await;
}

#[tokio::test]
async fn a_gate_is_known_again_when_the_store_is_opened() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let open = || Node::builder().store_in(Arc::clone(&store)).open();
    let node = open().await.unwrap();
    let people = node.records("people").unwrap();
    let id = people.insert(&json!({"full_name": "Ana"})).await.unwrap();
    node.publish(&contract(1)).await.unwrap();
    node.publish(&gated()).await.unwrap();
    node.set_gate(&gate(1_000)).await.unwrap();
    until(async || node.contract("people").unwrap() == Some(gated())).await;
    node.shutdown().await.unwrap();
    let node = open().await.unwrap();
    assert!(node.is_open("new-names"));
    assert_eq!(node.contract("people").unwrap(), Some(gated()));
    let people = node.records("people").unwrap();
    assert_eq!(people.get(id).await.unwrap(), Some(json!({"name": "Ana"})));
    // Deleted, it is shut, and what was there before counts.
    let gates = node.records("syncline.gates").unwrap();
    gates.delete(RecordId::named("new-names")).await.unwrap();
    until(async || node.contract("people").unwrap() == Some(contract(1))).await;
    assert!(!node.is_open("new-names"));
    assert!(node.set_gate(&gate(1_000)).await.unwrap());
    assert_eq!(node.contract("people").unwrap(), Some(gated()));
    let contracts = node.records("syncline.contracts").unwrap();
    contracts.delete(RecordId::named("people@2")).await.unwrap();
    until(async || node.contract("people").unwrap() == Some(contract(1))).await;
}

#[tokio::test]
async fn what_is_no_gate_opens_nothing_and_there_are_not_too_many() {
    let node = Node::builder().open().await.unwrap();
    let gates = node.records("syncline.gates").unwrap();
    let bad = [
        json!({"name": "other", "per_mille": 1_000}),
        json!({"name": "new-names", "per_mille": 1_001}),
        json!({"name": "new-names", "per_mille": "all"}),
        json!({"name": "new-names", "per_mille": 1_000, "replicas": {"nobody": true}}),
        json!({"per_mille": 1_000}),
    ];
    let id = RecordId::named("new-names");
    for json in bad {
        gates.put(id, &json).await.unwrap();
        within(node.collections()).await.unwrap();
        assert!(
            !node.is_open("new-names") && !node.is_open("other"),
            "{json}"
        );
    }
    assert!(node.gates().is_empty());
    let many = node.transaction(|tx| {
        for number in 0..limits::GATES_MAX + 5 {
            let name = format!("g{number}");
            let json = json!({"name": name, "per_mille": 1_000});
            tx.put_json(&gates, RecordId::named(&name), &json)?;
        }
        Ok(())
    });
    many.await.unwrap();
    until(async || node.gates().len() >= limits::GATES_MAX).await;
    within(node.collections()).await.unwrap();
    assert_eq!(
        node.gates().len(),
        limits::GATES_MAX,
        "whoever put them there"
    );
    let error = node.set_gate(&gate(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

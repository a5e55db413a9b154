//! Contracts where something goes wrong: what is refused rightly, what others put into a space.

use super::super::held::to_record;
use super::contracts::{breaches, until};
use super::*;
use crate::contract::{Contract, Field};
use crate::doc::PathStep;
use crate::id::RecordId;
use crate::limits;

fn contract(version: u32) -> Contract {
    let most = i64::from(version) * 10;
    Contract::builder("jobs", version)
        .field("n", Field::integer().range(0..=most))
        .field("l", Field::list(Field::integer()))
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_transaction_that_goes_on_after_a_breach_fails_as_a_whole() {
    let node = Node::builder().open().await.unwrap();
    node.declare(&contract(1)).await.unwrap();
    let jobs = node.records("jobs").unwrap();
    let id = jobs.insert(&json!({"n": 1})).await.unwrap();
    let went_on = node.transaction(|tx| {
        assert!(tx.patch_json(&jobs, id, &json!({"n": 11})).is_err());
        tx.put_json(&jobs, RecordId::named("other"), &json!({"n": 2}))
    });
    assert_eq!(went_on.await.unwrap_err().kind(), ErrorKind::Breach);
    assert_eq!(jobs.count().await.unwrap(), 1);
    assert!(jobs.patch(id, &json!({"n": 3})).await.unwrap());
    assert_eq!(jobs.get(id).await.unwrap().unwrap(), json!({"n": 3}));
}

#[tokio::test]
async fn what_others_broke_is_known_where_it_moves_and_where_there_is_much_of_it() {
    let node = Node::builder().open().await.unwrap();
    let jobs = node.records("jobs").unwrap();
    let few = jobs.insert(&json!({"l": ["a", 1]})).await.unwrap();
    let wrong = |count: usize| vec!["a"; count];
    let many = jobs.insert(&json!({"l": wrong(150)})).await.unwrap();
    node.declare(&contract(1)).await.unwrap();
    until(async || breaches(&node).await.len() == 2).await;
    assert!(breaches(&node).await.iter().all(|it| it.len() < 6_000));
    assert!(jobs.patch(few, &json!({"l": [0, "a", 1]})).await.unwrap());
    let more = jobs.patch(few, &json!({"l": [0, "a", "b"]})).await;
    assert_eq!(more.unwrap_err().kind(), ErrorKind::Breach);
    // One of a hundred and fifty is mended.
    let mended = jobs.edit(many, |edit| {
        edit.set(
            &[PathStep::from("l"), PathStep::from(0)],
            &crate::doc::Value::Int(1),
        )
    });
    mended.await.unwrap();
}

#[tokio::test]
async fn what_a_program_declares_has_its_place_however_many_others_there_are() {
    let node = Node::builder().open().await.unwrap();
    let contracts = node.records("syncline.contracts").unwrap();
    let put = node.transaction(|tx| {
        for number in 0..limits::CONTRACTS_MAX {
            let other = Contract::builder(&format!("c{number}"), 1).build()?;
            let id = RecordId::named(&format!("c{number}@1"));
            tx.put_json(&contracts, id, &to_record(&other))?;
        }
        Ok(())
    });
    put.await.unwrap();
    until(async || node.contract("c7").unwrap().is_some()).await;
    node.declare(&contract(1)).await.unwrap();
    assert_eq!(node.contract("jobs").unwrap(), Some(contract(1)));
    let jobs = node.records("jobs").unwrap();
    let wrong = jobs.insert(&json!({"n": 11})).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Breach);
}

#[tokio::test]
async fn contracts_of_others_take_no_more_memory_than_they_may() {
    let node = Node::builder().open().await.unwrap();
    let large = |name: &str| {
        let contract = Contract::builder(name, 1);
        let fields = (0..1_000).map(|number| format!("f{number}"));
        let contract = fields.fold(contract, |it, name| {
            it.field(&name, Field::string().pattern("a{900}"))
        });
        contract.build().unwrap()
    };
    for name in ["a", "b"] {
        node.publish(&large(name)).await.unwrap();
    }
    node.publish(&contract(1)).await.unwrap();
    until(async || node.contract("jobs").unwrap().is_some()).await;
    assert!(node.contract("a").unwrap().is_some());
    assert!(node.contract("b").unwrap().is_none());
    // What a program declares is its own affair.
    node.declare(&large("b")).await.unwrap();
    assert!(node.contract("b").unwrap().is_some());
}

#[tokio::test]
async fn there_is_no_contract_of_contracts() {
    let node = Node::builder().open().await.unwrap();
    let of_all = Contract::builder("syncline.contracts", 1)
        .field("contract", Field::integer().required())
        .build()
        .unwrap();
    let refused = node.declare(&of_all).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let contracts = node.records("syncline.contracts").unwrap();
    let id = RecordId::named("syncline.contracts@1");
    contracts.put(id, &to_record(&of_all)).await.unwrap();
    node.declare(&contract(1)).await.unwrap();
}

#[tokio::test]
async fn a_contract_that_is_deleted_goes_for_nobody() {
    let node = Node::builder().open().await.unwrap();
    let jobs = node.records("jobs").unwrap();
    let id = jobs.insert(&json!({"n": 15})).await.unwrap();
    node.publish(&contract(1)).await.unwrap();
    let strict = Contract::builder("jobs", 9)
        .oldest_reader(9)
        .oldest_writer(9);
    let strict = strict.field("n", Field::string()).build().unwrap();
    assert!(node.publish(&strict).await.unwrap());
    until(async || {
        node.contract("jobs")
            .unwrap()
            .is_some_and(|it| it.version() == 9)
    })
    .await;
    let contracts = node.records("syncline.contracts").unwrap();
    contracts.delete(RecordId::named("jobs@9")).await.unwrap();
    until(async || node.contract("jobs").unwrap() == Some(contract(1))).await;
    until(async || breaches(&node).await.iter().any(|it| it.contains("range"))).await;
    contracts.delete(RecordId::named("jobs@1")).await.unwrap();
    until(async || node.contract("jobs").unwrap().is_none()).await;
    until(async || breaches(&node).await.is_empty()).await;
    // A program that declares it brings it back.
    node.declare(&contract(1)).await.unwrap();
    let wrong = jobs.patch(id, &json!({"n": 16, "l": "no"})).await;
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Breach);
    assert!(
        contracts
            .get(RecordId::named("jobs@1"))
            .await
            .unwrap()
            .is_some()
    );
    assert!(node.publish(&strict).await.unwrap());
    assert!(!node.publish(&strict).await.unwrap());
}

#[tokio::test]
async fn records_are_looked_at_after_what_is_being_made_by_the_contract_before() {
    let node = Node::builder().open().await.unwrap();
    let jobs = node.records("jobs").unwrap();
    jobs.insert(&json!({"n": 11})).await.unwrap();
    let making = node.0.shared.projectors.acquire().await.unwrap();
    node.declare(&contract(1)).await.unwrap();
    // However many contracts come, one task is at it.
    let of = (node.space(), "jobs".parse().unwrap());
    assert!(!node.0.shared.rulings.is_due(&of, false));
    sleep(Duration::from_millis(50)).await;
    assert!(breaches(&node).await.is_empty());
    drop(making);
    until(async || breaches(&node).await.len() == 1).await;
    until(async || node.0.shared.rulings.next_due(&of).is_none()).await;
}

#[tokio::test]
async fn an_end_of_a_conflict_says_why() {
    let (a, b, _network) = pair().await;
    let (here, there) = (a.records("jobs").unwrap(), b.records("jobs").unwrap());
    let id = RecordId::named("job");
    b.disconnect("memory:a").await.unwrap();
    until(async || a.status().await.unwrap().links.is_empty()).await;
    here.put(id, &json!({"n": 1})).await.unwrap();
    there.put(id, &json!({"n": 2})).await.unwrap();
    b.connect("memory:a").await.unwrap();
    until(async || here.contested(1).await.unwrap() == [id]).await;
    let here = here.because("asked Ana");
    let path = [PathStep::from("n")];
    assert!(here.resolve(id, &path, &json!(3)).await.unwrap());
    let history = here.history(id, 1, None).await.unwrap();
    assert_eq!(history.list[0].reason.as_deref(), Some("asked Ana"));
}

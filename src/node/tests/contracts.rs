//! Contracts and conflict policies at work: what is refused, what is quarantined, what is shown.

use super::*;
use crate::conflict::{CustomPolicy, Outcome, Policy};
use crate::contract::{Contract, Field, Rule};
use crate::doc::{Candidate, PathStep, Value};
use crate::id::RecordId;
use crate::replica::Reason;

#[derive(Clone, Debug, PartialEq, Reconcile, Serialize, Deserialize)]
struct Job {
    title: String,
    priority: i64,
    done: bool,
}

fn contract(version: u32, policy: Policy) -> Contract {
    Contract::builder("jobs", version)
        .field("title", Field::string().required().length(1..=10))
        .field("priority", Field::integer().range(0..=5).policy(policy))
        .field("done", Field::bool().default(false))
        .build()
        .unwrap()
}

fn field(name: &str) -> Vec<PathStep> {
    vec![PathStep::from(name)]
}

pub(super) async fn breaches(node: &Node) -> Vec<String> {
    let mut breaches = Vec::new();
    for entry in node.quarantine(10).await.unwrap() {
        if let Reason::Breach(detail) = entry.reason {
            breaches.push(detail);
        }
    }
    breaches
}

/// Waits until `ready` says so.
pub(super) async fn until<F: Future<Output = bool>>(mut ready: impl FnMut() -> F) {
    within(async {
        while !ready().await {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_edit_that_breaks_the_contract_is_refused_and_nothing_of_it_is_there() {
    let node = Node::builder().open().await.unwrap();
    node.declare(&contract(1, Policy::Automerge)).await.unwrap();
    let jobs = node.records("jobs").unwrap();
    let id = jobs
        .insert(&json!({"title": "water", "priority": 3}))
        .await
        .unwrap();
    let heads = jobs.heads(id).await.unwrap();
    let no_title = jobs.insert(&json!({"priority": 3})).await.unwrap_err();
    let too_high = jobs.patch(id, &json!({"priority": 9})).await.unwrap_err();
    let gone = jobs
        .edit(id, |edit| edit.remove(&field("title")))
        .await
        .unwrap_err();
    for error in [&no_title, &too_high, &gone] {
        assert_eq!(error.kind(), ErrorKind::Breach, "{error}");
    }
    assert!(
        too_high
            .to_string()
            .contains("priority: an integer breaks 'range'"),
        "{too_high}"
    );
    // All of a transaction, or nothing.
    let both = node.transaction(|tx| {
        tx.put_json(
            &jobs,
            RecordId::named("other"),
            &json!({"title": "weed", "priority": 1}),
        )?;
        tx.patch_json(&jobs, id, &json!({"title": ""}))
    });
    assert_eq!(both.await.unwrap_err().kind(), ErrorKind::Breach);
    assert_eq!(jobs.count().await.unwrap(), 1);
    assert_eq!(jobs.heads(id).await.unwrap(), heads);
    // What is refused is not in the document either that is edited next.
    assert!(jobs.patch(id, &json!({"priority": 4})).await.unwrap());
    let now = jobs.get(id).await.unwrap().unwrap();
    assert_eq!(now, json!({"title": "water", "priority": 4}));
    // A typed read has what the contract fills in.
    let typed = node.collection::<Job>("jobs").unwrap();
    assert!(!typed.get(id).await.unwrap().unwrap().done);
    // A deletion breaks nothing, nor does it keep anybody from declaring again.
    assert!(jobs.delete(id).await.unwrap());
    node.declare(&contract(1, Policy::Automerge)).await.unwrap();
}

#[tokio::test]
async fn what_breaks_the_contract_from_elsewhere_is_shown_named_and_mended() {
    let (a, b, _network) = pair().await;
    let (here, there) = (a.records("jobs").unwrap(), b.records("jobs").unwrap());
    let bad = there
        .insert(&json!({"title": "water", "priority": 9}))
        .await
        .unwrap();
    let good = there
        .insert(&json!({"title": "weed", "priority": 1}))
        .await
        .unwrap();
    within(b.delivered(&there.key(good)).to(a.replica_id()))
        .await
        .unwrap();
    until(async || here.get(good).await.unwrap().is_some()).await;
    assert!(breaches(&a).await.is_empty());
    // What was there before the contract is looked at, too, and on all replicas that get it.
    a.declare(&contract(1, Policy::Automerge)).await.unwrap();
    for node in [&a, &b] {
        until(async || !breaches(node).await.is_empty()).await;
    }
    let named = breaches(&a).await;
    assert_eq!(named.len(), 1);
    assert!(
        named[0].contains("priority: an integer breaks 'range'"),
        "{named:?}"
    );
    // It is shown to who reads JSON, and an error to who wants a struct; others are not held up.
    assert_eq!(here.get(bad).await.unwrap().unwrap()["priority"], 9);
    let jobs = a.collection::<Job>("jobs").unwrap();
    assert_eq!(jobs.get(bad).await.unwrap_err().kind(), ErrorKind::Breach);
    let listing = jobs.list().await.unwrap();
    assert_eq!((listing.records.len(), listing.unreadable.len()), (1, 1));
    // What others broke keeps nobody from editing the rest; breaking more is refused.
    assert!(here.patch(bad, &json!({"title": "trees"})).await.unwrap());
    assert_eq!(breaches(&a).await.len(), 1);
    let more = here.patch(bad, &json!({"title": ""})).await.unwrap_err();
    assert_eq!(more.kind(), ErrorKind::Breach);
    assert!(!more.to_string().contains("priority"), "{more}");
    // An edit that mends it takes it out of the quarantine.
    assert!(here.patch(bad, &json!({"priority": 5})).await.unwrap());
    assert_eq!(breaches(&a).await, Vec::<String>::new());
    assert_eq!(jobs.get(bad).await.unwrap().unwrap().priority, 5);
    assert_eq!(a.status().await.unwrap().quarantine.entries, 0);
    until(async || breaches(&b).await.is_empty()).await;
    // A wider contract takes out what it allows, a narrower one names what it does not.
    let free = Contract::builder("jobs", 2).build().unwrap();
    let narrow = Contract::builder("jobs", 3).field("title", Field::string().length(1..=4));
    a.declare(&narrow.build().unwrap()).await.unwrap();
    until(async || breaches(&b).await.len() == 1).await;
    b.declare(&free).await.unwrap();
    until(async || breaches(&b).await.is_empty()).await;
    assert_eq!(breaches(&a).await.len(), 1);
}

/// Two nodes that set the priority of one job apart from each other, and meet again.
async fn contested(declared: Option<&Contract>) -> (Node, Node, RecordId) {
    let (a, b, _network) = pair().await;
    let (here, there) = (a.records("jobs").unwrap(), b.records("jobs").unwrap());
    if let Some(contract) = declared {
        a.declare(contract).await.unwrap();
    }
    let id = here
        .insert(&json!({"title": "water", "priority": 0}))
        .await
        .unwrap();
    within(a.delivered(&here.key(id)).to(b.replica_id()))
        .await
        .unwrap();
    b.disconnect("memory:a").await.unwrap();
    until(async || a.status().await.unwrap().links.is_empty()).await;
    here.patch(id, &json!({"priority": 2})).await.unwrap();
    there.patch(id, &json!({"priority": 4})).await.unwrap();
    b.connect("memory:a").await.unwrap();
    until(async || here.heads(id).await.unwrap() == there.heads(id).await.unwrap()).await;
    (a, b, id)
}

async fn priority(node: &Node, id: RecordId) -> serde_json::Value {
    let jobs = node.records("jobs").unwrap();
    jobs.get(id).await.unwrap().unwrap()["priority"].clone()
}

#[tokio::test]
async fn all_replicas_show_a_conflict_by_the_policy_that_one_declared() {
    for (policy, expected) in [(Policy::Max, 4), (Policy::Min, 2)] {
        let (a, b, id) = contested(Some(&contract(1, policy.clone()))).await;
        for node in [&a, &b] {
            assert_eq!(priority(node, id).await, expected, "{policy}");
            let jobs = node.records("jobs").unwrap();
            assert_eq!(jobs.list().await.unwrap()[0].1["priority"], expected);
            // It goes by views, which follow the heads.
            until(async || jobs.contested(10).await.unwrap() == [id]).await;
            assert_eq!(
                node.contract("jobs").unwrap(),
                Some(contract(1, policy.clone()))
            );
        }
        let jobs = a.records("jobs").unwrap();
        // Another field is edited: the conflict is still one, and nothing was written there.
        jobs.patch(id, &json!({"title": "weed"})).await.unwrap();
        let conflicts = jobs.conflicts(id).await.unwrap();
        assert_eq!(conflicts.len(), 1);
        let explained = &conflicts[0].explanation;
        assert_eq!(
            (explained.candidates.len(), &explained.policy),
            (2, &policy)
        );
        let again = jobs.explain_field(id, &field("priority")).await.unwrap();
        assert_eq!(again.as_ref(), Some(explained));
        assert_eq!(jobs.explain_field(id, &field("title")).await.unwrap(), None);
        // Resolved by an edit; what is against the contract is not.
        let refused = jobs
            .resolve(id, &field("priority"), &json!(9))
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Breach);
        assert!(
            jobs.resolve(id, &field("priority"), &json!(expected))
                .await
                .unwrap()
        );
        assert!(
            !jobs
                .resolve(id, &field("priority"), &json!(1))
                .await
                .unwrap()
        );
        assert_eq!(priority(&a, id).await, expected);
        assert!(jobs.conflicts(id).await.unwrap().is_empty());
        until(async || {
            b.records("jobs")
                .unwrap()
                .contested(1)
                .await
                .unwrap()
                .is_empty()
        })
        .await;
    }
}

#[tokio::test]
async fn another_policy_shows_what_is_there_otherwise_everywhere() {
    let (a, b, id) = contested(None).await;
    let shown = priority(&a, id).await;
    assert_eq!(shown, priority(&b, id).await);
    let expected = if shown == 4 { 2 } else { 4 };
    let policy = if shown == 4 { Policy::Min } else { Policy::Max };
    let mut watch = b.records("jobs").unwrap().watch().unwrap();
    a.declare(&contract(1, policy)).await.unwrap();
    // Reads show it at once, and views follow: watchers hear of it.
    assert_eq!(priority(&a, id).await, expected);
    let Some(WatchEvent::Changed(changed)) = within(watch.next()).await else {
        panic!("a change");
    };
    assert_eq!(changed.json()["priority"], expected);
    assert_eq!(priority(&b, id).await, expected);
}

#[derive(Debug)]
struct Middle;

impl CustomPolicy for Middle {
    fn resolve(&self, candidates: &[Candidate]) -> Outcome {
        let first = candidates.first().unwrap();
        Outcome {
            value: Value::Int(3),
            decisive: vec![first.change],
        }
    }
}

#[tokio::test]
async fn a_contract_that_does_not_fit_the_program_or_the_space_is_refused() {
    let node = Node::builder().open().await.unwrap();
    let custom = contract(1, Policy::custom("middle", 1).unwrap());
    let unknown = node.declare(&custom).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::InvalidInput);
    assert!(unknown.to_string().contains("custom:middle@1"), "{unknown}");
    let ruled = Contract::builder("jobs", 1)
        .field("title", Field::string())
        .rule(Rule::custom("polite", 1, "title"))
        .build()
        .unwrap();
    let unknown = node.declare(&ruled).await.unwrap_err();
    assert!(unknown.to_string().contains("polite@1"), "{unknown}");
    assert_eq!(node.contract("jobs").unwrap(), None);
    node.declare(&contract(1, Policy::Max)).await.unwrap();
    let other = node.declare(&contract(1, Policy::Min)).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Conflict);
    node.declare(&contract(2, Policy::Min)).await.unwrap();
    assert_eq!(
        node.contract("jobs").unwrap(),
        Some(contract(2, Policy::Min))
    );
    let known = Node::builder().policy("middle", 1, Middle).unwrap();
    let known = known
        .rule("polite", 1, |value: &Value| match value.as_str() {
            Some("please") => Ok(()),
            _ => Err("it must be polite"),
        })
        .unwrap();
    let known = known.open().await.unwrap();
    known.declare(&custom).await.unwrap();
    let notes = Contract::builder("notes", 1)
        .field("title", Field::string())
        .rule(Rule::custom("polite", 1, "title"))
        .build();
    known.declare(&notes.unwrap()).await.unwrap();
    let notes = known.records("notes").unwrap();
    let rude = notes.insert(&json!({"title": "now"})).await.unwrap_err();
    assert_eq!(rude.kind(), ErrorKind::Breach);
}

#[tokio::test]
async fn an_older_program_reads_and_writes_as_far_as_the_contract_lets_it() {
    let newer = |reader, writer| {
        Contract::builder("jobs", 3)
            .oldest_reader(reader)
            .oldest_writer(writer)
            .field("title", Field::string())
            .build()
            .unwrap()
    };
    for (reader, writer, reads, writes) in [
        (1, 1, true, true),
        (1, 2, true, false),
        (2, 3, false, false),
    ] {
        let (a, b, _network) = pair().await;
        let (here, there) = (a.records("jobs").unwrap(), b.records("jobs").unwrap());
        let job = json!({"title": "water", "priority": 1, "done": true});
        let id = here.insert(&job).await.unwrap();
        b.declare(&contract(1, Policy::Automerge)).await.unwrap();
        a.declare(&newer(reader, writer)).await.unwrap();
        until(async || {
            b.contract("jobs")
                .unwrap()
                .is_some_and(|it| it.version() == 3)
        })
        .await;
        let jobs = b.collection::<Job>("jobs").unwrap();
        until(async || there.get(id).await.unwrap().is_some()).await;
        let read = jobs.get(id).await.map(drop).map_err(|it| it.kind());
        let kind = ErrorKind::ContractTooNew;
        assert_eq!(
            read,
            if reads { Ok(()) } else { Err(kind) },
            "{reader} {writer}"
        );
        let written = there.patch(id, &json!({"priority": 2})).await;
        let written = written.map(drop).map_err(|it| it.kind());
        assert_eq!(
            written,
            if writes { Ok(()) } else { Err(kind) },
            "{reader} {writer}"
        );
    }
}

#[tokio::test]
async fn a_restarted_node_knows_the_contracts_of_its_space() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let open = || Node::builder().store_in(Arc::clone(&store)).open();
    let node = open().await.unwrap();
    node.declare(&contract(1, Policy::Max)).await.unwrap();
    node.declare(&contract(2, Policy::Min)).await.unwrap();
    node.shutdown().await.unwrap();
    let node = open().await.unwrap();
    assert_eq!(
        node.contract("jobs").unwrap(),
        Some(contract(2, Policy::Min))
    );
    let jobs = node.records("jobs").unwrap();
    assert_eq!(
        jobs.insert(&json!({"priority": 1}))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Breach
    );
    // What stands in the place of a contract and is none is left alone.
    let contracts = node.records("syncline.contracts").unwrap();
    let (id, _) = contracts.list().await.unwrap()[0].clone();
    contracts.put(id, &json!({"contract": "{}"})).await.unwrap();
    let other = contracts.insert(&json!({"contract": 7})).await.unwrap();
    assert!(contracts.get(other).await.unwrap().is_some());
    node.shutdown().await.unwrap();
    open().await.unwrap().shutdown().await.unwrap();
}

#[tokio::test]
async fn json_takes_on_the_kinds_that_the_contract_says() {
    let node = Node::builder().open().await.unwrap();
    let contract = Contract::builder("notes", 1)
        .field("body", Field::text().required())
        .field("votes", Field::counter())
        .field("labels", Field::set())
        .build();
    node.declare(&contract.unwrap()).await.unwrap();
    let notes = node.records("notes").unwrap();
    let plain = json!({"body": "milk", "votes": 1, "labels": ["home"], "more": "x"});
    let id = notes.insert(&plain).await.unwrap();
    let kinds = json!({"body": "milk", "votes": 1, "labels": {"home": true}, "more": "x"});
    assert_eq!(notes.get(id).await.unwrap().unwrap(), kinds);
    assert!(!notes.put(id, &plain).await.unwrap());
    // A list in a patch takes the place of the set, as it does of a list.
    let patch = json!({"votes": 5, "labels": ["shop"], "body": "milk, bread"});
    assert!(notes.patch(id, &patch).await.unwrap());
    let written = node.transaction(|tx| tx.patch_json(&notes, id, &json!({"body": "bread"})));
    assert!(written.await.unwrap());
    let now = json!({"body": "bread", "votes": 5, "labels": {"shop": true}, "more": "x"});
    assert_eq!(notes.get(id).await.unwrap().unwrap(), now);
    let merging = notes.edit(id, |edit| edit.splice_text(&field("body"), 0, 1, "B"));
    merging.await.unwrap();
    notes
        .edit(id, |edit| edit.increment(&field("votes"), 1))
        .await
        .unwrap();
    assert!(notes.patch(id, &json!({"labels": null})).await.unwrap());
    let now = json!({"body": "Bread", "votes": 6, "more": "x"});
    assert_eq!(notes.get(id).await.unwrap().unwrap(), now);
    let wrong = notes.patch(id, &json!({"body": 7})).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Breach);
}

#[tokio::test]
async fn a_node_goes_on_with_what_an_earlier_one_did_not_judge() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let ruled = Contract::builder("jobs", 1)
        .field("title", Field::string())
        .rule(Rule::custom("polite", 1, "title"))
        .build()
        .unwrap();
    // This program does not define the rule, so that nothing is judged by it.
    let node = Node::builder().store_in(Arc::clone(&store)).open();
    let node = node.await.unwrap();
    node.publish(&ruled).await.unwrap();
    let jobs = node.records("jobs").unwrap();
    jobs.insert(&json!({"title": "now"})).await.unwrap();
    assert!(breaches(&node).await.is_empty());
    node.shutdown().await.unwrap();
    // The next one does, and declares nothing.
    let polite = |_: &Value| Err("it must be polite");
    let known = Node::builder().rule("polite", 1, polite).unwrap();
    let node = known.store_in(Arc::clone(&store)).open().await.unwrap();
    until(async || !breaches(&node).await.is_empty()).await;
    let number = |rows: &Rows<'_>| {
        let jobs = "jobs".parse().unwrap();
        rows.number(node.space(), Some(&jobs)).unwrap().unwrap()
    };
    let ruled_by = || {
        let snapshot = store.snapshot().unwrap();
        let rows = Rows::new(snapshot.as_ref());
        rows.ruled_by(number(&rows)).unwrap()
    };
    until(async || ruled_by().is_some_and(|it| it != 0)).await;
    node.shutdown().await.unwrap();
}

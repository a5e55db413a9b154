//! Links that fail, double, or lead nowhere.

use super::*;
use crate::engine::PeerReport;
use crate::entropy::Entropy;
use crate::id::RecordId;
use crate::peer::{BreakerState, DialSettings, PeerState};
use crate::store::{Durability, FaultStore, Store};
use crate::transport::{BoxFuture, Connection, Connector, TransportError};

async fn until(node: &Node, is_so: impl Fn(&Status) -> bool) -> Status {
    let found = within(async {
        loop {
            let status = node.status().await.unwrap();
            if is_so(&status) {
                return status;
            }
            sleep(LOOK_EVERY).await;
        }
    });
    found.await
}

fn root(status: &Status) -> String {
    status.spaces[0].root.clone()
}

fn peer(status: &Status) -> &PeerReport {
    status.peers.first().unwrap()
}

fn dials_often() -> DialSettings {
    DialSettings {
        backoff_base: Duration::from_millis(2),
        backoff_max: Duration::from_millis(10),
        breaker_failures: 1_000_000,
        ..DialSettings::default()
    }
}

async fn on(network: &MemoryNetwork) -> Node {
    let connector = Arc::new(network.clone());
    let builder = Node::builder().connector(connector);
    builder.dialling(dials_often()).open().await.unwrap()
}

#[tokio::test]
async fn a_node_that_dials_itself_is_refused_for_good() {
    let network = MemoryNetwork::new();
    let node = on(&network).await;
    let listener = network.listen("self").unwrap();
    node.listen_on(Box::new(listener)).unwrap();
    node.connect("memory:self").await.unwrap();
    let status = until(&node, |it| peer(it).state == PeerState::Refused).await;
    let reason = peer(&status).last_error.clone().unwrap();
    assert!(reason.contains("same_store"), "{reason}");
    let status = until(&node, |it| it.links.is_empty()).await;
    assert_eq!(peer(&status).attempts, 2, "once more, to be sure");
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn however_often_two_nodes_dial_each_other_one_link_stays() {
    let network = MemoryNetwork::new();
    let (a, b) = (on(&network).await, on(&network).await);
    for name in ["a1", "a2"] {
        let listener = network.listen(name).unwrap();
        a.listen_on(Box::new(listener)).unwrap();
    }
    let listener = network.listen("b").unwrap();
    b.listen_on(Box::new(listener)).unwrap();
    b.connect("memory:a1").await.unwrap();
    b.connect("memory:a1").await.unwrap();
    b.connect("memory:a2").await.unwrap();
    a.connect("memory:b").await.unwrap();
    let records = a.records("tasks").unwrap();
    for n in 0..20 {
        let id = records.insert(&json!({"n": n})).await.unwrap();
        within(a.delivered(&records.key(id)).to(b.replica_id()))
            .await
            .unwrap();
    }
    for node in [&a, &b] {
        until(node, |it| it.links.len() == 1 && it.is_synced()).await;
        assert_eq!(node.records("tasks").unwrap().count().await.unwrap(), 20);
    }
    let status = b.status().await.unwrap();
    assert_eq!(status.peers.len(), 2);
    a.shutdown().await.unwrap();
    b.shutdown().await.unwrap();
}

/// Dials that never end.
#[derive(Debug)]
struct Nowhere;

impl Connector for Nowhere {
    fn supports(&self, address: &str) -> bool {
        address == "nowhere"
    }

    fn connect<'a>(
        &'a self,
        _address: &'a str,
    ) -> BoxFuture<'a, Result<Connection, TransportError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_dial_that_hangs_can_be_given_up_and_does_not_hold_up_a_shutdown() {
    let node = Node::builder().connector(Arc::new(Nowhere));
    let node = node.open().await.unwrap();
    node.connect("nowhere").await.unwrap();
    until(&node, |it| peer(it).state == PeerState::Dialling).await;
    node.disconnect("nowhere").await.unwrap();
    until(&node, |it| it.peers.is_empty()).await;
    node.connect("nowhere").await.unwrap();
    until(&node, |it| peer(it).state == PeerState::Dialling).await;
    timeout(Duration::from_secs(2), node.shutdown())
        .await
        .expect("at once")
        .unwrap();
}

#[tokio::test]
async fn a_dead_address_shows_its_backoff_and_breaker_and_comes_back() {
    let network = MemoryNetwork::new();
    let settings = DialSettings {
        backoff_base: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        breaker_failures: 3,
        breaker_cooldown: Duration::from_secs(3600),
        ..DialSettings::default()
    };
    let builder = Node::builder().connector(Arc::new(network.clone()));
    let node = builder.dialling(settings).open().await.unwrap();
    node.connect("memory:b").await.unwrap();
    let is_open = |it: &Status| matches!(peer(it).breaker, BreakerState::Open { .. });
    let status = until(&node, is_open).await;
    assert_eq!(peer(&status).failures, 3);
    assert_eq!(peer(&status).attempts, 3);
    assert!(peer(&status).last_error.is_some());
    let wait = peer(&status).next_attempt.unwrap();
    assert!(wait > Duration::from_secs(60), "{wait:?}");
    let back = on(&network).await;
    let listener = network.listen("b").unwrap();
    back.listen_on(Box::new(listener)).unwrap();
    node.retry("memory:b").await.unwrap();
    until(&node, |it| {
        peer(it).state == PeerState::Linked && it.is_synced()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_peers_dialled_at_once_are_all_linked() {
    let network = MemoryNetwork::new();
    let hub = on(&network).await;
    let mut others = Vec::new();
    for n in 0..12 {
        let other = on(&network).await;
        let listener = network.listen(&format!("n{n}")).unwrap();
        other.listen_on(Box::new(listener)).unwrap();
        others.push(other);
    }
    for n in 0..12 {
        hub.connect(&format!("memory:n{n}")).await.unwrap();
    }
    let are_linked = |it: &Status| it.links.len() == 12 && it.is_synced();
    let status = until(&hub, are_linked).await;
    // An attempt that is lost comes again only after its time is over.
    assert!(status.peers.iter().all(|it| it.attempts == 1));
}

/// Puts a thousand records into a node.
async fn fill(node: &Node, from: u32) {
    let records = node.records("tasks").unwrap();
    let put = |tx: &mut Transaction<'_>, n: u32| {
        let id = RecordId::named(&n.to_string());
        let put = tx.put_json(&records, id, &json!({"n": n, "text": "water"}));
        put.map(drop)
    };
    for first in (from..from + 1_000).step_by(250) {
        let some = |tx: &mut Transaction<'_>| (first..first + 250).try_for_each(|n| put(tx, n));
        node.transaction(some).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "a failure shows its seed")]
async fn a_transfer_that_is_cut_again_and_again_ends_equal() {
    let mut entropy = Entropy::from_os().unwrap();
    let seed = entropy.number();
    println!("seed {seed}");
    let mut entropy = Entropy::from_number(seed);
    let network = MemoryNetwork::new();
    let (a, b) = (on(&network).await, on(&network).await);
    fill(&a, 0).await;
    fill(&b, 1_000).await;
    let listener = network.listen("a").unwrap();
    a.listen_on(Box::new(listener)).unwrap();
    b.connect("memory:a").await.unwrap();
    let mut cuts = 0;
    for _ in 0..60 {
        sleep(Duration::from_micros(entropy.below(10_000))).await;
        cuts += usize::from(b.status().await.unwrap().spaces[0].lsn.0 < 2_000);
        network.cut("a");
    }
    assert!(cuts > 0, "nothing was left to be cut, seed {seed}");
    within(async {
        b.synced().await.unwrap();
        a.synced().await.unwrap();
    })
    .await;
    let (here, there) = (a.status().await.unwrap(), b.status().await.unwrap());
    assert_eq!(root(&here), root(&there), "seed {seed}");
    assert_eq!(here.quarantine.entries + there.quarantine.entries, 0);
    for node in [&a, &b] {
        assert_eq!(node.records("tasks").unwrap().count().await.unwrap(), 2_000);
    }
}

#[tokio::test]
async fn relaxed_writes_reach_others_and_share_their_syncs() {
    let network = MemoryNetwork::new();
    let store = Arc::new(FaultStore::new(MemoryStore::new()));
    let given: Arc<dyn Store> = Arc::clone(&store) as _;
    let builder = Node::builder().store_in(given);
    let a = builder.durability(Durability::Relaxed);
    let a = a.open().await.unwrap();
    let b = on(&network).await;
    let listener = network.listen("a").unwrap();
    a.listen_on(Box::new(listener)).unwrap();
    b.connect("memory:a").await.unwrap();
    within(b.synced()).await.unwrap();
    let before = (store.commits(), store.syncs());
    let records = a.records("tasks").unwrap();
    let mut last = None;
    for n in 0..100 {
        last = Some(records.insert(&json!({"n": n})).await.unwrap());
    }
    let key = records.key(last.unwrap());
    within(a.delivered(&key).to(b.replica_id())).await.unwrap();
    assert!(store.commits() - before.0 >= 100);
    let syncs = store.syncs() - before.1;
    assert!((1..50).contains(&syncs), "{syncs}");
    assert_eq!(
        b.records("tasks").unwrap().heads(key.record).await.unwrap(),
        records.heads(key.record).await.unwrap()
    );
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn nodes_meet_over_tls() {
    use crate::transport::websocket::{
        ClientTls, ServerTls, WebSocketConnector, WebSocketLimits, WebSocketListener,
    };
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let server = ServerTls::new(chain.as_bytes(), key.as_bytes()).unwrap();
    let limits = WebSocketLimits::default();
    let listener = WebSocketListener::bind_tls("127.0.0.1:0", limits, server).await;
    let a = Node::builder().open().await.unwrap();
    let address = a.listen_on(Box::new(listener.unwrap())).unwrap();
    assert!(address.starts_with("wss://"), "{address}");
    let client = ClientTls::with_roots(chain.as_bytes()).unwrap();
    let connector = WebSocketConnector::new(limits).with_tls(client);
    let b = Node::builder().connector(Arc::new(connector));
    let b = b.open().await.unwrap();
    b.connect(&address).await.unwrap();
    within(b.synced()).await.unwrap();
    let records = b.records("tasks").unwrap();
    let id = records.insert(&json!({"n": 1})).await.unwrap();
    within(b.delivered(&records.key(id)).to(a.replica_id()))
        .await
        .unwrap();
    let there = a.records("tasks").unwrap();
    assert_eq!(there.get(id).await.unwrap(), Some(json!({"n": 1})));
    let stranger = Node::builder().open().await.unwrap();
    // Without a root to trust there is no way to dial it.
    let error = stranger.connect(&address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

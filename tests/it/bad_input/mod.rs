//! Bad input from peers over real sockets: each kind gets its error or its place in the
//! quarantine, and two honest devices on the same hub notice nothing.

mod lies;
mod stranger;

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use syncline::doc::{Change, Document, EditMeta, Value};
use syncline::id::{ActorId, ReplicaId};
use syncline::peer::PeerState;
use syncline::replica::Reason;
use syncline::wire::{ErrorCode, Message};
use syncline::{Error, ErrorKind, Node, RecordId, Records, limits};
use tokio::time::{sleep, timeout};

use stranger::Stranger;

/// A hub with two honest devices.
struct Company {
    hub: Node,
    address: String,
    devices: [Node; 2],
}

async fn company() -> Company {
    let hub = Node::builder().relay().open().await.expect("a hub");
    let address = hub.listen("127.0.0.1:0").await.expect("a free port");
    let mut devices = Vec::new();
    for _ in 0..2 {
        let device = Node::builder().open().await.expect("a device");
        device.connect(&address).await.expect("an address");
        within(device.synced()).await.expect("a node");
        devices.push(device);
    }
    Company {
        hub,
        address,
        devices: devices.try_into().expect("two"),
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), work)
        .await
        .expect("in time")
}

/// Waits until a record is there.
async fn arrived(records: &Records, id: RecordId) {
    let there = async {
        while records.get(id).await.expect("readable").is_none() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    within(there).await;
}

impl Company {
    /// An edit of one device still reaches the other, and both hold the same.
    async fn is_undisturbed(&self) {
        let [a, b] = &self.devices;
        let (here, there) = (a.records("tasks"), b.records("tasks"));
        let (here, there) = (here.expect("a name"), there.expect("a name"));
        let id = here
            .insert(&json!({ "fine": true }))
            .await
            .expect("written");
        arrived(&there, id).await;
    }

    /// The reasons in the hub's quarantine, once there are as many.
    async fn quarantine(&self, count: usize) -> Vec<Reason> {
        let held = async {
            loop {
                let held = self.hub.quarantine(100).await.expect("a node");
                if held.len() >= count {
                    return held.into_iter().map(|it| it.reason).collect();
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        within(held).await
    }
}

/// Changes that one writer made of one record, one after the other.
fn history(actor: u8, count: usize) -> Vec<Change> {
    let mut document = Document::new(&ActorId::from_bytes(vec![actor; 16]));
    let edits = (0..count).map(|number| {
        let value = Value::from(i64::try_from(number).expect("small"));
        let edited =
            document.edit::<_, Error>(EditMeta::default(), |edit| edit.set(&["n".into()], &value));
        edited.expect("an edit").1.expect("a change")
    });
    edits.collect()
}

fn bytes(changes: &[Change]) -> Vec<Bytes> {
    changes.iter().map(|it| it.bytes().clone()).collect()
}

#[tokio::test]
async fn frames_that_are_no_messages_end_their_link_with_a_code() {
    let company = company().await;
    let large = vec![1; limits::HANDSHAKE_FRAME_BYTES_MAX + 1];
    let honest = Stranger::dial(&company.address, 1).await.hello();
    let truncated = honest[..honest.len() - 1].to_vec();
    let early = syncline::wire::encode(syncline::id::CorrelationId(1), &Message::Ping { token: 1 });
    for (name, frame, code) in [
        ("garbage", vec![0x7f; 300], ErrorCode::Malformed),
        ("nothing", Vec::new(), ErrorCode::Malformed),
        ("a large frame from a stranger", large, ErrorCode::OverLimit),
        ("a truncated greeting", truncated, ErrorCode::Malformed),
        (
            "a message before the greeting",
            early,
            ErrorCode::OutOfOrder,
        ),
    ] {
        let mut stranger = Stranger::dial(&company.address, 1).await;
        stranger.send_bytes(&frame).await;
        assert_eq!(stranger.ending().await, Some(code), "{name}");
    }
    company.is_undisturbed().await;
}

#[tokio::test]
async fn a_proof_of_another_identity_is_refused() {
    let company = company().await;
    let mut stranger = Stranger::dial(&company.address, 1).await;
    let hello = stranger.hello();
    stranger.send_bytes(&hello).await;
    let signature = [3; 64];
    stranger.send(&Message::Auth { signature }).await;
    assert_eq!(stranger.ending().await, Some(ErrorCode::BadSignature));
    company.is_undisturbed().await;
}

#[tokio::test]
async fn another_replica_than_the_expected_one_is_refused_for_good() {
    let company = company().await;
    let device = Node::builder().open().await.expect("a device");
    let expected = ReplicaId::from_bytes([5; 32]);
    device
        .connect_to(&company.address, expected)
        .await
        .expect("an address");
    let refused = async {
        loop {
            let status = device.status().await.expect("a status");
            if status.peers[0].state == PeerState::Refused {
                return status.peers[0].last_error.clone();
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let reason = within(refused).await.expect("a reason");
    assert!(reason.contains("wrong_key"), "{reason}");
    company.is_undisturbed().await;
}

#[tokio::test]
async fn bad_changes_wait_in_quarantine_with_their_reason() {
    let company = company().await;
    let space = company.devices[0].space();
    let mut stranger = Stranger::introduced(&company.address, 1).await;
    stranger.open(space).await;

    let mut flipped = history(1, 1)[0].bytes().to_vec();
    *flipped.last_mut().expect("bytes") ^= 1;
    stranger
        .push(space, RecordId::named("flipped"), vec![flipped.into()])
        .await;
    let orphan = bytes(&history(2, 3)[2..]);
    stranger
        .push(space, RecordId::named("orphan"), orphan)
        .await;
    let (one, other) = (history(3, 1), {
        let mut document = Document::new(&ActorId::from_bytes(vec![3; 16]));
        let value = Value::from("something else");
        let edit =
            document.edit::<_, Error>(EditMeta::default(), |edit| edit.set(&["n".into()], &value));
        vec![edit.expect("an edit").1.expect("a change")]
    });
    stranger
        .push(space, RecordId::named("two"), bytes(&[one, other].concat()))
        .await;
    let reasons = company.quarantine(3).await;
    let names: std::collections::BTreeSet<_> = reasons.iter().map(Reason::name).collect();
    assert_eq!(names, ["equivocation", "malformed", "waiting"].into());
    company.is_undisturbed().await;
    assert_eq!(company.quarantine(3).await.len(), 3);
}

#[tokio::test]
async fn a_change_that_comes_a_thousand_times_has_one_effect() {
    let company = company().await;
    let space = company.devices[0].space();
    let mut stranger = Stranger::introduced(&company.address, 1).await;
    stranger.open(space).await;
    let change = bytes(&history(1, 1));
    let id = RecordId::named("again");
    for _ in 0..1_000 {
        stranger.push(space, id, change.clone()).await;
    }
    let [a, _] = &company.devices;
    let records = a.records("tasks").expect("a name");
    arrived(&records, id).await;
    company.is_undisturbed().await;
    let status = company.hub.status().await.expect("a status");
    let lsn = |status: &syncline::engine::Status| status.spaces[0].lsn.0;
    assert_eq!(lsn(&status), 2, "the change, and that of the honest device");
}

#[tokio::test]
async fn changes_whose_parents_come_late_release_themselves() {
    let company = company().await;
    let space = company.devices[0].space();
    let mut stranger = Stranger::introduced(&company.address, 1).await;
    stranger.open(space).await;
    let changes = bytes(&history(1, 3));
    let id = RecordId::named("late");
    for change in changes.iter().rev() {
        stranger.push(space, id, vec![change.clone()]).await;
    }
    let [a, _] = &company.devices;
    let records = a.records("tasks").expect("a name");
    let released = async {
        while records.get(id).await.expect("readable") != Some(json!({ "n": 2 })) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    within(released).await;
    assert!(company.hub.quarantine(10).await.expect("a node").is_empty());
}

#[tokio::test]
async fn callers_mistakes_have_their_kinds() {
    let node = Node::builder().open().await.expect("a node");
    let bad_name = node.records("No Such Name").expect_err("not a name");
    assert_eq!(bad_name.kind(), ErrorKind::InvalidInput);
    let unknown = node.records("unknown").expect("a name");
    assert_eq!(
        unknown.get(RecordId::named("x")).await.expect("readable"),
        None
    );
    assert_eq!(unknown.count().await.expect("readable"), 0);
    let absent = unknown
        .patch(RecordId::named("x"), &json!({ "n": 1 }))
        .await;
    assert_eq!(absent.expect_err("no record").kind(), ErrorKind::NotFound);
    let large = "x".repeat(limits::FIELD_BYTES_MAX + 1);
    let large = unknown.insert(&json!({ "text": large })).await;
    let large = large.expect_err("too large");
    assert_eq!(large.kind(), ErrorKind::TooLarge);
    assert!(large.to_string().contains("text"), "{large}");
    let odd = unknown.insert(&json!([1, 2])).await.expect_err("no object");
    assert_eq!(odd.kind(), ErrorKind::InvalidInput);
    let address = node.connect("http://127.0.0.1:1").await.expect_err("http");
    assert_eq!(address.kind(), ErrorKind::InvalidInput);
    let fine = unknown.insert(&json!({ "n": 1 })).await.expect("written");
    assert_eq!(
        unknown.get(fine).await.expect("readable"),
        Some(json!({ "n": 1 }))
    );
}

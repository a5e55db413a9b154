//! A hub with peers that take nothing and one that takes all: the first cost it no memory, and the
//! second no time.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use syncline::doc::Value;
use syncline::entropy::Entropy;
use syncline::id::{ChangeHash, CorrelationId};
use syncline::limits;
use syncline::time::{Clock as _, SystemClock};
use syncline::wire::{self, Message, Want, WantRecord};
use syncline::{Node, RecordId, SpaceId};
use tokio::time::timeout;

use super::parties::SILENCE;
use super::stranger::Stranger;
use crate::command::{Folder, Running};

/// Records that a peer takes, and the bytes of each, which do not compress.
const RECORDS: usize = 208;
const RECORD_BYTES: usize = 256 * 1024;

/// How much more memory the hub may take for peers that take nothing: what it holds for each of them
/// (an outbox, a frame, what the socket's buffers hold), and what allocations make of it.
const STALLED_MEMORY_MAX: u64 = 16 << 20;

/// How much memory frames may take that grow when they are decompressed: what waits for the engine,
/// as it came and as it was understood, and what allocations make of it.
const BOMBS_MEMORY_MAX: u64 = 5 * limits::INBOUND_BYTES_MAX as u64;

/// What a line of `/proc/PID/status` says, in bytes.
pub(super) fn memory(process: &Running, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.child.id()));
    let status = status.expect("a living process");
    let line = status.lines().find_map(|it| it.strip_prefix(name));
    let kilobytes = line.expect("a line of that name").split_whitespace().nth(1);
    kilobytes
        .and_then(|it| it.parse::<u64>().ok())
        .expect("a number")
        * 1024
}

/// A store of more than fifty megabytes; gives its space.
async fn fill(store: &Path) -> SpaceId {
    let node = Node::builder().store(store).open().await.expect("a node");
    let records = node.records("tasks").expect("a name");
    let noise = noise();
    for batch in 0..RECORDS / 16 {
        let written = node.transaction(|all| {
            (0..16).try_for_each(|number| {
                let id = RecordId::named(&format!("{batch} {number}"));
                all.put_json(&records, id, &json!({ "n": number }))?;
                all.edit(&records, id, |edit| edit.set(&["blob".into()], &noise))
            })
        });
        written.await.expect("written");
    }
    let space = node.space();
    node.shutdown().await.expect("closed");
    space
}

/// Bytes that do not compress. Frames are compressed one by one, each with one record.
fn noise() -> Value {
    let mut entropy = Entropy::from_number(1);
    let bytes = (0..RECORD_BYTES / 32).flat_map(|_| entropy.bytes::<32>());
    Value::Bytes(bytes.collect())
}

/// A peer of the hub that has asked for all there is.
async fn asks_for_all(url: &str, number: u32, space: SpaceId, credit: u64) -> Stranger {
    let mut peer = Stranger::dial(url, number).await;
    peer.credit = credit;
    let mut peer = peer.introduces_itself().await;
    peer.open(space).await;
    peer.lacks_all(space, "tasks").await;
    peer
}

/// Takes all there is as fast as it comes, three times; gives how long that took at best.
async fn take_all(url: &str, space: SpaceId) -> Duration {
    let mut best = Duration::MAX;
    for number in 1..=3 {
        best = best.min(take_once(url, number, space).await);
    }
    best
}

async fn take_once(url: &str, number: u32, space: SpaceId) -> Duration {
    let clock = SystemClock::new();
    let start = clock.now();
    let mut peer = asks_for_all(url, number, space, limits::CREDIT_BYTES_MAX).await;
    let mut taken = 0;
    while taken < RECORDS {
        let said = timeout(SILENCE, peer.hear()).await.expect("it goes on");
        if let Message::Changes(changes) = said.expect("the link holds") {
            taken += changes
                .groups
                .iter()
                .map(|it| it.changes.len())
                .sum::<usize>();
            let bulk = u64::try_from(changes.change_bytes()).expect("small");
            peer.send(&Message::Credit { live: 0, bulk }).await;
        }
    }
    clock.now().since(start)
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "figures for docs/performance.md")]
async fn peers_that_take_nothing_cost_a_hub_no_memory_and_the_others_no_time() {
    let folder = Folder::new();
    let store = folder.file("hub.redb");
    let space = fill(&store).await;

    let (mut hub, url) = Running::hub(&store);
    let alone = take_all(&url, space).await;
    let memory_alone = memory(&hub, "VmHWM");
    hub.kill();

    let (hub, url) = Running::hub(&store);
    let mut stalled = Vec::new();
    for number in 4..8 {
        // Some that read nothing, although they have granted all they can.
        stalled.push(asks_for_all(&url, number, space, limits::CREDIT_BYTES_MAX).await);
    }
    for number in 8..12 {
        // And some that read, but grant nothing.
        let mut peer = asks_for_all(&url, number, space, 0).await;
        let mut answered = false;
        while !answered {
            let said = timeout(SILENCE, peer.hear()).await.expect("it goes on");
            let said = said.expect("the link holds");
            assert!(!matches!(&said, Message::Changes(it) if !it.groups.is_empty()));
            answered = matches!(said, Message::Walk(_));
        }
        stalled.push(peer);
    }
    let among = take_all(&url, space).await;
    let memory_among = memory(&hub, "VmHWM");
    let more = memory_among.saturating_sub(memory_alone);
    let megabytes = |it: u64| it >> 20;
    println!(
        "{} MB taken: alone {alone:?} and {} MB of memory, with 8 that take nothing {among:?} and {} MB",
        (RECORDS * RECORD_BYTES) >> 20,
        megabytes(memory_alone),
        megabytes(memory_among),
    );
    assert!(more < STALLED_MEMORY_MAX, "{more} bytes more");
    // Who waited for a peer that takes nothing would wait for seconds.
    assert!(among < alone * 8, "{among:?} is much more than {alone:?}");
    drop(stalled);
}

/// A small frame that becomes one of almost sixteen megabytes: a request that takes its time.
fn bomb(space: SpaceId) -> Vec<u8> {
    let record = |number: u64| WantRecord {
        collection: "tasks".parse().expect("a name"),
        record: RecordId::named(&number.to_string()),
        have: vec![ChangeHash::from_bytes([7; 32]); 60],
        older: Vec::new(),
    };
    let records = (0..8_000).map(record).collect();
    let request = Message::Want(Want { space, records });
    let sealed = wire::seal(wire::encode(CorrelationId(1), &request));
    assert!(sealed.len() < 512 * 1024, "{} bytes", sealed.len());
    sealed
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "figures for docs/performance.md")]
async fn frames_that_become_large_do_not_add_up() {
    let folder = Folder::new();
    let (hub, url) = Running::hub(&folder.file("hub.redb"));
    let space = SpaceId::named("bombs");
    let bomb = bomb(space);
    let mut strangers = Vec::new();
    for number in 0..8 {
        let mut stranger = Stranger::introduced(&url, number).await;
        stranger.open(space).await;
        stranger.lacks_all(space, "tasks").await;
        while !matches!(stranger.hear().await, Some(Message::Walk(_))) {}
        strangers.push(stranger);
    }
    let before = memory(&hub, "VmHWM");
    for stranger in &mut strangers {
        // All at once, and more than may be outstanding.
        for _ in 0..12 {
            if !stranger.sends(&bomb).await {
                break;
            }
        }
    }
    for mut stranger in strangers {
        let ended = async { while stranger.hear().await.is_some() {} };
        timeout(SILENCE, ended).await.expect("the link is ended");
    }
    let more = memory(&hub, "VmHWM") - before;
    println!(
        "8 peers that send frames that become 15 MB: {} MB of memory",
        more >> 20
    );
    assert!(more < BOMBS_MEMORY_MAX, "{more} bytes more");
    take_nothing(&url).await;
}

/// The hub still answers who comes now.
async fn take_nothing(url: &str) {
    let mut peer = Stranger::introduced(url, 100).await;
    peer.send(&Message::Ping { token: 1 }).await;
    let answer = async { while !matches!(peer.hear().await, Some(Message::Pong { .. })) {} };
    timeout(SILENCE, answer).await.expect("an answer");
}

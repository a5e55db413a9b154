//! Records whose history was folded, among replicas that have all, some, or nothing of it.

use std::time::Duration;

use syncline::doc::{PathStep, Value};
use syncline::entropy::Entropy;
use syncline::sim::{Storage, What, World};
use syncline::{RecordId, RecordKey, limits};

fn key(name: &str) -> RecordKey {
    World::key("notes", RecordId::named(name))
}

/// Hosts that keep the log so long for those who don't come back.
fn world(seed: u64, hosts: usize, horizon: Duration) -> World {
    let mut world = World::empty(seed);
    for _ in 0..hosts {
        let mut config = World::config();
        config.horizon = horizon;
        let added = world.add_host(Storage::memory(), config);
        added.expect("a store in memory opens");
    }
    world
}

/// Someone edits a record of some fields so often.
fn edit(world: &mut World, host: usize, key: &RecordKey, times: u64) {
    for time in 0..times {
        let field = ["title", "state", "owner", "count"][usize::try_from(time % 4).expect("small")];
        let now = world.now().instant.as_micros();
        let text = format!("{field} as it was at {now}, {time}");
        let edited = world.edit(host, key, |edit| {
            edit.set(&[PathStep::from(field)], &Value::Str(text))
        });
        assert!(edited.expect("an edit"));
    }
}

/// Bytes that a host sent, and changes that others took out of snapshots, since the last call.
fn sent(world: &mut World, host: usize) -> (usize, u64) {
    let (mut bytes, mut unfolded) = (0, 0);
    for fact in world.take_facts() {
        if let What::Sent { bytes: it, .. } = fact.what
            && fact.host == host
        {
            bytes += it;
        } else if let What::Unfolded(changes) = fact.what
            && fact.host != host
        {
            unfolded += changes;
        }
    }
    (bytes, unfolded)
}

fn compact(world: &mut World, host: usize) {
    world.compact(host);
    world.run(Duration::from_secs(30));
}

/// What it costs to bring a new replica up to a record of so many edits, folded or not.
fn first_copy(folded: bool) -> (usize, u64) {
    let mut world = world(1, 2, Duration::ZERO);
    edit(&mut world, 0, &key("a"), 100);
    if folded {
        compact(&mut world, 0);
    }
    world.record_facts();
    world.connect(1, 0);
    assert!(world.settle());
    let ours = world.heads(0, &key("a")).expect("readable");
    assert_eq!(world.heads(1, &key("a")).expect("readable"), ours);
    assert_eq!(
        world.view(0, &key("a")).expect("readable"),
        world.view(1, &key("a")).expect("readable")
    );
    sent(&mut world, 0)
}

#[test]
fn a_folded_record_reaches_a_new_replica_as_its_document() {
    let (loose, none) = first_copy(false);
    let (folded, unfolded) = first_copy(true);
    assert_eq!((none, unfolded), (0, 100));
    assert!(folded * 4 < loose, "{folded} bytes folded, {loose} loose");
}

#[test]
fn who_was_away_beyond_the_horizon_gets_what_changed_and_not_everything() {
    let mut world = world(2, 2, Duration::ZERO);
    for number in 0..200 {
        edit(&mut world, 0, &key(&format!("record {number}")), 4);
    }
    world.record_facts();
    world.connect(1, 0);
    assert!(world.settle());
    let (everything, _) = sent(&mut world, 0);
    world.isolate(1, true);
    world.run(Duration::from_secs(60));
    for number in 0..5 {
        edit(&mut world, 0, &key(&format!("record {number}")), 20);
    }
    compact(&mut world, 0);
    sent(&mut world, 0);
    world.isolate(1, false);
    assert!(world.settle());
    for number in 0..200 {
        let key = key(&format!("record {number}"));
        let ours = world.heads(0, &key).expect("readable");
        assert_eq!(world.heads(1, &key).expect("readable"), ours);
    }
    let (bytes, unfolded) = sent(&mut world, 0);
    assert!(unfolded >= 100, "{unfolded} changes came in snapshots");
    assert!(bytes * 10 < everything, "{bytes} bytes of {everything}");
}

#[test]
fn what_a_peer_of_late_still_lacks_stays_in_the_log() {
    let mut world = world(3, 2, Duration::from_secs(3_600));
    edit(&mut world, 0, &key("a"), 4);
    world.connect(1, 0);
    assert!(world.settle());
    world.isolate(1, true);
    world.run(Duration::from_secs(60));
    edit(&mut world, 0, &key("a"), 40);
    compact(&mut world, 0);
    world.record_facts();
    world.isolate(1, false);
    assert!(world.settle());
    let (_, unfolded) = sent(&mut world, 0);
    assert_eq!(unfolded, 0, "it had a place in the log, which was kept");
    // Now that it has all, the rest may go.
    compact(&mut world, 0);
    let status = world.host(0).expect("there").engine().expect("up");
    let space = &status.status(world.now()).spaces[0];
    assert_eq!(space.horizon, space.lsn);
}

#[test]
fn records_are_folded_by_themselves_when_much_is_loose() {
    let mut world = world(4, 1, Duration::from_secs(3_600));
    edit(&mut world, 0, &key("a"), 100);
    world.run(Duration::from_secs(30));
    let engine = world.host(0).expect("there").engine().expect("up");
    let space = &engine.status(world.now()).spaces[0];
    assert!(space.horizon.0 >= 90, "{space:?}");
}

#[test]
fn what_is_still_to_be_sent_on_a_link_stays_in_the_log() {
    let mut world = world(5, 2, Duration::ZERO);
    world.connect(1, 0);
    assert!(world.settle());
    // More than the link takes at once, and behind it edits that could be folded.
    world.slow(0, 1, 64 * 1024);
    let mut entropy = Entropy::from_number(5);
    for number in 0..4 {
        let mut blob = vec![0; limits::LINK_OUTBOX_BYTES_MAX];
        entropy.fill(&mut blob);
        let large = key(&format!("large {number}"));
        let set = world.edit(0, &large, |edit| {
            edit.set(&[PathStep::from("blob")], &Value::Bytes(blob))
        });
        assert!(set.expect("an edit"));
    }
    edit(&mut world, 0, &key("a"), 60);
    world.record_facts();
    world.compact(0);
    world.run(Duration::from_secs(20));
    assert!(world.heads(1, &key("a")).expect("readable").is_empty());
    assert!(world.settle());
    let (_, unfolded) = sent(&mut world, 0);
    assert_eq!(unfolded, 0, "all of it came from the log");
    let ours = world.heads(0, &key("a")).expect("readable");
    assert_eq!(world.heads(1, &key("a")).expect("readable"), ours);
}

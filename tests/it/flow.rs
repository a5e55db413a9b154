//! What travels first, and in how many frames.

use std::time::Duration;

use syncline::doc::{PathStep, Value};
use syncline::entropy::Entropy;
use syncline::sim::{Fact, Heard, What, World};
use syncline::wire::Class;
use syncline::{RecordId, RecordKey, limits};

/// Records of a backlog, and the bytes of each, which do not compress.
const RECORDS: usize = 28;
const RECORD_BYTES: usize = 128 * 1024;

/// Bytes per second of the link.
const RATE: u64 = 512 * 1024;

fn key(name: &str) -> RecordKey {
    World::key("notes", RecordId::named(name))
}

fn set(world: &mut World, host: usize, key: &RecordKey, value: &Value) {
    let path = [PathStep::from("n")];
    let edited = world.edit(host, key, |edit| edit.set(&path, value));
    assert!(edited.expect("an edit"));
}

/// Changes that came to a host: of which flow, and whether of this record.
fn came(facts: Vec<Fact>, to: usize, key: &RecordKey) -> Vec<(Class, bool)> {
    let came = facts.into_iter().filter(|it| it.host == to);
    let came = came.filter_map(|it| {
        if let What::Heard { heard, .. } = it.what
            && let Heard::Changes { class, groups, .. } = heard
            && !groups.is_empty()
        {
            return Some((class, groups.iter().any(|(it, ..)| it == key)));
        }
        None
    });
    came.collect()
}

/// A host with three megabytes and a half that another lacks, in the middle of sending them.
fn sending(seed: u64) -> World {
    let mut world = World::new(seed, 2).expect("a world");
    let mut entropy = Entropy::from_number(seed);
    for number in 0..RECORDS {
        let blob = (0..RECORD_BYTES / 32).flat_map(|_| entropy.bytes::<32>());
        let blob = Value::Bytes(blob.collect());
        set(&mut world, 0, &key(&format!("record {number}")), &blob);
    }
    world.slow(0, 1, RATE);
    world.record_facts();
    world.connect(1, 0);
    world.run(Duration::from_secs(2));
    world
}

#[test]
fn a_live_edit_overtakes_a_backlog_that_is_being_sent() {
    let mut world = sending(1);
    let live = key("live");
    let before = came(world.take_facts(), 1, &live);
    assert!(!before.is_empty(), "the backlog is on its way");
    set(&mut world, 0, &live, &Value::Int(1));
    let edited = world.now().instant;
    let mut after = Vec::new();
    while !after.contains(&(Class::Live, true)) {
        assert!(world.step(), "the edit arrives");
        after.extend(came(world.take_facts(), 1, &live));
    }
    // Ahead of it is only what was handed to the link already.
    let waited = world.now().instant.since(edited);
    let ahead = limits::LINK_OUTBOX_BYTES_MAX + limits::FRAME_BYTES_TARGET;
    let ahead = u64::try_from(ahead).expect("small") * 1_000_000 / RATE;
    let delay = Duration::from_millis(400);
    assert!(waited <= Duration::from_micros(ahead) + delay, "{waited:?}");
    assert!(world.settle());
    let behind = came(world.take_facts(), 1, &live);
    let behind = behind.iter().filter(|it| it.0 == Class::Bulk).count();
    assert!(
        behind >= 4,
        "most of the backlog came after: {behind} frames"
    );
}

#[test]
fn a_burst_on_a_link_that_is_busy_travels_in_few_frames() {
    let mut world = sending(2);
    let live = key("live");
    world.take_facts();
    for number in 0..200 {
        set(&mut world, 0, &live, &Value::Int(number));
        world.run(Duration::from_millis(2));
    }
    assert!(world.settle());
    let came = came(world.take_facts(), 1, &live);
    let frames = came.iter().filter(|it| it.1).count();
    assert!(
        frames <= 50,
        "500 edits in a second came in {frames} frames"
    );
    let heads = |host| world.heads(host, &live).expect("heads");
    assert_eq!(heads(0), heads(1));
}

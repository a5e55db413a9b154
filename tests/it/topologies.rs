//! Eight replicas in the usual shapes: how often a change crosses a link, and what that costs.

use std::collections::BTreeMap;
use std::time::Duration;

use syncline::doc::{PathStep, Value};
use syncline::entropy::Entropy;
use syncline::id::ChangeHash;
use syncline::sim::{Heard, What, World};
use syncline::{RecordId, RecordKey, limits};

const HOSTS: usize = 8;

/// Edits before it is counted: links learn over which way changes come.
const WARM_UP: usize = 16;

/// Edits that are counted, each host in its turn.
const EDITS: usize = 32;

/// Bytes of a change that is offered before it is sent.
const LARGE: usize = 20 * 1024;

/// What came of some edits.
#[derive(Debug)]
struct Cost {
    /// Links between two hosts.
    links: usize,
    /// Crossings of any link, one way or the other, for each change.
    crossings: BTreeMap<ChangeHash, usize>,
    /// How often a change has crossed a link that it had crossed before.
    again: usize,
    /// Bytes of all frames, as they travel.
    bytes: u64,
}

impl Cost {
    fn crossings_per_change(&self) -> f64 {
        let all: usize = self.crossings.values().sum();
        ratio(all, self.crossings.len())
    }

    /// Of a change and a link that it crosses, how many cross it again.
    fn share_again(&self) -> f64 {
        let all: usize = self.crossings.values().sum();
        ratio(self.again, all - self.again)
    }

    /// Each change is delivered to all hosts but its author.
    fn bytes_per_delivery(&self) -> f64 {
        let deliveries = self.crossings.len() * (HOSTS - 1);
        ratio(usize::try_from(self.bytes).expect("small"), deliveries)
    }
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn ratio(of: usize, to: usize) -> f64 {
    of as f64 / to as f64
}

/// The links of a shape, each once.
fn links(shape: &str) -> Vec<(usize, usize)> {
    let others = 1..HOSTS;
    match shape {
        "chain" => others.map(|it| (it, it - 1)).collect(),
        "star" => others.map(|it| (it, 0)).collect(),
        "ring" => (0..HOSTS).map(|it| (it, (it + 1) % HOSTS)).collect(),
        _ => others
            .flat_map(|it| (0..it).map(move |to| (it, to)))
            .collect(),
    }
}

fn key(number: usize) -> RecordKey {
    World::key("notes", RecordId::named(&format!("record {number}")))
}

/// Each host in its turn edits a record of its own; gives how many edits there were.
fn edit(world: &mut World, edits: std::ops::Range<usize>, value: &dyn Fn(usize) -> Value) {
    for number in edits {
        let path = [PathStep::from("n")];
        let host = number * 3 % HOSTS;
        let edited = world.edit(host, &key(host), |edit| edit.set(&path, &value(number)));
        assert!(edited.expect("an edit"), "a new value");
        world.run(Duration::from_millis(700));
    }
}

/// Connects the hosts in a shape, lets them edit, and counts.
fn measure(shape: &str, seed: u64, value: &dyn Fn(usize) -> Value) -> Cost {
    let mut world = World::new(seed, HOSTS).expect("a world");
    let links = links(shape);
    for (from, to) in &links {
        world.connect(*from, *to);
    }
    assert!(world.settle(), "{shape}: not linked");
    edit(&mut world, 0..WARM_UP, value);
    assert!(world.settle(), "{shape}: not at rest");
    world.record_facts();
    world.take_facts();
    let before = world.traffic().bytes;
    edit(&mut world, WARM_UP..WARM_UP + EDITS, value);
    assert!(world.settle(), "{shape}: not at rest");
    let bytes = world.traffic().bytes - before;
    for host in 0..HOSTS {
        for number in 0..HOSTS {
            let heads = |host| world.heads(host, &key(number)).expect("heads");
            assert_eq!(heads(host), heads(0), "{shape}: host {host} differs");
        }
    }
    let mut ways: BTreeMap<(usize, usize, ChangeHash), usize> = BTreeMap::new();
    for fact in world.take_facts() {
        if let What::Heard { from, heard } = fact.what
            && let Heard::Changes { groups, .. } = heard
        {
            let link = (from.min(fact.host), from.max(fact.host));
            for hash in groups.iter().flat_map(|(_, _, hashes)| hashes) {
                *ways.entry((link.0, link.1, *hash)).or_default() += 1;
            }
        }
    }
    let mut crossings = BTreeMap::new();
    for ((_, _, hash), count) in &ways {
        *crossings.entry(*hash).or_default() += count;
    }
    assert_eq!(crossings.len(), EDITS, "{shape}: each edit is one change");
    Cost {
        links: links.len(),
        crossings,
        again: ways.values().map(|it| it - 1).sum(),
        bytes,
    }
}

fn row(shape: &str, cost: &Cost) -> String {
    let Cost { links, .. } = cost;
    let (crossings, share) = (cost.crossings_per_change(), 100.0 * cost.share_again());
    let bytes = cost.bytes_per_delivery();
    format!("| {shape} | {links} | {crossings:.1} | {share:.1} % | {bytes:.0} |")
}

/// A value of so many bytes that do not compress.
fn noise(bytes: usize) -> impl Fn(usize) -> Value {
    move |number| {
        let mut entropy = Entropy::from_number(number as u64);
        Value::Bytes(
            (0..bytes / 32)
                .flat_map(|_| entropy.bytes::<32>())
                .collect(),
        )
    }
}

const HEADER: &str = "| shape | links | crossings per change | crosses again | bytes per delivery |
| --- | --- | --- | --- | --- |";

#[test]
#[expect(clippy::print_stdout, reason = "the table is in docs/performance.md")]
fn a_change_crosses_each_link_at_most_once() {
    println!("{HEADER}");
    for (shape, crossings_max, again_max) in [
        // Each host but the author needs it once.
        ("chain", 7.0, 0.0),
        ("star", 7.0, 0.0),
        // It comes from both sides to the host opposite its author, which another is each time.
        ("ring", 9.0, 0.13),
        ("mesh", 28.2, 0.01),
    ] {
        let cost = measure(shape, 1, &|it| {
            Value::from(i64::try_from(it).expect("small"))
        });
        println!("{}", row(shape, &cost));
        assert!(
            cost.crossings_per_change() <= crossings_max,
            "{shape}: {cost:?}"
        );
        assert!(cost.share_again() <= again_max, "{shape}: {cost:?}");
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the table is in docs/performance.md")]
fn a_large_change_is_offered_and_does_not_pay_for_every_path() {
    println!("{HEADER}");
    for (shape, crossings_max) in [("chain", 7.0), ("star", 7.0), ("ring", 8.0), ("mesh", 20.0)] {
        let cost = measure(shape, 1, &noise(LARGE));
        println!("{}", row(shape, &cost));
        assert!(
            cost.crossings_per_change() <= crossings_max,
            "{shape}: {cost:?}"
        );
        assert!(cost.again == 0, "{shape}: {cost:?}");
    }
}

#[test]
fn what_one_way_does_not_bring_another_does_after_a_moment() {
    for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
        let mut world = World::new(7, 3).expect("a world");
        for (from, to) in [(1, 0), (2, 0), (2, 1)] {
            world.connect(from, to);
        }
        assert!(world.settle(), "not linked");
        let mut number = 0;
        let mut edit = |world: &mut World, host: usize| {
            number += 1;
            let path = [PathStep::from("n")];
            let edited = world.edit(host, &key(host), |it| it.set(&path, &Value::Int(number)));
            assert!(edited.expect("an edit"));
        };
        for round in 0..12 {
            edit(&mut world, round % 3);
            world.run(Duration::from_millis(700));
        }
        // One way leads nowhere, and nobody knows yet.
        world.block(from, to, true);
        edit(&mut world, from);
        let there = |world: &World| world.heads(to, &key(from)).expect("heads");
        let written = world.heads(from, &key(from)).expect("heads");
        assert_ne!(there(&world), written);
        // Two ways of the network at its slowest, and the time for which a change is held back.
        world.run(limits::RELAY_HOLD + Duration::from_millis(400));
        assert_eq!(there(&world), written, "from {from} to {to}");
    }
}

#[test]
fn a_large_change_passes_a_chain_as_fast_as_it_is_asked_for() {
    let mut world = World::new(3, 3).expect("a world");
    world.connect(1, 0);
    world.connect(2, 1);
    assert!(world.settle(), "not linked");
    // Nothing else happens that could make anybody speak.
    world.run(Duration::from_secs(5));
    let path = [PathStep::from("n")];
    let value = noise(LARGE)(1);
    let edited = world.edit(0, &key(0), |it| it.set(&path, &value));
    assert!(edited.expect("an edit"));
    // It comes to the second; an offer, a request and the change to the third.
    world.run(Duration::from_millis(4 * 200 + 10));
    let heads = |host| world.heads(host, &key(0)).expect("heads");
    assert_eq!(heads(2), heads(0));
}

//! Whole replicas in virtual time: any interleaving ends in the same state everywhere.

use std::time::Duration;

use proptest::prelude::*;
use syncline::doc::{PathStep, Value};
use syncline::engine::Target;
use syncline::sim::{Fact, What, World};
use syncline::{ErrorKind, RecordId, RecordKey};

const RECORDS: usize = 4;

#[derive(Clone, Debug)]
enum Action {
    Set {
        host: usize,
        record: usize,
        field: usize,
        value: i64,
    },
    Type {
        host: usize,
        record: usize,
        at: usize,
        text: String,
    },
    Delete {
        host: usize,
        record: usize,
    },
    Restore {
        host: usize,
        record: usize,
    },
    Cut(usize),
    Isolate(usize),
    Join(usize),
    Crash(usize),
    Run(u64),
}

fn action() -> impl Strategy<Value = Action> {
    let (host, record) = (0..5_usize, 0..RECORDS);
    prop_oneof![
        6 => (host.clone(), record.clone(), 0..3_usize, any::<i64>())
            .prop_map(|(host, record, field, value)| Action::Set { host, record, field, value }),
        4 => (host.clone(), record.clone(), any::<usize>(), "[a-zäß😀 ]{1,12}")
            .prop_map(|(host, record, at, text)| Action::Type { host, record, at, text }),
        1 => (host.clone(), record.clone()).prop_map(|(host, record)| Action::Delete { host, record }),
        1 => (host.clone(), record).prop_map(|(host, record)| Action::Restore { host, record }),
        2 => host.clone().prop_map(Action::Cut),
        1 => host.clone().prop_map(Action::Isolate),
        2 => host.clone().prop_map(Action::Join),
        2 => host.prop_map(Action::Crash),
        6 => (0..3_000_u64).prop_map(Action::Run),
    ]
}

fn key(record: usize) -> RecordKey {
    let collection = ["notes", "tasks"][record % 2];
    World::key(collection, RecordId::named(&format!("record {record}")))
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method is not general enough"
)]
fn perform(world: &mut World, hosts: usize, action: &Action) {
    let step = |name: &str| vec![PathStep::Key(name.to_owned())];
    match action {
        Action::Set {
            host,
            record,
            field,
            value,
        } => {
            let key = key(*record);
            let path = step(["a", "b", "c"][*field]);
            let value = Value::Int(*value);
            world
                .edit(host % hosts, &key, |edit| edit.set(&path, &value))
                .expect("an edit");
        }
        Action::Type {
            host,
            record,
            at,
            text,
        } => {
            let key = key(*record);
            let typed = world.edit(host % hosts, &key, |edit| {
                let body = step("body");
                match edit.get(&body)? {
                    Some(Value::Text(now)) => {
                        let at = at % (now.chars().count() + 1);
                        edit.splice_text(&body, at, 0, text)
                    }
                    _ => edit.set(&body, &Value::Text(text.clone())),
                }
            });
            typed.expect("an edit");
        }
        Action::Delete { host, record } => {
            let key = key(*record);
            let now = world.now().wall;
            world
                .edit(host % hosts, &key, |edit| edit.mark_deleted(now))
                .expect("a deletion");
        }
        Action::Restore { host, record } => {
            let key = key(*record);
            let restored = world.edit(host % hosts, &key, |edit| edit.restore());
            restored.expect("a restoration");
        }
        Action::Cut(host) => world.cut(host % hosts),
        Action::Isolate(host) => world.isolate(host % hosts, true),
        Action::Join(host) => world.isolate(host % hosts, false),
        Action::Crash(host) => world.restart(host % hosts).expect("a restart"),
        Action::Run(millis) => world.run(Duration::from_millis(*millis)),
    }
}

/// Connects the hosts as a chain, a star, a ring or a full mesh.
fn connect(world: &mut World, hosts: usize, topology: usize) {
    for host in 1..hosts {
        match topology {
            0 => world.connect(host, host - 1),
            1 => world.connect(host, 0),
            2 => world.connect(host, (host + 1) % hosts),
            _ => (0..host).for_each(|to| world.connect(host, to)),
        }
    }
    if topology == 2 {
        world.connect(0, 1 % hosts);
    }
}

fn assert_same(world: &World, hosts: usize) {
    for record in 0..RECORDS {
        let key = key(record);
        let heads = world.heads(0, &key).expect("heads");
        let view = world.view(0, &key).expect("a view");
        for host in 1..hosts {
            assert_eq!(
                world.heads(host, &key).expect("heads"),
                heads,
                "heads on {host}"
            );
            assert_eq!(
                world.view(host, &key).expect("a view"),
                view,
                "view on {host}"
            );
        }
    }
    for host in 0..hosts {
        let status = world
            .host(host)
            .expect("a host")
            .engine()
            .expect("it is up")
            .status(world.now());
        assert_eq!(status.quarantine.entries, 0, "quarantine on {host}");
        for link in &status.links {
            for (space, backlog) in &link.spaces {
                assert_eq!(
                    (*backlog, space.pending_records),
                    (0, 0),
                    "backlog on {host}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_ends_in_the_same_state_everywhere(
        seed: u64,
        hosts in 2..=5_usize,
        topology in 0..4_usize,
        actions in prop::collection::vec(action(), 1..50),
    ) {
        let mut world = World::new(seed, hosts).expect("a world");
        connect(&mut world, hosts, topology);
        for action in &actions {
            perform(&mut world, hosts, action);
        }
        for host in 0..hosts {
            world.isolate(host, false);
        }
        prop_assert!(world.settle(), "not at rest; seed {seed}");
        assert_same(&world, hosts);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut world = World::new(42, 3).expect("a world");
        connect(&mut world, 3, 1);
        for round in 0..20 {
            let action = Action::Set {
                host: round,
                record: round,
                field: round % 3,
                value: 7,
            };
            perform(&mut world, 3, &action);
            world.run(Duration::from_millis(300));
            world.cut(round % 3);
        }
        assert!(world.settle());
        (
            *world.traffic(),
            world.now(),
            world.heads(0, &key(0)).expect("heads"),
        )
    };
    assert_eq!(run(), run());
}

#[test]
fn nobody_is_told_that_a_peer_holds_what_it_has_only_asked_for() {
    for seed in 0..20 {
        let mut world = World::new(seed, 2).expect("a world");
        world.record_facts();
        let (mine, theirs) = (key(0), key(2));
        for (host, key) in [(0, &mine), (1, &theirs)] {
            let path = [PathStep::from("a")];
            let edit = world.edit(host, key, |edit| edit.set(&path, &Value::Int(1)));
            edit.expect("an edit");
        }
        let heads = world.heads(0, &mine).expect("heads");
        world.wait_for(0, &mine, Target::Stores(1)).expect("a wait");
        world.connect(1, 0);
        let told = |it: &Fact| matches!(it.what, What::Delivered(_, Ok(())));
        while !world.take_facts().iter().any(told) {
            assert!(world.step(), "seed {seed}: nobody was told");
        }
        let held = world.heads(1, &mine).expect("heads");
        assert_eq!(held, heads, "seed {seed}: told before it is there");
    }
}

#[test]
fn a_host_that_does_not_exist_is_an_error() {
    let world = World::new(1, 1).expect("a world");
    let missing = world.host(3).expect_err("no such host");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

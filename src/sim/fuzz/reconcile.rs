//! Two replicas that edit apart and meet, over links that fail.

use std::time::Duration;

use super::Script;
use super::audit::audit;
use crate::doc::{PathStep, Value};
use crate::error::Result;
use crate::id::{RecordId, RecordKey};
use crate::sim::{Host, World};
use crate::time::WallTime;

/// Operations of one input.
const STEPS_MAX: usize = 60;

/// Records that are edited, in two collections.
const RECORDS: usize = 8;

/// The first byte seeds the network. Then operations, each a byte and what it needs:
///
/// | byte modulo 12 | what happens |
/// | --- | --- |
/// | 0 to 4 | one of the two edits a record: a field, a text, a counter, a deletion |
/// | 5 | many small edits of one record on one side |
/// | 6 | one dials the other, or both dial each other |
/// | 7 | all links are cut, with what is in flight |
/// | 8, 9 | up to 65 seconds pass |
/// | 10 | one is killed and starts again |
/// | 11 | nobody reaches one of them any more, or again |
///
/// # Panics
/// Where the two, connected for ten minutes, do not come to rest, or do so with other heads, views
/// or roots, or with a store that does not add up.
pub fn reconcile(data: &[u8]) {
    let mut script = Script::new(data);
    let seed = u64::from(script.byte());
    let mut world = World::new(seed, 2).expect("stores in memory open");
    for _ in 0..STEPS_MAX {
        if script.is_empty() {
            break;
        }
        step(&mut world, &mut script).expect("stores in memory work");
    }
    for host in 0..2 {
        world.isolate(host, false);
    }
    world.connect(0, 1);
    assert!(world.settle(), "two that are connected come to rest");
    compare(&world);
}

fn step(world: &mut World, script: &mut Script<'_>) -> Result<()> {
    match script.below(12) {
        op @ 0..5 => {
            let (host, key) = (script.below(2), key(script.below(RECORDS)));
            edit(world, host, &key, op, script)
        }
        5 => {
            let (host, key) = (script.below(2), key(script.below(RECORDS)));
            for number in 0..i64::from(script.byte() % 24) {
                let path = [PathStep::from("many")];
                world.edit(host, &key, |edit| edit.set(&path, &Value::Int(number)))?;
            }
            Ok(())
        }
        6 => {
            let both = script.byte();
            if both & 1 == 0 {
                world.connect(0, 1);
            }
            if both & 3 != 0 {
                world.connect(1, 0);
            }
            Ok(())
        }
        7 => {
            world.cut(0);
            Ok(())
        }
        8 | 9 => {
            world.run(Duration::from_millis(u64::from(script.short())));
            Ok(())
        }
        10 => world.restart(script.below(2)),
        _ => {
            let host = script.below(2);
            world.isolate(host, script.chance());
            Ok(())
        }
    }
}

fn key(number: usize) -> RecordKey {
    let collection = if number.is_multiple_of(2) {
        "notes"
    } else {
        "tasks"
    };
    World::key(collection, RecordId::named(&number.to_string()))
}

fn edit(
    world: &mut World,
    host: usize,
    key: &RecordKey,
    kind: usize,
    script: &mut Script<'_>,
) -> Result<()> {
    let (value, at) = (script.byte(), script.byte());
    let now = world.now().wall;
    let edited = world.edit(host, key, |edit| match kind {
        0 => edit.set(&["field".into()], &Value::Int(value.into())),
        1 => {
            let path = [PathStep::from("text")];
            let Some(Value::Text(text)) = edit.get(&path)? else {
                return edit.set(&path, &Value::Text("abc".repeat(value.into())));
            };
            let at = usize::from(at) % (text.len() + 1);
            let removed = usize::from(value & 3).min(text.len() - at);
            edit.splice_text(&path, at, removed, "xy")
        }
        2 => {
            let path = [PathStep::from("count")];
            if edit.get(&path)?.is_none() {
                edit.set(&path, &Value::Counter(1))?;
            }
            edit.increment(&path, i64::from(value) - 128)
        }
        3 => {
            let path = [PathStep::from("list")];
            let length = match edit.get(&path)? {
                Some(Value::List(list)) => list.len(),
                _ => return edit.set(&path, &Value::List(Vec::new())),
            };
            let at = usize::from(at) % (length + 1);
            edit.set(
                &[PathStep::from("list"), at.into()],
                &Value::Int(value.into()),
            )
        }
        _ => delete(edit, now),
    });
    edited.map(drop)
}

fn delete(edit: &mut crate::doc::Edit<'_>, now: WallTime) -> Result<()> {
    match edit.get(&[crate::doc::DELETED_KEY.into()])? {
        None => edit.mark_deleted(now),
        Some(_) => edit.restore(),
    }
}

fn compare(world: &World) {
    let engines = [0, 1].map(|host| {
        let engine = world.host(host).ok().and_then(Host::engine);
        engine.expect("it is there and runs")
    });
    let heads = engines.map(|it| audit(it.replica()));
    let [left, right] = &heads;
    assert_eq!(left, right, "both have the same records at the same heads");
    let roots = engines.map(|it| {
        let spaces = it.status(world.now()).spaces.into_iter();
        let roots = spaces.map(|it| (it.space, it.collections, it.root));
        roots.collect::<Vec<_>>()
    });
    let [ours, theirs] = roots;
    if !left.is_empty() {
        assert_eq!(ours, theirs, "both have the same roots");
    }
    for key in left.keys() {
        let [ours, theirs] = [0, 1].map(|host| world.view(host, key).expect("readable"));
        assert!(ours.is_some(), "what was edited has a view");
        assert_eq!(ours, theirs, "both show the same of {key}");
    }
}

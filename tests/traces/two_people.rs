//! Two people writing one text at once, each on a device that is offline while their histories
//! branch, with a hub between.

use std::sync::Arc;

use syncline::doc::{Change, Document, EditMeta, PathStep, Value};
use syncline::id::ActorId;
use syncline::reconcile::Inventory as _;
use syncline::replica::Replica;
use syncline::replica::Rows;
use syncline::replica::Write;
use syncline::replica::documents::Loaded;
use syncline::sim::World;
use syncline::store::{MemoryStore, Store};
use syncline::{Error, RecordId, RecordKey};

use super::history::{self, Patch};
use super::materialised::Materialised;

/// The hosts: two devices with the hub between them.
const DEVICES: [usize; 2] = [0, 2];
const HUB: usize = 1;

/// One person's view of the text: what they had seen when they typed, no more.
struct Person {
    device: usize,
    document: Document,
    /// How many of the other's changes they have seen.
    seen: usize,
}

fn body() -> Vec<PathStep> {
    vec!["body".into()]
}

/// Types `patches` as one change.
fn typed(document: &mut Document, world: &World, patches: &[Patch]) -> Change {
    let meta = EditMeta::at(world.now().wall);
    let edited = document.edit::<_, Error>(meta, |edit| {
        patches
            .iter()
            .try_for_each(|(at, delete, insert)| edit.splice_text(&body(), *at, *delete, insert))
    });
    edited.expect("a recorded edit").1.expect("a change")
}

fn write(key: &RecordKey, change: Change) -> Write {
    Write {
        key: key.clone(),
        change,
        view: None,
        must_be_new: false,
    }
}

/// The text as a host's store has it, loaded from its changes alone.
fn text(world: &World, host: usize, key: &RecordKey) -> String {
    let snapshot = world
        .host(host)
        .expect("a host")
        .store()
        .expect("it is up")
        .snapshot()
        .expect("a snapshot");
    let rows = Rows::new(snapshot.as_ref());
    let actor = ActorId::from_bytes(vec![0; 16]);
    let loaded = Loaded::open(&rows, key, &actor).expect("a document");
    let value = loaded.document.value().expect("a value");
    let text = value.get(&body()).and_then(Value::as_str).expect("a text");
    text.to_owned()
}

#[test]
fn two_people_writing_at_once_end_at_the_recorded_text() {
    let seen = Materialised::default();
    metrics::with_local_recorder(&seen, || {
        let history = history::two_people();
        let stores = (0..3).map(|_| -> Arc<dyn Store> { Arc::new(MemoryStore::new()) });
        let mut world = World::over(11, stores.collect(), false).expect("a world");
        for device in DEVICES {
            world.connect(device, HUB);
        }
        let key = World::key("papers", RecordId::named("friends"));
        replay(&mut world, &key, &history.steps);
        for device in DEVICES {
            world.isolate(device, false);
        }
        assert!(world.settle(), "not at rest");
        for host in [DEVICES[0], HUB, DEVICES[1]] {
            assert!(
                text(&world, host, &key) == history.end,
                "the text on host {host}"
            );
        }
        let heads = |host| world.heads(host, &key).expect("heads");
        assert_eq!(heads(HUB), heads(DEVICES[0]));
        assert_eq!(heads(HUB), heads(DEVICES[1]));
    });
    // The recorded steps build on what their authors had seen then, which may be folded here by now.
    assert_eq!(
        seen.count(),
        seen.unfolded(),
        "documents materialised on the way of replication"
    );
}

/// Lets both devices online until `device` holds `change`.
fn meet(world: &mut World, device: usize, key: &RecordKey, change: &Change) {
    for it in DEVICES {
        world.isolate(it, false);
    }
    let hash = change.hash();
    // What was folded is told by taking it apart, but what arrives now is loose at first.
    if replica(world, device).holds(key, &hash).expect("readable") {
        return;
    }
    let lacks = |world: &World| {
        let unknown = replica(world, device).unknown(key, &[hash]);
        !unknown.expect("readable").is_empty()
    };
    while lacks(world) {
        assert!(world.step(), "nothing is on its way");
    }
}

fn replica(world: &World, device: usize) -> &Replica {
    let host = world.host(device).expect("a host");
    host.engine().expect("it is up").replica()
}

fn replay(world: &mut World, key: &RecordKey, steps: &[history::Step]) {
    let mut people = DEVICES.map(|device| {
        let store = world.host(device).expect("a host").store_id();
        Person {
            device,
            document: Document::new(&ActorId::of(store, key)),
            seen: 0,
        }
    });
    // One creates the text, both start from it.
    let meta = EditMeta::at(world.now().wall);
    let empty = Value::Text(String::new());
    let first = people[0]
        .document
        .edit::<_, Error>(meta, |edit| edit.set(&body(), &empty));
    let first = first.expect("the empty text").1.expect("a change");
    people[1]
        .document
        .apply(std::slice::from_ref(&first))
        .expect("applies");
    world
        .capture(people[0].device, write(key, first))
        .expect("captured");
    assert!(world.settle(), "both have the empty text");

    let mut changes: [Vec<Change>; 2] = [Vec::new(), Vec::new()];
    // Of each step, how many changes of each person it builds on, itself included.
    let mut reached: Vec<[usize; 2]> = Vec::new();
    for step in steps {
        let (me, other) = (step.agent, 1 - step.agent);
        let known = step.parents.iter().map(|parent| reached[*parent]);
        let mut known = known.fold([0, 0], |a, b| [a[0].max(b[0]), a[1].max(b[1])]);
        let person = &mut people[me];
        if known[other] > person.seen {
            // They meet: the devices are online, and the person sees what they saw then.
            let news = &changes[other][person.seen..known[other]];
            meet(world, person.device, key, &news[news.len() - 1]);
            person.document.apply(news).expect("applies");
            person.seen = known[other];
        } else if step.parents.len() == 1 && reached.len().is_multiple_of(50) {
            world.isolate(person.device, true);
        }
        let change = typed(&mut person.document, world, &step.patches);
        changes[me].push(change.clone());
        world
            .capture(person.device, write(key, change))
            .expect("captured");
        known[me] = changes[me].len();
        reached.push(known);
    }
}

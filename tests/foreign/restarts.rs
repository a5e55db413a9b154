//! Hubs that end and come back, in order, by force, and with nothing.

use serde_json::json;

use crate::client::Client;
use crate::hub::{Hub, record};

/// How often the hub is killed.
const KILLS: usize = 5;

/// Confirmations before each kill.
const CONFIRMED_MIN: usize = 8;

#[test]
fn clients_go_on_when_the_hub_is_stopped_and_started() {
    let mut hub = Hub::start();
    let [one, two] = hub.clients();
    let id = one.create(&json!({"log": {}, "list": []}));
    two.open(&id);
    for round in 0..3 {
        // Messages are on their way in both directions while it stops.
        one.0
            .begin(&json!({"do": "write", "id": id, "from": round * 10, "to": round * 10 + 10}));
        one.0.answer();
        two.change(&id, &json!([["push", ["list"], round]]));
        hub.stop();
        two.is_linked(false);
        two.change(&id, &json!([["push", ["list"], "while it was away"]]));
        hub.restart();
        // One was read above; the last says that it is done.
        (0..10).for_each(|_| drop(one.0.answer()));
        for client in [&one, &two] {
            client.counts(&id, &json!(["log"]), round * 10 + 10);
            client.counts(&id, &json!(["list"]), 2 * round + 2);
            client.is_confirmed(&id);
        }
    }
    two.reaches(&id, &one.heads(&id));
    hub.stop();
    assert_eq!(record(&hub.store(), &id), one.value(&id));
}

#[test]
fn what_the_hub_confirmed_survives_its_death() {
    let mut hub = Hub::start();
    let [maker, witness] = hub.clients();
    let id = maker.create(&json!({"log": {}}));
    maker.is_confirmed(&id);
    witness.open(&id);
    drop(maker);
    let mut next = 0;
    for kill in 0..KILLS {
        let writer = hub.client(&format!("writer {kill}"));
        writer.open(&id);
        writer
            .0
            .begin(&json!({"do": "write", "id": id, "from": next, "to": next + 1_000}));
        let mut said: Vec<_> = (0..CONFIRMED_MIN).map(|_| writer.0.answer()).collect();
        hub.kill();
        said.extend(writer.0.kill());
        let last = said.last().and_then(|it| it["confirmed"].as_u64());
        // Nobody can give anything back to it here.
        let log = record(&hub.store(), &id)["log"].clone();
        next = last.expect("a number") + 1;
        for number in 0..next {
            assert_eq!(
                log[format!("n{number}")],
                number,
                "after kill {kill}: {log}"
            );
        }
        hub.restart();
    }
    // Who was there all the time has come back each time.
    let reader = hub.client("reader");
    reader.open(&id);
    witness.reaches(&id, &reader.heads(&id));
    let heads = witness.change(&id, &json!([["set", ["log", "end"], true]]));
    reader.reaches(&id, &heads);
}

#[test]
fn a_hub_that_lost_its_store_learns_everything_again() {
    let mut hub = Hub::start();
    let [one, two] = hub.clients();
    let shared = one.create(&json!({"list": []}));
    let own: Vec<_> = (0..20).map(|it| one.create(&json!({"n": it}))).collect();
    two.open(&shared);
    one.change(&shared, &json!([["push", ["list"], "before"]]));
    one.are_confirmed(&json!(own));
    two.counts(&shared, &json!(["list"]), 1);
    hub.kill();
    hub.wipe();
    two.change(&shared, &json!([["push", ["list"], "meanwhile"]]));
    hub.restart();
    one.counts(&shared, &json!(["list"]), 2);
    one.are_confirmed(&json!(own));
    one.is_confirmed(&shared);
    two.is_confirmed(&shared);
    drop((one, two));
    let finder = hub.client("finder");
    finder.open(&shared);
    assert_eq!(
        finder.value(&shared)["list"],
        json!(["before", "meanwhile"])
    );
    for (number, id) in own.iter().enumerate() {
        finder.open(id);
        assert_eq!(finder.value(id), json!({"n": number}));
    }
}

#[test]
fn a_hub_that_went_back_to_an_older_copy_learns_the_rest_again() {
    let mut hub = Hub::start();
    let copy = hub.folder.file("copy.redb");
    let folder = hub.folder.file("device");
    let one = Client::over(&folder, "device");
    let two = hub.client("two");
    one.connect(&hub.url());
    let id = one.create(&json!({"list": ["before"]}));
    two.open(&id);
    one.is_confirmed(&id);
    hub.stop();
    std::fs::copy(hub.store(), &copy).expect("a copy");
    hub.restart();
    one.change(&id, &json!([["push", ["list"], "after"]]));
    let new = one.create(&json!({"made": "after"}));
    one.are_confirmed(&json!([id, new]));
    two.counts(&id, &json!(["list"]), 2);
    // The folder says, too, that the hub has all of it.
    one.0.ask(&json!({"do": "save"}));
    let made = one.heads(&id);
    drop((one, two));
    hub.stop();
    std::fs::copy(&copy, hub.store()).expect("the copy is back");
    hub.restart();
    let one = Client::over(&folder, "device");
    one.open(&id);
    one.open(&new);
    one.connect(&hub.url());
    one.are_confirmed(&json!([id, new]));
    let finder = hub.client("finder");
    finder.open(&id);
    finder.reaches(&id, &made);
    finder.open(&new);
}

//! The checker catches each kind of violation in a log made by hand, and nothing in a good one.

use super::causal::{Entry, Event, HUB, Key, Rule, Who, check};

fn key() -> Key {
    Key {
        record: "r".to_owned(),
        field: "v".to_owned(),
    }
}

fn entry(who: Who, event: Event) -> Entry {
    Entry { who, event }
}

fn tried(version: u64) -> Entry {
    let deletes = false;
    let key = key();
    entry(
        "a",
        Event::Tried {
            key,
            version,
            deletes,
        },
    )
}

fn deletion(version: u64) -> Entry {
    let deletes = true;
    let key = key();
    entry(
        "a",
        Event::Tried {
            key,
            version,
            deletes,
        },
    )
}

fn acknowledged(version: u64) -> Entry {
    entry(
        "a",
        Event::Acknowledged {
            key: key(),
            version,
        },
    )
}

fn read(who: Who, shown: Option<u64>) -> Entry {
    entry(who, Event::Read { key: key(), shown })
}

fn in_step(who: Who) -> Entry {
    entry(who, Event::InStep)
}

fn holds(who: Who, digest: &str) -> Entry {
    let digest = digest.to_owned();
    entry(who, Event::Holds { digest })
}

/// The rule that the checker says is broken.
fn broken(log: &[Entry]) -> Option<Rule> {
    check(log).err().map(|it| it.rule)
}

#[test]
fn a_good_log_has_no_violation() {
    let awaited = |what: &str| Event::Awaited {
        what: what.to_owned(),
    };
    let happened = |what: &str| Event::Happened {
        what: what.to_owned(),
    };
    let log = [
        read("b", None),
        tried(1),
        acknowledged(1),
        read("a", Some(1)),
        // Not acknowledged, and kept all the same.
        tried(2),
        read("a", Some(2)),
        in_step("a"),
        // Who was not in step since may show an old state.
        read("b", None),
        read("b", Some(1)),
        in_step("b"),
        deletion(3),
        acknowledged(3),
        read("a", None),
        read("b", Some(2)),
        tried(4),
        acknowledged(4),
        in_step("a"),
        entry("b", awaited("sync")),
        in_step("b"),
        entry("b", happened("sync")),
        read("b", Some(4)),
        read("a", Some(4)),
        holds("a", "x"),
        holds("b", "x"),
        holds(HUB, "x"),
    ];
    assert_eq!(check(&log), Ok(()));
}

#[test]
fn a_lost_acknowledged_write_is_found() {
    let lost = [tried(1), acknowledged(1), read("a", None)];
    assert_eq!(broken(&lost), Some(Rule::ReadYourWrites));
    let older = [
        tried(1),
        acknowledged(1),
        tried(2),
        acknowledged(2),
        read("a", Some(1)),
    ];
    assert_eq!(broken(&older), Some(Rule::ReadYourWrites));
}

#[test]
fn a_deletion_that_was_acknowledged_and_undone_is_found() {
    let log = [
        tried(1),
        acknowledged(1),
        deletion(2),
        acknowledged(2),
        read("a", Some(1)),
    ];
    assert_eq!(broken(&log), Some(Rule::ReadYourWrites));
}

#[test]
fn a_reader_that_goes_back_is_found() {
    let back = [tried(1), tried(2), read("b", Some(2)), read("b", Some(1))];
    assert_eq!(broken(&back), Some(Rule::MonotonicReads));
    let gone = [tried(1), read("b", Some(1)), read("b", None)];
    assert_eq!(broken(&gone), Some(Rule::MonotonicReads));
    let risen = [
        tried(1),
        deletion(2),
        read("b", Some(1)),
        read("b", None),
        read("b", Some(1)),
    ];
    assert_eq!(broken(&risen), Some(Rule::MonotonicReads));
}

#[test]
fn a_hub_that_forgets_what_it_confirmed_is_found() {
    let log = [
        tried(1),
        acknowledged(1),
        in_step("a"),
        in_step("b"),
        read("b", None),
    ];
    assert_eq!(broken(&log), Some(Rule::Causality));
}

#[test]
fn a_value_that_nobody_wrote_is_found() {
    assert_eq!(
        broken(&[tried(1), read("b", Some(7))]),
        Some(Rule::NothingInvented)
    );
    assert_eq!(
        broken(&[deletion(1), read("b", Some(1))]),
        Some(Rule::NothingInvented)
    );
}

#[test]
fn stores_that_differ_at_the_end_are_found() {
    let digests = [holds("a", "x"), holds(HUB, "y")];
    assert_eq!(broken(&digests), Some(Rule::Convergence));
    let values = [
        tried(1),
        tried(2),
        read("a", Some(1)),
        read("b", Some(2)),
        holds("a", "x"),
        holds("b", "x"),
    ];
    assert_eq!(broken(&values), Some(Rule::Convergence));
    let lost = [
        tried(1),
        acknowledged(1),
        read("b", None),
        holds("b", "x"),
        holds(HUB, "x"),
    ];
    assert_eq!(broken(&lost), Some(Rule::Convergence));
}

#[test]
fn a_wait_without_an_end_is_found() {
    let what = || "see the marker".to_owned();
    let log = [
        entry("b", Event::Awaited { what: what() }),
        entry("c", Event::Happened { what: what() }),
    ];
    assert_eq!(broken(&log), Some(Rule::Liveness));
}

//! Migrations in a contract: which go together, which don't, and how versions of them compare.

use super::super::{Contract, Effect, Field, Kind, Migration, Migrations, Step, compare};
use crate::doc::Value;

fn with(version: u32, migrations: &[Migration]) -> Result<Contract, String> {
    let builder = Contract::builder("people", version).field("name", Field::string());
    let all = migrations.iter().cloned();
    let builder = all.fold(builder, super::super::Builder::migration);
    builder.build().map_err(|it| it.to_string())
}

#[test]
fn migrations_that_do_not_go_together_are_refused() {
    let step = |from, to| Migration::new(from, to).custom("own", 1);
    let own = || Migration::new(1, 2);
    let cases = [
        (
            vec![step(1, 2), step(3, 4)],
            "migration 3 to 4: there is a gap",
        ),
        (
            vec![step(1, 2), step(1, 2)],
            "there are two that begin with this version",
        ),
        (
            vec![step(1, 2), step(1, 3)],
            "there are two that begin with this version",
        ),
        (vec![step(1, 3), step(2, 4)], "leads to version 3 already"),
        (
            vec![step(0, 1)],
            "migration 0 to 1: it leads from a version, from 1",
        ),
        (vec![step(2, 2)], "to a later one"),
        (vec![step(3, 5)], "up to the contract's own, 4"),
        (
            vec![own().rename("name", "title")],
            "`name`, string, is a field still",
        ),
        (vec![own().rename("a", "a")], "neither its own"),
        (vec![own().rename("a", "a.b")], "neither its own"),
        (vec![own().rename("a", "$b")], "'$b' is no name of a field"),
        (vec![own().rename("a..b", "c")], "is no name of a field"),
        (
            vec![own().rename("a", "b").rename("b", "a")],
            "would never be done",
        ),
        (
            vec![own().convert("a", Kind::Text, "b", Kind::String)],
            "text does not convert",
        ),
        (
            vec![own().convert("a", Kind::String, "b", Kind::List)],
            "nothing converts to list",
        ),
        (vec![own().custom("No Name", 1)], "is no name"),
        (vec![own().custom("own", 0)], "version 0"),
    ];
    for (migrations, expected) in cases {
        let error = with(4, &migrations).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let many = (0..300).fold(own(), |it, number| it.rename(&format!("a{number}"), "b"));
    assert!(
        with(4, &[many])
            .unwrap_err()
            .contains("more than the 256 allowed")
    );
    // In any order, and not up to the last version.
    let good = with(4, &[step(2, 3), step(1, 2)]).unwrap();
    assert_eq!(good.migrations()[0].from(), 1);
}

#[test]
fn migrations_are_read_back_and_what_is_none_is_named() {
    let migration = Migration::new(1, 3)
        .rename("full_name", "name")
        .convert("year", Kind::String, "born.year", Kind::Integer)
        .custom("own", 2);
    let contract = with(3, &[migration]).unwrap();
    let json = contract.to_json();
    assert_eq!(Contract::from_json(&json).unwrap(), contract);
    let cases = [
        (
            "\"rename\":\"full_name\"",
            "\"renamed\":\"full_name\"",
            "steps[0].custom: it is missing",
        ),
        (
            "own@2",
            "own",
            "migrations[0].steps[2].custom: it is not NAME@VERSION",
        ),
        (
            "\"was\":\"string\"",
            "\"was\":\"word\"",
            "there is no kind 'word'",
        ),
        ("\"from\":1,", "", "migrations[0].from: it is missing"),
    ];
    for (from, to, expected) in cases {
        let text = json.to_string();
        assert!(text.contains(from), "{text}");
        let error = text.replace(from, to).parse::<Contract>().unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_migration_that_came_changed_or_went_is_a_difference() {
    let step = |name| Migration::new(1, 2).custom(name, 1);
    let (none, one) = (with(2, &[]).unwrap(), with(3, &[step("a")]).unwrap());
    let (other, gone) = (with(4, &[step("b")]).unwrap(), with(4, &[]).unwrap());
    for (old, new, change) in [
        (&none, &one, "new: `a@1`"),
        (&one, &other, "changed"),
        (&one, &gone, "removed"),
    ] {
        let found = compare(old, new);
        assert_eq!(found.list.len(), 1);
        assert_eq!(found.list[0].change, change);
        assert_eq!(found.list[0].effect, Effect::Degraded);
    }
}

#[test]
fn a_step_moves_what_is_there_and_leaves_the_rest() {
    let own = Migrations::default();
    let step = |from: &str, to: &str| Step::Rename {
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let value = |text: &str| Value::from_json(&serde_json::from_str(text).unwrap()).unwrap();
    let cases = [
        (r#"{"a": 1}"#, "a", "b.c", r#"{"b": {"c": 1}}"#),
        (
            r#"{"a": {"x": 1, "y": 2}}"#,
            "a.x",
            "a.z",
            r#"{"a": {"y": 2, "z": 1}}"#,
        ),
        (r#"{"a": 1, "b": 2}"#, "a", "b", r#"{"b": 1}"#),
        (r#"{"a": null, "b": 2}"#, "a", "b", r#"{"a": null, "b": 2}"#),
        (r#"{"a": [1]}"#, "a", "b", r#"{"a": [1]}"#),
        (r#"{"c": 1}"#, "a", "b", r#"{"c": 1}"#),
    ];
    for (before, from, to, after) in cases {
        let step = step(from, to);
        let made = step.forward(&value(before), &own).unwrap();
        assert_eq!(made, value(after));
        assert!(step.is_done(&made, &own));
    }
    let blocked = step("a", "b.c").forward(&value(r#"{"a": 1, "b": 2}"#), &own);
    assert!(blocked.unwrap_err().contains("what is above it is no map"));
}

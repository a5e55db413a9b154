//! What a new version does to older programs.

use proptest::prelude::*;

use super::super::{
    Builder, Comparison, Contract, Difference, Effect, Field, IndexKey, Kind, Ownership, Retention,
    Rule, Rules, changelog, compare,
};
use super::any::{any_contract, any_two_fields};
use crate::conflict::Policy;
use crate::doc::Value;
use crate::error::ErrorKind;

fn version(version: u32, declare: impl FnOnce(Builder) -> Builder) -> Contract {
    declare(Contract::builder("things", version))
        .build()
        .unwrap()
}

/// The one difference between two forms of a field.
#[track_caller]
fn one(old: Field, new: Field, effect: Effect, change: &str) {
    let old = version(1, |it| it.field("f", old));
    let new = version(2, |it| it.field("f", new));
    let found = compare(&old, &new);
    let [difference] = found.list.as_slice() else {
        panic!("not one difference: {found:?}");
    };
    assert_eq!(difference.effect, effect, "{difference}");
    assert!(difference.change.contains(change), "{difference}");
    assert_eq!(found.effect(), effect);
    assert_eq!(found.check().is_err(), effect.is_breaking());
}

use Effect::{BreaksBoth, BreaksReaders, BreaksWriters, Compatible, Degraded};

#[test]
fn presence_matters_to_readers_and_writers() {
    let field = Field::integer;
    one(field(), field().required(), BreaksWriters, "required now");
    one(
        field().required(),
        field(),
        BreaksReaders,
        "no longer required",
    );
    one(field(), field().default(1), Degraded, "default");
    one(field().default(1), field().default(2), Degraded, "default");
    let with = field().required().default(1);
    one(
        with,
        field().required(),
        BreaksWriters,
        "its default is gone",
    );
    let inside = |field: Option<Field>| match field {
        Some(field) => Field::map().field("x", field),
        None => Field::map(),
    };
    one(
        inside(None),
        inside(Some(field())),
        Compatible,
        "new optional field",
    );
    one(
        inside(None),
        inside(Some(field().required())),
        BreaksWriters,
        "new required field",
    );
    let with = field().required().default(1);
    one(
        inside(None),
        inside(Some(with)),
        Compatible,
        "with a default",
    );
    one(inside(Some(field())), inside(None), Degraded, "removed");
    let unnamed = || Field::map().values(Field::integer().range(1..));
    let found = compare(
        &version(1, |it| it.field("f", unnamed().field("x", field()))),
        &version(2, |it| it.field("f", unnamed())),
    );
    let effects: Vec<_> = found.list.iter().map(|it| it.effect).collect();
    assert_eq!(effects, [Degraded, BreaksWriters]);
    let found = compare(
        &version(1, |it| it.field("f", unnamed())),
        &version(2, |it| it.field("f", unnamed().field("x", Field::text()))),
    );
    let effects: Vec<_> = found.list.iter().map(|it| it.effect).collect();
    assert_eq!(effects, [Compatible, BreaksBoth]);
    one(
        inside(Some(field().required())),
        inside(None),
        BreaksReaders,
        "was required",
    );
}

#[test]
fn kinds_widen_and_narrow() {
    one(
        Field::integer(),
        Field::number(),
        BreaksReaders,
        "was integer and is number",
    );
    one(
        Field::number(),
        Field::integer(),
        BreaksWriters,
        "was number and is integer",
    );
    one(Field::any(), Field::set(), BreaksWriters, "was any");
    one(Field::set(), Field::any(), BreaksReaders, "is any");
    let found = compare(
        &version(1, |it| it.field("f", Field::integer().range(0..))),
        &version(2, |it| it.field("f", Field::number().range(1..))),
    );
    let effects: Vec<_> = found.list.iter().map(|it| it.effect).collect();
    assert_eq!(effects, [BreaksReaders, BreaksWriters]);
    one(
        Field::string(),
        Field::text(),
        BreaksBoth,
        "was string and is text",
    );
    one(
        Field::list(Field::any()),
        Field::list(Field::bool()),
        BreaksWriters,
        "was any",
    );
    let values = |kind| Field::map().values(Field::new(kind));
    one(
        values(Kind::Integer),
        values(Kind::Number),
        BreaksReaders,
        "was integer",
    );
}

#[test]
fn rules_tighten_and_loosen() {
    let range = |min, max| Field::integer().range(min..=max);
    one(range(0, 5), range(1, 5), BreaksWriters, "range allows less");
    one(range(0, 5), range(0, 4), BreaksWriters, "range allows less");
    one(range(0, 5), range(0, 6), Degraded, "range allows more");
    one(range(0, 5), range(-1, 5), Degraded, "range allows more");
    one(
        range(0, 5),
        range(1, 6),
        BreaksWriters,
        "range allows other",
    );
    one(
        Field::integer(),
        range(0, 5),
        BreaksWriters,
        "range allows less",
    );
    one(range(0, 5), Field::integer(), Degraded, "range allows more");
    one(
        Field::integer().range(0..),
        range(0, 5),
        BreaksWriters,
        "range allows less",
    );
    one(
        Field::integer().range(..=5),
        range(0, 5),
        BreaksWriters,
        "range allows less",
    );
    let length = |max| Field::string().length(..=max);
    one(length(5), length(4), BreaksWriters, "length allows less");
    one(length(5), length(6), Degraded, "length allows more");
    let chosen = |all: &[&'static str]| Field::string().one_of(all.iter().copied());
    one(
        chosen(&["a"]),
        chosen(&["a", "b"]),
        Degraded,
        "values allows more",
    );
    one(
        chosen(&["a", "b"]),
        chosen(&["a"]),
        BreaksWriters,
        "values allows less",
    );
    one(
        chosen(&["a", "b"]),
        chosen(&["a", "c"]),
        BreaksWriters,
        "values allows other",
    );
    one(
        Field::string(),
        chosen(&["a"]),
        BreaksWriters,
        "values allows less",
    );
    one(
        chosen(&["a"]),
        Field::string(),
        Degraded,
        "values allows more",
    );
}

#[test]
fn patterns_come_go_and_change() {
    let pattern = |it| Field::string().pattern(it);
    one(pattern("a"), pattern("b"), Degraded, "pattern changed");
    one(
        Field::string(),
        pattern("a"),
        BreaksWriters,
        "pattern allows less",
    );
    one(
        pattern("a"),
        Field::string(),
        Degraded,
        "pattern allows more",
    );
}

#[test]
fn policies_and_secrets_degrade() {
    let field = Field::integer;
    one(
        field(),
        field().policy(Policy::Max),
        Degraded,
        "was automerge and is max",
    );
    one(field(), field().sensitive(), Degraded, "sensitive now");
    one(
        field().sensitive(),
        field(),
        Compatible,
        "no longer sensitive",
    );
}

#[test]
fn rules_indexes_and_marks_are_compared() {
    let fields = |it: Builder| it.field("a", Field::integer()).field("b", Field::integer());
    let shown = |old: fn(Builder) -> Builder, new: fn(Builder) -> Builder| {
        let found = compare(
            &version(1, |it| old(fields(it))),
            &version(2, |it| new(fields(it))),
        );
        let [it] = found.list.as_slice() else {
            panic!("not one difference: {found:?}");
        };
        format!("{}: {}, {}", it.place, it.change, it.effect.name())
    };
    let order = |it: Builder| it.rule(Rule::order("a", Comparison::Less, "b"));
    assert_eq!(
        shown(|it| it, order),
        "rules: new: `a` is less than `b`, breaking"
    );
    assert_eq!(
        shown(order, |it| it),
        "rules: no longer: `a` is less than `b`, degraded"
    );
    let first = |it: Builder| it.rule(Rule::custom("vat", 1, "a"));
    let second = |it: Builder| it.rule(Rule::custom("vat", 2, "a"));
    assert_eq!(
        shown(first, second),
        "rules: `custom:vat@1` holds for `a`; now `custom:vat@2` holds for `a`, degraded"
    );
    let index = |it: Builder| it.index("i", ["a"]);
    let turned = |it: Builder| it.index("i", [IndexKey::descending("a")]);
    assert_eq!(shown(|it| it, index), "index i: new, compatible");
    assert_eq!(shown(index, |it| it), "index i: removed, compatible");
    assert_eq!(
        shown(index, turned),
        "index i: its fields changed, compatible"
    );
    let owned = |it: Builder| it.ownership(Ownership::Author);
    assert_eq!(shown(|it| it, owned), "ownership: changed, degraded");
    let kept = |it: Builder| {
        it.retention(Retention {
            records: Some(1),
            ..Retention::default()
        })
    };
    assert_eq!(shown(|it| it, kept), "retention: changed, degraded");
}

#[test]
fn a_break_is_declared_by_shutting_out_whom_it_breaks() {
    let old = version(4, |it| it.field("a", Field::string()));
    let new = Contract::builder("things", 6).field("a", Field::text());
    for (reader, writer, declared) in [(1, 1, false), (4, 4, false), (4, 5, false), (5, 5, true)] {
        let new = new.clone().oldest_reader(reader).oldest_writer(writer);
        let found = compare(&old, &new.build().unwrap());
        assert_eq!(found.list[0].is_declared, declared, "{reader} {writer}");
        assert_eq!(found.check().is_ok(), declared);
    }
    let error = compare(&old, &new.build().unwrap()).check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(
        text.contains("`oldest_reader` above 4: a: its kind was string and is text"),
        "{text}"
    );
}

#[test]
fn versions_rise_and_nobody_is_let_in_again() {
    let old = version(2, |it| it.oldest_reader(2));
    assert!(compare(&old, &old).check().is_ok());
    let same = version(2, |it| it.oldest_reader(2).describe("changed"));
    let wrong = |new: &Contract| compare(&old, new).check().unwrap_err().to_string();
    assert!(wrong(&same).contains("did not rise: 2 to 2"));
    assert!(wrong(&version(1, |it| it)).contains("did not rise: 2 to 1"));
    assert!(wrong(&version(3, |it| it)).contains("`oldest_reader` fell from 2 to 1"));
    let other = Contract::builder("others", 3).build().unwrap();
    assert!(wrong(&other).contains("two collections"));
}

#[test]
fn the_changelog_tells_breaks_first() {
    let old = version(1, |it| {
        it.field("a", Field::string())
            .field("b", Field::integer().range(0..))
    });
    let new = version(2, |it| {
        let it = it
            .field("a", Field::text())
            .field("b", Field::integer())
            .field("c", Field::set());
        it.oldest_reader(2)
    });
    let expected = "\
## Version 2

Read by programs of version 2 and newer, written by those of version 2 and newer.

Breaking for older readers and writers:

- `a`: its kind was string and is text. Neither reads what the other writes.

Degraded:

- `b`: its range allows more. Older programs refuse to write what is allowed now.

Compatible:

- `c`: new optional field, set. Older programs carry it along unread.
";
    assert_eq!(changelog(&old, &new), expected);
    assert!(changelog(&new, &new).ends_with("Nothing changed.\n"));
}

proptest! {
    #[test]
    fn a_contract_does_not_differ_from_itself(contract in any_contract()) {
        prop_assert_eq!(compare(&contract, &contract).list, []);
    }

    /// What fits the older contract fits the newer one, unless that is said to break older writers or
    /// nobody can tell. Fields that only the newer one names are another matter.
    #[test]
    fn what_older_writers_write_is_accepted_unless_said(
        (old, new) in any_two_fields(),
        values in prop::collection::vec(any_small_value(), 50),
    ) {
        let old = version(1, |it| it.field("f", old));
        let new = version(2, |it| it.field("f", new));
        let found = compare(&old, &new);
        let is_said = |it: &Difference| {
            let open = ["pattern changed", "new optional", "new field"];
            it.effect.breaks_writers() || open.iter().any(|open| it.change.contains(open))
        };
        let rules = Rules::default();
        if found.list.iter().any(is_said) {
            return Ok(());
        }
        for value in values {
            let record = Value::Map([("f".to_owned(), value)].into());
            if old.check(&record, &rules).is_empty() {
                prop_assert_eq!(new.check(&record, &rules), [], "{:?}", record);
            }
        }
    }
}

/// Values that often fit somewhere.
fn any_small_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-10_i64..3).prop_map(Value::Int),
        (0_i64..3).prop_map(Value::Counter),
        (0_i64..3).prop_map(Value::Timestamp),
        (0.0..1.5).prop_map(Value::Float),
        "[a-c]{0,2}".prop_map(Value::Str),
        "[a-c]{0,2}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            prop::collection::btree_map("[a-c]{1,2}", inner, 0..3).prop_map(Value::Map),
        ]
    })
}

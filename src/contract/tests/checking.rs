//! What is a breach of a contract, and how it is told.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::{Breach, Comparison, Contract, Field, Kind, Rule, Rules};
use super::{things, value};
use crate::conflict::Policy;
use crate::doc::Value;
use crate::doc::value::tests::any_value;
use crate::limits;

/// A breach's field and rule.
fn short(breaches: &[Breach]) -> Vec<String> {
    let short = |it: &Breach| {
        let path = crate::doc::value::show_path(&it.path);
        format!("{path} {}", it.rule)
    };
    breaches.iter().map(short).collect()
}

#[track_caller]
fn breaks(contract: &Contract, record: &Json, expected: &[&str]) {
    let breaches = contract.check(&value(record), &Rules::default());
    assert_eq!(short(&breaches), expected, "{record}");
}

#[test]
fn each_kind_knows_its_values() {
    let values = [
        (Value::Bool(true), vec![Kind::Bool]),
        (Value::Int(1), vec![Kind::Integer, Kind::Number]),
        (Value::Uint(1), vec![Kind::Integer, Kind::Number]),
        (Value::Float(1.0), vec![Kind::Number]),
        (Value::from("a"), vec![Kind::String]),
        (Value::Text("a".to_owned()), vec![Kind::Text]),
        (Value::Bytes(vec![1]), vec![Kind::Bytes]),
        (Value::Timestamp(1), vec![Kind::Timestamp]),
        (Value::Counter(1), vec![Kind::Counter]),
        (Value::List(vec![]), vec![Kind::List]),
        (
            value(&json!({"a": true, "b": true})),
            vec![Kind::Set, Kind::Map],
        ),
        (value(&json!({"a": true, "b": false})), vec![Kind::Map]),
        (
            Value::Unknown {
                type_code: 12,
                bytes: vec![],
            },
            vec![],
        ),
    ];
    for kind in Kind::ALL {
        let contract = things(|it| it.field("f", Field::new(kind)));
        for (value, kinds) in &values {
            let record = Value::Map([("f".to_owned(), value.clone())].into());
            let breaches = contract.check(&record, &Rules::default());
            let fits = kind == Kind::Any || kinds.contains(&kind);
            assert_eq!(breaches.is_empty(), fits, "{kind} and {value:?}");
            assert!(
                breaches
                    .iter()
                    .all(|it| it.rule == "kind" && it.class == value.class())
            );
        }
    }
}

#[test]
fn a_field_is_there_if_it_must_be() {
    let contract = things(|it| {
        it.field("a", Field::string().required())
            .field("b", Field::string().required().default("x"))
            .field("c.d", Field::integer().required())
    });
    breaks(&contract, &json!({}), &["a required"]);
    breaks(
        &contract,
        &json!({"a": null, "b": null}),
        &["a required", "b required"],
    );
    breaks(&contract, &json!({"a": "", "c": null}), &[]);
    breaks(
        &contract,
        &json!({"a": "", "c": {"x": 1}}),
        &["c.d required"],
    );
    let breaches = contract.check(&value(&json!({"a": null})), &Rules::default());
    assert_eq!(breaches[0].class, "null");
    let breaches = contract.check(&value(&json!({})), &Rules::default());
    assert_eq!(
        breaches[0].to_string(),
        "a: it is missing, which breaks 'required': it must be there"
    );
}

#[test]
fn numbers_keep_their_range_exactly() {
    let contract = things(|it| {
        it.field("n", Field::number().range(-1..=9_007_199_254_740_992))
            .field("t", Field::timestamp().range(0..))
            .field("c", Field::counter().range(..=3))
    });
    for (n, fits) in [
        (Value::Int(-1), true),
        (Value::Int(-2), false),
        (Value::Float(-1.000_000_1), false),
        (Value::Float(9_007_199_254_740_992.0), true),
        (Value::Int(9_007_199_254_740_993), false),
        (Value::Uint(u64::MAX), false),
        (Value::Float(f64::NAN), false),
        (Value::Float(f64::INFINITY), false),
    ] {
        let record = Value::Map([("n".to_owned(), n.clone())].into());
        assert_eq!(
            contract.check(&record, &Rules::default()).is_empty(),
            fits,
            "{n:?}"
        );
    }
    let open = things(|it| it.field("n", Field::number().range(0.5..)));
    let record = Value::Map([("n".to_owned(), Value::Float(f64::NAN))].into());
    assert_eq!(short(&open.check(&record, &Rules::default())), ["n range"]);
    breaks(
        &contract,
        &json!({"t": {"$time": -1}, "c": {"$counter": 4}}),
        &["c range", "t range"],
    );
    breaks(
        &contract,
        &json!({"t": {"$time": 0}, "c": {"$counter": 3}}),
        &[],
    );
}

#[test]
fn lengths_count_characters_bytes_and_elements() {
    let contract = things(|it| {
        it.field("s", Field::string().length(2..=3))
            .field("b", Field::bytes().length(..=2))
            .field("l", Field::list(Field::any()).length(1..3))
            .field("m", Field::map().length(1..))
            .field("z", Field::set().length(1..=1))
    });
    breaks(
        &contract,
        &json!({"s": "äöü", "b": {"$bytes": "AQI="}, "l": [1, 2], "m": {"a": 1}, "z": {"a": true}}),
        &[],
    );
    breaks(
        &contract,
        &json!({"s": "ä", "b": {"$bytes": "AQID"}, "l": [1, 2, 3], "m": {}, "z": {}}),
        &["b length", "l length", "m length", "s length", "z length"],
    );
}

#[test]
fn patterns_and_choices_hold() {
    let contract = things(|it| {
        it.field("p", Field::string().pattern("^[a-z]+$"))
            .field("q", Field::text().pattern("[0-9]"))
            .field("o", Field::string().one_of(["open", "done"]))
            .field("n", Field::number().one_of([1, 2]))
    });
    breaks(
        &contract,
        &json!({"p": "abc", "q": {"$text": "a1b"}, "o": "done", "n": 2.0}),
        &[],
    );
    breaks(
        &contract,
        &json!({"p": "aBc", "q": {"$text": "ab"}, "o": "Done", "n": 3}),
        &["n one-of", "o one-of", "p pattern", "q pattern"],
    );
}

#[test]
fn lists_and_maps_are_gone_through() {
    let step = Field::map().field("text", Field::string().required().length(1..));
    let contract = things(|it| {
        it.field("steps", Field::list(step))
            .field("tags", Field::list(Field::string().required()))
            .field(
                "prices",
                Field::map()
                    .field("vat", Field::bool())
                    .values(Field::number()),
            )
    });
    breaks(
        &contract,
        &json!({
            "steps": [{"text": "a"}, {"text": ""}, {}, 7],
            "tags": ["a", null, 1],
            "prices": {"apple": 1.5, "pear": "cheap", "vat": 1},
        }),
        &[
            "prices.vat kind",
            "prices.pear kind",
            "steps[1].text length",
            "steps[2].text required",
            "steps[3] kind",
            "tags[1] required",
            "tags[2] kind",
        ],
    );
}

#[test]
fn rules_across_fields_hold_where_both_are_there() {
    let contract = things(|it| {
        it.field("start", Field::timestamp())
            .field("end", Field::timestamp())
            .rule(Rule::order("start", Comparison::AtMost, "end"))
    });
    let times = |start: i64, end: i64| json!({"start": {"$time": start}, "end": {"$time": end}});
    breaks(&contract, &times(1, 1), &[]);
    breaks(&contract, &times(2, 1), &["start order"]);
    breaks(&contract, &json!({"start": {"$time": 2}}), &[]);
    breaks(&contract, &json!({"start": {"$time": 2}, "end": null}), &[]);
    let all = [
        (Comparison::Less, [true, false, false]),
        (Comparison::AtMost, [true, true, false]),
        (Comparison::Equal, [false, true, false]),
        (Comparison::Unequal, [true, false, true]),
        (Comparison::AtLeast, [false, true, true]),
        (Comparison::Greater, [false, false, true]),
    ];
    for (comparison, expected) in all {
        let holds = [1, 2, 3].map(|it| comparison.holds(&Value::Int(it), &Value::Float(2.0)));
        assert_eq!(holds, expected, "{comparison:?}");
        assert_eq!(comparison.name().parse::<Comparison>().unwrap(), comparison);
    }
}

#[test]
fn rules_of_the_program_run_guarded() {
    let contract = things(|it| {
        it.field("a", Field::string().sensitive())
            .rule(Rule::custom("short", 1, "a"))
            .rule(Rule::custom("small", 2, ""))
    });
    let mut rules = Rules::default();
    let undefined: Vec<_> = contract
        .undefined(&rules)
        .iter()
        .map(|it| it.name())
        .collect();
    assert_eq!(undefined, ["custom:short@1", "custom:small@2"]);
    let record = value(&json!({"a": "secret"}));
    let breaches = contract.check(&record, &rules);
    assert_eq!(
        short(&breaches),
        ["a custom:short@1", "the record custom:small@2"]
    );
    assert_eq!(
        breaches[0].expected,
        "this program does not define the rule"
    );
    rules
        .define("short", 1, |it: &Value| {
            let text = it.as_str().unwrap_or_default();
            if text.len() < 3 {
                Ok(())
            } else {
                panic!("{text} is too long")
            }
        })
        .unwrap();
    rules
        .define("small", 2, |it: &Value| {
            let count = it.as_map().map(std::collections::BTreeMap::len);
            if count < Some(2) {
                Ok(())
            } else {
                Err("it has too many fields")
            }
        })
        .unwrap();
    assert!(contract.undefined(&rules).is_empty());
    let breaches = contract.check(&record, &rules);
    assert_eq!(
        breaches[0].to_string(),
        "a: a string breaks 'custom:short@1': the rule panicked"
    );
    assert_eq!(breaches.len(), 1);
    assert!(
        contract
            .check(&value(&json!({"a": "ab"})), &rules)
            .is_empty()
    );
    let breaches = contract.check(&value(&json!({"b": 1, "c": 1})), &rules);
    assert_eq!(breaches[0].expected, "it has too many fields");
    for (name, version) in [("", 1), ("A", 1), ("a", 0), (&*"a".repeat(200), 1)] {
        assert!(rules.define(name, version, |_: &Value| Ok(())).is_err());
    }
}

#[test]
fn what_is_not_declared_or_reserved_is_no_breach() {
    let contract = things(|it| it.field("a", Field::integer()));
    breaks(
        &contract,
        &json!({"a": 1, "b": {"c": []}, "$deleted": {"$time": 1}}),
        &[],
    );
    assert_eq!(
        short(&contract.check(&Value::Int(1), &Rules::default())),
        ["the record kind"]
    );
}

#[test]
fn the_keys_of_a_secret_map_are_not_told() {
    let contract = things(|it| {
        let owed = Field::map().values(Field::map().field("sum", Field::integer()));
        it.field("owed", owed.sensitive())
            .field("open", Field::map().values(Field::integer()))
    });
    breaks(
        &contract,
        &json!({"owed": {"alice@example.org": {"sum": "x"}}, "open": {"bob": "x"}}),
        &["open.bob kind", "owed kind"],
    );
    let secret = |path: &[&str]| {
        let path: Vec<_> = path.iter().map(|it| (*it).into()).collect();
        contract.is_sensitive(&path)
    };
    assert!(secret(&["owed"]) && secret(&["owed", "alice", "sum"]));
    assert!(!secret(&["open", "bob"]) && !secret(&["other"]) && !secret(&[]));
}

#[test]
fn the_number_of_breaches_is_bounded() {
    let contract = things(|it| it.field("a", Field::list(Field::integer())));
    let many: Vec<_> = (0..1_000).map(|_| "x").collect();
    let breaches = contract.check(&value(&json!({"a": many})), &Rules::default());
    assert_eq!(breaches.len(), limits::BREACHES_MAX);
}

#[test]
fn defaults_fill_what_is_absent_and_nothing_else() {
    let contract = things(|it| {
        it.field("a", Field::integer().default(1))
            .field("m.b", Field::text().default("x"))
            .field(
                "l",
                Field::list(Field::map().field("c", Field::bool().default(true))),
            )
    });
    let mut record = value(&json!({"l": [{}, {"c": false}], "m": {}, "other": 1}));
    contract.defaults(&mut record);
    let expected = json!({
        "a": 1, "l": [{"c": true}, {"c": false}], "m": {"b": {"$text": "x"}}, "other": 1,
    });
    assert_eq!(record, value(&expected));
    let mut record = value(&json!({"a": null}));
    contract.defaults(&mut record);
    assert_eq!(record, value(&json!({"a": null})));
}

#[test]
fn json_becomes_what_the_contract_says() {
    let contract = things(|it| {
        it.field("t", Field::list(Field::text()))
            .field("c", Field::map().values(Field::counter()))
            .field("s", Field::set())
            .field("n", Field::string())
    });
    let mut record =
        value(&json!({"t": ["a"], "c": {"x": 1}, "s": ["a", "b"], "n": {"$text": "a"}}));
    contract.coerce(&mut record);
    let expected = json!({
        "t": [{"$text": "a"}], "c": {"x": {"$counter": 1}}, "s": {"a": true, "b": true}, "n": "a",
    });
    assert_eq!(record, value(&expected));
    assert!(contract.check(&record, &Rules::default()).is_empty());
}

#[test]
fn policies_are_those_of_the_fields() {
    let contract = things(|it| {
        it.field("a", Field::integer().policy(Policy::Max))
            .field("m.b", Field::string().policy(Policy::LastWriter))
            .field("c", Field::string())
    });
    let policies = contract.policies();
    assert_eq!(*policies.of(&["a".into()]), Policy::Max);
    assert_eq!(*policies.of(&["m".into(), "b".into()]), Policy::LastWriter);
    assert_eq!(*policies.of(&["c".into()]), Policy::Automerge);
}

proptest! {
    #[test]
    fn any_value_can_be_checked(value in any_value()) {
        let contract = things(|it| {
            it.field("a", Field::list(Field::map().field("a", Field::integer().range(0..))))
                .field("b", Field::map().values(Field::text().pattern("^a")))
                .field("c", Field::any().one_of([1]).default(1))
                .rule(Rule::order("a", Comparison::Less, "c"))
        });
        let mut value = Value::Map([("a".to_owned(), value.clone()), ("b".to_owned(), value)].into());
        let breaches = contract.check(&value, &Rules::default());
        prop_assert_eq!(&breaches, &contract.check(&value, &Rules::default()));
        contract.coerce(&mut value);
        contract.defaults(&mut value);
        let after = contract.check(&value, &Rules::default());
        prop_assert!(after.iter().all(|it| it.rule != "required"));
    }
}

#[test]
fn a_long_key_is_shortened_in_each_breach() {
    let contract = Contract::builder("jobs", 1)
        .field("in", Field::map().values(Field::list(Field::integer())))
        .build()
        .unwrap();
    let wrong = Value::List(vec![Value::from("no"); 200]);
    let inner = Value::Map([("k".repeat(1 << 20), wrong)].into());
    let breaches = contract.check(
        &Value::Map([("in".to_owned(), inner)].into()),
        &Rules::default(),
    );
    assert_eq!(breaches.len(), limits::BREACHES_MAX);
    assert!(breaches.iter().all(|it| it.to_string().len() < 300));
}

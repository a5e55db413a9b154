//! Contracts as JSON and back.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::{Comparison, Contract, Field, IndexKey, Ownership, Retention, Rule};
use super::any::any_contract;
use crate::conflict::Policy;
use crate::error::ErrorKind;
use crate::limits;

/// A contract with all there is.
fn full() -> Contract {
    Contract::builder("tasks", 3)
        .oldest_reader(2)
        .describe("What there is to do.")
        .field(
            "title",
            Field::string().required().length(1..=200).pattern("^[A-Z]"),
        )
        .field(
            "priority",
            Field::integer().range(0..=5).default(0).policy(Policy::Max),
        )
        .field(
            "status",
            Field::string()
                .one_of(["open", "done"])
                .describe("How far it is."),
        )
        .field("email", Field::string().sensitive())
        .field(
            "steps",
            Field::list(Field::map().field("text", Field::text())),
        )
        .field("prices", Field::map().values(Field::number().range(0.5..)))
        .rule(Rule::order("title", Comparison::AtMost, "status"))
        .rule(Rule::custom("vat", 1, "prices"))
        .index(
            "by-priority",
            [IndexKey::descending("priority"), "title".into()],
        )
        .ownership(Ownership::Field("email".to_owned()))
        .retention(Retention {
            age_days: Some(30),
            ..Retention::default()
        })
        .build()
        .unwrap()
}

#[test]
fn the_form_is_this() {
    let expected = json!({
        "syncline_contract": 1,
        "collection": "tasks",
        "version": 3,
        "oldest_reader": 2,
        "oldest_writer": 2,
        "description": "What there is to do.",
        "fields": {
            "title": {
                "kind": "string", "required": true, "length": {"min": 1, "max": 200},
                "pattern": "^[A-Z]",
            },
            "priority": {
                "kind": "integer", "range": {"min": 0, "max": 5}, "default": 0, "policy": "max",
            },
            "status": {
                "kind": "string", "one_of": ["done", "open"], "description": "How far it is.",
            },
            "email": {"kind": "string", "sensitive": true},
            "steps": {"kind": "list", "element": {"kind": "map", "fields": {"text": {"kind": "text"}}}},
            "prices": {"kind": "map", "element": {"kind": "number", "range": {"min": 0.5}}},
        },
        "rules": [
            {"order": ["title", "at-most", "status"]},
            {"custom": "vat@1", "path": "prices"},
        ],
        "indexes": {"by-priority": [
            {"path": "priority", "direction": "desc"}, {"path": "title", "direction": "asc"},
        ]},
        "ownership": {"field": "email"},
        "retention": {"age_days": 30},
    });
    let contract = full();
    assert_eq!(contract.to_json(), expected);
    assert_eq!(Contract::from_json(&expected).unwrap(), contract);
    // The digest of a form that was given away may never change.
    let digest = format!("{:032x}", u128::from_be_bytes(contract.digest()));
    assert_eq!(digest, "87cb4ab1974441eb76dfe099db766336");
    let pretty = serde_json::to_string_pretty(&expected).unwrap();
    assert_eq!(pretty.parse::<Contract>().unwrap(), contract);
}

/// What is wrong with the full contract after a change of its JSON.
#[track_caller]
fn refused(pointer: &str, with: Json, expected: &str) {
    let mut json = full().to_json();
    if let Some(place) = json.pointer_mut(pointer) {
        *place = with;
    } else {
        let (above, key) = pointer.rsplit_once('/').unwrap();
        let object = json.pointer_mut(above).and_then(Json::as_object_mut);
        object.unwrap().insert(key.to_owned(), with);
    }
    let error = Contract::from_json(&json).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("the contract: {expected}")),
        "{text}"
    );
}

#[test]
fn what_is_wrong_is_named_by_its_place() {
    refused("/extra", json!(1), "extra: there is no such key");
    refused(
        "/syncline_contract",
        json!(2),
        "syncline_contract: it has form 2",
    );
    refused(
        "/syncline_contract",
        json!("1"),
        "syncline_contract: it is not a whole number",
    );
    refused("/collection", json!("No Name"), "collection: ");
    refused("/version", json!(-1), "version: it is not a whole number");
    refused(
        "/version",
        json!(1_u64 << 32),
        "version: it is not a whole number",
    );
    refused("/version", json!(1), "oldest_writer: it is 2, above");
    refused("/fields", json!([]), "fields: it is not an object");
}

#[test]
fn what_is_wrong_with_a_field_is_named_by_its_place() {
    refused(
        "/fields/title/kind",
        json!("strnig"),
        "fields.title.kind: there is no kind 'strnig'",
    );
    refused(
        "/fields/title/lenght",
        json!({}),
        "fields.title.lenght: there is no such key",
    );
    refused(
        "/fields/title/required",
        json!("yes"),
        "fields.title.required: it is not true",
    );
    refused(
        "/fields/title/pattern",
        json!("("),
        "title: the pattern is not one",
    );
    refused(
        "/fields/title/length/min",
        json!(201),
        "title: the length is empty",
    );
    refused(
        "/fields/title/length/max",
        json!(1.5),
        "fields.title.length.max: it is not a whole",
    );
    refused(
        "/fields/priority/policy",
        json!("newest"),
        "fields.priority.policy: there is no policy",
    );
    refused(
        "/fields/priority/default",
        json!(9),
        "priority: the default breaks its 'range'",
    );
    refused(
        "/fields/priority/range/min",
        json!({"$float": 1}),
        "fields.priority.range: the record",
    );
    refused(
        "/fields/status/one_of",
        json!([]),
        "status: the choice of values is empty",
    );
    refused(
        "/fields/steps/element",
        json!(1),
        "fields.steps.element: it is not an object",
    );
    refused(
        "/fields/steps/element/fields/a.b",
        json!({"kind": "any"}),
        "steps[].a.b: 'a.b' is no",
    );
}

#[test]
fn what_is_wrong_across_fields_is_named_by_its_place() {
    refused(
        "/rules/0",
        json!({"order": ["a", "b"]}),
        "rules[0].order: it is not a list of",
    );
    refused(
        "/rules/0",
        json!({"order": ["a", "b", "c"]}),
        "rules[0].order: there is no comparison",
    );
    refused("/rules/0", json!({}), "rules[0].custom: it is missing");
    refused(
        "/rules/1/custom",
        json!("vat"),
        "rules[1].custom: it is not NAME@VERSION",
    );
    refused(
        "/rules/1/path",
        json!("none"),
        "rule 'custom:vat@1': 'none' is no declared",
    );
    refused("/indexes/by-x", json!({}), "indexes.by-x: it is not a list");
    refused(
        "/indexes/by-priority/0/direction",
        json!("up"),
        "indexes.by-priority.direction: ",
    );
    refused(
        "/ownership",
        json!("nobody"),
        "ownership: it is not an object",
    );
    refused(
        "/retention/age_days",
        json!(true),
        "retention.age_days: it is not a whole",
    );
}

#[test]
fn text_that_is_no_json_is_refused() {
    let error = "{".parse::<Contract>().unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the contract: it is not JSON"),
        "{error}"
    );
    let long = " ".repeat(4 * limits::CONTRACT_BYTES_MAX + 1);
    assert_eq!(
        long.parse::<Contract>().unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn deep_json_is_refused() {
    for (open, close) in [
        (r#"{"kind":"list","element":"#, "}"),
        (r#"{"kind":"map","fields":{"a":"#, "}}"),
    ] {
        let depth = 40;
        let field = [
            open.repeat(depth),
            r#"{"kind":"any"}"#.to_owned(),
            close.repeat(depth),
        ]
        .concat();
        let text = format!(
            r#"{{"syncline_contract":1,"collection":"a","version":1,"fields":{{"f":{field}}}}}"#
        );
        let error = text.parse::<Contract>().unwrap_err();
        assert!(error.to_string().contains("nested"), "{error}");
    }
}

/// Any JSON, with words of contracts in it.
fn any_json() -> impl Strategy<Value = Json> {
    let words = [
        "kind", "fields", "element", "order", "custom", "path", "map", "list", "min", "a",
    ];
    let word = prop::sample::select(words.to_vec());
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        word.clone().prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 8, 3, move |inner| {
        let key = word.clone().prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map(key, inner, 0..3)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// Puts `with` in place of the `at`-th part.
fn replace(json: &mut Json, at: &mut usize, with: &Json) {
    if *at == 0 {
        *json = with.clone();
    }
    *at = at.wrapping_sub(1);
    match json {
        Json::Array(list) => list.iter_mut().for_each(|it| replace(it, at, with)),
        Json::Object(map) => map.values_mut().for_each(|it| replace(it, at, with)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

proptest! {
    #[test]
    fn a_contract_survives_json(contract in any_contract()) {
        let json = contract.to_json();
        let text = json.to_string();
        let back = text.parse::<Contract>().unwrap();
        prop_assert_eq!(&back, &contract);
        prop_assert_eq!(back.to_json().to_string(), text);
        prop_assert_eq!(back.digest(), contract.digest());
    }

    #[test]
    fn any_json_is_a_contract_or_an_error(
        contract in any_contract(), at: prop::sample::Index, with in any_json(),
    ) {
        let mut json = contract.to_json();
        let mut at = at.index(30);
        replace(&mut json, &mut at, &with);
        match Contract::from_json(&json) {
            Ok(other) => prop_assert_eq!(&Contract::from_json(&other.to_json()).unwrap(), &other),
            Err(error) => {
                prop_assert_eq!(error.kind(), ErrorKind::InvalidInput);
                prop_assert!(error.to_string().starts_with("the contract: "));
            }
        }
    }
}

//! Contracts as JSON Schema and back.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::{Contract, Field, Kind};
use super::any::any_contract;
use super::things;
use crate::error::ErrorKind;

fn read(schema: &Json) -> (Contract, Vec<String>) {
    Contract::from_json_schema("things", 1, schema).unwrap()
}

#[test]
fn rules_stand_in_the_schemas_words() {
    let contract = things(|it| {
        it.field(
            "title",
            Field::string().required().length(1..=200).pattern("^[A-Z]"),
        )
        .field("priority", Field::integer().range(0..=5).default(0))
        .field("status", Field::string().one_of(["open", "done"]))
        .field("labels", Field::set().length(..=3))
        .field(
            "steps",
            Field::list(Field::map().field("text", Field::text().required())),
        )
        .field("due", Field::timestamp().range(0..).sensitive())
        .field("photo", Field::bytes().length(..=9))
        .field(
            "visits",
            Field::counter().policy(crate::conflict::Policy::Sum),
        )
    });
    let expected = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "things",
        "type": "object",
        "required": ["title"],
        "x-syncline-version": 1,
        "properties": {
            "title": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[A-Z]"},
            "priority": {"type": ["integer", "null"], "minimum": 0, "maximum": 5, "default": 0},
            "status": {"type": ["string", "null"], "enum": ["done", "open", null]},
            "labels": {
                "type": ["object", "null"], "x-syncline-kind": "set",
                "additionalProperties": {"const": true}, "maxProperties": 3,
            },
            "steps": {"type": ["array", "null"], "items": {
                "type": ["object", "null"], "required": ["text"],
                "properties": {"text": {"type": "string", "x-syncline-kind": "text"}},
            }},
            "due": {
                "type": ["object", "null"], "x-syncline-kind": "timestamp", "required": ["$time"],
                "properties": {"$time": {"type": ["string", "integer"], "format": "date-time"}},
                "x-syncline-range": {"min": 0}, "x-syncline-sensitive": true,
            },
            "photo": {
                "type": ["object", "null"], "x-syncline-kind": "bytes", "required": ["$bytes"],
                "properties": {"$bytes": {"type": "string", "contentEncoding": "base64"}},
                "x-syncline-length": {"max": 9},
            },
            "visits": {
                "type": ["integer", "null"], "x-syncline-kind": "counter",
                "x-syncline-policy": "sum",
            },
        },
    });
    assert_eq!(contract.json_schema(), expected);
}

#[test]
fn a_foreign_schema_is_read_as_far_as_it_goes() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.org/person",
        "description": "A person.",
        "type": "object",
        "required": ["name", "age"],
        "additionalProperties": false,
        "properties": {
            "name": {"type": "string", "minLength": 1, "format": "email"},
            "age": {"type": "integer", "exclusiveMinimum": 0, "maximum": 150, "multipleOf": 2},
            "height": {"type": "number", "exclusiveMinimum": 0},
            "home": {"$ref": "#/$defs/address", "description": "Where."},
            "work": {"anyOf": [{"$ref": "#/$defs/address"}, {"type": "null"}]},
            "state": {"oneOf": [{"type": "null"}, {"enum": ["on", "off"]}]},
            "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": true},
            "code": {"type": "string", "pattern": "^(?=a)"},
            "either": {"type": ["string", "integer"]},
            "a.b": {"type": "string"},
            "gone": {"$ref": "#/$defs/gone"},
            "fixed": {"const": 3},
        },
        "$defs": {"address": {
            "type": "object", "properties": {"city": {"type": ["string", "null"]}},
        }},
    });
    let (contract, left_out) = read(&schema);
    let address = || Field::map().field("city", Field::string());
    let expected = things(|it| {
        it.describe("A person.")
            .field("name", Field::string().required().length(1..))
            .field("age", Field::integer().required().range(1..=150))
            .field("height", Field::number())
            .field("home", address().describe("Where."))
            .field("work", address())
            .field("state", Field::string().one_of(["on", "off"]))
            .field("tags", Field::list(Field::string().required()))
            .field("code", Field::string())
            .field("either", Field::any())
            .field("gone", Field::any())
            .field("fixed", Field::integer().one_of([3]))
    });
    assert_eq!(contract, expected);
    let places: Vec<_> = left_out
        .iter()
        .filter_map(|it| it.split(':').next())
        .collect();
    assert_eq!(
        places,
        [
            "a.b",
            "age.multipleOf",
            "code.pattern",
            "optional fields that may be absent and not null may be null too",
            "either.type",
            "gone",
            "height.exclusiveMinimum",
            "name.format",
            "tags.uniqueItems",
            "additionalProperties",
            "$id",
        ]
    );
}

#[test]
fn what_is_no_schema_of_records_is_refused() {
    let deep = (0..40).fold(
        json!({}),
        |inner, _| json!({"type": "array", "items": inner}),
    );
    let circle = json!({
        "properties": {"a": {"$ref": "#/$defs/node"}},
        "$defs": {"node": {"properties": {"next": {"$ref": "#/$defs/node"}}}},
    });
    let wide = json!({
        "properties": {"a": {"$ref": "#/$defs/n"}},
        "$defs": {"n": {"properties": {"l": {"$ref": "#/$defs/n"}, "r": {"$ref": "#/$defs/n"}}}},
    });
    for schema in [
        json!(1),
        json!({"type": "array"}),
        json!({"properties": {"a": 1}}),
        json!({"properties": {"a": deep}}),
        circle,
        wide,
        json!({"properties": {"a": {"type": "integer", "minimum": 2, "maximum": 1}}}),
        json!({"properties": {"a": {"type": "integer", "minimum": "x"}}}),
        json!({"properties": {"a": {"type": "string", "maxLength": -1}}}),
        json!({"properties": {"a": {"type": "string", "default": 1}}}),
        json!({"x-syncline-oldest-reader": 2}),
        json!({"x-syncline-oldest-reader": "2"}),
        json!({"x-syncline-rules": [{}]}),
        json!({"properties": {"a": {"x-syncline-policy": "newest"}}}),
    ] {
        let error = Contract::from_json_schema("things", 1, &schema).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{schema}");
        assert!(error.to_string().starts_with("the schema: "), "{error}");
    }
    let itself = json!({"properties": {"a": {"$ref": "#/properties/a"}}});
    assert_eq!(read(&itself).0.field("a").map(Field::kind), Some(Kind::Any));
}

proptest! {
    #[test]
    fn a_contract_survives_its_schema(contract in any_contract()) {
        let schema = contract.json_schema();
        let back = Contract::from_json_schema("things", contract.version(), &schema).unwrap();
        prop_assert_eq!(back, (contract, Vec::new()));
    }
}

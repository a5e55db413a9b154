//! From a contract to its schema.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{ANY_TYPES, DIALECT, OWN, length_words};
use crate::contract::json::{self, Object};
use crate::contract::{Contract, Field, Kind, Ownership, Retention, Span};
use crate::doc::Value;

impl Contract {
    /// The contract as JSON Schema 2020-12. [`Contract::from_json_schema`] reads all of it back.
    ///
    /// ```
    /// use syncline::contract::{Contract, Field};
    /// let contract = Contract::builder("tasks", 1)
    ///     .field("title", Field::string().required().length(1..=200).sensitive())
    ///     .build()?;
    /// let schema = contract.json_schema();
    /// assert_eq!(schema["properties"]["title"]["maxLength"], 200);
    /// assert_eq!(schema["properties"]["title"]["x-syncline-sensitive"], true);
    /// let (back, left_out) = Contract::from_json_schema("tasks", 1, &schema)?;
    /// assert_eq!((back, left_out.len()), (contract, 0));
    /// # Ok::<_, syncline::Error>(())
    /// ```
    pub fn json_schema(&self) -> Json {
        let mut object = Object::default();
        object.put("$schema", DIALECT);
        object.put("title", self.collection.as_str());
        let description = self.description.as_str();
        object.put_if(!description.is_empty(), "description", description);
        object.put("type", "object");
        put_fields(&mut object, &self.fields);
        put_own(&mut object, "version", self.version);
        if self.oldest_reader > 1 {
            put_own(&mut object, "oldest-reader", self.oldest_reader);
        }
        if self.oldest_writer > 1 {
            put_own(&mut object, "oldest-writer", self.oldest_writer);
        }
        if !self.rules.is_empty() {
            let rules: Vec<_> = self.rules.iter().map(json::rule).collect();
            put_own(&mut object, "rules", rules);
        }
        if !self.indexes.is_empty() {
            put_own(&mut object, "indexes", json::all_indexes(&self.indexes));
        }
        if self.ownership != Ownership::Shared {
            put_own(&mut object, "ownership", json::ownership(&self.ownership));
        }
        if let Some(gate) = &self.gate {
            put_own(&mut object, "gate", gate.as_str());
        }
        if !self.migrations.is_empty() {
            put_own(
                &mut object,
                "migrations",
                json::migrations(&self.migrations),
            );
        }
        if self.retention != Retention::default() {
            put_own(&mut object, "retention", json::retention(self.retention));
        }
        object.done()
    }
}

fn put_own(object: &mut Object, key: &str, value: impl Into<Json>) {
    object.put(&format!("{OWN}{key}"), value);
}

fn put_fields(object: &mut Object, fields: &BTreeMap<String, Field>) {
    if fields.is_empty() {
        return;
    }
    let mut properties = Object::default();
    let mut required = Vec::new();
    for (name, it) in fields {
        properties.put(name, field(it));
        if it.required && it.default.is_none() {
            required.push(name.as_str());
        }
    }
    object.put("properties", properties.done());
    object.put_if(!required.is_empty(), "required", required);
}

fn field(field: &Field) -> Json {
    let mut object = Object::default();
    put_kind(&mut object, field);
    let description = field.description.as_str();
    object.put_if(!description.is_empty(), "description", description);
    if let Some(default) = &field.default {
        object.put("default", default.to_json());
    }
    if field.sensitive {
        put_own(&mut object, "sensitive", true);
    }
    if field.policy.differs() {
        put_own(&mut object, "policy", field.policy.to_string());
    }
    if let Some(range) = &field.range {
        put_range(&mut object, field.kind, range);
    }
    if let Some(length) = &field.length {
        put_length(&mut object, field.kind, length);
    }
    if let Some(pattern) = &field.pattern {
        object.put("pattern", pattern.source());
    }
    if let Some(options) = &field.options {
        let null = (!field.required).then_some(Json::Null);
        let options: Vec<_> = options.iter().map(Value::to_json).chain(null).collect();
        object.put("enum", options);
    }
    if let Some(element) = &field.element {
        let key = if field.kind == Kind::Map {
            "additionalProperties"
        } else {
            "items"
        };
        object.put(key, self::field(element));
    }
    put_fields(&mut object, &field.fields);
    object.done()
}

/// The type, and the kind where the type does not tell it.
fn put_kind(object: &mut Object, field: &Field) {
    let (name, is_told) = match field.kind {
        Kind::Bool => ("boolean", true),
        Kind::Integer => ("integer", true),
        Kind::Number => ("number", true),
        Kind::String => ("string", true),
        Kind::List => ("array", true),
        Kind::Map => ("object", true),
        Kind::Text => ("string", false),
        Kind::Counter => ("integer", false),
        Kind::Bytes | Kind::Timestamp | Kind::Set => ("object", false),
        Kind::Any => {
            if field.required {
                object.put("type", ANY_TYPES.as_slice());
            }
            if field.options.is_some() {
                put_own(object, "kind", Kind::Any.name());
            }
            return;
        }
    };
    if field.required {
        object.put("type", name);
    } else {
        object.put("type", vec![name, "null"]);
    }
    if !is_told {
        put_own(object, "kind", field.kind.name());
    }
    if field.kind == Kind::Bytes {
        let bytes = json!({"contentEncoding": "base64", "type": "string"});
        put_wrapped(object, "$bytes", bytes);
    } else if field.kind == Kind::Timestamp {
        let time = json!({"format": "date-time", "type": ["string", "integer"]});
        put_wrapped(object, "$time", time);
    } else if field.kind == Kind::Set {
        object.put("additionalProperties", json!({"const": true}));
    }
}

fn put_wrapped(object: &mut Object, key: &str, schema: Json) {
    let mut properties = Object::default();
    properties.put(key, schema);
    object.put("properties", properties.done());
    object.put("required", vec![key]);
}

fn put_range(object: &mut Object, kind: Kind, range: &Span<Value>) {
    let ends = [&range.min, &range.max].map(|it| it.as_ref().map(Value::to_json));
    let is_plain = ends.iter().flatten().all(Json::is_number);
    if kind == Kind::Timestamp || !is_plain {
        put_own(object, "range", json::span(range, Value::to_json));
        return;
    }
    let [min, max] = ends;
    if let Some(min) = min {
        object.put("minimum", min);
    }
    if let Some(max) = max {
        object.put("maximum", max);
    }
}

fn put_length(object: &mut Object, kind: Kind, length: &Span<u64>) {
    let Some((min, max)) = length_words(kind) else {
        let length = json::span(length, |it| Json::from(*it));
        return put_own(object, "length", length);
    };
    if let Some(least) = length.min {
        object.put(min, least);
    }
    if let Some(most) = length.max {
        object.put(max, most);
    }
}

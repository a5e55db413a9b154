//! Contracts as JSON: one form for equal contracts.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::{Contract, Field, IndexKey, Migration, Ownership, Retention, Rule, Span, Step};
use crate::doc::Value;

/// The key that says that an object is a contract, and in which version of the form.
pub(super) const FORM_KEY: &str = "syncline_contract";

/// The version of the form that is written.
pub(super) const FORM: u32 = 1;

impl Contract {
    /// The contract as JSON, with what it says and nothing that goes without saying. Equal contracts have
    /// equal JSON, to the byte once it is written.
    pub fn to_json(&self) -> Json {
        let mut object = Object::default();
        object.put(FORM_KEY, FORM);
        object.put("collection", self.collection.as_str());
        object.put("version", self.version);
        object.put_if(self.oldest_reader > 1, "oldest_reader", self.oldest_reader);
        object.put_if(self.oldest_writer > 1, "oldest_writer", self.oldest_writer);
        let description = self.description.as_str();
        object.put_if(!description.is_empty(), "description", description);
        object.put("fields", fields(&self.fields));
        let rules: Vec<_> = self.rules.iter().map(rule).collect();
        object.put_if(!rules.is_empty(), "rules", rules);
        let indexes = &self.indexes;
        object.put_if(!indexes.is_empty(), "indexes", all_indexes(indexes));
        if self.ownership != Ownership::Shared {
            object.put("ownership", ownership(&self.ownership));
        }
        if self.retention != Retention::default() {
            object.put("retention", retention(self.retention));
        }
        if let Some(gate) = &self.gate {
            object.put("gate", gate.as_str());
        }
        let migrations = &self.migrations;
        object.put_if(
            !migrations.is_empty(),
            "migrations",
            self::migrations(migrations),
        );
        object.done()
    }

    /// Names the contract: equal for equal ones, on every replica.
    pub fn digest(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 contract");
        hasher.update(self.to_json().to_string().as_bytes());
        let mut digest = [0; 16];
        hasher.finalize_xof().fill(&mut digest);
        digest
    }
}

/// An object whose keys are written sorted, whatever the features with which `serde_json` is built.
#[derive(Default)]
pub(super) struct Object(BTreeMap<String, Json>);

impl Object {
    pub(super) fn put(&mut self, key: &str, value: impl Into<Json>) {
        self.0.insert(key.to_owned(), value.into());
    }

    pub(super) fn put_if(&mut self, wanted: bool, key: &str, value: impl Into<Json>) {
        if wanted {
            self.put(key, value);
        }
    }

    pub(super) fn done(self) -> Json {
        Json::Object(Map::from_iter(self.0))
    }
}

fn fields(fields: &BTreeMap<String, Field>) -> Json {
    let mut object = Object::default();
    for (name, it) in fields {
        object.put(name, field(it));
    }
    object.done()
}

fn field(field: &Field) -> Json {
    let mut object = Object::default();
    object.put("kind", field.kind.name());
    object.put_if(field.required, "required", true);
    object.put_if(field.sensitive, "sensitive", true);
    let description = field.description.as_str();
    object.put_if(!description.is_empty(), "description", description);
    if let Some(default) = &field.default {
        object.put("default", default.to_json());
    }
    let policy = &field.policy;
    object.put_if(policy.differs(), "policy", policy.to_string());
    if let Some(range) = &field.range {
        object.put("range", span(range, Value::to_json));
    }
    if let Some(length) = &field.length {
        object.put("length", span(length, |it| Json::from(*it)));
    }
    if let Some(pattern) = &field.pattern {
        object.put("pattern", pattern.source());
    }
    if let Some(options) = &field.options {
        let options: Vec<_> = options.iter().map(Value::to_json).collect();
        object.put("one_of", options);
    }
    if let Some(element) = &field.element {
        object.put("element", self::field(element));
    }
    object.put_if(!field.fields.is_empty(), "fields", fields(&field.fields));
    object.done()
}

pub(super) fn span<T>(span: &Span<T>, to_json: impl Fn(&T) -> Json) -> Json {
    let mut object = Object::default();
    if let Some(min) = &span.min {
        object.put("min", to_json(min));
    }
    if let Some(max) = &span.max {
        object.put("max", to_json(max));
    }
    object.done()
}

pub(super) fn rule(rule: &Rule) -> Json {
    match rule {
        Rule::Order {
            left,
            comparison,
            right,
        } => json!({"order": [left, comparison.name(), right]}),
        Rule::Custom {
            name,
            version,
            path,
        } => json!({"custom": format!("{name}@{version}"), "path": path}),
    }
}

pub(super) fn migrations(migrations: &[Migration]) -> Json {
    migrations.iter().map(migration).collect()
}

fn migration(migration: &Migration) -> Json {
    let steps: Vec<_> = migration.steps.iter().map(step).collect();
    json!({"from": migration.from, "steps": steps, "to": migration.to})
}

fn step(step: &Step) -> Json {
    match step {
        Step::Rename { from, to } => json!({"rename": from, "to": to}),
        Step::Convert { from, was, to, is } => {
            json!({"convert": from, "is": is.name(), "to": to, "was": was.name()})
        }
        Step::Custom { name, version } => json!({"custom": format!("{name}@{version}")}),
    }
}

pub(super) fn all_indexes(indexes: &BTreeMap<String, Vec<IndexKey>>) -> Json {
    let mut object = Object::default();
    for (name, keys) in indexes {
        let keys = keys.iter().map(|key| {
            let direction = if key.descending { "desc" } else { "asc" };
            json!({"direction": direction, "path": key.path})
        });
        object.put(name, keys.collect::<Vec<_>>());
    }
    object.done()
}

pub(super) fn ownership(ownership: &Ownership) -> Json {
    match ownership {
        Ownership::Shared => json!("shared"),
        Ownership::Author => json!("author"),
        Ownership::Field(path) => json!({"field": path}),
    }
}

pub(super) fn retention(retention: Retention) -> Json {
    let Retention {
        age_days,
        records,
        deleted_days,
    } = retention;
    let mut object = Object::default();
    if let Some(days) = age_days {
        object.put("age_days", days);
    }
    if let Some(records) = records {
        object.put("records", records);
    }
    if let Some(days) = deleted_days {
        object.put("deleted_days", days);
    }
    object.done()
}

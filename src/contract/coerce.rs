//! What a contract makes of values: from JSON's kinds to the declared ones, and defaults for reads.

use std::collections::BTreeMap;

use super::{Contract, Field, Kind};
use crate::doc::Value;

impl Contract {
    /// Turns what JSON can't tell apart into what the contract says it is: strings into texts, whole
    /// numbers into counters, lists of strings into sets, and back. What does not fit stays, for
    /// [`Contract::check`] to name.
    ///
    /// ```
    /// use syncline::contract::{Contract, Field, Rules};
    /// use syncline::doc::Value;
    /// let contract = Contract::builder("notes", 1).field("body", Field::text()).build()?;
    /// let mut note = Value::from_json(&serde_json::json!({"body": "milk"}))?;
    /// assert_eq!(contract.check(&note, &Rules::default()).len(), 1);
    /// contract.coerce(&mut note);
    /// assert!(contract.check(&note, &Rules::default()).is_empty());
    /// # Ok::<_, syncline::Error>(())
    /// ```
    pub fn coerce(&self, value: &mut Value) {
        if let Value::Map(map) = value {
            coerce_fields(&self.fields, map);
        }
    }

    /// Fills in the defaults of absent fields, for reads: what is filled in is not to be written. A null
    /// stays, and so does a map that is absent as a whole.
    ///
    /// ```
    /// use syncline::contract::{Contract, Field};
    /// use syncline::doc::Value;
    /// let contract = Contract::builder("tasks", 1).field("priority", Field::integer().default(3));
    /// let contract = contract.build()?;
    /// let mut task = Value::Map([("title".to_owned(), Value::from("rest"))].into());
    /// contract.defaults(&mut task);
    /// assert_eq!(task.get(&["priority".into()]), Some(&Value::Int(3)));
    /// # Ok::<_, syncline::Error>(())
    /// ```
    pub fn defaults(&self, value: &mut Value) {
        if let Value::Map(map) = value {
            fill_fields(&self.fields, map);
        }
    }
}

fn coerce_fields(fields: &BTreeMap<String, Field>, map: &mut BTreeMap<String, Value>) {
    for (name, field) in fields {
        if let Some(value) = map.get_mut(name) {
            by_field(field, value);
        }
    }
}

pub(super) fn by_field(field: &Field, value: &mut Value) {
    by_kind(field.kind, value);
    if let Value::Map(map) = value
        && field.kind == Kind::Map
    {
        coerce_fields(&field.fields, map);
    }
    elements(field, value, by_field);
}

pub(super) fn by_kind(kind: Kind, value: &mut Value) {
    let changed = match (kind, &mut *value) {
        (Kind::Text, Value::Str(text)) => Value::Text(std::mem::take(text)),
        (Kind::String, Value::Text(text)) => Value::Str(std::mem::take(text)),
        (Kind::Counter, Value::Int(number)) => Value::Counter(*number),
        (Kind::Integer | Kind::Number, Value::Counter(number)) => Value::Int(*number),
        (Kind::Set, Value::List(list)) if list.iter().all(|it| matches!(it, Value::Str(_))) => {
            let names = list.iter().filter_map(Value::as_str);
            Value::Map(names.map(|it| (it.to_owned(), Value::Bool(true))).collect())
        }
        _ => return,
    };
    *value = changed;
}

fn fill_fields(fields: &BTreeMap<String, Field>, map: &mut BTreeMap<String, Value>) {
    for (name, field) in fields {
        if let Some(value) = map.get_mut(name) {
            fill(field, value);
        } else if let Some(default) = &field.default {
            map.insert(name.clone(), default.clone());
        }
    }
}

fn fill(field: &Field, value: &mut Value) {
    if let Value::Map(map) = value
        && field.kind == Kind::Map
    {
        fill_fields(&field.fields, map);
    }
    elements(field, value, fill);
}

/// Does `work` to each element of a list, or entry of a map that has no name in the contract.
fn elements(field: &Field, value: &mut Value, work: fn(&Field, &mut Value)) {
    let Some(element) = &field.element else {
        return;
    };
    if let Value::List(list) = value {
        for value in list {
            work(element, value);
        }
    } else if let Value::Map(map) = value {
        for (name, value) in map {
            if !field.fields.contains_key(name) {
                work(element, value);
            }
        }
    }
}

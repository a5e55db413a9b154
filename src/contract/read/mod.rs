//! Contracts from JSON: whatever it is, a contract that is sound comes out, or where it is not one.

pub(in crate::contract) mod migrations;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde_json::{Map, Value as Json};

use super::json::{FORM, FORM_KEY};
use super::pattern::Pattern;
use super::{Contract, Field, IndexKey, Kind, Ownership, Retention, Rule, Span, place, sound};
use crate::doc::Value;
use crate::error::{Error, ErrorKind, Result};
use crate::limits;

/// What is read, or what is wrong with it, led by its place.
type Read<T> = Result<T, String>;

/// Largest text that is read, in bytes: there is room for spaces in it.
const TEXT_BYTES_MAX: usize = 4 * limits::CONTRACT_BYTES_MAX;

impl Contract {
    /// The contract that [`Contract::to_json`] made this of, or that somebody wrote in its form.
    ///
    /// # Errors
    /// `InvalidInput`, naming the place: a key that is not known or is missing, a value that does not
    /// fit, and all that [`super::Builder::build`] refuses.
    pub fn from_json(json: &Json) -> Result<Self> {
        let read = read(json).and_then(|mut contract| {
            sound::check(&mut contract)?;
            Ok(contract)
        });
        read.map_err(|what| invalid(&what))
    }
}

impl FromStr for Contract {
    type Err = Error;

    /// From JSON text.
    fn from_str(text: &str) -> Result<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(invalid(&format!("it is over {TEXT_BYTES_MAX} bytes")));
        }
        let json = serde_json::from_str(text);
        let json = json.map_err(|error| invalid(&format!("it is not JSON: {error}")))?;
        Self::from_json(&json)
    }
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("the contract: {what}"))
}

/// An object whose keys are asked for one by one; what nobody asked for is not known.
pub(in crate::contract) struct Object<'j> {
    map: &'j Map<String, Json>,
    path: String,
    asked: BTreeSet<&'static str>,
}

impl<'j> Object<'j> {
    pub(in crate::contract) fn new(json: &'j Json, path: &str) -> Read<Self> {
        let Json::Object(map) = json else {
            return Err(at(path, "it is not an object"));
        };
        Ok(Self {
            map,
            path: path.to_owned(),
            asked: BTreeSet::new(),
        })
    }

    /// Where a key's value stands.
    pub(in crate::contract) fn place(&self, key: &str) -> String {
        inside(&self.path, key)
    }

    /// What the program's own function is called, as `NAME@VERSION`.
    fn custom(&mut self) -> Read<(&'j str, u32)> {
        let name = self.string("custom")?;
        let name = self.needed("custom", name)?;
        let parts = name.rsplit_once('@');
        let parts = parts.and_then(|(name, version)| Some((name, version.parse().ok()?)));
        parts.ok_or_else(|| at(&self.place("custom"), "it is not NAME@VERSION"))
    }

    pub(in crate::contract) fn get(&mut self, key: &'static str) -> Option<&'j Json> {
        self.asked.insert(key);
        self.map.get(key)
    }

    /// What `read` makes of the value of a key, if it is there.
    pub(in crate::contract) fn read<T>(
        &mut self,
        key: &'static str,
        what: &str,
        read: impl FnOnce(&'j Json) -> Option<T>,
    ) -> Read<Option<T>> {
        let Some(json) = self.get(key) else {
            return Ok(None);
        };
        let read = read(json).ok_or_else(|| at(&self.place(key), &format!("it is not {what}")));
        read.map(Some)
    }

    pub(in crate::contract) fn string(&mut self, key: &'static str) -> Read<Option<&'j str>> {
        self.read(key, "a string", Json::as_str)
    }

    pub(in crate::contract) fn flag(&mut self, key: &'static str) -> Read<bool> {
        let flag = self.read(key, "true or false", Json::as_bool)?;
        Ok(flag.unwrap_or(false))
    }

    pub(in crate::contract) fn number(&mut self, key: &'static str) -> Read<Option<u32>> {
        let number = |it: &Json| it.as_u64().and_then(|it| u32::try_from(it).ok());
        self.read(key, "a whole number of 32 bits", number)
    }

    pub(in crate::contract) fn large(&mut self, key: &'static str) -> Read<Option<u64>> {
        self.read(key, "a whole number", Json::as_u64)
    }

    pub(in crate::contract) fn list(&mut self, key: &'static str) -> Read<Option<&'j Vec<Json>>> {
        self.read(key, "a list", Json::as_array)
    }

    pub(in crate::contract) fn needed<T>(&self, key: &str, value: Option<T>) -> Read<T> {
        value.ok_or_else(|| at(&self.place(key), "it is missing"))
    }

    /// Refuses keys that nobody asked for.
    pub(in crate::contract) fn done(self) -> Read<()> {
        let unknown = self.map.keys().find(|it| !self.asked.contains(it.as_str()));
        unknown.map_or(Ok(()), |key| {
            Err(at(&self.place(key), "there is no such key"))
        })
    }
}

pub(in crate::contract) fn at(path: &str, what: &str) -> String {
    if path.is_empty() {
        return what.to_owned();
    }
    format!("{path}: {what}")
}

fn inside(path: &str, key: &str) -> String {
    let key = place::shorten(key);
    if path.is_empty() {
        return key;
    }
    format!("{path}.{key}")
}

fn read(json: &Json) -> Read<Contract> {
    let mut object = Object::new(json, "")?;
    let form = object.number(FORM_KEY)?;
    match object.needed(FORM_KEY, form)? {
        0 => return Err(at(FORM_KEY, "there is no form 0")),
        FORM => {}
        newer => {
            let what = format!("it has form {newer}, and this program knows {FORM}; upgrade it");
            return Err(at(FORM_KEY, &what));
        }
    }
    let collection = object.string("collection")?;
    let collection = object.needed("collection", collection)?.parse();
    let collection = collection.map_err(|it| at("collection", &format!("{it}")))?;
    let version = object.number("version")?;
    let version = object.needed("version", version)?;
    let oldest_reader = object.number("oldest_reader")?.unwrap_or(1);
    let oldest_writer = object.number("oldest_writer")?;
    let description = object.string("description")?.unwrap_or_default();
    let fields = object.get("fields");
    let contract = Contract {
        collection,
        version,
        oldest_reader,
        oldest_writer: oldest_writer.unwrap_or(oldest_reader),
        description: description.to_owned(),
        fields: read_fields(object.needed("fields", fields)?, "fields", 1)?,
        rules: read_rules(object.list("rules")?)?,
        indexes: read_indexes(object.get("indexes"), "indexes")?,
        ownership: read_ownership(object.get("ownership"), "ownership")?,
        retention: read_retention(object.get("retention"), "retention")?,
        gate: object.string("gate")?.map(str::to_owned),
        migrations: migrations::read(object.get("migrations"), "migrations")?,
    };
    object.done()?;
    Ok(contract)
}

fn read_fields(json: &Json, path: &str, depth: usize) -> Read<BTreeMap<String, Field>> {
    let object = Object::new(json, path)?;
    let max = limits::CONTRACT_DEPTH_MAX;
    if depth > max {
        return Err(at(path, &format!("it is nested deeper than {max}")));
    }
    let mut fields = BTreeMap::new();
    for (name, json) in object.map {
        let field = read_field(json, &object.place(name), depth)?;
        fields.insert(name.clone(), field);
    }
    Ok(fields)
}

fn read_field(json: &Json, path: &str, depth: usize) -> Read<Field> {
    let mut object = Object::new(json, path)?;
    let kind = object.string("kind")?;
    let kind = object.needed("kind", kind)?.parse();
    let kind: Kind = kind.map_err(|it: Error| at(&object.place("kind"), &it.to_string()))?;
    let mut field = Field::new(kind);
    field.required = object.flag("required")?;
    field.sensitive = object.flag("sensitive")?;
    if let Some(description) = object.string("description")? {
        description.clone_into(&mut field.description);
    }
    if let Some(default) = object.get("default") {
        field.default = Some(read_value(default, &object.place("default"))?);
    }
    if let Some(policy) = object.string("policy")? {
        let policy = policy.parse();
        field.policy = policy.map_err(|it: Error| at(&object.place("policy"), &it.to_string()))?;
    }
    if let Some(range) = object.get("range") {
        field.range = Some(read_range(range, &object.place("range"))?);
    }
    if let Some(length) = object.get("length") {
        field.length = Some(read_length(length, &object.place("length"))?);
    }
    field.pattern = object.string("pattern")?.map(Pattern::new);
    if let Some(options) = object.list("one_of")? {
        let place = object.place("one_of");
        let options = options.iter().map(|it| read_value(it, &place));
        field.options = Some(options.collect::<Read<_>>()?);
    }
    if let Some(element) = object.get("element") {
        let place = object.place("element");
        if depth >= limits::CONTRACT_DEPTH_MAX {
            return Err(at(&place, "it is nested too deep"));
        }
        field.element = Some(Box::new(read_field(element, &place, depth + 1)?));
    }
    if let Some(fields) = object.get("fields") {
        field.fields = read_fields(fields, &object.place("fields"), depth + 1)?;
    }
    object.done()?;
    Ok(field)
}

pub(in crate::contract) fn read_value(json: &Json, path: &str) -> Read<Value> {
    Value::from_json(json).map_err(|error| at(path, &error.to_string()))
}

pub(in crate::contract) fn read_range(json: &Json, path: &str) -> Read<Span<Value>> {
    let mut object = Object::new(json, path)?;
    let mut end = |key| {
        let value = object.get(key).map(|it| read_value(it, path));
        value.transpose()
    };
    let (min, max) = (end("min")?, end("max")?);
    object.done()?;
    Ok(Span { min, max })
}

pub(in crate::contract) fn read_length(json: &Json, path: &str) -> Read<Span<u64>> {
    let mut object = Object::new(json, path)?;
    let (min, max) = (object.large("min")?, object.large("max")?);
    object.done()?;
    Ok(Span { min, max })
}

fn read_rules(list: Option<&Vec<Json>>) -> Read<Vec<Rule>> {
    let mut rules = Vec::new();
    for (index, json) in list.into_iter().flatten().enumerate() {
        rules.push(read_rule(json, &format!("rules[{index}]"))?);
    }
    rules.sort_unstable();
    rules.dedup();
    Ok(rules)
}

pub(in crate::contract) fn read_rule(json: &Json, path: &str) -> Read<Rule> {
    let mut object = Object::new(json, path)?;
    let rule = if let Some(order) = object.list("order")? {
        let parts: Option<Vec<_>> = order.iter().map(Json::as_str).collect();
        let Some([left, comparison, right]) = parts.as_deref() else {
            let what = "it is not a list of a path, a comparison and a path";
            return Err(at(&object.place("order"), what));
        };
        let comparison = comparison.parse();
        let comparison =
            comparison.map_err(|it: Error| at(&object.place("order"), &it.to_string()));
        Rule::order(left, comparison?, right)
    } else {
        let (name, version) = object.custom()?;
        Rule::custom(name, version, object.string("path")?.unwrap_or_default())
    };
    object.done()?;
    Ok(rule)
}

pub(in crate::contract) fn read_indexes(
    json: Option<&Json>,
    path: &str,
) -> Read<BTreeMap<String, Vec<IndexKey>>> {
    let mut indexes = BTreeMap::new();
    let Some(json) = json else {
        return Ok(indexes);
    };
    let object = Object::new(json, path)?;
    for (name, json) in object.map {
        let place = object.place(name);
        let Json::Array(list) = json else {
            return Err(at(&place, "it is not a list"));
        };
        let keys = list.iter().map(|it| read_key(it, &place));
        indexes.insert(name.clone(), keys.collect::<Read<_>>()?);
    }
    Ok(indexes)
}

fn read_key(json: &Json, path: &str) -> Read<IndexKey> {
    let mut object = Object::new(json, path)?;
    let descending = match object.string("direction")? {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(at(&object.place("direction"), "it is not asc or desc")),
    };
    let path = object.string("path")?;
    let path = object.needed("path", path)?.to_owned();
    object.done()?;
    Ok(IndexKey { path, descending })
}

pub(in crate::contract) fn read_ownership(json: Option<&Json>, path: &str) -> Read<Ownership> {
    match json {
        None => Ok(Ownership::Shared),
        Some(Json::String(name)) if name == "shared" => Ok(Ownership::Shared),
        Some(Json::String(name)) if name == "author" => Ok(Ownership::Author),
        Some(json) => {
            let mut object = Object::new(json, path)?;
            let field = object.string("field")?;
            let field = object.needed("field", field)?.to_owned();
            object.done()?;
            Ok(Ownership::Field(field))
        }
    }
}

pub(in crate::contract) fn read_retention(json: Option<&Json>, path: &str) -> Read<Retention> {
    let Some(json) = json else {
        return Ok(Retention::default());
    };
    let mut object = Object::new(json, path)?;
    let retention = Retention {
        age_days: object.number("age_days")?,
        records: object.large("records")?,
        deleted_days: object.number("deleted_days")?,
    };
    object.done()?;
    Ok(retention)
}

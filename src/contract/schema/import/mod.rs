//! From a schema, ours or anyone's, to a contract and a list of what it can't say.

mod fields;

use serde_json::{Map, Value as Json};

use super::{DIALECT, OWN};
use crate::contract::read::{
    at, migrations::read as migrations, read_indexes, read_ownership, read_retention, read_rule,
};
use crate::contract::{Contract, place, sound};
use crate::error::{Error, ErrorKind, Result};
use crate::limits;
use fields::Importer;

impl Contract {
    /// The contract of a collection at a version that a JSON Schema describes: all of what
    /// [`Contract::json_schema`] wrote, and of other schemas what a contract can say. With it comes what
    /// it can't, each with its place.
    ///
    /// Local references (`#/$defs/…`) are followed. A contract never refuses fields that it does not name,
    /// and an optional field may be null.
    ///
    /// # Errors
    /// `InvalidInput` if it is not a schema of objects, is nested too deep, or says what no contract may:
    /// an empty range, a default that breaks its own rules.
    pub fn from_json_schema(
        collection: &str,
        version: u32,
        schema: &Json,
    ) -> Result<(Self, Vec<String>)> {
        let invalid = |what: String| {
            let message = format!("the schema: {what}");
            Error::new(ErrorKind::InvalidInput, message)
        };
        let mut importer = Importer::new(schema);
        let contract = root(&mut importer, collection, version).and_then(|mut contract| {
            sound::check(&mut contract)?;
            Ok(contract)
        });
        Ok((contract.map_err(invalid)?, importer.left_out))
    }
}

/// The keys of one schema, taken one by one; what nobody takes is left out.
pub(super) struct Keys {
    map: Map<String, Json>,
    pub(super) place: String,
}

impl Keys {
    pub(super) const fn new(map: Map<String, Json>, place: String) -> Self {
        Self { map, place }
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Json> {
        self.map.remove(key)
    }

    pub(super) fn take_own(&mut self, key: &str) -> Option<Json> {
        self.map.remove(&format!("{OWN}{key}"))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Json> {
        self.map.get(key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    pub(super) fn at(&self, key: &str) -> String {
        let key = place::shorten(key);
        if self.place.is_empty() {
            return key;
        }
        format!("{}.{key}", self.place)
    }

    /// The names of what nobody took.
    pub(super) fn rest(&self) -> Vec<String> {
        self.map.keys().map(|key| self.at(key)).collect()
    }
}

fn root(importer: &mut Importer<'_>, collection: &str, version: u32) -> Result<Contract, String> {
    let mut keys = importer.flatten(importer.root, "")?;
    if keys.take("type").is_some_and(|it| it != "object") {
        return Err(at("type", "a record is an object and nothing else"));
    }
    if keys.take("$schema").is_some_and(|it| it != DIALECT) {
        importer.leave_out("$schema: it is read as 2020-12, whatever it is");
    }
    for key in ["$defs", "definitions"] {
        drop(keys.take(key));
    }
    if let Some(title) = keys.take("title")
        && title != collection
    {
        importer.leave_out("title: the collection has another name");
    }
    drop(keys.take_own("version"));
    let number = |json: Option<Json>, key: &str| match json {
        None => Ok(None),
        Some(json) => {
            let number = json.as_u64().and_then(|it| u32::try_from(it).ok());
            let wrong = || {
                at(
                    &format!("{OWN}{key}"),
                    "it is not a whole number of 32 bits",
                )
            };
            number.map(Some).ok_or_else(wrong)
        }
    };
    let oldest_reader = number(keys.take_own("oldest-reader"), "oldest-reader")?.unwrap_or(1);
    let oldest_writer = number(keys.take_own("oldest-writer"), "oldest-writer")?;
    let description = importer.text(&mut keys, "description");
    let mut rules = Vec::new();
    if let Some(Json::Array(list)) = keys.take_own("rules") {
        for (index, rule) in list.iter().enumerate() {
            rules.push(read_rule(rule, &format!("{OWN}rules[{index}]"))?);
        }
    }
    rules.sort_unstable();
    rules.dedup();
    let own = |key: &str| format!("{OWN}{key}");
    let contract = Contract {
        collection: collection.parse().map_err(|it| format!("{it}"))?,
        version,
        oldest_reader,
        oldest_writer: oldest_writer.unwrap_or(oldest_reader),
        description,
        rules,
        indexes: read_indexes(keys.take_own("indexes").as_ref(), &own("indexes"))?,
        ownership: read_ownership(keys.take_own("ownership").as_ref(), &own("ownership"))?,
        retention: read_retention(keys.take_own("retention").as_ref(), &own("retention"))?,
        gate: keys
            .take_own("gate")
            .and_then(|it| it.as_str().map(str::to_owned)),
        migrations: migrations(keys.take_own("migrations").as_ref(), &own("migrations"))?,
        fields: importer.properties(&mut keys, 1)?,
    };
    match keys.take("additionalProperties") {
        None | Some(Json::Bool(true)) => {}
        Some(_) => {
            importer.leave_out("additionalProperties: fields that are not named may be anything");
        }
    }
    importer.leave_out_rest(&keys);
    Ok(contract)
}

/// Most lines of what is left out.
const LEFT_OUT_MAX: usize = limits::CONTRACT_FIELDS_MAX;

impl Importer<'_> {
    /// Says that something is not carried over.
    pub(super) fn leave_out(&mut self, what: impl Into<String>) {
        let what = what.into();
        if self.left_out.len() < LEFT_OUT_MAX && !self.left_out.contains(&what) {
            self.left_out.push(what);
        }
    }

    pub(super) fn leave_out_rest(&mut self, keys: &Keys) {
        for key in keys.rest() {
            self.leave_out(format!("{key}: a contract has no word for it"));
        }
    }

    pub(super) fn text(&mut self, keys: &mut Keys, key: &str) -> String {
        match keys.take(key) {
            None => String::new(),
            Some(Json::String(text)) => text,
            Some(_) => {
                self.leave_out(format!("{}: it is not a string", keys.at(key)));
                String::new()
            }
        }
    }
}

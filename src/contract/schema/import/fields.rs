//! Fields from the properties of a schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::super::{ANY_TYPES, length_words};
use super::Keys;
use crate::contract::pattern::Pattern;
use crate::contract::read::{at, read_length, read_range, read_value};
use crate::contract::{Field, Kind, Span, place};
use crate::doc::Value;
use crate::limits;

type Read<T> = Result<T, String>;

/// References and alternatives with null that are followed one after the other.
const HOPS_MAX: usize = 8;

/// Reads a schema.
pub(in crate::contract::schema) struct Importer<'j> {
    pub(super) root: &'j Json,
    /// What a contract can't say.
    pub(super) left_out: Vec<String>,
    fields: usize,
}

/// A field, and whether the schema lets it be null.
struct Found {
    field: Field,
    nullable: bool,
}

impl<'j> Importer<'j> {
    pub(super) const fn new(root: &'j Json) -> Self {
        Self {
            root,
            left_out: Vec::new(),
            fields: 0,
        }
    }

    /// The keys of a schema, those it refers to among them.
    pub(super) fn flatten(&mut self, schema: &Json, place: &str) -> Read<Keys> {
        let mut map = match schema {
            Json::Object(map) => map.clone(),
            Json::Bool(true) => Map::new(),
            Json::Bool(false) | Json::Null | Json::Number(_) | Json::String(_) | Json::Array(_) => {
                return Err(at(place, "it is not a schema of anything"));
            }
        };
        let mut nullable = false;
        for _ in 0..HOPS_MAX {
            let next = match map.remove("$ref") {
                Some(Json::String(to)) => {
                    let to = to.strip_prefix('#').and_then(|it| self.root.pointer(it));
                    let Some(Json::Object(to)) = to else {
                        self.leave_out(format!("{place}: its $ref leads nowhere in the schema"));
                        break;
                    };
                    to.clone()
                }
                _ => match or_null(&mut map) {
                    Some(schema) => {
                        nullable = true;
                        schema
                    }
                    None => break,
                },
            };
            for (key, value) in next {
                // What stands beside a reference says more than what it refers to.
                map.entry(key).or_insert(value);
            }
        }
        if nullable && let Some(Json::Array(options)) = map.get_mut("enum") {
            options.push(Json::Null);
        }
        if nullable && let Some(types) = map.get_mut("type") {
            let mut all = types
                .as_array()
                .cloned()
                .unwrap_or_else(|| vec![types.clone()]);
            all.push(Json::from("null"));
            *types = Json::Array(all);
        }
        Ok(Keys::new(map, place.to_owned()))
    }

    /// The named fields of an object.
    pub(super) fn properties(
        &mut self,
        keys: &mut Keys,
        depth: usize,
    ) -> Read<BTreeMap<String, Field>> {
        let mut required: Vec<String> = match keys.take("required") {
            Some(Json::Array(list)) => list
                .iter()
                .filter_map(Json::as_str)
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        };
        let mut fields = BTreeMap::new();
        let properties = keys.take("properties");
        let Some(Json::Object(properties)) = properties else {
            for name in required {
                let place = keys.at(&name);
                self.leave_out(format!("{place}: it is required, and nothing more is said"));
            }
            return Ok(fields);
        };
        for (name, schema) in properties {
            let place = keys.at(&name);
            let is_required = required.contains(&name);
            required.retain(|it| *it != name);
            if let Err(what) = place::check_field_name(&name) {
                self.leave_out(format!("{place}: {what}"));
                continue;
            }
            let Found {
                mut field,
                nullable,
            } = self.field(&schema, &place, depth)?;
            if is_required && nullable {
                self.leave_out(format!(
                    "{place}: it is required and may be null; it may be absent too"
                ));
            }
            let is_filled = field.default.is_some();
            if is_required && is_filled {
                self.leave_out(format!(
                    "{place}: it is required and has a default; it may be absent"
                ));
            }
            field.required = !nullable && (is_required || is_filled);
            if !nullable && !field.required {
                self.leave_out("optional fields that may be absent and not null may be null too");
            }
            fields.insert(name, field);
        }
        for name in required {
            let place = keys.at(&name);
            self.leave_out(format!("{place}: it is required, and nothing more is said"));
        }
        Ok(fields)
    }

    fn field(&mut self, schema: &Json, place: &str, depth: usize) -> Read<Found> {
        self.fields += 1;
        if self.fields > limits::CONTRACT_FIELDS_MAX || depth > limits::CONTRACT_DEPTH_MAX {
            return Err(at(
                place,
                "it has too many fields, or they are nested too deep",
            ));
        }
        if *schema == Json::Bool(false) {
            self.leave_out(format!("{place}: nothing may be there"));
            return Ok(Found {
                field: Field::any(),
                nullable: true,
            });
        }
        let mut keys = self.flatten(schema, place)?;
        let (kind, mut nullable) = self.kind(&mut keys);
        let mut field = Field::new(kind);
        field.description = self.text(&mut keys, "description");
        if let Some(default) = keys.take("default") {
            if default.is_null() {
                self.leave_out(format!("{place}.default: null is read as absent"));
            } else {
                field.default = Some(read_value(&default, &keys.at("default"))?);
            }
        }
        if let Some(options) = choice(&mut keys) {
            let some = options.iter().filter(|it| !it.is_null());
            let some: Vec<_> = some.map(|it| read_value(it, place)).collect::<Read<_>>()?;
            nullable &= options.iter().any(Json::is_null);
            let has_options = !matches!(kind, Kind::List | Kind::Set | Kind::Map);
            if has_options && !some.is_empty() {
                field.options = Some(some);
            } else {
                self.leave_out(format!(
                    "{place}.enum: there is no choice of values of this kind"
                ));
            }
        }
        own(&mut keys, &mut field)?;
        self.range(&mut keys, &mut field)?;
        if field.length.is_none() {
            field.length = length(&mut keys, kind)?;
        }
        self.pattern(&mut keys, &mut field);
        self.inside(&mut keys, &mut field, depth)?;
        self.leave_out_rest(&keys);
        Ok(Found { field, nullable })
    }

    /// The kind, and whether null is allowed beside it.
    fn kind(&mut self, keys: &mut Keys) -> (Kind, bool) {
        let types: Option<Vec<Json>> = match keys.take("type") {
            None => None,
            Some(Json::Array(list)) => Some(list),
            Some(one) => Some(vec![one]),
        };
        let mut names: Vec<_> = types.iter().flatten().filter_map(Json::as_str).collect();
        let nullable = types.is_none() || names.contains(&"null");
        let is_null_only = types.is_some() && names == ["null"];
        names.retain(|it| *it != "null");
        names.sort_unstable();
        names.dedup();
        let own = keys.take_own("kind");
        if let Some(kind) = own
            .as_ref()
            .and_then(Json::as_str)
            .and_then(|it| it.parse().ok())
        {
            return (kind, nullable);
        }
        let kind = match names.as_slice() {
            ["boolean"] => Kind::Bool,
            ["integer"] => Kind::Integer,
            ["number"] | ["integer", "number"] => Kind::Number,
            ["string"] => Kind::String,
            ["array"] => Kind::List,
            ["object"] => Kind::Map,
            [] if types.is_none() => inferred(keys),
            all if all == ANY_TYPES => Kind::Any,
            _ => {
                let what = if is_null_only {
                    "null only"
                } else {
                    "a choice of types"
                };
                self.leave_out(format!("{}: {what}", keys.at("type")));
                Kind::Any
            }
        };
        (kind, nullable)
    }

    fn range(&mut self, keys: &mut Keys, field: &mut Field) -> Read<()> {
        if !field.kind.has_range() || field.range.is_some() {
            return Ok(());
        }
        let mut ends = [None, None];
        for (end, key, open, step) in [
            (0, "minimum", "exclusiveMinimum", 1),
            (1, "maximum", "exclusiveMaximum", -1),
        ] {
            let closed = keys
                .take(key)
                .map(|it| read_value(&it, &keys.at(key)))
                .transpose()?;
            let next = keys.take(open).map(|it| {
                let next = it.as_i64().and_then(|it| it.checked_add(step));
                next.filter(|_| field.kind != Kind::Number).map(Value::Int)
            });
            if next == Some(None) {
                self.leave_out(format!("{}: ends of ranges are in them", keys.at(open)));
            }
            let next = next.flatten();
            // The narrower of the two.
            let tighter = |a: &Value, b: &Value| {
                if end == 0 {
                    a.order(b).is_gt()
                } else {
                    a.order(b).is_lt()
                }
            };
            let found = match (closed, next) {
                (Some(a), Some(b)) => Some(if tighter(&a, &b) { a } else { b }),
                (a, b) => a.or(b),
            };
            if let Some(place) = ends.get_mut(end) {
                *place = found;
            }
        }
        let [min, max] = ends;
        field.range = (min.is_some() || max.is_some()).then_some(Span { min, max });
        Ok(())
    }

    fn pattern(&mut self, keys: &mut Keys, field: &mut Field) {
        if !field.kind.has_pattern() {
            return;
        }
        let Some(pattern) = keys.take("pattern") else {
            return;
        };
        let pattern = Pattern::new(pattern.as_str().unwrap_or_default());
        match pattern.fault() {
            None => field.pattern = Some(pattern),
            Some(fault) => self.leave_out(format!("{}: {fault}", keys.at("pattern"))),
        }
    }

    fn inside(&mut self, keys: &mut Keys, field: &mut Field, depth: usize) -> Read<()> {
        let mut element = None;
        if field.kind == Kind::Map {
            field.fields = self.properties(keys, depth + 1)?;
            element = keys.take("additionalProperties");
        } else if field.kind == Kind::List {
            element = keys.take("items");
        }
        if field.kind == Kind::Map && element == Some(Json::Bool(false)) {
            let place = keys.at("additionalProperties");
            self.leave_out(format!(
                "{place}: fields that are not named may be anything"
            ));
            return Ok(());
        }
        let Some(schema) = element.filter(|it| *it != Json::Bool(true)) else {
            return Ok(());
        };
        let place = format!("{}{}", keys.place, field.kind.step_to_element());
        let Found {
            field: mut element,
            nullable,
        } = self.field(&schema, &place, depth + 1)?;
        element.required = !nullable;
        if element.default.take().is_some() {
            self.leave_out(format!("{place}.default: an element has no default"));
        }
        field.element = Some(Box::new(element));
        Ok(())
    }
}

/// What only our schemas say.
fn own(keys: &mut Keys, field: &mut Field) -> Read<()> {
    match keys.take_own("sensitive") {
        None | Some(Json::Bool(false)) => {}
        // Whatever is said of a secret, it is one.
        Some(_) => field.sensitive = true,
    }
    if let Some(policy) = keys.take_own("policy") {
        let policy = policy.as_str().unwrap_or_default().parse();
        field.policy =
            policy.map_err(|it: crate::error::Error| at(&keys.place, &it.to_string()))?;
    }
    if let Some(range) = keys.take_own("range") {
        field.range = Some(read_range(&range, &keys.place)?);
    }
    if let Some(length) = keys.take_own("length") {
        field.length = Some(read_length(&length, &keys.place)?);
    }
    // How these are written in JSON is known.
    if matches!(field.kind, Kind::Bytes | Kind::Timestamp) {
        drop((keys.take("properties"), keys.take("required")));
    } else if field.kind == Kind::Set {
        drop(keys.take("additionalProperties"));
    }
    Ok(())
}

/// The length of a kind that has one.
fn length(keys: &mut Keys, kind: Kind) -> Read<Option<Span<u64>>> {
    let Some((least, most)) = length_words(kind) else {
        return Ok(None);
    };
    let mut end = |key| match keys.take(key) {
        None => Ok(None),
        Some(json) => {
            let length = json.as_u64().map(Some);
            length.ok_or_else(|| at(&keys.at(key), "it is no length"))
        }
    };
    let (min, max) = (end(least)?, end(most)?);
    Ok((min.is_some() || max.is_some()).then_some(Span { min, max }))
}

/// The values of `enum` or `const`.
fn choice(keys: &mut Keys) -> Option<Vec<Json>> {
    match (keys.take("enum"), keys.take("const")) {
        (_, Some(only)) => Some(vec![only]),
        (Some(Json::Array(list)), None) => Some(list),
        _ => None,
    }
}

/// The kind of a schema without a type.
fn inferred(keys: &Keys) -> Kind {
    if keys.has("properties") || keys.has("additionalProperties") {
        return Kind::Map;
    }
    if keys.has("items") {
        return Kind::List;
    }
    let values = keys.get("enum").and_then(Json::as_array).cloned();
    let values = values.or_else(|| keys.get("const").cloned().map(|it| vec![it]));
    let some: Vec<_> = values
        .into_iter()
        .flatten()
        .filter(|it| !it.is_null())
        .collect();
    let all = |is: fn(&Json) -> bool| !some.is_empty() && some.iter().all(is);
    if all(Json::is_string) {
        Kind::String
    } else if all(|it| it.is_i64() || it.is_u64()) {
        Kind::Integer
    } else if all(Json::is_number) {
        Kind::Number
    } else {
        Kind::Any
    }
}

/// What stands beside null in a choice of two, as many generators write an optional field.
fn or_null(map: &mut Map<String, Json>) -> Option<Map<String, Json>> {
    let is_null = |it: &Json| it.get("type").is_some_and(|it| it == "null");
    for key in ["anyOf", "oneOf"] {
        let Some([a, b]) = map.get(key).and_then(Json::as_array).map(Vec::as_slice) else {
            continue;
        };
        let other = if is_null(b) { a } else { b };
        if (is_null(a) || is_null(b))
            && let Json::Object(other) = other.clone()
        {
            map.remove(key);
            return Some(other);
        }
    }
    None
}

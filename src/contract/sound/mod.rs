//! Whether the parts of a contract go together; and its one form, so that equal contracts are equal.
//!
//! What is wrong comes as a sentence that is led by the place. It may come from a peer's contract.

mod migrations;

use std::collections::BTreeMap;

use super::check::Checker;
use super::pattern::Pattern;
use super::{Contract, Field, IndexKey, Kind, Ownership, Rule, Rules, Span, coerce, place};
use crate::doc::Value;
use crate::limits;

type Sound = Result<(), String>;

/// Checks all of it, and normalises it.
pub(super) fn check(contract: &mut Contract) -> Sound {
    versions(contract)?;
    let mut fields = Fields { count: 0 };
    fields.check_all(&mut contract.fields, "", 1, true)?;
    bound("rules", contract.rules.len(), limits::CONTRACT_RULES_MAX)?;
    for rule in &contract.rules {
        check_rule(contract, rule).map_err(|it| format!("rule '{}': {it}", rule.name()))?;
    }
    let indexes = contract.indexes.len();
    bound("indexes", indexes, limits::CONTRACT_INDEXES_MAX)?;
    for (name, keys) in &contract.indexes {
        place::check_name(name, 1).map_err(|it| format!("index {it}"))?;
        check_index(contract, keys).map_err(|it| format!("index '{name}': {it}"))?;
    }
    if let Ownership::Field(path) = &contract.ownership {
        known(contract, path).map_err(|it| format!("ownership: {it}"))?;
    }
    migrations::check(contract)?;
    if let Some(gate) = &contract.gate {
        place::check_name(gate, 1).map_err(|it| format!("gate: {it}"))?;
    }
    let bytes = contract.to_json().to_string().len();
    bound("bytes as JSON", bytes, limits::CONTRACT_BYTES_MAX)
}

fn versions(contract: &Contract) -> Sound {
    let Contract {
        version,
        oldest_reader,
        oldest_writer,
        ..
    } = contract;
    if *version == 0 || *oldest_reader == 0 {
        return Err("version: versions are from 1".to_owned());
    }
    if oldest_reader > oldest_writer {
        return Err(format!(
            "oldest_writer: it is {oldest_writer}, below the oldest reader, {oldest_reader}; who may \
             not read may not write"
        ));
    }
    if oldest_writer > version {
        return Err(format!(
            "oldest_writer: it is {oldest_writer}, above the contract's own version, {version}"
        ));
    }
    Ok(())
}

fn bound(what: &str, count: usize, max: usize) -> Sound {
    if count > max {
        return Err(format!("{count} {what} are more than the {max} allowed"));
    }
    Ok(())
}

/// The field at `path` has to be declared, and reached through maps.
fn known<'c>(contract: &'c Contract, path: &str) -> Result<&'c Field, String> {
    let missing = || {
        let path = place::shorten(path);
        format!("'{path}' is no declared field that maps lead to")
    };
    contract.field(path).ok_or_else(missing)
}

fn check_rule(contract: &Contract, rule: &Rule) -> Sound {
    match rule {
        Rule::Order { left, right, .. } => {
            let (a, b) = (known(contract, left)?.kind, known(contract, right)?.kind);
            if compare(a, b) {
                return Ok(());
            }
            Err(format!(
                "'{left}', {a}, does not compare with '{right}', {b}"
            ))
        }
        Rule::Custom {
            name,
            version,
            path,
        } => {
            place::check_name(name, *version)?;
            if !path.is_empty() {
                known(contract, path)?;
            }
            Ok(())
        }
    }
}

/// Whether values of these kinds have an order that means something.
fn compare(a: Kind, b: Kind) -> bool {
    let number = |it| matches!(it, Kind::Integer | Kind::Number | Kind::Counter);
    let text = |it| matches!(it, Kind::String | Kind::Text);
    let any = a == Kind::Any || b == Kind::Any;
    any || a == b || (number(a) && number(b)) || (text(a) && text(b))
}

fn check_index(contract: &Contract, keys: &[IndexKey]) -> Sound {
    let mut seen = Vec::new();
    let mut is_one_by_elements = false;
    for key in keys {
        let path = key.path.as_str();
        if seen.contains(&path) {
            return Err(format!("'{path}' is in it twice"));
        }
        seen.push(path);
        bound("fields", seen.len(), limits::INDEX_FIELDS_MAX)?;
        let (list, Some(within)) = key.parts() else {
            known(contract, path)?;
            continue;
        };
        if std::mem::replace(&mut is_one_by_elements, true) {
            return Err("one of its fields may be the elements of a list, not two".to_owned());
        }
        check_elements(known(contract, list)?, path, within)?;
    }
    if seen.is_empty() {
        return Err("it has no fields".to_owned());
    }
    Ok(())
}

/// Whether a field has elements, and they have a field at such a path.
fn check_elements(field: &Field, path: &str, within: &str) -> Sound {
    let shown = place::shorten(path);
    if !matches!(field.kind, Kind::List | Kind::Set | Kind::Any) {
        return Err(format!("'{shown}': {} has no elements", field.kind));
    }
    if path.ends_with("[]") && within.is_empty() {
        return Ok(());
    }
    let mut names = within.split('.').filter(|_| path.contains("[]."));
    let first = names.next();
    let first = first.and_then(|it| field.element()?.fields.get(it));
    match names.try_fold(first, |it, name| Some(it?.fields.get(name))) {
        Some(Some(_)) => Ok(()),
        Some(None) | None => Err(format!("'{shown}' is no declared field of elements")),
    }
}

struct Fields {
    count: usize,
}

impl Fields {
    /// `fixed` says that names alone lead here, not elements.
    fn check_all(
        &mut self,
        fields: &mut BTreeMap<String, Field>,
        above: &str,
        depth: usize,
        fixed: bool,
    ) -> Sound {
        for (name, field) in fields {
            let shown = place::shorten(name);
            let path = if above.is_empty() {
                shown
            } else {
                format!("{above}.{shown}")
            };
            place::check_field_name(name).map_err(|it| format!("{path}: {it}"))?;
            self.check(field, &path, depth, fixed)?;
        }
        Ok(())
    }

    fn check(&mut self, field: &mut Field, path: &str, depth: usize, fixed: bool) -> Sound {
        self.count += 1;
        bound("fields", self.count, limits::CONTRACT_FIELDS_MAX)?;
        bound("levels of fields", depth, limits::CONTRACT_DEPTH_MAX)
            .and_then(|()| check_rules(field, fixed))
            .map_err(|it| format!("{path}: {it}"))?;
        self.check_all(&mut field.fields, path, depth + 1, fixed)?;
        if let Some(element) = &mut field.element {
            let path = format!("{path}{}", field.kind.step_to_element());
            if element.default.is_some() {
                return Err(format!("{path}: an element has no default"));
            }
            self.check(element, &path, depth + 1, false)?;
        }
        // What allows anything says nothing.
        field.element.take_if(|it| **it == Field::any());
        // Last, for it is checked against the fields inside.
        check_default(field).map_err(|it| format!("{path}: {it}"))
    }
}

fn check_rules(field: &mut Field, fixed: bool) -> Sound {
    let kind = field.kind;
    let goes = |has: bool, what: &str, with: bool| {
        if has && !with {
            return Err(format!("{what} does not go with the kind {kind}"));
        }
        Ok(())
    };
    goes(field.range.is_some(), "a range", kind.has_range())?;
    goes(field.length.is_some(), "a length", kind.has_length())?;
    goes(field.pattern.is_some(), "a pattern", kind.has_pattern())?;
    let has_elements = matches!(kind, Kind::List | Kind::Map);
    goes(field.element.is_some(), "a kind of elements", has_elements)?;
    goes(
        !field.fields.is_empty(),
        "a field inside",
        kind == Kind::Map,
    )?;
    let has_options = !matches!(kind, Kind::List | Kind::Set | Kind::Map);
    goes(field.options.is_some(), "a choice of values", has_options)?;
    if field.policy.differs() && !fixed {
        return Err("a policy does not go with elements of lists and maps".to_owned());
    }
    check_range(field)?;
    check_length(field)?;
    if let Some(fault) = field.pattern.as_ref().and_then(Pattern::fault) {
        return Err(format!("the pattern is not one: {fault}"));
    }
    check_options(field)
}

fn check_range(field: &mut Field) -> Sound {
    let Some(Span { min, max }) = &mut field.range else {
        return Ok(());
    };
    for end in [&mut *min, &mut *max].into_iter().flatten() {
        if end.number().is_none() || matches!(end, Value::Float(it) if it.is_nan()) {
            return Err("an end of the range is not a number".to_owned());
        }
        *end = normal(end, Kind::Number)?;
    }
    match (min, max) {
        (Some(min), Some(max)) if min.order(max).is_gt() => Err("the range is empty".to_owned()),
        (None, None) => {
            field.range = None;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_length(field: &mut Field) -> Sound {
    match &field.length {
        Some(Span {
            min: Some(min),
            max: Some(max),
        }) if min > max => return Err("the length is empty: nothing is so long".to_owned()),
        Some(Span {
            min: None | Some(0),
            max: None,
        }) => field.length = None,
        Some(Span { min: Some(0), max }) => {
            field.length = Some(Span {
                min: None,
                max: *max,
            });
        }
        _ => {}
    }
    Ok(())
}

fn check_options(field: &mut Field) -> Sound {
    let Some(mut options) = field.options.take() else {
        return Ok(());
    };
    if options.is_empty() {
        return Err("the choice of values is empty".to_owned());
    }
    for option in &mut options {
        *option = normal(option, field.kind)?;
        if matches!(option, Value::Null) {
            return Err("null is no choice; optional fields may be null anyway".to_owned());
        }
        fits(field, option).map_err(|rule| format!("one of the values breaks its '{rule}'"))?;
    }
    options.sort_by(Value::order);
    options.dedup_by(|b, a| a.order(b).is_eq());
    field.options = Some(options);
    Ok(())
}

fn check_default(field: &mut Field) -> Sound {
    let Some(mut default) = field.default.take() else {
        return Ok(());
    };
    default = normal(&default, field.kind)?;
    if matches!(default, Value::Null) {
        return Err("null is no default; absent fields read so without one".to_owned());
    }
    coerce::by_field(field, &mut default);
    fits(field, &default).map_err(|rule| format!("the default breaks its '{rule}'"))?;
    field.default = Some(default);
    Ok(())
}

/// Which rule of the field the value breaks.
fn fits(field: &Field, value: &Value) -> Result<(), String> {
    let rules = Rules::default();
    let mut checker = Checker::new(&rules);
    checker.field(field, Some(value));
    match checker.breaches.first() {
        Some(breach) => Err(breach.rule.clone()),
        None => Ok(()),
    }
}

/// The one form of a value that stands in a contract: what is left of it after JSON.
fn normal(value: &Value, kind: Kind) -> Result<Value, String> {
    let mut plain = Value::from_json(&value.to_json()).map_err(|it| it.to_string())?;
    coerce::by_kind(kind, &mut plain);
    Ok(plain)
}

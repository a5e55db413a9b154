//! What the built-in policies do.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{Outcome, Policy};
use crate::doc::{Candidate, Number, Value};

/// The outcome of a built-in policy; none for a custom one, and where there are no candidates. They
/// come in the order in which they were written, and what Automerge shows is known by its operation.
pub(super) fn resolve(policy: &Policy, candidates: &[Candidate]) -> Option<Outcome> {
    let last = candidates.last()?;
    let largest = || candidates.iter().max_by(|a, b| a.value.order(&b.value));
    Some(match policy {
        Policy::Automerge => one(candidates.iter().max_by(|a, b| by_operation(a, b))?),
        Policy::LastWriter | Policy::Text => one(last),
        Policy::FirstWriter => one(candidates.first()?),
        Policy::Max => one(largest()?),
        // Of equal ones `min_by` gives the first.
        Policy::Min => one(candidates
            .iter()
            .rev()
            .min_by(|a, b| a.value.order(&b.value))?),
        Policy::Union => all(candidates, union(candidates)),
        Policy::Sum => match sum(candidates) {
            Some(value) => all(candidates, value),
            None => one(last),
        },
        Policy::KeepBoth => all(candidates, both(candidates)),
        Policy::Custom { .. } => return None,
    })
}

/// The order by which Automerge chooses.
pub(super) fn by_operation(a: &Candidate, b: &Candidate) -> Ordering {
    let key = |it: &Candidate| (it.time.counter, it.author.clone());
    key(a).cmp(&key(b))
}

fn one(candidate: &Candidate) -> Outcome {
    Outcome {
        value: candidate.value.clone(),
        decisive: vec![candidate.change],
    }
}

fn all(candidates: &[Candidate], value: Value) -> Outcome {
    let mut decisive: Vec<_> = candidates.iter().map(|it| it.change).collect();
    decisive.sort_unstable();
    decisive.dedup();
    Outcome { value, decisive }
}

fn union(candidates: &[Candidate]) -> Value {
    let maps = candidates.iter().map(|it| it.value.as_map());
    if let Some(maps) = maps.collect::<Option<Vec<_>>>() {
        let entries = maps.into_iter().flatten();
        let entries = entries.map(|(key, value)| (key.clone(), value.clone()));
        return Value::Map(entries.collect::<BTreeMap<_, _>>());
    }
    let mut elements = Vec::new();
    for candidate in candidates {
        if let Value::List(list) = &candidate.value {
            elements.extend(list.iter().cloned());
        } else {
            elements.push(candidate.value.clone());
        }
    }
    // Of elements that are worth the same but differ in kind the later writer's stays.
    elements.reverse();
    elements.sort_by(Value::order);
    elements.dedup_by(|b, a| a.order(b).is_eq());
    Value::List(elements)
}

/// None if there are no numbers among them. Counters and whole numbers add up without rounding, and
/// stop at the ends of 64 bits; with a float among them the sum is one.
fn sum(candidates: &[Candidate]) -> Option<Value> {
    let mut whole = 0_i128;
    let mut floats = Vec::new();
    let mut any = None;
    for candidate in candidates {
        match candidate.value.number() {
            Some(Number::Whole(number)) => whole = whole.saturating_add(number),
            Some(Number::Float(number)) => floats.push(number),
            None => continue,
        }
        any = Some(&candidate.value);
    }
    let any = any?;
    let signed =
        || i64::try_from(whole.clamp(i64::MIN.into(), i64::MAX.into())).unwrap_or(i64::MAX);
    if !floats.is_empty() {
        // Floats do not add up alike in every order.
        floats.sort_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "a sum with floats is a float")]
        let sum = floats.iter().sum::<f64>() + whole as f64;
        // Processors do not agree on the bits of a NaN that comes out.
        return Some(Value::Float(if sum.is_nan() { f64::NAN } else { sum }));
    }
    if matches!(any, Value::Counter(_)) {
        return Some(Value::Counter(signed()));
    }
    if matches!(any, Value::Uint(_)) && whole >= 0 {
        return Some(Value::Uint(u64::try_from(whole).unwrap_or(u64::MAX)));
    }
    Some(Value::Int(signed()))
}

fn both(candidates: &[Candidate]) -> Value {
    Value::List(candidates.iter().map(|it| it.value.clone()).collect())
}

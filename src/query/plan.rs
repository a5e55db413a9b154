//! Which part of which index answers a query.
//!
//! A part holds all records that the query asks for, and others: what it holds is checked again on
//! their values.

use super::filter::{Comparison, Field, OrderBy, Term};
use super::{Query, order};
use crate::doc::Value;
use crate::limits;

/// What of an index is read, and which way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which of the indexes.
    pub index: usize,
    /// The columns' keys of the first entries that belong begin so, or are greater.
    pub start: Vec<u8>,
    /// The first that do not belong any more; `None` for no bound.
    pub end: Option<Vec<u8>>,
    /// Whether the entries come in the query's order, so that its limit ends the reading.
    pub is_ordered: bool,
    /// Whether the last entry is read first.
    pub is_backward: bool,
    /// Columns of which one value is read, then whether of the next a range is.
    worth: (usize, bool),
}

impl Query {
    /// The index that answers it with the fewest entries, as far as its columns tell; `None` if none
    /// is better than looking at all records.
    pub fn plan(&self, indexes: &[Vec<OrderBy>]) -> Option<Plan> {
        let plans = indexes.iter().enumerate();
        let plans = plans.filter_map(|(index, columns)| self.plan_one(index, columns));
        // Of equals the first.
        plans.reduce(|best, it| {
            if (it.worth, it.is_ordered) > (best.worth, best.is_ordered) {
                it
            } else {
                best
            }
        })
    }

    fn plan_one(&self, index: usize, columns: &[OrderBy]) -> Option<Plan> {
        let terms = match self.filter.as_ref().map(|it| &it.0) {
            Some(Term::All(terms)) => terms.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        let mut base = Vec::new();
        let mut fixed = 0;
        for column in columns {
            let Some(value) = equal(terms, &column.field) else {
                break;
            };
            order::append(&mut base, Some(value), column.is_descending);
            fixed += 1;
        }
        let rest = columns.get(fixed..).unwrap_or_default();
        let range = rest.first().and_then(|it| range(terms, it));
        let mut plan = Plan {
            index,
            start: base.clone(),
            end: prefix_end(&base),
            is_ordered: false,
            is_backward: false,
            worth: (fixed, range.is_some()),
        };
        if let Some((start, end)) = range {
            plan.narrow([&base, &start].map(Vec::as_slice).concat(), None);
            let last = [&base, &end].map(Vec::as_slice).concat();
            plan.narrow(Vec::new(), prefix_end(&last));
        }
        self.follow(&mut plan, (terms, &base, rest));
        let is_worth = fixed > 0 || plan.worth.1 || plan.is_ordered;
        is_worth.then_some(plan)
    }

    /// Sees whether the entries come in the query's order, and begins behind its cursor.
    fn follow(&self, plan: &mut Plan, (terms, base, rest): (&[Term], &Vec<u8>, &[OrderBy])) {
        // What is the same in all of them does not sort them.
        let (same, sorting): (Vec<&OrderBy>, Vec<&OrderBy>) = self
            .order
            .iter()
            .partition(|it| equal(terms, &it.field).is_some());
        let matches = |is_backward: bool| {
            sorting.len() <= rest.len()
                && sorting.iter().zip(rest).all(|(a, b)| {
                    a.field == b.field && (a.is_descending != b.is_descending) == is_backward
                })
        };
        plan.is_backward = !sorting.is_empty() && matches(true);
        let is_all_by_id = sorting.is_empty() && rest.is_empty();
        let is_sorted = !sorting.is_empty() && (matches(false) || plan.is_backward);
        plan.is_ordered = self.limit.is_some() && (is_sorted || is_all_by_id);
        let Some(after) = self.after.as_ref().filter(|_| plan.is_ordered) else {
            return;
        };
        // The cursor is read only where what is the same stands first in it.
        let mut key = Vec::new();
        for column in &same {
            order::append(&mut key, equal(terms, &column.field), column.is_descending);
        }
        let leads = self.order.iter().zip(&same).all(|(a, b)| a == *b);
        let Some(columns) = after.position().columns().strip_prefix(key.as_slice()) else {
            return;
        };
        if !leads {
            return;
        }
        if plan.is_backward {
            let flipped = columns.iter().map(|it| !it);
            let last: Vec<u8> = base.iter().copied().chain(flipped).collect();
            plan.narrow(Vec::new(), prefix_end(&last));
        } else {
            let mut start = [base, columns].concat();
            if sorting.len() == rest.len() {
                start.extend(after.position().record());
            }
            plan.narrow(start, None);
        }
    }
}

impl Plan {
    fn narrow(&mut self, start: Vec<u8>, end: Option<Vec<u8>>) {
        if start > self.start {
            self.start = start;
        }
        self.end = match (self.end.take(), end) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}

/// What a field has to equal by one of these terms, all of which apply.
fn equal<'a>(terms: &'a [Term], field: &Field) -> Option<&'a Value> {
    terms.iter().find_map(|term| match term {
        Term::Compare(of, Comparison::Equal, literal) if of == field => Some(&literal.0),
        Term::Compare(..)
        | Term::All(_)
        | Term::Either(_)
        | Term::Not(_)
        | Term::In(..)
        | Term::Contains(..)
        | Term::StartsWith(..)
        | Term::Exists(_)
        | Term::IsNull(_)
        | Term::Element(..) => None,
    })
}

/// With what the keys of a column begin that these terms let in: the least and the greatest.
fn range(terms: &[Term], column: &OrderBy) -> Option<(Vec<u8>, Vec<u8>)> {
    let ranges = terms.iter().filter_map(|it| bounds(it, &column.field));
    let (low, high) = ranges.reduce(|a, b| {
        let low = a.0.max(b.0);
        // Of a key and what it begins with, the longer is the closer bound.
        let high = if a.1.starts_with(&b.1) || !b.1.starts_with(&a.1) && a.1 < b.1 {
            a.1
        } else {
            b.1
        };
        (low, high)
    })?;
    if !column.is_descending {
        return Some((low, high));
    }
    let flip = |key: Vec<u8>| key.iter().map(|it| !it).collect();
    Some((flip(high), flip(low)))
}

/// The same of one term, ascending.
fn bounds(term: &Term, field: &Field) -> Option<(Vec<u8>, Vec<u8>)> {
    let of_kind = |key: &[u8]| key.first().map(|it| vec![*it]);
    match term {
        Term::Compare(of, comparison, literal) if of == field => {
            let mut key = Vec::new();
            order::append(&mut key, Some(&literal.0), false);
            let kind = of_kind(&key)?;
            match comparison {
                Comparison::Less | Comparison::LessOrEqual => Some((kind, key)),
                Comparison::Greater | Comparison::GreaterOrEqual => Some((key, kind)),
                Comparison::Equal => Some((key.clone(), key)),
                Comparison::NotEqual => None,
            }
        }
        Term::StartsWith(of, text) if of == field => {
            let mut key = Vec::new();
            order::append(&mut key, Some(&Value::from(text.as_str())), false);
            let end = key.len().saturating_sub(2);
            let start = if key.len() < limits::ORDER_KEY_BYTES_MAX {
                key.get(..end)?.to_vec()
            } else {
                of_kind(&key)?
            };
            Some((start.clone(), start))
        }
        Term::Compare(..)
        | Term::StartsWith(..)
        | Term::All(_)
        | Term::Either(_)
        | Term::Not(_)
        | Term::In(..)
        | Term::Contains(..)
        | Term::Exists(_)
        | Term::IsNull(_)
        | Term::Element(..) => None,
    }
}

/// The first key after all that begin so; `None` if there is none.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    let last = end.last_mut()?;
    *last = last.saturating_add(1);
    Some(end)
}

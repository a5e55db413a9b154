//! Which part of which index answers a query.
//!
//! A part holds all records that the query asks for, and others: what it holds is checked again on
//! their values.

use std::collections::BTreeSet;

use super::filter::{Comparison, Field, OrderBy, Term};
use super::{Query, order};
use crate::codec::prefix_end;
use crate::doc::Value;
use crate::limits;

/// A column of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedBy {
    /// The field, and which way it is sorted.
    pub by: OrderBy,
    /// Whether there is an entry for each element of the list that stands there, and the field in them by
    /// which.
    pub elements: Option<Field>,
}

/// A part of an index's entries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The columns' keys of the first entries that belong begin so, or are greater.
    pub start: Vec<u8>,
    /// The first that do not belong any more; `None` for no bound.
    pub end: Option<Vec<u8>>,
}

/// What of an index is read, and which way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which of the indexes.
    pub index: usize,
    /// What is read of it; no record stands in more than one.
    pub spans: Vec<Span>,
    /// Whether the entries come in the query's order, so that its limit ends the reading.
    pub is_ordered: bool,
    /// Whether the last entry is read first.
    pub is_backward: bool,
    /// Columns of which single values are read, then whether of the next a range is.
    worth: (usize, bool),
}

impl Query {
    /// The index that answers it with the fewest entries, as far as its columns tell; `None` if none
    /// is better than looking at all records.
    pub fn plan(&self, indexes: &[Vec<IndexedBy>]) -> Option<Plan> {
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

    fn plan_one(&self, index: usize, columns: &[IndexedBy]) -> Option<Plan> {
        let terms = self.filter.as_ref().map_or(&[][..], |it| all_of(&it.0));
        let mut bases = BTreeSet::from([Vec::new()]);
        let mut fixed = 0;
        for column in columns {
            let values = column.values(terms);
            if values.is_empty() || bases.len() * values.len() > limits::QUERY_SPANS_MAX {
                break;
            }
            bases = column.each_after(&bases, &values);
            fixed += 1;
        }
        let rest = columns.get(fixed..).unwrap_or_default();
        // A record stands there once for each element, or not at all.
        if rest.iter().any(|it| it.elements.is_some()) {
            return None;
        }
        let rest: Vec<_> = rest.iter().map(|it| &it.by).collect();
        let range = rest.first().and_then(|it| range(terms, it));
        let mut plan = Plan {
            index,
            spans: bases
                .iter()
                .map(|it| Span::after(it, range.as_ref()))
                .collect(),
            is_ordered: false,
            is_backward: false,
            worth: (fixed, range.is_some()),
        };
        if let (1, Some(base)) = (bases.len(), bases.first()) {
            self.follow(&mut plan, (terms, base, &rest));
        }
        let is_worth = fixed > 0 || plan.worth.1 || plan.is_ordered;
        is_worth.then_some(plan)
    }

    /// Sees whether the entries come in the query's order, and begins behind its cursor.
    fn follow(&self, plan: &mut Plan, (terms, base, rest): (&[Term], &Vec<u8>, &[&OrderBy])) {
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
        let Some(span) = plan.spans.first_mut() else {
            return;
        };
        if plan.is_backward {
            let flipped = columns.iter().map(|it| !it);
            let last: Vec<u8> = base.iter().copied().chain(flipped).collect();
            span.narrow(Vec::new(), prefix_end(&last));
        } else {
            let mut start = [base, columns].concat();
            if sorting.len() == rest.len() {
                start.extend(after.position().record());
            }
            span.narrow(start, None);
        }
    }
}

impl IndexedBy {
    /// The values of which it has one by these terms, all of which apply; none if they do not say.
    fn values<'a>(&self, terms: &'a [Term]) -> Vec<&'a Value> {
        let values = terms
            .iter()
            .filter_map(|term| match (term, &self.elements) {
                (_, None) => one_of(term, &self.by.field),
                (Term::Contains(of, literal), Some(within)) => {
                    (*of == self.by.field && within.0.is_empty()).then(|| vec![&literal.0])
                }
                // Of several values a record may have two.
                (Term::Element(of, term), Some(within)) => {
                    let is_it = *of == self.by.field && !within.0.is_empty();
                    let value = is_it.then(|| equal(all_of(term), within)).flatten();
                    value.map(|it| vec![it])
                }
                (_, Some(_)) => None,
            });
        values.min_by_key(Vec::len).unwrap_or_default()
    }

    /// Keys that begin with one of these and go on with one of the values.
    fn each_after(&self, bases: &BTreeSet<Vec<u8>>, values: &[&Value]) -> BTreeSet<Vec<u8>> {
        let keys = bases.iter().flat_map(|base| {
            values.iter().map(|value| {
                let mut key = base.clone();
                order::append(&mut key, Some(value), self.by.is_descending);
                key
            })
        });
        keys.collect()
    }
}

impl Span {
    /// What begins so, and goes on in the range.
    fn after(base: &[u8], range: Option<&(Vec<u8>, Vec<u8>)>) -> Self {
        let mut span = Self {
            start: base.to_vec(),
            end: prefix_end(base),
        };
        if let Some((start, end)) = range {
            span.narrow([base, start].concat(), None);
            span.narrow(Vec::new(), prefix_end(&[base, end].concat()));
        }
        span
    }

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

/// The terms of a filter that all have to apply.
fn all_of(term: &Term) -> &[Term] {
    if let Term::All(terms) = term {
        terms
    } else {
        std::slice::from_ref(term)
    }
}

/// What a field has to equal by one of these terms, all of which apply.
fn equal<'a>(terms: &'a [Term], field: &Field) -> Option<&'a Value> {
    let mut equal = terms.iter().filter_map(|term| one_of(term, field));
    equal.find_map(|it| it.first().copied().filter(|_| it.len() == 1))
}

/// The values of which a field has to equal one by a term; `None` if it does not say.
fn one_of<'a>(term: &'a Term, field: &Field) -> Option<Vec<&'a Value>> {
    match term {
        Term::Compare(of, Comparison::Equal, literal) if of == field => Some(vec![&literal.0]),
        Term::In(of, literals) if of == field && !literals.is_empty() => {
            Some(literals.iter().map(|it| &it.0).collect())
        }
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
    }
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

//! The best of many records, of which no more are held than are asked for.

use std::collections::BinaryHeap;

use super::{Position, Query};
use crate::doc::Value;
use crate::id::RecordId;

/// A record of a result.
#[derive(Clone, Debug)]
pub struct Selected {
    /// Where it stands.
    pub position: Position,
    /// Which it is.
    pub record: RecordId,
    /// Its value.
    pub value: Value,
}

impl PartialEq for Selected {
    fn eq(&self, other: &Self) -> bool {
        self.position == other.position
    }
}

impl Eq for Selected {}

impl PartialOrd for Selected {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Selected {
    /// By their places.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.position.cmp(&other.position)
    }
}

/// Takes in the records of a collection in any order and keeps the first of those that a query asks
/// for. With a limit it holds so many and one more, however many come.
///
/// ```
/// use syncline::RecordId;
/// use syncline::doc::Value;
/// use syncline::query::{Query, Selection};
///
/// let mut selection = Selection::new("n >= 2 order by n limit 2".parse()?);
/// for n in [4, 1, 3, 2] {
///     let value = Value::from_json(&serde_json::json!({ "n": n }))?;
///     selection.offer(RecordId::named(&n.to_string()), value);
/// }
/// let (first, is_more) = selection.finish();
/// let found: Vec<_> = first.into_iter().map(|it| it.record).collect();
/// assert_eq!(found, [RecordId::named("2"), RecordId::named("3")]);
/// assert!(is_more, "4 would be next");
/// # Ok::<(), syncline::Error>(())
/// ```
#[derive(Debug)]
pub struct Selection {
    query: Query,
    keep: usize,
    /// The last of those that are kept is on top.
    best: BinaryHeap<Selected>,
}

impl Selection {
    /// None yet.
    pub fn new(query: Query) -> Self {
        let keep = query.limit_records().unwrap_or(usize::MAX);
        Self::keeping(query, keep)
    }

    /// None yet, and in the end not as many as the query says, but `keep`.
    pub fn keeping(query: Query, keep: usize) -> Self {
        let best = BinaryHeap::new();
        Self { query, keep, best }
    }

    /// Takes a record in.
    pub fn offer(&mut self, record: RecordId, value: Value) {
        let Some(position) = self.query.place(record, &value) else {
            return;
        };
        let is_full = self.best.len() > self.keep;
        if is_full && self.best.peek().is_some_and(|it| it.position < position) {
            return;
        }
        self.best.push(Selected {
            position,
            record,
            value,
        });
        if is_full {
            self.best.pop();
        }
    }

    /// What it asks for.
    pub const fn query(&self) -> &Query {
        &self.query
    }

    /// Whether it is full, and the record with this value is asked for and stands behind all that it holds, by its
    /// columns alone: then so do all that come behind that one in the order.
    pub fn is_past(&self, record: RecordId, value: &Value) -> bool {
        self.best.len() > self.keep
            && self.query.matches(value)
            && self.best.peek().is_some_and(|last| {
                last.position.columns() < self.query.position(record, value).columns()
            })
    }

    /// How many records it holds.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.best.len()
    }

    /// The first of all in their order, and whether there are more.
    pub fn finish(self) -> (Vec<Selected>, bool) {
        let mut best = self.best.into_sorted_vec();
        let is_more = best.len() > self.keep;
        best.truncate(self.keep);
        (best, is_more)
    }
}

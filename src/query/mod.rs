//! Queries: which records of a collection, in which order, how many.
//!
//! A query is built in Rust, or read from text; it shows itself in that text. `docs/guide/queries.md` has
//! the grammar, and what exactly each operator means.
//!
//! ```
//! use syncline::query::{Query, field};
//! let built = Query::filter(field("done").eq(false).and(field("place.city").starts_with("W")))
//!     .order_by(field("due"))
//!     .order_by(field("votes").descending())
//!     .limit(20);
//! let text = r#"done = false and place.city starts with "W" order by due, votes desc limit 20"#;
//! assert_eq!(text.parse::<Query>()?, built);
//! assert_eq!(built.to_string(), text);
//! # Ok::<(), syncline::Error>(())
//! ```
//!
//! Nothing here reads a store: a query is a value, its evaluation a function. The doors are
//! [`Records::query`](crate::Records::query) and [`Collection::query`](crate::Collection::query).

mod board;
mod cursor;
mod filter;
mod lex;
mod matches;
pub mod order;
mod parse;
mod plan;
mod select;
mod show;
mod tree;

use crate::doc::Value;
use crate::error::{Error, ErrorKind, Result};
use crate::id::RecordId;
use crate::limits;
use crate::record;

pub use board::{Board, LiveEvent, LiveRecord};
pub use cursor::{Cursor, Position};
pub use filter::{Field, Filter, Literal, OrderBy, field, it};
pub use plan::{IndexedBy, Plan, Span};
pub use select::{Selected, Selection};

use filter::Term;

/// Which records of a collection, in which order, how many.
///
/// Without a filter all of them; without an order, or where it leaves a tie, in order of their ids;
/// without a limit, all that the filter leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    filter: Option<Filter>,
    order: Vec<OrderBy>,
    after: Option<Cursor>,
    limit: Option<u64>,
}

impl Query {
    /// All records.
    pub fn all() -> Self {
        Self::default()
    }

    /// The records to which the filter applies.
    pub fn filter(filter: Filter) -> Self {
        Self {
            filter: Some(filter),
            ..Self::default()
        }
    }

    /// In this order; called again, in this order where those before leave a tie.
    #[must_use]
    pub fn order_by(mut self, column: impl Into<OrderBy>) -> Self {
        self.order.push(column.into());
        self
    }

    /// Only the first `limit`.
    #[must_use]
    pub const fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Only those that come after this place in the order: the next page.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// That it is one that is answered: all doors ask this first.
    ///
    /// # Errors
    /// `InvalidInput` if it is nested deeper than [`limits::QUERY_DEPTH_MAX`], has more columns than
    /// [`limits::ORDER_COLUMNS_MAX`], a limit of 0, or a cursor of another order; `TooLarge` if it is
    /// longer as text than [`limits::QUERY_BYTES_MAX`].
    pub fn check(&self) -> Result<()> {
        let depth = limits::QUERY_DEPTH_MAX;
        let filter = self.filter.as_ref();
        if filter.is_some_and(|it| !it.0.fits(depth)) {
            return Err(invalid(format!("the filter is nested deeper than {depth}")));
        }
        let columns = limits::ORDER_COLUMNS_MAX;
        if self.order.len() > columns {
            return Err(invalid(format!("an order has at most {columns} columns")));
        }
        if self.limit == Some(0) {
            let message = "the limit is 0; leave it out, or count the records";
            return Err(invalid(message.to_owned()));
        }
        if let Some(cursor) = &self.after {
            cursor.check(&self.order)?;
        }
        parse::check_length(self.to_string().len())
    }

    /// Whether it asks for the record with this value. A deleted one is never asked for.
    pub fn matches(&self, value: &Value) -> bool {
        let applies = |it: &Filter| it.0.matches(value);
        !record::is_deleted(value) && self.filter.as_ref().is_none_or(applies)
    }

    /// Where the record with this value stands in the order.
    pub fn position(&self, record: RecordId, value: &Value) -> Position {
        Position::new(&self.order, record, value)
    }

    /// Where a record stands in the result; `None` if it is not in it, the limit aside.
    fn place(&self, record: RecordId, value: &Value) -> Option<Position> {
        if !self.matches(value) {
            return None;
        }
        let position = self.position(record, value);
        let is_behind = |it: &Cursor| *it.position() < position;
        self.after
            .as_ref()
            .is_none_or(is_behind)
            .then_some(position)
    }

    /// The cursor after a place in its result.
    pub fn cursor(&self, position: &Position) -> Cursor {
        Cursor::new(&self.order, position.clone())
    }

    /// The limit, if there is one.
    pub fn limit_records(&self) -> Option<usize> {
        let wide = |it| usize::try_from(it).unwrap_or(usize::MAX);
        self.limit.map(wide)
    }
}

impl Term {
    /// Whether it is nested at most so deep: each parenthesis that its text has, `not` and `any`
    /// count.
    fn fits(&self, depth: usize) -> bool {
        let inside = |term: &Self, levels: usize| {
            depth
                .checked_sub(levels)
                .is_some_and(|depth| term.fits(depth))
        };
        match self {
            Self::All(terms) => terms
                .iter()
                .all(|it| inside(it, usize::from(it.is_either()))),
            Self::Either(terms) => terms.iter().all(|it| inside(it, 0)),
            Self::Not(term) => inside(term, 1 + usize::from(term.is_either() || term.is_all())),
            Self::Element(_, term) => inside(term, 1),
            Self::Compare(..)
            | Self::In(..)
            | Self::Contains(..)
            | Self::StartsWith(..)
            | Self::Exists(_)
            | Self::IsNull(_) => true,
        }
    }

    const fn is_all(&self) -> bool {
        matches!(self, Self::All(_))
    }

    const fn is_either(&self) -> bool {
        matches!(self, Self::Either(_))
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests;

/// The guide's examples, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/queries.md")]
mod guide {}

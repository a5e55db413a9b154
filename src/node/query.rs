//! Queries over a collection, served from its views.

use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

use super::collection::Collection;
use super::records::Records;
use super::tasks::run_apart;
use crate::doc::Value;
use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::query::{Cursor, Query, Selection};
use crate::record::Record;
use crate::replica::Rows;

/// What a query found: all of it, or as much as its limit lets in.
#[derive(Debug)]
pub struct Page<T> {
    /// The records in the query's order.
    pub records: Vec<(RecordId, T)>,
    /// Where the next page goes on, if the limit left records out: see [`Query::after`].
    pub next: Option<Cursor>,
    /// Records that were found and do not have the shape of `T`, which count for the limit, and all
    /// records of the collection whose document can't be loaded, of which nobody knows whether they
    /// would be found; with the reason. Those that can't be migrated are all named too, but by a query that
    /// an index serves, which names the ones that it comes across.
    pub unreadable: Vec<(RecordId, Error)>,
}

impl<T> IntoIterator for Page<T> {
    type Item = (RecordId, T);
    type IntoIter = std::vec::IntoIter<(RecordId, T)>;

    /// The records that could be read.
    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

/// How a query is served, and what that costs. Shows itself as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explain {
    /// Where its records come from.
    pub access: Access,
    /// The columns of the index, if it is one.
    pub index: Option<String>,
    /// How many records are looked at; with an index and a limit they may be fewer.
    pub records: u64,
    /// How many are held in memory at most while it runs; none without a limit.
    pub held: Option<u64>,
    /// Whether the records come in the query's order, so that it ends with the limit.
    pub ends_early: bool,
}

/// Where the records of a query come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// From the views of all records of the collection, one after the other.
    Scan,
    /// From the views of those records that stand in a part of an index.
    Index,
}

impl Access {
    /// A short name, stable across versions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Index => "index",
        }
    }
}

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            access,
            index,
            records,
            held,
            ends_early,
        } = self;
        let most = if *ends_early { "at most " } else { "" };
        f.write_str(access.name())?;
        if let Some(index) = index {
            write!(f, " on {index}")?;
        }
        write!(
            f,
            ": looks at the views of {most}{records} records, and holds "
        )?;
        match held {
            Some(held) => write!(f, "at most {held} of them"),
            None => f.write_str("all that it finds"),
        }
    }
}

impl Records {
    /// The records that a query asks for, in its order. Reads the views of the whole collection on a
    /// thread of its own, and holds no more records than the limit, and one.
    ///
    /// ```
    /// use serde_json::json;
    /// use syncline::Node;
    /// use syncline::query::{Query, field};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), syncline::Error> {
    /// let node = Node::builder().open().await?;
    /// let tasks = node.records("tasks")?;
    /// for (title, votes) in [("water", 2), ("weed", 5), ("sow", 3)] {
    ///     tasks.insert(&json!({"title": title, "votes": votes})).await?;
    /// }
    /// let query = Query::filter(field("votes").gt(1)).order_by(field("votes").descending()).limit(2);
    /// let first = tasks.query(&query).await?;
    /// assert_eq!(first.records[0].1["title"], "weed");
    /// let rest = tasks.query(&query.after(first.next.expect("three are found"))).await?;
    /// assert_eq!(rest.records[0].1["title"], "water");
    /// assert!(rest.next.is_none());
    /// # node.shutdown().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Query::check`], and when the store can't be read. A record that can't be is in
    /// [`Page::unreadable`].
    pub async fn query(&self, query: &Query) -> Result<Page<Json>> {
        self.page(query, |_, value| Ok(value.to_json())).await
    }

    /// As [`Records::query`], from text: see [`crate::query`].
    ///
    /// # Errors
    /// `InvalidInput`, naming the place, if it is no query; and as [`Records::query`].
    pub async fn query_text(&self, query: &str) -> Result<Page<Json>> {
        self.query(&query.parse()?).await
    }

    /// How a query would be served now.
    ///
    /// # Errors
    /// As [`Records::query`].
    pub async fn explain(&self, query: &Query) -> Result<Explain> {
        query.check()?;
        let (shared, query_too) = (Arc::clone(self.shared()), query.clone());
        let of = (self.space(), self.name().clone());
        let part = run_apart(move || {
            let snapshot = shared.snapshot()?;
            let rows = Rows::new(snapshot.as_ref());
            let part = shared.part(&rows, (of.0, &of.1), &query_too)?;
            let part = part.map(|it| Ok((it.count(&rows)?, it.columns(), it.is_ordered())));
            part.transpose()
        });
        let (access, records, index, ends_early) = match part.await? {
            Some((records, columns, is_ordered)) => {
                (Access::Index, records, Some(columns), is_ordered)
            }
            None => (Access::Scan, self.count().await?, None, false),
        };
        let limit = query.limit_records().map(u64::try_from);
        Ok(Explain {
            access,
            index,
            records,
            ends_early,
            held: limit.map(|it| it.unwrap_or(u64::MAX).saturating_add(1).min(records)),
        })
    }

    async fn page<T: Send + 'static>(
        &self,
        query: &Query,
        read: impl Fn(RecordId, Value) -> Result<T> + Send + 'static,
    ) -> Result<Page<T>> {
        query.check()?;
        let (selection, unreadable) = self.select(Selection::new(query.clone())).await?;
        let query = query.clone();
        run_apart(move || {
            let (selected, is_more) = selection.finish();
            let last = selected.last().filter(|_| is_more);
            let mut page = Page {
                records: Vec::new(),
                next: last.map(|it| query.cursor(&it.position)),
                unreadable,
            };
            for it in selected {
                match read(it.record, it.value) {
                    Ok(value) => page.records.push((it.record, value)),
                    Err(error) => page.unreadable.push((it.record, error)),
                }
            }
            Ok(page)
        })
        .await
    }

    /// Offers the records that may be asked for to a selection; those that can't be read come beside it.
    pub(super) async fn select(
        &self,
        selection: Selection,
    ) -> Result<(Selection, Vec<(RecordId, Error)>)> {
        let shared = Arc::clone(self.shared());
        let of = (self.space(), self.name().clone());
        run_apart(move || shared.choose(of, (selection, Vec::new()))).await
    }
}

impl<T: Record + Send + 'static> Collection<T> {
    /// The records that a query asks for, in its order. Costs and errors are those of
    /// [`Records::query`]; a record that does not have the shape of `T`, or breaks its contract, is in
    /// [`Page::unreadable`].
    ///
    /// # Errors
    /// As [`Records::query`].
    pub async fn query(&self, query: &Query) -> Result<Page<T>> {
        let records = self.untyped();
        let read = {
            let records = records.clone();
            move |id, value| records.shared().read_as(&records.key(id), value)
        };
        records.page(query, read).await
    }

    /// As [`Collection::query`], from text: see [`crate::query`].
    ///
    /// # Errors
    /// As [`Records::query_text`].
    pub async fn query_text(&self, query: &str) -> Result<Page<T>> {
        self.query(&query.parse()?).await
    }
}

//! Queries that are served from an index.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::read::decode;
use super::shared::Shared;
use crate::doc::Value;
use crate::error::{Error, Result};
use crate::id::{CollectionId, RecordId, RecordKey, SpaceId};
use crate::query::{Field, IndexedBy, Plan, Query, Selection, Span};
use crate::record;
use crate::replica::{Index, IndexColumn, Number, Rows, Slot};
use crate::store::{KeyRange, Order};

/// Entries that are read at a time, at first; each time twice as many, up to [`ENTRIES_MAX`].
const ENTRIES: usize = 32;

const ENTRIES_MAX: usize = 1024;

/// A query's part of an index.
pub(super) struct Part {
    collection: Number,
    index: Index,
    plan: Plan,
    /// What the index does not tell of: records whose view is missing or behind, or shows conflicts by
    /// other policies, or whose elements are not of the kind or too many.
    apart: BTreeSet<RecordId>,
}

/// What is read of a result: records that can be read are offered, others come beside.
pub(super) type Chosen = (Selection, Vec<(RecordId, Error)>);

impl Part {
    /// The columns of the index, as they stand in an order of a query.
    pub(super) fn columns(&self) -> String {
        let columns = self.index.columns().iter();
        let columns = columns.map(|it| indexed_by(it).to_string());
        columns.collect::<Vec<_>>().join(", ")
    }

    pub(super) const fn is_ordered(&self) -> bool {
        self.plan.is_ordered
    }

    /// How many records are looked at, if the limit does not end it before.
    pub(super) fn count(&self, rows: &Rows<'_>) -> Result<u64> {
        let mut count = self.apart.len();
        self.entries(rows, &mut |_, _| {
            count += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// Shows the records of the part in the plan's order, but for those apart.
    fn entries(
        &self,
        rows: &Rows<'_>,
        visit: &mut dyn FnMut(&Rows<'_>, RecordId) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        for span in &self.plan.spans {
            if self.entries_of(rows, span.clone(), visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn entries_of(
        &self,
        rows: &Rows<'_>,
        mut span: Span,
        visit: &mut dyn FnMut(&Rows<'_>, RecordId) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        let mut limit = ENTRIES;
        let order = if self.plan.is_backward {
            Order::Descending
        } else {
            Order::Ascending
        };
        loop {
            let columns = KeyRange {
                start: &span.start,
                end: span.end.as_deref(),
            };
            let index = (self.collection, &self.index);
            let entries = rows.index_entries(index, columns, order, limit)?;
            for (record, _) in &entries {
                if !self.apart.contains(record) && visit(rows, *record)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            let Some((_, last)) = entries.last().filter(|_| entries.len() == limit) else {
                return Ok(ControlFlow::Continue(()));
            };
            match order {
                Order::Ascending => span.start = [last.as_slice(), &[0]].concat(),
                Order::Descending => span.end = Some(last.clone()),
            }
            limit = limit.saturating_mul(2).min(ENTRIES_MAX);
        }
    }
}

fn indexed_by(column: &IndexColumn) -> IndexedBy {
    let field = |path: &[String]| Field::of(path.iter().map(String::as_str));
    let by = field(&column.path);
    IndexedBy {
        by: if column.is_descending {
            by.descending()
        } else {
            by.ascending()
        },
        elements: column.elements.as_deref().map(field),
    }
}

impl Shared {
    /// The part of an index that answers a query; `None` if no complete one does.
    pub(super) fn part(
        &self,
        rows: &Rows<'_>,
        (space, collection): (SpaceId, &CollectionId),
        query: &Query,
    ) -> Result<Option<Part>> {
        let Some(number) = rows.number(space, Some(collection))? else {
            return Ok(None);
        };
        // What another ruling has made stands where it does not belong: views of an older form, and
        // conflicts as other policies show them.
        if rows.ruled_by(number)? != Some(self.rulings.name_of(space, collection)) {
            return Ok(None);
        }
        let mut indexes = rows.indexes(space, collection)?;
        indexes.retain(Index::is_complete);
        let columns = indexes
            .iter()
            .map(|it| it.columns().iter().map(indexed_by).collect());
        let Some(plan) = query.plan(&columns.collect::<Vec<_>>()) else {
            return Ok(None);
        };
        let Some(index) = indexes.get(plan.index).cloned() else {
            return Ok(None);
        };
        let tag = self.rulings.tag_of(space, collection);
        let mut apart: BTreeSet<_> = rows.stale_records(number)?.into_iter().collect();
        let contested = rows.index_apart(number, &index)?.into_iter();
        apart.extend(contested.filter(|it| it.1 != tag).map(|it| it.0));
        Ok(Some(Part {
            collection: number,
            index,
            plan,
            apart,
        }))
    }

    /// Offers the records of a query to a selection, from an index if one answers it, else all.
    pub(super) fn choose(&self, of: (SpaceId, CollectionId), mut chosen: Chosen) -> Result<Chosen> {
        let snapshot = self.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let Some(part) = self.part(&rows, (of.0, &of.1), chosen.0.query())? else {
            drop(snapshot);
            self.scan_all(of, &mut |id, value| offer(&mut chosen, id, value))?;
            return Ok(chosen);
        };
        let is_migrated = self.rulings.migrated(of.0, &of.1);
        let stored = |record| {
            let key = RecordKey {
                space: of.0,
                collection: of.1.clone(),
                record,
            };
            self.documents.check_out(&key).stored_value(&rows)
        };
        for record in &part.apart {
            offer(&mut chosen, *record, stored(*record));
        }
        part.entries(&rows, &mut |rows, record| {
            let slot = Slot {
                collection: part.collection,
                record,
            };
            let Some(view) = rows.view(slot)? else {
                return Ok(ControlFlow::Continue(()));
            };
            let value = decode(&view.value);
            if let Ok(value) = &value
                && part.is_ordered()
                && chosen.0.is_past(record, value)
            {
                return Ok(ControlFlow::Break(()));
            }
            // One that can't be migrated is shown as it was.
            let is_old = value.as_ref().is_ok_and(|it| !is_migrated(it));
            let value = if is_old { stored(record) } else { value };
            offer(&mut chosen, record, value);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(chosen)
    }
}

fn offer(chosen: &mut Chosen, id: RecordId, value: Result<Value>) {
    match value {
        Ok(value) if record::is_deleted(&value) => {}
        Ok(value) => chosen.0.offer(id, value),
        Err(error) => chosen.1.push((id, error)),
    }
}

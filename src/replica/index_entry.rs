//! What stands in an index of one view.

use std::collections::BTreeSet;

use super::index::Index;
use super::keys::Slot;
use super::rows::ViewRow;
use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::doc::{DELETED_KEY, Value, order_key};
use crate::limits;

/// Before the record's id where an entry says that the index may not tell of it; no column begins so.
pub(super) const APART: u8 = 0;

/// An entry's key and row.
type Entry = (Vec<u8>, Vec<u8>);

/// One column of an index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexColumn {
    /// The keys that lead to it through maps.
    pub path: Vec<String>,
    /// Whether the list or map that stands there has an entry for each of its elements, and which keys lead
    /// on in them: with none, elements of lists and keys of maps count; with some, elements of lists and
    /// values of maps.
    pub elements: Option<Vec<String>>,
    /// Whether the largest comes first.
    pub is_descending: bool,
}

impl Index {
    /// The entries of a view: where it stands, unless its record is deleted; and, if the index does not
    /// tell of it or the view shows conflicts, by what.
    pub(super) fn entries(&self, slot: Slot, view: &ViewRow) -> Vec<Entry> {
        let prefix = self.prefix(slot.collection);
        let value = Value::from_bytes(&view.value).ok();
        let is_live = |it: &Value| it.as_map().is_none_or(|it| !it.contains_key(DELETED_KEY));
        let found = value.filter(is_live).map(|it| self.places(&it));
        let is_apart = found == Some(None);
        let mut entries = Vec::new();
        for mut columns in found.flatten().unwrap_or_default() {
            columns.splice(..0, prefix.iter().copied());
            columns.extend(slot.record.as_bytes());
            entries.push((columns, Vec::new()));
        }
        if is_apart || view.shown_by != 0 {
            let mut key = prefix;
            key.push(APART);
            key.extend(slot.record.as_bytes());
            let mut writer = Writer::new();
            writer.varint(if is_apart { 0 } else { view.shown_by });
            entries.push((key, writer.finish()));
        }
        entries
    }

    /// The keys of all columns, one for each way through elements; `None` if it is not to tell of such a
    /// value.
    fn places(&self, value: &Value) -> Option<BTreeSet<Vec<u8>>> {
        let mut places = BTreeSet::from([Vec::new()]);
        for column in self.columns() {
            let keys = column.keys(value)?;
            let longer = places.iter().flat_map(|place| {
                let longer = keys.iter().map(move |key| [place.as_slice(), key].concat());
                longer.collect::<Vec<_>>()
            });
            let mut room = limits::INDEX_RECORD_BYTES_MAX;
            let mut next = BTreeSet::new();
            for place in longer {
                room = room.checked_sub(place.len())?;
                next.insert(place);
            }
            places = next;
        }
        Some(places)
    }
}

impl IndexColumn {
    /// The keys of what a value has there; `None` if they do not tell what it contains.
    fn keys(&self, value: &Value) -> Option<BTreeSet<Vec<u8>>> {
        let found = value.at(&self.path);
        let key = |value: Option<&Value>| {
            let mut key = Vec::new();
            order_key(&mut key, value, self.is_descending);
            key
        };
        let Some(within) = &self.elements else {
            return Some(BTreeSet::from([key(found)]));
        };
        let found = found.unwrap_or(&Value::Null);
        if let Value::List(list) = found {
            let elements = list.iter().filter_map(|it| it.at(within));
            return Some(elements.map(|it| key(Some(it))).collect());
        }
        if let Some(map) = found.as_map() {
            if within.is_empty() {
                let items = map.keys().flat_map(|it| set_items(it));
                return Some(items.map(|it| key(Some(&it))).collect());
            }
            let values = map.values().filter_map(|it| it.at(within));
            return Some(values.map(|it| key(Some(it))).collect());
        }
        // What a text contains is any part of it; whatever else contains nothing.
        let is_text = found.as_str().is_some() && within.is_empty();
        (!is_text).then(BTreeSet::new)
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        let elements = u8::from(self.elements.is_some()) << 1;
        writer.u8(u8::from(self.is_descending) | elements);
        for path in [Some(&self.path), self.elements.as_ref()]
            .into_iter()
            .flatten()
        {
            writer.count(path.len());
            for key in path {
                writer.text(key);
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let flags = reader.u8("index column")?;
        if flags > 3 {
            return Err(reader.error("index column", Problem::Unexpected(flags.into())));
        }
        let mut path = || {
            let count = reader.count(reader.remaining(), "index path")?;
            let keys = (0..count).map(|_| {
                let key = reader.text(reader.remaining(), "index path")?;
                Ok(key.to_owned())
            });
            keys.collect::<Result<Vec<_>, Malformed>>()
        };
        Ok(Self {
            path: path()?,
            elements: (flags & 2 != 0).then(path).transpose()?,
            is_descending: flags & 1 != 0,
        })
    }
}

/// The items that a key of a map stands for if the map is a set: the text, and whatever else is written so.
fn set_items(key: &str) -> impl Iterator<Item = Value> {
    let whole = key.parse().map(Value::Int);
    let whole = whole.or_else(|_| key.parse().map(Value::Uint));
    let yes = key.parse().map(Value::Bool);
    let others = whole.into_iter().chain(yes);
    std::iter::once(Value::from(key)).chain(others)
}

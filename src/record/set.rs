//! A set whose elements merge one by one.

use std::collections::{BTreeMap, BTreeSet, btree_set};
use std::fmt;
use std::marker::PhantomData;

use autosurgeon::reconcile::{MapReconciler as _, NoKey};
use autosurgeon::{Hydrate, HydrateError, ReadDoc, Reconcile, Reconciler};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::doc::ObjId;

/// A type that can be the element of a [`Set`]: it has one text, and can be read back from it.
pub trait SetItem: Ord + Sized {
    /// The element as the key of a map.
    fn to_key(&self) -> String;

    /// The element with this key; `None` if it is no such element's key.
    fn from_key(key: &str) -> Option<Self>;
}

macro_rules! set_items {
    ($($type:ty),*) => {
        $(impl SetItem for $type {
            fn to_key(&self) -> String {
                self.to_string()
            }

            fn from_key(key: &str) -> Option<Self> {
                // One element, one key: "+1" and "01" are not 1.
                key.parse().ok().filter(|it: &Self| it.to_key() == key)
            }
        })*
    };
}

set_items!(String, bool, char, u8, u16, u32, u64, i8, i16, i32, i64);

/// A set of strings, whole numbers, characters or booleans.
///
/// Concurrent additions and removals of different elements all take effect. An element that one
/// side takes out and puts back while the other takes it out stays; one that is there already is
/// not added again, so its removal elsewhere takes effect.
///
/// In the document it is a map from each element's text to `true`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Set<T: SetItem>(BTreeSet<T>);

impl<T: SetItem> Set<T> {
    /// An empty set.
    pub const fn new() -> Self {
        Self(BTreeSet::new())
    }

    /// Adds an element; `false` if it was there.
    pub fn insert(&mut self, item: T) -> bool {
        self.0.insert(item)
    }

    /// Removes an element; `false` if it was not there.
    pub fn remove(&mut self, item: &T) -> bool {
        self.0.remove(item)
    }

    /// Whether the element is there.
    pub fn contains(&self, item: &T) -> bool {
        self.0.contains(item)
    }

    /// The elements in order.
    pub fn iter(&self) -> btree_set::Iter<'_, T> {
        self.0.iter()
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: SetItem> Default for Set<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: SetItem> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl<'a, T: SetItem> IntoIterator for &'a Set<T> {
    type Item = &'a T;
    type IntoIter = btree_set::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: SetItem> Reconcile for Set<T> {
    type Key<'a> = NoKey;

    fn reconcile<R: Reconciler>(&self, mut reconciler: R) -> Result<(), R::Error> {
        let keys: BTreeSet<String> = self.0.iter().map(SetItem::to_key).collect();
        let mut map = reconciler.map()?;
        map.retain(|key, _| keys.contains(key))?;
        keys.iter().try_for_each(|key| map.put(key, true))
    }
}

impl<T: SetItem> Hydrate for Set<T> {
    fn hydrate_map<D: ReadDoc>(doc: &D, obj: &ObjId) -> Result<Self, HydrateError> {
        let elements = BTreeMap::<String, bool>::hydrate_map(doc, obj)?;
        let read = |key: &String| {
            T::from_key(key).ok_or_else(|| HydrateError::unexpected("an element", key.clone()))
        };
        elements
            .keys()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl<T: SetItem> Serialize for Set<T> {
    /// As it is in the document: a map from each element's text to `true`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for item in &self.0 {
            map.serialize_entry(&item.to_key(), &true)?;
        }
        map.end()
    }
}

impl<'de, T: SetItem + Deserialize<'de>> Deserialize<'de> for Set<T> {
    /// From a map with the elements as keys, or from a list of elements.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// Reads a set in either form.
struct Either<T>(PhantomData<T>);

impl<'de, T: SetItem + Deserialize<'de>> Visitor<'de> for Either<T> {
    type Value = Set<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Set<T>, A::Error> {
        let mut set = BTreeSet::new();
        while let Some((key, present)) = map.next_entry::<String, bool>()? {
            let item = T::from_key(&key);
            let item = item.ok_or_else(|| A::Error::custom("an element does not fit"))?;
            if present {
                set.insert(item);
            }
        }
        Ok(Set(set))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Set<T>, A::Error> {
        let mut set = BTreeSet::new();
        while let Some(item) = seq.next_element()? {
            set.insert(item);
        }
        Ok(Set(set))
    }
}

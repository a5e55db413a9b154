//! Writes a Rust value that implements [`Reconcile`] into a document.
//!
//! Autosurgeon has a writer of its own; this one writes the same, but names the field in errors,
//! keeps the limits, leaves equal values alone, splices where a text is assigned anew, increments
//! where a counter is, and removes map entries in order, so that one edit makes one change
//! whenever it is replayed.

use std::borrow::Cow;
use std::fmt;

use automerge::transaction::Transactable as _;
use automerge::{ObjId, ObjType, Prop, ROOT, ReadDoc as _, ValueRef};
use autosurgeon::Reconcile;
use autosurgeon::reconcile::{
    CounterReconciler, LoadKey, MapReconciler, Reconciler, SeqReconciler, StaleHeads,
    TextReconciler,
};

use super::edit::{DELETED_KEY, not_reserved};
use super::value::{PathStep, Value};
use super::write::Writer;
use crate::error::{Error, ErrorKind};

/// Writes `value` to the root.
pub(super) fn root<T: Reconcile>(writer: &mut Writer<'_>, value: &T) -> Result<(), Error> {
    let heads = writer.tx.base_heads();
    let place = Place {
        writer,
        heads: &heads,
        target: Target::Root,
    };
    value.reconcile(place).map_err(|it| it.0)?;
    writer.failure.take().map_or(Ok(()), Err)
}

/// [`Error`], with what autosurgeon asks of an error.
#[derive(Debug)]
struct Failure(Error);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<StaleHeads> for Failure {
    fn from(error: StaleHeads) -> Self {
        let message = "a text was taken from another version of the record; read it again";
        Self(Error::new(ErrorKind::Conflict, message).with_source(error))
    }
}

/// Where a value goes.
#[derive(Clone)]
enum Target {
    Root,
    /// To a property; `fresh` objects replace what is there instead of changing it.
    Put {
        obj: ObjId,
        prop: Prop,
        fresh: bool,
    },
    /// Into a list, before what is there.
    Insert {
        obj: ObjId,
        index: usize,
    },
}

struct Place<'w, 'd> {
    writer: &'w mut Writer<'d>,
    heads: &'w [automerge::ChangeHash],
    target: Target,
}

impl Place<'_, '_> {
    fn scalar(&mut self, value: &Value) -> Result<(), Failure> {
        self.writer.check(value)?;
        match &self.target {
            Target::Root => {
                let message = format!("a record is a struct or map, not {}", value.class());
                Err(Error::new(ErrorKind::InvalidInput, message))
            }
            Target::Put { obj, prop, .. } => self.writer.put(obj, prop.clone(), value),
            Target::Insert { obj, index } => self.writer.insert(obj, *index, value),
        }
        .map_err(Failure)
    }

    /// The object that is there, if it may be changed and is of this kind, or else a new one.
    fn object(&mut self, kind: ObjType) -> Result<ObjId, Failure> {
        if kind != ObjType::Text {
            self.writer.check_depth()?;
        }
        let made = match &self.target {
            Target::Root if kind == ObjType::Map => return Ok(ROOT),
            Target::Root => {
                let message = "a record is a struct or map, not a list or text";
                return Err(Failure(Error::new(ErrorKind::InvalidInput, message)));
            }
            Target::Put { obj, prop, fresh } => {
                let found = self.writer.tx.get(obj, prop.clone());
                let found = found.map_err(|it| self.writer.refused(it))?;
                match found {
                    Some((automerge::Value::Object(there), id)) if there == kind && !fresh => {
                        return Ok(id);
                    }
                    _ => self.writer.tx.put_object(obj, prop.clone(), kind),
                }
            }
            Target::Insert { obj, index } => self.writer.tx.insert_object(obj, *index, kind),
        };
        Ok(made.map_err(|it| self.writer.refused(it))?)
    }
}

impl<'d> Reconciler for Place<'_, 'd> {
    type Error = Failure;
    type Map<'b>
        = Entries<'b, 'd>
    where
        Self: 'b;
    type Seq<'b>
        = Elements<'b, 'd>
    where
        Self: 'b;
    type Text<'b>
        = Characters<'b, 'd>
    where
        Self: 'b;
    type Counter<'b>
        = Count<'b, 'd>
    where
        Self: 'b;

    fn none(&mut self) -> Result<(), Failure> {
        self.scalar(&Value::Null)
    }

    fn bytes<B: AsRef<[u8]>>(&mut self, value: B) -> Result<(), Failure> {
        self.scalar(&Value::Bytes(value.as_ref().to_vec()))
    }

    fn timestamp(&mut self, value: i64) -> Result<(), Failure> {
        self.scalar(&Value::Timestamp(value))
    }

    fn boolean(&mut self, value: bool) -> Result<(), Failure> {
        self.scalar(&Value::Bool(value))
    }

    fn str<S: AsRef<str>>(&mut self, value: S) -> Result<(), Failure> {
        self.scalar(&Value::from(value.as_ref()))
    }

    fn u64(&mut self, value: u64) -> Result<(), Failure> {
        self.scalar(&Value::Uint(value))
    }

    fn i64(&mut self, value: i64) -> Result<(), Failure> {
        self.scalar(&Value::Int(value))
    }

    fn f64(&mut self, value: f64) -> Result<(), Failure> {
        self.scalar(&Value::Float(value))
    }

    fn map(&mut self) -> Result<Entries<'_, 'd>, Failure> {
        let obj = self.object(ObjType::Map)?;
        let (writer, heads) = (&mut *self.writer, self.heads);
        let surplus = Vec::new();
        Ok(Entries {
            writer,
            heads,
            obj,
            surplus,
        })
    }

    fn seq(&mut self) -> Result<Elements<'_, 'd>, Failure> {
        let obj = self.object(ObjType::List)?;
        let (writer, heads) = (&mut *self.writer, self.heads);
        Ok(Elements { writer, heads, obj })
    }

    fn text(&mut self) -> Result<Characters<'_, 'd>, Failure> {
        let obj = self.object(ObjType::Text)?;
        let (writer, heads) = (&mut *self.writer, self.heads);
        Ok(Characters { writer, heads, obj })
    }

    fn counter(&mut self) -> Result<Count<'_, 'd>, Failure> {
        Ok(Count(Place {
            writer: &mut *self.writer,
            heads: self.heads,
            target: self.target.clone(),
        }))
    }

    fn heads(&self) -> &[automerge::ChangeHash] {
        self.heads
    }
}

/// A map being written.
struct Entries<'w, 'd> {
    writer: &'w mut Writer<'d>,
    heads: &'w [automerge::ChangeHash],
    obj: ObjId,
    /// Entries to remove at the end: autosurgeon names them in the order of a hash map.
    surplus: Vec<String>,
}

impl MapReconciler for Entries<'_, '_> {
    type Error = Failure;
    type EntriesIter<'b>
        = Box<dyn Iterator<Item = (Cow<'b, str>, ValueRef<'b>)> + 'b>
    where
        Self: 'b;

    fn entries(&self) -> Self::EntriesIter<'_> {
        let root = self.obj == ROOT;
        let entries = self.writer.tx.map_range(&self.obj, ..);
        let entries = entries.map(|item| (item.key, item.value));
        Box::new(entries.filter(move |(key, _)| !root || key != DELETED_KEY))
    }

    fn entry<P: AsRef<str>>(&self, prop: P) -> Option<automerge::Value<'_>> {
        let found = self.writer.tx.get(&self.obj, prop.as_ref());
        found.ok().flatten().map(|(value, _)| value)
    }

    fn put<R: Reconcile, P: AsRef<str>>(&mut self, prop: P, value: R) -> Result<(), Failure> {
        let key = prop.as_ref();
        let step = PathStep::from(key);
        if self.obj == ROOT {
            not_reserved(Some(&step))?;
        }
        let known = self.surplus.len();
        self.surplus.retain(|it| it != key);
        let removed_before = self.surplus.len() < known;
        let fresh = removed_before || differ(self.hydrate_entry_key::<R, _>(key)?, value.key());
        let heads = self.heads;
        let target = Target::Put {
            obj: self.obj.clone(),
            prop: Prop::from(key),
            fresh,
        };
        self.writer.at(step, |writer| {
            value.reconcile(Place {
                writer,
                heads,
                target,
            })
        })
    }

    fn delete<P: AsRef<str>>(&mut self, prop: P) -> Result<(), Failure> {
        self.surplus.push(prop.as_ref().to_owned());
        Ok(())
    }

    fn hydrate_entry_key<'b, R: Reconcile, P: AsRef<str>>(
        &self,
        prop: P,
    ) -> Result<LoadKey<R::Key<'b>>, Failure> {
        let prop = autosurgeon::Prop::from(prop.as_ref());
        R::hydrate_key(&self.writer.tx, &self.obj, prop).map_err(key_failure)
    }
}

impl Drop for Entries<'_, '_> {
    fn drop(&mut self) {
        self.surplus.sort_unstable();
        for key in std::mem::take(&mut self.surplus) {
            if let Err(error) = self.writer.tx.delete(&self.obj, key) {
                let error = self.writer.refused(error);
                self.writer.failure.get_or_insert(error);
            }
        }
    }
}

/// A list being written.
struct Elements<'w, 'd> {
    writer: &'w mut Writer<'d>,
    heads: &'w [automerge::ChangeHash],
    obj: ObjId,
}

impl SeqReconciler for Elements<'_, '_> {
    type Error = Failure;
    type ItemIter<'b>
        = Box<dyn Iterator<Item = ValueRef<'b>> + 'b>
    where
        Self: 'b;

    fn items(&self) -> Self::ItemIter<'_> {
        let items = self.writer.tx.list_range(&self.obj, ..);
        Box::new(items.map(|item| item.value))
    }

    fn get(&self, index: usize) -> Result<Option<automerge::Value<'_>>, Failure> {
        let found = self.writer.tx.get(&self.obj, index);
        let found = found.map_err(|it| self.writer.refused(it))?;
        Ok(found.map(|(value, _)| value))
    }

    fn hydrate_item_key<'b, R: Reconcile>(
        &self,
        index: usize,
    ) -> Result<LoadKey<R::Key<'b>>, Failure> {
        if self.get(index)?.is_none() {
            return Ok(LoadKey::KeyNotFound);
        }
        R::hydrate_key(&self.writer.tx, &self.obj, index.into()).map_err(key_failure)
    }

    fn insert<R: Reconcile>(&mut self, index: usize, value: R) -> Result<(), Failure> {
        let obj = self.obj.clone();
        self.element(index, &value, Target::Insert { obj, index })
    }

    fn set<R: Reconcile>(&mut self, index: usize, value: R) -> Result<(), Failure> {
        let fresh = differ(self.hydrate_item_key::<R>(index)?, value.key());
        let target = Target::Put {
            obj: self.obj.clone(),
            prop: Prop::from(index),
            fresh,
        };
        self.element(index, &value, target)
    }

    fn delete(&mut self, index: usize) -> Result<(), Failure> {
        let deleted = self.writer.tx.delete(&self.obj, index);
        Ok(deleted.map_err(|it| self.writer.refused(it))?)
    }

    fn len(&self) -> Result<usize, Failure> {
        Ok(self.writer.tx.length(&self.obj))
    }
}

impl Elements<'_, '_> {
    fn element<R: Reconcile>(
        &mut self,
        index: usize,
        value: &R,
        target: Target,
    ) -> Result<(), Failure> {
        let heads = self.heads;
        self.writer.at(PathStep::Index(index), |writer| {
            value.reconcile(Place {
                writer,
                heads,
                target,
            })
        })
    }
}

/// A text being written.
struct Characters<'w, 'd> {
    writer: &'w mut Writer<'d>,
    heads: &'w [automerge::ChangeHash],
    obj: ObjId,
}

impl TextReconciler for Characters<'_, '_> {
    type Error = Failure;

    fn splice<S: AsRef<str>>(
        &mut self,
        position: usize,
        delete: isize,
        insert: S,
    ) -> Result<(), Failure> {
        let insert = insert.as_ref();
        let spliced = self
            .writer
            .tx
            .splice_text(&self.obj, position, delete, insert);
        spliced.map_err(|it| self.writer.refused(it))?;
        let text = self.writer.tx.text(&self.obj);
        let bytes = text.map_err(|it| self.writer.refused(it))?.len();
        Ok(self.writer.check_size(bytes)?)
    }

    fn heads(&self) -> &[automerge::ChangeHash] {
        self.heads
    }

    fn update<S: AsRef<str>>(&mut self, new: S) -> Result<(), Failure> {
        Ok(self.writer.put_text(&self.obj, new.as_ref())?)
    }
}

/// A counter being written.
struct Count<'w, 'd>(Place<'w, 'd>);

impl CounterReconciler for Count<'_, '_> {
    type Error = Failure;

    fn increment(&mut self, by: i64) -> Result<(), Failure> {
        let mut now = 0;
        if let Target::Put { obj, prop, .. } = &self.0.target {
            let found = self.0.writer.tx.get(obj, prop.clone());
            let found = found.map_err(|it| self.0.writer.refused(it))?;
            let scalar = found.as_ref().and_then(|(value, _)| value.as_scalar());
            if let Some(automerge::ScalarValue::Counter(counter)) = scalar {
                now = i64::from(counter);
            }
        }
        let Some(sum) = now.checked_add(by) else {
            let message = "the counter would leave the range of 64 bits";
            let error = self.0.writer.error(ErrorKind::InvalidInput, message);
            return Err(Failure(error));
        };
        self.set(sum)
    }

    /// The difference to what is there becomes an increment.
    fn set(&mut self, value: i64) -> Result<(), Failure> {
        self.0.scalar(&Value::Counter(value))
    }
}

/// Whether two keys say that what is there and what is put are different things.
fn differ<K: PartialEq>(there: LoadKey<K>, put: LoadKey<K>) -> bool {
    match (there, put) {
        (LoadKey::Found(there), LoadKey::Found(put)) => there != put,
        (LoadKey::Found(_), _) | (_, LoadKey::Found(_)) => true,
        _ => false,
    }
}

fn key_failure(error: autosurgeon::ReconcileError) -> Failure {
    let message = "the key of an element can't be read";
    Failure(Error::new(ErrorKind::WrongType, message).with_source(error))
}

//! Records of the caller's own types on simulated hosts, as on a node's collections.

use std::ops::ControlFlow;

use super::program::Program;
use super::world::World;
use crate::doc::EditMeta;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{CollectionId, RecordId, RecordKey};
use crate::record::{self, Record};
use crate::replica::Rows;

impl World {
    /// Adds a record under a new id.
    ///
    /// # Errors
    /// As [`Collection::insert`](crate::Collection::insert); while the host is down.
    pub fn insert<T: Record>(
        &mut self,
        host: usize,
        collection: &str,
        value: &T,
    ) -> Result<RecordId> {
        let id = self.new_record(host);
        let key = key(collection, id)?;
        self.change(host, &key, |document, meta| {
            let change = record::create(document, meta, value)?;
            Ok(((), Some(change)))
        })?;
        Ok(id)
    }

    /// Reads a record, lets `work` change it, and writes what is different.
    ///
    /// # Errors
    /// As [`Collection::update`](crate::Collection::update); while the host is down.
    pub fn update<T: Record, R>(
        &mut self,
        host: usize,
        collection: &str,
        id: RecordId,
        work: impl FnOnce(&mut T) -> R,
    ) -> Result<R> {
        self.change(host, &key(collection, id)?, |document, meta| {
            record::update(document, meta, work)
        })
    }

    /// Deletes a record; `false` if it is deleted already.
    ///
    /// # Errors
    /// As [`Collection::delete`](crate::Collection::delete); while the host is down.
    pub fn delete(&mut self, host: usize, collection: &str, id: RecordId) -> Result<bool> {
        self.change(host, &key(collection, id)?, |document, meta| {
            let change = record::delete(document, meta)?;
            Ok((change.is_some(), change))
        })
    }

    /// Takes a deletion back; `false` if the record is not deleted.
    ///
    /// # Errors
    /// As [`Collection::restore`](crate::Collection::restore); while the host is down.
    pub fn undelete(&mut self, host: usize, collection: &str, id: RecordId) -> Result<bool> {
        self.change(host, &key(collection, id)?, |document, meta| {
            let change = record::restore(document, meta)?;
            Ok((change.is_some(), change))
        })
    }

    fn change<R>(
        &mut self,
        host: usize,
        key: &RecordKey,
        work: impl FnOnce(
            &mut crate::doc::Document,
            EditMeta,
        ) -> Result<(R, Option<crate::doc::Change>)>,
    ) -> Result<R> {
        let meta = EditMeta::at(self.now_of(host).wall);
        let prepared = self.host(host)?.prepare(key, |it| work(it, meta));
        let (result, write) = prepared.map_err(|error| error.context(key))?;
        if let Some(write) = write {
            self.capture(host, write)?;
        }
        Ok(result)
    }

    /// Reads a record as its host shows it; `None` if there is none or it is deleted.
    ///
    /// # Errors
    /// `WrongType` if it does not have the shape of `T`; while the host is down.
    pub fn get<T: Record>(&self, host: usize, collection: &str, id: RecordId) -> Result<Option<T>> {
        let value = self.view(host, &key(collection, id)?)?;
        let value = value.filter(|it| !record::is_deleted(it));
        value.map(|it| record::read(&it)).transpose()
    }

    /// Gives a host the program that it runs from now on. Its records are shown and judged by that at once.
    ///
    /// # Errors
    /// When there is no such host, or its store can't be read.
    pub fn install(&mut self, host: usize, program: Program) -> Result<()> {
        let it = self.host_mut(host)?;
        let before = it.program().clone();
        it.set_program(program);
        if !it.is_up() || !it.projects() {
            return Ok(());
        }
        let mut records = it.records(Self::space())?;
        records.retain(|key, _| {
            let all = [&before, it.program()];
            all.iter().any(|it| it.declares(&key.collection))
        });
        for key in records.into_keys() {
            let shown = self.host(host)?.project(key);
            self.tell(host, shown);
        }
        Ok(())
    }

    /// Holds a rule of the application against every host that is up.
    ///
    /// # Errors
    /// The first that the rule returns, with the number of the host.
    pub fn check_all(&self, mut rule: impl FnMut(&Self, usize) -> Result<()>) -> Result<()> {
        for host in 0..self.len() {
            if self.host(host)?.is_up() {
                rule(self, host).map_err(|error| error.context(format!("host {host}")))?;
            }
        }
        Ok(())
    }

    /// The ids of all records of a collection that its host shows, deleted ones left out.
    ///
    /// # Errors
    /// When the store can't be read; while the host is down.
    pub fn list(&self, host: usize, collection: &str) -> Result<Vec<RecordId>> {
        let name = collection_id(collection)?;
        let snapshot = self.store(host)?.snapshot()?;
        let rows = Rows::new(snapshot.as_ref());
        let mut ids = Vec::new();
        if let Some(number) = rows.number(Self::space(), Some(&name))? {
            rows.views(number, &mut |id, view| {
                let value = crate::doc::Value::from_bytes(&view.value);
                if value.is_ok_and(|it| !record::is_deleted(&it)) {
                    ids.push(id);
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(ids)
    }
}

fn key(collection: &str, record: RecordId) -> Result<RecordKey> {
    Ok(RecordKey {
        space: World::space(),
        collection: collection_id(collection)?,
        record,
    })
}

fn collection_id(name: &str) -> Result<CollectionId> {
    let wrong =
        |error: crate::id::ParseIdError| Error::new(ErrorKind::InvalidInput, error.to_string());
    name.parse().map_err(wrong)
}

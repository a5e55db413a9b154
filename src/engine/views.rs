//! Views that are behind, and indexes over views: both are made beside everything else, a small step at
//! a time.

use super::{Effect, Engine, Reply, Ticket, WantedIndexes};
use crate::id::{CollectionId, RecordKey, SpaceId};
use crate::limits;
use crate::replica::Projection;
use crate::time::Now;

impl Engine {
    pub(super) fn not_projected(&mut self, key: &RecordKey) {
        self.projecting.remove(key);
        self.project(Vec::new());
    }

    pub(super) fn projected(&mut self, now: Now, projection: Projection) {
        self.projecting.remove(&projection.key);
        let key = projection.key.clone();
        let behind = match self.replica.project(projection, now.wall) {
            Ok(true) => None,
            Ok(false) => Some(key),
            Err(error) => {
                tracing::warn!(record = %key, %error, "could not store a view");
                None
            }
        };
        self.project(behind.into_iter().collect());
    }

    pub(super) fn begin_ruling(&mut self, space: SpaceId, collection: &CollectionId, by: u64) {
        if let Err(error) = self.replica.begin_ruling(space, collection, by) {
            tracing::warn!(%collection, %error, "could not note what judges its views");
        }
    }

    /// Asks for views of records that are behind, each once at a time.
    pub(super) fn project(&mut self, stale: Vec<RecordKey>) {
        if !self.config.projects {
            return;
        }
        let new = stale.into_iter().filter(|it| !self.projecting.contains(it));
        self.behind.extend(new);
        while self.projecting.len() < limits::PROJECTIONS_MAX
            && let Some(key) = self.behind.pop_first()
        {
            self.projecting.insert(key.clone());
            self.ready.push_back(Effect::Project(key));
        }
    }

    /// Views that are not up to date.
    pub(super) fn views_behind(&self) -> usize {
        self.projecting.len() + self.behind.len()
    }

    /// Takes in what the application says of indexes, and goes one step on with them.
    pub(super) fn work_on_indexes(&mut self, ticket: Ticket, wanted: Option<WantedIndexes>) {
        let told = wanted.map_or(Ok(()), |(of, columns)| {
            self.replica.set_indexes(&of, columns.as_slice())
        });
        let worked = told.and_then(|()| self.replica.work_on_indexes());
        self.reply(ticket, Reply::Indexed(worked));
    }
}

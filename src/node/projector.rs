//! Brings views up to their record's heads, off the engine's thread.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::shared::{Shared, closed, lock};
use super::tasks::run_apart;
use crate::doc::Value;
use crate::engine::Event;
use crate::error::{ErrorKind, Result};
use crate::id::{CollectionId, RecordKey, SpaceId};
use crate::limits;
use crate::replica::documents::first_view;
use crate::replica::{Projection, Rows, View};
use crate::telemetry::names;

/// Records that one worker takes at a time.
const RECORDS: usize = limits::PROJECTIONS_MAX / limits::PROJECTORS / 2;

/// Starts the projector; it ends with the sender.
pub(super) fn start(shared: &Arc<Shared>) -> mpsc::Sender<RecordKey> {
    // The engine hands out no more at a time.
    let (keys, mut wanted) = mpsc::channel(limits::PROJECTIONS_MAX);
    let tasks = &shared.tasks;
    let shared = Arc::clone(shared);
    tasks.spawn(async move {
        let mut keys = Vec::new();
        while wanted.recv_many(&mut keys, RECORDS).await > 0 {
            let Ok(permit) = Arc::clone(&shared.projectors).acquire_owned().await else {
                return;
            };
            let worker = Arc::clone(&shared);
            let keys = std::mem::take(&mut keys);
            shared.tasks.spawn(async move {
                project(&worker, keys).await;
                drop(permit);
            });
        }
    });
    keys
}

/// Makes those views of a collection again that another contract shows or judges otherwise; `is_gone` says
/// that the one which the space had is. Until then reads take the documents of those with conflicts, and
/// see what breaks it.
///
/// Each collection has one task for that at a time, however many contracts come.
pub(super) fn again(shared: &Arc<Shared>, of: (SpaceId, CollectionId), is_gone: bool) {
    if !shared.rulings.is_due(&of, is_gone) {
        return;
    }
    let worker = Arc::clone(shared);
    shared.tasks.spawn(async move {
        while let Some(is_gone) = worker.rulings.next_due(&of) {
            if let Err(error) = make_again(&worker, &of, is_gone).await {
                tracing::warn!(collection = %of.1, %error, "could not make views again");
            }
        }
    });
}

async fn make_again(
    shared: &Arc<Shared>,
    of: &(SpaceId, CollectionId),
    is_gone: bool,
) -> Result<()> {
    if is_gone {
        let (worker, of) = (Arc::clone(shared), of.clone());
        run_apart(move || worker.rulings.look_again(|| worker.snapshot(), &of)).await?;
    }
    // What is being made or edited may still go by what went before. It is told to the engine before
    // we go on, and committed before the engine answers.
    let all = u32::try_from(limits::PROJECTORS).unwrap_or(u32::MAX);
    drop(shared.projectors.acquire_many(all).await);
    let permit = shared.inbox.reserve().await.map_err(|_gone| closed())?;
    let reply = {
        let _turn = lock(&shared.writer);
        shared.capture(permit, shared.correlation(), Vec::new())
    };
    shared.captured(&[], reply).await?;
    let by = shared.rulings.name_of(of.0, &of.1);
    if is_ruled(shared, of, by)? {
        return Ok(());
    }
    shared.tell(Event::Ruling(of.0, of.1.clone(), by)).await?;
    let (worker, (space, collection)) = (Arc::clone(shared), of.clone());
    let keys = run_apart(move || ruled_otherwise(&worker, space, &collection)).await?;
    let mut is_whole = true;
    for some in keys.chunks(RECORDS) {
        let _permit = shared.projectors.acquire().await;
        is_whole &= project(shared, some.to_vec()).await;
    }
    if is_whole {
        shared.tell(Event::Ruled(of.0, of.1.clone(), by)).await?;
    }
    // Else no index is used, and the next start goes on with it.
    Ok(())
}

/// Whether all views of a collection were judged by the ruling of this name.
fn is_ruled(shared: &Shared, of: &(SpaceId, CollectionId), by: u64) -> Result<bool> {
    let snapshot = shared.snapshot()?;
    let rows = Rows::new(snapshot.as_ref());
    let number = rows.number(of.0, Some(&of.1))?;
    let ruled = number.map(|it| rows.ruled_by(it)).transpose()?.flatten();
    Ok(ruled.unwrap_or(0) == by && ruled != Some(0))
}

/// Goes on with what a node that stopped was at, once the program had time to declare its contracts:
/// what is judged before by another is judged twice.
pub(super) fn resume(shared: &Arc<Shared>) {
    let worker = Arc::clone(shared);
    shared.tasks.spawn(async move {
        tokio::select! {
            () = worker.until_stopped() => return,
            () = tokio::time::sleep(limits::RULE_AFTER) => {}
        }
        let ruled = worker
            .snapshot()
            .and_then(|it| Rows::new(it.as_ref()).ruled());
        match ruled {
            Ok(ruled) => {
                for of in worker.rulings.collections().into_iter().chain(ruled) {
                    again(&worker, of, false);
                }
            }
            Err(error) => tracing::warn!(%error, "could not see what judges views"),
        }
    });
}

fn ruled_otherwise(
    shared: &Shared,
    space: SpaceId,
    collection: &CollectionId,
) -> Result<Vec<RecordKey>> {
    let snapshot = shared.snapshot()?;
    let rows = Rows::new(snapshot.as_ref());
    let Some(number) = rows.number(space, Some(collection))? else {
        return Ok(Vec::new());
    };
    let tag = shared.rulings.tag_of(space, collection);
    let mut keys = Vec::new();
    rows.views(number, &mut |record, view| {
        let key = RecordKey {
            space,
            collection: collection.clone(),
            record,
        };
        let value = Value::from_bytes(&view.value);
        let breaks = value.is_ok_and(|it| {
            !shared.rulings.is_migrated(&key, &it) || shared.rulings.breach(&key, &it).is_some()
        });
        if breaks || !view.is_current(view.changes, tag) {
            keys.push(key);
        }
        ControlFlow::Continue(())
    })?;
    // What broke the last contract may keep this one.
    let named = rows.quarantined_records(number)?.into_iter();
    keys.extend(named.map(|record| RecordKey {
        space,
        collection: collection.clone(),
        record,
    }));
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// Projects records; says whether all of them were.
async fn project(shared: &Arc<Shared>, keys: Vec<RecordKey>) -> bool {
    let worker = Arc::clone(shared);
    let all = keys.clone();
    let made = run_apart(move || make_all(&worker, &all)).await;
    let made = made.unwrap_or_else(|error| {
        tracing::warn!(%error, "could not make views");
        keys.into_iter().map(Event::NotProjected).collect()
    });
    let mut is_whole = true;
    for event in made {
        is_whole &= matches!(event, Event::Projected(_));
        if shared.tell(event).await.is_err() {
            return false;
        }
    }
    is_whole
}

/// The views of records as the store has them.
fn make_all(shared: &Shared, keys: &[RecordKey]) -> Result<Vec<Event>> {
    let snapshot = shared.snapshot()?;
    let rows = Rows::new(snapshot.as_ref());
    let made = keys.iter().map(|key| match make(shared, &rows, key) {
        Ok(projection) => Event::Projected(projection),
        Err(error) => {
            tracing::warn!(record = %key, %error, "could not make a view");
            Event::NotProjected(key.clone())
        }
    });
    Ok(made.collect())
}

/// The view of a record.
fn make(shared: &Shared, rows: &Rows<'_>, key: &RecordKey) -> Result<Projection> {
    let span = tracing::debug_span!(names::span::PROJECT, record = %key);
    let _entered = span.entered();
    // Before it is judged: should another come meanwhile, it is judged once more.
    let ruled_by = shared.rulings.name_of(key.space, &key.collection);
    // What is new costs a document only where it has one already.
    if shared.documents.changes(key) == 0
        && let Some(first) = first_view(rows, key)?
        && shared.rulings.is_migrated(key, first.value())
    {
        return Ok(first.into_projection(ruled_by, |value| shared.rulings.breach(key, value)));
    }
    let mut document = shared.documents.check_out(key);
    metrics::counter!(names::DOCUMENTS_LOADED, names::label::CAUSE => "view").increment(1);
    let view = match document.stored_view(rows) {
        Ok(shown) => {
            let breach = shared.rulings.breach(key, &shown.value);
            Ok(View {
                breach,
                ruled_by,
                ..View::from(shown)
            })
        }
        Err(error) if error.kind() == ErrorKind::Migration => {
            let shown = document.unmigrated_view(rows)?;
            Ok(View {
                breach: Some(error.to_string()),
                ruled_by,
                ..View::from(shown)
            })
        }
        Err(error) if error.kind() == ErrorKind::Poisoned => Err(error.to_string()),
        Err(error) => return Err(error),
    };
    let loaded = document.loaded();
    let (mut heads, mut changes) = (loaded.heads.clone(), loaded.changes());
    if view.is_err() {
        // What could not be loaded is what the store has.
        document.discard();
        let slot = rows.slot(key)?;
        let header = slot.map(|it| rows.header(it)).transpose()?.flatten();
        if let Some(header) = header {
            (heads, changes) = (header.shown(), header.changes);
        }
    }
    Ok(Projection {
        key: key.clone(),
        heads,
        changes,
        view,
    })
}

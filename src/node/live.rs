//! Live queries: a result, and how it changes from then on.

use std::collections::VecDeque;
use std::fmt;

use super::collection::Collection;
use super::records::Records;
use super::watch::{Watch, WatchEvent};
use crate::error::Result;
use crate::limits;
use crate::query::{Board, LiveEvent, LiveRecord, Query};
use crate::record::Record;

/// The result of a query, kept up to date.
///
/// [`Live::records`] gives the result, [`Live::next`] one event after the other, each of which applies
/// to a list ([`LiveEvent::apply`]): the list then is the result of the query at a later time. Once
/// nothing changes any more, it is what the query would find afresh, but for records whose document
/// can't be loaded.
///
/// A change of a record costs time in proportion to that record and to the logarithm of the result,
/// whatever the size of the collection. With a limit, the result and as many records that come next
/// (at least [`limits::LIVE_MARGIN`]) are held, so that one which leaves the result is replaced
/// at once; the query is asked again after so many of those that are held have left, and
/// after the reader fell behind by more than [`limits::WATCH_QUEUE_EVENTS`] changes. What
/// differs then comes as events. Without a limit the whole result is held.
///
/// It holds on to its node, as a collection does.
///
/// ```
/// use serde_json::json;
/// use syncline::Node;
/// use syncline::query::LiveEvent;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), syncline::Error> {
/// let node = Node::builder().open().await?;
/// let tasks = node.records("tasks")?;
/// let mut live = tasks.live(&"done = false order by title limit 10".parse()?).await?;
/// let mut shown = live.records();
/// assert!(shown.is_empty());
///
/// let id = tasks.insert(&json!({"title": "water", "done": false})).await?;
/// let event = live.next().await?.expect("the node is open");
/// assert!(matches!(&event, LiveEvent::Added { at: 0, record } if record.id == id));
/// event.apply(&mut shown);
/// tasks.patch(id, &json!({"done": true})).await?;
/// live.next().await?.expect("the node is open").apply(&mut shown);
/// assert!(shown.is_empty());
/// # node.shutdown().await
/// # }
/// ```
pub struct Live {
    records: Records,
    watch: Watch,
    board: Board,
    /// What is on the board and was not told.
    events: VecDeque<LiveEvent>,
    /// The board misses something that only the whole collection tells.
    is_behind: bool,
}

impl Live {
    /// The result as it is now. Events that were not read yet are in it, and are not told any more.
    pub fn records(&mut self) -> Vec<LiveRecord> {
        self.events.clear();
        self.board.result()
    }

    /// The next event; `None` once the node is shut down.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// When the store can't be read, `TooLarge` while there are more than
    /// [`limits::LIVE_RECORDS_MAX`] records in a result without a limit. The next call tries again,
    /// and no change is lost meanwhile.
    pub async fn next(&mut self) -> Result<Option<LiveEvent>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if self.is_behind {
                self.read().await?;
                continue;
            }
            match self.watch.next().await {
                Some(WatchEvent::Changed(changed)) => {
                    let record = changed.key.record;
                    let set = self.board.set(record, &changed.after, &mut self.events);
                    self.is_behind = set.is_err() || self.board.is_short();
                    set?;
                }
                Some(WatchEvent::Lagged { .. }) => self.is_behind = true,
                None => return Ok(None),
            }
        }
    }

    /// Asks the query again. If it is given up the next one begins anew.
    async fn read(&mut self) -> Result<()> {
        self.is_behind = true;
        // What was told already is in what is read now; taking it again would show the past.
        for _ in 0..=limits::WATCH_QUEUE_EVENTS {
            if self.watch.try_next().is_none() {
                break;
            }
        }
        let (selection, _unreadable) = self.records.select(self.board.selection()).await?;
        self.board.reset(selection, &mut self.events)?;
        self.is_behind = false;
        Ok(())
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("collection", self.records.name())
            .field("unread", &self.events.len())
            .finish_non_exhaustive()
    }
}

impl Records {
    /// The result of a query, kept up to date. At first it is asked as [`Records::query`] does.
    ///
    /// # Errors
    /// As [`Records::query`], and `TooLarge` if the limit, or the result without one, is over
    /// [`limits::LIVE_RECORDS_MAX`], or when there are too many watches.
    pub async fn live(&self, query: &Query) -> Result<Live> {
        let board = Board::new(query.clone())?;
        // Before it is read: what changes meanwhile is told.
        let watch = self.watch()?;
        let mut live = Live {
            records: self.clone(),
            watch,
            board,
            events: VecDeque::new(),
            is_behind: true,
        };
        live.read().await?;
        live.events.clear();
        Ok(live)
    }
}

impl<T: Record> Collection<T> {
    /// The result of a query, kept up to date; [`LiveRecord::read`] reads a record as `T`. One that
    /// does not have its shape is in the result all the same.
    ///
    /// # Errors
    /// As [`Records::live`].
    pub async fn live(&self, query: &Query) -> Result<Live> {
        self.untyped().live(query).await
    }
}

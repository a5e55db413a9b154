//! The board: what is shown, and what can be done with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use syncline::node::{Live, Presence, PresenceEvent, PresenceWatch, Present};
use syncline::query::LiveRecord;
use syncline::record::Text;
use syncline::{Collection, Node, RecordId, Records, ReplicaId, Result};

use crate::input::Input;
use crate::keys::Action;
use crate::task::{self, COLUMNS, TASKS, TITLE_MAX, Task};

/// What others see of a person at a board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looking {
    /// Their name.
    pub name: String,
    /// The task that they have selected.
    pub task: Option<RecordId>,
}

/// One column.
#[derive(Debug)]
pub struct Column {
    /// Its name, of [`COLUMNS`].
    pub name: &'static str,
    /// The tasks in it, in their order.
    pub tasks: Vec<LiveRecord>,
    live: Live,
}

/// What a line is typed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A new task in the selected column.
    Add,
    /// Another title of this task, which had that one when the typing began.
    Rename(RecordId, String),
    /// Who does this task.
    Assign(RecordId),
    /// What titles have to have in them.
    Filter,
}

/// The network, as far as people care.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Devices that are linked.
    pub links: usize,
    /// Changes that they do not have yet.
    pub undelivered: u64,
    /// Why a device that is to be dialled is not linked.
    pub trouble: Option<String>,
}

/// A board on a node.
#[derive(Debug)]
pub struct Board {
    node: Node,
    tasks: Collection<Task>,
    presence: Presence<Looking>,
    presence_events: PresenceWatch<Looking>,
    name: String,
    /// The columns, from left to right.
    pub columns: Vec<Column>,
    /// The selected column.
    pub column: usize,
    /// The selected task's place in it.
    pub row: usize,
    /// The line that is being typed.
    pub line: Option<(Purpose, Input)>,
    /// What titles have to have in them.
    pub filter: String,
    /// What the last action came to, if that is worth saying.
    pub message: Option<String>,
    /// Who else is here.
    pub others: BTreeMap<ReplicaId, Looking>,
    /// The network, when it was last looked at.
    pub network: Network,
    /// Whether the keys are shown.
    pub shows_help: bool,
    /// The task that is to be selected as soon as it is shown where it was put.
    follows: Option<RecordId>,
    /// Tasks that were changed here, the last one last, for undo; and those undone, for redo.
    done: Vec<RecordId>,
    undone: Vec<RecordId>,
}

/// Changes that undo finds by itself; of older ones the task has to be selected.
const DONE_MAX: usize = 1_000;

impl Board {
    /// The board of a node's home space, for a person of this name.
    ///
    /// # Errors
    /// When the store can't be read or written; `Conflict` if the space has tasks of another program.
    pub async fn open(node: Node, name: &str) -> Result<Self> {
        node.declare(&task::contract()?).await?;
        let tasks: Collection<Task> = node.collection(TASKS)?;
        let mut columns = Vec::with_capacity(COLUMNS.len());
        for name in COLUMNS {
            columns.push(Column::open(&tasks.untyped(), name, "").await?);
        }
        let presence = node.presence("task-board")?;
        let presence_events = presence.watch()?;
        let mut board = Self {
            tasks,
            presence,
            presence_events,
            name: name.to_owned(),
            columns,
            column: 0,
            row: 0,
            line: None,
            filter: String::new(),
            message: None,
            others: BTreeMap::new(),
            network: Network::default(),
            shows_help: false,
            follows: None,
            done: Vec::new(),
            undone: Vec::new(),
            node,
        };
        board.look_around();
        board.show_oneself();
        Ok(board)
    }

    /// The selected task, if the column has any; none while the one that was just moved is not shown yet, so
    /// that nothing is done to its neighbour.
    pub fn selected(&self) -> Option<&LiveRecord> {
        if self.follows.is_some() {
            return None;
        }
        self.columns.get(self.column)?.tasks.get(self.row)
    }

    /// Waits until what is shown changes, and takes it in. Cancel safe: what was not taken in yet is next
    /// time.
    ///
    /// # Errors
    /// When the store can't be read; the next call tries again.
    pub async fn changed(&mut self) -> Result<()> {
        let before = self.selected().map(|it| it.id);
        let [open, doing, done] = self.columns.as_mut_slice() else {
            return Ok(());
        };
        tokio::select! {
            changed = open.changed() => changed?,
            changed = doing.changed() => changed?,
            changed = done.changed() => changed?,
            event = self.presence_events.next() => match event {
                Some(PresenceEvent::Joined(other) | PresenceEvent::Changed(other)) => self.sees(other),
                Some(PresenceEvent::Left(who)) => drop(self.others.remove(&who)),
                Some(PresenceEvent::Lagged { .. }) => self.look_around(),
                // The node is shut down.
                None => std::future::pending().await,
            },
        }
        self.keep_selected(before);
        Ok(())
    }

    /// Looks at the network.
    ///
    /// # Errors
    /// `Closed` once the node is shut down.
    pub async fn look_at_network(&mut self) -> Result<()> {
        let status = self.node.status().await?;
        let proved = status.links.iter().filter(|it| it.peer.is_some());
        let spaces = proved.clone().flat_map(|it| &it.spaces);
        self.network = Network {
            links: proved.count(),
            undelivered: spaces.map(|(_, backlog)| backlog).sum(),
            trouble: status
                .peers
                .into_iter()
                .find_map(|it| it.last_error.filter(|_| it.failures > 0)),
        };
        Ok(())
    }

    /// Does what somebody wants done; `false` if that is to end.
    pub async fn act(&mut self, action: Action) -> bool {
        if !matches!(action, Action::Edit(_)) {
            self.message = None;
        }
        match action {
            Action::Quit => return false,
            Action::Across(by) => self.select_column(by),
            Action::Along(by) => {
                self.follows = None;
                self.row = moved(self.row, by, self.shown().len());
            }
            Action::Help => self.shows_help = !self.shows_help,
            Action::Add => self.line = Some((Purpose::Add, Input::default())),
            Action::Filter => self.line = Some((Purpose::Filter, Input::new(&self.filter))),
            Action::Rename | Action::Assign => self.begin(action),
            Action::Edit(edit) => {
                if let Some((_, input)) = &mut self.line {
                    input.edit(edit);
                }
            }
            Action::Cancel => {
                self.shows_help = false;
                self.line = None;
            }
            Action::Accept
            | Action::Carry(_)
            | Action::Shift(_)
            | Action::Delete
            | Action::Undo
            | Action::Redo => {
                let result = self.change(action).await;
                if let Err(error) = result {
                    self.message = Some(error.to_string());
                }
            }
        }
        self.show_oneself();
        true
    }

    async fn change(&mut self, action: Action) -> Result<()> {
        if action == Action::Accept {
            let Some((purpose, input)) = self.line.take() else {
                return Ok(());
            };
            let accepted = self.accept(purpose.clone(), input.text().trim()).await;
            if accepted.is_err() {
                // What was typed can be mended.
                self.line = Some((purpose, input));
            }
            return accepted;
        }
        if matches!(action, Action::Undo | Action::Redo) {
            return self.undo(action == Action::Undo).await;
        }
        let Some(id) = self.selected().map(|it| it.id) else {
            self.message = Some("there is no task here; a adds one".to_owned());
            return Ok(());
        };
        if let Action::Carry(by) = action {
            return self.carry(id, by).await;
        }
        if let Action::Shift(by) = action {
            return self.shift(id, by).await;
        }
        if self.tasks.delete(id).await? {
            self.has_changed(id);
        }
        Ok(())
    }

    async fn accept(&mut self, purpose: Purpose, text: &str) -> Result<()> {
        if text.chars().count() > TITLE_MAX {
            self.message = Some(format!(
                "more than {TITLE_MAX} characters; nothing was changed"
            ));
            self.line = Some((purpose, Input::new(text)));
            return Ok(());
        }
        match purpose {
            Purpose::Add | Purpose::Rename(..) if text.is_empty() => {
                self.message = Some("a task has a title; nothing was changed".to_owned());
            }
            Purpose::Add => {
                let task = Task {
                    title: Text::from(text),
                    column: self
                        .columns
                        .get(self.column)
                        .map_or(COLUMNS[0], |it| it.name)
                        .to_owned(),
                    place: self.place_at(self.column, usize::MAX, None).await?,
                    assignee: None,
                };
                let id = self.tasks.insert(&task).await?;
                self.has_changed(id);
            }
            Purpose::Rename(id, base) => {
                let rename = |task: &mut Task| {
                    let title = merged(&base, text, task.title.as_str());
                    task.title = Text::from(title);
                };
                self.tasks.update(id, rename).await?;
                self.has_changed(id);
            }
            Purpose::Assign(id) => {
                let assignee = (!text.is_empty()).then(|| text.to_owned());
                let assign = |task: &mut Task| task.assignee.clone_from(&assignee);
                self.tasks.update(id, assign).await?;
                self.has_changed(id);
            }
            Purpose::Filter => {
                text.clone_into(&mut self.filter);
                for column in &mut self.columns {
                    *column = Column::open(&self.tasks.untyped(), column.name, text).await?;
                }
                self.keep_selected(None);
            }
        }
        Ok(())
    }

    /// Begins to type what is to be changed of the selected task.
    fn begin(&mut self, action: Action) {
        let Some(selected) = self.selected() else {
            self.message = Some("there is no task here; a adds one".to_owned());
            return;
        };
        let id = selected.id;
        self.line = match (selected.read::<Task>(), action) {
            (Ok(task), Action::Rename) => {
                let title = task.title.as_str();
                Some((Purpose::Rename(id, title.to_owned()), Input::new(title)))
            }
            (Ok(task), _) => {
                let assignee = task.assignee.unwrap_or_else(|| self.name.clone());
                Some((Purpose::Assign(id), Input::new(&assignee)))
            }
            (Err(error), _) => {
                self.message = Some(error.to_string());
                None
            }
        };
    }

    async fn carry(&mut self, id: RecordId, by: isize) -> Result<()> {
        let to = moved(self.column, by, COLUMNS.len());
        let (Some(name), true) = (COLUMNS.get(to), to != self.column) else {
            return Ok(());
        };
        let place = self.place_at(to, usize::MAX, None).await?;
        let carry = |task: &mut Task| {
            (*name).clone_into(&mut task.column);
            task.place = place;
        };
        self.tasks.update(id, carry).await?;
        self.has_changed(id);
        self.column = to;
        self.follows = Some(id);
        Ok(())
    }

    async fn shift(&mut self, id: RecordId, by: isize) -> Result<()> {
        let to = moved(self.row, by, self.shown().len());
        if to == self.row {
            return Ok(());
        }
        // It stands behind the one that it passes on its way down, before it on its way up.
        let before = if by > 0 { to + 1 } else { to };
        let place = self.place_at(self.column, before, Some(id)).await?;
        self.tasks.update(id, |task| task.place = place).await?;
        self.has_changed(id);
        Ok(())
    }

    /// Takes back the last change that was made here, or makes it again. Where none is left of those since
    /// the start it is the last one of the selected task, whenever that was.
    async fn undo(&mut self, is_undo: bool) -> Result<()> {
        let stack = if is_undo {
            &mut self.done
        } else {
            &mut self.undone
        };
        let last = stack.pop();
        let Some(id) = last.or_else(|| self.selected().map(|it| it.id)) else {
            self.message = Some("there is nothing to take back".to_owned());
            return Ok(());
        };
        let done = if is_undo {
            self.tasks.undo(id).await?
        } else {
            self.tasks.redo(id).await?
        };
        if done.is_some() {
            let other = if is_undo {
                &mut self.undone
            } else {
                &mut self.done
            };
            other.push(id);
        }
        self.message = Some(match done {
            Some(done) if done.kept.is_empty() => return Ok(()),
            Some(_) => "others have changed it since: their changes stay".to_owned(),
            None if is_undo => "no change of yours is left to take back here".to_owned(),
            None => "nothing was taken back here".to_owned(),
        });
        Ok(())
    }

    /// Remembers that a task was changed here.
    fn has_changed(&mut self, id: RecordId) {
        if self.done.len() >= DONE_MAX {
            self.done.remove(0);
        }
        self.done.push(id);
        self.undone.clear();
    }

    /// A place in a column before the task at `before`; `without` is not there. Where no number is left
    /// between two neighbours the column is numbered anew.
    async fn place_at(
        &self,
        column: usize,
        before: usize,
        without: Option<RecordId>,
    ) -> Result<f64> {
        let tasks = self.columns.get(column).map(|it| it.tasks.as_slice());
        let tasks = tasks.unwrap_or_default();
        let (ahead, behind) = tasks.split_at(before.min(tasks.len()));
        let is_other = |it: &&LiveRecord| Some(it.id) != without;
        let place = |it: &LiveRecord| it.read::<Task>().ok().map(|it| it.place);
        let low = ahead.iter().rfind(is_other).and_then(place);
        let high = behind.iter().find(is_other).and_then(place);
        if let Some(place) = between(low, high) {
            return Ok(place);
        }
        let (mut next, mut found) = (0.0, 0.0);
        for (row, task) in tasks.iter().enumerate() {
            if row == before {
                found = next;
                next += 1.0;
            }
            if is_other(&task) {
                self.tasks.update(task.id, |it| it.place = next).await?;
                next += 1.0;
            }
        }
        Ok(if before >= tasks.len() { next } else { found })
    }

    fn shown(&self) -> &[LiveRecord] {
        let column = self.columns.get(self.column);
        column.map_or(&[], |it| it.tasks.as_slice())
    }

    fn select_column(&mut self, by: isize) {
        self.follows = None;
        self.column = moved(self.column, by, self.columns.len());
        self.keep_selected(None);
    }

    /// Stays at the task that was selected, wherever in its column it is now; else in the column.
    fn keep_selected(&mut self, before: Option<RecordId>) {
        let is_it = |it: &LiveRecord| Some(it.id) == self.follows.or(before);
        if let Some(row) = self.shown().iter().position(is_it) {
            self.row = row;
            self.follows = None;
        }
        self.row = self.row.min(self.shown().len().saturating_sub(1));
        self.show_oneself();
    }

    /// Lets others see which task is selected.
    fn show_oneself(&mut self) {
        let looking = Looking {
            name: self.name.clone(),
            task: self.selected().map(|it| it.id),
        };
        if let Err(error) = self.presence.set(&looking) {
            self.message = Some(error.to_string());
        }
    }

    fn sees(&mut self, other: Present<Looking>) {
        self.others.insert(other.who, other.value);
    }

    fn look_around(&mut self) {
        self.others.clear();
        for other in self.presence.all() {
            self.sees(other);
        }
    }
}

impl Column {
    async fn open(tasks: &Records, name: &'static str, words: &str) -> Result<Self> {
        let mut live = tasks.live(&task::query(name, words)).await?;
        let tasks = live.records();
        Ok(Self { name, tasks, live })
    }

    async fn changed(&mut self) -> Result<()> {
        match self.live.next().await? {
            Some(event) => {
                if !event.apply(&mut self.tasks) {
                    self.tasks = self.live.records();
                }
                Ok(())
            }
            // The node is shut down.
            None => std::future::pending().await,
        }
    }
}

/// A place among `count`, moved by so many.
fn moved(at: usize, by: isize, count: usize) -> usize {
    at.saturating_add_signed(by).min(count.saturating_sub(1))
}

/// A number between two; none if they leave no room.
fn between(low: Option<f64>, high: Option<f64>) -> Option<f64> {
    let (place, low, high) = match (low, high) {
        (Some(low), Some(high)) => (f64::midpoint(low, high), low, high),
        (Some(low), None) => (low + 1.0, low, f64::INFINITY),
        (None, Some(high)) => (high - 1.0, f64::NEG_INFINITY, high),
        (None, None) => return Some(0.0),
    };
    (low < place && place < high).then_some(place)
}

/// What becomes of `now`, if somebody made `mine` of `base` while others made `now` of it. Where both
/// changed the same characters theirs stay, and what was typed stands behind them.
fn merged(base: &str, mine: &str, now: &str) -> String {
    let [base, mine, now] = [base, mine, now].map(|it| it.chars().collect::<Vec<_>>());
    let (my_start, my_end, typed) = difference(&base, &mine);
    let (start, end, theirs) = difference(&base, &now);
    let written = start + theirs.len();
    let range = if my_end <= start {
        my_start..my_end
    } else if my_start >= end {
        my_start - end + written..my_end - end + written
    } else {
        written..written
    };
    let mut merged = now;
    merged.splice(range, typed);
    merged.into_iter().collect()
}

/// Which characters of the first were replaced to get the second, and by what.
fn difference(from: &[char], to: &[char]) -> (usize, usize, Vec<char>) {
    let same = |(one, other): &(&char, &char)| one == other;
    let start = from.iter().zip(to).take_while(same).count();
    let (from_rest, to_rest) = (from.split_at(start).1, to.split_at(start).1);
    let tails = from_rest.iter().rev().zip(to_rest.iter().rev());
    let tail = tails.take_while(same).count();
    let new = to_rest.split_at(to_rest.len() - tail).0.to_vec();
    (start, from.len() - tail, new)
}

#[cfg(test)]
mod tests {
    use super::{between, merged};

    #[test]
    fn what_others_type_into_a_title_meanwhile_stays() {
        assert_eq!(merged("sow", "sow beans", "sow"), "sow beans");
        assert_eq!(merged("sow", "sow beans", "today sow"), "today sow beans");
        assert_eq!(merged("sow", "today sow", "sow beans"), "today sow beans");
        assert_eq!(merged("sow", "saw", "sew"), "seaw");
        assert_eq!(merged("abc", "", "abc d"), " d");
        assert_eq!(merged("abc", "abc", "x"), "x");
    }

    #[test]
    fn a_place_is_strictly_between_its_neighbours_or_there_is_none() {
        assert_eq!(between(Some(1.0), Some(2.0)), Some(1.5));
        assert_eq!(between(None, None), Some(0.0));
        for none in [
            (Some(1.0), Some(1.0)),
            (Some(1e300), None),
            (Some(1.0), Some(1.0 + f64::EPSILON)),
            (Some(f64::NAN), None),
        ] {
            assert_eq!(between(none.0, none.1), None, "{none:?}");
        }
    }
}

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
    /// Another title of this task.
    Rename(RecordId),
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
}

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
            node,
        };
        board.look_around();
        board.show_oneself();
        Ok(board)
    }

    /// The selected task, if the column has any.
    pub fn selected(&self) -> Option<&LiveRecord> {
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
            Action::Along(by) => self.row = moved(self.row, by, self.shown().len()),
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
            return match self.line.take() {
                Some((purpose, input)) => self.accept(purpose, input.text().trim()).await,
                None => Ok(()),
            };
        }
        let Some(id) = self.selected().map(|it| it.id) else {
            self.message = Some("there is no task here; a adds one".to_owned());
            return Ok(());
        };
        if let Action::Carry(by) = action {
            self.carry(id, by).await
        } else if let Action::Shift(by) = action {
            self.shift(id, by).await
        } else if action == Action::Delete {
            self.tasks.delete(id).await.map(drop)
        } else {
            self.undo(id, action == Action::Undo).await
        }
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
            Purpose::Add | Purpose::Rename(_) if text.is_empty() => {
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
                    place: self.place_at(self.column, self.shown().len(), None),
                    assignee: None,
                };
                self.tasks.insert(&task).await?;
            }
            Purpose::Rename(id) => {
                let rename = |task: &mut Task| task.title = Text::from(text);
                self.tasks.update(id, rename).await?;
            }
            Purpose::Assign(id) => {
                let assignee = (!text.is_empty()).then(|| text.to_owned());
                let assign = |task: &mut Task| task.assignee.clone_from(&assignee);
                self.tasks.update(id, assign).await?;
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
                Some((Purpose::Rename(id), Input::new(task.title.as_str())))
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
        let place = self.place_at(
            to,
            self.columns.get(to).map_or(0, |it| it.tasks.len()),
            None,
        );
        let carry = |task: &mut Task| {
            (*name).clone_into(&mut task.column);
            task.place = place;
        };
        self.tasks.update(id, carry).await?;
        self.until_shown(id, to).await
    }

    async fn shift(&mut self, id: RecordId, by: isize) -> Result<()> {
        let to = moved(self.row, by, self.shown().len());
        if to == self.row {
            return Ok(());
        }
        // It stands behind the one that it passes on its way down, before it on its way up.
        let before = if by > 0 { to + 1 } else { to };
        let place = self.place_at(self.column, before, Some(id));
        self.tasks.update(id, |task| task.place = place).await?;
        self.until_shown(id, self.column).await
    }

    async fn undo(&mut self, id: RecordId, is_undo: bool) -> Result<()> {
        let done = if is_undo {
            self.tasks.undo(id).await?
        } else {
            self.tasks.redo(id).await?
        };
        self.message = Some(match done {
            Some(done) if done.kept.is_empty() => return Ok(()),
            Some(_) => "others have changed it since: their changes stay".to_owned(),
            None if is_undo => "no change of yours is left to take back here".to_owned(),
            None => "nothing was taken back here".to_owned(),
        });
        Ok(())
    }

    /// Waits until the own change of a task is shown, and goes with it.
    async fn until_shown(&mut self, id: RecordId, column: usize) -> Result<()> {
        // The filter may hide it, somebody may delete it: then it is not waited for.
        for _ in 0..8 {
            let tasks = self.columns.get(column).map(|it| it.tasks.as_slice());
            let row = tasks.and_then(|it| it.iter().position(|it| it.id == id));
            if let Some(row) = row {
                (self.column, self.row) = (column, row);
            }
            let waited = std::time::Duration::from_millis(20);
            match tokio::time::timeout(waited, self.changed()).await {
                Ok(changed) => changed?,
                Err(_elapsed) => break,
            }
        }
        Ok(())
    }

    /// A place in a column before the task at `before`; `without` is not there.
    fn place_at(&self, column: usize, before: usize, without: Option<RecordId>) -> f64 {
        let tasks = self.columns.get(column).map(|it| it.tasks.as_slice());
        let tasks = tasks.unwrap_or_default();
        let place = |it: &LiveRecord| it.read::<Task>().ok().map(|it| it.place);
        let is_other = |it: &&LiveRecord| Some(it.id) != without;
        let (ahead, behind) = tasks.split_at(before.min(tasks.len()));
        let low = ahead.iter().rfind(is_other).and_then(place);
        let high = behind.iter().find(is_other).and_then(place);
        match (low, high) {
            (Some(low), Some(high)) => f64::midpoint(low, high),
            (Some(low), None) => low + 1.0,
            (None, Some(high)) => high - 1.0,
            (None, None) => 0.0,
        }
    }

    fn shown(&self) -> &[LiveRecord] {
        let column = self.columns.get(self.column);
        column.map_or(&[], |it| it.tasks.as_slice())
    }

    fn select_column(&mut self, by: isize) {
        self.column = moved(self.column, by, self.columns.len());
        self.keep_selected(None);
    }

    /// Stays at the task that was selected, wherever in its column it is now; else in the column.
    fn keep_selected(&mut self, before: Option<RecordId>) {
        let is_it = |it: &LiveRecord| Some(it.id) == before;
        if let Some(row) = self.shown().iter().position(is_it) {
            self.row = row;
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

//! One note, as one person edits it.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::json;
use syncline::conflict::Policy;
use syncline::contract::{Contract, Field};
use syncline::doc::{Cursor, Edit, Expand, Mark, PathStep, TextSpan, Value};
use syncline::node::Presence;
use syncline::{Error, ErrorKind, Node, RecordId, Records, ReplicaId, Result};

/// The collection that notes are in.
pub const NOTES: &str = "notes";

/// Where somebody stands in a note, as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Their name.
    pub name: String,
    /// Their caret.
    pub caret: Cursor,
}

/// How characters can look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Style {
    /// Bold letters.
    Bold,
    /// Slanted letters.
    Italic,
    /// A link to this address.
    Link(String),
}

impl Style {
    /// The name of its mark.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bold => "bold",
            Self::Italic => "italic",
            Self::Link(_) => "link",
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Bold | Self::Italic => Value::Bool(true),
            Self::Link(address) => Value::Str(address.clone()),
        }
    }

    /// What is typed behind bold letters is bold; what is typed behind a link is no part of it.
    const fn expand(&self) -> Expand {
        match self {
            Self::Bold | Self::Italic => Expand::After,
            Self::Link(_) => Expand::Neither,
        }
    }
}

/// What an undo or redo came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    /// All of the change is taken back, or made again.
    Whole,
    /// Others have worked there since, or it set marks: that stays.
    Partly,
    /// There is no own change left.
    Nothing,
}

/// A note with a caret in it.
#[derive(Debug)]
pub struct Editor {
    notes: Records,
    id: RecordId,
    path: Vec<PathStep>,
    caret: Cursor,
    /// The other end of what is selected.
    anchor: Option<Cursor>,
    presence: Presence<Place>,
    name: String,
}

/// The notes of a node, as titles; what goes for them is declared by it.
///
/// # Errors
/// When the store can't be written.
pub async fn notes(node: &Node) -> Result<Records> {
    let contract = Contract::builder(NOTES, 1)
        .describe("Notes with text that several people write.")
        .field(
            "title",
            Field::string()
                .required()
                .length(1..=100)
                .policy(Policy::LastWriter),
        )
        .field("text", Field::text().required())
        .build()?;
    node.declare(&contract).await?;
    node.records(NOTES)
}

impl Editor {
    /// A new, empty note.
    ///
    /// # Errors
    /// `Breach` if the title is empty or has more than 100 characters; when the store can't be written.
    pub async fn create(node: &Node, title: &str, name: &str) -> Result<Self> {
        let note = json!({ "title": title, "text": { "$text": "" } });
        let id = notes(node).await?.insert(&note).await?;
        Self::open(node, id, name).await
    }

    /// A note that is here, with the caret at its end.
    ///
    /// # Errors
    /// `NotFound` if it is not; when the store can't be read.
    pub async fn open(node: &Node, id: RecordId, name: &str) -> Result<Self> {
        let notes = notes(node).await?;
        let path = vec![PathStep::from("text")];
        let length = length(&notes.spans(id, &path).await?);
        let mut editor = Self {
            caret: notes.cursor(id, &path, length).await?,
            presence: notes.presence(id, "caret")?,
            notes,
            id,
            path,
            anchor: None,
            name: name.to_owned(),
        };
        editor.show_oneself()?;
        Ok(editor)
    }

    /// Which note it is.
    pub const fn id(&self) -> RecordId {
        self.id
    }

    /// Pieces of the text that look the same.
    ///
    /// # Errors
    /// When the store can't be read, `NotFound` once the note is deleted.
    pub async fn spans(&self) -> Result<Vec<TextSpan>> {
        self.notes.spans(self.id, &self.path).await
    }

    /// What is selected, in characters; nothing is an empty range at the caret.
    ///
    /// # Errors
    /// As [`Editor::spans`].
    pub async fn selection(&self) -> Result<Range<usize>> {
        let caret = self.position(&self.caret).await?;
        let anchor = match &self.anchor {
            Some(anchor) => self.position(anchor).await?,
            None => caret,
        };
        Ok(caret.min(anchor)..caret.max(anchor))
    }

    /// Where the caret is, in characters.
    ///
    /// # Errors
    /// As [`Editor::spans`].
    pub async fn caret(&self) -> Result<usize> {
        self.position(&self.caret).await
    }

    /// The carets of others whose characters are here.
    ///
    /// # Errors
    /// As [`Editor::spans`].
    pub async fn others(&self) -> Result<Vec<(ReplicaId, String, usize)>> {
        let mut others = Vec::new();
        for other in self.presence.all() {
            let at = self
                .notes
                .position(self.id, &self.path, &other.value.caret)
                .await?;
            others.extend(at.map(|at| (other.who, other.value.name, at)));
        }
        Ok(others)
    }

    /// Puts the caret somewhere, as far as the text goes; nothing is selected then.
    ///
    /// # Errors
    /// As [`Editor::spans`].
    pub async fn put_caret(&mut self, at: usize) -> Result<()> {
        self.caret = self.cursor(at).await?;
        self.anchor = None;
        self.show_oneself()
    }

    /// Selects these characters, as far as the text goes.
    ///
    /// # Errors
    /// As [`Editor::spans`].
    pub async fn select(&mut self, range: Range<usize>) -> Result<()> {
        self.anchor = Some(self.cursor(range.start).await?);
        self.caret = self.cursor(range.end).await?;
        self.show_oneself()
    }

    /// Writes at the caret, in place of what is selected: one change, durable on return.
    ///
    /// # Errors
    /// When the store can't be written, `TooLarge` if the text gets too long.
    pub async fn type_text(&mut self, typed: &str) -> Result<()> {
        self.replace(0, typed).await
    }

    /// Removes what is selected; if nothing is, the character before the caret.
    ///
    /// # Errors
    /// As [`Editor::type_text`].
    pub async fn erase(&mut self) -> Result<()> {
        self.replace(1, "").await
    }

    /// Gives what is selected this look; takes it away if all of it has it.
    ///
    /// # Errors
    /// `InvalidInput` if nothing is selected; as [`Editor::type_text`].
    pub async fn toggle(&self, style: &Style) -> Result<()> {
        let (path, name) = (&self.path, style.name());
        let (caret, anchor) = (&self.caret, self.anchor.as_ref());
        let toggle = |edit: &mut Edit<'_>| {
            let range = selected(edit, path, (caret, anchor))?;
            if range.is_empty() {
                let message = "nothing is selected; select something first";
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
            let mut at = 0;
            let mut all_have_it = true;
            for span in edit.spans(path)? {
                let end = at + span.text.chars().count();
                let is_in = at < range.end && end > range.start;
                all_have_it &= !is_in || span.marks.get(name) == Some(&style.value());
                at = end;
            }
            if all_have_it {
                return edit.unmark(path, &range, name);
            }
            let mark = Mark {
                range,
                name: name.to_owned(),
                value: style.value(),
            };
            edit.mark(path, &mark, style.expand())
        };
        self.notes.edit(self.id, toggle).await
    }

    /// Takes back the last own change of the note that is not taken back yet, also of days ago.
    ///
    /// # Errors
    /// As [`Editor::type_text`].
    pub async fn undo(&mut self) -> Result<Undone> {
        let undone = self.notes.undo(self.id).await?;
        self.show_oneself()?;
        Ok(came_to(undone.map(|it| it.kept.len())))
    }

    /// Makes again what was taken back last.
    ///
    /// # Errors
    /// As [`Editor::type_text`].
    pub async fn redo(&mut self) -> Result<Undone> {
        let redone = self.notes.redo(self.id).await?;
        self.show_oneself()?;
        Ok(came_to(redone.map(|it| it.kept.len())))
    }

    async fn replace(&mut self, backwards: usize, typed: &str) -> Result<()> {
        let path = &self.path;
        let (caret, anchor) = (&self.caret, self.anchor.as_ref());
        let replace = |edit: &mut Edit<'_>| {
            // Where they are by now, whatever came from others meanwhile.
            let mut range = selected(edit, path, (caret, anchor))?;
            if range.is_empty() {
                range.start = range.start.saturating_sub(backwards);
            }
            edit.splice_text(path, range.start, range.len(), typed)?;
            edit.cursor(path, range.start + typed.chars().count())
        };
        self.caret = self.notes.edit(self.id, replace).await?;
        self.anchor = None;
        self.show_oneself()
    }

    async fn cursor(&self, at: usize) -> Result<Cursor> {
        let end = length(&self.spans().await?);
        self.notes.cursor(self.id, &self.path, at.min(end)).await
    }

    async fn position(&self, cursor: &Cursor) -> Result<usize> {
        // An own cursor's character is here, if the note is.
        let at = self.notes.position(self.id, &self.path, cursor).await?;
        Ok(at.unwrap_or(0))
    }

    fn show_oneself(&mut self) -> Result<()> {
        let place = Place {
            name: self.name.clone(),
            caret: self.caret.clone(),
        };
        self.presence.set(&place)
    }
}

/// What is selected, in the middle of an edit.
fn selected(
    edit: &mut Edit<'_>,
    path: &[PathStep],
    (caret, anchor): (&Cursor, Option<&Cursor>),
) -> Result<Range<usize>> {
    let caret = edit.position(path, caret)?.unwrap_or(0);
    let anchor = match anchor {
        Some(anchor) => edit.position(path, anchor)?.unwrap_or(caret),
        None => caret,
    };
    Ok(caret.min(anchor)..caret.max(anchor))
}

fn came_to(kept: Option<usize>) -> Undone {
    match kept {
        None => Undone::Nothing,
        Some(0) => Undone::Whole,
        Some(_) => Undone::Partly,
    }
}

fn length(spans: &[TextSpan]) -> usize {
    spans.iter().map(|it| it.text.chars().count()).sum()
}

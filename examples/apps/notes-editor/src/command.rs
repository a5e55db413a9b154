//! What somebody types who has no window.

use std::ops::Range;

use crate::editor::Style;

/// What the commands are, for people.
pub const HELP: &str = "\
notes              lists the notes
new TITLE          makes a note and opens it
open NUMBER        opens one of the list
+TEXT              writes at the caret, or in place of what is selected
erase              removes what is selected, or the character before the caret
at NUMBER          puts the caret before this character, from 0
select FROM TO     selects characters
bold, italic       the look of what is selected; again to take it away
link ADDRESS       a link of what is selected
undo, redo         takes back the last change of this device, or makes it again
show               shows the note
quit               ends";

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Lists the notes.
    Notes,
    /// Makes a note of this title.
    New(String),
    /// Opens one of the list.
    Open(usize),
    /// Writes.
    Type(String),
    /// Removes.
    Erase,
    /// Puts the caret.
    At(usize),
    /// Selects.
    Select(Range<usize>),
    /// Gives a look, or takes it away.
    Toggle(Style),
    /// Takes back.
    Undo,
    /// Makes again.
    Redo,
    /// Shows the note.
    Show,
    /// Says what the commands are.
    Help,
    /// Ends.
    Quit,
}

/// Reads a command; what is none is said in words.
///
/// # Errors
/// What is wrong with it.
pub fn parse(line: &str) -> Result<Command, String> {
    if let Some(text) = line.strip_prefix('+') {
        return Ok(Command::Type(text.to_owned()));
    }
    let line = line.trim();
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    let none = |command| {
        if rest.is_empty() {
            Ok(command)
        } else {
            Err(format!("{word} stands alone"))
        }
    };
    match word {
        "notes" => none(Command::Notes),
        "erase" => none(Command::Erase),
        "bold" => none(Command::Toggle(Style::Bold)),
        "italic" => none(Command::Toggle(Style::Italic)),
        "undo" => none(Command::Undo),
        "redo" => none(Command::Redo),
        "show" => none(Command::Show),
        "help" => none(Command::Help),
        "quit" => none(Command::Quit),
        "new" if !rest.is_empty() => Ok(Command::New(rest.to_owned())),
        "link" if !rest.is_empty() => Ok(Command::Toggle(Style::Link(rest.to_owned()))),
        "open" => number(rest).map(Command::Open),
        "at" => number(rest).map(Command::At),
        "select" => {
            let (from, to) = rest
                .split_once(' ')
                .ok_or("select wants two numbers, FROM and TO")?;
            let (from, to) = (number(from)?, number(to.trim())?);
            if from > to {
                return Err(format!("{from} is behind {to}"));
            }
            Ok(Command::Select(from..to))
        }
        "new" | "link" => Err(format!("{word} what? see help")),
        _ => Err(format!("there is no command {word:?}; see help")),
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|error| format!("{text:?} is no number from 0 on: {error}"))
}

#[cfg(test)]
mod tests {
    use super::{Command, parse};

    #[test]
    fn commands_are_read_or_refused_in_words() {
        assert_eq!(parse("+ a  b "), Ok(Command::Type(" a  b ".to_owned())));
        assert_eq!(parse(" select 2  5 "), Ok(Command::Select(2..5)));
        assert_eq!(
            parse("new  On  bees"),
            Ok(Command::New("On  bees".to_owned()))
        );
        for wrong in [
            "",
            "select 5 2",
            "select 5",
            "at -1",
            "bold x",
            "new",
            "jump",
            "open ä",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

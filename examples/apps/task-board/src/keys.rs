//! Which key does what.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::input::Edit;

/// What somebody wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ends the program.
    Quit,
    /// Selects a task in the column to the left or right.
    Across(isize),
    /// Selects the task above or below.
    Along(isize),
    /// Puts the selected task into the column to the left or right.
    Carry(isize),
    /// Puts the selected task above or below its neighbour.
    Shift(isize),
    /// Begins to type a new task.
    Add,
    /// Begins to change the selected task's title.
    Rename,
    /// Begins to say who does the selected task.
    Assign,
    /// Begins to type what titles have to have in them.
    Filter,
    /// Deletes the selected task.
    Delete,
    /// Takes the last own change of the selected task back.
    Undo,
    /// Makes it again.
    Redo,
    /// Shows the keys, or hides them.
    Help,
    /// Goes on typing.
    Edit(Edit),
    /// What was typed counts.
    Accept,
    /// It does not.
    Cancel,
}

/// What a key means, while a line is typed or not.
pub fn action(key: KeyEvent, is_typing: bool) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if with_control && key.code == KeyCode::Char('c') {
        return Some(Action::Quit);
    }
    if is_typing {
        typing(key.code, with_control)
    } else {
        browsing(key, with_control)
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all other keys do nothing")]
fn typing(code: KeyCode, with_control: bool) -> Option<Action> {
    Some(match code {
        KeyCode::Enter => Action::Accept,
        KeyCode::Esc => Action::Cancel,
        KeyCode::Backspace => Action::Edit(Edit::Backspace),
        KeyCode::Delete => Action::Edit(Edit::Delete),
        KeyCode::Left => Action::Edit(Edit::Left),
        KeyCode::Right => Action::Edit(Edit::Right),
        KeyCode::Home => Action::Edit(Edit::Home),
        KeyCode::End => Action::Edit(Edit::End),
        KeyCode::Char(letter) if !with_control => Action::Edit(Edit::Type(letter)),
        _ => return None,
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all other keys do nothing")]
fn browsing(key: KeyEvent, with_control: bool) -> Option<Action> {
    let with_shift = key.modifiers.contains(KeyModifiers::SHIFT);
    Some(match key.code {
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Char('r') if with_control => Action::Redo,
        KeyCode::Left if with_shift => Action::Carry(-1),
        KeyCode::Right if with_shift => Action::Carry(1),
        KeyCode::Up if with_shift => Action::Shift(-1),
        KeyCode::Down if with_shift => Action::Shift(1),
        KeyCode::Char('H') => Action::Carry(-1),
        KeyCode::Char('L') => Action::Carry(1),
        KeyCode::Char('K') => Action::Shift(-1),
        KeyCode::Char('J') => Action::Shift(1),
        KeyCode::Left | KeyCode::Char('h') => Action::Across(-1),
        KeyCode::Right | KeyCode::Char('l') => Action::Across(1),
        KeyCode::Up | KeyCode::Char('k') => Action::Along(-1),
        KeyCode::Down | KeyCode::Char('j') => Action::Along(1),
        KeyCode::Char('a') => Action::Add,
        KeyCode::Char('e') | KeyCode::Enter => Action::Rename,
        KeyCode::Char('m') => Action::Assign,
        KeyCode::Char('/') => Action::Filter,
        KeyCode::Char('d') | KeyCode::Delete => Action::Delete,
        KeyCode::Char('u') => Action::Undo,
        KeyCode::Char('?') => Action::Help,
        KeyCode::Esc => Action::Cancel,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::{Action, action};
    use crate::input::Edit;

    #[test]
    fn a_letter_is_a_command_or_a_text() {
        let key = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        assert_eq!(action(key, false), Some(Action::Quit));
        assert_eq!(action(key, true), Some(Action::Edit(Edit::Type('q'))));
        let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(action(control, true), Some(Action::Quit));
        let up = KeyEvent::new(KeyCode::Up, KeyModifiers::SHIFT);
        assert_eq!(action(up, false), Some(Action::Shift(-1)));
        assert_eq!(
            action(KeyEvent::new(KeyCode::F(9), KeyModifiers::NONE), false),
            None
        );
    }
}

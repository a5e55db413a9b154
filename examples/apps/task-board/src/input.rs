//! A line of text while it is typed.

/// A line, and where in it the next character goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    before: String,
    after: String,
}

/// What a key does to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A character is typed.
    Type(char),
    /// The character before goes.
    Backspace,
    /// The character behind goes.
    Delete,
    /// One character back.
    Left,
    /// One character on.
    Right,
    /// To the start.
    Home,
    /// To the end.
    End,
}

impl Input {
    /// A line with something in it already.
    pub fn new(text: &str) -> Self {
        Self {
            before: text.to_owned(),
            after: String::new(),
        }
    }

    /// The whole line.
    pub fn text(&self) -> String {
        format!("{}{}", self.before, self.after)
    }

    /// What stands before the place where typing goes on.
    pub fn before(&self) -> &str {
        &self.before
    }

    /// Does what a key says; control characters are no text.
    pub fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::Type(letter) if letter.is_control() => {}
            Edit::Type(letter) => self.before.push(letter),
            Edit::Backspace => drop(self.before.pop()),
            Edit::Delete => drop(take_first(&mut self.after)),
            Edit::Left => {
                if let Some(letter) = self.before.pop() {
                    self.after.insert(0, letter);
                }
            }
            Edit::Right => self.before.extend(take_first(&mut self.after)),
            Edit::Home => {
                *self = Self {
                    before: String::new(),
                    after: self.text(),
                }
            }
            Edit::End => *self = Self::new(&self.text()),
        }
    }
}

fn take_first(text: &mut String) -> Option<char> {
    (!text.is_empty()).then(|| text.remove(0))
}

#[cfg(test)]
mod tests {
    use super::{Edit, Input};

    #[test]
    fn typing_goes_on_where_the_cursor_stands() {
        let mut line = Input::new("bück");
        for edit in [Edit::Type('e'), Edit::Home, Edit::Delete, Edit::Type('d')] {
            line.edit(edit);
        }
        assert_eq!(line.text(), "dücke");
        for edit in [
            Edit::Right,
            Edit::Backspace,
            Edit::Type('o'),
            Edit::Left,
            Edit::Type('\n'),
        ] {
            line.edit(edit);
        }
        assert_eq!((line.text().as_str(), line.before()), ("docke", "d"));
        line.edit(Edit::End);
        line.edit(Edit::Right);
        line.edit(Edit::Delete);
        line.edit(Edit::Backspace);
        assert_eq!(line.text(), "dock");
    }
}

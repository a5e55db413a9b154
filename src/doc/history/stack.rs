//! What can be undone and redone next, read from the marks of the own changes.

use super::RevisionKind;
use crate::id::ChangeHash;

/// Own changes that count and that are taken back, the newest last.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stack {
    done: Vec<ChangeHash>,
    /// Undos, each of which could be redone.
    undone: Vec<ChangeHash>,
}

impl Stack {
    /// Of own changes in their order.
    pub(super) fn of(own: &[(ChangeHash, RevisionKind)]) -> Self {
        let mut stack = Self::default();
        for (hash, kind) in own {
            match kind {
                RevisionKind::Undo(back) if stack.done.last() == Some(back) => {
                    stack.done.pop();
                    stack.undone.push(*hash);
                }
                RevisionKind::Redo(back) if stack.undone.last() == Some(back) => {
                    stack.undone.pop();
                    stack.done.push(*hash);
                }
                // A mark that does not fit is none of ours: an edit like any other.
                RevisionKind::Edit | RevisionKind::Undo(_) | RevisionKind::Redo(_) => {
                    stack.done.push(*hash);
                    stack.undone.clear();
                }
            }
        }
        stack
    }

    /// What the next undo takes back.
    pub(super) fn next_undo(&self) -> Option<ChangeHash> {
        self.done.last().copied()
    }

    /// What the next redo takes back.
    pub(super) fn next_redo(&self) -> Option<ChangeHash> {
        self.undone.last().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::RevisionKind::{Edit, Redo, Undo};
    use super::*;

    const fn hash(number: u8) -> ChangeHash {
        ChangeHash::from_bytes([number; 32])
    }

    /// Changes 1, 2, 3, …; the numbers of what can be undone and redone after them.
    fn next(kinds: &[RevisionKind]) -> (Option<u8>, Option<u8>) {
        let own: Vec<_> = (1..).map(hash).zip(kinds.iter().copied()).collect();
        let stack = Stack::of(&own);
        let number = |it: ChangeHash| it.as_bytes()[0];
        (stack.next_undo().map(number), stack.next_redo().map(number))
    }

    #[test]
    fn undos_go_back_and_redos_forth() {
        assert_eq!(next(&[]), (None, None));
        assert_eq!(next(&[Edit, Edit]), (Some(2), None));
        assert_eq!(next(&[Edit, Edit, Undo(hash(2))]), (Some(1), Some(3)));
        let both = [Edit, Edit, Undo(hash(2)), Undo(hash(1))];
        assert_eq!(next(&both), (None, Some(4)));
        let again = [Edit, Edit, Undo(hash(2)), Undo(hash(1)), Redo(hash(4))];
        assert_eq!(next(&again), (Some(5), Some(3)));
    }

    #[test]
    fn an_edit_leaves_nothing_to_redo() {
        assert_eq!(next(&[Edit, Undo(hash(1)), Edit]), (Some(3), None));
    }

    #[test]
    fn a_mark_that_does_not_fit_is_an_edit() {
        assert_eq!(next(&[Edit, Edit, Undo(hash(1))]), (Some(3), None));
        assert_eq!(next(&[Edit, Redo(hash(1))]), (Some(2), None));
    }
}

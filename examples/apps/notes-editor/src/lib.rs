//! The core of an editor of notes that several devices write at the same time.
//!
//! [`editor`] is a note with a caret, a selection, marks, undo and the carets of others; a window on a screen
//! would call it key by key. [`show`] makes a line of text of it, and [`command`] reads what somebody types
//! who has no window: `main` connects these two to the standard input and output.

pub mod command;
pub mod editor;
pub mod show;

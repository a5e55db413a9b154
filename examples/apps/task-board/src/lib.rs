//! A task board that several devices share: in the terminal, with or without a network.
//!
//! [`task`] is what is kept, [`board`] what is shown and what can be done with it, [`keys`] which key does
//! what, [`draw`] how it looks. None of them knows the terminal: `main` connects them to it.

pub mod board;
pub mod draw;
pub mod input;
pub mod keys;
pub mod task;

//! Inspection forms that are filled in where there is no network.
//!
//! What a form asks is a contract in a file, so a new version of the form is a new file and no new program.
//! [`form`] reads and shows it, [`visits`] keeps what was filled in, [`answer`] reads what somebody typed for a
//! field, [`exchange`] waits for other devices; `main` is the command.

pub mod answer;
pub mod exchange;
pub mod form;
pub mod visits;

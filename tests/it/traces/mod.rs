//! Real editing histories through a hub that never loads the document.

mod history;
mod materialised;
mod one_author;
#[cfg(feature = "sim")]
mod two_people;

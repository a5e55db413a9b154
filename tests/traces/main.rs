//! Real editing histories through a hub that never loads the document. A process of its own, since
//! what counts the documents listens to the whole process.
#![cfg(feature = "websocket")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod history;
mod materialised;
mod one_author;
#[cfg(feature = "sim")]
mod two_people;

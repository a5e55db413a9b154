//! What samod and a hub make of each other, documents and faults. Needs `SYNCLINE_BIN`, as the library
//! says.
#![expect(clippy::indexing_slicing, reason = "tests")]

mod documents;
mod faults;
mod random;
mod storage;

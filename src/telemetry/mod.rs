//! What the library tells the outside about itself: the names of its metrics and spans.

pub mod names;

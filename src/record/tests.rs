//! Typed records, alone and merging.

//! The protocol's bytes, and a hub among clients that are Automerge documents.

mod bytes;

//! The protocol's bytes, and a hub among clients. Clients with Automerge's own half of the protocol are in
//! `tests/it/repo.rs`, stock programs in `tests/foreign`.

mod bytes;
mod hub;
mod sync;
mod world;

//! Real processes under real faults: signals, a bad network, a full disk, no file descriptors.
//!
//! `SYNCLINE_LONG=1` runs thousands of cycles in place of dozens; see `docs/testing.md`.

mod causal;
mod causal_tests;
mod cluster;
mod cycle;
mod descriptors;
mod disk;
mod parties;
mod proxy;
mod proxy_tests;
mod wire;

//! Real processes under real faults: signals, a bad network, a full disk, no file descriptors.
//!
//! `SYNCLINE_LONG=1` runs thousands of cycles in place of dozens; see `docs/testing.md`.

mod causal;
mod causal_tests;
mod cluster;
#[cfg(target_os = "linux")]
mod crowd;
mod cycle;
mod descriptors;
mod disk;
#[cfg(target_os = "linux")]
mod flow;
mod parties;
mod proxy;
mod proxy_tests;
#[cfg(target_os = "linux")]
#[path = "../../it/bad_input/stranger.rs"]
#[expect(
    dead_code,
    reason = "other tests of the same strangers need more of them"
)]
mod stranger;
mod wire;

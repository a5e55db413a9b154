//! A cluster on one thread: shipped engines over virtual time, a made-up network and faulty disks.
//!
//! The second shell beside `node`. Nothing here waits: time jumps to the next event, and the same
//! seed gives the same run, byte for byte. [`World`] is the cluster, to be driven by a test of
//! yours: edit records of your own types on any host, cut and slow links, set clocks, kill hosts or
//! their power, and ask what each holds.
//!
//! [`Scenario`] makes up a whole run from one number, [`run`] performs it under the oracle of
//! `docs/testing.md`, and [`shrink`] makes a failing one small. `syncline sim` does that by the
//! thousand. [`fuzz`] has the bodies of the fuzz targets.
//!
//! ```
//! use syncline::doc::Value;
//! use syncline::sim::World;
//! use syncline::RecordId;
//!
//! # fn main() -> Result<(), syncline::Error> {
//! let mut world = World::new(7, 2)?;
//! let key = World::key("notes", RecordId::named("first"));
//! world.edit(0, &key, |edit| edit.set(&["title".into()], &Value::Str("hi".to_owned())))?;
//! world.connect(0, 1);
//! assert!(world.settle());
//! assert_eq!(world.heads(0, &key)?, world.heads(1, &key)?);
//! # Ok(())
//! # }
//! ```
//!
//! # For an application's own records, policies and rules
//!
//! [`World::add_host`] takes a [`Storage`] (memory, a store of yours, or a [disk that loses
//! power](crate::store::redb::CrashDisk)) and the [`Config`](crate::engine::Config) that a node would
//! have: who may link, which spaces and collections, how durable. [`World::insert`],
//! [`World::update`], [`World::get`] and [`World::list`] work on plain structs, as a node's collections
//! do. [`World::install`] gives a host the contracts, rules and conflict policies of your [`Program`]: its edits
//! are checked and its views shown by them. [`World::put_blob`], [`World::fetch_blob`] and [`World::read_blob`] are
//! for attachments, [`World::show`] is for presence. [`World::run`] lets time pass, [`World::settle`] waits until all have all, and
//! [`World::check_all`] holds a rule of yours against every host. The example `month_offline` does all
//! of that.
//!
//! # What can go wrong
//!
//! | what | how |
//! | --- | --- |
//! | links break at any byte, for one end or both, or lead nowhere | [`World::sever`], [`World::cut`], [`World::half_open`] |
//! | partitions, also of one direction; hosts offline | [`World::block`], [`World::isolate`] |
//! | slow ways, delays | [`World::slow`], [`World::set_delay`] |
//! | clocks that are wrong, and jump | [`World::set_skew`] |
//! | processes killed, power cut in any write, and in recovery | [`World::kill`], [`World::cut_power`], [`World::cut_power_in_recovery`] |
//! | disks full, reads that fail | `CrashDisk` of [`Host::storage`] |
//! | backups restored, stores lost, hosts gone for ever | [`World::restore`], [`World::wipe`], [`World::bury`] |
//! | peers that break the rules | [`World::attack`] |
//!
//! # Whether the checks can fail
//!
//! [`Plant`] lists faults that can be planted in the library on one thread ([`planted`]); [`hunt`]
//! counts how many seeds it takes to catch one. Stores and transports of your own are held to their
//! traits by [`store_conformance!`](crate::store_conformance) and
//! [`transport::conformance`](crate::transport::conformance).

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "checks look at some of what can happen, and a new kind of it is no danger to them"
)]

mod blobs;
mod class;
mod counters;
mod draw;
mod fact;
mod field;
mod finish;
pub mod fuzz;
mod heard;
mod host;
mod hostile;
mod hunt;
mod network;
mod oracle;
mod perform;
mod presences;
mod program;
mod records;
mod rules;
mod run;
mod scenario;
mod shell;
mod shrink;
mod step;
mod storage;
mod stranger;
mod trace;
mod trouble;
mod world;

pub use class::{Class, Classes};
pub use draw::draw;
pub use fact::{BlobWord, Fact, Heard, What};
pub use host::Host;
pub use hunt::{Catch, SEEDS_MAX, hunt, is_replayed};
pub use network::Traffic;
pub use oracle::Failure;
pub use program::Program;
pub use run::{Report, run};
pub use scenario::{Profile, Scenario, Topology};
pub use shrink::{Shrunk, shrink};
pub use step::{FieldEdit, Step};
pub use storage::Storage;
pub use stranger::Attack;
pub use trace::{Line, Trace};
pub use world::World;

pub use crate::plant::{Plant, planted};

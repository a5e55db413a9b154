//! Who a replica is, how it proves that on a link, and what a node lets others do.

mod identity;
mod policy;

pub use identity::{Identity, ProofError, Role, Transcript, verify, verify_presence};
pub use policy::{Admission, Policy, Refusal, Request, Spaces, Verdict};

#[cfg(test)]
mod tests;

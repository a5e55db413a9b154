//! Contracts: what is refused, what is a breach.

mod any;
mod building;
mod checking;
mod comparing;
mod migrating;
mod reading;
mod schema;

use serde_json::Value as Json;

use super::{Builder, Contract};
use crate::doc::Value;

/// The contract of `things` that a test declares.
fn things(declare: impl FnOnce(Builder) -> Builder) -> Contract {
    declare(Contract::builder("things", 1)).build().unwrap()
}

fn value(json: &Json) -> Value {
    Value::from_json(json).unwrap()
}

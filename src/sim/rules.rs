//! The contracts that hosts of made up runs go by, and whether they keep to them.

use super::field::field;
use super::program::Program;
use crate::conflict::Policy;
use crate::contract::{Contract, Field};
use crate::doc::{Candidate, Document, DocumentFault, Value};
use crate::error::Result;

/// The last step whose number the newer program takes for a batch.
const BATCH_MAX: i64 = 24;

/// The program of a host. The first one runs an older version: with the same policies, so that all show the
/// same, and without the rule that the others have, so that it writes what breaks their contract.
pub(super) fn program(host: usize, collections: &[&str]) -> Result<Program> {
    let mut program = Program::default();
    for collection in collections {
        let (version, batch) = if host == 0 {
            (1, Field::integer())
        } else {
            (2, Field::integer().range(0..=BATCH_MAX))
        };
        let contract = Contract::builder(collection, version)
            .field("a", Field::any().policy(Policy::LastWriter))
            .field("b", Field::any().policy(Policy::Max))
            .field("c", Field::any().policy(Policy::FirstWriter))
            .field("body", Field::any().policy(Policy::Text))
            .field("count", Field::any().policy(Policy::Sum))
            .field("list", Field::any().policy(Policy::Union))
            .field("map", Field::any().policy(Policy::KeepBoth))
            .field("batch", batch)
            .build()?;
        program = program.contract(contract);
    }
    Ok(program)
}

/// Whether a view shows of several values at `a`, `b` and `c` the last, the largest and the first, found out
/// without the policies' own code.
pub(super) fn are_decided(document: &Document, view: &Value) -> Result<bool, DocumentFault> {
    let is_right = |name: &str, is_before: fn(&Candidate, &Candidate) -> bool| {
        let candidates = document.candidates(&field(name), None)?;
        let shown = view.as_map().and_then(|it| it.get(name));
        let mut chosen = candidates.iter().filter(|it| Some(&it.value) == shown);
        let is_best = |it: &Candidate| !candidates.iter().any(|other| is_before(other, it));
        Ok::<_, DocumentFault>(candidates.is_empty() || chosen.any(is_best))
    };
    Ok(is_right("a", |one, other| one.time > other.time)?
        && is_right("b", |one, other| one.value.order(&other.value).is_gt())?
        && is_right("c", |one, other| one.time < other.time)?)
}

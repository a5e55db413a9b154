//! Whether a policy keeps what every policy must: for ours in tests, and for users' own.

use std::fmt;

use super::{Outcome, Policies, Policy};
use crate::doc::{Candidate, HybridTime, Value};
use crate::entropy::Entropy;
use crate::id::{ActorId, ChangeHash};

/// What is wrong with a policy, and with which candidates it showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The law that it breaks.
    pub law: Law,
    /// The candidates, in the order of the first call.
    pub candidates: Vec<Candidate>,
}

/// What holds for every policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// It does not panic, and names at least one of its candidates as decisive.
    Total,
    /// The same candidates give the same outcome, to the bit.
    Deterministic,
    /// The order in which candidates become known does not matter.
    Commutative,
    /// A candidate that comes twice counts once.
    Idempotent,
    /// What replicas know in parts adds up: what is decisive in either part decides the whole.
    Associative,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let law = match self.law {
            Law::Total => "gives no outcome for",
            Law::Deterministic => "gives two outcomes for the same",
            Law::Commutative => "depends on the order of",
            Law::Idempotent => "counts one twice of",
            Law::Associative => "decides in parts otherwise than as a whole among",
        };
        write!(f, "the policy {law} {} candidates: ", self.candidates.len())?;
        f.debug_list().entries(&self.candidates).finish()
    }
}

impl std::error::Error for Violation {}

/// Tries a policy on `cases` sets of made-up candidates: values of all kinds, equal ones among them,
/// equal times, one author twice.
///
/// The same `seed` makes the same cases.
///
/// ```
/// use syncline::conflict::{Policies, Policy, check_policy};
/// check_policy(&Policies::default(), &Policy::Max, 200, 7)?;
/// # Ok::<_, syncline::conflict::Violation>(())
/// ```
///
/// # Errors
/// The first law that it breaks, with the candidates.
pub fn check_policy(
    policies: &Policies,
    policy: &Policy,
    cases: u32,
    seed: u64,
) -> Result<(), Violation> {
    let mut entropy = Entropy::from_number(seed);
    for _ in 0..cases {
        let candidates = candidates(&mut entropy);
        check(policies, policy, &candidates, &mut entropy)
            .map_err(|law| Violation { law, candidates })?;
    }
    Ok(())
}

fn check(
    policies: &Policies,
    policy: &Policy,
    candidates: &[Candidate],
    entropy: &mut Entropy,
) -> Result<(), Law> {
    let resolve = |of: &[Candidate]| policies.decide(policy, of).map_err(|_why| Law::Total);
    let outcome = resolve(candidates)?;
    let known = |it: &ChangeHash| candidates.iter().any(|candidate| candidate.change == *it);
    if outcome.decisive.is_empty() || !outcome.decisive.iter().all(known) {
        return Err(Law::Total);
    }
    if resolve(candidates)? != outcome {
        return Err(Law::Deterministic);
    }
    let mut others = candidates.to_vec();
    shuffle(&mut others, entropy);
    if resolve(&others)? != outcome {
        return Err(Law::Commutative);
    }
    let twice = [candidates, &others].concat();
    if resolve(&twice)? != outcome {
        return Err(Law::Idempotent);
    }
    let at = below(entropy, others.len() - 1) + 1;
    let (left, right) = others.split_at(at.min(others.len()));
    let mut decisive = Vec::new();
    for part in [left, right] {
        decisive.extend(decisive_of(&resolve(part)?, part));
    }
    // Which of the parts' candidates count may change with more of them, the outcome not.
    if resolve(&decisive)?.value != outcome.value {
        return Err(Law::Associative);
    }
    Ok(())
}

fn decisive_of(outcome: &Outcome, part: &[Candidate]) -> Vec<Candidate> {
    let decisive = |it: &&Candidate| outcome.decisive.contains(&it.change);
    part.iter().filter(decisive).cloned().collect()
}

/// Two to six candidates.
fn candidates(entropy: &mut Entropy) -> Vec<Candidate> {
    let count = below(entropy, 5) + 2;
    (0..count)
        .map(|at| {
            let counter = u64::try_from(below(entropy, 3) + 1).unwrap_or(1);
            let at = u8::try_from(at).unwrap_or(u8::MAX);
            Candidate {
                value: value(entropy, 2),
                // Operations have one number for each author.
                author: ActorId::from_bytes(vec![at; 16]),
                time: HybridTime {
                    seconds: i64::try_from(below(entropy, 3)).unwrap_or(0),
                    counter,
                },
                change: ChangeHash::from_bytes(entropy.bytes()),
            }
        })
        .collect()
}

fn value(entropy: &mut Entropy, depth: usize) -> Value {
    let small = i64::try_from(below(entropy, 4)).unwrap_or(0);
    let kinds = if depth == 0 { 9 } else { 11 };
    match below(entropy, kinds) {
        0 => Value::Null,
        1 => Value::Bool(small > 1),
        2 => Value::Int(small - 1),
        3 => Value::Uint(u64::MAX - small.unsigned_abs()),
        4 => Value::Float(match small {
            0 => 0.1,
            1 => -0.0,
            2 => f64::NAN,
            _ => 1e300,
        }),
        5 => Value::Str("ab".repeat(below(entropy, 3))),
        6 => Value::Text("ab".repeat(below(entropy, 3))),
        7 => Value::Timestamp(small),
        8 => Value::Counter(i64::MAX - small),
        9 => Value::List(values(entropy, depth)),
        _ => {
            let keys = ["a", "b", "c"].map(str::to_owned);
            Value::Map(keys.into_iter().zip(values(entropy, depth)).collect())
        }
    }
}

fn values(entropy: &mut Entropy, depth: usize) -> Vec<Value> {
    let count = below(entropy, 4);
    (0..count).map(|_| value(entropy, depth - 1)).collect()
}

fn shuffle<T>(all: &mut [T], entropy: &mut Entropy) {
    for at in (1..all.len()).rev() {
        all.swap(at, below(entropy, at + 1));
    }
}

fn below(entropy: &mut Entropy, bound: usize) -> usize {
    let bound = u64::try_from(bound.max(1)).unwrap_or(1);
    usize::try_from(entropy.below(bound)).unwrap_or(0)
}

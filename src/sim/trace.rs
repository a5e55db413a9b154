//! What happened in a run, in order: as a digest that two runs of one seed share, and as lines.

use std::fmt::Write as _;

use super::fact::{Fact, What};
use super::step::Step;
use crate::time::Instant;

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When, in virtual time.
    pub at: Instant,
    /// On which host; none for a step of the scenario.
    pub host: Option<usize>,
    /// What, for people.
    pub text: String,
    /// The same, for programs.
    pub what: Option<What>,
}

/// What happened in a run.
#[derive(Clone, Debug)]
pub struct Trace {
    hasher: blake3::Hasher,
    facts: u64,
    lines: Option<Vec<Line>>,
    buffer: String,
}

impl Trace {
    pub(super) fn new(lines: bool) -> Self {
        Self {
            hasher: blake3::Hasher::new(),
            facts: 0,
            lines: lines.then(Vec::new),
            buffer: String::new(),
        }
    }

    pub(super) fn step(&mut self, at: Instant, number: usize, step: &Step) {
        let text = format!("step {number}: {step}");
        self.add(at, None, text, None);
    }

    pub(super) fn fact(&mut self, fact: &Fact) {
        self.facts += 1;
        if self.lines.is_some() {
            let text = fact.what.to_string();
            let what = Some(fact.what.clone());
            self.add(fact.at, Some(fact.host), text, what);
            return;
        }
        self.buffer.clear();
        // Writing into a string does not fail.
        let _infallible = write!(
            self.buffer,
            "{} {:?} {}",
            fact.at.as_micros(),
            Some(fact.host),
            fact.what
        );
        self.hasher.update(self.buffer.as_bytes());
    }

    fn add(&mut self, at: Instant, host: Option<usize>, text: String, what: Option<What>) {
        let line = format!("{} {host:?} {text}", at.as_micros());
        self.hasher.update(line.as_bytes());
        if let Some(lines) = &mut self.lines {
            lines.push(Line {
                at,
                host,
                text,
                what,
            });
        }
    }

    /// A digest of everything that happened: equal for two runs of one scenario.
    pub fn digest(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }

    /// Number of facts.
    pub const fn facts(&self) -> u64 {
        self.facts
    }

    /// The lines, if they were asked for.
    pub fn lines(&self) -> &[Line] {
        self.lines.as_deref().unwrap_or_default()
    }
}

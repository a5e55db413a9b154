//! Making a failing run small: steps are left out while the failure stands.

use super::run::{Report, run};
use super::scenario::Scenario;

/// What is left of a failing run.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The steps that are needed, by their number in the scenario.
    pub steps: Vec<usize>,
    /// The run of only these.
    pub report: Report,
    /// How many runs it took.
    pub runs: usize,
}

/// Leaves out steps of a failing scenario, halves first, as long as the same check fails; at most
/// `runs_max` runs (delta debugging: Zeller and Hildebrandt, 2002).
pub fn shrink(scenario: &Scenario, check: &'static str, runs_max: usize) -> Shrunk {
    let mut kept: Vec<usize> = (0..scenario.steps.len()).collect();
    let mut report = run(scenario, false);
    let mut runs = 1;
    let mut size = kept.len().div_ceil(2).max(1);
    loop {
        let mut shrank = false;
        let mut start = 0;
        while start < kept.len() && runs < runs_max {
            let fewer: Vec<_> = kept
                .iter()
                .enumerate()
                .filter(|(at, _)| *at < start || *at >= start + size)
                .map(|(_, step)| *step)
                .collect();
            let tried = run(&scenario.keep(&fewer), false);
            runs += 1;
            if tried.failure.as_ref().is_some_and(|it| it.check == check) {
                (kept, report, shrank) = (fewer, tried, true);
            } else {
                start += size;
            }
        }
        if runs >= runs_max || (size == 1 && !shrank) {
            break;
        }
        size = size.div_ceil(2).max(1);
    }
    Shrunk {
        steps: kept,
        report,
        runs,
    }
}

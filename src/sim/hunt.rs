//! Hunting planted faults: a harness that never caught one has proved nothing.

use super::run::{Report, run};
use super::scenario::Scenario;
use crate::plant::{Plant, planted};

/// How many seeds may be tried until a planted fault is caught.
pub const SEEDS_MAX: u64 = 200;

/// What became of one planted fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catch {
    /// The fault.
    pub plant: Plant,
    /// How many seeds were run.
    pub seeds: u64,
    /// The check that caught it; none if it was not caught.
    pub check: Option<&'static str>,
    /// The seed that caught it.
    pub seed: u64,
}

/// Plants a fault and runs seeds from `first` on until a check catches it, at most `seeds_max`.
pub fn hunt(plant: Plant, first: u64, seeds_max: u64) -> Catch {
    for seeds in 1..=seeds_max {
        let seed = first + seeds - 1;
        let scenario = Scenario::from_seed(seed);
        let check = planted(Some(plant), || {
            let report = run(&scenario, false);
            report
                .failure
                .map(|it| it.check)
                .or_else(|| replays(plant, &scenario, report.trace.digest()))
        });
        // What fails without the fault, too, has not caught it.
        if check.is_some() && run(&scenario, false).failure.is_none() {
            return Catch {
                plant,
                seeds,
                check,
                seed,
            };
        }
    }
    Catch {
        plant,
        seeds: seeds_max,
        check: None,
        seed: first,
    }
}

/// The check that two runs of one seed are the same. It costs a second run, so only the fault that
/// nothing else can see is given one.
fn replays(plant: Plant, scenario: &Scenario, digest: [u8; 32]) -> Option<&'static str> {
    (plant == Plant::HashOrder && !is_replayed(scenario, digest)).then_some("a seed replays")
}

/// Whether another run of a scenario has the same trace.
pub fn is_replayed(scenario: &Scenario, digest: [u8; 32]) -> bool {
    let Report { trace, .. } = run(scenario, false);
    trace.digest() == digest
}

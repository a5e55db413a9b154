//! Made-up runs under the oracle: some dozens pass, and each is the same whenever it is run.

use std::collections::BTreeMap;

use syncline::sim::{Profile, Scenario, run};

/// The first seed of each profile, but for the one of a hundred megabytes.
fn one_of_each_profile() -> Vec<Scenario> {
    let mut firsts: BTreeMap<Profile, Scenario> = BTreeMap::new();
    for seed in 0..50 {
        let scenario = Scenario::from_seed(seed);
        firsts.entry(scenario.profile).or_insert(scenario);
    }
    firsts.into_values().collect()
}

#[test]
fn a_seed_gives_the_same_trace_byte_for_byte_on_any_thread() {
    let scenarios = one_of_each_profile();
    assert_eq!(scenarios.len(), 8, "all but the large one");
    let digests = |lines: bool| -> Vec<_> {
        let runs = scenarios.iter().map(|it| run(it, lines));
        runs.map(|it| (it.scenario.seed, it.trace.digest(), it.trace.facts()))
            .collect()
    };
    let (here, there) = std::thread::scope(|scope| {
        let there = scope.spawn(|| digests(true));
        (digests(false), there.join().expect("no panic"))
    });
    assert_eq!(here, there);
}

#[test]
fn lines_of_a_trace_are_kept_only_on_request() {
    let scenario = Scenario::from_seed(1);
    let (with, without) = (run(&scenario, true), run(&scenario, false));
    let steps = scenario.steps.len() as u64;
    assert_eq!(with.trace.lines().len() as u64, with.trace.facts() + steps);
    assert!(without.trace.lines().is_empty());
}

/// Seeds that are run with the tests; `.ci/run` runs more.
const SEEDS: u64 = 48;

#[test]
fn some_dozens_of_clusters_keep_every_promise() {
    let run_half = |odd: u64| -> Vec<_> {
        let seeds = (0..SEEDS).filter(|it| it % 2 == odd);
        let scenarios = seeds.map(Scenario::from_seed);
        let reports = scenarios.map(|it| run(&it, false));
        let failed = reports.filter_map(|it| it.failure.map(|failure| (it.scenario.seed, failure)));
        failed.collect()
    };
    let failures = std::thread::scope(|scope| {
        let odd = scope.spawn(|| run_half(1));
        let mut failures = run_half(0);
        failures.extend(odd.join().expect("no panic"));
        failures
    });
    let lines = failures.iter().map(|(seed, failure)| {
        format!(
            "syncline sim --seed {seed} --trace   # {}: {}",
            failure.check, failure.detail
        )
    });
    let lines: Vec<_> = lines.collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

//! `syncline sim`: simulated clusters by the thousand, failing ones made small.

use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use syncline::sim::{
    Catch, Class, Classes, Plant, Report, SEEDS_MAX, Scenario, hunt, planted, run as simulate,
    shrink,
};
use syncline::time::{Clock as _, SystemClock};

use crate::args::SimArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;

/// Runs that shrinking one failing seed may take.
const SHRINK_RUNS: usize = 400;

/// Failing seeds that are made small; the rest are only named.
const SHRUNK_MAX: usize = 3;

/// From so many seeds on, every class of events has to be reached.
const SEEDS_FOR_ALL_CLASSES: u64 = 300;

/// Results that wait to be shown.
const RESULTS_MAX: usize = 64;

pub(crate) fn run(args: &SimArgs, out: Output) -> Result<(), Failure> {
    // A panic in a simulated cluster is a finding, and is reported as one.
    std::panic::set_hook(Box::new(|_| {}));
    let plant = args.plant.as_deref().map(plant_named).transpose()?;
    if args.planted {
        return hunt_all(args, plant, out);
    }
    match args.seed {
        Some(seed) => one(args, seed, plant, out),
        None => many(args, plant, out),
    }
}

fn plant_named(name: &str) -> Result<Plant, Failure> {
    let found = Plant::ALL.iter().find(|it| it.name() == name);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = Plant::ALL.iter().map(|it| it.name()).collect();
        let names = names.join(", ");
        Failure::usage(format!("there is no fault {name}; there are {names}"))
    })
}

/// One seed, in full.
fn one(args: &SimArgs, seed: u64, plant: Option<Plant>, out: Output) -> Result<(), Failure> {
    let whole = Scenario::from_seed(seed);
    let steps = whole.steps.len();
    if let Some(beyond) = args.keep.iter().flatten().find(|it| **it >= steps) {
        let text = format!(
            "seed {seed} has steps 0 to {}, no {beyond}",
            steps.saturating_sub(1)
        );
        return Err(Failure::usage(text));
    }
    let scenario = match &args.keep {
        Some(steps) => whole.keep(steps),
        None => whole.clone(),
    };
    let lines = args.trace || args.svg.is_some();
    let report = planted(plant, || simulate(&scenario, lines));
    if args.trace {
        for line in report.trace.lines() {
            let at = seconds(Duration::from_micros(line.at.as_micros()));
            let who = line
                .host
                .map_or_else(String::new, |it| format!("host {it} "));
            out.say(format!("{at:>12}  {who}{}", line.text))?;
        }
    }
    if let Some(file) = &args.svg {
        let drawn = syncline::sim::draw(&report);
        fs::write(file, drawn)
            .map_err(|error| Failure::io(&format!("cannot write {}", file.display()), &error))?;
        out.say(format!("drawn into {}", file.display()))?;
    }
    out.say(describe(&report))?;
    out.object(&json!({
        "seed": seed,
        "failed": report.failure.is_some(),
        "failure": report.failure.as_ref().map(failure_json),
        "steps": report.scenario.steps.len(),
        "digest": hex(&report.trace.digest()),
        "classes": classes_json(&report.classes),
    }))?;
    match report.failure {
        Some(failure) => Err(found(failure.check)),
        None => Ok(()),
    }
}

/// Seeds by the thousand.
fn many(args: &SimArgs, plant: Option<Plant>, out: Output) -> Result<(), Failure> {
    let clock = SystemClock::new();
    let start = clock.now();
    let mut progress = Progress::counting(args.seeds, out);
    let mut campaign = Campaign::default();
    in_parallel(
        (jobs(args), args.seeds),
        |number| {
            let scenario = Scenario::from_seed(args.first.saturating_add(number));
            planted(plant, || simulate(&scenario, false))
        },
        |report| {
            campaign.add(report);
            progress.advance(1, format!("{} failed", campaign.failures.len()));
        },
    );
    progress.finish();
    campaign.failures.sort_by_key(|it| it.scenario.seed);
    campaign.took = clock.now().since(start);
    campaign.tell(args, plant, out)
}

/// What came of many seeds.
#[derive(Default)]
struct Campaign {
    classes: Classes,
    failures: Vec<Report>,
    lasted: Duration,
    took: Duration,
}

impl Campaign {
    fn add(&mut self, report: Report) {
        self.classes.merge(&report.classes);
        self.lasted += report.lasted;
        if report.failure.is_some() {
            self.failures.push(report);
        }
    }

    fn tell(&self, args: &SimArgs, plant: Option<Plant>, out: Output) -> Result<(), Failure> {
        for report in self.failures.iter().take(SHRUNK_MAX) {
            tell_failed(report, plant, out)?;
        }
        let rest = self.failures.iter().skip(SHRUNK_MAX);
        let rest: Vec<_> = rest.map(|it| it.scenario.seed.to_string()).collect();
        if !rest.is_empty() {
            out.say(format!("also failed: seeds {}", rest.join(", ")))?;
        }
        for (class, count) in self.classes.iter() {
            out.say(format!("{count:>12}  {}", class.name()))?;
        }
        out.say(format!(
            "{} seeds in {}, {} of virtual time; {} failed",
            args.seeds,
            seconds(self.took),
            seconds(self.lasted),
            self.failures.len()
        ))?;
        out.object(&self.json(args.seeds))?;
        if let Some(failure) = self.failures.first().and_then(|it| it.failure.clone()) {
            return Err(found(failure.check));
        }
        let missing = names(self.classes.missing().iter().map(|it: &Class| it.name()));
        // A handful of seeds need not reach everything.
        if args.seeds >= SEEDS_FOR_ALL_CLASSES && plant.is_none() && !missing.is_empty() {
            return Err(Failure {
                kind: "not_reached",
                message: format!("never reached: {missing}"),
                code: 1,
                is_told: true,
            });
        }
        Ok(())
    }

    fn json(&self, seeds: u64) -> Json {
        let failed: Vec<_> = self.failures.iter().map(|it| it.scenario.seed).collect();
        let failures = self.failures.iter().filter_map(|it| it.failure.as_ref());
        let missing: Vec<_> = self.classes.missing().iter().map(|it| it.name()).collect();
        json!({
            "seeds": seeds,
            "failed": failed.len(),
            "failed_seeds": failed,
            "failures": failures.map(failure_json).collect::<Vec<_>>(),
            "classes": classes_json(&self.classes),
            "missing": missing,
            "seconds": self.took.as_secs_f64(),
            "virtual_seconds": self.lasted.as_secs_f64(),
        })
    }
}

/// Says what failed, and how to see it again: whole, and made small.
fn tell_failed(report: &Report, plant: Option<Plant>, out: Output) -> Result<(), Failure> {
    out.say(describe(report))?;
    let check = report.failure.as_ref().map_or("", |it| it.check);
    let shrunk = planted(plant, || shrink(&report.scenario, check, SHRINK_RUNS));
    let plant = plant.map_or_else(String::new, |it| format!(" --plant {}", it.name()));
    let seed = report.scenario.seed;
    let keep: Vec<_> = shrunk.steps.iter().map(usize::to_string).collect();
    out.say(format!(
        "  replay: syncline sim --seed {seed} --trace{plant}"
    ))?;
    out.say(format!(
        "  the same in {} steps: syncline sim --seed {seed} --keep {} --trace{plant}",
        keep.len(),
        keep.join(",")
    ))
}

/// Each fault in turn, or only one.
fn hunt_all(args: &SimArgs, only: Option<Plant>, out: Output) -> Result<(), Failure> {
    let all = Plant::ALL.iter().copied();
    let plants: Vec<_> = all
        .filter(|it| only.is_none_or(|only| only == *it))
        .collect();
    let mut catches = Vec::new();
    let count = u64::try_from(plants.len()).unwrap_or(0);
    in_parallel(
        (jobs(args), count),
        |number| {
            let plant = usize::try_from(number).ok().and_then(|it| plants.get(it));
            plant.map(|it| hunt(*it, args.first, SEEDS_MAX))
        },
        |caught| catches.extend(caught),
    );
    catches.sort_by_key(|it| it.plant);
    for Catch {
        plant,
        seeds,
        check,
        ..
    } in &catches
    {
        let how = check.map_or_else(|| "NOT CAUGHT".to_owned(), |it| format!("caught by: {it}"));
        out.say(format!("{:24} {seeds:>4} seeds  {how}", plant.name()))?;
    }
    let row = |it: &Catch| {
        json!({
            "name": it.plant.name(),
            "caught": it.check.is_some(),
            "seeds": it.seeds,
            "check": it.check,
            "seed": it.seed,
        })
    };
    out.object(&json!({"planted": catches.iter().map(row).collect::<Vec<_>>()}))?;
    let missed = catches.iter().filter(|it| it.check.is_none());
    let missed = names(missed.map(|it| it.plant.name()));
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failure {
        kind: "not_caught",
        message: format!("{SEEDS_MAX} seeds did not catch {missed}"),
        code: 1,
        is_told: true,
    })
}

/// Works on `count` numbers, so many at a time, and shows each result to `take` as it comes.
fn in_parallel<T: Send>(
    (jobs, count): (u64, u64),
    work: impl Fn(u64) -> T + Sync,
    mut take: impl FnMut(T),
) {
    let next = AtomicU64::new(0);
    let (results, taken) = sync_channel(RESULTS_MAX);
    let worker = |results: SyncSender<T>| {
        let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        for number in numbers.take_while(|it| *it < count) {
            if results.send(work(number)).is_err() {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        let worker = &worker;
        for _ in 0..jobs {
            let results = results.clone();
            scope.spawn(move || worker(results));
        }
        drop(results);
        taken.iter().for_each(&mut take);
    });
}

fn jobs(args: &SimArgs) -> u64 {
    let processors = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    args.jobs
        .unwrap_or_else(|| u64::try_from(processors()).unwrap_or(1))
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn found(check: &str) -> Failure {
    Failure {
        kind: "check_failed",
        message: format!("the check \"{check}\" failed"),
        code: 1,
        is_told: true,
    }
}

fn describe(report: &Report) -> String {
    let Scenario {
        seed,
        profile,
        hosts,
        topology,
        steps,
        ..
    } = &report.scenario;
    let head = format!("seed {seed} ({profile:?}, {hosts} hosts, {topology:?})");
    match &report.failure {
        Some(failure) => format!(
            "{head} FAILED at step {} of {}: {}: {}",
            failure.step,
            steps.len(),
            failure.check,
            failure.detail
        ),
        None => format!(
            "{head} passed: {} steps, {} facts, {} of virtual time, {} frames",
            steps.len(),
            report.trace.facts(),
            seconds(report.lasted),
            report.traffic.frames
        ),
    }
}

fn failure_json(failure: &syncline::sim::Failure) -> Json {
    json!({"check": failure.check, "detail": failure.detail, "step": failure.step})
}

fn classes_json(classes: &Classes) -> Json {
    let entries = classes
        .iter()
        .map(|(class, count)| (class.name().to_owned(), json!(count)));
    Json::Object(entries.collect::<Map<_, _>>())
}

fn seconds(span: Duration) -> String {
    format!("{:.3} s", span.as_secs_f64())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string does not fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

//! A month of field work, simulated: an application's own records, its own rule of who may link, and
//! its own rules of what must hold, while devices are offline for days, a clock is wrong and a battery
//! dies. Run it with `cargo run --features sim --example month_offline [SEED]`; the same seed gives the
//! same month.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use autosurgeon::Reconcile;
use serde::{Deserialize, Serialize};
use syncline::access::{Admission, Identity, Policy, Spaces};
use syncline::engine::Config;
use syncline::entropy::Entropy;
use syncline::record::{Counter, Text};
use syncline::sim::{Storage, World};
use syncline::{Error, ErrorKind, RecordId, Result};

#[derive(Reconcile, Serialize, Deserialize)]
struct Site {
    name: String,
    access: Access,
}

#[derive(Reconcile, Serialize, Deserialize)]
struct Access {
    key_box: String,
    steps: u32,
}

#[derive(Reconcile, Serialize, Deserialize)]
struct Inspection {
    site: String, // the id of a site
    notes: Text,  // engineers write into one text
    visits: Counter,
    defects: Vec<String>,
    closed: bool,
}

const OFFICE: usize = 0;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the engineers did, to hold the outcome against.
#[derive(Default)]
struct Diary {
    visits: BTreeMap<RecordId, i64>,
    sentences: Vec<(RecordId, String)>,
}

fn main() -> Result<()> {
    let seed = std::env::args().nth(1);
    let seed = seed.map_or(Ok(2026), |it| it.parse());
    let seed = seed.map_err(|_not_a_number| usage())?;
    let mut world = company(seed)?;
    let mut dice = Entropy::from_number(seed).fork();
    let mut diary = Diary::default();

    let inspections = plan(&mut world)?;
    if !world.settle() {
        return Err(broken("the plan does not reach everybody".to_owned()));
    }
    for engineer in 1..world.len() {
        world.isolate(engineer, true); // off they go
    }
    world.set_skew(2, -3 * 365 * 24 * 60 * 60 * 1_000)?; // a clock that is three years behind

    for day in 1..=30_u32 {
        for engineer in 1..world.len() {
            for _ in 0..=dice.below(3) {
                let at = usize::try_from(dice.below(5)).unwrap_or(0);
                let chosen = inspections.get(at).copied();
                if let Some(id) = chosen {
                    inspect(&mut world, (engineer, day), id, &mut diary)?;
                }
            }
        }
        world.run(DAY);
        match day {
            // Two meet in the field, away from the office.
            5 | 17 => meet(&mut world, &[1, 2]),
            12 => {
                // A battery dies in the middle of a write; what was on disk is there afterwards.
                world.cut_power(3, dice.below(8))?;
                for id in inspections.iter().take(3) {
                    // What is not acknowledged may be there or not, so it is not in the diary.
                    let _cut_short = inspect(&mut world, (3, day), *id, &mut Diary::default());
                }
                world.run(Duration::from_secs(60));
                println!("day {day:>2}: engineer 3's battery died, and the tablet is up again");
            }
            20 => meet(&mut world, &[OFFICE, 1, 3]),
            _ => {}
        }
        world.check_all(every_inspection_is_sound)?;
    }

    meet(&mut world, &[OFFICE, 1, 2, 3]);
    world.check_all(every_inspection_is_sound)?;
    world.check_all(|world, host| nothing_is_lost(world, host, &diary))?;
    summary(&world, &inspections)
}

/// An office and three engineers. Each knows the others' keys and lets nobody else in.
fn company(seed: u64) -> Result<World> {
    let mut keys = Entropy::from_number(seed);
    let identities: Vec<_> = (0..4)
        .map(|_| Arc::new(Identity::generate(&mut keys)))
        .collect();
    let admitted: BTreeSet<_> = identities.iter().map(|it| it.replica_id()).collect();
    let policy = Arc::new(Policy {
        replicas: Admission::Only(admitted),
        spaces: Spaces::Listed([World::space()].into()),
    });
    let mut world = World::empty(seed);
    for identity in identities {
        let config = Config {
            identity: Some(identity),
            policy: Arc::clone(&policy),
            ..World::config()
        };
        world.add_host(Storage::disk(), config)?;
    }
    for engineer in 1..world.len() {
        (0..engineer).for_each(|other| world.connect(engineer, other));
    }
    Ok(world)
}

/// The office plans the month.
fn plan(world: &mut World) -> Result<Vec<RecordId>> {
    let mut inspections = Vec::new();
    for name in ["Pump house", "Weir", "North gate", "Tower", "Quay"] {
        let access = Access {
            key_box: format!("{name} 17"),
            steps: 40,
        };
        let site = Site {
            name: name.to_owned(),
            access,
        };
        let site = world.insert(OFFICE, "sites", &site)?;
        let inspection = Inspection {
            site: site.to_string(),
            notes: Text::from("Planned. "),
            visits: Counter::new(0),
            defects: Vec::new(),
            closed: false,
        };
        inspections.push(world.insert(OFFICE, "inspections", &inspection)?);
    }
    Ok(inspections)
}

/// An engineer visits a site: a count, a sentence, now and then a defect.
fn inspect(
    world: &mut World,
    (engineer, day): (usize, u32),
    id: RecordId,
    diary: &mut Diary,
) -> Result<()> {
    let sentence = format!(
        "Day {day}, engineer {engineer}, visit {}. ",
        diary.sentences.len()
    );
    world.update(engineer, "inspections", id, |it: &mut Inspection| {
        it.visits.increment(1);
        it.notes = Text::from(format!("{}{sentence}", it.notes.as_str()).as_str());
        if day.is_multiple_of(7) {
            it.defects.push(format!("crack {engineer}/{day}"));
        }
        it.closed |= day > 28;
    })?;
    *diary.visits.entry(id).or_default() += 1;
    diary.sentences.push((id, sentence));
    Ok(())
}

/// Only these are online for as long as it takes.
fn meet(world: &mut World, who: &[usize]) {
    for host in 0..world.len() {
        world.isolate(host, !who.contains(&host));
    }
    let before = *world.traffic();
    world.run(Duration::from_secs(10 * 60));
    let bytes = world.traffic().bytes - before.bytes;
    println!("hosts {who:?} met: {bytes} bytes");
    (0..world.len()).for_each(|host| world.isolate(host, true));
}

/// A rule of the application, for whatever a device has, at any time.
fn every_inspection_is_sound(world: &World, host: usize) -> Result<()> {
    for id in world.list(host, "inspections")? {
        let Some(it) = world.get::<Inspection>(host, "inspections", id)? else {
            continue;
        };
        let named = world.get::<Site>(host, "sites", it.site.parse()?)?;
        if named.is_none_or(|it| it.name.is_empty() || it.access.steps == 0) {
            return Err(broken(format!("inspection {id} is of no site")));
        }
        if it.defects.iter().any(|it| !it.starts_with("crack ")) {
            return Err(broken(format!("inspection {id} has a torn defect")));
        }
    }
    Ok(())
}

/// Another one, for when all have met: every visit counts, every sentence is there, in one piece.
fn nothing_is_lost(world: &World, host: usize, diary: &Diary) -> Result<()> {
    for (id, sentence) in &diary.sentences {
        let it = world.get::<Inspection>(host, "inspections", *id)?;
        let it = it.ok_or_else(|| broken(format!("inspection {id} is gone")))?;
        if !it.notes.as_str().contains(sentence.as_str()) {
            return Err(broken(format!("{sentence:?} is lost")));
        }
        if it.visits.value() < diary.visits.get(id).copied().unwrap_or(0) {
            return Err(broken(format!("visits of {id} are lost")));
        }
    }
    Ok(())
}

fn summary(world: &World, inspections: &[RecordId]) -> Result<()> {
    println!("\nAfter a month, the same on all {} devices:", world.len());
    for id in inspections {
        let it: Option<Inspection> = world.get(OFFICE, "inspections", *id)?;
        let Some(it) = it else { continue };
        let site: Option<Site> = world.get(OFFICE, "sites", it.site.parse()?)?;
        let name = site.map_or_else(String::new, |it| it.name);
        println!(
            "  {name:<12} {:>3} visits, {:>2} defects, {:>5} characters of notes, closed: {}",
            it.visits.value(),
            it.defects.len(),
            it.notes.as_str().chars().count(),
            it.closed
        );
    }
    Ok(())
}

fn broken(what: String) -> Error {
    Error::new(ErrorKind::InvalidInput, what)
}

fn usage() -> Error {
    Error::new(ErrorKind::InvalidInput, "the seed is a number")
}

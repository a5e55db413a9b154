//! A whole run made up from one number: who is there, how they are linked, and what happens.

use super::blobs;
use super::presences;
use super::step::{FieldEdit, Step};
use crate::entropy::Entropy;

/// Which troubles a run is about. Calm runs let stores grow and mechanisms finish; violent ones
/// interrupt them. Faults that are too frequent would hide each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// People work, now and then a link breaks or somebody is offline.
    Calm,
    /// Networks at their worst, processes killed.
    Network,
    /// Disks at their worst: power cuts, full disks, failing reads, lost stores, backups.
    Disks,
    /// Strangers break the rules while people work.
    Strangers,
    /// Subscriptions widen and narrow.
    Narrow,
    /// Many hosts, few edits.
    Wide,
    /// Some edits are of a megabyte: more than a link takes at once.
    Bulk,
    /// Few edits, more than a hundred megabytes.
    Large,
    /// Hundreds of records, of which few differ: backups are restored, stores are lost.
    Many,
}

/// How hosts are linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topology {
    /// All to the first.
    Star,
    /// Each to the one before it.
    Chain,
    /// A chain with its ends joined.
    Ring,
    /// All to all.
    Mesh,
    /// All to the first two, which are linked.
    TwoHubs,
}

/// A run, before it is run.
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of their own, in any combination"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// What it was made from; what is left to chance while it runs follows from it, too.
    pub seed: u64,
    /// What it is about.
    pub profile: Profile,
    /// Number of hosts. The first is never wiped, narrowed or buried.
    pub hosts: usize,
    /// How they are linked.
    pub topology: Topology,
    /// Whether stores are on disks; else in memory.
    pub disks: bool,
    /// Whether the first host only relays.
    pub relay: bool,
    /// Whether writes count as done before they are on disk.
    pub relaxed: bool,
    /// How long the log is kept for those who don't come back, in milliseconds.
    pub horizon_millis: u64,
    /// Whether hosts go by contracts, the first by an older version than the others.
    pub ruled: bool,
    /// Whether people attach files to records.
    pub attaches: bool,
    /// Whether people show where they are.
    pub appears: bool,
    /// Number of records.
    pub records: usize,
    /// What happens.
    pub steps: Vec<Step>,
}

impl Scenario {
    /// The run of a seed.
    pub fn from_seed(seed: u64) -> Self {
        let mut source = Entropy::from_number(seed);
        let mut entropy = source.fork();
        let profile = profile(seed);
        let hosts = match profile {
            Profile::Calm | Profile::Network | Profile::Strangers | Profile::Narrow => {
                2 + below(&mut entropy, 5)
            }
            Profile::Disks | Profile::Bulk | Profile::Many => 2 + below(&mut entropy, 3),
            Profile::Wide => 8 + below(&mut entropy, 9),
            Profile::Large => 2,
        };
        let topology = match entropy.below(5) {
            0 => Topology::Star,
            1 => Topology::Chain,
            2 => Topology::Ring,
            3 => Topology::TwoHubs,
            _ => Topology::Mesh,
        };
        let mut scenario = Self {
            seed,
            profile,
            hosts,
            topology,
            disks: match profile {
                Profile::Disks | Profile::Large | Profile::Many => true,
                Profile::Wide | Profile::Bulk => false,
                _ => entropy.below(4) == 0,
            },
            relay: entropy.below(4) == 0,
            relaxed: entropy.below(8) == 0,
            // A week is longer than any run.
            horizon_millis: match seed % 3 {
                0 => 0,
                1 => 20_000,
                _ => 7 * 86_400_000,
            },
            ruled: seed % 7 < 4,
            appears: seed % 13 < 7 && !matches!(profile, Profile::Large | Profile::Many),
            attaches: seed % 11 < 7 && !matches!(profile, Profile::Large | Profile::Many),
            records: match profile {
                Profile::Many => 200 + below(&mut entropy, 300),
                _ => 1 + below(&mut entropy, 6),
            },
            steps: Vec::new(),
        };
        let count = match profile {
            Profile::Calm => 30 + entropy.below(60),
            Profile::Large => 45,
            Profile::Wide => 10 + entropy.below(20),
            _ => 15 + entropy.below(45),
        };
        if profile == Profile::Many {
            scenario.steps.extend(all_written(scenario.records));
        }
        let steps: Vec<_> = (0..count).map(|_| scenario.step(&mut entropy)).collect();
        scenario.steps.extend(steps);
        // By chance of their own, so that the other steps stay what they are.
        if scenario.attaches {
            blobs::mix(&mut scenario, &mut source.fork());
        }
        if scenario.appears {
            presences::mix(&mut scenario, &mut source.fork());
        }
        scenario
    }

    /// Only the steps at these places.
    #[must_use]
    pub fn keep(&self, steps: &[usize]) -> Self {
        let kept = self.steps.iter().enumerate();
        let kept = kept.filter(|(at, _)| steps.contains(at));
        let steps = kept.map(|(_, step)| step.clone()).collect();
        Self {
            steps,
            ..self.clone()
        }
    }

    /// Who dials whom at the start.
    pub fn dials(&self) -> Vec<(usize, usize)> {
        let mut dials = Vec::new();
        for host in 1..self.hosts {
            match self.topology {
                Topology::Star => dials.push((host, 0)),
                Topology::Chain => dials.push((host, host - 1)),
                Topology::Ring => dials.push((host, (host + 1) % self.hosts)),
                Topology::Mesh => dials.extend((0..host).map(|to| (host, to))),
                Topology::TwoHubs => dials.extend((0..host.min(2)).map(|to| (host, to))),
            }
        }
        if self.topology == Topology::Ring {
            dials.push((0, 1 % self.hosts));
        }
        dials
    }

    fn step(&self, entropy: &mut Entropy) -> Step {
        let host = below(entropy, self.hosts);
        let record = below(entropy, self.records);
        match self.profile {
            Profile::Bulk if entropy.below(4) == 0 => Step::Large {
                host,
                record,
                bytes: 400_000 + below(entropy, 1_100_000),
            },
            Profile::Large if entropy.below(5) < 3 => Step::Large {
                host: 0,
                record: below(entropy, 64),
                bytes: 3_000_000 + below(entropy, 1_000_000),
            },
            Profile::Large => match entropy.below(4) {
                0 => Step::Sever { host, other: None },
                1 => Step::Kill { host },
                _ => run(entropy, 4_000),
            },
            Profile::Many => many(entropy, host, record),
            _ if entropy.below(100) < self.profile.peace() => {
                work(entropy, host, record, self.records)
            }
            _ => self.trouble(entropy, host),
        }
    }

    fn trouble(&self, entropy: &mut Entropy, host: usize) -> Step {
        match self.profile {
            Profile::Calm | Profile::Bulk | Profile::Large | Profile::Wide | Profile::Many => {
                match entropy.below(6) {
                    0 => Step::Sever { host, other: None },
                    1 => Step::Isolate { host },
                    2 => Step::Kill { host },
                    3 => set_clock(entropy, host),
                    _ => Step::Join { host },
                }
            }
            Profile::Network => self.network_trouble(entropy, host),
            Profile::Disks => {
                let record = below(entropy, self.records);
                disk_trouble(entropy, host, record)
            }
            Profile::Strangers => match entropy.below(8) {
                0 => self.network_trouble(entropy, host),
                _ => Step::Attack {
                    host,
                    other: below(entropy, self.hosts),
                    attack: entropy.number(),
                    seed: entropy.number(),
                },
            },
            Profile::Narrow => match entropy.below(3) {
                0 => self.network_trouble(entropy, host),
                _ => Step::Subscribe {
                    host,
                    all: entropy.below(2) == 0,
                },
            },
        }
    }

    fn network_trouble(&self, entropy: &mut Entropy, host: usize) -> Step {
        let other = below(entropy, self.hosts);
        match entropy.below(13) {
            0 | 1 => Step::Sever { host, other: None },
            2 => Step::Sever {
                host,
                other: Some(other),
            },
            3 => Step::HalfOpen { host },
            4 => Step::Block {
                from: host,
                to: other,
            },
            5 => Step::Unblock {
                from: host,
                to: other,
            },
            6 => Step::Isolate { host },
            7 | 8 => Step::Join { host },
            9 => Step::Slow {
                one: host,
                other,
                rate: 200 + entropy.below(20_000),
            },
            10 => set_clock(entropy, host),
            _ => Step::Kill { host },
        }
    }
}

impl Profile {
    /// How many of a hundred steps are people's work or time passing.
    const fn peace(self) -> u64 {
        match self {
            Self::Calm | Self::Bulk | Self::Wide => 92,
            Self::Network | Self::Narrow => 65,
            Self::Disks | Self::Strangers => 70,
            Self::Large | Self::Many => 100,
        }
    }
}

const fn profile(seed: u64) -> Profile {
    if seed % 100 == 50 {
        return Profile::Large;
    }
    if seed % 40 == 15 {
        return Profile::Many;
    }
    match seed % 10 {
        0 if seed % 20 == 10 => Profile::Bulk,
        0 | 5 => Profile::Calm,
        1 | 6 => Profile::Network,
        2 | 7 | 9 => Profile::Disks,
        3 => Profile::Strangers,
        4 => Profile::Narrow,
        _ if seed % 20 == 8 => Profile::Wide,
        _ => Profile::Strangers,
    }
}

/// The first host writes all records, in minutes, so that their times tell them apart.
fn all_written(records: usize) -> impl Iterator<Item = Step> {
    let bursts = (1..=records.div_ceil(50)).rev();
    bursts.flat_map(move |part| {
        let count = part * 50;
        [Step::Burst { host: 0, count }, Step::Run { millis: 20_000 }]
    })
}

/// Who has nothing to resume from meets somebody with almost the same.
fn many(entropy: &mut Entropy, host: usize, record: usize) -> Step {
    match entropy.below(16) {
        0 | 1 => Step::Backup { host },
        2 | 3 => Step::RestoreBackup { host },
        12 | 13 => set_clock(entropy, host),
        14 => Step::Wait {
            host,
            record,
            stores: 1,
        },
        4 => Step::Isolate { host },
        5 => Step::Join { host },
        6 if entropy.below(3) == 0 => Step::Wipe { host },
        6 => Step::Kill { host },
        7 | 8 => run(entropy, 30_000),
        15 => compact(entropy, host),
        11 => Step::Import {
            host,
            from: 0,
            first: record,
            count: 100,
        },
        _ => Step::Edit {
            host,
            record,
            edit: FieldEdit::random(entropy),
        },
    }
}

fn work(entropy: &mut Entropy, host: usize, record: usize, records: usize) -> Step {
    match entropy.below(32) {
        0 | 1 => Step::Delete { host, record },
        2 | 3 => Step::Restore { host, record },
        4 | 5 => Step::Transaction {
            host,
            first: record,
            count: 1 + below(entropy, records),
            conflicts: entropy.below(3) == 0,
        },
        6 => Step::Burst {
            host,
            count: 1 + below(entropy, records),
        },
        7 | 8 => Step::Wait {
            host,
            record,
            stores: 1 + below(entropy, 2),
        },
        16 => compact(entropy, host),
        17 => Step::Import {
            host,
            from: 0,
            first: record,
            count: 1 + below(entropy, records),
        },
        9..=15 => {
            let longest = if entropy.below(8) == 0 { 90_000 } else { 3_000 };
            run(entropy, longest)
        }
        _ => Step::Edit {
            host,
            record,
            edit: FieldEdit::random(entropy),
        },
    }
}

fn disk_trouble(entropy: &mut Entropy, host: usize, record: usize) -> Step {
    match entropy.below(26) {
        0..=4 => Step::CutPower {
            host,
            after: entropy.below(20),
            again: (entropy.below(3) == 0).then(|| entropy.below(12)),
        },
        // A file grows only when something large is written.
        16 | 17 => Step::Large {
            host,
            record,
            bytes: 300_000 + below(entropy, 900_000),
        },
        5 | 18 => Step::FillDisk {
            host,
            spare: entropy.below(60_000),
        },
        6 | 7 => Step::FreeDisk { host },
        8 => Step::FailRead {
            host,
            after: entropy.below(30),
        },
        9 | 10 | 20..=22 => Step::Backup { host },
        11 | 12 | 23..=25 => Step::RestoreBackup { host },
        13 => Step::Wipe { host },
        14 if entropy.below(3) == 0 => Step::Bury { host },
        14 => Step::Sever { host, other: None },
        _ => Step::Kill { host },
    }
}

/// What is folded has to be there after a restart, and numbers go on.
fn compact(entropy: &mut Entropy, host: usize) -> Step {
    let killed = entropy.below(2) == 0;
    Step::Compact { host, killed }
}

fn run(entropy: &mut Entropy, longest: u64) -> Step {
    Step::Run {
        millis: entropy.below(longest),
    }
}

/// Minutes, days or years off, either way.
fn set_clock(entropy: &mut Entropy, host: usize) -> Step {
    let scale = [0, 60_000, 86_400_000, 31_536_000_000];
    let scale = scale.get(below(entropy, 4)).copied().unwrap_or(0);
    let off = i64::try_from(entropy.below(20)).unwrap_or(0) - 10;
    Step::SetClock {
        host,
        skew_millis: off * scale,
    }
}

fn below(entropy: &mut Entropy, bound: usize) -> usize {
    let bound = u64::try_from(bound).unwrap_or(u64::MAX);
    usize::try_from(entropy.below(bound)).unwrap_or(0)
}

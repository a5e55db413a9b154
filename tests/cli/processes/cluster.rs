//! A hub and three devices over a bad network: cycles of writes, kills, stops and faults, and the
//! checker over what the processes said.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::json;
use syncline::entropy::Entropy;
use tokio::net::TcpSocket;

use super::causal::{Entry, Event, HUB, Who, check};
use super::cycle::{self, DISTURBANCES, Device, Hub};
use super::parties::{Log, Names, OWNED, Party, RECORDS, SHARED, Watcher, key, owned, shared};
use super::proxy::{Counts, Plan, Proxy};
use crate::command::{Folder, over};

const DEVICES: [Who; 3] = ["a", "b", "c"];

/// Seconds within which a device is in step with the hub once the network is well.
const IN_STEP_WITHIN: u64 = 60;

/// Clusters that run beside each other.
const AT_ONCE: usize = 4;

/// Entries of a log that are shown with a violation.
const SHOWN: usize = 60;

/// How much is run: clusters, each from a seed and with new stores, and cycles of each.
struct Extent {
    first_seed: u64,
    clusters: u64,
    cycles: u64,
}

impl Extent {
    /// Dozens of cycles; thousands with `SYNCLINE_LONG=1`; one cluster with `SYNCLINE_SEED=n`.
    fn asked_for() -> Self {
        let asked = |name: &str| std::env::var_os(name).and_then(|it| it.into_string().ok());
        let seed = asked("SYNCLINE_SEED").map(|it| it.parse().expect("SYNCLINE_SEED is a number"));
        let is_long = asked("SYNCLINE_LONG").is_some_and(|it| it == "1");
        let (clusters, cycles) = if is_long {
            (60, 50)
        } else {
            (4, 2 * DISTURBANCES)
        };
        Self {
            first_seed: seed.unwrap_or(1),
            clusters: if seed.is_some() { 1 } else { clusters },
            cycles,
        }
    }
}

#[test]
fn what_was_acknowledged_holds_through_kills_stops_and_a_bad_network() {
    let extent = Extent::asked_for();
    let seeds: Vec<u64> = (extent.first_seed..extent.first_seed + extent.clusters).collect();
    let mut counts = Counts::new();
    let mut entries = 0;
    // Most of a cluster's time goes by in waiting.
    for some in seeds.chunks(AT_ONCE) {
        let ran: Vec<_> = std::thread::scope(|scope| {
            let run = |seed: &u64| {
                let seed = *seed;
                scope.spawn(move || run(seed, extent.cycles))
            };
            let running: Vec<_> = some.iter().map(run).collect();
            running
                .into_iter()
                .map(std::thread::ScopedJoinHandle::join)
                .collect()
        });
        for it in ran {
            let (more, faults) = it.expect("its own thread said what went wrong");
            entries += more;
            add(&mut counts, faults);
        }
    }
    println!("{entries} entries checked; faults that happened: {counts:?}");
    if extent.clusters > 1 {
        for fault in ["cut", "delay", "throttle", "corrupt", "swallow", "refuse"] {
            assert!(counts.contains_key(fault), "no {fault}: {counts:?}");
        }
    }
}

/// Runs one cluster; how much it said, and the faults that happened to it.
fn run(seed: u64, cycles: u64) -> (usize, Counts) {
    let replay = Replay(seed, cycles);
    let mut cluster = Cluster::start(seed);
    for number in 0..cycles {
        cluster.cycle(number);
    }
    cluster.come_to_rest();
    cluster.check();
    drop(replay);
    let mut counts = Counts::new();
    for device in &cluster.devices {
        add(&mut counts, device.proxy.counts());
    }
    let entries = cluster.log.entries().len();
    println!("seed {seed}: {entries} entries, faults {counts:?}");
    (entries, counts)
}

fn add(counts: &mut Counts, more: Counts) {
    for (name, count) in more {
        *counts.entry(name).or_default() += count;
    }
}

/// Says how to run a cluster again that has failed.
struct Replay(u64, u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let long = if self.1 > 2 * DISTURBANCES {
                "SYNCLINE_LONG=1 "
            } else {
                ""
            };
            eprintln!(
                "again: SYNCLINE_SEED={} {long}cargo test --all-features --test cli processes::cluster",
                self.0
            );
        }
    }
}

struct Cluster {
    hub: Hub,
    devices: Vec<Device>,
    log: Log,
    entropy: Entropy,
    _folder: Folder,
    /// Keeps the hub's port from everybody else while the hub is dead.
    _port: TcpSocket,
}

impl Cluster {
    /// All start with the same shared records.
    fn start(seed: u64) -> Self {
        let (folder, log, names) = (Folder::new(), Log::default(), Names::new(&DEVICES));
        let party = |who: Who| Party {
            who,
            store: folder.file(&format!("{who}.redb")),
            log: log.clone(),
            names: names.clone(),
        };
        let (port, address) = reserve_port();
        let hub = Hub::start(party(HUB), address);
        let devices = DEVICES.into_iter().map(|who| Device {
            party: party(who),
            proxy: Proxy::new(address, Plan::Calm),
            version: 0,
            made: BTreeSet::new(),
            removed: BTreeSet::new(),
        });
        let cluster = Self {
            devices: devices.collect(),
            hub,
            entropy: Entropy::from_number(seed),
            _folder: folder,
            _port: port,
            log,
        };
        cluster.make_shared_records();
        for (number, device) in (0..).zip(&cluster.devices) {
            device.proxy.turn(Plan::Seeded(seed * 10 + number));
        }
        cluster
    }

    fn make_shared_records(&self) {
        let first = &self.devices[0].party.store;
        for number in 0..RECORDS {
            over(first, &["put", SHARED, &shared(number), r#"{"made": 1}"#]).json();
        }
        for device in &self.devices {
            assert!(device.sync(IN_STEP_WITHIN), "the network is well so far");
        }
    }

    fn cycle(&mut self, number: u64) {
        cycle::run(&mut self.hub, &mut self.devices, number, &mut self.entropy);
        // From the middle on one record after the other is deleted, while others edit it.
        if number % DISTURBANCES == DISTURBANCES - 1 {
            let nth = number / DISTURBANCES;
            let deleter = usize::try_from(nth).expect("small") % self.devices.len();
            if nth < RECORDS / 2 {
                self.devices[deleter].delete_for_good(nth);
            }
        }
    }

    /// The faults end; watchers that have lived through some must come back by themselves, and then
    /// all come into step.
    fn come_to_rest(&mut self) {
        self.survivors_hear_again();
        for device in self.devices.iter().chain(&self.devices) {
            let what = "come into step".to_owned();
            device.party.say(Event::Awaited { what: what.clone() });
            if device.sync(IN_STEP_WITHIN) {
                device.party.say(Event::Happened { what });
            }
        }
        self.hub.process.signal("TERM");
        assert_eq!(
            self.hub.process.end(),
            0,
            "the hub stops when it is asked to"
        );
        for device in &self.devices {
            device.look();
        }
        let parties = self.devices.iter().map(|it| &it.party);
        for party in parties.chain([&self.hub.party]) {
            let status = over(&party.store, &["status"]).json();
            let digest = status["spaces"][0]["digest"].to_string();
            party.say(Event::Holds { digest });
        }
    }

    /// One watches through a last kill of the hub, and hears then of another's write.
    fn survivors_hear_again(&mut self) {
        let (watching, writing) = (&self.devices[0], &self.devices[1]);
        let watcher = Watcher::start(&watching.party, watching.proxy.url());
        self.hub.restart();
        for device in &self.devices {
            device.proxy.turn(Plan::Calm);
        }
        let (name, version) = (owned(writing.party.who, 0), writing.version + 1);
        let key = key(OWNED, &name, "v");
        writing.party.say(Event::Tried {
            key: key.clone(),
            version,
            deletes: false,
        });
        let record = json!({"v": version}).to_string();
        over(&writing.party.store, &["put", OWNED, &name, &record]).json();
        writing.party.say(Event::Acknowledged {
            key: key.clone(),
            version,
        });
        let what = "pass a last write on".to_owned();
        writing.party.say(Event::Awaited { what: what.clone() });
        if writing.sync(IN_STEP_WITHIN) {
            writing.party.say(Event::Happened { what });
        }
        let (who, what) = (watching.party.who, "hear of the last write".to_owned());
        watching.party.say(Event::Awaited { what: what.clone() });
        let event = Event::Read {
            key,
            shown: Some(version),
        };
        if self.log.wait_for(&Entry { who, event }) {
            watching.party.say(Event::Happened { what });
        }
        watcher.interrupt();
    }

    fn check(&self) {
        let entries = self.log.entries();
        if let Err(violation) = check(&entries) {
            let so_far = entries.iter().enumerate().take(violation.entries);
            let about = so_far.filter(|(_, it)| {
                let record = it.event.record();
                record.is_none() || record == violation.record.as_deref()
            });
            let about: Vec<_> = about.collect();
            for (number, it) in &about[about.len().saturating_sub(SHOWN)..] {
                eprintln!("{number:>6}  {:<4} {:?}", it.who, it.event);
            }
            panic!("{violation}");
        }
    }
}

/// A port that is bound but not listened on: the kernel gives it to nobody who does not name it,
/// and lets a hub listen there.
fn reserve_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket
        .bind(([127, 0, 0, 1], 0).into())
        .expect("a free port");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

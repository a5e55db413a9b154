//! One device of a cluster, and one cycle of all: write, watch, disturb, look.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value as Json, json};
use syncline::entropy::Entropy;

use super::causal::{Event, GONE};
use super::parties::{
    Importer, Names, OWNED, Party, RECORDS, SHARED, Watcher, key, owned, path, shared,
};
use super::proxy::Proxy;
use crate::command::{Running, over};

/// Writes that are acknowledged between two disturbances.
const ACKS: u64 = 12;

/// What can happen in the middle of a cycle.
pub(crate) const DISTURBANCES: u64 = 9;

/// The hub: killed and started again on one port.
pub(crate) struct Hub {
    pub(crate) party: Party,
    pub(crate) address: SocketAddr,
    pub(crate) process: Running,
}

impl Hub {
    pub(crate) fn start(party: Party, address: SocketAddr) -> Self {
        let listen = address.to_string();
        let serve = ["serve", "--listen", &listen, "--store", path(&party.store)];
        let mut process = Running::start(&serve);
        assert_eq!(process.line(), format!("listening on ws://{listen}"));
        Self {
            party,
            address,
            process,
        }
    }

    /// Kills it, if it lives, and starts it on the port that its dead links still linger on.
    pub(crate) fn restart(&mut self) {
        self.process.kill();
        let started = Self::start(self.party.clone(), self.address);
        self.process = started.process;
    }
}

/// A device behind a bad network of its own.
pub(crate) struct Device {
    pub(crate) party: Party,
    pub(crate) proxy: Proxy,
    /// The newest version that it has written.
    pub(crate) version: u64,
    /// Records that it makes only to delete them.
    pub(crate) made: BTreeSet<u64>,
    pub(crate) removed: BTreeSet<u64>,
}

impl Device {
    fn url(&self) -> &str {
        self.proxy.url()
    }

    fn next(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Exchanges all with the hub, if the network lets it; says whether it did.
    pub(crate) fn sync(&self, seconds: u64) -> bool {
        let arguments = ["sync", self.url(), "--timeout", &seconds.to_string()];
        let ran = over(&self.party.store, &arguments);
        // Two handshakes harmed in a row are a refusal.
        assert!([0, 5, 6].contains(&ran.code), "{}: {ran:?}", self.party.who);
        if ran.code == 0 {
            self.party.say(Event::InStep);
        }
        ran.code == 0
    }

    /// Writes one of its own records, by a command of its own.
    fn put(&mut self, number: u64) {
        let (name, version) = (owned(self.party.who, number), self.next());
        let record = json!({"v": version}).to_string();
        self.write(
            (OWNED, &name),
            "v",
            version,
            &["put", OWNED, &name, &record],
        );
    }

    /// Makes one of its own records, at another time deletes it, and then looks that it is gone.
    fn make_and_remove(&mut self, number: u64) {
        let name = owned(self.party.who, RECORDS + number);
        if self.made.insert(number) {
            return self.put(RECORDS + number);
        }
        if !self.removed.insert(number) {
            return self.get(OWNED, &name);
        }
        let version = self.next();
        let key = key(OWNED, &name, "v");
        self.party.say(Event::Tried {
            key: key.clone(),
            version,
            deletes: true,
        });
        let ran = over(&self.party.store, &["rm", OWNED, &name]);
        if ran.code == 3 {
            self.said(OWNED, &name, None);
        } else {
            ran.ok();
            self.party.say(Event::Acknowledged { key, version });
        }
    }

    /// Writes its field of a record that all write to.
    fn edit(&mut self, number: u64) {
        let (name, version, field) = (shared(number), self.next(), self.party.who);
        let patch = json!({field: version}).to_string();
        self.write(
            (SHARED, &name),
            field,
            version,
            &["edit", SHARED, &name, &patch],
        );
    }

    /// Deletes a record that others write to meanwhile. Nobody brings it back.
    pub(crate) fn delete_for_good(&self, number: u64) {
        let name = shared(number);
        self.write((SHARED, &name), GONE, 1, &["rm", SHARED, &name]);
    }

    fn write(
        &self,
        (collection, name): (&'static str, &str),
        field: &str,
        version: u64,
        command: &[&str],
    ) {
        let key = key(collection, name, field);
        self.party.say(Event::Tried {
            key: key.clone(),
            version,
            deletes: false,
        });
        let ran = over(&self.party.store, command);
        if ran.code == 3 {
            return self.said(collection, name, None);
        }
        ran.ok();
        self.party.say(Event::Acknowledged { key, version });
    }

    /// Kills a `put` at once: it may be done or not.
    fn put_and_kill(&mut self, number: u64) {
        let (name, version) = (owned(self.party.who, number), self.next());
        self.party.say(Event::Tried {
            key: key(OWNED, &name, "v"),
            version,
            deletes: false,
        });
        let record = json!({"v": version}).to_string();
        let store = path(&self.party.store);
        let put = ["put", OWNED, &name, &record, "--store", store];
        Running::start(&put).kill();
    }

    fn get(&self, collection: &'static str, name: &str) {
        let ran = over(&self.party.store, &["get", collection, name]);
        if ran.code == 3 {
            return self.said(collection, name, None);
        }
        self.said(collection, name, Some(&ran.json()["record"]));
    }

    fn said(&self, collection: &'static str, name: &str, record: Option<&Json>) {
        for read in Names::reads_of(collection, name, record) {
            self.party.say(read);
        }
    }

    /// Reads all records.
    pub(crate) fn look(&self) {
        for collection in [OWNED, SHARED] {
            let exported = over(&self.party.store, &["export", collection]).json();
            for read in self.party.names.reads_of_all(collection, &exported) {
                self.party.say(read);
            }
        }
    }

    /// Does one thing by a command of its own.
    fn act(&mut self, entropy: &mut Entropy) {
        let number = entropy.below(RECORDS);
        match entropy.below(8) {
            0 => self.put(number),
            1 => self.make_and_remove(number),
            2 | 3 => self.edit(number),
            4 => self.put_and_kill(number),
            5 => self.get(SHARED, &shared(number)),
            6 => self.get(OWNED, &owned(self.party.who, number)),
            _ => drop(self.sync(1)),
        }
    }
}

/// One device writes, the others watch; something happens to one of the processes; then each does
/// a few things by commands of its own. Number and seed decide what.
pub(crate) fn run(hub: &mut Hub, devices: &mut [Device], number: u64, entropy: &mut Entropy) {
    let count = u64::try_from(devices.len()).expect("few");
    let (before, rest) = devices.split_at_mut(index(number % count));
    let (writer, after) = rest.split_first_mut().expect("one of them writes");
    let others: Vec<_> = before.iter().chain(after.iter()).collect();
    let mut watchers: Vec<_> = others
        .iter()
        .map(|it| Watcher::start(&it.party, it.url()))
        .collect();
    let mut importer = Importer::start(&writer.party, writer.url());
    importer.feed(ACKS, &mut writer.version);
    match number % DISTURBANCES {
        0 => hub.restart(),
        1 => {
            hub.process.kill();
            importer.feed(ACKS, &mut writer.version);
            hub.restart();
        }
        2 => {
            hub.process.signal("STOP");
            importer.feed(ACKS, &mut writer.version);
            hub.process.signal("CONT");
        }
        3 => {
            importer.process.signal("STOP");
            importer.fill(&mut writer.version);
            hub.restart();
            importer.process.signal("CONT");
        }
        4 => {
            importer.kill();
            importer = Importer::start(&writer.party, writer.url());
        }
        5 => {
            watchers.remove(0).kill();
            watchers.insert(0, Watcher::start(&others[0].party, others[0].url()));
        }
        6 => {
            let watcher = &watchers[0].process;
            watcher.signal("STOP");
            importer.feed(ACKS, &mut writer.version);
            watcher.signal("CONT");
        }
        7 => others.iter().for_each(|it| it.proxy.cut()),
        _ => {}
    }
    importer.feed(1 + entropy.below(ACKS), &mut writer.version);
    if entropy.below(4) == 0 {
        importer.finish();
    } else {
        importer.kill();
    }
    for watcher in watchers {
        if entropy.below(4) == 0 {
            watcher.interrupt();
        } else {
            watcher.kill();
        }
    }
    for device in devices {
        device.act(entropy);
        if entropy.below(3) == 0 {
            device.look();
        }
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("small")
}

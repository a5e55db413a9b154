//! The processes of a cluster, and what they say, written down for the checker.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value as Json, json};
use syncline::RecordId;

use super::causal::{Entry, Event, GONE, Key, Who};
use crate::command::Running;

/// Longest silence of a process that has something to say.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);

/// The collection of records that one device each writes to.
pub(crate) const OWNED: &str = "owned";
/// The collection of records in which each device has a field.
pub(crate) const SHARED: &str = "shared";

/// Lines of an import that are under way at any time.
const WINDOW: usize = 16;

/// Records of each collection and, if they are owned, of each device.
pub(crate) const RECORDS: u64 = 6;

/// What all processes have said, in one order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<(Mutex<Vec<Entry>>, Condvar)>);

impl Log {
    pub(crate) fn say(&self, who: Who, event: Event) {
        self.entries().push(Entry { who, event });
        self.0.1.notify_all();
    }

    pub(crate) fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the store has shown this version; says whether it did in time.
    pub(crate) fn wait_for(&self, entry: &Entry) -> bool {
        let missing = |entries: &mut Vec<Entry>| !entries.iter().rev().any(|it| it == entry);
        let waited = self
            .0
            .1
            .wait_timeout_while(self.entries(), SILENCE * 3, missing);
        let (_entries, result) = waited.unwrap_or_else(PoisonError::into_inner);
        !result.timed_out()
    }
}

/// The names of all records, by id: of `a0` in `owned` as `owned/a0`.
#[derive(Clone, Debug)]
pub(crate) struct Names(Arc<BTreeMap<(&'static str, String), String>>);

impl Names {
    pub(crate) fn new(devices: &[Who]) -> Self {
        // Those of the second half are made only to be deleted.
        let owned = devices
            .iter()
            .flat_map(|it| (0..2 * RECORDS).map(move |n| owned(it, n)));
        let owned = owned.map(|it| (OWNED, it));
        let shared = (0..RECORDS).map(|n| (SHARED, shared(n)));
        let all = owned.chain(shared).map(|(collection, name)| {
            let id = RecordId::named(&name).to_string();
            ((collection, id), name)
        });
        Self(Arc::new(all.collect()))
    }

    /// What a record says of its fields; `None` is a record that is not there.
    fn reads(&self, collection: &'static str, id: &str, record: Option<&Json>) -> Vec<Event> {
        let name = self.0.get(&(collection, id.to_owned()));
        let name = name.unwrap_or_else(|| panic!("{id} in {collection} was never written"));
        Self::reads_of(collection, name, record)
    }

    /// The same of a record by its name.
    pub(crate) fn reads_of(
        collection: &'static str,
        name: &str,
        record: Option<&Json>,
    ) -> Vec<Event> {
        let read = |field: &str, shown| Event::Read {
            key: key(collection, name, field),
            shown,
        };
        let number = |field: &str| record.and_then(|it| it[field].as_u64());
        if collection == OWNED {
            return vec![read("v", number("v"))];
        }
        let gone = read(GONE, record.is_none().then_some(1));
        let fields = ["a", "b", "c"].into_iter().filter(|_| record.is_some());
        let fields = fields.map(|it| read(it, number(it)));
        std::iter::once(gone).chain(fields).collect()
    }

    /// What an export of a whole collection says: of each record, also of those not in it.
    pub(crate) fn reads_of_all(&self, collection: &'static str, exported: &Json) -> Vec<Event> {
        let records = exported["records"].as_array().expect("a list");
        let by_id = records
            .iter()
            .map(|it| (it["$id"].as_str().expect("an id"), it));
        let by_id: BTreeMap<_, _> = by_id.collect();
        let ids = self.0.keys().filter(|(of, _)| *of == collection);
        let reads = ids.flat_map(|(_, id)| {
            let record = by_id.get(id.as_str()).copied();
            self.reads(collection, id, record)
        });
        reads.collect()
    }

    /// What a line of `watch --json` says.
    fn reads_of_change(&self, change: &Json) -> Vec<Event> {
        let collection = [OWNED, SHARED]
            .into_iter()
            .find(|it| change["collection"] == *it);
        let (Some(collection), Some(id)) = (collection, change["id"].as_str()) else {
            // It says that it was stopped, or that changes were missed.
            return Vec::new();
        };
        let record = Some(&change["record"]).filter(|it| !it.is_null());
        self.reads(collection, id, record)
    }
}

pub(crate) fn owned(who: Who, number: u64) -> String {
    format!("{who}{number}")
}

pub(crate) fn shared(number: u64) -> String {
    format!("s{number}")
}

pub(crate) fn key(collection: &str, name: &str, field: &str) -> Key {
    Key {
        record: format!("{collection}/{name}"),
        field: field.to_owned(),
    }
}

/// Whose process it is, and where what it says is written down.
#[derive(Clone, Debug)]
pub(crate) struct Party {
    pub(crate) who: Who,
    pub(crate) store: PathBuf,
    pub(crate) log: Log,
    pub(crate) names: Names,
}

impl Party {
    pub(crate) fn say(&self, event: Event) {
        self.log.say(self.who, event);
    }

    fn start(&self, arguments: &[&str]) -> (Running, BufReader<ChildStdout>) {
        let mut process = Running::start(&[arguments, &["--store", path(&self.store)]].concat());
        let stdout = process.stdout.take().expect("not taken yet");
        (process, stdout)
    }
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Hands over whole lines; one that a kill cut short was never said.
fn each_line(mut stdout: BufReader<ChildStdout>, mut take: impl FnMut(&str)) {
    let mut line = String::new();
    while stdout.read_line(&mut line).is_ok_and(|it| it > 0) && line.ends_with('\n') {
        take(line.trim_end());
        line.clear();
    }
}

/// A device that watches while it is connected: each line is a read.
pub(crate) struct Watcher {
    pub(crate) process: Running,
    reader: JoinHandle<()>,
}

impl Watcher {
    pub(crate) fn start(party: &Party, url: &str) -> Self {
        let (process, stdout) = party.start(&["watch", "--json", "--connect", url]);
        let party = party.clone();
        let reader = std::thread::spawn(move || {
            each_line(stdout, |line| {
                let change = serde_json::from_str(line).expect("a whole line is JSON");
                for read in party.names.reads_of_change(&change) {
                    party.say(read);
                }
            });
        });
        Self { process, reader }
    }

    pub(crate) fn kill(mut self) {
        self.process.kill();
        self.reader.join().expect("all it said was understood");
    }

    /// Asks it to stop, as Ctrl-C does.
    pub(crate) fn interrupt(mut self) {
        // The signal ends it by itself if it came before anybody waited for it.
        let code = self.process.stop("INT");
        assert!(
            [0, -1].contains(&code),
            "an interrupted watch ended with {code}"
        );
        self.reader.join().expect("all it said was understood");
    }
}

/// Lines that are written and not yet acknowledged, in order.
type Unanswered = Arc<Mutex<VecDeque<(String, Key, u64)>>>;

/// A device that imports while it is connected, and acknowledges each line.
pub(crate) struct Importer {
    pub(crate) process: Running,
    party: Party,
    reader: JoinHandle<()>,
    acks: Receiver<()>,
    unanswered: Unanswered,
}

impl Importer {
    pub(crate) fn start(party: &Party, url: &str) -> Self {
        let import = [
            "import",
            OWNED,
            "-",
            "--acks",
            "--timeout",
            "1",
            "--connect",
            url,
        ];
        let (process, stdout) = party.start(&import);
        let (sender, acks) = sync_channel(WINDOW * 2);
        let unanswered = Unanswered::default();
        let reader = acknowledge(party.clone(), stdout, Arc::clone(&unanswered), sender);
        Self {
            process,
            party: party.clone(),
            reader,
            acks,
            unanswered,
        }
    }

    fn unanswered(&self) -> MutexGuard<'_, VecDeque<(String, Key, u64)>> {
        self.unanswered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes until so many more lines are acknowledged; others are under way then.
    pub(crate) fn feed(&self, acks: u64, next: &mut u64) {
        for _ in 0..acks {
            self.fill(next);
            let ack = self.acks.recv_timeout(SILENCE);
            ack.expect("a living writer acknowledges, whatever the network does");
        }
    }

    /// Writes lines until there are enough under way.
    pub(crate) fn fill(&self, next: &mut u64) {
        while self.unanswered().len() < WINDOW {
            *next += 1;
            let version = *next;
            let name = owned(self.party.who, version % RECORDS);
            let line = json!({"$id": name, "v": version, "pad": "x".repeat(100)});
            let key = key(OWNED, &name, "v");
            self.party.say(Event::Tried {
                key: key.clone(),
                version,
                deletes: false,
            });
            let id = RecordId::named(&name).to_string();
            self.unanswered().push_back((id, key, version));
            self.process.write_line(&line);
        }
    }

    /// Kills it; what it had said by then counts.
    pub(crate) fn kill(mut self) {
        self.process.kill();
        self.drain();
    }

    /// Ends its input. It exchanges the rest if the network lets it.
    pub(crate) fn finish(mut self) {
        drop(self.process.child.stdin.take());
        let code = self.process.end();
        // Two handshakes harmed in a row are a refusal.
        assert!([0, 5, 6].contains(&code), "an import ended with {code}");
        let party = self.party.clone();
        self.drain();
        if code == 0 {
            party.say(Event::InStep);
        }
    }

    fn drain(self) {
        // Its reader must not wait for us.
        while self.acks.recv().is_ok() {}
        self.reader.join().expect("all it said was understood");
    }
}

fn acknowledge(
    party: Party,
    stdout: BufReader<ChildStdout>,
    unanswered: Unanswered,
    told: SyncSender<()>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        each_line(stdout, |line| {
            let next = unanswered
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let (id, key, version) = next.expect("a line was written");
            assert_eq!(line, id, "acknowledged in order");
            party.say(Event::Acknowledged { key, version });
            // At the end nobody waits for more.
            told.send(()).unwrap_or_default();
        });
    })
}

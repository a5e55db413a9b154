//! `kill -9` under load: what was acknowledged is there afterwards, and reaches the others.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use syncline::RecordId;

use crate::command::{Folder, Running, over};

/// Two processes die in each round.
const ROUNDS: u64 = 25;

/// Least acknowledged writes before a kill, and how many more there may be.
const ACKS_MIN: u64 = 5;
const ACKS_MORE: u64 = 40;

/// Lines that are under way at any time.
const WINDOW: usize = 64;

/// The acknowledged records: by id, the round and number they were written with.
type Acknowledged = BTreeMap<String, (u64, u64)>;

/// Longest silence of a writer that is alive.
const SILENCE: Duration = Duration::from_secs(30);

#[test]
fn acknowledged_writes_survive_fifty_kills_and_reach_the_others() {
    let folder = Folder::new();
    let (device, hub_store) = (folder.file("device.redb"), folder.file("hub.redb"));
    let other = folder.file("other.redb");
    let mut acknowledged = Acknowledged::new();
    let mut cut_short = 0;
    for round in 0..ROUNDS {
        let acks = ACKS_MIN + round * 13 % ACKS_MORE;
        let (mut hub, url) = Running::hub(&hub_store);
        let mut writer = Writer::start(&device, &url, round);
        writer.write_until(acks, &mut acknowledged);
        if round % 2 == 0 {
            // The hub dies while it is written to; writing goes on without it.
            hub.kill();
            writer.write_until(acks, &mut acknowledged);
            cut_short += writer.kill(&mut acknowledged);
        } else {
            cut_short += writer.kill(&mut acknowledged);
            hub.kill();
        }
        // Before a peer can heal anything, the device's own file holds all of it.
        assert_holds(
            &device,
            &acknowledged,
            &format!("the device after round {round}"),
        );
        if round % 5 == 4 {
            assert_hub_keeps(&hub_store, &device, &other, &acknowledged);
        }
    }
    assert!(cut_short > 0, "there was no load while they were killed");
    let (_hub, url) = Running::hub(&hub_store);
    let digests = [&device, &other].map(|it| over(it, &["sync", &url]).json()["digest"].clone());
    assert_holds(&other, &acknowledged, "another device at the end");
    assert_eq!(digests[0], digests[1]);
}

/// What the hub has confirmed to the device survives the hub's death: another device gets all of
/// it from the hub alone.
fn assert_hub_keeps(hub_store: &Path, device: &Path, other: &Path, acknowledged: &Acknowledged) {
    let (mut hub, url) = Running::hub(hub_store);
    over(device, &["sync", &url]).json();
    hub.kill();
    let (_hub, url) = Running::hub(hub_store);
    over(other, &["sync", &url]).json();
    assert_holds(other, acknowledged, "another device");
}

/// A device that writes without a pause: `syncline import --acks`, with lines always on their way.
struct Writer {
    process: Running,
    acks: Receiver<String>,
    reader: JoinHandle<()>,
    round: u64,
    /// Ids of lines written and not yet acknowledged, in order.
    unanswered: VecDeque<(String, u64)>,
    written: u64,
}

impl Writer {
    fn start(store: &Path, url: &str, round: u64) -> Self {
        let store = store.to_str().expect("UTF-8");
        let import = [
            "import",
            "load",
            "-",
            "--acks",
            "--connect",
            url,
            "--store",
            store,
        ];
        let mut process = Running::start(&import);
        let stdout = process.stdout.take().expect("not taken yet");
        let (sender, acks) = sync_channel(WINDOW * 2);
        let reader = std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            acks,
            reader,
            round,
            unanswered: VecDeque::new(),
            written: 0,
        }
    }

    /// Writes until so many more writes are acknowledged. Others are under way then.
    fn write_until(&mut self, acks: u64, acknowledged: &mut Acknowledged) {
        for _ in 0..acks {
            while self.unanswered.len() < WINDOW {
                self.write_line();
            }
            let ack = self.acks.recv_timeout(SILENCE);
            self.take(&ack.expect("a living writer acknowledges"), acknowledged);
        }
    }

    fn write_line(&mut self) {
        let (round, n) = (self.round, self.written);
        let name = format!("{round}/{n}");
        let line = json!({"$id": name, "round": round, "n": n, "text": "x".repeat(200)});
        let mut stdin = self.process.child.stdin.as_ref().expect("piped");
        writeln!(stdin, "{line}").expect("a living writer reads");
        self.unanswered
            .push_back((RecordId::named(&name).to_string(), n));
        self.written += 1;
    }

    fn take(&mut self, ack: &str, acknowledged: &mut Acknowledged) {
        let (id, n) = self.unanswered.pop_front().expect("a line was written");
        assert_eq!(ack, id, "acknowledged in order");
        acknowledged.insert(id, (self.round, n));
    }

    /// Kills it, a moment later in each round; what it had printed by then counts as acknowledged.
    /// Returns how many writes were cut short.
    fn kill(mut self, acknowledged: &mut Acknowledged) -> usize {
        let moment = Duration::from_micros(self.round * 397 % 4_000);
        if let Ok(ack) = self.acks.recv_timeout(moment) {
            self.take(&ack, acknowledged);
        }
        self.process.kill();
        while let Ok(ack) = self.acks.recv() {
            self.take(&ack, acknowledged);
        }
        self.reader.join().expect("the reader ends with its pipe");
        self.unanswered.len()
    }
}

fn assert_holds(store: &Path, acknowledged: &Acknowledged, who: &str) {
    let exported = over(store, &["export", "load"]).json();
    let records = exported["records"].as_array().expect("a list");
    let held = records.iter().map(|it| {
        let id = it["$id"].as_str().expect("an id").to_owned();
        let number = |field: &str| it[field].as_u64().expect("a number");
        (id, (number("round"), number("n")))
    });
    let held: Acknowledged = held.collect();
    for (id, write) in acknowledged {
        assert_eq!(
            held.get(id),
            Some(write),
            "{who} lacks an acknowledged write"
        );
    }
}

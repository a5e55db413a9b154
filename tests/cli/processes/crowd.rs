//! A hub with a crowd of clients, each of which edits: what a connection costs it, and how long an
//! edit takes to all others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use syncline::doc::{Document, EditMeta};
use syncline::id::ActorId;
use syncline::time::{Clock as _, Instant, SystemClock};
use syncline::wire::{Changes, Message};
use syncline::{Error, RecordId, SpaceId};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::flow::memory;
use super::parties::SILENCE;
use super::stranger::Stranger;
use crate::command::{Folder, Running};

/// What an idle connection may cost the hub, in bytes.
const CONNECTION_MEMORY_MAX: u64 = 100 * 1024;

/// What the hub may need besides while all of them edit: pages of its store, frames on their way.
const WORK_MEMORY_MAX: u64 = 256 << 20;

/// Bytes that a client takes before it grants as many again.
const GRANT: u64 = 1 << 20;

/// How many, how often.
#[derive(Clone, Copy, Debug)]
struct Plan {
    clients: usize,
    edits: usize,
    pause: Duration,
}

/// What all clients know.
#[derive(Debug)]
struct Crowd {
    plan: Plan,
    space: SpaceId,
    clock: SystemClock,
    /// Whose record it is.
    records: BTreeMap<RecordId, usize>,
    /// When each client has sent each of its edits.
    sent: Vec<Mutex<Vec<Instant>>>,
}

fn record(client: usize) -> RecordId {
    RecordId::named(&format!("client {client}"))
}

/// A client and what came to it.
struct Client {
    number: usize,
    crowd: Arc<Crowd>,
    link: Stranger,
    document: Document,
    /// How many edits of each other client have come.
    seen: Vec<usize>,
    left: usize,
    taken: u64,
    latencies: Vec<Duration>,
}

impl Client {
    async fn connect(url: &str, number: usize, crowd: Arc<Crowd>) -> Self {
        let name = u32::try_from(number).expect("not so many");
        let mut link = Stranger::introduced(url, name).await;
        link.open(crowd.space).await;
        link.lacks_all(crowd.space, "tasks").await;
        loop {
            let said = timeout(SILENCE, link.hear()).await.expect("an answer");
            if matches!(said.expect("the link holds"), Message::Walk(_)) {
                break;
            }
        }
        let Plan { clients, edits, .. } = crowd.plan;
        Self {
            number,
            link,
            document: Document::new(&ActorId::from_bytes(name.to_be_bytes().repeat(4))),
            seen: vec![0; clients],
            left: (clients - 1) * edits,
            taken: 0,
            latencies: Vec::new(),
            crowd,
        }
    }

    async fn edit(&mut self, value: usize) {
        let value = i64::try_from(value).expect("small").into();
        let edited = self
            .document
            .edit::<_, Error>(EditMeta::default(), |edit| edit.set(&["n".into()], &value));
        let change = edited
            .expect("an edit")
            .1
            .expect("a change")
            .bytes()
            .clone();
        let sent = &self.crowd.sent[self.number];
        sent.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.crowd.clock.now());
        let space = self.crowd.space;
        self.link
            .push(space, record(self.number), vec![change])
            .await;
    }

    /// Takes what comes, as a device would, and acknowledges it.
    async fn take(&mut self, said: Message) {
        let space = self.crowd.space;
        if let Message::Ping { token } = said {
            self.link.send(&Message::Pong { token }).await;
            return;
        }
        let is_over = matches!(said, Message::Error { .. } | Message::Bye { .. });
        assert!(!is_over, "{said:?}");
        let Message::Changes(changes) = said else {
            return;
        };
        self.note(&changes);
        let cost = changes.change_bytes() + 64 * changes.groups.len();
        self.taken += u64::try_from(cost).expect("small");
        let lsn = changes.upto;
        if lsn.0 > 0 {
            self.link.send(&Message::Ack { space, lsn }).await;
        }
        if self.taken >= GRANT / 2 {
            let live = std::mem::take(&mut self.taken);
            self.link.send(&Message::Credit { live, bulk: 0 }).await;
        }
    }

    fn note(&mut self, changes: &Changes) {
        let now = self.crowd.clock.now();
        for group in &changes.groups {
            let author = self.crowd.records[&group.record];
            let sent = self.crowd.sent[author]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            for _ in &group.changes {
                self.latencies.push(now.since(sent[self.seen[author]]));
                self.seen[author] += 1;
                self.left -= 1;
            }
        }
    }

    /// Edits in its turn and takes the edits of all others.
    async fn run(mut self) -> Self {
        let Plan {
            clients,
            edits,
            pause,
        } = self.crowd.plan;
        let clients = u32::try_from(clients).expect("not so many");
        let first = pause * u32::try_from(self.number).expect("not so many") / clients;
        let mut made = 0;
        let mut due = Box::pin(sleep(first));
        while made < edits || self.left > 0 {
            tokio::select! {
                () = &mut due, if made < edits => {
                    self.edit(made).await;
                    made += 1;
                    due = Box::pin(sleep(pause));
                }
                said = timeout(SILENCE, self.link.hear()) => {
                    self.take(said.expect("it goes on").expect("the link holds")).await;
                }
            }
        }
        assert!(
            self.seen
                .iter()
                .enumerate()
                .all(|(it, count)| *count == if it == self.number { 0 } else { edits })
        );
        self
    }
}

async fn crowd(plan: Plan) -> String {
    let folder = Folder::new();
    let (hub, url) = Running::hub(&folder.file("hub.redb"));
    let crowd = Arc::new(Crowd {
        plan,
        space: SpaceId::named("crowd"),
        clock: SystemClock::new(),
        records: (0..plan.clients).map(|it| (record(it), it)).collect(),
        sent: (0..plan.clients).map(|_| Mutex::default()).collect(),
    });
    // The first one makes the hub do all that is done once.
    let mut clients = vec![Client::connect(&url, 0, Arc::clone(&crowd)).await];
    let alone = memory(&hub, "VmRSS");
    for number in 1..plan.clients {
        clients.push(Client::connect(&url, number, Arc::clone(&crowd)).await);
    }
    let idle = memory(&hub, "VmRSS");
    let each = idle.saturating_sub(alone) / u64::try_from(plan.clients - 1).expect("small");
    assert!(
        each < CONNECTION_MEMORY_MAX,
        "{each} bytes for each connection"
    );

    let mut all = JoinSet::new();
    for client in clients {
        all.spawn(client.run());
    }
    let mut latencies = Vec::new();
    let mut done = Vec::new();
    while let Some(client) = all.join_next().await {
        let mut client = client.expect("all is delivered");
        latencies.append(&mut client.latencies);
        // Its link stays open until all have all.
        done.push(client);
    }
    let busy = memory(&hub, "VmHWM");
    assert!(busy < idle + WORK_MEMORY_MAX, "{busy} bytes");
    latencies.sort_unstable();
    let at = |part: usize| latencies[(latencies.len() - 1) * part / 1000].as_millis();
    let Plan {
        clients,
        edits,
        pause,
    } = plan;
    let deliveries = latencies.len();
    assert_eq!(deliveries, clients * (clients - 1) * edits);
    format!(
        "{clients} clients, {edits} edits each, one in {pause:?}: {deliveries} deliveries, \
         p50 {} ms, p99 {} ms, max {} ms; {} KB for each idle connection, {} MB at most",
        at(500),
        at(990),
        at(1000),
        each >> 10,
        busy >> 20
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "figures for docs/performance.md")]
async fn a_crowd_of_clients_gets_every_edit_of_all_others() {
    let long = std::env::var_os("SYNCLINE_LONG").is_some_and(|it| it == "1");
    let plan = if long {
        Plan {
            clients: 1_000,
            edits: 10,
            pause: Duration::from_secs(1),
        }
    } else {
        Plan {
            clients: 100,
            edits: 5,
            pause: Duration::from_millis(400),
        }
    };
    println!("{}", crowd(plan).await);
}

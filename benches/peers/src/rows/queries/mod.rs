//! P9, queries by an index, without one, and live, beside `SQLite` on the same records.

mod sqlite;

use std::time::Duration;

use anyhow::ensure;
use futures::FutureExt as _;
use serde_json::{Value as Json, json};
use syncline::contract::{Contract, Field};
use syncline::node::Access;
use syncline::query::Query;
use syncline::store::Durability;
use tokio::time::sleep;

use super::Plan;
use crate::measure::{self, Watch, figure, median};
use crate::ours::{Device, IMPORT_GROUP};
use crate::report::{Report, Row, say};
use crate::workload;
use sqlite::Sqlite;

/// People to whom tasks are assigned, and tags that they have two of.
const PEOPLE: usize = 10;
const TAGS: usize = 1_000;

const SQLITE: &str = "SQLite";

/// A query, and what `SQLite` is asked for the same.
struct Asked {
    work: String,
    ours: String,
    sql: &'static str,
    /// The parameters of the statement.
    of: (String, usize),
    /// Whether it says which records come first; ids are sorted otherwise there.
    is_ordered: bool,
}

impl Asked {
    fn open_by_due(limit: usize) -> Self {
        Self {
            work: "by due of one person's open tasks".to_owned(),
            ours: format!(r#"assignee = "p7" and done = false order by due limit {limit}"#),
            sql: "SELECT body FROM tasks WHERE assignee = ?1 AND done = 0 ORDER BY due LIMIT ?2",
            of: ("p7".to_owned(), limit),
            is_ordered: true,
        }
    }

    fn tagged() -> Self {
        Self {
            work: "of those with a tag".to_owned(),
            ours: r#"tags contains "t7" limit 20"#.to_owned(),
            sql: "SELECT body FROM tags JOIN tasks USING (id) WHERE tag = ?1 ORDER BY id LIMIT ?2",
            of: ("t7".to_owned(), 20),
            is_ordered: false,
        }
    }
}

/// The small record with what is asked for.
fn record(number: usize) -> Json {
    let mut record = workload::small(number);
    if let Some(fields) = record.as_object_mut() {
        fields.extend([
            ("done".to_owned(), json!(number.is_multiple_of(2))),
            (
                "assignee".to_owned(),
                json!(format!("p{}", number / 2 % PEOPLE)),
            ),
            ("due".to_owned(), json!(due(number))),
            (
                "tags".to_owned(),
                json!([
                    format!("t{}", number % TAGS),
                    format!("t{}", number / 7 % TAGS)
                ]),
            ),
        ]);
    }
    record
}

/// Spread without an order, the same each time.
fn due(number: usize) -> usize {
    number.wrapping_mul(0x9e37_79b9) % 1_000_003
}

fn contract() -> anyhow::Result<Contract> {
    let contract = Contract::builder("tasks", 1)
        .field("assignee", Field::string())
        .field("done", Field::bool())
        .field("due", Field::integer())
        .field("tags", Field::list(Field::string()))
        .index("open-by-due", ["assignee", "done", "due"])
        .index("by-tag", ["tags[]"]);
    Ok(contract.build()?)
}

pub(super) async fn measure(plan: &Plan<'_>, report: &mut Report) -> anyhow::Result<()> {
    let records = plan.count(10_000, 100_000);
    let folder = plan.folder("queries")?;
    let device = Device::open_as(&folder.join("ours"), Durability::Relaxed).await?;
    let mut sqlite = Sqlite::create(&folder.join("sqlite"))?;
    let numbers: Vec<_> = (0..records).collect();
    for numbers in numbers.chunks(IMPORT_GROUP) {
        let made: Vec<_> = numbers.iter().map(|it| (*it, record(*it))).collect();
        let fill = device.node.transaction(|tx| {
            made.iter().try_for_each(|(number, record)| {
                tx.put_json(&device.tasks, workload::id(*number), record)
                    .map(drop)
            })
        });
        fill.await?;
        sqlite.fill(&made)?;
    }
    for asked in [Asked::open_by_due(20), Asked::tagged()] {
        one(report, (&device, &sqlite), (records, &asked), "no index").await?;
    }
    let watch = Watch::start();
    device.node.declare(&contract()?).await?;
    sqlite.index()?;
    until_indexed(&device).await?;
    say(&format!(
        "indexes of {records} records built in {:.1} s",
        watch.seconds()
    ));
    for asked in [
        Asked::open_by_due(20),
        Asked::open_by_due(1_000),
        Asked::tagged(),
    ] {
        one(report, (&device, &sqlite), (records, &asked), "index").await?;
    }
    live(report, (&device, &sqlite), (plan, records)).await?;
    device.node.shutdown().await?;
    Ok(())
}

async fn until_indexed(device: &Device) -> anyhow::Result<()> {
    for asked in [Asked::open_by_due(1), Asked::tagged()] {
        let query: Query = asked.ours.parse()?;
        while device.tasks.explain(&query).await?.access != Access::Index {
            sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(())
}

/// One query as often as it takes to know its time.
async fn one(
    report: &mut Report,
    (device, sqlite): (&Device, &Sqlite),
    (records, asked): (usize, &Asked),
    how: &str,
) -> anyhow::Result<()> {
    let query: Query = asked.ours.parse()?;
    let times = if how == "index" { 300 } else { 20 };
    let (mut ours, mut theirs, mut count) = (Vec::new(), Vec::new(), 0);
    for _ in 0..times {
        let watch = Watch::start();
        let found = device.tasks.query(&query).await?.records;
        ours.push(watch.micros());
        let watch = Watch::start();
        let rows = sqlite.ask(asked.sql, &asked.of)?;
        theirs.push(watch.micros());
        let found: Vec<_> = found.into_iter().map(|it| it.1).collect();
        ensure!(
            found.len() == rows.len(),
            "{} and {}",
            found.len(),
            rows.len()
        );
        count = found.len();
        ensure!(!asked.is_ordered || found == rows, "other records");
    }
    let work = format!("first {count} {}, of {records}, {how}, p50", asked.work);
    let row = Row::new("P9", work, "µs").ours(median(&ours));
    report.row(row.floor(SQLITE, median(&theirs)).over_floor().note(NOTE));
    Ok(())
}

const NOTE: &str = "SQLite in the same process holds the same fields in columns and the record as JSON text, which \
                    it gives and which is parsed; tags are a table with one row each. Ours without an index is the \
                    naive scan.";

/// What a change costs a live query, beside asking again after each.
async fn live(
    report: &mut Report,
    (device, sqlite): (&Device, &Sqlite),
    (plan, records): (&Plan<'_>, usize),
) -> anyhow::Result<()> {
    let rounds = plan.count(10, 40);
    let asked = Asked::open_by_due(20);
    let query: Query = asked.ours.parse()?;
    // Half of them are in the result or may come into it, the others are done.
    let numbers: Vec<_> = (0..records).filter(|it| it / 2 % PEOPLE == 7).collect();
    let mut edits = (0..).map(|at| {
        let number = numbers.get(at % numbers.len().max(1)).copied();
        (number.unwrap_or(0), due(at) % 20_000)
    });
    // By turns, since documents grow with each edit.
    let mut spent = [0.0; 4];
    for _ in 0..rounds {
        for (spent, (is_ours, asks)) in spent.iter_mut().zip(WAYS) {
            let edits = edits.by_ref().take(CHANGES);
            *spent += if is_ours {
                change(device, edits, asks.then_some(&query)).await?
            } else {
                sqlite_change(sqlite, edits, asks.then_some(&asked))?
            };
        }
    }
    let each = spent.map(|it| it * 1e6 / figure(rounds * CHANGES));
    let [alone, live, sqlite_alone, sqlite_asked] = each;
    say(&format!(
        "a change without a live query: {alone:.1} µs of CPU, with {live:.1}; SQLite {sqlite_alone:.1}, \
         with a query after each {sqlite_asked:.1}"
    ));
    let work = format!(
        "live query, first 20 {}, of {records}: a change",
        asked.work
    );
    let row = Row::new("P9", work, "µs of CPU").ours(live - alone);
    report.row(row.floor(SQLITE, sqlite_asked - sqlite_alone).over_floor().note(
        "What a change costs with the live query, less what it costs without; of SQLite, the query \
         again after each change, by its index.",
    ));
    Ok(())
}

/// Changes of one round.
const CHANGES: usize = 200;

/// Whether the changes are ours, and whether what they change is asked for.
const WAYS: [(bool, bool); 4] = [(true, false), (true, true), (false, false), (false, true)];

/// CPU seconds that changes take, without a live query or with one that is read to its end.
async fn change(
    device: &Device,
    edits: impl Iterator<Item = (usize, usize)>,
    query: Option<&Query>,
) -> anyhow::Result<f64> {
    let mut live = match query {
        Some(query) => Some(device.tasks.live(query).await?),
        None => None,
    };
    let before = cpu()?;
    for (number, due) in edits {
        let patch = json!({ "due": due });
        device.tasks.patch(workload::id(number), &patch).await?;
        if let Some(live) = &mut live {
            // A timer would wait for its clock to tick.
            while let Some(event) = live.next().now_or_never() {
                event?;
            }
        }
    }
    Ok(cpu()? - before)
}

/// The same of `SQLite`, without a query or with one after each change.
fn sqlite_change(
    sqlite: &Sqlite,
    edits: impl Iterator<Item = (usize, usize)>,
    asked: Option<&Asked>,
) -> anyhow::Result<f64> {
    let before = cpu()?;
    for (number, due) in edits {
        sqlite.move_to(number, due)?;
        if let Some(asked) = asked {
            sqlite.ask(asked.sql, &asked.of)?;
        }
    }
    Ok(cpu()? - before)
}

fn cpu() -> anyhow::Result<f64> {
    measure::cpu_seconds(std::process::id())
}

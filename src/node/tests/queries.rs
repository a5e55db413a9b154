//! Queries, pages and live results over nodes.

use std::collections::BTreeMap;

use super::*;
use crate::entropy::Entropy;
use crate::id::RecordId;
use crate::limits;
use crate::query::{Cursor, LiveEvent, LiveRecord, Query, field};

async fn filled(count: i64) -> (Node, Records) {
    let node = Node::builder().open().await.unwrap();
    let records = node.records("tasks").unwrap();
    for n in 0..count {
        let json = json!({"n": n, "even": n % 2 == 0});
        records.put(numbered(n), &json).await.unwrap();
    }
    (node, records)
}

fn numbered(n: i64) -> RecordId {
    RecordId::named(&n.to_string())
}

fn numbers(page: &Page<serde_json::Value>) -> Vec<i64> {
    let numbers = page.records.iter().map(|(_, it)| it["n"].as_i64().unwrap());
    numbers.collect()
}

#[tokio::test]
async fn a_query_finds_orders_and_pages() {
    let (node, records) = filled(10).await;
    let text = "even = true and n > 0 order by n desc limit 3";
    let first = records.query_text(text).await.unwrap();
    assert_eq!(numbers(&first), [8, 6, 4]);
    let next = first.next.unwrap();
    assert!(records.delete(numbered(4)).await.unwrap());
    records
        .put(numbered(5), &json!({"n": 5, "even": true}))
        .await
        .unwrap();
    let next: Cursor = next.to_string().parse().unwrap();
    let query: Query = text.parse().unwrap();
    let second = records.query(&query.after(next)).await.unwrap();
    assert_eq!(
        numbers(&second),
        [2],
        "4 was the last, and 5 comes before it"
    );
    assert!(second.next.is_none());
    let all = records.query(&Query::all()).await.unwrap();
    let listed = records.list().await.unwrap();
    assert_eq!(
        all.records, listed,
        "in order of ids, deleted ones left out"
    );
    node.shutdown().await.unwrap();
    let closed = records.query(&Query::all()).await.unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_wrong_query_is_refused_by_every_door() {
    let (_node, records) = filled(1).await;
    let wrong = Query::all().limit(0);
    let invalid = [
        records.query(&wrong).await.map(|_| ()),
        records.explain(&wrong).await.map(|_| ()),
        records.live(&wrong).await.map(|_| ()),
        records.query_text("n = ").await.map(|_| ()),
    ];
    for refused in invalid {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[tokio::test]
async fn typed_queries_read_records_and_list_what_does_not_fit() {
    let node = Node::builder().open().await.unwrap();
    let tasks = node.collection::<Task>("tasks").unwrap();
    for title in ["sow", "water", "weed"] {
        tasks.insert(&task(title)).await.unwrap();
    }
    let odd = json!({"title": "vex", "votes": "many"});
    let odd = tasks.untyped().insert(&odd).await.unwrap();
    let query = Query::filter(field("title").gt("t"))
        .order_by(field("title"))
        .limit(2);
    let page = tasks.query(&query).await.unwrap();
    let titles: Vec<_> = page
        .records
        .iter()
        .map(|(_, it)| it.title.as_str())
        .collect();
    assert_eq!(titles, ["water"], "what does not fit counts");
    assert_eq!(page.unreadable[0].0, odd);
    assert_eq!(page.unreadable[0].1.kind(), ErrorKind::WrongType);
    let page = tasks.query(&query.after(page.next.unwrap())).await.unwrap();
    assert_eq!(page.into_iter().next().unwrap().1.title, "weed");
    let page = tasks
        .query_text("votes = 1 and notes contains \"two\"")
        .await;
    assert_eq!(page.unwrap().records.len(), 3, "counters and texts");
    let mut live = tasks
        .live(&Query::filter(field("title").eq("sow")))
        .await
        .unwrap();
    let shown = live.records();
    assert_eq!(shown[0].read::<Task>().unwrap(), task("sow"));
}

#[tokio::test]
async fn an_explanation_says_what_is_read_and_held() {
    let (_node, records) = filled(5).await;
    let explain = async |query: Query| records.explain(&query).await.unwrap();
    let limited = explain(Query::all().limit(2)).await;
    assert_eq!(
        (limited.access, limited.records, limited.held),
        (Access::Scan, 5, Some(3))
    );
    assert_eq!(
        limited.to_string(),
        "scan: looks at the views of 5 records, and holds at most 3 of them"
    );
    assert_eq!(explain(Query::all()).await.held, None);
}

/// A live query and the list that its reader keeps.
struct Reader {
    query: Query,
    live: Live,
    list: Vec<LiveRecord>,
}

impl Reader {
    async fn new(records: &Records, query: &str) -> Self {
        let query: Query = query.parse().unwrap();
        let mut live = records.live(&query).await.unwrap();
        let list = live.records();
        Self { query, live, list }
    }

    async fn next(&mut self) -> LiveEvent {
        let event = within(self.live.next()).await.unwrap().unwrap();
        assert!(event.apply(&mut self.list), "{event:?}");
        event
    }

    /// Reads events until the list is what a fresh query finds.
    async fn settle(&mut self, records: &Records) {
        let fresh = records.query(&self.query).await.unwrap().records;
        let reading = async {
            loop {
                let list: Vec<_> = self.list.iter().map(|it| (it.id, it.json())).collect();
                // Those that are under way may lead away from it again.
                match timeout(Duration::from_millis(20), self.live.next()).await {
                    Ok(event) => {
                        let event = event.unwrap().unwrap();
                        assert!(event.apply(&mut self.list), "{event:?}");
                    }
                    Err(_nothing) if list == fresh => return,
                    Err(_nothing) => {}
                }
            }
        };
        let settled = timeout(Duration::from_secs(20), reading).await;
        let query = &self.query;
        assert!(
            settled.is_ok(),
            "{query}: the list does not become what is found"
        );
    }
}

#[tokio::test]
async fn a_live_query_tells_what_comes_changes_moves_and_goes() {
    let (_node, records) = filled(4).await;
    let mut reader = Reader::new(&records, "n >= 0 order by n limit 3").await;
    let ids = |list: &[LiveRecord]| list.iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(ids(&reader.list), [0, 1, 2].map(numbered));
    records
        .patch(numbered(1), &json!({"even": true}))
        .await
        .unwrap();
    assert!(matches!(
        reader.next().await,
        LiveEvent::Changed { at: 1, .. }
    ));
    records
        .patch(numbered(0), &json!({"n": 1.5}))
        .await
        .unwrap();
    assert!(matches!(
        reader.next().await,
        LiveEvent::Moved { from: 0, to: 1, .. }
    ));
    records.patch(numbered(0), &json!({"n": 9})).await.unwrap();
    assert!(matches!(
        reader.next().await,
        LiveEvent::Removed { from: 1, .. }
    ));
    assert!(matches!(
        reader.next().await,
        LiveEvent::Added { at: 2, .. }
    ));
    assert_eq!(ids(&reader.list), [1, 2, 3].map(numbered));
    records.delete(numbered(2)).await.unwrap();
    assert!(matches!(
        reader.next().await,
        LiveEvent::Removed { from: 1, .. }
    ));
    assert!(matches!(
        reader.next().await,
        LiveEvent::Added { at: 2, .. }
    ));
    records.restore(numbered(2)).await.unwrap();
    assert!(matches!(
        reader.next().await,
        LiveEvent::Removed { from: 2, .. }
    ));
    assert!(matches!(
        reader.next().await,
        LiveEvent::Added { at: 1, .. }
    ));
    reader.settle(&records).await;
}

#[tokio::test]
async fn a_live_query_ends_with_its_node() {
    let (node, records) = filled(1).await;
    let mut live = records.live(&Query::all()).await.unwrap();
    node.shutdown().await.unwrap();
    assert_eq!(within(live.next()).await.unwrap(), None);
}

#[tokio::test]
async fn a_reader_that_fell_behind_gets_the_difference() {
    let (node, records) = filled(200).await;
    let mut all = Reader::new(&records, "order by n desc").await;
    let mut some = Reader::new(&records, "even = true order by n limit 5").await;
    let edits = i64::try_from(limits::WATCH_QUEUE_EVENTS).unwrap() + 300;
    for start in (0..edits).step_by(100) {
        node.transaction(|it| {
            for n in start..start + 100 {
                let json = json!({"n": n - 7, "even": n % 3 == 0});
                it.put_json(&records, numbered(n), &json)?;
            }
            Ok(())
        })
        .await
        .unwrap();
    }
    all.settle(&records).await;
    some.settle(&records).await;
    assert_eq!(
        all.list.len(),
        usize::try_from(edits + 100).unwrap() / 100 * 100
    );
}

/// Edits of either node, and what they lead to.
async fn edit(entropy: &mut Entropy, nodes: &[Records; 2]) {
    let records = if entropy.below(3) == 0 {
        &nodes[1]
    } else {
        &nodes[0]
    };
    let id = numbered(i64::try_from(entropy.below(30)).unwrap());
    let n = entropy.below(20);
    let value = match entropy.below(5) {
        0 => json!({"n": n, "even": n.is_multiple_of(2), "tag": "a"}),
        1 => json!({"n": n.to_string(), "even": true}),
        2 => json!({"even": n > 5}),
        3 => json!({"n": 0.5, "even": true}),
        _ => json!({"n": n, "even": true, "tag": "b"}),
    };
    // Records that are missing or deleted refuse some of it.
    let done = match entropy.below(8) {
        0..=3 => records.put(id, &value).await,
        4 | 5 => records.patch(id, &json!({"n": n})).await,
        6 => records.delete(id).await,
        _ => records.restore(id).await,
    };
    if let Err(error) = done {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}

#[tokio::test]
async fn lists_kept_from_events_are_what_fresh_queries_find() {
    let (a, b, _network) = pair().await;
    let nodes = [a.records("tasks").unwrap(), b.records("tasks").unwrap()];
    let mut entropy = Entropy::from_number(11);
    let mut readers = Vec::new();
    for query in [
        "",
        "even = true order by n",
        "even = true order by n desc, tag limit 4",
        "n >= 3 order by tag, n limit 2",
        "limit 1",
        "tag exists or n is null order by even desc limit 30",
    ] {
        readers.push((0, Reader::new(&nodes[0], query).await));
        readers.push((1, Reader::new(&nodes[1], query).await));
    }
    for _ in 0..12 {
        for _ in 0..25 {
            edit(&mut entropy, &nodes).await;
        }
        within(async { tokio::try_join!(a.synced(), b.synced()) })
            .await
            .unwrap();
        let found: Vec<BTreeMap<_, _>> = vec![
            nodes[0].list().await.unwrap().into_iter().collect(),
            nodes[1].list().await.unwrap().into_iter().collect(),
        ];
        assert_eq!(found[0], found[1]);
        for (node, reader) in &mut readers {
            reader.settle(&nodes[*node]).await;
        }
    }
}

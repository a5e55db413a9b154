//! One author's 259,778 keystrokes, typed on one device and followed on another over WebSocket,
//! with a hub between that never loads the text.

use std::time::Duration;

use serde_json::json;
use syncline::doc::PathStep;
use syncline::{Node, RecordId, Records};
use tokio::time::{sleep, timeout};

use super::history::{self, Patch, Step};
use super::materialised::Materialised;

/// Keystrokes that share a commit, as those of a fast typist on a slow disk do.
const KEYSTROKES: usize = 256;

/// Batches after which the author goes offline or comes back.
const ONLINE: usize = 100;

async fn open(hub: &str) -> Node {
    let node = Node::builder().open().await.expect("a node");
    node.connect(hub).await.expect("an address");
    timeout(Duration::from_secs(10), node.synced())
        .await
        .expect("linked")
        .expect("a node");
    node
}

/// Types each patch as a change of its own.
async fn type_in(author: &Node, papers: &Records, id: RecordId, patches: &[&Patch]) {
    let body = [PathStep::from("body")];
    let typed = author.transaction(|tx| {
        patches.iter().try_for_each(|(at, delete, insert)| {
            tx.edit(papers, id, |edit| {
                edit.splice_text(&body, *at, *delete, insert)
            })
        })
    });
    typed.await.expect("typed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_authors_keystrokes_pass_a_hub_that_never_loads_the_text() {
    let seen = Materialised::install();
    let history = history::one_author();
    let hub = Node::builder().relay().open().await.expect("a hub");
    let address = hub.listen("127.0.0.1:0").await.expect("a free port");
    let (author, reader) = (open(&address).await, open(&address).await);
    let papers = author.records("papers").expect("a name");
    let id = papers
        .insert(&json!({ "body": { "$text": "" } }))
        .await
        .expect("a paper");

    let steps: &[Step] = &history.steps;
    let patches: Vec<_> = steps.iter().flat_map(|it| &it.patches).collect();
    let mut online = true;
    for (number, batch) in patches.chunks(KEYSTROKES).enumerate() {
        type_in(&author, &papers, id, batch).await;
        if number % ONLINE == ONLINE - 1 {
            online = !online;
            if online {
                author.connect(&address).await.expect("an address");
            } else {
                author.disconnect(&address).await.expect("a node");
            }
        }
    }
    author.connect(&address).await.expect("an address");

    let copies = reader.records("papers").expect("a name");
    let heads = papers.heads(id).await.expect("heads");
    let arrived = async {
        while copies.heads(id).await.expect("heads") != heads {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(120), arrived)
        .await
        .expect("all keystrokes arrive");
    for records in [&papers, &copies] {
        let paper = records.get(id).await.expect("readable").expect("a paper");
        let text = paper["body"].as_str().expect("a text");
        assert!(text == history.end, "the text is not the recorded one");
    }
    assert_eq!(
        seen.count(),
        0,
        "documents materialised on the way of replication"
    );
    let on_hub = hub.status().await.expect("a status");
    let lsn = on_hub.spaces[0].lsn.0;
    assert_eq!(lsn, 1 + patches.len() as u64, "one change per keystroke");
}

//! Three clients do this and that, from a seed; in the end all have the same.

use anyhow::{Context as _, ensure};
use automerge::transaction::{Transactable as _, Transaction};
use automerge::{AutomergeError, ObjId, ObjType, ROOT, ReadDoc as _};
use samod::DocHandle;
use syncline_samod::{Client, Hub, edit, equal};

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from((self.0 >> 33) % bound).unwrap_or(0)
    }
}

/// What a document here begins with.
fn blank(tx: &mut Transaction<'_>) -> Result<(), AutomergeError> {
    let text = tx.put_object(ROOT, "text", ObjType::Text)?;
    tx.splice_text(&text, 0, 0, "It was a dark night.")?;
    tx.put_object(ROOT, "list", ObjType::List)?;
    Ok(())
}

fn part(tx: &Transaction<'_>, name: &str) -> Result<ObjId, AutomergeError> {
    let found = tx.get(ROOT, name)?;
    Ok(found.map_or(ROOT, |(_, id)| id))
}

/// One change of any kind.
fn change(random: &mut Random, tx: &mut Transaction<'_>) -> Result<(), AutomergeError> {
    match random.below(4) {
        0 => {
            let key = ["a", "b", "c"][random.below(3)];
            let value = i64::try_from(random.below(1_000)).unwrap_or(0);
            tx.put(ROOT, key, value)
        }
        1 => {
            let text = part(tx, "text")?;
            let length = tx.length(&text);
            let at = random.below(length + 1);
            let gone = random.below(3).min(length - at);
            let gone = isize::try_from(gone).unwrap_or(0);
            tx.splice_text(&text, at, gone, ["", "ß", " stormy", "😀"][random.below(4)])
        }
        2 => {
            let list = part(tx, "list")?;
            let at = random.below(tx.length(&list) + 1);
            let item = tx.insert_object(&list, at, ObjType::Map)?;
            tx.put(&item, "n", i64::try_from(at).unwrap_or(0))
        }
        _ => {
            let list = part(tx, "list")?;
            match tx.length(&list) {
                0 => Ok(()),
                length => tx.delete(&list, random.below(length)),
            }
        }
    }
}

async fn run(seed: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut random = Random(seed);
    let mut hub = Hub::start(&folder.path().join("hub.redb")).await?;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::linked(hub.address()).await?);
    }
    let mut linked = [true; 3];
    let first = clients[0].create(blank).await?;
    clients[0].acknowledged(&first).await?;
    let mut documents: Vec<DocHandle> = vec![first];
    for client in clients.iter().skip(1) {
        let id = documents[0].document_id().clone();
        documents.push(client.find(&id).await?);
    }
    for _ in 0..200 {
        let who = random.below(3);
        match random.below(20) {
            0 if linked[who] => {
                clients[who].part();
                linked[who] = false;
            }
            0 | 1 if !linked[who] => {
                clients[who].link(hub.address()).await?;
                linked[who] = true;
            }
            2 if random.below(4) == 0 => {
                hub.kill().await?;
                hub.restart().await?;
            }
            3 => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            _ => edit(&documents[who], |tx| change(&mut random, tx))?,
        }
    }
    for (who, client) in clients.iter_mut().enumerate() {
        if !linked[who] {
            client.link(hub.address()).await?;
        }
    }
    let all: Vec<_> = documents.iter().collect();
    let expected = equal(&all).await?;
    clients[0].acknowledged(&documents[0]).await?;
    hub.stop().await?;
    ensure!(hub.stored(documents[0].document_id()).await? == expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_anything_end_with_the_same() -> anyhow::Result<()> {
    let seeds = match std::env::var_os("SYNCLINE_SEED") {
        Some(seed) => vec![seed.to_string_lossy().parse()?],
        None => (0..10).collect(),
    };
    for seed in seeds {
        run(seed)
            .await
            .with_context(|| format!("SYNCLINE_SEED={seed} shows it again"))?;
    }
    Ok(())
}

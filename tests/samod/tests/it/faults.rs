//! Clients go offline, hubs die.

use anyhow::ensure;
use automerge::ROOT;
use automerge::transaction::Transactable as _;
use syncline_samod::{Client, Hub, edit, equal, heads};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_edited_offline_merges_when_clients_come_back() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut hub = Hub::start(&folder.path().join("hub.redb")).await?;
    let mut a = Client::linked(hub.address()).await?;
    let mut b = Client::linked(hub.address()).await?;
    let here = a.create(|tx| tx.put(ROOT, "n", 0)).await?;
    a.acknowledged(&here).await?;
    let there = b.find(here.document_id()).await?;
    for round in 0..5 {
        a.part();
        b.part();
        for n in 0..10 {
            edit(&here, |tx| tx.put(ROOT, "here", 10 * round + n))?;
            edit(&there, |tx| tx.put(ROOT, "there", 10 * round + n))?;
        }
        let apart = [heads(&here), heads(&there)];
        ensure!(apart[0] != apart[1]);
        // One after the other: the hub keeps it in between.
        a.link(hub.address()).await?;
        a.acknowledged(&here).await?;
        a.part();
        b.link(hub.address()).await?;
        b.acknowledged(&there).await?;
        a.link(hub.address()).await?;
        equal(&[&here, &there]).await?;
    }
    let expected = equal(&[&here, &there]).await?;
    a.acknowledged(&here).await?;
    hub.stop().await?;
    ensure!(hub.stored(here.document_id()).await? == expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_killed_has_all_that_it_acknowledged() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut hub = Hub::start(&folder.path().join("hub.redb")).await?;
    for round in 0..5_i64 {
        let client = Client::linked(hub.address()).await?;
        let document = client.create(|tx| tx.put(ROOT, "round", round)).await?;
        for n in 0..10 {
            edit(&document, |tx| tx.put(ROOT, "n", n))?;
        }
        client.acknowledged(&document).await?;
        let acknowledged = heads(&document);
        hub.kill().await?;
        // Nobody else has it any more.
        client.stop().await;
        hub.restart().await?;
        let late = Client::linked(hub.address()).await?;
        let found = late.find(document.document_id()).await?;
        ensure!(heads(&found) == acknowledged, "round {round}");
        late.stop().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_hub_that_is_killed_go_on_by_themselves() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut hub = Hub::start(&folder.path().join("hub.redb")).await?;
    let (a, b) = (
        Client::linked(hub.address()).await?,
        Client::linked(hub.address()).await?,
    );
    let here = a.create(|tx| tx.put(ROOT, "n", 0)).await?;
    a.acknowledged(&here).await?;
    let there = b.find(here.document_id()).await?;
    for round in 0..5_i64 {
        for n in 0..20 {
            edit(&here, |tx| tx.put(ROOT, "here", 20 * round + n))?;
            edit(&there, |tx| tx.put(ROOT, "there", 20 * round + n))?;
            if n == 10 {
                hub.kill().await?;
            }
        }
        hub.restart().await?;
        equal(&[&here, &there]).await?;
    }
    let expected = equal(&[&here, &there]).await?;
    a.acknowledged(&here).await?;
    hub.stop().await?;
    ensure!(hub.stored(here.document_id()).await? == expected);
    Ok(())
}

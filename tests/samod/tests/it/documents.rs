//! Documents come and go, and edits of both sides.

use std::ffi::OsStr;

use anyhow::{Context as _, ensure};
use automerge::transaction::Transactable as _;
use automerge::{ObjType, ROOT, ReadDoc as _};
use samod::{DocHandle, DocumentId};
use syncline_samod::{COLLECTION, Client, Hub, edit, equal, heads, syncline};

/// A text or number of a document.
fn shown(document: &DocHandle, field: &str) -> anyhow::Result<String> {
    document.with_document(|it| {
        let found = it.get(ROOT, field)?.map(|it| it.0.to_string());
        found
            .map(|it| it.trim_matches('"').to_owned())
            .with_context(|| format!("no {field}"))
    })
}

fn words<'a>(words: &[&'a str]) -> Vec<&'a OsStr> {
    words.iter().map(|it| OsStr::new(*it)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_one_client_is_found_by_another_and_kept_by_the_hub() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut hub = Hub::start(&folder.path().join("hub.redb")).await?;
    let (a, b) = (
        Client::linked(hub.address()).await?,
        Client::linked(hub.address()).await?,
    );
    let here = a.create(|tx| tx.put(ROOT, "title", "Tea")).await?;
    a.acknowledged(&here).await?;
    let there = b.find(here.document_id()).await?;
    ensure!(shown(&there, "title")? == "Tea");
    let expected = equal(&[&here, &there]).await?;
    // Who comes when its author is gone gets it from the hub.
    a.stop().await;
    b.stop().await;
    let late = Client::linked(hub.address()).await?;
    ensure!(heads(&late.find(here.document_id()).await?) == expected);
    late.stop().await;
    hub.stop().await?;
    ensure!(hub.stored(here.document_id()).await? == expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_nobody_has_is_nowhere() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let hub = Hub::start(&folder.path().join("hub.redb")).await?;
    let client = Client::linked(hub.address()).await?;
    let nobodys = Client::new()
        .await
        .create(|tx| tx.put(ROOT, "n", 1))
        .await?;
    ensure!(client.search(nobodys.document_id()).await?.is_none());
    // The link is as good as before.
    let own = client.create(|tx| tx.put(ROOT, "n", 2)).await?;
    client.acknowledged(&own).await
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_go_both_ways_as_they_are_made() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut hub = Hub::start(&folder.path().join("hub.redb")).await?;
    let (a, b) = (
        Client::linked(hub.address()).await?,
        Client::linked(hub.address()).await?,
    );
    let here = a.create(|tx| tx.put(ROOT, "n", -1)).await?;
    a.acknowledged(&here).await?;
    let there = b.find(here.document_id()).await?;
    for n in 0..50 {
        let (writer, reader) = if n % 2 == 0 {
            (&here, &there)
        } else {
            (&there, &here)
        };
        edit(writer, |tx| tx.put(ROOT, "n", n))?;
        equal(&[&here, &there]).await?;
        ensure!(shown(reader, "n")? == n.to_string());
    }
    // At the same time, without waiting for each other.
    for n in 0..50 {
        edit(&here, |tx| tx.put(ROOT, "here", n))?;
        edit(&there, |tx| tx.put(ROOT, "there", n))?;
    }
    let expected = equal(&[&here, &there]).await?;
    a.acknowledged(&here).await?;
    ensure!(here.with_document(|it| it.stats().num_changes) == 151);
    hub.stop().await?;
    ensure!(hub.stored(here.document_id()).await? == expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_documents_are_found_one_after_the_other() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let hub = Hub::start(&folder.path().join("hub.redb")).await?;
    let (a, b) = (
        Client::linked(hub.address()).await?,
        Client::linked(hub.address()).await?,
    );
    let mut documents = Vec::new();
    for n in 0..100 {
        documents.push(a.create(|tx| tx.put(ROOT, "n", n)).await?);
    }
    for document in &documents {
        a.acknowledged(document).await?;
        let found = b.find(document.document_id()).await?;
        equal(&[document, &found]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_larger_than_a_frame_comes_whole() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut hub = Hub::start(&folder.path().join("hub.redb")).await?;
    let (a, b) = (
        Client::linked(hub.address()).await?,
        Client::linked(hub.address()).await?,
    );
    // Bytes that don't compress, a megabyte a change.
    let mut state = 7_u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()
    };
    let here = a.create(|tx| tx.put(ROOT, "title", "large")).await?;
    for n in 0..20 {
        let bytes: Vec<u8> = (0..131_072).flat_map(|_| noise()).collect();
        edit(&here, |tx| tx.put(ROOT, format!("part {n}"), bytes))?;
    }
    a.acknowledged(&here).await?;
    let there = b.find(here.document_id()).await?;
    let expected = equal(&[&here, &there]).await?;
    hub.stop().await?;
    ensure!(hub.stored(here.document_id()).await? == expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_the_command_are_documents_of_a_client_and_back() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("hub.redb");
    let put = words(&[
        "put",
        COLLECTION,
        "list",
        r#"{"items": ["Milk"], "notes": {"$text": "one"}}"#,
    ]);
    syncline(&store, &put).await?;
    let listed = syncline(&store, &words(&["get", COLLECTION, "list", "--json"])).await?;
    let id = listed
        .split("\"id\":\"")
        .nth(1)
        .and_then(|it| it.split('"').next());
    let id: DocumentId = id.unwrap_or_default().parse()?;

    let mut hub = Hub::start(&store).await?;
    let client = Client::linked(hub.address()).await?;
    let document = client.find(&id).await?;
    document.with_document(|it| {
        let Some((automerge::Value::Object(ObjType::List), items)) = it.get(ROOT, "items")? else {
            anyhow::bail!("there is no list");
        };
        let mut tx = it.transaction();
        tx.insert(&items, 1, "Tea")?;
        tx.commit();
        Ok(())
    })?;
    client.acknowledged(&document).await?;
    client.stop().await;
    hub.stop().await?;
    ensure!(hub.stored(&id).await? == heads(&document));
    let listed = syncline(&store, &words(&["get", COLLECTION, "list", "--json"])).await?;
    ensure!(listed.contains(r#"["Milk","Tea"]"#), "{listed}");
    Ok(())
}

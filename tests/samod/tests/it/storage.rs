//! The folder in which samod keeps documents is imported as that of automerge-repo.

use std::ffi::OsStr;

use anyhow::ensure;
use automerge::ROOT;
use automerge::transaction::Transactable as _;
use syncline_samod::{COLLECTION, Client, Hub, edit, equal, heads, syncline};

#[tokio::test(flavor = "multi_thread")]
async fn what_samod_keeps_in_a_folder_is_imported_whole() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (storage, store) = (
        folder.path().join("storage"),
        folder.path().join("hub.redb"),
    );
    let client = Client::stored(&storage).await;
    let mut documents = Vec::new();
    for n in 0..5 {
        let document = client
            .create(|tx| tx.put(ROOT, "text", "one two ".repeat(500)))
            .await?;
        for edits in 0..10 * n {
            edit(&document, |tx| tx.put(ROOT, "n", edits))?;
            // Each is saved by itself.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        documents.push(document);
    }
    client.stop().await;
    let words = ["import", COLLECTION, "--automerge-repo"].map(OsStr::new);
    let imported = syncline(&store, &[&words[..], &[storage.as_os_str()]].concat()).await?;
    ensure!(
        imported.starts_with("5 documents: 5 imported into documents with 105 new"),
        "{imported}"
    );

    // They are there for clients at once.
    let hub = Hub::start(&store).await?;
    let other = Client::linked(hub.address()).await?;
    for document in &documents {
        let found = other.find(document.document_id()).await?;
        ensure!(heads(&found) == heads(document));
        equal(&[&found, document]).await?;
    }
    Ok(())
}

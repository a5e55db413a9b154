//! Attachments of nodes.

use super::*;
use crate::blob::Attachment;
use crate::replica::FetchRule;

#[derive(Clone, Debug, PartialEq, Reconcile, Serialize, Deserialize)]
struct Plant {
    name: String,
    photo: Option<Attachment>,
}

fn content(bytes: usize) -> Vec<u8> {
    (0..251).cycle().take(bytes).collect()
}

#[tokio::test]
async fn an_attachment_is_a_field_of_a_record_and_comes_when_it_is_fetched() {
    let (a, b, _network) = pair().await;
    let bytes = content(700_000);
    let mut half = &bytes[..];
    let photo = a.blobs().put_from(&mut half).await.unwrap();
    let photo = photo.with_type("image/png").unwrap();
    let plants = a.collection::<Plant>("plants").unwrap();
    let plant = Plant {
        name: "fern".to_owned(),
        photo: Some(photo.clone()),
    };
    let id = plants.insert(&plant).await.unwrap();
    within(a.synced()).await.unwrap();
    within(b.synced()).await.unwrap();
    let there = b.collection::<Plant>("plants").unwrap();
    assert_eq!(there.get(id).await.unwrap(), Some(plant));
    let json = b.records("plants").unwrap().get(id).await.unwrap().unwrap();
    assert_eq!(json["photo"]["$blob"]["size"], 700_000, "{json}");
    let early = b.blobs().get(photo.id()).await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::NotHere);
    let mut fetch = b.blobs().fetch(photo.id()).await.unwrap();
    let mut last = None;
    while let Some(stock) = within(fetch.next()).await.unwrap() {
        last = Some(stock);
    }
    assert!(last.is_some_and(|it| it.is_complete() && it.size == 700_000));
    assert!(b.blobs().read(photo.id()).await.unwrap() == bytes);
    // One that is here already is done at once.
    within(b.blobs().fetch(photo.id()).await.unwrap().done())
        .await
        .unwrap();
    for node in [a, b] {
        node.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn who_wants_all_is_in_step_only_with_all_of_it() {
    let network = MemoryNetwork::new();
    let open = |rule| {
        let builder = Node::builder().connector(Arc::new(network.clone()));
        builder.fetches(rule).open()
    };
    let hub = open(FetchRule::all()).await.unwrap();
    let device = open(FetchRule::none()).await.unwrap();
    hub.listen_on(Box::new(network.listen("hub").unwrap()))
        .unwrap();
    let plants = device.records("plants").unwrap();
    let mut ids = Vec::new();
    for number in 0..20_usize {
        let photo = device.blobs().put(content(1_000 + number)).await.unwrap();
        let field =
            json!({"photo": {"$blob": {"id": photo.id().to_string(), "size": photo.size()}}});
        plants.insert(&field).await.unwrap();
        ids.push(photo.id());
    }
    device.connect("memory:hub").await.unwrap();
    within(device.synced()).await.unwrap();
    // A device that leaves now has delivered everything.
    for id in ids {
        let stock = hub.blobs().status(id).await.unwrap();
        assert!(stock.is_some_and(|it| it.is_complete()));
    }
    for node in [device, hub] {
        node.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_not_finished_leaves_nothing_and_what_is_too_large_is_refused() {
    let node = Node::builder()
        .attachment_bytes_max(300_000)
        .open()
        .await
        .unwrap();
    let large = node.blobs().put(content(300_001)).await.unwrap_err();
    assert_eq!(large.kind(), ErrorKind::TooLarge);
    let mut writer = node.blobs().writer().await.unwrap();
    writer.write(&content(200_000)).await.unwrap();
    drop(writer);
    assert_eq!(node.blobs().list(None, 10).await.unwrap(), []);
    let fits = node.blobs().put(content(300_000)).await.unwrap();
    assert!(node.blobs().remove(fits.id()).await.unwrap());
    assert!(!node.blobs().remove(fits.id()).await.unwrap());
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn within_the_grace_nothing_is_collected_and_after_it_what_nothing_names() {
    let node = Node::builder().open().await.unwrap();
    node.blobs().put(b"one").await.unwrap();
    assert_eq!(node.blobs().collect().await.unwrap(), 0);
    node.shutdown().await.unwrap();
    let node = Node::builder()
        .attachment_grace(Duration::ZERO)
        .open()
        .await
        .unwrap();
    let kept = node.blobs().put(b"kept").await.unwrap();
    node.blobs().put(b"lost").await.unwrap();
    let plants = node.collection::<Plant>("plants").unwrap();
    let plant = Plant {
        name: "fern".to_owned(),
        photo: Some(kept.clone()),
    };
    let id = plants.insert(&plant).await.unwrap();
    // It is part of the history, even when the record shows it no more.
    plants.update(id, |it| it.photo = None).await.unwrap();
    plants.delete(id).await.unwrap();
    sleep(Duration::from_millis(5)).await;
    assert_eq!(node.blobs().collect().await.unwrap(), 1);
    assert_eq!(node.blobs().read(kept.id()).await.unwrap(), b"kept");
    node.shutdown().await.unwrap();
}

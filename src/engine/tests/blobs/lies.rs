//! Lies, silence and damage; and what is removed.

use super::*;

#[test]
fn lies_about_attachments_end_the_link_and_leave_nothing_behind() {
    let bytes = content(2);
    let (manifest, chunks) = parts(&bytes);
    let (space, blob) = named(manifest.id());
    let other = Manifest::of(b"something else").unwrap();
    let chunk = |index, bytes: &Bytes| {
        let bytes = bytes.clone();
        Message::BlobChunk(BlobChunk {
            space,
            blob,
            index,
            bytes,
        })
    };
    let manifest_of = |manifest: &Manifest| {
        let manifest = manifest.clone();
        Message::BlobManifest(BlobManifest {
            space,
            blob,
            manifest,
        })
    };
    let want = |chunks| {
        Message::BlobWant(BlobWant {
            space,
            blob,
            chunks,
        })
    };
    let lies: [(&str, Vec<Message>); 6] = [
        ("a manifest of another", vec![manifest_of(&other)]),
        (
            "a chunk before the manifest",
            vec![chunk(0, chunks[0].bytes())],
        ),
        (
            "a wrong chunk",
            vec![manifest_of(&manifest), chunk(0, chunks[1].bytes())],
        ),
        (
            "a chunk twice",
            vec![
                manifest_of(&manifest),
                chunk(0, chunks[0].bytes()),
                chunk(0, chunks[0].bytes()),
            ],
        ),
        ("wants without end", vec![want(vec![(0, 300)])]),
        (
            "another space",
            vec![Message::BlobState(BlobState {
                space: SpaceId::named("elsewhere"),
                blob,
                standing: Standing::Held,
            })],
        ),
    ];
    for (lie, messages) in lies {
        let mut net = devices(2);
        let [link, _] = net.join(1, 0);
        net.run();
        net.blob(1, BlobRequest::Want((space, blob)));
        net.run_alone(1);
        for message in &messages {
            net.says(1, link, message);
            net.run_alone(1);
        }
        assert_eq!(net.open(1), [], "{lie}");
        assert!(!net.has(1, blob), "{lie}");
    }
}

#[test]
fn a_peer_that_owes_a_part_is_given_up_in_time() {
    let mut net = devices(2);
    let id = parts(&content(2)).0.id();
    let [link, _] = net.join(1, 0);
    net.run();
    net.blob(1, BlobRequest::Want(named(id)));
    net.run_alone(1);
    let end = net.now.instant + limits::STALL_TIMEOUT;
    while net.now.instant < end {
        assert_eq!(net.open(1), [link]);
        net.now.instant = net.now.instant + limits::PING_AFTER;
        // It is there, and says so.
        net.says(1, link, &Message::Ping { token: 1 });
        net.tell(1, Event::Timer);
        net.run_alone(1);
    }
    assert_eq!(net.open(1), []);
}

#[test]
fn what_is_damaged_here_is_absent_for_others() {
    let mut net = devices(2);
    let id = net.put(0, &content(2));
    let mut batch = crate::store::Batch::default();
    let place = [0_u64.to_be_bytes().as_slice(), &1_u32.to_be_bytes()].concat();
    batch.put(crate::store::Table::Chunks, place, vec![7; 100]);
    net.hosts[0]
        .store
        .commit(&batch, Durability::Immediate)
        .unwrap();
    net.hosts[0].restart();
    net.join(0, 1);
    net.run();
    let wait = net.fetch(1, id);
    assert!(net.reply(1, wait).is_none());
    assert_eq!(net.open(1).len(), 1, "nobody has lied");
    assert_eq!(net.chunks_here(1, id), 1);
}

#[test]
fn blobs_that_nothing_names_are_removed_in_the_background() {
    let mut net = devices(1);
    let (kept, lost) = (net.put(0, b"kept"), net.put(0, b"lost"));
    net.name(0, kept);
    let hour = limits::BLOB_COLLECT_EVERY;
    for _ in 0..26 {
        net.now.instant = net.now.instant + hour;
        let millis = u64::try_from(hour.as_millis()).unwrap();
        net.now.wall = WallTime::from_millis(net.now.wall.as_millis() + millis);
        net.tell(0, Event::Timer);
        net.run();
    }
    assert!(net.has(0, kept) && !net.has(0, lost));
    net.now.instant = net.now.instant + limits::BLOB_SWEEP_PAUSE;
    net.tell(0, Event::Timer);
    net.run();
    assert!(!net.hosts[0].engine.replica().has_loose_chunks());
}

#[test]
fn who_has_attachments_removed_is_answered_at_once() {
    let mut net = devices(1);
    let nothing = net.blob(0, BlobRequest::Collect);
    net.run();
    assert!(matches!(net.reply(0, nothing), Some(Reply::Blob(Ok(0)))));
    net.put(0, b"lost");
    let old = limits::BLOB_GRACE.as_millis() + 1;
    let old = net.now.wall.as_millis() + u64::try_from(old).unwrap();
    net.now.wall = WallTime::from_millis(old);
    let one = net.blob(0, BlobRequest::Collect);
    net.run();
    assert!(matches!(net.reply(0, one), Some(Reply::Blob(Ok(1)))));
}

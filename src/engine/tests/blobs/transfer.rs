//! What arrives, from whom, in which order, and after which misfortune.

use super::*;

#[test]
fn an_attachment_comes_when_it_is_asked_for_and_not_before() {
    let mut net = devices(2);
    let bytes = content(40);
    let id = net.put(0, &bytes);
    net.join(0, 1);
    net.name(0, id);
    assert!(net.chunks(0, 1).is_empty());
    let wait = net.fetch(1, id);
    assert!(is_done(net.reply(1, wait)));
    assert!(net.read(1, id) == bytes);
    // Each chunk once, and both know that it is done.
    assert_eq!(net.chunks(0, 1), (0..40).collect::<Vec<_>>());
    assert!(net.is_synced(0) && net.is_synced(1));
}

#[test]
fn what_was_cut_off_goes_on_and_nothing_that_came_is_sent_again() {
    let mut net = devices(2);
    let bytes = content(40);
    let id = net.put(0, &bytes);
    let links = net.join(0, 1);
    net.run();
    net.blob(1, BlobRequest::Want(named(id)));
    net.run_until_chunks(0, 1, 21);
    net.cut_both(links, (0, 1));
    let here = net.chunks_here(1, id);
    assert!((16..=21).contains(&here), "{here} chunks are durable");
    net.seen.clear();
    net.join(0, 1);
    net.run();
    assert!(net.read(1, id) == bytes);
    assert_eq!(net.chunks(0, 1), (here..40).collect::<Vec<_>>());
}

#[test]
fn a_fetch_goes_on_after_a_kill() {
    let mut net = devices(2);
    let bytes = content(24);
    let id = net.put(0, &bytes);
    let links = net.join(0, 1);
    net.run();
    net.blob(1, BlobRequest::Want(named(id)));
    net.run_until_chunks(0, 1, 10);
    net.cut_both(links, (0, 1));
    let here = net.chunks_here(1, id);
    net.hosts[1].restart();
    net.seen.clear();
    net.join(0, 1);
    net.run();
    assert!(net.read(1, id) == bytes, "it is still wanted");
    assert_eq!(net.chunks(0, 1), (here..24).collect::<Vec<_>>());
}

#[test]
fn a_hub_stores_what_records_name_and_serves_who_comes_later() {
    let mut net = chain(FetchRule::all());
    let bytes = content(5);
    let id = net.put(0, &bytes);
    let links = net.join(0, 1);
    net.name(0, id);
    assert!(net.has(1, id));
    assert!(net.is_synced(0));
    net.cut_both(links, (0, 1));
    net.join(2, 1);
    net.run();
    assert!(!net.has(2, id));
    let wait = net.fetch(2, id);
    assert!(is_done(net.reply(2, wait)));
    assert!(net.read(2, id) == bytes);
}

#[test]
fn nobody_is_in_step_while_an_attachment_is_on_its_way() {
    let mut net = Net::with([host(0, FetchRule::none()), host(HUB, FetchRule::all())]);
    let id = net.put(0, &content(30));
    net.join(0, 1);
    net.run();
    net.write(0, &Value::Str(Attachment::new(id, 5).to_string()));
    let mut was_acked = false;
    while !net.has(1, id) {
        for host in 0..2 {
            while let Some(effect) = net.hosts[host].engine.poll(net.now) {
                net.act(host, effect);
            }
        }
        let Some((end, frame)) = net.frames.pop_front() else {
            panic!("it does not come");
        };
        net.arrive(end, frame);
        was_acked |= net.acks(1, 0) > 0;
        assert!(
            !(was_acked && net.is_synced(0)),
            "the hub has only the record"
        );
    }
    net.run();
    assert!(net.is_synced(0) && net.is_synced(1));
}

#[test]
fn what_the_hub_lacks_it_gets_from_whom_it_can_for_who_asks() {
    let asked = FetchRule::none().and_on_request();
    let mut net = chain(asked);
    let id = net.put(0, &content(3));
    net.join(2, 1);
    net.join(0, 1);
    net.name(0, id);
    assert!(!net.has(1, id), "nobody asked yet");
    let wait = net.fetch(2, id);
    assert!(is_done(net.reply(2, wait)));
    assert!(net.has(1, id), "durable at the hub before it leaves");
}

#[test]
fn who_was_told_that_it_is_absent_is_told_when_it_comes() {
    let mut net = devices(3);
    net.join(0, 1);
    net.join(0, 2);
    net.run();
    let bytes = content(2);
    let id = parts(&bytes).0.id();
    let wait = net.fetch(1, id);
    assert!(net.reply(1, wait).is_none());
    let before = net.seen.len();
    net.now.instant = net.now.instant + limits::PING_AFTER / 2;
    net.tell(1, Event::Timer);
    net.run();
    assert_eq!(
        net.seen.len(),
        before,
        "it is not asked for again and again"
    );
    net.put(0, &bytes);
    assert!(is_done(net.reply(1, wait)));
    assert!(!net.has(2, id), "who did not ask is not told");
}

#[test]
fn another_peer_brings_what_the_first_one_is_cut_off_with() {
    let mut net = devices(3);
    let bytes = content(40);
    let id = net.put(0, &bytes);
    net.put(1, &bytes);
    let first = net.join(2, 0);
    net.run();
    net.blob(2, BlobRequest::Want(named(id)));
    net.run_until_chunks(0, 2, 20);
    net.cut_both(first, (2, 0));
    net.seen.clear();
    net.join(2, 1);
    net.run();
    assert!(net.read(2, id) == bytes);
    let again = net.chunks(1, 2);
    assert!(again.len() <= 24, "{} chunks came again", again.len());
}

#[test]
fn live_edits_overtake_an_attachment() {
    let mut net = devices(2);
    let id = net.put(0, &content(64));
    net.join(0, 1);
    net.run();
    net.blob(1, BlobRequest::Want(named(id)));
    net.run_until_chunks(0, 1, 4);
    net.edit(0, 7);
    while net.changes(0, 1) == 0 {
        let before = net.chunks(0, 1).len();
        net.run_until_chunks(0, 1, before + 1);
    }
    let came = net.chunks(0, 1).len();
    // What was handed out to the link before it stands in front of it: the outbox of a megabyte.
    assert!(came <= 4 + 20, "the edit came after {came} chunks");
    net.run();
    assert!(net.has(1, id));
}

#[test]
fn one_that_is_too_large_is_told_and_not_taken() {
    let small = BlobSettings {
        bytes_max: 1_000,
        ..BlobSettings::default()
    };
    let mut net = Net::with([host(0, FetchRule::none()), Host::with_blobs(1, small)]);
    let id = net.put(0, &content(2));
    net.join(0, 1);
    net.run();
    let wait = net.fetch(1, id);
    let Some(Reply::Blob(Err(error))) = net.reply(1, wait) else {
        panic!("it is not refused");
    };
    assert_eq!(error.kind(), crate::error::ErrorKind::TooLarge);
    assert!(net.chunks(0, 1).is_empty());
    assert!(net.is_synced(0), "the other side need not wait");
}

#[test]
fn a_fetch_that_is_given_up_ends_and_keeps_what_has_come() {
    let mut net = devices(2);
    let bytes = content(40);
    let id = net.put(0, &bytes);
    net.join(0, 1);
    net.run();
    net.blob(1, BlobRequest::Want(named(id)));
    let wait = net.blob(1, BlobRequest::Wait(named(id)));
    net.run_until_chunks(0, 1, 18);
    net.blob(1, BlobRequest::Cancel(named(id)));
    net.run();
    assert!(matches!(net.reply(1, wait), Some(Reply::Blob(Err(_)))));
    let here = net.chunks_here(1, id);
    assert!((16..40).contains(&here), "{here}");
    assert!(net.is_synced(0) && net.is_synced(1));
    assert_eq!(net.open(1).len(), 1, "the link goes on");
    net.fetch(1, id);
    assert!(net.read(1, id) == bytes);
    let mut came = net.chunks(0, 1);
    came.sort_unstable();
    came.dedup();
    assert_eq!(came.len(), net.chunks(0, 1).len(), "none came twice");
}

#[test]
fn a_full_disk_ends_a_fetch_with_an_error_and_it_goes_on_with_room() {
    let mut net = devices(2);
    let bytes = content(40);
    let id = net.put(0, &bytes);
    net.join(0, 1);
    net.run();
    net.blob(1, BlobRequest::Want(named(id)));
    let wait = net.blob(1, BlobRequest::Wait(named(id)));
    net.run_until_chunks(0, 1, 10);
    let store = &net.hosts[1].store;
    store.fail_commit(store.commits() + 1, CommitFault::DiskFull);
    net.run();
    assert!(matches!(net.reply(1, wait), Some(Reply::Blob(Err(_)))));
    let here = net.chunks_here(1, id);
    net.hosts[1].restart();
    net.seen.clear();
    net.join(0, 1);
    net.run();
    assert!(net.read(1, id) == bytes);
    assert_eq!(net.chunks(0, 1), (here..40).collect::<Vec<_>>());
}

#[test]
fn a_hub_that_is_asked_for_what_it_hears_named_later_asks_on() {
    let mut net = chain(FetchRule::none().and_on_request());
    let bytes = content(2);
    let id = net.put(2, &bytes);
    net.join(0, 1);
    net.join(2, 1);
    net.run();
    let wait = net.fetch(0, id);
    assert!(net.reply(0, wait).is_none() && !net.has(1, id));
    net.name(2, id);
    assert!(is_done(net.reply(0, wait)));
    assert!(net.read(0, id) == bytes);
}

//! Who gets what over which link, and how links end.

use std::time::Duration;

use super::*;
use crate::engine::Target;
use crate::error::ErrorKind;
use crate::id::Lsn;
use crate::peer::PeerEvent;
use crate::replica::{Folding, Rows, Which, fold, unfold};
use crate::wire::ErrorCode;

fn delivered(net: &Net, host: usize, ticket: Ticket) -> Option<Result<(), ErrorKind>> {
    let reply = net.reply(host, ticket)?;
    let Reply::Delivered(result) = reply else {
        panic!("not the answer to a wait: {reply:?}");
    };
    Some(result.as_ref().copied().map_err(Error::kind))
}

fn wait_for(net: &mut Net, host: usize, target: Target) -> Ticket {
    net.ask(host, |ticket| Event::Await {
        ticket,
        key: key(),
        target,
    })
}

#[test]
fn a_change_goes_to_everybody_but_the_one_it_came_from() {
    let mut net = Net::of(3);
    // A ring: each change could come back by two ways.
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        net.join(from, to);
    }
    net.run();
    net.edit(0, 1);
    net.run();
    net.edit(0, 2);
    net.run();
    for host in 1..3 {
        assert_eq!(net.hosts[host].heads(), net.hosts[0].heads());
        assert_eq!(net.changes(host, 0), 0, "an echo from {host}");
    }
    let lsn = net.hosts[1].engine.replica().lsn(key().space).unwrap();
    assert_eq!(lsn, Lsn(2), "a duplicate is numbered");
}

#[test]
fn a_burst_of_edits_travels_in_one_frame() {
    let mut net = Net::of(2);
    net.join(0, 1);
    net.run();
    let frames = |net: &Net| {
        let filled = |it: &&(usize, usize, Seen)| matches!(it.2, Seen::Changes(1..));
        net.seen.iter().filter(filled).count()
    };
    for value in 0..200 {
        net.edit(0, value);
    }
    net.run();
    assert_eq!((net.changes(0, 1), frames(&net)), (200, 1));
    assert_eq!(net.hosts[1].heads(), net.hosts[0].heads());
}

#[test]
fn of_two_links_between_two_stores_both_sides_keep_the_same_one() {
    let mut net = Net::of(2);
    let one = net.join(0, 1);
    let two = net.join(1, 0);
    net.run();
    let (ours, theirs) = (net.open(0), net.open(1));
    assert!(
        (ours == [one[0]] && theirs == [one[1]]) || (ours == [two[1]] && theirs == [two[0]]),
        "{ours:?} {theirs:?}"
    );
    net.edit(0, 1);
    net.run();
    assert_eq!(net.hosts[1].heads(), net.hosts[0].heads());
    assert_eq!(net.changes(0, 1), 1, "sent on one link only");
}

#[test]
fn a_peer_that_comes_back_supersedes_its_old_link() {
    let mut net = Net::of(2);
    net.join(0, 1);
    net.run();
    let again = net.join(0, 1);
    net.run();
    assert_eq!((net.open(0), net.open(1)), (vec![again[0]], vec![again[1]]));
}

#[test]
fn a_delivery_is_reported_when_the_peer_holds_it_and_not_before() {
    let mut net = Net::of(3);
    let unknown = wait_for(&mut net, 0, Target::Stores(1));
    net.run();
    assert_eq!(delivered(&net, 0, unknown), Some(Err(ErrorKind::NotFound)));
    net.edit(0, 1);
    net.run();
    let hub = net.hosts[1].engine.replica_id();
    let by_hub = wait_for(&mut net, 0, Target::Replica(hub));
    let by_two = wait_for(&mut net, 0, Target::Stores(2));
    let forgotten = wait_for(&mut net, 0, Target::Stores(1));
    net.tell(0, Event::Forget(forgotten));
    net.run();
    assert_eq!(delivered(&net, 0, by_hub), None);
    net.join(2, 0);
    net.run();
    assert_eq!(delivered(&net, 0, by_hub), None, "another replica holds it");
    net.join(0, 1);
    net.run();
    assert_eq!(delivered(&net, 0, by_hub), Some(Ok(())));
    assert_eq!(delivered(&net, 0, by_two), Some(Ok(())));
    assert_eq!(delivered(&net, 0, forgotten), None);
    // Known already: answered without waiting.
    let at_once = wait_for(&mut net, 0, Target::Stores(2));
    net.run();
    assert_eq!(delivered(&net, 0, at_once), Some(Ok(())));
}

#[test]
fn stopping_sends_what_is_here_then_says_goodbye_and_takes_nothing_more() {
    let mut net = Net::of(2);
    net.join(0, 1);
    net.run();
    for value in 0..20 {
        net.edit(0, value);
    }
    let never = wait_for(&mut net, 0, Target::Stores(5));
    net.tell(0, Event::Stop);
    let late = net.edit(0, 99);
    for _ in 0..20 {
        net.run();
        if net.hosts[0].stopped {
            break;
        }
        net.wait();
    }
    assert!(net.hosts[0].stopped);
    assert_eq!(net.changes(0, 1), 20);
    assert_eq!(net.hosts[1].heads(), net.hosts[0].heads());
    let refused = net.reply(0, late);
    let Some(Reply::Captured(Err(error))) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Closed);
    let never = delivered(&net, 0, never);
    assert!(matches!(never, Some(Err(_))), "{never:?}");
    assert!(net.hosts[0].engine.poll(net.now).is_none());
    assert!(net.hosts[0].engine.poll_timeout().is_none());
}

#[test]
fn a_link_that_sends_what_is_no_message_ends_alone() {
    let mut net = Net::of(3);
    let [bad, _] = net.join(0, 1);
    let [good, _] = net.join(0, 2);
    net.run();
    let frame = Err((ErrorCode::Malformed, "not a message".to_owned()));
    net.tell(0, Event::Frame { link: bad, frame });
    net.run();
    assert_eq!(net.open(0), [good]);
    net.edit(0, 1);
    net.run();
    assert_eq!(net.hosts[2].heads(), net.hosts[0].heads());
    assert!(net.hosts[1].heads().is_empty());
}

/// Host 0 dials `somewhere`, and host 1 is there.
fn dial(net: &mut Net) {
    let peer = "somewhere".into();
    let added = PeerEvent::Added {
        peer,
        expects: None,
    };
    net.tell(0, Event::Peer(added));
    net.run();
    net.join(0, 1);
    net.run();
}

#[test]
fn a_refusal_is_heard_although_the_link_ends_in_the_same_moment() {
    let nobody = Admission::Only(std::collections::BTreeSet::new());
    let hub = Host::admitting(1, Durability::Immediate, nobody);
    let mut net = Net::with([Host::new(0, Durability::Immediate), hub]);
    dial(&mut net);
    let status = net.hosts[0].engine.status(net.now);
    let reason = status.peers[0].last_error.as_deref().unwrap_or_default();
    assert!(reason.starts_with("not_allowed"), "{reason}");
    assert_eq!(net.open(0), []);
}

#[test]
fn hanging_up_keeps_what_was_acknowledged_and_forgets_the_link() {
    let mut net = Net::of(2);
    dial(&mut net);
    net.edit(0, 1);
    net.run();
    let peer = "somewhere".into();
    net.tell(0, Event::Peer(PeerEvent::Removed { peer }));
    net.run();
    assert_eq!((net.open(0), net.open(1)), (vec![], vec![]));
    let store = net.hosts[1].engine.store_id();
    let kept = net.hosts[0].engine.replica().cursor(store, key().space);
    assert_eq!(kept.unwrap().map(|it| it.acked), Some(Lsn(1)));
}

#[test]
fn a_link_with_a_full_outbox_is_given_up_when_its_peer_is_silent() {
    let mut net = Net::of(2);
    net.join(0, 1);
    net.run();
    // As when the other side loses power.
    net.is_dead = true;
    // Noise, which does not shrink when the change is compressed.
    let mut noise = vec![0; limits::LINK_OUTBOX_BYTES_MAX];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    net.write(0, &Value::Bytes(noise));
    net.run();
    assert_eq!(net.open(0).len(), 1);
    // Fails for want of a timer where the link is kept for ever.
    while !net.open(0).is_empty() {
        net.wait();
    }
    let silent = net.now.instant.since(Instant::from_micros(1));
    assert!(silent <= limits::IDLE_TIMEOUT * 2, "{silent:?}");
}

#[test]
fn a_change_in_the_name_of_a_peer_that_never_saw_it_reaches_it_all_the_same() {
    let mut net = Net::of(2);
    net.join(0, 1);
    net.run();
    // Host 0 is named as the author, and has nothing of it.
    let path = [PathStep::from("n")];
    let meta = EditMeta::at(net.now.wall);
    let document = &mut net.hosts[0].document;
    let edited = document.edit::<_, Error>(meta, |edit| edit.set(&path, &Value::Int(1)));
    let change = edited.unwrap().1.unwrap();
    net.ask(1, |ticket| Event::Import {
        ticket,
        key: key(),
        changes: vec![Ok(change)],
        correlation: CorrelationId(1),
    });
    net.run();
    let start = net.now.instant;
    while net.hosts[0].heads() != net.hosts[1].heads() {
        net.wait();
        let waited = net.now.instant.since(start);
        assert!(waited <= limits::ROOT_EVERY * 2, "it never comes");
    }
}

/// All changes of the first host as a worker folds them.
fn folding(net: &Net) -> Folding {
    let snapshot = net.hosts[0].store.snapshot().unwrap();
    let rows = Rows::new(snapshot.as_ref());
    fold::fold(&rows, &key(), Lsn(u64::MAX), Which::All).unwrap()
}

#[test]
fn what_a_link_is_still_to_be_sent_is_not_folded_by_a_worker_that_began_before() {
    let mut net = Net::of(2);
    net.join(0, 1);
    net.run();
    // The link takes this and no more.
    net.is_dead = true;
    let mut noise = vec![0; limits::LINK_OUTBOX_BYTES_MAX];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    net.write(0, &Value::Bytes(noise));
    net.run();
    for value in 0..20 {
        net.edit(0, value);
    }
    net.run();
    let folding = folding(&net);
    assert!(matches!(folding, Folding::Made(_)), "{folding:?}");
    net.tell(0, Event::Folded(key(), folding.clone()));
    net.run();
    let horizon = |net: &Net| net.hosts[0].engine.replica().horizon(key().space).unwrap();
    assert_eq!(horizon(&net), Lsn(0));
    // Once nobody is linked it may go.
    for link in net.open(0) {
        let reason = "cut".to_owned();
        net.tell(0, Event::LinkLost { link, reason });
    }
    net.tell(0, Event::Folded(key(), folding));
    net.run();
    assert_eq!(horizon(&net), Lsn(21));
}

/// Lets an hour pass, in which a worker answers whatever it is asked to fold; says how often.
fn folds(net: &mut Net, answer: &Folding) -> usize {
    let hour = net.now.instant + Duration::from_secs(60 * 60);
    let due = |net: &Net| net.hosts[0].engine.poll_timeout();
    let mut folds = 0;
    while due(net).is_some_and(|at| at < hour) {
        net.wait();
        for key in std::mem::take(&mut net.hosts[0].folds) {
            folds += 1;
            net.tell(0, Event::Folded(key, answer.clone()));
        }
        net.run();
    }
    folds
}

#[test]
fn a_record_that_cannot_be_folded_yet_is_tried_again_when_something_was_committed() {
    let mut net = Net::of(1);
    for byte in 0..20 {
        net.write(0, &Value::Bytes(vec![byte; 100]));
    }
    net.run();
    assert_eq!(
        folds(&mut net, &Folding::NotYet),
        2,
        "at once, and when it is quiet"
    );
    net.edit(0, 1);
    net.run();
    assert_eq!(folds(&mut net, &Folding::NotYet), 2);
    // One that would gain nothing is left alone until there is twice as much.
    net.edit(0, 2);
    net.run();
    let useless = Folding::Useless("it gains nothing".to_owned());
    assert_eq!(folds(&mut net, &useless), 1);
    net.edit(0, 3);
    net.run();
    assert_eq!(folds(&mut net, &useless), 0);
}

#[test]
fn what_takes_a_whole_graph_waits_for_a_worker_and_so_does_what_comes_after_it() {
    for is_made in [true, false] {
        let mut net = Net::of(2);
        for value in 0..20 {
            net.edit(0, value);
        }
        net.run();
        let folding = folding(&net);
        net.tell(0, Event::Folded(key(), folding));
        net.run();
        // They branch off before all that is folded there.
        net.edit(1, 100);
        net.edit(1, 101);
        let before = net.hosts[0].heads();
        let [link, _] = net.join(0, 1);
        net.run();
        assert!(net.hosts[0].engine.parked(link) > 0);
        net.edit(1, 102);
        net.run();
        assert_eq!(net.hosts[0].unfolds, [key()], "once");
        assert_eq!(net.hosts[0].heads(), before);
        let snapshot = net.hosts[0].store.snapshot().unwrap();
        let unfolded = unfold(&Rows::new(snapshot.as_ref()), &key()).unwrap();
        assert!(unfolded.is_some());
        net.tell(0, Event::Unfolded(key(), unfolded.filter(|_| is_made)));
        net.run();
        // Without a graph the first goes on all the same, and makes it.
        assert_eq!(net.hosts[0].engine.parked(link), 0);
        assert_eq!(net.hosts[0].unfolds.len(), 1);
        assert_eq!(net.hosts[0].heads().as_slice().len(), 2);
        assert_eq!(net.hosts[0].heads(), net.hosts[1].heads());
    }
}

#[test]
fn an_import_that_takes_a_whole_graph_waits_for_a_worker() {
    let mut net = Net::of(1);
    for value in 0..20 {
        net.edit(0, value);
    }
    net.run();
    let folding = folding(&net);
    net.tell(0, Event::Folded(key(), folding));
    net.run();
    let mut other = Document::new(&ActorId::from_bytes(vec![9; 16]));
    let edited = other.edit::<_, Error>(EditMeta::at(net.now.wall), |edit| {
        edit.set(&[PathStep::from("n")], &Value::Int(-1))
    });
    let changes = vec![Ok(edited.unwrap().1.unwrap())];
    let ticket = net.ask(0, |ticket| Event::Import {
        ticket,
        key: key(),
        changes,
        correlation: CorrelationId(ticket.0),
    });
    net.run();
    assert_eq!(net.hosts[0].unfolds, [key()]);
    assert!(!net.hosts[0].replies.contains_key(&ticket));
    let snapshot = net.hosts[0].store.snapshot().unwrap();
    let unfolded = unfold(&Rows::new(snapshot.as_ref()), &key()).unwrap();
    net.tell(0, Event::Unfolded(key(), unfolded));
    net.run();
    let reply = net.hosts[0].replies.remove(&ticket);
    assert!(matches!(&reply, Some(Reply::Imported(Ok(fates))) if fates.len() == 1));
    assert_eq!(net.hosts[0].heads().as_slice().len(), 2);
}

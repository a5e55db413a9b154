//! Nothing leaves, and nothing is acknowledged, before it is durable.

use super::*;
use crate::error::ErrorKind;
use crate::id::Lsn;
use crate::store::CommitFault;

fn captured(reply: Option<&Reply>) -> Result<&[Lsn], ErrorKind> {
    let Some(Reply::Captured(result)) = reply else {
        panic!("no answer to a capture: {reply:?}");
    };
    result.as_deref().map_err(Error::kind)
}

#[test]
fn all_that_is_captured_between_two_polls_shares_one_commit() {
    let mut net = Net::of(1);
    let before = net.hosts[0].store.commits();
    let tickets: Vec<_> = (0..50).map(|value| net.edit(0, value)).collect();
    assert!(
        net.hosts[0].replies.is_empty(),
        "answered before the commit"
    );
    net.run();
    assert_eq!(net.hosts[0].store.commits(), before + 1);
    for (ticket, number) in tickets.into_iter().zip(1..) {
        assert_eq!(captured(net.reply(0, ticket)), Ok([Lsn(number)].as_slice()));
    }
}

#[test]
fn a_relaxed_commit_is_answered_at_once_and_sent_only_when_it_is_synced() {
    let relaxed = Host::new(0, Durability::Relaxed);
    let mut net = Net::with([relaxed, Host::new(1, Durability::Immediate)]);
    net.join(0, 1);
    net.run();
    while net.hosts[0].engine.unsynced.is_some() {
        net.wait();
    }
    let syncs = net.hosts[0].store.syncs();
    let ticket = net.edit(0, 1);
    net.run();
    assert_eq!(captured(net.reply(0, ticket)), Ok([Lsn(1)].as_slice()));
    assert_eq!(net.changes(0, 1), 0, "sent before it is durable");
    assert_eq!(net.hosts[0].store.syncs(), syncs);
    while net.changes(0, 1) == 0 {
        assert_eq!(net.hosts[0].store.syncs(), syncs);
        net.wait();
    }
    assert_eq!(net.hosts[0].store.syncs(), syncs + 1);
    assert_eq!(net.hosts[1].heads(), net.hosts[0].heads());
}

#[test]
fn what_could_not_be_committed_is_told_and_never_sent_and_reads_go_on() {
    for (fault, kind) in [
        (CommitFault::Lost, None),
        (CommitFault::Unconfirmed, None),
        (CommitFault::DiskFull, Some(ErrorKind::DiskFull)),
    ] {
        let mut net = Net::of(2);
        net.join(0, 1);
        net.edit(0, 1);
        net.run();
        let before = net.hosts[0].heads();
        assert_eq!(net.hosts[1].heads(), before);
        let store = &net.hosts[0].store;
        store.fail_commit(store.commits() + 1, fault);
        let waiting = net.ask(0, |ticket| Event::Await {
            ticket,
            key: key(),
            target: super::super::Target::Stores(2),
        });
        let failed = net.edit(0, 2);
        net.run();
        let told = captured(net.reply(0, failed)).unwrap_err();
        assert_eq!(kind.unwrap_or(told), told, "{fault:?}");
        assert!(matches!(
            net.reply(0, waiting),
            Some(Reply::Delivered(Err(_)))
        ));
        let later = net.edit(0, 3);
        net.run();
        let told = captured(net.reply(0, later)).unwrap_err();
        assert_eq!(told, ErrorKind::StoreFailed, "{fault:?}");
        // The peer has what was durable and no more, and is told to come back later.
        assert_eq!((net.changes(0, 1), net.open(0).len()), (1, 0), "{fault:?}");
        assert_eq!(net.hosts[1].heads(), before);
        assert_eq!(net.hosts[0].heads(), before);
        assert!(net.hosts[0].engine.status(net.now).read_only);
        net.join(1, 0);
        net.run();
        assert!(net.open(1).is_empty(), "a store that failed takes no links");
    }
}

#[test]
fn a_commit_that_failed_is_told_with_what_the_system_said() {
    let mut net = Net::of(1);
    let store = &net.hosts[0].store;
    store.fail_commit(store.commits() + 1, CommitFault::Lost);
    let failed = net.edit(0, 1);
    net.run();
    let Some(Reply::Captured(Err(error))) = net.reply(0, failed) else {
        panic!("the commit did not fail");
    };
    let text = error.to_string();
    assert!(
        text.ends_with("committing failed: a fault was asked for"),
        "{text}"
    );
}

#[test]
fn changes_are_acknowledged_only_after_they_are_committed() {
    let mut net = Net::of(2);
    net.join(0, 1);
    net.edit(0, 1);
    net.run();
    let (changes, acks) = (net.changes(0, 1), net.acks(1, 0));
    assert_eq!(changes, 1);
    assert!(acks > 0);
    let store = &net.hosts[1].store;
    store.fail_commit(store.commits() + 1, CommitFault::Lost);
    net.edit(0, 2);
    net.run();
    assert_eq!((net.changes(0, 1), net.acks(1, 0)), (changes + 1, acks));
    assert_ne!(net.hosts[1].heads(), net.hosts[0].heads());
}

//! What a hub does with clients that ask, leave, cheat and repeat themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use ::bytes::Bytes;

use super::world::{A, B, C, Heads, World, document, envelope, hash, name};
use crate::id::{ChangeHash, RecordId};
use crate::limits;
use crate::replica::{Admission, Reason};
use crate::repo::message::{Metadata, StorageHeads};
use crate::repo::sync::{Bloom, Have, SyncMessage};
use crate::repo::{ClientId, ClientInfo, Input, Message, OpenToAll, Output, RepoFault, RepoPolicy};

#[test]
fn who_asks_for_what_nobody_has_hears_it_in_a_moment_and_gets_it_later() {
    let mut world = World::with(&[A, B]);
    world.sync(A, &[]);
    assert_eq!(world.heard(A), [""; 0]);
    let by = world.hub.poll_timeout().unwrap();
    assert_eq!(by.since(world.now.instant), limits::REPO_APPEARS_WITHIN);
    world.pass(limits::REPO_APPEARS_WITHIN);
    assert_eq!(world.heard(A), ["doc-unavailable"]);
    assert_eq!(world.hub.poll_timeout(), None);
    world.documents.all.insert(document(), vec![hash(1)]);
    world.tell(Input::Changed(document()));
    assert_eq!(world.heard(A), ["sync"]);
    assert_eq!(world.heard(B), [""; 0], "it never asked for the document");
}

#[test]
fn what_is_on_its_way_is_not_called_unavailable() {
    for asks_first in [true, false] {
        let mut world = World::with(&[A, B]);
        let mut steps = [A, B];
        if !asks_first {
            steps.reverse();
        }
        for id in steps {
            let heads: &[ChangeHash] = if id == A { &[] } else { &[hash(1)] };
            world.sync(id, heads);
        }
        world.pass(limits::REPO_APPEARS_WITHIN * 2);
        assert_eq!(world.heard(A), [""; 0]);
        world.documents.all.insert(document(), vec![hash(1)]);
        world.tell(Input::Changed(document()));
        assert_eq!(world.heard(A), ["sync"]);
        world.pass(limits::REPO_ARRIVES_WITHIN);
        assert_eq!(world.heard(A), [""; 0]);
    }
}

#[test]
fn the_same_is_not_said_twice_to_who_says_the_same_again() {
    let mut world = World::with(&[A]);
    world.documents.all.insert(document(), vec![hash(1)]);
    world.sync(A, &[hash(2)]);
    assert_eq!(world.heard(A), ["sync"], "it is asked for its change");
    for _ in 0..5 {
        world.sync(A, &[hash(2)]);
    }
    assert_eq!(world.heard(A), [""; 0]);
}

/// The sync messages that a client was told.
fn syncs(world: &mut World, id: ClientId) -> Vec<SyncMessage> {
    let said = world.said.remove(&id).unwrap_or_default();
    let read = |it: &Message| {
        if let Message::Sync { data, .. } = it {
            return SyncMessage::decode(data).unwrap();
        }
        panic!("{it:?}");
    };
    said.iter().map(read).collect()
}

#[test]
fn a_change_is_sent_once_and_what_follows_it_alone() {
    let mut world = World::with(&[A]);
    world.documents.all.insert(document(), vec![hash(1)]);
    world.sync(A, &[]);
    let said = syncs(&mut world, A);
    assert_eq!(said[0].chunks.len(), 1);
    // Once it has arrived, the client has all that is here: no filter is needed.
    let expected = Have {
        last_sync: vec![hash(1)],
        bloom: Bloom::default(),
    };
    assert_eq!(said[0].have, [expected]);
    world
        .documents
        .all
        .insert(document(), vec![hash(1), hash(2)]);
    world.tell(Input::Changed(document()));
    let said = syncs(&mut world, A);
    assert_eq!(said[0].chunks.len(), 1, "the first is on its way already");
    world.sync(A, &[hash(1), hash(2)]);
    assert_eq!(world.heard(A), [""; 0]);
}

#[test]
fn what_can_not_be_taken_in_is_answered_and_not_asked_for_again() {
    let mut world = World::with(&[A, B]);
    world.sync(A, &[hash(2)]);
    assert_eq!(world.heard(A), ["sync"], "it is asked for its change");
    world.bring(A, hash(2));
    assert_eq!(world.taken, [(A, document())]);
    assert_eq!(
        world.heard(A),
        [""; 0],
        "nothing is said before it is stored"
    );
    let fates = vec![Admission::Held(Reason::Malformed("wrong".to_owned()))];
    world.tell(Input::Taken(A, document(), Ok(fates)));
    let said = world.said.remove(&A).unwrap();
    let [Message::Sync { data, .. }] = said.as_slice() else {
        panic!("{said:?}");
    };
    let answer = SyncMessage::decode(data).unwrap();
    assert!(answer.need.is_empty() && answer.heads.is_empty());
    world.sync(A, &[hash(2)]);
    assert_eq!(world.heard(A), [""; 0]);
    world.sync(B, &[]);
    world.pass(limits::REPO_APPEARS_WITHIN);
    assert_eq!(world.heard(B), ["doc-unavailable"], "nothing is on its way");
}

#[test]
fn a_store_that_fails_ends_the_link_so_that_the_changes_come_again() {
    let mut world = World::with(&[A]);
    world.bring(A, hash(2));
    let full = crate::Error::new(crate::ErrorKind::DiskFull, "the disk is full");
    world.tell(Input::Taken(A, document(), Err(full)));
    assert_eq!(world.closed, [A]);
    assert_eq!(world.heard(A), [""; 0], "nothing is acknowledged");
}

#[test]
fn ephemeral_messages_reach_all_others_once() {
    let mut world = World::with(&[A, B, C]);
    world.documents.all.insert(document(), vec![hash(1)]);
    world.sync(A, &[hash(1)]);
    world.sync(B, &[hash(1)]);
    world.said.clear();
    world.whisper(A, 1);
    world.whisper(A, 1);
    assert_eq!(world.heard(B), ["ephemeral"]);
    assert_eq!(
        world.heard(C),
        [""; 0],
        "it does not have the document open"
    );
    assert_eq!(world.heard(A), [""; 0]);
    world.whisper(A, 2);
    assert_eq!(world.heard(B), ["ephemeral"]);
}

#[test]
fn ephemeral_messages_come_no_faster_than_they_may() {
    let mut world = World::with(&[A, B]);
    world.documents.all.insert(document(), vec![hash(1)]);
    world.sync(A, &[hash(1)]);
    world.sync(B, &[hash(1)]);
    world.said.clear();
    for count in 1..=2_000 {
        world.whisper(A, count);
    }
    let burst = usize::try_from(limits::REPO_EPHEMERAL_BURST).unwrap();
    assert_eq!(world.heard(B).len(), burst);
    world.pass(Duration::from_secs(1));
    for count in 3_000..4_000 {
        world.whisper(A, count);
    }
    let rate = usize::try_from(limits::REPO_EPHEMERAL_RATE).unwrap();
    assert_eq!(world.heard(B).len(), rate);
}

/// Stock clients send what they have heard back, in the name of its author.
#[test]
fn echoes_take_no_place_from_who_sends_them() {
    let mut world = World::with(&[A, B]);
    world.documents.all.insert(document(), vec![hash(1)]);
    world.sync(A, &[hash(1)]);
    world.sync(B, &[hash(1)]);
    world.whisper(A, 1);
    for _ in 0..2 * limits::REPO_EPHEMERAL_BURST {
        let echo = Message::Ephemeral {
            envelope: envelope(A),
            count: 1,
            session: "session".to_owned(),
            data: Bytes::from_static(b"\x01"),
        };
        world.hear(B, echo);
    }
    world.said.clear();
    world.whisper(B, 1);
    assert_eq!(world.heard(A), ["ephemeral"]);
}

#[test]
fn who_subscribes_to_a_storage_hears_what_it_has() {
    let mut world = World::with(&[A, B]);
    world.documents.all.insert(document(), vec![hash(1)]);
    world.sync(A, &[hash(1)]);
    world.sync(B, &[hash(1)]);
    world.said.clear();
    let subscribe = Message::Subscribe {
        sender: name(B),
        target: "hub".to_owned(),
        add: vec!["storage-1".to_owned()],
        remove: Vec::new(),
    };
    world.hear(B, subscribe);
    let said = world.said.remove(&B).unwrap();
    let [Message::StorageHeads { heads, .. }] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!(heads["storage-1"].heads, [hash(1).to_base58()]);
    let heads = |timestamp, head: &str| Message::StorageHeads {
        envelope: envelope(A),
        heads: BTreeMap::from([(
            "storage-1".to_owned(),
            StorageHeads {
                heads: vec![head.to_owned()],
                timestamp,
            },
        )]),
    };
    world.hear(A, heads(5, "older"));
    assert_eq!(world.heard(B), [""; 0]);
    world.hear(A, heads(5_000, "newer"));
    assert_eq!(world.heard(B), ["remote-heads-changed"]);
}

#[test]
fn a_newer_link_of_the_same_peer_takes_the_place_of_the_older() {
    let mut world = World::with(&[A]);
    world.join(B, &name(A));
    assert_eq!(world.closed, [A]);
    world.documents.all.insert(document(), vec![hash(1)]);
    world.sync(A, &[]);
    assert_eq!(world.heard(A), [""; 0], "nobody listens to the older one");
    world.tell(Input::Gone(A));
    let clients: Vec<ClientId> = world.hub.clients().map(|(id, _)| id).collect();
    assert_eq!(clients, [B]);
}

#[test]
fn a_link_begins_with_one_join_of_a_version_that_is_spoken() {
    let mut world = World::new(OpenToAll);
    world.tell(Input::Opened(A));
    world.sync(A, &[]);
    assert_eq!(world.heard(A), ["error"]);
    assert_eq!(world.closed, [A]);
    world.tell(Input::Opened(B));
    let join = Message::Join {
        sender: name(B),
        versions: vec!["2".to_owned()],
        metadata: Metadata::default(),
    };
    world.hear(B, join);
    let said = world.said.remove(&B).unwrap();
    let [Message::Error { message, .. }] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!(*message, RepoFault::Version.to_string());
    assert_eq!(world.closed, [A, B]);
    world.join(C, "c");
    world.join(C, "c");
    assert_eq!(world.closed, [A, B, C], "a second join is out of order");
}

#[test]
fn who_never_joins_is_given_up() {
    let mut world = World::new(OpenToAll);
    world.tell(Input::Opened(A));
    world.pass(limits::REPO_JOIN_WITHIN);
    assert_eq!(world.closed, [A]);
}

/// Lets nobody but one in, and to nothing.
#[derive(Debug)]
struct Closed;

impl RepoPolicy for Closed {
    fn admits(&self, client: &ClientInfo) -> bool {
        client.peer == "friend"
    }

    fn allows(&self, _: &ClientInfo, _: RecordId) -> bool {
        false
    }
}

#[test]
fn a_policy_decides_who_links_and_to_what() {
    let mut world = World::new(Closed);
    world.join(A, "stranger");
    assert_eq!(world.heard(A), ["error"]);
    assert_eq!(world.closed, [A]);
    world.join(B, "friend");
    world.documents.all.insert(document(), vec![hash(1)]);
    world.sync(B, &[hash(2)]);
    assert_eq!(world.heard(B), ["peer", "doc-unavailable"]);
}

#[test]
fn who_reads_nothing_is_told_nothing_more_until_it_does() {
    let mut world = World::with(&[A]);
    let mut documents = Heads::default();
    documents.all.insert(document(), vec![hash(0)]);
    world.documents = documents;
    world.sync(A, &[hash(0)]);
    let mut queued = 0;
    for byte in 1..=u8::MAX {
        for high in 0..8 {
            let mut bytes = [byte; 32];
            bytes[0] = high;
            let heads = vec![ChangeHash::from_bytes(bytes)];
            world.documents.all.insert(document(), heads);
            let changed = Input::Changed(document());
            world
                .hub
                .handle(world.now, changed, &mut world.documents)
                .unwrap();
            while let Some(output) = world.hub.poll() {
                queued += usize::from(matches!(output, Output::Send(..)));
            }
        }
    }
    assert_eq!(queued, limits::REPO_OUTBOX_MESSAGES);
    world.said.clear();
    world.tell(Input::Written(A, 1));
    assert_eq!(world.heard(A), ["sync"], "the newest, once there is room");
}

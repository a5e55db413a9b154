//! Presence on one link: who is told, and how fast.

use super::*;
use crate::session::Telling;
use crate::wire::{Features, Note, Place, Presence, Slot, Spot, Stamp, Word};

fn spot(topic: usize) -> Spot {
    let topic = format!("t{topic}").parse().unwrap();
    Spot {
        slot: Slot {
            space: space(),
            place: Place::Space,
            topic,
        },
        author: dialer().identity.replica_id(),
    }
}

fn telling(number: u64) -> Telling {
    let spot = spot(0);
    let mut note = Note {
        stamp: Stamp { session: 1, number },
        ttl_millis: 30_000,
        payload: Bytes::from_static(b"1"),
        signature: [0; 64],
    };
    note.signature = dialer().identity.sign_presence(&note.signed_bytes(&spot));
    Telling::Said {
        hops: 0,
        until: START + Duration::from_secs(30),
        note: Arc::new(note),
    }
}

fn said(side: &mut Side) -> Vec<Presence> {
    let mut presences = Vec::new();
    for message in side.said() {
        if let Message::Presence(presence) = message {
            presences.push(presence);
        }
    }
    presences
}

#[test]
fn of_what_waits_the_newest_is_said_and_no_faster_than_agreed() {
    let mut side = talking();
    side.said();
    let count = 2 * usize::try_from(limits::PRESENCE_SENT_BURST).unwrap();
    for number in 1..=3 {
        for topic in 0..count {
            assert!(side.session.tell(&spot(topic), telling(number)));
        }
    }
    side.drain();
    let first = said(&mut side);
    assert_eq!(first.len(), count / 2);
    let newest =
        |it: &Presence| matches!(&it.word, Word::Said { note, .. } if note.stamp.number == 3);
    assert!(first.iter().all(newest));
    assert!(side.session.poll_timeout().unwrap() < side.now + Duration::from_millis(5));
    side.wait(Duration::from_secs(1));
    let rate = usize::try_from(limits::PRESENCE_SENT_RATE).unwrap();
    assert_eq!(said(&mut side).len(), rate);
    side.wait(Duration::from_secs(1));
    assert_eq!(said(&mut side).len(), count / 2 - rate);
    // What holds no longer is not said at all.
    side.session.tell(&spot(0), telling(4));
    side.wait(Duration::from_secs(40));
    assert!(said(&mut side).is_empty());
}

#[test]
fn only_so_many_wait_for_a_link() {
    let mut side = talking();
    for topic in 0..limits::PRESENCES_PENDING_MAX {
        assert!(side.session.tell(&spot(topic), telling(1)));
    }
    let one_more = spot(limits::PRESENCES_PENDING_MAX);
    assert!(!side.session.tell(&one_more, telling(1)));
    assert!(
        side.session.tell(&spot(0), telling(2)),
        "in place of another"
    );
    assert_eq!(side.session.take_dropped(), 1);
}

#[test]
fn what_the_peer_has_said_itself_it_is_not_told() {
    let mut side = talking();
    side.said();
    side.session.tell(&spot(0), telling(1));
    side.session.tell(&spot(1), telling(2));
    for topic in [0, 1] {
        let stamp = Stamp {
            session: 1,
            number: 1,
        };
        side.session.untell(&spot(topic), stamp);
    }
    side.drain();
    let said = said(&mut side);
    assert_eq!(said.len(), 1, "only what is newer");
    assert_eq!(said[0].spot, spot(1));
}

/// A session with a peer that does not know of presence.
fn with_an_older_peer() -> Side {
    let mut side = Side::new(dialer());
    let older = listener();
    let hello = crate::wire::Hello {
        version_min: 1,
        version_max: 1,
        features: Features::default(),
        replica: older.identity.replica_id(),
        store: older.store,
        nonce: older.nonce,
        frame_bytes_max: limits::PEER_FRAME_BYTES_MIN,
        credit_live: 1,
        credit_bulk: 1,
        agent: String::new(),
    };
    let theirs = encode(CorrelationId(1), &Message::Hello(hello));
    let ours = side.sent.remove(0);
    side.hear(theirs.clone());
    let transcript = crate::access::Transcript::of(&ours, &theirs);
    let signature = older.identity.sign(Role::Listener, &transcript);
    side.told(&Message::Auth { signature });
    side.told(&Message::Open(crate::wire::Open {
        space: space(),
        want: Wanted::All,
        root: Total::default().summary(),
        lsn: Lsn(0),
        acked: Lsn(0),
        resume: false,
    }));
    assert!(side.established);
    side
}

#[test]
fn a_peer_that_does_not_know_presence_is_told_none_and_must_not_say_any() {
    let mut side = with_an_older_peer();
    assert!(side.session.take_opened().is_empty());
    assert!(!side.session.tell(&spot(0), telling(1)));
    side.drain();
    assert!(said(&mut side).is_empty());
    side.told(&Message::Presence(Presence {
        spot: spot(0),
        word: Word::Lost,
    }));
    assert_eq!(side.fault(), Some(ErrorCode::OutOfOrder));
}

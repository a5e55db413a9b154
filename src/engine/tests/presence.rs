//! Presence among several engines: over which links it goes, how often, and when it ends.

use std::time::Duration;

use super::*;
use crate::id::CollectionId;
use crate::wire::{Place, Presence, Slot, Word};

fn slot(topic: &str) -> Slot {
    Slot {
        space: key().space,
        place: Place::Record(key().collection, key().record),
        topic: topic.parse().unwrap(),
    }
}

impl Net {
    fn show(&mut self, host: usize, topic: &str, value: &'static str) {
        let shown = (Bytes::from_static(value.as_bytes()), limits::PRESENCE_TTL);
        self.tell(host, Event::Show(slot(topic), Some(shown)));
    }

    fn take_back(&mut self, host: usize, topic: &str) {
        self.tell(host, Event::Show(slot(topic), None));
    }

    fn spot(&self, host: usize, topic: &str) -> Spot {
        Spot {
            slot: slot(topic),
            author: self.hosts[host].engine.replica_id(),
        }
    }

    /// What each host knows of the presence of one.
    fn seen_of(&self, host: usize, topic: &str) -> Vec<Option<&str>> {
        let spot = self.spot(host, topic);
        let others = self.hosts.iter();
        others
            .map(|it| Some(std::str::from_utf8(it.present.get(&spot)?).unwrap()))
            .collect()
    }

    /// Presence messages that went from one to another since this was last asked for.
    fn presences(&mut self) -> BTreeMap<(usize, usize), usize> {
        let mut ways = BTreeMap::new();
        for (from, to, seen) in self.seen.drain(..) {
            if seen == Seen::Presence {
                *ways.entry((from, to)).or_default() += 1;
            }
        }
        ways
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now.instant + span;
        loop {
            let timeouts = self.hosts.iter().filter_map(|it| it.engine.poll_timeout());
            match timeouts.min() {
                Some(at) if at <= end => self.wait(),
                _ => break,
            }
        }
        self.now.instant = end;
    }

    /// Breaks a link, as both ends notice.
    fn cut(&mut self, (host, link): (usize, LinkId)) {
        let (other, far) = self.ends.remove(&(host, link)).unwrap();
        self.ends.remove(&(other, far));
        for (host, link) in [(host, link), (other, far)] {
            let reason = "cut".to_owned();
            self.tell(host, Event::LinkLost { link, reason });
        }
        self.run();
    }

    /// Says something to a host as the peer at the other end of one of its links.
    fn say(&mut self, (host, link): (usize, LinkId), presence: Presence) {
        let frame = crate::wire::encode(CorrelationId(1), &Message::Presence(presence));
        let frame = inspect(&Bytes::from(frame), limits::FRAME_BYTES_MAX).unwrap();
        self.tell(
            host,
            Event::Frame {
                link,
                frame: Ok(frame),
            },
        );
    }
}

fn net(hosts: u64, joins: &[(usize, usize)]) -> Net {
    let mut net = Net::of(hosts);
    for (from, to) in joins {
        net.join(*from, *to);
    }
    net.run();
    net.seen.clear();
    net
}

const STAR: &[(usize, usize)] = &[(1, 0), (2, 0), (3, 0)];
const CHAIN: &[(usize, usize)] = &[(0, 1), (1, 2), (2, 3)];
const RING: &[(usize, usize)] = &[(0, 1), (1, 2), (2, 3), (3, 0)];
const MESH: &[(usize, usize)] = &[(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];

#[test]
fn a_presence_reaches_everybody_once_over_each_link_and_nobody_keeps_it() {
    for joins in [STAR, CHAIN, RING, MESH] {
        let mut net = net(4, joins);
        let commits: Vec<_> = net.hosts.iter().map(|it| it.engine.commits()).collect();
        for (author, value) in [(1, "here"), (1, "there"), (2, "me, too")] {
            net.show(author, "cursor", value);
            net.run();
            net.pass(limits::PRESENCE_EVERY);
            for (host, seen) in net.seen_of(author, "cursor").into_iter().enumerate() {
                assert_eq!(seen, (host != author).then_some(value), "{joins:?} {host}");
            }
            let ways = net.presences();
            assert!(ways.values().all(|it| *it == 1), "{joins:?}: {ways:?}");
            let back = ways.keys().filter(|it| it.1 == author).count();
            assert_eq!(back, 0, "nobody tells the author");
        }
        net.take_back(1, "cursor");
        net.run();
        assert_eq!(net.seen_of(1, "cursor"), [None; 4], "{joins:?}");
        let ways = net.presences();
        assert!(ways.values().all(|it| *it == 1), "{joins:?}: {ways:?}");
        let after = net.hosts.iter().map(|it| it.engine.commits());
        assert!(after.eq(commits), "nothing of it was stored");
    }
}

#[test]
fn a_presence_goes_as_far_as_it_may_and_breaks_no_link_there() {
    let far = usize::from(limits::PRESENCE_HOPS_MAX);
    let joins: Vec<_> = (0..=far).map(|it| (it, it + 1)).collect();
    let mut net = net(u64::from(limits::PRESENCE_HOPS_MAX) + 2, &joins);
    net.show(0, "cursor", "here");
    net.run();
    let seen = net.seen_of(0, "cursor");
    assert!(seen[1..=far].iter().all(Option::is_some), "{seen:?}");
    assert_eq!(seen[far + 1], None, "too far");
    for host in 0..=far + 1 {
        assert!(!net.open(host).is_empty(), "host {host} has lost its link");
    }
}

#[test]
fn of_a_burst_the_last_value_goes_out_and_no_more_than_twenty_a_second() {
    let mut net = net(2, &[(0, 1)]);
    for _ in 0..100 {
        net.show(0, "cursor", "on the way");
        net.show(0, "cursor", "and on");
        net.run();
        net.pass(Duration::from_millis(10));
    }
    net.show(0, "cursor", "there");
    net.pass(limits::PRESENCE_EVERY);
    assert_eq!(net.seen_of(0, "cursor")[1], Some("there"));
    let sent = net.presences()[&(0, 1)];
    assert!(
        (15..=22).contains(&sent),
        "{sent} of 200 values in a second"
    );
}

#[test]
fn who_comes_later_is_told_who_is_there_and_of_nobody_who_has_left() {
    let mut net = Net::of(3);
    net.join(0, 1);
    net.show(0, "cursor", "before");
    net.show(0, "typing", "yes");
    net.run();
    net.take_back(0, "typing");
    net.pass(limits::PRESENCE_EVERY);
    net.join(2, 1);
    net.run();
    assert_eq!(
        net.seen_of(0, "cursor"),
        [None, Some("before"), Some("before")]
    );
    assert_eq!(net.seen_of(0, "typing"), [None; 3]);
}

#[test]
fn it_is_repeated_while_it_is_shown_and_expires_where_its_author_falls_silent() {
    let mut net = net(3, &[(0, 1), (1, 2)]);
    net.show(0, "cursor", "here");
    net.run();
    net.pass(limits::PRESENCE_TTL * 4);
    assert_eq!(net.seen_of(0, "cursor"), [None, Some("here"), Some("here")]);
    let sent = net.presences()[&(1, 2)];
    assert!((12..=14).contains(&sent), "{sent} in four times its life");
    // From now on nothing arrives, and nobody is told.
    net.is_dead = true;
    net.pass(limits::PRESENCE_TTL * 2);
    assert_eq!(net.seen_of(0, "cursor"), [None; 3]);
}

#[test]
fn it_is_gone_at_once_where_the_only_way_to_its_author_breaks() {
    for joins in [STAR, CHAIN] {
        let mut net = Net::of(4);
        let mut first = None;
        for (from, to) in joins {
            let [link, _] = net.join(*from, *to);
            first = first.or(Some((*from, link)));
        }
        net.run();
        let author = first.unwrap().0;
        net.show(author, "cursor", "here");
        net.run();
        assert_eq!(net.seen_of(author, "cursor").iter().flatten().count(), 3);
        net.cut(first.unwrap());
        assert_eq!(net.seen_of(author, "cursor"), [None; 4], "{joins:?}");
    }
}

#[test]
fn it_stays_where_another_way_is_left_and_no_ghost_stays_where_none_is() {
    for joins in [RING, MESH] {
        let mut net = Net::of(4);
        let links: Vec<_> = joins
            .iter()
            .map(|(from, to)| ((*from, *to), (*from, net.join(*from, *to)[0])))
            .collect();
        net.run();
        net.show(0, "cursor", "here");
        net.run();
        let of_author = links.iter().filter(|it| it.0.0 == 0 || it.0.1 == 0);
        let of_author: Vec<_> = of_author.map(|it| it.1).collect();
        let (last, others) = of_author.split_last().unwrap();
        for link in others {
            net.cut(*link);
            let everybody = [None, Some("here"), Some("here"), Some("here")];
            assert_eq!(net.seen_of(0, "cursor"), everybody, "{joins:?}");
        }
        net.cut(*last);
        // One that has it the long way round may think that it is there until it expires.
        net.pass(limits::PRESENCE_TTL);
        assert_eq!(net.seen_of(0, "cursor"), [None; 4], "{joins:?}");
    }
}

#[test]
fn a_node_that_stops_takes_its_presence_back() {
    let mut net = net(3, &[(0, 1), (1, 2)]);
    net.show(0, "cursor", "here");
    net.run();
    net.tell(0, Event::Stop);
    net.run();
    assert!(net.hosts[0].stopped);
    assert_eq!(net.seen_of(0, "cursor"), [None; 3]);
}

/// A net of two with the link of the second, and a note of the first that it may be told.
fn overheard() -> (Net, (usize, LinkId), Presence) {
    let mut net = Net::of(2);
    let [_, link] = net.join(0, 1);
    net.show(0, "cursor", "here");
    for host in 0..2 {
        while let Some(effect) = net.hosts[host].engine.poll(net.now) {
            net.act(host, effect);
        }
    }
    net.run();
    let spot = net.spot(0, "cursor");
    let author = Identity::generate(&mut Entropy::from_number(0));
    let mut note = crate::wire::Note {
        stamp: crate::wire::Stamp {
            session: u64::MAX,
            number: 1,
        },
        ttl_millis: 20_000,
        payload: Bytes::from_static(b"overheard"),
        signature: [0; 64],
    };
    note.signature = author.sign_presence(&note.signed_bytes(&spot));
    let word = Word::Said {
        hops: 0,
        left_millis: 20_000,
        note: Arc::new(note),
    };
    (net, (1, link), Presence { spot, word })
}

#[test]
fn a_presence_that_its_author_has_not_signed_ends_the_link_and_is_not_shown() {
    let (mut net, end, mut presence) = overheard();
    net.say(end, presence.clone());
    net.run();
    assert_eq!(net.seen_of(0, "cursor")[1], Some("overheard"));
    let Word::Said { note, .. } = &mut presence.word else {
        panic!("it says something");
    };
    let mut changed = (**note).clone();
    changed.payload = Bytes::from_static(b"something else");
    changed.stamp.number += 1;
    *note = Arc::new(changed);
    net.say(end, presence);
    net.run();
    assert!(net.open(1).is_empty(), "the link has ended");
    assert_eq!(net.seen_of(0, "cursor")[1], None, "and all that it brought");
}

#[test]
fn nobody_passes_for_another_at_first_hand() {
    let mut net = Net::of(3);
    let [_, link] = net.join(2, 1);
    net.run();
    let (_, _, presence) = overheard();
    let mut passed_on = presence.clone();
    if let Word::Said { hops, .. } = &mut passed_on.word {
        *hops = 1;
    }
    net.say((1, link), passed_on);
    net.run();
    assert_eq!(
        net.seen_of(0, "cursor")[1],
        Some("overheard"),
        "a hub may bring it"
    );
    net.say((1, link), presence);
    net.run();
    assert!(net.open(1).is_empty(), "but not as its own");
}

/// A link to a host on which a forger says what it likes in the names of others.
fn forged(number: u64, topic: &str, payload: Bytes) -> Presence {
    let author = Identity::generate(&mut Entropy::from_number(1_000 + number));
    let spot = Spot {
        slot: slot(topic),
        author: author.replica_id(),
    };
    let mut note = crate::wire::Note {
        stamp: crate::wire::Stamp {
            session: 1,
            number: 1,
        },
        ttl_millis: 300_000,
        payload,
        signature: [0; 64],
    };
    note.signature = author.sign_presence(&note.signed_bytes(&spot));
    let word = Word::Said {
        hops: 1,
        left_millis: 300_000,
        note: Arc::new(note),
    };
    Presence { spot, word }
}

#[test]
fn what_one_link_brings_takes_so_much_memory_and_no_more() {
    let mut net = Net::of(2);
    let [_, link] = net.join(0, 1);
    net.run();
    let large = Bytes::from(vec![7; limits::PRESENCE_BYTES_MAX]);
    let fits = limits::PRESENCES_PER_LINK_BYTES_MAX / limits::PRESENCE_BYTES_MAX;
    for number in 0..fits + 50 {
        let number = u64::try_from(number).unwrap();
        net.say((1, link), forged(number, "cursor", large.clone()));
    }
    net.run();
    assert_eq!(net.hosts[1].present.len(), fits);
    // One author has less than that.
    let [_, other] = net.join(0, 1);
    net.run();
    for number in 0..limits::PRESENCES_PER_AUTHOR_MAX + 9 {
        let topic = format!("t{number}");
        net.say((1, other), forged(9_999, &topic, Bytes::from_static(b"1")));
    }
    net.run();
    let author = forged(9_999, "t", Bytes::new()).spot.author;
    let known = net.hosts[1].present.keys();
    let by_author = known.filter(|it| it.author == author).count();
    assert_eq!(by_author, limits::PRESENCES_PER_AUTHOR_MAX);
}

#[test]
fn a_flood_is_dropped_and_one_without_end_ends_its_link() {
    let (mut net, end, presence) = overheard();
    let burst = limits::PRESENCE_TAKEN_BURST;
    // One has come already.
    for _ in 1..burst + limits::PRESENCE_EXCESS_MAX {
        net.say(end, presence.clone());
    }
    net.run();
    assert_eq!(net.open(1).len(), 1, "what came too fast is dropped");
    for _ in 0..2 {
        net.say(end, presence.clone());
    }
    net.run();
    assert!(net.open(1).is_empty());
}

#[test]
fn a_presence_in_a_space_that_is_not_open_breaks_a_rule() {
    let (mut net, end, mut presence) = overheard();
    presence.spot.slot.space = SpaceId::named("elsewhere");
    presence.word = Word::Lost;
    net.say(end, presence);
    net.run();
    assert!(net.open(1).is_empty());
}

#[test]
fn only_who_has_opened_the_space_and_wants_the_collection_hears_of_it() {
    let other: CollectionId = "others".parse().unwrap();
    let mut net = Net::of(1);
    let mut host = Host::new(1, Durability::Immediate);
    host.engine.config.spaces = vec![(key().space, Wanted::Only([other].into()))];
    net.hosts.push(host);
    net.join(0, 1);
    net.run();
    net.seen.clear();
    net.show(0, "cursor", "at a record of another collection");
    net.run();
    assert!(net.presences().is_empty());
    let mut in_space = slot("cursor");
    in_space.place = Place::Space;
    let shown = (Bytes::from_static(b"here"), limits::PRESENCE_TTL);
    net.tell(0, Event::Show(in_space, Some(shown)));
    net.run();
    assert_eq!(net.presences()[&(0, 1)], 1);
}

#[test]
fn live_edits_go_before_presences() {
    let mut net = net(2, &[(0, 1)]);
    for number in 0..50 {
        net.show(0, &format!("t{number}"), "here");
    }
    net.edit(0, 1);
    net.run();
    let sent = net.seen.iter().filter(|it| it.0 == 0);
    let first = sent.map(|it| it.2).find(|it| *it != Seen::Ack);
    assert_eq!(first, Some(Seen::Changes(1)));
    assert_eq!(net.presences()[&(0, 1)], 50);
}

#[test]
fn a_presence_that_waits_for_room_on_a_link_keeps_nobody_awake() {
    let mut net = Net::of(2);
    net.join(0, 1);
    net.run();
    // Nothing leaves any more, and what is written fills the link.
    net.is_dead = true;
    let mut noise = vec![0; limits::LINK_OUTBOX_BYTES_MAX];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    net.write(0, &Value::Bytes(noise));
    net.run();
    net.show(0, "cursor", "here");
    net.run();
    let next = net.hosts[0].engine.poll_timeout();
    assert!(next.is_some_and(|at| at > net.now.instant), "{next:?}");
}

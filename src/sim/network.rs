//! The made-up network: links in order, each at its own pace, and everything on its way.
//!
//! A link behaves as a TCP connection does: bytes arrive in order or not at all, a partition holds
//! them back, and an end whose other end is gone may never hear of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::host::Job;
use crate::engine::{Event, LinkId};
use crate::entropy::Entropy;
use crate::id::ReplicaId;
use crate::limits;
use crate::peer::{PeerAddress, PeerEvent};
use crate::time::Instant;
use crate::wire;

/// Longest time that one thing is on its way.
const DELAY_MAX: Duration = Duration::from_millis(200);

/// What was sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames.
    pub frames: u64,
    /// Bytes of frames, compressed as they travel.
    pub bytes: u64,
}

/// One end of a link: a host, and the link's name there.
pub(super) type End = (usize, LinkId);

/// Something that arrives at a host.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A frame as it travels, and its size before it was compressed.
    Frame {
        from: End,
        to: End,
        bytes: Bytes,
        cost: usize,
    },
    Event {
        host: usize,
        event: Event,
    },
    /// A worker gets to what it was asked for by one life of a host.
    Work {
        host: usize,
        job: Job,
        life: u64,
    },
    /// A host that was down starts again.
    Start {
        host: usize,
    },
}

#[derive(Debug)]
pub(super) struct Network {
    entropy: Entropy,
    on_the_way: BTreeMap<(Instant, u64), Arrival>,
    sequence: u64,
    links: BTreeMap<End, End>,
    /// When the last thing sent from an end arrives; what follows arrives later.
    last: BTreeMap<End, Instant>,
    /// When an end hears that its link is open.
    opened: BTreeMap<End, Instant>,
    /// Bytes that were sent from an end and have not arrived.
    in_flight: BTreeMap<End, usize>,
    in_flight_max: usize,
    /// What was in flight when an end last sent: does not count if that was its goodbye.
    before_last: BTreeMap<End, usize>,
    isolated: BTreeSet<usize>,
    /// Ways on which nothing gets through, from one host to another.
    blocked: BTreeSet<(usize, usize)>,
    /// What waits for its way to be free, in order.
    held: Vec<(End, usize, Arrival)>,
    /// Bytes per second between two hosts, where that is bounded.
    slow: BTreeMap<(usize, usize), u64>,
    delay_max: Duration,
    next_link: u64,
    traffic: Traffic,
}

pub(super) fn address(host: usize) -> PeerAddress {
    PeerAddress::from(format!("sim:{host}").as_str())
}

pub(super) fn host_at(address: &PeerAddress) -> Option<usize> {
    address.as_str().strip_prefix("sim:")?.parse().ok()
}

impl Network {
    pub(super) const fn new(entropy: Entropy) -> Self {
        Self {
            entropy,
            on_the_way: BTreeMap::new(),
            sequence: 0,
            links: BTreeMap::new(),
            last: BTreeMap::new(),
            opened: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            in_flight_max: 0,
            before_last: BTreeMap::new(),
            isolated: BTreeSet::new(),
            blocked: BTreeSet::new(),
            held: Vec::new(),
            slow: BTreeMap::new(),
            delay_max: DELAY_MAX,
            next_link: 0,
            traffic: Traffic {
                frames: 0,
                bytes: 0,
            },
        }
    }

    pub(super) const fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(super) fn push(&mut self, at: Instant, arrival: Arrival) {
        self.sequence += 1;
        self.on_the_way.insert((at, self.sequence), arrival);
    }

    fn delayed(&mut self, now: Instant) -> Instant {
        now + self.entropy.span_up_to(self.delay_max)
    }

    /// When the next thing from this end arrives: later than all before it.
    fn in_order(&mut self, now: Instant, from: End, to: usize, bytes: usize) -> Instant {
        let rate = self.slow.get(&(from.0, to)).copied();
        let travel = rate.map_or(Duration::ZERO, |rate| {
            let micros = u64::try_from(bytes).unwrap_or(u64::MAX);
            Duration::from_micros(micros.saturating_mul(1_000_000) / rate.max(1))
        });
        let at = self.delayed(now);
        let last = self.last.entry(from).or_default();
        *last = at.max(*last + Duration::from_micros(1)) + travel;
        *last
    }

    /// Sends a frame; gives the host at the other end, unless the link is gone.
    pub(super) fn send(&mut self, now: Instant, from: End, frame: Vec<u8>) -> Option<usize> {
        let to = self.links.get(&from).copied()?;
        let cost = frame.len();
        let bytes = Bytes::from(wire::seal(frame));
        self.traffic.frames += 1;
        self.traffic.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        let in_flight = self.in_flight.entry(from).or_default();
        if from.0 < super::stranger::FIRST
            && let Some(before) = self.before_last.insert(from, *in_flight)
        {
            self.in_flight_max = self.in_flight_max.max(before);
        }
        *in_flight += cost;
        let arrival = Arrival::Frame {
            from,
            to,
            bytes,
            cost,
        };
        self.forward(now, from, to.0, arrival);
        Some(to.0)
    }

    /// Lets something follow all that went the same way before it.
    fn forward(&mut self, now: Instant, from: End, to: usize, arrival: Arrival) {
        if self.blocked.contains(&(from.0, to)) {
            self.held.push((from, to, arrival));
            return;
        }
        let bytes = match &arrival {
            Arrival::Frame { bytes, .. } => bytes.len(),
            Arrival::Event { .. } | Arrival::Work { .. } | Arrival::Start { .. } => 0,
        };
        let at = self.in_order(now, from, to, bytes);
        self.push(at, arrival);
    }

    /// A frame has arrived: its bytes are off the way.
    pub(super) fn arrived(&mut self, from: End, cost: usize) {
        if let Some(bytes) = self.in_flight.get_mut(&from) {
            *bytes = bytes.saturating_sub(cost);
        }
    }

    /// The most that was ever on the way from one end of a link, but for one frame.
    pub(super) const fn in_flight_max(&self) -> usize {
        self.in_flight_max
    }

    /// Whether a link that an end believes in leads anywhere.
    pub(super) fn is_whole(&self, end: End) -> bool {
        self.links.contains_key(&end)
    }

    /// One end closes the link in order; the other hears of it after all that was sent before.
    pub(super) fn close(&mut self, now: Instant, from: End) {
        let Some(to) = self.links.remove(&from) else {
            return;
        };
        self.links.remove(&to);
        let event = Event::LinkLost {
            link: to.1,
            reason: "closed by the other side".to_owned(),
        };
        self.forward(now, from, to.0, Arrival::Event { host: to.0, event });
        self.forget_link(from, to);
    }

    fn forget_link(&mut self, one: End, other: End) {
        for end in [one, other] {
            self.opened.remove(&end);
            self.in_flight.remove(&end);
            self.before_last.remove(&end);
            self.last.remove(&end);
        }
    }

    pub(super) fn dial(
        &mut self,
        now: Instant,
        from: usize,
        (peer, attempt): (PeerAddress, u64),
        (expects, is_up): (Option<ReplicaId>, bool),
    ) {
        let to = host_at(&peer).filter(|it| *it != from);
        let reachable =
            to.filter(|it| is_up && !self.isolated.contains(it) && !self.isolated.contains(&from));
        let Some(to) = reachable else {
            let at = self.delayed(now);
            self.fail_dial(at, from, (peer, attempt), "unreachable");
            return;
        };
        if self.blocked.contains(&(from, to)) || self.blocked.contains(&(to, from)) {
            let at = now + limits::DIAL_TIMEOUT;
            self.fail_dial(at, from, (peer, attempt), "nobody answers");
            return;
        }
        let at = self.delayed(now);
        let (ours, theirs) = self.connect(from, to, at);
        let event = Event::Connected {
            link: ours,
            peer,
            attempt,
            expects,
        };
        self.push(at, Arrival::Event { host: from, event });
        let event = Event::Accepted {
            link: theirs,
            address: format!("sim:{from}"),
        };
        self.push(at, Arrival::Event { host: to, event });
    }

    /// A link between two hosts that both hear of at `at`.
    pub(super) fn connect(&mut self, from: usize, to: usize, at: Instant) -> (LinkId, LinkId) {
        let [ours, theirs] = [1, 2].map(|it| LinkId(self.next_link + it));
        self.next_link += 2;
        for (end, other) in [((from, ours), (to, theirs)), ((to, theirs), (from, ours))] {
            self.links.insert(end, other);
            // Frames must not overtake the news that the link is open.
            self.last.insert(end, at);
            self.opened.insert(end, at);
        }
        (ours, theirs)
    }

    fn fail_dial(
        &mut self,
        at: Instant,
        host: usize,
        (peer, attempt): (PeerAddress, u64),
        reason: &str,
    ) {
        let event = Event::Peer(PeerEvent::Failed {
            peer,
            attempt,
            permanent: false,
            reason: reason.to_owned(),
        });
        self.push(at, Arrival::Event { host, event });
    }

    pub(super) fn work(&mut self, now: Instant, host: usize, job: Job, life: u64) {
        let at = self.delayed(now);
        self.push(at, Arrival::Work { host, job, life });
    }

    /// A worker has read a record and is about to say what it made of it.
    pub(super) fn worked(&mut self, now: Instant, host: usize, event: Event) {
        let at = self.delayed(now);
        self.push(at, Arrival::Event { host, event });
    }

    /// The links of a host, or those between two, each once.
    fn links_of(&self, host: usize, other: Option<usize>) -> Vec<(End, End)> {
        let ours = self.links.iter().filter(|(from, _)| from.0 == host);
        let ours = ours.filter(|(_, to)| other.is_none_or(|it| it == to.0));
        ours.map(|(from, to)| (*from, *to)).collect()
    }

    /// Cuts the links of a host. What is on its way on them is lost. Gives both ends of each.
    pub(super) fn cut(&mut self, now: Instant, host: usize) -> Vec<End> {
        let ends: Vec<_> = self
            .links_of(host, None)
            .into_iter()
            .flat_map(|(one, other)| [one, other])
            .collect();
        self.drop_links(now, &ends);
        ends
    }

    /// Breaks the links of a host, or those to one other: what is on its way arrives up to some
    /// byte, and each end hears of the break in its own time.
    pub(super) fn sever(&mut self, now: Instant, host: usize, other: Option<usize>) -> usize {
        let links = self.links_of(host, other);
        for (one, two) in &links {
            for (from, to) in [(*one, *two), (*two, *one)] {
                let opened = self.opened.get(&to).copied().unwrap_or_default();
                let cutoff = self.delayed(now).max(opened);
                self.lose_after(from, to, cutoff);
                let event = Event::LinkLost {
                    link: to.1,
                    reason: "the connection broke".to_owned(),
                };
                let at = cutoff + Duration::from_micros(1);
                self.push(at, Arrival::Event { host: to.0, event });
            }
            self.links.remove(one);
            self.links.remove(two);
            self.forget_link(*one, *two);
        }
        links.len()
    }

    /// Drops what would arrive on a way after `cutoff`.
    fn lose_after(&mut self, from: End, to: End, cutoff: Instant) {
        let lost = |arrival: &Arrival| match arrival {
            Arrival::Frame {
                from: sender,
                to: receiver,
                ..
            } => *sender == from && *receiver == to,
            Arrival::Event { host, event } => {
                *host == to.0 && matches!(event, Event::LinkLost { link, .. } if *link == to.1)
            }
            Arrival::Work { .. } | Arrival::Start { .. } => false,
        };
        self.held.retain(|(_, _, it)| !lost(it));
        self.on_the_way
            .retain(|(at, _), it| *at <= cutoff || !lost(it));
    }

    /// The host is gone without a word: its links lead nowhere, and the others don't hear of it.
    pub(super) fn vanish(&mut self, now: Instant, host: usize) -> Vec<End> {
        let links = self.links_of(host, None);
        let own: Vec<_> = links.iter().map(|(one, _)| *one).collect();
        let all: Vec<_> = links.iter().flat_map(|(one, two)| [*one, *two]).collect();
        self.drop_links(now, &all);
        own
    }

    /// Takes links out, with everything on them. A dial that was not heard of yet has failed.
    fn drop_links(&mut self, now: Instant, ends: &[End]) {
        for end in ends {
            self.links.remove(end);
            self.last.remove(end);
            self.opened.remove(end);
            self.in_flight.remove(end);
            self.before_last.remove(end);
        }
        let lost = |arrival: &Arrival| match arrival {
            Arrival::Frame { to, .. } => ends.contains(to),
            Arrival::Event { host, event } => {
                event_link(event).is_some_and(|link| ends.contains(&(*host, link)))
            }
            Arrival::Work { .. } | Arrival::Start { .. } => false,
        };
        let mut dials = Vec::new();
        self.held.retain(|(_, _, it)| !lost(it));
        self.on_the_way.retain(|_, arrival| {
            if !lost(arrival) {
                return true;
            }
            if let Arrival::Event { host, event } = arrival
                && let Event::Connected { peer, attempt, .. } = event
            {
                dials.push((*host, peer.clone(), *attempt));
            }
            false
        });
        for (host, peer, attempt) in dials {
            self.fail_dial(now, host, (peer, attempt), "cut");
        }
    }

    /// Lets nothing get through from one host to another, or lets what was held follow.
    pub(super) fn block(&mut self, now: Instant, from: usize, to: usize, blocked: bool) {
        if blocked {
            self.blocked.insert((from, to));
            return;
        }
        self.blocked.remove(&(from, to));
        for (end, host, arrival) in std::mem::take(&mut self.held) {
            // What goes another way waits on.
            self.forward(now, end, host, arrival);
        }
    }

    /// Frees all ways and lets everything travel at its usual pace.
    pub(super) fn heal(&mut self, now: Instant) {
        self.isolated.clear();
        self.slow.clear();
        for (from, to) in self.blocked.clone() {
            self.block(now, from, to, false);
        }
    }

    /// Bounds the bytes per second between two hosts.
    pub(super) fn slow(&mut self, one: usize, other: usize, bytes_per_second: u64) {
        self.slow.insert((one, other), bytes_per_second);
        self.slow.insert((other, one), bytes_per_second);
    }

    /// Longest time that one thing is on its way from now on.
    pub(super) const fn set_delay(&mut self, max: Duration) {
        self.delay_max = max;
    }

    /// Drops everything on its way to a host that has crashed, but not its restart.
    pub(super) fn forget(&mut self, crashed: usize) {
        self.on_the_way.retain(|_, arrival| match arrival {
            Arrival::Event { host, .. } | Arrival::Work { host, .. } => *host != crashed,
            Arrival::Frame { to, .. } => to.0 != crashed,
            Arrival::Start { .. } => true,
        });
    }

    pub(super) fn isolate(&mut self, host: usize, isolated: bool) {
        if isolated {
            self.isolated.insert(host);
        } else {
            self.isolated.remove(&host);
        }
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        self.on_the_way.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn pop(&mut self) -> Option<Arrival> {
        self.on_the_way.pop_first().map(|(_, arrival)| arrival)
    }

    /// Whether nothing is on its way.
    pub(super) fn is_quiet(&self) -> bool {
        self.on_the_way.is_empty() && self.held.is_empty()
    }
}

/// The link that an event is about.
const fn event_link(event: &Event) -> Option<LinkId> {
    match event {
        Event::Frame { link, .. }
        | Event::Sent { link, .. }
        | Event::Connected { link, .. }
        | Event::Accepted { link, .. }
        | Event::LinkLost { link, .. } => Some(*link),
        Event::Capture { .. }
        | Event::Import { .. }
        | Event::Projected(_)
        | Event::NotProjected(_)
        | Event::Ruling(..)
        | Event::Ruled(..)
        | Event::Folded(..)
        | Event::Unfolded(..)
        | Event::Compact(_)
        | Event::Blob(..)
        | Event::Await { .. }
        | Event::Index { .. }
        | Event::Forget(_)
        | Event::Show(..)
        | Event::Status(_)
        | Event::Quarantine { .. }
        | Event::Peer(_)
        | Event::Stop
        | Event::Timer => None,
    }
}

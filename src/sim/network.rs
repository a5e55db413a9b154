//! The made-up network: links in order, each at its own pace, and everything on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use crate::engine::{Event, LinkId};
use crate::entropy::Entropy;
use crate::id::{RecordKey, ReplicaId};
use crate::limits;
use crate::peer::{PeerAddress, PeerEvent};
use crate::session;
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

/// Something that arrives at a host.
#[derive(Debug)]
pub(super) enum Arrival {
    Event {
        host: usize,
        event: Event,
    },
    Project {
        host: usize,
        key: RecordKey,
        life: u64,
    },
}

/// One end of a link: a host, and the link's name there.
type End = (usize, LinkId);

#[derive(Debug)]
pub(super) struct Network {
    entropy: Entropy,
    on_the_way: BTreeMap<(Instant, u64), Arrival>,
    sequence: u64,
    links: BTreeMap<End, End>,
    /// When the last thing sent from an end arrives; what follows arrives later.
    last: BTreeMap<End, Instant>,
    isolated: BTreeSet<usize>,
    next_link: u64,
    traffic: Traffic,
}

pub(super) fn address(host: usize) -> PeerAddress {
    PeerAddress::from(format!("sim:{host}").as_str())
}

fn host_at(address: &PeerAddress) -> Option<usize> {
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
            isolated: BTreeSet::new(),
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

    fn push(&mut self, at: Instant, arrival: Arrival) {
        self.sequence += 1;
        self.on_the_way.insert((at, self.sequence), arrival);
    }

    fn delayed(&mut self, now: Instant) -> Instant {
        now + self.entropy.span_up_to(DELAY_MAX)
    }

    /// When the next thing from this end arrives: later than all before it.
    fn in_order(&mut self, now: Instant, from: End) -> Instant {
        let at = self.delayed(now);
        let last = self.last.entry(from).or_default();
        *last = at.max(*last + Duration::from_micros(1));
        *last
    }

    pub(super) fn send(&mut self, now: Instant, from: End, frame: Vec<u8>) {
        let Some(to) = self.links.get(&from).copied() else {
            return;
        };
        let (host, link) = to;
        let bytes = frame.len();
        let frame = Bytes::from(wire::seal(frame));
        self.traffic.frames += 1;
        self.traffic.bytes += u64::try_from(frame.len()).unwrap_or(0);
        let frame = session::inspect(&frame, limits::FRAME_BYTES_MAX)
            .map_err(|error| (error.code(), error.to_string()));
        let at = self.in_order(now, from);
        self.push(
            at,
            Arrival::Event {
                host,
                event: Event::Frame { link, frame },
            },
        );
        let sent = Event::Sent {
            link: from.1,
            bytes,
        };
        self.push(
            at,
            Arrival::Event {
                host: from.0,
                event: sent,
            },
        );
    }

    pub(super) fn close(&mut self, now: Instant, from: End) {
        let Some((host, link)) = self.links.remove(&from) else {
            return;
        };
        self.links.remove(&(host, link));
        let at = self.in_order(now, from);
        let event = Event::LinkLost {
            link,
            reason: "closed by the other side".to_owned(),
        };
        self.push(at, Arrival::Event { host, event });
    }

    pub(super) fn dial(
        &mut self,
        now: Instant,
        from: usize,
        (peer, attempt): (PeerAddress, u64),
        expects: Option<ReplicaId>,
    ) {
        let at = self.delayed(now);
        let to = host_at(&peer).filter(|it| *it != from);
        let to = to.filter(|it| !self.isolated.contains(it) && !self.isolated.contains(&from));
        let Some(to) = to else {
            let reason = "unreachable".to_owned();
            let event = PeerEvent::Failed {
                peer,
                attempt,
                permanent: false,
                reason,
            };
            self.push(
                at,
                Arrival::Event {
                    host: from,
                    event: Event::Peer(event),
                },
            );
            return;
        };
        let [ours, theirs] = [1, 2].map(|it| LinkId(self.next_link + it));
        self.next_link += 2;
        self.links.insert((from, ours), (to, theirs));
        self.links.insert((to, theirs), (from, ours));
        // Frames must not overtake the news that the link is open.
        self.last.insert((from, ours), at);
        self.last.insert((to, theirs), at);
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

    pub(super) fn project(&mut self, now: Instant, host: usize, key: RecordKey, life: u64) {
        let at = self.delayed(now);
        self.push(at, Arrival::Project { host, key, life });
    }

    /// Cuts the links of a host. What is on its way on them is lost. Gives both ends of each.
    pub(super) fn cut(&mut self, host: usize) -> Vec<End> {
        let pairs = self
            .links
            .iter()
            .filter(|((from, _), (to, _))| *from == host || *to == host);
        let ends: Vec<_> = pairs.map(|(from, _)| *from).collect();
        for end in &ends {
            self.links.remove(end);
            self.last.remove(end);
        }
        let lost = |host: usize, event: &Event| match event {
            Event::Frame { link, .. }
            | Event::Sent { link, .. }
            | Event::Connected { link, .. }
            | Event::Accepted { link, .. }
            | Event::LinkLost { link, .. } => ends.contains(&(host, *link)),
            Event::Capture { .. }
            | Event::Import { .. }
            | Event::Projected(_)
            | Event::NotProjected(_)
            | Event::Await { .. }
            | Event::Forget(_)
            | Event::Status(_)
            | Event::Quarantine { .. }
            | Event::Peer(_)
            | Event::Stop
            | Event::Timer => false,
        };
        let mut dials = Vec::new();
        self.on_the_way.retain(|_, arrival| match arrival {
            Arrival::Event { host, event } if lost(*host, event) => {
                if let Event::Connected { peer, attempt, .. } = event {
                    dials.push((*host, peer.clone(), *attempt));
                }
                false
            }
            Arrival::Event { .. } | Arrival::Project { .. } => true,
        });
        // A dial that was cut before it was heard of has failed.
        let at = self
            .on_the_way
            .first_key_value()
            .map_or(Instant::default(), |((at, _), _)| *at);
        for (host, peer, attempt) in dials {
            let reason = "cut".to_owned();
            let event = PeerEvent::Failed {
                peer,
                attempt,
                permanent: false,
                reason,
            };
            self.push(
                at,
                Arrival::Event {
                    host,
                    event: Event::Peer(event),
                },
            );
        }
        ends
    }

    /// Drops everything on its way to a host that has crashed.
    pub(super) fn forget(&mut self, crashed: usize) {
        self.on_the_way.retain(|_, arrival| match arrival {
            Arrival::Event { host, .. } | Arrival::Project { host, .. } => *host != crashed,
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
        self.on_the_way.is_empty()
    }
}

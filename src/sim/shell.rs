//! The shell around each engine: what arrives is told to it, what it wants done is carried out.

use super::fact::{Heard, What};
use super::host::{Host, Job};
use super::network::{self, Arrival, End};
use super::world::World;
use crate::engine::{Effect, Event, Reply, Ticket};
use crate::error::Result;
use crate::limits;
use crate::replica::{Admission, Folding};
use crate::session;
use crate::wire::ErrorCode;

impl World {
    pub(super) fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Frame {
                from,
                to,
                bytes,
                cost,
            } => {
                self.network.arrived(from, cost);
                let sent = Event::Sent {
                    link: from.1,
                    bytes: cost,
                };
                self.tell(from.0, sent);
                self.frame(from.0, to, &bytes);
            }
            Arrival::Event { host, event } => {
                match &event {
                    Event::Connected { .. } => self.note(host, What::Linked),
                    Event::LinkLost { reason, .. } => self.note(
                        host,
                        What::Lost {
                            reason: reason.clone(),
                        },
                    ),
                    _ => {}
                }
                self.tell(host, event);
            }
            Arrival::Work { host, job, life } => {
                let alive = |it: &&Host| it.life() == life;
                let Some(it) = self.hosts.get(host).filter(alive) else {
                    return;
                };
                // What it makes is told later: more may come to the record meanwhile.
                let made = match job {
                    Job::Project(key) => it.project(key),
                    Job::Fold(key, upto, which) => it.fold(key, upto, which),
                    Job::Unfold(key) => it.unfold(key),
                };
                if let Event::Folded(key, Folding::Made(_)) = &made {
                    self.note(host, What::Folded(key.clone()));
                }
                self.network.worked(self.now, host, made);
            }
            Arrival::Start { host } => {
                if self.dead.contains(&host) || self.hosts.get(host).is_some_and(Host::is_up) {
                    return;
                }
                // What keeps it from starting is noted.
                let _noted = self.start(host);
            }
        }
    }

    /// A frame arrives at the end of a link.
    fn frame(&mut self, from: usize, (host, link): End, bytes: &bytes::Bytes) {
        if self.strangers.contains_key(&host) {
            self.stranger_hears(host, link, bytes);
            return;
        }
        let opened = session::open(bytes, limits::FRAME_BYTES_MAX);
        let opened = opened.map_err(|error| (error.code(), error.to_string()));
        let folded = opened.as_ref().map_or(0, session::Opened::folded_changes);
        if folded > 0 {
            self.note(host, What::Unfolded(folded));
        }
        let steps = match opened {
            Ok(opened) => opened.check().steps().into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        for frame in steps {
            self.hear(from, (host, link), frame);
        }
    }

    fn hear(
        &mut self,
        from: usize,
        (host, link): End,
        frame: std::result::Result<session::Inbound, (ErrorCode, String)>,
    ) {
        let engine = self.hosts.get(host).and_then(Host::engine);
        let mut waiting = None;
        if self.facts.is_some() && engine.is_some_and(|it| it.has_link(link)) {
            let waits = engine.is_some_and(|it| it.parked(link) > 0);
            let heard = match &frame {
                Ok(frame) => match self.in_stock(host, Heard::of(frame, link)) {
                    Heard::Presence(_, presence) if waits => {
                        waiting = Some(presence);
                        Heard::Other("a presence")
                    }
                    heard => heard,
                },
                Err((code, _)) => Heard::Broken(code.name()),
            };
            self.note(host, What::Heard { from, heard });
        }
        self.tell(host, Event::Frame { link, frame });
        let engine = self.hosts.get(host).and_then(Host::engine);
        if engine.is_some_and(|it| it.parked(link) > 0) {
            self.hold(from, (host, link), waiting);
            self.note(host, What::HeldBack);
        }
    }

    pub(super) fn tell(&mut self, host: usize, event: Event) {
        let now = self.now_of(host);
        if let Some(it) = self.hosts.get_mut(host) {
            it.handle(now, event);
            self.take_up(host);
            self.pump(host);
            self.hear_rest(host);
        } else if let Event::Accepted { link, .. } | Event::Connected { link, .. } = event {
            self.stranger_linked(host, link);
        } else if let Event::LinkLost { link, .. } = event {
            self.stranger_lost(host, link);
        }
    }

    /// Carries out what a host wants done.
    pub(super) fn pump(&mut self, host: usize) {
        let now = self.now_of(host);
        while let Some(effect) = self.hosts.get_mut(host).and_then(|it| it.poll(now)) {
            match effect {
                Effect::Send { link, frame } => {
                    let bytes = frame.len();
                    if let Some(to) = self.network.send(now.instant, (host, link), frame) {
                        self.note(host, What::Sent { to, bytes });
                    }
                }
                Effect::Close(link) => {
                    self.network.close(now.instant, (host, link));
                    self.note(host, What::Closed);
                }
                Effect::Dial {
                    peer,
                    attempt,
                    expects,
                } => {
                    let to = network::host_at(&peer);
                    if let Some(to) = to {
                        self.note(host, What::Dialled { to });
                    }
                    let is_up = to
                        .and_then(|it| self.hosts.get(it))
                        .is_some_and(Host::is_up);
                    let dial = (peer, attempt);
                    self.network.dial(now.instant, host, dial, (expects, is_up));
                }
                Effect::Project(key) => self.ask(host, Job::Project(key)),
                Effect::Fold { key, upto, which } => self.ask(host, Job::Fold(key, upto, which)),
                Effect::Unfold(key) => self.ask(host, Job::Unfold(key)),
                Effect::Reply(ticket, reply) => self.replied(host, ticket, reply),
                Effect::Shown(view) => self.note(host, What::Shown(view.key)),
                Effect::Presence(shown) => {
                    self.hear_cause(host, &shown);
                    self.note(host, What::Present(shown));
                }
                Effect::CancelDial { .. }
                | Effect::Trust(_)
                | Effect::Committed(_)
                | Effect::Stopped => {}
            }
        }
        self.check_power(host);
    }

    /// Has a worker of a host do something.
    fn ask(&mut self, host: usize, job: Job) {
        let life = self.hosts.get(host).map_or(0, Host::life);
        self.network
            .work(self.now_of(host).instant, host, job, life);
    }

    fn replied(&mut self, host: usize, ticket: Ticket, reply: Reply) {
        let kind = |it: &Result<()>| match it {
            Ok(()) => Ok(()),
            Err(error) => Err(error.kind()),
        };
        match reply {
            Reply::Captured(result) => {
                let result = result.map(|_| ());
                self.note(host, What::Captured(ticket, kind(&result)));
                self.outcomes.insert((host, ticket), result.map(|()| 0));
            }
            Reply::Delivered(result) => {
                self.note(host, What::Delivered(ticket, kind(&result)));
            }
            Reply::Compacted(Ok(done)) => self.note(host, What::Compacted(done.records)),
            Reply::Imported(result) => {
                let is_new = |it: &&Admission| matches!(it, Admission::Applied(_));
                let new = |fates: Vec<Admission>| fates.iter().filter(is_new).count();
                let result = result.map(|it| u64::try_from(new(it)).unwrap_or(u64::MAX));
                let result = result.map_err(|error| error.kind());
                self.note(host, What::Imported(ticket, result));
            }
            Reply::Blob(result) => {
                let kind = result.as_ref().map_err(crate::Error::kind);
                self.note(host, What::Blob(ticket, kind.copied()));
                self.outcomes.insert((host, ticket), result);
            }
            Reply::Compacted(Err(_))
            | Reply::Indexed(_)
            | Reply::Status(_)
            | Reply::Quarantined(_) => {}
        }
    }
}

//! What a peer says, one message at a time.

use std::collections::BTreeSet;

use super::handshake::Handshake;
use super::inbound::{Group, Inbound, InboundBody};
use super::relay::Relay;
use super::space::SpaceLink;
use super::walking::may_be_partial;
use super::{Closed, Credit, Delivery, Gate, Output, Peer, Phase, Session, Verdict, fault};
use crate::access::{Refusal, Request, Role, Verdict as Access};
use crate::error::{ErrorKind, Result};
use crate::id::{CorrelationId, Lsn, RecordKey, SpaceId};
use crate::limits;
use crate::plant::{self, Plant};
use crate::reconcile::{Push, RangeKind, Summary};
use crate::time::Instant;
use crate::wire::{Class, ErrorCode, Message, Open, RefusedCode, Walk, Want, Wanted};

impl Session {
    /// Takes in one frame. The outer error is the store's, the inner one the peer's fault.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        frame: Inbound,
        gate: &mut dyn Gate,
    ) -> Result<Verdict> {
        let Inbound { correlation, body } = frame;
        let in_handshake = matches!(self.phase, Phase::Handshake(_));
        match body {
            InboundBody::Hello(hello, bytes) => Ok(match &mut self.phase {
                Phase::Handshake(handshake) => handshake
                    .greet(&self.config, hello, &bytes)
                    .map(|answer| self.send(&answer)),
                Phase::Talking(_) | Phase::Ended(_) => {
                    fault(ErrorCode::OutOfOrder, "greeted again")
                }
            }),
            InboundBody::Other(Message::Auth { signature }) => self.begin(now, &signature, gate),
            InboundBody::Other(message @ (Message::Bye { .. } | Message::Error { .. })) => {
                self.farewell(message);
                Ok(Ok(()))
            }
            InboundBody::Changes { .. }
            | InboundBody::Presence(..)
            | InboundBody::Blob { .. }
            | InboundBody::Other(_)
                if in_handshake =>
            {
                Ok(fault(
                    ErrorCode::OutOfOrder,
                    "spoke before the handshake ended",
                ))
            }
            InboundBody::Blob { name, part, cost } => self.blob_came(now, name, (part, cost), gate),
            InboundBody::Changes {
                space,
                class,
                upto,
                cost,
                groups,
            } => {
                if !self.credit.received(class, cost) {
                    return Ok(fault(ErrorCode::OverCredit, "sent changes without credit"));
                }
                self.changes(now, (space, class, upto), groups, gate)
            }
            InboundBody::Presence(presence, is_genuine) => {
                Ok(self.presence(now, presence, is_genuine))
            }
            InboundBody::Other(message) => self.message(now, correlation, message, gate),
        }
    }

    fn message(
        &mut self,
        now: Instant,
        correlation: CorrelationId,
        message: Message,
        gate: &dyn Gate,
    ) -> Result<Verdict> {
        if self.queue.len() >= limits::ANSWERS_MAX {
            let text = "asked for more than it takes answers to";
            return Ok(fault(ErrorCode::OverLimit, text));
        }
        match message {
            Message::Open(open) => return self.opened(now, open, gate),
            Message::Refused { space, code } => {
                if let Some(link) = self.spaces.get_mut(&space) {
                    link.refuse(code);
                }
            }
            Message::Walk(walk) => return Ok(self.walk(now, walk)),
            Message::Want(want) => return self.want(now, want, gate),
            Message::Ack { space, lsn } => return Ok(self.acked(space, lsn)),
            Message::Credit { live, bulk } => self.credit.granted(live, bulk),
            Message::Root { space, root, lsn } => {
                return self.root(now, (space, root, lsn), gate);
            }
            Message::Ping { token } => {
                // Echoes the correlation, so that a round trip can be followed.
                let pong = crate::wire::encode(correlation, &Message::Pong { token });
                self.queue.push_back(Output::Send(pong));
            }
            Message::BlobWant(want) => return Ok(self.blob_wanted(&want)),
            Message::BlobState(state) => return Ok(self.blob_state(now, state)),
            Message::Pong { .. } | Message::Unknown { .. } => {}
            Message::Hello(_)
            | Message::Auth { .. }
            | Message::Changes(_)
            | Message::Presence(_)
            | Message::BlobManifest(_)
            | Message::BlobChunk(_)
            | Message::Bye { .. }
            | Message::Error { .. } => return Ok(fault(ErrorCode::OutOfOrder, "out of order")),
        }
        Ok(Ok(()))
    }

    /// The handshake ends: open our spaces.
    fn begin(&mut self, now: Instant, signature: &[u8; 64], gate: &dyn Gate) -> Result<Verdict> {
        let proved = match &self.phase {
            Phase::Handshake(handshake) => Handshake::prove(handshake, &self.config, signature),
            Phase::Talking(_) | Phase::Ended(_) => fault(ErrorCode::OutOfOrder, "proved twice"),
        };
        let (peer, live, bulk) = match proved {
            Ok(proved) => proved,
            Err(fault) => return Ok(Err(fault)),
        };
        self.credit = Credit::start(live, bulk);
        self.phase = Phase::Talking(peer);
        let Peer { replica, store, .. } = peer;
        self.queue.push_back(Output::Established { replica, store });
        for (space, wanted) in self.config.spaces.clone() {
            // A peer that may not have the space shall not learn that it is here.
            if self.refusal(peer, space).is_some() {
                continue;
            }
            self.open(now, peer, (space, wanted), gate)?;
        }
        Ok(Ok(()))
    }

    /// Why the peer may not have a space, if so.
    pub(super) fn refusal(&self, peer: Peer, space: SpaceId) -> Option<RefusedCode> {
        let request = Request::Open(space);
        match self.config.policy.decide(peer.replica, request) {
            Access::Allowed => None,
            Access::Refused(Refusal::SpaceNotListed) => Some(RefusedCode::UnknownSpace),
            Access::Refused(Refusal::ReplicaNotAdmitted) => Some(RefusedCode::Forbidden),
        }
    }

    /// Opens a space from our side.
    fn open(
        &mut self,
        now: Instant,
        peer: Peer,
        (space, wanted): (SpaceId, Wanted),
        gate: &dyn Gate,
    ) -> Result<()> {
        let cursor = gate.cursor(peer.store, space)?;
        let relay = Relay::new(self.config.store, peer.store);
        let link = SpaceLink::new((space, wanted), cursor, relay, now);
        let open = Open {
            space,
            want: link.ours().clone(),
            root: link.root(gate)?,
            lsn: gate.lsn(space)?,
            acked: link.cursor().received,
            resume: link.resumed,
        };
        self.send(&Message::Open(open));
        self.spaces.insert(space, link);
        Ok(())
    }

    fn opened(&mut self, now: Instant, open: Open, gate: &dyn Gate) -> Result<Verdict> {
        let Phase::Talking(peer) = self.phase else {
            return Ok(Ok(()));
        };
        let space = open.space;
        if let Some(code) = self.refusal(peer, space) {
            self.send(&Message::Refused { space, code });
            return Ok(Ok(()));
        }
        if !self.spaces.contains_key(&space) {
            if self.spaces.len() >= limits::SPACES_PER_SESSION_MAX {
                self.send(&Message::Refused {
                    space,
                    code: RefusedCode::TooMany,
                });
                return Ok(Ok(()));
            }
            self.open(now, peer, (space, Wanted::All), gate)?;
        }
        let is_dialer = self.config.role == Role::Dialer;
        let Some(link) = self.spaces.get_mut(&space) else {
            return Ok(Ok(()));
        };
        if link.is_active() {
            return Ok(fault(ErrorCode::OutOfOrder, "opened a space twice"));
        }
        link.activate(open, is_dialer, gate)?;
        let lsn = link.cursor().acked;
        self.queue.push_back(Output::Acked { space, lsn });
        self.note_opened(space);
        Ok(Ok(()))
    }

    /// The link of an open space; anything said of another one is a violation.
    pub(super) fn active(&mut self, space: SpaceId) -> Verdict<&mut SpaceLink> {
        match self.spaces.get_mut(&space) {
            Some(link) if link.is_active() => Ok(link),
            _ => fault(
                ErrorCode::WrongSpace,
                format!("space {} is not open", space.short()),
            ),
        }
    }

    fn changes(
        &mut self,
        now: Instant,
        (space, class, upto): (SpaceId, Class, Lsn),
        groups: Vec<Group>,
        gate: &mut dyn Gate,
    ) -> Result<Verdict> {
        let Phase::Talking(peer) = self.phase else {
            return Ok(Ok(()));
        };
        self.blobs.hear(now);
        let link = match self.active(space) {
            Ok(link) => link,
            Err(fault) => return Ok(Err(fault)),
        };
        link.progress = now;
        link.stirred |= !groups.is_empty();
        for group in groups {
            if !link.covers(&group.collection) {
                let text = format!("collection {} is not subscribed to", group.collection);
                return Ok(fault(ErrorCode::WrongSpace, text));
            }
            let Group {
                collection,
                record,
                correlation,
                done,
                changes,
            } = group;
            let key = RecordKey {
                space,
                collection,
                record,
            };
            if done {
                link.answered(&key);
            }
            if changes.is_empty() {
                continue;
            }
            link.took(now, &changes);
            let listens = link.relay.listens();
            let came = changes.iter().flatten().filter(|_| listens);
            let came: Vec<_> = came.map(|it| it.bytes().clone()).collect();
            let delivery = Delivery {
                key: key.clone(),
                origin: peer.store,
                correlation,
                changes,
            };
            match gate.deliver(delivery) {
                Ok(taken) => {
                    if taken.waits {
                        link.note_waiting(key, now);
                    }
                    let crossed = taken.all_here && class == Class::Live && !done;
                    for change in &came {
                        link.relay.brought(change, crossed);
                    }
                }
                Err(error) if error.kind() == ErrorKind::TooLarge => {
                    return Ok(fault(ErrorCode::QuarantineFull, error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        if upto > Lsn(0) {
            link.note_received(upto);
        }
        Ok(Ok(()))
    }

    fn walk(&mut self, now: Instant, walk: Walk) -> Verdict {
        let link = self.active(walk.space)?;
        link.progress = now;
        if walk.round > limits::WALK_ROUNDS_MAX {
            return fault(ErrorCode::WalkTooLong, "the walk does not end");
        }
        if walk
            .collections
            .iter()
            .any(|it| !link.covers(&it.collection))
        {
            return fault(
                ErrorCode::WrongSpace,
                "walked a collection that is not subscribed to",
            );
        }
        let mut ranges = walk.collections.iter().flat_map(|it| &it.ranges);
        if !may_be_partial(walk.id) && ranges.any(|it| it.kind == RangeKind::Later) {
            let text = "left differences for later again";
            return fault(ErrorCode::OutOfOrder, text);
        }
        // Each side may have one walk under way, and each has one message in flight.
        if link.walks.len() >= 2 {
            return fault(
                ErrorCode::OutOfOrder,
                "walked on without waiting for the answer",
            );
        }
        link.walks.push_back(walk);
        Ok(())
    }

    fn want(&mut self, now: Instant, want: Want, gate: &dyn Gate) -> Result<Verdict> {
        let link = match self.active(want.space) {
            Ok(link) => link,
            Err(fault) => return Ok(Err(fault)),
        };
        link.progress = now;
        if link.pushes.len() + want.records.len() > limits::PUSH_QUEUE_MAX {
            return Ok(fault(
                ErrorCode::OverLimit,
                "asked for too many records at once",
            ));
        }
        for record in want.records {
            let key = RecordKey {
                space: want.space,
                collection: record.collection,
                record: record.record,
            };
            if !link.covers(&key.collection) {
                return Ok(fault(
                    ErrorCode::WrongSpace,
                    "asked for what is not subscribed to",
                ));
            }
            let named = [record.have.as_slice(), &record.older].concat();
            let unknown: BTreeSet<_> = gate.unknown(&key, &named)?.into_iter().collect();
            // What the peer has and we don't is asked for in return. Of what is older the unknown
            // says nothing: it may be folded here.
            if record.have.iter().any(|it| unknown.contains(it)) {
                link.ask(key.clone());
            }
            let known = named.into_iter().filter(|it| !unknown.contains(it));
            let known: BTreeSet<_> = known.collect();
            if link.push_hashes + known.len() > limits::PUSH_HASHES_MAX {
                let text = "named too many changes at once";
                return Ok(fault(ErrorCode::OverLimit, text));
            }
            let known = known.into_iter().collect();
            let asked = true;
            link.enqueue(Push::Record { key, known, asked });
        }
        Ok(Ok(()))
    }

    fn acked(&mut self, space: SpaceId, lsn: Lsn) -> Verdict {
        let is_news = self.active(space)?.acknowledge(lsn)?;
        if is_news {
            self.queue.push_back(Output::Acked { space, lsn });
        }
        Ok(())
    }

    /// The peer has nothing more for us. If we have nothing more for it and yet differ, walk.
    fn root(
        &mut self,
        now: Instant,
        (space, theirs, _lsn): (SpaceId, Summary, Lsn),
        gate: &dyn Gate,
    ) -> Result<Verdict> {
        let link = match self.active(space) {
            Ok(link) => link,
            Err(fault) => return Ok(Err(fault)),
        };
        let is_idle = link.is_idle(gate.lsn(space)?);
        // While we still have something for the peer the roots have to differ.
        if !is_idle || link.root(gate)? == theirs || plant::is_planted(Plant::TrustRoots) {
            link.note_caught_up();
            return Ok(Ok(()));
        }
        if now < link.repair_at {
            return Ok(Ok(()));
        }
        // A difference that walking can't mend (one side holds back what the other admits) must
        // not make it walk for ever.
        link.repairs += 1;
        let pause = limits::REPAIR_PAUSE * 2_u32.saturating_pow(link.repairs.min(8));
        link.repair_at = now + pause;
        link.start_walk = true;
        Ok(Ok(()))
    }

    fn farewell(&mut self, message: Message) {
        let why = match message {
            Message::Bye { reason, text } => Closed::Bye { reason, text },
            Message::Error { code, text } => Closed::Theirs { code, text },
            Message::Hello(_)
            | Message::Auth { .. }
            | Message::Open(_)
            | Message::Refused { .. }
            | Message::Walk(_)
            | Message::Want(_)
            | Message::Changes(_)
            | Message::Ack { .. }
            | Message::Credit { .. }
            | Message::Root { .. }
            | Message::Ping { .. }
            | Message::Pong { .. }
            | Message::Presence(_)
            | Message::BlobWant(_)
            | Message::BlobManifest(_)
            | Message::BlobChunk(_)
            | Message::BlobState(_)
            | Message::Unknown { .. } => return,
        };
        self.end(why);
    }
}

//! Well-formed messages with contents that need not be true.

use std::sync::Arc;

use bytes::Bytes;

use super::{Script, material};
use crate::id::{
    ChangeHash, CollectionId, CorrelationId, Heads, Lsn, RecordId, ReplicaId, SpaceId,
};
use crate::reconcile::{
    Inventory as _, RangeKey, RangeKind, Span, Summary, Total, Upper, WalkCollection, WalkItem,
    WalkRange,
};
use crate::replica::Replica;
use crate::wire::{
    ByeReason, ChangeGroup, Changes, Class, ErrorCode, Message, Note, Open, Place, Presence,
    RefusedCode, Slot, Spot, Stamp, Walk, Want, WantRecord, Wanted, Word,
};

/// Records that the other side has, in each of two collections.
pub(super) const RECORDS: usize = 6;

/// Chooses what to say to the owner of a replica, knowing all that is in it.
pub(super) struct Liar<'a, 'b> {
    pub script: &'a mut Script<'b>,
    pub replica: &'a Replica,
    pub space: SpaceId,
}

pub(super) fn collection(number: usize) -> CollectionId {
    let name = ["notes", "tasks", "strange"].get(number);
    let name = name.copied().unwrap_or("notes");
    name.parse().expect("a name")
}

pub(super) fn record(number: usize) -> RecordId {
    RecordId::named(&number.to_string())
}

impl Liar<'_, '_> {
    pub(super) fn message(&mut self) -> Message {
        let space = self.any_space();
        match self.script.below(14) {
            0 => self.open(space),
            1 => Message::Ack {
                space,
                lsn: self.lsn(),
            },
            2 => self.want(space),
            3 => self.walk(space),
            4..=6 => self.changes(space),
            7 => Message::Credit {
                live: self.script.number(),
                bulk: self.script.number(),
            },
            8 => Message::Root {
                space,
                root: self.summary(),
                lsn: self.lsn(),
            },
            9 => Message::Ping {
                token: self.script.number(),
            },
            10 => Message::Pong {
                token: self.script.number(),
            },
            11 => Message::Refused {
                space,
                code: RefusedCode::from_code(self.script.short()),
            },
            12 => self.optional(space),
            _ => self.end(),
        }
    }

    /// A presence, or a message that nobody knows.
    fn optional(&mut self, space: SpaceId) -> Message {
        let kind = self.script.byte();
        if kind >= 0x80 {
            // One that is known would have no body.
            let kind = kind.max(0x90);
            return Message::Unknown { kind };
        }
        let place = if self.script.chance() {
            Place::Space
        } else {
            Place::Record(self.collection(), self.record())
        };
        let note = Note {
            stamp: Stamp {
                session: self.script.number(),
                number: self.script.number(),
            },
            ttl_millis: u32::from(self.script.short()),
            payload: Bytes::new(),
            signature: [self.script.byte(); 64],
        };
        let word = Word::Said {
            hops: kind % 16,
            left_millis: note.ttl_millis,
            note: Arc::new(note),
        };
        let slot = Slot {
            space,
            place,
            topic: "cursor".parse().expect("a topic"),
        };
        let author = ReplicaId::from_bytes([self.script.byte(); 32]);
        let spot = Spot { slot, author };
        let word = if kind.is_multiple_of(2) {
            word
        } else {
            Word::Lost
        };
        Message::Presence(Presence { spot, word })
    }

    fn end(&mut self) -> Message {
        let text = "words".to_owned();
        let code = self.script.short();
        if self.script.chance() {
            let reason = ByeReason::from_code(code);
            Message::Bye { reason, text }
        } else {
            let code = ErrorCode::from_code(code);
            Message::Error { code, text }
        }
    }

    fn any_space(&mut self) -> SpaceId {
        match self.script.below(16) {
            0 => SpaceId::named("elsewhere"),
            1 => SpaceId::from_bytes([self.script.byte(); 16]),
            _ => self.space,
        }
    }

    fn lsn(&mut self) -> Lsn {
        let end = self.replica.lsn(self.space).expect("readable").0;
        Lsn(match self.script.below(6) {
            0 => 0,
            1 => end,
            2 => end.saturating_add(1),
            3 => end.saturating_sub(1),
            4 => end / 2,
            _ => self.script.number(),
        })
    }

    fn collection(&mut self) -> CollectionId {
        collection(self.script.below(3))
    }

    fn record(&mut self) -> RecordId {
        record(self.script.below(RECORDS + 2))
    }

    fn hash(&mut self) -> ChangeHash {
        let history = material::history();
        match history.get(self.script.below(history.len() + 2)) {
            Some(change) => change.hash(),
            None => ChangeHash::from_bytes([self.script.byte(); 32]),
        }
    }

    fn hashes(&mut self) -> Vec<ChangeHash> {
        (0..self.script.below(4)).map(|_| self.hash()).collect()
    }

    fn summary(&mut self) -> Summary {
        match self.script.below(4) {
            0 => Summary::default(),
            1 => {
                let mut total = Total::default();
                for name in self.replica.collections(self.space).expect("readable") {
                    let one = self.replica.total(self.space, &name, Span::ALL);
                    total.merge(&one.expect("readable"));
                }
                total.summary()
            }
            2 => {
                let name = self.collection();
                let total = self.replica.total(self.space, &name, Span::ALL);
                total.expect("readable").summary()
            }
            _ => Summary {
                count: self.script.number(),
                sum: [self.script.byte(); 16],
            },
        }
    }

    fn open(&mut self, space: SpaceId) -> Message {
        let want = match self.script.below(4) {
            0 => Wanted::Only([self.collection()].into()),
            1 => Wanted::Only([].into()),
            _ => Wanted::All,
        };
        Message::Open(Open {
            space,
            want,
            root: self.summary(),
            lsn: self.lsn(),
            acked: self.lsn(),
            resume: self.script.chance(),
        })
    }

    fn want(&mut self, space: SpaceId) -> Message {
        let records = (0..self.script.below(8)).map(|_| WantRecord {
            collection: self.collection(),
            record: self.record(),
            have: self.hashes(),
            older: self.hashes(),
        });
        let records = records.collect();
        Message::Want(Want { space, records })
    }

    fn changes(&mut self, space: SpaceId) -> Message {
        let class = [Class::Live, Class::Bulk]
            .get(self.script.below(2))
            .copied();
        let upto = self.lsn();
        let groups = (0..self.script.below(4)).map(|_| {
            let changes: Vec<_> = (0..self.script.below(5)).map(|_| self.change()).collect();
            ChangeGroup {
                collection: self.collection(),
                record: self.record(),
                correlation: CorrelationId(self.script.number()),
                done: changes.is_empty() || self.script.chance(),
                changes,
            }
        });
        let groups = groups.collect();
        Message::Changes(Changes {
            space,
            class: class.unwrap_or(Class::Live),
            upto,
            groups,
        })
    }

    /// A change as it was made, with some bytes replaced, or no change at all.
    fn change(&mut self) -> Bytes {
        let history = material::history();
        let kind = self.script.below(8);
        match (history.get(self.script.below(history.len())), kind) {
            (Some(change), 0..5) => change.bytes().clone(),
            (Some(change), 5..7) => material::forged(change.bytes(), self.script).into(),
            _ => Bytes::copy_from_slice(&[self.script.byte(); 9]),
        }
    }

    fn walk(&mut self, space: SpaceId) -> Message {
        let id = self.script.number();
        let round = match self.script.below(4) {
            0 => 0,
            1 => 1,
            _ => u32::try_from(self.script.number()).unwrap_or(u32::MAX),
        };
        let mut collections: Vec<_> = (0..self.script.below(3))
            .map(|_| WalkCollection {
                collection: self.collection(),
                ranges: self.ranges(),
            })
            .collect();
        collections.sort_by(|left, right| left.collection.cmp(&right.collection));
        collections.dedup_by(|left, right| left.collection == right.collection);
        Message::Walk(Walk {
            space,
            id,
            round,
            collections,
        })
    }

    /// Side by side, as the form asks, and with any contents.
    fn ranges(&mut self) -> Vec<WalkRange> {
        let mut lower = RangeKey::START;
        let mut ranges = Vec::new();
        for _ in 0..self.script.below(5) {
            let step = self.script.number();
            let upper = RangeKey {
                time: lower.time.saturating_add(step),
                record: RecordId::from_bytes([self.script.byte(); 16]),
            };
            if upper > lower {
                ranges.push(self.range(lower, Upper::Key(upper)));
                lower = upper;
            }
        }
        ranges.push(self.range(lower, Upper::End));
        ranges
    }

    fn range(&mut self, lower: RangeKey, upper: Upper) -> WalkRange {
        let kind = match self.script.below(4) {
            0 => RangeKind::Skip,
            1 | 2 => RangeKind::Summary(self.summary()),
            _ => {
                let mut items: Vec<_> = (0..self.script.below(4))
                    .map(|_| WalkItem {
                        time: lower
                            .time
                            .saturating_add(u64::from(self.script.byte() >> 6)),
                        record: self.record(),
                        heads: self.hashes().into_iter().collect::<Heads>(),
                    })
                    .collect();
                items.sort_by_key(WalkItem::key);
                items.dedup_by_key(|it| it.key());
                items.retain(|it| it.key() >= lower && Upper::Key(it.key()) < upper);
                RangeKind::Items(items)
            }
        };
        WalkRange { upper, kind }
    }
}

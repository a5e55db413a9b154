//! Walks between two sets of records, against the difference that comparing all of them gives.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::blob::{Manifest, Missing};
use crate::error::Result;
use crate::id::{BlobId, ChangeHash, CollectionId, Heads, Lsn, RecordId, RecordKey, SpaceId};

const SPACE: SpaceId = SpaceId::from_bytes([1; 16]);

fn collection(number: u8) -> CollectionId {
    ["notes", "tasks", "users"][usize::from(number) % 3]
        .parse()
        .unwrap()
}

fn change(number: u8) -> ChangeHash {
    ChangeHash::from_bytes([number; 32])
}

/// Records of which every change is a head: of two such records the union is the merge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Records(BTreeMap<(CollectionId, RecordId), BTreeSet<u8>>);

impl Records {
    fn of(&self, key: &RecordKey) -> BTreeSet<u8> {
        let name = (key.collection.clone(), key.record);
        self.0.get(&name).cloned().unwrap_or_default()
    }

    fn receive(&mut self, key: &RecordKey, changes: BTreeSet<u8>) {
        let name = (key.collection.clone(), key.record);
        self.0.entry(name).or_default().extend(changes);
    }

    fn heads_of(changes: &BTreeSet<u8>) -> Heads {
        changes.iter().map(|it| change(*it)).collect()
    }

    /// What lies between the cuts of a span.
    fn totals(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        span: Span,
        cuts: impl IntoIterator<Item = RangeKey>,
    ) -> Result<Vec<(Upper, Total)>> {
        let mut lower = span.lower;
        let mut parts = Vec::new();
        for upper in cuts.into_iter().map(Upper::Key).chain([span.upper]) {
            let part = Span { lower, upper };
            parts.push((upper, self.total(space, collection, part)?));
            if let Upper::Key(key) = upper {
                lower = key;
            }
        }
        Ok(parts)
    }

    /// The records of a span, oldest first.
    fn within(&self, collection: &CollectionId, span: Span) -> Vec<WalkItem> {
        let records = self.0.iter().filter(|((it, _), _)| it == collection);
        let items = records.map(|((_, record), changes)| WalkItem {
            // Newer changes have higher numbers, and some records share a time.
            time: changes.iter().max().map_or(0, |it| u64::from(*it) / 3),
            record: *record,
            heads: Self::heads_of(changes),
        });
        let inside = |it: &WalkItem| {
            it.key() >= span.lower
                && (Upper::Key(it.key()) < span.upper || span.upper == Upper::End)
        };
        let mut items: Vec<_> = items.filter(inside).collect();
        items.sort_by_key(WalkItem::key);
        items
    }
}

impl Inventory for Records {
    fn collections(&self, _: SpaceId) -> Result<Vec<CollectionId>> {
        let names: BTreeSet<_> = self.0.keys().map(|(it, _)| it.clone()).collect();
        Ok(names.into_iter().collect())
    }

    fn total(&self, _: SpaceId, collection: &CollectionId, span: Span) -> Result<Total> {
        let mut total = Total::default();
        for item in self.within(collection, span) {
            total.add(&Element::of(collection, item.record, &item.heads));
        }
        Ok(total)
    }

    fn items(
        &self,
        _: SpaceId,
        collection: &CollectionId,
        span: Span,
        limit: usize,
    ) -> Result<Vec<WalkItem>> {
        let items = self.within(collection, span);
        Ok(items.into_iter().rev().take(limit).collect())
    }

    fn parts(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        span: Span,
        limit: usize,
    ) -> Result<Vec<(Upper, Total)>> {
        let items = self.within(collection, span);
        let cuts = (1..limit).map(|part| items[items.len() * part / limit].key());
        let cuts: BTreeSet<_> = cuts.filter(|it| *it > span.lower).collect();
        self.totals(space, collection, span, cuts)
    }

    fn newest(
        &self,
        space: SpaceId,
        collection: &CollectionId,
        span: Span,
        leaf: usize,
    ) -> Result<Vec<(Upper, Total)>> {
        let items = self.within(collection, span);
        let mut cuts = Vec::new();
        let mut size = leaf;
        while size < items.len() {
            cuts.push(items[items.len() - size].key());
            size *= 16;
        }
        let cuts = cuts.into_iter().rev().filter(|it| *it > span.lower);
        self.totals(space, collection, span, cuts)
    }

    fn heads(&self, key: &RecordKey) -> Result<Option<Heads>> {
        let changes = self.of(key);
        Ok((!changes.is_empty()).then(|| Self::heads_of(&changes)))
    }

    fn unknown(&self, key: &RecordKey, hashes: &[ChangeHash]) -> Result<Vec<ChangeHash>> {
        let known = Self::heads_of(&self.of(key));
        let is_new = |it: &&ChangeHash| !known.as_slice().contains(it);
        Ok(hashes.iter().filter(is_new).copied().collect())
    }

    fn samples(&self, key: &RecordKey) -> Result<Vec<ChangeHash>> {
        Ok(Self::heads_of(&self.of(key)).as_slice().to_vec())
    }

    fn lacking(&self, _: &RecordKey, _: &[ChangeHash]) -> Result<Vec<Piece>> {
        Ok(Vec::new())
    }

    fn snapshot(&self, _: &RecordKey) -> Result<Option<Snapshot>> {
        Ok(None)
    }

    fn horizon(&self, _: SpaceId) -> Result<Lsn> {
        Ok(Lsn(0))
    }

    fn blob_manifest(&self, _: SpaceId, _: BlobId) -> Result<Option<Manifest>> {
        Ok(None)
    }

    fn blob_chunk(&self, _: SpaceId, _: BlobId, _: u32) -> Result<Option<Bytes>> {
        Ok(None)
    }

    fn blob_missing(&self, _: SpaceId, _: BlobId, _: (&BTreeSet<u32>, usize)) -> Result<Missing> {
        Ok(Missing::Manifest)
    }

    fn weight(&self, _: &RecordKey) -> Result<u64> {
        Ok(0)
    }

    fn lsn(&self, _: SpaceId) -> Result<Lsn> {
        Ok(Lsn(0))
    }

    fn entry(&self, _: SpaceId, _: Lsn) -> Result<Option<LogEntry>> {
        Ok(None)
    }

    fn log(
        &self,
        _: SpaceId,
        _: Lsn,
        _: &mut dyn FnMut(LogEntry) -> ControlFlow<()>,
    ) -> Result<()> {
        Ok(())
    }
}

/// What a walk comes to: the records that one side sends the other, by side, and the messages.
#[derive(Default)]
struct Found {
    sends: [BTreeSet<RecordKey>; 2],
    messages: usize,
    /// Something was left for the next walk.
    later: bool,
}

fn walk(sides: &[Records; 2], extent: Extent) -> Found {
    let mut found = Found::default();
    let all = |side: usize| sides[side].collections(SPACE).unwrap();
    let mut message = start(&sides[0], SPACE, &all(0)).unwrap();
    loop {
        found.messages += 1;
        assert!(found.messages < 40, "the walk does not end");
        let side = found.messages % 2;
        let added = if found.messages == 1 {
            all(1)
        } else {
            Vec::new()
        };
        let step = respond(&sides[side], SPACE, &message, &added, extent).unwrap();
        let kinds = step.reply.iter().flat_map(|it| &it.ranges);
        found.later |= kinds.into_iter().any(|it| it.kind == RangeKind::Later);
        for push in step.push {
            found.sends[side].extend(pushed(&sides[side], push));
        }
        for key in step.want {
            // Who is asked sees what the other has, and asks for it in return.
            let ours = sides[side].samples(&key).unwrap();
            if !sides[1 - side].unknown(&key, &ours).unwrap().is_empty() {
                found.sends[side].insert(key.clone());
            }
            found.sends[1 - side].insert(key);
        }
        if step.reply.is_empty() {
            return found;
        }
        message = step.reply;
    }
}

fn pushed(side: &Records, push: Push) -> Vec<RecordKey> {
    match push {
        Push::Record { key, .. } => vec![key],
        Push::Range {
            collection,
            span,
            listed,
            ..
        } => {
            let items = side.within(&collection, span).into_iter();
            let open = items.filter(|it| !listed.contains(&it.record));
            open.map(|it| RecordKey {
                space: SPACE,
                collection: collection.clone(),
                record: it.record,
            })
            .collect()
        }
    }
}

/// Two sides that share most records; of the rest one side lacks all, or some changes.
fn sides() -> impl Strategy<Value = [Records; 2]> {
    let changes = || prop::collection::btree_set(1..90_u8, 1..4);
    let record = (0..3_u8, changes(), 0..40_u8, changes());
    prop::collection::vec(record, 0..900).prop_map(|records| {
        let mut sides = [Records::default(), Records::default()];
        for (number, (name, changes, differs, more)) in records.into_iter().enumerate() {
            let key = RecordKey {
                space: SPACE,
                collection: collection(name),
                record: RecordId::named(&number.to_string()),
            };
            let (left, right) = match differs {
                0 => (Some(changes), None),
                1 => (None, Some(changes)),
                2 => (Some(&changes | &more), Some(changes)),
                3 => (Some(changes), Some(more)),
                _ => (Some(changes.clone()), Some(changes)),
            };
            for (side, changes) in sides.iter_mut().zip([left, right]) {
                if let Some(changes) = changes {
                    side.receive(&key, changes);
                }
            }
        }
        sides
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_walk_finds_the_records_that_differ_and_no_others(sides in sides()) {
        let [left, right] = &sides;
        let found = walk(&sides, Extent::All);
        let names: BTreeSet<_> = left.0.keys().chain(right.0.keys()).cloned().collect();
        for (collection, record) in names {
            let key = RecordKey { space: SPACE, collection, record };
            let (ours, theirs) = (left.of(&key), right.of(&key));
            for (side, (from, to)) in [(&ours, &theirs), (&theirs, &ours)].into_iter().enumerate() {
                let is_sent = found.sends[side].contains(&key);
                if !from.is_subset(to) {
                    prop_assert!(is_sent, "{side} does not send {key}: {ours:?} {theirs:?}");
                }
                if from == to {
                    prop_assert!(!is_sent, "{side} sends {key} for nothing");
                }
            }
        }
        // Sixteen parts at a time: 900 records are three levels, and each takes one message.
        prop_assert!(found.messages <= 8, "{} messages", found.messages);
    }
}

#[test]
fn equal_sides_part_after_one_message() {
    let key = RecordKey {
        space: SPACE,
        collection: collection(0),
        record: RecordId::named("one"),
    };
    let mut side = Records::default();
    side.receive(&key, [1, 2].into());
    let found = walk(&[side.clone(), side], Extent::All);
    assert_eq!(found.messages, 1);
    assert_eq!(found.sends, [BTreeSet::new(), BTreeSet::new()]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_walk_of_the_newest_finds_all_or_says_that_it_did_not(sides in sides()) {
        let [left, right] = &sides;
        let found = walk(&sides, Extent::Newest);
        let names: BTreeSet<_> = left.0.keys().chain(right.0.keys()).cloned().collect();
        for (collection, record) in names {
            let key = RecordKey { space: SPACE, collection, record };
            let (ours, theirs) = (left.of(&key), right.of(&key));
            for (side, (from, to)) in [(&ours, &theirs), (&theirs, &ours)].into_iter().enumerate() {
                let is_sent = found.sends[side].contains(&key);
                prop_assert!(found.later || is_sent || from.is_subset(to), "{side} keeps {key}");
                prop_assert!(from != to || !is_sent, "{side} sends {key} for nothing");
            }
        }
    }
}

#[test]
fn records_edited_on_one_side_are_found_without_looking_where_they_were() {
    let record = |number: usize| (collection(0), RecordId::named(&number.to_string()));
    let mut old = Records::default();
    for number in 0..800 {
        let time = u8::try_from(number / 10).unwrap();
        old.0.insert(record(number), [time].into());
    }
    let mut new = old.clone();
    for number in (0..800).step_by(100) {
        new.0.get_mut(&record(number)).unwrap().insert(89);
    }
    let found = walk(&[old, new], Extent::Newest);
    assert!(found.later && found.messages <= 6, "{}", found.messages);
    assert_eq!(found.sends[1].len(), 8);
}

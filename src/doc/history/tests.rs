//! Histories and versions of documents.

use proptest::prelude::*;

use super::*;
use crate::doc::{Change, EditMeta, Value};

pub(super) fn json(json: &str) -> Value {
    Value::from_json(&serde_json::from_str(json).unwrap()).unwrap()
}

pub(super) fn actor(number: u8) -> ActorId {
    ActorId::from_bytes(vec![number; 16])
}

fn at(seconds: u64) -> EditMeta {
    EditMeta::at(WallTime::from_millis(seconds * 1_000))
}

/// Sets `n` to this number.
fn set(document: &mut Document, meta: EditMeta, number: i64) -> Change {
    let edited =
        document.edit::<_, Error>(meta, |edit| edit.set(&["n".into()], &Value::Int(number)));
    edited.unwrap().1.unwrap()
}

fn number(document: &Document, heads: &Heads) -> Option<Value> {
    let value = document.value_at(heads).unwrap();
    value.get(&["n".into()]).cloned()
}

fn named(document: &Document, name: &str) -> Result<Heads, Error> {
    document.version(&document.heads(), &name.parse()?)
}

fn start(text: &str, digits: usize) -> String {
    text.chars().take(digits).collect()
}

fn hashes(revisions: &Revisions) -> Vec<ChangeHash> {
    revisions.list.iter().map(|it| it.hash).collect()
}

#[test]
fn a_history_says_who_when_and_why() {
    let mut document = Document::new(&actor(1));
    let mut other = Document::new(&actor(2));
    let first = set(&mut document, at(10), 1);
    other.apply(std::slice::from_ref(&first)).unwrap();
    let mut meta = at(20);
    meta.message = Some("because".to_owned());
    let second = set(&mut other, meta, 2);
    document.apply(std::slice::from_ref(&second)).unwrap();

    let history = document.history(&document.heads(), 10, None).unwrap();
    assert_eq!(history.next, None);
    let expected = [
        Revision {
            hash: second.hash(),
            author: actor(2),
            is_own: false,
            time: WallTime::from_millis(20_000),
            kind: RevisionKind::Edit,
            reason: Some("because".to_owned()),
            parents: vec![first.hash()],
            operations: 1,
        },
        Revision {
            hash: first.hash(),
            author: actor(1),
            is_own: true,
            time: WallTime::from_millis(10_000),
            kind: RevisionKind::Edit,
            reason: None,
            parents: vec![],
            operations: 1,
        },
    ];
    assert_eq!(history.list, expected);
}

#[test]
fn a_long_history_comes_in_parts() {
    let mut document = Document::new(&actor(1));
    let changes: Vec<_> = (0..7)
        .map(|it| set(&mut document, at(5), it).hash())
        .collect();
    let heads = document.heads();
    let (mut before, mut parts, mut all) = (None, 0, Vec::new());
    loop {
        let part = document.history(&heads, 3, before).unwrap();
        assert!(part.list.len() <= 3);
        all.extend(hashes(&part));
        parts += 1;
        before = part.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(parts, 3);
    assert!(all.iter().eq(changes.iter().rev()));
    let unknown = Some(ChangeHash::from_bytes([7; 32]));
    let error = document.history(&heads, 3, unknown).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let none = document.history(&heads, 0, None).unwrap();
    assert_eq!((none.list, none.next), (vec![], None));
}

#[test]
fn a_history_at_heads_leaves_out_what_came_later() {
    let mut document = Document::new(&actor(1));
    let first = set(&mut document, at(5), 1).hash();
    let heads = document.heads();
    let second = set(&mut document, at(6), 2).hash();
    assert_eq!(hashes(&document.history(&heads, 9, None).unwrap()), [first]);
    let later = document.version(&heads, &second.into()).unwrap_err();
    assert_eq!(later.kind(), ErrorKind::NotFound);
}

#[test]
fn a_version_has_a_hash_or_the_beginning_of_one() {
    let mut document = Document::new(&actor(1));
    let first = set(&mut document, at(5), 1).hash();
    set(&mut document, at(6), 2);
    let text = first.to_string();
    for digits in [6, 7, 40, 64] {
        let (name, _) = text.split_at(digits);
        let heads = named(&document, name).unwrap();
        assert_eq!(number(&document, &heads), Some(Value::Int(1)));
        let upper = named(&document, &name.to_uppercase()).unwrap();
        assert_eq!(upper, heads);
    }
    let wrong = |name: &str| named(&document, name).unwrap_err().kind();
    assert_eq!(wrong(&start(&text, 5)), ErrorKind::InvalidInput);
    assert_eq!(wrong(&format!("{text}0")), ErrorKind::InvalidInput);
    assert_eq!(wrong("no such"), ErrorKind::InvalidInput);
    assert_eq!(wrong(""), ErrorKind::InvalidInput);
    assert_eq!(wrong(&"f".repeat(64)), ErrorKind::NotFound);
}

#[test]
fn a_beginning_that_several_hashes_have_is_refused() {
    let mut document = Document::new(&actor(1));
    let mut seen = std::collections::BTreeMap::new();
    // Of 16 million beginnings two of a few thousand are soon the same.
    let (first, second) = (0..40_000)
        .find_map(|it| {
            let hash = set(&mut document, at(5), it).hash();
            let name = start(&hash.to_string(), 6);
            seen.insert(name, hash).map(|old| (old, hash))
        })
        .unwrap();
    let short = &start(&first.to_string(), 6);
    let error = named(&document, short).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(
        text.contains(&first.to_string()) && text.contains(&second.to_string()),
        "{text}"
    );
    assert!(named(&document, &first.to_string()).is_ok());
}

#[test]
fn a_time_stands_for_the_changes_up_to_it_that_have_all_their_ancestors() {
    let mut document = Document::new(&actor(1));
    let mut other = Document::new(&actor(2));
    let first = set(&mut document, at(100), 1);
    other.apply(&[first]).unwrap();
    let second = set(&mut document, at(200), 2);
    // Made on top of the second, by a clock that is behind.
    let third = set(&mut document, at(150), 3);
    let beside = set(&mut other, at(160), 4);
    document.apply(std::slice::from_ref(&beside)).unwrap();
    let as_of = |seconds: u64| {
        let time = WallTime::from_millis(seconds * 1_000 + 999);
        document.version(&document.heads(), &time.into()).unwrap()
    };
    assert!(as_of(99).is_empty());
    assert_eq!(number(&document, &as_of(155)), Some(Value::Int(1)));
    assert_eq!(as_of(160), Heads::from_iter([beside.hash()]));
    let all = Heads::from_iter([beside.hash(), third.hash()]);
    assert_eq!(as_of(200), all);
    assert!(!all.contains(&second.hash()));
    let before = WallTime::from_millis(99_999);
    let none = document.version(&document.heads(), &before.into());
    assert!(none.unwrap().is_empty());
}

#[test]
fn times_are_read_with_their_offset() {
    let version = |text: &str| text.parse::<Version>().unwrap();
    assert_eq!(
        version("1970-01-01T01:00:01+01:00"),
        Version::from(WallTime::from_millis(1_000))
    );
    for wrong in [
        "2026-11-22",
        "1969-12-31T23:59:59Z",
        "12:00",
        "2026-13-01T00:00:00Z",
    ] {
        let error = wrong.parse::<Version>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn replicas_list_the_same_changes_in_the_same_order_each_after_what_follows_it(
        steps in prop::collection::vec((0_usize..3, 0_u64..4, 0_usize..4), 1..30),
    ) {
        let mut documents: Vec<_> = (0..3).map(|it| Document::new(&actor(it))).collect();
        let mut changes: Vec<Change> = Vec::new();
        for (number, (who, time, from)) in (0..).zip(steps) {
            if let Some(from) = (from < 3).then_some(from) {
                let lacking: Vec<_> = changes
                    .iter()
                    .filter(|it| documents[from].has(&it.hash()) && !documents[who].has(&it.hash()))
                    .cloned()
                    .collect();
                documents[who].apply(&lacking).unwrap();
            }
            changes.push(set(&mut documents[who], at(time), number));
        }
        let mut forth = Document::new(&actor(7));
        forth.apply(&changes).unwrap();
        let saved = forth.save().unwrap();
        let loaded = Document::load(&actor(8), [saved.as_slice()]).unwrap();
        let own: Vec<_> = documents
            .iter()
            .flat_map(|it| {
                let own = changes.iter().filter(|change| it.has(&change.hash()));
                own.cloned().collect::<Vec<_>>()
            })
            .chain(changes.iter().cloned())
            .collect();
        let mut other = Document::new(&actor(9));
        other.apply(&own).unwrap();
        let list = |it: &Document| it.history(&it.heads(), 100, None).unwrap().list;
        let order = hashes(&forth.history(&forth.heads(), 100, None).unwrap());
        for replica in [&loaded, &other] {
            let same: Vec<_> = list(replica).iter().map(|it| it.hash).collect();
            prop_assert_eq!(&same, &order);
        }
        prop_assert_eq!(order.len(), changes.len());
        for revision in list(&forth) {
            let place = order.iter().position(|it| *it == revision.hash);
            for parent in &revision.parents {
                prop_assert!(order.iter().position(|it| it == parent) > place);
            }
        }
    }
}

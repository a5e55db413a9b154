//! What is let in, and what of it counts, follows from what was received and not from its order.

use std::collections::BTreeSet;

use super::*;
use crate::doc::change::fits;
use crate::id::ChangeHash;
use crate::replica::Reason;
use crate::store::Table;

fn rows_of<T>(store: &TestStore, read: impl FnOnce(&Rows<'_>) -> T) -> T {
    let snapshot = store.snapshot().unwrap();
    read(&Rows::new(snapshot.as_ref()))
}

fn header(store: &TestStore, key: &RecordKey) -> crate::replica::Header {
    rows_of(store, |rows| {
        let slot = rows.slot(key).unwrap().unwrap();
        rows.header(slot).unwrap().unwrap()
    })
}

fn value(store: &TestStore, key: &RecordKey) -> Value {
    let actor = ActorId::from_bytes(vec![77; 16]);
    let loaded = rows_of(store, |rows| Loaded::open(rows, key, &actor).unwrap());
    assert_eq!(loaded.document.heads(), header(store, key).shown());
    loaded.document.value().unwrap()
}

fn reasons(replica: &Replica) -> Vec<(ChangeHash, &'static str)> {
    let held = replica.quarantined(1_000).unwrap();
    held.iter().map(|it| (it.hash, it.reason.name())).collect()
}

/// Two changes with one writer and one number, the lesser one, that counts, first.
fn twins(key: &RecordKey) -> [Change; 2] {
    let [one, other] = [1, 2].map(|value| Writer::stranger(1, key).set("n", value));
    if one.hash() < other.hash() {
        [one, other]
    } else {
        [other, one]
    }
}

#[test]
fn of_two_changes_with_one_number_of_one_writer_the_smaller_hash_counts_whatever_came_first() {
    let key = key("notes");
    let [winner, loser] = twins(&key);
    for order in [[&winner, &loser], [&loser, &winner]] {
        let (store, mut replica) = replica();
        for change in order {
            let admitted = deliver(&mut replica, &key, vec![Ok(change.clone())]);
            assert!(matches!(admitted.as_slice(), [Admission::Applied(_)]));
        }
        // Both are here and relayed, so that everybody decides on the same.
        assert_eq!(header(&store, &key).hashes().as_slice().len(), 2);
        assert_eq!(header(&store, &key).shown().as_slice(), [winner.hash()]);
        assert_eq!(reasons(&replica), [(loser.hash(), "equivocation")]);
        let expected = Writer::stranger(3, &key).0;
        let mut expected = expected;
        expected.apply(std::slice::from_ref(&winner)).unwrap();
        assert_eq!(value(&store, &key), expected.value().unwrap());
    }
}

#[test]
fn what_was_built_on_a_change_goes_with_it_when_its_lesser_twin_comes() {
    let key = key("notes");
    let [winner, loser] = twins(&key);
    let (store, mut replica) = replica();
    let mut reader = Writer::stranger(5, &key);
    reader.0.apply(std::slice::from_ref(&loser)).unwrap();
    let follower = reader.set("m", 7);
    deliver(
        &mut replica,
        &key,
        vec![Ok(loser.clone()), Ok(follower.clone())],
    );
    let actor = ActorId::from_bytes(vec![78; 16]);
    let mut loaded = rows_of(&store, |rows| Loaded::open(rows, &key, &actor).unwrap());
    assert!(loaded.document.has(&follower.hash()));
    deliver(&mut replica, &key, vec![Ok(winner.clone())]);
    let mut expected = vec![
        (loser.hash(), "equivocation"),
        (follower.hash(), "follows_refused"),
    ];
    expected.sort_unstable();
    assert_eq!(reasons(&replica), expected);
    // A document that was loaded before is made again without them.
    rows_of(&store, |rows| loaded.refresh(rows, &key).unwrap());
    assert_eq!(loaded.document.heads().as_slice(), [winner.hash()]);
    assert_eq!(value(&store, &key), loaded.document.value().unwrap());
}

#[test]
fn a_writer_whose_changes_were_forged_goes_on_under_another_name() {
    let key = key("notes");
    let (store, mut replica) = replica();
    let own = ActorId::of(replica.id(), &key);
    let load = |store: &TestStore| rows_of(store, |rows| Loaded::open(rows, &key, &own).unwrap());
    // Somebody forges the first change of this store, until the forgery wins.
    let mut mine = Writer(load(&store).document);
    let ours = mine.set("n", 0);
    let forgeries = (1..).map(|value| Writer(Document::new(&own)).set("n", value));
    let forged = forgeries.into_iter().find(|it| it.hash() < ours.hash());
    deliver(&mut replica, &key, vec![Ok(ours), Ok(forged.unwrap())]);
    let mut mine = Writer(load(&store).document);
    let next = mine.set("n", 99);
    assert_ne!(next.actor(), &own);
    let write = Write {
        key: key.clone(),
        change: next.clone(),
        view: None,
        must_be_new: false,
    };
    replica.capture(&[write], CorrelationId(1)).unwrap();
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(header(&store, &key).shown().as_slice(), [next.hash()]);
}

#[test]
fn an_edit_of_what_was_refused_meanwhile_is_a_conflict() {
    let key = key("notes");
    let [winner, loser] = twins(&key);
    let (_, mut replica) = replica();
    deliver(&mut replica, &key, vec![Ok(loser.clone())]);
    let mut mine = Writer::new(replica.id(), &key);
    mine.0.apply(&[loser]).unwrap();
    let edit = mine.set("m", 1);
    deliver(&mut replica, &key, vec![Ok(winner)]);
    let write = Write {
        key,
        change: edit,
        view: None,
        must_be_new: false,
    };
    let error = replica.capture(&[write], CorrelationId(1)).unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::Conflict);
}

#[test]
fn a_number_that_does_not_follow_the_writers_own_ancestors_is_a_gap() {
    let key = key("notes");
    let (_, mut replica) = replica();
    let mut writer = Writer::stranger(1, &key);
    let first = writer.set("n", 1);
    let mut other = Writer::stranger(2, &key);
    let beside = other.set("m", 1);
    // The same writer, with its number 2 on a state in which its number 1 is not.
    let second = writer.set("n", 2);
    let forged = crate::doc::forge::moved(&second, &[beside.hash()], second.seq()).unwrap();
    let forged = Change::verify(forged).unwrap();
    let admitted = deliver(
        &mut replica,
        &key,
        vec![Ok(first), Ok(beside), Ok(forged.clone())],
    );
    assert_eq!(admitted[2], Admission::Held(Reason::SequenceGap));
    // Alone as with others: the same verdict.
    assert_eq!(reasons(&replica), [(forged.hash(), "sequence_gap")]);
}

/// Changes of three writers who now and then write from an older state, and so give numbers twice.
fn forks(seed: u64, key: &RecordKey) -> Vec<Change> {
    let mut entropy = Entropy::from_number(seed);
    let mut changes: Vec<Change> = Vec::new();
    for value in 0..16 {
        let mut known = BTreeSet::new();
        let mut open: Vec<ChangeHash> = (0..2)
            .filter_map(|_| {
                let at = entropy.below(changes.len() as u64);
                changes.get(usize::try_from(at).unwrap()).map(Change::hash)
            })
            .collect();
        while let Some(hash) = open.pop() {
            let change = changes.iter().find(|it| it.hash() == hash).unwrap();
            if known.insert(hash) {
                open.extend(change.deps());
            }
        }
        let base: Vec<_> = changes
            .iter()
            .filter(|it| known.contains(&it.hash()))
            .cloned()
            .collect();
        let numbers: BTreeSet<_> = base.iter().map(|it| (it.actor(), it.seq())).collect();
        if numbers.len() < base.len() {
            continue; // No document can hold both twins.
        }
        let mut writer = Writer::stranger(u8::try_from(entropy.below(3)).unwrap() + 1, key);
        writer.0.apply(&base).unwrap();
        let field = ["a", "b"][usize::try_from(entropy.below(2)).unwrap()];
        changes.push(writer.set(field, value));
    }
    changes
}

#[test]
fn any_order_of_forked_histories_ends_in_the_same_record() {
    let mut refused = 0;
    for seed in 0..60 {
        let key = key("notes");
        let changes = forks(seed, &key);
        let mut entropy = Entropy::from_number(seed + 1_000);
        let mut outcomes = BTreeSet::new();
        for _ in 0..4 {
            let (store, mut replica) = replica();
            let mut rest = changes.clone();
            while !rest.is_empty() {
                let at = usize::try_from(entropy.below(rest.len() as u64)).unwrap();
                deliver(&mut replica, &key, vec![Ok(rest.swap_remove(at))]);
            }
            let header = header(&store, &key);
            refused += header.refused;
            let snapshot = store.snapshot().unwrap();
            let found = Rows::new(snapshot.as_ref()).verify(key.space).unwrap();
            assert_eq!(found, Vec::<String>::new(), "seed {seed}");
            outcomes.insert(format!(
                "{:?} {:?} {:?} {:?}",
                header.hashes(),
                header.shown(),
                reasons(&replica),
                value(&store, &key)
            ));
            // Nothing waits: all that came is in, whatever counts of it.
            assert_eq!(header.changes as usize, changes.len(), "seed {seed}");
            let waiting = snapshot.get(Table::Waiting, &[]).unwrap();
            assert_eq!(waiting, None);
        }
        assert_eq!(outcomes.len(), 1, "seed {seed}: {outcomes:#?}");
    }
    assert!(refused > 100, "only {refused} were refused");
}

#[test]
fn what_does_not_fit_its_ancestors_is_kept_apart_and_so_is_what_follows_it() {
    let key = key("notes");
    let mut writer = Writer::stranger(1, &key);
    let first = writer.set("n", 1);
    let second = writer.set("n", 2);
    // The second overwrites what the first wrote. Without it as a parent there is nothing there.
    let forged = crate::doc::forge::moved(&second, &[], 1).unwrap();
    let forged = Change::verify(forged).unwrap();
    let none = &mut |_: &ActorId, _| Ok::<_, std::convert::Infallible>(None);
    assert!(fits(&forged, 0, none).unwrap().is_err());
    let (store, mut replica) = replica();
    let admitted = deliver(&mut replica, &key, vec![Ok(forged.clone()), Ok(first)]);
    let [Admission::Held(Reason::Misfit(why)), Admission::Applied(_)] = admitted.as_slice() else {
        panic!("{admitted:?}")
    };
    assert!(why.contains("overwrites"), "{why}");
    assert_eq!(header(&store, &key).changes, 1);
    let admitted = deliver(&mut replica, &key, vec![Ok(second)]);
    assert!(matches!(admitted.as_slice(), [Admission::Applied(_)]));
}

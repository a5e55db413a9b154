//! What fits and what does not: every kind of edit does, and what a forger makes of one either does
//! not, or leaves a document that Automerge can save and load.

use std::collections::BTreeMap;
use std::convert::Infallible;

use automerge::marks::{ExpandMark, Mark};
use automerge::transaction::{CommitOptions, Transactable as _};
use automerge::{ActorId as AmActor, Automerge, ObjType, ROOT, ReadDoc as _, ScalarValue};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::doc::{Document, forge};
use crate::entropy::Entropy;
use crate::id::ActorId;

/// Changes by hash, to look up what their descendants refer to.
#[derive(Default)]
struct History(BTreeMap<ChangeHash, Change>);

impl History {
    /// All ancestors of a change.
    fn ancestors(&self, change: &Change) -> BTreeMap<ChangeHash, &Change> {
        let mut found = BTreeMap::new();
        let mut open = change.deps().to_vec();
        while let Some(hash) = open.pop() {
            if let Some(parent) = self.0.get(&hash)
                && found.insert(hash, parent).is_none()
            {
                open.extend(parent.deps());
            }
        }
        found
    }

    /// As the gate judges, but for what it knows from the graph.
    fn admits(&self, change: &Change) -> Result<(), String> {
        self.judges(change, &|it| it.operations().clone())
    }

    /// The same, where the operations of ancestors are known from elsewhere.
    fn judges(
        &self,
        change: &Change,
        operations: &dyn Fn(&Change) -> Operations,
    ) -> Result<(), String> {
        if !change.deps().iter().all(|it| self.0.contains_key(it)) {
            return Err("parents".to_owned());
        }
        let ancestors = self.ancestors(change);
        let max_op = ancestors.values().map(|it| it.max_op()).max().unwrap_or(0);
        let own = ancestors.values().filter(|it| it.actor() == change.actor());
        let last = own.map(|it| it.seq()).max().unwrap_or(0);
        if change.start_op() <= max_op || change.seq() != last + 1 {
            return Err("numbers".to_owned());
        }
        let mut lookup = |actor: &ActorId, counter: u64| -> Result<_, Infallible> {
            let has = |it: &&&Change| {
                it.actor() == actor && (it.start_op()..=it.max_op()).contains(&counter)
            };
            let found = ancestors.values().find(has);
            Ok(found.map(|it| operations(it)))
        };
        let Ok(verdict) = fits(change, max_op, &mut lookup);
        verdict.map_err(|it| it.to_string())
    }

    fn add(&mut self, change: Change) {
        self.0.insert(change.hash(), change);
    }
}

fn verified(mut change: automerge::Change) -> Change {
    Change::verify(Bytes::copy_from_slice(&change.bytes())).unwrap()
}

fn am(actor: u8) -> AmActor {
    AmActor::from([actor; 16])
}

/// One random edit through Automerge's own interface.
fn edit(doc: &mut Automerge, entropy: &mut Entropy) {
    let objects = objects(doc);
    let (obj, kind) =
        objects[usize::try_from(entropy.below(objects.len() as u64)).unwrap()].clone();
    let scalar = scalar(entropy);
    let made = [ObjType::Map, ObjType::List, ObjType::Text, ObjType::Table]
        [usize::try_from(entropy.below(4)).unwrap()];
    let mut tx = doc.transaction();
    let length = tx.length(&obj);
    let at = usize::try_from(entropy.below(length as u64 + 1)).unwrap();
    let inside = at.min(length.saturating_sub(1));
    let key = ["a", "b", "", "kä"][usize::try_from(entropy.below(4)).unwrap()];
    match (kind, entropy.below(12)) {
        (ObjType::Map | ObjType::Table, 0..=3) => drop(tx.put(&obj, key, scalar)),
        (ObjType::Map | ObjType::Table, 4..=6) => drop(tx.put_object(&obj, key, made)),
        (ObjType::Map | ObjType::Table, 7) => drop(tx.delete(&obj, key)),
        (ObjType::Map | ObjType::Table, 8 | 9) => drop(tx.increment(&obj, key, 3)),
        (ObjType::Map | ObjType::Table, _) => {
            drop(tx.put(&obj, key, ScalarValue::counter(1)));
            drop(tx.increment(&obj, key, -2));
        }
        (ObjType::List, 0..=2) => drop(tx.insert(&obj, at, scalar)),
        (ObjType::List, 3) => drop(tx.insert_object(&obj, at, made)),
        (ObjType::List, 4 | 5) if length > 0 => drop(tx.put(&obj, inside, scalar)),
        (ObjType::List, 6) if length > 0 => drop(tx.put_object(&obj, inside, made)),
        (ObjType::List, 7) if length > 0 => drop(tx.delete(&obj, inside)),
        (ObjType::List, 8) if length > 0 => drop(tx.increment(&obj, inside, 1)),
        (ObjType::List, _) => {
            let delete = isize::try_from(length.min(2)).unwrap();
            drop(tx.splice(&obj, 0, delete, [scalar, ScalarValue::counter(5)]));
        }
        (ObjType::Text, 0..=4) => drop(tx.splice_text(&obj, at, 0, "wörd 😀")),
        (ObjType::Text, 5 | 6) if length > 0 => drop(tx.splice_text(&obj, inside, 1, "")),
        (ObjType::Text, 7) => drop(tx.update_text(&obj, "a wholly new wörd")),
        (ObjType::Text, 8) if length > 1 => {
            let mark = Mark::new("bold".to_owned(), scalar, 0, inside.max(1));
            drop(tx.mark(&obj, mark, expand(entropy)));
        }
        (ObjType::Text, 9) if length > 1 => {
            drop(tx.unmark(&obj, "bold", 0, inside.max(1), expand(entropy)));
        }
        (ObjType::Text, 10) => drop(tx.split_block(&obj, at)),
        (ObjType::Text, _) => drop(tx.splice_text(&obj, 0, 0, "x")),
    }
    let mut options = CommitOptions::default().with_time(i64::from_be_bytes(entropy.bytes()) >> 3);
    if entropy.below(3) == 0 {
        options = options.with_message("why");
    }
    tx.commit_with(options);
}

/// An edit on some earlier state, beside all that came after it.
fn edit_the_past(doc: &mut Automerge, entropy: &mut Entropy) {
    let changes = doc.get_changes(&[]);
    if changes.is_empty() {
        return;
    }
    let at = usize::try_from(entropy.below(changes.len() as u64)).unwrap();
    let past = [changes[at].hash()];
    let tx = doc.transaction_at(automerge::PatchLog::inactive(), &past);
    let Ok(mut tx) = tx else {
        panic!("the log fits")
    };
    tx.put(ROOT, "past", 1).unwrap();
    tx.put(ROOT, "a", 2).unwrap();
    tx.commit();
}

fn expand(entropy: &mut Entropy) -> ExpandMark {
    match entropy.below(4) {
        0 => ExpandMark::Before,
        1 => ExpandMark::After,
        2 => ExpandMark::Both,
        _ => ExpandMark::None,
    }
}

fn scalar(entropy: &mut Entropy) -> ScalarValue {
    match entropy.below(11) {
        0 => ScalarValue::Null,
        1 => ScalarValue::Boolean(true),
        2 => ScalarValue::Int(-7),
        3 => ScalarValue::Uint(u64::MAX),
        4 => ScalarValue::F64(1.5),
        5 => ScalarValue::Str("s".into()),
        6 => ScalarValue::Bytes(vec![1, 2, 3]),
        7 => ScalarValue::counter(4),
        8 => ScalarValue::Timestamp(-5),
        9 => ScalarValue::Unknown {
            type_code: 12,
            bytes: vec![9],
        },
        _ => ScalarValue::Str("a longer string that repeats repeats repeats".into()),
    }
}

/// All objects that can be reached, with their kinds.
fn objects(doc: &Automerge) -> Vec<(automerge::ObjId, ObjType)> {
    let mut found = vec![(ROOT, ObjType::Map)];
    let mut at = 0;
    while at < found.len() && found.len() < 40 {
        let (obj, kind) = found[at].clone();
        at += 1;
        let values: Vec<_> = match kind {
            ObjType::Map | ObjType::Table => doc
                .keys(&obj)
                .filter_map(|key| doc.get(&obj, key).ok().flatten())
                .collect(),
            ObjType::List => (0..doc.length(&obj))
                .filter_map(|at| doc.get(&obj, at).ok().flatten())
                .collect(),
            ObjType::Text => Vec::new(),
        };
        for (value, id) in values {
            if let automerge::Value::Object(kind) = value {
                found.push((id, kind));
            }
        }
    }
    found
}

/// A history of edits of every kind by three writers who merge now and then, or write to the past.
fn history(seed: u64, edits: usize) -> Vec<Change> {
    let mut entropy = Entropy::from_number(seed);
    let mut docs: Vec<_> = (1..=3)
        .map(|it| {
            Automerge::new_with_encoding(automerge::TextEncoding::UnicodeCodePoint)
                .with_actor(am(it))
        })
        .collect();
    for _ in 0..edits {
        let who = usize::try_from(entropy.below(3)).unwrap();
        match entropy.below(6) {
            0 => {
                let mut other = docs[(who + 1) % 3].fork();
                docs[who].merge(&mut other).unwrap();
            }
            // Automerge takes an empty change for covered when it edits the past, and then panics on
            // its own result: one or the other.
            1 if seed.is_multiple_of(2) && entropy.below(4) == 0 => {
                docs[who].empty_commit(CommitOptions::default());
            }
            1 if !seed.is_multiple_of(2) => edit_the_past(&mut docs[who], &mut entropy),
            _ => edit(&mut docs[who], &mut entropy),
        }
    }
    let mut all = docs.remove(0);
    for doc in &mut docs {
        all.merge(doc).unwrap();
    }
    all.get_changes(&[]).into_iter().map(verified).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_kind_of_edit_fits(seed: u64) {
        let mut known = History::default();
        for change in history(seed, 40) {
            prop_assert_eq!(known.admits(&change), Ok(()));
            known.add(change);
        }
    }
}

/// The operations inside the saved document of all these changes.
fn packed(changes: &[Change]) -> (Bytes, Packed) {
    let mut document = Document::new(&ActorId::from_bytes(vec![9; 16]));
    document.apply(changes).unwrap();
    let saved = Bytes::from(document.save().unwrap());
    let packed = Packed::read(&saved).unwrap();
    (saved, packed)
}

/// Those of one change.
fn inside(packed: &Packed, change: &Change) -> Operations {
    packed.operations(change.actor(), (change.start_op(), change.max_op()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_saved_document_gives_back_every_change_and_what_it_does(seed: u64) {
        let changes = history(seed, 40);
        let (saved, packed) = packed(&changes);
        for change in &changes {
            prop_assert!(packed.holds(change.operations()), "{:?}", change.operations());
        }
        let taken = crate::doc::inspect_snapshot(saved).unwrap();
        let hashes = |it: &[Change]| it.iter().map(Change::hash).collect::<std::collections::BTreeSet<_>>();
        prop_assert_eq!(hashes(&taken), hashes(&changes));
    }
}

/// Verdicts must not depend on whether the ancestors were folded.
#[test]
fn forged_changes_get_the_same_verdict_from_a_saved_document() {
    let (mut fits, mut misfits) = (0, 0);
    for seed in 0..150 {
        let mut entropy = Entropy::from_number(seed ^ 0xfd);
        let changes = history(seed, 25);
        let mut known = History::default();
        changes.iter().cloned().for_each(|it| known.add(it));
        let (_, packed) = packed(&changes);
        for _ in 0..12 {
            let at = usize::try_from(entropy.below(changes.len().max(1) as u64)).unwrap();
            let bytes = changes
                .get(at)
                .and_then(|it| forge::mutant(it, &mut entropy));
            let Some(change) = bytes.and_then(|it| Change::verify(it).ok()) else {
                continue;
            };
            let verdict = known.admits(&change);
            let from_saved = known.judges(&change, &|it| inside(&packed, it));
            let what = format!("seed {seed}: {:?}", change.operations());
            assert_eq!(verdict.is_ok(), from_saved.is_ok(), "{what}");
            fits += usize::from(verdict.is_ok());
            misfits += usize::from(verdict.is_err());
        }
    }
    assert!(fits > 50 && misfits > 100, "{fits} fit, {misfits} do not");
}

/// What became of forged changes.
#[derive(Debug, Default)]
struct Forged {
    malformed: usize,
    misfits: usize,
    admitted: usize,
}

/// Forges changes of a history; those that are admitted must leave a document that saves, loads and
/// takes in the rest of the history.
fn forge_and_apply(seed: u64, forged: &mut Forged) {
    let mut entropy = Entropy::from_number(seed ^ 0xf0);
    let changes = history(seed, 25);
    if changes.is_empty() {
        return;
    }
    let mut known = History::default();
    changes.iter().cloned().for_each(|it| known.add(it));
    for _ in 0..8 {
        let at = usize::try_from(entropy.below(changes.len() as u64)).unwrap();
        let Some(bytes) = forge::mutant(&changes[at], &mut entropy) else {
            continue;
        };
        let Ok(change) = Change::verify(bytes) else {
            forged.malformed += 1;
            continue;
        };
        if let Err(_misfit) = known.admits(&change) {
            forged.misfits += 1;
            continue;
        }
        forged.admitted += 1;
        let ancestors = known.ancestors(&change);
        let twin = |it: &Change| it.actor() == change.actor() && it.seq() == change.seq();
        // Twins are kept apart by another rule; what follows the one that is left out is, too.
        let mut left_out = std::collections::BTreeSet::new();
        let mut rest = Vec::new();
        for it in &changes {
            if ancestors.contains_key(&it.hash()) {
                continue;
            }
            if twin(it) || it.deps().iter().any(|dep| left_out.contains(dep)) {
                left_out.insert(it.hash());
            } else {
                rest.push(it.clone());
            }
        }
        let first: Vec<_> = changes
            .iter()
            .filter(|it| ancestors.contains_key(&it.hash()))
            .cloned()
            .collect();
        let mut document = Document::new(&ActorId::from_bytes(vec![9; 16]));
        document.apply(&first).unwrap();
        let what = || format!("seed {seed}: {:?}", change.operations());
        document
            .apply(std::slice::from_ref(&change))
            .unwrap_or_else(|fault| panic!("{}: {fault}", what()));
        document
            .save()
            .unwrap_or_else(|fault| panic!("{}: {fault}", what()));
        document
            .apply(&rest)
            .unwrap_or_else(|fault| panic!("the rest, {}: {fault}", what()));
        document
            .save()
            .unwrap_or_else(|fault| panic!("the rest, {}: {fault}", what()));
        document
            .value()
            .unwrap_or_else(|fault| panic!("{}: {fault}", what()));
    }
}

#[test]
fn what_a_forger_gets_through_leaves_a_document_that_saves_and_loads() {
    let mut forged = Forged::default();
    for seed in 0..150 {
        forge_and_apply(seed, &mut forged);
    }
    // All three ways are taken often enough to mean something.
    assert!(
        forged.malformed > 20 && forged.misfits > 100 && forged.admitted > 50,
        "{forged:?}"
    );
}

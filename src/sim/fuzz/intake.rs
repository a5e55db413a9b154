//! Changes and saved documents that are brought into a replica: what is refused leaves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::audit::{Dump, audit, dump};
use super::{Script, material};
use crate::doc::{self, Change, Document, Received, forge};
use crate::entropy::Entropy;
use crate::error::Result;
use crate::id::{ActorId, ChangeHash, CorrelationId, Lsn, RecordId, RecordKey, SpaceId, StoreId};
use crate::reconcile::Inventory as _;
use crate::replica::documents::Loaded;
use crate::replica::{Admission, Intake, Replica, Rows, Which, fold};
use crate::store::{CommitFault, Durability, FaultStore, MemoryStore, Store, Table};
use crate::time::WallTime;

/// Operations of one input.
const STEPS_MAX: usize = 20;

/// Changes of a record that are brought once more in the opposite order, at the most.
const REVERSED_MAX: usize = 100;

/// A list of operations, each a byte and what it needs. A byte before each import names one of three
/// records.
///
/// | byte modulo 8 | what happens |
/// | --- | --- |
/// | 0, 1 | changes of an honest history come, in any order |
/// | 2, 3 | one of them comes with operations or bytes replaced and its checksum made right |
/// | 4 | these bytes come as a change, led by two bytes of length, checksum made right |
/// | 5 | a saved document of a part of the history comes, as it is or with some bytes replaced |
/// | 6 | honest changes come, and the commit fails |
/// | 7 | the record is folded up to some number of the log; or the replica is closed, and opened on what the store holds |
///
/// # Panics
/// Where a refusal leaves more than its own trace in the store. Allowed are
/// - for changes that are known: no difference at all;
/// - for changes that are held: rows of tables `quarantine` and `waiting`, and the quarantine's size;
/// - for a saved document that is refused: no difference at all;
/// - where a commit fails: no difference at all;
/// - for the first that is heard of a collection, in any of these cases but the last two: its number.
///
/// Besides where the store does not add up afterwards; where what was admitted does not make a document
/// that saves and loads; and where two replicas that got the same changes in another order differ.
pub fn intake(data: &[u8]) {
    let mut script = Script::new(data);
    let mut desk = Desk::new();
    for _ in 0..STEPS_MAX {
        if script.is_empty() {
            break;
        }
        desk.step(&mut script);
    }
    desk.finish();
}

struct Desk {
    store: Arc<FaultStore<MemoryStore>>,
    replica: Replica,
    /// What came in for each record, and whether all of it was honest.
    brought: BTreeMap<RecordKey, (Vec<Bytes>, bool)>,
}

fn open(store: &Arc<FaultStore<MemoryStore>>) -> Replica {
    let store: Arc<dyn Store> = Arc::<FaultStore<MemoryStore>>::clone(store);
    let replica = Replica::open(store, &mut Entropy::from_number(1));
    replica.expect("a store in memory opens")
}

fn new_store() -> Arc<FaultStore<MemoryStore>> {
    Arc::new(FaultStore::new(MemoryStore::new()))
}

fn key(number: usize) -> RecordKey {
    let collection = if number == 0 { "notes" } else { "tasks" };
    RecordKey {
        space: SpaceId::named("fuzz"),
        collection: collection.parse().expect("a name"),
        record: RecordId::named(&number.to_string()),
    }
}

fn arriving(key: RecordKey, changes: Vec<Received>) -> Intake {
    Intake {
        key,
        origin: StoreId::from_bytes([8; 16]),
        correlation: CorrelationId(1),
        now: WallTime::from_millis(1),
        changes,
    }
}

impl Desk {
    fn new() -> Self {
        let store = new_store();
        Self {
            replica: open(&store),
            store,
            brought: BTreeMap::new(),
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let key = key(script.below(3));
        match script.below(8) {
            0 | 1 => {
                let changes = honest(script);
                self.bring(&key, changes, true);
            }
            2 | 3 => {
                let history = material::history();
                if let Some(change) = history.get(script.below(history.len())) {
                    let forged = if script.chance() {
                        forge::mutant(change, &mut Entropy::from_number(script.short().into()))
                    } else {
                        Some(material::forged(change.bytes(), script).into())
                    };
                    self.bring(&key, forged.into_iter().collect(), false);
                }
            }
            4 => {
                let mut bytes = script.chunk().to_vec();
                material::reseal(&mut bytes);
                self.bring(&key, vec![bytes.into()], false);
            }
            5 => self.bring_saved(&key, script),
            6 => self.fail(&key, honest(script)),
            _ if script.chance() => self.fold(&key, Lsn(u64::from(script.byte()))),
            _ => self.replica = open(&self.store),
        }
    }

    fn bring(&mut self, key: &RecordKey, changes: Vec<Bytes>, is_honest: bool) {
        let entry = self.brought.entry(key.clone());
        let (all, honest) = entry.or_insert_with(|| (Vec::new(), true));
        *honest &= is_honest;
        all.extend(changes.iter().cloned());
        let changes: Vec<_> = changes.into_iter().map(doc::inspect).collect();
        self.take_in(key, &changes);
    }

    fn take_in(&mut self, key: &RecordKey, changes: &[Received]) {
        let before = dump(self.store.as_ref());
        let hashes: Vec<_> = changes.iter().flatten().map(Change::hash).collect();
        let is_new = |it: &ChangeHash| !self.holds(key, it);
        let mut unknown: BTreeSet<_> = hashes.into_iter().filter(is_new).collect();
        let applied = self.replica.apply(&arriving(key.clone(), changes.to_vec()));
        let fates = applied.expect("a store in memory works, and the quarantine has room");
        assert_eq!(fates.len(), changes.len(), "each change has a fate");
        let committed = self.replica.commit(Durability::Immediate);
        committed.expect("a store in memory works");
        let after = dump(self.store.as_ref());
        compare(&before, &after, &fates);
        for (fate, change) in fates.iter().zip(changes) {
            self.is_as_told(key, fate, change, &mut unknown);
        }
    }

    fn is_as_told(
        &self,
        key: &RecordKey,
        fate: &Admission,
        change: &Received,
        unknown: &mut BTreeSet<ChangeHash>,
    ) {
        let Ok(change) = change else {
            assert!(
                !matches!(fate, Admission::Applied(_)),
                "what failed its checks is not applied"
            );
            return;
        };
        if let Admission::Applied(lsn) = fate {
            let hash = change.hash();
            let entry = self.replica.entry(key.space, *lsn).expect("readable");
            let entry = entry.expect("an applied change is in the log");
            assert_eq!(&entry.bytes, change.bytes(), "as it came");
            assert!(unknown.remove(&hash), "and is applied once");
            let mut family = change.deps().iter().chain([&hash]);
            assert!(family.all(|it| self.holds(key, it)), "with its parents");
        }
    }

    fn holds(&self, key: &RecordKey, hash: &ChangeHash) -> bool {
        self.replica.holds(key, hash).expect("readable")
    }

    fn bring_saved(&mut self, key: &RecordKey, script: &mut Script<'_>) {
        let (heads, saved) = material::saved(script.below(material::history().len()));
        let is_honest = script.chance();
        let saved = if is_honest {
            saved.clone()
        } else {
            material::forged(saved, script)
        };
        let before = dump(self.store.as_ref());
        let nobody = ActorId::from_bytes(vec![9; 16]);
        let Ok((opened, changes)) = Document::open_saved(&nobody, &saved) else {
            assert!(!is_honest, "an honest document opens");
            assert!(
                before == dump(self.store.as_ref()),
                "a refused document leaves nothing"
            );
            return;
        };
        if is_honest {
            assert_eq!(&opened.heads(), heads, "a document opens as it was");
        }
        let changes = changes.iter().map(|it| it.bytes().clone()).collect();
        self.bring(key, changes, is_honest);
    }

    /// The record's changes up to some number of the log go into its snapshot.
    fn fold(&mut self, key: &RecordKey, upto: Lsn) {
        let snapshot = self.store.snapshot().expect("readable");
        let folding = fold::fold(&Rows::new(snapshot.as_ref()), key, upto, Which::All);
        drop(snapshot);
        let heads = self.replica.heads(key).expect("readable");
        let folded = self
            .replica
            .fold(key, folding.expect("readable"), Lsn(u64::MAX));
        folded.expect("a store in memory is readable");
        let committed = self.replica.commit(Durability::Immediate);
        committed.expect("a store in memory works");
        let after = self.replica.heads(key).expect("readable");
        assert_eq!(after, heads, "folding changes nothing that anybody sees");
    }

    /// The commit fails: nothing of it may be there, now or after opening again.
    fn fail(&mut self, key: &RecordKey, changes: Vec<Bytes>) {
        let before = dump(self.store.as_ref());
        let changes = changes.into_iter().map(doc::inspect).collect();
        let applied = self.replica.apply(&arriving(key.clone(), changes));
        applied.expect("a store in memory is readable");
        let next = self.store.commits() + 1;
        self.store.fail_commit(next, CommitFault::Lost);
        if self.replica.is_dirty() {
            let failed = self.replica.commit(Durability::Immediate);
            assert!(failed.is_err() && self.replica.has_failed(), "it failed");
            let refused = self.replica.apply(&arriving(key.clone(), Vec::new()));
            assert!(refused.is_err(), "a failed replica takes nothing in");
        } else {
            // Nothing was new: spend the fault.
            let mut batch = crate::store::Batch::default();
            batch.put(Table::Meta, vec![0], Vec::new());
            drop(self.store.commit(&batch, Durability::Immediate));
        }
        self.store.reopen();
        self.replica = open(&self.store);
        assert!(
            before == dump(self.store.as_ref()),
            "a failed commit leaves nothing"
        );
    }

    fn finish(self) {
        let heads = audit(&self.replica);
        let snapshot = self.store.snapshot().expect("readable");
        let complaints = Rows::new(snapshot.as_ref()).verify(SpaceId::named("fuzz"));
        assert_eq!(complaints.expect("readable"), [""; 0], "it adds up");
        drop(snapshot);
        let again = open(&self.store);
        assert_eq!(
            audit(&again),
            heads,
            "the store holds what the replica says"
        );
        for (key, (changes, is_honest)) in &self.brought {
            let ours = heads.get(key).cloned().unwrap_or_default();
            if changes.len() <= REVERSED_MAX {
                assert_eq!(
                    ours,
                    in_reverse(key, changes),
                    "the order of arrival decides nothing"
                );
            }
            let loaded = self.load(key).expect("what was admitted makes a document");
            loaded.document.save().expect("it saves and loads");
            if *is_honest {
                assert_eq!(loaded.document.heads(), ours, "the whole of it");
            }
        }
    }

    fn load(&self, key: &RecordKey) -> Result<Loaded> {
        let snapshot = self.store.snapshot()?;
        let loaded = Loaded::open(
            &Rows::new(snapshot.as_ref()),
            key,
            &ActorId::from_bytes(vec![9; 16]),
        )?;
        loaded.stored_value()?;
        Ok(loaded)
    }
}

/// Some changes of the honest history, in any order.
fn honest(script: &mut Script<'_>) -> Vec<Bytes> {
    let history = material::history();
    let chosen = (0..=script.below(10)).filter_map(|_| history.get(script.below(history.len())));
    chosen.map(|it| it.bytes().clone()).collect()
}

/// The heads of a record on a replica that got the same changes the other way round.
fn in_reverse(key: &RecordKey, changes: &[Bytes]) -> crate::id::Heads {
    let mut replica = open(&new_store());
    let changes = changes.iter().rev().cloned().map(doc::inspect).collect();
    let applied = replica.apply(&arriving(key.clone(), changes));
    applied.expect("a store in memory works");
    replica.heads(key).expect("readable").unwrap_or_default()
}

fn compare(before: &Dump, after: &Dump, fates: &[Admission]) {
    let keys = before.keys().chain(after.keys());
    let differing = keys.filter(|key| before.get(*key) != after.get(*key));
    let is_collection = |key: &(Table, Vec<u8>)| key.0 == Table::Collections;
    let mut differing = differing.filter(|key| !is_collection(key) || before.contains_key(*key));
    if fates.iter().any(|it| matches!(it, Admission::Applied(_))) {
        return;
    }
    if fates.iter().all(|it| *it == Admission::Duplicate) {
        assert_eq!(differing.next(), None, "what is known leaves nothing");
        return;
    }
    let stray = differing.find(|(table, key)| {
        let is_held = matches!(table, Table::Quarantine | Table::Waiting);
        !is_held && (*table, key.as_slice()) != (Table::Meta, b"quarantine")
    });
    assert_eq!(stray, None, "what is held leaves its row and its reason");
    let rows = |dump: &Dump| dump.keys().filter(|it| it.0 == Table::Quarantine).count();
    let held = fates.iter().filter(|it| matches!(it, Admission::Held(_)));
    assert_eq!(rows(before) + held.count(), rows(after), "one row each");
}

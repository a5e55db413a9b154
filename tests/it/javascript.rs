//! Documents that the JavaScript library wrote pass the gate, whole and in any order.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use syncline::doc::Document;
use syncline::entropy::Entropy;
use syncline::id::{ActorId, CorrelationId};
use syncline::replica::documents::Loaded;
use syncline::replica::{Admission, Intake, Replica, Rows};
use syncline::store::{Durability, MemoryStore, Store};
use syncline::time::WallTime;
use syncline::{RecordId, RecordKey, SpaceId, StoreId};

const DOCUMENTS: [&str; 5] = ["todo", "richText", "board", "scalars", "essay"];

fn key() -> RecordKey {
    RecordKey {
        space: SpaceId::named("javascript"),
        collection: "documents".parse().expect("a name"),
        record: RecordId::named("document"),
    }
}

#[test]
fn documents_of_the_javascript_library_pass_the_gate_in_any_order() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/javascript");
    let actor = ActorId::from_bytes(vec![1; 16]);
    let mut entropy = Entropy::from_number(5);
    for name in DOCUMENTS {
        let saved = fs::read(folder.join(format!("{name}.automerge"))).expect("a document");
        let json = fs::read(folder.join(format!("{name}.json"))).expect("its value");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        let (document, changes) = Document::open_saved(&actor, &saved).expect("it opens");
        assert!(changes.len() > 3, "{name} has a history");
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mut replica =
            Replica::open(Arc::clone(&store), &mut entropy).expect("a store in memory opens");
        let mut rest = changes.clone();
        while !rest.is_empty() {
            let count = u64::try_from(rest.len()).expect("fits");
            let at = usize::try_from(entropy.below(count)).expect("fits");
            let intake = Intake {
                key: key(),
                origin: StoreId::from_bytes([2; 16]),
                correlation: CorrelationId(1),
                now: WallTime::default(),
                changes: vec![Ok(rest.swap_remove(at))],
            };
            let admitted = replica.apply(&intake).expect("it can be read");
            assert!(!admitted.contains(&Admission::Duplicate), "{name}");
            replica.commit(Durability::Immediate).expect("a commit");
        }
        assert_eq!(replica.quarantined(10).expect("readable"), [], "{name}");
        let snapshot = store.snapshot().expect("readable");
        let loaded = Loaded::open(&Rows::new(snapshot.as_ref()), &key(), &actor);
        let loaded = loaded.expect("it loads").document;
        assert_eq!(loaded.heads(), document.heads(), "{name}");
        assert_eq!(loaded.value().expect("a value").to_json(), json, "{name}");
        assert!(loaded.save().is_ok(), "{name}");
    }
}

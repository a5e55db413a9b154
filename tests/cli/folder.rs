//! `import` of what programs in JavaScript keep: storage folders of automerge-repo, and single documents.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use syncline::doc::Document;
use syncline::id::{ActorId, Heads};
use syncline::{RecordId, limits};

use crate::command::{Folder, Ran, Running, over, run};

/// Documents in the committed folder, and their changes.
const DOCUMENTS: u64 = 5;
const CHANGES: u64 = 17;

/// A document with a snapshot and five files after it, and one with two.
const JOURNAL: &str = "3pyjfaRJfaXKQdp3PCi6idq5PJgC";
const SCALARS: &str = "fFBA7BzSA4S6g4C2CHcvZtLLciW";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// What the program that wrote the folder has in it: heads and values by id.
fn expected() -> serde_json::Map<String, Json> {
    let text = fs::read(data("automerge-repo/documents.json")).expect("readable");
    let json: Json = serde_json::from_slice(&text).expect("JSON");
    json.as_object().expect("an object").clone()
}

/// A copy of the committed folder, to be spoiled.
fn storage(folder: &Folder) -> PathBuf {
    let copy = folder.file("storage");
    copy_all(&data("automerge-repo/storage"), &copy);
    copy
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("writable");
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("readable").is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("writable");
        }
    }
}

/// Where a document's folder is.
fn place(id: &str) -> PathBuf {
    let (prefix, rest) = id.split_at(2);
    Path::new(prefix).join(rest)
}

/// The files of a document of one kind, by name.
fn files(storage: &Path, id: &str, kind: &str) -> Vec<PathBuf> {
    let folder = storage.join(place(id)).join(kind);
    let entries = fs::read_dir(folder).expect("readable");
    let files: BTreeSet<_> = entries.map(|it| it.expect("readable").path()).collect();
    files.into_iter().collect()
}

fn import(store: &Path, storage: &Path) -> Ran {
    let storage = storage.to_str().expect("UTF-8");
    over(store, &["import", "notes", "--automerge-repo", storage])
}

/// The heads of a document that `export` or another program saved.
fn heads_of(file: &Path) -> Heads {
    let reader = ActorId::from_bytes(vec![0; 16]);
    let saved = fs::read(file).expect("readable");
    Document::open_saved(&reader, &saved)
        .expect("it opens")
        .0
        .heads()
}

/// The record is the document that the other program had, with all of its history.
#[track_caller]
fn assert_same(folder: &Folder, store: &Path, id: &str, document: &Json) {
    let read = over(store, &["get", "notes", id]).json();
    assert_eq!(read["record"], document["value"], "{id}");
    let exported = folder.file("exported.automerge");
    let file = exported.to_str().expect("UTF-8");
    over(store, &["export", "notes", "--automerge", id, file]).json();
    let heads: Vec<_> = heads_of(&exported)
        .as_slice()
        .iter()
        .map(|it| json!(it.to_string()))
        .collect();
    assert_eq!(Json::from(heads), document["heads"], "{id}");
}

#[test]
fn a_storage_of_stock_automerge_repo_is_taken_in_whole_and_once() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let storage = data("automerge-repo/storage");
    let imported = import(&store, &storage).json();
    let expected = json!({
        "collection": "notes", "documents": DOCUMENTS, "imported": DOCUMENTS, "equal": 0,
        "changes": CHANGES, "held": 0, "refused": 0, "refusals": [],
    });
    assert_eq!(imported, expected);
    let documents = self::expected();
    assert_eq!(documents.len(), 5);
    for (id, document) in &documents {
        assert_same(&folder, &store, id, document);
    }
    let digest = || over(&store, &["status"]).json()["spaces"][0]["digest"].clone();
    let before = digest();
    let again = import(&store, &storage).json();
    let counts = |it: &Json| [&it["imported"], &it["equal"], &it["changes"]].map(Json::as_u64);
    assert_eq!(counts(&again), [Some(0), Some(DOCUMENTS), Some(0)]);
    assert_eq!(digest(), before);
    let (store, path) = (
        store.to_str().expect("UTF-8"),
        storage.to_str().expect("UTF-8"),
    );
    let text = run(&[
        "import",
        "--automerge-repo",
        path,
        "--store",
        store,
        "notes",
    ])
    .ok();
    let told = "5 documents: 0 imported into notes with 0 new changes, 5 equal already, \
                0 files refused, 0 changes in quarantine\n";
    assert_eq!(text, told);
}

/// A refusal: the document, the file in the storage, and a part of the reason.
type Expected = (Option<String>, PathBuf, &'static str);

/// Spoils a storage in many ways; what has to be said of it.
fn spoil(folder: &Folder, storage: &Path) -> Vec<Expected> {
    let [journal, scalars] = [JOURNAL, SCALARS].map(|it| files(storage, it, "incremental"));
    let outside = folder.file("outside");
    fs::rename(&journal[0], &outside).expect("writable");
    symlink(&outside, &journal[0]).expect("a link");
    fs::write(&journal[1], "Dear diary,\n").expect("writable");
    fs::write(&journal[2], "").expect("writable");
    fs::remove_file(&journal[3]).expect("writable");
    fs::create_dir(&journal[3]).expect("writable");
    let whole = fs::read(&scalars[0]).expect("readable");
    fs::write(&scalars[0], &whole[..whole.len() - 7]).expect("writable");
    let nobody = storage.join("zz/zzzzzz");
    fs::create_dir_all(nobody.join("snapshot")).expect("writable");
    fs::write(nobody.join("snapshot/a"), &whole).expect("writable");
    let flat = RecordId::named("flat").to_string();
    let file = storage.join(place(&flat));
    fs::create_dir(file.with_file_name("")).expect("writable");
    fs::write(&file, &whole).expect("writable");
    symlink(storage.join("3p"), storage.join("zy")).expect("a link");
    // Of others: what is kept beside documents, and what is none of automerge-repo's.
    fs::create_dir_all(storage.join("Lo/calFirst/key")).expect("writable");
    fs::write(storage.join(".DS_Store"), "x").expect("writable");

    let of = |id: &str| Some(id.to_owned());
    let refused = [
        (of(JOURNAL), &journal[0], "a symbolic link"),
        (
            of(JOURNAL),
            &journal[1],
            "not with the mark of an Automerge chunk",
        ),
        (of(JOURNAL), &journal[2], "it is cut off"),
        (of(JOURNAL), &journal[3], "a folder in place of a file"),
        (of(SCALARS), &scalars[0], "it is cut off"),
        (None, &nobody, "does not parse as a document id"),
        (of(&flat), &file, "a file in place of a folder"),
        (None, &storage.join("zy"), "a symbolic link"),
    ];
    let within = |it: &Path| it.strip_prefix(storage).expect("below it").to_owned();
    refused
        .map(|(id, file, reason)| (id, within(file), reason))
        .into()
}

#[test]
fn what_is_bad_is_named_and_keeps_nobody_from_the_rest() {
    let folder = Folder::new();
    let (store, storage) = (folder.file("a.redb"), storage(&folder));
    let wanted = spoil(&folder, &storage);
    let ran = import(&store, &storage);
    ran.failed(2, "invalid_input");
    let object = ran.object();
    let refusals = object["refusals"].as_array().expect("a list");
    for (id, file, reason) in &wanted {
        let of = |it: &&Json| it["id"] == json!(id) && it["file"] == json!(file);
        let refusal = refusals.iter().find(of);
        let told = refusal
            .and_then(|it| it["reason"].as_str())
            .unwrap_or_default();
        assert!(told.contains(reason), "{file:?}: {refusals:?}");
    }
    assert_eq!(refusals.len(), wanted.len(), "{refusals:?}");
    assert_eq!(object["refused"], wanted.len());
    assert_eq!(object["documents"], DOCUMENTS + 3);
    assert_eq!(object["imported"], DOCUMENTS);
    for (id, document) in &expected() {
        if ![JOURNAL, SCALARS].contains(&id.as_str()) {
            assert_same(&folder, &store, id, document);
        }
    }
    // The same is told in text, and of each file on a line of its own.
    let (path, from) = (
        store.to_str().expect("UTF-8"),
        storage.to_str().expect("UTF-8"),
    );
    let told = run(&["import", "--store", path, "notes", "--automerge-repo", from]);
    assert_eq!(told.code, 2, "{told:?}");
    let line = format!("{JOURNAL}: {}: a symbolic link", wanted[0].1.display());
    assert!(
        told.stdout.lines().any(|it| it.starts_with(&line)),
        "{told:?}"
    );

    // Mended, the rest comes, and what is equal is passed over.
    let sound = data("automerge-repo/storage");
    let mended = import(&store, &sound).json();
    assert_eq!(
        (&mended["imported"], &mended["equal"]),
        (&json!(2), &json!(3))
    );
    for (id, document) in &expected() {
        assert_same(&folder, &store, id, document);
    }
}

#[test]
fn what_may_not_be_read_is_named_with_why() {
    let folder = Folder::new();
    let (store, storage) = (folder.file("a.redb"), storage(&folder));
    let file = &files(&storage, JOURNAL, "incremental")[0];
    let snapshots = files(&storage, SCALARS, "snapshot")[0].with_file_name("");
    for path in [file, &snapshots] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).expect("its own");
    }
    if fs::read(file).is_ok() {
        // Who may read everything finds nothing of the kind.
        return;
    }
    let ran = import(&store, &storage);
    fs::set_permissions(&snapshots, fs::Permissions::from_mode(0o700)).expect("its own");
    ran.failed(2, "invalid_input");
    let object = ran.object();
    let refusals = object["refusals"].as_array().expect("a list");
    let told = |it: &Json| it["reason"] == "cannot read it: Permission denied (os error 13)";
    assert!(
        refusals.len() == 2 && refusals.iter().all(told),
        "{refusals:?}"
    );
    assert_eq!(object["imported"], DOCUMENTS - 1);
}

#[test]
fn changes_without_what_they_build_on_wait_in_quarantine_and_are_counted() {
    let folder = Folder::new();
    let (store, storage) = (folder.file("a.redb"), storage(&folder));
    let snapshot = &files(&storage, JOURNAL, "snapshot")[0];
    let (saved, changes) = (fs::read(snapshot).expect("readable"), 6);
    fs::remove_file(snapshot).expect("writable");
    for imported in [DOCUMENTS - 1, 0] {
        let ran = import(&store, &storage);
        ran.failed(2, "invalid_input");
        let object = ran.object();
        assert_eq!(
            (&object["held"], &object["refused"]),
            (&json!(changes), &json!(0))
        );
        assert_eq!(
            (&object["documents"], &object["imported"]),
            (&json!(DOCUMENTS), &json!(imported))
        );
    }
    over(&store, &["get", "notes", JOURNAL]).failed(3, "not_found");
    let quarantine = || over(&store, &["status"]).json()["quarantine"]["entries"].clone();
    assert_eq!(quarantine(), changes);
    fs::write(snapshot, saved).expect("writable");
    let object = import(&store, &storage).json();
    assert_eq!(
        (&object["held"], &object["imported"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(quarantine(), 0);
    assert_same(&folder, &store, JOURNAL, &expected()[JOURNAL]);
}

#[test]
fn a_document_beyond_the_limits_is_refused_as_a_whole() {
    let folder = Folder::new();
    let (store, storage) = (folder.file("a.redb"), storage(&folder));
    let snapshot = &files(&storage, JOURNAL, "snapshot")[0];
    let file = fs::OpenOptions::new()
        .write(true)
        .open(snapshot)
        .expect("writable");
    let max = u64::try_from(limits::DOCUMENT_BYTES_MAX).expect("fits");
    file.set_len(max + 1).expect("writable");
    let ran = import(&store, &storage);
    ran.failed(2, "invalid_input");
    let object = ran.object();
    let reason = format!("it has over {max} bytes, the limit of a document");
    let refusal = json!({"id": JOURNAL, "file": place(JOURNAL), "reason": reason});
    assert_eq!(object["refusals"], json!([refusal]));
    assert_eq!(object["imported"], DOCUMENTS - 1);
}

#[test]
fn ids_are_found_where_the_file_system_takes_capitals_for_small_letters() {
    let folder = Folder::new();
    let (store, storage) = (folder.file("a.redb"), storage(&folder));
    fs::rename(storage.join("2R"), storage.join("2r")).expect("writable");
    fs::rename(storage.join("fF"), storage.join("Ff")).expect("writable");
    assert_eq!(import(&store, &storage).json()["imported"], DOCUMENTS);
    for (id, document) in &expected() {
        assert_same(&folder, &store, id, document);
    }
}

#[test]
fn a_folder_that_is_no_storage_is_an_error_and_leaves_no_store() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    let none = |name: &str, kind: &str, code: i32, told: &str| {
        let ran = import(&store, &folder.file(name));
        ran.failed(code, kind);
        assert!(ran.stderr.contains(told), "{ran:?}");
    };
    none("nowhere", "io", 1, "nowhere: No such file");
    folder.with("file", "x");
    none("file", "invalid_input", 2, "is a file, not the folder");
    fs::create_dir_all(folder.file("empty")).expect("writable");
    none(
        "empty",
        "invalid_input",
        2,
        "is empty; give the folder that NodeFSStorageAdapter",
    );
    fs::create_dir_all(folder.file("other/go/src")).expect("writable");
    symlink(folder.file("empty"), folder.file("other/cd")).expect("a link");
    none(
        "other",
        "invalid_input",
        2,
        "holds nothing of the form 2x/abc",
    );
    assert!(!store.exists());
    // One that has no documents yet is one all the same.
    fs::create_dir_all(folder.file("new/st")).expect("writable");
    folder.with(
        "new/st/orage-adapter-id",
        "5d1f3c2e-0000-4000-8000-000000000001",
    );
    assert_eq!(import(&store, &folder.file("new")).json()["documents"], 0);

    let path = data("automerge-repo/storage");
    let path = path.to_str().expect("UTF-8");
    for arguments in [
        &["import", "notes"][..],
        &["import", "notes", "lines.jsonl", "--automerge-repo", path],
        &["import", "notes", "--automerge-repo", path, "--id", "a"],
        &["import", "notes", "--automerge-repo", path, "--key", "id"],
    ] {
        over(&store, arguments).failed(2, "usage");
    }
}

#[test]
fn an_import_that_is_killed_goes_on_where_it_was() {
    let folder = Folder::new();
    let (store, storage) = (folder.file("a.redb"), folder.file("storage"));
    let of = data("automerge-repo/storage").join(place(JOURNAL));
    let count = 60_u64;
    for n in 0..count {
        let id = RecordId::named(&n.to_string()).to_string();
        copy_all(&of, &storage.join(place(&id)));
    }
    let (path, file) = (
        store.to_str().expect("UTF-8"),
        storage.to_str().expect("UTF-8"),
    );
    let arguments = [
        "import",
        "notes",
        "--automerge-repo",
        file,
        "--store",
        path,
        "--acks",
    ];
    let mut running = Running::start(&arguments);
    let acked: Vec<_> = (0..3).map(|_| running.line()).collect();
    running.kill();
    for id in &acked {
        assert_eq!(
            over(&store, &["get", "notes", id]).json()["record"]["title"],
            "Journal"
        );
    }
    let rest = import(&store, &storage).json();
    let counted = ["imported", "equal"].map(|it| rest[it].as_u64().expect("a number"));
    assert_eq!(counted.iter().sum::<u64>(), count, "{rest}");
    assert!(counted[1] >= 3, "{rest}");
    assert_eq!(over(&store, &["ls", "notes"]).json()["count"], count);
}

#[test]
fn what_is_taken_in_reaches_the_replica_that_it_stays_connected_to() {
    let folder = Folder::new();
    let (store, phone) = (folder.file("a.redb"), folder.file("phone.redb"));
    let (_hub, url) = Running::hub(&folder.file("hub.redb"));
    let storage = data("automerge-repo/storage");
    let file = storage.to_str().expect("UTF-8");
    let arguments = [
        "import",
        "notes",
        "--automerge-repo",
        file,
        "--connect",
        &url,
    ];
    over(&store, &arguments).json();
    over(&phone, &["sync", &url]).json();
    for (id, document) in &expected() {
        assert_same(&folder, &phone, id, document);
    }
}

#[test]
fn single_documents_of_the_javascript_library_come_and_go_as_files() {
    let folder = Folder::new();
    let store = folder.file("a.redb");
    for name in ["todo", "richText", "board", "scalars", "essay"] {
        let file = data("javascript").join(format!("{name}.automerge"));
        let path = file.to_str().expect("UTF-8");
        let imported = over(&store, &["import", "notes", path, "--id", name]).json();
        assert_eq!(imported["imported"], 1, "{name}");
        let json = fs::read(data("javascript").join(format!("{name}.json"))).expect("readable");
        let json: Json = serde_json::from_slice(&json).expect("JSON");
        let read = over(&store, &["get", "notes", name]).json();
        assert_eq!(read["record"], json, "{name}");
        let exported = folder.file("exported.automerge");
        let to = exported.to_str().expect("UTF-8");
        over(&store, &["export", "notes", "--automerge", name, to]).json();
        assert_eq!(heads_of(&exported), heads_of(&file), "{name}");
    }
}

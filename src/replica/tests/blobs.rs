//! Blobs in a store: put, fetched, named, removed, damaged.

use bytes::Bytes;

use super::*;
use crate::blob::{Attachment, Chunk, Manifest};
use crate::id::BlobId;
use crate::limits;
use crate::replica::{ChunkFate, FetchRule, ManifestFate};
use crate::store::{KeyRange, Order, Table};

fn now() -> WallTime {
    WallTime::from_millis(1_700_000_000_000)
}

fn space() -> SpaceId {
    key("notes").space
}

fn content(chunks: usize) -> Vec<u8> {
    let bytes =
        (0..chunks).flat_map(|it| vec![u8::try_from(it).unwrap(); limits::BLOB_CHUNK_BYTES]);
    let mut bytes: Vec<u8> = bytes.collect();
    bytes.truncate(bytes.len().saturating_sub(7));
    bytes
}

fn parts(bytes: &[u8]) -> (Manifest, Vec<Chunk>) {
    let chunks = bytes.chunks(limits::BLOB_CHUNK_BYTES);
    let chunks = chunks.map(|it| Chunk::new(Bytes::copy_from_slice(it)));
    (Manifest::of(bytes).unwrap(), chunks.collect())
}

fn put(replica: &mut Replica, bytes: &[u8]) -> BlobId {
    let (manifest, chunks) = parts(bytes);
    let number = replica.begin_blob().unwrap();
    for (index, chunk) in (0..).zip(chunks) {
        replica.put_chunks(number, index, &[chunk]).unwrap();
        replica.commit(Durability::Immediate).unwrap();
    }
    let id = replica
        .finish_blob((space(), number), &manifest, now())
        .unwrap();
    replica.commit(Durability::Immediate).unwrap();
    id
}

fn read(store: &TestStore, id: BlobId) -> Option<Vec<u8>> {
    let snapshot = store.snapshot().unwrap();
    let rows = Rows::new(snapshot.as_ref());
    let stock = rows.blob(space(), id).unwrap()?;
    let chunks = (0..stock.chunks).map(|it| rows.blob_chunk(space(), id, it).unwrap());
    let chunks: Option<Vec<Bytes>> = chunks.collect();
    Some(chunks?.concat())
}

fn count(store: &TestStore, table: Table) -> usize {
    let mut count = 0;
    let snapshot = store.snapshot().unwrap();
    let visit = &mut |_: &[u8], _: &[u8]| {
        count += 1;
        std::ops::ControlFlow::Continue(())
    };
    snapshot
        .scan(table, KeyRange::ALL, Order::Ascending, visit)
        .unwrap();
    count
}

/// Sweeps until nothing is to be swept.
fn sweep(replica: &mut Replica) {
    while replica.has_loose_chunks() {
        replica.sweep_chunks().unwrap();
        replica.commit(Durability::Immediate).unwrap();
    }
}

fn name(replica: &mut Replica, record: &str, id: BlobId) {
    let key = key(record);
    let mut writer = Writer::stranger(3, &key);
    let meta = EditMeta::at(now());
    let path = [PathStep::from("photo")];
    let text = Value::Str(Attachment::new(id, 5).to_string());
    let edited = writer
        .0
        .edit::<_, Error>(meta, |edit| edit.set(&path, &text));
    let change = edited.unwrap().1.unwrap();
    deliver(replica, &key, vec![Ok(change)]);
}

/// The rows of a table, keys and values.
fn rows(store: &TestStore, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let snapshot = store.snapshot().unwrap();
    let visit = &mut |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        std::ops::ControlFlow::Continue(())
    };
    snapshot
        .scan(table, KeyRange::ALL, Order::Ascending, visit)
        .unwrap();
    rows
}

#[test]
fn the_rows_of_blobs_are_as_the_specification_has_them() {
    let (store, mut replica) = replica();
    let id = put(&mut replica, b"hello");
    name(&mut replica, "notes", id);
    let wanted = Manifest::of(&content(9)).unwrap();
    replica.want_blob(space(), wanted.id(), 300).unwrap();
    replica.commit(Durability::Immediate).unwrap();
    // The space came first and has number 0, the collection has 1.
    let key = |id: BlobId| [[0, 0, 0, 0].as_slice(), id.as_bytes()].concat();
    let slot = [
        [0, 0, 0, 1].as_slice(),
        super::key("notes").record.as_bytes(),
    ]
    .concat();
    let hash = *Chunk::new(Bytes::from_static(b"hello")).hash();
    let since = now().as_millis().to_be_bytes();
    let blob = [[1].as_slice(), &since, &[0, 5]].concat();
    assert_eq!(rows(&store, Table::Blobs), [(key(id), blob)]);
    let manifest = (vec![0; 8], [[5].as_slice(), &hash].concat());
    let chunk = (vec![0; 12], [hash.as_slice(), b"hello"].concat());
    assert_eq!(rows(&store, Table::Chunks), [manifest, chunk]);
    let fetch = (key(wanted.id()), vec![0xac, 0x02]);
    assert_eq!(rows(&store, Table::Fetches), [fetch]);
    assert_eq!(
        rows(&store, Table::Named),
        [([key(id), slot].concat(), Vec::new())]
    );
    replica.want_blob(space(), wanted.id(), 1 << 30).unwrap();
    replica
        .take_manifest((space(), wanted.id()), &wanted, now())
        .unwrap();
    let (_, chunks) = parts(&content(9));
    replica
        .take_chunk((space(), wanted.id()), 8, &chunks[8])
        .unwrap();
    replica
        .take_chunk((space(), wanted.id()), 0, &chunks[0])
        .unwrap();
    replica.remove_blob(space(), id).unwrap();
    replica.commit(Durability::Immediate).unwrap();
    let size = [0xf9, 0xb7, 0x47];
    let blob = [[0].as_slice(), &since, &[1], &size, &[1, 1]].concat();
    assert_eq!(rows(&store, Table::Blobs), [(key(wanted.id()), blob)]);
    assert_eq!(rows(&store, Table::Loose), [(vec![0; 8], Vec::new())]);
}

#[test]
fn what_was_put_is_read_back_and_stored_once() {
    let (store, mut replica) = replica();
    for chunks in [0, 1, 3] {
        let bytes = content(chunks);
        let id = put(&mut replica, &bytes);
        assert_eq!(read(&store, id), Some(bytes.clone()));
        let before = count(&store, Table::Chunks);
        assert_eq!(put(&mut replica, &bytes), id);
        sweep(&mut replica);
        assert_eq!(count(&store, Table::Chunks), before);
        assert_eq!(read(&store, id), Some(bytes));
    }
    assert_eq!(count(&store, Table::Loose), 0);
}

#[test]
fn of_what_was_not_put_to_its_end_nothing_stays() {
    let (store, mut replica) = replica();
    let (_, chunks) = parts(&content(2));
    let number = replica.begin_blob().unwrap();
    replica.put_chunks(number, 0, &chunks).unwrap();
    replica.commit(Durability::Immediate).unwrap();
    // It is not swept away while it is being put.
    sweep(&mut replica);
    assert_eq!(count(&store, Table::Chunks), 2);
    drop(replica);
    let mut replica = reopen(&store);
    assert!(
        replica.put_chunks(number, 2, &chunks).is_err(),
        "that was another life"
    );
    assert!(replica.has_loose_chunks());
    sweep(&mut replica);
    assert_eq!(count(&store, Table::Chunks), 0);
    assert_eq!(count(&store, Table::Loose), 0);
}

#[test]
fn a_fetched_blob_goes_on_after_a_crash_with_what_is_missing() {
    let (store, mut replica) = replica();
    let bytes = content(3);
    let (manifest, chunks) = parts(&bytes);
    let name = (space(), manifest.id());
    replica.want_blob(name.0, name.1, 1 << 30).unwrap();
    assert_eq!(
        replica.take_manifest(name, &manifest, now()).unwrap(),
        ManifestFate::Fine
    );
    assert_eq!(
        replica.take_chunk(name, 1, &chunks[1]).unwrap(),
        ChunkFate::Fine
    );
    // One bad chunk spoils nothing.
    assert_eq!(
        replica.take_chunk(name, 0, &chunks[2]).unwrap(),
        ChunkFate::False
    );
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(
        replica.take_chunk(name, 0, &chunks[0]).unwrap(),
        ChunkFate::Fine
    );
    drop(replica);
    let mut replica = reopen(&store);
    assert_eq!(replica.fetches().unwrap(), [name]);
    let stock = replica.rows().blob(name.0, name.1).unwrap().unwrap();
    assert_eq!((stock.here, stock.chunks), (1, 3));
    for index in [0, 2] {
        let chunk = &chunks[usize::try_from(index).unwrap()];
        replica.take_chunk(name, index, chunk).unwrap();
    }
    let commit = replica.commit(Durability::Immediate).unwrap();
    assert_eq!(commit.blobs, [name]);
    assert_eq!(replica.fetches().unwrap(), []);
    assert_eq!(read(&store, name.1), Some(bytes));
}

#[test]
fn what_is_larger_than_wanted_or_not_wanted_is_not_taken_in() {
    let (store, mut replica) = replica();
    let (manifest, chunks) = parts(&content(2));
    let name = (space(), manifest.id());
    assert_eq!(
        replica.take_manifest(name, &manifest, now()).unwrap(),
        ManifestFate::Fine
    );
    replica
        .want_blob(name.0, name.1, manifest.size() - 1)
        .unwrap();
    assert_eq!(
        replica.take_manifest(name, &manifest, now()).unwrap(),
        ManifestFate::TooLarge
    );
    assert_eq!(
        replica.take_chunk(name, 0, &chunks[0]).unwrap(),
        ChunkFate::Fine
    );
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(count(&store, Table::Chunks), 0);
    assert_eq!(replica.fetches().unwrap(), []);
}

#[test]
fn a_blob_is_kept_that_any_change_names_and_removed_that_none_does() {
    let (store, mut replica) = replica();
    let (kept, lost) = (put(&mut replica, b"kept"), put(&mut replica, b"lost"));
    name(&mut replica, "notes", kept);
    let start = (crate::replica::Number(0), None);
    // Within the grace nothing goes.
    let (removed, next) = replica.collect_blobs(start, now()).unwrap();
    assert_eq!((removed, next), (0, None));
    let later = WallTime::from_millis(now().as_millis() + 1);
    assert_eq!(replica.collect_blobs(start, later).unwrap().0, 1);
    replica.commit(Durability::Immediate).unwrap();
    sweep(&mut replica);
    assert_eq!(read(&store, kept), Some(b"kept".to_vec()));
    assert_eq!(read(&store, lost), None);
    assert_eq!(count(&store, Table::Chunks), 2, "a manifest and a chunk");
}

#[test]
fn what_changes_name_is_wanted_where_the_rule_says_so_and_after_a_crash() {
    let (store, mut replica) = replica();
    let id = Manifest::of(b"photo").unwrap().id();
    name(&mut replica, "other", id);
    assert_eq!(replica.fetches().unwrap(), []);
    let photos = "photos".parse().unwrap();
    replica.set_fetch_rule(FetchRule::only([photos]));
    name(&mut replica, "notes", id);
    assert_eq!(replica.fetches().unwrap(), []);
    name(&mut replica, "photos", id);
    assert_eq!(replica.fetches().unwrap(), [(space(), id)]);
    assert_eq!(reopen(&store).fetches().unwrap(), [(space(), id)]);
}

#[test]
fn what_peers_ask_for_is_wanted_only_by_rule_and_if_a_record_names_it() {
    let (_store, mut replica) = replica();
    let id = Manifest::of(b"photo").unwrap().id();
    name(&mut replica, "notes", id);
    replica.missed_blob(space(), id).unwrap();
    assert_eq!(replica.fetches().unwrap(), []);
    replica.set_fetch_rule(FetchRule::none().and_on_request());
    replica
        .missed_blob(space(), BlobId::from_bytes([9; 32]))
        .unwrap();
    assert_eq!(replica.fetches().unwrap(), [], "nothing names that");
    replica.missed_blob(space(), id).unwrap();
    assert_eq!(replica.fetches().unwrap(), [(space(), id)]);
}

#[test]
fn damage_is_named_never_read_and_mended() {
    let (store, mut replica) = replica();
    let bytes = content(3);
    let id = put(&mut replica, &bytes);
    let mut batch = crate::store::Batch::default();
    let mut row = vec![0; 32];
    row.extend(b"not what was stored");
    let place = super::super::blobs::chunk_key_for_tests(0, 1);
    batch.put(Table::Chunks, place, row);
    store.commit(&batch, Durability::Immediate).unwrap();
    drop(replica);
    let mut replica = reopen(&store);
    let found = replica.rows().damaged_chunks(space(), id).unwrap();
    assert_eq!(found, Some(vec![1]));
    let complaints = replica.rows().verify(space()).unwrap();
    assert!(complaints[0].contains("1 of 3 chunks"), "{complaints:?}");
    let error = replica.rows().blob_chunk(space(), id, 1).unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::StoreCorrupt);
    let name = (space(), id);
    replica.mend_blob(name, found.as_deref(), 1 << 30).unwrap();
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(replica.fetches().unwrap(), [name]);
    let (_, chunks) = parts(&bytes);
    replica.take_chunk(name, 1, &chunks[1]).unwrap();
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(read(&store, id), Some(bytes));
    assert_eq!(
        replica.rows().verify(space()).unwrap(),
        Vec::<String>::new()
    );
}

#[test]
fn a_damaged_manifest_costs_a_fetch_from_the_start_and_no_more() {
    let (store, mut replica) = replica();
    let bytes = content(2);
    let (manifest, chunks) = parts(&bytes);
    let name = (space(), manifest.id());
    replica.want_blob(name.0, name.1, 1 << 30).unwrap();
    replica.take_manifest(name, &manifest, now()).unwrap();
    replica.commit(Durability::Immediate).unwrap();
    let mut batch = crate::store::Batch::default();
    batch.put(Table::Chunks, 0_u64.to_be_bytes().to_vec(), vec![5; 9]);
    store.commit(&batch, Durability::Immediate).unwrap();
    drop(replica);
    let mut replica = reopen(&store);
    assert_eq!(
        replica.take_chunk(name, 0, &chunks[0]).unwrap(),
        ChunkFate::Fine
    );
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(replica.rows().blob(name.0, name.1).unwrap(), None);
    assert_eq!(replica.fetches().unwrap(), [name]);
    replica.take_manifest(name, &manifest, now()).unwrap();
    for (index, chunk) in (0..).zip(&chunks) {
        replica.take_chunk(name, index, chunk).unwrap();
    }
    replica.commit(Durability::Immediate).unwrap();
    sweep(&mut replica);
    assert_eq!(read(&store, name.1), Some(bytes));
    assert_eq!(
        replica.rows().verify(space()).unwrap(),
        Vec::<String>::new()
    );
}

#[test]
fn putting_what_is_being_fetched_completes_it() {
    let (store, mut replica) = replica();
    let bytes = content(3);
    let (manifest, chunks) = parts(&bytes);
    let name = (space(), manifest.id());
    replica.want_blob(name.0, name.1, 1 << 30).unwrap();
    replica.take_manifest(name, &manifest, now()).unwrap();
    replica.take_chunk(name, 1, &chunks[1]).unwrap();
    replica.commit(Durability::Immediate).unwrap();
    assert_eq!(put(&mut replica, &bytes), name.1);
    assert_eq!(replica.fetches().unwrap(), []);
    // What was asked for before may still come.
    assert_eq!(
        replica.take_chunk(name, 0, &chunks[0]).unwrap(),
        ChunkFate::Fine
    );
    sweep(&mut replica);
    assert_eq!(read(&store, name.1), Some(bytes));
    assert_eq!(
        count(&store, Table::Chunks),
        4,
        "a manifest and three chunks"
    );
}

#[test]
fn whoever_names_without_end_leaves_room_for_what_the_application_wants() {
    let (_store, mut replica) = replica();
    replica.set_fetch_rule(FetchRule::all());
    let key = key("notes");
    let mut writer = Writer::stranger(3, &key);
    let ids = (0..u32::try_from(limits::BLOB_FETCHES_MAX).unwrap()).map(|number| {
        let mut bytes = [7; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        BlobId::from_bytes(bytes)
    });
    let text: String = ids.map(|it| Attachment::new(it, 5).to_string()).collect();
    let path = [PathStep::from("photos")];
    let edited = writer.0.edit::<_, Error>(EditMeta::at(now()), |edit| {
        edit.set(&path, &Value::Str(text))
    });
    deliver(&mut replica, &key, vec![Ok(edited.unwrap().1.unwrap())]);
    assert_eq!(
        replica.fetches().unwrap().len(),
        limits::BLOB_FETCHES_BY_RULE_MAX
    );
    let id = Manifest::of(b"photo").unwrap().id();
    assert!(replica.want_blob(space(), id, 1 << 20).unwrap());
}

#[test]
fn a_transaction_that_fails_wants_nothing() {
    let (_store, mut replica) = replica();
    replica.set_fetch_rule(FetchRule::all());
    let key = key("notes");
    let id = Manifest::of(b"photo").unwrap().id();
    let mut writer = Writer::new(replica.id(), &key);
    let path = [PathStep::from("photo")];
    let text = Value::Str(Attachment::new(id, 5).to_string());
    let edited = writer
        .0
        .edit::<_, Error>(EditMeta::at(now()), |edit| edit.set(&path, &text));
    let first = edited.unwrap().1.unwrap();
    let writes = [write(&key, first.clone()), write(&key, first)];
    assert!(replica.capture(&writes, CorrelationId(1)).is_err());
    let commit = replica.commit(Durability::Immediate).unwrap();
    assert_eq!(commit.wanted, []);
    assert_eq!(replica.fetches().unwrap(), []);
}

//! Names of blobs, and what refers to them.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::codec::{Reader, Writer};
use crate::id::BlobId;
use crate::limits;

fn id(byte: u8) -> BlobId {
    BlobId::from_bytes([byte; 32])
}

#[test]
fn a_blob_is_named_by_its_size_and_the_hashes_of_its_chunks() {
    // As docs/protocol.md has it.
    let name = |bytes: &[u8]| Manifest::of(bytes).unwrap().id().to_string();
    let empty = "d9a047e41924a8e77fb20afbbaf91dd45b839f347d3bd571bed98ed2491c6d98";
    let hello = "01b7aa4170cf05c777d67a5a5f2c83be041d0970c7ff895582741d1631ce85e0";
    let long = "b5782735590312704e7cf66313755a4cf9b72ca6398795584a3910c327c16aa6";
    assert_eq!(name(b""), empty);
    assert_eq!(name(b"hello"), hello);
    assert_eq!(name(&vec![7; limits::BLOB_CHUNK_BYTES + 1]), long);
    let spec = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let spec = std::fs::read_to_string(spec).unwrap();
    for named in [empty, hello, long] {
        assert!(spec.contains(named), "the specification lacks {named}");
    }
}

#[test]
fn a_manifest_holds_its_chunks_at_their_places_and_nothing_else() {
    let bytes: Vec<u8> = (0..251)
        .cycle()
        .take(2 * limits::BLOB_CHUNK_BYTES + 5)
        .collect();
    let manifest = Manifest::of(&bytes).unwrap();
    let chunks: Vec<_> = bytes
        .chunks(limits::BLOB_CHUNK_BYTES)
        .map(|it| Chunk::new(Bytes::copy_from_slice(it)))
        .collect();
    assert_eq!(manifest.count(), 3);
    for (index, chunk) in (0..).zip(&chunks) {
        assert!(manifest.holds(index, chunk));
        assert!(
            !manifest.holds(index + 1, chunk),
            "a chunk is not the next one"
        );
    }
    let shorter = Chunk::new(chunks[2].bytes().slice(..4));
    assert!(!manifest.holds(2, &shorter));
    assert_eq!(Manifest::new(6, manifest.chunks().to_vec()), None);
    assert_eq!(Manifest::new(limits::BLOB_BYTES_MAX + 1, Vec::new()), None);
}

#[test]
fn a_manifest_reads_back_and_one_that_claims_too_much_takes_no_memory() {
    let manifest = Manifest::of(&vec![1; limits::BLOB_CHUNK_BYTES * 3]).unwrap();
    let mut writer = Writer::new();
    manifest.write(&mut writer);
    let bytes = writer.finish();
    assert_eq!(Manifest::read(&mut Reader::new(&bytes)).unwrap(), manifest);
    assert!(Manifest::read(&mut Reader::new(&bytes[..bytes.len() - 1])).is_err());
    for size in [limits::BLOB_BYTES_MAX, limits::BLOB_BYTES_MAX + 1, u64::MAX] {
        let mut writer = Writer::new();
        writer.varint(size).raw(&[0; 64]);
        assert!(Manifest::read(&mut Reader::new(&writer.finish())).is_err());
    }
}

#[test]
fn a_reference_has_one_text_and_other_texts_are_none() {
    let photo = Attachment::new(id(0xab), 70)
        .with_name("a;size=1;type=b/c.txt")
        .unwrap();
    let text = photo.to_string();
    assert_eq!(Attachment::read(&text), Some(photo));
    let hex = "ab".repeat(32);
    let none = [
        format!("blob:{};size=70", hex.to_uppercase()),
        format!("blob:{hex};size=070"),
        format!("blob:{hex};size=+70"),
        format!("blob:{hex}"),
        format!("blob:{hex};size=70;type=text"),
        format!("blob:{hex};size=70;name="),
        format!("blob:{hex};size=70;name=a\n"),
        format!(" blob:{hex};size=70"),
        format!("blob:{};size=70", "ab".repeat(31)),
    ];
    for text in none {
        assert_eq!(Attachment::read(&text), None, "{text}");
    }
}

#[test]
fn blobs_are_found_in_bytes_wherever_they_are_named() {
    let (one, two) = (Attachment::new(id(1), 5), Attachment::new(id(2), 6));
    let bytes = format!("x{two}yblob:{one}{two}blob:");
    assert_eq!(named_in(bytes.as_bytes()), [id(1), id(2)]);
    let cut = one.to_string();
    assert_eq!(named_in(&cut.as_bytes()[..5 + 63]), []);
    assert_eq!(named_in(&cut.as_bytes()[..5 + 64]), [id(1)]);
}

proptest! {
    #[test]
    fn a_reference_reads_back_as_it_was_written(
        bytes: [u8; 32], size: u64, name in proptest::option::of("[^\\p{Cc}]{1,40}"),
        kind in proptest::option::of("[a-z0-9][a-z0-9.+-]{0,20}/[a-z0-9][a-z0-9.+-]{0,20}"),
    ) {
        let mut attachment = Attachment::new(BlobId::from_bytes(bytes), size);
        if let Some(name) = name {
            attachment = attachment.with_name(&name).unwrap();
        }
        if let Some(kind) = kind {
            attachment = attachment.with_type(&kind).unwrap();
        }
        let text = attachment.to_string();
        prop_assert_eq!(named_in(text.as_bytes()), [attachment.id()]);
        prop_assert_eq!(Attachment::read(&text), Some(attachment));
    }
}

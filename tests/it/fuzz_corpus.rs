//! The fuzz targets over their corpus, and over mutations of it, as an ordinary test.

use std::fs;
use std::path::Path;

use syncline::entropy::Entropy;

#[expect(
    unreachable_pub,
    reason = "it is the public door of the fuzzer's own crate"
)]
#[path = "../../fuzz/src/lib.rs"]
mod bodies;

/// Mutations of each file of the corpus.
const MUTATIONS: usize = 200;

fn over_corpus(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut entropy = Entropy::from_number(7);
    let mut seen = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is there") {
        let seed = fs::read(entry.expect("readable").path()).expect("readable");
        body(&seed);
        for _ in 0..MUTATIONS {
            body(&mutate(&seed, &mut entropy));
        }
        seen += 1;
    }
    assert!(seen > 0, "the corpus of {target} is empty");
}

/// Changes up to three bytes, or cuts the end off.
fn mutate(seed: &[u8], entropy: &mut Entropy) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    let length = u64::try_from(bytes.len()).expect("fits");
    for _ in 0..=entropy.below(3) {
        let at = usize::try_from(entropy.below(length)).expect("fits");
        if let Some(byte) = bytes.get_mut(at) {
            *byte = entropy.bytes::<1>()[0];
        }
    }
    if entropy.below(4) == 0 {
        bytes.truncate(usize::try_from(entropy.below(length + 1)).expect("fits"));
    }
    bytes
}

#[test]
fn frames_decode_to_what_they_encode() {
    over_corpus("wire", bodies::wire);
}

#[test]
fn changes_apply_whole_or_not_at_all() {
    over_corpus("change", bodies::change);
}

#[test]
fn a_session_survives_whatever_its_peer_says() {
    over_corpus("session", bodies::session);
}

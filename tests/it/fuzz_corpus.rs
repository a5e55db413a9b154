//! The fuzz targets over their corpora, and over mutations of them, as an ordinary test.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use syncline::entropy::Entropy;
use syncline::plant::{Plant, planted};
use syncline::sim::fuzz::{self, TARGETS, Target};

/// Mutations of the files of one corpus, spread evenly over them.
const MUTATIONS: usize = 200;

/// Bytes of all corpora together: what everybody clones and every run goes through.
const CORPORA_BYTES_MAX: usize = 300_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The files of a folder, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|it| it.expect("readable").path());
    let mut paths: Vec<_> = paths.collect();
    paths.sort();
    paths
}

/// The names of what is in a folder, without what comes after a dot.
fn names(folder: &str) -> BTreeSet<String> {
    let stems = files(&root().join(folder)).into_iter().map(|it| {
        let stem = it.file_stem().expect("a name");
        stem.to_str().expect("a plain name").to_owned()
    });
    stems.collect()
}

fn over_corpus(target: &str, body: fn(&[u8])) {
    let seeds = files(&root().join("corpus").join(target));
    assert!(!seeds.is_empty(), "the corpus of {target} is empty");
    let mut entropy = Entropy::from_number(7);
    let each = MUTATIONS.div_ceil(seeds.len());
    for path in &seeds {
        let seed = fs::read(path).expect("readable");
        body(&seed);
        for _ in 0..each {
            body(&mutate(&seed, &mut entropy));
        }
    }
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
fn every_target_holds_over_its_corpus() {
    thread::scope(|scope| {
        for (name, body) in TARGETS {
            let over = thread::Builder::new().name((*name).to_owned());
            over.spawn_scoped(scope, move || over_corpus(name, *body))
                .expect("a thread starts");
        }
    });
}

/// Faults of the library, each with a target whose corpus alone has to show it.
const CAUGHT: &[(Plant, Target)] = &[
    (Plant::SkipSync, ("store", fuzz::store)),
    (Plant::SwallowDiskFull, ("store", fuzz::store)),
    (Plant::TrustSilence, ("session", fuzz::session)),
    (Plant::StopRetrying, ("reconcile", fuzz::reconcile)),
    (Plant::TrustRoots, ("reconcile", fuzz::reconcile)),
];

#[test]
fn the_corpora_catch_faults_that_are_planted() {
    let mut missed = Vec::new();
    for (plant, (name, body)) in CAUGHT {
        let seeds = files(&root().join("corpus").join(name)).into_iter();
        let mut seeds = seeds.map(|it| fs::read(it).expect("readable"));
        // What a target makes once and keeps is made without a fault.
        body(&[]);
        let is_caught =
            seeds.any(|seed| catch_unwind(|| planted(Some(*plant), || body(&seed))).is_err());
        if !is_caught {
            missed.push((plant.name(), name));
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn every_target_has_a_corpus_a_program_and_a_place_in_the_documentation() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("corpus"), targets, "fuzz/corpus");
    assert_eq!(names("fuzz_targets"), targets, "fuzz/fuzz_targets");
    assert!(names("dict").is_subset(&targets), "fuzz/dict");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("readable");
    let docs = root().join("../docs/fuzzing.md");
    let docs = fs::read_to_string(docs).expect("readable");
    for name in &targets {
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "fuzz/Cargo.toml lacks {name}"
        );
        assert!(
            docs.contains(&format!("| `{name}` |")),
            "docs/fuzzing.md lacks {name}"
        );
    }
}

#[test]
fn corpora_stay_small() {
    let targets = TARGETS.iter().map(|(name, _)| *name);
    let seeds = targets.flat_map(|name| files(&root().join("corpus").join(name)));
    let bytes = seeds.map(|it| fs::read(it).expect("readable").len());
    let bytes: usize = bytes.sum();
    assert!(bytes <= CORPORA_BYTES_MAX, "{bytes} bytes");
}

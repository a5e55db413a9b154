//! Every promise of `docs/guarantees.md` names tests, and those exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The source files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of sources");
    entries
        .map(|it| it.expect("an entry").path())
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|it| it == "rs"))
        .collect()
}

/// The functions of a source text that stand under a test's attribute.
fn tests_of(text: &str) -> impl Iterator<Item = &str> {
    let mut lines = text.lines().map(str::trim);
    std::iter::from_fn(move || {
        lines.find(|it| it.starts_with("#[test]") || it.starts_with("#[tokio::test"))?;
        let name = lines.find_map(|it| it.trim_start_matches("async ").strip_prefix("fn "))?;
        name.split('(').next()
    })
}

#[test]
fn every_promise_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [root.join("src"), root.join("tests")].map(|it| sources(&it));
    let texts = files
        .iter()
        .flatten()
        .map(|it| fs::read_to_string(it).expect("a source"));
    let tests: BTreeSet<String> = texts
        .flat_map(|text| tests_of(&text).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let document = fs::read_to_string(root.join("docs/guarantees.md")).expect("the document");
    let promises: Vec<_> = document
        .lines()
        .filter(|it| it.starts_with("| G"))
        .collect();
    assert_eq!(promises.len(), 7);
    for promise in promises {
        let shown_by = promise.rsplit(" | ").next().expect("a last column");
        let named: Vec<_> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test shows: {promise}");
        for name in named {
            assert!(tests.contains(name), "there is no test `{name}`: {promise}");
        }
    }
}

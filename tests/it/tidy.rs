//! Checks on the source text itself: layering, purity, absences, size and module comments.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Top-level modules from the innermost outwards, with what each may import from this crate.
///
/// An import may only name an earlier row, so cycles cannot be written down. `ARCHITECTURE.md`
/// prints the same rows, and [`the_map_matches_the_table`] keeps it so.
const MODULES: &[(&str, Purity, &str)] = &[
    ("error", Pure, ""),
    ("limits", Pure, ""),
    ("plant", Pure, ""),
    ("telemetry", Pure, ""),
    ("time", Io, ""),
    ("entropy", Io, ""),
    ("codec", Pure, ""),
    ("id", Pure, "error limits time entropy"),
    ("blob", Pure, "error limits codec id"),
    (
        "doc",
        Pure,
        "error limits plant telemetry time entropy codec id blob",
    ),
    ("conflict", Pure, "error limits plant entropy id doc"),
    ("contract", Pure, "error limits id doc conflict"),
    ("record", Pure, "error limits time id blob doc"),
    ("query", Pure, "codec error limits id doc record"),
    ("access", Pure, "entropy id"),
    ("ledger", Pure, "time codec id"),
    ("reconcile", Pure, "error limits id blob"),
    ("wire", Pure, "error limits codec id blob reconcile"),
    (
        "session",
        Pure,
        "error limits plant time id blob doc access ledger reconcile wire",
    ),
    ("peer", Pure, "limits plant time entropy id"),
    ("store", Io, "codec error entropy limits plant"),
    (
        "replica",
        Pure,
        "error limits plant time entropy codec id blob doc access ledger reconcile store",
    ),
    (
        "engine",
        Pure,
        "error limits telemetry plant time entropy id blob doc access ledger reconcile wire session peer store replica",
    ),
    (
        "repo",
        Pure,
        "codec error limits telemetry time id doc store replica",
    ),
    ("transport", Io, "error limits"),
    (
        "node",
        Io,
        "error limits telemetry time entropy id blob doc conflict contract record query access wire session peer store replica engine repo transport",
    ),
    (
        "sim",
        Pure,
        "codec error limits telemetry plant time entropy id blob doc conflict contract record query access reconcile wire session peer store replica engine repo",
    ),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purity {
    /// Decides from its arguments: no clock, runtime, thread, file, socket or OS randomness.
    Pure,
    /// May touch the outside world.
    Io,
}
use Purity::{Io, Pure};

/// Lines of one source file, its unit tests kept apart.
const FILE_LINES_MAX: usize = 500;

const IMPURE: &[&str] = &[
    "tokio::",
    "async fn",
    "async move",
    ".await",
    "std::net",
    "std::fs",
    "std::thread",
    "std::env",
    "SystemClock",
    "from_os(",
];

/// Words that only stand below these places.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("automerge::", &["doc/", "record/"]),
    ("redb::", &["store/", "sim/storage.rs"]),
    ("tungstenite", &["transport/websocket"]),
    ("regex_lite::", &["contract/"]),
    ("tokio::", &["transport/", "node/"]),
    ("store.commit(", &["replica/", "store/", "sim/fuzz/"]),
    ("unbounded_channel", &[]),
    ("unsafe ", &[]),
];

#[test]
fn the_source_is_tidy() {
    let root = source();
    let mut complaints = Vec::new();
    for path in rust_files(&root) {
        let text = fs::read_to_string(&path).expect("source files are readable");
        let relative = path.strip_prefix(&root).expect("listed below the root");
        check_file(relative, &text, is_test(&path), &mut complaints);
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_metric_and_span_is_used() {
    let names = source().join("telemetry/names.rs");
    let names = fs::read_to_string(names).expect("source files are readable");
    let constants = names.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub const ").unwrap_or(line);
        let name = line.split([' ', ':']).next()?;
        let is_name = name.len() > 2 && name.chars().all(|it| it.is_ascii_uppercase() || it == '_');
        is_name.then(|| name.to_owned())
    });
    let files = rust_files(&source());
    let elsewhere = files.iter().filter(|it| !it.ends_with("names.rs"));
    let texts: Vec<_> = elsewhere
        .map(|it| fs::read_to_string(it).expect("source files are readable"))
        .collect();
    let used = |name: &str| texts.iter().any(|it| it.contains(&format!("::{name}")));
    let unused: Vec<_> = constants
        .filter(|it| it != "METRICS" && !used(it))
        .collect();
    assert!(unused.is_empty(), "nothing reports {unused:?}");
}

#[test]
fn imports_point_inwards() {
    for (index, (name, _, imports)) in MODULES.iter().enumerate() {
        for import in imports.split_whitespace() {
            let earlier = MODULES[..index].iter().any(|(it, ..)| *it == import);
            assert!(
                earlier,
                "{name} imports {import}, which is not an earlier row"
            );
        }
    }
}

#[test]
fn every_allowed_import_is_used() {
    for (name, _, imports) in MODULES {
        let files = rust_files(&source());
        let own = files
            .iter()
            .filter(|it| module_of(it.strip_prefix(source()).expect("below the root")) == *name);
        let text: String = own
            .map(|it| fs::read_to_string(it).expect("readable"))
            .collect();
        for import in imports.split_whitespace() {
            assert!(
                text.contains(&format!("crate::{import}")),
                "{name} never uses {import}"
            );
        }
    }
}

#[test]
fn the_map_matches_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let map = fs::read_to_string(path).expect("ARCHITECTURE.md is readable");
    for (name, _, imports) in MODULES {
        let row = map
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {name}"));
        let last = row
            .trim_end_matches(['|', ' '])
            .rsplit('|')
            .next()
            .unwrap_or_default();
        let expected = if imports.is_empty() { "–" } else { imports };
        assert_eq!(last.trim(), expected, "row of {name}");
    }
}

fn check_file(path: &Path, text: &str, test: bool, complaints: &mut Vec<String>) {
    let module = module_of(path);
    let shown = path.display().to_string();
    let mut complain = |line: usize, what: &str| {
        complaints.push(format!("src/{shown}:{line}: {what}"));
    };
    if text.lines().count() > FILE_LINES_MAX {
        complain(FILE_LINES_MAX, "is too long; split it by responsibility");
    }
    if test || module == "bin" {
        return;
    }
    if !text.starts_with("//!") {
        complain(1, "does not open with a module comment");
    }
    if module == "lib" {
        return;
    }
    let Some((_, purity, imports)) = MODULES.iter().find(|(name, ..)| *name == module) else {
        complain(1, "belongs to no module of the table");
        return;
    };
    let production = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    for (number, line) in (1..).zip(production.lines()) {
        let code = line.split("//").next().unwrap_or_default();
        if *purity == Pure && IMPURE.iter().any(|word| code.contains(word)) {
            complain(number, "reaches outside from a pure module");
        }
        for (word, places) in ONLY_IN {
            if code.contains(word) && !places.iter().any(|place| shown.starts_with(place)) {
                complain(number, &format!("`{word}` does not belong here"));
            }
        }
        for import in code.split("crate::").skip(1) {
            let target = import
                .split(|c: char| c != '_' && !c.is_alphanumeric())
                .next();
            let target = target.unwrap_or_default();
            let known = MODULES.iter().any(|(name, ..)| *name == target);
            if known && target != module && !imports.split_whitespace().any(|it| it == target) {
                complain(number, &format!("{module} may not import {target}"));
            }
        }
        if code.trim_start().starts_with("matches!(") && code.trim_end().ends_with(");") {
            complain(number, "checks nothing; assert the match");
        }
    }
}

/// Whether a file is compiled for unit tests only: the folder's `mod.rs` says so.
fn is_test(path: &Path) -> bool {
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let folder = path.parent().expect("a folder");
    let parents = [folder.join("mod.rs"), folder.with_extension("rs")];
    let declared = |text: &String| {
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        lines.windows(2).any(|it| {
            it[0].starts_with("#[cfg(test)]")
                && it[1].trim_end_matches(';') == format!("mod {stem}")
        })
    };
    let in_test_folder = || folder != source() && is_test(folder);
    parents
        .iter()
        .filter_map(|it| fs::read_to_string(it).ok())
        .any(|it| declared(&it))
        || in_test_folder()
}

fn module_of(path: &Path) -> String {
    let first = path.iter().next().unwrap_or_default().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(dir: &Path) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(dir).expect("source folders are readable") {
        let path = entry.expect("source folders are readable").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.insert(path);
        }
    }
    files
}

//! The program, as somebody types it.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by a panic")]

use std::path::Path;
use std::process::{Command, Output};

use syncline::Node;

fn run(store: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_inspection-forms"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("--store")
        .arg(store)
        .args(arguments)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

const NEWER: [&str; 2] = ["--form", "forms/inspection-2.json"];

#[tokio::test(flavor = "multi_thread")]
async fn the_program_fills_in_syncs_and_migrates() {
    let hub = Node::builder().relay().open().await.unwrap();
    let url = hub.listen("127.0.0.1:0").await.unwrap();
    let url = url.as_str();
    let folder = tempfile::tempdir().unwrap();
    let (field, office) = (folder.path().join("f.redb"), folder.path().join("o.redb"));

    let id = said(&run(
        &field,
        &["new", "site=Weir", "inspector=Ana", "pressure=2"],
    ));
    let id = id.trim();
    let shown = said(&run(&field, &["set", id, "defects=+1"]));
    assert_eq!(
        shown,
        format!(
            "{id}\n  defects        1\n  inspector      Ana\n  notes          -\n  photos         -\n  \
             pressure       2\n  site           Weir\n  state          -\n"
        )
    );
    let high = said(&run(&field, &["new", "site=Lock", "pressure=90"]));
    let photo = folder.path().join("p.png");
    std::fs::write(&photo, b"picture").unwrap();
    let shown = said(&run(&field, &["attach", id, photo.to_str().unwrap()]));
    assert!(shown.contains("1. p.png, 7 bytes"), "{shown}");
    assert_eq!(said(&run(&field, &["sync", url])), "forms here: 2\n");

    let new = |arguments: &[&str]| said(&run(&office, &[&NEWER, arguments].concat()));
    assert_eq!(new(&["sync", url]), "forms here: 2\n");
    let not = format!(
        "1, not possible: 1\n{}: what comes of it breaks the contract: \
         pressure_bar: an integer breaks 'range': it must be 0 to 40\n",
        high.trim()
    );
    assert_eq!(new(&["migrate", "--dry-run"]), format!("to migrate: {not}"));
    assert_eq!(new(&["migrate"]), format!("migrated: {not}"));
    let shown = new(&["show", id]);
    assert!(
        shown.contains("inspected_by   Ana") && shown.contains("pressure_bar   2\n"),
        "{shown}"
    );
    let copy = folder.path().join("copy.png");
    let wanted = ["photo", id, "1", "-o", copy.to_str().unwrap()];
    let output = run(&office, &wanted);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && told.contains("--connect"),
        "{told}"
    );
    new(&[&wanted[..], &["--connect", url]].concat());
    assert_eq!(std::fs::read(&copy).unwrap(), b"picture");

    // The older form shows what it does not ask for, too.
    new(&["sync", url]);
    said(&run(&field, &["sync", url]));
    let shown = said(&run(&field, &["show", id]));
    assert!(
        shown.contains("inspected_by   Ana (of another version of the form)"),
        "{shown}"
    );
    assert!(said(&run(&field, &["list"])).contains(&format!("{id} {{")));
    hub.shutdown().await.unwrap();
}

#[test]
fn what_is_wrong_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.redb");
    for (arguments, words) in [
        (&["new", "state=good"][..], "site"),
        (&["migrate"][..], "name a newer one by --form"),
        (&["sync", "nowhere"][..], "ws://host:port"),
        (&["new", "colour=red"][..], "no field \"colour\""),
        (
            &["--form", "nowhere.json", "list"][..],
            "cannot read nowhere.json",
        ),
        (&["--form", "Cargo.toml", "list"][..], "it is not JSON"),
    ] {
        let output = run(&store, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(words), "{told}");
    }
    for arguments in [&["fill"][..], &["new"][..], &["set", "1", "site=A"][..]] {
        assert_eq!(
            run(&store, arguments).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    let other = folder.path().join("b.redb");
    assert!(said(&run(&other, &["form"])).starts_with("inspections, version 1\n"));
    assert!(!other.exists(), "a form can be looked at without a store");
    assert_eq!(said(&run(&other, &["list"])), "");
    let foreign = run(Path::new("README.md"), &["list"]);
    let told = String::from_utf8(foreign.stderr).unwrap();
    assert!(
        told.starts_with("inspection-forms: README.md is not"),
        "{told}"
    );
}

//! `syncline sim`: seeds that pass, faults that are found and replayed, a picture of a run.

use std::fs;

use crate::command::{Folder, run};

#[test]
fn seeds_that_pass_end_with_counts_of_what_was_reached() {
    let done = run(&["sim", "--first", "1", "--seeds", "2", "--json"]).json();
    assert_eq!(done["seeds"], 2);
    assert_eq!(done["failed"], 0);
    assert!(done["classes"]["acked_write"].as_u64() > Some(0), "{done}");
}

#[test]
fn a_seed_replays_with_the_same_digest() {
    let once = run(&["sim", "--seed", "1", "--json"]).json();
    let again = run(&["sim", "--seed", "1", "--json"]).json();
    assert_eq!(once, again);
    let trace = run(&["sim", "--seed", "1", "--trace"]).ok();
    assert!(
        trace.contains("step 0:") && trace.contains("host 0"),
        "{trace}"
    );
}

#[test]
fn a_failing_seed_names_its_check_and_the_commands_that_show_it_again() {
    let planted = ["sim", "--seeds", "1", "--plant", "keep_half_transaction"];
    let found = run(&planted);
    let told = &found.stdout;
    assert_eq!(found.code, 1, "{found:?}");
    assert!(
        found.stderr.starts_with("syncline: check_failed: "),
        "{found:?}"
    );
    assert!(told.contains("refused is absent"), "{told}");
    let replays: Vec<_> = told
        .lines()
        .filter_map(|it| it.split_once("syncline ").map(|(_, it)| it))
        .collect();
    assert_eq!(replays.len(), 2, "whole, and made small: {told}");
    for replay in replays {
        let arguments: Vec<_> = replay.split_whitespace().collect();
        let again = run(&arguments);
        assert!(
            again.stdout.contains("refused is absent"),
            "{}",
            again.stdout
        );
        assert_eq!(again.code, 1);
    }
    let json = run(&[
        "sim",
        "--seeds",
        "1",
        "--plant",
        "keep_half_transaction",
        "--json",
    ]);
    assert_eq!(json.object()["failed"], 1, "the last line is the report");
}

#[test]
fn a_run_is_drawn_with_a_lane_for_each_replica() {
    let folder = Folder::new();
    let file = folder.file("run.svg");
    let path = file.to_str().expect("UTF-8");
    run(&["sim", "--seed", "1", "--svg", path]).ok();
    let drawn = fs::read_to_string(&file).expect("a picture");
    assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>\n"));
    assert!(drawn.contains(">host 0<") && drawn.contains(">host 1<"));
    run(&["sim", "--seed", "1", "--svg", "/nowhere/run.svg"]).failed(1, "io");
}

#[test]
fn wrong_usage_of_the_simulator_says_what_there_is() {
    for arguments in [
        &["sim", "--seed", "soon"][..],
        &["sim", "--trace"],
        &["sim", "--seed", "1", "--seeds", "2"],
        &["sim", "--seed", "1", "--keep", "1000"],
        &["sim", "--jobs", "0"],
    ] {
        run(arguments).failed(2, "usage");
    }
    let unknown = run(&["sim", "--plant", "greed"]);
    assert!(unknown.stderr.contains("skip_sync"), "{}", unknown.stderr);
    unknown.failed(2, "usage");
}
